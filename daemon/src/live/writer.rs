//! From a stream to the transcript: redacted, in batches of at most 50 ms.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::Notify;

use super::{
    chunks::{Chunks, Clean},
    stream::Stream,
    viewer::Entry,
};
use crate::{
    redact::Redactor,
    store::{Frame, StoreError},
};

/// How long a frame waits for others.
const BATCH_TIME: Duration = Duration::from_millis(50);
/// Frames of this weight wait for no others; one row of the transcript.
const ROW: usize = 128 << 10;
/// What one commit takes when the disk is slow.
const COMMIT: usize = 4 << 20;
/// Work of this weight leaves the runtime's threads.
const HEAVY: usize = 256 << 10;

/// What waits for the transcript. There is a task only while something does.
pub(super) struct Queue {
    inner: Mutex<Inner>,
    /// The message under way; the writer's.
    chunks: Arc<Mutex<Chunks>>,
    /// Wakes the writer before its time.
    hurry: Notify,
    /// Wakes those who wait for a commit.
    done: Notify,
}

struct Inner {
    waiting: VecDeque<(Entry, i64)>,
    weight: usize,
    /// Whether a task writes.
    writing: bool,
    /// The index after the newest queued frame.
    end: u64,
    /// The index after the newest frame whose fate is known.
    settled: u64,
    /// The index after the newest committed frame.
    recorded: u64,
    /// Frames that were left out because too much waited.
    dropped: u64,
    /// Whether the last commit failed, so that one fault is told once.
    broken: bool,
    redactor: Redactor,
    /// Frames that wait for the end of their message, as they came: settled, not recorded.
    held: Vec<Entry>,
    /// The message is to end where it stands.
    finish: bool,
}

/// What one commit holds.
struct Batch {
    entries: Vec<(Entry, i64)>,
    redactor: Redactor,
    finish: bool,
}

impl Queue {
    pub(super) fn new(next: u64, redactor: Redactor) -> Self {
        Self {
            inner: Mutex::new(Inner {
                waiting: VecDeque::new(),
                weight: 0,
                writing: false,
                end: next,
                settled: next,
                recorded: next,
                dropped: 0,
                broken: false,
                redactor,
                held: Vec::new(),
                finish: false,
            }),
            chunks: Arc::default(),
            hurry: Notify::new(),
            done: Notify::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_redactor(&self, redactor: Redactor) {
        self.lock().redactor = redactor;
    }

    /// Adds a frame, unless too much waits already; returns whether a writer must be started.
    pub(super) fn push(&self, entry: Entry, at: i64, limit: usize) -> bool {
        let mut inner = self.lock();
        if !inner.waiting.is_empty() && inner.weight + entry.weight > limit {
            inner.dropped += 1;
            return false;
        }
        let before = inner.weight;
        inner.weight += entry.weight;
        inner.end = entry.index + 1;
        if before < ROW && inner.weight >= ROW {
            self.hurry.notify_one();
        }
        inner.waiting.push_back((entry, at));
        !std::mem::replace(&mut inner.writing, true)
    }

    pub(super) fn end(&self) -> u64 {
        self.lock().end
    }

    pub(super) fn recorded(&self) -> u64 {
        self.lock().recorded
    }

    /// Frames that wait for the end of their message, as they came.
    pub(super) fn held(&self) -> Vec<Entry> {
        self.lock().held.clone()
    }

    /// Waits until everything below an index is settled: recorded, lost, or held until its message
    /// goes on; with `finish` nothing is held. False: a writer must be started first.
    pub(super) async fn wait(&self, end: u64, finish: bool) -> bool {
        loop {
            let done = self.done.notified();
            tokio::pin!(done);
            done.as_mut().enable();
            {
                let mut inner = self.lock();
                let is_held = inner.held.first().is_some_and(|held| held.index < end);
                if inner.settled >= end && !(finish && is_held) {
                    return true;
                }
                inner.finish |= finish;
                if !std::mem::replace(&mut inner.writing, true) {
                    return false;
                }
            }
            self.hurry.notify_one();
            done.await;
        }
    }

    /// Takes what one commit holds; nothing ends the writer.
    fn take(&self) -> Option<Batch> {
        let mut inner = self.lock();
        let mut entries = Vec::new();
        let mut weight = 0;
        while weight < COMMIT
            && let Some(next) = inner.waiting.pop_front()
        {
            weight += next.0.weight;
            entries.push(next);
        }
        inner.weight -= weight;
        let finish = inner.waiting.is_empty() && std::mem::take(&mut inner.finish);
        if entries.is_empty() && (!finish || inner.held.is_empty()) {
            inner.waiting.shrink_to(16);
            inner.writing = false;
            return None;
        }
        Some(Batch {
            entries,
            redactor: inner.redactor.clone(),
            finish,
        })
    }

    fn is_full_row(&self) -> bool {
        self.lock().weight >= ROW
    }

    fn settle(
        &self,
        end: u64,
        held: Vec<Entry>,
        outcome: Result<(), &StoreError>,
        stream: &Stream,
    ) {
        let mut inner = self.lock();
        inner.settled = end;
        let recorded = held.first().map_or(end, |held| held.index);
        inner.held = held;
        let session = &stream.session;
        match outcome {
            Ok(()) => {
                inner.recorded = recorded;
                inner.broken = false;
            }
            Err(error) if !std::mem::replace(&mut inner.broken, true) => {
                tracing::error!(%error, %session, "a part of the transcript was lost");
            }
            Err(error) => {
                tracing::debug!(%error, %session, "another part of the transcript was lost");
            }
        }
        let dropped = std::mem::take(&mut inner.dropped);
        if dropped > 0 {
            tracing::warn!(dropped, %session, "the transcript could not keep up; frames were left out");
        }
        drop(inner);
        self.done.notify_waiters();
    }
}

/// Says that the writer ended, also when it ended badly.
struct Ended<'a>(&'a Queue, u64);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        let mut inner = self.0.lock();
        if inner.settled < self.1 {
            inner.settled = self.1;
            inner.writing = false;
            drop(inner);
            self.0.done.notify_waiters();
        }
    }
}

