//! Domain events: outbox and audit, and the cursors of those who follow them.

use jiff::Timestamp;
use rusqlite::{OptionalExtension, params};
use serde_json::Value;
use spectask_protocol::{Event, EventKind, SpecTaskId, WorkSessionId};

use super::{Read, StoreError, Write, row};

/// A time of the database as RFC 3339 in UTC.
#[must_use]
pub fn rfc3339(millis: i64) -> String {
    Timestamp::from_millisecond(millis)
        .unwrap_or_default()
        .to_string()
}

pub(super) fn event(row: &rusqlite::Row<'_>) -> Result<Event, StoreError> {
    let kind: EventKind = row::json(row, "body")?;
    Ok(Event {
        seq: row.get("seq")?,
        at: rfc3339(row.get("at")?),
        task: row::optional(row, "task")?,
        session: row::optional(row, "session")?,
        kind,
    })
}

impl Read<'_> {
    /// The number of the newest event; 0 when there is none.
    ///
    /// # Errors
    /// When the database fails.
    pub fn last_event(&self) -> Result<u64, StoreError> {
        Ok(self
            .0
            .query_row("SELECT coalesce(max(seq), 0) FROM event", [], |row| {
                row.get(0)
            })?)
    }

    /// Events with a greater number, of one SpecTask or all, oldest first.
    ///
    /// # Errors
    /// When the database fails.
    pub fn events_after(
        &self,
        after: u64,
        task: Option<&SpecTaskId>,
        limit: u32,
    ) -> Result<Vec<Event>, StoreError> {
        match task {
            Some(task) => self.rows(
                "SELECT * FROM event WHERE task = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3",
                params![task.as_str(), after, limit],
                event,
            ),
            None => self.rows(
                "SELECT * FROM event WHERE seq > ?1 ORDER BY seq LIMIT ?2",
                params![after, limit],
                event,
            ),
        }
    }

    /// The newest incidents of a SpecTask, oldest first.
    ///
    /// # Errors
    /// When the database fails.
    pub fn incidents(&self, task: &SpecTaskId, limit: u32) -> Result<Vec<Event>, StoreError> {
        let mut events = self.rows(
            "SELECT * FROM event WHERE task = ?1 AND kind = 'incident' ORDER BY seq DESC LIMIT ?2",
            params![task.as_str(), limit],
            event,
        )?;
        events.reverse();
        Ok(events)
    }

    /// How far a follower has come; 0 when it never moved.
    ///
    /// # Errors
    /// When the database fails.
    pub fn cursor(&self, name: &str) -> Result<u64, StoreError> {
        let seq = self
            .0
            .query_row("SELECT seq FROM cursor WHERE name = ?1", [name], |row| {
                row.get(0)
            })
            .optional()?;
        Ok(seq.unwrap_or(0))
    }

    /// A setting of this installation.
    ///
    /// # Errors
    /// When the database fails.
    pub fn setting(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self
            .0
            .query_row("SELECT value FROM setting WHERE name = ?1", [name], |row| {
                row.get(0)
            })
            .optional()?)
    }
}

impl Write<'_> {
    /// Appends a domain event to the transaction.
    ///
    /// # Errors
    /// When the database fails.
    pub fn emit(
        &self,
        task: Option<&SpecTaskId>,
        session: Option<&WorkSessionId>,
        kind: &EventKind,
    ) -> Result<(), StoreError> {
        let body = row::to_json(kind)?;
        let name = match serde_json::from_str(&body) {
            Ok(Value::Object(fields)) => fields
                .get("kind")
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned(),
            _ => String::new(),
        };
        let entries = self.entries_now(task, session)?;
        self.run(
            "INSERT INTO event (at, task, session, kind, body, entries)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![
                self.now(),
                task.map(SpecTaskId::as_str),
                session.map(WorkSessionId::as_str),
                name,
                body,
                entries
            ],
        )?;
        Ok(())
    }

    /// Moves a follower's cursor forward; never back.
    ///
    /// # Errors
    /// When the database fails.
    pub fn move_cursor(&self, name: &str, seq: u64) -> Result<(), StoreError> {
        self.run(
            "INSERT INTO cursor (name, seq) VALUES (?1, ?2)
             ON CONFLICT (name) DO UPDATE SET seq = max(seq, excluded.seq)",
            params![name, seq],
        )?;
        Ok(())
    }

    /// Keeps a setting unless it is there.
    ///
    /// # Errors
    /// When the database fails.
    pub fn keep_setting(&self, name: &str, value: &[u8]) -> Result<(), StoreError> {
        self.run(
            "INSERT OR IGNORE INTO setting (name, value) VALUES (?1, ?2)",
            params![name, value],
        )?;
        Ok(())
    }

    /// Puts a setting in the place of what it was; none takes it away.
    ///
    /// # Errors
    /// When the database fails.
    pub fn put_setting(&self, name: &str, value: Option<&[u8]>) -> Result<(), StoreError> {
        match value {
            Some(value) => self.run(
                "INSERT INTO setting (name, value) VALUES (?1, ?2)
                 ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                params![name, value],
            )?,
            None => self.run("DELETE FROM setting WHERE name = ?1", params![name])?,
        };
        Ok(())
    }
}
