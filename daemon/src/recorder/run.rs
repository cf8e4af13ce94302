//! Runs the recorder beside the daemon.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::Recorder;
use crate::store::Store;

/// What comes within this time is written together.
const GATHER: Duration = Duration::from_millis(100);

/// What could not be written is tried again after this time.
const AGAIN: Duration = Duration::from_secs(20);

/// Why history waits, by repository; empty when it is up to date. Shared by those who tell it.
#[derive(Debug, Clone, Default)]
pub struct Status(Arc<Mutex<BTreeMap<String, String>>>);

impl Status {
    /// Roots of repositories whose history waits, each with the reason.
    #[must_use]
    pub fn waiting(&self) -> BTreeMap<String, String> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Tells once what is new.
    pub(super) fn set(&self, waiting: BTreeMap<String, String>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (root, reason) in &waiting {
            if known.get(root) != Some(reason) {
                tracing::warn!(root, reason, "history waits; sessions go on");
            }
        }
        for root in known.keys().filter(|root| !waiting.contains_key(*root)) {
            tracing::info!(root, "history is written again");
        }
        *known = waiting;
    }
}

/// Follows the store until it is told to stop, then writes what is there and ends.
pub async fn run(mut recorder: Recorder, store: Store, stop: CancellationToken) {
    let mut committed = store.committed();
    loop {
        let stopping = stop.is_cancelled();
        committed.mark_unchanged();
        let runtime = tokio::runtime::Handle::current();
        let passed = tokio::task::spawn_blocking(move || {
            let now = Timestamp::now().as_millisecond();
            let outcome = recorder.pass(&runtime, now);
            (recorder, outcome)
        })
        .await;
        let mut failed = false;
        recorder = match passed {
            Ok((recorder, outcome)) => {
                if let Err(error) = outcome {
                    failed = true;
                    tracing::error!(%error, "the recorder could not read what happened");
                }
                recorder
            }
            Err(error) => {
                tracing::error!(%error, "the recorder ended");
                return;
            }
        };
        if stopping {
            return;
        }
        let now = Timestamp::now().as_millisecond();
        let due = recorder
            .next_due()
            .map(|due| Duration::from_millis(u64::try_from(due - now).unwrap_or(0)))
            // The frames up to then are to be in the transcript.
            .map(|wait| wait + Duration::from_secs(1));
        let again = (failed || recorder.is_behind()).then_some(AGAIN);
        let wait = due.into_iter().chain(again).min();
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(wait.unwrap_or(Duration::from_secs(3600))) => {}
            changed = committed.changed() => {
                if changed.is_err() {
                    return;
                }
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = tokio::time::sleep(GATHER) => {}
                }
            }
        }
    }
}
