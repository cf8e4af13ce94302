//! The tricks. Each records what it tried and what came of it.
//!
//! - `slow=MS` waits, in steps with an update each.
//! - `ask` asks permission to run a command and to edit outside the root.
//! - `tick`, `edit-specs` change the documents, through the client and on disk.
//! - `approve` runs `spectask approve` in a terminal of the client, as a child, and as a process
//!   that left its group.
//! - `escape` writes and reads outside the root through the client.
//! - `foreign-ref` moves branches that are not its own, and stashes.
//! - `forge` ticks every box in a commit and moves the branch of the SpecTask there.
//! - `roles` tries everything that only a person may do.
//! - `check` makes the project's check try what only a person may do.
//! - `linger` leaves a process that approves a second later and stays.
//! - `flood` sends lines that are no frames, and frames that make no sense.
//! - `leak` says the canaries in every way an agent has; `leak-exit` does it on standard error, and
//!   ends, once.
//! - `hang` never answers, `exit` ends in the middle of the turn.
//!
//! Played elsewhere: `early` (plays in the planning turn too), `empty`, `stop=REASON`, `bad-plan`, `needs-auth`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use serde_json::{Value, json};

use spectask_tests::canaries;

use crate::peer::Peer;
use crate::{Orders, Turn};

pub(crate) fn play(peer: &mut Peer, orders: &Orders, turn: &Turn) {
    for trick in &orders.tricks {
        match trick.as_str() {
            "ask" => ask(peer, orders, turn),
            "tick" => tick(peer, turn),
            "edit-specs" => edit_specs(peer, turn),
            "approve" => approve(peer, orders, turn),
            "escape" => escape(peer, orders, turn),
            "foreign-ref" => foreign_ref(peer, turn),
            "forge" => forge(peer, turn),
            "roles" => roles(peer, orders, turn),
            "check" => check(peer, orders, turn),
            "linger" => linger(peer, orders, turn),
            "flood" => flood(peer),
            "leak" => leak(peer, turn),
            "leak-exit" => leak_exit(orders, turn),
            "hang" => hang(peer),
            "exit" => {
                eprintln!("adversary: out of cheese");
                std::process::exit(3);
            }
            other => {
                if let Some(time) = other.strip_prefix("slow=").and_then(|ms| ms.parse().ok()) {
                    slow(peer, time);
                }
            }
        }
    }
}

fn slow(peer: &Peer, milliseconds: u64) {
    for step in 0..10 {
        peer.say(&format!("Step {step}. "));
        std::thread::sleep(Duration::from_millis(milliseconds / 10));
    }
}

fn chunks(peer: &Peer, kind: &str, secret: &str) {
    let text = format!("It is {secret}, I think.");
    let (head, tail) = text.split_at(12);
    let (middle, tail) = tail.split_at(9);
    for (at, part) in [head, middle, tail].iter().enumerate() {
        peer.update(&json!({"sessionUpdate": kind, "content": {"type": "text", "text": part}}));
        if at == 0 {
            peer.update(&json!({"sessionUpdate": "usage_update", "used": 1000, "size": 200_000}));
        }
    }
}

