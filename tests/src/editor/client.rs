//! What the window sends, and how it serves the agent.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use uuid::Uuid;

use super::desk::Asked;
use super::{
    Desk, Entry, IDLE_THREADS, PATIENCE, Permission, PermissionState, Shared, Thread, ZedEditor,
};

/// Opens a thread: its answer has the id of a new one.
const OPENING: [&str; 4] = [
    "session/new",
    "session/load",
    "session/resume",
    "session/fork",
];

pub(super) fn initialize() -> Value {
    json!({
        "protocolVersion": 1,
        "clientCapabilities": {
            "fs": {"readTextFile": true, "writeTextFile": true},
            "terminal": true,
            "session": {"configOptions": {"boolean": {}}},
            "auth": {"terminal": true},
            "elicitation": {"form": {}, "url": {}},
            "_meta": {"terminal_output": true, "terminal-auth": true},
        },
        "clientInfo": {"name": "zed", "title": "Zed", "version": "1.11.0"},
    })
}

/// Takes a line of the agent process.
pub(super) fn received(shared: &Arc<Shared>, line: &[u8]) {
    let frame: Value = match serde_json::from_slice(line) {
        Ok(frame) => frame,
        Err(error) => {
            let text: String = String::from_utf8_lossy(line).chars().take(500).collect();
            shared.change(|desk| desk.faults.push(format!("no JSON, {error}: {text:?}")));
            let answer = json!({"code": -32700, "message": "Parse error"});
            shared.send(&json!({"jsonrpc": "2.0", "id": null, "error": answer}));
            return;
        }
    };
    let answered = shared.change(|desk| {
        desk.got(&frame);
        let Some(method) = frame["method"].as_str() else {
            return take_answer(desk, &frame);
        };
        match (method, frame.get("id")) {
            ("session/update", None) => update(desk, &frame["params"]),
            ("session/request_permission", Some(id)) => {
                let session = frame["params"]["sessionId"].as_str().unwrap_or_default();
                desk.permissions.push(Permission {
                    id: id.clone(),
                    session: session.to_owned(),
                    params: frame["params"].clone(),
                    state: PermissionState::Shown,
                });
            }
            _ => {}
        }
        None
    });
    if let Some((id, result)) = answered {
        // Registered by another thread, as in the real one: an update that comes at once may be
        // earlier.
        let shared = Arc::clone(shared);
        std::thread::spawn(move || shared.change(|desk| register(desk, &id, &result)));
    }
    let method = frame["method"].as_str().unwrap_or_default();
    match (method, frame.get("id")) {
        ("$/cancel_request", None) => withdraw(shared, &frame["params"]["requestId"]),
        ("" | "session/request_permission", _) | (_, None) => {}
        (method, Some(id)) => serve(shared, method, id, &frame["params"]),
    }
}

fn register(desk: &mut Desk, id: &str, result: &Value) {
    let session = result["sessionId"].as_str().unwrap_or_default().to_owned();
    desk.threads.insert(session.clone(), Thread::new(result));
    desk.order.push(session.clone());
    if let Some(asked) = desk.asked.get_mut(id) {
        asked.session = Some(session);
        asked.answer = Some(Ok(result.clone()));
    }
}

/// Notes an answer; one that makes a new thread is returned to be registered later.
fn take_answer(desk: &mut Desk, frame: &Value) -> Option<(String, Value)> {
    let Some(id) = frame["id"].as_str() else {
        desk.complaints.push(frame.clone());
        return None;
    };
    // That it answers something was judged.
    let asked = desk.asked.get_mut(id)?;
    let answer = match frame.get("error") {
        Some(error) => Err(error.clone()),
        None => Ok(frame["result"].clone()),
    };
    let session = asked.session.clone();
    match (asked.method.as_str(), &answer) {
        ("session/new" | "session/fork", Ok(result)) => {
            return Some((id.to_owned(), result.clone()));
        }
        ("session/load" | "session/resume", Ok(result)) => {
            if let Some(thread) = session.as_ref().and_then(|id| desk.threads.get_mut(id)) {
                let opened = Thread::new(result);
                // Updates may have come before.
                if thread.options.is_null() {
                    thread.options = opened.options;
                }
                if thread.modes.is_null() {
                    thread.modes = opened.modes;
                }
            }
        }
        ("session/load" | "session/resume", Err(_)) => {
            // Final for that view.
            if let Some(session) = &session {
                desk.threads.remove(session);
            }
        }
        ("session/prompt", Err(error)) => {
            if let Some(thread) = session.as_ref().and_then(|id| desk.threads.get_mut(id)) {
                thread.entries.push(Entry::Error(error.clone()));
            }
        }
        _ => {}
    }
    asked.answer = Some(answer);
    None
}

