//! The server against a daemon in memory: every shape, version and tool.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use rmcp::ServiceExt;
use serde_json::{Value, json};
use spectask_protocol::{Failure, FailureKind, Transport};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream, ReadHalf, WriteHalf};

use super::{Caller, Server, Shape, tool::TOOLS};

const SESSION: &str = "01890a5d-ac96-774b-bcce-b302099a8057";
const TASK: &str = "01890a5d-ac96-774b-bcce-b302099a8058";
const MESSAGE: &str = "01890a5d-ac96-774b-bcce-b302099a8059";

/// Answers by method; notes what was asked.
#[derive(Clone, Default)]
struct Daemon {
    answers: Arc<BTreeMap<&'static str, Result<Value, Failure>>>,
    asked: Arc<Mutex<Vec<(String, Value)>>>,
}

impl Transport for Daemon {
    async fn call(&self, method: &'static str, params: Value) -> Result<Value, Failure> {
        let entries = params["from"].as_u64();
        self.asked.lock().unwrap().push((method.to_owned(), params));
        if method == "workSession.transcript" {
            return Ok(transcript(entries.unwrap_or(0)));
        }
        let unknown = || Err(Failure::new(FailureKind::NotFound, format!("no {method}")));
        self.answers.get(method).cloned().unwrap_or_else(unknown)
    }
}

impl Daemon {
    fn asked(&self, method: &str) -> Vec<Value> {
        let asked = self.asked.lock().unwrap();
        let those = asked.iter().filter(|(name, _)| name == method);
        those.map(|(_, params)| params.clone()).collect()
    }
}

/// 3,000 entries, of which the last says so.
fn transcript(from: u64) -> Value {
    let entries: Vec<Value> = (from..3000)
        .map(|index| {
            json!({ "index": index, "at": "", "direction": "daemon", "frame": format!("note {index}") })
        })
        .take(1000)
        .collect();
    json!({ "entries": entries })
}

fn task(status: &str) -> Value {
    json!({
        "id": TASK, "number": 7, "name": "7-user-auth", "project": "/w/app", "title": "User auth",
        "prompt": "Let people log in", "status": status, "mode": "parallel",
        "planning_agent": "example", "agent": "example", "limit": 3, "paused": false,
        "archived": false, "branch": "specs/7-user-auth", "base": "abc",
        "revision": 2, "approved": 1, "progress": { "done": 1, "total": 2 },
        "active": 1, "stuck": 0, "created_at": "", "updated_at": "",
    })
}

fn session() -> Value {
    json!({
        "id": SESSION, "name": "7-user-auth/02-api", "task": TASK, "title": "The API",
        "phase": "implementation", "status": "active", "stage": "turn", "method": "planned",
        "agent": "example", "branch": "spectask/7-user-auth/02-api", "thread": "active",
        "claim": "Half done", "turns": [],
    })
}

fn message() -> Value {
    json!({
        "id": MESSAGE, "to": "7-user-auth/02-api", "from": "7-user-auth/01-db", "kind": "request",
        "text": "Which port?", "delivered": true, "at": "2026-01-01T00:00:00Z",
    })
}

fn review() -> Value {
    json!({
        "task": task("implementation"), "revision": 1, "author": "agent", "digest": "",
        "documents": [
            { "kind": "requirements", "text": "# Requirements\n" },
            { "kind": "design", "text": "# Design\n" },
        ],
        "findings": [], "diff": "", "reviews": [], "plan": [],
    })
}

fn daemon() -> Daemon {
    let overview = json!({
        "task": task("implementation"), "sessions": [session()], "permissions": [],
        "incidents": [], "seq": 1, "next": ["spectask diff 7-user-auth"],
        "tasks": [{
            "number": "2", "title": "The API", "status": "in_progress", "optional": false,
            "depends": ["1"], "requirements": [], "resources": [],
        }],
    });
    let hit = json!({
        "session": SESSION, "name": "7-user-auth/02-api", "turn": 1, "index": 4, "who": "agent",
        "excerpt": "the port is 80", "at": "",
    });
    let commands = json!({ "commands": [
        { "name": "spec-status", "description": "Shows it", "hint": "[task]" },
        { "name": "spec-help", "description": "Lists commands" },
        { "name": "spec.dotted", "description": "Clients would cut it" },
    ] });
    let answers = BTreeMap::from([
        (
            "specTask.list",
            Ok(json!({ "tasks": [task("implementation"), task("done")] })),
        ),
        ("specTask.get", Ok(overview)),
        ("review.get", Ok(review())),
        ("workSession.list", Ok(json!({ "sessions": [session()] }))),
        ("workSession.get", Ok(session())),
        ("workSession.report", Ok(json!({}))),
        ("workSession.spawn", Ok(session())),
        ("decision.record", Ok(json!({}))),
        ("coordination.tell", Ok(message())),
        ("coordination.list", Ok(json!({ "messages": [message()] }))),
        (
            "history.search",
            Ok(json!({ "hits": [hit], "complete": true, "behind": 0 })),
        ),
        ("command.list", Ok(commands)),
        (
            "command.run",
            Ok(json!({ "text": "**7-user-auth** is being built" })),
        ),
    ]);
    Daemon {
        answers: Arc::new(answers),
        asked: Arc::default(),
    }
}

