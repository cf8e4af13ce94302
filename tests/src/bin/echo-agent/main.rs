//! An ACP agent that does what its prompts say, numbers all it says and remembers every
//! conversation in a file.
//!
//! Options, each also as a variable (`ECHO_STATE`, `ECHO_LOG`, `ECHO_WITHOUT`):
//!
//! - `--state FOLDER`: where conversations are kept, one file each.
//! - `--log FILE`: one JSON line for each frame, both ways: `{"pid", "dir": "in"|"out", "frame"}`.
//! - `--without LIST`: comma list of what it does not offer: `load`, `resume`, `list`, `close`,
//!   `delete`, `fork`, `modes`, `options`.
//!
//! A prompt is a list of orders between semicolons, see [`orders`]. All it says in turn 3 of a
//! conversation is marked `t3-c1`, `t3-c2` and so on; the last piece of a turn that came
//! to its end, or was cancelled and stopped by itself, is `t3-end`.
#![allow(clippy::print_stderr)]

mod agent;
mod memory;
mod orders;
mod wire;

use std::path::PathBuf;
use std::sync::Arc;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let get = |option: &str, variable: &str| {
        let given = args.iter().position(|arg| arg == option);
        given
            .and_then(|at| args.get(at + 1).cloned())
            .or_else(|| std::env::var(variable).ok())
    };
    let state = get("--state", "ECHO_STATE").map_or_else(std::env::temp_dir, PathBuf::from);
    let wire = Arc::new(wire::Wire::new(get("--log", "ECHO_LOG").map(PathBuf::from)));
    let without = get("--without", "ECHO_WITHOUT").unwrap_or_default();
    let agent = Arc::new(agent::Agent::new(Arc::clone(&wire), state, &without));
    while let Some(frame) = wire.read() {
        agent::take(&agent, frame);
    }
}
