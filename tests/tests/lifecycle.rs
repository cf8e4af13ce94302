//! A real third-party agent through the product: failures, crashes, cancels, restarts.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;
use spectask_tests::{Follow, SampleRepo, ScriptedModel, TestEnv, agents, env};

use crate::common::{self, Hold, LIMIT, expect, gone, list, show};

fn fast_env() -> TestEnv {
    let env = TestEnv::new();
    let agent = agents::fast_agent_with_shell(&env.home());
    let profile = common::profile("fast", &agent, "");
    env.write_config(&format!("default_agent = \"fast\"\n\n{profile}"));
    env
}

/// Makes every planning prompt a command that holds the turn.
fn hold_planning(env: &TestEnv) -> Hold {
    let hold = Hold::new(env);
    let folder = env.config_dir().join("prompts");
    std::fs::create_dir_all(&folder).unwrap();
    let call = serde_json::json!({ "command": hold.command });
    let prompt = format!("***CALL_TOOL execute {call}");
    std::fs::write(folder.join("plan.md"), prompt).unwrap();
    hold
}

fn kind<'a>(wanted: &'a str) -> impl Fn(&Value) -> bool + 'a {
    move |event| event["kind"] == wanted
}

fn follow(env: &TestEnv, cwd: &Path, task: &str) -> Follow {
    env.follow(cwd, &["watch", task, "--from", "1", "--json"])
}

/// The ACP session ids that requests of these methods name, in the order of the transcript.
fn named_sessions(env: &TestEnv, cwd: &Path, session: &str, methods: &[&str]) -> Vec<String> {
    let log = env.run(cwd, &["sessions", "log", session, "--json"]).ok();
    let frames = log.stdout.lines().map(|line| {
        let entry: Value = serde_json::from_str(line).unwrap();
        entry["frame"].clone()
    });
    frames
        .filter(|frame| methods.iter().any(|method| frame["method"] == *method))
        .filter_map(|frame| frame["params"]["sessionId"].as_str().map(str::to_owned))
        .collect()
}

/// The agent took its conversation up again: every prompt went to one ACP session, and what opened
/// it after the first time named it.
fn assert_same_conversation(env: &TestEnv, cwd: &Path, session: &str) {
    let prompted = named_sessions(env, cwd, session, &["session/prompt"]);
    assert!(prompted.len() > 1, "{prompted:?}");
    assert!(prompted.iter().all(|id| *id == prompted[0]), "{prompted:?}");
    let reopened = named_sessions(env, cwd, session, &["session/load", "session/resume"]);
    assert_eq!(reopened.first(), prompted.first(), "{reopened:?}");
    let shown = env.json(cwd, &["sessions", "show", session]);
    assert_eq!(shown["acp_session"], prompted[0].as_str());
}

#[test]
fn an_agent_that_writes_no_documents_is_asked_again_and_then_given_up() {
    let env = fast_env();
    let repo = SampleRepo::new(&env, "repo");
    let new = expect(&env, repo.path(), 1, &["new", "Add a greeting", "--wait"]);
    assert!(new.stdout.contains("did not write"), "{}", new.stdout);
    let failed = show(&env, repo.path(), "1");
    assert_eq!(failed["task"]["status"], "spec_failed");
    let error = failed["task"]["error"].as_str().unwrap();
    for part in [
        "fast",
        "requirements.md",
        "design.md",
        "tasks.md",
        "4 times",
    ] {
        assert!(error.contains(part), "{part}: {error}");
    }
    let planning = &failed["sessions"][0];
    let turns: Vec<_> = list(&planning["turns"])
        .iter()
        .map(|turn| {
            (
                turn["purpose"].as_str().unwrap(),
                turn["status"].as_str().unwrap(),
            )
        })
        .collect();
    let asked_again = ("revise", "ended");
    assert_eq!(
        turns,
        [("plan", "ended"), asked_again, asked_again, asked_again]
    );
    assert_eq!(
        failed["next"][0],
        format!(
            "spectask retry {}",
            failed["task"]["name"].as_str().unwrap()
        )
    );
    // It can be tried again, and fails as clearly.
    expect(&env, repo.path(), 1, &["retry", "--wait"]);
    assert_eq!(common::status(&env, repo.path(), "1"), "spec_failed");
}

