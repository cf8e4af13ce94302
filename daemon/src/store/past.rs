//! What is asked about turns that are over, and SpecTasks that are taken over from another machine.

use rusqlite::{OptionalExtension, params};
use spectask_protocol::{
    AgentName, ProjectId, SessionMethod, SessionPhase, SessionStatus, SpecTaskId, SpecTaskStatus,
    TurnStatus, WorkSessionId,
};

use super::{Read, StoreError, TurnRow, Write, turn::turn};

/// A SpecTask to take over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportedTask {
    /// Its id.
    pub id: SpecTaskId,
    /// Its number there; another one is given when it is taken.
    pub number: u32,
    /// The safe word of its name.
    pub slug: String,
    /// The repository.
    pub project: ProjectId,
    /// One line.
    pub title: String,
    /// What the person asked for, redacted.
    pub prompt: String,
    /// The state there.
    pub status: SpecTaskStatus,
    /// The agent.
    pub agent: AgentName,
    /// What it started from.
    pub base: String,
    /// Milliseconds since the Unix epoch.
    pub created_at: i64,
}

/// A work session to take over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportedSession {
    /// Its id.
    pub id: WorkSessionId,
    /// The SpecTask.
    pub task: SpecTaskId,
    /// Its number there; another one is given when it is taken.
    pub number: u32,
    /// The safe word of its name.
    pub slug: String,
    /// One line.
    pub title: String,
    /// What it is for.
    pub phase: SessionPhase,
    /// How it came to be.
    pub method: SessionMethod,
    /// The state; one that has not ended is a blocked one here.
    pub status: SessionStatus,
    /// The agent.
    pub agent: AgentName,
    /// Its implementation task here.
    pub implementation_task: Option<i64>,
    /// The commit on `specs/{task}` that holds it.
    pub merged: Option<String>,
    /// How its verify command ended; none: it did not run.
    pub verified: Option<bool>,
    /// Milliseconds since the Unix epoch.
    pub created_at: i64,
    /// Milliseconds since the Unix epoch.
    pub ended_at: Option<i64>,
}

/// A turn to take over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportedTurn {
    /// Its session.
    pub session: WorkSessionId,
    /// Its number.
    pub number: u32,
    /// Why it was sent.
    pub purpose: String,
    /// How it ended; one that runs there is an interrupted one here.
    pub status: TurnStatus,
    /// The stop reason or error.
    pub reason: Option<String>,
    /// Milliseconds since the Unix epoch.
    pub started_at: i64,
    /// Milliseconds since the Unix epoch.
    pub ended_at: Option<i64>,
}

impl Read<'_> {
    /// Turns of one project, SpecTask or session, or of all, newest first.
    ///
    /// # Errors
    /// When the database fails.
    pub fn newest_turns(
        &self,
        project: Option<&ProjectId>,
        task: Option<&SpecTaskId>,
        session: Option<&WorkSessionId>,
        limit: u32,
    ) -> Result<Vec<TurnRow>, StoreError> {
        self.rows(
            "SELECT turn.* FROM turn
             JOIN work_session ON work_session.id = turn.session
             LEFT JOIN spec_task ON spec_task.id = work_session.task
             WHERE (?1 IS NULL OR coalesce(spec_task.project, work_session.project) = ?1)
                AND (?2 IS NULL OR work_session.task = ?2)
                AND (?3 IS NULL OR turn.session = ?3)
             ORDER BY turn.started_at DESC, turn.session DESC, turn.number DESC LIMIT ?4",
            params![
                project.map(ProjectId::as_str),
                task.map(SpecTaskId::as_str),
                session.map(WorkSessionId::as_str),
                limit
            ],
            turn,
        )
    }

    /// The index of the first entry of a turn; none when it is not known, as for turns of earlier
    /// releases.
    ///
    /// # Errors
    /// When the database fails.
    pub fn turn_begins(
        &self,
        session: &WorkSessionId,
        turn: u32,
    ) -> Result<Option<u64>, StoreError> {
        let noted: Option<Option<u64>> = self
            .0
            .prepare_cached(
                "SELECT entries FROM event WHERE session = ?1 AND kind = 'turn_started'
                 AND json_extract(body, '$.data.turn') = ?2 ORDER BY seq DESC LIMIT 1",
            )?
            .query_row(params![session.as_str(), turn], |row| row.get(0))
            .optional()?;
        if let Some(Some(noted)) = noted {
            return Ok(Some(noted));
        }
        Ok(self
            .0
            .prepare_cached("SELECT min(first) FROM search_block WHERE session = ?1 AND turn = ?2")?
            .query_row(params![session.as_str(), turn], |row| row.get(0))?)
    }

    /// Whether commits of code are linked to turns at all.
    ///
    /// # Errors
    /// When the database fails.
    pub fn has_turn_commits(&self) -> Result<bool, StoreError> {
        let mut statement = self
            .0
            .prepare_cached("SELECT EXISTS (SELECT 1 FROM turn_commit)")?;
        Ok(statement.query_row([], |row| row.get(0))?)
    }
}

