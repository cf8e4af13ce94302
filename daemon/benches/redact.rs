//! Redaction of a transcript's text, in bytes a second on one core, and of the worst texts in three
//! sizes, which must take a time in proportion. The baseline in the same run is one look at every
//! byte of the text for four characters.

#![allow(
    clippy::unwrap_used,
    reason = "a bench that cannot be set up has nothing to tell"
)]

use std::{fmt::Write as _, sync::LazyLock};

use divan::{Bencher, black_box, counter::BytesCount};
use serde_json::{Value, json};
use spectask::redact::{Redactor, StreamRedactor};

const MIB: usize = 1 << 20;

static REDACTOR: LazyLock<Redactor> = LazyLock::new(|| {
    let token = (
        "MY_TOKEN".to_owned(),
        "q8Zt-0042-not-in-the-text".to_owned(),
    );
    Redactor::with_key([7; 32], [token])
});

/// Numbers that are the same in every run.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % below as u64).unwrap()
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.next(from.len())]
    }

    fn hex(&mut self, length: usize) -> String {
        (0..length)
            .map(|_| char::from(b"0123456789abcdef"[self.next(16)]))
            .collect()
    }

    fn words(&mut self, count: usize) -> String {
        const WORDS: [&str; 40] = [
            "the", "session", "token", "of", "a", "request", "is", "checked", "before", "it",
            "reaches", "store", "and", "every", "writer", "waits", "for", "commit", "which",
            "password", "never", "leaves", "memory", "because", "key", "derived", "from", "user",
            "input", "then", "we", "run", "tests", "again", "to", "see", "whether", "secret",
            "handling", "changed",
        ];
        let words: Vec<&str> = (0..count).map(|_| self.pick(&WORDS)).collect();
        words.join(" ")
    }
}

/// Prose, code, diffs, JSON and the output of tools, as transcripts have them.
fn transcript(size: usize) -> String {
    const CODE: [&str; 10] = [
        "    let token = self.next_token(&mut cursor)?;\n",
        "    if user.password_hash != hash(&input.password) {\n        return Err(AuthError::Denied);\n    }\n",
        "pub fn key_of(map: &BTreeMap<String, Value>, name: &str) -> Option<&Value> {\n    map.get(name)\n}\n",
        "const MAX_SESSION_AGE_SECONDS: u64 = 86_400;\n",
        "        match self.stream.read(&mut buffer).await? {\n            0 => break,\n            n => self.take(&buffer[..n]),\n        }\n",
        "use std::{collections::HashMap, sync::Arc};\n",
        "export const useSession = () => useContext(SessionContext);\n",
        "    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);\n",
        "#[derive(Debug, Clone, Serialize, Deserialize)]\n#[serde(rename_all = \"camelCase\")]\n",
        "    api_key: process.env.API_KEY,\n    url: `https://${host}:8443/api/v1/sessions/${id}`,\n",
    ];
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    let mut out = String::with_capacity(size + 4096);
    while out.len() < size {
        match numbers.next(6) {
            0 | 1 => {
                let count = 20 + numbers.next(60);
                let _ = write!(out, "I read the tests. {}.\n\n", numbers.words(count));
            }
            2 => {
                out.push_str("```rust\n");
                for _ in 0..12 {
                    out.push_str(numbers.pick(&CODE));
                }
                out.push_str("```\n");
            }
            3 => {
                let (a, b) = (numbers.hex(7), numbers.hex(7));
                let _ = write!(
                    out,
                    "diff --git a/src/auth/session.rs b/src/auth/session.rs\nindex {a}..{b} 100644\n--- a/src/auth/session.rs\n+++ b/src/auth/session.rs\n@@ -12,7 +12,9 @@ impl Session {{\n"
                );
                for sign in [" ", "-", "+", "+", " "] {
                    let _ = write!(out, "{sign}{}", numbers.pick(&CODE));
                }
            }
            4 => {
                let (id, sum) = (numbers.hex(32), numbers.hex(64));
                let words = numbers.words(8);
                let _ = writeln!(
                    out,
                    "{{\"id\":\"{id}\",\"sha256\":\"{sum}\",\"path\":\"/home/me/project/src/main.rs\",\"line\":{},\"text\":\"{words}\",\"ok\":true}}",
                    numbers.next(900)
                );
            }
            _ => {
                for _ in 0..8 {
                    let (hash, time) = (numbers.hex(40), numbers.next(60));
                    let _ = writeln!(
                        out,
                        "{hash} 2026-11-22T10:{time:02}:00Z test auth::session::tests::expires_after_{time} ... ok"
                    );
                }
                out.push_str("test result: ok. 412 passed; 0 failed; finished in 3.21s\n");
            }
        }
    }
    out.truncate(out.floor_char_boundary(size));
    out
}

