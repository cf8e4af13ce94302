//! `spectask redact`: the shipped program, whose features are its own, finds what the rules name.

use std::fs;

use spectask_tests::TestEnv;

use crate::common::{expect, expect_json};

/// Rules of each kind, with case folded and not, and a line that holds such a secret.
const LINES: &[(&str, &[&str])] = &[
    ("assigned-secret", &["DB_PASSWORD=", "kT9xQ2mZ7wLp3a"]),
    (
        "assigned-secret",
        &["client_secret = \"", "q7Hs92kLmZx04TbVn3Rw8c", "\""],
    ),
    (
        "authorization",
        &["Authorization: Basic ", "dXNlcjpwYXNzd29yZDEyMw=="],
    ),
    (
        "anthropic-key",
        &["see sk-ant-", "api03-q7Hs92kLmZx04TbVn3Rw8cYp"],
    ),
    (
        "url-password",
        &["postgres://app:", "x9Kw2mQ7", "@db.local/app"],
    ),
];

const PLAIN: &str = "commit 2ec1b48a87d5e6e25bb55e792c0ea9f96e4ff021\nlet password = prompt();\n";

#[test]
fn secrets_go_and_everything_else_stays() {
    let env = TestEnv::new();
    let cwd = env.home();
    let mut text = PLAIN.to_owned();
    for (_, parts) in LINES {
        text.push_str(&parts.concat());
        text.push('\n');
    }
    fs::write(cwd.join("log.txt"), &text).unwrap();
    let found = expect_json(&env, &cwd, 0, &["redact", "log.txt"]);
    let rules: Vec<_> = found["findings"].as_array().unwrap().iter().collect();
    let rules: Vec<_> = rules.iter().map(|f| f["rule"].as_str().unwrap()).collect();
    let wanted: Vec<_> = LINES.iter().map(|(rule, _)| *rule).collect();
    assert_eq!(rules, wanted);
    let clean = expect(&env, &cwd, 0, &["redact", "log.txt"]).stdout;
    assert!(clean.starts_with(PLAIN), "{clean}");
    for (_, parts) in LINES {
        assert!(!clean.contains(parts[1]), "{clean}");
    }
    let told = expect(&env, &cwd, 1, &["redact", "--check", "log.txt"]).stdout;
    assert!(
        told.starts_with("log.txt:3:13: assigned-secret\n"),
        "{told}"
    );
    fs::write(cwd.join("plain.txt"), PLAIN).unwrap();
    expect(&env, &cwd, 0, &["redact", "--check", "plain.txt"]);
    expect(&env, &cwd, 3, &["redact", "nothing.txt"]);
}
