//! A thread as Zed shows it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// Something in the conversation.
#[derive(Clone, Debug, PartialEq)]
pub enum Entry {
    /// A bubble of the person.
    User {
        /// What the agent calls it.
        id: Option<String>,
        /// Its text.
        text: String,
    },
    /// A message of the agent.
    Agent {
        /// What the agent calls it.
        id: Option<String>,
        /// Its text.
        text: String,
    },
    /// Thinking.
    Thought {
        /// What the agent calls it.
        id: Option<String>,
        /// Its text.
        text: String,
    },
    /// A tool call, by its id in [`Thread::tools`].
    Tool(String),
    /// A red box: an error in place of an answer.
    Error(Value),
}

/// Everything shown of a thread.
#[derive(Clone, Debug, Default)]
pub struct Thread {
    /// The conversation.
    pub entries: Vec<Entry>,
    /// Tool calls, with all updates merged.
    pub tools: BTreeMap<String, Value>,
    /// The entries of the plan.
    pub plan: Value,
    /// The title.
    pub title: Option<String>,
    /// Modes; without meaning where there are options.
    pub modes: Value,
    /// The selectors below the editor.
    pub options: Value,
    /// The slash commands.
    pub commands: Value,
    /// How full the context is.
    pub usage: Value,
    /// Marks of a numbering agent in the order they were shown.
    pub marks: Vec<String>,
    /// Marks that were shown twice.
    pub twice: Vec<String>,
    seen: BTreeSet<String>,
}

impl Thread {
    pub(super) fn new(answer: &Value) -> Self {
        Self {
            modes: answer["modes"].clone(),
            options: answer["configOptions"].clone(),
            ..Self::default()
        }
    }

    /// What the person sends is shown by the editor itself.
    pub(super) fn typed(&mut self, text: &str) {
        let text = text.to_owned();
        self.entries.push(Entry::User { id: None, text });
    }

    pub(super) fn update(&mut self, update: &Value) {
        match update["sessionUpdate"].as_str().unwrap_or_default() {
            kind @ ("user_message_chunk" | "agent_message_chunk" | "agent_thought_chunk") => {
                self.chunk(kind, update);
            }
            "tool_call" | "tool_call_update" => self.tool(update),
            "plan" => self.plan = update["entries"].clone(),
            "available_commands_update" => self.commands = update["availableCommands"].clone(),
            "current_mode_update" => {
                self.modes["currentModeId"] = update["currentModeId"].clone();
            }
            "config_option_update" => self.options = update["configOptions"].clone(),
            "session_info_update" => {
                if let Some(title) = update["title"].as_str() {
                    self.title = Some(title.to_owned());
                }
            }
            "usage_update" => self.usage = update.clone(),
            _ => {}
        }
    }

    fn chunk(&mut self, kind: &str, update: &Value) {
        let text = update["content"]["text"].as_str().unwrap_or_default();
        let new = update["messageId"].as_str().map(str::to_owned);
        if kind == "agent_message_chunk" {
            for mark in marks(text) {
                if !self.seen.insert(mark.clone()) {
                    self.twice.push(mark.clone());
                }
                self.marks.push(mark);
            }
        }
        let same = |old: &Option<String>| new.is_none() || *old == new;
        match (self.entries.last_mut(), kind) {
            (Some(Entry::User { id, text: old }), "user_message_chunk")
            | (Some(Entry::Agent { id, text: old }), "agent_message_chunk")
            | (Some(Entry::Thought { id, text: old }), "agent_thought_chunk")
                if same(id) =>
            {
                old.push_str(text);
            }
            (_, kind) => {
                let (id, text) = (new, text.to_owned());
                self.entries.push(match kind {
                    "user_message_chunk" => Entry::User { id, text },
                    "agent_message_chunk" => Entry::Agent { id, text },
                    _ => Entry::Thought { id, text },
                });
            }
        }
    }

    fn tool(&mut self, update: &Value) {
        let id = update["toolCallId"].as_str().unwrap_or_default().to_owned();
        let call = self.tools.entry(id.clone()).or_insert_with(|| {
            self.entries.push(Entry::Tool(id));
            Value::Object(serde_json::Map::new())
        });
        for (name, value) in update.as_object().into_iter().flatten() {
            if !value.is_null() && name != "sessionUpdate" {
                call[name] = value.clone();
            }
        }
    }

    /// Everything the agent said, joined.
    #[must_use]
    pub fn said(&self) -> String {
        let texts = self.entries.iter().filter_map(|entry| match entry {
            Entry::Agent { text, .. } => Some(text.as_str()),
            _ => None,
        });
        texts.collect()
    }

    /// The texts of the person, in order.
    #[must_use]
    pub fn asked(&self) -> Vec<&str> {
        let texts = self.entries.iter().filter_map(|entry| match entry {
            Entry::User { text, .. } => Some(text.as_str()),
            _ => None,
        });
        texts.collect()
    }

    /// The red boxes.
    #[must_use]
    pub fn errors(&self) -> Vec<&Value> {
        let boxes = self.entries.iter().filter_map(|entry| match entry {
            Entry::Error(error) => Some(error),
            _ => None,
        });
        boxes.collect()
    }

    /// Whether a slash command is offered.
    #[must_use]
    pub fn offers(&self, command: &str) -> bool {
        let commands = self.commands.as_array().into_iter().flatten();
        commands
            .into_iter()
            .any(|offered| offered["name"] == command)
    }

    /// The first gap in a turn of a numbering agent that nothing explains: a piece is missing, or
    /// the turn has no end and neither a red box nor a note says that it was cut.
    #[must_use]
    pub fn gap(&self) -> Option<String> {
        let mut open: Option<(String, u64)> = None;
        for entry in &self.entries {
            let explained = match entry {
                Entry::Agent { text, .. } => is_note(text),
                Entry::Error(_) => true,
                _ => false,
            };
            if let Entry::Agent { text, .. } = entry {
                for mark in marks(text) {
                    let (turn, piece) = mark.split_once('-')?;
                    match &mut open {
                        Some((of, last)) if of == turn => {
                            if piece == "end" {
                                open = None;
                            } else if piece == format!("c{}", *last + 1) {
                                *last += 1;
                            } else {
                                return Some(format!("after {turn}-c{last} comes {mark}"));
                            }
                        }
                        Some((of, last)) => {
                            return Some(format!(
                                "{of} ends at c{last} without a note, then {mark}"
                            ));
                        }
                        None if piece == "c1" => open = Some((turn.to_owned(), 1)),
                        None if piece == "end" => {}
                        None => return Some(format!("a turn begins at {mark}")),
                    }
                }
            }
            if explained {
                open = None;
            }
        }
        open.map(|(turn, last)| format!("{turn} ends at c{last} without a note"))
    }
}

/// Whether a text says that a turn was cut.
fn is_note(text: &str) -> bool {
    let text = text.to_lowercase();
    ["interrupted", "was cut", "was ended"]
        .iter()
        .any(|word| text.contains(word))
}

/// The marks in a text: `[t3-c17]`.
fn marks(text: &str) -> Vec<String> {
    let inside = text
        .split('[')
        .skip(1)
        .filter_map(|part| part.split_once(']'));
    let marks = inside.map(|(mark, _)| mark).filter(|mark| {
        mark.strip_prefix('t')
            .and_then(|rest| rest.split_once('-'))
            .is_some_and(|(turn, piece)| {
                turn.parse::<u64>().is_ok()
                    && (piece == "end"
                        || piece
                            .strip_prefix('c')
                            .is_some_and(|n| n.parse::<u64>().is_ok()))
            })
    });
    marks.map(str::to_owned).collect()
}