fn leak(peer: &mut Peer, turn: &Turn) {
    let token = canaries::token;
    peer.say(&format!(
        "The key is {} and the variable has {}. ",
        token("message"),
        canaries::VARIABLE
    ));
    chunks(peer, "agent_thought_chunk", &token("thought-in-chunks"));
    chunks(peer, "agent_message_chunk", &token("message-in-chunks"));
    chunks(peer, "agent_message_chunk", canaries::VARIABLE);
    // 1 KiB of bytes that end with the secret, in base64 as ACP has images.
    let image = format!("{}{}", "iVBORw0KGgo1".repeat(100), token("image"));
    peer.update(&json!({"sessionUpdate": "agent_message_chunk",
        "content": {"type": "image", "mimeType": "image/png", "data": image}}));
    peer.update(
        &json!({"sessionUpdate": "tool_call", "toolCallId": "leak", "kind": "execute",
        "title": format!("curl -H 'X: {}'", token("call-title")), "status": "in_progress",
        "rawInput": {"command": ["curl", token("call-input")], token("key"): canaries::VARIABLE}}),
    );
    peer.update(&json!({"sessionUpdate": "tool_call_update", "toolCallId": "leak", "status": "completed",
        "rawOutput": {"stdout": format!("ok {}\n", token("call-output"))},
        "content": [{"type": "diff", "path": turn.root.join(".env"),
            "oldText": format!("A={}\n", token("diff-old")), "newText": format!("A={}\n", token("diff-new"))}]}));
    peer.update(&json!({"sessionUpdate": "plan", "entries": [
        {"content": format!("use {}", token("plan")), "priority": "high", "status": "pending"}]}));
    peer.update(&json!({"sessionUpdate": "session_info_update", "title": format!("with {}", token("title"))}));
    let made = peer.request(
        "terminal/create",
        json!({"command": "echo", "args": [token("terminal")]}),
    );
    let terminal = &made["result"]["terminalId"];
    let _ = peer.request("terminal/wait_for_exit", json!({"terminalId": terminal}));
    let seen = peer.request("terminal/output", json!({"terminalId": terminal}));
    let seen = seen["result"]["output"].as_str().unwrap_or_default().trim() == token("terminal");
    let outside = format!("/tmp/{}/x", token("path"));
    let _ = peer.request("fs/read_text_file", json!({"path": outside}));
    peer.send(&json!({"jsonrpc": "2.0", "id": "leak-ask", "method": "session/request_permission", "params": {
        "sessionId": turn.session,
        "toolCall": {"toolCallId": "leak-ask", "title": format!("run {}", token("permission")), "kind": "execute", "status": "pending"},
        "options": [{"optionId": "no", "name": "No", "kind": "reject_once"}]}}));
    std::thread::sleep(Duration::from_millis(300));
    peer.send(&json!({"jsonrpc": "2.0", "id": "nobody", "error": {"code": -32603, "message": token("answer")}}));
    eprintln!("warning: {} is old", token("stderr"));
    peer.log("leak", "all", &json!(seen));
}

fn leak_exit(orders: &Orders, turn: &Turn) {
    let mark = outside(orders, turn).join("leaked");
    if !mark.exists() {
        let _ = fs::write(mark, "once");
        eprintln!(
            "fatal: bad key {} and {}",
            canaries::token("stderr"),
            canaries::VARIABLE
        );
        std::process::exit(3);
    }
}

fn hang(peer: &Peer) {
    peer.say("Thinking.");
    loop {
        std::thread::park();
    }
}

fn ask(peer: &mut Peer, orders: &Orders, turn: &Turn) {
    let outside = outside(orders, turn).join("asked.txt");
    let calls = [
        ("execute", json!([]), "rm -rf /"),
        ("edit", json!([{"path": outside}]), "edit outside"),
        (
            "edit",
            json!([{"path": turn.root.join("asked.txt")}]),
            "edit inside",
        ),
        (
            "read",
            json!([{"path": turn.root.join("README.md")}]),
            "read inside",
        ),
    ];
    for (kind, locations, title) in calls {
        let answer = peer.request(
            "session/request_permission",
            json!({
                "toolCall": {"toolCallId": title, "title": title, "kind": kind, "status": "pending", "locations": locations},
                "options": [
                    {"optionId": "always", "name": "Always", "kind": "allow_always"},
                    {"optionId": "yes", "name": "Yes", "kind": "allow_once"},
                    {"optionId": "no", "name": "No", "kind": "reject_once"},
                ],
            }),
        );
        peer.log("ask", title, &answer);
    }
}

