use std::borrow::Cow;

use proptest::prelude::*;
use serde_json::json;

use super::rules::RULES;
use super::{Redactor, StreamRedactor, is_secret_name};

/// `n` characters of an alphabet. Samples are put together here so that no scanner of this
/// repository takes one for real.
fn body(alphabet: &str, n: usize) -> String {
    alphabet
        .chars()
        .cycle()
        .skip(3)
        .step_by(7)
        .take(n)
        .collect()
}
const ALNUM: &str = "aB3dE5gH7jK9mN1pQ0rS2tU4vW6xYzAcCfFiIlLoO";
const HEX: &str = "0a1b2c3d4e5f67890";
const LETTERS: &str = "aBcDeFgHiJkLmNoPqRsTuVwXyZ";
const UPPER: &str = "A2B3C4D5E6F7GHIJKLMNO";

fn join(parts: &[&str]) -> String {
    parts.concat()
}

/// Per rule: a text with a secret, the secret itself, and a text that looks alike and is none.
fn samples() -> Vec<(&'static str, String, String, String)> {
    let mut all = Vec::new();
    let mut add = |rule, before: &str, secret: String, after: &str, innocent: String| {
        all.push((rule, format!("{before}{secret}{after}"), secret, innocent));
    };
    let token = |prefix: &str, alphabet: &str, n: usize| join(&[prefix, &body(alphabet, n)]);
    let upper = |n| body(UPPER, n);
    add(
        "aws-access-key",
        "id=",
        token("AKIA", UPPER, 16),
        "\n",
        join(&["xAKIA", &upper(16)]),
    );
    add(
        "aws-secret-key",
        "aws_secret_access_key = \"",
        body(ALNUM, 40),
        "\"",
        "aws_secret_access_key = \"$SECRET\"".into(),
    );
    add(
        "google-api-key",
        "key: ",
        token("AIza", ALNUM, 35),
        "",
        token("AIza", ALNUM, 36),
    );
    add(
        "google-oauth-secret",
        "",
        token("GOCSPX-", ALNUM, 28),
        " ",
        "GOCSPX-short".into(),
    );
    add(
        "google-oauth-token",
        "",
        token("ya29.", ALNUM, 60),
        " ",
        "ya29.short".into(),
    );
    let azure = join(&[&body(ALNUM, 86), "=="]);
    add(
        "azure-storage-key",
        "AccountName=a;AccountKey=",
        azure,
        ";",
        "AccountKey=abc==".into(),
    );
    add(
        "digitalocean-token",
        "",
        token("dop_v1_", HEX, 64),
        "",
        token("dop_v1_", HEX, 63),
    );
    add(
        "alibaba-access-key",
        "",
        token("LTAI", ALNUM, 20),
        "",
        "LTAI is a prefix".into(),
    );
    add(
        "github-token",
        "push with ",
        token("ghp_", ALNUM, 36),
        ".",
        "ghp_your_token".into(),
    );
    add(
        "github-fine-grained-token",
        "",
        token("github_pat_", ALNUM, 82),
        "",
        "github_pat_<token>".into(),
    );
    add(
        "gitlab-token",
        "",
        token("glpat-", ALNUM, 20),
        ". Then",
        "glpat-xxxx".into(),
    );
    add(
        "npm-token",
        "_authToken=",
        token("npm_", ALNUM, 36),
        "",
        "npm_config_registry".into(),
    );
    add(
        "pypi-token",
        "",
        token("pypi-AgE", ALNUM, 90),
        "",
        "pypi-AgEnda".into(),
    );
    add(
        "crates-io-token",
        "",
        token("cio", ALNUM, 32),
        "",
        "cio and cto".into(),
    );
    add(
        "rubygems-token",
        "",
        token("rubygems_", HEX, 48),
        "",
        "rubygems_org".into(),
    );
    add(
        "docker-token",
        "",
        token("dckr_pat_", ALNUM, 27),
        "",
        "dckr_pat_".into(),
    );
    add(
        "atlassian-token",
        "",
        token("ATATT3", ALNUM, 180),
        "",
        "ATATT3xFf".into(),
    );
    add(
        "anthropic-key",
        "",
        token("sk-ant-api03-", ALNUM, 90),
        "",
        "desk-ant-hill-a-b-c-d-e-f".into(),
    );
    add(
        "openai-key",
        "",
        token("sk-proj-", ALNUM, 90),
        "",
        "task-proj-alpha-beta-gamma-delta".into(),
    );
    add(
        "openrouter-key",
        "",
        token("sk-or-v1-", HEX, 64),
        "",
        "sk-or-v1-".into(),
    );
    add(
        "sk-api-key",
        "OPENAI=",
        token("sk-", ALNUM, 48),
        "",
        "sk-button-primary-large-wide-x".into(),
    );
    add(
        "huggingface-token",
        "",
        token("hf_", LETTERS, 34),
        "",
        "hf_transfer".into(),
    );
    add(
        "groq-key",
        "",
        token("gsk_", ALNUM, 52),
        "",
        "gsk_value".into(),
    );
    add(
        "xai-key",
        "",
        token("xai-", ALNUM, 80),
        "",
        "xai-grok".into(),
    );
    add(
        "perplexity-key",
        "",
        token("pplx-", ALNUM, 48),
        "",
        "pplx-70b-online".into(),
    );
    add(
        "replicate-token",
        "",
        token("r8_", ALNUM, 37),
        "",
        "r8_abc".into(),
    );
    add(
        "slack-token",
        "",
        token("xoxb-", ALNUM, 40),
        "",
        "xoxb-short".into(),
    );
    add(
        "slack-webhook",
        "https://hooks.slack.com/services/",
        token("T", ALNUM, 40),
        "",
        "https://hooks.slack.com/services/X".into(),
    );
    add(
        "discord-webhook",
        "https://discord.com/api/webhooks/123456789012345678/",
        body(ALNUM, 68),
        "",
        "/api/webhooks/1/x".into(),
    );
    add(
        "telegram-bot-token",
        "123456789:",
        token("AA", ALNUM, 33),
        "",
        "12:AAPL rose".into(),
    );
    add(
        "stripe-key",
        "",
        token("sk_live_", ALNUM, 24),
        "",
        "task_live_0123456789abc".into(),
    );
    add(
        "webhook-secret",
        "",
        token("whsec_", ALNUM, 32),
        "",
        "whsec_...".into(),
    );
    add(
        "twilio-key",
        "",
        token("SK", HEX, 32),
        "",
        token("TASK", HEX, 32),
    );
    let sendgrid = join(&["SG.", &body(ALNUM, 22), ".", &body(ALNUM, 43)]);
    add("sendgrid-key", "", sendgrid, "", "SG.short.one".into());
    add(
        "mailgun-key",
        "",
        token("key-", HEX, 32),
        "",
        token("monkey-", HEX, 32),
    );
    add(
        "shopify-token",
        "",
        token("shpat_", HEX, 32),
        "",
        "shpat_".into(),
    );
    add(
        "linear-key",
        "",
        token("lin_api_", ALNUM, 40),
        "",
        "lin_api_docs".into(),
    );
    add(
        "notion-token",
        "",
        token("secret_", ALNUM, 43),
        "",
        "secret_name_of_the_thing".into(),
    );
    add(
        "databricks-token",
        "",
        token("dapi", HEX, 32),
        "",
        "dapis".into(),
    );
    let grafana = join(&["glsa_", &body(ALNUM, 32), "_", &body(HEX, 8)]);
    add("grafana-token", "", grafana, "", "glsa_token".into());
    let postman = join(&["PMAK-", &body(HEX, 24), "-", &body(HEX, 34)]);
    add("postman-key", "", postman, "", "PMAK-x".into());
    add(
        "new-relic-key",
        "",
        token("NRAK-", UPPER, 27),
        "",
        "NRAK-x".into(),
    );
    add(
        "supabase-token",
        "",
        token("sbp_", HEX, 40),
        "",
        "sbp_x".into(),
    );
    let tailscale = join(&["tskey-auth-", &body(ALNUM, 12), "-", &body(ALNUM, 32)]);
    add("tailscale-key", "", tailscale, "", "tskey-auth".into());
    add(
        "vault-token",
        "",
        token("hvs.", ALNUM, 90),
        "",
        "hvs.x".into(),
    );
    add(
        "age-secret-key",
        "",
        token("AGE-SECRET-KEY-1", "QPZRY9X8GF2TVDW0S3JN", 58),
        "",
        "AGE-SECRET-KEY-1...".into(),
    );
    let jwt = join(&[
        "eyJ",
        &body(ALNUM, 20),
        ".eyJ",
        &body(ALNUM, 60),
        ".",
        &body(ALNUM, 43),
    ]);
    add("jwt", "token ", jwt, "", token("eyJ", ALNUM, 200));
    add(
        "authorization",
        "Authorization: Basic ",
        body(ALNUM, 24),
        "",
        "Authorization: Bearer $TOKEN".into(),
    );
    add(
        "bearer-token",
        "-H 'Bearer ",
        body(ALNUM, 40),
        "'",
        "Bearer token needed".into(),
    );
    add(
        "url-password",
        "postgres://app:",
        "s3cr3t@pw".into(),
        "@db/app",
        "postgres://app:${DB_PASSWORD}@db/app".into(),
    );
    let pem = join(&[
        "-----BEGIN RSA ",
        "PRIVATE KEY-----\r\n",
        &body(ALNUM, 64),
        "\r\n",
        &body(ALNUM, 30),
        "==\r\n-----END RSA ",
        "PRIVATE KEY-----",
    ]);
    add(
        "private-key",
        "key:\n",
        pem,
        "\n",
        "-----BEGIN PUBLIC KEY-----\nabc".into(),
    );
    all
}

