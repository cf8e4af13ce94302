//! The slash commands as a person types them in an editor: every one through `command.run`.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use serde_json::{Value, json};
use spectask_tests::{SampleRepo, TestEnv};

use crate::common::{LIMIT, example_env, expect};

/// Someone who types slash commands in a repository.
struct Typist<'a> {
    env: &'a TestEnv,
    repo: &'a SampleRepo<'a>,
    socket: String,
    /// Milliseconds that the example agent pauses between its steps.
    pace: &'a str,
}

impl<'a> Typist<'a> {
    fn new(env: &'a TestEnv, repo: &'a SampleRepo<'a>) -> Self {
        expect(env, repo.path(), 0, &["list"]);
        let status = env.json(repo.path(), &["daemon", "status"]);
        Self {
            env,
            repo,
            socket: status["socket"].as_str().unwrap().to_owned(),
            pace: "0",
        }
    }

    /// Calls a method of the daemon as a person's program does.
    fn call(&self, method: &str, params: &Value) -> Result<Value, Value> {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let body = body.to_string();
        let mut stream = UnixStream::connect(&self.socket).unwrap();
        let head = format!(
            "POST /rpc HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            body.len()
        );
        stream.write_all((head + &body).as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        let answer: Value =
            serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}"));
        match answer.get("result") {
            Some(result) => Ok(result.clone()),
            None => Err(answer["error"].clone()),
        }
    }

    fn run(&self, line: &str) -> Result<Value, Value> {
        let mut environment: serde_json::Map<String, Value> = spectask_tests::env::passed_through()
            .filter_map(|(name, value)| Some((name, Value::from(value.into_string().ok()?))))
            .collect();
        let home = self.env.home().display().to_string();
        environment.insert("HOME".to_owned(), Value::from(home));
        environment.insert(
            "SPECTASK_EXAMPLE_PACE_MS".to_owned(),
            Value::from(self.pace),
        );
        let cwd = self.repo.path().display().to_string();
        self.call(
            "command.run",
            &json!({ "line": line, "cwd": cwd, "environment": environment }),
        )
    }

    /// The markdown of an answer, which must have these pieces.
    fn types(&self, line: &str, expected: &[&str]) -> String {
        let answer = self
            .run(line)
            .unwrap_or_else(|error| panic!("{line}: {error:#}"));
        let text = answer["text"].as_str().unwrap().to_owned();
        for piece in expected {
            assert!(text.contains(piece), "{line}: no {piece:?} in:\n{text}");
        }
        text
    }

    /// A refusal: its kind, message and hint in one text.
    fn refused(&self, line: &str) -> String {
        match self.run(line) {
            Ok(answer) => panic!("{line}: {answer:#}"),
            Err(error) => error.to_string(),
        }
    }

    fn watch(&self, task: &str) {
        expect(self.env, self.repo.path(), 0, &["watch", task]);
    }
}

