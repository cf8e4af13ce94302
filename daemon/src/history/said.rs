//! A transcript as people read it: who said what. Prompts, the agent's words, titles of its tools and
//! the daemon's notes; and the files that a frame names.

use serde_json::Value;
use spectask_protocol::TranscriptEntry;

/// A message is taken as complete when it has grown to this size, in bytes, even if it goes on.
const MESSAGE_LIMIT: usize = 256 * 1024;

/// Something that was said, perhaps in pieces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Said {
    /// `person`, `agent`, `tool` or `daemon`.
    pub(super) who: &'static str,
    /// The entry that it begins with.
    pub(super) index: u64,
    /// The index after the last entry that it has something of.
    pub(super) end: u64,
    /// When it began, RFC 3339.
    pub(super) at: String,
    /// The words.
    pub(super) text: String,
}

/// Joins the pieces of a transcript.
#[derive(Debug)]
pub(super) struct Pieces {
    ad_hoc: bool,
    open: Option<Said>,
}

impl Pieces {
    /// Before an entry; prompts of an ad hoc session are a person's.
    pub(super) fn new(ad_hoc: bool) -> Self {
        Self { ad_hoc, open: None }
    }

    /// Takes the next entry; yields what is complete now.
    pub(super) fn push(&mut self, entry: TranscriptEntry) -> Option<Said> {
        // Updates of other kinds come in the middle of a message.
        let (who, text) = words(&entry, self.ad_hoc)?;
        if let Some(said) = &mut self.open
            && who == "agent"
            && said.who == who
            && said.text.len() < MESSAGE_LIMIT
        {
            said.text.push_str(&text);
            said.end = entry.index + 1;
            return None;
        }
        self.open.replace(Said {
            who,
            index: entry.index,
            end: entry.index + 1,
            at: entry.at,
            text,
        })
    }

    /// Where what is not complete begins.
    pub(super) fn open_from(&self) -> Option<u64> {
        self.open.as_ref().map(|said| said.index)
    }

    /// What is left at the end.
    pub(super) fn finish(&mut self) -> Option<Said> {
        self.open.take()
    }
}

/// Whether an entry is the prompt that begins a turn.
pub(super) fn is_prompt(entry: &TranscriptEntry) -> bool {
    entry.direction == "to_agent" && entry.frame["method"] == "session/prompt"
}

/// Who said what in an entry.
fn words(entry: &TranscriptEntry, ad_hoc: bool) -> Option<(&'static str, String)> {
    let frame = &entry.frame;
    if entry.direction == "daemon" {
        let text = frame.as_str().or_else(|| frame["note"].as_str());
        return Some((
            "daemon",
            text.map_or_else(|| frame.to_string(), str::to_owned),
        ));
    }
    let said = match frame["method"].as_str()? {
        "session/prompt" => {
            let blocks = frame["params"]["prompt"].as_array()?;
            let texts: Vec<&str> = blocks.iter().filter_map(|b| b["text"].as_str()).collect();
            // Prompts of sessions that the daemon drives are written by it.
            let who = if ad_hoc { "person" } else { "daemon" };
            (who, texts.join("\n"))
        }
        "session/update" => {
            let update = &frame["params"]["update"];
            match update["sessionUpdate"].as_str()? {
                "agent_message_chunk" => ("agent", update["content"]["text"].as_str()?.to_owned()),
                "tool_call" => ("tool", update["title"].as_str()?.to_owned()),
                _ => return None,
            }
        }
        "session/request_permission" => {
            let title = frame["params"]["toolCall"]["title"].as_str()?;
            ("tool", title.to_owned())
        }
        _ => return None,
    };
    Some(said)
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// The files that a frame of an agent reads or writes.
pub(super) fn files(entry: &TranscriptEntry) -> Vec<&str> {
    let frame = &entry.frame;
    match frame["method"].as_str() {
        Some("fs/read_text_file" | "fs/write_text_file") => {
            frame["params"]["path"].as_str().into_iter().collect()
        }
        Some("session/update") => {
            let update = &frame["params"]["update"];
            if !matches!(
                update["sessionUpdate"].as_str(),
                Some("tool_call" | "tool_call_update")
            ) {
                return Vec::new();
            }
            let places = array(&update["locations"]);
            let diffs = array(&update["content"]).iter();
            places
                .iter()
                .chain(diffs.filter(|block| block["type"] == "diff"))
                .filter_map(|place| place["path"].as_str())
                .collect()
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn entry(direction: &str, frame: Value) -> TranscriptEntry {
        TranscriptEntry {
            index: 0,
            at: String::new(),
            direction: direction.into(),
            frame,
        }
    }

    #[test]
    fn only_what_was_said_is_searched() {
        let prompt = json!({ "method": "session/prompt",
            "params": { "prompt": [{ "type": "text", "text": "a" }, { "type": "image" }] } });
        let said = |ad_hoc| words(&entry("to_agent", prompt.clone()), ad_hoc);
        assert_eq!(said(true), Some(("person", "a".into())));
        assert_eq!(said(false), Some(("daemon", "a".into())));
        for other in [
            json!({ "id": 1, "result": {} }),
            json!([1]),
            json!({ "method": 3 }),
        ] {
            assert_eq!(words(&entry("from_agent", other), true), None);
        }
        let note = entry("daemon", json!("cut"));
        assert_eq!(words(&note, true), Some(("daemon", "cut".into())));
        let note = entry("daemon", json!({ "note": "cut" }));
        assert_eq!(words(&note, true), Some(("daemon", "cut".into())));
    }

    #[test]
    fn files_are_those_that_tools_and_requests_name() {
        let call = json!({ "method": "session/update", "params": { "update": {
            "sessionUpdate": "tool_call", "title": "Edit",
            "locations": [{ "path": "/w/a.rs" }, 3],
            "content": [{ "type": "diff", "path": "/w/b.rs" }, { "type": "content" }] } } });
        assert_eq!(files(&entry("from_agent", call)), ["/w/a.rs", "/w/b.rs"]);
        let write = json!({ "method": "fs/write_text_file", "params": { "path": "/w/c.rs" } });
        assert_eq!(files(&entry("from_agent", write)), ["/w/c.rs"]);
        assert!(files(&entry("from_agent", json!([]))).is_empty());
    }
}
