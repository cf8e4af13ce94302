//! What a work session goes through between its turns.

use spectask_protocol::{
    AgentName, EventKind, ImplementationTaskStatus, SessionMethod, SessionPhase, SessionRef,
    SessionStage, SessionStatus, SpecTaskId, SpecTaskStatus, ThreadStatus, WaitKind, Waiting,
    WorkSessionId,
};

use super::{
    NextPrompt, Spawner, WorkflowError,
    error::{refused, refused_ad_hoc},
    lookup::{Target, find_id, load, session_here, session_name, target_here},
    machine::{move_session, move_stage, move_task},
    new_id,
};
use crate::store::{NewSession, ReadyTask, SessionRow, Store, TaskRow};

/// Changes a session in one transaction, when a person has not ended it meanwhile.
///
/// # Errors
/// When the change is refused.
pub async fn update(
    store: &Store,
    id: &WorkSessionId,
    change: impl FnOnce(&mut SessionRow) + Send + 'static,
) -> Result<SessionRow, WorkflowError> {
    let id = id.clone();
    store
        .write(move |write| {
            let mut session = find_id(write, &id)?;
            change(&mut session);
            write.update_session(&session)?;
            Ok(session)
        })
        .await
}

/// Makes a session active and, with it, its SpecTask and its implementation task.
///
/// # Errors
/// When a person ended it meanwhile.
pub async fn activate(store: &Store, id: &WorkSessionId) -> Result<SessionRow, WorkflowError> {
    let id = id.clone();
    store
        .write(move |write| {
            let (mut task, mut session) = load(write, &id)?;
            if task.status.is_final() {
                return Err(refused("work on", &task, "it has ended"));
            }
            if !matches!(
                session.status,
                SessionStatus::Pending | SessionStatus::Active
            ) {
                return Err(WorkflowError::SessionState {
                    command: "work on",
                    name: session_name(&task, &session),
                    status: session.status,
                });
            }
            if session.status == SessionStatus::Pending {
                move_session(write, &mut session, SessionStatus::Active, None, None)?;
            }
            if let Some(work) = session.implementation_task {
                let status = ImplementationTaskStatus::InProgress;
                write.set_implementation_task(work, status, Some(&session.id))?;
            }
            if task.status == SpecTaskStatus::QueuedSpecGeneration {
                move_task(write, &mut task, SpecTaskStatus::SpecGeneration, None)?;
            }
            Ok(session)
        })
        .await
}

/// Moves a session to another stage, with whatever else changes at that moment.
///
/// # Errors
/// When the database fails, or a person ended the session.
pub async fn advance(
    store: &Store,
    id: &WorkSessionId,
    stage: SessionStage,
    change: impl FnOnce(&mut SessionRow) + Send + 'static,
) -> Result<SessionRow, WorkflowError> {
    advance_with(store, id, stage, Vec::new(), change).await
}

/// The same; `commits` are those of its agent that come before the session's new head.
///
/// # Errors
/// As [`advance`].
pub async fn advance_with(
    store: &Store,
    id: &WorkSessionId,
    stage: SessionStage,
    commits: Vec<String>,
    change: impl FnOnce(&mut SessionRow) + Send + 'static,
) -> Result<SessionRow, WorkflowError> {
    let id = id.clone();
    store
        .write(move |write| {
            let (task, mut session) = load(write, &id)?;
            if session.status != SessionStatus::Active {
                return Err(WorkflowError::SessionState {
                    command: "go on with",
                    name: session_name(&task, &session),
                    status: session.status,
                });
            }
            let head = session.head.clone();
            change(&mut session);
            if session.head != head {
                for commit in commits.into_iter().chain(session.head.clone()) {
                    let event = EventKind::SessionCommitted { commit };
                    write.emit(session.task.as_ref(), Some(&session.id), &event)?;
                }
            }
            move_stage(write, &mut session, stage)?;
            Ok(session)
        })
        .await
}

/// Records how verify ended.
///
/// # Errors
/// When the database fails.
pub async fn verified(
    store: &Store,
    id: &WorkSessionId,
    passed: bool,
    output: String,
) -> Result<SessionRow, WorkflowError> {
    let id = id.clone();
    store
        .write(move |write| {
            let (_, mut session) = load(write, &id)?;
            session.verified = Some(passed);
            session.verify_output = Some(output);
            if !passed {
                session.fixes += 1;
            }
            write.update_session(&session)?;
            let attempt = session.fixes + u32::from(passed);
            let event = EventKind::Verified { passed, attempt };
            write.emit(session.task.as_ref(), Some(&session.id), &event)?;
            Ok(session)
        })
        .await
}

