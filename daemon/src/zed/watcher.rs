//! The loop: listens, waits until changes pause, scans what changed.

use std::{
    collections::BTreeSet,
    path::PathBuf,
    time::{Duration, Instant, SystemTime},
};

use super::{
    database::{Fault, Print},
    folders::Folders,
    scan::{Known, ScanError},
};
use crate::{redact::Redactor, store::Store, zed_paths::Place};

/// How quick and how eager the watcher is.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Changes within this time are one.
    pub pause: Duration,
    /// How often it looks though nothing was heard.
    pub poll: Duration,
    /// How long after a change another one may still not show in the times of the files, or a database
    /// that could not be read is tried again.
    pub settle: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            pause: Duration::from_millis(300),
            poll: Duration::from_secs(30),
            settle: Duration::from_secs(2),
        }
    }
}

/// Tries of a database that cannot be read now, before only the poll tries it.
const TRIES: u32 = 5;
/// After a scan the watcher rests this many times as long as it took.
const REST: u32 = 20;

/// One of Zed's databases.
struct Source {
    channel: &'static str,
    path: PathBuf,
    known: Option<Known>,
    /// The files as they were before the last scan.
    seen: Option<Print>,
    /// Whether a change since then would show.
    settled: bool,
    /// How often it could not be read, one time after another.
    tries: u32,
    /// The fault that was told of.
    told: Option<String>,
}

/// Follows the threads of Zed's own agent in the databases of these places until it is dropped. Keeps
/// them in the store. Where there is no Zed it only looks for its folders, every [`Pace::poll`].
pub async fn watch(store: Store, redactor: Redactor, places: Vec<Place>, pace: Pace) {
    let mut sources: Vec<Source> = places
        .iter()
        .flat_map(Place::databases)
        .map(|(channel, path)| Source {
            channel: channel.as_str(),
            path,
            known: None,
            seen: None,
            settled: true,
            tries: 0,
            told: None,
        })
        .collect();
    let wanted: BTreeSet<PathBuf> = sources
        .iter()
        .filter_map(|source| source.path.parent())
        .flat_map(|folder| [Some(folder), folder.parent()])
        .flatten()
        .map(PathBuf::from)
        .collect();
    let mut folders = Folders::new();
    let mut listened: Option<Instant> = None;
    loop {
        // First listen, then look: what changes between the two is heard.
        let anew = listened.is_none_or(|at| at.elapsed() >= pace.poll);
        folders.listen(&wanted, anew);
        let start = Instant::now();
        if anew {
            listened = Some(start);
        }
        for source in &mut sources {
            source.look(&store, &redactor, pace).await;
        }
        let rest = (start.elapsed() * REST).max(pace.pause).min(pace.poll);
        let waits = sources.iter().any(|source| !source.settled);
        let longest = if waits { pace.settle } else { pace.poll };
        tokio::select! {
            () = folders.changed() => tokio::time::sleep(rest).await,
            () = tokio::time::sleep(longest) => {}
        }
    }
}

impl Source {
    /// Scans the database if it changed since the last time.
    async fn look(&mut self, store: &Store, redactor: &Redactor, pace: Pace) {
        let Some(print) = Print::of(&self.path) else {
            // It is not open in Zed, or Zed is not there; nothing is known to be gone by that.
            (self.seen, self.settled, self.tries) = (None, true, 0);
            return;
        };
        if self.seen == Some(print) && self.settled {
            return;
        }
        let before = SystemTime::now().checked_sub(pace.settle);
        match self.scan(store, redactor).await {
            Ok(()) => {
                self.seen = Some(print);
                self.settled = before.is_some_and(|time| print.is_older_than(time));
                self.tries = 0;
            }
            Err(ScanError::Fault(Fault::Absent)) => {
                (self.seen, self.settled, self.tries) = (None, true, 0);
            }
            Err(ScanError::Fault(fault @ Fault::Later(_))) => {
                tracing::debug!(channel = self.channel, %fault, "Zed's threads");
                // Whatever the files look like: the next poll tries again.
                self.seen = None;
                self.tries += 1;
                self.settled = self.tries > TRIES;
            }
            Err(ScanError::Fault(fault)) => {
                self.tell(&fault);
                // Only a change of the files can help.
                self.seen = Some(print);
                self.settled = before.is_some_and(|time| print.is_older_than(time));
            }
            Err(ScanError::Store(error)) => {
                tracing::warn!(%error, "Zed's threads cannot be kept");
                self.known = None;
                self.seen = None;
                self.settled = true;
            }
        }
    }

    async fn scan(&mut self, store: &Store, redactor: &Redactor) -> Result<(), ScanError> {
        let known = match &mut self.known {
            Some(known) => known,
            none => none.insert(Known::load(store, &self.path, self.channel)?),
        };
        let outcome = known.scan(store, redactor, &self.path).await?;
        tracing::debug!(channel = self.channel, ?outcome, "Zed's threads");
        if self.told.take().is_some() {
            tracing::info!(channel = self.channel, "Zed's threads are seen again");
        }
        Ok(())
    }

    /// One line for each fault, however often it is met.
    fn tell(&mut self, fault: &Fault) {
        let text = fault.to_string();
        if self.told.as_ref() != Some(&text) {
            let database = self.path.display();
            tracing::warn!(%database, "threads of Zed's own agent are not seen until it changes: {text}");
            self.told = Some(text);
        }
    }
}
