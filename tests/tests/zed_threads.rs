//! Threads of Zed's own agent: a database as Zed makes it, this test in the place of Zed.

use std::path::{Path, PathBuf};
use std::time::Instant;
use std::{fs, thread, time::Duration};

use rusqlite::{Connection, params};
use serde_json::Value;
use spectask_tests::{SampleRepo, TestEnv};

use crate::common::{LIMIT, example_env, expect, list};

fn database(env: &TestEnv) -> PathBuf {
    let data = if cfg!(target_os = "macos") {
        "Library/Application Support/Zed"
    } else {
        ".local/share/zed"
    };
    env.home().join(data).join("db/0-stable/db.sqlite")
}

/// Two connections, as Zed has one that writes and others that read.
fn open(database: &Path) -> (Connection, Connection) {
    fs::create_dir_all(database.parent().unwrap()).unwrap();
    let connect = || {
        let connection = Connection::open(database).unwrap();
        connection
            .execute_batch("PRAGMA journal_mode=WAL; PRAGMA busy_timeout=500;")
            .unwrap();
        connection
    };
    let zed = (connect(), connect());
    zed.0
        .execute_batch(
            "CREATE TABLE IF NOT EXISTS sidebar_threads(
                thread_id BLOB PRIMARY KEY, session_id TEXT, agent_id TEXT, title TEXT NOT NULL,
                updated_at TEXT NOT NULL, created_at TEXT, folder_paths TEXT,
                folder_paths_order TEXT, archived INTEGER DEFAULT 0, main_worktree_paths TEXT,
                main_worktree_paths_order TEXT, remote_connection TEXT, interacted_at TEXT,
                title_override TEXT
            ) STRICT",
        )
        .unwrap();
    zed
}

fn put(
    (writer, reader): &(Connection, Connection),
    id: u8,
    agent: Option<&str>,
    title: &str,
    folder: &Path,
) {
    writer
        .execute(
            "INSERT OR REPLACE INTO sidebar_threads (thread_id, session_id, agent_id, title,
                updated_at, created_at, folder_paths, folder_paths_order)
             VALUES (?1, ?2, ?3, ?4, '2026-10-03T09:01:05+00:00', '2026-10-03T09:00:00+00:00', ?5, '0')",
            params![[id; 16], format!("session-{id}"), agent, title, folder.to_str()],
        )
        .unwrap();
    reader
        .query_row("SELECT count(*) FROM sidebar_threads", [], |_| Ok(()))
        .unwrap();
}

/// Asks until the answer is as wanted.
fn until(env: &TestEnv, cwd: &Path, args: &[&str], wanted: impl Fn(&Value) -> bool) -> Value {
    let start = Instant::now();
    loop {
        let answer = env.json(cwd, args);
        if wanted(&answer) {
            return answer;
        }
        assert!(start.elapsed() < LIMIT, "{answer:#}");
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn threads_of_zeds_own_agent_are_seen_and_not_recorded() {
    let env = example_env();
    let repo = SampleRepo::new(&env, "shop")
        .file("README.md", "# Shop\n")
        .commit("Begin");
    let path = database(&env);
    let zed = open(&path);
    put(&zed, 1, None, "Fix the\u{1b}[2J login", repo.path());
    put(&zed, 2, None, "Elsewhere", &env.home());
    put(&zed, 3, Some("claude-acp"), "Not Zed's own", repo.path());
    let here = ["sessions"];
    let found = until(&env, repo.path(), &here, |all| {
        list(&all["sessions"]).len() == 1
    });
    let session = &found["sessions"][0];
    assert_eq!(session["recorded"], false);
    assert_eq!(session["method"], "seen");
    assert_eq!(session["seen"]["channel"], "stable");
    assert_eq!(session["seen"]["session"], "session-1");
    assert_eq!(session["title"], "Fix the [2J login");
    let shown = expect(&env, repo.path(), 0, &["sessions", "list"]).stdout;
    assert!(shown.contains("seen, not recorded"), "{shown}");
    let id = session["id"].as_str().unwrap();
    let one = env.json(repo.path(), &["sessions", "show", id]);
    assert_eq!(one["id"], session["id"]);
    let threads = env.json(repo.path(), &["zed", "threads"]);
    let titles: Vec<_> = list(&threads["threads"])
        .iter()
        .map(|thread| {
            (
                thread["title"].as_str().unwrap(),
                thread["recorded"] == false,
            )
        })
        .collect();
    assert_eq!(titles.len(), 2, "{titles:?}");
    assert!(
        titles.iter().all(|(_, seen)| *seen)
            && titles.iter().any(|(title, _)| *title == "Elsewhere")
    );
    // Archived and deleted.
    zed.0
        .execute_batch("UPDATE sidebar_threads SET archived = 1 WHERE session_id = 'session-1'")
        .unwrap();
    zed.0
        .execute_batch("DELETE FROM sidebar_threads WHERE session_id = 'session-2'")
        .unwrap();
    until(&env, repo.path(), &["zed", "threads"], |all| {
        list(&all["threads"]).is_empty()
    });
    let all = env.json(repo.path(), &["zed", "threads", "--archived"]);
    let seen: Vec<_> = list(&all["threads"])
        .iter()
        .map(|thread| &thread["seen"])
        .collect();
    assert_eq!(seen.len(), 2);
    assert!(seen.iter().any(|seen| seen["archived"] == true));
    assert!(seen.iter().any(|seen| seen["deleted_at"].is_string()));
    let shown = expect(&env, repo.path(), 0, &["zed", "threads", "--archived"]).stdout;
    assert!(shown.contains("archived (seen, not recorded)"), "{shown}");
    assert!(shown.contains("deleted (seen, not recorded)"), "{shown}");
    // Zed can take its files away, and nothing of ours stays.
    drop(zed);
    let names: Vec<_> = fs::read_dir(path.parent().unwrap())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(names, ["db.sqlite"]);
    let log = fs::read_to_string(env.data_dir().join("daemon.log")).unwrap();
    assert!(!log.contains("login"), "titles are not logged: {log}");
}

#[test]
fn a_person_may_turn_it_off() {
    let env = example_env();
    env.write_config("[zed]\nwatch = false\n");
    let zed = open(&database(&env));
    put(&zed, 1, None, "Mine", &env.home());
    assert!(list(&env.json(&env.home(), &["zed", "threads"])["threads"]).is_empty());
    // With the same files another daemon sees it.
    expect(&env, &env.home(), 0, &["daemon", "stop"]);
    env.write_config("");
    until(&env, &env.home(), &["zed", "threads"], |all| {
        list(&all["threads"]).len() == 1
    });
}
