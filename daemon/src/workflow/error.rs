//! Why a command is refused.

use spectask_protocol::{Failure, FailureKind, Finding, SessionStatus, SpecTaskStatus};

use super::name::session_name;
use crate::store::{SessionRow, StoreError, TaskRow, TurnRow};

/// A command that was refused. Nothing was changed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum WorkflowError {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What was named does not exist.
    #[error("there is no {what} {name:?}")]
    NotFound {
        /// The kind of thing.
        what: &'static str,
        /// What the person wrote.
        name: String,
    },
    /// The SpecTask is not in a state for that.
    #[error("cannot {command} {name}: it is in {status}")]
    TaskState {
        /// What was asked.
        command: &'static str,
        /// The SpecTask.
        name: String,
        /// Its state.
        status: SpecTaskStatus,
        /// What to do instead.
        hint: String,
    },
    /// The session is not in a state for that.
    #[error("cannot {command} {name}: it is {status}")]
    SessionState {
        /// What was asked.
        command: &'static str,
        /// The session.
        name: String,
        /// Its state.
        status: SessionStatus,
    },
    /// The session is led by a person in an editor.
    #[error("cannot {command} {name}: a person leads it in an editor")]
    AdHoc {
        /// What was asked.
        command: &'static str,
        /// The session.
        name: String,
    },
    /// The session is not led by a person in an editor.
    #[error("cannot {command} {name}: it is no thread from an editor")]
    NotAdHoc {
        /// What was asked.
        command: &'static str,
        /// The session.
        name: String,
    },
    /// A request of an editor came again; it has its turn.
    #[error("the request was taken before: it is turn {} of session {}", .0.number, .0.session)]
    Repeated(Box<TurnRow>),
    /// The person saw another revision than the newest.
    #[error("revision {seen} of {name} is not the newest any more: that is revision {newest}")]
    Outdated {
        /// The SpecTask.
        name: String,
        /// What the person saw.
        seen: u32,
        /// What there is now.
        newest: u32,
    },
    /// The documents are not those that the person saw.
    #[error("the digest does not belong to revision {revision} of {name}")]
    DigestMismatch {
        /// The SpecTask.
        name: String,
        /// The revision.
        revision: u32,
    },
    /// Findings stand against approval.
    #[error("{name} cannot be approved: {}", list(.findings))]
    Findings {
        /// The SpecTask.
        name: String,
        /// Those that stand against it.
        findings: Vec<Finding>,
        /// Whether a person may accept them.
        acceptable: bool,
    },
    /// A machine of states was asked for a step it does not have.
    #[error("{subject} cannot go from {from} to {to}")]
    Transition {
        /// What it is.
        subject: String,
        /// Before.
        from: &'static str,
        /// After.
        to: &'static str,
    },
    /// The session has ended.
    #[error("cannot {command} {name}: it is {status}")]
    Ended {
        /// What was asked.
        command: &'static str,
        /// The session.
        name: String,
        /// Its state.
        status: SessionStatus,
        /// Its SpecTask, where it has one.
        task: Option<String>,
    },
    /// The SpecTask was taken over from another machine, to be read.
    #[error("{0} was taken over from another machine: here it can be read, not worked on")]
    Elsewhere(String),
    /// Not for whoever asked.
    #[error("{0}")]
    Forbidden(String),
    /// What was asked makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// A repository said no.
    #[error("{0}")]
    Repository(String),
}

fn list(findings: &[Finding]) -> String {
    let shown: Vec<String> = findings
        .iter()
        .take(3)
        .map(|finding| {
            format!(
                "{}:{}: {}",
                finding.document.file_name(),
                finding.span.line,
                finding.message
            )
        })
        .collect();
    let more = findings.len().saturating_sub(shown.len());
    let tail = if more > 0 {
        format!("; and {more} more")
    } else {
        String::new()
    };
    format!("{}{tail}", shown.join("; "))
}

impl From<WorkflowError> for Failure {
    fn from(error: WorkflowError) -> Self {
        let message = error.to_string();
        let (kind, hint) = match error {
            WorkflowError::Store(_) => (FailureKind::Internal, None),
            WorkflowError::NotFound { .. } => (
                FailureKind::NotFound,
                Some("`spectask list` shows what there is".to_owned()),
            ),
            WorkflowError::TaskState { hint, .. } => (FailureKind::InvalidState, Some(hint)),
            WorkflowError::SessionState { .. } | WorkflowError::Transition { .. } => {
                (FailureKind::InvalidState, None)
            }
            WorkflowError::AdHoc { name, .. } => (
                FailureKind::InvalidState,
                Some(format!(
                    "`spectask stop {name}` ends its turn; the rest is done in the editor"
                )),
            ),
            WorkflowError::NotAdHoc { .. } => (
                FailureKind::InvalidState,
                Some("`spectask sessions` tells which sessions are ad hoc: threads/…".to_owned()),
            ),
            WorkflowError::Ended { task, .. } => (
                FailureKind::InvalidState,
                task.map(|task| {
                    format!("`spectask spawn {task} \"…\"` starts a session for what is left")
                }),
            ),
            WorkflowError::Elsewhere(name) => (
                FailureKind::InvalidState,
                Some(format!(
                    "work on it where it was made; `spectask history import {name}` brings what is new"
                )),
            ),
            WorkflowError::Forbidden(_) => (FailureKind::Forbidden, None),
            WorkflowError::Repeated(_) => (FailureKind::Conflict, None),
            WorkflowError::Outdated { name, .. } | WorkflowError::DigestMismatch { name, .. } => (
                FailureKind::Conflict,
                Some(format!("look again: `spectask review {name}`")),
            ),
            WorkflowError::Findings {
                name, acceptable, ..
            } => {
                let hint = if acceptable {
                    format!(
                        "`spectask request-changes {name}` sends them back, `spectask edit {name}` mends them, `spectask approve {name} --accept-findings` accepts them"
                    )
                } else {
                    format!(
                        "these cannot be accepted: `spectask edit {name}` or `spectask request-changes {name}`"
                    )
                };
                (FailureKind::InvalidState, Some(hint))
            }
            WorkflowError::Invalid(_) => (FailureKind::InvalidParams, None),
            WorkflowError::Repository(_) => (FailureKind::InvalidState, None),
        };
        Self {
            kind,
            message,
            hint,
        }
    }
}

/// The refusal of a command that does not fit a SpecTask's state.
pub(in crate::workflow) fn refused(
    command: &'static str,
    task: &TaskRow,
    hint: &str,
) -> WorkflowError {
    WorkflowError::TaskState {
        command,
        name: task.name(),
        status: task.status,
        hint: hint.to_owned(),
    }
}

/// The refusal of a command that is not for a session that a person leads in an editor.
pub(in crate::workflow) fn refused_ad_hoc(
    command: &'static str,
    task: Option<&TaskRow>,
    session: &SessionRow,
) -> WorkflowError {
    WorkflowError::AdHoc {
        command,
        name: session_name(task, session),
    }
}
