//! `spectask acp` between a scripted editor and a scripted daemon on a real socket, which dies and
//! comes back. The database is broken on purpose, so that no real daemon takes the scripted one's place.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::ops::{Deref, DerefMut};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use spectask_tests::{TestEnv, processes};

use super::common::{LIMIT, gone, is_alive};

const SESSION: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

/// A place where no daemon can start. It goes when the last one that tries has given up: one that is
/// late would find the database gone, and stay.
struct Place(TestEnv);

impl Deref for Place {
    type Target = TestEnv;

    fn deref(&self) -> &TestEnv {
        &self.0
    }
}

impl DerefMut for Place {
    fn deref_mut(&mut self) -> &mut TestEnv {
        &mut self.0
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        for process in processes::left_over(&self.0.data_dir(), LIMIT) {
            spectask_tests::env::kill(process.pid);
        }
    }
}

fn place() -> (Place, PathBuf) {
    let env = TestEnv::new();
    fs::write(
        env.data_dir().join("spectask.db"),
        "no database ".repeat(1000),
    )
    .unwrap();
    let project = env.folder().join("project");
    fs::create_dir(&project).unwrap();
    (Place(env), project)
}

/// An editor: a process group of its own, and lines both ways.
struct Editor {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    errors: Receiver<String>,
}

fn lines(from: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    lines
}

impl Editor {
    fn start(env: &TestEnv, project: &std::path::Path, args: &[&str]) -> Self {
        let mut all = vec!["acp"];
        all.extend(args);
        let mut command = env.spectask(project, &all);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap();
        Self {
            stdin: child.stdin.take(),
            lines: lines(child.stdout.take().unwrap()),
            errors: lines(child.stderr.take().unwrap()),
            child,
        }
    }

    fn write(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().unwrap();
        stdin.write_all(line.as_bytes()).unwrap();
        stdin.write_all(b"\n").unwrap();
    }

    fn send(&mut self, frame: &Value) {
        self.write(&frame.to_string());
    }

    fn line(&self) -> String {
        self.lines.recv_timeout(LIMIT).expect("a frame comes")
    }

    fn read(&self) -> Value {
        let line = self.line();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }

    /// Nothing came but what was read.
    fn is_silent(&self) {
        assert_eq!(self.lines.try_recv().ok(), None);
    }

    /// The first line of complaints with these words.
    fn complains(&self, words: &str) -> String {
        loop {
            let line = self.errors.recv_timeout(LIMIT).expect("it complains");
            if line.contains(words) {
                return line;
            }
        }
    }

    /// Closes what it writes to, and waits.
    fn close(mut self) -> (Option<i32>, Duration) {
        let start = Instant::now();
        drop(self.stdin.take());
        let status = self.child.wait().unwrap();
        (status.code(), start.elapsed())
    }
}

impl Drop for Editor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A daemon: the socket, and connections that are greeted by hand.
struct Daemon {
    listener: UnixListener,
}

struct Link {
    stream: BufReader<UnixStream>,
    hello: Value,
}

impl Daemon {
    fn start(env: &TestEnv) -> Self {
        let socket = env.data_dir().join("daemon.sock");
        let _ = fs::remove_file(&socket);
        let listener = UnixListener::bind(socket).unwrap();
        listener.set_nonblocking(true).unwrap();
        Self { listener }
    }

    /// The next shim that says hello; anything else is not found.
    fn hello(&self) -> Link {
        let start = Instant::now();
        loop {
            let Ok((stream, _)) = self.listener.accept() else {
                assert!(start.elapsed() < LIMIT, "no shim comes");
                std::thread::sleep(Duration::from_millis(2));
                continue;
            };
            stream.set_nonblocking(false).unwrap();
            stream.set_read_timeout(Some(LIMIT)).unwrap();
            let mut stream = BufReader::new(stream);
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                if stream.read_line(&mut head).unwrap() == 0 {
                    break;
                }
            }
            if !head.starts_with("GET /acp HTTP/1.1\r\n") {
                let _ = stream
                    .get_mut()
                    .write_all(b"HTTP/1.1 404 Not Found\r\n\r\n");
                continue;
            }
            assert!(head.contains("\r\nUpgrade: spectask-acp\r\n"), "{head}");
            let upgraded = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: spectask-acp\r\n\r\n";
            // One that has gone meanwhile still stands in the queue.
            if stream.get_mut().write_all(upgraded).is_err() {
                continue;
            }
            let mut link = Link {
                stream,
                hello: Value::Null,
            };
            let Some(line) = link.line() else { continue };
            let mut hello: Value = serde_json::from_str(&line).unwrap();
            link.hello = hello["hello"].take();
            return link;
        }
    }

    fn welcome(&self) -> Link {
        let mut link = self.hello();
        link.send(&json!({ "welcome": { "program": "999.0.0" } }));
        link
    }
}

