//! A conversation that a person began in an editor: a draft until its first prompt.

use std::{
    sync::{Arc, Mutex, Weak},
    time::Duration,
};

use serde_json::{Map, Value, json};
use spectask_protocol::WorkSessionId;

use super::{
    editor::Editor,
    frames,
    options::Selectors,
    pool::Process,
    relay::Relay,
    room::{Room, lock},
};
use crate::{
    commands,
    live::{Stream, Way},
    store::{StoreError, ThreadRow},
    workflow,
};

/// How long after the answer to `session/new` updates are held: editors register a session only when
/// they have read the answer. A delay of 1 ms was seen to be enough for Zed.
const REGISTERED_AFTER: Duration = Duration::from_millis(50);
/// Updates of a draft that are held at most.
const MAX_HELD: usize = 1_000;
/// Drafts that were not prompted for so long are forgotten.
const DRAFT_LIFE: Duration = Duration::from_secs(24 * 3600);

/// A conversation that a person began in an editor.
pub(super) struct Thread {
    pub(super) id: WorkSessionId,
    /// Held while the agent's session is opened, so that it is opened once.
    pub(super) opening: tokio::sync::Mutex<()>,
    state: Mutex<State>,
}

struct State {
    row: ThreadRow,
    process: Option<Arc<Process>>,
    /// What the editor gave for the agent's session (`mcpServers` and so on): may hold secrets, so it
    /// is in memory only.
    setup: Map<String, Value>,
    stream: Option<Arc<Stream>>,
    primary: Weak<Editor>,
    /// Updates of a draft whose editor has not registered it yet.
    held: Option<Vec<Value>>,
}

impl Thread {
    pub(super) fn new(row: ThreadRow) -> Arc<Self> {
        Arc::new(Self {
            id: row.id.clone(),
            opening: tokio::sync::Mutex::default(),
            state: Mutex::new(State {
                row,
                process: None,
                setup: Map::new(),
                stream: None,
                primary: Weak::new(),
                held: None,
            }),
        })
    }

    pub(super) fn row(&self) -> ThreadRow {
        lock(&self.state).row.clone()
    }

    /// Something that is remembered of the agent's session: `modes`, `configOptions`, `commands`.
    pub(super) fn remembered(&self, key: &str) -> Option<Value> {
        lock(&self.state).row.state.get(key).cloned()
    }

    pub(super) fn remember(&self, key: &str, value: Value) {
        self.is_news(key, value);
    }

    /// Remembers nothing under that key any more.
    pub(super) fn forget(&self, key: &str) {
        if let Value::Object(map) = &mut lock(&self.state).row.state {
            map.remove(key);
        }
    }

    /// Remembers a value; whether it was another before.
    pub(super) fn is_news(&self, key: &str, value: Value) -> bool {
        let mut state = lock(&self.state);
        let before = state.row.state.get(key) == Some(&value);
        if let Value::Object(map) = &mut state.row.state {
            map.insert(key.to_owned(), value);
        } else {
            state.row.state = json!({ key: value });
        }
        !before
    }

    /// Changes the row in the database, and keeps there what is remembered of the agent's session.
    pub(super) async fn change(
        &self,
        room: &Room,
        change: impl FnOnce(&mut ThreadRow) + Send + 'static,
    ) {
        let remembered = lock(&self.state).row.state.clone();
        let written = workflow::thread::update(&room.ctx.store, &self.id, move |row| {
            row.state = remembered;
            change(row);
        });
        match written.await {
            Ok(row) => {
                let mut state = lock(&self.state);
                let remembered = std::mem::take(&mut state.row.state);
                state.row = ThreadRow {
                    state: remembered,
                    ..row
                };
            }
            Err(error) => tracing::error!(%error, thread = %self.id, "a thread could not be kept"),
        }
    }

    /// Reads again what the database has: its SpecTask and title also change elsewhere.
    pub(super) fn refresh(&self, room: &Room) {
        if let Ok(Some(row)) = room.ctx.store.read(|read| read.thread(&self.id)) {
            let mut state = lock(&self.state);
            state.row.task = row.task;
            state.row.title = row.title;
        }
    }

