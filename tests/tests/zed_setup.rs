//! Zed set up, opened and checked, with the real binary; a script stands for Zed's command line.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::{Value, json};
use spectask_tests::{SampleRepo, TestEnv, spectask_bin};

use super::common::{example_env, expect, expect_json, list};

const SETTINGS: &str = "// mine\n{\n\t\"vim_mode\": true, // always\n\t\"agent_servers\": {\n\t\t\"Other\": { \"type\": \"custom\", \"command\": \"other\" }\n\t},\n}\n";

fn settings(env: &TestEnv) -> PathBuf {
    env.home().join(".config/zed/settings.json")
}

fn write(path: &Path, text: impl AsRef<[u8]>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

/// A command line of Zed that notes what it is called with.
fn fake_zed(env: &mut TestEnv, version: &str) -> PathBuf {
    let bin = env.folder().join("bin");
    let log = env.folder().join("zed.log");
    let zed = bin.join("zed");
    let script = format!(
        "#!/bin/sh\nif [ \"$1\" = --version ]; then echo '{version}'; exit; fi\nprintf '%s\\n' \"$*\" >> '{}'\n",
        log.display()
    );
    write(&zed, script);
    fs::set_permissions(&zed, fs::Permissions::from_mode(0o755)).unwrap();
    let path = std::env::var("PATH").unwrap();
    env.set("PATH", format!("{}:{path}", bin.display()));
    log
}

/// Zed's settings without comments and trailing commas, which those above have in known places.
fn value(env: &TestEnv) -> Value {
    let text = read(&settings(env));
    let lines = text
        .lines()
        .map(|line| line.split(" //").next().unwrap())
        .filter(|line| !line.starts_with("//"));
    let text = lines.collect::<Vec<_>>().join("\n");
    let text = text.replace(",\n}", "\n}");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn the_entries_come_in_start_agents_and_go_again() {
    let env = example_env();
    let home = env.home();
    let path = settings(&env);
    write(&path, SETTINGS);
    let shown = expect(&env, &home, 0, &["zed", "setup"]);
    assert!(
        shown.stdout.contains("+    \"mcp-server-spectask\"")
            || shown.stdout.contains("mcp-server-spectask")
    );
    assert!(
        shown.stdout.contains("spectask zed setup --write"),
        "{}",
        shown.stdout
    );
    assert_eq!(read(&path), SETTINGS, "it is only shown");

    let written = expect_json(&env, &home, 0, &["zed", "setup", "--write"]);
    assert_eq!(written["written"], true);
    let states: Vec<_> = list(&written["entries"])
        .iter()
        .map(|entry| {
            format!(
                "{} {}",
                entry["name"].as_str().unwrap(),
                entry["state"].as_str().unwrap()
            )
        })
        .collect();
    for entry in [
        "SpecTask added",
        "example via SpecTask added",
        "mcp-server-spectask added",
    ] {
        assert!(states.iter().any(|state| state == entry), "{states:?}");
    }
    let backup = PathBuf::from(written["backup"].as_str().unwrap());
    assert_eq!(read(&backup), SETTINGS);
    let now = value(&env);
    let own = fs::canonicalize(spectask_bin()).unwrap();
    let entry = &now["agent_servers"]["example via SpecTask"];
    assert_eq!(entry["args"], json!(["acp", "--agent", "example"]));
    assert_eq!(entry["type"], "custom");
    let command = entry["command"].as_str().unwrap();
    assert_eq!(fs::canonicalize(command).unwrap(), own);
    assert_eq!(now["agent_servers"]["Other"]["command"], "other");
    assert_eq!(
        now["context_servers"]["mcp-server-spectask"],
        json!({"source": "extension", "enabled": true, "settings": {}})
    );

    // What Zed would start.
    let mut agent = env.command(command, &home);
    agent.args(["acp", "--agent", "example"]);
    agent.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut agent = agent.spawn().unwrap();
    let frame = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize",
        "params": {"protocolVersion": 1, "clientCapabilities": {}}});
    writeln!(agent.stdin.as_ref().unwrap(), "{frame}").unwrap();
    let mut line = String::new();
    let mut answers = std::io::BufReader::new(agent.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut answers, &mut line).unwrap();
    let answer: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(answer["result"]["protocolVersion"], 1, "{answer}");
    drop(agent.stdin.take());
    agent.wait().unwrap();

    let text = read(&path);
    let again = expect_json(&env, &home, 0, &["zed", "setup", "--write"]);
    assert_eq!(
        (&again["written"], &again["changes"]),
        (&json!(false), &json!(false))
    );
    assert_eq!(read(&path), text);
    assert_eq!(read(&backup), SETTINGS);
    expect(&env, &home, 0, &["zed", "setup", "--remove"]);
    assert_eq!(read(&path), text, "it is only shown");
    let removed = expect_json(&env, &home, 0, &["zed", "setup", "--remove", "--write"]);
    assert_eq!(removed["written"], true);
    assert_eq!(read(&path), SETTINGS);
}