/// Holds the result of a turn back for one more turn, in which messages that wait are delivered.
///
/// # Errors
/// When the database fails, or a person ended the session.
pub async fn hold_for_messages(
    store: &Store,
    id: &WorkSessionId,
) -> Result<SessionRow, WorkflowError> {
    advance(store, id, SessionStage::Turn, |row| {
        let before = match NextPrompt::of(row) {
            Some(NextPrompt::Message { before }) => before,
            other => other.map(Box::new),
        };
        row.next_prompt = NextPrompt::Message { before }.to_text();
    })
    .await
}

/// Stops a session at a person's word: its turn is cut, what it did stays in its worktree. A session that
/// a person leads in an editor goes on with the next prompt and is given back as it is.
///
/// # Errors
/// When it does not run.
pub async fn halt(
    store: &Store,
    name: SessionRef,
) -> Result<(Option<TaskRow>, SessionRow), WorkflowError> {
    store
        .write(move |write| {
            let (task, mut session) = session_here(write, &name)?;
            if session.is_ad_hoc() {
                return Ok((task, session));
            }
            let name = session_name(task.as_ref(), &session);
            if session.status != SessionStatus::Active {
                return Err(WorkflowError::SessionState {
                    command: "stop",
                    name,
                    status: session.status,
                });
            }
            let waiting = Waiting {
                kind: WaitKind::Stopped,
                text: "a person stopped it".into(),
                hint: Some(format!("`spectask retry {name}` goes on")),
            };
            session.thread = ThreadStatus::Disconnected;
            move_session(
                write,
                &mut session,
                SessionStatus::Blocked,
                Some(waiting),
                None,
            )?;
            Ok((task, session))
        })
        .await
}

/// Stops a session until a person or the world outside helps. Not when a person ended it meanwhile.
///
/// # Errors
/// When the database fails.
pub async fn stop(
    store: &Store,
    id: &WorkSessionId,
    waiting: Waiting,
) -> Result<SessionRow, WorkflowError> {
    let id = id.clone();
    store
        .write(move |write| {
            let (_, mut session) = load(write, &id)?;
            if session.status != SessionStatus::Active {
                return Ok(session);
            }
            let status = match waiting.kind {
                WaitKind::Environment
                | WaitKind::NeedsAuth
                | WaitKind::AgentMissing
                | WaitKind::Trust
                | WaitKind::BranchCheckedOut
                | WaitKind::Permission => SessionStatus::Waiting,
                WaitKind::EmptyResult
                | WaitKind::Conflict
                | WaitKind::Verify
                | WaitKind::Stopped
                | WaitKind::Agent
                | WaitKind::TimeLimit
                | WaitKind::Repository => SessionStatus::Blocked,
            };
            session.thread = ThreadStatus::Disconnected;
            move_session(write, &mut session, status, Some(waiting), None)?;
            Ok(session)
        })
        .await
}

/// The session of a ready implementation task, made when it has none.
///
/// # Errors
/// When the database fails.
pub async fn assign(
    store: &Store,
    task: &SpecTaskId,
    ready: ReadyTask,
) -> Result<SessionRow, WorkflowError> {
    let task = task.clone();
    store
        .write(move |write| {
            let row = write.task(&task)?.ok_or_else(|| WorkflowError::NotFound {
                what: "SpecTask",
                name: task.to_string(),
            })?;
            let session = write.insert_session(&NewSession {
                id: new_id()?,
                task: Some(task.clone()),
                slug: crate::repo::slug(&ready.title),
                title: ready.title.clone(),
                description: String::new(),
                phase: SessionPhase::Implementation,
                method: SessionMethod::Planned,
                parent: None,
                implementation_task: Some(ready.id),
                agent: row.agent.clone(),
                cwd: None,
                project: None,
            })?;
            let status = ImplementationTaskStatus::Assigned;
            write.set_implementation_task(ready.id, status, Some(&session.id))?;
            let event = EventKind::ImplementationTaskStatus {
                number: ready.number.clone(),
                to: status,
            };
            write.emit(Some(&task), Some(&session.id), &event)?;
            let event = EventKind::SessionCreated {
                name: session_name(&row, &session),
            };
            write.emit(Some(&task), Some(&session.id), &event)?;
            Ok(session)
        })
        .await
}

