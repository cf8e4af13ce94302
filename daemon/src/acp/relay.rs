//! Watches an agent process of threads: passes its updates on, and its requests to the editor.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{Arc, Mutex, Weak},
};

use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use spectask_protocol::{AgentName, PermissionId, PermissionOption, ThreadStatus, WorkSessionId};

use super::{
    frames,
    room::{Room, lock},
    thread::Thread,
};
use crate::{
    agents::{
        Direction, Incident, Observer, PermissionAnswer, PermissionAsk, ProcessIdentity,
        ProcessKind, RpcError, SessionUpdateView,
    },
    live::{Stream, Way},
    redact::Redactor,
    workflow::{self, turn},
};

/// Frames that are kept for a session that is just being opened.
const MAX_STRAYS: usize = 1_000;

/// The observer of one agent process that serves threads.
pub(super) struct Relay {
    room: Weak<Room>,
    agent: AgentName,
    pub(super) redactor: Redactor,
    sessions: Mutex<Sessions>,
    processes: Mutex<HashMap<ProcessIdentity, i64>>,
}

#[derive(Default)]
struct Sessions {
    threads: HashMap<String, Arc<Thread>>,
    loading: HashSet<String>,
    /// What came for a session before its thread was known: the answer to `session/new` is handled by
    /// another task than the frames after it.
    strays: VecDeque<(String, Value)>,
}

impl Relay {
    pub(super) fn new(room: Weak<Room>, agent: AgentName, redactor: Redactor) -> Arc<Self> {
        Arc::new(Self {
            room,
            agent,
            redactor,
            sessions: Mutex::default(),
            processes: Mutex::default(),
        })
    }

    /// Ties the agent's session to its thread. `loading`: what it repeats until
    /// [`loaded`](Self::loaded) is no news.
    pub(super) fn bind(&self, session: &str, thread: &Arc<Thread>, loading: bool) {
        let early: Vec<Value> = {
            let mut sessions = lock(&self.sessions);
            sessions
                .threads
                .insert(session.to_owned(), Arc::clone(thread));
            if loading {
                sessions.loading.insert(session.to_owned());
            }
            let (ours, others) = std::mem::take(&mut sessions.strays)
                .into_iter()
                .partition::<VecDeque<_>, _>(|(id, _)| id == session);
            sessions.strays = others;
            ours.into_iter().map(|(_, frame)| frame).collect()
        };
        for frame in early {
            thread.take_frame(&frame, false);
        }
    }

    pub(super) fn loaded(&self, session: &str) {
        lock(&self.sessions).loading.remove(session);
    }

    pub(super) fn unbind(&self, session: &str) {
        let mut sessions = lock(&self.sessions);
        sessions.threads.remove(session);
        sessions.loading.remove(session);
    }

    /// Whether it has a session of another thread.
    pub(super) fn serves_another(&self, thread: &WorkSessionId) -> bool {
        let sessions = lock(&self.sessions);
        sessions.threads.values().any(|other| other.id != *thread)
    }

    /// Whether an editor shows one of its threads.
    pub(super) fn is_in_use(&self) -> bool {
        let sessions = lock(&self.sessions);
        sessions.threads.values().any(|thread| {
            thread.primary().is_some()
                || self
                    .room
                    .upgrade()
                    .is_some_and(|room| room.ctx.is_running(&thread.id))
        })
    }

    /// Hears that the process has ended.
    pub(super) async fn gone(&self, room: &Room) {
        let threads: Vec<_> = lock(&self.sessions).threads.drain().collect();
        for (_, thread) in threads {
            // Another process may serve it by now.
            let lost = thread.lose_process(self) && thread.stream().is_some();
            // When the daemon stops, the store is about to be closed; the next one notes it.
            if lost && !room.closing.is_cancelled() {
                let gone = |row: &mut crate::store::ThreadRow| {
                    row.status = ThreadStatus::Disconnected;
                };
                thread.change(room, gone).await;
            }
        }
    }