/// A client of lines, as an editor is one.
struct Client {
    write: WriteHalf<DuplexStream>,
    read: BufReader<ReadHalf<DuplexStream>>,
    number: u64,
    meta: Option<Value>,
}

impl Client {
    fn new(caller: Caller) -> Self {
        let (ours, theirs) = tokio::io::duplex(1 << 20);
        tokio::spawn(async move {
            let service = Server::new(caller).serve(theirs).await;
            if let Ok(service) = service {
                drop(service.waiting().await);
            }
        });
        let (read, write) = tokio::io::split(ours);
        Self {
            write,
            read: BufReader::new(read),
            number: 0,
            meta: None,
        }
    }

    async fn open(caller: Caller) -> Self {
        let mut client = Self::new(caller);
        let said = client.initialize("2025-11-25").await;
        assert_eq!(said["protocolVersion"], "2025-11-25", "{said}");
        client
    }

    async fn initialize(&mut self, version: &str) -> Value {
        let about = json!({ "name": "Zed", "version": "0.1.0" });
        let params = json!({ "protocolVersion": version, "capabilities": {}, "clientInfo": about });
        let answer = self.ask("initialize", params).await;
        self.say(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }))
            .await;
        answer["result"].clone()
    }

    async fn say(&mut self, message: &Value) {
        let line = format!("{message}\n");
        self.write.write_all(line.as_bytes()).await.unwrap();
    }

    /// The answer to a request; the server says nothing before it.
    async fn ask(&mut self, method: &str, mut params: Value) -> Value {
        self.number += 1;
        if let Some(meta) = &self.meta {
            params["_meta"] = meta.clone();
        }
        let request =
            json!({ "jsonrpc": "2.0", "id": self.number, "method": method, "params": params });
        self.say(&request).await;
        let mut line = String::new();
        self.read.read_line(&mut line).await.unwrap();
        let answer: Value = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line}"));
        assert_eq!(answer["id"], self.number, "{answer}");
        answer
    }

    async fn call(&mut self, tool: &str, arguments: Value) -> Value {
        let params = json!({ "name": tool, "arguments": arguments });
        let answer = self.ask("tools/call", params).await;
        assert!(answer["result"].is_object(), "{tool}: {answer}");
        answer["result"].clone()
    }
}

fn caller(daemon: &Daemon, shape: Shape) -> Caller {
    Caller::new(Arc::new(daemon.clone()), shape)
}

fn injected(daemon: &Daemon) -> Caller {
    caller(daemon, Shape::Injected).in_session(SESSION.parse().ok())
}

fn standalone(daemon: &Daemon) -> Caller {
    caller(daemon, Shape::Standalone).in_folder(Some("/w/app".into()))
}

fn text(result: &Value) -> &str {
    result["content"][0]["text"].as_str().unwrap()
}

/// Arguments with which each tool succeeds.
fn arguments(tool: &str) -> Value {
    match tool {
        "report_progress" | "record_decision" | "search_history" => json!({ "text": "port" }),
        "tell_session" | "ask_session" => json!({ "session": "7/1", "text": "Hello" }),
        "answer_message" => json!({ "message": MESSAGE, "text": "80" }),
        "get_session" => json!({ "session": "7/2" }),
        "spawn_session" => json!({ "title": "More", "description": "More of it" }),
        _ => json!({}),
    }
}

