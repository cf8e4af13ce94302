//! A text as lines: every byte belongs to exactly one of them.

use std::ops::Range;

/// Where a line stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Ordinary text.
    Text,
    /// The line that opens a code fence.
    FenceOpen,
    /// Inside a code fence.
    Code,
    /// The line that closes a code fence.
    FenceClose,
    /// Part of an HTML comment that starts a line.
    Comment,
}

/// One line of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line<'a> {
    /// Byte offset of its first byte.
    pub start: usize,
    /// The text without its line ending (and, in the first line, without a byte order mark).
    pub text: &'a str,
    /// Byte offset of `text`.
    pub text_start: usize,
    /// One past the last byte, line ending included.
    pub end: usize,
    /// Where it stands.
    pub place: Place,
}

impl<'a> Line<'a> {
    /// The range of the text without its surrounding white space.
    #[must_use]
    pub fn trimmed(&self) -> Range<usize> {
        let start = self.text_start + self.indent_bytes();
        start..start + self.text.trim().len()
    }

    /// Bytes of white space before the text.
    fn indent_bytes(&self) -> usize {
        self.text.len() - self.text.trim_start().len()
    }

    /// Columns of white space before the text; a tab goes to the next multiple of four.
    #[must_use]
    pub fn indent(&self) -> usize {
        let mut columns = 0;
        for byte in self.text.bytes() {
            match byte {
                b' ' => columns += 1,
                b'\t' => columns += 4 - columns % 4,
                _ => break,
            }
        }
        columns
    }

    /// Level and title if this is a heading (`# Title`).
    #[must_use]
    pub fn heading(&self) -> Option<(usize, &'a str)> {
        let text = self.text.trim_start_matches(' ');
        if self.place != Place::Text || !text.starts_with('#') || self.text.len() - text.len() > 3 {
            return None;
        }
        let title = text.trim_start_matches('#');
        let level = text.len() - title.len();
        if level > 6 || !(title.is_empty() || title.starts_with([' ', '\t'])) {
            return None;
        }
        let title = title.trim();
        let bare = title.trim_end_matches('#');
        let closed = bare.is_empty() || bare.ends_with([' ', '\t']);
        Some((level, if closed { bare.trim_end() } else { title }))
    }
}

/// The lines of a text, in order and without gaps.
#[derive(Debug, Clone)]
pub struct Lines<'a> {
    rest: std::str::SplitInclusive<'a, char>,
    at: usize,
    fence: Option<(u8, usize, usize)>,
    comment: bool,
}

impl<'a> Lines<'a> {
    /// Starts at the top of the text.
    #[must_use]
    pub fn new(text: &'a str) -> Self {
        Self {
            rest: text.split_inclusive('\n'),
            at: 0,
            fence: None,
            comment: false,
        }
    }

    /// Offset of the code fence that is open at this point: after the last line, one that was
    /// never closed.
    #[must_use]
    pub fn open_fence(&self) -> Option<usize> {
        self.fence.map(|(.., start)| start)
    }

    fn place(&mut self, text: &str, start: usize) -> Place {
        let text = text.trim();
        if let Some((mark, count, _)) = self.fence {
            let run = text.bytes().take_while(|&byte| byte == mark).count();
            if run >= count && run == text.len() {
                self.fence = None;
                return Place::FenceClose;
            }
            return Place::Code;
        }
        if self.comment {
            self.comment = !text.contains("-->");
            return Place::Comment;
        }
        match text.as_bytes().first() {
            Some(&mark @ (b'`' | b'~')) => {
                let run = text.bytes().take_while(|&byte| byte == mark).count();
                if run >= 3 && !(mark == b'`' && text[run..].contains('`')) {
                    self.fence = Some((mark, run, start));
                    return Place::FenceOpen;
                }
                Place::Text
            }
            Some(b'<') if text.starts_with("<!--") => {
                self.comment = !text.contains("-->");
                Place::Comment
            }
            _ => Place::Text,
        }
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = Line<'a>;

    fn next(&mut self) -> Option<Line<'a>> {
        let whole = self.rest.next()?;
        let start = self.at;
        self.at += whole.len();
        let text = whole.strip_suffix('\n').unwrap_or(whole);
        let text = text.strip_suffix('\r').unwrap_or(text);
        let (text, text_start) = match text.strip_prefix('\u{feff}') {
            Some(text) if start == 0 => (text, 3),
            _ => (text, start),
        };
        let place = self.place(text, text_start);
        Some(Line {
            start,
            text,
            text_start,
            end: self.at,
            place,
        })
    }
}

/// Whether `text` starts with `prefix`, ASCII letters in either case.
pub(super) fn starts_with_ci(text: &str, prefix: &str) -> bool {
    text.as_bytes()
        .get(..prefix.len())
        .is_some_and(|head| head.eq_ignore_ascii_case(prefix.as_bytes()))
}

/// Whether `text` contains `part`, which is ASCII, in either case.
pub(super) fn contains_ci(text: &str, part: &str) -> bool {
    text.as_bytes()
        .windows(part.len())
        .any(|window| window.eq_ignore_ascii_case(part.as_bytes()))
}

/// A number at the start of the text, at most nine digits, and what follows it.
pub(super) fn number(text: &str) -> Option<(u32, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    if digits > 9 {
        return None;
    }
    Some((text[..digits].parse().ok()?, &text[digits..]))
}

/// The range in which `part`, a slice of `whole`, stands, where `whole` starts at `base`.
pub(super) fn range_of(whole: &str, base: usize, part: &str) -> Range<usize> {
    let start = base + (part.as_ptr().addr() - whole.as_ptr().addr());
    start..start + part.len()
}
