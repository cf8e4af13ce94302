//! What a prompt can order.
//!
//! - `chunks N [MS]`: N pieces of text, with a pause; `flood N`: the same in one go.
//! - `think`, `tool`, `plan`, `usage`, `title TEXT`, `mode ID`, `options`, `vendor`: one update (`tool`: three).
//! - `ask [N]`: N permissions at once, and what was decided.
//! - `read PATH`, `write PATH TEXT`, `terminal COMMAND`: through the client.
//! - `wait PATH`: until that file is there; `sleep-until-cancel`: until a cancel.
//! - `recall`: every prompt of the conversation before this one.
//! - `refuse`: an error; `hang`: no answer ever; `crash`, `exit`: the end of the process.
//! - Anything else is said again.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use serde_json::{Value, json};

use crate::agent::Agent;

struct Turn<'a> {
    agent: &'a Agent,
    session: &'a str,
    number: usize,
    said: usize,
    before: Vec<String>,
    reply: String,
    cancelled: &'a AtomicBool,
}

/// The text a person typed: the last block, as context comes before.
fn typed(params: &Value) -> String {
    let blocks = params["prompt"].as_array().into_iter().flatten();
    let last = blocks
        .filter_map(|block| block["text"].as_str())
        .next_back();
    last.unwrap_or_default().to_owned()
}

pub(crate) fn turn(
    agent: &Agent,
    session: &str,
    params: &Value,
    cancelled: &AtomicBool,
) -> Result<Value, Value> {
    let text = typed(params);
    let mut before = Vec::new();
    agent.memory.change(session, |kept| {
        if let Some(turns) = kept["turns"].as_array_mut() {
            before = turns
                .iter()
                .filter_map(|turn| turn["prompt"].as_str().map(str::to_owned))
                .collect();
            turns.push(json!({"prompt": text}));
        }
    });
    let mut turn = Turn {
        agent,
        session,
        number: before.len() + 1,
        said: 0,
        before,
        reply: String::new(),
        cancelled,
    };
    for order in text
        .split(';')
        .map(str::trim)
        .filter(|order| !order.is_empty())
    {
        if turn.is_cancelled() {
            break;
        }
        turn.obey(order)?;
    }
    turn.mark("end");
    let stop = if turn.is_cancelled() {
        "cancelled"
    } else {
        "end_turn"
    };
    let at = turn.number - 1;
    agent.memory.change(session, |kept| {
        kept["turns"][at]["reply"] = json!(turn.reply);
    });
    Ok(json!({"stopReason": stop}))
}

