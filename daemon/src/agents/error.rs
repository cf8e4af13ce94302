//! What can go wrong with an agent, in words a person can act on.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use super::info::AuthMethod;
use super::wire::RpcError;

/// A failure of an agent, its process or its connection.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AgentError {
    /// The profile's program is not there.
    #[error("agent {agent}: the program `{command}` was not found.{}", hint_text(.hint))]
    NotFound {
        /// The profile's name.
        agent: String,
        /// The first word of the profile's command.
        command: String,
        /// How to install it, where that is known.
        hint: Option<String>,
    },
    /// The profile names no program at all.
    #[error("agent {agent}: the profile has an empty `command`; set it in the configuration")]
    NoCommand {
        /// The profile's name.
        agent: String,
    },
    /// The system refused to start the program.
    #[error("agent {agent}: `{command}` could not be started: {source}")]
    Spawn {
        /// The profile's name.
        agent: String,
        /// The command line.
        command: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The folder whose files are to be served cannot be used.
    #[error("agent {agent}: the folder {} cannot be served: {source}", .path.display())]
    Root {
        /// The profile's name.
        agent: String,
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Variables that the profile names are not set.
    #[error(
        "agent {agent} needs {}, which this environment does not have; \
         export it and run the command again",
        .names.join(", ")
    )]
    EnvironmentMissing {
        /// The profile's name.
        agent: String,
        /// The missing variables.
        names: Vec<String>,
    },
    /// The agent wants a login first (error code -32000).
    #[error(
        "agent {agent} is not logged in ({message}); run `spectask agents login {agent}`{}",
        methods_text(.methods)
    )]
    AuthRequired {
        /// The profile's name.
        agent: String,
        /// The agent's own words.
        message: String,
        /// The ways to log in that it offers.
        methods: Vec<AuthMethod>,
    },
    /// The process ended, or closed its output, before it answered.
    #[error("agent {agent} ended while {during}: {status}{}", stderr_text(.stderr))]
    Exited {
        /// The profile's name.
        agent: String,
        /// What was being waited for.
        during: String,
        /// How the process ended.
        status: String,
        /// The end of what it wrote to standard error.
        stderr: String,
    },
    /// What the agent sent is not ACP v1.
    #[error("agent {agent} broke the protocol: {what}{}", stderr_text(.stderr))]
    Protocol {
        /// The profile's name.
        agent: String,
        /// What was wrong.
        what: String,
        /// The end of what it wrote to standard error.
        stderr: String,
    },
    /// The agent answered a request with an error.
    #[error("agent {agent} refused {method}: {error}{}", stderr_text(.stderr))]
    Rpc {
        /// The profile's name.
        agent: String,
        /// The request.
        method: String,
        /// Code, message and data as the agent gave them.
        error: Box<RpcError>,
        /// The end of what it wrote to standard error.
        stderr: String,
    },
    /// No answer, or no end of the turn, within the limit.
    #[error("agent {agent}: {what} took longer than {}{}", duration_text(.after), stderr_text(.stderr))]
    Timeout {
        /// The profile's name.
        agent: String,
        /// The request, or `the turn`.
        what: String,
        /// The limit.
        after: Duration,
        /// The end of what it wrote to standard error.
        stderr: String,
    },
    /// Nothing came from the agent for too long during a turn.
    #[error("agent {agent} was silent for {} in the middle of a turn{}", duration_text(.after), stderr_text(.stderr))]
    Idle {
        /// The profile's name.
        agent: String,
        /// The limit.
        after: Duration,
        /// The end of what it wrote to standard error.
        stderr: String,
    },
    /// The agent does not offer what was asked for.
    #[error("agent {agent} does not offer {what}")]
    Unsupported {
        /// The profile's name.
        agent: String,
        /// The method or ability.
        what: String,
    },
    /// The profile's session mode is not one of the agent's.
    #[error("agent {agent} has no session mode `{wanted}`; it offers: {}", list_text(.available))]
    UnknownMode {
        /// The profile's name.
        agent: String,
        /// The mode in the profile.
        wanted: String,
        /// The modes of the agent.
        available: Vec<String>,
    },
    /// The session was not opened on this connection.
    #[error("agent {agent} has no open session `{session}` on this connection")]
    UnknownSession {
        /// The profile's name.
        agent: String,
        /// The session id that was asked for.
        session: String,
    },
}

impl AgentError {
    /// Whether a new process with the same session may get further: the process is gone or hangs,
    /// but nothing says that asking again is useless.
    #[must_use]
    pub fn is_worth_a_respawn(&self) -> bool {
        matches!(
            self,
            Self::Exited { .. } | Self::Timeout { .. } | Self::Idle { .. }
        )
    }
}

fn hint_text(hint: &Option<String>) -> String {
    match hint {
        Some(hint) => format!(" {hint}"),
        None => " Check `command` in the profile, and PATH.".to_owned(),
    }
}

fn methods_text(methods: &[AuthMethod]) -> String {
    if methods.is_empty() {
        return String::new();
    }
    let names: Vec<&str> = methods.iter().map(|method| method.name.as_str()).collect();
    format!(" (it offers: {})", names.join(", "))
}

fn list_text(names: &[String]) -> String {
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    }
}

fn duration_text(duration: &Duration) -> String {
    super::profile::duration_text(*duration)
}

/// The last lines of an agent's standard error, indented, for the end of a message.
fn stderr_text(stderr: &str) -> String {
    const LINES: usize = 12;
    let lines: Vec<&str> = stderr
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    if lines.is_empty() {
        return String::new();
    }
    let mut text = "\n  its last words:".to_owned();
    for line in &lines[lines.len().saturating_sub(LINES)..] {
        let _ = write!(text, "\n  | {}", super::update::one_line(line, 300));
    }
    text
}
