//! A plain ACP client over the stdio of a child process: raw frames, so that tests see exactly
//! what an agent says. It serves files and permissions like a permissive editor.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// How to start an agent: the argument vector and the environment it needs beside `PATH`.
#[derive(Clone, Debug)]
pub struct AgentCommand {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// Environment, its own `HOME` among it.
    pub env: BTreeMap<String, String>,
}

impl AgentCommand {
    /// A command in `cwd` with a clean environment: only `PATH`, what the system itself needs, and
    /// `env`.
    #[must_use]
    pub fn command(&self, cwd: &Path) -> Command {
        let mut command = Command::new(&self.argv[0]);
        command.args(&self.argv[1..]).current_dir(cwd).env_clear();
        command.envs(crate::env::passed_through()).envs(&self.env);
        command
    }

    /// The same as one argument vector for a configuration that has no place for values: through
    /// `env` on Unix.
    #[must_use]
    pub fn self_contained(&self) -> Vec<String> {
        let mut argv = vec!["env".to_owned()];
        argv.extend(
            self.env
                .iter()
                .map(|(name, value)| format!("{name}={value}")),
        );
        argv.extend(self.argv.iter().cloned());
        argv
    }
}

/// A frame with the way it went.
#[derive(Clone, Debug)]
pub enum Frame {
    /// Client to agent.
    Sent(Value),
    /// Agent to client.
    Received(Value),
}

/// A connection to an agent process, which ends with it.
pub struct AcpClient {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<Value>,
    stderr: Arc<Mutex<String>>,
    root: PathBuf,
    next_id: u64,
    /// Everything sent and received, in order.
    pub frames: Vec<Frame>,
    /// Kind of the option chosen for each permission asked; `None` answers `cancelled`.
    pub permission: Option<&'static str>,
    /// Whether terminals are offered; their requests are then left to the test, see
    /// [`AcpClient::respond`].
    pub terminals: bool,
    /// Whether a missing file reads as empty. gemini-cli reads before it creates and takes any
    /// error, -32002 too, for a reason not to (google-gemini/gemini-cli#9280, #17588).
    pub missing_is_empty: bool,
}

impl AcpClient {
    /// Starts `agent` with `root` as its working directory and as the folder whose files it is
    /// served.
    ///
    /// # Panics
    /// When the program cannot be started.
    #[must_use]
    pub fn start(agent: &AgentCommand, root: &Path) -> Self {
        let mut child = agent
            .command(root)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {:?}: {error}", agent.argv));
        let (sender, lines) = channel();
        let stdout = BufReader::new(child.stdout.take().expect("stdout is piped"));
        std::thread::spawn(move || {
            // Not `lines()`: what is no text must not end the reading.
            for line in stdout.split(b'\n').map_while(Result::ok) {
                let frame = serde_json::from_slice(&line)
                    .unwrap_or_else(|_| json!({"not json": String::from_utf8_lossy(&line)}));
                if sender.send(frame).is_err() {
                    break;
                }
            }
        });
        let stderr = Arc::new(Mutex::new(String::new()));
        let (mut pipe, kept) = (
            child.stderr.take().expect("stderr is piped"),
            Arc::clone(&stderr),
        );
        std::thread::spawn(move || {
            let mut part = [0; 4096];
            while let Ok(length @ 1..) = pipe.read(&mut part) {
                let text = String::from_utf8_lossy(&part[..length]);
                kept.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push_str(&text);
            }
        });
        Self {
            stdin: child.stdin.take(),
            child,
            lines,
            stderr,
            root: root.to_owned(),
            next_id: 0,
            frames: Vec::new(),
            permission: Some("allow_once"),
            terminals: false,
            missing_is_empty: true,
        }
    }

