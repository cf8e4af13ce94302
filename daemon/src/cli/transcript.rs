//! A transcript as people read it: who said what, and which tools ran.

use jiff::tz::TimeZone;
use serde_json::Value;
use spectask_protocol::TranscriptEntry;

use super::{
    sheet::{Sheet, Tone},
    time,
};

/// Writes entries one after another; pieces of one message become one text.
pub(super) struct Reader {
    sheet: Sheet,
    zone: TimeZone,
    speaking: Option<&'static str>,
}

impl Reader {
    /// A reader without entries.
    pub(super) fn new(color: bool, zone: TimeZone) -> Self {
        Self {
            sheet: Sheet::new(color),
            zone,
            speaking: None,
        }
    }

    /// Writes an entry.
    pub(super) fn read(&mut self, entry: &TranscriptEntry) {
        let frame = &entry.frame;
        if entry.direction == "daemon" {
            let text = frame
                .as_str()
                .map_or_else(|| frame.to_string(), str::to_owned);
            return self.note(&entry.at, Tone::Faint, "spectask", &text);
        }
        match frame["method"].as_str() {
            Some("session/prompt") => {
                self.close();
                self.head(&entry.at, Tone::Strong, "prompt");
                for block in frame["params"]["prompt"].as_array().into_iter().flatten() {
                    self.sheet.block(&content(block)).end();
                }
            }
            Some("session/update") => self.update(&entry.at, &frame["params"]["update"]),
            Some("session/request_permission") => {
                let title = frame["params"]["toolCall"]["title"].as_str().unwrap_or("?");
                self.note(&entry.at, Tone::Warn, "asks", title);
            }
            Some(method) => {
                let path = frame["params"]["path"].as_str();
                let command = frame["params"]["command"].as_str();
                let text = path.or(command).unwrap_or_default();
                self.note(&entry.at, Tone::Faint, method, text);
            }
            None => {
                if let Some(reason) = frame["result"]["stopReason"].as_str() {
                    self.note(&entry.at, Tone::Strong, "turn ended", reason);
                } else if let Some(message) = frame["error"]["message"].as_str() {
                    self.note(&entry.at, Tone::Bad, "error", message);
                }
            }
        }
    }

    /// What was written since the last time; a message may go on.
    pub(super) fn take(&mut self) -> String {
        let color = self.sheet.color();
        std::mem::replace(&mut self.sheet, Sheet::new(color)).into_text()
    }

    /// The text.
    pub(super) fn finish(mut self) -> Sheet {
        self.close();
        self.sheet
    }

    fn update(&mut self, at: &str, update: &Value) {
        match update["sessionUpdate"].as_str().unwrap_or_default() {
            "agent_message_chunk" => self.say(at, "agent", &content(&update["content"])),
            "agent_thought_chunk" => self.say(at, "thought", &content(&update["content"])),
            "user_message_chunk" => self.say(at, "user", &content(&update["content"])),
            "tool_call" => {
                let title = update["title"].as_str().unwrap_or("?");
                self.note(at, Tone::Busy, "tool", title);
            }
            "tool_call_update" => {
                if let Some(status @ ("failed" | "cancelled")) = update["status"].as_str() {
                    let title = update["title"].as_str().unwrap_or_default();
                    self.note(at, Tone::Warn, "tool", &format!("{status} {title}"));
                }
            }
            "plan" => {
                self.note(at, Tone::Busy, "plan", "");
                for entry in update["entries"].as_array().into_iter().flatten() {
                    let status = entry["status"].as_str().unwrap_or("pending");
                    let text = entry["content"].as_str().unwrap_or_default();
                    self.sheet
                        .plain("  ")
                        .cell(Tone::Faint, status, 12)
                        .line(Tone::Plain, text);
                }
            }
            _ => {}
        }
    }

    /// Writes a piece of a message.
    fn say(&mut self, at: &str, who: &'static str, text: &str) {
        if self.speaking != Some(who) {
            self.close();
            self.head(
                at,
                if who == "agent" {
                    Tone::Name
                } else {
                    Tone::Faint
                },
                who,
            );
            self.speaking = Some(who);
        }
        self.sheet.block(text);
    }

    fn note(&mut self, at: &str, tone: Tone, what: &str, text: &str) {
        self.close();
        let clock = time::clock(at, &self.zone);
        self.sheet
            .put(Tone::Faint, &clock)
            .plain("  ")
            .put(tone, what)
            .plain("  ");
        self.sheet.line(Tone::Plain, text);
    }

    fn head(&mut self, at: &str, tone: Tone, who: &str) {
        let clock = time::clock(at, &self.zone);
        self.sheet
            .put(Tone::Faint, &clock)
            .plain("  ")
            .line(tone, who);
    }

    fn close(&mut self) {
        if self.speaking.take().is_some() {
            self.sheet.end();
        }
    }
}

/// The text of a content block.
fn content(block: &Value) -> String {
    match block["type"].as_str() {
        Some("text") => block["text"].as_str().unwrap_or_default().to_owned(),
        Some("resource_link") => format!("[{}]", block["uri"].as_str().unwrap_or_default()),
        Some("resource") => {
            format!(
                "[{}]",
                block["resource"]["uri"].as_str().unwrap_or_default()
            )
        }
        Some(other) => format!("[{other}]"),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn pieces_become_one_text() {
        let update = |update: Value| json!({ "method": "session/update", "params": { "sessionId": "s", "update": update } });
        let piece = |text: &str| {
            update(json!({
                "sessionUpdate": "agent_message_chunk",
                "content": { "type": "text", "text": text },
            }))
        };
        let prompt = json!({
            "id": 3, "method": "session/prompt",
            "params": { "prompt": [{ "type": "text", "text": "Do it.\nWell." }] },
        });
        let frames = [
            ("to_agent", prompt),
            ("from_agent", piece("I will")),
            ("from_agent", piece(" do it.\u{1b}[2J")),
            (
                "from_agent",
                update(json!({ "sessionUpdate": "tool_call", "title": "Edit a.rs" })),
            ),
            (
                "from_agent",
                update(json!({ "sessionUpdate": "unheard_of" })),
            ),
            (
                "from_agent",
                json!({ "method": "fs/write_text_file", "params": { "path": "/w/a" } }),
            ),
            ("to_agent", json!({ "id": 0, "result": null })),
            ("from_agent", piece("Done.")),
            (
                "from_agent",
                json!({ "id": 3, "result": { "stopReason": "end_turn" } }),
            ),
            ("daemon", json!("the turn was interrupted")),
        ];
        let mut reader = Reader::new(false, TimeZone::UTC);
        for (index, (direction, frame)) in (0u64..).zip(frames) {
            reader.read(&TranscriptEntry {
                index,
                at: format!("2026-03-04T10:00:{index:02}Z"),
                direction: direction.into(),
                frame,
            });
        }
        insta::assert_snapshot!(reader.finish().into_text(), @r"
        10:00:00  prompt
        Do it.
        Well.
        10:00:01  agent
        I will do it.␛[2J
        10:00:03  tool  Edit a.rs
        10:00:05  fs/write_text_file  /w/a
        10:00:07  agent
        Done.
        10:00:08  turn ended  end_turn
        10:00:09  spectask  the turn was interrupted
        ");
    }
}
