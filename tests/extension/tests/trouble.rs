//! While something is not as it should be.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use serde_json::json;
use spectask_extension_tests::Editor;
use spectask_tests::TestEnv;

use crate::running::environment;

#[test]
fn a_missing_program_is_told_with_how_to_get_it() {
    let mut env = TestEnv::new();
    let empty = env.folder().join("empty");
    fs::create_dir(&empty).unwrap();
    env.set("PATH", empty.as_os_str());
    let mut editor = Editor::start(env);
    let error = editor.command().unwrap_err();
    assert!(
        error.contains("cannot be run") && error.contains("cargo install"),
        "{error}"
    );
    let shown = editor.configuration();
    assert_eq!(shown.instructions, error);
    assert!(shown.schema.contains("path") && shown.defaults.contains("path"));
    assert!(
        editor
            .slash("spec-help", &[])
            .unwrap_err()
            .contains("cargo install")
    );

    editor.set(json!({ "path": "/nowhere/spectask" }));
    let error = editor.command().unwrap_err();
    assert!(
        error.contains("\"/nowhere/spectask\", which Zed's settings name"),
        "{error}"
    );
    editor.set(json!({ "path": 7 }));
    assert!(editor.command().unwrap_err().ends_with("`path` is no text"));
    editor.configuration();
}

#[test]
fn a_person_may_forbid_processes() {
    let mut editor = Editor::start(environment());
    editor.grant_nothing();
    let error = editor.command().unwrap_err();
    assert!(error.contains("is not granted"), "{error}");
    assert_eq!(editor.did().0.len(), 0);
}

#[test]
fn a_daemon_that_cannot_start_takes_nothing_away() {
    let mut editor = Editor::start(environment());
    let database = editor.env().data_dir().join("spectask.db");
    fs::write(
        &database,
        "this is no database, and longer than its head is".repeat(99),
    )
    .unwrap();
    let answer = editor.command().unwrap();
    assert!(Path::new(&answer.command).is_absolute());
    assert_eq!(editor.did().1.len(), 0, "nobody is called");
    let shown = editor.configuration();
    let why = "the daemon did not start";
    assert!(shown.instructions.contains(why), "{}", shown.instructions);
    let error = editor.slash("spec-help", &[]).unwrap_err();
    assert!(
        error.contains(why) && error.contains("spectask doctor"),
        "{error}"
    );
    // It is repaired, and the next call finds a daemon.
    fs::remove_file(&database).unwrap();
    editor.slash("spec-help", &[]).unwrap();
}

#[test]
fn a_daemon_that_was_stopped_is_started_again() {
    let mut editor = Editor::start(environment());
    editor.command().unwrap();
    let _ = editor
        .env()
        .run(&editor.project(), &["daemon", "stop"])
        .ok();
    editor.slash("spec-help", &[]).unwrap();
    let _ = editor
        .env()
        .run(&editor.project(), &["daemon", "stop"])
        .ok();
    editor.command().unwrap();
    let _ = editor
        .env()
        .run(&editor.project(), &["daemon", "status"])
        .ok();
}

#[test]
fn a_daemon_without_a_port_takes_nothing_away() {
    let mut editor = Editor::start(environment());
    editor.env().write_config("http.enabled = false\n");
    editor.command().unwrap();
    assert_eq!(editor.did().1.len(), 0);
    let shown = editor.configuration();
    assert!(
        shown.instructions.contains("serves no HTTP"),
        "{}",
        shown.instructions
    );
}

/// Zed drops a context server whose command takes 30 seconds.
#[test]
#[cfg(unix)]
fn a_daemon_that_hangs_costs_less_than_zed_allows() {
    let mut editor = Editor::start(environment());
    editor.command().unwrap();
    let status = editor.env().json(&editor.project(), &["daemon", "status"]);
    let pid = status["pid"].to_string();
    let signal = |name: &str| {
        let killed = std::process::Command::new("kill")
            .args([name, &pid])
            .status();
        assert!(killed.unwrap().success());
    };
    signal("-STOP");
    let begin = Instant::now();
    let answer = editor.command();
    let took = begin.elapsed();
    signal("-CONT");
    assert_eq!(answer.unwrap().args, ["mcp"]);
    assert!(took < Duration::from_secs(20), "{took:?}");
    editor.slash("spec-help", &[]).unwrap();
}

#[cfg(unix)]
mod versions {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// An editor that finds a program which says that and ends with that code.
    fn with_program(stdout: &str, stderr: &str, code: i32) -> Editor {
        let mut env = TestEnv::new();
        let folder = env.folder().join("bin");
        fs::create_dir(&folder).unwrap();
        let program = folder.join("spectask");
        let script = format!(
            "#!/bin/sh\ncat <<'END'\n{stdout}\nEND\ncat >&2 <<'END'\n{stderr}\nEND\nexit {code}\n"
        );
        fs::write(&program, script).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = std::iter::once(folder).chain(std::env::split_paths(&path));
        env.set("PATH", std::env::join_paths(path).unwrap());
        Editor::start(env)
    }

    #[test]
    fn one_that_is_too_old_is_told() {
        let mut editor = with_program("", "error: unrecognized subcommand 'endpoint'", 2);
        let error = editor.command().unwrap_err();
        assert!(
            error.contains("unrecognized subcommand 'endpoint'") && error.contains("update it"),
            "{error}"
        );
        assert!(editor.configuration().instructions.contains("update it"));
    }

    #[test]
    fn another_protocol_is_told_and_another_version_works() {
        let newer =
            json!({ "program": "/opt/spectask", "version": "9.9.9", "protocol": 99, "new": [] });
        let error = with_program(&newer.to_string(), "", 0)
            .command()
            .unwrap_err();
        for words in ["SpecTask 9.9.9", "protocol 99", "update the extension"] {
            assert!(error.contains(words), "{error}");
        }
        let fits = json!({ "program": "/opt/spectask", "version": "9.9.9", "protocol": 1, "new": [],
            "instructions": "theirs" });
        let mut editor = with_program(&fits.to_string(), "a warning", 0);
        assert_eq!(editor.command().unwrap().command, "/opt/spectask");
        let shown = editor.configuration().instructions;
        assert!(
            shown.contains("9.9.9") && shown.ends_with("theirs"),
            "{shown}"
        );
    }

    #[test]
    fn noise_is_no_answer() {
        for noise in [
            "",
            "hello",
            "[1,2",
            "{\"protocol\":1}",
            "{\"protocol\":1,\"program\":\"spectask\"}",
        ] {
            let error = with_program(noise, "", 0).command().unwrap_err();
            assert!(error.contains("spectask"), "{error}");
        }
    }
}
