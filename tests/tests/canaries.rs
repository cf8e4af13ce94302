//! Secrets planted through every way in are in nothing that is kept: no file of the data folder, no
//! object below `refs/spectask`, no log, nothing that a command prints.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use spectask_tests::canaries::{VARIABLE, WAYS, token};
use spectask_tests::env::{adversary_bin, json_lines};
use spectask_tests::{AgentCommand, SampleRepo, TestEnv};

use crate::common::{expect, profile};

/// What must not be found: each secret, and halves of it that say as much.
fn forbidden() -> Vec<(String, Vec<u8>)> {
    let mut all = vec![("variable".to_owned(), VARIABLE.as_bytes().to_vec())];
    for way in WAYS {
        let token = token(way);
        all.push((way.to_owned(), token.as_bytes()[..22].to_vec()));
        all.push((way.to_owned(), token.as_bytes()[22..].to_vec()));
    }
    all
}

fn found_in(bytes: &[u8], place: &str, found: &mut Vec<String>) {
    for (way, secret) in forbidden() {
        if bytes.windows(secret.len()).any(|window| window == secret) {
            found.push(format!("{way} in {place}"));
        }
    }
}

fn files(folder: &Path, all: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            files(&entry.path(), all);
        } else if kind.is_file() {
            all.push(entry.path());
        }
    }
}

/// Everything that is kept, and everything that is shown of it.
fn look(env: &TestEnv, repo: &SampleRepo<'_>) -> Vec<String> {
    let mut found = Vec::new();
    let mut all = Vec::new();
    files(&env.data_dir(), &mut all);
    assert!(
        all.iter()
            .any(|path| path.extension().is_some_and(|ext| ext == "db"))
    );
    for path in all {
        found_in(
            &fs::read(&path).unwrap(),
            &path.display().to_string(),
            &mut found,
        );
    }
    // Refs by their names, and every object that they lead to; branches of the work too.
    let refs = repo.git(&["for-each-ref", "--format=%(refname)"]);
    found_in(refs.as_bytes(), "the names of refs", &mut found);
    let objects = repo.git(&["rev-list", "--objects", "--all", "--glob=refs/spectask/*"]);
    for line in objects.lines() {
        let id = line.split(' ').next().unwrap();
        let kind = repo.git(&["cat-file", "-t", id]);
        let content = repo.git(&["cat-file", if kind == "tree" { "-p" } else { &kind }, id]);
        found_in(content.as_bytes(), &format!("object {line}"), &mut found);
    }
    for session in ["1/0", "1/1", "1/2"] {
        for args in [
            vec!["sessions", "log", session, "--json"],
            vec!["sessions", "show", session, "--json"],
        ] {
            let run = env.run(repo.path(), &args);
            assert_eq!(run.code, Some(0), "{run:#?}");
            found_in(run.stdout.as_bytes(), &args.join(" "), &mut found);
        }
    }
    let shown = env.run(repo.path(), &["show", "1", "--json"]);
    found_in(shown.stdout.as_bytes(), "show", &mut found);
    found
}

#[test]
fn planted_secrets_are_kept_nowhere() {
    let mut env = TestEnv::new();
    env.set("MY_SERVICE_TOKEN", VARIABLE);
    let (log, outside) = (env.folder().join("log.jsonl"), env.folder().join("outside"));
    fs::create_dir_all(&outside).unwrap();
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let argv = vec![
        text(adversary_bin()),
        "--do".to_owned(),
        "early,leak,leak-exit".to_owned(),
        "--log".to_owned(),
        text(&log),
        "--outside".to_owned(),
        text(&outside),
    ];
    let agent = AgentCommand {
        argv,
        env: BTreeMap::from([("MY_SERVICE_TOKEN".to_owned(), VARIABLE.to_owned())]),
    };
    env.write_config(&profile("adversary", &agent, ""));
    // It fails once, so that what it printed goes back to the agent.
    let mark = text(&env.folder().join("verified"));
    let check =
        format!("echo \"key $MY_SERVICE_TOKEN\"; test -e {mark} && exit 0; touch {mark}; exit 1\n");
    let repo = SampleRepo::new(&env, "project")
        .file("check.sh", &check)
        .commit("Check");
    // The branch is named after the first words.
    let prompt = format!("{} {} keep notes", token("branch"), token("prompt"));
    let args = [
        "new",
        &prompt,
        "--agent",
        "adversary",
        "--verify",
        "sh check.sh",
        "--wait",
    ];
    expect(&env, repo.path(), 0, &args);
    let comment = format!("{} is not to be named", token("comment"));
    let args = ["request-changes", "1", "--message", &comment, "--wait"];
    expect(&env, repo.path(), 0, &args);
    expect(&env, repo.path(), 0, &["approve", "1", "--yes", "--wait"]);
    let played: Vec<_> = json_lines(&log)
        .into_iter()
        .filter(|line| line["trick"] == "leak")
        .collect();
    assert!(played.len() >= 4, "{played:#?}");
    assert!(
        played.iter().all(|line| line["outcome"] == true),
        "the terminal told nothing"
    );
    // It was seen: redacted, not left out.
    let told = expect(&env, repo.path(), 0, &["sessions", "log", "1/1", "--json"]).stdout;
    for wanted in [
        "«secret:github-token:",
        "«secret:MY_SERVICE_TOKEN:",
        "«binary:image/png:",
    ] {
        assert!(told.contains(wanted), "{wanted} in {told}");
    }
    assert!(outside.join("leaked").exists());
    let running = look(&env, &repo);
    assert!(running.is_empty(), "{running:#?}");
    // And when all is written that the daemon still held.
    expect(&env, repo.path(), 0, &["daemon", "stop"]);
    let mut found = Vec::new();
    let mut all = Vec::new();
    files(&env.data_dir(), &mut all);
    for path in all {
        found_in(
            &fs::read(&path).unwrap(),
            &path.display().to_string(),
            &mut found,
        );
    }
    assert!(found.is_empty(), "{found:#?}");
}
