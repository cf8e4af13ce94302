//! Work sessions.

use rusqlite::{Row, params};
use spectask_protocol::{
    AgentName, ProjectId, SessionMethod, SessionPhase, SessionStage, SessionStatus, SpecTaskId,
    ThreadStatus, Waiting, WorkSessionId,
};

use super::{Read, StoreError, Write, row};

/// A work session as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRow {
    /// Its id.
    pub id: WorkSessionId,
    /// Its SpecTask; none for an ad hoc session that is attached to none.
    pub task: Option<SpecTaskId>,
    /// Its number in the SpecTask, from 0 (planning); without one, among those that have none.
    pub number: u32,
    /// The safe word of its name.
    pub slug: String,
    /// One line.
    pub title: String,
    /// What to do, for spawned sessions.
    pub description: String,
    /// What it is for.
    pub phase: SessionPhase,
    /// The state.
    pub status: SessionStatus,
    /// The stage while it is active.
    pub stage: SessionStage,
    /// How it came to be.
    pub method: SessionMethod,
    /// The session that spawned it.
    pub parent: Option<WorkSessionId>,
    /// Its implementation task.
    pub implementation_task: Option<i64>,
    /// The agent profile.
    pub agent: AgentName,
    /// Its branch.
    pub branch: Option<String>,
    /// Its worktree.
    pub worktree: Option<String>,
    /// The commit it started from.
    pub base: Option<String>,
    /// The last commit on its branch.
    pub head: Option<String>,
    /// The commit on `specs/{task}` that holds it.
    pub merged: Option<String>,
    /// Whether verify passed; none: unverified.
    pub verified: Option<bool>,
    /// The end of the last verify output.
    pub verify_output: Option<String>,
    /// How often a failed verify went back to the agent.
    pub fixes: u32,
    /// How often its agent's process failed in a row.
    pub crashes: u32,
    /// How often findings went back to the planner.
    pub rounds: u32,
    /// Purpose and text of the next prompt, as JSON; none: the first prompt of its phase.
    pub next_prompt: Option<String>,
    /// Whether a person accepted that it changed nothing.
    pub accept_empty: bool,
    /// What it waits for or is blocked by.
    pub waiting: Option<Waiting>,
    /// What the agent said at the end.
    pub claim: Option<String>,
    /// The state of its thread.
    pub thread: ThreadStatus,
    /// The ACP session id of its thread.
    pub acp_session: Option<String>,
    /// Counts the agent processes that served the thread.
    pub generation: u32,
    /// Milliseconds since the Unix epoch.
    pub created_at: i64,
    /// Milliseconds since the Unix epoch.
    pub started_at: Option<i64>,
    /// Milliseconds since the Unix epoch.
    pub ended_at: Option<i64>,
    /// Of an ad hoc session: the folder it works in. It is the person's; nothing cleans it up.
    pub cwd: Option<String>,
    /// Of an ad hoc session: its project, where its folder is in one.
    pub project: Option<ProjectId>,
}

impl SessionRow {
    /// Whether it is a thread that a person leads in an editor: the scheduler has no part in it.
    #[must_use]
    pub fn is_ad_hoc(&self) -> bool {
        self.method == SessionMethod::AdHoc
    }
}

/// What a new work session needs.
#[derive(Debug, Clone)]
pub struct NewSession {
    /// Its id.
    pub id: WorkSessionId,
    /// Its SpecTask.
    pub task: Option<SpecTaskId>,
    /// The safe word of its name.
    pub slug: String,
    /// One line.
    pub title: String,
    /// What to do, for spawned sessions.
    pub description: String,
    /// What it is for.
    pub phase: SessionPhase,
    /// How it came to be.
    pub method: SessionMethod,
    /// The session that spawned it.
    pub parent: Option<WorkSessionId>,
    /// Its implementation task.
    pub implementation_task: Option<i64>,
    /// The agent profile.
    pub agent: AgentName,
    /// For an ad hoc session: the folder it works in.
    pub cwd: Option<String>,
    /// For an ad hoc session: its project.
    pub project: Option<ProjectId>,
}

