//! The stream of one session: numbers frames, hands them to viewers, queues them for the transcript.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError, Weak,
    atomic::{AtomicBool, Ordering},
};

use jiff::Timestamp;
use serde_json::Value;
use spectask_protocol::{PermissionId, WorkSessionId};
use tokio::{runtime::Handle, sync::Semaphore};

use super::{
    viewer::{Entry, Place, Viewer, ViewerId, Watcher, Way},
    writer::Queue,
};
use crate::{redact::Redactor, store::Store};

/// How much may wait, in bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// A viewer that has not written more than this gets nothing more.
    pub(super) backlog: usize,
    /// A viewer that has not written less than this goes on.
    pub(super) drained: usize,
    /// What waits for a viewer that joins.
    pub(super) buffer: usize,
    /// What waits for the transcript.
    pub(super) queue: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            backlog: 32 << 20,
            drained: 4 << 20,
            buffer: 8 << 20,
            queue: 64 << 20,
        }
    }
}

/// What the streams of a daemon share.
pub(super) struct Common {
    pub(super) store: Store,
    pub(super) runtime: Handle,
    pub(super) limits: Limits,
    /// Pages of transcripts that are read at once.
    pub(super) pages: Semaphore,
}

/// The stream of one session.
pub struct Stream {
    pub(super) session: WorkSessionId,
    pub(super) common: Arc<Common>,
    pub(super) queue: Queue,
    me: Weak<Self>,
    state: Mutex<State>,
}

pub(super) struct State {
    pub(super) next: u64,
    pub(super) watchers: Vec<Watcher>,
    pub(super) asks: Vec<(PermissionId, Value)>,
    viewers: u64,
    activity: i64,
}

impl State {
    pub(super) fn watcher(&mut self, id: ViewerId) -> Option<&mut Watcher> {
        self.watchers.iter_mut().find(|watcher| watcher.id == id)
    }
}

fn now() -> i64 {
    Timestamp::now().as_millisecond()
}