fn redactor() -> Redactor {
    Redactor::with_key(
        [7; 32],
        [("MY_TOKEN".to_owned(), "tr0ub4dor & \"3\"".to_owned())],
    )
}

#[test]
fn every_rule_has_a_sample_and_compiles() {
    let samples = samples();
    for (index, rule) in RULES.iter().enumerate() {
        assert!(
            samples.iter().any(|sample| sample.0 == rule.id),
            "{} has no sample",
            rule.id
        );
        assert!(
            super::rules::COMPILED[index].regex().is_some(),
            "{}",
            rule.id
        );
        assert!(
            super::rules::COMPILED[index].partial().is_some(),
            "{}",
            rule.id
        );
        assert!(
            rule.literals.iter().all(|literal| literal.len() >= 2),
            "{}",
            rule.id
        );
    }
}

#[test]
fn finds_every_sample_and_no_look_alike() {
    let redactor = redactor();
    for (rule, text, secret, innocent) in samples() {
        let found = redactor.find(&text);
        assert_eq!(found.len(), 1, "{rule}: {text} {found:?}");
        assert_eq!(
            (found[0].rule.as_str(), &text[found[0].start..found[0].end]),
            (rule, &*secret)
        );
        let clean = redactor.text(&text);
        assert!(clean.contains(&format!("«secret:{rule}:")), "{clean}");
        assert!(!clean.contains(&secret), "{clean}");
        assert_eq!(redactor.text(&clean), clean, "not idempotent");
        assert!(
            matches!(redactor.text(&innocent), Cow::Borrowed(_)),
            "{rule}: {innocent}"
        );
    }
}

