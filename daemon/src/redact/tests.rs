use proptest::prelude::*;
use serde_json::json;

use super::cases::positive;
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
const UPPER: &str = "A2B3C4D5E6F7GHIJKLMNOP";

fn join(parts: &[&str]) -> String {
    parts.concat()
}

fn redactor() -> Redactor {
    Redactor::with_key(
        [7; 32],
        [("MY_TOKEN".to_owned(), "tr0ub4dor & \"3\"".to_owned())],
    )
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
fn a_private_key_that_is_too_long_to_be_held_is_hidden_to_its_end() {
    let redactor = redactor();
    let line = format!("{}\n", body(ALNUM, 64));
    let begin = join(&["-----BEGIN PGP ", "PRIVATE KEY BLOCK-----\n"]);
    let end = join(&["-----END PGP ", "PRIVATE KEY BLOCK-----"]);
    for (lines, size) in [(600, 1000), (1500, 65), (1500, 100_000), (520, 1)] {
        for end in [end.as_str(), ""] {
            let text = format!(
                "see\n{begin}{}{end}\n\nand so on, {end}",
                line.repeat(lines)
            );
            let pieces: Vec<&str> = text
                .as_bytes()
                .chunks(size)
                .map(|piece| std::str::from_utf8(piece).unwrap())
                .collect();
            let clean = stream(&redactor, &pieces);
            assert!(!clean.contains(&line[..30]), "{lines} {size}");
            assert!(clean.starts_with("see\n«secret:private-key:"), "{clean}");
            assert!(clean.contains("so on, "), "{clean}");
        }
    }
}

#[test]
fn a_secret_in_guillemets_is_one_and_a_placeholder_is_none() {
    let redactor = redactor();
    let key = join(&["AKIA", &body(UPPER, 16)]);
    let clean = redactor.text(&format!("«{key}»")).into_owned();
    assert!(
        clean.contains("secret:aws-access-key:") && !clean.contains(&key),
        "{clean}"
    );
    let clean = redactor.text(&key).into_owned();
    assert_eq!(redactor.text(&clean), clean);
}

#[test]
fn many_pieces_of_content_are_each_digested() {
    let redactor = redactor();
    let content = body("aB3dE5gH7jK9mN1pQ0rS2tU4vW6xYz+/", 64);
    let text = format!(";base64,{content} ").repeat(3000);
    let clean = redactor.text(&text).into_owned();
    assert_eq!(clean.matches("«binary:").count(), 3000);
    assert!(!clean.contains(&content[..40]));
    assert_eq!(stream(&redactor, &[&text]), clean);
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
        "DB_PASS",
        "MYSQL_PWD",
        "GITHUB_PAT",
        "WIFI_PSK",
        "GPG_PASSPHRASE",
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
        "PWD",
        "OLDPWD",
        "FORTRAN_PATH",
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
    let out = stream.push(" and more ");
    assert!(
        out.starts_with("«secret:github-token:") && out.ends_with(" and more "),
        "{out}"
    );
    assert_eq!(stream.held(), 0);
}

#[test]
fn a_persons_rules_hold_in_streams_wherever_they_are_cut() {
    let keywords = ["EMP-".to_owned()];
    let rules = [("staff-id", r"EMP-(\d{6})", keywords.as_slice())];
    let user = super::UserRules::new(rules, ["^000000$"]).unwrap();
    let redactor = Redactor::with_rules([7; 32], [], user);
    let text = "of EMP-123456\nand EMP-000000, EMP-12345\nlast EMP-654321";
    let whole = redactor.text(text).into_owned();
    assert_eq!(whole.matches("«secret:staff-id:").count(), 2, "{whole}");
    assert!(whole.contains("EMP-000000"), "{whole}");
    for at in 0..text.len() {
        for next in at..text.len() {
            let pieces = [&text[..at], &text[at..next], &text[next..]];
            assert_eq!(stream(&redactor, &pieces), whole, "{at} {next}");
        }
    }
}

#[test]
fn long_base64_in_a_stream_becomes_its_digest_wherever_it_is_cut() {
    let redactor = redactor();
    let content = body("aB3dE5gH7jK9mN1pQ0rS2tU4vW6xYz+/", 5000);
    for before in ["see ", "data:image/png;base64,", "\"data\":\""] {
        let text = format!("{before}{content}\" and on");
        let whole = redactor.text(&text).into_owned();
        assert!(whole.len() < 200 && whole.ends_with("\" and on"), "{whole}");
        for size in [1, 7, 64, 1000, 1023, 1024, 4000] {
            let pieces: Vec<&str> = (0..text.len())
                .step_by(size)
                .map(|at| &text[at..text.len().min(at + size)])
                .collect();
            assert_eq!(stream(&redactor, &pieces), whole, "{before} {size}");
        }
    }
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
    fn stream_equals_whole(picks in prop::collection::vec((0usize..1000, 0usize..40), 1..6), noise in "\\PC{0,12}") {
        let redactor = redactor();
        let samples = positive();
        let mut text = String::new();
        for &(pick, cut) in &picks {
            let sample = &samples[pick % samples.len()].text;
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
