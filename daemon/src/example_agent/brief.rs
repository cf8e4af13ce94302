//! What a prompt asks for, read from the fenced `spectask` block at its end.

use serde_json::Value;

/// Opens the block; the same word after a fence of three backticks.
const FENCE: &str = "```spectask";
/// `continue` may wrap what it continues; deeper nesting is nonsense and is not followed.
const MAX_NESTING: usize = 4;

/// What one turn is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Brief {
    /// Write the three documents.
    Plan(PlanBrief),
    /// Rewrite the three documents after findings of the validator or comments of a person.
    Revise {
        /// The request as it was planned.
        plan: PlanBrief,
        /// Rule and message of each finding that must go away.
        errors: Vec<String>,
        /// Comments in the order given.
        comments: Vec<Comment>,
    },
    /// Carry out one task of an approved plan.
    Work(WorkBrief),
    /// Resolve the conflicts of a merge.
    Resolve {
        /// Paths relative to the session's root.
        files: Vec<String>,
    },
    /// Anything else; `problem` says why a block that was there could not be used.
    Free {
        /// `None` when the prompt has no block.
        problem: Option<String>,
    },
}

/// The request behind a plan.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct PlanBrief {
    /// Short name of the task, such as `7-user-auth`.
    pub(super) task: String,
    /// Folder of the documents, relative to the session's root.
    pub(super) folder: String,
    /// The sentence a person typed.
    pub(super) prompt: String,
}

/// One task to carry out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct WorkBrief {
    /// Short name of the SpecTask.
    pub(super) task: String,
    /// Folder of the documents, relative to the session's root.
    pub(super) folder: String,
    /// Number of the task in `tasks.md`, such as `2` or `2.1`.
    pub(super) number: String,
    /// Title of the task.
    pub(super) title: String,
    /// Source of the task in `tasks.md`; empty if the prompt did not carry it.
    pub(super) text: String,
    /// Output of the verification that failed, if this is a repair.
    pub(super) output: Option<String>,
}

/// A line comment of a reviewer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Comment {
    /// The document it is about.
    pub(super) document: Document,
    /// Line counted from 1, if the comment is about a line.
    pub(super) line: Option<usize>,
    /// What the reviewer wrote.
    pub(super) text: String,
}

/// One of the three documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Document {
    /// `requirements.md`
    Requirements,
    /// `design.md`
    Design,
    /// `tasks.md`
    Tasks,
}

/// Reads the last `spectask` block of a prompt; returns whether the turn continues an interrupted
/// one, and what to do. Never fails: a block that cannot be used makes a [`Brief::Free`].
pub(super) fn read(prompt: &str) -> (bool, Brief) {
    let Some(source) = last_block(prompt) else {
        return (false, Brief::Free { problem: None });
    };
    let mut value: Value = match serde_json::from_str(&source) {
        Ok(value) => value,
        Err(error) => return (false, free(format!("its JSON cannot be read: {error}"))),
    };
    let mut continued = false;
    for _ in 0..MAX_NESTING {
        let kind = string(&value, "kind");
        match kind.as_str() {
            "plan" => return (continued, Brief::Plan(plan(&value))),
            "revise" => {
                let brief = Brief::Revise {
                    plan: plan(&value),
                    errors: errors(&value),
                    comments: comments(&value),
                };
                return (continued, brief);
            }
            "implement" => return (continued, Brief::Work(work(&value, false))),
            "fix" => return (continued, Brief::Work(work(&value, true))),
            "resolve" => {
                let files = list(&value, "files").iter().filter_map(Value::as_str);
                let files = files.map(str::to_owned).collect();
                return (continued, Brief::Resolve { files });
            }
            "free" | "message" => return (continued, Brief::Free { problem: None }),
            "continue" => {
                continued = true;
                match unwrap_original(value) {
                    Some(original) => value = original,
                    None => return (true, free("it does not say what to continue".to_owned())),
                }
            }
            other => return (continued, free(format!("its kind {other:?} is not known"))),
        }
    }
    (continued, free("it is nested too deeply".to_owned()))
}

fn free(problem: String) -> Brief {
    Brief::Free {
        problem: Some(problem),
    }
}

/// The body of the last block, without its fences.
fn last_block(prompt: &str) -> Option<String> {
    let lines: Vec<&str> = prompt.lines().collect();
    let start = lines.iter().rposition(|line| line.trim() == FENCE)?;
    let body: Vec<&str> = lines
        .get(start + 1..)?
        .iter()
        .take_while(|line| !line.trim_start().starts_with("```"))
        .copied()
        .collect();
    Some(body.join("\n"))
}

