//! Finding secrets in a whole text and replacing them.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, LazyLock};

use aho_corasick::{AhoCorasick, MatchKind};
use regex_automata::{Anchored, Input};
use sha2::{Digest, Sha256};

use super::blob::{self, Content};
use super::entropy;
use super::rules::{LITERALS, RULES};
use super::stream::StreamRedactor;
use super::user::UserRules;
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
    /// The values of variables, if there are any.
    values: Option<AhoCorasick>,
    /// For each value whose it is, and the value.
    owners: Vec<(usize, String)>,
    names: Vec<String>,
    user: UserRules,
}

/// What found a secret. Of several that overlap the least gives the name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Finder {
    Variable(usize),
    User(usize),
    Rule(usize),
    Entropy,
}

impl Finder {
    fn is_guess(self) -> bool {
        match self {
            Self::Variable(_) | Self::User(_) => false,
            Self::Rule(rule) => RULES[rule].rule.guess,
            Self::Entropy => true,
        }
    }
}

/// A secret, and where the search for it began: a secret may stand after its literal, as in
/// `Authorization: Bearer …`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hit {
    pub(super) literal: usize,
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) finder: Finder,
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
        Self::new_with_rules(secrets, UserRules::default())
    }

    /// The same with rules and exceptions of a person's own.
    #[must_use]
    pub fn new_with_rules(
        secrets: impl IntoIterator<Item = (String, String)>,
        user: UserRules,
    ) -> Self {
        let mut key = [0; 32];
        for chunk in key.chunks_exact_mut(8) {
            // The standard library's only source of randomness.
            chunk.copy_from_slice(&RandomState::new().hash_one(0x5ec2_e700_u64).to_le_bytes());
        }
        Self::with_rules(key, secrets, user)
    }

    /// The same with a key that is kept, one per installation, so that placeholders stay the same
    /// across restarts.
    #[must_use]
    pub fn with_key(key: [u8; 32], secrets: impl IntoIterator<Item = (String, String)>) -> Self {
        Self::with_rules(key, secrets, UserRules::default())
    }

    /// With all of these.
    #[must_use]
    pub fn with_rules(
        key: [u8; 32],
        secrets: impl IntoIterator<Item = (String, String)>,
        user: UserRules,
    ) -> Self {
        let mut owners = Vec::new();
        let mut names: Vec<String> = Vec::new();
        for (name, value) in secrets {
            let value = value.trim();
            if !is_secret_name(&name) || !is_secret_value(value) {
                continue;
            }
            let value = &value[..value.floor_char_boundary(MAX_VALUE)];
            for form in written_forms(value) {
                owners.push((names.len(), form));
            }
            names.push(tidy_name(&name));
        }
        // Only values beyond any environment's size fail to build.
        let values = (!owners.is_empty())
            .then(|| {
                AhoCorasick::builder()
                    .match_kind(MatchKind::Standard)
                    .build(owners.iter().map(|(_, value)| value))
                    .ok()
            })
            .flatten();
        Self {
            inner: Arc::new(Inner {
                key,
                values,
                owners,
                names,
                user,
            }),
        }
    }

    /// The shared redactor that knows the table and no variables.
    pub(crate) fn without_variables() -> &'static Self {
        &WITHOUT_VARIABLES
    }

    pub(super) fn user(&self) -> &UserRules {
        &self.inner.user
    }

    /// The text with each secret, and each large piece of base64, replaced by its placeholder;
    /// borrowed if there is none.
    #[must_use]
    pub fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        if blob::first(text, 0).is_some() {
            let mut stream = StreamRedactor::new(self.clone());
            let mut out = stream.push(text);
            out.push_str(&stream.finish());
            return Cow::Owned(out);
        }
        let hits = self.hits(text, 0, 0);
        if hits.is_empty() {
            return Cow::Borrowed(text);
        }
        let mut out = String::with_capacity(text.len());
        let mut from = 0;
        for hit in &hits {
            out.push_str(&text[from..hit.start]);
            out.push_str(&self.placeholder(hit.finder, &text[hit.start..hit.end]));
            from = hit.end;
        }
        out.push_str(&text[from..]);
        Cow::Owned(out)
    }

    /// The secrets of a text, in order, not overlapping.
    #[must_use]
    pub fn find(&self, text: &str) -> Vec<SecretMatch> {
        self.find_where(text, |_| true)
    }

    /// The same without what is only guessed from surroundings and shape: what is left is worth
    /// stopping for.
    #[must_use]
    pub fn find_known(&self, text: &str) -> Vec<SecretMatch> {
        self.find_where(text, |finder| !finder.is_guess())
    }

    fn find_where(&self, text: &str, wanted: impl Fn(Finder) -> bool) -> Vec<SecretMatch> {
        let mut all = Vec::new();
        let mut from = 0;
        loop {
            let content = blob::first(text, from);
            let end = content.as_ref().map_or(text.len(), |content| content.at);
            let hits = self.hits(&text[from..end], 0, 0);
            all.extend(
                hits.iter()
                    .filter(|hit| wanted(hit.finder))
                    .map(|hit| SecretMatch {
                        start: from + hit.start,
                        end: from + hit.end,
                        rule: self.name_of(hit.finder).to_owned(),
                    }),
            );
            if content.is_none() {
                return all;
            }
            from = end + Content::new(String::new()).take(&text[end..]);
        }
    }

    /// The secrets whose literals start at `from` or later; what stands before is context only.
    /// `anchor`: where the line of `from` begins, or the part of it.
    pub(super) fn hits(&self, text: &str, from: usize, anchor: usize) -> Vec<Hit> {
        let mut found: Vec<Hit> = Vec::new();
        self.each_value(text, from, |start, end, name| {
            found.push(Hit {
                literal: start,
                start,
                end,
                finder: Finder::Variable(name),
            });
        });
        each_literal(text, from, |literal, rule| {
            let compiled = &RULES[rule];
            if !compiled.may_match(text.as_bytes(), literal) {
                return;
            }
            let Some(regex) = compiled.regex() else {
                return;
            };
            let input = Input::new(text).range(literal..).anchored(Anchored::Yes);
            // Most literals are no secret; this needs no captures to tell.
            let Some(half) = regex.search_half(&input) else {
                return;
            };
            // In a short span the groups are found by faster engines.
            let input = input.range(literal..half.offset());
            let mut captures = regex.create_captures();
            regex.search_captures(&input, &mut captures);
            let group = (1..captures.group_len())
                .rev()
                .find_map(|n| captures.get_group(n));
            let Some(span) = group.or_else(|| captures.get_group(0)) else {
                return;
            };
            if compiled.accepts(text, span.start, span.end) {
                found.push(Hit {
                    literal,
                    start: span.start,
                    end: span.end,
                    finder: Finder::Rule(rule),
                });
            }
        });
        entropy::tokens(text, from, blob::LARGE, |start, end| {
            found.push(Hit {
                literal: start,
                start,
                end,
                finder: Finder::Entropy,
            });
        });
        self.inner.user.find(text, anchor, |start, end, rule| {
            if start >= from {
                found.push(Hit {
                    literal: start,
                    start,
                    end,
                    finder: Finder::User(rule),
                });
            }
        });
        found.retain(|hit| !self.inner.user.allows(&text[hit.start..hit.end]));
        merged(found)
    }

    /// Calls `see(start, end, name)` for each value of a variable.
    fn each_value(&self, text: &str, from: usize, mut see: impl FnMut(usize, usize, usize)) {
        let Some(values) = &self.inner.values else {
            return;
        };
        for hit in values.find_overlapping_iter(text) {
            if hit.start() >= from
                && let Some((name, _)) = self.inner.owners.get(hit.pattern().as_usize())
            {
                see(hit.start(), hit.end(), *name);
            }
        }
    }

    /// Where the text's end may be the cut-off start of a literal or a variable's value; the text's
    /// length if nowhere.
    pub(super) fn cut_literal(&self, text: &str, from: usize) -> usize {
        let bytes = text.as_bytes();
        let mut open = bytes.len();
        for at in from.max(bytes.len().saturating_sub(LITERALS.longest))..bytes.len() {
            let rest = &bytes[at..];
            let is_cut = LITERALS.by_first[usize::from(bytes[at])]
                .iter()
                .any(|(literal, rule)| {
                    literal.len() > rest.len()
                        && literal.as_bytes().starts_with(rest)
                        && may_start(*rule, bytes, at)
                });
            if is_cut {
                open = at;
                break;
            }
        }
        for (_, value) in &self.inner.owners {
            let value = value.as_bytes();
            let first = from.max((bytes.len() + 1).saturating_sub(value.len()));
            let cut =
                (first..open).find(|&at| bytes[at] == value[0] && value.starts_with(&bytes[at..]));
            open = cut.unwrap_or(open);
        }
        open
    }

    fn name_of(&self, finder: Finder) -> &str {
        match finder {
            Finder::Rule(rule) => &RULES[rule].rule.id,
            Finder::Variable(name) => &self.inner.names[name],
            Finder::User(rule) => self.inner.user.id(rule),
            Finder::Entropy => "high-entropy",
        }
    }

    pub(super) fn placeholder(&self, finder: Finder, secret: &str) -> String {
        let mut hash = Sha256::new();
        hash.update(self.inner.key);
        hash.update(secret.as_bytes());
        let digest = hash.finalize();
        let mut out = String::new();
        // Sixteen bits tell secrets apart for a reader and tell a guesser nothing.
        let name = self.name_of(finder);
        let _ = write!(out, "«secret:{name}:{:02x}{:02x}»", digest[0], digest[1]);
        out
    }

    /// The placeholder of a value that is a secret by the name it has in a JSON object.
    pub(super) fn member(&self, name: &str, value: &str) -> Option<String> {
        let text = format!("\"{name}\": \"{value}\"");
        let start = name.len() + 5;
        let hits = self.hits(&text, 0, 0);
        let hit = hits
            .iter()
            .find(|hit| hit.start == start && hit.end == start + value.len())?;
        Some(self.placeholder(hit.finder, value))
    }
}

