//! Finding secrets in a whole text and replacing them.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, LazyLock};

use aho_corasick::{AhoCorasick, MatchKind};
use regex_automata::{Anchored, Input};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::rules::{COMPILED, RULES};
use super::variables::{is_secret_name, is_secret_value, tidy_name, written_forms};

/// Longer values are cut, so that a match needs only a bounded part of the text.
const MAX_VALUE: usize = 4096;

/// A secret found in a text: a half-open byte range and what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretMatch {
    /// First byte of the secret.
    pub start: usize,
    /// One past its last byte.
    pub end: usize,
    /// Id of the rule, or the name of the variable whose value it is.
    pub rule: String,
}

/// Replaces secrets in text by stable placeholders. Cheap to clone.
#[derive(Clone)]
pub struct Redactor {
    inner: Arc<Inner>,
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Redactor")
            .field("variables", &self.inner.names)
            .finish_non_exhaustive()
    }
}

struct Inner {
    key: [u8; 32],
    literals: Option<AhoCorasick>,
    owners: Vec<Owner>,
    /// The literal texts, in the order of `owners`, for the stream's look at a cut-off literal.
    texts: Vec<String>,
    names: Vec<String>,
}

/// What a found literal means.
#[derive(Clone, Copy)]
pub(super) enum Owner {
    /// The start of a possible match of this rule.
    Rule(usize),
    /// The whole value of this variable.
    Variable(usize),
}

static WITHOUT_VARIABLES: LazyLock<Redactor> = LazyLock::new(|| Redactor::new([]));

impl Redactor {
    /// Makes a redactor with a key of this process: placeholders are stable while it lives.
    ///
    /// `secrets` are variables by name and value; those whose name does not look like a secret's
    /// ([`is_secret_name`]) or whose value is short or a path are left out, so a whole environment
    /// may be given.
    #[must_use]
    pub fn new(secrets: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut key = [0; 32];
        for chunk in key.chunks_exact_mut(8) {
            // The standard library's only source of randomness.
            chunk.copy_from_slice(&RandomState::new().hash_one(0x5ec2_e700_u64).to_le_bytes());
        }
        Self::with_key(key, secrets)
    }

    /// The same with a key that is kept, one per installation, so that placeholders stay the same
    /// across restarts.
    #[must_use]
    pub fn with_key(key: [u8; 32], secrets: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut owners = Vec::new();
        let mut texts: Vec<String> = Vec::new();
        for (index, rule) in RULES.iter().enumerate() {
            for literal in rule.literals {
                owners.push(Owner::Rule(index));
                texts.push((*literal).to_owned());
            }
        }
        let mut names: Vec<String> = Vec::new();
        for (name, value) in secrets {
            let value = value.trim();
            if !is_secret_name(&name) || !is_secret_value(value) {
                continue;
            }
            let value = &value[..value.floor_char_boundary(MAX_VALUE)];
            for form in written_forms(value) {
                owners.push(Owner::Variable(names.len()));
                texts.push(form);
            }
            names.push(tidy_name(&name));
        }
        // Standard semantics: overlapping literals are all reported. Only literals beyond any
        // environment's size fail to build.
        let literals = AhoCorasick::builder()
            .match_kind(MatchKind::Standard)
            .build(&texts)
            .ok();
        Self {
            inner: Arc::new(Inner {
                key,
                literals,
                owners,
                texts,
                names,
            }),
        }
    }