static TEXT: LazyLock<String> = LazyLock::new(|| transcript(4 * MIB));

/// The same text in frames of 2 KiB as a terminal's output comes.
static FRAMES: LazyLock<Vec<Value>> = LazyLock::new(|| {
    TEXT.as_bytes()
        .chunks(2048)
        .map(|part| {
            json!({ "jsonrpc": "2.0", "method": "session/update", "params": { "sessionId": "s", "update": {
                "sessionUpdate": "tool_call_update", "toolCallId": "call_1", "content": [{
                    "type": "content", "content": { "type": "text", "text": String::from_utf8_lossy(part) } }] } } })
        })
        .collect()
});

fn main() {
    divan::main();
}

#[divan::bench]
fn ordinary_text(bencher: Bencher) {
    assert_eq!(REDACTOR.find(&TEXT), []);
    bencher
        .counter(BytesCount::of_str(TEXT.as_str()))
        .bench(|| REDACTOR.text(black_box(&TEXT)).len());
}

#[divan::bench]
fn ordinary_text_look_at_every_byte(bencher: Bencher) {
    bencher
        .counter(BytesCount::of_str(TEXT.as_str()))
        .bench(|| {
            black_box(&*TEXT)
                .bytes()
                .filter(|byte| matches!(black_box(byte), b'=' | b':' | b'"' | b'_'))
                .count()
        });
}

#[divan::bench]
fn ordinary_frames(bencher: Bencher) {
    bencher
        .counter(BytesCount::of_str(TEXT.as_str()))
        .with_inputs(|| FRAMES.clone())
        .bench_values(|mut frames| {
            let changed = frames
                .iter_mut()
                .filter_map(|frame| REDACTOR.json(frame).then_some(()));
            assert_eq!(changed.count(), 0);
            frames
        });
}

#[divan::bench]
fn ordinary_text_in_chunks_of_40_bytes(bencher: Bencher) {
    let text = &TEXT[..MIB];
    bencher.counter(BytesCount::of_str(text)).bench(|| {
        let mut stream = StreamRedactor::new(REDACTOR.clone());
        let mut length = 0;
        for part in text.as_bytes().chunks(40) {
            length += stream.push(std::str::from_utf8(part).unwrap()).len();
        }
        length + stream.finish().len()
    });
}

/// What costs most, repeated.
const WORST: [(&str, &str); 8] = [
    ("jwt", "eyJ-"),
    ("jwt-two-parts", "eyJaaaaaaaaaaaa.eyJaaaaaaaaaaa-"),
    ("url", "://a:b"),
    ("assignment", "password="),
    ("assignment-long", "token: aaaaaaaaaaaaaaaaaaaaaaaaa"),
    ("key", "-----BEGIN PRIVATE KEY-----\n"),
    ("letters", "a"),
    ("base64", "aB3/dE5gH7jK9mN1pQ0rS2tU4vW6xYzAcCfFiIlLoO+"),
];

#[divan::bench(args = WORST.iter().flat_map(|(name, _)| [(*name, 1), (*name, 2), (*name, 4)]).map(Worst), sample_count = 5)]
fn worst(bencher: Bencher, worst: &Worst) {
    let (name, megabytes) = worst.0;
    let unit = WORST.iter().find(|(other, _)| *other == name).unwrap().1;
    let text = unit.repeat(megabytes * MIB / unit.len());
    bencher
        .counter(BytesCount::of_str(text.as_str()))
        .bench(|| REDACTOR.text(black_box(&text)).len());
}

struct Worst((&'static str, usize));

impl std::fmt::Display for Worst {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} MiB", self.0.0, self.0.1)
    }
}
