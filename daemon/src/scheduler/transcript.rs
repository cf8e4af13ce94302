//! Carries frames from an agent's connection to the transcript: redacted at once, written in batches
//! of at most 50 ms or 64 KiB.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use jiff::Timestamp;
use serde_json::Value;
use spectask_protocol::WorkSessionId;
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, timeout_at},
};

use crate::{
    redact::Redactor,
    store::{Frame, Store, StoreError},
};

const BATCH_TIME: Duration = Duration::from_millis(50);
const BATCH_SIZE: usize = 64 * 1024;

enum Note {
    Frame(Frame, usize),
    Flush(oneshot::Sender<()>),
}

/// The transcript of one session, as its agent's connection writes it.
pub(super) struct Transcript {
    notes: mpsc::UnboundedSender<Note>,
    redactor: Redactor,
    broken: AtomicBool,
}

impl Transcript {
    /// Starts to write to a session's transcript.
    #[must_use]
    pub(super) fn start(store: Store, session: WorkSessionId, redactor: Redactor) -> Self {
        let (notes, queue) = mpsc::unbounded_channel();
        tokio::spawn(write(store, session, queue));
        Self {
            notes,
            redactor,
            broken: AtomicBool::new(false),
        }
    }

    /// Appends a frame.
    pub(super) fn frame(&self, direction: &str, frame: &Value) {
        let mut frame = frame.clone();
        self.redactor.json(&mut frame);
        let size = frame.to_string().len();
        let at = Timestamp::now().as_millisecond();
        let note = Note::Frame(
            Frame {
                at,
                direction: direction.into(),
                frame,
            },
            size,
        );
        if self.notes.send(note).is_err() && !self.broken.swap(true, Ordering::Relaxed) {
            tracing::error!("the transcript cannot be written any more");
        }
    }

    /// Waits until everything before is committed.
    pub(super) async fn flush(&self) {
        let (done, wait) = oneshot::channel();
        if self.notes.send(Note::Flush(done)).is_ok() {
            drop(wait.await);
        }
    }
}

async fn write(store: Store, session: WorkSessionId, mut queue: mpsc::UnboundedReceiver<Note>) {
    let mut open = true;
    while open {
        let mut frames = Vec::new();
        let mut flushes = Vec::new();
        let mut size = 0;
        match queue.recv().await {
            Some(Note::Frame(frame, bytes)) => {
                frames.push(frame);
                size += bytes;
            }
            Some(Note::Flush(done)) => flushes.push(done),
            None => return,
        }
        let deadline = Instant::now() + BATCH_TIME;
        while size < BATCH_SIZE && flushes.is_empty() {
            match timeout_at(deadline, queue.recv()).await {
                Ok(Some(Note::Frame(frame, bytes))) => {
                    frames.push(frame);
                    size += bytes;
                }
                Ok(Some(Note::Flush(done))) => flushes.push(done),
                Ok(None) => {
                    open = false;
                    break;
                }
                Err(_) => break,
            }
        }
        if !frames.is_empty() {
            let id = session.clone();
            let written: Result<(), StoreError> = store
                .write(move |write| write.append_transcript(&id, frames))
                .await;
            if let Err(error) = written {
                tracing::error!(%error, %session, "a part of the transcript was lost");
            }
        }
        for done in flushes {
            let _ = done.send(());
        }
    }
}
