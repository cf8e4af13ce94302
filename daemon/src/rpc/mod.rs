//! The JSON-RPC face: every method of the protocol's table over the local socket.
//!
//! `serve` accepts connections and finds out each one's role; `http` has the routes; `local` calls the
//! methods without a connection; `register` ties handlers to the method table; `task`, `review`, `session`, `setup` and `system` hold the handlers; `view` shows rows of
//! the store as the protocol's views. Handlers check nothing that `workflow` checks.

mod command;
mod coordination;
mod error;
mod face;
mod http;
mod local;
mod register;
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
pub use serve::{Server, SessionOf, socket_name};
