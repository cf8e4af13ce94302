//! The HTTP service on loopback, with the real daemon and real processes.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use spectask_tests::{SampleRepo, TestEnv};

use crate::common::{example_env, expect};

/// Address and token of the daemon, which is started if it does not run.
fn address(env: &TestEnv) -> (String, String) {
    let told = env.json(&env.home(), &["daemon", "address"]);
    let part = |key: &str| told[key].as_str().unwrap().to_owned();
    let host = part("url").strip_prefix("http://").unwrap().to_owned();
    assert_eq!(part("file"), http_file(env).display().to_string());
    (host, part("token"))
}

fn http_file(env: &TestEnv) -> std::path::PathBuf {
    env.data_dir().join("http.json")
}

/// A process of its own that calls a method over loopback; with `mark` it looks as an agent's does.
fn call(env: &TestEnv, cwd: &Path, mark: bool, method: &str, params: &Value) -> Value {
    let (host, token) = address(env);
    let (name, port) = host.split_once(':').unwrap();
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string();
    let request = format!(
        "POST /rpc HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    let file = env.folder().join("request");
    fs::write(&file, request).unwrap();
    let script = format!(
        "exec 3<>/dev/tcp/{name}/{port}; cat '{}' >&3; cat <&3",
        file.display()
    );
    let mut command: Command = env.command("bash", cwd);
    command.args(["-c", &script]).stdin(Stdio::null());
    if mark {
        command.env("SPECTASK_AGENT", "1");
    }
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (head, body) = text
        .split_once("\r\n\r\n")
        .unwrap_or_else(|| panic!("{text}\n{}", String::from_utf8_lossy(&output.stderr)));
    assert!(head.starts_with("HTTP/1.1 200"), "{text}");
    serde_json::from_str(body).unwrap()
}

#[test]
fn the_token_makes_no_person_of_an_agents_process() {
    let env = example_env();
    let repo = SampleRepo::new(&env, "repo");
    let _ = expect(&env, repo.path(), 0, &["new", "Add a greeting", "--wait"]);
    let overview = call(
        &env,
        repo.path(),
        true,
        "specTask.get",
        &json!({ "task": "1" }),
    );
    assert_eq!(overview["result"]["task"]["status"], "spec_review");
    let review = call(
        &env,
        repo.path(),
        true,
        "review.get",
        &json!({ "task": "1" }),
    );
    let review = &review["result"];
    let approve = json!({
        "task": "1",
        "revision": review["revision"],
        "digest": review["digest"],
        "start": false,
    });
    let refused = call(&env, repo.path(), true, "review.approve", &approve);
    assert_eq!(refused["error"]["data"]["kind"], "forbidden", "{refused}");
    let status = call(&env, repo.path(), true, "daemon.status", &json!({}));
    assert_eq!(status["result"]["role"], "agent");

    let status = call(&env, repo.path(), false, "daemon.status", &json!({}));
    assert_eq!(status["result"]["role"], "person");
    let approved = call(&env, repo.path(), false, "review.approve", &approve);
    assert_eq!(approved["result"]["approved"], 1, "{approved}");
}

#[test]
fn each_daemon_has_an_address_of_its_own_while_it_runs() {
    let first = example_env();
    let second = example_env();
    let (here, there) = (address(&first), address(&second));
    assert_ne!(here.0, there.0);
    assert_ne!(here.1, there.1);
    let _ = expect(&first, &first.home(), 0, &["daemon", "stop"]);
    assert!(!http_file(&first).exists());
    assert!(http_file(&second).exists());
    // The next one has a new token; one that was killed leaves nothing that is believed.
    let again = address(&first);
    assert_ne!(again.1, here.1);
    assert!(spectask_tests::env::kill(first.daemon_pid().unwrap()));
    assert!(http_file(&first).exists());
    let last = address(&first);
    assert_ne!(last.1, again.1);

    second.write_config("[http]\nenabled = false\n");
    let _ = expect(&second, &second.home(), 0, &["daemon", "restart"]);
    assert!(!http_file(&second).exists());
    let run = expect(&second, &second.home(), 6, &["daemon", "address"]);
    assert!(run.stderr.contains("serves no HTTP"), "{run:#?}");
}