#[test]
fn leaves_what_is_no_secret() {
    let redactor = redactor();
    for text in [
        "3429ae3 merge 3429ae3f0c1b2d4e5f60718293a4b5c6d7e8f901",
        "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "018f3c5e-7b1a-7cc3-9d4e-2f6a8b0c1d2e",
        "integrity sha512-z4PhNX7vuL3xVChQ1m2AB9Yg5AULVxXcg/SpIdNs6c5H0NE8XYXysP+DGNKHfuwvY7kxvUdBeoGlODJ6+SfaPg==",
        "see https://example.com:8080/a@b and git@github.com:owner/name.git",
        "http://user@host/path, ssh://git@host:22/x, http://[::1]:80/",
        "https://user:<password>@host and https://user:***@host",
        "## Task-1: sk-, AKIA, eyJ and -----BEGIN PRIVATE KEY----- are prefixes `x`",
        "",
    ] {
        assert_eq!(redactor.find(text), [], "{text}");
    }
}

#[test]
fn finds_a_token_after_an_escape_or_a_colour() {
    let redactor = redactor();
    let key = join(&["AKIA", &body(UPPER, 16)]);
    for before in [r"\n", r"\t", "\u{1b}[0;32m", "%3D", "鍵", "\"", "="] {
        assert_eq!(
            redactor.find(&format!("{before}{key}")).len(),
            1,
            "{before:?}"
        );
    }
    for before in ["m", "n", "3D", "_", "[m x"] {
        assert_eq!(
            redactor.find(&format!("{before}{key}")).len(),
            0,
            "{before:?}"
        );
    }
}

