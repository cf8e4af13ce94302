//! Secrets that are planted and looked for: made up, of a known format, another for each way in.

/// What the environment's variable `MY_SERVICE_TOKEN` holds: of no known format.
pub const VARIABLE: &str = "plain-words-of-a-variable-0042";

/// A token of a forge, the same for the same name. It is put together here so that no scanner takes
/// it for real.
#[must_use]
pub fn token(name: &str) -> String {
    let mut state: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in name.bytes() {
        state = (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    let alphabet: Vec<char> = ('a'..='z').chain('A'..='Z').chain('0'..='9').collect();
    let mut body = String::new();
    for _ in 0..36 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        body.push(alphabet[usize::try_from(state % 62).unwrap()]);
    }
    ["ghp", "_", &body].concat()
}

/// The ways in through which an agent plants one.
pub const WAYS: [&str; 20] = [
    "prompt",
    "comment",
    "message",
    "message-in-chunks",
    "thought-in-chunks",
    "call-title",
    "call-input",
    "call-output",
    "diff-old",
    "diff-new",
    "plan",
    "title",
    "permission",
    "terminal",
    "stderr",
    "path",
    "image",
    "key",
    "answer",
    "branch",
];
