//! An ACP agent that misbehaves on command, to show what the product stops and what it reports.
//!
//! It plans two honest tasks. In an implementing turn it plays its tricks, writes the file the task
//! asks for and says so. Options, each also as a variable (`ADVERSARY`, `ADVERSARY_LOG`,
//! `SPECTASK_BIN`, `ADVERSARY_TASK`, `ADVERSARY_OUTSIDE`):
//!
//! - `--do LIST`: comma list of tricks, see [`tricks`].
//! - `--log FILE`: one JSON line per attempt with what came of it.
//! - `--spectask PROGRAM`: for the tricks that run the product.
//! - `--task NUMBER`: misbehaves in this implementation task only.
//! - `--outside FOLDER`: where it tries to escape to; default the parent of its root.
#![allow(clippy::print_stderr)]

mod peer;
mod tricks;

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use spectask_tests::documents;

use peer::{Incoming, Peer};

/// What the command line and the environment ask for.
struct Orders {
    tricks: Vec<String>,
    log: Option<PathBuf>,
    spectask: String,
    only_task: Option<String>,
    outside: Option<PathBuf>,
}

impl Orders {
    fn read() -> Self {
        let args: Vec<String> = std::env::args().collect();
        let get = |option: &str, variable: &str| {
            let given = args.iter().position(|arg| arg == option);
            given
                .and_then(|at| args.get(at + 1).cloned())
                .or_else(|| std::env::var(variable).ok())
        };
        Self {
            tricks: get("--do", "ADVERSARY")
                .unwrap_or_default()
                .split(',')
                .filter(|trick| !trick.is_empty())
                .map(str::to_owned)
                .collect(),
            log: get("--log", "ADVERSARY_LOG").map(PathBuf::from),
            spectask: get("--spectask", "SPECTASK_BIN").unwrap_or_else(|| "spectask".to_owned()),
            only_task: get("--task", "ADVERSARY_TASK"),
            outside: get("--outside", "ADVERSARY_OUTSIDE").map(PathBuf::from),
        }
    }

    fn has(&self, trick: &str) -> bool {
        self.tricks.iter().any(|given| given == trick)
    }

    /// The value of a trick written as `name=value`.
    fn value(&self, name: &str) -> Option<&str> {
        self.tricks
            .iter()
            .find_map(|trick| trick.strip_prefix(name)?.strip_prefix('='))
    }
}

/// One turn: the block of its prompt and where it works.
struct Turn {
    session: String,
    block: Value,
    root: PathBuf,
}

impl Turn {
    fn text(&self, field: &str) -> String {
        match &self.block[field] {
            Value::String(text) => text.clone(),
            Value::Null => String::new(),
            other => other.to_string(),
        }
    }

    fn document(&self, name: &str) -> PathBuf {
        self.root.join(self.text("folder")).join(name)
    }
}

fn main() {
    let orders = Orders::read();
    let mut peer = Peer::new(orders.log.clone());
    let mut root = PathBuf::from(".");
    while let Some(Incoming { id, method, params }) = peer.next() {
        let answer = match method.as_str() {
            "initialize" => {
                peer.writes_files = params["clientCapabilities"]["fs"]["writeTextFile"] == true;
                Ok(json!({
                    "protocolVersion": 1,
                    "agentCapabilities": {"loadSession": false},
                    "agentInfo": {"name": "adversary", "version": env!("CARGO_PKG_VERSION")},
                    "authMethods": [{"id": "none", "name": "There is no way in"}],
                }))
            }
            "session/new" if orders.has("needs-auth") => {
                Err(json!({"code": -32000, "message": "Authentication required"}))
            }
            "session/new" => {
                root = PathBuf::from(params["cwd"].as_str().unwrap_or("."));
                Ok(json!({"sessionId": format!("adversary-{}", std::process::id())}))
            }
            "session/prompt" => Ok(prompt(&mut peer, &orders, &root, &params)),
            _ => Err(json!({"code": -32601, "message": format!("{method} is not known")})),
        };
        if let Some(id) = id {
            peer.answer(&id, answer);
        }
    }
}

fn prompt(peer: &mut Peer, orders: &Orders, root: &Path, params: &Value) -> Value {
    let text: String = params["prompt"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|part| part["text"].as_str())
        .collect();
    let block = text
        .rsplit_once("```spectask")
        .and_then(|(_, tail)| tail.split_once("```"))
        .and_then(|(block, _)| serde_json::from_str(block.trim()).ok())
        .unwrap_or(Value::Null);
    let turn = Turn {
        session: params["sessionId"].as_str().unwrap_or_default().to_owned(),
        root: block["root"]
            .as_str()
            .map_or_else(|| root.to_owned(), PathBuf::from),
        block,
    };
    peer.begin(&turn.session);
    let stop = match turn.text("kind").as_str() {
        "plan" | "revise" => plan(peer, orders, &turn),
        "implement" | "fix" | "continue" => implement(peer, orders, &turn),
        kind => {
            peer.say(&format!("Nothing to do for {kind:?}."));
            "end_turn".to_owned()
        }
    };
    let stop = if peer.cancelled {
        "cancelled".to_owned()
    } else {
        stop
    };
    json!({"stopReason": stop})
}

fn plan(peer: &mut Peer, orders: &Orders, turn: &Turn) -> String {
    let right = !orders.has("bad-plan");
    let requirements = documents::requirements(&turn.text("prompt"), right);
    let tasks = documents::tasks(&turn.text("task"), false);
    peer.write(&turn.document("requirements.md"), &requirements);
    peer.write(&turn.document("design.md"), &documents::design(&[]));
    peer.write(&turn.document("tasks.md"), &tasks);
    if orders.has("early") {
        tricks::play(peer, orders, turn);
    }
    peer.say("Planned two tasks.");
    "end_turn".to_owned()
}

fn implement(peer: &mut Peer, orders: &Orders, turn: &Turn) -> String {
    let number = turn.text("number");
    let concerned = orders.only_task.as_ref().is_none_or(|only| *only == number);
    if concerned {
        tricks::play(peer, orders, turn);
    }
    if !(concerned && orders.has("empty")) {
        let note = format!("notes/{}/task-{number}.md", turn.text("task"));
        let content = format!("# Task {number}\n\n{}\n", turn.text("title"));
        peer.write(&turn.root.join(note), &content);
    }
    peer.say(&format!("Task {number} is implemented and ticked."));
    let stop = orders.value("stop").filter(|_| concerned);
    stop.unwrap_or("end_turn").to_owned()
}
