//! The end of a transcript, as a model reads it.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use spectask_protocol::{Failure, SessionRef, TranscriptEntry, TranscriptParams, method};

use super::cut;
use crate::mcp::caller::Caller;

/// The most lines of a tail.
pub(super) const MOST: u32 = 200;
/// Frames that are looked at: an agent's message comes in many pieces.
const FRAMES: u32 = 1000;
/// Characters of a line; the rest is in the transcript.
const LINE: usize = 4000;

/// Something said or done.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(in crate::mcp) struct Line {
    /// Who: person (or the daemon on a person's behalf), agent, tool or daemon.
    pub(super) who: &'static str,
    /// What.
    pub(super) text: String,
}

/// The newest lines of a session, oldest first.
pub(super) async fn tail(
    caller: &Caller,
    session: SessionRef,
    lines: u32,
) -> Result<Vec<Line>, Failure> {
    if lines == 0 {
        return Ok(Vec::new());
    }
    let end = end(caller, &session).await?;
    let from = end.saturating_sub(u64::from(FRAMES));
    let entries = read(caller, &session, from, FRAMES).await?;
    let mut told = tell(&entries);
    let surplus = told
        .len()
        .saturating_sub(usize::try_from(lines).unwrap_or(usize::MAX));
    told.drain(..surplus);
    Ok(told)
}

async fn read(
    caller: &Caller,
    session: &SessionRef,
    from: u64,
    limit: u32,
) -> Result<Vec<TranscriptEntry>, Failure> {
    let params = TranscriptParams {
        session: session.clone(),
        from,
        limit: Some(limit),
    };
    let part = caller
        .client
        .call(method::WorkSessionTranscript, params)
        .await?;
    Ok(part.entries)
}

/// The number after the last entry, by doubling and halving: a long transcript is not read whole.
async fn end(caller: &Caller, session: &SessionRef) -> Result<u64, Failure> {
    // There is an entry at or after `low`; there is none at or after `high`.
    let (mut low, mut high) = (0, u64::from(FRAMES));
    while let Some(entry) = read(caller, session, high, 1).await?.first() {
        (low, high) = (entry.index, entry.index.saturating_mul(2));
    }
    while high - low > u64::from(FRAMES) / 2 {
        let middle = low + (high - low) / 2;
        match read(caller, session, middle, 1).await?.first() {
            Some(entry) => low = entry.index,
            None => high = middle,
        }
    }
    Ok(read(caller, session, low, FRAMES)
        .await?
        .last()
        .map_or(low, |entry| entry.index + 1))
}

fn tell(entries: &[TranscriptEntry]) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    let mut open = false;
    for entry in entries {
        let frame = &entry.frame;
        let update = &frame["params"]["update"];
        let piece = update["sessionUpdate"] == "agent_message_chunk";
        if let (true, true, Some(last)) = (piece, open, lines.last_mut()) {
            last.text.push_str(&content(&update["content"]));
            continue;
        }
        let line = if entry.direction == "daemon" {
            Some(("daemon", plain(frame)))
        } else {
            said(frame, update)
        };
        if let Some((who, text)) = line {
            lines.push(Line { who, text });
            open = piece;
        }
    }
    for line in &mut lines {
        line.text = cut(line.text.trim_end(), LINE);
    }
    lines.retain(|line| !line.text.is_empty());
    lines
}

fn said(frame: &Value, update: &Value) -> Option<(&'static str, String)> {
    match frame["method"].as_str() {
        Some("session/prompt") => {
            let blocks = frame["params"]["prompt"].as_array().into_iter().flatten();
            let text: Vec<_> = blocks.map(content).collect();
            Some(("person", text.join("\n")))
        }
        Some("session/update") => match update["sessionUpdate"].as_str()? {
            "agent_message_chunk" => Some(("agent", content(&update["content"]))),
            "tool_call" => Some(("tool", plain(&update["title"]))),
            "tool_call_update" if update["status"] == "failed" => {
                Some(("tool", format!("failed {}", plain(&update["title"]))))
            }
            _ => None,
        },
        Some("session/request_permission") => {
            let title = plain(&frame["params"]["toolCall"]["title"]);
            Some(("agent", format!("asks for permission: {title}")))
        }
        Some(_) => None,
        None => {
            let message = frame["error"]["message"].as_str()?;
            Some(("agent", format!("error: {message}")))
        }
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The text of a content block.
fn content(block: &Value) -> String {
    match block["type"].as_str() {
        Some("text") => plain(&block["text"]),
        Some("resource_link") => format!("[{}]", plain(&block["uri"])),
        Some("resource") => format!("[{}]", plain(&block["resource"]["uri"])),
        Some(other) => format!("[{other}]"),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn pieces_of_a_message_become_one_line() {
        let update = |update: Value| json!({ "method": "session/update", "params": { "sessionId": "s", "update": update } });
        let piece = |text: &str| {
            update(
                json!({ "sessionUpdate": "agent_message_chunk", "content": { "type": "text", "text": text } }),
            )
        };
        let frames = [
            (
                "to_agent",
                json!({ "id": 1, "method": "session/prompt", "params": { "prompt": [{ "type": "text", "text": "Do it" }] } }),
            ),
            ("from_agent", piece("I ")),
            ("from_agent", piece("will.")),
            (
                "from_agent",
                update(json!({ "sessionUpdate": "tool_call", "title": "Edit a.rs" })),
            ),
            ("from_agent", piece("Done.\n")),
            (
                "from_agent",
                json!({ "id": 1, "result": { "stopReason": "end_turn" } }),
            ),
            ("daemon", json!("verify passed")),
            ("from_agent", json!("nonsense")),
        ];
        let entries: Vec<_> = frames
            .into_iter()
            .zip(0..)
            .map(|((direction, frame), index)| TranscriptEntry {
                index,
                at: String::new(),
                direction: direction.into(),
                frame,
            })
            .collect();
        let told: Vec<_> = tell(&entries)
            .iter()
            .map(|line| format!("{}: {}", line.who, line.text))
            .collect();
        assert_eq!(
            told,
            [
                "person: Do it",
                "agent: I will.",
                "tool: Edit a.rs",
                "agent: Done.",
                "daemon: verify passed"
            ]
        );
    }
}
