//! The third-party agents by themselves: what the product may rely on, and that they are installed.

use std::time::Duration;

use serde_json::{Value, json};
use spectask_tests::acp::{START_LIMIT, TURN_LIMIT};
use spectask_tests::{AcpClient, AgentCommand, SampleRepo, ScriptedModel, TestEnv, agents};

#[test]
fn fast_agent_repeats_the_prompt() {
    let env = TestEnv::new();
    let agent = agents::fast_agent_passthrough(&env.home());
    let mut client = AcpClient::start(&agent, &env.folder());
    let answer = client.initialize(false);
    assert_eq!(answer["protocolVersion"], 1);
    assert_eq!(answer["agentCapabilities"]["loadSession"], true);
    let session = client.new_session();
    let answer = client.prompt(&session, "seven green apples").unwrap();
    assert_eq!(answer["stopReason"], "end_turn");
    assert!(
        client.said().contains("seven green apples"),
        "{}",
        client.said()
    );
}

#[test]
fn fast_agent_remembers_a_session_after_it_was_killed() {
    let env = TestEnv::new();
    let repo = SampleRepo::new(&env, "repo");
    let agent = agents::fast_agent_passthrough(&env.home());
    let mut client = AcpClient::start(&agent, repo.path());
    client.initialize(false);
    let session = client.new_session();
    client.prompt(&session, "seven green apples").unwrap();
    drop(client);
    let mut client = AcpClient::start(&agent, repo.path());
    client.initialize(false);
    let params = json!({"sessionId": session, "cwd": repo.path(), "mcpServers": []});
    client
        .request("session/load", &params, START_LIMIT)
        .unwrap();
    assert!(
        client.said().contains("seven green apples"),
        "{}",
        client.said()
    );
    let answer = client.prompt(&session, "three pears").unwrap();
    assert_eq!(answer["stopReason"], "end_turn");
    // With a home of its own it leaves the working directory alone.
    assert_eq!(repo.git(&["status", "--porcelain"]), "");
}

#[test]
fn fast_agent_turn_in_a_terminal_can_be_cancelled() {
    let env = TestEnv::new();
    let repo = SampleRepo::new(&env, "repo");
    let agent = agents::fast_agent_with_shell(&env.home());
    let mut client = AcpClient::start(&agent, repo.path());
    client.terminals = true;
    client.initialize(true);
    let session = client.new_session();
    let text = r#"***CALL_TOOL execute {"command":"sleep 60"}"#;
    let params = json!({"sessionId": session, "prompt": [{"type": "text", "text": text}]});
    let id = client.send_request("session/prompt", &params);
    let create = client.serve_until(TURN_LIMIT, |frame| frame["method"] == "terminal/create");
    assert_eq!(create["params"]["args"], json!(["60"]));
    client.respond(&create, &json!({"terminalId": "one"}));
    client.serve_until(TURN_LIMIT, |frame| {
        frame["method"] == "terminal/wait_for_exit"
    });
    client.notify("session/cancel", &json!({"sessionId": session}));
    let answer = client.answer(id, TURN_LIMIT).unwrap();
    assert_eq!(answer["stopReason"], "cancelled");
}

fn prompt(block: &Value) -> String {
    format!("Please do this.\n\n```spectask\n{block}\n```\n")
}

/// Plans and implements with the agent's own tools and returns the connection.
fn whole_job(agent: &AgentCommand, repo: &SampleRepo<'_>, files: bool) -> AcpClient {
    let mut client = AcpClient::start(agent, repo.path());
    client.initialize(files);
    let session = client.new_session();
    let mut block = json!({"kind": "plan", "task": "7-notes", "folder": "specs/7-notes",
        "root": repo.path(), "prompt": "Keep notes"});
    let answer = client.prompt(&session, &prompt(&block)).unwrap();
    assert_eq!(answer["stopReason"], "end_turn");
    let read = |name: &str| std::fs::read_to_string(repo.path().join(name)).unwrap_or_default();
    assert!(read("specs/7-notes/requirements.md").contains("names the missing part"));
    assert!(read("specs/7-notes/design.md").starts_with("# Design Document"));
    assert!(read("specs/7-notes/tasks.md").contains("- [ ] 3. Write the index"));

    block["kind"] = json!("revise");
    block["comments"] = json!([{"text": "Who reads this?"}]);
    client.prompt(&session, &prompt(&block)).unwrap();
    assert!(read("specs/7-notes/requirements.md").contains("SHALL name the missing part"));
    assert!(read("specs/7-notes/design.md").contains("- Who reads this?"));

    block["kind"] = json!("implement");
    block["number"] = json!("2");
    block["title"] = json!("The second note");
    client.prompt(&session, &prompt(&block)).unwrap();
    let note = read("notes/7-notes/task-2.md");
    assert!(
        note.contains("The second note") && note.contains("State: final"),
        "{note}"
    );
    assert!(
        read("README.md").contains("See notes/7-notes"),
        "{}",
        read("README.md")
    );
    client
}

