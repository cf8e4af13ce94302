//! The daemon as an MCP server towards agents, and towards editors' own agents.
//!
//! A [`Server`] answers one client on behalf of one [`Caller`]: the protocol's client, which says
//! how the daemon is reached, and what is known of who asks. *Injected* servers sit inside an
//! agent's session and offer tools only; *standalone* ones (a context server of an editor) offer
//! the slash commands as prompts too. [`stdio`] serves a process's standard streams, `service`
//! serves `/mcp` in the daemon. Tools are a table (`tool`, `tools/`); what the daemon refuses is
//! a tool result with `isError`, never a protocol error. The server sends no request of its own:
//! clients such as Zed never answer one.

mod caller;
mod http;
mod prompts;
mod schema;
mod server;
mod stdio;
#[cfg(test)]
mod tests;
mod tool;
mod tools;

pub use caller::{Caller, Shape};
pub use http::service;
pub use server::Server;
pub use stdio::{ServeError, stdio};
