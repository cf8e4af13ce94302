//! The table of known secret formats, read from `rules.toml`.

use std::{
    collections::{BTreeMap, BTreeSet},
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

impl Rule {
    /// All ways in which its literals are written.
    fn forms(&self) -> BTreeSet<String> {
        let mut forms = BTreeSet::new();
        for literal in &self.literals {
            forms.insert(literal.clone());
            if self.fold {
                forms.insert(literal.to_ascii_lowercase());
                forms.insert(literal.to_ascii_uppercase());
                let mut capital = literal.clone();
                if let Some(first) = capital.get_mut(..1) {
                    first.make_ascii_uppercase();
                }
                forms.insert(capital);
            }
        }
        forms
    }
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
    /// How many bits are set before each word of `bits`.
    ranks: Vec<usize>,
    /// For each bit that is set, in order, the literals of that hash.
    groups: Vec<Vec<Literal>>,
    /// By first byte, for the look at a literal that is cut off.
    pub(super) by_first: Vec<Vec<(Box<str>, usize)>>,
    pub(super) longest: usize,
}

struct Literal {
    /// Its first eight bytes, and which bits of them it has: most are told apart by these.
    start: u64,
    mask: u64,
    text: Box<str>,
    rule: usize,
}

/// Sixteen bits of three bytes.
const fn mix(a: u8, b: u8, c: u8) -> u16 {
    let all = a as u32 | (b as u32) << 8 | (c as u32) << 16;
    (all.wrapping_mul(0x9e37_79b1) >> 16) as u16
}

/// The first eight bytes of a text as a number; zeros where there are fewer.
fn start_of(text: &[u8]) -> u64 {
    let mut eight = [0; 8];
    for (to, from) in eight.iter_mut().zip(text) {
        *to = *from;
    }
    u64::from_le_bytes(eight)
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
            let (word, bit) = (usize::from(hash >> 6), 1 << (hash & 63));
            if self.bits[word] & bit == 0 {
                continue;
            }
            let here = &rest[at..];
            let start = match here.first_chunk() {
                Some(eight) => u64::from_le_bytes(*eight),
                None => start_of(here),
            };
            let before = (self.bits[word] & (bit - 1)).count_ones() as usize;
            for literal in &self.groups[self.ranks[word] + before] {
                if start & literal.mask == literal.start
                    && here.starts_with(literal.text.as_bytes())
                {
                    see(from + at, literal.rule);
                }
            }
        }
    }
}

pub(super) static LITERALS: LazyLock<Literals> = LazyLock::new(|| {
    let mut by_hash: BTreeMap<u16, Vec<Literal>> = BTreeMap::new();
    let mut by_first = vec![Vec::new(); 256];
    let mut longest = 0;
    for (rule, compiled) in RULES.iter().enumerate() {
        for form in compiled.rule.forms() {
            let [first, second, third, ..] = *form.as_bytes() else {
                continue;
            };
            let text = form.into_boxed_str();
            longest = longest.max(text.len());
            by_first[usize::from(first)].push((text.clone(), rule));
            let literals = by_hash.entry(mix(first, second, third)).or_default();
            literals.push(Literal {
                start: start_of(text.as_bytes()),
                mask: start_of(&vec![0xff; text.len()]),
                text,
                rule,
            });
        }
    }
    let mut bits = vec![0_u64; 1 << 10];
    for hash in by_hash.keys() {
        bits[usize::from(hash >> 6)] |= 1 << (hash & 63);
    }
    let mut set = 0;
    let rank = |word: &u64| {
        let before = set;
        set += word.count_ones() as usize;
        before
    };
    Literals {
        ranks: bits.iter().map(rank).collect(),
        bits,
        groups: by_hash.into_values().collect(),
        by_first,
        longest,
    }
});