    /// Keeps the title that the agent gives a thread.
    fn title(&self, thread: &Thread, frame: &Value) {
        let Some(update) = frame.pointer("/params/update") else {
            return;
        };
        let is_info = update
            .get("sessionUpdate")
            .is_some_and(|kind| kind == "session_info_update");
        let title = update
            .get("title")
            .and_then(Value::as_str)
            .filter(|_| is_info);
        if let (Some(title), Some(room)) = (title, self.room.upgrade()) {
            let title = self.redactor.text(title).into_owned();
            let id = thread.id.clone();
            tokio::spawn(async move {
                let kept = workflow::thread::set_title(&room.ctx.store, &id, title).await;
                if let Err(error) = kept {
                    tracing::warn!(%error, thread = %id, "a title could not be kept");
                }
            });
        }
    }

    fn thread(&self, session: &str) -> Option<(Arc<Thread>, bool)> {
        let sessions = lock(&self.sessions);
        let thread = sessions.threads.get(session)?;
        Some((Arc::clone(thread), sessions.loading.contains(session)))
    }

    /// Asks whoever can answer: the editor that shows the thread, or a person elsewhere. Yields the
    /// result of `session/request_permission` as it came.
    async fn ask(&self, thread: &Thread, params: &Value) -> Result<Value, RpcError> {
        let cancelled = || json!({ "outcome": { "outcome": "cancelled" } });
        let (Some(room), Some(stream)) = (self.room.upgrade(), thread.stream()) else {
            return Ok(cancelled());
        };
        let (title, kind, options) = question(params, &self.redactor);
        let asked = turn::ask(&room.ctx.store, &thread.id, title, kind, options).await;
        let permission = asked.map_err(|error| frames::internal(error.to_string()))?;
        let answer = room.ctx.expect_answer(permission.clone());
        let _waiting = Waiting {
            room: &room,
            stream: &stream,
            session: &thread.id,
            permission: permission.clone(),
        };
        stream.ask(&permission, params);
        let answer = answer.await.unwrap_or(PermissionAnswer::Cancelled);
        let result = lock(&room.answers).remove(&permission);
        Ok(result.unwrap_or_else(|| match answer {
            PermissionAnswer::Selected(id) => {
                json!({ "outcome": { "outcome": "selected", "optionId": id } })
            }
            PermissionAnswer::Cancelled => cancelled(),
        }))
    }
}

/// What a permission request asks: title, kind, options.
fn question(params: &Value, redactor: &Redactor) -> (String, String, Vec<PermissionOption>) {
    let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
    let call = params.get("toolCall").cloned().unwrap_or_default();
    let title = text(&call, "title").unwrap_or_else(|| "a tool".to_owned());
    let title = redactor.text(&title).into_owned();
    let kind = text(&call, "kind").unwrap_or_else(|| "other".to_owned());
    let options = params.get("options").and_then(Value::as_array);
    let options = options.into_iter().flatten().filter_map(|option| {
        let id = text(option, "optionId")?;
        Some(PermissionOption {
            name: text(option, "name").unwrap_or_else(|| id.clone()),
            kind: text(option, "kind").unwrap_or_default(),
            id,
        })
    });
    (title, kind, options.collect())
}

/// Takes a question back when the agent does, and when it is answered.
struct Waiting<'a> {
    room: &'a Arc<Room>,
    stream: &'a Arc<Stream>,
    session: &'a WorkSessionId,
    permission: PermissionId,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.room.ctx.forget_ask(&self.permission);
        self.stream.settle(&self.permission);
        let (room, session) = (Arc::clone(self.room), self.session.clone());
        let permission = self.permission.clone();
        tokio::spawn(async move {
            lock(&room.answers).remove(&permission);
            // Does nothing when it was answered.
            let ended =
                turn::answered(&room.ctx.store, permission, session, "cancelled".into()).await;
            if let Err(error) = ended {
                tracing::debug!(%error, "a withdrawn question was not ended");
            }
        });
    }
}