/// In order, those that overlap as one.
fn merged(mut found: Vec<Hit>) -> Vec<Hit> {
    found.sort_by_key(|hit| (hit.start, usize::MAX - hit.end, hit.finder));
    let mut merged: Vec<Hit> = Vec::with_capacity(found.len());
    for hit in found {
        match merged.last_mut() {
            Some(last) if hit.start < last.end => {
                last.end = last.end.max(hit.end);
                last.literal = last.literal.min(hit.literal);
                last.finder = last.finder.min(hit.finder);
            }
            _ => merged.push(hit),
        }
    }
    merged
}

/// Calls `see(start, rule)` for each literal that may start a secret.
pub(super) fn each_literal(text: &str, from: usize, mut see: impl FnMut(usize, usize)) {
    LITERALS.each(text, from, |at, rule| {
        if may_start(rule, text.as_bytes(), at) {
            see(at, rule);
        }
    });
}

/// Whether a rule's literal counts at that place. Our own placeholders are no secrets.
fn may_start(rule: usize, text: &[u8], at: usize) -> bool {
    let (before, rest) = text.split_at(at);
    let placeholder = before.ends_with("«".as_bytes())
        && (rest.starts_with(b"secret:") || rest.starts_with(b"binary:"));
    (!RULES[rule].rule.boundary || at_boundary(before)) && !placeholder
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
