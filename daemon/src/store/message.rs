//! Messages to sessions, from other sessions and from persons.

use rusqlite::{Row, params};
use spectask_protocol::{MessageId, MessageKind, SpecTaskId, WorkSessionId};

use super::{Read, StoreError, Write, row};

/// A message as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageRow {
    /// Its id.
    pub id: MessageId,
    /// The session that is told.
    pub session: WorkSessionId,
    /// The session that tells; none: a person.
    pub sender: Option<WorkSessionId>,
    /// What sort.
    pub kind: MessageKind,
    /// What, redacted.
    pub text: String,
    /// The request it answers.
    pub answers: Option<MessageId>,
    /// Milliseconds since the Unix epoch.
    pub at: i64,
    /// The turn whose prompt it was part of; 0: shown in another way; none: it waits.
    pub turn: Option<u32>,
    /// Milliseconds since the Unix epoch.
    pub delivered_at: Option<i64>,
}

/// What a new message needs.
#[derive(Debug, Clone)]
pub struct NewMessage {
    /// Its id.
    pub id: MessageId,
    /// The session that is told.
    pub session: WorkSessionId,
    /// The session that tells; none: a person.
    pub sender: Option<WorkSessionId>,
    /// What sort.
    pub kind: MessageKind,
    /// What, redacted.
    pub text: String,
    /// The request it answers.
    pub answers: Option<MessageId>,
}

fn message(row: &Row<'_>) -> Result<MessageRow, StoreError> {
    Ok(MessageRow {
        id: row::text(row, "id")?,
        session: row::text(row, "session")?,
        sender: row::optional(row, "sender")?,
        kind: row::text(row, "kind")?,
        text: row.get("text")?,
        answers: row::optional(row, "answers")?,
        at: row.get("at")?,
        turn: row.get("turn")?,
        delivered_at: row.get("delivered_at")?,
    })
}

impl Read<'_> {
    /// The message of that id.
    ///
    /// # Errors
    /// When the database fails.
    pub fn message(&self, id: &MessageId) -> Result<Option<MessageRow>, StoreError> {
        self.row(
            "SELECT * FROM message WHERE id = ?1",
            [id.as_str()],
            message,
        )
    }

    /// Messages that wait for their session, oldest first.
    ///
    /// # Errors
    /// When the database fails.
    pub fn undelivered_messages(
        &self,
        session: &WorkSessionId,
    ) -> Result<Vec<MessageRow>, StoreError> {
        self.rows(
            "SELECT * FROM message WHERE session = ?1 AND delivered_at IS NULL ORDER BY number",
            [session.as_str()],
            message,
        )
    }

    /// Messages that a session's next prompt must hold, oldest first: those that wait, and those of
    /// turns since the last one that came to its end. Whether a cancelled turn counts as one that did
    /// is up to the caller.
    ///
    /// # Errors
    /// When the database fails.
    pub fn messages_to_tell(
        &self,
        session: &WorkSessionId,
        cancelled_is_end: bool,
    ) -> Result<Vec<MessageRow>, StoreError> {
        self.rows(
            "SELECT * FROM message WHERE session = ?1 AND (delivered_at IS NULL OR turn >
                (SELECT coalesce(max(number), 0) FROM turn WHERE session = ?1
                 AND (status = 'ended' OR (?2 AND status = 'cancelled'))))
             ORDER BY number",
            params![session.as_str(), cancelled_is_end],
            message,
        )
    }

    /// Messages to a session and from it, oldest first.
    ///
    /// # Errors
    /// When the database fails.
    pub fn messages_of_session(
        &self,
        session: &WorkSessionId,
    ) -> Result<Vec<MessageRow>, StoreError> {
        self.rows(
            "SELECT * FROM message WHERE session = ?1 OR sender = ?1 ORDER BY number",
            [session.as_str()],
            message,
        )
    }

    /// Messages to the sessions of a SpecTask and from them, oldest first.
    ///
    /// # Errors
    /// When the database fails.
    pub fn messages_of_task(&self, task: &SpecTaskId) -> Result<Vec<MessageRow>, StoreError> {
        self.rows(
            "SELECT * FROM message
             WHERE session IN (SELECT id FROM work_session WHERE task = ?1)
                OR sender IN (SELECT id FROM work_session WHERE task = ?1)
             ORDER BY number",
            [task.as_str()],
            message,
        )
    }
}

impl Write<'_> {
    /// Keeps a message.
    ///
    /// # Errors
    /// When the database fails.
    pub fn insert_message(&self, new: &NewMessage) -> Result<MessageRow, StoreError> {
        self.run(
            "INSERT INTO message (id, session, sender, kind, text, answers, at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![
                new.id.as_str(),
                new.session.as_str(),
                new.sender.as_ref().map(WorkSessionId::as_str),
                new.kind.as_str(),
                new.text,
                new.answers.as_ref().map(MessageId::as_str),
                self.now()
            ],
        )?;
        self.message(&new.id)?
            .ok_or_else(|| StoreError::during("keep the message", &"it is not there"))
    }

    /// Notes that messages reached their session in a turn (0: in another way); those that had are
    /// left as they are.
    ///
    /// # Errors
    /// When the database fails.
    pub fn messages_delivered(&self, ids: &[MessageId], turn: u32) -> Result<(), StoreError> {
        for id in ids {
            self.run(
                "UPDATE message SET turn = ?2, delivered_at = ?3
                 WHERE id = ?1 AND delivered_at IS NULL",
                params![id.as_str(), turn, self.now()],
            )?;
        }
        Ok(())
    }
}
