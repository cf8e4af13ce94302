//! The command line, each capability once, with the built-in example agent.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;
use spectask_tests::{AgentCommand, SampleRepo, TestEnv, documents, env};

use crate::common::{
    Entry, LIMIT, edit, events, example_env, example_profile, expect, expect_json, finish, list,
    planned, profile, show, status, tasks_md, waits,
};

const ONE: &[Entry<'_>] = &[&["Write `notes/one.md`"]];
const TWO: &[Entry<'_>] = &[&["Write `notes/one.md`"], &["Write `notes/two.md`"]];

/// The names of sessions, each once for when it became active and once for when it was completed.
fn begun_and_completed(events: &[Value], sessions: &Value) -> Vec<(String, bool)> {
    let name = |id: &Value| {
        let session = list(sessions).iter().find(|session| session["id"] == *id);
        session.unwrap()["name"].as_str().unwrap().to_owned()
    };
    let moved = events
        .iter()
        .filter(|event| event["kind"] == "session_status");
    moved
        .filter_map(|event| {
            let name = name(&event["session"]);
            let begun = match event["data"]["to"].as_str()? {
                "active" => true,
                "completed" => false,
                _ => return None,
            };
            (!name.ends_with("00-planning")).then_some((name, begun))
        })
        .collect()
}

/// Each session was completed before the next began.
fn one_after_another(events: &[Value], sessions: &Value) {
    let moved = begun_and_completed(events, sessions);
    assert!(!moved.is_empty());
    for pair in moved.chunks(2) {
        assert!(
            pair.len() == 2 && pair[0].1 && !pair[1].1 && pair[0].0 == pair[1].0,
            "{moved:?}"
        );
    }
}

#[test]
fn the_review_gate() {
    let env = example_env();
    let repo = SampleRepo::new(&env, "repo");
    let cwd = repo.path();

    // Only noted, then planned.
    let noted = env.json(cwd, &["new", "Add a greeting", "--later"]);
    assert_eq!(noted["status"], "backlog");
    expect(&env, cwd, 7, &["watch"]);
    assert_eq!(status(&env, cwd, "1"), "backlog");
    expect(&env, cwd, 0, &["start", "--wait"]);
    assert_eq!(env.json(cwd, &["review"])["revision"], 1);

    // A comment on a line is worked into the next revision.
    let line = "requirements:5:Say which greetings there are";
    expect(
        &env,
        cwd,
        2,
        &[
            "request-changes",
            "--line",
            "requirements:100000:No such line",
        ],
    );
    expect(
        &env,
        cwd,
        2,
        &["request-changes", "--line", "nonsense:1:No such document"],
    );
    expect(&env, cwd, 0, &["request-changes", "--line", line, "--wait"]);
    let review = env.json(cwd, &["review"]);
    assert_eq!(review["revision"], 2);
    let diff = review["diff"].as_str().unwrap();
    assert!(diff.contains("Say which greetings there are"), "{diff}");
    assert_eq!(review["reviews"][0]["decision"], "request_changes");
    assert_eq!(review["reviews"][0]["comments"][0]["line"], 5);

    // A person's edit is a revision of its own; who saw the one before cannot approve.
    let text = |review: &Value, kind: &str| {
        let document = list(&review["documents"])
            .iter()
            .find(|d| d["kind"] == kind);
        document.unwrap()["text"].as_str().unwrap().to_owned()
    };
    let design = text(&review, "design").replace("## Overview\n", "## Overview\n\nBy hand.\n");
    let kept = edit(&env, cwd, "1", &[("design.md", &design)]);
    assert_eq!(
        (&kept["revision"], &kept["author"]),
        (&3.into(), &"person".into())
    );
    assert_eq!(
        edit(&env, cwd, "1", &[])["revision"],
        3,
        "nothing was changed"
    );
    let outdated = expect(&env, cwd, 4, &["approve", "--yes", "--revision", "2"]);
    assert!(
        outdated.stderr.contains("the newest revision is 3"),
        "{}",
        outdated.stderr
    );
    // Nobody can be asked here.
    expect(&env, cwd, 2, &["approve"]);

    // An error stands against approval until it is accepted.
    let right = text(&env.json(cwd, &["review"]), "requirements");
    let wrong = right.replacen(" SHALL ", " will ", 1);
    let kept = edit(&env, cwd, "1", &[("requirements.md", &wrong)]);
    assert!(
        list(&kept["findings"])
            .iter()
            .any(|f| f["severity"] == "error"),
        "{kept:#}"
    );
    let refused = expect(&env, cwd, 4, &["approve", "--yes"]);
    assert!(
        refused.stderr.contains("--accept-findings"),
        "{}",
        refused.stderr
    );

    // A secret stands against it for good.
    let key = ["AKIA", "QX7Z2M4KJ9TRW3PL"].concat();
    let secret = right.replacen(
        "## Introduction\n",
        &format!("## Introduction\n\nThe key is {key}.\n"),
        1,
    );
    edit(&env, cwd, "1", &[("requirements.md", &secret)]);
    for args in [
        &["approve", "--yes"][..],
        &["approve", "--yes", "--accept-findings"],
    ] {
        let refused = expect(&env, cwd, 4, args);
        assert!(refused.stderr.contains("secret"), "{}", refused.stderr);
        assert!(!refused.stderr.contains(&key), "{}", refused.stderr);
    }
    assert_eq!(status(&env, cwd, "1"), "spec_review");
    assert_eq!(repo.git(&["branch", "--list", "specs/*"]), "");
    edit(&env, cwd, "1", &[("requirements.md", &right)]);

    // Approved, not started; paused, nothing starts.
    let before = repo.checkout_state();
    expect(
        &env,
        cwd,
        0,
        &["approve", "--yes", "--no-start", "-m", "Fine"],
    );
    expect(&env, cwd, 7, &["watch"]);
    let approved = show(&env, cwd, "1");
    assert_eq!(approved["task"]["status"], "queued_implementation");
    let branch = approved["task"]["branch"].as_str().unwrap();
    let name = approved["task"]["name"].as_str().unwrap();
    for file in [
        "requirements.md",
        "design.md",
        "tasks.md",
        "spec-metadata.json",
    ] {
        assert!(
            repo.show(branch, &format!("specs/{name}/{file}")).is_some(),
            "{file}"
        );
    }
    let decided = repo.show(branch, &format!("specs/{name}/reviews/02-approve.md"));
    assert!(decided.unwrap().contains("Fine"));
    expect(&env, cwd, 4, &["approve", "1", "--yes"]);
    let _ = env.run(cwd, &["pause"]).ok();
    expect(&env, cwd, 7, &["start", "--wait"]);
    assert_eq!(status(&env, cwd, "1"), "queued_implementation");
    expect(&env, cwd, 0, &["resume", "--wait"]);
    let done = show(&env, cwd, "1");
    assert_eq!(done["task"]["status"], "implementation_review");
    assert_eq!(
        done["task"]["progress"]["done"],
        done["task"]["progress"]["total"]
    );
    assert_eq!(
        repo.checkout_state(),
        before,
        "the user's checkout was touched"
    );

    // The same wish again is another SpecTask; this one is rejected.
    let again = env.json(cwd, &["new", "Add a greeting", "--no-wait"]);
    assert_ne!(again["name"], done["task"]["name"]);
    assert_ne!(again["branch"], done["task"]["branch"]);
    expect(&env, cwd, 0, &["watch", "2"]);
    expect(&env, cwd, 0, &["reject", "-m", "One is enough", "--yes"]);
    assert_eq!(status(&env, cwd, "2"), "cancelled");
    expect(&env, cwd, 4, &["reject", "2", "--yes"]);
    repo.fsck();
}

#[test]
fn ways_to_work() {
    let env = example_env();
    let repo = SampleRepo::new(&env, "repo");
    let cwd = repo.path();

    // One worktree, one session after another.
    let simple = planned(&env, cwd, &["--mode", "simple"], TWO);
    expect(&env, cwd, 0, &["approve", &simple, "--yes", "--wait"]);
    let done = show(&env, cwd, &simple);
    one_after_another(&events(&env, cwd, &simple), &done["sessions"]);
    let worked = list(&done["sessions"]).iter().skip(1);
    let worktrees: BTreeSet<_> = worked.filter_map(|s| s["worktree"].as_str()).collect();
    assert_eq!(worktrees.len(), 1, "{worktrees:?}");

    // At most one at a time.
    let limited = planned(&env, cwd, &["--limit", "1"], TWO);
    expect(&env, cwd, 0, &["approve", &limited, "--yes", "--wait"]);
    let done = show(&env, cwd, &limited);
    one_after_another(&events(&env, cwd, &limited), &done["sessions"]);

    // A resource is held by one.
    let exclusive: &[Entry<'_>] = &[
        &["Write `notes/one.md`", "_Resources: database_"],
        &["Write `notes/two.md`", "_Resources: database_"],
    ];
    let exclusive = planned(&env, cwd, &[], exclusive);
    expect(&env, cwd, 0, &["approve", &exclusive, "--yes", "--wait"]);
    let done = show(&env, cwd, &exclusive);
    assert_eq!(done["tasks"][0]["resources"][0], "database");
    one_after_another(&events(&env, cwd, &exclusive), &done["sessions"]);

    // More sessions after the work, one of them below another.
    let parent = done["sessions"][1]["name"].as_str().unwrap();
    for target in [&exclusive, parent] {
        let spawned = env.json(
            cwd,
            &["spawn", target, "Look it over", "-m", "Read it all again"],
        );
        expect(&env, cwd, 0, &["watch", &exclusive]);
        let spawned = env.json(
            cwd,
            &["sessions", "show", spawned["name"].as_str().unwrap()],
        );
        assert_eq!(spawned["method"], "spawned");
        assert_eq!(spawned["status"], "completed", "{spawned:#}");
        let expected = (target == parent).then(|| done["sessions"][1]["id"].clone());
        assert_eq!(spawned.get("parent"), expected.as_ref());
        let merged = spawned["merged"].as_str().unwrap();
        let branch = done["task"]["branch"].as_str().unwrap();
        repo.git(&["merge-base", "--is-ancestor", merged, branch]);
    }
    assert_eq!(status(&env, cwd, &exclusive), "implementation_review");
    expect(&env, cwd, 3, &["spawn", "99", "Nothing"]);
    repo.fsck();
}

#[test]
fn conflicts_and_failed_checks() {
    let env = example_env();
    let repo = SampleRepo::new(&env, "repo");
    let cwd = repo.path();

    // Both write one file: the second is blocked, and its agent resolves the conflict.
    let both: &[Entry<'_>] = &[&["Write `notes/shared.md`"], &["Write `notes/shared.md`"]];
    let task = planned(&env, cwd, &[], both);
    expect(&env, cwd, 7, &["approve", &task, "--yes", "--wait"]);
    let blocked = show(&env, cwd, &task);
    assert_eq!(waits(&blocked), ["conflict"]);
    let text = list(&blocked["sessions"])
        .iter()
        .find_map(|s| s["waiting"]["text"].as_str());
    assert!(text.unwrap().contains("notes/shared.md"), "{text:?}");
    expect(&env, cwd, 0, &["retry", &task, "--wait"]);
    let done = show(&env, cwd, &task);
    assert_eq!(done["task"]["status"], "implementation_review");
    let branch = done["task"]["branch"].as_str().unwrap();
    let shared = repo.show(branch, "notes/shared.md").unwrap();
    assert!(
        shared.contains("# Part 1") && shared.contains("# Part 2"),
        "{shared}"
    );
    assert!(!shared.contains("<<<<"), "{shared}");
    let tasks = repo.show(
        branch,
        &format!("specs/{}/tasks.md", done["task"]["name"].as_str().unwrap()),
    );
    assert_eq!(tasks.unwrap().matches("- [x]").count(), 2);

    // A check that fails twice goes back to the agent twice, with its output.
    let counter = env.folder().join("count");
    let verify = |passes: u32| {
        let file = counter.display();
        format!(
            "echo x >> '{file}'; echo attempt $(wc -l < '{file}'); test $(wc -l < '{file}') -ge {passes}"
        )
    };
    let task = planned(&env, cwd, &["--verify", &verify(3)], ONE);
    expect(&env, cwd, 0, &["approve", &task, "--yes", "--wait"]);
    let done = show(&env, cwd, &task);
    let session = &done["sessions"][1];
    assert_eq!(session["verified"], true);
    let turns: Vec<_> = list(&session["turns"])
        .iter()
        .map(|t| t["purpose"].clone())
        .collect();
    assert_eq!(turns, ["implement", "fix", "fix"]);
    let log = env
        .run(cwd, &["sessions", "log", session["name"].as_str().unwrap()])
        .ok();
    assert!(log.stdout.contains("attempt 2"), "{}", log.stdout);

    // One that never passes blocks after three fixes; a person tries again.
    fs::remove_file(&counter).unwrap();
    let task = planned(&env, cwd, &["--verify", &verify(6)], ONE);
    expect(&env, cwd, 7, &["approve", &task, "--yes", "--wait"]);
    let blocked = show(&env, cwd, &task);
    assert_eq!(waits(&blocked), ["verify"]);
    assert_eq!(blocked["sessions"][1]["verified"], false);
    assert_eq!(list(&blocked["sessions"][1]["turns"]).len(), 4);
    let branch = blocked["task"]["branch"].as_str().unwrap();
    assert!(
        repo.show(branch, "notes/one.md").is_none(),
        "unverified work was merged"
    );
    expect(&env, cwd, 0, &["retry", &task, "--wait"]);
    repo.fsck();
}

#[test]
fn what_waits_goes_on() {
    let mut env = example_env();
    let agents = [
        "default_agent = \"example\"\n".to_owned(),
        example_profile("keyed", "env = [\"X_KEY\"]"),
        example_profile("asking", "permission = \"ask\""),
        profile(
            "ghost",
            &AgentCommand {
                argv: vec!["no-such-agent".to_owned()],
                env: std::collections::BTreeMap::new(),
            },
            "",
        ),
    ];
    env.write_config(&agents.join("\n"));
    env.set("SHELL", "/bin/sh");
    let repo = SampleRepo::new(&env, "repo")
        .file("check.sh", "echo checked > checked.txt\n")
        .commit("Check");
    let cwd = repo.path();

    // A variable that only the person has.
    expect(
        &env,
        cwd,
        7,
        &["new", "Keep notes", "--agent", "keyed", "--wait"],
    );
    let waiting = show(&env, cwd, "1");
    assert_eq!(waits(&waiting), ["environment"]);
    assert_eq!(waiting["sessions"][0]["status"], "waiting");
    expect(&env, cwd, 7, &["retry", "1", "--wait"]);
    let mut retry = env.spectask(cwd, &["retry", "1", "--wait"]);
    retry.env("X_KEY", "opensesame");
    assert_eq!(finish(retry).0, Some(0));
    assert_eq!(status(&env, cwd, "1"), "spec_review");
    for file in fs::read_dir(env.data_dir()).unwrap().flatten() {
        let bytes = fs::read(file.path()).unwrap_or_default();
        let key = b"opensesame";
        assert!(
            !bytes.windows(key.len()).any(|part| part == key),
            "{:?}",
            file.path()
        );
    }

    // An agent that is not there.
    expect(
        &env,
        cwd,
        7,
        &["new", "Keep notes", "--agent", "ghost", "--wait"],
    );
    let waiting = show(&env, cwd, "2");
    assert_eq!(waits(&waiting), ["agent_missing"]);
    let text = waiting["sessions"][0]["waiting"]["text"].as_str().unwrap();
    assert!(text.contains("no-such-agent"), "{text}");
    let tool = env.folder().join("no-such-agent");
    let script = format!(
        "#!/bin/sh\nexec '{}' example-agent\n",
        env::spectask_bin().display()
    );
    fs::write(&tool, script).unwrap();
    fs::set_permissions(&tool, fs::Permissions::from_mode(0o755)).unwrap();
    let mut retry = env.spectask(cwd, &["retry", "2", "--wait"]);
    let path = format!(
        "{}:{}",
        env.folder().display(),
        std::env::var("PATH").unwrap()
    );
    retry.env("PATH", path);
    assert_eq!(
        finish(retry).0,
        Some(0),
        "an installed agent is found by retry"
    );

    // A question of the agent.
    let entries: &[Entry<'_>] = &[&["Write `notes/one.md`", "Run `sh check.sh`"]];
    let task = planned(&env, cwd, &["--agent", "asking"], entries);
    expect(&env, cwd, 7, &["approve", &task, "--yes", "--wait"]);
    let asked = env.json(cwd, &["permissions"]);
    let asked = list(&asked["permissions"]);
    assert_eq!(asked.len(), 1, "{asked:?}");
    assert!(
        asked[0]["title"].as_str().unwrap().contains("check.sh"),
        "{asked:?}"
    );
    let id = asked[0]["id"].as_str().unwrap();
    expect(&env, cwd, 2, &["permissions", "answer", id, "perhaps"]);
    let _ = env.run(cwd, &["permissions", "answer", id, "allow"]).ok();
    expect(&env, cwd, 0, &["watch", &task]);
    expect(&env, cwd, 3, &["permissions", "answer", id, "allow"]);
    let done = show(&env, cwd, &task);
    let branch = done["task"]["branch"].as_str().unwrap();
    assert!(repo.show(branch, "checked.txt").is_some());

    // The branch is checked out by the person.
    let task = planned(&env, cwd, &[], ONE);
    expect(&env, cwd, 0, &["approve", &task, "--yes", "--no-start"]);
    expect(&env, cwd, 7, &["watch", &task]);
    let branch = show(&env, cwd, &task)["task"]["branch"]
        .as_str()
        .unwrap()
        .to_owned();
    repo.git(&["checkout", "--quiet", &branch]);
    let before = repo.checkout_state();
    expect(&env, cwd, 7, &["start", &task, "--wait"]);
    let waiting = show(&env, cwd, &task);
    assert_eq!(waits(&waiting), ["branch_checked_out"]);
    assert_eq!(repo.checkout_state(), before);
    repo.git(&["checkout", "--quiet", "main"]);
    expect(&env, cwd, 0, &["retry", &task, "--wait"]);
    assert!(repo.show(&branch, "notes/one.md").is_some());
    repo.fsck();
}

/// Plans two tasks and, in the first, plays this trick.
fn misbehaving(name: &str, trick: &str) -> String {
    let argv = [
        &env::adversary_bin().to_string_lossy(),
        "--do",
        trick,
        "--task",
        "1",
    ];
    let agent = AgentCommand {
        argv: argv.map(str::to_owned).to_vec(),
        env: std::collections::BTreeMap::new(),
    };
    profile(name, &agent, "")
}

#[test]
fn each_end_of_a_turn_is_what_it_is() {
    let env = example_env();
    let mut config = "default_agent = \"example\"\n".to_owned();
    for (name, trick) in [
        ("empty", "empty"),
        ("refuser", "stop=refusal"),
        ("talker", "stop=max_tokens"),
        ("crasher", "exit"),
        ("stranger", "needs-auth"),
    ] {
        config.push_str(&misbehaving(name, trick));
    }
    env.write_config(&config);
    let repo = SampleRepo::new(&env, "repo");
    let cwd = repo.path();
    let start = |agent: &str, code: i32| {
        let new = ["new", "Keep notes", "--no-wait", "--agent", agent];
        let args = [&new[..], &["--planning-agent", "example"]].concat();
        let task = env.json(cwd, &args)["number"].to_string();
        expect(&env, cwd, 0, &["watch", &task]);
        let requirements = documents::requirements("Keep notes", true);
        let texts = [
            ("requirements.md", requirements.as_str()),
            ("design.md", &documents::design(&[])),
            ("tasks.md", &tasks_md(TWO)),
        ];
        edit(&env, cwd, &task, &texts);
        expect(&env, cwd, code, &["approve", &task, "--yes", "--wait"]);
        task
    };
    let stuck = |task: &str| {
        let overview = show(&env, cwd, task);
        let found = list(&overview["sessions"])
            .iter()
            .find(|s| s["waiting"].is_object());
        let session = found
            .unwrap_or_else(|| panic!("nothing waits: {overview:#}"))
            .clone();
        let turns: Vec<_> = list(&session["turns"])
            .iter()
            .map(|t| t["status"].clone())
            .collect();
        (session, turns)
    };

    // Nothing was changed: a person may accept that, even if the branch is not free just then.
    let task = start("empty", 7);
    let (session, turns) = stuck(&task);
    assert_eq!(session["waiting"]["kind"], "empty_result");
    assert_eq!(turns, ["ended"]);
    let name = session["name"].as_str().unwrap();
    let branch = show(&env, cwd, &task)["task"]["branch"]
        .as_str()
        .unwrap()
        .to_owned();
    repo.git(&["checkout", "--quiet", &branch]);
    expect(&env, cwd, 0, &["accept-empty", name]);
    expect(&env, cwd, 7, &["watch", &task]);
    assert_eq!(stuck(&task).0["waiting"]["kind"], "branch_checked_out");
    repo.git(&["checkout", "--quiet", "main"]);
    expect(&env, cwd, 0, &["retry", &task, "--wait"]);
    let done = show(&env, cwd, &task);
    let folder = done["task"]["name"].as_str().unwrap();
    let tasks = repo
        .show(&branch, &format!("specs/{folder}/tasks.md"))
        .unwrap();
    assert_eq!(tasks.matches("- [x]").count(), 2, "{tasks}");
    assert_eq!(done["task"]["progress"]["done"], 2);

    // A refusal is not asked again by itself; a limit of the model is, three times.
    let (session, turns) = stuck(&start("refuser", 7));
    assert_eq!(session["waiting"]["kind"], "stopped");
    assert!(
        session["waiting"]["text"]
            .as_str()
            .unwrap()
            .contains("refuses"),
        "{session:#}"
    );
    assert_eq!(turns, ["failed"]);
    let (session, turns) = stuck(&start("talker", 7));
    assert_eq!(session["waiting"]["kind"], "stopped");
    assert!(
        session["waiting"]["text"]
            .as_str()
            .unwrap()
            .contains("max_tokens"),
        "{session:#}"
    );
    assert_eq!(turns, ["failed"; 4]);

    // So is a crash; the person reads what the agent said last.
    let (session, turns) = stuck(&start("crasher", 7));
    assert_eq!(session["waiting"]["kind"], "agent");
    assert!(
        session["waiting"]["text"]
            .as_str()
            .unwrap()
            .contains("out of cheese"),
        "{session:#}"
    );
    assert_eq!(turns, ["interrupted"; 4]);

    let (session, turns) = stuck(&start("stranger", 7));
    assert_eq!(session["waiting"]["kind"], "needs_auth");
    assert_eq!(session["status"], "waiting");
    let hint = session["waiting"]["hint"].as_str().unwrap();
    assert!(hint.contains("spectask agents login stranger"), "{hint}");
    assert!(turns.is_empty());

    // A cancelled session can be tried again.
    let task = start("refuser", 7);
    let name = stuck(&task).0["name"].as_str().unwrap().to_owned();
    expect(&env, cwd, 0, &["cancel", &name, "--yes"]);
    expect(&env, cwd, 4, &["cancel", &name, "--yes"]);
    expect(&env, cwd, 4, &["finish", &task, "--keep"]);
    expect(&env, cwd, 7, &["retry", &name, "--wait"]);
    let (session, turns) = stuck(&task);
    assert_eq!(session["waiting"]["kind"], "stopped");
    assert_eq!(turns, ["failed", "failed"]);
    expect(&env, cwd, 0, &["finish", &task, "--keep", "--incomplete"]);
    assert_eq!(status(&env, cwd, &task), "done");
    repo.fsck();
}

#[test]
fn commands_of_a_repository_need_trust() {
    let env = example_env();
    let toml = "setup = 'touch setup.done'\ncopy = '.env'\nverify = 'test -f setup.done && grep -q local .env'\n";
    let repo = SampleRepo::new(&env, "repo")
        .file(".gitignore", "setup.done\n")
        .file(".spectask.toml", toml)
        .commit("Set up")
        .file(".env", "local=1\n");
    let cwd = repo.path();
    let task = planned(&env, cwd, &[], TWO);
    expect(&env, cwd, 7, &["approve", &task, "--yes", "--wait"]);
    assert_eq!(waits(&show(&env, cwd, &task)), ["trust", "trust"]);
    assert_eq!(expect_json(&env, cwd, 7, &["trust"])["trusted"], false);
    // Nobody can be asked here.
    let shown = expect(&env, cwd, 7, &["trust"]);
    assert!(shown.stdout.contains("touch setup.done"), "{shown:?}");
    assert_eq!(env.json(cwd, &["trust", "--yes"])["trusted"], true);
    expect(&env, cwd, 0, &["retry", &task, "--wait"]);
    let done = show(&env, cwd, &task);
    for session in &list(&done["sessions"])[1..] {
        assert_eq!(session["verified"], true, "{session:#}");
    }
    let branch = done["task"]["branch"].as_str().unwrap();
    assert!(repo.show(branch, "notes/two.md").is_some());
    for file in [".env", "setup.done"] {
        assert!(repo.show(branch, file).is_none(), "{file} was committed");
    }
    // Trust is for this text only, and can be taken back.
    let repo = repo.file(".spectask.toml", &format!("{toml}\n# more\n"));
    assert_eq!(
        expect_json(&env, repo.path(), 7, &["trust"])["trusted"],
        false
    );
    let repo = repo.file(".spectask.toml", toml);
    assert_eq!(env.json(repo.path(), &["trust"])["trusted"], true);
    assert_eq!(
        env.json(repo.path(), &["trust", "--revoke"])["trusted"],
        false
    );
}

#[test]
fn any_repository() {
    let env = example_env();
    let prompt = ["new", "Keep notes", "--wait"];

    // No repository, and one without a commit.
    let empty = env.folder().join("empty");
    fs::create_dir(&empty).unwrap();
    let refused = expect(&env, &empty, 3, &prompt);
    assert!(refused.stderr.contains("git init"), "{}", refused.stderr);
    let _ = env.git(&empty, &["init", "--quiet"]);
    let refused = expect(&env, &empty, 4, &prompt);
    assert!(refused.stderr.contains("commit"), "{}", refused.stderr);
    assert_eq!(
        env.json(&empty, &["list", "--all"])["tasks"],
        Value::Array(vec![])
    );

    // No agent on this machine.
    let tools = env.folder().join("tools");
    fs::create_dir(&tools).unwrap();
    for tool in ["git", "sh"] {
        let real = std::env::split_paths(&std::env::var_os("PATH").unwrap())
            .map(|folder| folder.join(tool))
            .find(|path| path.is_file());
        std::os::unix::fs::symlink(real.unwrap(), tools.join(tool)).unwrap();
    }
    let bare_env = TestEnv::new();
    let repo = SampleRepo::new(&bare_env, "repo");
    let mut new = bare_env.spectask(repo.path(), &prompt);
    new.env("PATH", &tools);
    let (code, _, stderr) = finish(new);
    assert_eq!(code, Some(4), "{stderr}");
    for part in ["no agent", "hint:", "--agent example", "spectask agents"] {
        assert!(stderr.contains(part), "{part}: {stderr}");
    }

    // A folder with spaces and letters of all kinds, and a subfolder of it.
    let repo = SampleRepo::new(&env, "mein Ordner – проект 文件");
    let inside = repo.path().join("src");
    let task = planned(&env, &inside, &["--verify", "test -f notes/one.md"], ONE);
    expect(&env, &inside, 0, &["approve", &task, "--yes", "--wait"]);
    let done = show(&env, repo.path(), &task);
    assert_eq!(done["task"]["project"], repo.path().to_str().unwrap());
    expect(&env, &inside, 0, &["finish", "--merge"]);
    assert!(repo.path().join("notes/one.md").is_file());

    // A linked worktree: its HEAD is the base, its branch the target.
    let linked = env.folder().join("linked");
    repo.git(&[
        "worktree",
        "add",
        "--quiet",
        "-b",
        "side",
        linked.to_str().unwrap(),
    ]);
    fs::write(linked.join("side.txt"), "side\n").unwrap();
    let _ = env.git(&linked, &["add", "side.txt"]);
    let _ = env.git(&linked, &["commit", "--quiet", "--message", "Side"]);
    let two: &[Entry<'_>] = &[&["Write `notes/two.md`"]];
    let task = planned(&env, &linked, &[], two);
    let view = show(&env, &linked, &task);
    assert_eq!(view["task"]["target"], "side");
    assert_eq!(view["task"]["project"], done["task"]["project"]);
    expect(&env, &linked, 0, &["approve", &task, "--yes", "--wait"]);
    let before = repo.checkout_state();
    expect(&env, &linked, 0, &["finish", &task, "--merge"]);
    assert!(linked.join("notes/two.md").is_file());
    assert_eq!(repo.checkout_state(), before);
    assert_eq!(list(&env.json(&linked, &["list"])["tasks"]).len(), 2);
    repo.fsck();

    // A bare repository.
    let bare = env.folder().join("bare.git");
    let source = repo.path().to_str().unwrap();
    let _ = env.git(
        &env.folder(),
        &["clone", "--quiet", "--bare", source, bare.to_str().unwrap()],
    );
    let three: &[Entry<'_>] = &[&["Write `notes/three.md`"]];
    let task = planned(&env, &bare, &[], three);
    expect(&env, &bare, 0, &["approve", &task, "--yes", "--wait"]);
    expect(&env, &bare, 0, &["finish", &task, "--merge"]);
    assert!(
        env.git(&bare, &["ls-tree", "-r", "--name-only", "main"])
            .contains("notes/three.md")
    );
    env.fsck(&bare);
}

#[test]
fn ways_to_finish() {
    let env = example_env();
    let repo = SampleRepo::new(&env, "repo");
    let cwd = repo.path();
    let work = |file: &str| {
        let line = format!("Write `notes/{file}.md`");
        let task = planned(&env, cwd, &[], &[&[line.as_str()]]);
        expect(&env, cwd, 4, &["finish", &task, "--merge"]);
        expect(&env, cwd, 0, &["approve", &task, "--yes", "--wait"]);
        task
    };

    // A checkout with changes in the way is refused, and nothing happened.
    let task = work("one");
    fs::write(cwd.join("README.md"), "# Changed\n").unwrap();
    let before = repo.checkout_state();
    let refused = expect(&env, cwd, 4, &["finish", "--merge"]);
    assert!(refused.stderr.contains("README.md"), "{}", refused.stderr);
    assert_eq!(repo.checkout_state(), before);
    assert_eq!(status(&env, cwd, &task), "implementation_review");
    repo.git(&["checkout", "--quiet", "README.md"]);
    expect(&env, cwd, 0, &["diff", "--stat"]);
    expect(&env, cwd, 0, &["finish", "--merge"]);
    assert!(cwd.join("notes/one.md").is_file());
    assert_eq!(repo.git(&["status", "--porcelain"]), "");
    assert_eq!(status(&env, cwd, &task), "done");
    expect(&env, cwd, 4, &["finish", &task, "--merge"]);

    // Kept.
    let task = work("two");
    let before = repo.checkout_state();
    expect(&env, cwd, 0, &["finish", "--keep"]);
    assert_eq!(repo.checkout_state(), before);
    assert_eq!(status(&env, cwd, &task), "done");

    // Without its branch, which the hint brings back.
    let task = work("lost");
    let branch = format!(
        "specs/{}",
        show(&env, cwd, &task)["task"]["name"].as_str().unwrap()
    );
    repo.git(&["branch", "-qD", &branch]);
    let refused = expect(&env, cwd, 4, &["finish", "--merge"]).stderr;
    let back = format!("`git branch {branch} ");
    let (_, tip) = refused.split_once(&back).expect(&refused);
    let (tip, _) = tip.split_once('`').unwrap();
    expect(&env, cwd, 0, &["diff", &task, "--stat"]);
    repo.git(&["branch", &branch, tip]);
    expect(&env, cwd, 0, &["finish", "--merge"]);
    assert!(cwd.join("notes/lost.md").is_file());

    // As a pull request: without a remote, asked for by hand, and pushed.
    let task = work("three");
    let refused = expect(&env, cwd, 4, &["finish", "--pr"]);
    assert!(refused.stderr.contains("no remote"), "{}", refused.stderr);
    let remote = env.folder().join("remote.git");
    let _ = env.git(
        &env.folder(),
        &["init", "--quiet", "--bare", remote.to_str().unwrap()],
    );
    repo.git(&["remote", "add", "origin", remote.to_str().unwrap()]);
    let told = expect(&env, cwd, 7, &["finish", "--pr"]);
    let branch = show(&env, cwd, &task)["task"]["branch"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(
        told.stdout.contains(&format!("git push origin {branch}")),
        "{}",
        told.stdout
    );
    assert!(told.stdout.contains("gh pr create"), "{}", told.stdout);
    assert_eq!(env.git(&remote, &["branch", "--list"]), "");
    let pushed = expect(&env, cwd, 0, &["finish", "--pr", "--yes"]);
    assert!(
        pushed
            .stdout
            .contains(&format!("gh pr create --head {branch}")),
        "{}",
        pushed.stdout
    );
    assert!(env.git(&remote, &["branch", "--list"]).contains(&branch));
    assert_eq!(status(&env, cwd, &task), "pull_request");
}

#[test]
fn one_daemon_for_all() {
    let env = TestEnv::new();
    let repo = SampleRepo::new(&env, "repo");
    let cwd = repo.path();
    expect(&env, cwd, 6, &["daemon", "status"]);
    let all: Vec<_> = (0..20)
        .map(|_| {
            let mut command = env.spectask(cwd, &["list", "--json"]);
            command.stdout(Stdio::piped()).stderr(Stdio::piped());
            command.spawn().unwrap()
        })
        .collect();
    for child in all {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
        assert_eq!(output.stdout, b"{\"tasks\":[]}\n");
    }
    let log = fs::read_to_string(env.data_dir().join("daemon.log")).unwrap();
    let started = log.lines().filter(|line| line.contains("started")).count();
    assert_eq!(started, 1, "{log}");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&env.data_dir()), 0o700);
    assert_eq!(mode(&env.data_dir().join("daemon.sock")), 0o600);

    // The socket of a daemon that was killed is in nobody's way.
    let first = env.daemon_pid().unwrap();
    assert!(env::kill(first));
    assert!(env.data_dir().join("daemon.sock").exists());
    let _ = env.run(cwd, &["list"]).ok();
    let second = env.daemon_pid().unwrap();
    assert_ne!(first, second);

    // A database of a later version is refused and left as it is.
    let _ = env.run(cwd, &["daemon", "stop"]).ok();
    let database = env.data_dir().join("spectask.db");
    let mut bytes = fs::read(&database).unwrap();
    bytes[60..64].copy_from_slice(&99u32.to_be_bytes());
    fs::write(&database, &bytes).unwrap();
    let files = || -> BTreeSet<_> {
        let entries = fs::read_dir(env.data_dir()).unwrap();
        entries.map(|entry| entry.unwrap().file_name()).collect()
    };
    let before = files();
    let refused = expect(&env, cwd, 6, &["list"]);
    assert!(refused.stderr.contains("newer"), "{}", refused.stderr);
    assert!(
        fs::read(&database).unwrap() == bytes,
        "the database was written"
    );
    assert_eq!(files(), before);
}

#[test]
fn programs_can_read_everything() {
    let env = example_env();
    let repo = SampleRepo::new(&env, "repo");
    let cwd = repo.path();
    let task = planned(&env, cwd, &[], ONE);
    let name = show(&env, cwd, &task)["task"]["name"]
        .as_str()
        .unwrap()
        .to_owned();
    for (code, args) in [
        (0, &["list"][..]),
        (0, &["list", "--all", "--archived"]),
        (0, &["show"]),
        (0, &["review"]),
        (0, &["review", "--diff"]),
        (0, &["review", "--findings"]),
        (0, &["review", "--document", "tasks"]),
        (0, &["sessions"]),
        (0, &["sessions", "show", "1/0"]),
        (0, &["permissions"]),
        (0, &["agents"]),
        (0, &["agents", "test", "example"]),
        (0, &["prompts"]),
        (0, &["prompts", "show", "plan"]),
        (0, &["trust"]),
        (0, &["config"]),
        (0, &["config", "get", "session_limit"]),
        (0, &["config", "schema"]),
        (0, &["config", "path"]),
        (0, &["doctor"]),
        (0, &["daemon", "status"]),
        (0, &["openrpc"]),
        (2, &["lint"]),
        (4, &["diff", "1"]),
        (4, &["accept-empty", "1/0"]),
        (4, &["retry", "1"]),
        (4, &["start", "1"]),
        (4, &["finish", "1", "--keep"]),
        (3, &["show", "99"]),
        (3, &["sessions", "show", "1/99"]),
        (3, &["prompts", "show", "nothing"]),
        (2, &["approve", "1"]),
        (2, &["cancel", "1"]),
        (2, &["new", "  "]),
        (0, &["pause", "1"]),
        (0, &["resume", "1"]),
        (0, &["approve", "1", "--yes"]),
    ] {
        let answer = expect_json(&env, cwd, code, args);
        let kind = answer["error"]["kind"].as_str();
        assert_eq!(kind.is_some(), code > 1, "{args:?}: {answer:#}");
    }
    expect(&env, cwd, 0, &["watch", "1"]);
    for args in [
        &["diff", "1"][..],
        &["spawn", "1", "More"],
        &["cancel", "1/2", "--yes"],
    ] {
        expect_json(&env, cwd, 0, args);
    }
    // A session more or less does not keep finished work from being finished.
    expect(&env, cwd, 0, &["watch", "1"]);
    let folder = env.folder().join("docs");
    fs::create_dir(&folder).unwrap();
    fs::write(
        folder.join("requirements.md"),
        documents::requirements("x", false),
    )
    .unwrap();
    fs::write(folder.join("design.md"), documents::design(&[])).unwrap();
    fs::write(folder.join("tasks.md"), tasks_md(ONE)).unwrap();
    let report = expect_json(&env, cwd, 1, &["lint", folder.to_str().unwrap()]);
    assert!(report.to_string().contains("\"error\""), "{report:#}");
    // Usage errors of the command line itself.
    for args in [
        &["nonsense"][..],
        &["finish", "1", "--merge", "--keep"],
        &["new", "x", "--limit", "0"],
        &["show", "../x"],
    ] {
        expect(&env, cwd, 2, args);
    }
    expect(&env, cwd, 0, &["--version"]);

    // Events come without a gap, from any number, also while a daemon is replaced.
    let all = events(&env, cwd, "1");
    let numbers: Vec<_> = all
        .iter()
        .map(|event| event["seq"].as_u64().unwrap())
        .collect();
    assert_eq!(numbers, (1..=all.len() as u64).collect::<Vec<_>>());
    let middle = numbers[all.len() / 2];
    let mut follow = env.follow(
        cwd,
        &["watch", "1", "--from", &middle.to_string(), "--json"],
    );
    follow.wait_for(LIMIT, |event| event["kind"] == "watch_ended");
    let tail: Vec<_> = follow
        .seen
        .iter()
        .filter_map(|event| event["seq"].as_u64())
        .collect();
    assert_eq!(tail, numbers[all.len() / 2..]);

    let next = env.json(cwd, &["new", "Watch the daemon go", "--later"]);
    let next = next["name"].as_str().unwrap();
    assert_ne!(next, name);
    let _ = env.run(cwd, &["start", next]).ok();
    let mut follow = env.follow(cwd, &["watch", next, "--from", "1", "--json"]);
    follow.wait_for(LIMIT, |event| event["kind"] == "task_created");
    let _ = env.run(cwd, &["daemon", "restart"]).ok();
    let end = follow.wait_for(LIMIT, |event| event["kind"] == "watch_ended");
    assert_eq!(end["data"]["status"], "spec_review", "{end}");
    let seen: Vec<_> = follow
        .seen
        .iter()
        .filter_map(|event| event["seq"].as_u64())
        .collect();
    let kept: Vec<_> = events(&env, cwd, next)
        .iter()
        .filter_map(|event| event["seq"].as_u64())
        .collect();
    assert_eq!(seen, kept);
}
