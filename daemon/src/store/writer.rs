//! The one writer: a thread that runs changes in the order they come and commits those that came
//! together with one `fsync`.

use std::{
    ops::Deref,
    sync::{Mutex, PoisonError, mpsc},
    thread,
    time::{SystemTime, UNIX_EPOCH},
};

use rusqlite::Connection;
use tokio::sync::{oneshot, watch};

use super::StoreError;

/// Changes that share a commit, at most.
const BATCH: usize = 256;

/// The queries, on a connection with an open snapshot.
pub struct Read<'a>(pub(super) &'a Connection);

/// The changes, inside the writer's transaction.
pub struct Write<'a> {
    read: Read<'a>,
    now: i64,
}

impl<'a> Deref for Write<'a> {
    type Target = Read<'a>;
    fn deref(&self) -> &Read<'a> {
        &self.read
    }
}

impl Write<'_> {
    /// The time of the transaction, in milliseconds since the Unix epoch.
    #[must_use]
    pub fn now(&self) -> i64 {
        self.now
    }

    /// Runs one statement from the cache.
    pub(super) fn run(
        &self,
        sql: &str,
        values: impl rusqlite::Params,
    ) -> Result<usize, StoreError> {
        let mut statement = self
            .0
            .prepare_cached(sql)
            .map_err(|error| StoreError::during(sql, &error))?;
        statement
            .execute(values)
            .map_err(|error| StoreError::during(sql, &error))
    }
}

/// Reports the fate of a change once the commit is known.
type Finish = Box<dyn FnOnce(Result<(), StoreError>) + Send>;
/// Runs a change, or learns why there is no transaction to run it in.
type Job = Box<dyn FnOnce(Result<(&Connection, i64), StoreError>) -> Finish + Send>;

pub(super) struct Writer {
    jobs: Mutex<Option<mpsc::Sender<Job>>>,
    thread: Mutex<Option<thread::JoinHandle<()>>>,
}

impl Writer {
    pub(super) fn start(
        connection: Connection,
        committed: watch::Sender<u64>,
    ) -> std::io::Result<Self> {
        let (sender, receiver) = mpsc::channel::<Job>();
        let thread = thread::Builder::new()
            .name("store-writer".into())
            .spawn(move || run(&connection, &receiver, &committed))?;
        Ok(Self {
            jobs: Mutex::new(Some(sender)),
            thread: Mutex::new(Some(thread)),
        })
    }

    pub(super) async fn submit<T, E>(
        &self,
        change: impl FnOnce(&Write<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let (reply, result) = oneshot::channel();
        let job: Job = Box::new(move |transaction| {
            let outcome = match transaction {
                Ok((connection, now)) => in_savepoint(connection, now, change),
                Err(error) => Err(error.into()),
            };
            Box::new(move |committed| {
                let outcome = match committed {
                    Ok(()) => outcome,
                    Err(error) => Err(error.into()),
                };
                // The caller may have gone; the change stands all the same.
                drop(reply.send(outcome));
            })
        });
        let sent = match &*self.jobs.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(jobs) => jobs.send(job).is_ok(),
            None => false,
        };
        if !sent {
            return Err(StoreError::Closed.into());
        }
        result
            .await
            .unwrap_or_else(|_| Err(StoreError::Closed.into()))
    }

    pub(super) async fn close(&self) {
        drop(
            self.jobs
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take(),
        );
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread {
            let joined = tokio::task::spawn_blocking(move || thread.join().is_ok()).await;
            if !matches!(joined, Ok(true)) {
                tracing::error!("the database writer ended badly");
            }
        }
    }
}

fn in_savepoint<T, E: From<StoreError>>(
    connection: &Connection,
    now: i64,
    change: impl FnOnce(&Write<'_>) -> Result<T, E>,
) -> Result<T, E> {
    let execute = |sql: &str| {
        connection
            .execute_batch(sql)
            .map_err(|error| StoreError::during(sql, &error))
    };
    execute("SAVEPOINT change")?;
    match change(&Write {
        read: Read(connection),
        now,
    }) {
        Ok(value) => {
            execute("RELEASE change")?;
            Ok(value)
        }
        Err(error) => {
            execute("ROLLBACK TO change; RELEASE change")?;
            Err(error)
        }
    }
}

fn run(connection: &Connection, jobs: &mpsc::Receiver<Job>, committed: &watch::Sender<u64>) {
    while let Ok(first) = jobs.recv() {
        let mut batch = vec![first];
        batch.extend(jobs.try_iter().take(BATCH - 1));
        let (outcome, finishes, last) = commit(connection, batch);
        if let Some(last) = last {
            committed.send_if_modified(|seq| {
                let moved = *seq != last;
                *seq = last;
                moved
            });
        }
        for finish in finishes {
            finish(outcome.clone());
        }
    }
    if let Err(error) = connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)") {
        tracing::warn!(%error, "the write-ahead log was not folded in; the next start does it");
    }
}

type Committed = (Result<(), StoreError>, Vec<Finish>, Option<u64>);

fn commit(connection: &Connection, batch: Vec<Job>) -> Committed {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |elapsed| {
            i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX)
        });
    if let Err(error) = connection.execute_batch("BEGIN IMMEDIATE") {
        let error = StoreError::during("begin", &error);
        let finishes = batch
            .into_iter()
            .map(|job| job(Err(error.clone())))
            .collect();
        return (Err(error), finishes, None);
    }
    let finishes: Vec<_> = batch
        .into_iter()
        .map(|job| job(Ok((connection, now))))
        .collect();
    let last = connection
        .prepare_cached("SELECT coalesce(max(seq), 0) FROM event")
        .and_then(|mut statement| statement.query_row([], |row| row.get(0)));
    match connection.execute_batch("COMMIT") {
        Ok(()) => (Ok(()), finishes, last.ok()),
        Err(error) => {
            if let Err(error) = connection.execute_batch("ROLLBACK") {
                tracing::error!(%error, "rollback failed");
            }
            (Err(StoreError::during("commit", &error)), finishes, None)
        }
    }
}