#[test]
fn placeholders_are_stable_and_keyed() {
    let key = join(&["AKIA", &body(UPPER, 16)]);
    let one = Redactor::with_key([1; 32], []).text(&key).into_owned();
    assert_eq!(one, Redactor::with_key([1; 32], []).text(&key));
    assert_ne!(one, Redactor::with_key([2; 32], []).text(&key));
    let shape = one
        .strip_prefix("«secret:aws-access-key:")
        .and_then(|s| s.strip_suffix('»'));
    assert!(shape.is_some_and(|hash| hash.len() == 4), "{one}");
}

#[test]
fn private_key_that_was_cut_off_is_still_hidden() {
    let text = join(&[
        "-----BEGIN ",
        "PRIVATE KEY-----\n",
        &body(ALNUM, 64),
        "\n",
        &body(ALNUM, 64),
        "\nbye",
    ]);
    let clean = redactor().text(&text).into_owned();
    assert!(
        clean.starts_with("«secret:private-key:") && clean.ends_with("»\nbye"),
        "{clean}"
    );
}

#[test]
fn variables_are_hidden_as_they_stand_and_inside_json() {
    let redactor = redactor();
    let text = "echo tr0ub4dor & \"3\" and {\"a\":\"tr0ub4dor & \\\"3\\\"\"}";
    let clean = redactor.text(text).into_owned();
    assert_eq!(clean.matches("«secret:MY_TOKEN:").count(), 2, "{clean}");
}

#[test]
fn only_secret_looking_variables_count() {
    for name in [
        "GITHUB_TOKEN",
        "api_key",
        "DB_PASSWORD",
        "X_PASSWD",
        "CLIENT_SECRET",
        "AWS_CREDENTIALS",
    ] {
        assert!(is_secret_name(name), "{name}");
    }
    for name in [
        "PATH",
        "HOME",
        "SSH_AUTH_SOCK",
        "KEYBOARD",
        "TOKEN_FILE",
        "GNOME_KEYRING_CONTROL",
    ] {
        assert!(!is_secret_name(name), "{name}");
    }
    let of = |name: &str, value: &str| {
        let redactor = Redactor::with_key([0; 32], [(name.to_owned(), value.to_owned())]);
        redactor.find(&format!("<{value}>")).len()
    };
    assert_eq!(of("A_KEY", "12345678"), 1);
    assert_eq!(of("A_KEY", "1234567"), 0);
    assert_eq!(of("A_KEY", "/home/me/.ssh/id"), 0);
    assert_eq!(of("A_KEY", "C:\\Users\\me"), 0);
    assert_eq!(of("A_KEY", "/9j4AAQSkZJRgABAQ+EASABIAAD="), 1);
    assert_eq!(of("EDITOR", "something-long"), 0);
}

#[test]
fn json_values_and_keys() {
    let key = join(&["AKIA", &body(UPPER, 16)]);
    let mut value = json!({ "a": [1, true, null, { "b": key.clone() }], key.clone(): "x" });
    assert!(redactor().json(&mut value));
    assert!(!value.to_string().contains(&key), "{value}");
    assert_eq!(value["a"][0], 1);
    let mut plain = json!({ "a": ["b", 3] });
    assert!(!redactor().json(&mut plain));
}

fn stream(redactor: &Redactor, pieces: &[&str]) -> String {
    let mut stream = StreamRedactor::new(redactor.clone());
    let mut out: String = pieces.iter().map(|piece| stream.push(piece)).collect();
    out.push_str(&stream.finish());
    out
}