/// What a `continue` block is about: the object in `original`, or its own fields with the kind in
/// `of` (or in `original`, if that is a string).
fn unwrap_original(mut value: Value) -> Option<Value> {
    if value.get("original").is_some_and(Value::is_object) {
        return value.get_mut("original").map(Value::take);
    }
    let kind = ["of", "original"]
        .iter()
        .find_map(|key| value.get(*key)?.as_str().map(str::to_owned))?;
    value.as_object_mut()?.insert("kind".into(), kind.into());
    value.as_object_mut()?.remove("original");
    value.as_object_mut()?.remove("of");
    Some(value)
}

fn plan(value: &Value) -> PlanBrief {
    PlanBrief {
        task: string(value, "task"),
        folder: string(value, "folder"),
        prompt: string(value, "prompt"),
    }
}

fn work(value: &Value, repair: bool) -> WorkBrief {
    WorkBrief {
        task: string(value, "task"),
        folder: string(value, "folder"),
        number: string(value, "number"),
        title: string(value, "title"),
        text: string(value, "text"),
        output: repair.then(|| string(value, "output")),
    }
}

/// A field as text; a number is taken as its digits, anything else as empty.
fn string(value: &Value, key: &str) -> String {
    match value.get(key) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        _ => String::new(),
    }
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value
        .get(key)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

/// Rule and message of the findings of severity error; a bare string counts as one.
fn errors(value: &Value) -> Vec<String> {
    list(value, "findings")
        .iter()
        .filter_map(|finding| match finding {
            Value::String(text) => Some(text.clone()),
            other => {
                let severity = string(other, "severity");
                matches!(severity.as_str(), "" | "error")
                    .then(|| format!("{}: {}", string(other, "rule"), string(other, "message")))
            }
        })
        .collect()
}

fn comments(value: &Value) -> Vec<Comment> {
    list(value, "comments")
        .iter()
        .map(|comment| Comment {
            document: match string(comment, "document").as_str() {
                "design" | "design.md" => Document::Design,
                "tasks" | "tasks.md" => Document::Tasks,
                _ => Document::Requirements,
            },
            line: comment
                .get("line")
                .and_then(Value::as_u64)
                .and_then(|line| usize::try_from(line).ok()),
            text: comment
                .as_str()
                .map_or_else(|| string(comment, "text"), str::to_owned),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(json: &str) -> String {
        format!("Please do it.\n\n```spectask\n{json}\n```\n")
    }

    #[test]
    fn the_last_block_counts() {
        let prompt = block(r#"{"kind":"free"}"#)
            + &block(r#"{"kind":"plan","task":"7-a","folder":"specs/7-a","prompt":"Do\n```"}"#);
        let (continued, brief) = read(&prompt);
        assert!(!continued);
        let Brief::Plan(plan) = brief else {
            panic!("{brief:?}")
        };
        assert_eq!(plan.task, "7-a");
        assert_eq!(plan.prompt, "Do\n```");
    }

    #[test]
    fn a_continued_turn_is_the_original_turn() {
        let nested = r#"{"kind":"continue","original":{"kind":"fix","number":2,"output":"no"}}"#;
        let flat = r#"{"kind":"continue","of":"fix","number":"2","output":"no"}"#;
        assert_eq!(read(&block(nested)), read(&block(flat)));
        let (continued, Brief::Work(work)) = read(&block(flat)) else {
            panic!("not work")
        };
        assert!(continued);
        assert_eq!(work.number, "2");
        assert_eq!(work.output.as_deref(), Some("no"));
    }

    #[test]
    fn warnings_need_no_repair() {
        let json = r#"{"kind":"revise","findings":[{"severity":"warning","message":"w"},
            {"severity":"error","rule":"r","message":"e"},"s"],
            "comments":[{"document":"tasks.md","line":3,"text":"t"}]}"#;
        let (_, brief) = read(&block(json));
        let Brief::Revise {
            errors, comments, ..
        } = brief
        else {
            panic!("{brief:?}")
        };
        assert_eq!(errors, ["r: e", "s"]);
        assert_eq!(
            comments,
            [Comment {
                document: Document::Tasks,
                line: Some(3),
                text: "t".into()
            }]
        );
    }

    #[test]
    fn a_prompt_without_a_usable_block_is_free() {
        assert_eq!(read("hello").1, Brief::Free { problem: None });
        for bad in [
            "{",
            "[]",
            r#"{"kind":"dance"}"#,
            r#"{"kind":"continue"}"#,
            "",
        ] {
            let (_, brief) = read(&block(bad));
            assert!(
                matches!(brief, Brief::Free { problem: Some(_) }),
                "{bad} gave {brief:?}"
            );
        }
    }
}
