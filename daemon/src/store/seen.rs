//! Threads of Zed's own agent: seen in Zed's database, not recorded.

use rusqlite::{Row, params};
use spectask_protocol::WorkSessionId;

use super::{Read, StoreError, Write, row};

/// A thread of Zed's own agent, as it was seen last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenThreadRow {
    /// The database it was seen in.
    pub source: String,
    /// Zed's id of the thread.
    pub id: WorkSessionId,
    /// The release channel of Zed.
    pub channel: String,
    /// Zed's id of its session.
    pub session: String,
    /// What it is called.
    pub title: Option<String>,
    /// The folders of its project, in Zed's order.
    pub folders: Vec<String>,
    /// The repositories that linked worktrees among the folders belong to.
    pub repositories: Vec<String>,
    /// Whether the folders are on another machine.
    pub remote: bool,
    /// Whether it is archived.
    pub archived: bool,
    /// Milliseconds since the Unix epoch.
    pub created_at: Option<i64>,
    /// When it was used last, in milliseconds since the Unix epoch.
    pub used_at: i64,
    /// When it was seen first, in milliseconds since the Unix epoch.
    pub seen_at: i64,
    /// When it was found to be gone.
    pub deleted_at: Option<i64>,
}

fn seen(row: &Row<'_>) -> Result<SeenThreadRow, StoreError> {
    Ok(SeenThreadRow {
        source: row.get("source")?,
        id: row::text(row, "id")?,
        channel: row.get("channel")?,
        session: row.get("session")?,
        title: row.get("title")?,
        folders: row::json(row, "folders")?,
        repositories: row::json(row, "repositories")?,
        remote: row.get("remote")?,
        archived: row.get("archived")?,
        created_at: row.get("created_at")?,
        used_at: row.get("used_at")?,
        seen_at: row.get("seen_at")?,
        deleted_at: row.get("deleted_at")?,
    })
}

impl Read<'_> {
    /// Threads that were seen, the one used last first; those that are archived or gone only when
    /// they are asked for.
    ///
    /// # Errors
    /// When the database fails.
    pub fn seen_threads(&self, archived: bool) -> Result<Vec<SeenThreadRow>, StoreError> {
        self.rows(
            "SELECT * FROM seen_thread WHERE ?1 OR (archived = 0 AND deleted_at IS NULL)
             ORDER BY used_at DESC, id DESC",
            [archived],
            seen,
        )
    }

    /// Every thread that was ever seen in a database.
    ///
    /// # Errors
    /// When the database fails.
    pub fn seen_threads_of(&self, source: &str) -> Result<Vec<SeenThreadRow>, StoreError> {
        self.rows(
            "SELECT * FROM seen_thread WHERE source = ?1",
            [source],
            seen,
        )
    }

    /// The thread of that id; of several databases the one in which it was used last.
    ///
    /// # Errors
    /// When the database fails.
    pub fn seen_thread(&self, id: &WorkSessionId) -> Result<Option<SeenThreadRow>, StoreError> {
        self.row(
            "SELECT * FROM seen_thread WHERE id = ?1 ORDER BY deleted_at IS NOT NULL, used_at DESC",
            [id.as_str()],
            seen,
        )
    }
}

impl Write<'_> {
    /// Keeps a thread as it was seen; `seen_at` stays that of the first time.
    ///
    /// # Errors
    /// When the database fails.
    pub fn keep_seen_thread(&self, thread: &SeenThreadRow) -> Result<(), StoreError> {
        self.run(
            "INSERT INTO seen_thread (source, id, channel, session, title, folders, repositories,
                remote, archived, created_at, used_at, seen_at, deleted_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)
             ON CONFLICT (source, id) DO UPDATE SET channel = excluded.channel,
                session = excluded.session, title = excluded.title, folders = excluded.folders,
                repositories = excluded.repositories, remote = excluded.remote,
                archived = excluded.archived, created_at = excluded.created_at,
                used_at = excluded.used_at, deleted_at = excluded.deleted_at",
            params![
                thread.source,
                thread.id.as_str(),
                thread.channel,
                thread.session,
                thread.title,
                row::to_json(&thread.folders)?,
                row::to_json(&thread.repositories)?,
                thread.remote,
                thread.archived,
                thread.created_at,
                thread.used_at,
                thread.seen_at,
                thread.deleted_at,
            ],
        )?;
        Ok(())
    }
}