#[tokio::test]
async fn every_tool_answers_in_both_shapes_and_keeps_its_schema() {
    for shape in [injected, standalone] {
        let daemon = daemon();
        let mut client = Client::open(shape(&daemon)).await;
        let listed = client.ask("tools/list", json!({})).await;
        let tools = listed["result"]["tools"].as_array().unwrap().clone();
        assert_eq!(tools.len(), 12);
        for tool in &tools {
            let name = tool["name"].as_str().unwrap();
            let result = client.call(name, arguments(name)).await;
            assert_eq!(result["isError"], false, "{name}: {result}");
            assert!(!text(&result).is_empty(), "{name}");
            let structured = result["structuredContent"].as_object().unwrap();
            let schema = &tool["outputSchema"];
            for field in schema["required"].as_array().into_iter().flatten() {
                let field = field.as_str().unwrap();
                assert!(structured.contains_key(field), "{name}: {field}");
            }
            for field in structured.keys() {
                assert!(schema["properties"].get(field).is_some(), "{name}: {field}");
            }
        }
    }
}

#[test]
fn descriptions_are_plain_and_complete() {
    for entry in TOOLS.iter() {
        let tool = serde_json::to_value(&entry.description).unwrap();
        let name = tool["name"].as_str().unwrap();
        let input = tool["inputSchema"].to_string();
        assert!(
            !input.contains("$ref") && !input.contains("\"null\""),
            "{name}: {input}"
        );
        assert!(!tool.to_string().contains("uint"), "{name}");
        for (field, schema) in tool["inputSchema"]["properties"].as_object().unwrap() {
            assert!(schema["description"].is_string(), "{name}.{field}");
            assert!(
                schema["type"].is_string()
                    || schema["enum"].is_array()
                    || schema["oneOf"].is_array(),
                "{name}.{field}: {schema}"
            );
        }
        let reads = ["get_", "list_", "search_"]
            .iter()
            .any(|verb| name.starts_with(verb));
        assert_eq!(tool["annotations"]["readOnlyHint"], reads, "{name}");
        assert_eq!(tool["annotations"]["destructiveHint"], false, "{name}");
    }
}

#[tokio::test]
async fn an_agent_in_a_session_is_about_its_own_and_gets_no_prompts() {
    let daemon = daemon();
    let mut client = Client::new(injected(&daemon));
    let opened = client.initialize("2025-11-25").await;
    assert_eq!(opened["capabilities"], json!({ "tools": {} }));
    assert!(opened["instructions"].as_str().unwrap().contains(SESSION));
    client.call("get_task", json!({})).await;
    assert_eq!(daemon.asked("specTask.get")[0], json!({ "task": TASK }));
    client
        .call("report_progress", json!({ "text": "On it" }))
        .await;
    assert_eq!(
        daemon.asked("workSession.report")[0],
        json!({ "session": SESSION, "text": "On it" })
    );
    client
        .call("record_decision", json!({ "text": "Port 80" }))
        .await;
    let decided = json!({ "target": SESSION, "text": "Port 80", "source": "mcp" });
    assert_eq!(daemon.asked("decision.record")[0], decided);
    client
        .call("spawn_session", arguments("spawn_session"))
        .await;
    let spawned = &daemon.asked("workSession.spawn")[0];
    assert_eq!(spawned["target"], SESSION);
    assert_eq!(spawned["environment"], json!({}));
    let refused = client
        .ask("prompts/get", json!({ "name": "spec-status" }))
        .await;
    assert!(
        refused["error"]["message"]
            .as_str()
            .unwrap()
            .contains("for persons"),
        "{refused}"
    );
    assert!(daemon.asked("command.run").is_empty());
}

#[tokio::test]
async fn questions_and_answers_go_to_the_right_session() {
    let daemon = daemon();
    let mut client = Client::open(injected(&daemon)).await;
    let asked = client
        .call("ask_session", json!({ "session": "7/1", "text": "Port?" }))
        .await;
    assert_eq!(asked["structuredContent"]["id"], MESSAGE);
    client
        .call(
            "answer_message",
            json!({ "message": MESSAGE, "text": "80" }),
        )
        .await;
    client
        .call("tell_session", json!({ "session": "7/1", "text": "Done" }))
        .await;
    assert_eq!(
        daemon.asked("coordination.tell"),
        [
            json!({ "session": "7/1", "text": "Port?", "kind": "request" }),
            json!({ "session": "7-user-auth/01-db", "text": "80", "kind": "response", "answers": MESSAGE }),
            json!({ "session": "7/1", "text": "Done", "kind": "notification" }),
        ]
    );
    let messages = client.call("get_messages", json!({})).await;
    assert!(text(&messages).contains("Which port?"), "{messages}");
    assert_eq!(
        daemon.asked("coordination.list")[1],
        json!({ "target": SESSION })
    );
    let none = client
        .call("get_messages", json!({ "answers": MESSAGE }))
        .await;
    assert_eq!(text(&none), "no messages\n");
}

