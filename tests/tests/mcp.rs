//! The MCP server: `spectask mcp` as editors and agents start it, `/mcp` over loopback, and what other
//! people's programs say of both.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use spectask_tests::{SampleRepo, TestEnv, mcp, spectask_bin};

use crate::common::{example_env, expect, finish, list, show};

/// A client of `spectask mcp` that behaves as Zed does.
struct Client {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    number: u64,
    opened: Value,
}

impl Client {
    fn start(env: &TestEnv, cwd: &Path, set: &[(&str, &str)]) -> Self {
        let mut command = env.spectask(cwd, &["mcp"]);
        command.envs(set.iter().copied());
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut client = Self {
            stdin: child.stdin.take(),
            stdout: BufReader::new(child.stdout.take().unwrap()),
            child,
            number: 0,
            opened: Value::Null,
        };
        let about = json!({ "name": "Zed", "version": "0.1.0" });
        let params =
            json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": about });
        client.opened = client.ask("initialize", &params)["result"].clone();
        client.say(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }));
        client
    }

    fn say(&mut self, message: &Value) {
        let stdin = self.stdin.as_mut().unwrap();
        stdin.write_all(format!("{message}\n").as_bytes()).unwrap();
        stdin.flush().unwrap();
    }

    /// The answer; every line is JSON-RPC and none is a request.
    fn ask(&mut self, method: &str, params: &Value) -> Value {
        self.number += 1;
        self.say(
            &json!({ "jsonrpc": "2.0", "id": self.number, "method": method, "params": params }),
        );
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        let answer: Value =
            serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert_eq!(answer["id"], self.number, "{answer}");
        answer
    }

    fn call(&mut self, tool: &str, arguments: &Value) -> Value {
        let answer = self.ask(
            "tools/call",
            &json!({ "name": tool, "arguments": arguments }),
        );
        assert!(answer["result"].is_object(), "{answer}");
        answer["result"].clone()
    }

    /// A call that succeeds: its structured result.
    fn get(&mut self, tool: &str, arguments: &Value) -> Value {
        let result = self.call(tool, arguments);
        assert_eq!(result["isError"], false, "{tool}: {result}");
        result["structuredContent"].clone()
    }

    /// A call that is refused: the reason.
    fn refused(&mut self, tool: &str, arguments: &Value) -> String {
        let result = self.call(tool, arguments);
        assert_eq!(result["isError"], true, "{tool}: {result}");
        result["content"][0]["text"].as_str().unwrap().to_owned()
    }

    /// Closes the input: the server says nothing more and ends well.
    fn close(mut self) {
        drop(self.stdin.take());
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "");
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn planned(env: &TestEnv, repo: &Path) {
    let _ = expect(env, repo, 0, &["new", "Add a greeting", "--wait"]);
}

#[test]
fn an_editors_own_agent_reads_and_its_person_types_commands() {
    let env = example_env();
    let repo = SampleRepo::new(&env, "repo");
    planned(&env, repo.path());
    let mut client = Client::start(&env, repo.path(), &[]);
    let able = &client.opened["capabilities"];
    assert_eq!(*able, json!({ "tools": {}, "prompts": {} }));
    let tools = client.ask("tools/list", &json!({}));
    assert_eq!(list(&tools["result"]["tools"]).len(), 12);
    let task = client.get("get_task", &json!({}));
    assert_eq!(task["status"], "spec_review", "{task:#}");
    let documents = client.get("get_documents", &json!({}));
    assert_eq!(documents["approved"], false);
    assert_eq!(list(&documents["documents"]).len(), 3);
    let sessions = client.get("list_sessions", &json!({}));
    let name = sessions["sessions"][0]["name"].as_str().unwrap().to_owned();
    let session = client.get("get_session", &json!({ "session": name }));
    assert!(!list(&session["transcript"]).is_empty(), "{session:#}");

    let prompts = client.ask("prompts/list", &json!({}));
    let prompts = list(&prompts["result"]["prompts"]).to_vec();
    assert!(prompts.iter().any(|prompt| prompt["name"] == "spec-status"));
    for prompt in &prompts {
        assert!(list(&prompt["arguments"]).len() <= 1, "{prompt}");
    }
    let got = client.ask("prompts/get", &json!({ "name": "spec-status" }));
    let messages = list(&got["result"]["messages"]);
    let [message] = messages else {
        panic!("{got:#}");
    };
    let text = message["content"]["text"].as_str().unwrap();
    assert!(text.contains(task["name"].as_str().unwrap()), "{text}");

    // The daemon dies and comes back; the server stays.
    let pid = env.daemon_pid().unwrap();
    assert!(spectask_tests::env::kill(pid));
    let again = client.get("get_task", &json!({}));
    assert_eq!(again["name"], task["name"]);
    assert_ne!(env.daemon_pid().unwrap(), pid);
    client.close();

    let mut nowhere = Client::start(&env, Path::new("/"), &[]);
    let told = nowhere.refused("get_task", &json!({}));
    assert!(told.contains("`project`"), "{told}");
    let project = repo.path().display().to_string();
    let named = nowhere.get("get_task", &json!({ "project": project }));
    assert_eq!(named["name"], task["name"]);
    nowhere.close();
}