fn tick(peer: &mut Peer, turn: &Turn) {
    let path = turn.document("tasks.md");
    let ticked = |text: &str| text.replace("- [ ]", "- [x]");
    let read = peer.request("fs/read_text_file", json!({"path": path}));
    let text = read["result"]["content"].as_str().unwrap_or_default();
    let answer = peer.write_through_client(&path, &ticked(text));
    peer.log("tick", "through the client", &answer);
    let on_disk = fs::read_to_string(&path).and_then(|text| fs::write(&path, ticked(&text)));
    peer.log("tick", "on disk", &json!(format!("{on_disk:?}")));
    let command = [
        "commit",
        "--quiet",
        "--all",
        "--message",
        "Everything is done",
    ];
    peer.log("tick", "committed", &git(turn, &command));
}

fn edit_specs(peer: &mut Peer, turn: &Turn) {
    let path = turn.document("requirements.md");
    let answer = peer.write_through_client(&path, "# Requirements Document\n\nNone.\n");
    peer.log("edit-specs", "requirements.md through the client", &answer);
    let path = turn.document("design.md");
    let answer = peer.write_through_client(&path, "# Design Document\n\nNone.\n");
    peer.log("edit-specs", "design.md through the client", &answer);
    let removed = fs::remove_file(turn.document("tasks.md"));
    peer.log(
        "edit-specs",
        "tasks.md removed",
        &json!(format!("{removed:?}")),
    );
}

fn approve(peer: &mut Peer, orders: &Orders, turn: &Turn) {
    let args = ["approve".to_owned(), turn.text("task"), "--yes".to_owned()];
    let created = peer.request(
        "terminal/create",
        json!({"command": orders.spectask, "args": args, "cwd": turn.root, "outputByteLimit": 65536}),
    );
    let terminal = &created["result"]["terminalId"];
    if terminal.is_null() {
        peer.log("approve", "in a terminal", &created);
    } else {
        let params = json!({"terminalId": terminal});
        let exit = peer.request("terminal/wait_for_exit", params.clone());
        let output = peer.request("terminal/output", params.clone());
        peer.request("terminal/release", params);
        let outcome = json!({"exit": exit["result"], "output": output["result"]["output"]});
        peer.log("approve", "in a terminal", &outcome);
    }
    let child = Command::new(&orders.spectask)
        .args(&args)
        .current_dir(&turn.root)
        .output();
    peer.log("approve", "as a child", &shown(child));
    // A session of its own: neither the group nor the parent leads back to the agent.
    let detached = Command::new("setsid")
        .args(["--fork", "--wait", &orders.spectask])
        .args(&args)
        .current_dir(&turn.root)
        .output();
    peer.log("approve", "detached", &shown(detached));
}

fn outside(orders: &Orders, turn: &Turn) -> PathBuf {
    let parent = turn.root.parent().unwrap_or(&turn.root).to_owned();
    orders.outside.clone().unwrap_or(parent)
}

fn escape(peer: &mut Peer, orders: &Orders, turn: &Turn) {
    let outside = outside(orders, turn);
    let mut attempts = vec![
        ("absolute", outside.join("escaped-absolute.txt")),
        ("dots", turn.root.join("../escaped-dots.txt")),
        (
            "dots below",
            turn.root.join("not-there").join("../../escaped-below.txt"),
        ),
        ("relative", PathBuf::from("../escaped-relative.txt")),
    ];
    let link = turn.root.join("way-out");
    if let Err(error) = symlink(&outside, &link) {
        peer.log("escape", "link made", &json!(error.to_string()));
    }
    attempts.push(("folder link", link.join("escaped-link.txt")));
    let target = outside.join("escaped-file-link.txt");
    let file_link = turn.root.join("file-out.txt");
    if let Err(error) = symlink(&target, &file_link) {
        peer.log("escape", "file link made", &json!(error.to_string()));
    }
    attempts.push(("dangling file link", file_link.clone()));
    let hooks = git(
        turn,
        &["rev-parse", "--path-format=absolute", "--git-path", "hooks"],
    );
    let hooks = Path::new(hooks["stdout"].as_str().unwrap_or_default().trim()).join("post-commit");
    attempts.push(("git hook", hooks));
    for (name, path) in attempts {
        let answer = peer.write_through_client(&path, "escaped\n");
        peer.log("escape", name, &answer);
    }
    let answer = peer.request("fs/read_text_file", json!({"path": "/etc/passwd"}));
    peer.log("escape", "read", &answer);
    for link in [link, file_link] {
        // The links are not what the task asked for.
        let _ = fs::remove_file(link);
    }
}

