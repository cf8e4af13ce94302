//! An entry of the table.

use futures_util::future::BoxFuture;
use spectask_protocol::Failure;

use super::invocation::{Invocation, Reply};

/// A slash command.
pub struct Command {
    /// Its name without the slash.
    pub name: &'static str,
    /// What it does, one line.
    pub description: &'static str,
    /// What may follow it, for people.
    pub hint: Option<&'static str>,
    /// More about it, markdown, for `/spec-help NAME`.
    pub(super) details: &'static str,
    pub(super) run: fn(Invocation, String) -> BoxFuture<'static, Result<Reply, Failure>>,
}

impl Command {
    pub(super) fn call(
        &self,
        invocation: Invocation,
        args: String,
    ) -> BoxFuture<'static, Result<Reply, Failure>> {
        (self.run)(invocation, args)
    }
}

impl std::fmt::Debug for Command {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "/{}", self.name)
    }
}
