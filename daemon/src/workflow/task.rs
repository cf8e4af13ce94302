//! What a person does with a SpecTask.

use spectask_protocol::{
    AgentName, EventKind, FinishHow, ImplementationTaskStatus, SessionMethod, SessionPhase,
    SessionRef, SessionStatus, SpecTaskStatus, TaskRef, WorkMode,
};

use super::{
    WorkflowError,
    error::{refused, refused_ad_hoc},
    lookup::{Target, find_task, session_name, target_here, task_here},
    machine::{move_session, move_task},
    new_id, reopen,
};
use crate::store::{NewSession, NewTask, Read, SessionRow, Store, TaskRow, Write};

/// What a new SpecTask needs from its face.
#[derive(Debug, Clone)]
pub struct Create {
    /// The git common directory of the repository.
    pub common_dir: String,
    /// The main working tree.
    pub root: String,
    /// A safe word for its name.
    pub slug: String,
    /// One line.
    pub title: String,
    /// What the person wants, redacted.
    pub prompt: String,
    /// The agent that plans.
    pub planning_agent: AgentName,
    /// The agent that implements.
    pub agent: AgentName,
    /// How to work.
    pub mode: WorkMode,
    /// How many sessions at a time.
    pub limit: u32,
    /// The commit everything starts from.
    pub base: String,
    /// The branch to merge into at the end.
    pub target: Option<String>,
    /// A verify command that the person typed.
    pub verify: Option<String>,
    /// Whether only to note it.
    pub later: bool,
}

/// Creates a SpecTask.
///
/// # Errors
/// When the prompt is empty or the database fails.
pub async fn create(store: &Store, new: Create) -> Result<TaskRow, WorkflowError> {
    if new.prompt.trim().is_empty() {
        return Err(WorkflowError::Invalid(
            "the prompt is empty: say in a sentence what should be built".into(),
        ));
    }
    if !(1..=32).contains(&new.limit) {
        return Err(WorkflowError::Invalid(format!(
            "the limit must be from 1 to 32, not {}",
            new.limit
        )));
    }
    store
        .write(move |write| {
            let project = write.ensure_project(&new_id()?, &new.common_dir, &new.root)?;
            let mut task = write.insert_task(&NewTask {
                id: new_id()?,
                slug: new.slug,
                project: project.id,
                title: new.title,
                prompt: new.prompt,
                status: SpecTaskStatus::Backlog,
                mode: new.mode,
                planning_agent: new.planning_agent,
                agent: new.agent,
                session_limit: new.limit,
                base: new.base,
                target: new.target,
                verify: new.verify,
            })?;
            let event = EventKind::TaskCreated { name: task.name() };
            write.emit(Some(&task.id), None, &event)?;
            if !new.later {
                queue_planning(write, &mut task)?;
            }
            Ok(task)
        })
        .await
}

/// Puts a SpecTask into the planning queue with its planning session.
fn queue_planning(write: &Write<'_>, task: &mut TaskRow) -> Result<(), WorkflowError> {
    move_task(write, task, SpecTaskStatus::QueuedSpecGeneration, None)?;
    if write.session_numbered(&task.id, 0)?.is_none() {
        let session = write.insert_session(&NewSession {
            id: new_id()?,
            task: Some(task.id.clone()),
            slug: "planning".into(),
            title: "Write requirements, design and tasks".into(),
            description: String::new(),
            phase: SessionPhase::Planning,
            method: SessionMethod::Planned,
            parent: None,
            implementation_task: None,
            agent: task.planning_agent.clone(),
            cwd: None,
            project: None,
        })?;
        let event = EventKind::SessionCreated {
            name: session_name(&*task, &session),
        };
        write.emit(Some(&task.id), Some(&session.id), &event)?;
    }
    Ok(())
}

/// Starts what is next: planning from the backlog, implementation after approval.
///
/// # Errors
/// When nothing can be started in its state.
pub async fn start(store: &Store, name: TaskRef) -> Result<TaskRow, WorkflowError> {
    store
        .write(move |write| {
            let mut task = task_here(write, &name)?;
            match task.status {
                SpecTaskStatus::Backlog => queue_planning(write, &mut task)?,
                SpecTaskStatus::SpecApproved | SpecTaskStatus::QueuedImplementation => {
                    task.start_requested = true;
                    write.update_task(&task)?;
                }
                SpecTaskStatus::SpecReview => {
                    return Err(refused(
                        "start",
                        &task,
                        "nothing is implemented but what a person approved: `spectask review`, then `spectask approve`",
                    ));
                }
                SpecTaskStatus::SpecFailed | SpecTaskStatus::ImplementationFailed => {
                    return Err(refused("start", &task, "`spectask retry` tries again"));
                }
                _ => return Err(refused("start", &task, "`spectask show` tells what goes on")),
            }
            Ok(task)
        })
        .await
}

