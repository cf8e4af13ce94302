//! A transcript as an editor gets it that loads the session: few, whole updates in the order of what
//! was said.
//!
//! Pure. The chunks of a message become one; a tool call and its updates become one, at the place
//! where it began, so what follows it waits until it has ended or its turn has. Of what only the
//! last value of matters, the end brings the last value.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use serde_json::{Map, Value, json};
use spectask_protocol::TranscriptEntry;

use super::Way;

/// Longer texts become several chunks of one message, in bytes.
const CHUNK: usize = 256 << 10;

/// What stands for entries that are not there.
const GAP: &str = "some of the conversation was not recorded";

/// Updates of which only the newest value matters, in the order in which the end brings them.
const NEWEST: &[&str] = &[
    "session_info_update",
    "current_mode_update",
    "config_option_update",
    "available_commands_update",
    "usage_update",
];

type Fields = Map<String, Value>;

/// Turns the entries of a transcript into ACP session updates.
#[derive(Debug, Default)]
pub struct Replay {
    /// The index of the next entry, when nothing is missing.
    next: u64,
    /// Updates in their order; what stands before an open tool call goes out at once.
    slots: VecDeque<Slot>,
    /// How many slots went out.
    out: usize,
    /// Tool calls that wait for their end: the number of their slot.
    open: HashMap<String, usize>,
    /// Tool calls that went out.
    told: HashSet<String>,
    /// What the next entry may add to.
    last: Last,
    /// The id of the prompt that is not answered.
    prompt: Option<Value>,
    newest: BTreeMap<usize, Fields>,
}

#[derive(Debug)]
enum Slot {
    Ready(Value),
    Tool(Fields),
}

#[derive(Debug, Default)]
enum Last {
    #[default]
    Nothing,
    Message(Message),
    Plan(Value),
}

/// A message whose chunks still come.
#[derive(Debug)]
struct Message {
    kind: String,
    /// Its id as the agent gave it.
    own: Option<String>,
    id: String,
    /// What a chunk has besides kind, id and content.
    extra: Fields,
    text: String,
}

impl Message {
    fn chunk(&self, content: Value) -> Value {
        let mut chunk = self.extra.clone();
        chunk.insert("sessionUpdate".into(), self.kind.clone().into());
        chunk.insert("messageId".into(), self.id.clone().into());
        chunk.insert("content".into(), content);
        Value::Object(chunk)
    }

    /// Adds text; yields the chunks that are full.
    fn add(&mut self, text: &str) -> Vec<Value> {
        let mut chunks = Vec::new();
        let mut rest = text;
        while self.text.len() + rest.len() > CHUNK {
            let cut = rest.floor_char_boundary(CHUNK.saturating_sub(self.text.len()));
            self.text.push_str(&rest[..cut]);
            rest = &rest[cut..];
            chunks.extend(self.take());
        }
        self.text.push_str(rest);
        chunks
    }

    /// The text that was not sent yet.
    fn take(&mut self) -> Option<Value> {
        let text = std::mem::take(&mut self.text);
        (!text.is_empty()).then(|| self.chunk(json!({ "type": "text", "text": text })))
    }
}

