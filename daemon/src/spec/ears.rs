//! EARS: which of the patterns a criterion follows, and where it departs from them.
//!
//! Keywords count in either case, but a criterion written in capitals (`WHEN … THE x SHALL …`)
//! is read by its capitals only, so that a lower-case "when" in its prose stays prose. What
//! stands in `code` or "quotes" is never a keyword.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::report::Report;
use super::sentence::{Keyword, Sentence, Token};

/// The EARS patterns (Mavin et al., RE'09).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EarsPattern {
    /// The ⟨system⟩ shall ⟨response⟩.
    Ubiquitous,
    /// While ⟨state⟩, the ⟨system⟩ shall ….
    StateDriven,
    /// When ⟨trigger⟩, the ⟨system⟩ shall ….
    EventDriven,
    /// Where ⟨feature⟩, the ⟨system⟩ shall ….
    OptionalFeature,
    /// If ⟨trigger⟩, then the ⟨system⟩ shall ….
    UnwantedBehaviour,
    /// More than one of the above.
    Complex,
    /// None of them: there is no SHALL.
    None,
}

/// The pattern of one criterion.
#[must_use]
pub fn classify(text: &str) -> EarsPattern {
    Sentence::read(text).pattern()
}

/// Checks a criterion that starts at `base` and returns its pattern.
pub(super) fn check(text: &str, base: usize, report: &mut Report) -> EarsPattern {
    let sentence = Sentence::read(text);
    let pattern = sentence.pattern();
    let at = |range: &Range<usize>| range.start + base..range.end + base;
    if let Some(first) = sentence.vague.first() {
        let words: Vec<String> = sentence
            .vague
            .iter()
            .take(4)
            .map(|range| format!("`{}`", &text[range.clone()]))
            .collect();
        report.warning(
            "vague-word",
            at(first),
            format!("{} cannot be tested.", words.join(", ")),
            "Say what can be measured: a number with its unit, or the exact result.",
        );
    }
    let Some(shall) = sentence.shall else {
        if pattern == EarsPattern::None {
            missing_shall(&sentence, base, report);
        }
        return pattern;
    };
    check_clauses(&sentence, base, report);
    check_system(&sentence, &sentence.tokens[shall], base, report);
    let rest = &sentence.tokens[shall + 1..];
    if let Some(second) = rest
        .iter()
        .find(|token| token.keyword == Keyword::Shall && (token.upper || !sentence.capitals))
    {
        report.warning(
            "ears-multiple-shall",
            at(&second.range),
            "The criterion has more than one SHALL.",
            "Make each response a criterion of its own, so that each can be tested alone.",
        );
    }
    if let Some(late) = rest
        .iter()
        .find(|token| token.keyword.is_condition() && token.upper && sentence.capitals)
    {
        report.warning(
            "ears-clause-order",
            at(&late.range),
            format!(
                "The condition {} stands after the response.",
                &text[late.range.clone()]
            ),
            "Put conditions first: WHERE, WHILE, WHEN or IF, then THE system SHALL.",
        );
    }
    if let Some(modal) = sentence
        .tokens
        .iter()
        .find(|token| token.keyword == Keyword::Modal && token.upper && sentence.capitals)
    {
        report.warning(
            "ears-modal",
            at(&modal.range),
            format!(
                "{} stands beside SHALL: which of the two binds?",
                &text[modal.range.clone()]
            ),
            "Use SHALL for what is required and leave out what is not.",
        );
    }
    pattern
}

fn missing_shall(sentence: &Sentence<'_>, base: usize, report: &mut Report) {
    let modal = sentence
        .tokens
        .iter()
        .find(|token| token.keyword == Keyword::Modal);
    if let Some(modal) = modal {
        let word = &sentence.text[modal.range.clone()];
        report.error(
            "ears-missing-shall",
            modal.range.start + base..modal.range.end + base,
            format!("The criterion says `{word}` where EARS wants SHALL."),
            "Write THE system SHALL followed by one response that can be tested.",
        );
    } else {
        let line = sentence.text.lines().next().unwrap_or_default();
        report.error(
            "ears-missing-shall",
            base..base + line.trim_end().len(),
            "The criterion has no SHALL.",
            "Write WHEN trigger, THE system SHALL response (or WHILE, WHERE, IF … THEN).",
        );
    }
}

