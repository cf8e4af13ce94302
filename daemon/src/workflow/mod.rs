//! Commands: check, decide, store. Each is one transaction that changes the tables and leaves its
//! events, or is refused and changes nothing. The state machines in [`machine`] say which step leads
//! where; nothing else changes a state.
//!
//! [`task`] has what a person does with a SpecTask, [`review`] the gate in front of implementation,
//! [`planning`] how its documents come
//! about, [`session`] what a work session goes through, [`turn`] what happens while its agent works,
//! [`thread`] the life of sessions that a person leads in an editor, [`message`] what sessions are told.

mod error;
pub mod lookup;
pub mod machine;
pub mod message;
mod name;
mod next_prompt;
pub mod planning;
mod reopen;
pub mod review;
pub mod session;
mod spawner;
pub mod task;
#[cfg(test)]
mod tests;
pub mod thread;
pub mod turn;

pub use error::WorkflowError;
pub use next_prompt::NextPrompt;
pub use spawner::Spawner;

use uuid::Uuid;

/// A new id: a UUIDv7, so that ids sort by time.
///
/// # Errors
/// Never for the id types of the protocol; the bound is theirs.
pub fn new_id<T: TryFrom<String>>() -> Result<T, WorkflowError>
where
    T::Error: std::fmt::Display,
{
    T::try_from(Uuid::now_v7().to_string())
        .map_err(|error| WorkflowError::Invalid(error.to_string()))
}