/// Spawns a session beside the planned ones.
///
/// # Errors
/// When the SpecTask is not being implemented.
pub async fn spawn(
    store: &Store,
    name: SessionRef,
    title: String,
    description: String,
    agent: Option<AgentName>,
    by: Option<Spawner>,
) -> Result<SessionRow, WorkflowError> {
    if title.trim().is_empty() || description.trim().is_empty() {
        return Err(WorkflowError::Invalid(
            "a spawned session needs a title and a description".into(),
        ));
    }
    store
        .write(move |write| {
            let (mut task, parent) = match target_here(write, &name)? {
                Target::Task(task) => (task, None),
                Target::Session(Some(task), session) => (task, Some(session.id)),
                Target::Session(None, session) => {
                    return Err(refused_ad_hoc("spawn beside", None, &session));
                }
            };
            let parent = match by {
                Some(by) => {
                    by.check(write, &task, agent.as_ref())?;
                    Some(by.session)
                }
                None => parent,
            };
            match task.status {
                SpecTaskStatus::Implementation => {}
                SpecTaskStatus::ImplementationReview | SpecTaskStatus::PullRequest => {
                    let reason = Some("a session was spawned");
                    move_task(write, &mut task, SpecTaskStatus::Implementation, reason)?;
                }
                _ => {
                    return Err(refused(
                        "spawn a session in",
                        &task,
                        "sessions are spawned while or after a SpecTask is implemented",
                    ));
                }
            }
            let session = write.insert_session(&NewSession {
                id: new_id()?,
                task: Some(task.id.clone()),
                slug: crate::repo::slug(&title),
                title,
                description,
                phase: SessionPhase::Implementation,
                method: SessionMethod::Spawned,
                parent,
                implementation_task: None,
                agent: agent.unwrap_or_else(|| task.agent.clone()),
                cwd: None,
                project: None,
            })?;
            let event = EventKind::SessionCreated {
                name: session_name(&task, &session),
            };
            write.emit(Some(&task.id), Some(&session.id), &event)?;
            Ok(session)
        })
        .await
}

/// Accepts that a session changed nothing.
///
/// # Errors
/// When the session is not blocked for that.
pub async fn accept_empty(store: &Store, name: SessionRef) -> Result<SessionRow, WorkflowError> {
    store
        .write(move |write| {
            let (task, mut session) = session_here(write, &name)?;
            let empty =
                session.waiting.as_ref().map(|waiting| waiting.kind) == Some(WaitKind::EmptyResult);
            if !empty {
                return Err(WorkflowError::SessionState {
                    command: "accept an empty result of",
                    name: session_name(task.as_ref(), &session),
                    status: session.status,
                });
            }
            session.accept_empty = true;
            session.stage = SessionStage::Verify;
            let reason = Some("a person accepted the empty result");
            move_session(write, &mut session, SessionStatus::Active, None, reason)?;
            Ok(session)
        })
        .await
}

/// Records that the approved documents are on `specs/{task}`.
///
/// # Errors
/// When the SpecTask is not approved.
pub async fn documents_committed(
    store: &Store,
    task: &SpecTaskId,
    commit: String,
) -> Result<TaskRow, WorkflowError> {
    let task = task.clone();
    store
        .write(move |write| {
            let mut row = write.task(&task)?.ok_or_else(|| WorkflowError::NotFound {
                what: "SpecTask",
                name: task.to_string(),
            })?;
            row.tip = Some(commit.clone());
            move_task(write, &mut row, SpecTaskStatus::QueuedImplementation, None)?;
            write.emit(Some(&task), None, &EventKind::DocumentsCommitted { commit })?;
            Ok(row)
        })
        .await
}

/// Moves a SpecTask as the scheduler sees fit; refused when a person moved it meanwhile.
///
/// # Errors
/// When the step does not exist from its state.
pub async fn task_step(
    store: &Store,
    task: &SpecTaskId,
    to: SpecTaskStatus,
    reason: Option<String>,
) -> Result<TaskRow, WorkflowError> {
    let task = task.clone();
    store
        .write(move |write| {
            let mut row = write.task(&task)?.ok_or_else(|| WorkflowError::NotFound {
                what: "SpecTask",
                name: task.to_string(),
            })?;
            move_task(write, &mut row, to, reason.as_deref())?;
            Ok(row)
        })
        .await
}

/// Records that a session's work is on `specs/{task}` and its task ticked: the evidence.
///
/// # Errors
/// When the database fails.
pub async fn merged(
    store: &Store,
    id: &WorkSessionId,
    tip: String,
    done: u32,
) -> Result<SessionRow, WorkflowError> {
    let id = id.clone();
    store
        .write(move |write| {
            let (mut task, mut session) = load(write, &id)?;
            task.tip = Some(tip.clone());
            task.done = done;
            write.update_task(&task)?;
            session.merged = Some(tip.clone());
            session.next_prompt = None;
            if session.status == SessionStatus::Cancelled {
                // The merge won the race with the person's cancel; what is merged is merged.
                session.status = SessionStatus::Active;
            }
            move_session(write, &mut session, SessionStatus::Completed, None, None)?;
            let event = EventKind::SessionMerged { commit: tip };
            write.emit(Some(&task.id), Some(&session.id), &event)?;
            if let Some(work) = session.implementation_task {
                let status = ImplementationTaskStatus::Completed;
                write.set_implementation_task(work, status, Some(&session.id))?;
                if let Some(row) = write.implementation_task(work)? {
                    let event = EventKind::ImplementationTaskStatus {
                        number: row.number,
                        to: status,
                    };
                    write.emit(Some(&task.id), Some(&session.id), &event)?;
                }
            }
            Ok(session)
        })
        .await
}