#[test]
fn stream_split_at_every_place_gives_the_same() {
    let redactor = redactor();
    let mut texts: Vec<String> = samples().into_iter().map(|sample| sample.1).collect();
    texts.push("say tr0ub4dor & \"3\" twice: tr0ub4dor & \"3\"".into());
    for text in texts {
        let text = format!("前 {text} after, sk-and AKI");
        let whole = redactor.text(&text);
        for at in (0..=text.len()).filter(|&at| text.is_char_boundary(at)) {
            assert_eq!(
                stream(&redactor, &[&text[..at], &text[at..]]),
                whole,
                "at {at}"
            );
        }
        let mut buffer = [0; 4];
        let mut single = StreamRedactor::new(redactor.clone());
        let mut out = String::new();
        for c in text.chars() {
            out.push_str(&single.push(c.encode_utf8(&mut buffer)));
        }
        out.push_str(&single.finish());
        assert_eq!(out, whole);
    }
}

#[test]
fn stream_keeps_a_literal_with_its_secret() {
    // The secret is complete, but another may begin inside it.
    let redactor = redactor();
    let start = format!("aws_secret_access_key = \"{}", body(ALNUM, 34));
    let end = format!("github_pat_{}", body(ALNUM, 82));
    let whole = redactor.text(&[&*start, &*end].concat()).into_owned();
    for at in 1..end.len() {
        let pieces = [&*start, &end[..at], &end[at..]];
        assert_eq!(stream(&redactor, &pieces), whole, "at {at}");
    }
}

#[test]
fn stream_holds_back_only_what_may_be_a_secret() {
    let mut stream = StreamRedactor::new(redactor());
    assert_eq!(
        stream.push("plain text passes at once "),
        "plain text passes at once "
    );
    assert_eq!(stream.push("gh"), "");
    assert_eq!(stream.push("ost "), "ghost ");
    assert_eq!(stream.push("ghp_"), "");
    let key = body(ALNUM, 36);
    assert_eq!(stream.push(&key), "");
    let out = stream.push(" and more");
    assert!(
        out.starts_with("«secret:github-token:") && out.ends_with(" and more"),
        "{out}"
    );
    assert_eq!(stream.held(), 0);
}

#[test]
fn stream_is_bounded_and_linear() {
    let mut stream = StreamRedactor::new(redactor());
    let mut out = stream.push("eyJ").len();
    let started = std::time::Instant::now();
    for _ in 0..300_000 {
        out += stream.push("a").len();
        assert!(stream.held() <= super::stream::MAX_HELD + 1);
    }
    out += stream.finish().len();
    assert_eq!(out, 300_003);
    assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
}

#[test]
fn hostile_repetitions_stay_linear() {
    let redactor = redactor();
    let started = std::time::Instant::now();
    for unit in [
        "eyJ",
        "://",
        "://a:b",
        "-----BEGIN PRIVATE KEY-----",
        "eyJaaaaaaaaaa.",
        "sk-",
        "ghp_a",
        "Bearer ",
        "-----BEGIN ",
    ] {
        let _ = redactor.find(&unit.repeat(400_000 / unit.len()));
    }
    assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
}

proptest! {
    #[test]
    fn stream_equals_whole(picks in prop::collection::vec((0usize..60, 0usize..40), 1..6), noise in "\\PC{0,12}") {
        let redactor = redactor();
        let samples = samples();
        let mut text = String::new();
        for &(pick, cut) in &picks {
            let sample = &samples[pick % samples.len()].1;
            let cut = sample.floor_char_boundary(sample.len().saturating_sub(cut * cut / 30));
            text.push_str(&sample[..cut]);
            text.push_str(&noise);
        }
        let mut pieces = Vec::new();
        let mut rest = text.as_str();
        for &(a, b) in picks.iter().cycle().take(200) {
            let at = rest.ceil_char_boundary((a + b) % 23 + 1);
            let (piece, tail) = rest.split_at(at.min(rest.len()));
            pieces.push(piece);
            rest = tail;
        }
        pieces.push(rest);
        prop_assert_eq!(stream(&redactor, &pieces), redactor.text(&text).into_owned());
    }

    #[test]
    fn never_panics(text in "\\PC*") {
        let _ = redactor().text(&text);
    }
}