#[test]
fn gemini_edits_files_with_its_own_tools() {
    let env = TestEnv::new();
    let repo = SampleRepo::new(&env, "repo");
    let model = ScriptedModel::standard().unwrap();
    let agent = agents::gemini(&model.url(), &env.home());
    let client = whole_job(&agent, &repo, true);
    let asked = client.asked();
    assert!(
        asked
            .iter()
            .any(|method| method == "session/request_permission"),
        "{asked:?}"
    );
    assert!(
        asked.iter().any(|method| method == "fs/write_text_file"),
        "{asked:?}"
    );
    assert!(
        model.steps().iter().any(|step| step == "replace"),
        "{:?}",
        model.steps()
    );
}

#[test]
fn gemini_turn_can_be_cancelled() {
    let env = TestEnv::new();
    let repo = SampleRepo::new(&env, "repo");
    let model = ScriptedModel::start(std::sync::Arc::new(|_| spectask_tests::Step::Stall)).unwrap();
    let agent = agents::gemini(&model.url(), &env.home());
    let mut client = AcpClient::start(&agent, repo.path());
    client.initialize(true);
    let session = client.new_session();
    let params = json!({"sessionId": session, "prompt": [{"type": "text", "text": "wait"}]});
    let id = client.send_request("session/prompt", &params);
    model
        .wait_for(START_LIMIT, |request| request.step == "stall")
        .expect("the model was asked");
    client.notify("session/cancel", &json!({"sessionId": session}));
    let answer = client.answer(id, TURN_LIMIT).unwrap();
    assert_eq!(answer["stopReason"], "cancelled");
    assert!(
        client.close(Duration::from_secs(20)).is_some(),
        "it ends when stdin closes"
    );
}

#[test]
fn the_adversary_speaks_the_protocol_and_keeps_a_log() {
    let env = TestEnv::new();
    let repo = SampleRepo::new(&env, "repo");
    let log = env.folder().join("log.jsonl");
    let argv = [
        "--do",
        "flood,escape,ask,stop=refusal",
        "--log",
        &log.to_string_lossy(),
    ]
    .map(str::to_owned);
    let program = spectask_tests::env::adversary_bin()
        .to_string_lossy()
        .into_owned();
    let agent = AgentCommand {
        argv: std::iter::once(program).chain(argv).collect(),
        env: std::collections::BTreeMap::new(),
    };
    let mut client = AcpClient::start(&agent, repo.path());
    client.initialize(true);
    let session = client.new_session();
    let mut block = json!({"kind": "plan", "task": "7-notes", "folder": "specs/7-notes",
        "root": repo.path(), "prompt": "Keep notes"});
    let answer = client.prompt(&session, &prompt(&block)).unwrap();
    assert_eq!(answer["stopReason"], "end_turn");
    block["kind"] = json!("implement");
    block["number"] = json!("1");
    let answer = client.prompt(&session, &prompt(&block)).unwrap();
    assert_eq!(answer["stopReason"], "refusal");
    assert!(repo.path().join("notes/7-notes/task-1.md").is_file());
    let attempts = spectask_tests::env::json_lines(&log);
    let outside = |attempt: &str| {
        let found = attempts.iter().find(|line| line["attempt"] == attempt);
        found.unwrap_or_else(|| panic!("{attempt} was not tried: {attempts:#?}"))["outcome"].clone()
    };
    assert_eq!(outside("absolute")["error"]["code"], -32602);
    assert_eq!(outside("rm -rf /")["result"]["outcome"]["optionId"], "yes");
}

#[test]
#[ignore = "needs `cargo xtask agents --opencode`, 350 MB"]
fn opencode_edits_files_with_its_own_tools() {
    let env = TestEnv::new();
    let repo = SampleRepo::new(&env, "repo");
    let model = ScriptedModel::standard().unwrap();
    let agent = agents::opencode(&model.url(), &env.home());
    let client = whole_job(&agent, &repo, true);
    // It writes files itself and asks nobody.
    assert_eq!(client.asked(), Vec::<String>::new());
}
