//! The line of a checkbox: mark, number, title.

use std::ops::Range;

use super::lines::{Line, number, range_of, starts_with_ci};

pub(super) struct Checkbox<'a> {
    pub(super) mark: u8,
    pub(super) state_at: usize,
    pub(super) optional: bool,
    pub(super) rest: &'a str,
}

/// A checkbox, or the place of something that was meant to be one. Whether a line is a checkbox
/// does not depend on which of the marks it has.
pub(super) fn checkbox<'a>(line: &Line<'a>) -> Option<Result<Checkbox<'a>, Range<usize>>> {
    let text = line.text.trim_start();
    let body = match number(text) {
        Some((_, rest)) => rest.strip_prefix(['.', ')'])?,
        None => text.strip_prefix(['-', '*', '+'])?,
    };
    let inner = body.trim_start();
    if inner.len() == body.len() {
        return None;
    }
    let inner = inner.strip_prefix('[')?;
    let (mark, rest) = inner.split_at_checked(inner.find(']')?)?;
    let rest = &rest[1..];
    let optional = rest.starts_with('*') && !rest.starts_with("**");
    let rest = if optional { &rest[1..] } else { rest };
    if !(rest.is_empty() || rest.starts_with([' ', '\t'])) {
        return None;
    }
    let place = range_of(line.text, line.text_start, mark);
    match *mark.as_bytes() {
        [mark @ (b' ' | b'x' | b'X' | b'-' | b'~')] => Some(Ok(Checkbox {
            mark,
            state_at: place.start,
            optional,
            rest,
        })),
        // `[1] source` and `[ref] text` are no boxes.
        _ if mark.len() > 4 || mark.contains(|c: char| c.is_ascii_alphanumeric() && c != 'x') => {
            None
        }
        _ => Some(Err(place.start - 1..place.end + 1)),
    }
}

pub(super) struct Title<'a> {
    pub(super) number: Option<String>,
    pub(super) number_text: Option<&'a str>,
    pub(super) title: String,
    pub(super) optional: bool,
    pub(super) parallel: bool,
}

pub(super) fn title_of(rest: &str) -> Title<'_> {
    let whole = rest.trim();
    let plain = whole.trim_start_matches(['*', '_']);
    let plain = if starts_with_ci(plain, "task ") {
        plain[5..].trim_start()
    } else {
        plain
    };
    let numbered = task_number(plain);
    let (number, number_text, after) = match numbered {
        Some((number, text, after)) => (Some(number), Some(text), after),
        None => (None, None, whole),
    };
    let star = number.is_some() && after.starts_with('*') && !after.starts_with("**");
    let after = if star { &after[1..] } else { after };
    let after = after.trim_start();
    let parallel = starts_with_ci(after, "(p)");
    let after = if parallel {
        after[3..].trim_start()
    } else {
        after
    };
    let title = after.trim_matches('*').trim();
    Title {
        number,
        number_text,
        title: title.to_owned(),
        optional: star,
        parallel,
    }
}

/// The number of a task in plain form, as it stands, and what follows it.
fn task_number(text: &str) -> Option<(String, &str, &str)> {
    let (first, mut rest) = number(text)?;
    let mut plain = first.to_string();
    let mut dotted = false;
    while let Some((part, after)) = rest.strip_prefix('.').and_then(number) {
        plain.push('.');
        plain.push_str(&part.to_string());
        rest = after;
        dotted = true;
    }
    let written = &text[..text.len() - rest.len()];
    let after = rest
        .strip_prefix(['.', ')', ':', '：', '、', '．'])
        .unwrap_or(rest);
    let ended =
        after.is_empty() || after.starts_with([' ', '\t', '*']) || !after.is_char_boundary(1);
    // `3 files` is a title; `3. Files` and `1.1 Files` have a number.
    let marked = dotted || after.len() < rest.len() || after.starts_with('*');
    (ended && marked).then_some((plain, written, after))
}
