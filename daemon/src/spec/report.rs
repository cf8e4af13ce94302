//! Collecting findings as byte ranges; lines and columns are counted once, at the end.

use std::collections::HashMap;
use std::ops::Range;

use spectask_protocol::{DocumentKind, Finding, Severity, Span};

use super::profile::Profile;

/// More findings of one rule in one document help nobody.
const MAX_PER_RULE: usize = 1000;

/// The findings of one document while its rules run.
pub(super) struct Report {
    kind: DocumentKind,
    profile: Profile,
    raw: Vec<Raw>,
    per_rule: HashMap<&'static str, usize>,
    left_out: usize,
}

struct Raw {
    rule: &'static str,
    severity: Severity,
    range: Range<usize>,
    message: String,
    help: Option<&'static str>,
}

impl Report {
    pub(super) fn new(kind: DocumentKind, profile: Profile) -> Self {
        Self {
            kind,
            profile,
            raw: Vec::new(),
            per_rule: HashMap::new(),
            left_out: 0,
        }
    }

    pub(super) fn profile(&self) -> Profile {
        self.profile
    }

    pub(super) fn error(
        &mut self,
        rule: &'static str,
        range: Range<usize>,
        message: impl Into<String>,
        help: &'static str,
    ) {
        self.add(Severity::Error, rule, range, message.into(), help);
    }

    pub(super) fn warning(
        &mut self,
        rule: &'static str,
        range: Range<usize>,
        message: impl Into<String>,
        help: &'static str,
    ) {
        self.add(Severity::Warning, rule, range, message.into(), help);
    }

    pub(super) fn info(
        &mut self,
        rule: &'static str,
        range: Range<usize>,
        message: impl Into<String>,
        help: &'static str,
    ) {
        self.add(Severity::Info, rule, range, message.into(), help);
    }

    fn add(
        &mut self,
        usual: Severity,
        rule: &'static str,
        range: Range<usize>,
        message: String,
        help: &'static str,
    ) {
        let Some(severity) = self.profile.severity(rule, usual) else {
            return;
        };
        let count = self.per_rule.entry(rule).or_default();
        *count += 1;
        if *count > MAX_PER_RULE {
            self.left_out += 1;
            return;
        }
        let help = (!help.is_empty()).then_some(help);
        self.raw.push(Raw {
            rule,
            severity,
            range,
            message,
            help,
        });
    }

    /// The findings in the order of their places in `text`.
    pub(super) fn finish(mut self, text: &str) -> Vec<Finding> {
        if self.left_out > 0 {
            let message = format!("{} more findings are not listed.", self.left_out);
            let end = text.len();
            self.raw.push(Raw {
                rule: "too-many-findings",
                severity: Severity::Warning,
                range: end..end,
                message,
                help: Some("Repair those that are listed and check again."),
            });
        }
        self.raw.sort_by(|a, b| {
            (a.range.start, a.range.end, a.rule).cmp(&(b.range.start, b.range.end, b.rule))
        });
        let mut place = Place::new(text);
        let kind = self.kind;
        self.raw
            .into_iter()
            .map(|raw| Finding {
                rule: raw.rule.to_owned(),
                severity: raw.severity,
                document: kind,
                span: place.span(raw.range),
                message: raw.message,
                help: raw.help.map(str::to_owned),
            })
            .collect()
    }
}

/// A position that only moves forward.
struct Place<'a> {
    text: &'a str,
    at: usize,
    line: usize,
    column: usize,
}

impl<'a> Place<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            text,
            at: 0,
            line: 1,
            column: 1,
        }
    }

    fn span(&mut self, range: Range<usize>) -> Span {
        let start = self.text.floor_char_boundary(range.start).max(self.at);
        let passed = &self.text[self.at..start];
        if let Some(last) = passed.rfind('\n') {
            self.line += passed.bytes().filter(|&byte| byte == b'\n').count();
            self.column = 1 + passed[last + 1..].chars().count();
        } else {
            self.column += passed.chars().count();
        }
        self.at = start;
        let end = self
            .text
            .ceil_char_boundary(range.end.min(self.text.len()))
            .max(start);
        Span {
            start,
            end,
            line: self.line,
            column: self.column,
        }
    }
}
