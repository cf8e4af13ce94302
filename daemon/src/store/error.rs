//! What can go wrong with the database.

use std::path::PathBuf;

use spectask_protocol::WorkSessionId;

/// A fault of the database.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The folder or file cannot be used.
    #[error("cannot open the database {path}: {reason}")]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A later version of SpecTask wrote it; it was left untouched.
    #[error(
        "the database {path} was written by a newer SpecTask (schema {found}, this one knows {known}); it was left untouched. Upgrade spectask, or set SPECTASK_DATA_DIR to another folder"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its schema version.
        found: i64,
        /// The newest known schema version.
        known: i64,
    },
    /// A statement failed.
    #[error("{operation}: the database says: {reason}")]
    Sql {
        /// What was being done.
        operation: String,
        /// What SQLite said.
        reason: String,
    },
    /// A row holds what it cannot hold.
    #[error("the database holds an unknown {what} {value:?}; it may be damaged")]
    Corrupt {
        /// The kind of value.
        what: &'static str,
        /// The value.
        value: String,
    },
    /// A part of a transcript was recorded before.
    #[error("entry {first} of session {session} cannot be recorded: the next one is {next}")]
    Overlap {
        /// The session.
        session: WorkSessionId,
        /// The index of the first entry to record.
        first: u64,
        /// The index after the newest recorded entry.
        next: u64,
    },
    /// The writer has stopped.
    #[error("the database is closed")]
    Closed,
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql {
            operation: "query".into(),
            reason: error.to_string(),
        }
    }
}

impl StoreError {
    pub(super) fn during(operation: &str, error: &impl ToString) -> Self {
        Self::Sql {
            operation: operation.into(),
            reason: error.to_string(),
        }
    }
}
