//! Terminals for agents, without a screen.

use std::collections::HashMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

#[derive(Clone)]
pub(super) struct Terminal {
    child: Arc<Mutex<Child>>,
    output: Arc<Mutex<String>>,
}

pub(super) struct Terminals {
    project: PathBuf,
    open: HashMap<String, Terminal>,
    next: u64,
}

impl Terminals {
    pub(super) fn new(project: &Path) -> Self {
        Self {
            project: project.to_owned(),
            open: HashMap::new(),
            next: 0,
        }
    }

    pub(super) fn create(&mut self, params: &Value) -> Result<Value, String> {
        let args = params["args"].as_array().into_iter().flatten();
        let mut command = Command::new(params["command"].as_str().unwrap_or_default());
        command.args(args.filter_map(Value::as_str));
        command.current_dir(params["cwd"].as_str().map_or(&*self.project, Path::new));
        for variable in params["env"].as_array().into_iter().flatten() {
            let part = |name: &str| variable[name].as_str().unwrap_or_default().to_owned();
            command.env(part("name"), part("value"));
        }
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| error.to_string())?;
        let output = Arc::new(Mutex::new(String::new()));
        if let Some(mut pipe) = child.stdout.take() {
            let kept = Arc::clone(&output);
            std::thread::spawn(move || {
                let mut part = [0; 4096];
                while let Ok(length @ 1..) = pipe.read(&mut part) {
                    let text = String::from_utf8_lossy(&part[..length]).into_owned();
                    kept.lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push_str(&text);
                }
            });
        }
        self.next += 1;
        let id = format!("terminal-{}", self.next);
        let child = Arc::new(Mutex::new(child));
        self.open.insert(id.clone(), Terminal { child, output });
        Ok(json!({"terminalId": id}))
    }

    pub(super) fn get(&self, params: &Value) -> Option<Terminal> {
        self.open.get(params["terminalId"].as_str()?).cloned()
    }

    pub(super) fn release(&mut self, params: &Value) {
        if let Some(terminal) = params["terminalId"]
            .as_str()
            .and_then(|id| self.open.remove(id))
        {
            terminal.kill();
        }
    }
}

impl Drop for Terminals {
    fn drop(&mut self) {
        for terminal in self.open.values() {
            terminal.kill();
        }
    }
}

impl Terminal {
    fn exit(&self) -> Option<Value> {
        use std::os::unix::process::ExitStatusExt;
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        let status = child.try_wait().ok()??;
        Some(
            json!({"exitCode": status.code(), "signal": status.signal().map(|signal| signal.to_string())}),
        )
    }

    pub(super) fn kill(&self) {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = child.kill();
    }

    pub(super) fn output(&self) -> Value {
        let output = self
            .output
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        json!({"output": output, "truncated": false, "exitStatus": self.exit()})
    }

    pub(super) fn wait(&self) -> Value {
        loop {
            if let Some(exit) = self.exit() {
                return exit;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}
