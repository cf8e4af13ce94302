//! The MCP server that an agent's session is given: it speaks for that session, it is the only one of
//! its name, and it decides nothing.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;

use serde_json::{Value, json};
use spectask_tests::editor::{PATIENCE, ZedEditor};
use spectask_tests::env::kill;
use spectask_tests::{SampleRepo, TestEnv, agents, processes, spectask_bin};

use crate::common::{expect, list, show};
use crate::threads_common::{Place, eventually};

/// What an HTTP connection to the daemon is made of.
trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

/// Where the daemon listens.
#[derive(Clone, Copy, Debug)]
enum Door {
    Loopback,
    Socket,
}

/// Calls a method from this process with a token; without one, with the daemon's own.
fn call(env: &TestEnv, door: Door, token: Option<&str>, method: &str, params: &Value) -> Value {
    let told = env.json(&env.home(), &["daemon", "address"]);
    let host = told["url"].as_str().unwrap().trim_start_matches("http://");
    let token = token.unwrap_or_else(|| told["token"].as_str().unwrap());
    let mut stream: Box<dyn Stream> = match door {
        Door::Loopback => {
            let stream = TcpStream::connect(host).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            Box::new(stream)
        }
        Door::Socket => {
            let status = env.json(&env.home(), &["daemon", "status"]);
            let stream = UnixStream::connect(status["socket"].as_str().unwrap()).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            Box::new(stream)
        }
    };
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string();
    let request = format!(
        "POST /rpc HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .unwrap_or_else(|| panic!("no answer of HTTP: {answer}"));
    assert!(head.starts_with("HTTP/1.1 200"), "{answer}");
    serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}"))
}

/// Session and text of each report so far, oldest first.
fn reports(env: &TestEnv) -> Vec<(String, String)> {
    let answer = call(env, Door::Loopback, None, "events.list", &json!({}));
    let events = list(&answer["result"]["events"]).iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    events
        .filter(|event| event["kind"] == "reported")
        .map(|event| (text(&event["session"]), text(&event["data"]["text"])))
        .collect()
}

/// Lets fast-agent call `report_progress`; the call is asked for, as Zed shows it, and allowed.
fn report(editor: &ZedEditor, thread: &str, server: &str, text: &str) -> String {
    let arguments = json!({ "text": text });
    let prompt = editor.send_prompt(
        thread,
        &format!("***CALL_TOOL {server}__report_progress {arguments}"),
    );
    let shown = editor.permissions(thread, 1);
    editor.decide(&shown[0], "allow_once");
    prompt
}

/// Prompts until a turn ends by itself: one that begins in the moment an agent dies is interrupted.
fn settle(editor: &ZedEditor, thread: &str) {
    eventually("a turn ends", || {
        let answer = editor.prompt(thread, "Are you there?").unwrap();
        (answer["stopReason"] == "end_turn").then_some(())
    });
}