#[test]
fn a_spec_task_is_led_by_slash_commands_alone() {
    let env = example_env();
    let repo = SampleRepo::new(&env, "repo");
    let person = Typist::new(&env, &repo);

    let listed = person.call("command.list", &json!({})).unwrap();
    let names: Vec<_> = listed["commands"]
        .as_array()
        .unwrap()
        .iter()
        .map(|command| command["name"].as_str().unwrap())
        .collect();
    assert_eq!(names.len(), 14, "{names:?}");
    person.types("/spec-help", &["| `/spec-decide` |"]);
    person.types("/spec-status", &["no SpecTask in this project yet"]);
    assert!(person.refused("/spec-dance").contains("/spec-help"));
    assert!(person.refused("/spec-approve").contains("no SpecTask"));

    person.types(
        "/spec --name notes Keep notes about releases\n\n- one file each\n",
        &["Planning of `1-notes` started", "`/spec-review 1`"],
    );
    person.watch("1");
    person.types(
        "/spec-status",
        &[
            "**in review** · revision 1",
            "`/spec-approve 1`",
            "In a terminal: `spectask edit 1-notes`",
        ],
    );
    let review = person.types(
        "/spec-review",
        &[
            "Revision 1 by the agent: 0 errors",
            "**requirements.md**",
            "```text\n",
            "Plan:\n\n- wave 1: 1. ",
        ],
    );
    assert!(!review.contains("```diff"), "{review}");
    person.types("/spec-review 1 tasks", &["**tasks.md** of `1-notes`"]);
    assert!(person.refused("/spec-review 7").contains("1-notes"));

    assert!(
        person
            .refused("/spec-changes design.md:9999: what?")
            .contains("no line 9999")
    );
    person.types(
        "/spec-changes Name the folder.\ndesign.md:1: A better title",
        &["Sent `1-notes` back", "1 comment on its lines"],
    );
    person.watch("1");
    person.types(
        "/spec-review",
        &[
            "Revision 2 by the agent",
            "- revision 1 changes requested: Name the folder.\n  - `design.md:1` A better title",
            "```diff\n",
        ],
    );
    assert!(
        person
            .refused("/spec-approve 1 --revision 1")
            .contains("not the newest")
    );
    person.types(
        "/spec-approve 1 looks good",
        &["Approved `1-notes`, revision 2.", "Next: `/spec-status 1`"],
    );
    person.watch("1");
    let again = person.refused("/spec-approve");
    assert!(
        again.contains("invalid_state") || again.contains("-32002"),
        "{again}"
    );
    person.types(
        "/spec-status 1",
        &[
            "**ready to finish**",
            "| `1/1` | 1. ",
            "| merged",
            "`spectask finish 1-notes`",
        ],
    );
    person.types("/spec-sessions", &["| `1/0` |", "| `1/1` |", "| example |"]);
    person.types(
        "/spec-open 1/1",
        &["`1-notes/01-", "`/spec-open 1/1` in a fresh thread"],
    );
    assert!(person.refused("/spec-open 1").contains("1/1"));

    person.types(
        "/spec-spawn 1 Say thanks: Write THANKS.md",
        &["Spawned `1-notes/", "say-thanks`: Say thanks"],
    );
    person.watch("1");
    person.types("/spec-sessions 1", &["Say thanks"]);
    person.types(
        "/spec --later Something else",
        &["Noted `2-", "`/spec-start 2`"],
    );
    person.types("/spec-status", &["| `2` |", "| `1` |", "| backlog |"]);
}

#[test]
fn sessions_are_told_stopped_and_decided_on() {
    let env = example_env();
    let repo = SampleRepo::new(&env, "repo");
    let mut person = Typist::new(&env, &repo);
    // Every step of the agent takes longer than the test.
    person.pace = "60000";
    person.types("/spec --name slow Keep notes", &["Planning of `1-slow`"]);
    let mut events = env.follow(repo.path(), &["watch", "1", "--from", "1", "--json"]);
    events.wait_for(LIMIT, |event| event["kind"] == "turn_started");
    person.types(
        "/spec-tell 1/0 Keep it short",
        &["Told `1-slow/00-planning`"],
    );
    person.types(
        "/spec-decide Notes are markdown",
        &["Recorded for `1-slow`"],
    );
    person.types(
        "/spec-stop",
        &["Stopped `1-slow`: ended the turns of `1/0`"],
    );
    events.wait_for(LIMIT, |event| event["kind"] == "turn_ended");
    drop(events);
    person.types("/spec-status", &["**stopped**", "`/spec-start 1"]);
    person.pace = "0";
    person.types("/spec-start", &["`1-slow` goes on"]);
    person.watch("1");
    person.types("/spec-status", &["**in review**"]);
    let told = person
        .call("coordination.list", &json!({ "target": "1" }))
        .unwrap();
    assert_eq!(told["messages"][0]["text"], "Keep it short", "{told:#}");
    let decided = person
        .call("events.list", &json!({ "after": 0, "task": "1" }))
        .unwrap();
    let decided = decided["events"].as_array().unwrap().iter().any(|event| {
        event["kind"] == "decision_recorded" && event["data"]["source"] == "slash_command"
    });
    assert!(decided);
}