    /// The shared redactor that knows the table and no variables.
    pub(crate) fn without_variables() -> &'static Self {
        &WITHOUT_VARIABLES
    }

    /// The text with each secret replaced by its placeholder; borrowed if there is none.
    #[must_use]
    pub fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let matches = self.find(text);
        if matches.is_empty() {
            return Cow::Borrowed(text);
        }
        let mut out = String::with_capacity(text.len());
        let mut from = 0;
        for found in &matches {
            out.push_str(&text[from..found.start]);
            self.placeholder(&found.rule, &text[found.start..found.end], &mut out);
            from = found.end;
        }
        out.push_str(&text[from..]);
        Cow::Owned(out)
    }

    /// Redacts every string of a JSON value in place, keys included; says whether any changed.
    pub fn json(&self, value: &mut Value) -> bool {
        match value {
            Value::String(text) => match self.text(text) {
                Cow::Borrowed(_) => false,
                Cow::Owned(clean) => {
                    *text = clean;
                    true
                }
            },
            Value::Array(items) => items
                .iter_mut()
                .fold(false, |any, item| self.json(item) | any),
            Value::Object(map) => {
                let mut changed = map
                    .values_mut()
                    .fold(false, |any, item| self.json(item) | any);
                if map.keys().any(|key| !self.find(key).is_empty()) {
                    changed = true;
                    *map = std::mem::take(map)
                        .into_iter()
                        .map(|(key, item)| (self.text(&key).into_owned(), item))
                        .collect();
                }
                changed
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => false,
        }
    }

    /// The secrets of a text, in order, not overlapping.
    #[must_use]
    pub fn find(&self, text: &str) -> Vec<SecretMatch> {
        self.find_from(text, 0)
    }

    /// The secrets whose literals start at `from` or later; what stands before is context only.
    pub(super) fn find_from(&self, text: &str, from: usize) -> Vec<SecretMatch> {
        self.located_from(text, from)
            .into_iter()
            .map(|(_, found)| found)
            .collect()
    }

    /// The same with the place of the first literal, where the search for each began: a secret may
    /// stand after its literal, as in `Authorization: Bearer …`.
    pub(super) fn located_from(&self, text: &str, from: usize) -> Vec<(usize, SecretMatch)> {
        let mut found: Vec<(usize, usize, usize, usize)> = Vec::new();
        self.each_literal(text, from, |position, end, index, owner| match owner {
            Owner::Variable(_) => found.push((position, end, index, position)),
            Owner::Rule(rule) => {
                let Some(regex) = COMPILED[rule].regex() else {
                    return;
                };
                let input = Input::new(text).range(position..).anchored(Anchored::Yes);
                let mut captures = regex.create_captures();
                regex.search_captures(&input, &mut captures);
                let whole = captures.get_group(0);
                if let Some(span) = captures.get_group(1).or(whole) {
                    found.push((span.start, span.end, index, position));
                }
            }
        });
        found.sort_by_key(|&(start, end, index, _)| (start, usize::MAX - end, index));
        let mut merged: Vec<(usize, SecretMatch)> = Vec::new();
        for (start, end, index, literal) in found {
            match merged.last_mut() {
                Some((first, last)) if start < last.end => {
                    last.end = last.end.max(end);
                    *first = literal.min(*first);
                }
                _ => {
                    let rule = self.name_of(index).to_owned();
                    merged.push((literal, SecretMatch { start, end, rule }));
                }
            }
        }
        merged
    }

    /// Calls `see(start, end, index, owner)` for each literal that may start a secret.
    pub(super) fn each_literal(
        &self,
        text: &str,
        from: usize,
        mut see: impl FnMut(usize, usize, usize, Owner),
    ) {
        let Some(literals) = &self.inner.literals else {
            return;
        };
        for hit in literals.find_overlapping_iter(text) {
            if hit.start() < from {
                continue;
            }
            let index = hit.pattern().as_usize();
            let Some(&owner) = self.inner.owners.get(index) else {
                continue;
            };
            if may_start(owner, &text.as_bytes()[..hit.start()]) {
                see(hit.start(), hit.end(), index, owner);
            }
        }
    }

    /// Where the text's end may be the cut-off start of a literal; the text's length if nowhere.
    pub(super) fn cut_literal(&self, text: &str, from: usize) -> usize {
        let bytes = text.as_bytes();
        let mut open = bytes.len();
        for (literal, &owner) in self.inner.texts.iter().zip(&self.inner.owners) {
            let literal = literal.as_bytes();
            let first = from.max((bytes.len() + 1).saturating_sub(literal.len()));
            let cut = (first..open).find(|&start| {
                bytes[start] == literal[0]
                    && literal.starts_with(&bytes[start..])
                    && may_start(owner, &bytes[..start])
            });
            open = cut.unwrap_or(open);
        }
        open
    }

    fn name_of(&self, index: usize) -> &str {
        match self.inner.owners.get(index) {
            Some(&Owner::Rule(rule)) => RULES[rule].id,
            Some(&Owner::Variable(name)) => &self.inner.names[name],
            None => "secret",
        }
    }

    pub(super) fn placeholder(&self, rule: &str, secret: &str, out: &mut String) {
        let mut hash = Sha256::new();
        hash.update(self.inner.key);
        hash.update(secret.as_bytes());
        let digest = hash.finalize();
        // Sixteen bits tell secrets apart for a reader and tell a guesser nothing.
        let _ = write!(out, "«secret:{rule}:{:02x}{:02x}»", digest[0], digest[1]);
    }
}

/// Whether a literal counts after these bytes.
fn may_start(owner: Owner, before: &[u8]) -> bool {
    match owner {
        Owner::Rule(rule) => !RULES[rule].boundary || at_boundary(before),
        Owner::Variable(_) => true,
    }
}

/// Whether a token may start after these bytes. An escape such as `\n` of JSON in text and the
/// end of a terminal colour are no part of a word, though their last byte is a letter.
fn at_boundary(before: &[u8]) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    match before {
        [.., b'\\', b'n' | b'r' | b't' | b'b' | b'f'] => true,
        [.., b'%', a, b] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit() => true,
        [rest @ .., b'm'] => {
            let digits = rest.iter().rev().take(12);
            let start = digits
                .take_while(|byte| byte.is_ascii_digit() || **byte == b';')
                .count();
            rest.len() > start && rest[rest.len() - 1 - start] == b'['
        }
        [.., last] => !word(*last),
        [] => true,
    }
}
