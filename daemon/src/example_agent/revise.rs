//! Works review comments into documents that are there, and keeps everything else as it is.

use super::{
    brief::{Comment, Document},
    documents::Documents,
    outline::{criteria, requirement_number},
    text,
};

const MAX_COMMENT: usize = 200;
const NOTES: &str = "## Notes";
/// Begins every criterion that comes from a comment; also how such criteria are found again.
const CRITERION: &str = "THE Feature_README SHALL state the review note";

/// Works comments into the documents. Doing it twice changes nothing more.
pub(super) fn apply(documents: &mut Documents, comments: &[Comment]) {
    // Lines count in the document the reviewer saw, so requirements are looked up before any edit.
    let targets: Vec<Option<String>> = comments
        .iter()
        .map(|comment| requirement_at(&documents.requirements, comment.line))
        .collect();
    for (comment, target) in comments.iter().zip(targets) {
        let note = text::line(&comment.text, MAX_COMMENT);
        if note.is_empty() {
            continue;
        }
        match comment.document {
            Document::Requirements => {
                let sentence = format!("{CRITERION} \"{note}\".");
                add_criterion(documents, target.as_deref(), &sentence);
            }
            Document::Design => add_note(&mut documents.design, &note),
            Document::Tasks => add_note(&mut documents.tasks, &note),
        }
    }
}

/// Carries what earlier comments added over to documents that were rendered anew.
pub(super) fn carry_over(old: &Documents, new: &mut Documents) {
    for criterion in criteria(&old.requirements) {
        if criterion.text.starts_with(CRITERION) {
            let requirement = criterion.id.split('.').next();
            add_criterion(new, requirement, &criterion.text);
        }
    }
    for (old, new) in [(&old.design, &mut new.design), (&old.tasks, &mut new.tasks)] {
        for note in notes(old) {
            add_note(new, note);
        }
    }
}

/// Number of the requirement that holds a line counted from 1; the first one for lines above it.
fn requirement_at(requirements: &str, line: Option<usize>) -> Option<String> {
    let headings: Vec<(usize, &str)> = requirements
        .lines()
        .enumerate()
        .filter_map(|(index, source)| Some((index + 1, requirement_number(source)?)))
        .collect();
    let line = line.unwrap_or(0);
    headings
        .iter()
        .rev()
        .find(|(start, _)| *start <= line)
        .or(headings.first())
        .map(|(_, number)| (*number).to_owned())
}

/// Adds a criterion to a requirement, and its id to the first task that cites any criterion.
fn add_criterion(documents: &mut Documents, requirement: Option<&str>, sentence: &str) {
    let known = criteria(&documents.requirements);
    let id = if let Some(same) = known.iter().find(|known| known.text == sentence) {
        same.id.clone()
    } else {
        let wanted = |id: &str| id.split('.').next() == requirement;
        let Some(last) = known
            .iter()
            .rfind(|known| wanted(&known.id))
            .or(known.last())
        else {
            // No criterion to follow: the comment stays visible as a note.
            add_note(&mut documents.requirements, sentence);
            return;
        };
        let (number, item) = last.id.split_once('.').unwrap_or((&last.id, "0"));
        let item = item.parse::<u64>().unwrap_or(0).saturating_add(1);
        insert(
            &mut documents.requirements,
            last.line + 1,
            &[&format!("{item}. {sentence}")],
        );
        format!("{number}.{item}")
    };
    cite(&mut documents.tasks, &id);
}

fn cite(tasks: &mut String, id: &str) {
    let key = "_Requirements:";
    let is_cited = tasks
        .lines()
        .filter_map(|line| line.split_once(key))
        .any(|(_, list)| {
            list.split([',', '_'])
                .any(|cited| matches!(cited.trim(), cited if cited == id || cited == "All"))
        });
    if is_cited {
        return;
    }
    let mut start = 0;
    for line in tasks.split_inclusive('\n') {
        if let Some((before, list)) = line.split_once(key)
            && let Some(end) = list.rfind('_')
        {
            tasks.insert_str(start + before.len() + key.len() + end, &format!(", {id}"));
            return;
        }
        start += line.len();
    }
}

/// Bullets of the notes section.
fn notes(source: &str) -> Vec<&str> {
    source
        .lines()
        .skip_while(|line| line.trim_end() != NOTES)
        .skip(1)
        .take_while(|line| !line.starts_with('#'))
        .filter_map(|line| line.strip_prefix("- "))
        .collect()
}

/// Adds a bullet to the notes section, which is made before the dependency graph or at the end.
fn add_note(source: &mut String, note: &str) {
    if notes(source).iter().any(|known| known.trim_end() == note) {
        return;
    }
    let bullet = format!("- {note}");
    let lines: Vec<&str> = source.lines().collect();
    if let Some(heading) = lines.iter().position(|line| line.trim_end() == NOTES) {
        let section = lines.get(heading + 1..).unwrap_or_default();
        let length = section
            .iter()
            .position(|line| line.starts_with('#'))
            .unwrap_or(section.len());
        let last = section
            .iter()
            .take(length)
            .rposition(|line| !line.trim().is_empty());
        let at = heading + 1 + last.map_or(0, |last| last + 1);
        let lead: &[&str] = if last.is_some() { &[] } else { &[""] };
        insert(source, at, &[lead, &[&bullet]].concat());
        return;
    }
    let graph = lines
        .iter()
        .position(|line| line.starts_with("## Task Dependency Graph"));
    if let Some(graph) = graph {
        insert(source, graph, &[NOTES, "", &bullet, ""]);
    } else {
        insert(source, lines.len(), &["", NOTES, "", &bullet]);
    }
}

