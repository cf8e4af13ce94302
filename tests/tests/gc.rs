//! `spectask gc` with the real daemon, killed while it works.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use spectask_tests::{SampleRepo, TestEnv, env};

use crate::common::{example_env, expect, list, planned, show};

const ONE: &[&[&str]] = &[&["Take a note"]];

/// A cancelled SpecTask whose session left something in its worktree.
fn cancelled(env: &TestEnv, cwd: &Path) -> (String, PathBuf) {
    let task = planned(env, cwd, &["--verify", "false"], ONE);
    // The verify command never passes: a session that waits for a person.
    let _ = env.run(cwd, &["approve", &task, "--yes", "--wait"]);
    let shown = show(env, cwd, &task);
    let sessions = list(&shown["sessions"]).iter();
    let mut worktrees = sessions.filter_map(|session| session["worktree"].as_str());
    let worktree = PathBuf::from(worktrees.next().expect("a session has a worktree"));
    fs::write(worktree.join("left behind.txt"), "precious\n").unwrap();
    expect(env, cwd, 0, &["cancel", &task, "--yes"]);
    let name = shown["task"]["name"].as_str().unwrap().to_owned();
    (name, worktree)
}

#[test]
fn nothing_that_is_in_no_branch_is_lost() {
    let mut env = example_env();
    env.set("SPECTASK_FIX_ROUNDS", "0");
    let repo = SampleRepo::new(&env, "repo");
    let cwd = repo.path();
    let (name, worktree) = cancelled(&env, cwd);
    let before = repo.checkout_state();
    let refs = env.git(cwd, &["for-each-ref"]);
    let dry = env.json(cwd, &["gc", "--dry-run"]);
    assert_eq!(dry["dry_run"], true);
    let of = |view: &serde_json::Value| {
        let items = list(&view["items"]).iter();
        items
            .filter(|item| item["kind"] == "worktree")
            .find(|item| item["name"] == worktree.to_str().unwrap())
            .cloned()
    };
    let item = of(&dry).expect("the worktree is told of");
    assert_eq!(item["outcome"], "would_remove", "{item:#}");
    let reference = item["saved"].as_str().unwrap().to_owned();
    assert!(reference.starts_with(&format!("refs/spectask/wip/{name}/")));
    assert!(worktree.exists());
    assert_eq!(env.git(cwd, &["for-each-ref"]), refs);
    // Killed at any moment, and done again.
    for round in 0..8u64 {
        let mut child = env
            .spectask(cwd, &["gc"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        if round < 7 {
            std::thread::sleep(Duration::from_millis(round * 11));
            if let Some(pid) = env.daemon_pid() {
                env::kill(pid);
            }
        }
        let _ = child.wait();
        // At every moment it is in the worktree or in the ref.
        let saved = env.run_git(cwd, &["show", &format!("{reference}:left behind.txt")]);
        let there = fs::read_to_string(worktree.join("left behind.txt"));
        let there = there.is_ok_and(|text| text == "precious\n");
        assert!(saved.stdout == "precious\n" || there, "round {round}");
    }
    assert!(!worktree.exists());
    let text = env.git(cwd, &["show", &format!("{reference}:left behind.txt")]);
    assert_eq!(text, "precious");
    // The branch has work that is nowhere else, so it stays.
    let left = env.git(cwd, &["branch", "--list", "spectask/*"]);
    assert!(left.contains(&name), "{left}");
    let again = env.json(cwd, &["gc"]);
    assert!(of(&again).is_none(), "{again:#}");
    assert_eq!(repo.checkout_state(), before);
    repo.fsck();
}

#[test]
fn transcripts_go_when_they_are_recorded_and_old() {
    let env = example_env();
    let repo = SampleRepo::new(&env, "repo");
    let cwd = repo.path();
    let task = planned(&env, cwd, &[], ONE);
    expect(&env, cwd, 0, &["approve", &task, "--yes", "--wait"]);
    expect(&env, cwd, 0, &["finish", &task, "--merge"]);
    let session = format!("{task}/0");
    let said = |env: &TestEnv| {
        env.run(cwd, &["sessions", "log", &session, "--json"])
            .ok()
            .stdout
    };
    assert!(!said(&env).is_empty());
    let kinds = |view: &serde_json::Value, outcome: &str| -> Vec<String> {
        let items = list(&view["items"]).iter();
        items
            .filter(|item| item["outcome"] == outcome)
            .map(|item| item["kind"].as_str().unwrap().to_owned())
            .collect()
    };
    // Kept for ever, unless a person says otherwise; merged branches go.
    let first = env.json(cwd, &["gc"]);
    assert!(
        kinds(&first, "removed").contains(&"branch".to_owned()),
        "{first:#}"
    );
    assert!(!kinds(&first, "removed").contains(&"transcript".to_owned()));
    assert_eq!(env.git(cwd, &["branch", "--list", "spectask/*"]), "");
    assert!(!said(&env).is_empty());
    env.write_config("default_agent = \"example\"\n[history]\nkeep_transcripts = \"1s\"\n");
    std::thread::sleep(Duration::from_millis(1100));
    let second = env.json(cwd, &["gc"]);
    let gone = kinds(&second, "removed").contains(&"transcript".to_owned());
    assert!(gone, "{second:#}");
    assert_eq!(said(&env), "");
}
