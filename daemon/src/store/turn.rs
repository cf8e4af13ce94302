//! Turns: one prompt each, and how it ended.

use rusqlite::{Row, params};
use spectask_protocol::{TurnStatus, WorkSessionId};

use super::{Read, StoreError, Write, row};

/// A turn as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TurnRow {
    /// Its session.
    pub session: WorkSessionId,
    /// Its number, from 1.
    pub number: u32,
    /// Why it was sent.
    pub purpose: String,
    /// How it ended.
    pub status: TurnStatus,
    /// The stop reason or error.
    pub reason: Option<String>,
    /// The editor's request that it answers: instance and number of the shim's request.
    pub request: Option<String>,
    /// Milliseconds since the Unix epoch.
    pub started_at: i64,
    /// Milliseconds since the Unix epoch.
    pub ended_at: Option<i64>,
}

pub(super) fn turn(row: &Row<'_>) -> Result<TurnRow, StoreError> {
    Ok(TurnRow {
        session: row::text(row, "session")?,
        number: row.get("number")?,
        purpose: row.get("purpose")?,
        status: row::text(row, "status")?,
        reason: row.get("reason")?,
        request: row.get("request")?,
        started_at: row.get("started_at")?,
        ended_at: row.get("ended_at")?,
    })
}

impl Read<'_> {
    /// The turns of a session in order.
    ///
    /// # Errors
    /// When the database fails.
    pub fn turns(&self, id: &WorkSessionId) -> Result<Vec<TurnRow>, StoreError> {
        self.rows(
            "SELECT * FROM turn WHERE session = ?1 ORDER BY number",
            [id.as_str()],
            turn,
        )
    }

    /// Turns that are said to run.
    ///
    /// # Errors
    /// When the database fails.
    pub fn running_turns(&self) -> Result<Vec<TurnRow>, StoreError> {
        self.rows("SELECT * FROM turn WHERE status = 'running'", [], turn)
    }

    /// The turn that answers that request of an editor.
    ///
    /// # Errors
    /// When the database fails.
    pub fn turn_of_request(&self, request: &str) -> Result<Option<TurnRow>, StoreError> {
        self.row("SELECT * FROM turn WHERE request = ?1", [request], turn)
    }
}

impl Write<'_> {
    /// Opens the next turn of a session.
    ///
    /// # Errors
    /// When the database fails, or a turn answers that request already.
    pub fn insert_turn(
        &self,
        id: &WorkSessionId,
        purpose: &str,
        request: Option<&str>,
    ) -> Result<u32, StoreError> {
        self.run(
            "INSERT INTO turn (session, number, purpose, status, started_at, request)
             VALUES (?1, (SELECT coalesce(max(number), 0) + 1 FROM turn WHERE session = ?1),
                ?2, 'running', ?3, ?4)",
            params![id.as_str(), purpose, self.now(), request],
        )?;
        Ok(self.0.query_row(
            "SELECT max(number) FROM turn WHERE session = ?1",
            [id.as_str()],
            |row| row.get(0),
        )?)
    }

    /// Ends a running turn; returns whether it was running.
    ///
    /// # Errors
    /// When the database fails.
    pub fn end_turn(
        &self,
        id: &WorkSessionId,
        number: u32,
        status: TurnStatus,
        reason: Option<&str>,
    ) -> Result<bool, StoreError> {
        let changed = self.run(
            "UPDATE turn SET status = ?3, reason = ?4, ended_at = ?5
             WHERE session = ?1 AND number = ?2 AND status = 'running'",
            params![id.as_str(), number, status.as_str(), reason, self.now()],
        )?;
        Ok(changed == 1)
    }
}
