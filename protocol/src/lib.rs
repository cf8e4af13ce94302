//! What the SpecTask daemon and everything that talks to it share: ids, states, views, requests,
//! events, errors, the one method table and the typed client. Compiles for `wasm32-wasip2`.
//!
//! A new method is one line in [`method`]; the daemon does not start until it has a handler.

mod client;
mod error;
mod event;
mod finding;
mod history;
mod id;
pub mod method;
mod model;
mod request;
pub mod shim;
mod state;

pub use client::{Client, DynTransport, Transport};
pub use error::{Failure, FailureKind};
pub use event::{Event, EventKind};
pub use finding::{DocumentKind, Finding, Severity, Span};
pub use history::*;
pub use id::{
    AgentName, IdError, MessageId, PermissionId, ProjectId, SessionRef, SpecTaskId, TaskRef,
    WorkSessionId,
};
pub use method::{Access, METHODS, Method, MethodInfo, PROTOCOL_VERSION};
pub use model::*;
pub use request::*;
pub use state::*;