/// Holds new sessions and turns back, or goes on.
///
/// # Errors
/// When the SpecTask has ended.
pub async fn set_paused(
    store: &Store,
    name: TaskRef,
    paused: bool,
) -> Result<TaskRow, WorkflowError> {
    store
        .write(move |write| {
            let mut task = task_here(write, &name)?;
            if task.status.is_final() {
                return Err(refused("pause or resume", &task, "it has ended"));
            }
            if task.paused != paused {
                task.paused = paused;
                write.update_task(&task)?;
                write.emit(Some(&task.id), None, &EventKind::TaskPaused { paused })?;
            }
            Ok(task)
        })
        .await
}

/// Hides a SpecTask from lists, or shows it again.
///
/// # Errors
/// When work is still going on in it.
pub async fn toggle_archived(store: &Store, name: TaskRef) -> Result<TaskRow, WorkflowError> {
    store
        .write(move |write| {
            let mut task = find_task(write, &name)?;
            if !task.archived && matches!(task.status, SpecTaskStatus::Implementation) {
                return Err(refused(
                    "archive",
                    &task,
                    "`spectask cancel` or `finish` it first",
                ));
            }
            task.archived = !task.archived;
            write.update_task(&task)?;
            Ok(task)
        })
        .await
}

/// Ends a SpecTask with all its sessions, or one session. Its branches stay.
///
/// # Errors
/// When it has ended.
pub async fn cancel(store: &Store, name: SessionRef) -> Result<TaskRow, WorkflowError> {
    store
        .write(move |write| match target_here(write, &name)? {
            Target::Task(mut task) => {
                if task.status.is_final() {
                    return Err(refused("cancel", &task, "it has ended"));
                }
                for mut session in write.driven_sessions(&task.id)? {
                    if !session.status.is_final() {
                        cancel_session(write, &mut session)?;
                    }
                }
                move_task(
                    write,
                    &mut task,
                    SpecTaskStatus::Cancelled,
                    Some("by a person"),
                )?;
                Ok(task)
            }
            Target::Session(None, session) => Err(refused_ad_hoc("cancel", None, &session)),
            Target::Session(Some(task), session) if session.is_ad_hoc() => {
                Err(refused_ad_hoc("cancel", Some(&task), &session))
            }
            Target::Session(Some(mut task), mut session) => {
                if matches!(
                    session.status,
                    SessionStatus::Completed | SessionStatus::Cancelled
                ) {
                    return Err(WorkflowError::SessionState {
                        command: "cancel",
                        name: session_name(&task, &session),
                        status: session.status,
                    });
                }
                cancel_session(write, &mut session)?;
                if session.phase == SessionPhase::Planning
                    && matches!(
                        task.status,
                        SpecTaskStatus::QueuedSpecGeneration
                            | SpecTaskStatus::SpecGeneration
                            | SpecTaskStatus::SpecRevision
                    )
                {
                    let reason = Some("a person cancelled the planning session");
                    move_task(write, &mut task, SpecTaskStatus::SpecFailed, reason)?;
                }
                Ok(task)
            }
        })
        .await
}

fn cancel_session(write: &Write<'_>, session: &mut SessionRow) -> Result<(), WorkflowError> {
    write.cancel_permissions(Some(&session.id))?;
    move_session(
        write,
        session,
        SessionStatus::Cancelled,
        None,
        Some("by a person"),
    )?;
    if let Some(id) = session.implementation_task {
        // Still blocks what depends on it; `retry` opens it again.
        write.set_implementation_task(id, ImplementationTaskStatus::Assigned, Some(&session.id))?;
    }
    Ok(())
}

