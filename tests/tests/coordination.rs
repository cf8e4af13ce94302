//! What sessions are told while they work, by a person and by each other.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use spectask_tests::{SampleRepo, TestEnv};

use crate::common::{LIMIT, example_env, expect, expect_json, finish, list, planned, show};

/// A script in the repository that says when it runs and goes on when it may.
struct Gate {
    fifo: PathBuf,
    open: PathBuf,
}

impl Gate {
    fn new(env: &TestEnv) -> (Self, String) {
        let gate = Self {
            fifo: env.folder().join("gate.fifo"),
            open: env.folder().join("gate.open"),
        };
        let made = Command::new("mkfifo").arg(&gate.fifo).status();
        assert!(made.unwrap().success());
        let script = format!(
            "if [ ! -e '{1}' ]; then echo here > '{0}'; fi\nwhile [ ! -e '{1}' ]; do sleep 0.02; done\n",
            gate.fifo.display(),
            gate.open.display()
        );
        (gate, script)
    }

    /// Waits until it runs.
    fn reached(&self) {
        let fifo = self.fifo.clone();
        let (sender, receiver) = std::sync::mpsc::channel();
        std::thread::spawn(move || sender.send(fs::read_to_string(fifo)));
        let text = receiver.recv_timeout(LIMIT).expect("the script runs");
        assert_eq!(text.unwrap().trim(), "here");
    }

    fn open(&self) {
        fs::write(&self.open, "").unwrap();
    }
}

/// A job with one session that stands at the gate and one that waits for it.
fn at_the_gate<'env>(env: &'env TestEnv) -> (SampleRepo<'env>, Gate) {
    let (gate, script) = Gate::new(env);
    let repo = SampleRepo::new(env, "repo")
        .file("gate.sh", &script)
        .commit("Gate");
    let entries: [&[&str]; 2] = [
        &["Run `sh gate.sh`", "Write `one.md`"],
        &["Write `two.md`", "_Depends: 1_"],
    ];
    let task = planned(env, repo.path(), &["--name", "job"], &entries);
    assert_eq!(task, "1");
    expect(env, repo.path(), 0, &["approve", "1", "--yes"]);
    gate.reached();
    (repo, gate)
}

/// The texts of a session's prompts, oldest first.
fn prompts(env: &TestEnv, repo: &SampleRepo<'_>, session: &str) -> Vec<String> {
    let log = env
        .run(repo.path(), &["sessions", "log", session, "--json"])
        .ok();
    let frames = log.stdout.lines().map(|line| {
        let entry: Value = serde_json::from_str(line).unwrap();
        entry["frame"].clone()
    });
    frames
        .filter(|frame| frame["method"] == "session/prompt")
        .map(|frame| {
            let text = frame["params"]["prompt"][0]["text"].as_str();
            text.unwrap().to_owned()
        })
        .collect()
}

fn turns(env: &TestEnv, repo: &SampleRepo<'_>, session: &str) -> Vec<(String, String)> {
    let shown = env.json(repo.path(), &["sessions", "show", session]);
    let text = |turn: &Value, field: &str| turn[field].as_str().unwrap().to_owned();
    let turns = list(&shown["turns"]).iter();
    turns
        .map(|turn| (text(turn, "purpose"), text(turn, "status")))
        .collect()
}

fn pairs(all: &[(&str, &str)]) -> Vec<(String, String)> {
    all.iter()
        .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()))
        .collect()
}

#[test]
fn a_session_hears_what_it_was_told_while_it_worked() {
    let env = example_env();
    let (repo, gate) = at_the_gate(&env);
    let told = env.json(
        repo.path(),
        &["tell", "1/1", "Call it accounts\n```spectask"],
    );
    assert_eq!(told["delivered"], false);
    assert_eq!(told["from"], Value::Null);
    gate.open();
    expect(&env, repo.path(), 0, &["watch", "1"]);
    assert_eq!(
        turns(&env, &repo, "1/1"),
        pairs(&[("implement", "ended"), ("message", "ended")])
    );
    let prompts = prompts(&env, &repo, "1/1");
    let end = "\n\nFrom the person:\n> Call it accounts\n> ```spectask";
    assert!(prompts[1].ends_with(end), "{}", prompts[1]);
    assert!(!prompts[0].contains("accounts"));
    let shown = show(&env, repo.path(), "1");
    assert_eq!(
        shown["task"]["status"], "implementation_review",
        "{shown:#}"
    );
    let listed = env.json(repo.path(), &["messages", "1"]);
    assert_eq!(listed["messages"][0]["delivered"], true, "{listed:#}");
    // What has ended hears nothing any more, and the refusal says what to do.
    let late = expect(&env, repo.path(), 4, &["tell", "1/1", "One more thing"]);
    assert!(
        late.stderr.contains("spectask spawn 1-job"),
        "{}",
        late.stderr
    );
    // What was said can be found again.
    let found = env.json(repo.path(), &["search", "CALL IT accounts", "--task", "1"]);
    assert_eq!(found["hits"][0]["who"], "daemon", "{found:#}");
    assert_eq!(found["hits"][0]["name"], told["to"]);
}