fn update(desk: &mut Desk, params: &Value) {
    let session = params["sessionId"].as_str().unwrap_or_default();
    match desk.threads.get_mut(session) {
        Some(thread) => thread.update(&params["update"]),
        // A thread that was closed a moment ago may have had updates under way.
        None if desk.closed.contains(session) => {}
        None => desk.lost.push(params.clone()),
    }
}

/// The agent takes a request back: the card goes, the request is answered as cancelled.
fn withdraw(shared: &Arc<Shared>, id: &Value) {
    let shown = shared.change(|desk| {
        let shown = desk
            .permissions
            .iter_mut()
            .find(|permission| permission.id == *id && permission.state == PermissionState::Shown);
        shown.map(|permission| permission.state = PermissionState::Withdrawn)
    });
    if shown.is_some() {
        let error = json!({"code": -32800, "message": "Request cancelled"});
        shared.send(&json!({"jsonrpc": "2.0", "id": id, "error": error}));
    }
}

fn answer(shared: &Shared, id: &Value, answer: Result<Value, Value>) {
    let (member, value) = match answer {
        Ok(result) => ("result", result),
        Err(error) => ("error", error),
    };
    shared.send(&json!({"jsonrpc": "2.0", "id": id, member: value}));
}

fn fault(code: i32, message: &str) -> Value {
    json!({"code": code, "message": message})
}

fn serve(shared: &Arc<Shared>, method: &str, id: &Value, params: &Value) {
    let path = || PathBuf::from(params["path"].as_str().unwrap_or_default());
    let terminal = || {
        let found = shared.change(|desk| desk.terminals.get(params));
        found.ok_or_else(|| fault(-32602, "no such terminal"))
    };
    let result = match method {
        "fs/read_text_file" => std::fs::read_to_string(path())
            .map(|text| json!({"content": part(&text, params)}))
            .map_err(|error| fault(-32002, &error.to_string())),
        "fs/write_text_file" => {
            let path = path();
            let text = params["content"].as_str().unwrap_or_default();
            let folder = path.parent().map_or(Ok(()), std::fs::create_dir_all);
            let written = folder.and_then(|()| std::fs::write(&path, text));
            written
                .map(|()| json!({}))
                .map_err(|error| fault(-32603, &error.to_string()))
        }
        "terminal/create" => shared
            .change(|desk| desk.terminals.create(params))
            .map_err(|error| fault(-32603, &error)),
        "terminal/output" => terminal().map(|terminal| terminal.output()),
        "terminal/kill" => terminal().map(|terminal| {
            terminal.kill();
            json!({})
        }),
        "terminal/release" => {
            shared.change(|desk| desk.terminals.release(params));
            Ok(json!({}))
        }
        "terminal/wait_for_exit" => match terminal() {
            Err(error) => Err(error),
            Ok(terminal) => {
                let (shared, id) = (Arc::clone(shared), id.clone());
                std::thread::spawn(move || answer(&shared, &id, Ok(terminal.wait())));
                return;
            }
        },
        _ => Err(fault(-32601, "Method not found")),
    };
    answer(shared, id, result);
}

/// The lines that were asked for.
fn part(text: &str, params: &Value) -> String {
    let number = |name: &str| {
        params[name]
            .as_u64()
            .and_then(|number| usize::try_from(number).ok())
    };
    let (line, limit) = (number("line"), number("limit"));
    if line.is_none() && limit.is_none() {
        return text.to_owned();
    }
    let lines = text
        .split_inclusive('\n')
        .skip(line.unwrap_or(1).saturating_sub(1));
    lines.take(limit.unwrap_or(usize::MAX)).collect()
}