#[tokio::test]
async fn what_is_refused_is_a_result_that_says_why() {
    let mut answers = (*daemon().answers).clone();
    let failure = Failure::new(FailureKind::Forbidden, "not for agents").hint("ask a person");
    answers.insert("workSession.spawn", Err(failure));
    let two = json!({ "tasks": [task("implementation"), task("backlog")] });
    answers.insert("specTask.list", Ok(two));
    let daemon = Daemon {
        answers: Arc::new(answers),
        ..Daemon::default()
    };
    let mut client = Client::open(standalone(&daemon)).await;
    let cases = [
        (
            "spawn_session",
            json!({ "target": "7", "title": "a", "description": "b" }),
            "not for agents\nHint: ask a person",
        ),
        (
            "spawn_session",
            json!({ "target": "7", "title": " ", "description": "b" }),
            "the text is empty",
        ),
        (
            "get_task",
            json!({}),
            "which SpecTask? Several are open\nHint: name one by `task`: 7-user-auth, 7-user-auth",
        ),
        (
            "get_task",
            json!({ "task": "../x" }),
            "get_task: \"../x\" is not a SpecTask",
        ),
        (
            "get_task",
            json!({ "project": "app" }),
            "`project` \"app\" is no absolute path",
        ),
        (
            "get_task",
            json!({ "job": "7" }),
            "get_task: unknown field `job`",
        ),
        (
            "get_session",
            json!({}),
            "this connection belongs to no work session",
        ),
        (
            "tell_session",
            json!({ "session": "7/1" }),
            "tell_session: missing field `text`",
        ),
        (
            "answer_message",
            json!({ "target": "7", "message": TASK, "text": "a" }),
            "there is no message",
        ),
    ];
    for (tool, arguments, expected) in cases {
        let result = client.call(tool, arguments).await;
        assert_eq!(result["isError"], true, "{tool}: {result}");
        assert!(text(&result).starts_with(expected), "{tool}: {result}");
        assert!(
            result.get("structuredContent").is_none(),
            "{tool}: {result}"
        );
    }
    let unknown = client
        .ask("tools/call", json!({ "name": "nonsense" }))
        .await;
    assert_eq!(unknown["error"]["code"], -32602, "{unknown}");
}

#[tokio::test]
async fn without_a_folder_the_server_says_so() {
    let daemon = daemon();
    for folder in [None, Some("/".to_owned())] {
        let mut client = Client::new(caller(&daemon, Shape::Standalone).in_folder(folder));
        let opened = client.initialize("2025-11-25").await;
        let told = opened["instructions"].as_str().unwrap();
        assert!(told.contains("not started in a project's folder"), "{told}");
        let task = client.call("get_task", json!({})).await;
        assert_eq!(task["isError"], true, "{task}");
        assert!(text(&task).contains("`project`"), "{task}");
        let named = client
            .call("get_task", json!({ "project": "/w/app", "task": null }))
            .await;
        assert_eq!(named["isError"], false, "{named}");
        let sessions = client.call("list_sessions", json!({})).await;
        assert!(text(&sessions).contains("in all projects"), "{sessions}");
    }
}

