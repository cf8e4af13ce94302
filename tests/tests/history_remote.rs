//! Recorded history to and from other machines, with the real binary and real bare repositories.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use spectask_tests::{SampleRepo, TestEnv};

use super::common::{example_env, expect, expect_json, list};

const SESSION: &str = "refs/spectask/sessions/1-notes/01-api";
const TASK: &str = "refs/spectask/tasks/1-notes";

/// A ref with one commit, as the recorder leaves them: no branch, nothing checked out.
fn record(env: &TestEnv, repo: &Path, name: &str, file: &str) -> String {
    let text = env.folder().join("recorded.txt");
    fs::write(&text, format!("what was said: {file}\n")).unwrap();
    let blob = env.git(repo, &["hash-object", "-w", text.to_str().unwrap()]);
    let listing = env.folder().join("tree.txt");
    fs::write(&listing, format!("100644 blob {blob}\t{file}\n")).unwrap();
    let mut command = env.command("git", repo);
    command
        .arg("mktree")
        .stdin(fs::File::open(&listing).unwrap());
    let output = command.output().unwrap();
    assert!(output.status.success());
    let tree = String::from_utf8(output.stdout).unwrap();
    let mut args = vec!["commit-tree", tree.trim(), "-m", file];
    let old = env.run_git(repo, &["rev-parse", "-q", "--verify", name]);
    let old = old.stdout.trim().to_owned();
    if !old.is_empty() {
        args.extend(["-p", &old]);
    }
    let id = env.git(repo, &args);
    git(env, repo, &["update-ref", name, &id]);
    id
}

/// Runs git for what it does.
fn git(env: &TestEnv, repo: &Path, args: &[&str]) {
    let _ = env.git(repo, args);
}

fn bare(env: &TestEnv, repo: &Path, name: &str) -> PathBuf {
    let path = env.folder().join(format!("{name}.git"));
    git(
        env,
        &env.home(),
        &["init", "-q", "--bare", path.to_str().unwrap()],
    );
    let url = format!("file://{}", path.display());
    git(env, repo, &["remote", "add", name, &url]);
    path
}

fn refs(env: &TestEnv, repo: &Path, below: &str) -> Vec<String> {
    let text = env.git(
        repo,
        &["for-each-ref", "--format=%(refname) %(objectname)", below],
    );
    text.lines().map(str::to_owned).collect()
}

