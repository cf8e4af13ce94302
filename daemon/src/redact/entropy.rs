//! Which long tokens look random: the second signal, for secrets of no known format.

use std::ops::ControlFlow;

use super::value::{is_harmless, is_wordy, word_parts};

/// Shorter tokens say too little about themselves.
const MIN: usize = 20;
/// A token that stands alone, neither quoted nor assigned, must be at least this long.
const MIN_ALONE: usize = 32;
/// How far before a token its surroundings are looked at, in bytes.
pub(super) const LOOK_BACK: usize = 96;

const TOKEN_BYTES: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        table[byte as usize] =
            byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'_' | b'-');
        byte += 1;
    }
    table
};

/// A character of a token of base64, base64url, hexadecimal or an identifier.
pub(super) const fn is_token_byte(byte: u8) -> bool {
    TOKEN_BYTES[byte as usize]
}

/// Calls `see(start, end)` for each run of token characters of at least `min` that starts at `from`
/// or later, until it says that this is enough. Looks only at every `min`th byte where there is none.
pub(super) fn runs(
    text: &str,
    from: usize,
    min: usize,
    mut see: impl FnMut(usize, usize) -> ControlFlow<()>,
) {
    let bytes = text.as_bytes();
    // A run that began earlier is not ours.
    let mut start = from;
    if from > 0 && bytes.get(from - 1).is_some_and(|byte| is_token_byte(*byte)) {
        start += length(&bytes[from.min(bytes.len())..]);
    }
    let mut known = start;
    while start + min <= bytes.len() {
        let last = start + min - 1;
        let broken = (known.max(start)..=last)
            .rev()
            .find(|&at| !is_token_byte(bytes[at]));
        if let Some(at) = broken {
            // What stands after the break was seen to be of the token.
            known = last + 1;
            start = at + 1;
            continue;
        }
        let end = last + 1 + length(&bytes[last + 1..]);
        if see(start, end).is_break() {
            return;
        }
        start = end + 1;
        known = start;
    }
}

/// Where the run of token characters begins that reaches the end of the text, if there is one that
/// begins at `from` or later.
pub(super) fn open_run(text: &str, from: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let padding = bytes
        .iter()
        .rev()
        .take(2)
        .take_while(|b| **b == b'=')
        .count();
    let body = bytes.len() - padding;
    let tail = bytes[..body]
        .iter()
        .rev()
        .take_while(|byte| is_token_byte(**byte))
        .count();
    let start = body - tail;
    (start >= from && tail > 0).then_some(start)
}

fn length(bytes: &[u8]) -> usize {
    bytes
        .iter()
        .take_while(|byte| is_token_byte(**byte))
        .count()
}

/// The random-looking tokens that start at `from` or later, and end before `limit` characters.
pub(super) fn tokens(text: &str, from: usize, limit: usize, mut see: impl FnMut(usize, usize)) {
    runs(text, from, MIN, |start, end| {
        if end - start < limit {
            let (start, end) = tidy(text.as_bytes(), start, end);
            if is_random(text, start, end) {
                see(start, end);
            }
        }
        ControlFlow::Continue(())
    });
}

/// Without the letter of an escape such as `\n`; with the padding.
fn tidy(bytes: &[u8], mut start: usize, mut end: usize) -> (usize, usize) {
    if start > 0 && bytes[start - 1] == b'\\' && matches!(bytes[start], b'n' | b'r' | b't') {
        start += 1;
    }
    while end < bytes.len() && bytes[end] == b'=' && end - start < 4096 {
        end += 1;
        if end >= 2 && bytes[end - 1] == b'=' && bytes[end - 2] == b'=' {
            break;
        }
    }
    (start, end)
}

/// How a token stands in its text.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Alone,
    QuotedOrAssigned,
}

