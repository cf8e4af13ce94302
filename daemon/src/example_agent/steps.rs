//! What a task's text tells the agent to do.

use super::{brief::WorkBrief, outline::checkbox, text};

/// One thing to do for a task, in the order of its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Write the file at a path relative to the session's root.
    Write(String),
    /// Run the shell script at a path relative to the session's root.
    Run(String),
    /// Leave something out, for a reason that is told.
    Skip(String),
}

/// Verbs that name a file to be written when a code span with a path follows them.
const VERBS: [&str; 6] = ["Write", "Create", "Add", "Update", "Edit", "Change"];
/// More than any sane task has; bounds what a hostile document makes the agent do.
const MAX_STEPS: usize = 64;

/// Reads the steps of a task. A task that names no file gets a note of its own as its result, so
/// that there is something to see and to review.
pub(super) fn steps(brief: &WorkBrief, source: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut skipping = false;
    for line in source.lines() {
        if let Some(task) = checkbox(line) {
            skipping = task.optional && task.number != brief.number;
            if skipping {
                let name = text::line(&format!("{} {}", task.number, task.title), 80);
                steps.push(Step::Skip(format!("the optional task {name} is left out")));
            }
        } else if !skipping
            && let Some(step) = step(line)
            && !steps.contains(&step)
        {
            steps.push(step);
        }
    }
    steps.truncate(MAX_STEPS);
    if !steps.iter().any(|step| matches!(step, Step::Write(_))) {
        steps.insert(0, Step::Write(note_path(brief)));
    }
    steps
}

/// Reads `- Write `path`, …` and `- Run `sh path``.
fn step(line: &str) -> Option<Step> {
    let rest = line.trim_start().strip_prefix("- ")?;
    let (verb, rest) = rest.split_once(" `")?;
    let (code, _) = rest.split_once('`')?;
    if verb == "Run" {
        return Some(match code.strip_prefix("sh ") {
            Some(path) if is_writable(path) => Step::Run(path.to_owned()),
            _ => Step::Skip(format!(
                "this agent runs only `sh` with a script of the repository, not {}",
                text::line(code, 80)
            )),
        });
    }
    if !VERBS.contains(&verb) {
        return None;
    }
    Some(if is_writable(code) {
        Step::Write(code.to_owned())
    } else {
        Step::Skip(format!(
            "the path {} is not one this agent writes to",
            text::line(code, 80)
        ))
    })
}

/// Whether a path may be written for a task. The approved documents belong to SpecTask.
fn is_writable(path: &str) -> bool {
    text::is_safe_path(path) && !path.starts_with("specs/") && !path.ends_with('/')
}

fn note_path(brief: &WorkBrief) -> String {
    let task = text::slug(&brief.task, "task");
    let title = text::slug(&brief.title, "work");
    let number = text::slug(&brief.number, "");
    if brief.number.is_empty() {
        format!("features/notes/{task}/{title}.md")
    } else {
        format!("features/notes/{task}/{number}-{title}.md")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn brief(number: &str) -> WorkBrief {
        WorkBrief {
            task: "7-it".into(),
            folder: "specs/7-it".into(),
            number: number.into(),
            title: "Do it".into(),
            ..WorkBrief::default()
        }
    }

    const SOURCE: &str = "- [ ] 4. Check\n  - [ ] 4.1 One\n    - Write `f/a.sh`, which checks\n    \
        - Write `f/a.sh`\n    - Run `sh f/a.sh`\n    - _Requirements: 1.1_\n  - [ ]* 4.2 More\n    - Write `f/b.sh`";

    #[test]
    fn steps_follow_the_text() {
        assert_eq!(
            steps(&brief("4"), SOURCE),
            [
                Step::Write("f/a.sh".into()),
                Step::Run("f/a.sh".into()),
                Step::Skip("the optional task 4.2 More is left out".into()),
            ]
        );
    }

    #[test]
    fn an_optional_task_of_its_own_is_done() {
        let source = "- [ ]* 4.2 More\n  - Write `f/b.sh`";
        assert_eq!(steps(&brief("4.2"), source), [Step::Write("f/b.sh".into())]);
    }

    #[test]
    fn a_task_without_files_leaves_a_note() {
        assert_eq!(
            steps(&brief("3"), "- [ ] 3. Think"),
            [Step::Write("features/notes/7-it/3-do-it.md".into())]
        );
    }

    #[test]
    fn nothing_outside_is_written_or_run() {
        let source = "- [ ] 1. X\n- Write `../x`\n- Write `/etc/passwd`\n- Write `.git/hooks/a`\n\
            - Write `specs/7-it/tasks.md`\n- Run `sh ../x.sh`\n- Run `rm -rf .`\n- Run `sh -c reboot`";
        let steps = steps(&brief("1"), source);
        assert_eq!(
            steps.iter().filter(|s| matches!(s, Step::Skip(_))).count(),
            7
        );
        assert!(!steps.iter().any(|s| matches!(s, Step::Run(_))));
        assert_eq!(steps.len(), 8);
    }

    proptest! {
        #[test]
        fn any_text_gives_safe_steps(source in any::<String>(), path in "[./a-z\\\\:~ ]{0,12}") {
            let source = format!("{source}\n- Write `{path}`\n- Run `sh {path}`");
            for step in steps(&brief("1"), &source) {
                if let Step::Write(path) | Step::Run(path) = step {
                    prop_assert!(text::is_safe_path(&path), "{path:?}");
                }
            }
        }
    }
}