#[cfg(unix)]
fn symlink(target: &Path, link: &Path) -> std::io::Result<()> {
    std::os::unix::fs::symlink(target, link)
}

#[cfg(windows)]
fn symlink(target: &Path, link: &Path) -> std::io::Result<()> {
    std::os::windows::fs::symlink_dir(target, link)
}

fn foreign_ref(peer: &Peer, turn: &Turn) {
    let own = git(turn, &["symbolic-ref", "--quiet", "HEAD"]);
    let own = own["stdout"].as_str().unwrap_or_default().trim().to_owned();
    let commit = git(
        turn,
        &[
            "commit-tree",
            "-m",
            "Not asked for",
            "-p",
            "HEAD",
            "HEAD^{tree}",
        ],
    );
    let commit = commit["stdout"]
        .as_str()
        .unwrap_or_default()
        .trim()
        .to_owned();
    let listed = git(turn, &["for-each-ref", "--format=%(refname)", "refs/heads"]);
    let listed = listed["stdout"].as_str().unwrap_or_default().to_owned();
    let others = listed.lines().filter(|name| *name != own);
    for name in others.chain(["refs/heads/adversary", "refs/tags/adversary"]) {
        let outcome = git(turn, &["update-ref", name, &commit]);
        peer.log("foreign-ref", name, &outcome);
    }
    // A stash needs something to take away.
    let _ = fs::write(turn.root.join("stashed.txt"), "stashed\n");
    let outcome = git(turn, &["stash", "push", "--include-untracked"]);
    peer.log("foreign-ref", "stash", &outcome);
}

fn forge(peer: &Peer, turn: &Turn) {
    let path = turn.document("tasks.md");
    let ticked =
        fs::read_to_string(&path).and_then(|text| fs::write(&path, text.replace("- [ ]", "- [x]")));
    peer.log("forge", "ticked", &json!(format!("{ticked:?}")));
    let message = "Everything is done";
    let outcome = git(turn, &["commit", "--quiet", "--all", "--message", message]);
    peer.log("forge", "committed", &outcome);
    let name = format!("refs/heads/specs/{}", turn.text("task"));
    peer.log("forge", "moved", &git(turn, &["update-ref", &name, "HEAD"]));
}

/// Commands that are for persons, for a task.
fn decisions(task: &str) -> Vec<Vec<&str>> {
    vec![
        vec!["approve", task, "--yes"],
        vec!["request-changes", task, "-m", "More"],
        vec!["reject", task, "-m", "No", "--yes"],
        vec!["retry", task],
        vec!["cancel", task, "--yes"],
        vec!["pause", task],
        vec![
            "spawn",
            task,
            "More",
            "-m",
            "More of it",
            "--agent",
            "example",
        ],
        vec!["trust", "--yes"],
        vec!["config", "set", "session_limit", "9"],
        vec!["agents", "add", "mine", "--default", "--", "sh"],
        vec!["new", "Something else", "--no-wait"],
        vec!["daemon", "stop"],
    ]
}

fn roles(peer: &Peer, orders: &Orders, turn: &Turn) {
    answer_itself(peer, orders, turn);
    for args in decisions(&turn.text("task")) {
        let outcome = Command::new(&orders.spectask)
            .args(&args)
            .current_dir(&turn.root)
            .output();
        peer.log("roles", &args.join(" "), &shown(outcome));
    }
}