impl Stream {
    /// Writes what is queued until nothing is.
    pub(super) async fn write_queued(self: Arc<Self>) {
        loop {
            if !self.queue.is_full_row() {
                let hurry = self.queue.hurry.notified();
                let _ = tokio::time::timeout(BATCH_TIME, hurry).await;
            }
            let Some(batch) = self.queue.take() else {
                return;
            };
            let end = batch.entries.last().map(|(entry, _)| entry.index + 1);
            let end = end.unwrap_or_else(|| self.queue.lock().settled);
            let guard = Ended(&self.queue, end);
            let weight: usize = batch.entries.iter().map(|(entry, _)| entry.weight).sum();
            let chunks = Arc::clone(&self.queue.chunks);
            let work = move || {
                let mut chunks = chunks.lock().unwrap_or_else(PoisonError::into_inner);
                let rows = rows(batch, &mut chunks);
                (rows, chunks.held())
            };
            let rows = if weight > HEAVY {
                tokio::task::spawn_blocking(work).await
            } else {
                Ok(work())
            };
            let (rows, held) = match rows {
                Ok((rows, held)) => (Ok(rows), held),
                Err(error) => (Err(error), Vec::new()),
            };
            let written = match rows {
                Ok(rows) => {
                    let session = self.session.clone();
                    let write = self.common.store.write(move |write| {
                        rows.into_iter().try_for_each(|(first, frames)| {
                            write.append_transcript(&session, first, frames)
                        })
                    });
                    write.await
                }
                Err(_) => Err(StoreError::Closed),
            };
            self.queue
                .settle(end, held, written.as_ref().copied(), &self);
            drop(guard);
        }
    }
}

/// Redacts frames and puts those that may be written into rows, each with the index of its first
/// frame.
fn rows(batch: Batch, chunks: &mut Chunks) -> Vec<(u64, Vec<Frame>)> {
    let mut clean = Vec::new();
    for (entry, at) in batch.entries {
        chunks.take(entry, at, &batch.redactor, &mut clean);
    }
    if batch.finish {
        chunks.finish(&mut clean);
    }
    let mut rows: Vec<(u64, Vec<Frame>)> = Vec::new();
    let mut total = 0;
    for Clean {
        index,
        way,
        weight,
        at,
        frame,
    } in clean
    {
        let frame = Frame {
            at,
            direction: way.as_str().into(),
            frame,
        };
        match rows.last_mut() {
            Some((first, frames)) if *first + frames.len() as u64 == index && total < ROW => {
                total += weight;
                frames.push(frame);
            }
            _ => {
                total = weight;
                rows.push((index, vec![frame]));
            }
        }
    }
    rows
}
