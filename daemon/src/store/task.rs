//! SpecTasks.

use rusqlite::{Row, params};
use spectask_protocol::{AgentName, ProjectId, SpecTaskId, SpecTaskStatus, WorkMode};

use super::{Read, StoreError, Write, row};

/// A SpecTask as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskRow {
    /// Its id.
    pub id: SpecTaskId,
    /// Its number, from 1.
    pub number: u32,
    /// The safe word after the number in its name.
    pub slug: String,
    /// Its repository.
    pub project: ProjectId,
    /// One line.
    pub title: String,
    /// What the person asked for, redacted.
    pub prompt: String,
    /// The state.
    pub status: SpecTaskStatus,
    /// How it is worked on.
    pub mode: WorkMode,
    /// The agent that plans.
    pub planning_agent: AgentName,
    /// The agent that implements.
    pub agent: AgentName,
    /// How many sessions may run at a time.
    pub session_limit: u32,
    /// Whether dispatch is held.
    pub paused: bool,
    /// Whether lists hide it.
    pub archived: bool,
    /// The commit everything starts from.
    pub base: String,
    /// The branch to merge into at the end.
    pub target: Option<String>,
    /// A verify command that a person typed.
    pub verify: Option<String>,
    /// The newest revision.
    pub revision: Option<u32>,
    /// The approved revision.
    pub approved: Option<u32>,
    /// The last commit the daemon put on `specs/{task}`.
    pub tip: Option<String>,
    /// Whether a person asked for implementation to begin.
    pub start_requested: bool,
    /// Ticked required leaf tasks.
    pub done: u32,
    /// Required leaf tasks.
    pub total: u32,
    /// Why it failed.
    pub error: Option<String>,
    /// Whether it was taken over from another machine, to be read: nothing drives it.
    pub imported: bool,
    /// Milliseconds since the Unix epoch.
    pub created_at: i64,
    /// Milliseconds since the Unix epoch.
    pub updated_at: i64,
}

impl TaskRow {
    /// Its name: `7-user-auth`.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}-{}", self.number, self.slug)
    }

    /// The branch that collects its work.
    #[must_use]
    pub fn branch(&self) -> String {
        format!("specs/{}", self.name())
    }
}

/// What a new SpecTask needs.
#[derive(Debug, Clone)]
pub struct NewTask {
    /// Its id.
    pub id: SpecTaskId,
    /// The safe word of its name.
    pub slug: String,
    /// Its repository.
    pub project: ProjectId,
    /// One line.
    pub title: String,
    /// What the person asked for, redacted.
    pub prompt: String,
    /// The first state.
    pub status: SpecTaskStatus,
    /// How it is worked on.
    pub mode: WorkMode,
    /// The agent that plans.
    pub planning_agent: AgentName,
    /// The agent that implements.
    pub agent: AgentName,
    /// How many sessions at a time.
    pub session_limit: u32,
    /// The commit everything starts from.
    pub base: String,
    /// The branch to merge into at the end.
    pub target: Option<String>,
    /// A verify command that a person typed.
    pub verify: Option<String>,
}

fn task(row: &Row<'_>) -> Result<TaskRow, StoreError> {
    Ok(TaskRow {
        id: row::text(row, "id")?,
        number: row.get("number")?,
        slug: row.get("slug")?,
        project: row::text(row, "project")?,
        title: row.get("title")?,
        prompt: row.get("prompt")?,
        status: row::text(row, "status")?,
        mode: row::text(row, "mode")?,
        planning_agent: row::text(row, "planning_agent")?,
        agent: row::text(row, "agent")?,
        session_limit: row.get("session_limit")?,
        paused: row.get("paused")?,
        archived: row.get("archived")?,
        base: row.get("base")?,
        target: row.get("target")?,
        verify: row.get("verify")?,
        revision: row.get("revision")?,
        approved: row.get("approved")?,
        tip: row.get("tip")?,
        start_requested: row.get("start_requested")?,
        done: row.get("done")?,
        total: row.get("total")?,
        error: row.get("error")?,
        imported: row.get("imported")?,
        created_at: row.get("created_at")?,
        updated_at: row.get("updated_at")?,
    })
}

impl Read<'_> {
    /// The SpecTask of that id.
    ///
    /// # Errors
    /// When the database fails.
    pub fn task(&self, id: &SpecTaskId) -> Result<Option<TaskRow>, StoreError> {
        self.row("SELECT * FROM spec_task WHERE id = ?1", [id.as_str()], task)
    }

    /// The SpecTask of that number.
    ///
    /// # Errors
    /// When the database fails.
    pub fn task_numbered(&self, number: u32) -> Result<Option<TaskRow>, StoreError> {
        self.row("SELECT * FROM spec_task WHERE number = ?1", [number], task)
    }

    /// SpecTasks of one project or all, newest first.
    ///
    /// # Errors
    /// When the database fails.
    pub fn tasks(
        &self,
        project: Option<&ProjectId>,
        archived: bool,
    ) -> Result<Vec<TaskRow>, StoreError> {
        self.rows(
            "SELECT * FROM spec_task
             WHERE (?1 IS NULL OR project = ?1) AND (?2 OR archived = 0) ORDER BY number DESC",
            params![project.map(ProjectId::as_str), archived],
            task,
        )
    }

    /// SpecTasks of this machine that are neither done nor cancelled, oldest first.
    ///
    /// # Errors
    /// When the database fails.
    pub fn open_tasks(&self) -> Result<Vec<TaskRow>, StoreError> {
        self.rows(
            "SELECT * FROM spec_task WHERE status NOT IN ('done', 'cancelled') AND imported = 0
             ORDER BY number",
            [],
            task,
        )
    }
}

impl Write<'_> {
    /// Keeps a new SpecTask under the next number.
    ///
    /// # Errors
    /// When the database fails.
    pub fn insert_task(&self, new: &NewTask) -> Result<TaskRow, StoreError> {
        self.run(
            "INSERT INTO spec_task (id, number, slug, project, title, prompt, status, mode,
                planning_agent, agent, session_limit, base, target, verify, created_at, updated_at)
             VALUES (?1, (SELECT coalesce(max(number), 0) + 1 FROM spec_task),
                ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?14)",
            params![
                new.id.as_str(),
                new.slug,
                new.project.as_str(),
                new.title,
                new.prompt,
                new.status.as_str(),
                new.mode.as_str(),
                new.planning_agent.as_str(),
                new.agent.as_str(),
                new.session_limit,
                new.base,
                new.target,
                new.verify,
                self.now()
            ],
        )?;
        self.task(&new.id)?
            .ok_or_else(|| StoreError::during("keep the task", &"it is not there"))
    }

    /// Writes back everything of a SpecTask that can change.
    ///
    /// # Errors
    /// When the database fails.
    pub fn update_task(&self, task: &TaskRow) -> Result<(), StoreError> {
        self.run(
            "UPDATE spec_task SET title = ?2, status = ?3, paused = ?4, archived = ?5, target = ?6,
                revision = ?7, approved = ?8, tip = ?9, start_requested = ?10, done = ?11,
                total = ?12, error = ?13, updated_at = ?14, base = ?15
             WHERE id = ?1",
            params![
                task.id.as_str(),
                task.title,
                task.status.as_str(),
                task.paused,
                task.archived,
                task.target,
                task.revision,
                task.approved,
                task.tip,
                task.start_requested,
                task.done,
                task.total,
                task.error,
                self.now(),
                task.base,
            ],
        )?;
        Ok(())
    }
}
