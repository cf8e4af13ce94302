//! Follows the store and keeps the search index: level-triggered, from the list of turns that have
//! ended. What is written and how far it goes is one transaction, so a kill anywhere loses nothing and
//! repeats nothing.

use std::{collections::BTreeSet, time::Duration};

use jiff::Timestamp;
use spectask_protocol::{TurnStatus, WorkSessionId};

use super::{
    HistoryError,
    letters::Grams,
    said::{Pieces, Said, files, is_prompt},
};
use crate::{
    store::{NewSearchBlock, Read, Store, StoreError, TurnRow},
    workflow::WorkflowError,
};

/// Text that is indexed as one stretch, in bytes. What is found is looked up in so much.
const BLOCK: usize = 4 * 1024;

/// Text that goes into the index in one transaction, in bytes; others write in between.
const CHUNK: usize = 64 * 1024;

/// Text of a transcript that is unpacked at a time, in bytes.
const PAGE: usize = 512 * 1024;

/// Files that are kept of a turn.
const FILES: usize = 1000;

/// A wake that was missed is made up for after this time.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// After a failure of the database.
const PAUSE: Duration = Duration::from_secs(5);

/// Keeps the index up to date until the store is closed.
pub async fn index(store: Store) {
    let mut committed = store.committed();
    loop {
        committed.mark_unchanged();
        match catch_up(&store).await {
            Ok(()) => {}
            Err(StoreError::Closed) => return,
            Err(error) => {
                tracing::error!(%error, "the search index cannot be brought up to date");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        }
        tokio::select! {
            changed = committed.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(LOOK_AGAIN) => {}
        }
    }
}

/// Indexes every turn that has ended.
///
/// # Errors
/// When the database fails or is closed.
pub async fn catch_up(store: &Store) -> Result<(), StoreError> {
    while let Some((session, turn, next)) = store.read(|read| read.search_due())? {
        match one(store, session.clone(), turn, next).await {
            Err(error) if !matches!(error, StoreError::Closed) => {
                // It holds up no other; its next turn tries again.
                tracing::error!(%session, %error, "a session cannot be searched");
                store
                    .write(move |write| write.indexed(&session, turn))
                    .await?;
            }
            done => done?,
        }
    }
    Ok(())
}

/// Indexes what is new in a session.
async fn one(
    store: &Store,
    session: WorkSessionId,
    turn: u32,
    next: u64,
) -> Result<(), StoreError> {
    let mut from = next;
    let mut reader = Some(store.read(|read| Reader::new(read, &session, next))?);
    while let Some(mut at_work) = reader.take() {
        let of = store.clone();
        let step = tokio::task::spawn_blocking(move || {
            let step = of.read(|read| at_work.step(read));
            step.map(|step| (step, at_work))
        });
        let step = match step.await {
            Ok(step) => step,
            Err(error) if error.is_cancelled() => return Err(StoreError::Closed),
            Err(error) => {
                return Err(StoreError::Corrupt {
                    what: "transcript",
                    value: error.to_string(),
                });
            }
        };
        let (step, at_work) = step?;
        let done = step.done;
        let session = session.clone();
        let range = (std::mem::replace(&mut from, step.next), step.next);
        let ours = store
            .write::<_, StoreError>(move |write| {
                let ours = write.index_blocks(&session, &step.blocks, &step.files, range)?;
                if ours && done {
                    write.indexed(&session, turn)?;
                }
                Ok(ours)
            })
            .await?;
        reader = (ours && !done).then_some(at_work);
    }
    Ok(())
}

/// What one transaction takes.
#[derive(Debug, Default)]
struct Step {
    blocks: Vec<NewSearchBlock>,
    files: Vec<(u32, String)>,
    next: u64,
    done: bool,
}

/// Reads a transcript from an entry on.
struct Reader {
    session: WorkSessionId,
    /// Folders that files are named relative to.
    folders: Vec<String>,
    turns: Vec<TurnRow>,
    /// The entry to read next.
    next: u64,
    end: u64,
    pieces: Pieces,
    /// What goes into the stretch that is open.
    open: Vec<Said>,
    size: usize,
    files: BTreeSet<(u32, String)>,
}

impl Reader {
    fn new(read: &Read<'_>, session: &WorkSessionId, next: u64) -> Result<Self, StoreError> {
        let row = read.session(session)?;
        let folders = row
            .iter()
            .flat_map(|row| [row.worktree.clone(), row.cwd.clone()])
            .flatten()
            .map(|folder| format!("{}/", folder.trim_end_matches('/')));
        Ok(Self {
            session: session.clone(),
            folders: folders.collect(),
            turns: read.turns(session)?,
            next,
            end: read.transcript_next(session)?,
            pieces: Pieces::new(row.is_some_and(|row| row.is_ad_hoc())),
            open: Vec::new(),
            size: 0,
            files: BTreeSet::new(),
        })
    }

    /// The turn that something was said in.
    fn turn(&self, at: &str) -> u32 {
        let at = millis(at);
        let later = self.turns.partition_point(|turn| turn.started_at <= at);
        later
            .checked_sub(1)
            .and_then(|before| self.turns.get(before))
            .map_or(0, |turn| turn.number)
    }

    /// Reads on until there is enough for a transaction, or everything is read.
    fn step(&mut self, read: &Read<'_>) -> Result<Step, StoreError> {
        let running = self
            .turns
            .iter()
            .find(|turn| turn.status == TurnStatus::Running)
            .map(|turn| turn.started_at);
        let mut step = Step::default();
        let mut size = 0;
        'pages: while size < CHUNK {
            let page = read.transcript_page(&self.session, self.next..self.end, PAGE)?;
            let Some(last) = page.last().map(|entry| entry.index) else {
                step.done = true;
                break;
            };
            for entry in page {
                // What runs is indexed when it has ended.
                if is_prompt(&entry) && running.is_some_and(|from| from <= millis(&entry.at)) {
                    step.done = true;
                    self.end = entry.index;
                    break 'pages;
                }
                self.note_files(&entry.at, files(&entry));
                if let Some(said) = self.pieces.push(entry) {
                    size += said.text.len();
                    step.blocks.extend(self.take(said));
                }
            }
            self.next = last + 1;
        }
        step.files = std::mem::take(&mut self.files).into_iter().collect();
        if step.done {
            let last = self.pieces.finish();
            step.blocks.extend(last.and_then(|said| self.take(said)));
            step.blocks.extend(self.close());
            step.next = self.end;
        } else {
            // What is not complete is read again after a crash.
            let open = self.open.first().map(|said| said.index);
            step.next = open.or(self.pieces.open_from()).unwrap_or(self.next);
        }
        Ok(step)
    }

    fn note_files(&mut self, at: &str, found: Vec<&str>) {
        if found.is_empty() || self.files.len() >= FILES {
            return;
        }
        let turn = self.turn(at);
        for path in found {
            let inside = self
                .folders
                .iter()
                .find_map(|folder| path.strip_prefix(folder.as_str()));
            self.files.insert((turn, inside.unwrap_or(path).to_owned()));
        }
    }

    /// Adds to the open stretch; yields the one that is complete by that.
    fn take(&mut self, said: Said) -> Option<NewSearchBlock> {
        let other = self
            .open
            .first()
            .is_some_and(|first| self.turn(&first.at) != self.turn(&said.at));
        let closed = if other || self.size >= BLOCK {
            self.close()
        } else {
            None
        };
        self.size += said.text.len();
        self.open.push(said);
        closed
    }

    fn close(&mut self) -> Option<NewSearchBlock> {
        self.size = 0;
        let open = std::mem::take(&mut self.open);
        let (first, last) = (open.first()?, open.last()?);
        let mut grams = Grams::default();
        for said in &open {
            grams.add(&said.text);
        }
        Some(NewSearchBlock {
            turn: self.turn(&first.at),
            first: first.index,
            end: last.end,
            at: millis(&first.at),
            grams: grams.into_words(),
        })
    }
}

/// A time of the transcript in milliseconds since the Unix epoch.
fn millis(at: &str) -> i64 {
    at.parse::<Timestamp>().map_or(0, Timestamp::as_millisecond)
}

/// How many turns have ended and are not indexed.
pub(super) fn behind(read: &Read<'_>) -> Result<u32, HistoryError> {
    Ok(read.search_behind().map_err(WorkflowError::from)?)
}