/// Tries again what failed, is blocked or waits.
///
/// # Errors
/// When there is nothing to try again.
pub async fn retry(store: &Store, name: SessionRef) -> Result<TaskRow, WorkflowError> {
    store
        .write(move |write| match target_here(write, &name)? {
            Target::Session(task, session) if session.is_ad_hoc() => {
                Err(refused_ad_hoc("retry", task.as_ref(), &session))
            }
            Target::Session(None, session) => Err(refused_ad_hoc("retry", None, &session)),
            Target::Task(task) | Target::Session(Some(task), _) if task.status.is_final() => Err(
                refused("retry", &task, "it has ended: `spectask new` begins anew"),
            ),
            Target::Task(mut task) => {
                let mut again = 0;
                for mut session in write.driven_sessions(&task.id)? {
                    if is_stuck(&session) {
                        reopen::reopen(write, &mut session)?;
                        again += 1;
                    }
                }
                match task.status {
                    SpecTaskStatus::SpecFailed => retry_planning(write, &mut task)?,
                    SpecTaskStatus::ImplementationFailed => {
                        move_task(write, &mut task, SpecTaskStatus::Implementation, None)?;
                    }
                    _ if again == 0 => {
                        return Err(refused("retry", &task, "nothing in it failed or waits"));
                    }
                    _ => {}
                }
                Ok(task)
            }
            Target::Session(Some(mut task), mut session) => {
                if !is_stuck(&session) {
                    return Err(WorkflowError::SessionState {
                        command: "retry",
                        name: session_name(&task, &session),
                        status: session.status,
                    });
                }
                if session.phase == SessionPhase::Planning
                    && task.status == SpecTaskStatus::SpecFailed
                {
                    retry_planning(write, &mut task)?;
                }
                reopen::reopen(write, &mut session)?;
                Ok(task)
            }
        })
        .await
}

fn retry_planning(write: &Write<'_>, task: &mut TaskRow) -> Result<(), WorkflowError> {
    queue_planning(write, task)?;
    if let Some(mut session) = write.session_numbered(&task.id, 0)?
        && matches!(
            session.status,
            SessionStatus::Cancelled | SessionStatus::Failed
        )
    {
        reopen::reopen(write, &mut session)?;
    }
    Ok(())
}

fn is_stuck(session: &SessionRow) -> bool {
    matches!(
        session.status,
        SessionStatus::Blocked
            | SessionStatus::Waiting
            | SessionStatus::Failed
            | SessionStatus::Cancelled
    )
}

/// Records that a person finished a SpecTask, or checks whether one could.
///
/// # Errors
/// When work is going on, or tasks are open and the person did not accept that.
pub async fn finish(
    store: &Store,
    name: TaskRef,
    how: FinishHow,
    incomplete: bool,
) -> Result<TaskRow, WorkflowError> {
    store
        .write(move |write| {
            let mut task = task_here(write, &name)?;
            check_finish(write, &task, incomplete)?;
            let (status, how) = match how {
                FinishHow::Check => return Ok(task),
                FinishHow::Merge => (SpecTaskStatus::Done, "merge"),
                FinishHow::Keep => (SpecTaskStatus::Done, "keep"),
                FinishHow::PullRequest => (SpecTaskStatus::PullRequest, "pull_request"),
            };
            for mut session in write.driven_sessions(&task.id)? {
                if !session.status.is_final() {
                    cancel_session(write, &mut session)?;
                }
            }
            if task.status == SpecTaskStatus::Implementation {
                let reason = Some("finished by a person before every task was done");
                move_task(
                    write,
                    &mut task,
                    SpecTaskStatus::ImplementationReview,
                    reason,
                )?;
            }
            if task.status != status {
                move_task(write, &mut task, status, None)?;
            }
            write.emit(
                Some(&task.id),
                None,
                &EventKind::Finished { how: how.into() },
            )?;
            Ok(task)
        })
        .await
}

fn check_finish(read: &Read<'_>, task: &TaskRow, incomplete: bool) -> Result<(), WorkflowError> {
    let open = match task.status {
        SpecTaskStatus::ImplementationReview | SpecTaskStatus::PullRequest => false,
        SpecTaskStatus::Implementation | SpecTaskStatus::ImplementationFailed => true,
        _ => {
            return Err(refused(
                "finish",
                task,
                "there is nothing to finish in this state",
            ));
        }
    };
    let active = read
        .driven_sessions(&task.id)?
        .iter()
        .any(|session| session.status == SessionStatus::Active);
    if active {
        return Err(refused(
            "finish",
            task,
            "sessions are at work: wait with `spectask watch`, or `spectask cancel` them",
        ));
    }
    if open && !incomplete {
        return Err(refused(
            "finish",
            task,
            "not every task is done: `spectask show` tells which; --incomplete finishes all the same",
        ));
    }
    Ok(())
}
