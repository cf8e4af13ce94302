//! The cases of `cases/`: what must be hidden and what must be left alone.

use std::collections::BTreeMap;

use super::rules::RULES;
use super::{Redactor, StreamRedactor};

/// One line of a case file.
pub(super) struct Case {
    pub(super) rule: String,
    pub(super) text: String,
    /// What must be hidden.
    pub(super) secrets: Vec<String>,
    line: usize,
}

pub(super) fn positive() -> Vec<Case> {
    read(include_str!("cases/positive.txt"))
}

pub(super) fn negative() -> Vec<Case> {
    read(include_str!("cases/negative.txt"))
}

fn read(file: &str) -> Vec<Case> {
    let lines = file.lines().enumerate();
    lines
        .filter(|(_, line)| !line.starts_with('#') && !line.is_empty())
        .map(|(at, line)| {
            let (rule, text) = line.split_once('\t').expect("a rule and a text");
            let marked = expand(text, at as u64 + 1);
            let secrets = marked.split('‹').skip(1);
            let secrets = secrets.map(|rest| rest.split('›').next().unwrap().to_owned());
            Case {
                rule: rule.into(),
                secrets: secrets.collect(),
                text: marked.replace(['‹', '›'], ""),
                line: at + 1,
            }
        })
        .collect()
}

/// Characters for `[[a36]]`; the rest as it is.
fn expand(text: &str, seed: u64) -> String {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("[[") {
        let (shape, after) = after.split_once("]]").unwrap();
        out.push_str(before);
        let (kind, count) = shape.split_at(1);
        let alphabet: Vec<char> = match kind {
            "a" => ('a'..='z').chain('A'..='Z').chain('0'..='9').collect(),
            "s" => ('a'..='z').chain('0'..='9').collect(),
            "u" => ('A'..='Z').chain('0'..='9').collect(),
            "h" => ('a'..='f').chain('0'..='9').collect(),
            "l" => ('a'..='z').chain('A'..='Z').collect(),
            "d" => ('0'..='9').collect(),
            "b" => ('a'..='z')
                .chain('A'..='Z')
                .chain('0'..='9')
                .chain("+/".chars())
                .collect(),
            "w" => ('a'..='z')
                .chain('A'..='Z')
                .chain('0'..='9')
                .chain("-_".chars())
                .collect(),
            "q" => "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L".chars().collect(),
            "z" => vec!['x'],
            other => panic!("no kind {other}"),
        };
        for _ in 0..count.parse().unwrap_or(8) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            out.push(alphabet[(state % alphabet.len() as u64) as usize]);
        }
        rest = after;
    }
    out.push_str(rest);
    out.replace("{{}}", "").replace("\\n", "\n")
}

fn redactor() -> Redactor {
    Redactor::with_key([7; 32], [])
}

#[test]
fn every_rule_has_its_cases_and_compiles() {
    let count = |cases: &[Case]| {
        let mut counts = BTreeMap::new();
        for case in cases {
            *counts.entry(case.rule.clone()).or_insert(0) += 1;
        }
        counts
    };
    let (positive, negative) = (positive(), negative());
    assert!(positive.len() >= 400 && negative.len() >= 400);
    let counts = (count(&positive), count(&negative));
    assert!(RULES.len() > 140, "rules.toml was not read");
    for compiled in RULES.iter() {
        let rule = &compiled.rule;
        assert!(compiled.regex().is_some(), "{}", rule.id);
        assert!(compiled.partial().is_some(), "{}", rule.id);
        assert!(
            rule.literals.iter().all(|literal| literal.len() >= 3),
            "{}",
            rule.id
        );
        assert!(
            counts.0.get(&rule.id) >= Some(&3),
            "{} has too few positives",
            rule.id
        );
        assert!(
            counts.1.get(&rule.id) >= Some(&3),
            "{} has too few near misses",
            rule.id
        );
    }
}

#[test]
fn recall_and_precision() {
    let redactor = redactor();
    let (mut hit, mut missed, mut wrong, mut misnamed) = (0, Vec::new(), Vec::new(), Vec::new());
    let cases = positive();
    let all = cases.len();
    for case in cases {
        let clean = redactor.text(&case.text);
        // No part of it may be left.
        let is_left = |secret: &String| {
            let middle = secret.len() / 2;
            clean.contains(&secret[middle - 3..middle + 3])
                || clean.contains(&secret[secret.len() - 5..])
        };
        if case.secrets.is_empty() || case.secrets.iter().any(is_left) || clean == case.text {
            missed.push(format!(
                "{}: {} {} -> {clean}",
                case.line, case.rule, case.text
            ));
            continue;
        }
        hit += 1;
        if !clean.contains(&format!("«secret:{}:", case.rule)) {
            misnamed.push(format!("{}: {} -> {clean}", case.line, case.rule));
        }
        // What is around stays, and nothing is redacted twice.
        let (before, after) = case.text.split_once(&case.secrets[0]).unwrap();
        if !clean.starts_with(before) || !clean.ends_with(after) {
            wrong.push(format!("{}: {} -> {clean}", case.line, case.text));
        }
        assert_eq!(redactor.text(&clean), clean, "not idempotent");
    }
    let cases = negative();
    let negatives = cases.len();
    let mut false_hits = Vec::new();
    for case in cases {
        let found = redactor.find(&case.text);
        if !found.is_empty() || redactor.text(&case.text) != case.text {
            false_hits.push(format!(
                "{}: {} {} {found:?}",
                case.line, case.rule, case.text
            ));
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    let (recall, precision) = (
        f64::from(hit) / all as f64,
        f64::from(hit) / (f64::from(hit) + false_hits.len() as f64),
    );
    let report = [&missed[..], &false_hits, &misnamed, &wrong]
        .concat()
        .join("\n");
    println!(
        "redaction: {} rules, {all} positive cases, recall {recall:.4}; {negatives} negative cases, precision {precision:.4}; \
         {} under another rule's name, {} with more or less than the secret\n{report}",
        RULES.len(),
        misnamed.len(),
        wrong.len(),
    );
    assert!(recall >= 0.98, "missed:\n{report}");
    assert!(precision >= 0.98, "false:\n{report}");
    assert!(misnamed.len() <= all / 20, "misnamed:\n{report}");
    assert!(wrong.len() <= all / 50, "wrong:\n{report}");
}

#[test]
fn stream_split_at_every_byte_gives_the_same() {
    let redactor = redactor();
    for case in positive().into_iter().chain(negative()) {
        let text = format!("前 {} after, sk-and AKI", case.text);
        let whole = redactor.text(&text);
        let places = (0..=text.len()).filter(|&at| text.is_char_boundary(at));
        // Long cases at every third place: each split looks at the whole text.
        for at in places.step_by(if text.len() > 200 { 3 } else { 1 }) {
            let mut stream = StreamRedactor::new(redactor.clone());
            let pieces = [
                stream.push_piece(&text[..at]),
                stream.push_piece(&text[at..]),
                stream.finish_pieces(),
            ];
            let pieces = pieces.concat();
            assert_eq!(pieces.len(), 2, "line {}", case.line);
            assert_eq!(pieces.concat(), whole, "line {} at {at}", case.line);
        }
        let mut single = StreamRedactor::new(redactor.clone());
        let mut buffer = [0; 4];
        let mut out = String::new();
        for c in text.chars() {
            out.push_str(&single.push(c.encode_utf8(&mut buffer)));
        }
        out.push_str(&single.finish());
        assert_eq!(out, whole, "line {}", case.line);
    }
}
