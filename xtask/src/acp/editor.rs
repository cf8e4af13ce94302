//! An editor of a few lines, which looks at the clock.

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::Duration,
};

use serde_json::{Value, json};

use super::agent::now;

/// An editor with one agent process.
pub(super) struct Editor {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    session: String,
    requests: u32,
}

impl Editor {
    pub(super) fn start(mut command: Command) -> Result<Self, String> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command
            .spawn()
            .map_err(|error| format!("{command:?}: {error}"))?;
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err("no pipes".to_owned());
        };
        Ok(Self {
            child,
            stdin: Some(stdin),
            stdout: BufReader::with_capacity(64 << 10, stdout),
            session: String::new(),
            requests: 0,
        })
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(super) fn initialize(&mut self) -> Result<(), String> {
        let params = json!({ "protocolVersion": 1, "clientCapabilities": {}, "clientInfo": { "name": "bench", "version": "1" } });
        self.request("initialize", &params, |_| {})?;
        Ok(())
    }

    /// Initialises and opens a session in a folder.
    pub(super) fn open(&mut self, cwd: &Path) -> Result<(), String> {
        self.initialize()?;
        let params = json!({ "cwd": cwd, "mcpServers": [] });
        let answer = self.request("session/new", &params, |_| {})?;
        let session = answer["sessionId"].as_str();
        session.unwrap_or_default().clone_into(&mut self.session);
        Ok(())
    }

    /// Prompts, and tells how long each stamped update was on its way.
    pub(super) fn prompt(&mut self, text: &str, heard: impl FnMut(Duration)) -> Result<(), String> {
        let prompt = json!([{ "type": "text", "text": text }]);
        let params = json!({ "sessionId": self.session, "prompt": prompt });
        self.request("session/prompt", &params, heard)?;
        Ok(())
    }

    fn request(
        &mut self,
        method: &str,
        params: &Value,
        mut heard: impl FnMut(Duration),
    ) -> Result<Value, String> {
        self.requests += 1;
        let id = format!("bench-{}", self.requests);
        let frame = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        let broken = |error: std::io::Error| format!("{method}: {error}");
        let stdin = self.stdin.as_mut().ok_or("closed")?;
        writeln!(stdin, "{frame}").map_err(broken)?;
        let mut line = String::new();
        loop {
            line.clear();
            if self.stdout.read_line(&mut line).map_err(broken)? == 0 {
                return Err(format!("{method}: the agent ended"));
            }
            let read = now();
            let mut frame: Value =
                serde_json::from_str(&line).map_err(|error| format!("{error}: {line}"))?;
            if frame["id"] == id.as_str() {
                if frame.get("error").is_some() {
                    return Err(format!("{method}: {}", frame["error"]));
                }
                return Ok(frame["result"].take());
            }
            let text = frame["params"]["update"]["content"]["text"].as_str();
            let stamp = text.and_then(|text| text.strip_prefix("at ")?.split(' ').next());
            if let Some(sent) = stamp.and_then(|stamp| stamp.parse::<u64>().ok()) {
                heard(Duration::from_nanos(read.saturating_sub(sent)));
            }
        }
    }
}

impl Drop for Editor {
    fn drop(&mut self) {
        drop(self.stdin.take());
        let _ = self.child.wait();
    }
}
