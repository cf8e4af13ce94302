//! The table of known secret formats, read from `rules.toml`.

use std::{
    collections::HashMap,
    sync::{LazyLock, OnceLock},
};

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
    /// Texts of three bytes or more with which every match begins.
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
    /// The literals are names, after which something is assigned.
    #[serde(default)]
    name: bool,
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

    /// Whether the expression may match where this literal begins, by a quick look.
    pub(super) fn may_match(&self, text: &[u8], literal: usize) -> bool {
        if !self.rule.name {
            return true;
        }
        // The name goes on, then quotes and blanks.
        let rest = text[literal..].iter().take(80);
        let mut rest = rest
            .skip_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
            .skip_while(|byte| matches!(byte, b'"' | b'\'' | b'`' | b'\\' | b']'))
            .skip_while(|byte| matches!(byte, b' ' | b'\t'));
        matches!(rest.next(), Some(b':' | b'=' | b'i'))
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

/// The literals of all rules.
pub(super) struct Literals {
    /// One bit for each hash of the three bytes with which a literal begins.
    bits: Vec<u64>,
    /// By hash: literals and whose they are.
    by_hash: HashMap<u16, Vec<(Box<str>, usize)>>,
    /// By first byte, for the look at a literal that is cut off.
    pub(super) by_first: Vec<Vec<(Box<str>, usize)>>,
    pub(super) longest: usize,
}

/// Sixteen bits of three bytes.
const fn mix(a: u8, b: u8, c: u8) -> u16 {
    let all = a as u32 | (b as u32) << 8 | (c as u32) << 16;
    (all.wrapping_mul(0x9e37_79b1) >> 16) as u16
}

impl Literals {
    /// Calls `see(start, rule)` for each literal that begins at `from` or later. One look at a table
    /// of 8 KiB for each byte, which depends on no look before; an automaton is a chain of them.
    pub(super) fn each(&self, text: &str, from: usize, mut see: impl FnMut(usize, usize)) {
        let bytes = text.as_bytes();
        let Some(rest) = bytes.get(from..) else {
            return;
        };
        for (at, three) in rest.windows(3).enumerate() {
            let hash = mix(three[0], three[1], three[2]);
            if self.bits[usize::from(hash >> 6)] >> (hash & 63) & 1 == 0 {
                continue;
            }
            for (literal, rule) in self.by_hash.get(&hash).into_iter().flatten() {
                if rest[at..].starts_with(literal.as_bytes()) {
                    see(from + at, *rule);
                }
            }
        }
    }
}

pub(super) static LITERALS: LazyLock<Literals> = LazyLock::new(|| {
    let mut literals = Literals {
        bits: vec![0; 1 << 10],
        by_hash: HashMap::new(),
        by_first: vec![Vec::new(); 256],
        longest: 0,
    };
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
        for form in forms {
            let [first, second, third, ..] = *form.as_bytes() else {
                continue;
            };
            let hash = mix(first, second, third);
            literals.bits[usize::from(hash >> 6)] |= 1 << (hash & 63);
            let text = form.clone().into_boxed_str();
            literals
                .by_hash
                .entry(hash)
                .or_default()
                .push((text, index));
            literals.longest = literals.longest.max(form.len());
            literals.by_first[usize::from(first)].push((form.into_boxed_str(), index));
        }
    }
    literals
});