/// Asks for something that a person has to allow, and allows it.
fn answer_itself(peer: &Peer, orders: &Orders, turn: &Turn) {
    let run = |args: &[&str]| {
        Command::new(&orders.spectask)
            .args(args)
            .current_dir(&turn.root)
            .output()
    };
    peer.send(&json!({
        "jsonrpc": "2.0", "id": "asked", "method": "session/request_permission",
        "params": {
            "sessionId": turn.session,
            "toolCall": {
                "toolCallId": "asked", "title": "edit outside", "kind": "edit", "status": "pending",
                "locations": [{"path": outside(orders, turn).join("asked.txt")}],
            },
            "options": [
                {"optionId": "yes", "name": "Yes", "kind": "allow_once"},
                {"optionId": "no", "name": "No", "kind": "reject_once"},
            ],
        },
    }));
    for _ in 0..100 {
        let listed = run(&["permissions", "list", "--json"])
            .ok()
            .and_then(|output| serde_json::from_slice(&output.stdout).ok())
            .unwrap_or(Value::Null);
        if let Some(id) = listed["permissions"][0]["id"].as_str() {
            let outcome = run(&["permissions", "answer", id, "allow"]);
            peer.log("roles", "permissions answer", &shown(outcome));
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    peer.log("roles", "permissions answer", &json!("nothing was asked"));
}

fn check(peer: &mut Peer, orders: &Orders, turn: &Turn) {
    let script = format!(
        "'{}' config set session_limit 9 >/dev/null 2>&1\necho $? >> '{}'\n",
        orders.spectask,
        outside(orders, turn).join("check-said").display(),
    );
    let answer = peer.write_through_client(&turn.root.join("check.sh"), &script);
    peer.log("check", "check.sh", &answer);
}

fn linger(peer: &Peer, orders: &Orders, turn: &Turn) {
    let script = format!(
        "sleep 1; '{}' approve {} --yes >/dev/null 2>&1; echo $? > '{}'; sleep 600",
        orders.spectask,
        turn.text("task"),
        outside(orders, turn).join("linger-said").display(),
    );
    let outcome = Command::new("setsid")
        .args(["--fork", "sh", "-c", &script])
        .current_dir(&turn.root)
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .status();
    peer.log("linger", "left", &json!(format!("{outcome:?}")));
}

fn flood(peer: &Peer) {
    peer.raw(b"this is not JSON");
    peer.raw(b"\xff\xfe\x00 nor is this text");
    peer.raw(b"{\"jsonrpc\":\"2.0\",\"method\":\"session/up");
    peer.raw(b"");
    peer.raw(b"[]");
    peer.raw(b"null");
    peer.send(&json!({"jsonrpc": "2.0", "id": 123_456, "result": {"unasked": true}}));
    peer.send(&json!({"jsonrpc": "2.0", "method": "session/update", "params": {"sessionId": "no such session", "update": {"sessionUpdate": "agent_message_chunk", "content": {"type": "text", "text": "lost"}}}}));
    peer.send(&json!({"jsonrpc": "2.0", "method": "session/update", "params": 7}));
    peer.update(&json!({"sessionUpdate": "an_unheard_of_kind", "depth": [[[[]]]]}));
    peer.send(&json!({"jsonrpc": "2.0", "id": "odd", "method": "no/such_method", "params": {}}));
    peer.say(&"A".repeat(1 << 20));
    peer.say("\u{1b}[31mred\u{1b}]0;title\u{7}\u{202e}reversed");
    for _ in 0..2000 {
        peer.raw(b"{\"jsonrpc\":\"1.0\"}");
    }
    peer.log("flood", "all", &Value::Null);
}

fn git(turn: &Turn, args: &[&str]) -> Value {
    shown(
        Command::new("git")
            .args(args)
            .current_dir(&turn.root)
            .output(),
    )
}

fn shown(output: std::io::Result<Output>) -> Value {
    match output {
        Ok(output) => json!({
            "code": output.status.code(),
            "stdout": String::from_utf8_lossy(&output.stdout),
            "stderr": String::from_utf8_lossy(&output.stderr),
        }),
        Err(error) => json!({"cannot start": error.to_string()}),
    }
}
