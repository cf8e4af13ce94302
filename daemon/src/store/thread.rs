//! Threads: what editors call sessions. One that was never prompted is a draft and has no work
//! session; from the first prompt on both have the same id.

use rusqlite::{Row, params};
use serde_json::Value;
use spectask_protocol::{
    AgentName, ProjectId, SpecTaskId, ThreadStatus, WorkSessionId, shim::Entry,
};

use super::{Read, StoreError, Write, row};

/// A thread as it is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct ThreadRow {
    /// Its id towards editors, and its work session's once it was prompted.
    pub id: WorkSessionId,
    /// What the editor's shim was started for.
    pub entry: Entry,
    /// The agent profile.
    pub agent: AgentName,
    /// The project its folder is in.
    pub project: Option<ProjectId>,
    /// The folder it works in.
    pub cwd: String,
    /// The agent's own id of the session.
    pub acp_session: Option<String>,
    /// What it is called.
    pub title: Option<String>,
    /// What its agent offers: modes, configuration options, commands; a JSON object.
    pub state: Value,
    /// The SpecTask that was chosen for it.
    pub task: Option<SpecTaskId>,
    /// The state.
    pub status: ThreadStatus,
    /// When it was deleted; the row stays so that its id is not taken for unknown.
    pub deleted_at: Option<i64>,
    /// Milliseconds since the Unix epoch.
    pub created_at: i64,
    /// When it was prompted or opened last, in milliseconds since the Unix epoch.
    pub used_at: i64,
}

/// What a new thread needs.
#[derive(Debug, Clone, PartialEq)]
pub struct NewThread {
    /// Its id.
    pub id: WorkSessionId,
    /// What the editor's shim was started for.
    pub entry: Entry,
    /// The agent profile.
    pub agent: AgentName,
    /// The project its folder is in.
    pub project: Option<ProjectId>,
    /// The folder it works in.
    pub cwd: String,
    /// The agent's own id of the session.
    pub acp_session: Option<String>,
    /// What it is called.
    pub title: Option<String>,
    /// What its agent offers; a JSON object.
    pub state: Value,
    /// The SpecTask that was chosen for it.
    pub task: Option<SpecTaskId>,
}

/// Which threads are listed.
#[derive(Debug, Clone, Copy, Default)]
pub struct ThreadFilter<'a> {
    /// Only those of this project.
    pub project: Option<&'a ProjectId>,
    /// Only those in exactly this folder.
    pub cwd: Option<&'a str>,
    /// Only those of this agent.
    pub agent: Option<&'a AgentName>,
    /// Those that were never prompted, too.
    pub drafts: bool,
}

fn thread(row: &Row<'_>) -> Result<ThreadRow, StoreError> {
    Ok(ThreadRow {
        id: row::text(row, "id")?,
        entry: row::json(row, "entry")?,
        agent: row::text(row, "agent")?,
        project: row::optional(row, "project")?,
        cwd: row.get("cwd")?,
        acp_session: row.get("acp_session")?,
        title: row.get("title")?,
        state: row::json(row, "state")?,
        task: row::optional(row, "task")?,
        status: row::text(row, "status")?,
        deleted_at: row.get("deleted_at")?,
        created_at: row.get("created_at")?,
        used_at: row.get("used_at")?,
    })
}

impl Read<'_> {
    /// The thread of that id, even when it was deleted.
    ///
    /// # Errors
    /// When the database fails.
    pub fn thread(&self, id: &WorkSessionId) -> Result<Option<ThreadRow>, StoreError> {
        self.row("SELECT * FROM thread WHERE id = ?1", [id.as_str()], thread)
    }

    /// Threads that were not deleted, the one used last first.
    ///
    /// # Errors
    /// When the database fails.
    pub fn threads(&self, filter: ThreadFilter<'_>) -> Result<Vec<ThreadRow>, StoreError> {
        self.rows(
            "SELECT * FROM thread WHERE deleted_at IS NULL
                AND (?1 IS NULL OR project = ?1) AND (?2 IS NULL OR cwd = ?2)
                AND (?3 IS NULL OR agent = ?3) AND (?4 OR status <> 'draft')
             ORDER BY used_at DESC, id DESC",
            params![
                filter.project.map(ProjectId::as_str),
                filter.cwd,
                filter.agent.map(AgentName::as_str),
                filter.drafts
            ],
            thread,
        )
    }
}

impl Write<'_> {
    /// Keeps a new thread as a draft.
    ///
    /// # Errors
    /// When the database fails.
    pub fn insert_thread(&self, new: &NewThread) -> Result<ThreadRow, StoreError> {
        self.run(
            "INSERT INTO thread (id, entry, agent, project, cwd, acp_session, title, state, task,
                status, created_at, used_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 'draft', ?10, ?10)",
            params![
                new.id.as_str(),
                row::to_json(&new.entry)?,
                new.agent.as_str(),
                new.project.as_ref().map(ProjectId::as_str),
                new.cwd,
                new.acp_session,
                new.title,
                row::to_json(&new.state)?,
                new.task.as_ref().map(SpecTaskId::as_str),
                self.now()
            ],
        )?;
        self.thread(&new.id)?
            .ok_or_else(|| StoreError::during("keep the thread", &"it is not there"))
    }

    /// Writes back everything of a thread that can change.
    ///
    /// # Errors
    /// When the database fails.
    pub fn update_thread(&self, thread: &ThreadRow) -> Result<(), StoreError> {
        self.run(
            "UPDATE thread SET entry = ?2, agent = ?3, project = ?4, cwd = ?5, acp_session = ?6,
                title = ?7, state = ?8, task = ?9, status = ?10, deleted_at = ?11, used_at = ?12
             WHERE id = ?1",
            params![
                thread.id.as_str(),
                row::to_json(&thread.entry)?,
                thread.agent.as_str(),
                thread.project.as_ref().map(ProjectId::as_str),
                thread.cwd,
                thread.acp_session,
                thread.title,
                row::to_json(&thread.state)?,
                thread.task.as_ref().map(SpecTaskId::as_str),
                thread.status.as_str(),
                thread.deleted_at,
                thread.used_at,
            ],
        )?;
        Ok(())
    }

    /// Forgets threads that were never prompted and not used for so many milliseconds. Those that are
    /// `shown`, those that view another session, and those that were deleted, whose rows say so, stay.
    /// Returns which were forgotten.
    ///
    /// # Errors
    /// When the database fails.
    pub fn delete_drafts_older_than(
        &self,
        millis: i64,
        shown: &[WorkSessionId],
    ) -> Result<Vec<WorkSessionId>, StoreError> {
        let shown: Vec<&str> = shown.iter().map(WorkSessionId::as_str).collect();
        self.rows(
            "DELETE FROM thread WHERE status = 'draft' AND used_at < ?1 AND deleted_at IS NULL
                AND state ->> '$.viewing' IS NULL
                AND id NOT IN (SELECT value FROM json_each(?2))
             RETURNING id",
            params![self.now().saturating_sub(millis), row::to_json(&shown)?],
            |row| row::text(row, "id"),
        )
    }

    /// Notes that no agent process serves any thread any more.
    ///
    /// # Errors
    /// When the database fails.
    pub fn disconnect_threads(&self) -> Result<(), StoreError> {
        self.run(
            "UPDATE thread SET status = 'disconnected' WHERE status = 'active'",
            [],
        )?;
        self.run(
            "UPDATE work_session SET thread = 'disconnected'
             WHERE thread = 'active' AND method = 'ad_hoc'",
            [],
        )?;
        Ok(())
    }
}
