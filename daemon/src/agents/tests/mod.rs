//! The room as a whole: against a scripted agent in memory, and against real processes.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use tokio::io::{
    AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream, Lines, ReadHalf, WriteHalf,
};
use tokio::sync::{mpsc, oneshot};

use super::*;

mod opening;
#[cfg(unix)]
mod processes;
mod serving;
mod turns;

type Ask = (PermissionAsk, oneshot::Sender<PermissionAnswer>);

/// Keeps what it is told.
struct Recorder {
    log: Mutex<Vec<String>>,
    updates: Mutex<Vec<(String, Option<String>, bool)>>,
    incidents: Mutex<Vec<Incident>>,
    processes: Mutex<Vec<(ProcessIdentity, ProcessKind)>>,
    asks: mpsc::UnboundedSender<Ask>,
}

impl Observer for Recorder {
    fn frame(&self, direction: Direction, frame: &Value) {
        let arrow = if direction == Direction::ToAgent {
            ">"
        } else {
            "<"
        };
        let what = frame["method"].as_str().unwrap_or("answer");
        self.log.lock().unwrap().push(format!("{arrow} {what}"));
    }

    fn update(&self, session: &str, update: &SessionUpdateView<'_>) {
        assert_eq!(session, "s");
        let seen = (update.kind.to_owned(), update.step.clone(), update.replay);
        self.updates.lock().unwrap().push(seen);
    }

    fn permission(&self, ask: PermissionAsk) -> BoxFuture<'_, PermissionAnswer> {
        Box::pin(async {
            let (sender, answer) = oneshot::channel();
            self.asks.send((ask, sender)).unwrap();
            answer.await.unwrap_or(PermissionAnswer::Cancelled)
        })
    }

    fn incident(&self, incident: &Incident) {
        self.incidents.lock().unwrap().push(incident.clone());
    }

    fn started(&self, process: &ProcessIdentity, kind: ProcessKind) -> BoxFuture<'_, ()> {
        self.processes.lock().unwrap().push((*process, kind));
        Box::pin(async {})
    }

    fn serve<'a>(
        &'a self,
        method: &'a str,
        params: &'a Value,
    ) -> Option<BoxFuture<'a, Result<Value, RpcError>>> {
        (method == "_relayed").then(|| {
            let answer = Ok(json!({ "seen": params }));
            Box::pin(async move { answer }) as BoxFuture<'a, _>
        })
    }
}

fn recorder() -> (Arc<Recorder>, mpsc::UnboundedReceiver<Ask>) {
    let (asks, asked) = mpsc::unbounded_channel();
    let recorder = Recorder {
        log: Mutex::default(),
        updates: Mutex::default(),
        incidents: Mutex::default(),
        processes: Mutex::default(),
        asks,
    };
    (Arc::new(recorder), asked)
}

/// The agent's end of a connection in memory.
struct Stub {
    reader: Lines<BufReader<ReadHalf<DuplexStream>>>,
    writer: WriteHalf<DuplexStream>,
    next: u64,
}

impl Stub {
    async fn next(&mut self) -> Value {
        let line = self
            .reader
            .next_line()
            .await
            .unwrap()
            .expect("the daemon hung up");
        serde_json::from_str(&line).unwrap()
    }

    /// The next frame, which must be a request of this method.
    async fn expect(&mut self, method: &str) -> Value {
        let frame = self.next().await;
        assert_eq!(frame["method"], method, "{frame}");
        frame
    }

    async fn raw(&mut self, line: &str) {
        self.writer
            .write_all(format!("{line}\n").as_bytes())
            .await
            .unwrap();
    }

    async fn send(&mut self, frame: Value) {
        self.raw(&frame.to_string()).await;
    }

    async fn answer(&mut self, request: &Value, result: Value) {
        self.send(json!({"jsonrpc": "2.0", "id": request["id"], "result": result}))
            .await;
    }

    async fn refuse(&mut self, request: &Value, code: i64, message: &str) {
        let error = json!({"code": code, "message": message});
        self.send(json!({"jsonrpc": "2.0", "id": request["id"], "error": error}))
            .await;
    }

    async fn update(&mut self, update: Value) {
        let params = json!({"sessionId": "s", "update": update});
        self.send(json!({"jsonrpc": "2.0", "method": "session/update", "params": params}))
            .await;
    }