impl Turn<'_> {
    fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::SeqCst)
    }

    fn update(&self, update: &Value) {
        self.agent.wire.update(self.session, update);
    }

    fn mark(&mut self, mark: &str) {
        let text = format!("[t{}-{mark}] ", self.number);
        self.reply.push_str(&text);
        self.text("agent_message_chunk", &text);
    }

    fn text(&self, kind: &str, text: &str) {
        self.update(&json!({
            "sessionUpdate": kind,
            "messageId": format!("m-{}-{}-{kind}", self.session, self.number),
            "content": {"type": "text", "text": text},
        }));
    }

    /// A numbered piece of text.
    fn say(&mut self, text: &str) {
        self.said += 1;
        let text = format!("[t{}-c{}] {text}", self.number, self.said);
        self.reply.push_str(&text);
        self.text("agent_message_chunk", &text);
    }

    fn pause(&self, milliseconds: u64) {
        for _ in 0..milliseconds {
            if self.is_cancelled() {
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn obey(&mut self, order: &str) -> Result<(), Value> {
        let (word, rest) = order.split_once(' ').unwrap_or((order, ""));
        let mut numbers = rest.split(' ').map_while(|part| part.parse::<u64>().ok());
        match word {
            "chunks" | "flood" => {
                let count = numbers.next().unwrap_or(3);
                let pause = numbers.next().unwrap_or(0);
                for _ in 0..count {
                    if self.is_cancelled() {
                        break;
                    }
                    self.say("");
                    self.pause(pause);
                }
            }
            "think" => self.text("agent_thought_chunk", "Hm."),
            "tool" => self.tool(),
            "plan" => self.plan(),
            "usage" => self.update(&json!({"sessionUpdate": "usage_update", "used": 1000 * self.number, "size": 200_000})),
            "title" => {
                self.agent.memory.change(self.session, |kept| kept["title"] = json!(rest));
                self.update(&json!({"sessionUpdate": "session_info_update", "title": rest}));
            }
            "mode" => {
                self.agent.memory.change(self.session, |kept| kept["mode"] = json!(rest));
                self.update(&json!({"sessionUpdate": "current_mode_update", "currentModeId": rest}));
            }
            "options" => {
                self.agent.memory.change(self.session, |kept| kept["loud"] = json!(true));
                let options = self.agent.options(self.session);
                self.update(&json!({"sessionUpdate": "config_option_update", "configOptions": options}));
            }
            "vendor" => {
                let params = json!({"sessionId": self.session, "much": [1, {"two": 3.5}]});
                self.agent.wire.send(&json!({"jsonrpc": "2.0", "method": "_echo/noted", "params": params}));
            }
            "ask" => self.ask(numbers.next().unwrap_or(1)),
            "read" => {
                let answer = self.request("fs/read_text_file", json!({"path": rest}));
                self.say(&format!("read: {}", shown(&answer, "content")));
            }
            "write" => {
                let (path, text) = rest.split_once(' ').unwrap_or((rest, ""));
                let answer = self.request("fs/write_text_file", json!({"path": path, "content": text}));
                self.say(&format!("written: {}", answer["error"].is_null()));
            }
            "terminal" => self.terminal(rest),
            "wait" => {
                self.say("waiting");
                while !Path::new(rest).exists() && !self.is_cancelled() {
                    std::thread::sleep(Duration::from_millis(2));
                }
            }
            "sleep-until-cancel" => {
                self.say("sleeping");
                while !self.is_cancelled() {
                    std::thread::sleep(Duration::from_millis(2));
                }
            }
            "recall" => {
                let before = self.before.join(" | ");
                self.say(&format!("remembered: {before}"));
            }
            "refuse" => return Err(json!({"code": -32603, "message": "I will not", "data": {"details": "for a reason"}})),
            "hang" => {
                self.say("hanging");
                loop {
                    std::thread::park();
                }
            }
            "crash" => {
                self.say("crashing");
                std::process::abort();
            }
            "exit" => {
                self.say("leaving");
                std::process::exit(3);
            }
            _ => self.say(order),
        }
        Ok(())
    }

    fn tool(&mut self) {
        self.said += 1;
        let id = format!("t{}-call{}", self.number, self.said);
        let path = "/project/notes.txt";
        self.update(&json!({"sessionUpdate": "tool_call", "toolCallId": id, "title": "Edit notes",
            "kind": "edit", "status": "pending", "locations": [{"path": path, "line": 3}], "rawInput": {"path": path}}));
        self.update(&json!({"sessionUpdate": "tool_call_update", "toolCallId": id, "status": "in_progress"}));
        self.update(
            &json!({"sessionUpdate": "tool_call_update", "toolCallId": id, "status": "completed",
            "content": [{"type": "diff", "path": path, "oldText": "a\n", "newText": "b\n"},
                {"type": "content", "content": {"type": "text", "text": "done"}}],
            "rawOutput": {"ok": true}}),
        );
        self.said -= 1;
        self.say("tool done");
    }

    fn plan(&self) {
        let entry = |content: &str, status: &str| json!({"content": content, "priority": "medium", "status": status});
        let entries = [
            entry("Think", "completed"),
            entry("Write", "in_progress"),
            entry("Check", "pending"),
        ];
        self.update(&json!({"sessionUpdate": "plan", "entries": entries}));
    }

    fn send(&self, method: &str, mut params: Value) -> (String, Receiver<Value>) {
        params["sessionId"] = json!(self.session);
        self.agent.wire.request(method, &params)
    }

    fn request(&self, method: &str, params: Value) -> Value {
        let (id, answer) = self.send(method, params);
        self.wait(&id, &answer)
    }

    /// The answer, a `null` without one. A cancel withdraws nothing: the client answers.
    fn wait(&self, _id: &str, answer: &Receiver<Value>) -> Value {
        loop {
            match answer.recv_timeout(Duration::from_millis(50)) {
                Ok(answer) => return answer,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Value::Null,
            }
        }
    }

    fn ask(&mut self, count: u64) {
        let asked: Vec<_> = (0..count)
            .map(|at| {
                let call = json!({"toolCallId": format!("t{}-ask{at}", self.number), "kind": "execute",
                    "title": format!("Run part {at}"), "status": "pending"});
                let options = json!([
                    {"optionId": "yes", "name": "Yes", "kind": "allow_once"},
                    {"optionId": "always", "name": "Always", "kind": "allow_always"},
                    {"optionId": "no", "name": "No", "kind": "reject_once"},
                ]);
                self.send("session/request_permission", json!({"toolCall": call, "options": options}))
            })
            .collect();
        for (at, (id, answer)) in asked.iter().enumerate() {
            let answer = self.wait(id, answer);
            let outcome = &answer["result"]["outcome"];
            let said = outcome["optionId"].as_str().or(outcome["outcome"].as_str());
            let said = said.map_or_else(|| answer["error"]["code"].to_string(), str::to_owned);
            self.say(&format!("decided {at}: {said}"));
        }
    }

    fn terminal(&mut self, command: &str) {
        let created = self.request(
            "terminal/create",
            json!({"command": "sh", "args": ["-c", command]}),
        );
        let terminal = created["result"]["terminalId"].clone();
        if terminal.is_null() {
            self.say(&format!("no terminal: {created}"));
            return;
        }
        let of = json!({"terminalId": terminal});
        let exit = self.request("terminal/wait_for_exit", of.clone());
        let output = self.request("terminal/output", of.clone());
        let _ = self.request("terminal/release", of);
        self.say(&format!(
            "exit {}: {}",
            exit["result"]["exitCode"],
            shown(&output, "output")
        ));
    }
}

fn shown(answer: &Value, member: &str) -> String {
    let text = answer["result"][member]
        .as_str()
        .map(|text| text.trim().to_owned());
    text.unwrap_or_else(|| answer["error"].to_string())
}