pub(super) fn session(row: &Row<'_>) -> Result<SessionRow, StoreError> {
    let waiting = match row::optional(row, "wait_kind")? {
        Some(kind) => Some(Waiting {
            kind,
            text: row
                .get::<_, Option<String>>("wait_text")?
                .unwrap_or_default(),
            hint: row.get("wait_hint")?,
        }),
        None => None,
    };
    Ok(SessionRow {
        id: row::text(row, "id")?,
        task: row::optional(row, "task")?,
        number: row.get("number")?,
        slug: row.get("slug")?,
        title: row.get("title")?,
        description: row.get("description")?,
        phase: row::text(row, "phase")?,
        status: row::text(row, "status")?,
        stage: row::text(row, "stage")?,
        method: row::text(row, "method")?,
        parent: row::optional(row, "parent")?,
        implementation_task: row.get("implementation_task")?,
        agent: row::text(row, "agent")?,
        branch: row.get("branch")?,
        worktree: row.get("worktree")?,
        base: row.get("base")?,
        head: row.get("head")?,
        merged: row.get("merged")?,
        verified: row.get("verified")?,
        verify_output: row.get("verify_output")?,
        fixes: row.get("fixes")?,
        crashes: row.get("crashes")?,
        rounds: row.get("rounds")?,
        next_prompt: row.get("next_prompt")?,
        accept_empty: row.get("accept_empty")?,
        waiting,
        claim: row.get("claim")?,
        thread: row::text(row, "thread")?,
        acp_session: row.get("acp_session")?,
        generation: row.get("generation")?,
        created_at: row.get("created_at")?,
        started_at: row.get("started_at")?,
        ended_at: row.get("ended_at")?,
        cwd: row.get("cwd")?,
        project: row::optional(row, "project")?,
    })
}

impl Read<'_> {
    /// The session of that id.
    ///
    /// # Errors
    /// When the database fails.
    pub fn session(&self, id: &WorkSessionId) -> Result<Option<SessionRow>, StoreError> {
        self.row(
            "SELECT * FROM work_session WHERE id = ?1",
            [id.as_str()],
            session,
        )
    }

    /// The session of that number in a SpecTask.
    ///
    /// # Errors
    /// When the database fails.
    pub fn session_numbered(
        &self,
        task: &SpecTaskId,
        number: u32,
    ) -> Result<Option<SessionRow>, StoreError> {
        self.row(
            "SELECT * FROM work_session WHERE task = ?1 AND number = ?2",
            params![task.as_str(), number],
            session,
        )
    }

    /// The session of that number among those of no SpecTask.
    ///
    /// # Errors
    /// When the database fails.
    pub fn loose_session_numbered(&self, number: u32) -> Result<Option<SessionRow>, StoreError> {
        self.row(
            "SELECT * FROM work_session WHERE task IS NULL AND number = ?1",
            [number],
            session,
        )
    }

    /// The sessions of a SpecTask in the order of creation.
    ///
    /// # Errors
    /// When the database fails.
    pub fn sessions(&self, task: &SpecTaskId) -> Result<Vec<SessionRow>, StoreError> {
        self.rows(
            "SELECT * FROM work_session WHERE task = ?1 ORDER BY number",
            [task.as_str()],
            session,
        )
    }

    /// The sessions of a SpecTask that the daemon drives, in the order of creation: all but those
    /// that a person leads in an editor.
    ///
    /// # Errors
    /// When the database fails.
    pub fn driven_sessions(&self, task: &SpecTaskId) -> Result<Vec<SessionRow>, StoreError> {
        let mut sessions = self.sessions(task)?;
        sessions.retain(|session| !session.is_ad_hoc());
        Ok(sessions)
    }

    /// Sessions of no SpecTask, of one project or all, in the order of creation.
    ///
    /// # Errors
    /// When the database fails.
    pub fn loose_sessions(
        &self,
        project: Option<&ProjectId>,
    ) -> Result<Vec<SessionRow>, StoreError> {
        self.rows(
            "SELECT * FROM work_session WHERE task IS NULL AND (?1 IS NULL OR project = ?1)
             ORDER BY number",
            params![project.map(ProjectId::as_str)],
            session,
        )
    }

    /// Sessions of all SpecTasks and of none, of one project or all, newest first.
    ///
    /// # Errors
    /// When the database fails.
    pub fn newest_sessions(
        &self,
        project: Option<&ProjectId>,
    ) -> Result<Vec<SessionRow>, StoreError> {
        self.rows(
            "SELECT work_session.* FROM work_session
             LEFT JOIN spec_task ON spec_task.id = work_session.task
             WHERE ?1 IS NULL OR coalesce(spec_task.project, work_session.project) = ?1
             ORDER BY work_session.created_at DESC, work_session.id DESC",
            params![project.map(ProjectId::as_str)],
            session,
        )
    }

    /// How many sessions of each SpecTask are active, and how many are blocked or wait; those that a
    /// person leads in an editor do not count.
    ///
    /// # Errors
    /// When the database fails.
    pub fn session_counts(&self) -> Result<Vec<(SpecTaskId, u32, u32)>, StoreError> {
        self.rows(
            "SELECT task, sum(status = 'active') AS active,
                sum(status IN ('blocked', 'waiting')) AS stuck
             FROM work_session
             WHERE status NOT IN ('completed', 'failed', 'cancelled') AND method <> 'ad_hoc'
             GROUP BY task",
            [],
            |row| {
                Ok((
                    row::text(row, "task")?,
                    row.get("active")?,
                    row.get("stuck")?,
                ))
            },
        )
    }
}