    /// What the agent wrote to stderr so far.
    #[must_use]
    pub fn stderr(&self) -> String {
        self.stderr
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Process id of the agent.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    fn send(&mut self, frame: Value) {
        let line = format!("{frame}\n");
        if let Some(stdin) = &mut self.stdin {
            // A dead agent shows as a missing answer, with its stderr.
            let _ = stdin.write_all(line.as_bytes());
            let _ = stdin.flush();
        }
        self.frames.push(Frame::Sent(frame));
    }

    /// Sends a notification.
    pub fn notify(&mut self, method: &str, params: &Value) {
        self.send(json!({"jsonrpc": "2.0", "method": method, "params": params}));
    }

    /// Answers a request of the agent that a test took with [`AcpClient::serve_until`].
    pub fn respond(&mut self, request: &Value, result: &Value) {
        self.send(json!({"jsonrpc": "2.0", "id": request["id"], "result": result}));
    }

    /// Sends a request without waiting; [`AcpClient::answer`] collects its answer.
    pub fn send_request(&mut self, method: &str, params: &Value) -> u64 {
        self.next_id += 1;
        let id = self.next_id;
        self.send(json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}));
        id
    }

    /// Sends a request and serves the agent until the answer is there.
    ///
    /// # Errors
    /// The `error` member of the answer.
    ///
    /// # Panics
    /// When the agent ends or `limit` passes first; the message has its stderr.
    pub fn request(
        &mut self,
        method: &str,
        params: &Value,
        limit: Duration,
    ) -> Result<Value, Value> {
        let id = self.send_request(method, params);
        self.answer(id, limit)
    }

    /// Serves the agent until it answered request `id`.
    ///
    /// # Errors
    /// The `error` member of the answer.
    ///
    /// # Panics
    /// When the agent ends or `limit` passes first; the message has its stderr.
    pub fn answer(&mut self, id: u64, limit: Duration) -> Result<Value, Value> {
        let frame = self.serve_until(limit, |frame| {
            frame["id"] == id && frame["method"].is_null()
        });
        if frame["error"].is_null() {
            Ok(frame["result"].clone())
        } else {
            Err(frame["error"].clone())
        }
    }

    /// Serves the agent until it sends a frame that is `wanted`, and returns it.
    ///
    /// # Panics
    /// When the agent ends or `limit` passes first; the message has its stderr.
    pub fn serve_until(&mut self, limit: Duration, wanted: impl Fn(&Value) -> bool) -> Value {
        let until = Instant::now() + limit;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let frame = match self.lines.recv_timeout(left) {
                Ok(frame) => frame,
                Err(RecvTimeoutError::Timeout) => panic!(
                    "no answer in {limit:?}; last frames {:#?}; stderr:\n{}",
                    self.frames.iter().rev().take(5).collect::<Vec<_>>(),
                    self.stderr()
                ),
                Err(RecvTimeoutError::Disconnected) => {
                    panic!("the agent ended; stderr:\n{}", self.stderr())
                }
            };
            self.frames.push(Frame::Received(frame.clone()));
            if wanted(&frame) {
                return frame;
            }
            if let (Some(method), false) = (frame["method"].as_str(), frame["id"].is_null()) {
                let answer = self.serve(method, &frame["params"]);
                let mut response = json!({"jsonrpc": "2.0", "id": frame["id"]});
                match answer {
                    Ok(result) => response["result"] = result,
                    Err((code, message)) => {
                        response["error"] = json!({"code": code, "message": message});
                    }
                }
                self.send(response);
            }
        }
    }

    fn serve(&self, method: &str, params: &Value) -> Result<Value, (i32, String)> {
        let path = || -> Result<PathBuf, (i32, String)> {
            let path = PathBuf::from(params["path"].as_str().unwrap_or_default());
            if path.starts_with(&self.root) {
                return Ok(path);
            }
            Err((-32602, format!("outside the root: {}", path.display())))
        };
        match method {
            "fs/read_text_file" => match std::fs::read_to_string(path()?) {
                Ok(content) => Ok(json!({"content": content})),
                Err(error) if error.kind() == ErrorKind::NotFound && self.missing_is_empty => {
                    Ok(json!({"content": ""}))
                }
                Err(error) => Err((-32002, format!("Resource not found: {error}"))),
            },
            "fs/write_text_file" => {
                let path = path()?;
                let content = params["content"].as_str().unwrap_or_default();
                path.parent()
                    .map_or(Ok(()), std::fs::create_dir_all)
                    .and_then(|()| std::fs::write(&path, content))
                    .map(|()| Value::Null)
                    .map_err(|error| (-32603, error.to_string()))
            }
            "session/request_permission" => {
                let options = params["options"].as_array().cloned().unwrap_or_default();
                let chosen = self
                    .permission
                    .and_then(|kind| options.into_iter().find(|option| option["kind"] == kind));
                Ok(chosen.map_or_else(
                    || json!({"outcome": {"outcome": "cancelled"}}),
                    |option| json!({"outcome": {"outcome": "selected", "optionId": option["optionId"]}}),
                ))
            }
            _ => Err((-32601, format!("{method} is not served"))),
        }
    }

    /// `initialize` as a client that serves files if `files`.
    ///
    /// # Panics
    /// When the agent refuses.
    pub fn initialize(&mut self, files: bool) -> Value {
        let params = json!({
            "protocolVersion": 1,
            "clientCapabilities": {"fs": {"readTextFile": files, "writeTextFile": files}, "terminal": self.terminals},
            "clientInfo": {"name": "spectask-tests", "version": "0"},
        });
        self.request("initialize", &params, START_LIMIT)
            .unwrap_or_else(|error| panic!("initialize was refused: {error}"))
    }

    /// `session/new` in the root; the session id.
    ///
    /// # Panics
    /// When the agent refuses.
    pub fn new_session(&mut self) -> String {
        let params = json!({"cwd": self.root, "mcpServers": []});
        let answer = self
            .request("session/new", &params, START_LIMIT)
            .unwrap_or_else(|error| panic!("session/new was refused: {error}"));
        answer["sessionId"]
            .as_str()
            .expect("a session id")
            .to_owned()
    }

    /// `session/prompt` with one text; the answer.
    ///
    /// # Errors
    /// The `error` member of the answer.
    pub fn prompt(&mut self, session: &str, text: &str) -> Result<Value, Value> {
        let params = json!({"sessionId": session, "prompt": [{"type": "text", "text": text}]});
        self.request("session/prompt", &params, TURN_LIMIT)
    }

    /// Methods of the requests the agent made, in order.
    #[must_use]
    pub fn asked(&self) -> Vec<String> {
        self.received()
            .filter(|frame| !frame["id"].is_null())
            .filter_map(|frame| frame["method"].as_str().map(str::to_owned))
            .collect()
    }

    /// The `update` members of all `session/update` notifications, in order.
    #[must_use]
    pub fn updates(&self) -> Vec<Value> {
        self.received()
            .filter(|frame| frame["method"] == "session/update")
            .map(|frame| frame["params"]["update"].clone())
            .collect()
    }

    /// All message text of the agent, joined.
    #[must_use]
    pub fn said(&self) -> String {
        self.updates()
            .iter()
            .filter(|update| update["sessionUpdate"] == "agent_message_chunk")
            .filter_map(|update| update["content"]["text"].as_str())
            .collect()
    }

    fn received(&self) -> impl Iterator<Item = &Value> {
        self.frames.iter().filter_map(|frame| match frame {
            Frame::Received(frame) => Some(frame),
            Frame::Sent(_) => None,
        })
    }

    /// Closes stdin and waits for the agent's end; kills it when `limit` passes.
    pub fn close(&mut self, limit: Duration) -> Option<ExitStatus> {
        drop(self.stdin.take());
        let until = Instant::now() + limit;
        while Instant::now() < until {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Some(status);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        None
    }
}

impl Drop for AcpClient {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Longest wait for an agent to start, on a busy two-core machine.
pub const START_LIMIT: Duration = Duration::from_secs(120);
/// Longest wait for a scripted turn.
pub const TURN_LIMIT: Duration = Duration::from_secs(180);