#[test]
fn nothing_leaves_unless_a_remote_was_named() {
    let env = example_env();
    let repo = SampleRepo::new(&env, "shop");
    let here = repo.path();
    let archive = bare(&env, here, "archive");
    let first = record(&env, here, SESSION, "conversation.md");
    record(&env, here, TASK, "task.json");
    record(&env, here, "refs/spectask/wip/1-notes", "unfinished.txt");
    let none = expect(&env, here, 4, &["history", "push"]);
    assert!(
        none.stderr.contains("nothing leaves this machine"),
        "{}",
        none.stderr
    );
    let unknown = expect(&env, here, 3, &["history", "push", "nowhere"]);
    assert!(
        unknown.stderr.contains("git remote add"),
        "{}",
        unknown.stderr
    );
    let url = format!("file://{}", archive.display());
    expect(&env, here, 3, &["history", "push", &url]);
    // An ordinary push takes nothing of it along.
    git(&env, here, &["push", "-q", "archive", "main"]);
    git(&env, here, &["push", "-q", "--tags", "archive"]);
    assert_eq!(refs(&env, &archive, "refs/spectask"), [""; 0]);

    expect(&env, here, 0, &["history", "remote", "archive"]);
    let seen = expect_json(&env, here, 0, &["history", "push", "--dry-run"]);
    assert_eq!(
        (seen["pushed"].as_bool(), seen["readers"].as_str()),
        (Some(false), Some("only those who may"))
    );
    let names: Vec<_> = list(&seen["refs"])
        .iter()
        .map(|one| one["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, [SESSION, TASK]);
    assert_eq!(list(&seen["files"]), ["conversation.md", "task.json"]);
    assert!(seen["bytes"].as_u64().unwrap() > 0);
    assert_eq!(refs(&env, &archive, "refs/spectask"), [""; 0]);

    git(&env, here, &["tag", "-a", "v1", "-m", "v1", &first]);
    git(&env, here, &["config", "push.followTags", "true"]);
    git(
        &env,
        here,
        &["config", "remote.archive.push", "+refs/*:refs/*"],
    );
    let state = repo.checkout_state();
    let pushed = expect_json(&env, here, 0, &["history", "push"]);
    assert_eq!(pushed["pushed"], true);
    assert_eq!(repo.checkout_state(), state);
    let there = refs(&env, &archive, "refs");
    let there: Vec<_> = there
        .iter()
        .map(|line| line.split(' ').next().unwrap())
        .collect();
    assert_eq!(there, ["refs/heads/main", SESSION, TASK]);
    let again = expect_json(&env, here, 0, &["history", "push"]);
    assert_eq!(
        (again["pushed"].as_bool(), again["up_to_date"].as_u64()),
        (Some(false), Some(2))
    );

    // The address that was named counts, not the name.
    let other = bare(&env, here, "other");
    git(
        &env,
        here,
        &["config", "remote.archive.pushurl", other.to_str().unwrap()],
    );
    record(&env, here, SESSION, "later.md");
    let moved = expect(&env, here, 4, &["history", "push"]);
    assert!(moved.stderr.contains("name it again"), "{}", moved.stderr);
    assert_eq!(refs(&env, &other, "refs"), [""; 0]);
    git(&env, here, &["config", "--unset", "remote.archive.pushurl"]);
    // A person's guard is asked.
    let hook = here.join(".git/hooks/pre-push");
    fs::create_dir_all(hook.parent().unwrap()).unwrap();
    fs::write(&hook, "#!/bin/sh\necho guarded >&2\nexit 1\n").unwrap();
    let mut mode = env.command("chmod", here);
    assert!(mode.arg("+x").arg(&hook).status().unwrap().success());
    let guarded = env.run(here, &["history", "push"]);
    assert_ne!(guarded.code, Some(0), "{guarded:#?}");
    fs::remove_file(&hook).unwrap();
    expect(&env, here, 0, &["history", "push"]);
    expect(&env, here, 0, &["history", "remote", "--none"]);
    expect(&env, here, 4, &["history", "push", "--dry-run"]);
}

#[test]
fn another_machine_reads_it_and_keeps_its_own() {
    let env = example_env();
    let repo = SampleRepo::new(&env, "shop");
    let here = repo.path();
    let archive = bare(&env, here, "archive");
    git(&env, here, &["push", "-q", "archive", "main"]);
    let first = record(&env, here, SESSION, "conversation.md");
    expect(&env, here, 0, &["history", "push", "archive"]);

    let clone = env.folder().join("laptop");
    let url = format!("file://{}", archive.display());
    git(
        &env,
        &env.home(),
        &["clone", "-q", &url, clone.to_str().unwrap()],
    );
    assert_eq!(
        refs(&env, &clone, "refs/spectask"),
        [""; 0],
        "a clone carries none"
    );
    let own = record(&env, &clone, SESSION, "own.md");
    let fetched = expect_json(&env, &clone, 0, &["history", "fetch", "origin"]);
    let name = "refs/spectask/remotes/origin/sessions/1-notes/01-api";
    assert_eq!(list(&fetched["refs"])[0]["name"], name);
    assert_eq!(
        refs(&env, &clone, "refs/spectask"),
        [format!("{name} {first}"), format!("{SESSION} {own}")]
    );
    assert_eq!(
        env.git(&clone, &["show", &format!("{name}:conversation.md")]),
        "what was said: conversation.md"
    );
    // Two histories of one name: neither is lost.
    let refused = env.run(&clone, &["history", "push", "origin"]);
    assert_ne!(refused.code, Some(0), "{refused:#?}");
    assert_eq!(
        refs(&env, &archive, "refs/spectask"),
        [format!("{SESSION} {first}")]
    );
    expect(&env, &clone, 0, &["history", "fetch", "origin"]);
    git(&env, &clone, &["fsck", "--strict"]);
}

/// Serves the files of a folder by HTTP, or asks for a password.
fn web(folder: PathBuf, open: bool) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let Some(Ok(first)) = lines.next() else {
                continue;
            };
            for line in lines.by_ref() {
                if line.is_ok_and(|line| line.is_empty()) {
                    break;
                }
            }
            let path = first
                .split(' ')
                .nth(1)
                .unwrap_or("/")
                .split('?')
                .next()
                .unwrap_or("/");
            let file = folder.join(path.trim_start_matches('/'));
            let (status, body) = match fs::read(&file) {
                _ if !open => (
                    "401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\"",
                    Vec::new(),
                ),
                Ok(body) => ("200 OK", body),
                Err(_) => ("404 Not Found", Vec::new()),
            };
            let head = format!(
                "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                body.len()
            );
            let _ = stream.write_all(head.as_bytes());
            let _ = stream.write_all(&body);
        }
    });
    format!("http://{address}")
}

#[test]
fn what_everybody_can_read_and_what_nobody_knows_is_refused() {
    let mut env = example_env();
    // No program of a forge is asked, and no proxy of the machine is in the way.
    env.set("NO_PROXY", "127.0.0.1");
    let repo = SampleRepo::new(&env, "shop");
    let here = repo.path();
    let archive = bare(&env, here, "archive");
    git(&env, here, &["push", "-q", "archive", "main"]);
    git(&env, &archive, &["update-server-info"]);
    record(&env, here, SESSION, "conversation.md");
    let public = format!("{}/archive.git", web(env.folder(), true));
    let closed = format!("{}/archive.git", web(env.folder(), false));
    for (name, url) in [
        ("public", public.as_str()),
        ("closed", &closed),
        ("gone", "http://127.0.0.1:1/a.git"),
    ] {
        git(&env, here, &["remote", "add", name, url]);
    }
    let refused = expect(&env, here, 5, &["history", "push", "public"]);
    assert!(
        refused.stderr.contains("everybody can read public"),
        "{}",
        refused.stderr
    );
    let seen = expect_json(&env, here, 0, &["history", "push", "public", "--dry-run"]);
    assert_eq!(seen["readers"], "everybody");
    assert!(seen["refused"].as_str().unwrap().contains("everybody"));
    assert_eq!(list(&seen["refs"]).len(), 1);
    let unknown = expect(&env, here, 5, &["history", "push", "gone"]);
    assert!(
        unknown.stderr.contains("--allow-unknown"),
        "{}",
        unknown.stderr
    );
    expect(
        &env,
        here,
        5,
        &["history", "push", "gone", "--allow-public"],
    );
    // With the flag it is the remote that does not answer.
    let tried = env.run(here, &["history", "push", "gone", "--allow-unknown"]);
    assert!(!matches!(tried.code, Some(0 | 5)), "{tried:#?}");
    // A password is asked for there, so it is not public; without one nothing is pushed.
    let tried = env.run(here, &["history", "push", "closed"]);
    assert!(!matches!(tried.code, Some(0 | 5)), "{tried:#?}");
    assert!(
        tried.stderr.contains("could not read Username"),
        "{tried:#?}"
    );
    assert_eq!(refs(&env, &archive, "refs/spectask"), [""; 0]);
}