impl Write<'_> {
    /// Keeps a new session under the next number of its SpecTask, or of those without; planning
    /// gets 0.
    ///
    /// # Errors
    /// When the database fails.
    pub fn insert_session(&self, new: &NewSession) -> Result<SessionRow, StoreError> {
        let first = u32::from(new.phase != SessionPhase::Planning);
        self.run(
            "INSERT INTO work_session (id, task, number, slug, title, description, phase, status,
                stage, method, parent, implementation_task, agent, thread, created_at, cwd, project)
             VALUES (?1, ?2,
                (SELECT max(?12, coalesce(max(number) + 1, 0)) FROM work_session WHERE task IS ?2),
                ?3, ?4, ?5, ?6, 'pending', 'prepare', ?7, ?8, ?9, ?10, 'draft', ?11, ?13, ?14)",
            params![
                new.id.as_str(),
                new.task.as_ref().map(SpecTaskId::as_str),
                new.slug,
                new.title,
                new.description,
                new.phase.as_str(),
                new.method.as_str(),
                new.parent.as_ref().map(WorkSessionId::as_str),
                new.implementation_task,
                new.agent.as_str(),
                self.now(),
                first,
                new.cwd,
                new.project.as_ref().map(ProjectId::as_str),
            ],
        )?;
        self.session(&new.id)?
            .ok_or_else(|| StoreError::during("keep the session", &"it is not there"))
    }

    /// Writes back everything of a session that can change.
    ///
    /// # Errors
    /// When the database fails.
    pub fn update_session(&self, session: &SessionRow) -> Result<(), StoreError> {
        let waiting = session.waiting.as_ref();
        self.run(
            "UPDATE work_session SET status = ?2, stage = ?3, agent = ?4, branch = ?5,
                worktree = ?6, base = ?7, head = ?8, merged = ?9, verified = ?10,
                verify_output = ?11, fixes = ?12, crashes = ?13, rounds = ?14, next_prompt = ?15,
                accept_empty = ?16, wait_kind = ?17, wait_text = ?18, wait_hint = ?19, claim = ?20,
                thread = ?21, acp_session = ?22, generation = ?23, started_at = ?24, ended_at = ?25,
                title = ?26, cwd = ?27
             WHERE id = ?1",
            params![
                session.id.as_str(),
                session.status.as_str(),
                session.stage.as_str(),
                session.agent.as_str(),
                session.branch,
                session.worktree,
                session.base,
                session.head,
                session.merged,
                session.verified,
                session.verify_output,
                session.fixes,
                session.crashes,
                session.rounds,
                session.next_prompt,
                session.accept_empty,
                waiting.map(|waiting| waiting.kind.as_str()),
                waiting.map(|waiting| waiting.text.as_str()),
                waiting.and_then(|waiting| waiting.hint.as_deref()),
                session.claim,
                session.thread.as_str(),
                session.acp_session,
                session.generation,
                session.started_at,
                session.ended_at,
                session.title,
                session.cwd,
            ],
        )?;
        Ok(())
    }

    /// Moves a session to the next number of another SpecTask, or of those without; gives back its
    /// row.
    ///
    /// # Errors
    /// When the database fails.
    pub fn move_session(
        &self,
        id: &WorkSessionId,
        task: Option<&SpecTaskId>,
    ) -> Result<SessionRow, StoreError> {
        self.run(
            "UPDATE work_session SET task = ?2, number =
                (SELECT max(1, coalesce(max(number) + 1, 0)) FROM work_session WHERE task IS ?2)
             WHERE id = ?1",
            params![id.as_str(), task.map(SpecTaskId::as_str)],
        )?;
        self.session(id)?
            .ok_or_else(|| StoreError::during("move the session", &"it is not there"))
    }
}