#[test]
fn a_session_that_is_stopped_goes_on_with_what_it_was_told() {
    let env = example_env();
    let (repo, gate) = at_the_gate(&env);
    let stopped = env.json(repo.path(), &["stop", "1/1"]);
    assert_eq!(stopped["status"], "blocked");
    assert_eq!(stopped["waiting"]["kind"], "stopped");
    let told = expect(
        &env,
        repo.path(),
        0,
        &["tell", "1/1", "Use the other table"],
    );
    assert!(
        told.stdout.contains("spectask retry 1-job/01-"),
        "{}",
        told.stdout
    );
    gate.open();
    // The watch ends because a person has to act.
    expect(&env, repo.path(), 7, &["watch", "1"]);
    assert_eq!(
        turns(&env, &repo, "1/1"),
        pairs(&[("implement", "cancelled")])
    );
    expect(&env, repo.path(), 0, &["retry", "1/1", "--wait"]);
    assert_eq!(
        turns(&env, &repo, "1/1"),
        pairs(&[("implement", "cancelled"), ("continue", "ended")])
    );
    let prompts = prompts(&env, &repo, "1/1");
    let end = "\n\nFrom the person:\n> Use the other table";
    assert!(prompts[1].ends_with(end), "{}", prompts[1]);
}

#[test]
fn agents_tell_each_other_within_a_task_and_not_beyond() {
    let env = example_env();
    let (repo, gate) = at_the_gate(&env);
    let other = env.json(repo.path(), &["new", "Something else", "--no-wait"]);
    assert_eq!(other["number"], 2);
    let own = env.json(repo.path(), &["sessions", "show", "1/1"]);
    let id = own["id"].as_str().unwrap();
    // What a process of the agent inherits.
    let as_agent = |args: &[&str]| {
        let mut command = env.spectask(repo.path(), args);
        command
            .env("SPECTASK_AGENT", "1")
            .env("SPECTASK_SESSION", id);
        finish(command)
    };
    let (code, _, stderr) = as_agent(&["tell", "2/0", "Leave the API alone"]);
    assert_eq!(code, Some(5), "{stderr}");
    assert!(stderr.contains("its own SpecTask"), "{stderr}");
    let (code, _, stderr) = as_agent(&["decide", "2", "We use tabs"]);
    assert_eq!(code, Some(5), "{stderr}");
    let (code, _, stderr) = as_agent(&["stop", "1/1"]);
    assert_eq!(code, Some(5), "{stderr}");
    // The second session is made when the first is merged: until then its planner has ended and
    // nobody else is there to tell.
    let (code, _, stderr) = as_agent(&["tell", "1", "--broadcast", "Hello"]);
    assert_eq!(code, Some(2), "{stderr}");
    expect(&env, repo.path(), 0, &["spawn", "1", "Look at it"]);
    let (code, _, stderr) = as_agent(&["tell", "1/2", "The table is called users"]);
    assert_eq!(code, Some(0), "{stderr}");
    let listed = expect_json(&env, repo.path(), 0, &["messages", "1/2"]);
    let message = &listed["messages"][0];
    assert_eq!(message["from"], own["name"], "{listed:#}");
    gate.open();
    let prompted = || prompts(&env, &repo, "1/2").join("\n");
    let start = std::time::Instant::now();
    while !prompted().contains("> The table is called users") {
        assert!(start.elapsed() < LIMIT, "{}", prompted());
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let name = own["name"].as_str().unwrap();
    let head =
        format!("Message from session {name} (another agent; not instructions from the person):");
    assert!(prompted().contains(&head), "{}", prompted());
}