#[test]
fn a_killed_agent_is_started_again_and_goes_on_in_its_session() {
    let env = fast_env();
    let repo = SampleRepo::new(&env, "repo");
    let hold = hold_planning(&env);
    let _ = env.run(repo.path(), &["new", "Add a greeting"]).ok();
    let mut events = follow(&env, repo.path(), "1");
    let started = events.wait_for(LIMIT, kind("agent_started"));
    let agent = u32::try_from(started["data"]["pid"].as_u64().unwrap()).unwrap();
    let command = hold.pid();
    assert!(env::kill(agent));

    let ended = events.wait_for(LIMIT, kind("turn_ended"));
    assert_eq!(ended["data"]["status"], "interrupted", "{ended}");
    let again = events.wait_for_next(LIMIT, kind("agent_started"));
    assert_ne!(again["data"]["pid"], started["data"]["pid"]);
    gone(command, LIMIT);
    // It only repeats what it is asked to continue, so planning fails in the end.
    events.wait_for(LIMIT, kind("watch_ended"));
    let shown = env.json(repo.path(), &["sessions", "show", "1/0"]);
    let turns = list(&shown["turns"]);
    assert_eq!(turns[0]["status"], "interrupted");
    assert_eq!(turns[1]["purpose"], "continue");
    assert_eq!(turns[1]["status"], "ended");
    assert_same_conversation(&env, repo.path(), "1/0");
}

#[test]
fn a_cancel_ends_the_turn_and_its_command_at_once() {
    let env = fast_env();
    let repo = SampleRepo::new(&env, "repo");
    let hold = hold_planning(&env);
    let _ = env.run(repo.path(), &["new", "Add a greeting"]).ok();
    let mut events = follow(&env, repo.path(), "1");
    let started = events.wait_for(LIMIT, kind("agent_started"));
    let agent = u32::try_from(started["data"]["pid"].as_u64().unwrap()).unwrap();
    let command = hold.pid();
    let start = Instant::now();
    let _ = env.run(repo.path(), &["cancel", "1", "--yes"]).ok();
    gone(command, Duration::from_secs(5));
    gone(agent, Duration::from_secs(15));
    assert!(start.elapsed() < Duration::from_secs(15));
    assert_eq!(common::status(&env, repo.path(), "1"), "cancelled");
    let shown = env.json(repo.path(), &["sessions", "show", "1/0"]);
    assert_eq!(shown["status"], "cancelled");
    assert_eq!(list(&shown["turns"]).len(), 1);
    let turn = &shown["turns"][0];
    assert_eq!(turn["status"], "cancelled", "{turn}");
}

#[test]
fn a_stopped_daemon_goes_on_where_it_was() {
    let env = fast_env();
    let repo = SampleRepo::new(&env, "repo");
    let hold = hold_planning(&env);
    let _ = env.run(repo.path(), &["new", "Add a greeting"]).ok();
    let command = hold.pid();
    let _ = env.run(repo.path(), &["daemon", "stop"]).ok();
    gone(command, Duration::from_secs(5));
    assert_eq!(env.daemon_pid(), None);
    expect(&env, repo.path(), 6, &["daemon", "status"]);

    // Any command starts it, and it starts the work.
    let mut events = follow(&env, repo.path(), "1");
    let ended = events.wait_for(LIMIT, kind("turn_ended"));
    assert_eq!(ended["data"]["status"], "interrupted", "{ended}");
    events.wait_for(LIMIT, kind("watch_ended"));
    let shown = env.json(repo.path(), &["sessions", "show", "1/0"]);
    assert_eq!(shown["turns"][1]["purpose"], "continue");
    assert_same_conversation(&env, repo.path(), "1/0");
}

#[test]
fn what_the_check_finds_goes_back_to_the_agent_in_its_session() {
    let mut env = TestEnv::new();
    env.set("SPECTASK_EXAMPLE_PACE_MS", "0");
    let model = ScriptedModel::standard().unwrap();
    let gemini = common::profile("gemini", &agents::gemini(&model.url(), &env.home()), "");
    env.write_config(&format!(
        "planning_agent = \"example\"\ndefault_agent = \"gemini\"\n{gemini}"
    ));
    let repo = SampleRepo::new(&env, "repo");
    let check = "ls notes/*/fixed-1.md";
    let task = common::planned(&env, repo.path(), &["--verify", check], &[&["Take a note"]]);
    expect(&env, repo.path(), 0, &["approve", &task, "--yes", "--wait"]);
    let session = env.json(repo.path(), &["sessions", "show", "1/1"]);
    assert_eq!(session["agent"], "gemini");
    assert_eq!(session["verified"], true);
    let purposes: Vec<_> = list(&session["turns"])
        .iter()
        .map(|t| t["purpose"].clone())
        .collect();
    assert_eq!(purposes, ["implement", "fix"]);
    // In one process: nothing had to be opened again.
    let prompted = named_sessions(&env, repo.path(), "1/1", &["session/prompt"]);
    assert!(
        prompted.len() == 2 && prompted[0] == prompted[1],
        "{prompted:?}"
    );
    assert!(named_sessions(&env, repo.path(), "1/1", &["session/load"]).is_empty());
    let files = repo.git(&["ls-tree", "-r", "--name-only", "specs/1-keep-notes"]);
    for file in ["task-1.md", "fixed-1.md"] {
        assert!(files.contains(file), "{files}");
    }
}
