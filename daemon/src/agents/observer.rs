//! What the rest of the daemon sees of an agent.

use std::path::PathBuf;

use futures_util::future::BoxFuture;
use serde_json::Value;

use super::process::ProcessIdentity;
use super::update::SessionUpdateView;
use super::wire::RpcError;

/// Which way a frame goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the daemon to the agent.
    ToAgent,
    /// From the agent to the daemon.
    FromAgent,
}

/// Watches an agent and decides what its policy leaves open. Every method has a default that does
/// nothing, so an observer implements what it needs.
///
/// `frame` and `update` are called from the connection's own tasks, in the order of the wire, and
/// must return at once.
pub trait Observer: Send + Sync + 'static {
    /// Sees every frame as it was read or is about to be written, `session/prompt` included. The
    /// updates between the daemon's `session/load` and its answer are a replay of history.
    fn frame(&self, direction: Direction, frame: &Value) {
        let _ = (direction, frame);
    }

    /// Sees each `session/update`, after `frame`.
    fn update(&self, session: &str, update: &SessionUpdateView<'_>) {
        let _ = (session, update);
    }

    /// Answers a permission request that the policy does not decide. The future is dropped when
    /// the request is withdrawn: the turn was cancelled, or the agent is gone.
    fn permission(&self, ask: PermissionAsk) -> BoxFuture<'_, PermissionAnswer> {
        let _ = ask;
        Box::pin(async { PermissionAnswer::Cancelled })
    }

    /// Hears what the policy decided about a permission request, for the record.
    fn decided(&self, ask: &PermissionAsk, decision: Decision) {
        let _ = (ask, decision);
    }

    /// Hears of something a person should know: the agent tried to leave its folder, or talks
    /// nonsense.
    fn incident(&self, incident: &Incident) {
        let _ = incident;
    }

    /// Hears that a process runs, right after it was started and before the agent gets its first
    /// frame, or a terminal its id. What is stored here is what [`reap`](super::reap) needs after
    /// a crash; the agent waits until the future is done.
    fn started(&self, process: &ProcessIdentity, kind: ProcessKind) -> BoxFuture<'_, ()> {
        let _ = (process, kind);
        Box::pin(async {})
    }

    /// Hears that a process of which `started` was told has ended, with its group.
    fn ended(&self, process: &ProcessIdentity) {
        let _ = process;
    }

    /// Takes secrets out of an agent's own words before they become part of an error.
    fn redact(&self, text: &str) -> String {
        text.to_owned()
    }

    /// Has the first say over each request of the agent, raw: `Some` answers it in the daemon's
    /// place, with whatever the future yields.
    fn serve<'a>(
        &'a self,
        method: &'a str,
        params: &'a Value,
    ) -> Option<BoxFuture<'a, Result<Value, RpcError>>> {
        let _ = (method, params);
        None
    }
}

/// What the policy says about a permission request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Allowed.
    Allow,
    /// Rejected.
    Deny,
    /// Someone else must decide; says why.
    Ask(String),
}

/// What a process is to the daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProcessKind {
    /// The agent itself.
    Agent,
    /// A command that the agent runs through `terminal/create`.
    Terminal,
}

/// A permission request of an agent (`session/request_permission`).
#[derive(Debug, Clone, PartialEq)]
pub struct PermissionAsk {
    /// The ACP session id.
    pub session: String,
    /// The tool call it is about.
    pub tool_call: String,
    /// What the agent is about to do, in its own words, on one line.
    pub title: String,
    /// The same as a step, as in [`SessionUpdateView::step`]; agents do not always announce the
    /// tool call before they ask.
    pub step: String,
    /// ACP's tool kind: `read`, `edit`, `delete`, `move`, `search`, `execute`, `think`, `fetch`,
    /// `switch_mode`, `other`.
    pub kind: String,
    /// The files it says it touches.
    pub locations: Vec<PathBuf>,
    /// The command line it says it runs, if any.
    pub command: Option<String>,
    /// The answers the agent offers.
    pub options: Vec<PermissionOption>,
    /// Why the policy does not decide; empty under `ask`.
    pub reason: String,
    /// The request's parameters as they came.
    pub raw: Value,
}

/// One answer an agent offers to a permission request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PermissionOption {
    /// The id to answer with.
    pub id: String,
    /// The label for people.
    pub name: String,
    /// `allow_once`, `allow_always`, `reject_once`, `reject_always`, or something newer.
    pub kind: String,
}

/// The answer to a permission request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PermissionAnswer {
    /// The id of one of the options.
    Selected(String),
    /// No answer; the agent treats it as not allowed.
    Cancelled,
}

/// Something a person should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incident {
    /// The ACP session id, where one is known.
    pub session: Option<String>,
    /// What sort of thing happened.
    pub kind: IncidentKind,
    /// One sentence.
    pub text: String,
}

/// The sorts of incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum IncidentKind {
    /// A path outside the session's folder, or through a link that leads there.
    OutsideRoot,
    /// A write to git's own files.
    GitInternals,
    /// A line that is not a JSON-RPC message.
    MalformedFrame,
    /// More requests or terminals at once than are served.
    TooMany,
}

#[cfg(test)]
pub(super) struct Silent;

#[cfg(test)]
impl Observer for Silent {}
