//! Brings a viewer from the store to what is live.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use spectask_protocol::TranscriptEntry;

use super::{
    stream::Stream,
    viewer::{Entry, Place, Viewer, ViewerId, Way},
};
use crate::store::StoreError;

/// What is read from the store at once, in bytes of text.
const PAGE: usize = 1 << 20;
/// A viewer that is at most so many entries behind joins after the next read.
const NEAR: u64 = 4096;
/// What is handed over under the stream's lock.
const LAST: usize = 64;
/// How often a slow viewer is looked at.
const POLL: Duration = Duration::from_millis(20);
/// How often a part of the transcript that cannot be read is tried.
const TRIES: u32 = 5;

/// How the work on a viewer ended, if it did.
enum Step {
    /// It is gone.
    Gone,
    /// It is live.
    Live,
    /// It must read on.
    Again,
}

/// A viewer on its way.
struct Follower {
    id: ViewerId,
    viewer: Arc<dyn Viewer>,
    gone: Arc<AtomicBool>,
    /// The index of the entry it gets next.
    from: u64,
}

impl Follower {
    fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Relaxed)
    }
}

impl Stream {
    /// Shows a viewer everything from `from` on, and makes it live.
    pub(super) async fn caught_up(
        self: Arc<Self>,
        id: ViewerId,
        viewer: Arc<dyn Viewer>,
        gone: Arc<AtomicBool>,
        from: u64,
    ) {
        let mut follower = Follower {
            id,
            viewer,
            gone,
            from,
        };
        while let Step::Again = self.round(&mut follower).await {}
    }

    /// Reads up to where the stream is now; a viewer that is near joins.
    async fn round(&self, follower: &mut Follower) -> Step {
        self.drained(follower).await;
        let until = {
            let mut state = self.state();
            let until = state.next;
            let Some(watcher) = state.watcher(follower.id) else {
                return Step::Gone;
            };
            watcher.place = if until.saturating_sub(follower.from) <= NEAR {
                Place::Joining(VecDeque::new(), 0)
            } else {
                Place::Behind
            };
            until
        };
        self.settled(false).await;
        // The last chunks of a message are not in the store until it goes on.
        let held = self.queue.held();
        while follower.from < until {
            let entries = self.page(follower.from, until).await;
            if entries.is_empty() {
                break;
            }
            for entry in entries {
                if follower.is_gone() {
                    return Step::Gone;
                }
                let way = Way::of(&entry.direction);
                follower.viewer.entry(entry.index, way, &entry.frame, true);
                follower.from = entry.index + 1;
            }
            self.drained(follower).await;
        }
        for entry in &held {
            if (follower.from..until).contains(&entry.index) && !follower.is_gone() {
                follower.show(entry);
            }
        }
        follower.from = follower.from.max(until);
        self.join(follower)
    }

    /// Hands over what came during the read, and makes the viewer live.
    fn join(&self, follower: &mut Follower) -> Step {
        loop {
            let waiting = {
                let mut guard = self.state();
                let state = &mut *guard;
                let watcher = state
                    .watchers
                    .iter_mut()
                    .find(|watcher| watcher.id == follower.id);
                let Some(watcher) = watcher else {
                    return Step::Gone;
                };
                let Place::Joining(waiting, weight) = &mut watcher.place else {
                    return Step::Again;
                };
                if waiting.len() <= LAST {
                    for entry in std::mem::take(waiting) {
                        follower.show(&entry);
                    }
                    watcher.join(&state.asks);
                    return Step::Live;
                }
                *weight = 0;
                std::mem::take(waiting)
            };
            for entry in waiting {
                if follower.is_gone() {
                    return Step::Gone;
                }
                if follower.viewer.backlog() > self.common.limits.backlog {
                    return Step::Again;
                }
                follower.show(&entry);
            }
        }
    }

    /// Waits until a slow viewer has written most of what it was given, or is gone.
    async fn drained(&self, follower: &Follower) {
        if follower.viewer.backlog() <= self.common.limits.drained {
            return;
        }
        if let Some(watcher) = self.state().watcher(follower.id) {
            // Nothing is kept for it meanwhile.
            watcher.place = Place::Behind;
        }
        while follower.viewer.backlog() > self.common.limits.drained && !follower.is_gone() {
            tokio::time::sleep(POLL).await;
        }
    }

    /// The next entries of a range; nothing when there are no more, or they cannot be read.
    async fn page(&self, from: u64, until: u64) -> Vec<TranscriptEntry> {
        for attempt in 1..=TRIES {
            let Ok(permit) = self.common.pages.acquire().await else {
                break;
            };
            let (store, session) = (self.common.store.clone(), self.session.clone());
            let read = tokio::task::spawn_blocking(move || {
                store.read(|read| read.transcript_page(&session, from..until, PAGE))
            });
            let read = read.await.unwrap_or(Err(StoreError::Closed));
            drop(permit);
            match read {
                Ok(entries) => return entries,
                Err(error) => {
                    tracing::error!(%error, session = %self.session, attempt, "a transcript cannot be read");
                    tokio::time::sleep(POLL * attempt).await;
                }
            }
        }
        Vec::new()
    }
}

impl Follower {
    fn show(&mut self, entry: &Entry) {
        self.viewer
            .entry(entry.index, entry.way, &entry.frame, false);
        self.from = entry.index + 1;
    }
}
