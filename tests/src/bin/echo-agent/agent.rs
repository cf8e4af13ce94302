//! The methods of the agent.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use crate::memory::Memory;
use crate::orders;
use crate::wire::Wire;

pub(crate) struct Agent {
    pub(crate) wire: Arc<Wire>,
    pub(crate) memory: Memory,
    without: HashSet<String>,
    open: Mutex<HashMap<String, Arc<AtomicBool>>>,
}

impl Agent {
    pub(crate) fn new(wire: Arc<Wire>, state: PathBuf, without: &str) -> Self {
        Self {
            wire,
            memory: Memory::new(state),
            without: without.split(',').map(str::to_owned).collect(),
            open: Mutex::default(),
        }
    }

    fn offers(&self, what: &str) -> bool {
        !self.without.contains(what)
    }

    /// Open sessions with the sign that their turn is cancelled.
    fn open(&self) -> MutexGuard<'_, HashMap<String, Arc<AtomicBool>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn options(&self, id: &str) -> Value {
        let loud = self
            .memory
            .read(id)
            .map_or(json!(false), |kept| kept["loud"].clone());
        json!([
            {"id": "loud", "name": "Loud", "type": "boolean", "currentValue": loud},
            {"id": "model", "name": "Model", "category": "model", "type": "select", "currentValue": "small",
             "options": [{"value": "small", "name": "Small"}, {"value": "large", "name": "Large"}]},
        ])
    }

    fn state(&self, id: &str) -> Value {
        let mut state = json!({});
        if self.offers("modes") {
            let kept = self.memory.read(id).unwrap_or_default();
            state["modes"] = json!({"currentModeId": kept["mode"], "availableModes": [
                {"id": "code", "name": "Code"}, {"id": "ask", "name": "Ask"}]});
        }
        if self.offers("options") {
            state["configOptions"] = self.options(id);
        }
        state
    }

    fn initialize(&self) -> Value {
        let mut capabilities = json!({
            "loadSession": self.offers("load"),
            "promptCapabilities": {"image": true, "embeddedContext": true},
            "mcpCapabilities": {"http": true},
            "sessionCapabilities": {},
            "_meta": {"echo": {"kept": true}},
        });
        for name in ["list", "resume", "close", "delete", "fork"] {
            if self.offers(name) {
                capabilities["sessionCapabilities"][name] = json!({});
            }
        }
        json!({
            "protocolVersion": 1,
            "agentCapabilities": capabilities,
            "agentInfo": {"name": "echo-agent", "title": "Echo", "version": env!("CARGO_PKG_VERSION")},
            "authMethods": [],
        })
    }

    fn commands(&self, id: &str) {
        let commands = json!([
            {"name": "shout", "description": "Says it louder", "input": {"hint": "what"}},
            {"name": "spec-help", "description": "A name that is taken"},
        ]);
        let update =
            json!({"sessionUpdate": "available_commands_update", "availableCommands": commands});
        self.wire.update(id, &update);
    }

    fn enter(&self, id: &str) -> Value {
        self.open().insert(id.to_owned(), Arc::default());
        self.state(id)
    }

    /// Says the whole conversation again, with the marks it had.
    fn replay(&self, id: &str, conversation: &Value) {
        for (at, turn) in conversation["turns"]
            .as_array()
            .into_iter()
            .flatten()
            .enumerate()
        {
            for (kind, text) in [
                ("user_message_chunk", &turn["prompt"]),
                ("agent_message_chunk", &turn["reply"]),
            ] {
                let update = json!({"sessionUpdate": kind, "messageId": format!("replayed-{at}-{kind}"),
                    "content": {"type": "text", "text": text}});
                if text.is_string() {
                    self.wire.update(id, &update);
                }
            }
        }
    }
}

