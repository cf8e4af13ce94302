//! The adversary's end of the wire: raw JSON-RPC lines on stdin and stdout.

use std::collections::VecDeque;
use std::fs::OpenOptions;
use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

pub(crate) struct Incoming {
    pub(crate) id: Option<Value>,
    pub(crate) method: String,
    pub(crate) params: Value,
}

pub(crate) struct Peer {
    log: Option<PathBuf>,
    session: String,
    waiting: VecDeque<Incoming>,
    next_id: u64,
    /// Whether the client offered `fs/write_text_file`.
    pub(crate) writes_files: bool,
    /// Whether `session/cancel` came since the turn began.
    pub(crate) cancelled: bool,
}

impl Peer {
    pub(crate) fn new(log: Option<PathBuf>) -> Self {
        Self {
            log,
            session: String::new(),
            waiting: VecDeque::new(),
            next_id: 0,
            writes_files: false,
            cancelled: false,
        }
    }

    pub(crate) fn begin(&mut self, session: &str) {
        session.clone_into(&mut self.session);
        self.cancelled = false;
    }

    pub(crate) fn next(&mut self) -> Option<Incoming> {
        loop {
            if let Some(incoming) = self.waiting.pop_front() {
                return Some(incoming);
            }
            self.read()?;
        }
    }

    /// Reads one line; an answer is returned, anything else queued. `None` at the end of input.
    fn read(&mut self) -> Option<Option<Value>> {
        let mut line = String::new();
        if std::io::stdin().lock().read_line(&mut line).ok()? == 0 {
            return None;
        }
        let frame: Value = serde_json::from_str(&line).unwrap_or(Value::Null);
        let Some(method) = frame["method"].as_str() else {
            return Some(Some(frame));
        };
        if method == "session/cancel" {
            self.cancelled = true;
        } else {
            self.waiting.push_back(Incoming {
                id: frame.get("id").cloned(),
                method: method.to_owned(),
                params: frame["params"].clone(),
            });
        }
        Some(None)
    }

    pub(crate) fn raw(&self, line: &[u8]) {
        let mut stdout = std::io::stdout().lock();
        // The end of the pipe is the end of this process; nothing is left to do about it.
        let _ = stdout.write_all(line);
        let _ = stdout.write_all(b"\n");
        let _ = stdout.flush();
    }

    pub(crate) fn send(&self, frame: &Value) {
        self.raw(frame.to_string().as_bytes());
    }

    pub(crate) fn answer(&self, id: &Value, answer: Result<Value, Value>) {
        let (member, value) = match answer {
            Ok(result) => ("result", result),
            Err(error) => ("error", error),
        };
        self.send(&json!({"jsonrpc": "2.0", "id": id, member: value}));
    }

    /// Sends a request and waits for its answer, the whole frame; ends with the client.
    pub(crate) fn request(&mut self, method: &str, mut params: Value) -> Value {
        self.next_id += 1;
        let id = format!("adversary-{}", self.next_id);
        params["sessionId"] = json!(self.session);
        self.send(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}));
        loop {
            match self.read() {
                None => std::process::exit(0),
                Some(Some(frame)) if frame["id"] == id => return frame,
                Some(_) => {}
            }
        }
    }

    pub(crate) fn update(&self, update: &Value) {
        let params = json!({"sessionId": self.session, "update": update});
        self.send(&json!({"jsonrpc": "2.0", "method": "session/update", "params": params}));
    }

    pub(crate) fn say(&self, text: &str) {
        let content = json!({"type": "text", "text": text});
        self.update(&json!({"sessionUpdate": "agent_message_chunk", "content": content}));
    }

    /// Writes a file honestly: through the client where it serves files, else itself.
    pub(crate) fn write(&mut self, path: &Path, content: &str) {
        if self.writes_files {
            let answer = self.write_through_client(path, content);
            if answer["error"].is_null() {
                return;
            }
            eprintln!(
                "writing {} was refused: {}",
                path.display(),
                answer["error"]
            );
            return;
        }
        let written = path
            .parent()
            .map_or(Ok(()), std::fs::create_dir_all)
            .and_then(|()| std::fs::write(path, content));
        if let Err(error) = written {
            eprintln!("writing {} failed: {error}", path.display());
        }
    }

    pub(crate) fn write_through_client(&mut self, path: &Path, content: &str) -> Value {
        self.request(
            "fs/write_text_file",
            json!({"path": path, "content": content}),
        )
    }

    /// Records an attempt and its outcome.
    pub(crate) fn log(&self, trick: &str, attempt: &str, outcome: &Value) {
        let Some(path) = &self.log else {
            return;
        };
        let line = json!({"trick": trick, "attempt": attempt, "outcome": outcome});
        let file = OpenOptions::new().create(true).append(true).open(path);
        if let Err(error) = file.and_then(|mut file| file.write_all(format!("{line}\n").as_bytes()))
        {
            eprintln!("the log {} cannot be written: {error}", path.display());
        }
    }
}
