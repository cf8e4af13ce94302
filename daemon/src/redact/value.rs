//! The shape of a value: what is no secret whatever its key is called.

use std::sync::LazyLock;

use aho_corasick::AhoCorasick;

use super::blob::decode;
use super::entropy::shannon;

/// Values that stand for one in examples, in small letters.
const EXAMPLES: [&str; 36] = [
    "example",
    "changeme",
    "change-me",
    "change_me",
    "placeholder",
    "redacted",
    "your_",
    "your-",
    "yourpass",
    "yourtoken",
    "yoursecret",
    "yourkey",
    "my_secret",
    "my-secret",
    "mysecret",
    "my_token",
    "my-token",
    "insert_",
    "insert-",
    "replace_",
    "replace-",
    "dummy",
    "todo",
    "undefined",
    "xxxx",
    "****",
    "....",
    "____",
    "<",
    "process.env",
    "os.environ",
    "getenv",
    "env.",
    "secrets.",
    "1234567890abcdef",
    "abcdefghijklm",
];

/// Finds [`EXAMPLES`]; a test sees that it was built.
static IS_EXAMPLE: LazyLock<Option<AhoCorasick>> = LazyLock::new(|| {
    AhoCorasick::builder()
        .ascii_case_insensitive(true)
        .build(EXAMPLES)
        .ok()
});

/// Whether a value is none of a secret by its shape alone: a digest, an identifier, a path, a
/// version, a time, an address without credentials, plain words in base64, a stand-in.
pub(super) fn is_harmless(value: &str) -> bool {
    is_digest(value)
        || is_uuid(value)
        || is_ulid(value)
        || is_number_or_time(value)
        || is_path(value)
        || is_address(value)
        || is_stand_in(value)
        || is_known_public(value)
        || is_plain_base64(value)
}

/// Whether what stands after a secret's name is a secret. `strong`: the name means nothing else.
pub(super) fn is_assigned_secret(
    value: &str,
    quoted: bool,
    next: Option<u8>,
    strong: bool,
) -> bool {
    let value = value.trim_end_matches(['.', ',', ';', ':', '!']);
    let bytes = value.as_bytes();
    // A call, an index, a member, a template.
    if !quoted && matches!(next, Some(b'(' | b'[' | b'{')) {
        return false;
    }
    let Some(first) = bytes.first() else {
        return false;
    };
    if matches!(
        first,
        b'$' | b'{' | b'<' | b'%' | b'*' | b'[' | b'(' | b'&' | b'~'
    ) && !quoted
        || value.contains("${")
        || value.contains("{{")
        || value.contains("$(")
        || value.contains("::")
        || value.contains("->")
        || value.starts_with("$2")
        || value.starts_with('$')
            && bytes[1..]
                .iter()
                .all(|b| b.is_ascii_alphanumeric() || *b == b'_')
    {
        return false;
    }
    let is_hex = |value: &str| value.bytes().all(|byte| byte.is_ascii_hexdigit());
    if strong && bytes.len() >= 32 && is_hex(value.strip_prefix("0x").unwrap_or(value)) {
        return shannon(bytes) > 2.5;
    }
    if is_harmless(value) {
        return false;
    }
    let letters = value.bytes().filter(u8::is_ascii_alphabetic).count();
    let digits = value.bytes().filter(u8::is_ascii_digit).count();
    let upper = value.bytes().filter(u8::is_ascii_uppercase).count();
    let marks = value
        .bytes()
        .filter(|byte| {
            matches!(
                byte,
                b'!' | b'@'
                    | b'#'
                    | b'$'
                    | b'%'
                    | b'^'
                    | b'&'
                    | b'*'
                    | b'+'
                    | b'?'
                    | b'~'
                    | b'='
                    | b'/'
            )
        })
        .count();
    let bits = shannon(bytes);
    if bits < 2.5 || is_joined(value) {
        return false;
    }
    let random = bytes.len() * 10 < word_parts(value) * 30;
    match (digits, marks) {
        // Letters alone are a secret only if they are no words.
        (0, 0) => letters >= 16 && upper >= 3 && upper + 3 < letters && random && bits >= 3.5,
        (0, _) => quoted && letters >= 6 && bits >= 3.0 && !value.contains('/') && random,
        _ if letters == 0 => marks >= 2 && digits >= 4,
        // A name with a number at its end, as in code, or parts of words.
        _ if strong && marks == 0 && is_wordy(value) => {
            quoted && bytes.len() >= 10 && !has_joints(value)
        }
        _ if is_wordy(value) => false,
        _ if strong => true,
        _ => bits >= 3.2 && (random || bytes.len() >= 24),
    }
}