#[test]
fn an_agent_reports_asks_and_spawns_within_limits_and_decides_nothing() {
    let env = example_env();
    let repo = SampleRepo::new(&env, "repo");
    planned(&env, repo.path());
    let _ = expect(&env, repo.path(), 0, &["approve", "1", "--yes", "--wait"]);
    let overview = show(&env, repo.path(), "1");
    let sessions = list(&overview["sessions"]);
    let own = sessions[1]["id"].as_str().unwrap().to_owned();
    let marks = [("SPECTASK_AGENT", "1"), ("SPECTASK_SESSION", own.as_str())];
    let mut agent = Client::start(&env, repo.path(), &marks);
    assert_eq!(agent.opened["capabilities"], json!({ "tools": {} }));
    assert_eq!(agent.get("get_session", &json!({}))["id"], own.as_str());
    let _ = agent.get("report_progress", &json!({ "text": "The greeting greets" }));
    let _ = agent.get(
        "record_decision",
        &json!({ "text": "It greets in English" }),
    );
    let prompt = agent.ask("prompts/get", &json!({ "name": "spec-approve" }));
    assert!(prompt["error"].is_object(), "{prompt}");

    let _ = expect(&env, repo.path(), 0, &["pause", "1"]);
    let work = json!({ "title": "A farewell", "description": "Add a farewell" });
    // None of them begins: the SpecTask is paused.
    let mut spawn = || {
        let spawned = agent.get("spawn_session", &work);
        let name = spawned["name"].as_str().unwrap();
        let shown = env.json(repo.path(), &["sessions", "show", name]);
        assert_eq!(shown["parent"], own.as_str(), "{shown:#}");
        let id = shown["id"].as_str().unwrap();
        let marks = [("SPECTASK_AGENT", "1"), ("SPECTASK_SESSION", id)];
        let client = Client::start(&env, repo.path(), &marks);
        (name.to_owned(), client)
    };
    let ((_, mut first), (name, mut second)) = (spawn(), spawn());
    let question = json!({ "session": name, "text": "Which port?" });
    let asked = first.get("ask_session", &question);
    let messages = second.get("get_messages", &json!({}));
    assert_eq!(messages["messages"][0]["id"], asked["id"], "{messages:#}");
    let answer = json!({ "message": asked["id"], "text": "80" });
    let _ = second.get("answer_message", &answer);
    let answers = first.get("get_messages", &json!({ "answers": asked["id"] }));
    assert_eq!(answers["messages"][0]["text"], "80", "{answers:#}");
    first.close();
    let told = second.refused("spawn_session", &work);
    assert!(told.contains("for persons"), "{told}");
    second.close();
    env.write_config("default_agent = \"example\"\nagent_spawn_limit = 0\n");
    let told = agent.refused("spawn_session", &work);
    assert!(told.contains("agent_spawn_limit"), "{told}");
    agent.close();
}