impl Link {
    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let read = self.stream.read_line(&mut line).unwrap_or(0);
        (read > 0).then(|| line.trim_end().to_owned())
    }

    fn read(&mut self) -> Value {
        serde_json::from_str(&self.line().expect("the shim says something")).unwrap()
    }

    /// The next frame of the editor: number, again, frame.
    fn frame(&mut self) -> (Value, bool, Value) {
        loop {
            let mut line = self.read();
            if line.get("ack").is_none() {
                let frame = &mut line["frame"];
                let again = frame["again"].as_bool().unwrap_or(false);
                return (frame["number"].take(), again, frame["frame"].take());
            }
        }
    }

    fn send(&mut self, line: &Value) {
        self.write(&line.to_string());
    }

    fn write(&mut self, line: &str) {
        let line = format!("{line}\n");
        self.stream.get_mut().write_all(line.as_bytes()).unwrap();
    }

    fn give(&mut self, frame: &Value) {
        self.send(&json!({ "frame": { "frame": frame } }));
    }

    fn stream(&mut self, index: u64) {
        let frame = json!({ "jsonrpc": "2.0", "method": "session/update", "params": index });
        let at = json!({ "session": SESSION, "index": index });
        self.send(&json!({ "frame": { "at": at, "frame": frame } }));
    }

    fn answer(&mut self, id: &str) {
        self.give(&json!({ "jsonrpc": "2.0", "id": id, "result": {} }));
    }
}

fn request(id: &str, method: &str) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": { "sessionId": SESSION } })
}