impl Stream {
    /// Makes the stream of a session whose transcript goes on at `next`.
    pub(super) fn new(
        common: Arc<Common>,
        session: WorkSessionId,
        next: u64,
        redactor: Redactor,
    ) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            session,
            common,
            queue: Queue::new(next, redactor),
            me: Weak::clone(me),
            state: Mutex::new(State {
                next,
                watchers: Vec::new(),
                asks: Vec::new(),
                viewers: 0,
                activity: now(),
            }),
        })
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives a frame its index, shows it to the viewers as it is, on the calling thread and in
    /// order, and queues it for the transcript, which gets it redacted: the last chunk of a message
    /// when the next frame has come. Returns the index.
    pub fn frame(&self, way: Way, frame: &Value) -> u64 {
        let at = now();
        let mut entry = Entry {
            index: 0,
            way,
            weight: weight(frame),
            frame: Arc::new(frame.clone()),
        };
        let mut state = self.state();
        entry.index = state.next;
        state.next += 1;
        state.activity = at;
        for watcher in &mut state.watchers {
            match &mut watcher.place {
                Place::Live if watcher.viewer.backlog() > self.common.limits.backlog => {
                    watcher.place = Place::Behind;
                    self.catch_up(watcher, entry.index);
                }
                Place::Live => watcher.viewer.entry(entry.index, way, frame, false),
                Place::Joining(waiting, weight) => {
                    *weight += entry.weight;
                    if *weight > self.common.limits.buffer {
                        watcher.place = Place::Behind;
                    } else {
                        waiting.push_back(entry.clone());
                    }
                }
                Place::Behind => {}
            }
        }
        let index = entry.index;
        // Under the lock, so that the queue has the order of the indexes.
        let idle = self.queue.push(entry, at, self.common.limits.queue);
        drop(state);
        if idle {
            self.write();
        }
        index
    }

    /// Waits until everything before is committed, or known to be lost. A message that is being
    /// streamed ends here: a secret of which only the start has come is not found.
    pub async fn flush(&self) {
        self.settled(true).await;
    }

    /// Waits until everything before is committed, lost, or held until its message goes on.
    pub(super) async fn settled(&self, finish: bool) {
        let end = self.queue.end();
        while !self.queue.wait(end, finish).await {
            self.write();
        }
    }

    /// Starts the task that writes what is queued.
    fn write(&self) {
        if let Some(me) = self.me.upgrade() {
            self.common.runtime.spawn(me.write_queued());
        }
    }

    /// The index that the next frame gets.
    #[must_use]
    pub fn next_index(&self) -> u64 {
        self.state().next
    }

    /// Lets the next frame get at least this index: after a crash, an editor may have seen more than
    /// was recorded. An index that no transcript could reach is ignored.
    pub fn skip_to(&self, index: u64) {
        if index < 1 << 62 {
            let mut state = self.state();
            state.next = state.next.max(index);
        }
    }

    /// Shows a viewer the entries from `from` on: first from the store, then as they come. A viewer
    /// that has seen everything, or more than there is, is live when this returns.
    pub fn attach(self: &Arc<Self>, viewer: Arc<dyn Viewer>, from: u64) -> ViewerId {
        let mut state = self.state();
        state.viewers += 1;
        let id = ViewerId(state.viewers);
        let mut watcher = Watcher {
            id,
            viewer,
            gone: Arc::new(AtomicBool::new(false)),
            place: Place::Behind,
            shown: Vec::new(),
        };
        if from < state.next {
            self.catch_up(&watcher, from);
        } else {
            watcher.join(&state.asks);
        }
        state.watchers.push(watcher);
        id
    }

    /// Starts the task that brings a viewer from an index on to what is live.
    fn catch_up(&self, watcher: &Watcher, from: u64) {
        if let Some(me) = self.me.upgrade() {
            let (viewer, gone) = (Arc::clone(&watcher.viewer), Arc::clone(&watcher.gone));
            let task = me.caught_up(watcher.id, viewer, gone, from);
            self.common.runtime.spawn(task);
        }
    }

    /// Shows a viewer nothing more.
    pub fn detach(&self, id: ViewerId) {
        let mut state = self.state();
        let place = state.watchers.iter().position(|watcher| watcher.id == id);
        let watcher = place.map(|place| state.watchers.remove(place));
        // What the viewer holds may call back when it ends.
        drop(state);
        drop(watcher);
    }

    /// Shows a permission question that waits to viewers now, and to those that attach later, until
    /// [`Stream::settle`]. `params` are those of the agent's request.
    pub fn ask(&self, permission: &PermissionId, params: &Value) {
        let mut state = self.state();
        if state.asks.iter().any(|(known, _)| known == permission) {
            return;
        }
        state.asks.push((permission.clone(), params.clone()));
        for watcher in &mut state.watchers {
            watcher.show(permission, params);
        }
    }

    /// Takes a question back, however it was answered.
    pub fn settle(&self, permission: &PermissionId) {
        let mut state = self.state();
        state.asks.retain(|(known, _)| known != permission);
        for watcher in &mut state.watchers {
            let before = watcher.shown.len();
            watcher.shown.retain(|known| known != permission);
            if watcher.shown.len() < before {
                watcher.viewer.settled(permission);
            }
        }
    }

    /// How many viewers are attached.
    #[must_use]
    pub fn viewers(&self) -> usize {
        self.state().watchers.len()
    }

    /// When the newest frame came, or the newest sign of life, in milliseconds since the Unix epoch.
    #[must_use]
    pub fn last_activity(&self) -> i64 {
        self.state().activity
    }

    /// Notes a sign of life.
    pub fn touch(&self) {
        self.state().activity = now();
    }

    /// Whether it can be made anew from the store without a loss: nobody watches, nothing waits,
    /// every index given is recorded, and nothing happened since `since`.
    pub(super) fn is_idle(&self, since: i64) -> bool {
        let state = self.state();
        state.watchers.is_empty()
            && state.asks.is_empty()
            && state.activity < since
            && self.queue.recorded() == state.next
    }

    #[cfg(test)]
    pub(super) fn is_live(&self, id: ViewerId) -> bool {
        self.state()
            .watcher(id)
            .is_some_and(|watcher| matches!(watcher.place, Place::Live))
    }
}

impl Drop for State {
    fn drop(&mut self) {
        for watcher in &self.watchers {
            watcher.gone.store(true, Ordering::Relaxed);
        }
    }
}

/// About the memory that a value takes, in bytes.
fn weight(value: &Value) -> usize {
    const NODE: usize = 32;
    NODE + match value {
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(weight).sum(),
        Value::Object(fields) => fields
            .iter()
            .map(|(key, field)| NODE + key.len() + weight(field))
            .sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    }
}
