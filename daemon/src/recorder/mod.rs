//! History in git, as it happens: a follower that reads domain events and the redacted transcript
//! and writes one ref per work session and one per SpecTask.
//!
//! [`Recorder::pass`] finds what changed and feeds it, in the order of the database, to the machines
//! (`session`, `task`), which say what is written and when a commit is due; `slot` makes the commits
//! and moves the ref. The machines see nothing but events, frames and what never changes, so the
//! same log gives the same refs; how far a ref has come is told by the trailers of its tip. [`run`]
//! does it beside the daemon. [`format`] is the one description of what lies on those refs, for
//! writing and for reading; [`export`] lays it out as folders, [`holds`] tells whether all is there.

mod acp;
mod entry;
mod export;
mod fault;
mod follow;
pub mod format;
mod held;
mod run;
mod session;
mod slot;
mod task;
#[cfg(test)]
mod tests;
mod text;
mod titles;
mod turns;

pub use export::{Exported, export};
pub use follow::Recorder;
pub use held::holds;
pub use run::{Status, run};

/// Why history could not be written.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] crate::store::StoreError),
    /// The repository cannot be written, or is not there.
    #[error(transparent)]
    Repository(#[from] crate::repo::RepoError),
    /// Another repository lies where the project's was.
    #[error("another repository is at {0} now")]
    Another(String),
    /// A ref cannot be read, and its sources are gone.
    #[error("{0} cannot be read and is left as it is: what was said in it is kept nowhere else")]
    Damaged(String),
    /// There is no recorded history of that name.
    #[error("nothing is recorded of {0}")]
    Nothing(String),
    /// A test ended it here.
    #[error("ended {0}")]
    Killed(&'static str),
}
