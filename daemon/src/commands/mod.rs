//! The slash commands: one table, one entry and one handler each, over the protocol's client only.
//!
//! `table` lists them, splits what a person typed, runs it, and shows the list to editors; `command`
//! is an entry of it, `invocation` what a handler gets and answers. Handlers: `plan`, `status`, `review`, `decide`, `stop`, `spawn`,
//! `thread`, `tell`, `help`. `choose` finds the SpecTask or session that is meant, `words` says
//! states and turns shell commands into slash commands, `failure` says what went wrong. Answers are
//! markdown; `markdown` is the one place where text of others becomes part of it.

mod choose;
mod command;
mod decide;
mod failure;
mod help;
mod invocation;
mod markdown;
mod plan;
mod review;
mod spawn;
mod status;
mod stop;
mod table;
mod tell;
mod thread;
mod words;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use command::Command;
pub use failure::failure_text;
pub use invocation::{CommandClient, Invocation, Reply};
pub use review::review_summary;
pub use table::{COMMANDS, available, merge, parse, run};
pub use words::in_thread;
