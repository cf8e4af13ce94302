//! While everything is as it should be.

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::Stdio,
};

use serde_json::{Value, json};
use spectask_extension_tests::{Editor, host::ID, post};
use spectask_tests::{TestEnv, spectask_bin};

/// An environment in which the editor finds `spectask` on its PATH.
pub(crate) fn environment() -> TestEnv {
    let mut env = TestEnv::new();
    let folder = spectask_bin().parent().unwrap().to_owned();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::iter::once(folder).chain(std::env::split_paths(&path));
    env.set("PATH", std::env::join_paths(path).unwrap());
    env
}

fn endpoint(env: &TestEnv) -> Value {
    env.json(&env.folder(), &["zed", "endpoint"])
}

/// Calls the daemon over loopback.
fn call(env: &TestEnv, method: &str, params: &Value) -> Value {
    let endpoint = endpoint(env);
    let url = format!("{}/rpc", endpoint["url"].as_str().unwrap());
    let token = endpoint["token"].as_str().unwrap();
    let headers = [
        ("Authorization".to_owned(), format!("Bearer {token}")),
        ("Content-Type".to_owned(), "application/json".to_owned()),
    ];
    let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    let (status, body) = post(&url, &headers, request.to_string().as_bytes()).unwrap();
    assert_eq!(status, 200);
    serde_json::from_slice(&body).unwrap()
}

/// What the extension told, in order.
fn told(env: &TestEnv) -> Vec<(String, Value)> {
    let events = call(env, "events.list", &json!({ "after": 0 }));
    let events = events["result"]["events"].as_array().unwrap().iter();
    events
        .filter(|event| event["kind"] == "zed_extension")
        .map(|event| {
            let data = &event["data"];
            (
                data["event"].as_str().unwrap().to_owned(),
                data["name"].clone(),
            )
        })
        .collect()
}

#[test]
fn the_first_project_starts_the_daemon_and_gets_the_server() {
    let mut editor = Editor::start(environment());
    assert_eq!(editor.did(), (&[][..], &[][..]), "loading it does nothing");
    let running = editor.env().run(&editor.project(), &["daemon", "status"]);
    assert_ne!(running.code, Some(0), "{}", running.stdout);

    let answer = editor.command().unwrap();
    assert!(Path::new(&answer.command).is_absolute(), "{answer:?}");
    assert_eq!(answer.args, ["mcp"]);
    assert!(answer.env.is_empty());
    let _ = editor
        .env()
        .run(&editor.project(), &["daemon", "status"])
        .ok();
    editor.command().unwrap();
    let requested = || ("contextServer.requested".to_owned(), json!(ID));
    assert_eq!(
        told(editor.env()),
        [
            ("extension.started".to_owned(), Value::Null),
            requested(),
            requested()
        ]
    );
    let (ran, posted) = editor.did();
    let program = if cfg!(windows) {
        "spectask.exe"
    } else {
        "spectask"
    };
    let asked = format!("{program} zed endpoint --json");
    assert_eq!(ran, [asked.clone(), asked]);
    assert_eq!(posted.len(), 3);

    // What Zed does with it.
    let mut server = editor.env().command(&answer.command, &editor.project());
    let mut server = server
        .args(&answer.args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let hello = json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "Zed", "version": "0.1.0" } } });
    let mut stdin = server.stdin.take().unwrap();
    writeln!(stdin, "{hello}").unwrap();
    let mut line = String::new();
    BufReader::new(server.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let line: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(line["result"]["protocolVersion"], "2025-11-25", "{line}");
    drop(stdin);
    assert!(server.wait().unwrap().success());
}

#[test]
fn the_configuration_is_the_daemons_word() {
    let mut editor = Editor::start(environment());
    let shown = editor.configuration();
    let config = editor.env().config_dir().join("config.toml");
    for words in [
        env!("CARGO_PKG_VERSION"),
        config.to_str().unwrap(),
        "`session_limit`",
    ] {
        assert!(
            shown.instructions.contains(words),
            "{words}: {}",
            shown.instructions
        );
    }
    let schema: Value = serde_json::from_str(&shown.schema).unwrap();
    assert_eq!(
        schema["properties"]["path"]["type"],
        json!(["string", "null"])
    );
    assert!(
        shown.defaults.contains("\"path\": null"),
        "{}",
        shown.defaults
    );
}

#[test]
fn settings_name_the_program_and_its_variables() {
    let mut env = TestEnv::new();
    let empty = env.folder().join("empty");
    std::fs::create_dir(&empty).unwrap();
    env.set("PATH", empty.as_os_str());
    let other = env.folder().join("other-data");
    let mut editor = Editor::start(env);
    editor.set(json!({
        "path": spectask_bin(),
        "env": { "SPECTASK_DATA_DIR": other },
    }));
    let answer = editor.command().unwrap();
    assert_eq!(
        std::fs::canonicalize(&answer.command).unwrap(),
        std::fs::canonicalize(spectask_bin()).unwrap()
    );
    let variable = (
        "SPECTASK_DATA_DIR".to_owned(),
        other.to_str().unwrap().to_owned(),
    );
    assert_eq!(answer.env, [variable]);
    assert!(other.join("http.json").is_file(), "its daemon runs");
    assert!(!editor.env().data_dir().join("http.json").exists());
    editor.env_mut().set("SPECTASK_DATA_DIR", other.as_os_str());
    let _ = editor
        .env()
        .run(&editor.project(), &["daemon", "stop"])
        .ok();
}

#[test]
fn slash_commands_are_the_daemons() {
    let mut editor = Editor::start(environment());
    let help = editor.slash("spec-help", &[]).unwrap();
    assert!(help.contains("/spec-review"), "{help}");
    let more = editor.slash("spec-help", &["spec-changes"]).unwrap();
    assert!(more.contains("spec-changes") && more != help, "{more}");
    let error = editor.slash("spec-review", &["no-such-task"]).unwrap_err();
    assert!(error.contains("no-such-task"), "{error}");
    assert!(editor.slash("spec-nonsense", &[]).is_err());
    let spec_help = || ("slashCommand".to_owned(), json!("spec-help"));
    assert_eq!(
        told(editor.env())[..3],
        [
            ("extension.started".to_owned(), Value::Null),
            spec_help(),
            spec_help()
        ]
    );

    let all = editor.complete("spec-help", &[""]).unwrap();
    assert!(
        all.len() > 10 && all.contains(&"spec-tell".to_owned()),
        "{all:?}"
    );
    assert_eq!(
        editor.complete("spec-help", &["spec-ap"]).unwrap(),
        ["spec-approve"]
    );
    let parts = editor.complete("spec-review", &["7", "d"]).unwrap();
    assert_eq!(parts, ["design", "diff"]);
}

#[test]
fn agents_get_no_token() {
    let mut env = environment();
    let person = endpoint(&env);
    assert_eq!(person["token"].as_str().unwrap().len(), 64);
    assert_eq!(person["problem"], Value::Null);
    env.set("SPECTASK_AGENT", "1");
    let agent = endpoint(&env);
    assert_eq!(
        (&agent["token"], &agent["url"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(agent["program"], person["program"]);
    assert!(
        agent["problem"].as_str().unwrap().contains("agent"),
        "{agent}"
    );
}
