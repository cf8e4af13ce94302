//! Agent processes and their connections over the Agent Client Protocol (ACP), wire version 1.
//!
//! A [`Profile`] says how an agent is started and what it may do; [`discover()`] finds the agents
//! of this machine. [`Agent::start`] spawns one process in a group of its own and connects to it:
//! frames are raw JSON, typed only where the daemon itself asks or answers, so that what it does
//! not know passes by unharmed. [`Agent::prompt`] runs a turn within limits. What the agent asks
//! for is served here: permissions by [`Policy`], files inside a [`Root`], commands as real
//! processes. Everything is told to an [`Observer`]. [`reap`] ends what a crash left behind.

mod agent;
mod connection;
mod discover;
mod error;
mod files;
mod host;
mod info;
mod known;
mod observer;
mod orphans;
mod output;
mod permission;
mod process;
mod profile;
mod relay;
mod root;
mod session;
mod sessions;
mod spawn;
mod terminal;
mod toolcall;
mod turn;
mod update;
mod wire;
mod zed;

pub use agent::Agent;
pub use agent_client_protocol::v1::schema::ContentBlock;
pub use discover::{Found, Source, discover};
pub use error::AgentError;
pub use info::{AgentInfo, AuthMethod, LoginCommand};
pub use known::{Known, known, own_program};
pub use observer::{
    Decision, Direction, Incident, IncidentKind, Observer, PermissionAnswer, PermissionAsk,
    PermissionOption, ProcessKind,
};
pub use orphans::{AGENT_MARK, Reaped, SESSION_MARK, is_alive, reap, reap_marked};
pub use process::{Exit, ProcessIdentity};
pub use profile::{Policy, Profile};
pub use relay::RelayError;
pub use root::{Refusal, Root};
pub use session::{Mode, Modes};
pub use sessions::SessionStart;
pub use spawn::SpawnSpec;
pub use turn::{StopReason, TurnEnd};
pub use update::SessionUpdateView;
pub use wire::RpcError;

#[cfg(test)]
mod tests;
