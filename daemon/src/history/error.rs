//! Why a question about the history has no answer.

use spectask_protocol::{Failure, FailureKind};

use crate::{repo::RepoError, store::StoreError, workflow::WorkflowError};

/// Why a question about the history has no answer.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What was named does not exist, or the database failed.
    #[error(transparent)]
    Workflow(#[from] WorkflowError),
    /// Git failed.
    #[error(transparent)]
    Repo(#[from] RepoError),
    /// The question makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// There is nothing of that name.
    #[error("there is no {what} {name:?}")]
    NotFound {
        /// The kind of thing.
        what: &'static str,
        /// What was asked for.
        name: String,
    },
    /// No ref of that name was written or fetched.
    #[error(
        "there is no recorded history of {name:?} {}",
        match remote {
            Some(remote) => format!("on {remote}"),
            None => "in this repository".to_owned(),
        }
    )]
    NotRecorded {
        /// What was asked for.
        name: String,
        /// The remote that was asked; none for the repository.
        remote: Option<String>,
        /// What there is, for a person.
        known: Vec<String>,
    },
    /// What a ref holds is not what the recorder writes.
    #[error("{name} cannot be read: {why}")]
    Damaged {
        /// The ref, or a file of it.
        name: String,
        /// Why.
        why: String,
    },
}

impl From<HistoryError> for Failure {
    fn from(error: HistoryError) -> Self {
        let text = error.to_string();
        let kind = match error {
            HistoryError::Workflow(error) => return error.into(),
            HistoryError::Store(error) => return WorkflowError::from(error).into(),
            HistoryError::NotRecorded { remote, known, .. } => {
                let failure = Self::new(FailureKind::NotFound, text);
                return match (known.as_slice(), remote) {
                    ([], Some(_)) => failure,
                    ([], None) => failure.hint(
                        "`spectask history fetch REMOTE` brings what another machine recorded",
                    ),
                    (known, _) => failure.hint(format!("there is: {}", known.join(", "))),
                };
            }
            HistoryError::Repo(
                RepoError::NotARepository { .. }
                | RepoError::UnknownRevision { .. }
                | RepoError::NoRemote { .. },
            )
            | HistoryError::NotFound { .. } => FailureKind::NotFound,
            HistoryError::Repo(RepoError::InvalidName { .. } | RepoError::InvalidPath { .. })
            | HistoryError::Invalid(_) => FailureKind::InvalidParams,
            HistoryError::Repo(_) | HistoryError::Damaged { .. } => FailureKind::InvalidState,
        };
        Self::new(kind, text)
    }
}
