//! Lines on stdin and stdout, logged; requests of the agent wait for their answers here.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, Write};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

pub(crate) struct Wire {
    out: Mutex<Out>,
}

struct Out {
    log: Option<File>,
    next: u64,
    waiting: HashMap<String, Sender<Value>>,
}

impl Wire {
    pub(crate) fn new(log: Option<PathBuf>) -> Self {
        let log = log.and_then(|path| {
            let file = OpenOptions::new().create(true).append(true).open(&path);
            file.inspect_err(|error| eprintln!("no log {}: {error}", path.display()))
                .ok()
        });
        let out = Out {
            log,
            next: 0,
            waiting: HashMap::new(),
        };
        Self {
            out: Mutex::new(out),
        }
    }

    fn out(&self) -> std::sync::MutexGuard<'_, Out> {
        self.out.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next request or notification; answers go to who waits for them.
    pub(crate) fn read(&self) -> Option<Value> {
        loop {
            let mut line = String::new();
            if std::io::stdin().lock().read_line(&mut line).ok()? == 0 {
                return None;
            }
            let frame: Value = serde_json::from_str(&line).unwrap_or(Value::Null);
            let mut out = self.out();
            out.log("in", &frame);
            if frame["method"].is_string() {
                return Some(frame);
            }
            let id = frame["id"].as_str().unwrap_or_default().to_owned();
            if let Some(waiting) = out.waiting.remove(&id) {
                // Who asked may be gone.
                let _ = waiting.send(frame);
            }
        }
    }

    pub(crate) fn send(&self, frame: &Value) {
        self.out().send(frame);
    }

    /// Sends a request; its id, and where its answer comes.
    pub(crate) fn request(&self, method: &str, params: &Value) -> (String, Receiver<Value>) {
        let (sender, receiver) = channel();
        let mut out = self.out();
        out.next += 1;
        let id = format!("echo-{}", out.next);
        out.waiting.insert(id.clone(), sender);
        out.send(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}));
        (id, receiver)
    }

    pub(crate) fn answer(&self, id: &Value, answer: Result<Value, Value>) {
        let (member, value) = match answer {
            Ok(result) => ("result", result),
            Err(error) => ("error", error),
        };
        self.send(&json!({"jsonrpc": "2.0", "id": id, member: value}));
    }

    pub(crate) fn update(&self, session: &str, update: &Value) {
        let params = json!({"sessionId": session, "update": update});
        self.send(&json!({"jsonrpc": "2.0", "method": "session/update", "params": params}));
    }
}

impl Out {
    fn log(&mut self, dir: &str, frame: &Value) {
        if let Some(log) = &mut self.log {
            let line = json!({"pid": std::process::id(), "dir": dir, "frame": frame});
            let _ = log.write_all(format!("{line}\n").as_bytes());
        }
    }

    fn send(&mut self, frame: &Value) {
        self.log("out", frame);
        let mut stdout = std::io::stdout().lock();
        // The end of the pipe is the end of this process; nothing is left to do about it.
        let _ = stdout.write_all(format!("{frame}\n").as_bytes());
        let _ = stdout.flush();
    }
}
