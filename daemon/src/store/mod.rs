//! SQLite: the only room that knows SQL.
//!
//! [`Store::write`] runs a closure in a savepoint of the writer thread's transaction and returns
//! after the commit (WAL, `synchronous=FULL`); closures that arrive together share one commit.
//! [`Store::read`] runs on one of a few read-only connections. Both hand out [`Read`], which holds
//! the queries; [`Write`] adds the changes. Changes append their domain events in the same
//! transaction; [`Store::committed`] wakes followers after the commit.

mod error;
mod event;
mod message;
mod open;
mod past;
mod permission;
mod process;
mod project;
mod recorded;
mod retention;
mod review;
mod row;
mod search;
mod seen;
mod session;
mod task;
#[cfg(test)]
mod tests;
mod thread;
mod transcript;
mod turn;
mod work;
mod writer;

pub use error::StoreError;
pub use event::rfc3339;
pub use message::{MessageRow, NewMessage};
pub use past::{ImportedSession, ImportedTask, ImportedTurn};
pub use process::ProcessRow;
pub use project::ProjectRow;
pub use recorded::{PlacedEvent, TurnCommit};
pub use retention::{BlobMarks, FreePages};
pub use review::{NewRevision, ReviewRow, RevisionRow};
pub use search::{FileTurn, NewSearchBlock, SearchBlock, SearchFilter};
pub use seen::SeenThreadRow;
pub use session::{NewSession, SessionRow};
pub use task::{NewTask, TaskRow};
pub use thread::{NewThread, ThreadFilter, ThreadRow};
pub use transcript::Frame;
pub use turn::TurnRow;
pub use work::{NewImplementationTask, ReadyTask, WorkRow};

pub use self::{
    open::Store,
    writer::{Read, Write},
};

/// What stands for the SpecTask in the name of a session that has none: `threads/12-slug`.
pub const LOOSE: &str = "threads";
