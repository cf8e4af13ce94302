//! Who watches a stream.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use serde_json::Value;
use spectask_protocol::PermissionId;

/// Which way a frame goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Way {
    /// From the daemon to the agent.
    ToAgent,
    /// From the agent to the daemon.
    FromAgent,
    /// No frame: a note of the daemon, `{"note": text}`.
    Daemon,
}

impl Way {
    /// As the transcript has it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ToAgent => "to_agent",
            Self::FromAgent => "from_agent",
            Self::Daemon => "daemon",
        }
    }

    /// The way that the transcript has; what is unknown is the daemon's.
    #[must_use]
    pub fn of(direction: &str) -> Self {
        match direction {
            "to_agent" => Self::ToAgent,
            "from_agent" => Self::FromAgent,
            _ => Self::Daemon,
        }
    }
}

/// Sees what happens in a stream.
///
/// Every method must return at once and must not call the stream: it may be called under the
/// stream's lock. After [`Stream::detach`](super::Stream::detach) a call that is under way may still
/// end.
pub trait Viewer: Send + Sync {
    /// Sees an entry; indexes rise. `replay`: it comes from the store, redacted. An index may be
    /// skipped: that part was not recorded.
    fn entry(&self, index: u64, way: Way, frame: &Value, replay: bool);

    /// Hears that what follows is live. Called again each time the viewer was too slow and has
    /// caught up from the store.
    fn caught_up(&self) {}

    /// Sees a permission question that waits: the parameters of the agent's request. Never before
    /// the first [`Viewer::caught_up`], and once for each question.
    fn asks(&self, permission: &PermissionId, params: &Value) {
        let _ = (permission, params);
    }

    /// Hears that a question it saw does not wait any more.
    fn settled(&self, permission: &PermissionId) {
        let _ = permission;
    }

    /// Bytes it was given and has not written yet. Above 32 MiB it gets nothing more until it is
    /// below 4 MiB, and then what it missed from the store.
    fn backlog(&self) -> usize {
        0
    }
}

/// A viewer's number in its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ViewerId(pub(super) u64);

/// An entry on its way.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) index: u64,
    pub(super) way: Way,
    pub(super) frame: Arc<Value>,
    pub(super) weight: usize,
}

/// Where a viewer stands.
pub(super) enum Place {
    /// It gets frames as they come.
    Live,
    /// It reads from the store; frames that come now are read later.
    Behind,
    /// It reads the last part from the store; frames that come now wait here.
    Joining(VecDeque<Entry>, usize),
}

/// A viewer in a stream.
pub(super) struct Watcher {
    pub(super) id: ViewerId,
    pub(super) viewer: Arc<dyn Viewer>,
    pub(super) gone: Arc<AtomicBool>,
    pub(super) place: Place,
    pub(super) shown: Vec<PermissionId>,
}

impl Watcher {
    /// Makes it live, and shows it the questions that wait.
    pub(super) fn join(&mut self, asks: &[(PermissionId, Value)]) {
        self.place = Place::Live;
        self.viewer.caught_up();
        for (permission, params) in asks {
            self.show(permission, params);
        }
    }

    /// Shows it a question, once it is live.
    pub(super) fn show(&mut self, permission: &PermissionId, params: &Value) {
        if matches!(self.place, Place::Live) && !self.shown.contains(permission) {
            self.shown.push(permission.clone());
            self.viewer.asks(permission, params);
        }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.gone.store(true, Ordering::Relaxed);
    }
}