impl Observer for Relay {
    fn frame(&self, direction: Direction, frame: &Value) {
        if direction != Direction::FromAgent || frame.get("method").is_none() {
            return;
        }
        let Some(session) = frame.get("params").and_then(frames::session_of) else {
            return;
        };
        match self.thread(session) {
            Some((thread, loading)) => {
                if !loading {
                    self.title(&thread, frame);
                }
                thread.take_frame(frame, loading);
            }
            None => {
                let mut sessions = lock(&self.sessions);
                if sessions.strays.len() == MAX_STRAYS {
                    sessions.strays.pop_front();
                }
                sessions
                    .strays
                    .push_back((session.to_owned(), frame.clone()));
            }
        }
    }

    fn update(&self, session: &str, update: &SessionUpdateView<'_>) {
        let step = update.step.as_ref().filter(|_| !update.replay);
        if let (Some(step), Some((thread, _))) = (step, self.thread(session))
            && let Some(room) = self.room.upgrade()
            && room.ctx.is_running(&thread.id)
        {
            let step = self.redactor.text(step).into_owned();
            room.ctx.set_step(&thread.id, Some(step));
        }
    }

    fn permission(&self, ask: PermissionAsk) -> BoxFuture<'_, PermissionAnswer> {
        Box::pin(async move {
            let Some((thread, _)) = self.thread(&ask.session) else {
                return PermissionAnswer::Cancelled;
            };
            let answer = self.ask(&thread, &ask.raw).await.ok();
            let chosen = answer
                .as_ref()
                .and_then(|answer| answer.pointer("/outcome/optionId")?.as_str());
            match chosen {
                Some(id) => PermissionAnswer::Selected(id.to_owned()),
                None => PermissionAnswer::Cancelled,
            }
        })
    }

    fn redact(&self, text: &str) -> String {
        self.redactor.text(text).into_owned()
    }

    fn incident(&self, incident: &Incident) {
        let text = self.redactor.text(&incident.text);
        tracing::warn!(agent = %self.agent, %text, "agent");
    }

    fn started(&self, process: &ProcessIdentity, kind: ProcessKind) -> BoxFuture<'_, ()> {
        let process = *process;
        Box::pin(async move {
            let Some(room) = self.room.upgrade() else {
                return;
            };
            let noted = turn::process_started(
                &room.ctx.store,
                None,
                self.agent.clone(),
                turn::Process {
                    pid: process.pid,
                    start_time: process.start_time,
                    group: process.group,
                    is_agent: kind == ProcessKind::Agent,
                },
            );
            match noted.await {
                Ok(row) => drop(lock(&self.processes).insert(process, row)),
                Err(error) => tracing::error!(%error, "an agent process could not be noted"),
            }
        })
    }

    fn ended(&self, process: &ProcessIdentity) {
        let row = lock(&self.processes).remove(process);
        let Some((row, room)) = row.zip(self.room.upgrade()) else {
            return;
        };
        tokio::spawn(async move {
            if let Err(error) = turn::process_ended(&room.ctx.store, row).await {
                tracing::debug!(%error, "the end of a process was not noted");
            }
        });
    }

    fn serve<'a>(
        &'a self,
        method: &'a str,
        params: &'a Value,
    ) -> Option<BoxFuture<'a, Result<Value, RpcError>>> {
        let (thread, _) = self.thread(frames::session_of(params)?)?;
        let editor = thread.primary()?;
        let offered = match method {
            "session/request_permission" => {
                // A draft has no turn that could ask.
                thread.stream()?;
                return Some(Box::pin(async move { self.ask(&thread, params).await }));
            }
            "fs/read_text_file" => editor.offers("/fs/readTextFile"),
            "fs/write_text_file" => editor.offers("/fs/writeTextFile"),
            method if method.starts_with("terminal/") => editor.offers("/terminal"),
            _ => true,
        };
        offered.then_some(())?;
        Some(Box::pin(async move {
            let asked = frames::for_session(params.clone(), thread.id.as_str());
            let answer = editor.ask(method, &asked).await;
            let answer = answer.unwrap_or_else(|| {
                Err(RpcError::new(
                    -32603,
                    "the editor went away before it answered",
                ))
            });
            if let Some(stream) = thread.stream() {
                let answer = frames::response(&Value::Null, answer.clone());
                stream.frame(Way::ToAgent, &answer);
            }
            answer
        }))
    }
}