impl Replay {
    /// Starts before the first entry of a transcript.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next entry; yields the updates that are complete now.
    #[must_use]
    pub fn push(&mut self, entry: TranscriptEntry) -> Vec<Value> {
        let index = entry.index;
        if index > self.next {
            self.note(GAP, &format!("m-{}-gap", self.next));
        }
        self.next = index.saturating_add(1);
        let way = Way::of(&entry.direction);
        let Value::Object(mut frame) = entry.frame else {
            return self.drain();
        };
        let method = frame.get("method").and_then(Value::as_str).unwrap_or("");
        match (way, method) {
            (Way::Daemon, _) => {
                if let Some(Value::String(note)) = frame.get("note") {
                    self.note(note, &format!("m-{index}"));
                }
            }
            (Way::ToAgent, "session/prompt") => {
                self.end_turn();
                self.prompt = frame.get("id").cloned();
                let blocks = frame
                    .get_mut("params")
                    .and_then(|params| params.get_mut("prompt"))
                    .map(Value::take);
                if let Some(Value::Array(blocks)) = blocks {
                    self.prompted(blocks, index);
                }
            }
            // The agent was started anew: whatever it did before is over.
            (Way::ToAgent, "session/new" | "session/load" | "session/resume") => self.end_turn(),
            (Way::FromAgent, "session/update") => {
                let update = frame
                    .get_mut("params")
                    .and_then(|params| params.get_mut("update"))
                    .map(Value::take);
                if let Some(Value::Object(update)) = update {
                    self.update(update, index);
                }
            }
            (Way::FromAgent, "")
                if self.prompt.is_some() && frame.get("id") == self.prompt.as_ref() =>
            {
                self.prompt = None;
                self.end_turn();
            }
            _ => {}
        }
        self.drain()
    }

    /// Yields what is left. Tool calls without an end have failed: a turn that still runs tells of
    /// them again.
    #[must_use]
    pub fn finish(mut self) -> Vec<Value> {
        self.end_turn();
        let mut updates = self.drain();
        updates.extend(self.newest.into_values().map(Value::Object));
        updates
    }

    /// The blocks of a prompt, as one message.
    fn prompted(&mut self, blocks: Vec<Value>, index: u64) {
        let mut message = Message {
            kind: "user_message_chunk".into(),
            own: None,
            id: format!("m-{index}"),
            extra: Fields::new(),
            text: String::new(),
        };
        for block in blocks {
            match plain(&block) {
                Some(text) => {
                    let chunks = message.add(text);
                    self.slots.extend(chunks.into_iter().map(Slot::Ready));
                    self.slots.extend(message.take().map(Slot::Ready));
                }
                None => self.slots.push_back(Slot::Ready(message.chunk(block))),
            }
        }
    }

    /// A remark of the daemon.
    fn note(&mut self, text: &str, id: &str) {
        self.close_last();
        self.slots.push_back(Slot::Ready(json!({
            "sessionUpdate": "agent_message_chunk",
            "messageId": id,
            "content": { "type": "text", "text": format!("\n\n_{text}_\n\n") },
        })));
    }

    fn update(&mut self, update: Fields, index: u64) {
        let kind = update
            .get("sessionUpdate")
            .and_then(Value::as_str)
            .unwrap_or_default();
        match kind {
            "agent_message_chunk" | "agent_thought_chunk" | "user_message_chunk" => {
                self.chunk(update, index);
            }
            "tool_call" | "tool_call_update" => self.tool(update),
            "plan" => {
                if !matches!(self.last, Last::Plan(_)) {
                    self.close_last();
                }
                self.last = Last::Plan(Value::Object(update));
            }
            kind => {
                if let Some(place) = NEWEST.iter().position(|known| *known == kind) {
                    // A part that is not told again stays as it was.
                    self.newest.entry(place).or_default().extend(update);
                } else {
                    self.close_last();
                    self.slots.push_back(Slot::Ready(Value::Object(update)));
                }
            }
        }
    }

    fn chunk(&mut self, mut update: Fields, index: u64) {
        let Some(Value::String(kind)) = update.remove("sessionUpdate") else {
            return;
        };
        let own = match update.remove("messageId") {
            Some(Value::String(own)) => Some(own),
            _ => None,
        };
        let content = update.remove("content").unwrap_or_default();
        let goes_on = matches!(&self.last, Last::Message(message)
            if message.kind == kind && message.own == own && message.extra == update);
        if !goes_on {
            self.close_last();
            let id = match &own {
                // Ours look like that.
                Some(own) if own.starts_with("m-") => format!("agent-{own}"),
                Some(own) => own.clone(),
                None => format!("m-{index}"),
            };
            self.last = Last::Message(Message {
                kind,
                own,
                id,
                extra: update,
                text: String::new(),
            });
        }
        let Last::Message(message) = &mut self.last else {
            return;
        };
        let chunks = match plain(&content) {
            Some(text) => message.add(text),
            None => {
                let before = message.take();
                before.into_iter().chain([message.chunk(content)]).collect()
            }
        };
        self.slots.extend(chunks.into_iter().map(Slot::Ready));
    }

