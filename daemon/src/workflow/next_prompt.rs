//! What the next prompt of a session is about; kept, so that a restart asks the same.

use serde::{Deserialize, Serialize};
use spectask_protocol::{Finding, LineComment};

use crate::store::SessionRow;

/// What the next prompt of a session is about; kept, so that a restart asks the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum NextPrompt {
    /// The documents go back to the planner.
    Revise {
        /// What a person said.
        comment: Option<String>,
        /// What a person said about lines.
        comments: Vec<LineComment>,
        /// What the validator found.
        findings: Vec<Finding>,
    },
    /// Documents are missing after a planning turn.
    Missing {
        /// The files.
        files: Vec<String>,
    },
    /// Verify failed.
    Fix {
        /// The end of its output.
        output: String,
    },
    /// The merge has conflicts, now marked in the worktree.
    Resolve {
        /// The files.
        files: Vec<String>,
    },
    /// Messages wait that came while the agent worked; the result of its turn is not looked at yet.
    Message {
        /// What the turn before was about; none: the first prompt of the phase.
        before: Option<Box<NextPrompt>>,
    },
    /// A turn was cut or stopped early; the same work goes on.
    Continue {
        /// Why.
        reason: String,
        /// What the cut turn was about; none: the first prompt of the phase.
        before: Option<Box<NextPrompt>>,
    },
}

impl NextPrompt {
    /// The purpose of its turn, as the turn's row names it.
    #[must_use]
    pub const fn purpose(&self) -> &'static str {
        match self {
            Self::Revise { .. } | Self::Missing { .. } => "revise",
            Self::Fix { .. } => "fix",
            Self::Resolve { .. } => "resolve",
            Self::Message { .. } => super::message::PURPOSE,
            Self::Continue { .. } => "continue",
        }
    }

    /// Whether its turn resolves a conflict, perhaps after an interruption.
    #[must_use]
    pub fn resolves(&self) -> bool {
        match self {
            Self::Resolve { .. } => true,
            Self::Continue { before, .. } | Self::Message { before } => {
                before.as_deref().is_some_and(Self::resolves)
            }
            _ => false,
        }
    }

    /// The kept prompt of a session.
    #[must_use]
    pub fn of(session: &SessionRow) -> Option<Self> {
        serde_json::from_str(session.next_prompt.as_deref()?).ok()
    }

    /// As it is kept.
    #[must_use]
    pub fn to_text(&self) -> Option<String> {
        serde_json::to_string(self).ok()
    }
}
