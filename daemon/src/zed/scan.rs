//! Compares what Zed's database holds with what was seen of it, and keeps the difference.

use std::{
    collections::{HashMap, HashSet},
    path::Path,
};

use spectask_protocol::{EventKind, WorkSessionId};

use super::database::{Entry, Fault, Native, page};
use crate::{
    redact::Redactor,
    store::{SeenThreadRow, Store, StoreError},
};

/// Characters of a title that are kept.
const TITLE: usize = 200;

/// Why a scan came to nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum ScanError {
    /// Zed's database cannot be read.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// Ours cannot.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What is known of one of Zed's databases.
pub(super) struct Known {
    source: String,
    channel: String,
    threads: HashMap<WorkSessionId, SeenThreadRow>,
}

/// What a scan did.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) added: u32,
    pub(super) changed: u32,
    pub(super) deleted: u32,
    pub(super) malformed: u32,
    /// Reads that it took.
    pub(super) reads: u32,
}

impl Known {
    /// What was seen before, by this daemon or an earlier one.
    pub(super) fn load(store: &Store, database: &Path, channel: &str) -> Result<Self, StoreError> {
        let source = database.to_string_lossy().into_owned();
        let rows = store.read(|read| read.seen_threads_of(&source))?;
        Ok(Self {
            source,
            channel: channel.to_owned(),
            threads: rows.into_iter().map(|row| (row.id.clone(), row)).collect(),
        })
    }

    /// Reads the whole table page by page. A row is read as it is at that moment; that it is gone is
    /// known only when all of them were read, and holds for the moment in which its place was.
    pub(super) async fn scan(
        &mut self,
        store: &Store,
        redactor: &Redactor,
        database: &Path,
    ) -> Result<Outcome, ScanError> {
        let mut outcome = Outcome::default();
        let mut there = HashSet::new();
        let mut news = Vec::new();
        let mut after = Vec::new();
        loop {
            let (path, from) = (database.to_owned(), std::mem::take(&mut after));
            let read = tokio::task::spawn_blocking(move || page(&path, &from)).await;
            let page = read.map_err(|error| Fault::Later(error.to_string()))??;
            outcome.reads += 1;
            outcome.malformed += page.malformed;
            for entry in page.entries {
                match entry {
                    Entry::Native(native) => {
                        there.insert(native.id.clone());
                        news.extend(self.compare(*native, redactor, &mut outcome));
                    }
                    // A thread whose session Zed has lost is still there.
                    Entry::Other(id) => {
                        there.insert(id);
                    }
                }
            }
            match page.next {
                Some(next) => after = next,
                None => break,
            }
        }
        let now = jiff::Timestamp::now().as_millisecond();
        let gone = self.threads.values();
        let gone = gone.filter(|row| row.deleted_at.is_none() && !there.contains(&row.id));
        for row in gone {
            outcome.deleted += 1;
            news.push(SeenThreadRow {
                deleted_at: Some(now),
                ..row.clone()
            });
        }
        self.keep(store, news, &outcome).await?;
        Ok(outcome)
    }

    /// The thread, if it is not as it was seen.
    fn compare(
        &self,
        native: Native,
        redactor: &Redactor,
        outcome: &mut Outcome,
    ) -> Option<SeenThreadRow> {
        let before = self.threads.get(&native.id);
        let now = jiff::Timestamp::now().as_millisecond();
        let title = native.title.map(|title| clean(&redactor.text(&title)));
        let row = SeenThreadRow {
            source: self.source.clone(),
            channel: self.channel.clone(),
            session: native.session,
            title: title.filter(|title| !title.is_empty()),
            folders: native.folders,
            repositories: native.repositories,
            remote: native.remote,
            archived: native.archived,
            created_at: native.created_at,
            used_at: native
                .used_at
                .or(native.created_at)
                .unwrap_or_else(|| before.map_or(now, |row| row.used_at)),
            seen_at: before.map_or(now, |row| row.seen_at),
            deleted_at: None,
            id: native.id,
        };
        match before {
            Some(before) if *before == row => return None,
            Some(before) if before.deleted_at.is_none() => outcome.changed += 1,
            _ => outcome.added += 1,
        }
        Some(row)
    }

    async fn keep(
        &mut self,
        store: &Store,
        news: Vec<SeenThreadRow>,
        outcome: &Outcome,
    ) -> Result<(), StoreError> {
        if news.is_empty() {
            return Ok(());
        }
        let event = EventKind::ThreadsSeen {
            channel: self.channel.clone(),
            added: outcome.added,
            changed: outcome.changed,
            deleted: outcome.deleted,
        };
        let rows = news.clone();
        store
            .write::<_, StoreError>(move |write| {
                for row in &rows {
                    write.keep_seen_thread(row)?;
                }
                write.emit(None, None, &event)
            })
            .await?;
        for row in news {
            self.threads.insert(row.id.clone(), row);
        }
        Ok(())
    }
}

/// One line of bounded length without control characters.
fn clean(title: &str) -> String {
    let words = title.split(|c: char| c.is_whitespace() || c.is_control());
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    let line = words.join(" ");
    match line.char_indices().nth(TITLE) {
        None => line,
        Some((end, _)) => format!("{}…", &line[..end]),
    }
}