#[test]
fn a_tool_call_comes_from_the_session_that_made_it_though_one_process_serves_two() {
    let env = TestEnv::new();
    let repo = SampleRepo::new(&env, "project")
        .file("README.md", "# Project\n")
        .commit("Begin");
    let agent = agents::fast_agent_passthrough(&env.home());
    let args: Vec<&str> = std::iter::once("--")
        .chain(agent.argv.iter().map(String::as_str))
        .collect();
    let editor = ZedEditor::open(&env, repo.path(), &args);
    let (first, second) = (editor.new_thread(), editor.new_thread());

    // fast-agent takes no two servers of one name with different settings, whatever session they are
    // for: the second thread's has a name of its own.
    let other = format!("spectask-{}", &second[second.len() - 8..]);

    // Both are open before either says anything, and both work at once.
    let prompts = [
        report(&editor, &second, &other, "From the second"),
        report(&editor, &first, "spectask", "From the first"),
    ];
    for prompt in prompts {
        assert_eq!(editor.answer(&prompt).unwrap()["stopReason"], "end_turn");
    }
    let again = report(&editor, &second, &other, "The second again");
    assert_eq!(editor.answer(&again).unwrap()["stopReason"], "end_turn");

    let mut got = reports(&env);
    got.sort();
    let mut wanted = vec![
        (first.clone(), "From the first".to_owned()),
        (second.clone(), "From the second".to_owned()),
        (second.clone(), "The second again".to_owned()),
    ];
    wanted.sort();
    assert_eq!(got, wanted);

    let program = &agent.argv[0];
    let served: Vec<u32> = processes::of_data_dir(&env.data_dir())
        .into_iter()
        .filter(|process| process.command.contains(program))
        .filter(|process| !process.command.iter().any(|word| word == "acp"))
        .map(|process| process.pid)
        .collect();
    assert_eq!(served.len(), 1, "one process serves both threads");
    let sessions = env.json(repo.path(), &["sessions", "--all"]);
    let ids: Vec<&Value> = list(&sessions["sessions"])
        .iter()
        .map(|session| &session["id"])
        .collect();
    assert_eq!(ids.len(), 2, "{sessions:#}");
    assert!(ids.contains(&&json!(first)) && ids.contains(&&json!(second)));

    // After the process has died both go on in a new one, where the second is the first to be opened.
    assert!(kill(served[0]));
    settle(&editor, &second);
    settle(&editor, &first);
    let other = format!("spectask-{}", &first[first.len() - 8..]);
    for (thread, server, text) in [(&second, "spectask", "Later"), (&first, &other, "Last")] {
        let prompt = report(&editor, thread, server, text);
        assert_eq!(editor.answer(&prompt).unwrap()["stopReason"], "end_turn");
        assert_eq!(
            reports(&env).last(),
            Some(&(thread.clone(), text.to_owned()))
        );
    }
    assert_eq!(editor.faults(), Vec::<String>::new());
}

/// The value of a variable that an entry of `mcpServers` sets.
fn variable<'entry>(server: &'entry Value, name: &str) -> &'entry str {
    let found: Vec<&Value> = list(&server["env"])
        .iter()
        .filter(|variable| variable["name"] == name)
        .collect();
    assert_eq!(found.len(), 1, "{name}: {server:#}");
    found[0]["value"].as_str().unwrap()
}

/// The one entry with our name.
fn ours(opened: &Value) -> &Value {
    let named: Vec<&Value> = list(&opened["mcpServers"])
        .iter()
        .filter(|server| server["name"] == "spectask")
        .collect();
    assert_eq!(named.len(), 1, "{opened:#}");
    named[0]
}

