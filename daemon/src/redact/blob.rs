//! Binary content in base64: replaced by its kind, size and digest before anything is scanned.

use std::ops::ControlFlow;

use memchr::memmem;
use sha2::{Digest, Sha256};

use super::entropy::{is_token_byte, runs};

/// A run of base64 of this length is content, not a word or a key.
pub(super) const LARGE: usize = 1024;
/// The same after `;base64,`.
const SMALL: usize = 64;
/// Before the content of a `data:` address.
const MARK: &str = ";base64,";

/// Where binary content begins in a text, and of what kind it says it is.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Start {
    pub(super) at: usize,
    pub(super) mime: String,
}

/// The first binary content that begins at `from` or later.
pub(super) fn first(text: &str, from: usize) -> Option<Start> {
    let before = from.saturating_sub(MARK.len());
    let mut marks = memmem::find_iter(&text.as_bytes()[before..], MARK)
        .map(|at| before + at + MARK.len())
        .filter(|start| *start >= from);
    let mut found = marks.find(|start| {
        let rest = text.as_bytes()[*start..].iter().take(SMALL);
        rest.filter(|b| is_token_byte(**b)).count() == SMALL
    });
    // Only what begins before that: a text may be full of both.
    let until = found.map_or(text.len(), |at| text.len().min(at + LARGE));
    let until = text.floor_char_boundary(until);
    if until - from >= LARGE {
        runs(&text[..until], from, LARGE, |start, _| {
            if found.is_some_and(|found| found <= start) {
                return ControlFlow::Break(());
            }
            if is_content(&text.as_bytes()[start..start + LARGE]) {
                found = Some(start);
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        });
    }
    found.map(|at| Start {
        at,
        mime: mime_before(&text[..at]),
    })
}

/// Whether so many characters are of many kinds, as those of content are, and not `aaaa…`.
fn is_content(run: &[u8]) -> bool {
    let digits = run.iter().any(u8::is_ascii_digit);
    let letters = run.iter().any(u8::is_ascii_alphabetic);
    let mut seen = [false; 256];
    for byte in run {
        seen[usize::from(*byte)] = true;
    }
    let kinds = seen.iter().filter(|seen| **seen).count();
    let signs = run
        .iter()
        .filter(|byte| matches!(byte, b'-' | b'_' | b'/'))
        .count();
    digits && letters && kinds >= 12 && signs * 8 < run.len()
}

/// The media type of a `data:` address that ends here.
fn mime_before(text: &str) -> String {
    let start = text.floor_char_boundary(text.len().saturating_sub(80));
    let Some(head) = text[start..].strip_suffix(MARK) else {
        return "data".into();
    };
    match head.rfind("data:") {
        Some(at) => tidy_mime(head[at + 5..].split(';').next().unwrap_or_default()),
        None => "data".into(),
    }
}

/// A media type as it may stand in a placeholder.
pub(super) fn tidy_mime(mime: &str) -> String {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '.' | '+');
    let tidy: String = mime.chars().filter(|c| good(*c)).take(48).collect();
    if tidy.is_empty() { "data".into() } else { tidy }
}

/// Takes content in pieces and makes its placeholder.
pub(super) struct Content {
    mime: String,
    hash: Sha256,
    /// What is left of a group of four characters: bits, and how many characters.
    bits: u32,
    group: usize,
    size: u64,
    padding: usize,
}

impl Content {
    pub(super) fn new(mime: String) -> Self {
        Self {
            mime,
            hash: Sha256::new(),
            bits: 0,
            group: 0,
            size: 0,
            padding: 0,
        }
    }

    /// Takes the content at the start of a text; how many bytes of it there are. Less than all: the
    /// content has ended.
    pub(super) fn take(&mut self, text: &str) -> usize {
        let mut out = Vec::with_capacity(text.len() / 4 * 3 + 3);
        let mut taken = 0;
        for byte in text.bytes() {
            if byte == b'=' && self.padding < 2 {
                self.padding += 1;
            } else if self.padding == 0 && is_token_byte(byte) {
                self.bits = self.bits << 6 | six(byte);
                self.group += 1;
                if self.group == 4 {
                    out.extend_from_slice(&self.bits.to_be_bytes()[1..]);
                    (self.bits, self.group) = (0, 0);
                }
            } else {
                break;
            }
            taken += 1;
        }
        self.size += out.len() as u64;
        self.hash.update(&out);
        taken
    }

    /// Kind, size in bytes and the start of the digest of the decoded content.
    pub(super) fn placeholder(mut self) -> String {
        let rest = match self.group {
            2 => vec![(self.bits >> 4).to_be_bytes()[3]],
            3 => (self.bits >> 2).to_be_bytes()[2..].to_vec(),
            _ => Vec::new(),
        };
        self.size += rest.len() as u64;
        self.hash.update(&rest);
        written(&self.mime, self.size, &self.hash.finalize())
    }
}

fn written(mime: &str, size: u64, digest: &[u8]) -> String {
    let digest: String = digest
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("«binary:{mime}:{size} bytes:sha256-{digest}»")
}

/// The placeholder of a whole member that holds base64; of its characters where it is none.
pub(super) fn of_member(mime: &str, data: &str) -> String {
    let mut content = Content::new(tidy_mime(mime));
    if content.take(data) == data.len() {
        return content.placeholder();
    }
    let joined: String = data.split_ascii_whitespace().collect();
    let mut content = Content::new(tidy_mime(mime));
    if content.take(&joined) == joined.len() {
        return content.placeholder();
    }
    written(&tidy_mime(mime), data.len() as u64, &Sha256::digest(data))
}

const fn six(byte: u8) -> u32 {
    (match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' | b'-' => 62,
        _ => 63,
    }) as u32
}

/// The bytes of base64 without padding.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    if text.len() % 4 == 1 || !text.bytes().all(is_token_byte) {
        return None;
    }
    let mut out = Vec::with_capacity(text.len() / 4 * 3 + 2);
    for group in text.as_bytes().chunks(4) {
        let bits =
            group.iter().fold(0, |bits, byte| bits << 6 | six(*byte)) << (6 * (4 - group.len()));
        out.extend_from_slice(&bits.to_be_bytes()[1..group.len()]);
    }
    Some(out)
}