impl Write<'_> {
    /// Keeps a SpecTask of another machine, or brings its state up to date.
    ///
    /// # Errors
    /// When the database fails.
    pub fn import_task(&self, new: &ImportedTask) -> Result<(), StoreError> {
        self.run(
            "INSERT INTO spec_task (id, number, slug, project, title, prompt, status, mode,
                planning_agent, agent, session_limit, base, created_at, updated_at, imported)
             VALUES (?1, CASE WHEN EXISTS (SELECT 1 FROM spec_task WHERE number = ?2)
                    THEN (SELECT max(number) + 1 FROM spec_task) ELSE ?2 END,
                ?3, ?4, ?5, ?6, ?7, 'parallel', ?8, ?8, 1, ?9, ?10, ?10, 1)
             ON CONFLICT (id) DO UPDATE SET status = excluded.status WHERE imported = 1",
            params![
                new.id.as_str(),
                new.number,
                new.slug,
                new.project.as_str(),
                new.title,
                new.prompt,
                new.status.as_str(),
                new.agent.as_str(),
                new.base,
                new.created_at,
            ],
        )?;
        Ok(())
    }

    /// Keeps a work session of another machine, or brings its state up to date; returns whether it is
    /// new.
    ///
    /// # Errors
    /// When the database fails.
    pub fn import_session(&self, new: &ImportedSession) -> Result<bool, StoreError> {
        let status = if new.status.is_final() {
            new.status
        } else {
            SessionStatus::Blocked
        };
        let known = self.session(&new.id)?.is_some();
        self.run(
            "INSERT INTO work_session (id, task, number, slug, title, description, phase, status,
                stage, method, implementation_task, agent, merged, thread, created_at, ended_at,
                verified)
             VALUES (?1, ?2, CASE WHEN EXISTS
                    (SELECT 1 FROM work_session WHERE task = ?2 AND number = ?3)
                    THEN (SELECT max(number) + 1 FROM work_session WHERE task = ?2) ELSE ?3 END,
                ?4, ?5, '', ?6, ?7, 'prepare', ?8, ?9, ?10, ?11, 'draft', ?12, ?13, ?14)
             ON CONFLICT (id) DO UPDATE SET status = excluded.status, merged = excluded.merged,
                ended_at = excluded.ended_at, verified = excluded.verified,
                implementation_task = coalesce(excluded.implementation_task, implementation_task)
                WHERE task = excluded.task",
            params![
                new.id.as_str(),
                new.task.as_str(),
                new.number,
                new.slug,
                new.title,
                new.phase.as_str(),
                status.as_str(),
                new.method.as_str(),
                new.implementation_task,
                new.agent.as_str(),
                new.merged,
                new.created_at,
                new.ended_at,
                new.verified,
            ],
        )?;
        Ok(!known)
    }

    /// Keeps a turn of another machine; returns whether it is new.
    ///
    /// # Errors
    /// When the database fails.
    pub fn import_turn(&self, new: &ImportedTurn) -> Result<bool, StoreError> {
        let status = match new.status {
            TurnStatus::Running => TurnStatus::Interrupted,
            status => status,
        };
        // One that ran when it was taken over before may have ended.
        let kept = self.run(
            "INSERT INTO turn (session, number, purpose, status, reason, started_at, ended_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
             ON CONFLICT (session, number) DO UPDATE SET status = excluded.status,
                reason = excluded.reason, ended_at = excluded.ended_at
                WHERE turn.status = 'interrupted' AND
                    (turn.ended_at IS NOT excluded.ended_at OR turn.status <> excluded.status)",
            params![
                new.session.as_str(),
                new.number,
                new.purpose,
                status.as_str(),
                new.reason,
                new.started_at,
                new.ended_at,
            ],
        )?;
        Ok(kept == 1)
    }
}
