//! Errors as they travel: a JSON-RPC code, a message for a person, and data for a program.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The kind of a failure. Each has its own JSON-RPC code and its own exit code on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// The parameters make no sense.
    InvalidParams,
    /// The method is unknown.
    MethodNotFound,
    /// What was named does not exist.
    NotFound,
    /// The command does not fit the state; the message says which would.
    InvalidState,
    /// The role of this connection may not do that.
    Forbidden,
    /// Something changed meanwhile; look again.
    Conflict,
    /// Client and daemon speak different versions.
    VersionMismatch,
    /// The daemon is stopping or cannot be reached.
    Unavailable,
    /// A fault of the daemon or of the machine.
    Internal,
}

impl FailureKind {
    /// Every kind.
    pub const ALL: [Self; 9] = [
        Self::InvalidParams,
        Self::MethodNotFound,
        Self::NotFound,
        Self::InvalidState,
        Self::Forbidden,
        Self::Conflict,
        Self::VersionMismatch,
        Self::Unavailable,
        Self::Internal,
    ];

    /// The JSON-RPC error code.
    #[must_use]
    pub const fn code(self) -> i32 {
        match self {
            Self::InvalidParams => -32602,
            Self::MethodNotFound => -32601,
            Self::Internal => -32603,
            Self::NotFound => -32001,
            Self::InvalidState => -32002,
            Self::Forbidden => -32003,
            Self::Conflict => -32004,
            Self::VersionMismatch => -32005,
            Self::Unavailable => -32006,
        }
    }

    /// The kind with that code; unknown codes are internal failures.
    #[must_use]
    pub fn from_code(code: i32) -> Self {
        Self::ALL
            .into_iter()
            .find(|kind| kind.code() == code)
            .unwrap_or(Self::Internal)
    }
}

/// A failure as a person and a program see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// What kind it is.
    pub kind: FailureKind,
    /// What happened, and why.
    pub message: String,
    /// What to do next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Failure {
    /// A failure without a hint.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            hint: None,
        }
    }

    /// The same failure with what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}