#[test]
fn a_server_of_the_editors_with_our_name_gives_way_and_others_stay_as_they_are() {
    let place = Place::new();
    let editor = place.editor();
    let impostor = json!({
        "name": "spectask",
        "command": "/bin/false",
        "args": ["mcp"],
        "env": [{ "name": "SPECTASK_SESSION_TOKEN", "value": "made-up" }],
    });
    let others = [
        json!({
            "name": "files",
            "command": "/opt/files/server",
            "args": ["--root", "/a b", ""],
            "env": [{ "name": "FILES_MODE", "value": "read only" }],
            "_meta": { "kept": [1, null] },
        }),
        json!({
            "type": "http",
            "name": "Spectask",
            "url": "http://127.0.0.1:9/mcp",
            "headers": [{ "name": "X-Key", "value": "k" }],
        }),
    ];
    let given = json!([impostor, others[0], impostor, others[1]]);
    let params = json!({ "cwd": place.project, "mcpServers": given });
    let mut threads = Vec::new();
    for _ in 0..2 {
        let answer = editor.request("session/new", params.clone()).unwrap();
        threads.push(answer["sessionId"].as_str().unwrap().to_owned());
    }
    let answer = editor.prompt(&threads[0], "hello").unwrap();
    assert_eq!(answer["stopReason"], "end_turn");

    let opened = place.asked("session/new");
    assert_eq!(opened.len(), 2, "{opened:#?}");
    for opened in &opened {
        let own = ours(opened);
        assert_eq!(own["command"], json!(spectask_bin()));
        assert_eq!(own["args"], json!(["mcp"]));
        assert_eq!(list(&own["env"]).len(), 2, "{own:#}");
        assert_eq!(
            variable(own, "SPECTASK_DATA_DIR"),
            place.env.data_dir().to_str().unwrap()
        );
        let kept: Vec<&Value> = list(&opened["mcpServers"])
            .iter()
            .filter(|server| server["name"] != "spectask")
            .collect();
        assert_eq!(kept, others.iter().collect::<Vec<_>>());
    }
    let tokens = [0, 1].map(|at| variable(ours(&opened[at]), "SPECTASK_SESSION_TOKEN"));
    assert_ne!(tokens[0], tokens[1], "each session has a token of its own");
    // The agent's sessions and the editor's threads were opened in the same order.
    for (token, thread) in tokens.iter().zip(&threads) {
        let status = call(
            &place.env,
            Door::Socket,
            Some(token),
            "daemon.status",
            &json!({}),
        );
        assert_eq!(status["result"]["session"], json!(thread), "{status:#}");
    }

    // The same holds when the agent's session is opened again.
    place.kill_agent();
    settle(&editor, &threads[0]);
    let again = place.asked("session/resume");
    assert_eq!(again.len(), 1, "{again:#?}");
    assert_eq!(
        variable(ours(&again[0]), "SPECTASK_SESSION_TOKEN"),
        tokens[0]
    );
    assert_eq!(list(&again[0]["mcpServers"]).len(), 3, "{again:#?}");
    place.finish(&[&editor]);
}

#[test]
fn the_token_of_an_agents_session_approves_nothing() {
    let mut place = Place::new();
    place.env.write_config("default_agent = \"example\"\n");
    place.env.set("SPECTASK_EXAMPLE_PACE_MS", "0");
    let (env, project) = (&place.env, &place.project);
    let new = ["new", "Add a greeting", "--agent", "example", "--wait"];
    let _ = expect(env, project, 0, &new);
    let editor = place.editor();
    let thread = editor.new_thread();
    editor.prompt(&thread, "hello").unwrap();
    let opened = place.asked("session/new");
    let token = variable(ours(&opened[0]), "SPECTASK_SESSION_TOKEN");
    assert!(token.len() >= 32, "{token}");

    for door in [Door::Loopback, Door::Socket] {
        let ask = |method, params: &Value| call(env, door, Some(token), method, params);
        let status = ask("daemon.status", &json!({}));
        assert_eq!(status["result"]["role"], "agent", "{door:?}: {status:#}");
        assert_eq!(status["result"]["session"], json!(thread), "{door:?}");
        let review = ask("review.get", &json!({ "task": "1", "cwd": project }));
        let review = &review["result"];
        assert_eq!(review["revision"], 1, "{door:?}: {review:#}");
        let approve = json!({
            "task": "1",
            "revision": review["revision"],
            "digest": review["digest"],
            "start": false,
        });
        let refused = ask("review.approve", &approve);
        assert_eq!(
            refused["error"]["data"]["kind"], "forbidden",
            "{door:?}: {refused:#}"
        );
        assert_eq!(show(env, project, "1")["task"]["status"], "spec_review");
    }
    // What was tried is in the history of the session that tried it, once.
    let answer = call(env, Door::Loopback, None, "events.list", &json!({}));
    let tried: Vec<&Value> = list(&answer["result"]["events"])
        .iter()
        .filter(|event| event["kind"] == "incident")
        .collect();
    assert_eq!(tried.len(), 1, "{tried:#?}");
    assert_eq!(tried[0]["session"], json!(thread), "{tried:#?}");
    assert_eq!(tried[0]["data"]["incident"], "forbidden", "{tried:#?}");
    let text = tried[0]["data"]["text"].as_str().unwrap();
    assert!(text.contains("review.approve"), "{text}");

    // The same review is a person's to approve.
    let _ = expect(env, project, 0, &["approve", "1", "--yes", "--no-start"]);
    place.finish(&[&editor]);
}