fn is_random(text: &str, start: usize, end: usize) -> bool {
    let bytes = text.as_bytes();
    let token = &text[start..end];
    let body = token.trim_end_matches('=');
    let before = &bytes[start.saturating_sub(LOOK_BACK)..start];
    let place = place(before, bytes.get(end).copied());
    let least = if place == Place::Alone {
        MIN_ALONE
    } else {
        MIN
    };
    if body.len() < least {
        return false;
    }
    let count = |of: fn(&u8) -> bool| body.bytes().filter(of).count();
    let upper = count(u8::is_ascii_uppercase);
    let lower = count(u8::is_ascii_lowercase);
    let digits = count(u8::is_ascii_digit);
    let mixed = upper >= 2 && lower >= 2 && digits >= 1;
    // Lower case and digits only, as in many keys: only where something is given a value.
    let plain = place == Place::QuotedOrAssigned && digits >= 4 && body.len() >= 28;
    let bits = shannon(body.as_bytes());
    let enough = match (place, mixed) {
        (Place::Alone, true) => bits >= 4.1 && digits >= 2,
        (Place::QuotedOrAssigned, true) => bits >= 3.7 && digits >= 2,
        (Place::QuotedOrAssigned, false) => plain && bits >= 3.8,
        (Place::Alone, false) => false,
    };
    enough
        && body.len() * 10 < word_parts(body) * 32
        && !is_wordy(body)
        && !is_harmless(token)
        && !is_told_harmless(before)
        && !is_line_of_block(bytes, start, end)
}

fn place(before: &[u8], next: Option<u8>) -> Place {
    match before {
        [.., quote @ (b'"' | b'\'' | b'`')]
            if next.is_none_or(|next| next == *quote || next == b'\\') =>
        {
            Place::QuotedOrAssigned
        }
        [.., b'=' | b':']
        | [.., b'=' | b':', b' ']
        | [.., b'=' | b':', b' ' | b'"' | b'\'', b'"' | b'\''] => Place::QuotedOrAssigned,
        _ => Place::Alone,
    }
}

/// What stands before says that this is a digest, a public key or a part of an address.
fn is_told_harmless(before: &[u8]) -> bool {
    const DIGESTS: [&[u8]; 9] = [
        b"sha1:", b"sha256:", b"sha384:", b"sha512:", b"md5:", b"h1:", b"blake3:", b"SHA256:",
        b"MD5:",
    ];
    const PUBLIC: [&[u8]; 5] = [
        b"ssh-rsa ",
        b"ssh-ed25519 ",
        b"ssh-dss ",
        b"nistp256 ",
        b"nistp521 ",
    ];
    if DIGESTS
        .iter()
        .chain(&PUBLIC)
        .any(|told| before.ends_with(told))
    {
        return true;
    }
    // In an address without a name and password: the part since the last space or quote.
    let word = before
        .rsplit(|byte| byte.is_ascii_whitespace() || matches!(byte, b'"' | b'\'' | b'<' | b'('))
        .next()
        .unwrap_or_default();
    word.windows(3).any(|three| three == b"://") || word.windows(4).any(|four| four == b"www.")
}

/// A line of 60 to 76 characters, or the last one after such a line: a certificate, a public key, a
/// file in base64. Private keys have a rule of their own.
fn is_line_of_block(bytes: &[u8], start: usize, end: usize) -> bool {
    let ends_line = |at: usize| matches!(bytes.get(at), None | Some(b'\n' | b'\r' | b'\\'));
    let starts_line = start == 0 || matches!(bytes[start - 1], b'\n' | b'n' | b' ');
    if !starts_line || !ends_line(end) {
        return false;
    }
    if (60..=76).contains(&(end - start)) {
        return true;
    }
    let before = &bytes[start.saturating_sub(LOOK_BACK)..start];
    let before = before.strip_suffix(b"\n").unwrap_or_default();
    let before = before.strip_suffix(b"\r").unwrap_or(before);
    let line = before
        .iter()
        .rev()
        .take_while(|byte| is_token_byte(**byte))
        .count();
    (60..=76).contains(&line)
}

/// Bits per character of the text's own distribution (Shannon).
pub(super) fn shannon(bytes: &[u8]) -> f64 {
    let mut counts = [0_u32; 256];
    for byte in bytes {
        counts[usize::from(*byte)] += 1;
    }
    #[expect(clippy::cast_precision_loss, reason = "tokens are short")]
    let length = bytes.len() as f64;
    counts
        .iter()
        .filter(|count| **count > 0)
        .map(|count| {
            let part = f64::from(*count) / length;
            -part * part.log2()
        })
        .sum()
}
