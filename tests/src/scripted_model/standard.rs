//! The standard script: understands the block every SpecTask prompt ends with and does the work.

use serde_json::Value;

use super::{Step, Turn};
use crate::documents;

/// Plays a whole job.
///
/// Reads the block's `kind`:
/// - `plan` writes the three documents; criterion 1.2 lacks its SHALL on purpose.
/// - `revise` writes requirements.md right and answers each comment in design.md.
/// - `implement` writes `notes/{task}/task-{number}.md` with the write tool, corrects it with the
///   edit tool, and lists it with the shell; task 2 edits the heading of README.md, if there is one.
/// - `fix` adds `notes/{task}/fixed-{number}.md`; `continue` does what `implement` does.
///
/// Paths are absolute below the block's `root`.
#[must_use]
pub fn standard_script(turn: &Turn) -> Step {
    let block = &turn.block;
    let steps = match text(block, "kind") {
        "plan" => plan(block),
        "revise" => revise(block),
        "implement" | "continue" => implement(block, turn),
        "fix" => fix(block),
        kind => vec![Step::Say(format!("Nothing to do for {kind:?}."))],
    };
    let done = turn.results.len();
    steps
        .into_iter()
        .nth(done)
        .unwrap_or_else(|| Step::Say("All done.".to_owned()))
}

fn text<'a>(block: &'a Value, field: &str) -> &'a str {
    block[field].as_str().unwrap_or_default()
}

fn about(block: &Value) -> &str {
    text(block, "prompt")
}

fn path(block: &Value, relative: &str) -> String {
    let root = text(block, "root").trim_end_matches(['/', '\\']);
    format!("{root}/{relative}")
}

fn number(block: &Value) -> String {
    block["number"]
        .as_str()
        .map_or_else(|| block["number"].to_string(), str::to_owned)
}

fn document(block: &Value, name: &str, content: String) -> Step {
    let folder = text(block, "folder").trim_matches('/');
    Step::Write {
        path: path(block, &format!("{folder}/{name}")),
        content,
    }
}

fn plan(block: &Value) -> Vec<Step> {
    vec![
        document(
            block,
            "requirements.md",
            documents::requirements(about(block), false),
        ),
        document(block, "design.md", documents::design(&[])),
        document(
            block,
            "tasks.md",
            documents::tasks(text(block, "task"), true),
        ),
        Step::Say("Wrote requirements, design and tasks.".to_owned()),
    ]
}

fn revise(block: &Value) -> Vec<Step> {
    let mut steps = vec![document(
        block,
        "requirements.md",
        documents::requirements(about(block), true),
    )];
    let comments: Vec<String> = block["comments"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|comment| {
            let said = ["text", "body", "comment"]
                .into_iter()
                .find_map(|field| comment[field].as_str());
            said.or(comment.as_str()).unwrap_or_default().to_owned()
        })
        .collect();
    if !comments.is_empty() {
        steps.push(document(block, "design.md", documents::design(&comments)));
    }
    steps.push(Step::Say("Revised what was asked.".to_owned()));
    steps
}

fn implement(block: &Value, turn: &Turn) -> Vec<Step> {
    let (number, task) = (number(block), text(block, "task"));
    let note = path(block, &format!("notes/{task}/task-{number}.md"));
    let mut steps = vec![
        Step::Write {
            path: note.clone(),
            content: format!(
                "# Task {number}\n\n{}\n\nState: draft\n",
                text(block, "title")
            ),
        },
        Step::Edit {
            path: note,
            old: "State: draft".to_owned(),
            new: "State: final".to_owned(),
        },
        Step::Shell {
            command: format!("ls notes/{task}"),
        },
    ];
    if number == "2" {
        let readme = path(block, "README.md");
        steps.push(Step::Read {
            path: readme.clone(),
        });
        let read = turn.results.get(3).map(|result| result.text.as_str());
        if let Some(heading) = read.and_then(heading) {
            steps.push(Step::Edit {
                path: readme,
                new: format!("{heading}\n\nSee notes/{task} for what {task} changed."),
                old: heading,
            });
        }
    }
    steps.push(Step::Say(format!("Task {number} is implemented.")));
    steps
}

/// The first heading of a file as a read tool shows it, line numbers or not.
fn heading(shown: &str) -> Option<String> {
    let line = shown.lines().find(|line| line.contains("# "))?;
    line.find("# ").map(|at| line[at..].trim_end().to_owned())
}

fn fix(block: &Value) -> Vec<Step> {
    let (number, task) = (number(block), text(block, "task"));
    vec![
        Step::Write {
            path: path(block, &format!("notes/{task}/fixed-{number}.md")),
            content: format!("# Fixed\n\nTask {number} was corrected.\n"),
        },
        Step::Say(format!("Corrected task {number}.")),
    ]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::scripted_model::ToolResult;

    fn turn(block: Value, results: usize) -> Turn {
        let result = ToolResult {
            name: String::new(),
            text: "00001| # Title\n".to_owned(),
        };
        Turn {
            block,
            results: vec![result; results],
            ..Turn::default()
        }
    }

    #[test]
    fn the_first_plan_has_one_fault_and_the_revision_none() {
        let block = json!({"kind": "plan", "task": "7-a", "folder": "specs/7-a", "root": "/r", "prompt": "Do"});
        let Step::Write { path, content } = standard_script(&turn(block.clone(), 0)) else {
            panic!("expected a file");
        };
        assert_eq!(path, "/r/specs/7-a/requirements.md");
        assert!(content.contains("Note_Keeper names the missing part"));
        assert!(matches!(
            standard_script(&turn(block.clone(), 3)),
            Step::Say(_)
        ));
        let mut block = block;
        block["kind"] = json!("revise");
        let Step::Write { content, .. } = standard_script(&turn(block, 0)) else {
            panic!("expected a file");
        };
        assert!(content.contains("Note_Keeper SHALL name the missing part"));
    }

    #[test]
    fn the_second_task_edits_the_heading_it_read() {
        let block =
            json!({"kind": "implement", "task": "7-a", "root": "/r", "number": "2", "title": "T"});
        let Step::Edit { path, old, .. } = standard_script(&turn(block, 4)) else {
            panic!("expected an edit");
        };
        assert_eq!((path.as_str(), old.as_str()), ("/r/README.md", "# Title"));
    }
}