    pub(super) fn setup(&self) -> Map<String, Value> {
        lock(&self.state).setup.clone()
    }

    /// Keeps what the editor gave for the agent's session.
    pub(super) fn set_setup(&self, params: &Value) {
        let setup = frames::members(params.clone())
            .into_iter()
            .filter(|(key, _)| !matches!(key.as_str(), "sessionId" | "cwd"))
            .collect();
        lock(&self.state).setup = setup;
    }

    pub(super) fn process(&self) -> Option<Arc<Process>> {
        lock(&self.state).process.clone()
    }

    pub(super) fn set_process(&self, process: Option<Arc<Process>>) {
        lock(&self.state).process = process;
    }

    /// Has no process any more, unless it is another than the one that relay watches.
    pub(super) fn lose_process(&self, relay: &Relay) -> bool {
        let mut state = lock(&self.state);
        let lost = state
            .process
            .take_if(|process| std::ptr::eq(&raw const *process.relay, relay));
        lost.is_some()
    }

    pub(super) fn primary(&self) -> Option<Arc<Editor>> {
        lock(&self.state)
            .primary
            .upgrade()
            .filter(|editor| editor.is_linked())
    }

    pub(super) fn set_primary(&self, editor: &Arc<Editor>) {
        lock(&self.state).primary = Arc::downgrade(editor);
    }

    pub(super) fn stream(&self) -> Option<Arc<Stream>> {
        lock(&self.state).stream.clone()
    }

    pub(super) fn set_stream(&self, stream: Arc<Stream>) {
        lock(&self.state).stream = Some(stream);
    }

    /// Holds updates until the editor has registered the session, then sends them with the commands.
    pub(super) fn hold(self: &Arc<Self>) {
        lock(&self.state).held.get_or_insert_with(Vec::new);
        let thread = Arc::downgrade(self);
        tokio::spawn(async move {
            tokio::time::sleep(REGISTERED_AFTER).await;
            if let Some(thread) = thread.upgrade() {
                thread.release();
            }
        });
    }

    fn release(&self) {
        let (held, editor) = {
            let mut state = lock(&self.state);
            (
                state.held.take().unwrap_or_default(),
                state.primary.upgrade(),
            )
        };
        let Some(editor) = editor else { return };
        for update in held {
            editor.send(&frames::update(self.id.as_str(), &update));
        }
        self.send_commands(&editor);
    }

    /// The commands of the thread: the daemon's, then the agent's.
    pub(super) fn commands_update(&self) -> Value {
        let own = self.remembered("commands");
        let own = own.as_ref().and_then(Value::as_array);
        json!({
            "sessionUpdate": "available_commands_update",
            "availableCommands": commands::merge(own.map_or(&[], Vec::as_slice)),
        })
    }

    pub(super) fn send_commands(&self, editor: &Editor) {
        editor.send(&frames::update(self.id.as_str(), &self.commands_update()));
    }

    /// Sends an update of the daemon's own that is in no transcript.
    pub(super) fn show(&self, update: Value) {
        let editor = {
            let mut state = lock(&self.state);
            if let Some(held) = &mut state.held {
                if held.len() < MAX_HELD {
                    held.push(update);
                }
                return;
            }
            state.primary.upgrade()
        };
        if let Some(editor) = editor {
            editor.send(&frames::update(self.id.as_str(), &update));
        }
    }

    /// Keeps a remark of the daemon in the transcript, which shows it; of a draft it is only shown.
    pub(super) fn note(&self, text: &str) {
        match self.stream() {
            Some(stream) => {
                stream.frame(Way::Daemon, &json!({ "note": text }));
            }
            None => self.show(frames::message(text, &uuid::Uuid::now_v7().to_string())),
        }
    }