fn check_clauses(sentence: &Sentence<'_>, base: usize, report: &mut Report) {
    let text = sentence.text;
    let at = |range: &Range<usize>| range.start + base..range.end + base;
    let mut last: Option<&Token> = None;
    let mut triggers = 0;
    for token in sentence.conditions() {
        if let Some(last) = last
            && token.keyword.rank() < last.keyword.rank()
        {
            report.warning(
                "ears-clause-order",
                at(&token.range),
                format!(
                    "{} stands after {}.",
                    &text[token.range.clone()],
                    &text[last.range.clone()]
                ),
                "Keep the order WHERE, WHILE, WHEN or IF, then THE system SHALL.",
            );
        }
        triggers += usize::from(token.keyword.rank() == 2);
        if triggers == 2 && token.keyword.rank() == 2 {
            report.warning(
                "ears-multiple-triggers",
                at(&token.range),
                "The criterion has more than one trigger.",
                "Split it, or make one of them a state with WHILE.",
            );
        }
        last = Some(token);
    }
    let mut conditions = sentence.conditions();
    let unwanted = sentence
        .conditions()
        .find(|token| token.keyword == Keyword::If);
    match (unwanted, sentence.then()) {
        (Some(token), None) => report.warning(
            "ears-if-without-then",
            at(&token.range),
            "IF has no THEN.",
            "Write IF trigger, THEN THE system SHALL response.",
        ),
        (None, Some(then)) if conditions.next().is_some() => report.warning(
            "ears-then-after-when",
            at(&then.range),
            "THEN belongs to IF only.",
            "Leave THEN out: WHEN trigger, THE system SHALL response.",
        ),
        _ => {}
    }
}

/// Who shall: the text between the conditions and SHALL.
fn check_system(sentence: &Sentence<'_>, shall: &Token, base: usize, report: &mut Report) {
    let text = sentence.text;
    let at = shall.range.start + base..shall.range.end + base;
    let start = if let Some(then) = sentence.then() {
        Some(then.range.end)
    } else if let Some(condition) = sentence.conditions().next_back() {
        let clause = &text[condition.range.end..shall.range.start];
        let comma = clause.rfind([',', '，', '、']).map(|at| {
            let at = condition.range.end + at;
            at + text[at..].chars().next().map_or(0, char::len_utf8)
        });
        let the = sentence
            .before()
            .iter()
            .rfind(|token| token.keyword == Keyword::The && token.range.start > condition.range.end)
            .map(|token| token.range.start);
        comma.max(the).or_else(|| {
            // Without articles and commas the clause cannot be divided; a person reads it right.
            (!clause.is_ascii()).then_some(condition.range.end)
        })
    } else {
        Some(0)
    };
    let subject = start.map_or("", |start| {
        text.get(start..shall.range.start).unwrap_or_default()
    });
    let subject = subject.trim_matches(|c: char| !c.is_alphanumeric());
    let article = ["the", "each", "every", "all", "any", "no", "a", "an"]
        .into_iter()
        .find(|article| {
            subject.len() >= article.len()
                && subject.is_char_boundary(article.len())
                && subject[..article.len()].eq_ignore_ascii_case(article)
                && !subject[article.len()..].starts_with(|c: char| c.is_ascii_alphanumeric())
        });
    let named = article.map_or(subject, |article| subject[article.len()..].trim());
    if named.is_empty() {
        report.error(
            "ears-missing-system",
            at,
            "No system is named before SHALL.",
            "Name what shall respond: THE system SHALL …, with a name from the glossary.",
        );
    } else if article.is_none()
        && subject.is_ascii()
        && !has_the(sentence, start.unwrap_or(0), shall)
    {
        report.warning(
            "ears-system-article",
            at,
            "There is no THE before the name of the system.",
            "Write THE followed by the name, then SHALL.",
        );
    }
}

fn has_the(sentence: &Sentence<'_>, start: usize, shall: &Token) -> bool {
    sentence.tokens.iter().any(|token| {
        token.keyword == Keyword::The && (start..shall.range.start).contains(&token.range.start)
    })
}
