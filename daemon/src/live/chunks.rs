//! Frames on their way to the transcript: a message that an agent streams in chunks is redacted as
//! one text, so that a secret split over two frames is found.

use std::collections::VecDeque;

use serde_json::Value;

use super::viewer::{Entry, Way};
use crate::redact::{Redactor, StreamRedactor};

/// More frames than this do not wait for the end of a message.
const MAX_FRAMES: usize = 32 * 1024;
/// Updates that may come between two chunks of a message and do not end it.
const ASIDE: [&str; 5] = [
    "usage_update",
    "available_commands_update",
    "current_mode_update",
    "config_option_update",
    "session_info_update",
];

/// A frame that is redacted and may be written.
pub(super) struct Clean {
    pub(super) index: u64,
    pub(super) way: Way,
    pub(super) weight: usize,
    pub(super) at: i64,
    pub(super) frame: Value,
}

/// Of which message a chunk is: the agent's session, the kind, and its id where it has one.
#[derive(PartialEq, Eq)]
struct Message(String, String, Option<String>);

struct Held {
    /// As it came.
    raw: Entry,
    clean: Clean,
    /// Its text is not known yet.
    is_open: bool,
}

/// The message that is being streamed, and the frames that wait for what comes next. At most the
/// window of the redactor is held, and never past the end of the message.
#[derive(Default)]
pub(super) struct Chunks {
    message: Option<(Message, StreamRedactor)>,
    held: VecDeque<Held>,
}

impl Chunks {
    /// Takes a frame; `out` gets those that may be written, in their order.
    pub(super) fn take(
        &mut self,
        entry: Entry,
        at: i64,
        redactor: &Redactor,
        out: &mut Vec<Clean>,
    ) {
        let mut frame = Value::clone(&entry.frame);
        let message = message_of(entry.way, &frame);
        let text = message.as_ref().and_then(|_| take_text(&mut frame));
        redactor.json(&mut frame);
        let clean = Clean {
            index: entry.index,
            way: entry.way,
            weight: entry.weight,
            at,
            frame,
        };
        let (Some(message), Some(text)) = (message, text) else {
            if self.held.is_empty() || !is_aside(&entry) || self.held.len() >= MAX_FRAMES {
                self.finish(out);
                out.push(clean);
            } else {
                self.hold(entry, clean, false);
            }
            return;
        };
        if self.held.len() >= MAX_FRAMES
            || self.message.as_ref().is_none_or(|(of, _)| *of != message)
        {
            self.finish(out);
        }
        self.hold(entry, clean, true);
        let (_, stream) = self
            .message
            .get_or_insert_with(|| (message, StreamRedactor::new(redactor.clone())));
        let ready = stream.push_piece(&text);
        self.fill(ready, out);
    }

    /// Ends the message.
    pub(super) fn finish(&mut self, out: &mut Vec<Clean>) {
        if let Some((_, stream)) = self.message.take() {
            self.fill(stream.finish_pieces(), out);
        }
    }

    /// The frames that wait, as they came.
    pub(super) fn held(&self) -> Vec<Entry> {
        self.held.iter().map(|held| held.raw.clone()).collect()
    }

    fn hold(&mut self, raw: Entry, clean: Clean, is_open: bool) {
        self.held.push_back(Held {
            raw,
            clean,
            is_open,
        });
    }

    fn fill(&mut self, texts: Vec<String>, out: &mut Vec<Clean>) {
        let open = self.held.iter_mut().filter(|held| held.is_open);
        for (held, text) in open.zip(texts) {
            held.is_open = false;
            if let Some(place) = text_of(&mut held.clean.frame) {
                *place = Value::String(text);
            }
        }
        while let Some(held) = self.held.pop_front_if(|held| !held.is_open) {
            out.push(held.clean);
        }
    }
}

fn update(frame: &Value) -> Option<&Value> {
    if frame.get("method")?.as_str()? != "session/update" {
        return None;
    }
    frame.pointer("/params/update")
}

fn message_of(way: Way, frame: &Value) -> Option<Message> {
    let update = update(frame)?;
    let kind = update.get("sessionUpdate")?.as_str()?;
    let is_chunk = matches!(
        kind,
        "agent_message_chunk" | "agent_thought_chunk" | "user_message_chunk"
    );
    if way != Way::FromAgent || !is_chunk {
        return None;
    }
    update.pointer("/content/text")?.as_str()?;
    let session = frame.pointer("/params/sessionId").and_then(Value::as_str);
    let id = update.get("messageId").and_then(Value::as_str);
    Some(Message(
        session.unwrap_or_default().to_owned(),
        kind.to_owned(),
        id.map(ToOwned::to_owned),
    ))
}

fn is_aside(entry: &Entry) -> bool {
    let kind = update(&entry.frame).and_then(|update| update.get("sessionUpdate")?.as_str());
    entry.way == Way::FromAgent && kind.is_some_and(|kind| ASIDE.contains(&kind))
}

fn text_of(frame: &mut Value) -> Option<&mut Value> {
    frame.pointer_mut("/params/update/content/text")
}

fn take_text(frame: &mut Value) -> Option<String> {
    match text_of(frame)?.take() {
        Value::String(text) => Some(text),
        _ => None,
    }
}
