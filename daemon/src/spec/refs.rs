//! References to requirements, criteria and tasks: `1.1, 2.3`, `All`, `1.1-1.6`.

use std::ops::Range;

use super::lines::{number, range_of};
use super::requirements::RequirementsDoc;

/// What a reference says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ref {
    All,
    /// A whole requirement or a top-level task.
    One(u32),
    /// A criterion or a child.
    Two(u32, u32),
    /// Deeper than criteria go; a task of the third or fourth level.
    Deep,
    OneToOne(u32, u32),
    TwoToTwo((u32, u32), (u32, u32)),
    Unreadable,
}

/// The references in a list, each with its place; `base` is where `text` starts.
pub(super) fn parse_refs(text: &str, base: usize) -> Vec<(Range<usize>, Ref)> {
    let mut refs: Vec<(Range<usize>, Ref)> = Vec::new();
    let mut range_open = false;
    for token in text.split([',', '，', '、', ';', '；', ' ', '\t', '&', '\n', '\r']) {
        let token = token.trim_matches(['(', ')', '[', ']', '*', '`', '.', '"', '。', '（', '）']);
        if token.is_empty() || is_filler(token) {
            continue;
        }
        if matches!(
            token,
            "-" | "–" | "—" | "~" | "to" | "through" | "至" | "〜" | "～" | ".."
        ) {
            range_open = !refs.is_empty();
            continue;
        }
        let place = range_of(text, base, token);
        let new = parse_one(token);
        match refs.last_mut() {
            Some((last_place, last)) if range_open => {
                *last = join(*last, new);
                last_place.end = place.end;
            }
            _ => refs.push((place, new)),
        }
        range_open = false;
    }
    refs
}

fn is_filler(token: &str) -> bool {
    [
        "requirement",
        "requirements",
        "req",
        "reqs",
        "criterion",
        "criteria",
        "task",
        "tasks",
        "and",
        "none",
        "n/a",
        "needed",
        "需求",
        "要件",
        "要求",
        "任务",
        "无",
        "なし",
        "和",
        "と",
    ]
    .iter()
    .any(|word| token.eq_ignore_ascii_case(word))
        || token.bytes().all(|byte| byte == b'-') && token.len() > 1
}

fn parse_one(token: &str) -> Ref {
    if token.eq_ignore_ascii_case("all") || matches!(token, "全部" | "所有" | "すべて" | "全て")
    {
        return Ref::All;
    }
    let Some(first) = token.find(|c: char| c.is_ascii_digit()) else {
        return Ref::Unreadable;
    };
    // A prefix such as `REQ-1.2`, `R1.2` or `要件1.2`.
    let prefix = token[..first].trim_end_matches(['-', '_', '#', ':']);
    if !prefix.chars().all(char::is_alphabetic) || prefix.chars().count() > 12 {
        return Ref::Unreadable;
    }
    let Some((start, rest)) = id(&token[first..]) else {
        return Ref::Unreadable;
    };
    let rest = rest.trim_end_matches([':', '：', '*']);
    if rest.is_empty() {
        return start;
    }
    let Some(tail) = rest
        .strip_prefix("..")
        .or_else(|| rest.strip_prefix(['-', '–', '—', '~', '〜', '～']))
    else {
        return Ref::Unreadable;
    };
    let tail = tail.trim_start_matches(|c: char| c.is_alphabetic() || c == '-');
    match id(tail) {
        Some((end, "")) => join(start, end),
        _ => Ref::Unreadable,
    }
}

fn id(text: &str) -> Option<(Ref, &str)> {
    let (one, rest) = number(text)?;
    let Some((two, rest)) = next_part(rest) else {
        return Some((Ref::One(one), rest));
    };
    let mut deep = rest;
    let mut found = Ref::Two(one, two);
    while let Some((_, rest)) = next_part(deep) {
        deep = rest;
        found = Ref::Deep;
    }
    Some((found, deep))
}

fn next_part(text: &str) -> Option<(u32, &str)> {
    number(text.strip_prefix('.')?)
}

fn join(start: Ref, end: Ref) -> Ref {
    match (start, end) {
        (Ref::One(a), Ref::One(b)) if a <= b => Ref::OneToOne(a, b),
        (Ref::Two(a, m), Ref::Two(b, n)) if (a, m) <= (b, n) => Ref::TwoToTwo((a, m), (b, n)),
        (Ref::Two(a, m), Ref::One(n)) if m <= n => Ref::TwoToTwo((a, m), (a, n)),
        _ => Ref::Unreadable,
    }
}

/// The criterion ids of a document, sorted.
pub(super) struct CriteriaIndex {
    ids: Vec<(u32, u32)>,
}

impl CriteriaIndex {
    pub(super) fn new(doc: &RequirementsDoc) -> Self {
        let mut ids: Vec<(u32, u32)> = doc
            .requirements
            .iter()
            .flat_map(|requirement| {
                requirement
                    .criteria
                    .iter()
                    .map(|criterion| (requirement.number, criterion.number))
            })
            .collect();
        ids.sort_unstable();
        ids.dedup();
        Self { ids }
    }

    pub(super) fn len(&self) -> usize {
        self.ids.len()
    }

    pub(super) fn id(&self, index: usize) -> (u32, u32) {
        self.ids[index]
    }

    pub(super) fn position(&self, id: (u32, u32)) -> Option<usize> {
        self.ids.binary_search(&id).ok()
    }

    /// The criteria a reference means, as a range of indices; `None` if it means none.
    pub(super) fn resolve(&self, reference: Ref) -> Option<Range<usize>> {
        let at = |id: (u32, u32)| self.ids.partition_point(|&other| other < id);
        let after = |id: (u32, u32)| self.ids.partition_point(|&other| other <= id);
        let found = match reference {
            Ref::All => return Some(0..self.ids.len()),
            Ref::One(n) => at((n, 0))..after((n, u32::MAX)),
            Ref::Two(n, m) => at((n, m))..after((n, m)),
            Ref::OneToOne(a, b) => {
                let _ = self.resolve(Ref::One(a))?;
                let _ = self.resolve(Ref::One(b))?;
                at((a, 0))..after((b, u32::MAX))
            }
            Ref::TwoToTwo(a, b) => {
                let _ = self.position(a)?;
                let _ = self.position(b)?;
                at(a)..after(b)
            }
            Ref::Deep | Ref::Unreadable => return None,
        };
        (!found.is_empty()).then_some(found)
    }
}
