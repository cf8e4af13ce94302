//! What the recorder reads, and what it notes of commits of code.

use rusqlite::{OptionalExtension, Row, params};
use spectask_protocol::{Event, EventKind, SpecTaskId, WorkSessionId};

use super::{Read, StoreError, Write, event::event, row};

/// A commit of code and the turn that it came of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TurnCommit {
    /// The commit, 40 hex digits.
    pub id: String,
    /// The session.
    pub session: WorkSessionId,
    /// The turn, from 1.
    pub turn: u32,
    /// The commit's tree.
    pub tree: String,
    /// The patch id of its difference to its first parent; none when that is empty.
    pub patch_id: Option<String>,
    /// When the session committed it, in milliseconds since the Unix epoch.
    pub at: i64,
}

/// A domain event and its place among the frames of its session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlacedEvent {
    /// The event.
    pub event: Event,
    /// When it was committed, in milliseconds since the Unix epoch.
    pub at: i64,
    /// How many entries the session's transcript had then; none for events of earlier releases.
    pub entries: Option<u64>,
}

fn turn_commit(row: &Row<'_>) -> Result<TurnCommit, StoreError> {
    Ok(TurnCommit {
        id: row.get("id")?,
        session: row::text(row, "session")?,
        turn: row.get("turn")?,
        tree: row.get("tree")?,
        patch_id: row.get("patch_id")?,
        at: row.get("at")?,
    })
}

fn placed(row: &Row<'_>) -> Result<PlacedEvent, StoreError> {
    Ok(PlacedEvent {
        event: event(row)?,
        at: row.get("at")?,
        entries: row.get("entries")?,
    })
}

impl Read<'_> {
    /// The turn that a commit of code came of.
    ///
    /// # Errors
    /// When the database fails.
    pub fn turn_commit(&self, id: &str) -> Result<Option<TurnCommit>, StoreError> {
        self.row("SELECT * FROM turn_commit WHERE id = ?1", [id], turn_commit)
    }

    /// Commits with that tree, the first one first.
    ///
    /// # Errors
    /// When the database fails.
    pub fn turn_commits_of_tree(&self, tree: &str) -> Result<Vec<TurnCommit>, StoreError> {
        self.rows(
            "SELECT * FROM turn_commit WHERE tree = ?1 ORDER BY at, id",
            [tree],
            turn_commit,
        )
    }

    /// Commits with that patch id, the first one first.
    ///
    /// # Errors
    /// When the database fails.
    pub fn turn_commits_of_patch(&self, patch_id: &str) -> Result<Vec<TurnCommit>, StoreError> {
        self.rows(
            "SELECT * FROM turn_commit WHERE patch_id = ?1 ORDER BY at, id",
            [patch_id],
            turn_commit,
        )
    }

    /// Commits that came of a session, of one turn or all, in order.
    ///
    /// # Errors
    /// When the database fails.
    pub fn turn_commits(
        &self,
        session: &WorkSessionId,
        turn: Option<u32>,
    ) -> Result<Vec<TurnCommit>, StoreError> {
        self.rows(
            "SELECT * FROM turn_commit WHERE session = ?1 AND (?2 IS NULL OR turn = ?2)
             ORDER BY turn, at, id",
            params![session.as_str(), turn],
            turn_commit,
        )
    }

    /// Events of a session with a greater number, oldest first; of a planning session, those of its
    /// SpecTask `of` as well that belong to no session.
    ///
    /// # Errors
    /// When the database fails.
    pub fn events_of_session(
        &self,
        session: &WorkSessionId,
        of: Option<&SpecTaskId>,
        after: u64,
        limit: u32,
    ) -> Result<Vec<PlacedEvent>, StoreError> {
        self.rows(
            "SELECT * FROM event WHERE session = ?1 AND seq > ?3
             UNION ALL
             SELECT * FROM event WHERE task = ?2 AND session IS NULL AND seq > ?3
             ORDER BY seq LIMIT ?4",
            params![
                session.as_str(),
                of.map(SpecTaskId::as_str),
                i64::try_from(after).unwrap_or(i64::MAX),
                limit
            ],
            placed,
        )
    }

    /// The names that a session had, as `{task}/{session}`, the first one first.
    ///
    /// # Errors
    /// When the database fails.
    pub fn session_names(&self, session: &WorkSessionId) -> Result<Vec<String>, StoreError> {
        let events = self.rows(
            "SELECT * FROM event WHERE session = ?1
                AND kind IN ('session_created', 'session_attached') ORDER BY seq",
            [session.as_str()],
            event,
        )?;
        let mut names: Vec<String> = Vec::new();
        for event in events {
            if let EventKind::SessionCreated { name } | EventKind::SessionAttached { name } =
                event.kind
                && names.last() != Some(&name)
            {
                names.push(name);
            }
        }
        Ok(names)
    }

    /// Why a turn was sent.
    ///
    /// # Errors
    /// When the database fails.
    pub fn turn_purpose(
        &self,
        session: &WorkSessionId,
        number: u32,
    ) -> Result<Option<String>, StoreError> {
        self.row(
            "SELECT purpose FROM turn WHERE session = ?1 AND number = ?2",
            params![session.as_str(), number],
            |row| Ok(row.get("purpose")?),
        )
    }

    /// The sessions and SpecTasks that events with a greater number belong to, up to and with the
    /// number `until`, each with its first such event.
    ///
    /// # Errors
    /// When the database fails.
    pub fn touched(
        &self,
        after: u64,
        until: u64,
    ) -> Result<Vec<(Option<SpecTaskId>, Option<WorkSessionId>, u64)>, StoreError> {
        self.rows(
            "SELECT task, session, min(seq) AS seq FROM event WHERE seq > ?1 AND seq <= ?2
             GROUP BY task, session ORDER BY 3",
            params![
                i64::try_from(after).unwrap_or(i64::MAX),
                i64::try_from(until).unwrap_or(i64::MAX)
            ],
            |row| {
                Ok((
                    row::optional(row, "task")?,
                    row::optional(row, "session")?,
                    row.get("seq")?,
                ))
            },
        )
    }

    /// How many entries the transcript has that an event of this session or SpecTask has its place in.
    pub(super) fn entries_now(
        &self,
        task: Option<&SpecTaskId>,
        session: Option<&WorkSessionId>,
    ) -> Result<Option<u64>, StoreError> {
        if let Some(session) = session {
            return self.transcript_next(session).map(Some);
        }
        let Some(task) = task else {
            return Ok(None);
        };
        let planning: Option<String> = self
            .0
            .prepare_cached("SELECT id FROM work_session WHERE task = ?1 AND number = 0")?
            .query_row([task.as_str()], |row| row.get(0))
            .optional()?;
        match planning.and_then(|id| id.parse().ok()) {
            Some(planning) => self.transcript_next(&planning).map(Some),
            None => Ok(Some(0)),
        }
    }
}

impl Write<'_> {
    /// Notes commits of code; one that is known stays as it is.
    ///
    /// # Errors
    /// When the database fails.
    pub fn keep_turn_commits(&self, commits: &[TurnCommit]) -> Result<(), StoreError> {
        for commit in commits {
            self.run(
                "INSERT OR IGNORE INTO turn_commit (id, session, turn, tree, patch_id, at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                params![
                    commit.id,
                    commit.session.as_str(),
                    commit.turn,
                    commit.tree,
                    commit.patch_id,
                    commit.at
                ],
            )?;
        }
        Ok(())
    }
}