    /// Sends a request with an id of the agent's own, and returns the id.
    async fn ask(&mut self, method: &str, mut params: Value) -> String {
        self.next += 1;
        let id = format!("agent-{}", self.next);
        params["sessionId"] = json!("s");
        self.send(json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}))
            .await;
        id
    }

    /// As `ask`, and waits for the answer, which must be the next frame.
    async fn call(&mut self, method: &str, params: Value) -> Value {
        let id = self.ask(method, params).await;
        let answer = self.next().await;
        assert_eq!(answer["id"], id, "{answer}");
        answer
    }

    async fn permission(&mut self, call: Value) -> String {
        let options = json!([
            {"optionId": "yes", "name": "Allow", "kind": "allow_once"},
            {"optionId": "no", "name": "Reject", "kind": "reject_once"},
        ]);
        self.ask(
            "session/request_permission",
            json!({"toolCall": call, "options": options}),
        )
        .await
    }
}

struct Place {
    agent: Agent,
    stub: Stub,
    recorder: Arc<Recorder>,
    asked: mpsc::UnboundedReceiver<Ask>,
    root: PathBuf,
    _dir: tempfile::TempDir,
}

impl Place {
    fn incidents(&self) -> Vec<(IncidentKind, String)> {
        let incidents = self.recorder.incidents.lock().unwrap();
        incidents
            .iter()
            .map(|incident| (incident.kind, incident.text.clone()))
            .collect()
    }

    /// Runs a turn while `script` plays the agent, which gets the request.
    async fn turn<F>(&mut self, script: F) -> Result<TurnEnd, AgentError>
    where
        F: AsyncFnOnce(&mut Stub, Value),
    {
        let agent = self.agent.clone();
        let play = async {
            let request = self.stub.expect("session/prompt").await;
            script(&mut self.stub, request).await;
        };
        tokio::join!(agent.prompt_text("s", "do it"), play).0
    }
}

fn end_turn() -> Value {
    json!({"stopReason": "end_turn"})
}

/// Connects to a stub whose answer to `initialize` has these members besides the version.
async fn connect_as(
    change: impl FnOnce(&mut Profile),
    mut initialize: Value,
) -> (Result<Agent, AgentError>, Stub, Value, Place0) {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().canonicalize().unwrap().join("root");
    std::fs::create_dir(&root).unwrap();
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    let (reader, writer) = tokio::io::split(theirs);
    let mut stub = Stub {
        reader: BufReader::new(reader).lines(),
        writer,
        next: 0,
    };
    let (recorder, asked) = recorder();
    let mut profile = Profile::new("stub", &["stub"]);
    change(&mut profile);
    let env = BTreeMap::from([("PATH".to_owned(), std::env::var("PATH").unwrap_or_default())]);
    let spec = SpawnSpec::new(profile, &root, env);
    let (reader, writer) = tokio::io::split(ours);
    let play = async {
        let request = stub.expect("initialize").await;
        if initialize.get("protocolVersion").is_none() {
            initialize["protocolVersion"] = json!(1);
        }
        stub.answer(&request, initialize).await;
        request
    };
    let observer: Arc<dyn Observer> = Arc::<Recorder>::clone(&recorder);
    let (agent, request) = tokio::join!(Agent::connect(reader, writer, spec, observer), play);
    (
        agent,
        stub,
        request,
        Place0 {
            recorder,
            asked,
            root,
            dir,
        },
    )
}

struct Place0 {
    recorder: Arc<Recorder>,
    asked: mpsc::UnboundedReceiver<Ask>,
    root: PathBuf,
    dir: tempfile::TempDir,
}

/// A connection with session `s` open.
async fn place_with(change: impl FnOnce(&mut Profile), initialize: Value) -> Place {
    let (agent, stub, _, rest) = connect_as(change, initialize).await;
    let agent = agent.unwrap();
    let Place0 {
        recorder,
        asked,
        root,
        dir,
    } = rest;
    let mut place = Place {
        agent,
        stub,
        recorder,
        asked,
        root,
        _dir: dir,
    };
    let play = async {
        let request = place.stub.expect("session/new").await;
        place.stub.answer(&request, json!({"sessionId": "s"})).await;
    };
    let (start, ()) = tokio::join!(place.agent.new_session(&place.root, Vec::new()), play);
    assert_eq!(start.unwrap().id, "s");
    place
}

async fn place() -> Place {
    place_with(|_| {}, json!({})).await
}
