//! Rules and exceptions of a person's own.

use std::sync::Arc;

use aho_corasick::AhoCorasick;
use regex_automata::{Input, meta::Regex, util::syntax};

/// An expression may be this long, in bytes.
const MAX_REGEX: usize = 4096;
/// How many rules, and how many exceptions, there may be.
const MAX_COUNT: usize = 100;
/// What an expression may take when it is compiled, in bytes.
const MAX_SIZE: usize = 1 << 20;
/// A line is looked at in parts of this many bytes.
pub(super) const MAX_LINE: usize = 8 * 1024;

/// Why a rule or an exception of a person cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{subject}: {reason}")]
pub struct UserRuleError {
    /// Which one, such as `redaction.rules "my-key"`.
    pub subject: String,
    /// What is wrong with it.
    pub reason: String,
}

/// Rules and exceptions of a person's own. Cheap to clone.
///
/// A rule is looked for in each line (at most 8 KiB of one) that has one of its keywords; its first
/// group, where there is one, is the secret. An exception is looked for in what was found.
#[derive(Debug, Clone, Default)]
pub struct UserRules {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    rules: Vec<UserRule>,
    allow: Vec<Regex>,
}

#[derive(Debug)]
struct UserRule {
    id: String,
    regex: Regex,
    /// None: every line.
    keywords: Option<AhoCorasick>,
}

impl UserRules {
    /// Compiles rules (id, expression, keywords) and exceptions.
    ///
    /// # Errors
    /// When an id is no word of small letters, digits and `-`; when an expression does not compile,
    /// costs too much or matches nothing at all; when there are too many.
    pub fn new<'a>(
        rules: impl IntoIterator<Item = (&'a str, &'a str, &'a [String])>,
        allow: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, UserRuleError> {
        let mut inner = Inner::default();
        for (id, regex, keywords) in rules {
            let fail = |reason: String| UserRuleError {
                subject: format!("redaction.rules {id:?}"),
                reason,
            };
            let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            if id.is_empty() || id.len() > 40 || !id.chars().all(good) {
                let reason = "the id must be 1 to 40 small letters, digits and '-'";
                return Err(fail(reason.into()));
            }
            if let Some(short) = keywords.iter().find(|keyword| keyword.trim().len() < 2) {
                return Err(fail(format!(
                    "the keyword {short:?} is shorter than 2 characters"
                )));
            }
            let keywords = match keywords {
                [] => None,
                some => Some(
                    AhoCorasick::builder()
                        .ascii_case_insensitive(true)
                        .build(some)
                        .map_err(|error| fail(error.to_string()))?,
                ),
            };
            let id = id.to_owned();
            let regex = compile(regex).map_err(fail)?;
            inner.rules.push(UserRule {
                id,
                regex,
                keywords,
            });
        }
        for regex in allow {
            let compiled = compile(regex).map_err(|reason| UserRuleError {
                subject: format!("redaction.allow {regex:?}"),
                reason,
            })?;
            inner.allow.push(compiled);
        }
        if inner.rules.len() > MAX_COUNT || inner.allow.len() > MAX_COUNT {
            return Err(UserRuleError {
                subject: "redaction".into(),
                reason: format!("more than {MAX_COUNT} rules or exceptions"),
            });
        }
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    pub(super) fn has_rules(&self) -> bool {
        !self.inner.rules.is_empty()
    }

    pub(super) fn id(&self, index: usize) -> &str {
        self.inner.rules.get(index).map_or("user", |rule| &rule.id)
    }

    pub(super) fn allows(&self, secret: &str) -> bool {
        self.inner.allow.iter().any(|regex| regex.is_match(secret))
    }

    /// Calls `see(start, end, rule)` for each match in the lines of a text from `anchor` on, where a
    /// line begins.
    pub(super) fn find(&self, text: &str, anchor: usize, mut see: impl FnMut(usize, usize, usize)) {
        if !self.has_rules() {
            return;
        }
        lines(text, anchor, |start, end| {
            let line = &text[start..end];
            for (index, rule) in self.inner.rules.iter().enumerate() {
                if rule
                    .keywords
                    .as_ref()
                    .is_some_and(|words| !words.is_match(line))
                {
                    continue;
                }
                for found in rule.regex.captures_iter(Input::new(line)) {
                    let span = found.get_group(1).or_else(|| found.get_group(0));
                    if let Some(span) = span.filter(|span| !span.is_empty()) {
                        see(start + span.start, start + span.end, index);
                    }
                }
            }
        });
    }

    /// Where the last line that may go on begins.
    pub(super) fn open_line(text: &str, anchor: usize) -> usize {
        let mut last = anchor;
        lines(text, anchor, |start, end| {
            last = if text[start..end].ends_with('\n') {
                end
            } else {
                start
            }
        });
        last
    }
}

/// Calls `see` for each line with its newline, in parts where it is long.
fn lines(text: &str, anchor: usize, mut see: impl FnMut(usize, usize)) {
    let mut start = anchor;
    while start < text.len() {
        let limit = text.floor_char_boundary(start + MAX_LINE);
        let end = match text[start..limit].find('\n') {
            Some(at) => start + at + 1,
            None => limit,
        };
        see(start, end);
        start = end;
    }
}

fn compile(regex: &str) -> Result<Regex, String> {
    if regex.len() > MAX_REGEX {
        return Err(format!("the expression is longer than {MAX_REGEX} bytes"));
    }
    let compiled = Regex::builder()
        .configure(
            Regex::config()
                .nfa_size_limit(Some(MAX_SIZE))
                .onepass_size_limit(Some(MAX_SIZE))
                .hybrid_cache_capacity(MAX_SIZE),
        )
        .syntax(syntax::Config::new().nest_limit(50))
        .build(regex)
        .map_err(|error| {
            if error.size_limit().is_some() {
                return format!(
                    "the expression is too costly: compiled it takes more than {MAX_SIZE} bytes"
                );
            }
            let detail = error.syntax_error().map(ToString::to_string);
            format!(
                "the expression does not compile: {}",
                detail.unwrap_or_else(|| error.to_string())
            )
        })?;
    if compiled.is_match("") {
        return Err("the expression matches an empty text".into());
    }
    Ok(compiled)
}
