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
        let kind = match error {
            HistoryError::Workflow(error) => return error.into(),
            HistoryError::Store(error) => return WorkflowError::from(error).into(),
            HistoryError::Repo(
                RepoError::NotARepository { .. } | RepoError::UnknownRevision { .. },
            )
            | HistoryError::NotFound { .. } => FailureKind::NotFound,
            HistoryError::Repo(RepoError::InvalidName { .. } | RepoError::InvalidPath { .. })
            | HistoryError::Invalid(_) => FailureKind::InvalidParams,
            HistoryError::Repo(_) | HistoryError::Damaged { .. } => FailureKind::InvalidState,
        };
        Failure::new(kind, error.to_string())
    }
}