#[tokio::test]
async fn commands_are_prompts_with_at_most_one_argument() {
    let daemon = daemon();
    let mut client = Client::open(standalone(&daemon)).await;
    let listed = client.ask("prompts/list", json!({})).await;
    assert_eq!(
        listed["result"]["prompts"],
        json!([
            { "name": "spec-status", "description": "Shows it", "arguments": [
                { "name": "task", "description": "[task]", "required": false }
            ] },
            { "name": "spec-help", "description": "Lists commands" },
        ])
    );
    let params = json!({ "name": "spec-status", "arguments": { "task": " 7 now " } });
    let got = client.ask("prompts/get", params).await;
    let messages = got["result"]["messages"].as_array().unwrap();
    assert_eq!(messages.len(), 1, "{got}");
    assert_eq!(messages[0]["role"], "user");
    let said = messages[0]["content"]["text"].as_str().unwrap();
    assert!(
        said.contains("`/spec-status 7 now`") && said.ends_with("**7-user-auth** is being built"),
        "{said}"
    );
    assert_eq!(
        daemon.asked("command.run")[0],
        json!({ "line": "/spec-status 7 now", "cwd": "/w/app", "environment": {} })
    );
    for name in ["spec.dotted", "nonsense"] {
        let unknown = client.ask("prompts/get", json!({ "name": name })).await;
        assert_eq!(unknown["error"]["code"], -32602, "{unknown}");
    }
    let two = json!({ "name": "spec-status", "arguments": { "a": "1", "b": "2" } });
    assert_eq!(
        client.ask("prompts/get", two).await["error"]["code"],
        -32602
    );
    assert_eq!(daemon.asked("command.run").len(), 1);
}

#[tokio::test]
async fn the_approved_documents_are_read_and_the_end_of_a_transcript() {
    let daemon = daemon();
    let mut answers = (*daemon.answers).clone();
    let mut newest = review();
    newest["revision"] = json!(2);
    answers.insert("review.get", Ok(newest));
    let daemon = Daemon {
        answers: Arc::new(answers),
        ..Daemon::default()
    };
    let mut client = Client::open(standalone(&daemon)).await;
    client
        .call("get_documents", json!({ "document": "design" }))
        .await;
    assert_eq!(
        daemon.asked("review.get"),
        [
            json!({ "task": TASK }),
            json!({ "task": TASK, "revision": 1 })
        ]
    );
    let arguments = json!({ "session": "7/2", "tail": 2 });
    let shown = client.call("get_session", arguments).await;
    let tail = &shown["structuredContent"]["transcript"];
    assert_eq!(
        *tail,
        json!([{ "who": "daemon", "text": "note 2998" }, { "who": "daemon", "text": "note 2999" }])
    );
    let reads = daemon.asked("workSession.transcript").len();
    assert!(reads < 12, "{reads}");
}

#[tokio::test]
async fn every_version_of_the_handshake_is_spoken() {
    let daemon = daemon();
    for (asked, agreed) in [
        ("2025-06-18", "2025-06-18"),
        ("2025-11-25", "2025-11-25"),
        // A version without a handshake, or none that is known, is answered with the newest that has one.
        ("2026-07-28", "2025-11-25"),
        ("1999-01-01", "2025-11-25"),
    ] {
        let mut client = Client::new(standalone(&daemon));
        let opened = client.initialize(asked).await;
        assert_eq!(opened["protocolVersion"], agreed, "{opened}");
        let called = client.call("get_task", json!({})).await;
        assert_eq!(called["isError"], false, "{called}");
    }
}

#[tokio::test]
async fn the_version_without_a_handshake_is_spoken() {
    let daemon = daemon();
    let mut client = Client::new(standalone(&daemon));
    client.meta = Some(json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": { "name": "test", "version": "1" },
        "io.modelcontextprotocol/clientCapabilities": {},
    }));
    let found = client.ask("server/discover", json!({})).await;
    let versions = found["result"]["supportedVersions"].as_array();
    assert!(
        versions.is_some_and(|all| all.contains(&json!("2026-07-28"))),
        "{found}"
    );
    let listed = client.ask("tools/list", json!({})).await;
    assert_eq!(listed["result"]["tools"].as_array().unwrap().len(), 12);
    let called = client.call("get_task", json!({})).await;
    assert_eq!(called["resultType"], "complete", "{called}");
}

#[tokio::test]
async fn rubbish_between_messages_ends_nothing() {
    let daemon = daemon();
    let mut client = Client::open(standalone(&daemon)).await;
    client
        .write
        .write_all(b"\n{}\nrubbish\n\xff\xfe\n")
        .await
        .unwrap();
    // What is no message may be answered with an error without an id.
    client
        .say(&json!({ "jsonrpc": "2.0", "id": "after", "method": "ping" }))
        .await;
    loop {
        let mut line = String::new();
        assert!(
            client.read.read_line(&mut line).await.unwrap() > 0,
            "it ended"
        );
        let answer: Value = serde_json::from_str(&line).unwrap();
        if answer["id"] == "after" {
            assert!(answer["result"].is_object(), "{answer}");
            break;
        }
        assert!(answer["error"].is_object(), "{answer}");
    }
}
