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

#[tokio::test]
async fn initialize_tells_what_is_served_and_reads_what_is_offered() {
    let (agent, _stub, request, _place) = connect_as(
        |profile| profile.command = vec!["prog".into(), "--acp".into()],
        json!({
            "agentInfo": {"name": "Stub", "version": "1.2"},
            "agentCapabilities": {"loadSession": true, "sessionCapabilities": {"resume": {}, "list": {}}},
            "authMethods": [
                {"id": "key", "name": "API key", "description": "d"},
                {"id": "term", "name": "Terminal", "type": "terminal", "args": ["login"], "env": {"A": "1"}},
                {"id": "old", "name": "Old", "_meta": {"terminal-auth": {"command": "x", "args": ["y"]}}},
                {"broken": true},
            ],
            "novel": 1,
        }),
    )
    .await;
    assert_eq!(request["params"]["protocolVersion"], 1);
    let served = &request["params"]["clientCapabilities"];
    assert_eq!(served["fs"]["readTextFile"], true);
    assert_eq!(served["fs"]["writeTextFile"], true);
    assert_eq!(served["terminal"], true);
    assert_eq!(request["params"]["clientInfo"]["name"], "spectask");
    let agent = agent.unwrap();
    let info = agent.info();
    assert_eq!(
        (info.name.as_deref(), info.version.as_deref()),
        (Some("Stub"), Some("1.2"))
    );
    assert_eq!(
        (info.load_session, info.resume, info.close, info.list),
        (true, true, false, true)
    );
    assert_eq!(info.raw["novel"], 1);
    let logins: Vec<_> = info
        .auth_methods
        .iter()
        .map(|m| (m.id.as_str(), m.login.clone()))
        .collect();
    let command = |argv: &[&str], env: &[(&str, &str)]| {
        let argv = argv.iter().map(|&word| word.to_owned()).collect();
        let env = env
            .iter()
            .map(|&(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        Some(LoginCommand { argv, env })
    };
    let expected = [
        ("key", None),
        ("term", command(&["prog", "--acp", "login"], &[("A", "1")])),
        ("old", command(&["x", "y"], &[])),
    ];
    assert_eq!(logins, expected);
}

#[tokio::test]
async fn another_version_of_the_protocol_is_an_error() {
    let (agent, ..) = connect_as(|_| {}, json!({"protocolVersion": 2})).await;
    insta::assert_snapshot!(agent.err().unwrap(), @"agent stub broke the protocol: it speaks version 2 of ACP, SpecTask speaks version 1");
    let (agent, ..) = connect_as(|_| {}, json!({"protocolVersion": "one"})).await;
    assert!(matches!(agent.err().unwrap(), AgentError::Protocol { .. }));
}

#[tokio::test]
async fn a_turn_with_updates() {
    let mut place = place().await;
    let file = place.root.join("src/x.rs");
    let end = place
        .turn(async |stub, request| {
            assert_eq!(request["params"]["prompt"], json!([{"type": "text", "text": "do it"}]));
            let chunk = json!({"type": "text", "text": "hm"});
            stub.update(json!({"sessionUpdate": "agent_thought_chunk", "content": chunk})).await;
            stub.update(json!({"sessionUpdate": "tool_call", "toolCallId": "t", "title": "Edit", "kind": "edit", "locations": [{"path": file}]})).await;
            stub.update(json!({"sessionUpdate": "tool_call_update", "toolCallId": "t", "status": "in_progress"})).await;
            stub.update(json!({"sessionUpdate": "tool_call_update", "toolCallId": "t", "status": "completed"})).await;
            stub.update(json!({"sessionUpdate": "novel_update", "x": 1})).await;
            stub.answer(&request, json!({"stopReason": "end_turn", "usage": {"x": 1}})).await;
        })
        .await
        .unwrap();
    assert_eq!((end.stop_reason, end.killed), (StopReason::EndTurn, false));
    assert_eq!(end.raw["usage"]["x"], 1);
    let seen = place.recorder.updates.lock().unwrap().clone();
    let edit = Some("edit src/x.rs".to_owned());
    let expected = [
        (
            "agent_thought_chunk".to_owned(),
            Some("thinking".to_owned()),
            false,
        ),
        ("tool_call".to_owned(), edit.clone(), false),
        ("tool_call_update".to_owned(), edit, false),
        ("tool_call_update".to_owned(), None, false),
        ("novel_update".to_owned(), None, false),
    ];
    assert_eq!(seen, expected);
    let log = place.recorder.log.lock().unwrap().join("\n");
    insta::assert_snapshot!(log, @r"
    > initialize
    < answer
    > session/new
    < answer
    > session/prompt
    < session/update
    < session/update
    < session/update
    < session/update
    < session/update
    < answer
    ");
}

#[tokio::test]
async fn every_stop_reason_is_told_apart() {
    let mut place = place().await;
    let reasons = [
        ("max_tokens", StopReason::MaxTokens),
        ("max_turn_requests", StopReason::MaxTurnRequests),
        ("refusal", StopReason::Refusal),
        ("cancelled", StopReason::Cancelled),
        ("novel", StopReason::Other("novel".into())),
    ];
    for (word, reason) in reasons {
        let end = place
            .turn(async |stub, request| stub.answer(&request, json!({"stopReason": word})).await)
            .await;
        assert_eq!(end.unwrap().stop_reason, reason);
    }
    let error = place
        .turn(async |stub, request| stub.answer(&request, json!({})).await)
        .await;
    insta::assert_snapshot!(error.unwrap_err(), @"agent stub broke the protocol: its answer to session/prompt has no `stopReason`");
    let error = place
        .turn(async |stub, request| stub.refuse(&request, -32603, "model\nfailed").await)
        .await;
    insta::assert_snapshot!(error.unwrap_err(), @"agent stub refused session/prompt: model failed (code -32603)");
    let error = place.agent.prompt_text("other", "x").await.unwrap_err();
    insta::assert_snapshot!(error, @"agent stub has no open session `other` on this connection");
}

#[tokio::test]
async fn a_login_is_asked_for() {
    let methods = json!({"authMethods": [{"id": "key", "name": "API key"}]});
    let (agent, mut stub, _, place) = connect_as(|_| {}, methods).await;
    let agent = agent.unwrap();
    let play = async {
        let request = stub.expect("session/new").await;
        assert_eq!(request["params"]["mcpServers"], json!([{"name": "m"}]));
        stub.refuse(&request, -32000, "Authentication required")
            .await;
        let request = stub.expect("authenticate").await;
        assert_eq!(request["params"], json!({"methodId": "key"}));
        stub.refuse(&request, -32000, "wrong key").await;
    };
    let ask = async {
        let new = agent
            .new_session(&place.root, vec![json!({"name": "m"})])
            .await
            .unwrap_err();
        (new, agent.authenticate("key").await.unwrap_err())
    };
    let ((new, login), ()) = tokio::join!(ask, play);
    insta::assert_snapshot!(new, @"agent stub is not logged in (Authentication required); run `spectask agents login stub` (it offers: API key)");
    insta::assert_snapshot!(login, @"agent stub refused authenticate: wrong key (code -32000)");
}

#[tokio::test]
async fn the_policy_answers_what_it_covers_and_a_person_the_rest() {
    let mut place = place().await;
    let inside = place.root.join("a.rs");
    let (asks, root) = (&mut place.asked, place.root.clone());
    let agent = place.agent.clone();
    let play = async {
        let stub = &mut place.stub;
        let request = stub.expect("session/prompt").await;
        // What was said of the tool call before counts.
        stub.update(json!({"sessionUpdate": "tool_call", "toolCallId": "in", "kind": "edit", "title": "Write", "locations": [{"path": inside}]})).await;
        let id = stub.permission(json!({"toolCallId": "in"})).await;
        let answer = stub.next().await;
        assert_eq!(answer["id"], id);
        assert_eq!(
            answer["result"]["outcome"],
            json!({"outcome": "selected", "optionId": "yes"})
        );

        stub.update(json!({"sessionUpdate": "tool_call", "toolCallId": "out", "kind": "edit", "title": "Write", "locations": [{"path": root.parent().unwrap().join("b")}]})).await;
        stub.permission(json!({"toolCallId": "out", "locations": [{"path": inside}]}))
            .await;
        let (ask, answer) = asks.recv().await.unwrap();
        assert_eq!(
            (ask.title.as_str(), ask.kind.as_str(), ask.options.len()),
            ("Write", "edit", 2)
        );
        assert!(
            ask.reason.contains("outside the session's folder"),
            "{}",
            ask.reason
        );
        answer
            .send(PermissionAnswer::Selected("no".into()))
            .unwrap();
        assert_eq!(stub.next().await["result"]["outcome"]["optionId"], "no");

        stub.permission(json!({"toolCallId": "mode", "kind": "switch_mode"}))
            .await;
        let (_, answer) = asks.recv().await.unwrap();
        answer
            .send(PermissionAnswer::Selected("made up".into()))
            .unwrap();
        assert_eq!(
            stub.next().await["result"]["outcome"],
            json!({"outcome": "cancelled"})
        );

        let answer = stub
            .call("session/request_permission", json!({"toolCall": {}}))
            .await;
        assert_eq!(answer["error"]["code"], -32602);
        stub.answer(&request, end_turn()).await;
    };
    let (end, ()) = tokio::join!(agent.prompt_text("s", "x"), play);
    assert_eq!(end.unwrap().stop_reason, StopReason::EndTurn);
}

#[tokio::test]
async fn deny_rejects_without_asking() {
    let mut place = place_with(|profile| profile.permission = Policy::Deny, json!({})).await;
    place
        .turn(async |stub, request| {
            stub.permission(json!({"toolCallId": "t", "kind": "read"}))
                .await;
            assert_eq!(stub.next().await["result"]["outcome"]["optionId"], "no");
            stub.answer(&request, end_turn()).await;
        })
        .await
        .unwrap();
    assert!(place.asked.try_recv().is_err());
}

#[tokio::test]
async fn cancel_withdraws_permissions_and_kills_commands() {
    let mut place = place_with(|profile| profile.permission = Policy::Ask, json!({})).await;
    let agent = place.agent.clone();
    let play = async {
        let stub = &mut place.stub;
        let request = stub.expect("session/prompt").await;
        let answer = stub
            .call(
                "terminal/create",
                json!({"command": "sleep", "args": ["600"]}),
            )
            .await;
        let terminal = json!({"terminalId": answer["result"]["terminalId"]});
        let waiting = stub.ask("terminal/wait_for_exit", terminal).await;
        let permission = stub.permission(json!({"toolCallId": "t"})).await;
        let (_ask, mut unanswered) = place.asked.recv().await.unwrap();
        place.agent.cancel("s").await;
        let mut answers = BTreeMap::new();
        while answers.len() < 3 {
            let frame = stub.next().await;
            let key = frame["id"].as_str().unwrap_or("cancel").to_owned();
            answers.insert(key, frame);
        }
        assert_eq!(answers["cancel"]["method"], "session/cancel");
        assert_eq!(
            answers[&permission]["result"]["outcome"]["outcome"],
            "cancelled"
        );
        assert_eq!(answers[&waiting]["result"]["signal"], "SIGKILL");
        unanswered.closed().await;
        // An agent may still ask before it ends the turn.
        stub.permission(json!({"toolCallId": "late"})).await;
        assert_eq!(
            stub.next().await["result"]["outcome"]["outcome"],
            "cancelled"
        );
        let answer = stub
            .call("terminal/create", json!({"command": "true"}))
            .await;
        assert_eq!(answer["error"]["code"], -32800);
        stub.refuse(&request, -32603, "aborted").await;
    };
    let (end, ()) = tokio::join!(agent.prompt_text("s", "x"), play);
    let end = end.unwrap();
    assert_eq!(
        (end.stop_reason, end.killed),
        (StopReason::Cancelled, false)
    );
    let end = place
        .turn(async |stub, request| stub.answer(&request, end_turn()).await)
        .await;
    assert_eq!(end.unwrap().stop_reason, StopReason::EndTurn);
}

#[tokio::test]
async fn files_inside_are_served_and_outside_is_an_incident() {
    let mut place = place().await;
    let (root, outside) = (place.root.clone(), place.root.parent().unwrap().join("x"));
    place
        .turn(async |stub, request| {
            let path = root.join("d/a.txt");
            let answer = stub
                .call(
                    "fs/write_text_file",
                    json!({"path": path, "content": "1\n2\n3\n"}),
                )
                .await;
            assert!(answer.get("error").is_none(), "{answer}");
            let answer = stub
                .call(
                    "fs/read_text_file",
                    json!({"path": path, "line": 2, "limit": 1}),
                )
                .await;
            assert_eq!(answer["result"]["content"], "2\n");
            let answer = stub
                .call("fs/read_text_file", json!({"path": root.join("no")}))
                .await;
            assert_eq!(answer["error"]["code"], -32002);
            let answer = stub
                .call(
                    "fs/write_text_file",
                    json!({"path": outside, "content": ""}),
                )
                .await;
            assert_eq!(answer["error"]["code"], -32602);
            assert!(
                answer["error"]["message"]
                    .as_str()
                    .unwrap()
                    .contains("the session's folder is")
            );
            stub.call(
                "fs/write_text_file",
                json!({"path": root.join(".git/config"), "content": ""}),
            )
            .await;
            stub.call("terminal/create", json!({"command": "true", "cwd": "/"}))
                .await;
            let answer = stub.call("fs/read_text_file", json!({})).await;
            assert_eq!(answer["error"]["code"], -32602);
            stub.answer(&request, end_turn()).await;
        })
        .await
        .unwrap();
    assert!(!outside.exists());
    assert!(!place.root.join(".git").exists());
    let kinds: Vec<IncidentKind> = place
        .incidents()
        .into_iter()
        .map(|(kind, _)| kind)
        .collect();
    use IncidentKind::{GitInternals, OutsideRoot};
    assert_eq!(kinds, [OutsideRoot, GitInternals, OutsideRoot]);
}

#[tokio::test]
async fn nonsense_does_not_end_the_connection() {
    let mut place = place().await;
    place
        .turn(async |stub, request| {
            for line in [
                "Welcome!",
                "{\"jsonrpc\":",
                "[]",
                "[{\"id\":1}]",
                "\u{1}",
                "  ",
                "{}",
            ] {
                stub.raw(line).await;
            }
            stub.writer.write_all(b"\xff\xfe\n").await.unwrap();
            stub.raw(&"[".repeat(100_000)).await;
            stub.send(json!({"id": 999, "result": "nobody asked"}))
                .await;
            stub.send(json!({"id": "x", "result": null})).await;
            stub.send(json!({"method": "_novel/notification"})).await;
            stub.send(json!({"method": "session/update", "params": null}))
                .await;
            stub.send(json!({"method": "$/cancel_request", "params": {"requestId": "none"}}))
                .await;
            let answer = stub.call("_novel/request", json!({})).await;
            assert_eq!(answer["error"]["code"], -32601);
            let answer = stub.call("elicitation/create", json!({})).await;
            assert_eq!(answer["error"]["code"], -32601);
            let answer = stub.call("_relayed", json!({"k": 1})).await;
            assert_eq!(answer["result"]["seen"]["k"], 1);
            for _ in 0..200 {
                stub.raw("noise").await;
            }
            stub.answer(&request, end_turn()).await;
        })
        .await
        .unwrap();
    let incidents = place.incidents();
    assert_eq!(incidents.len(), 5, "{incidents:?}");
    assert_eq!(
        incidents[0].1,
        "the agent wrote 1 line(s) that are no JSON-RPC message, the last one: Welcome!"
    );
    assert!(incidents[4].1.starts_with("the agent wrote 100 line(s)"));
}

#[tokio::test]
async fn the_agent_may_withdraw_a_request() {
    let mut place = place_with(|profile| profile.permission = Policy::Ask, json!({})).await;
    let agent = place.agent.clone();
    let play = async {
        let request = place.stub.expect("session/prompt").await;
        let id = place.stub.permission(json!({"toolCallId": "t"})).await;
        let (_, mut unanswered) = place.asked.recv().await.unwrap();
        place
            .stub
            .send(json!({"method": "$/cancel_request", "params": {"requestId": id}}))
            .await;
        let answer = place.stub.next().await;
        assert_eq!(
            (&answer["id"], &answer["error"]["code"]),
            (&json!(id), &json!(-32800))
        );
        unanswered.closed().await;
        place.stub.answer(&request, end_turn()).await;
    };
    tokio::join!(agent.prompt_text("s", "x"), play).0.unwrap();
}

#[tokio::test]
async fn a_flood_of_requests_is_turned_away() {
    let mut place = place_with(|profile| profile.permission = Policy::Ask, json!({})).await;
    let agent = place.agent.clone();
    let play = async {
        let request = place.stub.expect("session/prompt").await;
        for _ in 0..130 {
            place.stub.permission(json!({"toolCallId": "t"})).await;
        }
        for _ in 0..2 {
            let answer = place.stub.next().await;
            assert!(
                answer["error"]["message"]
                    .as_str()
                    .unwrap()
                    .contains("too many"),
                "{answer}"
            );
        }
        place.stub.answer(&request, end_turn()).await;
    };
    tokio::join!(agent.prompt_text("s", "x"), play).0.unwrap();
    assert_eq!(place.incidents()[0].0, IncidentKind::TooMany);
}

#[tokio::test]
async fn an_end_in_the_middle_of_a_turn() {
    let place = place().await;
    let Place {
        agent, mut stub, ..
    } = place;
    let turn = tokio::spawn({
        let agent = agent.clone();
        async move { agent.prompt_text("s", "x").await }
    });
    stub.expect("session/prompt").await;
    drop(stub);
    let error = turn.await.unwrap().unwrap_err();
    insta::assert_snapshot!(error, @"agent stub ended while answering session/prompt: the connection was closed");
    assert!(error.is_worth_a_respawn());
    assert!(!agent.is_alive());
    agent.exited().await;
    let again = agent.prompt_text("s", "x").await.unwrap_err();
    assert!(matches!(again, AgentError::Exited { .. }), "{again}");
}

#[tokio::test]
async fn a_frame_without_end_is_an_error() {
    let mut place = place().await;
    let error = place
        .turn(async |stub, _| {
            let blob = vec![b'x'; wire::MAX_FRAME + 10];
            // The daemon stops reading in the middle.
            let _ = stub.writer.write_all(&blob).await;
        })
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("a frame of more than"),
        "{error}"
    );
}

#[tokio::test]
async fn silence_and_length_are_limited() {
    let limits = |turn: u64, idle: u64| {
        move |profile: &mut Profile| {
            profile.turn_limit = Duration::from_millis(turn);
            profile.idle_limit = Duration::from_millis(idle);
        }
    };
    let mut place = place_with(limits(60_000, 80), json!({})).await;
    let error = place
        .turn(async |stub, request| {
            stub.expect("session/cancel").await;
            stub.answer(&request, json!({"stopReason": "cancelled"}))
                .await;
        })
        .await
        .unwrap_err();
    insta::assert_snapshot!(error, @"agent stub was silent for 80ms in the middle of a turn");
    assert!(place.agent.is_alive());

    let mut place = place_with(limits(150, 100), json!({})).await;
    let error = place
        .turn(async |stub, request| {
            loop {
                stub.update(json!({"sessionUpdate": "novel"})).await;
                let frame = tokio::time::timeout(Duration::from_millis(10), stub.next()).await;
                if frame.is_ok_and(|frame| frame["method"] == "session/cancel") {
                    break;
                }
            }
            stub.answer(&request, json!({"stopReason": "cancelled"}))
                .await;
        })
        .await
        .unwrap_err();
    insta::assert_snapshot!(error, @"agent stub: the turn took longer than 150ms");
}

#[tokio::test]
async fn a_person_may_take_their_time() {
    let change = |profile: &mut Profile| {
        profile.permission = Policy::Ask;
        profile.turn_limit = Duration::from_millis(200);
        profile.idle_limit = Duration::from_millis(100);
    };
    let mut place = place_with(change, json!({})).await;
    let agent = place.agent.clone();
    let play = async {
        let request = place.stub.expect("session/prompt").await;
        place.stub.permission(json!({"toolCallId": "t"})).await;
        let (_, answer) = place.asked.recv().await.unwrap();
        tokio::time::sleep(Duration::from_millis(400)).await;
        answer
            .send(PermissionAnswer::Selected("yes".into()))
            .unwrap();
        assert_eq!(
            place.stub.next().await["result"]["outcome"]["optionId"],
            "yes"
        );
        place.stub.answer(&request, end_turn()).await;
    };
    let (end, ()) = tokio::join!(agent.prompt_text("s", "x"), play);
    assert_eq!(end.unwrap().stop_reason, StopReason::EndTurn);
}

#[tokio::test]
async fn a_turn_nobody_waits_for_is_cancelled() {
    let mut place = place().await;
    let turn = tokio::spawn({
        let agent = place.agent.clone();
        async move { agent.prompt_text("s", "x").await }
    });
    let request = place.stub.expect("session/prompt").await;
    turn.abort();
    place.stub.expect("session/cancel").await;
    place
        .stub
        .answer(&request, json!({"stopReason": "cancelled"}))
        .await;
    let end = place
        .turn(async |stub, request| stub.answer(&request, end_turn()).await)
        .await;
    assert_eq!(end.unwrap().stop_reason, StopReason::EndTurn);
}

#[tokio::test]
async fn a_loaded_session_replays_its_history() {
    let mut place = place_with(|_| {}, json!({"agentCapabilities": {"loadSession": true}})).await;
    let agent = place.agent.clone();
    let root = place.root.clone();
    let play = async {
        let request = place.stub.expect("session/load").await;
        assert_eq!(
            request["params"],
            json!({"sessionId": "s", "cwd": root, "mcpServers": []})
        );
        place
            .stub
            .update(json!({"sessionUpdate": "agent_message_chunk"}))
            .await;
        place.stub.answer(&request, json!(null)).await;
        let request = place.stub.expect("session/load").await;
        place.stub.refuse(&request, -32002, "no such session").await;
    };
    let ask = async {
        let start = agent.reopen_session("s", &root, Vec::new()).await.unwrap();
        assert_eq!(start.id, "s");
        agent
            .load_session("t", &root, Vec::new())
            .await
            .unwrap_err()
    };
    let (error, ()) = tokio::join!(ask, play);
    insta::assert_snapshot!(error, @"agent stub refused session/load: no such session (code -32002)");
    assert_eq!(
        place.recorder.updates.lock().unwrap().last().unwrap().2,
        true
    );
    let end = place
        .turn(async |stub, request| {
            stub.update(json!({"sessionUpdate": "agent_message_chunk"}))
                .await;
            stub.answer(&request, end_turn()).await;
        })
        .await;
    end.unwrap();
    assert_eq!(
        place.recorder.updates.lock().unwrap().last().unwrap().2,
        false
    );
    let error = agent
        .resume_session("s", &place.root, Vec::new())
        .await
        .unwrap_err();
    insta::assert_snapshot!(error, @"agent stub does not offer session/resume");
}

#[tokio::test]
async fn the_profiles_mode_is_set() {
    let change = |profile: &mut Profile| profile.mode = Some("plan".into());
    let (agent, mut stub, _, place) = connect_as(change, json!({})).await;
    let agent = agent.unwrap();
    let modes = |ids: &[&str]| {
        let modes: Vec<Value> = ids.iter().map(|id| json!({"id": id, "name": id})).collect();
        json!({"sessionId": "s", "modes": {"currentModeId": ids[0], "availableModes": modes}})
    };
    let play = async {
        let request = stub.expect("session/new").await;
        stub.answer(&request, modes(&["default", "plan"])).await;
        let request = stub.expect("session/set_mode").await;
        assert_eq!(
            request["params"],
            json!({"sessionId": "s", "modeId": "plan"})
        );
        stub.answer(&request, json!({})).await;
        let request = stub.expect("session/new").await;
        stub.answer(&request, modes(&["plan"])).await;
        let request = stub.expect("session/new").await;
        stub.answer(&request, modes(&["default", "auto"])).await;
    };
    let ask = async {
        let start = agent.new_session(&place.root, Vec::new()).await.unwrap();
        assert_eq!(start.modes.unwrap().current, "plan");
        agent.new_session(&place.root, Vec::new()).await.unwrap();
        agent
            .new_session(&place.root, Vec::new())
            .await
            .unwrap_err()
    };
    let (error, ()) = tokio::join!(ask, play);
    insta::assert_snapshot!(error, @"agent stub has no session mode `plan`; it offers: default, auto");
}

#[tokio::test]
async fn a_short_request_has_a_limit() {
    let change = |profile: &mut Profile| profile.start_limit = Duration::from_millis(100);
    let (agent, mut stub, _, place) = connect_as(change, json!({})).await;
    let agent = agent.unwrap();
    let play = async {
        let request = stub.expect("session/new").await;
        let cancel = stub.expect("$/cancel_request").await;
        assert_eq!(cancel["params"]["requestId"], request["id"]);
        stub.answer(&request, json!({"sessionId": "late"})).await;
    };
    let (error, ()) = tokio::join!(agent.new_session(&place.root, Vec::new()), play);
    insta::assert_snapshot!(error.unwrap_err(), @"agent stub: session/new took longer than 100ms");
}

#[cfg(unix)]
mod processes {
    use super::*;

    const HELLO: &str =
        r#"read -r line; echo '{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":1}}'; "#;
    const NEW: &str =
        r#"read -r line; echo '{"jsonrpc":"2.0","id":2,"result":{"sessionId":"s"}}'; "#;

    struct Real {
        dir: tempfile::TempDir,
        recorder: Arc<Recorder>,
        spec: SpawnSpec,
    }

    fn real(script: &str) -> Real {
        let dir = tempfile::tempdir().unwrap();
        let mut profile = Profile::new("sh", &["sh", "-c", script]);
        profile.start_limit = Duration::from_secs(20);
        let env = BTreeMap::from([
            ("PATH".to_owned(), std::env::var("PATH").unwrap()),
            ("FROM_USER".to_owned(), "u".to_owned()),
        ]);
        let mut spec = SpawnSpec::new(profile, dir.path(), env);
        spec.extra_env.insert("SPECTASK_SESSION".into(), "7".into());
        Real {
            dir,
            recorder: recorder().0,
            spec,
        }
    }

    impl Real {
        async fn start(&self) -> Result<Agent, AgentError> {
            let observer: Arc<dyn Observer> = Arc::<Recorder>::clone(&self.recorder);
            Agent::start(self.spec.clone(), observer).await
        }

        async fn error(&self) -> AgentError {
            self.start().await.err().expect("the agent starts")
        }
    }

    async fn until_gone(pid: u32) {
        while orphans::start_time(pid).is_some() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    #[tokio::test]
    async fn a_process_is_recorded_first_and_ends_with_its_input() {
        let mut real = real(&format!("{HELLO} env > env.txt; cat >/dev/null; exit 4"));
        real.spec.profile.set.insert("FIXED".into(), "f".into());
        let agent = real.start().await.unwrap();
        let identity = *agent.identity().unwrap();
        assert_eq!(
            *real.recorder.processes.lock().unwrap(),
            [(identity, ProcessKind::Agent)]
        );
        assert_eq!(identity.pid, identity.group);
        assert!(is_alive(&identity));
        assert!(agent.is_alive());
        let exit = agent.clone();
        agent.close().await;
        assert_eq!(
            exit.exited().await,
            Exit {
                code: Some(4),
                signal: None
            }
        );
        assert!(!is_alive(&identity));
        assert_eq!(reap(&identity), Reaped::Gone);
        let env = std::fs::read_to_string(real.dir.path().join("env.txt")).unwrap();
        let mut names: Vec<&str> = env
            .lines()
            .filter(|line| !line.starts_with("PATH="))
            .collect();
        names.retain(|line| {
            !["PWD=", "OLDPWD=", "SHLVL=", "_="]
                .iter()
                .any(|own| line.starts_with(own))
        });
        names.sort_unstable();
        assert_eq!(
            names,
            [
                "FIXED=f",
                "FROM_USER=u",
                "SPECTASK_AGENT=1",
                "SPECTASK_SESSION=7"
            ]
        );
    }

    #[tokio::test]
    async fn last_words_are_in_the_error() {
        let real = real("read -r line; echo 'cannot\u{1b}[31m load' >&2; echo 'model' >&2; exit 3");
        insta::assert_snapshot!(real.error().await, @r"
        agent sh ended while it was starting (initialize): exit status 3
          its last words:
          | cannot[31m load
          | model
        ");
    }

    #[tokio::test]
    async fn what_keeps_an_agent_from_starting_is_named() {
        let mut missing = real("");
        missing.spec.profile.command = vec!["claude-agent-acp".into()];
        missing
            .spec
            .env
            .insert("PATH".into(), "/nonexistent".into());
        insta::assert_snapshot!(missing.error().await, @"agent sh: the program `claude-agent-acp` was not found. Install it with `npm install -g @agentclientprotocol/claude-agent-acp`.");
        missing.spec.profile.command = vec!["no-such-agent".into()];
        insta::assert_snapshot!(missing.error().await, @"agent sh: the program `no-such-agent` was not found. Check `command` in the profile, and PATH.");
        missing.spec.profile.command.clear();
        insta::assert_snapshot!(missing.error().await, @"agent sh: the profile has an empty `command`; set it in the configuration");
        missing.spec.profile.env = vec!["A_KEY".into(), "B_KEY".into()];
        insta::assert_snapshot!(missing.error().await, @"agent sh needs A_KEY, B_KEY, which this environment does not have; export it and run the command again");

        let mut hangs = real("exec sleep 600");
        hangs.spec.profile.start_limit = Duration::from_millis(200);
        let error = hangs.error().await;
        insta::assert_snapshot!(error, @"agent sh: initialize took longer than 200ms");
        let (identity, _) = hangs.recorder.processes.lock().unwrap()[0];
        until_gone(identity.pid).await;

        let bad = real("");
        std::fs::write(bad.dir.path().join("file"), "not a program").unwrap();
        let mut spec = bad.spec.clone();
        spec.root = bad.dir.path().join("absent");
        let error = Agent::start(spec, recorder().0).await.err().unwrap();
        assert!(error.to_string().contains("cannot be served"), "{error}");
    }

    #[tokio::test]
    async fn the_whole_group_ends_with_the_last_handle() {
        let real = real(&format!(
            "{HELLO} sleep 600 & echo $! > child.txt; {NEW} wait"
        ));
        let agent = real.start().await.unwrap();
        agent
            .new_session(real.dir.path(), Vec::new())
            .await
            .unwrap();
        let child = std::fs::read_to_string(real.dir.path().join("child.txt")).unwrap();
        let child: u32 = child.trim().parse().unwrap();
        let identity = *agent.identity().unwrap();
        drop(agent);
        until_gone(child).await;
        until_gone(identity.pid).await;
    }

    #[tokio::test]
    async fn a_leader_that_dies_takes_the_group_along() {
        let script = format!(
            "{HELLO} {NEW} sleep 600 & echo $! > child.txt; read -r line; echo 'out of memory' >&2; kill -9 $$"
        );
        let real = real(&script);
        let agent = real.start().await.unwrap();
        agent
            .new_session(real.dir.path(), Vec::new())
            .await
            .unwrap();
        let error = agent.prompt_text("s", "x").await.unwrap_err();
        insta::assert_snapshot!(error, @r"
        agent sh ended while answering session/prompt: ended by SIGKILL
          its last words:
          | out of memory
        ");
        let child = std::fs::read_to_string(real.dir.path().join("child.txt")).unwrap();
        until_gone(child.trim().parse().unwrap()).await;
    }

    #[tokio::test]
    async fn an_agent_that_ignores_cancel_is_killed() {
        let real = real(&format!("{HELLO} {NEW} touch ready; exec sleep 600"));
        let agent = real.start().await.unwrap();
        agent
            .new_session(real.dir.path(), Vec::new())
            .await
            .unwrap();
        let cancel = async {
            while !real.dir.path().join("ready").exists() {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            agent.cancel("s").await;
        };
        let (end, ()) = tokio::join!(agent.prompt_text("s", "x"), cancel);
        let end = end.unwrap();
        assert_eq!((end.stop_reason, end.killed), (StopReason::Cancelled, true));
        assert_eq!(
            agent.exited().await.signal_name().as_deref(),
            Some("SIGKILL")
        );
    }

    #[tokio::test]
    async fn an_agent_that_hangs_is_killed_at_the_limit() {
        let mut real = real(&format!("{HELLO} {NEW} exec sleep 600"));
        real.spec.profile.idle_limit = Duration::from_millis(200);
        let agent = real.start().await.unwrap();
        agent
            .new_session(real.dir.path(), Vec::new())
            .await
            .unwrap();
        let error = agent.prompt_text("s", "x").await.unwrap_err();
        assert!(matches!(error, AgentError::Idle { .. }), "{error}");
        assert!(!agent.is_alive());
    }

    #[tokio::test]
    async fn a_closed_output_ends_the_process() {
        let real = real(&format!("{HELLO} {NEW} exec >&-; exec sleep 600"));
        let agent = real.start().await.unwrap();
        let identity = *agent.identity().unwrap();
        agent
            .new_session(real.dir.path(), Vec::new())
            .await
            .unwrap();
        let error = agent.prompt_text("s", "x").await.unwrap_err();
        insta::assert_snapshot!(error, @"agent sh ended while answering session/prompt: ended by SIGKILL");
        until_gone(identity.pid).await;
    }

    #[tokio::test]
    async fn a_flood_on_standard_error_harms_nobody() {
        let real = real(&format!(
            "{HELLO} yes noise | head -c 3000000 >&2; echo end >&2; {NEW} cat >/dev/null"
        ));
        let agent = real.start().await.unwrap();
        agent
            .new_session(real.dir.path(), Vec::new())
            .await
            .unwrap();
        let tail = agent.stderr_tail();
        assert!(tail.len() <= 64 * 1024);
        assert!(
            tail.ends_with("noise\nend\n"),
            "{}",
            &tail[tail.len() - 20..]
        );
    }
}