    fn tool(&mut self, mut update: Fields) {
        // Terminals are the daemon's, and ended long ago.
        if let Some(Value::Array(content)) = update.get_mut("content") {
            content.retain(|part| part.get("type").is_none_or(|kind| kind != "terminal"));
        }
        let id = match update.get("toolCallId") {
            Some(Value::String(id)) => id.clone(),
            _ => return,
        };
        if let Some(slot) = self.open.get(&id) {
            if let Some(Slot::Tool(call)) = self.slots.get_mut(slot - self.out) {
                for (key, value) in update {
                    merge(call, key, value);
                }
            }
            return;
        }
        if update
            .get("sessionUpdate")
            .is_some_and(|kind| kind == "tool_call_update")
        {
            if self.told.contains(&id) {
                // It ended; what comes late adds to it, before the message that goes on.
                if !has_ended(&update) {
                    update.remove("status");
                }
                self.slots.push_back(Slot::Ready(Value::Object(update)));
                return;
            }
            update.insert("sessionUpdate".into(), "tool_call".into());
            if !update.get("title").is_some_and(Value::is_string) {
                update.insert("title".into(), "a tool".into());
            }
        }
        self.close_last();
        self.open.insert(id, self.out + self.slots.len());
        self.slots.push_back(Slot::Tool(update));
    }

    /// Nothing adds to the last message or plan any more.
    fn close_last(&mut self) {
        let update = match std::mem::take(&mut self.last) {
            Last::Nothing => None,
            Last::Message(mut message) => message.take(),
            Last::Plan(plan) => Some(plan),
        };
        self.slots.extend(update.map(Slot::Ready));
    }

    /// What the agent left open will not end any more.
    fn end_turn(&mut self) {
        self.close_last();
        for slot in std::mem::take(&mut self.open).into_values() {
            if let Some(Slot::Tool(call)) = self.slots.get_mut(slot - self.out)
                && !has_ended(call)
            {
                call.insert("status".into(), "failed".into());
            }
        }
    }

    /// Takes out what is complete, up to the first tool call that is not.
    fn drain(&mut self) -> Vec<Value> {
        let mut updates = Vec::new();
        while let Some(slot) = self.slots.pop_front() {
            match slot {
                Slot::Tool(call) if !has_ended(&call) => {
                    self.slots.push_front(Slot::Tool(call));
                    break;
                }
                Slot::Tool(call) => {
                    if let Some(Value::String(id)) = call.get("toolCallId") {
                        self.open.remove(id);
                        self.told.insert(id.clone());
                    }
                    updates.push(Value::Object(call));
                }
                Slot::Ready(update) => updates.push(update),
            }
            self.out += 1;
        }
        updates
    }
}

/// The text of a block that is nothing but text.
fn plain(block: &Value) -> Option<&str> {
    let fields = block.as_object()?;
    (fields.len() == 2 && fields.get("type")? == "text")
        .then(|| fields.get("text")?.as_str())
        .flatten()
}

fn has_ended(call: &Fields) -> bool {
    let status = call.get("status").and_then(Value::as_str);
    matches!(status, Some("completed" | "failed"))
}

/// Puts a field of an update into a tool call; an absent one, which may be written as null, changes
/// nothing.
fn merge(call: &mut Fields, key: String, value: Value) {
    match (key.as_str(), value) {
        ("sessionUpdate", _) | (_, Value::Null) => {}
        ("_meta", Value::Object(new)) => match call.get_mut("_meta") {
            Some(Value::Object(meta)) => meta.extend(new),
            _ => drop(call.insert(key, Value::Object(new))),
        },
        (_, value) => drop(call.insert(key, value)),
    }
}