/// Words and numbers with joints between, as in `db-credentials-v2`.
fn is_joined(value: &str) -> bool {
    has_joints(value)
        && value
            .split(['_', '-', '.', '/', ' ', ':', '@'])
            .all(|part| is_word(part) && (part.len() <= 4 || is_wordy(part)))
}

fn has_joints(value: &str) -> bool {
    value.contains(['_', '-', '.', '/', ' '])
}

/// All hexadecimal digits of a digest's length, or a digest in base64 with its name (SRI).
fn is_digest(value: &str) -> bool {
    let hex = |value: &str| value.len() >= 16 && value.bytes().all(|byte| byte.is_ascii_hexdigit());
    let named = [
        "sha256-", "sha384-", "sha512-", "sha1-", "md5-", "sha256:", "sha512:", "sha1:", "h1:",
    ];
    named.iter().any(|name| value.starts_with(name))
        || hex(value)
        || value
            .split(['-', '_', '/', '.', ':'])
            .all(|part| hex(part) || is_word(part))
            && value.split(['-', '_', '/', '.', ':']).any(hex)
}

fn is_uuid(value: &str) -> bool {
    let groups = [8, 4, 4, 4, 12];
    let value = value.trim_matches(['{', '}']);
    let value = value.strip_prefix("urn:uuid:").unwrap_or(value);
    let mut parts = value.split('-');
    groups.iter().all(|length| {
        parts.next().is_some_and(|part| {
            part.len() == *length && part.bytes().all(|b| b.is_ascii_hexdigit())
        })
    }) && parts.next().is_none()
}

fn is_ulid(value: &str) -> bool {
    value.len() == 26
        && matches!(value.as_bytes()[0], b'0'..=b'7')
        && value.bytes().all(|byte| {
            (byte.is_ascii_digit() || byte.is_ascii_uppercase())
                && !matches!(byte, b'I' | b'L' | b'O' | b'U')
        })
}

/// Digits with the signs of a number, a version, a date or an address of a network.
fn is_number_or_time(value: &str) -> bool {
    let version = value.strip_prefix(['v', 'V', '^', '~']).unwrap_or(value);
    let digits = version.bytes().filter(u8::is_ascii_digit).count();
    if digits == 0 || !version.as_bytes()[0].is_ascii_digit() {
        return false;
    }
    let is_plain = version.bytes().all(|byte| {
        byte.is_ascii_digit()
            || matches!(
                byte,
                b'.' | b'-' | b':' | b'T' | b'Z' | b'+' | b'_' | b'/' | b','
            )
    });
    // 1.2.3-rc.1+build.5
    let is_version = version.split('.').count() >= 3
        && version
            .split(['.', '-', '+'])
            .all(|part| is_word(part) || part.is_empty());
    is_plain || is_version
}

fn is_path(value: &str) -> bool {
    let drive =
        matches!(value.as_bytes(), [drive, b':', b'\\' | b'/', ..] if drive.is_ascii_alphabetic());
    let rooted = ["./", "../", "~/", "/"]
        .iter()
        .any(|start| value.starts_with(start));
    let parts = || value.split(['/', '\\']).filter(|part| !part.is_empty());
    drive
        || rooted
            && parts().all(|part| part.len() <= 24 || is_wordy(part))
            && !value.contains(['+', '='])
        || value.contains(['/', '\\']) && parts().all(|part| part.is_empty() || is_wordy(part))
}

fn is_address(value: &str) -> bool {
    value.contains("://") || value.starts_with("mailto:") || value.starts_with("git@")
}

fn is_stand_in(value: &str) -> bool {
    const ROW: &str = "0123456789abcdefghijklmnopqrstuvwxyz0123456789";
    let bytes = value.as_bytes();
    bytes
        .iter()
        .all(|byte| byte.eq_ignore_ascii_case(&bytes[0]))
        || IS_EXAMPLE
            .as_ref()
            .is_some_and(|words| words.is_match(value))
        || value.len() <= ROW.len() && ROW.contains(&*value.to_ascii_lowercase())
}

