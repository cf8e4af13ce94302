//! The JSON-RPC face: every method of the protocol's table over the local socket and, with a
//! token, over loopback.
//!
//! `serve` accepts connections, `http` has the routes; `role` finds out who a process is, `loopback` who
//! may come in there, `owner` whose process that is, `rate` how fast; `local` calls the methods without
//! a connection; `register` ties handlers to the method table; `remote`, `task`, `review`, `session`, `setup` and `system` hold the handlers; `view` shows rows of
//! the store as the protocol's views. Handlers check nothing that `workflow` checks.

mod command;
mod coordination;
mod error;
mod extension;
mod face;
mod history;
mod http;
mod layout;
mod local;
mod loopback;
mod owner;
mod rate;
mod register;
mod remote;
mod review;
mod role;
mod serve;
mod session;
mod setup;
mod system;
mod task;
mod view;
mod zed;

pub use error::ServeError;
pub use http::Mounts;
pub use local::Local;
pub use role::Peer;
pub use serve::{Server, socket_name};

#[cfg(test)]
mod tests;
