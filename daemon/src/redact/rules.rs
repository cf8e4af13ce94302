//! The table of known secret formats, read from `rules.toml`.

use std::sync::{LazyLock, OnceLock};

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use regex_automata::hybrid::dfa::DFA;
use regex_automata::meta::Regex;
use serde::Deserialize;

use super::entropy::shannon;
use super::value::{is_assigned_secret, is_harmless};

/// What a match is asked besides its expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Check {
    /// The value of a name that means nothing but a secret.
    Strong,
    /// The value of a name that may mean something else.
    Weak,
    /// No digest, path, address or stand-in.
    Shape,
}

/// One known format of a secret. The expression is tried where a literal was found and nowhere
/// else, so it must begin with each of its literals; the last group that takes part is the secret.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rule {
    /// Stable id, shown in placeholders and findings.
    pub(super) id: String,
    /// Texts with which every match begins.
    pub(super) literals: Vec<String>,
    /// Expression, run anchored at a literal. Every repetition has a bound or stops at a character
    /// that ends the token, which keeps the whole scan linear.
    pub(super) regex: String,
    /// Whether the character before the literal must not be a letter, digit or `_`.
    #[serde(default)]
    pub(super) boundary: bool,
    /// Whether literals are also meant in lower case, in capitals and with a first capital.
    #[serde(default)]
    pub(super) fold: bool,
    /// The least entropy of the secret in bits per character.
    #[serde(default)]
    pub(super) entropy: f64,
    #[serde(default)]
    pub(super) check: Option<Check>,
    /// A guess by surroundings and shape, not a format: no reason to block a document.
    #[serde(default)]
    pub(super) guess: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    rule: Vec<Rule>,
}

/// A rule whose expression is compiled at its first use.
pub(super) struct Compiled {
    pub(super) rule: Rule,
    regex: OnceLock<Option<Regex>>,
    partial: OnceLock<Option<DFA>>,
}

impl Compiled {
    /// The expression; a test compiles every one, so `None` does not happen.
    pub(super) fn regex(&self) -> Option<&Regex> {
        self.regex
            .get_or_init(|| Regex::new(&self.rule.regex).ok())
            .as_ref()
    }

    /// The same expression as an automaton that can be walked byte by byte.
    pub(super) fn partial(&self) -> Option<&DFA> {
        self.partial
            .get_or_init(|| DFA::new(&self.rule.regex).ok())
            .as_ref()
    }

    /// Whether what stands here in a text is a secret by entropy and shape.
    pub(super) fn accepts(&self, text: &str, start: usize, end: usize) -> bool {
        let value = &text[start..end];
        let bytes = text.as_bytes();
        let next = bytes.get(end).copied();
        let quote = start.checked_sub(1).map(|at| bytes[at]);
        let quoted = matches!(quote, Some(b'"' | b'\'' | b'`'));
        let assigned = |strong| is_assigned_secret(value, quoted, next, strong);
        let is_example = value.ends_with("EXAMPLE") || value.ends_with("EXAMPLEKEY");
        !is_example
            && (self.rule.entropy <= 0.0 || shannon(value.as_bytes()) >= self.rule.entropy)
            && match self.rule.check {
                None => true,
                Some(Check::Strong) => assigned(true),
                Some(Check::Weak) => assigned(false),
                Some(Check::Shape) => !is_harmless(value),
            }
    }
}

/// The table, ready to run. A test reads the file, so that it is never empty by a mistake in it.
pub(super) static RULES: LazyLock<Vec<Compiled>> = LazyLock::new(|| {
    let file: Result<File, _> = toml_edit::de::from_str(include_str!("rules.toml"));
    let rules = file.map(|file| file.rule).unwrap_or_default();
    rules
        .into_iter()
        .map(|rule| Compiled {
            rule,
            regex: OnceLock::new(),
            partial: OnceLock::new(),
        })
        .collect()
});

/// The literals of all rules as one automaton, and whose each is.
pub(super) struct Literals {
    pub(super) automaton: Option<AhoCorasick>,
    pub(super) owners: Vec<usize>,
    /// By first byte: literals and whose they are, for the look at a literal that is cut off.
    pub(super) by_first: Vec<Vec<(Box<str>, usize)>>,
    pub(super) longest: usize,
}

pub(super) static LITERALS: LazyLock<Literals> = LazyLock::new(|| {
    let mut owners = Vec::new();
    let mut texts: Vec<String> = Vec::new();
    for (index, compiled) in RULES.iter().enumerate() {
        let rule = &compiled.rule;
        let mut forms: Vec<String> = Vec::new();
        for literal in &rule.literals {
            forms.push(literal.clone());
            if rule.fold {
                forms.push(literal.to_ascii_lowercase());
                forms.push(literal.to_ascii_uppercase());
                let mut capital = literal.clone();
                if let Some(first) = capital.get_mut(..1) {
                    first.make_ascii_uppercase();
                }
                forms.push(capital);
            }
        }
        forms.sort();
        forms.dedup();
        owners.extend(std::iter::repeat_n(index, forms.len()));
        texts.append(&mut forms);
    }
    let mut by_first: Vec<Vec<(Box<str>, usize)>> = vec![Vec::new(); 256];
    for (text, owner) in texts.iter().zip(&owners) {
        if let Some(first) = text.bytes().next() {
            by_first[usize::from(first)].push((text.clone().into_boxed_str(), *owner));
        }
    }
    Literals {
        // Standard semantics: overlapping literals are all reported. One table for the process, so
        // the larger and faster kind is worth its memory.
        automaton: AhoCorasick::builder()
            .match_kind(MatchKind::Standard)
            .kind(Some(AhoCorasickKind::DFA))
            .build(&texts)
            .ok(),
        longest: texts.iter().map(String::len).max().unwrap_or(0),
        owners,
        by_first,
    }
});
