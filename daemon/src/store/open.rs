//! Opens the database, migrates it, and hands out its connections.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rusqlite::{Connection, OpenFlags};
use rusqlite_migration::{M, Migrations};
use tokio::sync::watch;

use super::{
    StoreError,
    writer::{Read, Write, Writer},
};

pub(super) const MIGRATIONS: &[M<'_>] = &[
    M::up(include_str!("schema.sql")),
    M::up(include_str!("schema_2.sql")).foreign_key_check(),
    M::up(include_str!("schema_3.sql")),
    M::up(include_str!("schema_4.sql")),
    M::up(include_str!("schema_5.sql")),
    M::up(include_str!("schema_6.sql")),
    M::up(include_str!("schema_7.sql")),
    M::up(include_str!("schema_8.sql")),
];

/// Read-only connections that are kept open between queries.
const IDLE_READERS: usize = 2;

/// The database of one daemon. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    path: PathBuf,
    writer: Writer,
    readers: Mutex<Vec<Connection>>,
    committed: watch::Receiver<u64>,
}

impl Store {
    /// Opens the database file, makes it when it is not there, and migrates an older one.
    ///
    /// # Errors
    /// [`StoreError::Newer`] for a database of a later version, which is left untouched;
    /// [`StoreError::Open`] when the file cannot be used.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let fail = |error: &dyn ToString| StoreError::Open {
            path: path.into(),
            reason: error.to_string(),
        };
        refuse_newer(path)?;
        let mut connection = Connection::open(path).map_err(|e| fail(&e))?;
        configure(&connection).map_err(|e| fail(&e))?;
        connection
            .execute_batch("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;")
            .map_err(|e| fail(&e))?;
        migrate(&mut connection).map_err(|e| fail(&e))?;
        if let Err(error) = compact(&connection) {
            // There may be no room for it; it works as it is.
            tracing::warn!(%error, "empty pages of the database stay");
        }
        let last: u64 = connection
            .query_row("SELECT coalesce(max(seq), 0) FROM event", [], |row| {
                row.get(0)
            })
            .map_err(|e| fail(&e))?;
        let (sender, committed) = watch::channel(last);
        let writer = Writer::start(connection, sender).map_err(|e| fail(&e))?;
        let inner = Inner {
            path: path.into(),
            writer,
            readers: Mutex::new(Vec::new()),
            committed,
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Runs a change in the writer's transaction; returns after it is committed. An error of the
    /// closure rolls its changes back, and only its own.
    ///
    /// # Errors
    /// The closure's error, or a [`StoreError`] when the commit failed.
    pub async fn write<T, E>(
        &self,
        change: impl FnOnce(&Write<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        self.inner.writer.submit(change).await
    }

    /// Runs queries on a read-only connection, in one snapshot. Queries are short; they run on the
    /// calling thread.
    ///
    /// # Errors
    /// The closure's error, or a [`StoreError`] when no connection can be had.
    pub fn read<T, E: From<StoreError>>(
        &self,
        query: impl FnOnce(&Read<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let connection = self.reader()?;
        let result = (|| {
            let snapshot = connection
                .unchecked_transaction()
                .map_err(|error| StoreError::during("begin a read", &error))?;
            query(&Read(&snapshot))
        })();
        let mut readers = self
            .inner
            .readers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if readers.len() < IDLE_READERS {
            readers.push(connection);
        }
        result
    }

    /// Follows commits: holds the number of the newest committed event.
    #[must_use]
    pub fn committed(&self) -> watch::Receiver<u64> {
        self.inner.committed.clone()
    }

    /// Ends the writer after everything submitted before is committed.
    pub async fn close(&self) {
        self.inner.writer.close().await;
    }

    fn reader(&self) -> Result<Connection, StoreError> {
        let idle = self
            .inner
            .readers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        if let Some(connection) = idle {
            return Ok(connection);
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.inner.path, flags)
            .and_then(|connection| configure(&connection).map(|()| connection))
            .map_err(|error| StoreError::during("open a reader", &error))?;
        Ok(connection)
    }
}

/// Brings the tables up to date. A table is made anew under the eyes of no foreign key: those are
/// checked at the end of each migration instead.
fn migrate(connection: &mut Connection) -> rusqlite_migration::Result<()> {
    connection.execute_batch("PRAGMA foreign_keys=OFF;")?;
    Migrations::from_slice(MIGRATIONS).to_latest(connection)?;
    connection.execute_batch("PRAGMA foreign_keys=ON;")?;
    Ok(())
}

/// Gives empty pages back to the system when they are many. Now is the time: nobody waits for the
/// writer, and a crash leaves the file as it was.
fn compact(connection: &Connection) -> Result<(), StoreError> {
    if Read(connection).free_pages()?.are_many() {
        connection.execute_batch("VACUUM; PRAGMA wal_checkpoint(TRUNCATE);")?;
    }
    Ok(())
}

fn configure(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.set_prepared_statement_cache_capacity(64);
    // 2 MiB of page cache per connection keeps an idle daemon small.
    connection.execute_batch("PRAGMA cache_size=-2000; PRAGMA temp_store=MEMORY;")
}

/// Looks at the version before anything could write to the file.
fn refuse_newer(path: &Path) -> Result<(), StoreError> {
    if !path.exists() {
        return Ok(());
    }
    let fail = |error: rusqlite::Error| StoreError::Open {
        path: path.into(),
        reason: error.to_string(),
    };
    let connection =
        Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(fail)?;
    connection
        .busy_timeout(Duration::from_secs(5))
        .map_err(fail)?;
    let found: i64 = connection
        .query_row("PRAGMA user_version", [], |row| row.get(0))
        .map_err(fail)?;
    let known = MIGRATIONS.len() as i64;
    if found > known {
        Err(StoreError::Newer {
            path: path.into(),
            found,
            known,
        })
    } else {
        Ok(())
    }
}