#[test]
fn without_a_daemon_and_with_odd_files() {
    let env = TestEnv::new();
    let home = env.home();
    let path = settings(&env);
    // Even what was empty comes back as it was.
    for text in [
        "{\"agent_servers\":{}}",
        "{}",
        "// nothing\n",
        "\u{feff}{\r\n}\r\n",
    ] {
        write(&path, text);
        expect(
            &env,
            &home,
            0,
            &["zed", "setup", "--write", "--agent", "claude"],
        );
        assert!(read(&path).contains("claude via SpecTask"));
        expect(&env, &home, 0, &["zed", "setup", "--write", "--remove"]);
        assert_eq!(read(&path), text);
    }
    // Links and permissions stay.
    let real = home.join("dotfiles/zed.json");
    write(&real, SETTINGS);
    fs::set_permissions(&real, fs::Permissions::from_mode(0o600)).unwrap();
    fs::remove_file(&path).unwrap();
    symlink(&real, &path).unwrap();
    expect(
        &env,
        &home,
        0,
        &["zed", "setup", "--write", "--agent", "claude"],
    );
    assert!(fs::symlink_metadata(&path).unwrap().is_symlink());
    assert!(read(&real).contains("claude via SpecTask"));
    assert_eq!(real.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    fs::remove_file(&path).unwrap();

    let refused = |words: &str| {
        let run = expect(
            &env,
            &home,
            2,
            &["zed", "setup", "--write", "--agent", "claude"],
        );
        assert!(run.stderr.contains(words), "{words}: {}", run.stderr);
    };
    for (text, words) in [
        (
            "{\n  \"a\": 1\n  \"b\": 2\n}\n",
            "settings.json:2:9: Expected comma",
        ),
        (
            "{ \"agent_servers\": [] }",
            "settings.json:1:20: \"agent_servers\" must be an object",
        ),
        (
            "{ \"agent_servers\": {}, \"agent_servers\": {} }",
            "settings.json:1:24: \"agent_servers\" is there a second time",
        ),
    ] {
        write(&path, text);
        refused(words);
        assert_eq!(read(&path), text);
    }
    write(&path, b"{ \"a\": \"\xff\" }");
    refused("is not UTF-8: line 1, column 9");
    fs::File::create(&path).unwrap().set_len(50 << 20).unwrap();
    refused("is larger than");
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    refused("is a folder");
    fs::remove_dir(&path).unwrap();
    symlink(&path, &path).unwrap();
    refused("cannot be followed");
    fs::remove_file(&path).unwrap();
    let made = env.command("mkfifo", &home).arg(&path).status().unwrap();
    assert!(made.success());
    refused("is no plain file");
    fs::remove_file(&path).unwrap();

    // Another place.
    let other = home.join("elsewhere");
    let folder = other.to_string_lossy().into_owned();
    let args = [
        "zed",
        "setup",
        "--write",
        "--agent",
        "claude",
        "--user-data-dir",
        &folder,
    ];
    expect(&env, &home, 0, &args);
    assert!(read(&other.join("config/settings.json")).contains("claude via SpecTask"));
    assert!(!path.exists());
    let started = fs::read_dir(env.data_dir()).unwrap().next().is_some();
    assert!(!started, "no daemon was needed");
}

#[test]
fn a_task_is_opened_in_two_steps() {
    let mut env = example_env();
    let log = fake_zed(&mut env, "Zed 1.11.0 872ca8f – /usr/lib/zed/zed-editor");
    let repo = SampleRepo::new(&env, "shop");
    let created = env.json(repo.path(), &["new", "Keep notes", "--no-wait"]);
    let name = created["name"].as_str().unwrap().to_owned();
    expect(&env, repo.path(), 0, &["watch", "1"]);
    let printed = expect_json(&env, repo.path(), 0, &["zed", "open", "1", "--print"]);
    let url = printed["url"].as_str().unwrap();
    assert!(
        url.starts_with("zed://agent?prompt=%2Fspec-open%201"),
        "{url}"
    );
    let words: Vec<_> = list(&printed["commands"])
        .iter()
        .map(|step| list(&step["argv"])[1].as_str().unwrap())
        .collect();
    assert_eq!(words[1], url);
    assert!(Path::new(words[0]).is_dir());
    assert!(!log.exists(), "nothing was started");
    let run = expect(&env, repo.path(), 0, &["zed", "open", &name]);
    assert!(run.stdout.contains("/spec-open"), "{}", run.stdout);
    let lines: Vec<_> = read(&log).lines().map(str::to_owned).collect();
    assert_eq!(lines, words);
    let missing = expect(&env, repo.path(), 3, &["zed", "open", "99"]);
    assert!(missing.stderr.contains("99"), "{}", missing.stderr);
    let none = expect(
        &env,
        repo.path(),
        3,
        &["zed", "open", "1", "--channel", "nightly"],
    );
    assert!(
        none.stderr
            .contains("no command line of Zed Nightly was found"),
        "{}",
        none.stderr
    );
    assert!(
        none.stderr.contains("zeditor") && none.stderr.contains("found Zed"),
        "{}",
        none.stderr
    );
}

#[test]
fn the_doctor_says_what_to_do() {
    let mut env = example_env();
    fake_zed(&mut env, "Zed 1.11.0 – /usr/lib/zed/zed-editor");
    let home = env.home();
    let state = |env: &TestEnv, code| {
        let report = expect_json(env, &home, code, &["zed", "doctor"]);
        let mut lines: Vec<_> = list(&report["checks"])
            .iter()
            .map(|check| {
                format!(
                    "{}: {}",
                    check["name"].as_str().unwrap(),
                    check["state"].as_str().unwrap()
                )
            })
            .collect();
        lines.retain(|line| !line.starts_with("agents:"));
        lines
    };
    assert_eq!(
        state(&env, 1),
        [
            "zed: ok",
            "settings: error",
            "extension: warning",
            "daemon: ok",
            "threads of Zed: warning"
        ]
    );
    write(&settings(&env), "{");
    assert_eq!(state(&env, 1)[1], "settings: error");
    fs::remove_file(settings(&env)).unwrap();
    expect(
        &env,
        &home,
        0,
        &["zed", "setup", "--write", "--agent", "example"],
    );
    let data = home.join(".local/share/zed");
    write(
        &data.join("db/0-stable/db.sqlite"),
        "SQLite format 3\0 and more",
    );
    fs::create_dir_all(data.join("extensions/installed/mcp-server-spectask")).unwrap();
    expect(&env, &home, 0, &["daemon", "start"]);
    assert_eq!(
        state(&env, 0),
        [
            "zed: ok",
            "settings: ok",
            "agent \"SpecTask\": ok",
            "agent \"example via SpecTask\": ok",
            "context server: ok",
            "extension: ok",
            "daemon: ok",
            "threads of Zed: ok",
        ]
    );
    let text = read(&settings(&env));
    let own = spectask_bin().to_string_lossy().into_owned();
    write(&settings(&env), text.replace(&own, "/gone/spectask"));
    let run = expect(&env, &home, 1, &["zed", "doctor"]);
    assert!(
        run.stdout.contains("/gone/spectask is not there"),
        "{}",
        run.stdout
    );
    assert!(
        run.stdout.contains("spectask zed setup --write"),
        "{}",
        run.stdout
    );
    let repaired = expect_json(&env, &home, 0, &["zed", "setup", "--write"]);
    assert_eq!(list(&repaired["entries"])[0]["state"], "updated");
    assert_eq!(read(&settings(&env)), text);
}