/// Serves one request or notification; prompts go on in a thread of their own.
pub(crate) fn take(agent: &Arc<Agent>, mut frame: Value) {
    let method = frame["method"].as_str().unwrap_or_default().to_owned();
    let params = frame["params"].take();
    let session = params["sessionId"].as_str().unwrap_or_default().to_owned();
    let id = frame.get("id").cloned();
    match (method.as_str(), id) {
        ("session/cancel", _) => {
            if let Some(cancelled) = agent.open().get(&session) {
                cancelled.store(true, Ordering::SeqCst);
            }
        }
        ("session/prompt", Some(id)) => prompt(agent, &session, params, id),
        (method, Some(id)) => {
            let answer = answer(agent, method, &session, &params);
            let entered = answer.is_ok()
                && [
                    "session/new",
                    "session/load",
                    "session/resume",
                    "session/fork",
                ]
                .contains(&method);
            let session = answer
                .as_ref()
                .ok()
                .and_then(|answer| answer["sessionId"].as_str());
            let session = session
                .or(params["sessionId"].as_str())
                .unwrap_or_default()
                .to_owned();
            agent.wire.answer(&id, answer);
            if entered {
                agent.commands(&session);
            }
        }
        _ => {}
    }
}

fn error(code: i32, message: &str) -> Value {
    json!({"code": code, "message": message})
}

fn answer(agent: &Agent, method: &str, id: &str, params: &Value) -> Result<Value, Value> {
    let name = method.strip_prefix("session/").unwrap_or(method);
    let unknown = || error(-32601, "Method not found");
    if !agent.offers(name) {
        return Err(unknown());
    }
    let kept = || {
        agent
            .memory
            .read(id)
            .ok_or_else(|| error(-32002, "no such conversation"))
    };
    match method {
        "initialize" => Ok(agent.initialize()),
        "session/new" => {
            let id = agent.memory.create(&params["cwd"]);
            let mut state = agent.enter(&id);
            state["sessionId"] = json!(id);
            Ok(state)
        }
        "session/load" => {
            let conversation = kept()?;
            let state = agent.enter(id);
            agent.replay(id, &conversation);
            Ok(state)
        }
        "session/resume" => kept().map(|_| agent.enter(id)),
        "session/fork" => {
            let conversation = kept()?;
            let new = agent.memory.create(&params["cwd"]);
            agent.memory.write(&new, &conversation);
            let mut state = agent.enter(&new);
            state["sessionId"] = json!(new);
            Ok(state)
        }
        "session/list" => {
            let sessions: Vec<Value> = agent.memory.all().into_iter()
                .map(|(id, kept)| json!({"sessionId": id, "cwd": kept["cwd"], "title": kept["title"]}))
                .collect();
            Ok(json!({"sessions": sessions}))
        }
        "session/close" => {
            if let Some(cancelled) = agent.open().remove(id) {
                cancelled.store(true, Ordering::SeqCst);
            }
            Ok(json!({}))
        }
        "session/delete" => {
            agent.memory.delete(id);
            Ok(json!({}))
        }
        "session/set_mode" => {
            kept()?;
            agent
                .memory
                .change(id, |kept| kept["mode"] = params["modeId"].clone());
            Ok(json!({}))
        }
        "session/set_config_option" => {
            kept()?;
            if params["configId"] == "loud" {
                agent
                    .memory
                    .change(id, |kept| kept["loud"] = params["value"].clone());
            }
            Ok(json!({"configOptions": agent.options(id)}))
        }
        // Vendors have methods of their own.
        "_echo/ping" => Ok(json!({"pong": params})),
        _ => Err(unknown()),
    }
}

fn prompt(agent: &Arc<Agent>, session: &str, params: Value, id: Value) {
    let Some(cancelled) = agent.open().get(session).cloned() else {
        agent
            .wire
            .answer(&id, Err(error(-32002, "no such session")));
        return;
    };
    cancelled.store(false, Ordering::SeqCst);
    let (agent, session) = (Arc::clone(agent), session.to_owned());
    std::thread::spawn(move || {
        let answer = orders::turn(&agent, &session, &params, &cancelled);
        agent.wire.answer(&id, answer);
    });
}
