//! An editor's window: a shim's side of the connection, without the process.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex},
};

use serde_json::{Value, json, value::to_raw_value};
use spectask_protocol::{
    WorkSessionId,
    shim::{Entry, Hello, ToDaemon, ToShim},
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream, WriteHalf, split},
    sync::oneshot,
};

use super::super::{
    room::{Room, lock},
    serve,
};
use crate::rpc::Peer;

#[derive(Default)]
struct Seen {
    /// Open requests: the frame, and who waits.
    waiting: BTreeMap<u64, (Value, Option<oneshot::Sender<Value>>)>,
    /// Open sessions, with the newest entry of each.
    open: BTreeMap<WorkSessionId, Option<u64>>,
    /// Text of the agent by session.
    said: HashMap<String, String>,
    welcomed: u32,
}

pub(super) struct Window {
    pub(super) instance: String,
    entry: Entry,
    cwd: String,
    next: u64,
    generation: u32,
    seen: Arc<Mutex<Seen>>,
    line: Option<WriteHalf<DuplexStream>>,
}

impl Window {
    pub(super) fn new(entry: Entry, cwd: &std::path::Path) -> Self {
        Self {
            instance: uuid::Uuid::now_v7().to_string(),
            entry,
            cwd: cwd.display().to_string(),
            next: 1,
            generation: 0,
            seen: Arc::default(),
            line: None,
        }
    }

    /// Connects, in place of the connection before, which is given back and still open. Requests that
    /// have no answer are sent again.
    pub(super) async fn connect(&mut self, room: &Arc<Room>) -> Option<WriteHalf<DuplexStream>> {
        let (ours, theirs) = tokio::io::duplex(1 << 20);
        tokio::spawn(serve::serve(Arc::clone(room), Peer::person(), theirs));
        let (reader, writer) = split(ours);
        let seen = Arc::clone(&self.seen);
        tokio::spawn(async move {
            let mut lines = BufReader::new(reader).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                take(&seen, serde_json::from_str(&line).unwrap());
            }
        });
        let before = self.line.replace(writer);
        let initialize = json!({ "protocolVersion": 1, "clientCapabilities": {} });
        let hello = Hello {
            version: spectask_protocol::shim::VERSION,
            program: "test".into(),
            instance: self.instance.clone(),
            pid: 1,
            cwd: self.cwd.clone(),
            entry: self.entry.clone(),
            environment: BTreeMap::new(),
            generation: self.generation,
            initialize: Some(to_raw_value(&initialize).unwrap()),
            sessions: lock(&self.seen).open.clone(),
        };
        self.generation += 1;
        let welcomed = lock(&self.seen).welcomed;
        self.write(&ToDaemon::Hello(Box::new(hello))).await;
        while lock(&self.seen).welcomed == welcomed {
            tokio::task::yield_now().await;
        }
        let open: Vec<(u64, Value)> = {
            let seen = lock(&self.seen);
            let open = seen.waiting.iter();
            open.map(|(number, (frame, _))| (*number, frame.clone()))
                .collect()
        };
        for (number, frame) in open {
            self.frame(Some(number), true, &frame).await;
        }
        // Answered only when it is attached.
        self.request("session/list", json!({})).await.unwrap();
        before
    }

    async fn write(&mut self, line: &ToDaemon) {
        let text = format!("{}\n", serde_json::to_string(line).unwrap());
        if let Some(writer) = &mut self.line {
            // A daemon that is away is found out by what does not come.
            let _ = writer.write_all(text.as_bytes()).await;
        }
    }

    async fn frame(&mut self, number: Option<u64>, again: bool, frame: &Value) {
        let frame = to_raw_value(frame).unwrap();
        self.write(&ToDaemon::Frame {
            number,
            again,
            frame,
        })
        .await;
    }

    /// Asks, and gives back where the answer comes.
    pub(super) async fn ask(&mut self, method: &str, params: Value) -> oneshot::Receiver<Value> {
        let number = self.next;
        self.next += 1;
        let frame = json!({ "jsonrpc": "2.0", "id": number, "method": method, "params": params });
        let (sender, receiver) = oneshot::channel();
        lock(&self.seen)
            .waiting
            .insert(number, (frame.clone(), Some(sender)));
        self.frame(Some(number), false, &frame).await;
        receiver
    }

    /// Asks and waits.
    pub(super) async fn request(&mut self, method: &str, params: Value) -> Result<Value, Value> {
        let answer = self.ask(method, params).await;
        outcome(answer).await
    }

    /// What the agent said in a session.
    pub(super) fn said(&self, session: &WorkSessionId) -> String {
        let seen = lock(&self.seen);
        seen.said.get(session.as_str()).cloned().unwrap_or_default()
    }

    /// It shows a session from its beginning: what it showed is gone.
    pub(super) fn clear(&self, session: &WorkSessionId) {
        lock(&self.seen).said.remove(session.as_str());
    }
}

/// The answer to a request.
pub(super) async fn outcome(answer: oneshot::Receiver<Value>) -> Result<Value, Value> {
    let limit = std::time::Duration::from_secs(20);
    let answer = tokio::time::timeout(limit, answer).await;
    let mut frame = answer.expect("an answer in time").expect("an answer");
    match frame.get("error") {
        Some(error) => Err(error.clone()),
        None => Ok(frame["result"].take()),
    }
}

fn take(seen: &Mutex<Seen>, line: ToShim) {
    let mut seen = lock(seen);
    match line {
        ToShim::Welcome { .. } => seen.welcomed += 1,
        ToShim::Opened { session } => {
            seen.open.entry(session).or_default();
        }
        ToShim::Closed { session } => {
            seen.open.remove(&session);
        }
        ToShim::Frame { at, frame } => {
            let frame: Value = serde_json::from_str(frame.get()).unwrap();
            if let Some(at) = at {
                let newest = seen.open.entry(at.session).or_default();
                if newest.is_some_and(|newest| newest >= at.index) {
                    return;
                }
                *newest = Some(at.index);
            }
            if let (Some(number), None) = (frame["id"].as_u64(), frame.get("method")) {
                if let Some((_, Some(sender))) = seen.waiting.remove(&number) {
                    let _ = sender.send(frame);
                }
            } else if let Some(text) = frame.pointer("/params/update/content/text") {
                let session = frame["params"]["sessionId"].as_str().unwrap().to_owned();
                let said = seen.said.entry(session).or_default();
                said.push_str(text.as_str().unwrap());
            }
        }
        ToShim::Refused { failure } => panic!("refused: {failure:?}"),
        ToShim::Detached { .. } => {}
    }
}
