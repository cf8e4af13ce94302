//! The agents SpecTask knows by name.

use std::path::PathBuf;

use super::profile::Profile;

/// An agent SpecTask knows how to start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// The short name people use, such as `claude`.
    pub name: &'static str,
    /// The program and its arguments.
    pub argv: &'static [&'static str],
    /// Variables it reads its key from; none is required if it is logged in.
    pub keys: &'static [&'static str],
    /// How to install it.
    pub hint: &'static str,
    /// How a person logs in.
    pub login: &'static str,
}

impl Known {
    /// A profile for it with the default policy and limits.
    #[must_use]
    pub fn profile(&self) -> Profile {
        Profile::new(self.name, self.argv)
    }
}

/// The agents SpecTask knows, the ones to prefer first. The last one, `example`, is SpecTask's own
/// agent without a model; its program is the running executable.
#[must_use]
pub fn known() -> &'static [Known] {
    &[
        Known {
            name: "claude",
            argv: &["claude-agent-acp"],
            keys: &["ANTHROPIC_API_KEY"],
            hint: "Install it with `npm install -g @agentclientprotocol/claude-agent-acp`.",
            login: "Run `claude /login`, or set ANTHROPIC_API_KEY.",
        },
        Known {
            name: "codex",
            argv: &["codex-acp"],
            keys: &["OPENAI_API_KEY", "CODEX_API_KEY"],
            hint: "Install it with `npm install -g @agentclientprotocol/codex-acp`.",
            login: "Run `codex login`, or set OPENAI_API_KEY.",
        },
        Known {
            name: "gemini",
            argv: &["gemini", "--acp"],
            keys: &["GEMINI_API_KEY"],
            hint: "Install it with `npm install -g @google/gemini-cli`.",
            login: "Run `gemini` once and choose a login, or set GEMINI_API_KEY.",
        },
        Known {
            name: "opencode",
            argv: &["opencode", "acp"],
            keys: &[],
            hint: "Install it with `npm install -g opencode-ai`.",
            login: "Run `opencode auth login`.",
        },
        Known {
            name: "qwen",
            argv: &["qwen", "--acp"],
            keys: &["OPENAI_API_KEY"],
            hint: "Install it with `npm install -g @qwen-code/qwen-code`.",
            login: "Run `qwen` once and choose a login, or set OPENAI_API_KEY.",
        },
        Known {
            name: "goose",
            argv: &["goose", "acp"],
            keys: &[],
            hint: "Install it from https://block.github.io/goose.",
            login: "Run `goose configure`.",
        },
        Known {
            name: "fast-agent",
            argv: &["fast-agent-acp"],
            keys: &["ANTHROPIC_API_KEY", "OPENAI_API_KEY"],
            hint: "Install it with `uv tool install fast-agent-mcp`.",
            login: "Set the key of your model's provider, or run `fast-agent setup`.",
        },
        Known {
            name: "example",
            argv: &[EXAMPLE_PROGRAM, "example-agent"],
            keys: &[],
            hint: "It is part of SpecTask.",
            login: "It needs no login.",
        },
    ]
}

/// Stands for the running executable in the `example` entry.
pub(super) const EXAMPLE_PROGRAM: &str = "spectask";

/// The entry whose program has the file name `program`, with or without `.exe` or `.cmd`.
pub(super) fn by_program(program: &str) -> Option<&'static Known> {
    let stem = std::path::Path::new(program).file_name()?.to_str()?;
    let stem = [".exe", ".cmd", ".ps1"]
        .iter()
        .find_map(|end| stem.strip_suffix(end))
        .unwrap_or(stem);
    known()
        .iter()
        .find(|known| known.argv.first() == Some(&stem))
}
/// The running executable. After an upgrade under a running daemon Linux calls it deleted, while a
/// new one is at its place.
pub fn own_program() -> Option<PathBuf> {
    let own = std::env::current_exe().ok()?;
    let text = own.to_str()?;
    match text.strip_suffix(" (deleted)").map(PathBuf::from) {
        Some(replaced) if !own.exists() && replaced.exists() => Some(replaced),
        _ => Some(own),
    }
}