impl ZedEditor {
    /// Sends a request without waiting; its id.
    pub fn send_request(&self, method: &str, params: &Value) -> String {
        let id = Uuid::now_v7().to_string();
        let session = params["sessionId"].as_str().map(str::to_owned);
        self.shared.change(|desk| {
            let asked = Asked {
                method: method.to_owned(),
                session: session.clone(),
                answer: None,
            };
            desk.asked.insert(id.clone(), asked);
            // Registered before: history may come before the answer.
            if let ("session/load" | "session/resume", Some(session)) = (method, session) {
                desk.threads.insert(session.clone(), Thread::default());
                desk.closed.remove(&session);
                desk.order.retain(|open| *open != session);
                desk.order.push(session);
            }
        });
        self.shared
            .send(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}));
        id
    }

    /// Sends a notification.
    pub fn notify(&self, method: &str, params: &Value) {
        self.shared
            .send(&json!({"jsonrpc": "2.0", "method": method, "params": params}));
    }

    /// Waits for the answer of a request.
    ///
    /// # Errors
    /// The `error` member of the answer.
    ///
    /// # Panics
    /// When none comes in [`PATIENCE`].
    pub fn answer(&self, id: &str) -> Result<Value, Value> {
        self.wait("no answer", |desk| desk.asked.get(id)?.answer.clone())
    }

    /// Whether a request was answered.
    #[must_use]
    pub fn is_answered(&self, id: &str) -> bool {
        self.look(|desk| {
            desk.asked
                .get(id)
                .is_some_and(|asked| asked.answer.is_some())
        })
    }

    /// Sends a request and waits for its answer.
    ///
    /// # Errors
    /// The `error` member of the answer.
    pub fn request(&self, method: &str, params: Value) -> Result<Value, Value> {
        let id = self.send_request(method, &params);
        drop(params);
        let answer = self.answer(&id);
        if OPENING.contains(&method) {
            self.close_idle();
        }
        answer
    }

    fn cwd(&self) -> Value {
        json!(self.project)
    }

    /// A draft; its id.
    ///
    /// # Panics
    /// When it is refused.
    #[must_use]
    pub fn new_thread(&self) -> String {
        let answer = self
            .request("session/new", json!({"cwd": self.cwd(), "mcpServers": []}))
            .unwrap_or_else(|error| panic!("session/new was refused: {error}"));
        answer["sessionId"]
            .as_str()
            .expect("a session id")
            .to_owned()
    }

    /// Opens a thread from history; a reply of `Err` is final.
    ///
    /// # Errors
    /// The `error` member of the answer.
    pub fn load(&self, session: &str) -> Result<Value, Value> {
        let params = json!({"sessionId": session, "cwd": self.cwd(), "mcpServers": []});
        self.request("session/load", params)
    }

    /// Sends a prompt without waiting; the id of the request.
    pub fn send_prompt(&self, session: &str, text: &str) -> String {
        self.shared.change(|desk| {
            if let Some(thread) = desk.threads.get_mut(session) {
                thread.typed(text);
            }
            desk.order.retain(|open| open != session);
            desk.order.push(session.to_owned());
        });
        let block = json!({"type": "text", "text": text});
        self.send_request(
            "session/prompt",
            &json!({"sessionId": session, "prompt": [block]}),
        )
    }

    /// Sends a prompt and waits for its answer.
    ///
    /// # Errors
    /// The `error` member of the answer.
    pub fn prompt(&self, session: &str, text: &str) -> Result<Value, Value> {
        let id = self.send_prompt(session, text);
        self.answer(&id)
    }

    /// Stops the turn: the permissions of its thread are answered as cancelled.
    pub fn cancel(&self, session: &str) {
        let asked = self.shared.change(|desk| {
            let of = desk.permissions.iter_mut().filter(|permission| {
                permission.session == session && permission.state == PermissionState::Shown
            });
            let cancelled = of.map(|permission| {
                permission.state = PermissionState::Cancelled;
                permission.id.clone()
            });
            cancelled.collect::<Vec<_>>()
        });
        self.notify("session/cancel", &json!({"sessionId": session}));
        for id in asked {
            answer(
                &self.shared,
                &id,
                Ok(json!({"outcome": {"outcome": "cancelled"}})),
            );
        }
    }

    /// Waits until so many cards are shown in a thread; they come in the order of their tool calls.
    ///
    /// # Panics
    /// When they are not in [`PATIENCE`].
    #[must_use]
    pub fn permissions(&self, session: &str, count: usize) -> Vec<Permission> {
        self.wait("no permission is asked", |desk| {
            let mut shown = desk.shown(session);
            shown.sort_by_key(|shown| shown.params["toolCall"]["toolCallId"].to_string());
            (shown.len() >= count).then_some(shown)
        })
    }

    /// Decides: the first option of this kind.
    ///
    /// # Panics
    /// When there is none.
    pub fn decide(&self, permission: &Permission, kind: &str) {
        let options = permission.params["options"].as_array().expect("options");
        let option = options.iter().find(|option| option["kind"] == kind);
        let option = option.unwrap_or_else(|| panic!("no {kind} in {options:?}"));
        self.shared.change(|desk| {
            let shown = desk
                .permissions
                .iter_mut()
                .find(|shown| shown.id == permission.id);
            shown.expect("it was asked").state = PermissionState::Decided;
        });
        let outcome = json!({"outcome": "selected", "optionId": option["optionId"]});
        answer(
            &self.shared,
            &permission.id,
            Ok(json!({"outcome": outcome})),
        );
    }

    /// The import dialog: every page of the list, without a folder.
    ///
    /// # Panics
    /// When a page is refused, or they never end.
    #[must_use]
    pub fn import(&self) -> Vec<Value> {
        let mut all = Vec::new();
        let mut params = json!({});
        for _ in 0..1000 {
            let page = self
                .request("session/list", params)
                .unwrap_or_else(|error| panic!("session/list was refused: {error}"));
            all.extend(page["sessions"].as_array().into_iter().flatten().cloned());
            if page["nextCursor"].is_null() {
                return all;
            }
            params = json!({"cursor": page["nextCursor"]});
        }
        panic!("the list has no end");
    }

    /// Whether the agent offers something for sessions: `fork`, `close`.
    #[must_use]
    pub fn can(&self, what: &str) -> bool {
        !self.initialized["agentCapabilities"]["sessionCapabilities"][what].is_null()
    }

    /// Releases the view of a thread.
    pub fn close_thread(&self, session: &str) {
        self.shared.change(|desk| {
            desk.threads.remove(session);
            desk.order.retain(|open| open != session);
            desk.closed.insert(session.to_owned());
        });
        if self.can("close") {
            let _ = self.request("session/close", json!({"sessionId": session}));
        }
    }

    /// Only so many idle threads stay open.
    fn close_idle(&self) {
        loop {
            let oldest = self.look(|desk| {
                let mut idle = desk.order.iter().filter(|open| !desk.is_running(open));
                let count = idle.clone().count();
                (count > IDLE_THREADS + 1)
                    .then(|| idle.next().cloned())
                    .flatten()
            });
            let Some(oldest) = oldest else { return };
            self.close_thread(&oldest);
        }
    }

    /// Deletes a thread from history.
    ///
    /// # Errors
    /// The `error` member of the answer.
    pub fn delete(&self, session: &str) -> Result<Value, Value> {
        self.shared.change(|desk| {
            desk.threads.remove(session);
            desk.order.retain(|open| open != session);
            desk.closed.insert(session.to_owned());
        });
        self.request("session/delete", json!({"sessionId": session}))
    }

    /// Waits until the thread shows what is wanted.
    ///
    /// # Panics
    /// When it does not in [`PATIENCE`]; the message has what it shows.
    pub fn see<T>(
        &self,
        session: &str,
        what: &str,
        mut wanted: impl FnMut(&Thread) -> Option<T>,
    ) -> T {
        let until = Instant::now() + PATIENCE;
        self.wait_within(PATIENCE + Duration::from_secs(1), what, |desk| {
            let thread = desk.threads.get(session)?;
            let found = wanted(thread);
            if found.is_none() && Instant::now() > until {
                panic!("{what} is not shown: {thread:#?}");
            }
            found
        })
    }
}