/// Inserts lines before a line counted from 0, with the line ends of the document.
fn insert(source: &mut String, line: usize, lines: &[&str]) {
    let end = if source.contains("\r\n") {
        "\r\n"
    } else {
        "\n"
    };
    if !source.is_empty() && !source.ends_with('\n') {
        source.push_str(end);
    }
    let at = source.split_inclusive('\n').take(line).map(str::len).sum();
    let mut block = lines.join(end);
    block.push_str(end);
    source.insert_str(at, &block);
}

#[cfg(test)]
mod tests {
    use super::super::{brief::PlanBrief, documents, documents::Feature};
    use super::*;
    use proptest::prelude::*;

    fn base() -> Documents {
        documents::render(&Feature::new(&PlanBrief {
            task: "7-it".into(),
            folder: "specs/7-it".into(),
            prompt: "Build it".into(),
        }))
    }

    fn comment(document: Document, line: usize, text: &str) -> Comment {
        Comment {
            document,
            line: Some(line),
            text: text.into(),
        }
    }

    fn line_of(source: &str, text: &str) -> usize {
        source.lines().position(|line| line.contains(text)).unwrap() + 1
    }

    #[test]
    fn a_comment_becomes_a_covered_criterion_of_its_requirement() {
        let mut documents = base();
        let line = line_of(
            &documents.requirements,
            "**User Story:** As a new contributor",
        );
        apply(
            &mut documents,
            &[comment(
                Document::Requirements,
                line,
                "Say who *maintains* it",
            )],
        );
        let added = criteria(&documents.requirements)
            .into_iter()
            .find(|criterion| criterion.id == "2.4")
            .unwrap();
        assert_eq!(
            added.text,
            "THE Feature_README SHALL state the review note \"Say who maintains it\"."
        );
        assert!(documents.tasks.contains("_Requirements: 2.1, 2.2, 2.4_"));
        assert_eq!(documents.design, base().design);
    }

    #[test]
    fn notes_come_before_the_graph_and_stay_together() {
        let mut documents = base();
        apply(
            &mut documents,
            &[
                comment(Document::Tasks, 3, "one"),
                comment(Document::Tasks, 3, "- [ ] 9. two"),
                comment(Document::Design, 1, "three"),
            ],
        );
        assert!(
            documents
                .tasks
                .contains("## Notes\n\n- one\n- - 9. two\n\n## Task Dependency Graph\n")
        );
        assert!(documents.design.ends_with("\n\n## Notes\n\n- three\n"));
    }

    #[test]
    fn applying_twice_changes_nothing_and_edits_of_a_person_stay() {
        let mut documents = base();
        documents.requirements = documents
            .requirements
            .replace("print one line", "print exactly one line")
            .replace('\n', "\r\n");
        let comments = [
            comment(Document::Requirements, 1, "early"),
            comment(Document::Requirements, 9999, "late"),
            comment(Document::Tasks, 1, "note"),
        ];
        apply(&mut documents, &comments);
        let once = documents.clone();
        apply(&mut documents, &comments);
        assert_eq!(documents, once);
        assert!(once.requirements.contains("print exactly one line"));
        assert_eq!(
            once.requirements.matches('\n').count(),
            once.requirements.matches("\r\n").count()
        );
        assert!(once.tasks.contains("_Requirements: 2.1, 2.2, 1.5, 3.4_"));

        let mut fresh = base();
        carry_over(&once, &mut fresh);
        assert!(fresh.requirements.contains("\"early\""));
        assert_eq!(fresh.tasks, once.tasks);
    }

    proptest! {
        #[test]
        fn any_documents_and_comments_are_taken(
            requirements in any::<String>(),
            tasks in "([-#*_\\[\\] \n1.]|_Requirements: |## Notes\n|é){0,40}",
            line in any::<usize>(),
            text in any::<String>(),
        ) {
            let mut documents = Documents { requirements, design: tasks.clone(), tasks };
            let comments = [
                comment(Document::Requirements, line, &text),
                comment(Document::Design, line, &text),
                comment(Document::Tasks, line, &text),
            ];
            apply(&mut documents, &comments);
            let once = documents.clone();
            apply(&mut documents, &comments);
            prop_assert_eq!(documents, once);
        }

        #[test]
        fn no_comment_makes_a_box_or_a_heading(text in any::<String>()) {
            let mut documents = base();
            apply(&mut documents, &[
                comment(Document::Requirements, 20, &text),
                comment(Document::Design, 1, &text),
                comment(Document::Tasks, 1, &text),
            ]);
            let boxes = |source: &str| source.lines().filter(|l| l.contains("- [")).count();
            let heads = |source: &str| {
                source.lines().filter(|l| l.starts_with('#') && *l != NOTES).count()
            };
            prop_assert_eq!(boxes(&documents.tasks), boxes(&base().tasks));
            prop_assert_eq!(heads(&documents.tasks), heads(&base().tasks));
            prop_assert_eq!(heads(&documents.requirements), heads(&base().requirements));
        }
    }
}
