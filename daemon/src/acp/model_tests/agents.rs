//! Agents in memory: processes that can be killed, and a disk that outlives them.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
};

use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use spectask_protocol::WorkSessionId;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream, split};
use tokio_util::sync::CancellationToken;

use super::super::{pool::Starter, relay::Relay, room::lock};
use crate::{
    agents::{Agent, AgentError, SpawnSpec},
    scheduler::Shared,
};

/// What agents can do with a session of an earlier process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Offers {
    Load,
    Resume,
    Nothing,
}

/// A session of the agent's own.
#[derive(Debug, Clone, Default)]
pub(super) struct Session {
    /// The thread it was made for.
    pub(super) thread: Option<WorkSessionId>,
    /// Everything it was told.
    pub(super) memory: String,
    /// The process it is open in.
    open_in: Option<u32>,
    /// How often in a row it was refused though it is there.
    pub(super) refused: u32,
}

/// A prompt that an agent got.
pub(super) struct Prompt {
    /// Its last block: what the person wrote.
    pub(super) word: String,
    pub(super) session: String,
    /// All of it.
    pub(super) text: String,
}

#[derive(Default)]
pub(super) struct Disk {
    pub(super) sessions: BTreeMap<String, Session>,
    /// Sessions that it had once.
    pub(super) lost: BTreeMap<String, Session>,
    pub(super) prompts: Vec<Prompt>,
    /// What no agent should ever see.
    pub(super) faults: Vec<String>,
    /// So many openings are refused for a passing reason.
    pub(super) hiccups: u32,
    /// Prompts are not answered.
    pub(super) hangs: bool,
    made: u32,
    processes: u32,
}

/// All agents of a world.
pub(super) struct Agents {
    pub(super) disk: Mutex<Disk>,
    offers: Offers,
    running: Mutex<CancellationToken>,
    epoch: AtomicU32,
    ctx: Mutex<Option<Shared>>,
}

impl Agents {
    pub(super) fn new(offers: Offers) -> Arc<Self> {
        Arc::new(Self {
            disk: Mutex::default(),
            offers,
            running: Mutex::default(),
            epoch: AtomicU32::new(0),
            ctx: Mutex::default(),
        })
    }

    /// They speak to that daemon from now on.
    pub(super) fn belong_to(&self, ctx: Option<Shared>) {
        if ctx.is_none() {
            self.epoch.fetch_add(1, Ordering::SeqCst);
        }
        *lock(&self.ctx) = ctx;
    }

    /// Whether no session of an earlier process can be opened.
    pub(super) fn cannot_reopen(&self) -> bool {
        self.offers == Offers::Nothing
    }

    /// Ends all processes, as `kill -9` does.
    pub(super) fn kill(&self) {
        std::mem::take(&mut *lock(&self.running)).cancel();
        for session in lock(&self.disk).sessions.values_mut() {
            session.open_in = None;
        }
    }

    /// Starts agents for a daemon, until the next one has a starter: what is left of a daemon that was
    /// killed starts nothing.
    pub(super) fn starter(self: &Arc<Self>) -> Starter {
        let agents = Arc::clone(self);
        let epoch = self.epoch.fetch_add(1, Ordering::SeqCst) + 1;
        Box::new(move |spec, relay| {
            if agents.epoch.load(Ordering::SeqCst) == epoch {
                agents.start(spec, relay)
            } else {
                Box::pin(std::future::pending())
            }
        })
    }