    /// Takes a frame of the agent that belongs to this thread. `loading`: the agent repeats history.
    pub(super) fn take_frame(&self, frame: &Value, loading: bool) {
        let update = (frame.get("method").is_some_and(|m| m == "session/update"))
            .then(|| frame.get("params")?.get("update"))
            .flatten();
        let kind = update.and_then(|update| update.get("sessionUpdate")?.as_str());
        let mut standing = true;
        match (kind, update) {
            (Some("available_commands_update"), Some(update)) => {
                if let Some(commands) = update.get("availableCommands") {
                    self.remember("commands", commands.clone());
                }
            }
            (Some("current_mode_update"), Some(update)) => {
                if let (Some(mode), Some(mut modes)) =
                    (update.get("currentModeId"), self.remembered("modes"))
                {
                    modes["currentModeId"] = mode.clone();
                    self.remember("modes", modes);
                }
            }
            (Some("config_option_update"), Some(update)) => {
                if let Some(options) = update.get("configOptions") {
                    self.remember("configOptions", options.clone());
                }
            }
            _ => standing = false,
        }
        if loading && !standing {
            return;
        }
        match (self.stream(), update) {
            (Some(stream), _) => {
                stream.frame(Way::FromAgent, frame);
            }
            (None, Some(update)) => {
                let selectors = self.selectors();
                self.show(adapt(update, || self.commands_update(), selectors.as_ref()));
            }
            (None, None) => {}
        }
    }

    /// The selectors of a thread of the `SpecTask` entry, as they were shown last.
    pub(super) fn selectors(&self) -> Option<Selectors> {
        let shown = self.remembered("selectors")?;
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let agents = shown.get("agents")?.as_array()?.iter().filter_map(text);
        let tasks = shown.get("tasks")?.as_array()?.iter();
        Some(Selectors {
            agents: agents.collect(),
            agent: self.row().agent.to_string(),
            tasks: tasks
                .filter_map(|task| Some((text(task.get(0)?)?, text(task.get(1)?)?)))
                .collect(),
            task: shown.get("task").and_then(text),
        })
    }
}

/// An update of the agent as the editor gets it: with the daemon's commands and selectors.
pub(super) fn adapt(
    update: &Value,
    commands: impl FnOnce() -> Value,
    selectors: Option<&Selectors>,
) -> Value {
    match update.get("sessionUpdate").and_then(Value::as_str) {
        Some("available_commands_update") => {
            let mut changed = update.clone();
            if let Some(all) = commands().get("availableCommands") {
                changed["availableCommands"] = all.clone();
            }
            changed
        }
        Some("config_option_update") => match selectors {
            Some(selectors) => {
                let mut changed = update.clone();
                let options = selectors.with(update.get("configOptions"), None);
                changed["configOptions"] = options.into();
                changed
            }
            None => update.clone(),
        },
        _ => update.clone(),
    }
}

/// Forgets drafts that nobody prompted, every hour. Not at once: windows that show some connect again
/// when the daemon has started.
pub(super) async fn collect_drafts(room: Weak<Room>) {
    const HOUR: Duration = Duration::from_secs(3600);
    let mut hours = tokio::time::interval_at(tokio::time::Instant::now() + HOUR, HOUR);
    loop {
        hours.tick().await;
        let Some(room) = room.upgrade() else { return };
        let life = i64::try_from(DRAFT_LIFE.as_millis()).unwrap_or(i64::MAX);
        let gone = collect(&room, life).await;
        if let Err(error) = gone {
            tracing::warn!(%error, "old drafts were not forgotten");
        }
    }
}

/// Forgets drafts that nobody prompted for so many milliseconds and that no window shows.
async fn collect(room: &Room, life: i64) -> Result<(), StoreError> {
    let editors: Vec<Arc<Editor>> = lock(&room.editors).values().cloned().collect();
    let shown: Vec<WorkSessionId> = editors.iter().flat_map(|editor| editor.shows()).collect();
    let forget = room
        .ctx
        .store
        .write(move |write| write.delete_drafts_older_than(life, &shown));
    for id in forget.await? {
        room.forget(&id);
    }
    Ok(())
}