/// Ids and keys that are public by their own prefix.
fn is_known_public(value: &str) -> bool {
    const PUBLIC: [&str; 22] = [
        "AAAAB3Nza",
        "AAAAC3Nza",
        "AAAAE2Vj",
        "toolu_",
        "call_",
        "msg_",
        "req_",
        "chatcmpl-",
        "resp_",
        "pk_live_",
        "pk_test_",
        "sess_",
        "thread_",
        "run_",
        "asst_",
        "file-",
        "batch_",
        "evt_",
        "cus_",
        "price_",
        "prod_",
        "gen-",
    ];
    PUBLIC.iter().any(|prefix| value.starts_with(prefix))
}

/// Base64 of printable ASCII text with words in it.
fn is_plain_base64(value: &str) -> bool {
    let body = value.trim_end_matches('=');
    if body.len() < 8 || body.bytes().all(|byte| byte.is_ascii_lowercase()) {
        return false;
    }
    let Some(bytes) = decode(body) else {
        return false;
    };
    let letters = bytes
        .iter()
        .filter(|byte| byte.is_ascii_alphabetic() || **byte == b' ')
        .count();
    bytes
        .iter()
        .all(|byte| matches!(byte, b' '..=b'~' | b'\n' | b'\r' | b'\t'))
        && letters * 10 >= bytes.len() * 8
}

/// A word, a number, or a word with a short number at its end: `Engine`, `HTTP`, `2024`, `sha256`.
pub(super) fn is_word(part: &str) -> bool {
    let name = part.trim_end_matches(|c: char| c.is_ascii_digit());
    let digits = part.len() - name.len();
    let rest = name
        .strip_prefix(|c: char| c.is_ascii_uppercase())
        .unwrap_or(name);
    let is_name = rest.bytes().all(|byte| byte.is_ascii_lowercase())
        || name.bytes().all(|byte| byte.is_ascii_uppercase());
    is_name && (name.is_empty() || digits <= 4)
}

/// Whether a token is made of words, as names and paths are: most of its characters stand in words
/// of three letters or more.
pub(super) fn is_wordy(token: &str) -> bool {
    let mut words = 0;
    let mut all = 0;
    each_word(token, |word| {
        all += word.len();
        if is_pronounceable(word) {
            words += word.len();
        }
    });
    all == 0 || words * 10 >= all * 8
}

/// At least three letters with a vowel among them, and no five consonants in a row.
fn is_pronounceable(word: &str) -> bool {
    let mut vowels = 0;
    let mut run = 0;
    let mut longest = 0;
    for byte in word.bytes() {
        if matches!(
            byte.to_ascii_lowercase(),
            b'a' | b'e' | b'i' | b'o' | b'u' | b'y'
        ) {
            vowels += 1;
            run = 0;
        } else {
            run += 1;
            longest = longest.max(run);
        }
    }
    word.len() >= 3 && word.as_bytes()[0].is_ascii_alphabetic() && vowels > 0 && longest < 5
}

/// How many words, runs of capitals and runs of digits a token has; signs count for nothing.
pub(super) fn word_parts(token: &str) -> usize {
    let mut count = 0;
    each_word(token, |_| count += 1);
    count
}

fn each_word(token: &str, mut see: impl FnMut(&str)) {
    #[derive(PartialEq, Clone, Copy)]
    enum Class {
        Upper,
        Lower,
        Digit,
        Sign,
    }
    let class = |byte: u8| match byte {
        b'A'..=b'Z' => Class::Upper,
        b'a'..=b'z' => Class::Lower,
        b'0'..=b'9' => Class::Digit,
        _ => Class::Sign,
    };
    let bytes = token.as_bytes();
    let mut start = 0;
    while start < bytes.len() {
        let kind = class(bytes[start]);
        let same = |from: usize, kind| {
            bytes[from..]
                .iter()
                .take_while(|b| class(**b) == kind)
                .count()
        };
        let mut end = start + same(start, kind);
        // A capital belongs to the small letters after it.
        if kind == Class::Upper && end < bytes.len() && class(bytes[end]) == Class::Lower {
            if end - start == 1 {
                end += same(end, Class::Lower);
            } else {
                end -= 1;
            }
        }
        if kind != Class::Sign
            && let Some(word) = token.get(start..end)
        {
            see(word);
        }
        start = end;
    }
}