#[test]
fn the_inspector_understands_it() {
    let env = example_env();
    let repo = SampleRepo::new(&env, "repo");
    planned(&env, repo.path());
    let inspect = |args: &[&str]| -> Value {
        let [node, script] = mcp::inspector();
        let mut command = env.command(node, repo.path());
        command.arg(script).arg("--cli");
        // It hands on little of its own environment.
        for (name, path) in [
            ("SPECTASK_DATA_DIR", env.data_dir()),
            ("SPECTASK_CONFIG", env.config_dir().join("config.toml")),
        ] {
            command.args(["-e", &format!("{name}={}", path.display())]);
        }
        command.arg(spectask_bin());
        command.arg("mcp").args(args).stdin(Stdio::null());
        let (code, stdout, stderr) = finish(command);
        assert_eq!(code, Some(0), "{stdout}\n{stderr}");
        serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error}: {stdout}\n{stderr}"))
    };
    let tools = inspect(&["--method", "tools/list"]);
    assert_eq!(list(&tools["tools"]).len(), 12, "{tools:#}");
    let project = format!("project={}", repo.path().display());
    let called = inspect(&[
        "--method",
        "tools/call",
        "--tool-name",
        "get_task",
        "--tool-arg",
        &project,
    ]);
    assert_eq!(called["structuredContent"]["status"], "spec_review");
    let prompts = inspect(&["--method", "prompts/list"]);
    assert!(!list(&prompts["prompts"]).is_empty(), "{prompts:#}");
}

/// Passes requests on to the daemon with its token, which the conformance suite cannot send. `Host`
/// and `Origin` stay as they are, but for this forwarder's own port.
fn forward(daemon: String, token: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let own = listener.local_addr().unwrap().to_string();
    let here = own.clone();
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let (daemon, token, own) = (daemon.clone(), token.clone(), own.clone());
            thread::spawn(move || pass(client, &daemon, &token, &own));
        }
    });
    here
}

/// One request: the connection ends with its answer.
fn pass(client: TcpStream, daemon: &str, token: &str, own: &str) -> std::io::Result<()> {
    let mut answers = client.try_clone()?;
    let mut requests = BufReader::new(client);
    let mut server = TcpStream::connect(daemon)?;
    let own_port = own.rsplit(':').next().unwrap_or_default();
    let port = daemon.rsplit(':').next().unwrap_or_default();
    let mut first = String::new();
    requests.read_line(&mut first)?;
    let mut head = format!("{first}Authorization: Bearer {token}\r\nConnection: close\r\n");
    loop {
        let mut line = String::new();
        if requests.read_line(&mut line)? == 0 || line == "\r\n" {
            break;
        }
        let lower = line.to_ascii_lowercase();
        if lower.starts_with("host:") {
            line = line.replace(&format!(":{own_port}"), &format!(":{port}"));
        }
        if !lower.starts_with("connection:") {
            head.push_str(&line);
        }
    }
    head.push_str("\r\n");
    server.write_all(head.as_bytes())?;
    let mut upstream = server.try_clone()?;
    thread::spawn(move || {
        let _ = std::io::copy(&mut requests, &mut upstream);
    });
    let _ = std::io::copy(&mut server, &mut answers);
    answers.shutdown(Shutdown::Both)
}

#[test]
fn the_conformance_suite_passes_over_loopback() {
    let env = example_env();
    let told = env.json(&env.home(), &["daemon", "address"]);
    let host = told["url"].as_str().unwrap().trim_start_matches("http://");
    let token = told["token"].as_str().unwrap();
    let url = format!("http://{}/mcp", forward(host.to_owned(), token.to_owned()));
    for scenario in [
        "server-initialize",
        "ping",
        "tools-list",
        "prompts-list",
        "dns-rebinding-protection",
    ] {
        let [node, script] = mcp::conformance();
        let mut command: Command = env.command(node, &env.home());
        command
            .arg(script)
            .args(["server", "--url", &url, "--scenario", scenario])
            .stdin(Stdio::null());
        let (code, stdout, stderr) = finish(command);
        assert_eq!(code, Some(0), "{scenario}: {stdout}\n{stderr}");
        assert!(
            stdout.contains("0 failed"),
            "{scenario}: {stdout}\n{stderr}"
        );
    }
}

#[test]
fn it_starts_quickly() {
    let env = example_env();
    let _ = expect(&env, &env.home(), 0, &["list"]);
    let quickest = (0..5).map(|_| {
        let begin = Instant::now();
        let client = Client::start(&env, Path::new("/"), &[]);
        let took = begin.elapsed();
        client.close();
        took
    });
    let quickest = quickest.min().unwrap();
    // A tenth of a second on a machine with nothing else to do; others compile meanwhile.
    assert!(quickest < Duration::from_secs(1), "{quickest:?}");
}
