//! The whole job, as a user does it: prompt, documents, approval, parallel sessions, one branch.

use serde_json::Value;
use spectask_tests::{SampleRepo, ScriptedModel, TestEnv, agents};

/// An agent profile that starts this command with these fixed variables.
fn profile(name: &str, agent: &spectask_tests::AgentCommand) -> String {
    let quoted = |text: &str| Value::from(text).to_string();
    let command: Vec<_> = agent.argv.iter().map(|word| quoted(word)).collect();
    let set: Vec<_> = agent
        .env
        .iter()
        .map(|(name, value)| format!("{} = {}", quoted(name), quoted(value)))
        .collect();
    format!(
        "default_agent = \"{name}\"\n\n[agents.{name}]\ncommand = [{}]\nset = {{ {} }}\n",
        command.join(", "),
        set.join(", ")
    )
}

fn status(env: &TestEnv, repo: &SampleRepo<'_>) -> Value {
    env.json(repo.path(), &["show", "1"])
}

#[test]
fn a_third_party_agent_does_the_whole_job_on_a_real_repository() {
    let env = TestEnv::new();
    let repo = SampleRepo::real(&env, "real");
    let before = repo.checkout_state();
    let model = ScriptedModel::standard().unwrap();
    let agent = agents::gemini(&model.url(), &env.home());
    env.write_config(&profile("gemini", &agent));

    let prompt = "Keep notes about the release";
    let verify = "test -d specs && git log -1 --format=%s";
    let _ = env
        .run(
            repo.path(),
            &[
                "new", prompt, "--verify", verify, "--wait", "--name", "notes",
            ],
        )
        .ok();
    let review = env.json(repo.path(), &["review"]);
    assert_eq!(
        review["revision"], 2,
        "the first had a fault that went back to the agent"
    );
    assert_eq!(
        review["findings"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|finding| finding["severity"] == "error")
            .count(),
        0,
        "{:#}",
        review["findings"]
    );
    assert!(
        review["diff"].as_str().unwrap().contains("SHALL"),
        "{}",
        review["diff"]
    );

    let _ = env.run(repo.path(), &["approve", "--yes", "--wait"]).ok();
    let done = status(&env, &repo);
    assert_eq!(done["task"]["status"], "implementation_review", "{done:#}");
    let progress = &done["task"]["progress"];
    assert_eq!(progress["done"], progress["total"], "{progress}");
    for session in done["sessions"].as_array().unwrap() {
        assert_eq!(session["status"], "completed", "{session:#}");
        assert_eq!(session["agent"], "gemini");
    }
    let branch = "specs/1-notes";
    for task in 1..=3 {
        let note = repo.show(branch, &format!("notes/1-notes/task-{task}.md"));
        assert!(
            note.is_some(),
            "task {task} was done by the agent's own tools"
        );
    }
    let tasks = repo.show(branch, "specs/1-notes/tasks.md").unwrap();
    assert!(tasks.contains("- [x] 1. "), "{tasks}");
    let trailers = repo.git(&[
        "log",
        branch,
        "--format=%(trailers:key=Work-Session,valueonly)",
    ]);
    assert!(trailers.contains("1-notes/01-"), "{trailers}");
    assert_eq!(
        repo.checkout_state(),
        before,
        "the user's checkout was touched"
    );
    repo.fsck();
    let used = model.steps();
    assert!(used.len() > 8, "{used:?}");

    let _ = env.run(repo.path(), &["finish", "--merge"]).ok();
    assert!(repo.path().join("notes/1-notes/task-3.md").exists());
    assert_eq!(status(&env, &repo)["task"]["status"], "done");
}
