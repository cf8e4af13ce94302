//! What a frame of the transcript says, as far as a person reads it.

use serde_json::Value;
use spectask_protocol::TranscriptEntry;

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Who {
    Agent,
    Thought,
}

/// A change of a file as a tool call shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Diff {
    pub(super) path: String,
    pub(super) old: String,
    pub(super) new: String,
}

/// A tool call, or news of one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ToolNews {
    pub(super) id: String,
    pub(super) title: Option<String>,
    pub(super) kind: Option<String>,
    pub(super) status: Option<String>,
    /// None: nothing is said of them.
    pub(super) diffs: Option<Vec<Diff>>,
    pub(super) paths: Vec<String>,
}

/// What a frame says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Heard {
    Prompt(String),
    Said(Who, String),
    Tool(ToolNews),
    /// The steps of the agent's plan, and whether each is done.
    Plan(Vec<(String, String)>),
    /// The agent wrote a file through the editor or the daemon: path, lines.
    Wrote(String, usize),
    Nothing,
}

fn text_of(value: &Value, key: &str) -> Option<String> {
    value.get(key).and_then(Value::as_str).map(str::to_owned)
}

/// The text of a content block; what is no text is named.
fn block(content: &Value) -> String {
    match content.get("type").and_then(Value::as_str) {
        Some("text") => text_of(content, "text").unwrap_or_default(),
        Some("resource_link") => format!("[{}]", text_of(content, "uri").unwrap_or_default()),
        Some("resource") => {
            let uri = content
                .get("resource")
                .and_then(|inner| text_of(inner, "uri"));
            format!("[{}]", uri.unwrap_or_default())
        }
        Some(other) => format!("[{other}]"),
        None => String::new(),
    }
}

fn tool(update: &Value) -> ToolNews {
    let items = |key: &str| update.get(key).and_then(Value::as_array);
    let diffs = items("content").map(|content| {
        content
            .iter()
            .filter(|item| item.get("type").and_then(Value::as_str) == Some("diff"))
            .filter_map(|item| {
                Some(Diff {
                    path: text_of(item, "path")?,
                    old: text_of(item, "oldText").unwrap_or_default(),
                    new: text_of(item, "newText").unwrap_or_default(),
                })
            })
            .collect()
    });
    let paths = items("locations").into_iter().flatten();
    ToolNews {
        id: text_of(update, "toolCallId").unwrap_or_default(),
        title: text_of(update, "title"),
        kind: text_of(update, "kind"),
        status: text_of(update, "status"),
        diffs,
        paths: paths.filter_map(|place| text_of(place, "path")).collect(),
    }
}

pub(super) fn heard(entry: &TranscriptEntry) -> Heard {
    let frame = &entry.frame;
    let method = frame
        .get("method")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let params = frame.get("params").unwrap_or(&Value::Null);
    match (entry.direction.as_str(), method) {
        ("to_agent", "session/prompt") => {
            let blocks = params.get("prompt").and_then(Value::as_array);
            let texts: Vec<String> = blocks.into_iter().flatten().map(block).collect();
            Heard::Prompt(texts.join("\n"))
        }
        ("from_agent", "session/update") => {
            let update = params.get("update").unwrap_or(&Value::Null);
            let said = |who| {
                let text = update.get("content").map(block).unwrap_or_default();
                Heard::Said(who, text)
            };
            match update.get("sessionUpdate").and_then(Value::as_str) {
                Some("agent_message_chunk") => said(Who::Agent),
                Some("agent_thought_chunk") => said(Who::Thought),
                Some("tool_call" | "tool_call_update") => Heard::Tool(tool(update)),
                Some("plan") => {
                    let entries = update.get("entries").and_then(Value::as_array);
                    let steps = entries.into_iter().flatten().map(|entry| {
                        let text = |key| text_of(entry, key).unwrap_or_default();
                        (text("content"), text("status"))
                    });
                    Heard::Plan(steps.collect())
                }
                // A prompt that an agent repeats was in the request.
                _ => Heard::Nothing,
            }
        }
        ("from_agent", "fs/write_text_file") => {
            let lines = params
                .get("content")
                .and_then(Value::as_str)
                .map_or(0, |content| content.lines().count());
            text_of(params, "path").map_or(Heard::Nothing, |path| Heard::Wrote(path, lines))
        }
        _ => Heard::Nothing,
    }
}