#[test]
fn frames_pass_as_they_are_and_the_daemon_learns_who_comes() {
    let (mut env, project) = place();
    env.set("SHIM_TEST", "seen");
    let daemon = Daemon::start(&env);
    let mut editor = Editor::start(&env, &project, &["--agent", "gemini"]);
    let mut link = daemon.welcome();
    let hello = &link.hello;
    assert_eq!(hello["version"], 1);
    assert_eq!(hello["generation"], 0);
    assert_eq!(hello["pid"], editor.child.id());
    assert_eq!(hello["cwd"], project.to_str().unwrap());
    assert_eq!(hello["entry"], json!({ "kind": "agent", "name": "gemini" }));
    assert_eq!(hello["environment"]["SHIM_TEST"], "seen");
    assert!(hello["environment"].get("SPECTASK_DATA_DIR").is_none());
    assert!(hello.get("initialize").is_none());

    let odd = r#"{"z" : 18446744073709551615, "method":"x/\u0079","id":1e2, "params":null,"_meta":{"a":[1.0]}}"#;
    editor.write(odd);
    assert_eq!(
        link.line().unwrap(),
        format!(r#"{{"frame":{{"number":1,"frame":{odd}}}}}"#)
    );
    let odd = r#"{"b":1,"id":100.0,"a" :{"é":"é\/"},"result":18446744073709551615}"#;
    link.write(&format!(r#"{{"frame":{{"frame":{odd}}}}}"#));
    assert_eq!(editor.line(), odd);
    assert_eq!(editor.close().0, Some(0));
    assert_eq!(
        link.line(),
        None,
        "the daemon sees that the editor has gone"
    );

    let mut editor = Editor::start(&env, &project, &["--", "my-agent", "--acp"]);
    let link = daemon.welcome();
    let entry = json!({ "kind": "command", "command": ["my-agent", "--acp"] });
    assert_eq!(link.hello["entry"], entry);
    editor.stdin.take();
    assert!(editor.child.wait().unwrap().success());
}

#[test]
fn a_malformed_line_ends_nothing() {
    let (env, project) = place();
    let daemon = Daemon::start(&env);
    let mut editor = Editor::start(&env, &project, &[]);
    let mut link = daemon.welcome();
    let bad = [
        "hello",
        r#"{"id":1,"#,
        r#"[{"id":1,"method":"x"}]"#,
        "\u{0}",
        "[",
        "\"x\"",
    ];
    for line in bad {
        editor.write(line);
        let answer = editor.read();
        assert_eq!(answer["id"], Value::Null, "{line}");
        assert_eq!(answer["error"]["code"], -32700, "{line}");
    }
    editor
        .stdin
        .as_mut()
        .unwrap()
        .write_all(b"\xff\xfe\n\n \r\n")
        .unwrap();
    assert_eq!(editor.read()["error"]["code"], -32700);
    let long = format!("{{\"id\":\"{}\"}}", "x".repeat(65 << 20));
    editor.write(&long);
    assert_eq!(editor.read()["error"]["code"], -32700);
    // A prompt with pictures is no problem.
    let mut large = request("large", "session/prompt");
    large["params"]["prompt"] = Value::from("y".repeat(20 << 20));
    editor.send(&large);
    let (number, again, frame) = link.frame();
    assert_eq!((number, again), (json!(1), false));
    assert_eq!(frame, large);
    link.give(&json!({ "jsonrpc": "2.0", "id": "large", "result": "z".repeat(20 << 20) }));
    assert_eq!(
        editor.read()["result"].as_str().map(str::len),
        Some(20 << 20)
    );
    editor.is_silent();
}

#[test]
fn a_daemon_that_dies_is_only_a_pause() {
    let (env, project) = place();
    let daemon = Daemon::start(&env);
    let mut editor = Editor::start(&env, &project, &[]);
    let mut link = daemon.welcome();
    let mut initialize = request("i", "initialize");
    initialize["params"] = json!({ "protocolVersion": 1 });
    editor.send(&initialize);
    link.frame();
    link.answer("i");
    editor.read();
    link.send(&json!({ "opened": { "session": SESSION } }));
    for index in 0..5 {
        link.stream(index);
        assert_eq!(editor.read()["params"], index);
    }
    editor.send(&request("p", "session/prompt"));
    assert_eq!(link.frame().2["id"], "p");
    let cancel =
        json!({ "jsonrpc": "2.0", "method": "session/cancel", "params": { "sessionId": SESSION } });
    editor.send(&cancel);
    assert_eq!(link.frame().2, cancel);
    link.give(&request("ask", "session/request_permission"));
    assert_eq!(editor.read()["id"], "ask");

    drop((daemon, link));
    let withdrawn = editor.read();
    assert_eq!(withdrawn["method"], "$/cancel_request");
    assert_eq!(withdrawn["params"]["requestId"], "ask");
    // Meanwhile the editor goes on.
    editor.send(
        &json!({ "jsonrpc": "2.0", "id": "ask", "error": { "code": -32800, "message": "" } }),
    );
    editor.send(&request("q", "session/prompt"));
    editor.send(&json!({ "jsonrpc": "2.0", "method": "_note" }));
    editor.complains("did not start");

    let daemon = Daemon::start(&env);
    let mut link = daemon.welcome();
    assert_eq!(link.hello["generation"], 1);
    assert_eq!(link.hello["initialize"], json!({ "protocolVersion": 1 }));
    assert_eq!(link.hello["sessions"], json!({ SESSION: 4 }));
    let (number, again, frame) = link.frame();
    assert_eq!((number, again, &frame["id"]), (json!(2), true, &json!("p")));
    assert_eq!(link.frame(), (Value::Null, true, cancel));
    let (number, again, frame) = link.frame();
    assert_eq!(
        (number, again, &frame["id"]),
        (json!(3), false, &json!("q"))
    );
    assert_eq!(link.frame().2["method"], "_note");
    // What the editor has does not come twice.
    for index in 2..8 {
        link.stream(index);
    }
    for index in 5..8 {
        assert_eq!(editor.read()["params"], index);
    }
    link.answer("p");
    assert_eq!(editor.read()["id"], "p");
    link.answer("p");
    link.answer("q");
    assert_eq!(editor.read()["id"], "q");

    // The new daemon asks again, and gets the answer to its own request alone.
    link.give(&request("ask-2", "session/request_permission"));
    assert_eq!(editor.read()["id"], "ask-2");
    let allowed = json!({ "jsonrpc": "2.0", "id": "ask-2", "result": { "outcome": "selected" } });
    editor.send(&allowed);
    assert_eq!(link.frame(), (Value::Null, false, allowed));
    editor.is_silent();
    assert_eq!(editor.close().0, Some(0));
}

#[test]
fn many_deaths_lose_nothing() {
    let (env, project) = place();
    let mut editor = Editor::start(&env, &project, &[]);
    let mut open = Vec::new();
    for life in 0..5 {
        let daemon = Daemon::start(&env);
        let mut link = daemon.welcome();
        assert_eq!(link.hello["generation"], life);
        let id = format!("p{life}");
        editor.send(&request(&id, "session/prompt"));
        open.push(id);
        for (number, id) in open.iter().enumerate() {
            let (got, again, frame) = link.frame();
            assert_eq!(got, json!(number + 1));
            assert_eq!(again, number + 1 < open.len());
            assert_eq!(frame["id"], *id);
        }
        link.send(&json!({ "opened": { "session": SESSION } }));
        link.stream(life);
        assert_eq!(editor.read()["params"], life);
    }
    let daemon = Daemon::start(&env);
    let mut link = daemon.welcome();
    for id in &open {
        link.answer(id);
    }
    for id in &open {
        assert_eq!(editor.read()["id"], *id);
    }
    editor.is_silent();
}

#[test]
fn a_flood_arrives_in_order_and_is_acknowledged_in_few_lines() {
    const FRAMES: u64 = 20_000;
    let (env, project) = place();
    let daemon = Daemon::start(&env);
    let editor = Editor::start(&env, &project, &[]);
    let mut link = daemon.welcome();
    link.send(&json!({ "opened": { "session": SESSION } }));
    let mut writer = Link {
        stream: BufReader::new(link.stream.get_ref().try_clone().unwrap()),
        hello: Value::Null,
    };
    let writing = std::thread::spawn(move || {
        for index in 0..FRAMES {
            writer.stream(index);
        }
    });
    for index in 0..FRAMES {
        assert_eq!(editor.read()["params"], index);
    }
    writing.join().unwrap();
    let (mut acks, mut newest) = (0, 0);
    while newest < FRAMES - 1 {
        let ack = link.read();
        assert_eq!(ack["ack"]["session"], SESSION);
        let index = ack["ack"]["index"].as_u64().unwrap();
        assert!(acks == 0 || index > newest);
        newest = index;
        acks += 1;
    }
    assert!(acks <= FRAMES / 64 + 1000, "{acks} acknowledgements");
}

#[test]
fn the_end_of_input_ends_it_whatever_the_daemon_does() {
    let (env, project) = place();
    // No daemon at all.
    let (code, took) = Editor::start(&env, &project, &[]).close();
    assert_eq!(code, Some(0));
    assert!(took < Duration::from_secs(5), "{took:?}");
    // One that accepts and does nothing.
    let daemon = Daemon::start(&env);
    let mut editor = Editor::start(&env, &project, &[]);
    editor.send(&request("i", "initialize"));
    let (code, _) = editor.close();
    assert_eq!(code, Some(0));
    // One that does not read.
    let mut editor = Editor::start(&env, &project, &[]);
    let mut link = daemon.hello();
    while link.hello["pid"] != editor.child.id() {
        link = daemon.hello();
    }
    link.send(&json!({ "welcome": { "program": "999.0.0" } }));
    let mut large = request("large", "session/prompt");
    large["params"]["prompt"] = Value::from("y".repeat(10 << 20));
    editor.send(&large);
    let (code, took) = editor.close();
    assert_eq!(code, Some(0));
    assert!(took < Duration::from_secs(5), "{took:?}");
    drop(link);
}

#[test]
fn what_was_written_last_still_arrives() {
    let (env, project) = place();
    let daemon = Daemon::start(&env);
    let mut editor = Editor::start(&env, &project, &[]);
    let mut link = daemon.welcome();
    let cancel =
        json!({ "jsonrpc": "2.0", "method": "session/cancel", "params": { "sessionId": SESSION } });
    editor.send(&cancel);
    let end = cancel.to_string();
    editor
        .stdin
        .as_mut()
        .unwrap()
        .write_all(end.as_bytes())
        .unwrap();
    assert_eq!(editor.close().0, Some(0));
    assert_eq!(link.frame().2, cancel);
    assert_eq!(link.frame().2, cancel);
    assert_eq!(link.line(), None);
}

#[test]
fn an_editor_that_reads_no_more_ends_it() {
    let (env, project) = place();
    let daemon = Daemon::start(&env);
    let mut command = env.spectask(&project, &["acp"]);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut link = daemon.welcome();
    drop(child.stdout.take());
    link.stream(0);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_window_that_closes_kills_the_shim_and_not_the_daemon() {
    let env = TestEnv::new();
    let project = env.folder().join("project");
    fs::create_dir(&project).unwrap();
    drop(env.git(&project, &["init", "-q"]));
    let mut editor = Editor::start(&env, &project, &[]);
    let start = Instant::now();
    let daemon = loop {
        if let Some(pid) = env.daemon_pid() {
            break pid;
        }
        assert!(start.elapsed() < LIMIT, "no daemon starts");
    };
    let group = format!("-{}", editor.child.id());
    let killed = Command::new("kill").args(["-9", "--", &group]).status();
    assert!(killed.unwrap().success());
    editor.child.wait().unwrap();
    gone(editor.child.id(), LIMIT);
    assert!(is_alive(daemon), "the daemon went with its editor");
}

#[test]
fn a_killed_shim_is_seen_at_once() {
    let (env, project) = place();
    let daemon = Daemon::start(&env);
    let mut editor = Editor::start(&env, &project, &[]);
    let mut link = daemon.welcome();
    editor.child.kill().unwrap();
    assert_eq!(link.line(), None);
}

#[test]
fn a_daemon_that_cannot_start_is_told_in_the_thread() {
    let (env, project) = place();
    let mut editor = Editor::start(&env, &project, &[]);
    editor.send(&request("i", "initialize"));
    editor.send(&request("p", "session/prompt"));
    let start = Instant::now();
    let answer = editor.read();
    assert!(start.elapsed() > Duration::from_secs(15), "{answer}");
    assert_eq!(answer["id"], "p");
    assert_eq!(answer["error"]["code"], -32603);
    let details = answer["error"]["data"]["details"].as_str().unwrap();
    assert!(details.contains("the daemon did not start"), "{details}");
    assert!(details.contains("daemon.log"), "{details}");
    // It goes on: what waits is served as soon as a daemon is there.
    let daemon = Daemon::start(&env);
    let mut link = daemon.welcome();
    assert_eq!(link.frame().2["id"], "i");
    link.answer("i");
    assert_eq!(editor.read()["id"], "i");
    editor.is_silent();
}

#[test]
fn a_refusal_and_a_folder_that_is_gone_do_not_end_it() {
    let (env, project) = place();
    let daemon = Daemon::start(&env);
    let mut editor = Editor::start(&env, &project, &[]);
    editor.send(&request("i", "initialize"));
    let mut link = daemon.hello();
    let failure = json!({ "kind": "not_found", "message": "not here", "hint": "go there" });
    link.send(&json!({ "refused": { "failure": failure } }));
    editor.complains("not here");
    let refused = Instant::now();
    let mut link = daemon.welcome();
    assert!(refused.elapsed() > Duration::from_secs(3));
    assert!(!link.frame().1);
    drop((daemon, link));
    fs::remove_dir(&project).unwrap();
    editor.complains("cannot open");
    fs::create_dir(&project).unwrap();
    assert_eq!(editor.close().0, Some(0));
}

#[test]
fn a_detached_editor_attaches_again_when_it_opens_a_thread() {
    let (env, project) = place();
    let daemon = Daemon::start(&env);
    let mut editor = Editor::start(&env, &project, &[]);
    let mut link = daemon.welcome();
    editor.send(&request("p", "session/prompt"));
    link.frame();
    link.send(&json!({ "detached": { "text": "detached by a person" } }));
    for id in ["p", "q"] {
        let answer = editor.read();
        assert_eq!(answer["id"], id);
        assert_eq!(answer["error"]["data"]["details"], "detached by a person");
        editor.send(&request("q", "session/prompt"));
    }
    assert_eq!(editor.read()["id"], "q");
    assert_eq!(link.line(), None);
    editor.send(&request("n", "session/new"));
    let mut link = daemon.welcome();
    let (_, again, frame) = link.frame();
    assert_eq!((again, &frame["id"]), (false, &json!("n")));
}

#[test]
fn usage_errors_are_not_written_where_frames_go() {
    let (env, project) = place();
    for args in [
        vec!["acp", "--agent", "no such name"],
        vec!["acp", "--agent", "a", "--", "b"],
        vec!["acp", "--what"],
    ] {
        let run = env.run(&project, &args);
        assert_eq!(run.code, Some(2), "{run:?}");
        assert_eq!(run.stdout, "", "{run:?}");
        assert!(run.stderr.contains("error"), "{run:?}");
    }
    let mut editor = Editor::start(&env, &project, &[]);
    editor.stdin.take();
    assert!(editor.child.wait().unwrap().success());
    assert_eq!(
        editor.lines.recv_timeout(LIMIT),
        Err(RecvTimeoutError::Disconnected)
    );
}