    fn start(
        self: &Arc<Self>,
        spec: SpawnSpec,
        relay: Arc<Relay>,
    ) -> BoxFuture<'static, Result<Agent, AgentError>> {
        let (ours, theirs) = tokio::io::duplex(1 << 20);
        let process = {
            let mut disk = lock(&self.disk);
            disk.processes += 1;
            disk.processes
        };
        let ended = lock(&self.running).clone();
        let agents = Arc::clone(self);
        tokio::spawn(async move {
            tokio::select! {
                () = ended.cancelled() => {}
                () = agents.serve(process, theirs) => {}
            }
            let mut disk = lock(&agents.disk);
            for session in disk.sessions.values_mut() {
                session.open_in.take_if(|open| *open == process);
            }
        });
        Box::pin(async move {
            let (reader, writer) = split(ours);
            Agent::connect(reader, writer, spec, relay).await
        })
    }

    async fn serve(&self, process: u32, stream: DuplexStream) {
        let (reader, mut writer) = split(stream);
        let mut lines = BufReader::new(reader).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            let frame: Value = serde_json::from_str(&line).unwrap();
            let Some(id) = frame.get("id") else { continue };
            let Some(outcome) = self.answer(process, &frame) else {
                // It dies, or hangs until it is killed.
                if lock(&self.disk).hangs {
                    std::future::pending::<()>().await;
                }
                return;
            };
            let mut said = String::new();
            if let (Ok(_), "session/prompt") = (&outcome, frame["method"].as_str().unwrap()) {
                let word = last_block(&frame["params"]);
                let update = json!({
                    "sessionUpdate": "agent_message_chunk",
                    "content": { "type": "text", "text": format!("heard {word}. ") },
                });
                let params = json!({ "sessionId": frame["params"]["sessionId"], "update": update });
                said = format!(
                    "{}\n",
                    json!({ "jsonrpc": "2.0", "method": "session/update", "params": params })
                );
            }
            let answer = match outcome {
                Ok(result) => json!({ "jsonrpc": "2.0", "id": id, "result": result }),
                Err((code, message)) => {
                    let error = json!({ "code": code, "message": message });
                    json!({ "jsonrpc": "2.0", "id": id, "error": error })
                }
            };
            said.push_str(&format!("{answer}\n"));
            if writer.write_all(said.as_bytes()).await.is_err() {
                return;
            }
        }
    }

    /// The answer to a request; none when the process dies of it.
    fn answer(&self, process: u32, frame: &Value) -> Option<Result<Value, (i64, String)>> {
        let params = &frame["params"];
        let named = params["sessionId"].as_str().unwrap_or_default().to_owned();
        let mut disk = lock(&self.disk);
        Some(match frame["method"].as_str().unwrap_or_default() {
            "initialize" => {
                let mut sessions = json!({ "close": {} });
                if self.offers == Offers::Resume {
                    sessions["resume"] = json!({});
                }
                Ok(json!({
                    "protocolVersion": 1,
                    "agentCapabilities": {
                        "loadSession": self.offers == Offers::Load,
                        "sessionCapabilities": sessions,
                    },
                    "authMethods": [],
                }))
            }
            "session/new" => {
                let thread = self.thread_of(params);
                let open = disk.sessions.iter().find(|(_, session)| {
                    thread.is_some()
                        && session.thread == thread
                        && session.open_in == Some(process)
                        && session.refused == 0
                });
                if let Some((other, _)) = open {
                    let fault = format!("a second session for {thread:?}, which has {other}");
                    disk.faults.push(fault);
                }
                disk.made += 1;
                let id = format!("agent-{}", disk.made);
                let session = Session {
                    thread,
                    open_in: Some(process),
                    ..Session::default()
                };
                disk.sessions.insert(id.clone(), session);
                Ok(json!({ "sessionId": id, "modes": {
                    "currentModeId": "ask",
                    "availableModes": [{ "id": "ask", "name": "Ask" }, { "id": "code", "name": "Code" }],
                } }))
            }
            "session/load" | "session/resume" => {
                let hiccup = disk.hiccups > 0;
                disk.hiccups = disk.hiccups.saturating_sub(1);
                match disk.sessions.get_mut(&named) {
                    None => Err((-32002, "Resource not found".to_owned())),
                    Some(session) if hiccup => {
                        session.refused += 1;
                        Err((-32603, "Internal error: overloaded".to_owned()))
                    }
                    Some(session) => {
                        let again = session.open_in.replace(process) == Some(process);
                        session.refused = 0;
                        if again {
                            disk.faults
                                .push(format!("{named} is opened again while it is open"));
                        }
                        Ok(json!({}))
                    }
                }
            }
            "session/close" => {
                if let Some(session) = disk.sessions.get_mut(&named) {
                    session.open_in = None;
                }
                Ok(json!({}))
            }
            "session/set_mode" => Ok(json!({})),
            "session/prompt" => {
                let word = last_block(params);
                let Some(session) = disk.sessions.get_mut(&named) else {
                    return Some(Err((-32002, "Resource not found".to_owned())));
                };
                if session.open_in != Some(process) {
                    let fault = format!("{word} goes to {named}, which is not open here");
                    disk.faults.push(fault);
                    return Some(Err((-32002, "Resource not found".to_owned())));
                }
                let mut text = String::new();
                for block in params["prompt"].as_array().unwrap() {
                    text.push_str(block["text"].as_str().unwrap());
                    text.push('\n');
                }
                session.memory.push_str(&text);
                disk.prompts.push(Prompt {
                    word: word.clone(),
                    session: named,
                    text,
                });
                if word.contains("crash") || disk.hangs {
                    return None;
                }
                Ok(json!({ "stopReason": "end_turn" }))
            }
            _ => Err((-32601, "Method not found".to_owned())),
        })
    }

    /// Whose session is opened: the token of its MCP server says it.
    fn thread_of(&self, params: &Value) -> Option<WorkSessionId> {
        let servers = params["mcpServers"].as_array()?.iter();
        let variables = servers
            .filter_map(|server| server["env"].as_array())
            .flatten();
        let token = variables
            .filter(|variable| variable["name"] == "SPECTASK_SESSION_TOKEN")
            .find_map(|variable| variable["value"].as_str())?;
        lock(&self.ctx).as_ref()?.live.tokens().session(token)
    }
}

/// What the person wrote: it comes after everything that the daemon adds.
fn last_block(params: &Value) -> String {
    let blocks = params["prompt"].as_array().unwrap();
    blocks.last().unwrap()["text"].as_str().unwrap().to_owned()
}
