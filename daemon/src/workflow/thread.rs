//! The life of a thread that a person leads in an editor: a draft until its first prompt, an ad hoc
//! work session from then on.

use spectask_protocol::{
    EventKind, SessionMethod, SessionPhase, SessionRef, SessionStage, SessionStatus,
    SpecTaskStatus, TaskRef, ThreadStatus, TurnStatus, WorkSessionId,
};

use super::{
    WorkflowError,
    lookup::{find_id, find_session, session_name, task_here, task_of},
    machine::move_session,
};
use crate::store::{NewSession, NewThread, Read, SessionRow, Store, TaskRow, ThreadRow, Write};

/// More of a title helps nobody, in characters.
const TITLE_LIMIT: usize = 120;

/// Keeps a thread that was opened and not prompted.
///
/// # Errors
/// When the database fails.
pub async fn draft(store: &Store, new: NewThread) -> Result<ThreadRow, WorkflowError> {
    store
        .write(move |write| Ok(write.insert_thread(&new)?))
        .await
}

/// Makes the work session of a thread at its first prompt, with the thread's id: bound to the SpecTask
/// that was chosen for it, else to the only one of its project that is being implemented. The session
/// that is there already is given back as it is.
///
/// # Errors
/// When there is no such thread or it was deleted.
pub async fn first_prompt(
    store: &Store,
    id: &WorkSessionId,
    title: String,
) -> Result<SessionRow, WorkflowError> {
    let id = id.clone();
    store
        .write(move |write| {
            let mut thread = living(write, &id)?;
            if let Some(session) = write.session(&id)? {
                return Ok(session);
            }
            let task = chosen(write, &thread)?;
            let title = one_line(thread.title.as_deref().unwrap_or(&title));
            let mut session = write.insert_session(&NewSession {
                id: id.clone(),
                task: task.as_ref().map(|task| task.id.clone()),
                slug: crate::repo::slug(&title),
                title: title.clone(),
                description: String::new(),
                phase: SessionPhase::Implementation,
                method: SessionMethod::AdHoc,
                parent: None,
                implementation_task: None,
                agent: thread.agent.clone(),
                cwd: Some(thread.cwd.clone()),
                project: thread.project.clone(),
            })?;
            let event = EventKind::SessionCreated {
                name: session_name(task.as_ref(), &session),
            };
            write.emit(session.task.as_ref(), Some(&id), &event)?;
            session.acp_session.clone_from(&thread.acp_session);
            session.stage = SessionStage::Turn;
            session.thread = ThreadStatus::Active;
            move_session(write, &mut session, SessionStatus::Active, None, None)?;
            thread.title.get_or_insert(title);
            thread.task.clone_from(&session.task);
            thread.status = ThreadStatus::Active;
            thread.used_at = write.now();
            write.update_thread(&thread)?;
            Ok(session)
        })
        .await
}

/// Opens a turn of a thread. `request` names the editor's request that it answers.
///
/// # Errors
/// [`WorkflowError::Repeated`] with the turn when that request has one already; otherwise when the
/// session is not there, is no thread of an editor, or has ended.
pub async fn begin_turn(
    store: &Store,
    id: &WorkSessionId,
    acp_session: String,
    request: Option<String>,
) -> Result<u32, WorkflowError> {
    let id = id.clone();
    store
        .write(move |write| {
            if let Some(key) = &request
                && let Some(turn) = write.turn_of_request(key)?
            {
                return Err(WorkflowError::Repeated(Box::new(turn)));
            }
            let mut session = ad_hoc(write, &id, "prompt")?;
            if session.status.is_final() {
                let task = task_of(write, &session)?;
                return Err(WorkflowError::SessionState {
                    command: "prompt",
                    name: session_name(task.as_ref(), &session),
                    status: session.status,
                });
            }
            session.acp_session = Some(acp_session);
            session.thread = ThreadStatus::Active;
            write.update_session(&session)?;
            with_thread(write, &id, |thread| {
                thread.acp_session.clone_from(&session.acp_session);
                thread.status = ThreadStatus::Active;
                thread.used_at = write.now();
            })?;
            let turn = write.insert_turn(&id, "prompt", request.as_deref())?;
            let event = EventKind::TurnStarted { turn };
            write.emit(session.task.as_ref(), Some(&id), &event)?;
            Ok(turn)
        })
        .await
}

/// Ends a turn of a thread and cancels its questions; `commits` are those that its agent made in it.
/// One that has ended already stays as it is.
///
/// # Errors
/// When the session is not there or the database fails.
pub async fn end_turn(
    store: &Store,
    id: &WorkSessionId,
    turn: u32,
    status: TurnStatus,
    reason: Option<String>,
    commits: Vec<String>,
) -> Result<(), WorkflowError> {
    let id = id.clone();
    store
        .write(move |write| {
            let mut session = find_id(write, &id)?;
            if !write.end_turn(&id, turn, status, reason.as_deref())? {
                return Ok(());
            }
            write.cancel_permissions(Some(&id))?;
            if status == TurnStatus::Interrupted && session.thread == ThreadStatus::Active {
                session.thread = ThreadStatus::Disconnected;
                write.update_session(&session)?;
            }
            with_thread(write, &id, |thread| {
                if status == TurnStatus::Interrupted && thread.status == ThreadStatus::Active {
                    thread.status = ThreadStatus::Disconnected;
                }
                thread.used_at = write.now();
            })?;
            for commit in commits {
                let event = EventKind::SessionCommitted { commit };
                write.emit(session.task.as_ref(), Some(&id), &event)?;
            }
            let event = EventKind::TurnEnded {
                turn,
                status,
                reason,
            };
            Ok(write.emit(session.task.as_ref(), Some(&id), &event)?)
        })
        .await
}

/// Names a thread and its session; the session's name, which people type, stays.
///
/// # Errors
/// When there is no such thread.
pub async fn set_title(
    store: &Store,
    id: &WorkSessionId,
    title: String,
) -> Result<ThreadRow, WorkflowError> {
    let id = id.clone();
    store
        .write(move |write| {
            let mut thread = found(write, &id)?;
            let title = one_line(&title);
            if thread.title.as_ref() == Some(&title) {
                return Ok(thread);
            }
            thread.title = Some(title.clone());
            write.update_thread(&thread)?;
            if let Some(mut session) = write.session(&id)? {
                session.title.clone_from(&title);
                write.update_session(&session)?;
                let event = EventKind::ThreadTitled { title };
                write.emit(session.task.as_ref(), Some(&id), &event)?;
            }
            Ok(thread)
        })
        .await
}

/// Changes a thread; its agent and the agent's session id go on to its work session. Its title, the
/// SpecTask of one that was prompted and the end of its life have their own commands and stay.
///
/// # Errors
/// When there is no such thread.
pub async fn update(
    store: &Store,
    id: &WorkSessionId,
    change: impl FnOnce(&mut ThreadRow) + Send + 'static,
) -> Result<ThreadRow, WorkflowError> {
    let id = id.clone();
    store
        .write(move |write| {
            let before = found(write, &id)?;
            let session = write.session(&id)?;
            let mut thread = before.clone();
            change(&mut thread);
            // The caller may have looked at it some time ago.
            thread.deleted_at = before.deleted_at;
            thread.used_at = thread.used_at.max(before.used_at);
            thread.title = before.title;
            if let Some(session) = &session {
                thread.task.clone_from(&session.task);
                if thread.status == ThreadStatus::Draft || before.deleted_at.is_some() {
                    thread.status = before.status;
                }
            } else {
                thread.status = ThreadStatus::Draft;
            }
            write.update_thread(&thread)?;
            if let Some(mut session) = session {
                session.agent = thread.agent.clone();
                session.acp_session.clone_from(&thread.acp_session);
                if !session.status.is_final() {
                    session.thread = thread.status;
                }
                write.update_session(&session)?;
            }
            Ok(thread)
        })
        .await
}

/// Binds a thread to a SpecTask, or to none: its session gets the next number there. Gives back the
/// session; none for a draft, which is bound at its first prompt.
///
/// # Errors
/// When there is no such thread, session or SpecTask, or the session is none that a person leads.
pub async fn attach(
    store: &Store,
    name: SessionRef,
    task: Option<TaskRef>,
) -> Result<Option<SessionRow>, WorkflowError> {
    store
        .write(move |write| {
            let task = match task {
                Some(task) => Some(task_here(write, &task)?),
                None => None,
            };
            let wanted = task.as_ref().map(|task| task.id.clone());
            if let Some(mut thread) = draft_named(write, &name)? {
                thread.task = wanted;
                write.update_thread(&thread)?;
                return Ok(None);
            }
            let (before, session) = find_session(write, &name)?;
            if !session.is_ad_hoc() {
                return Err(WorkflowError::NotAdHoc {
                    command: "attach",
                    name: session_name(before.as_ref(), &session),
                });
            }
            with_thread(write, &session.id, |thread| {
                thread.task.clone_from(&wanted);
            })?;
            if session.task == wanted {
                return Ok(Some(session));
            }
            let session = write.move_session(&session.id, wanted.as_ref())?;
            let event = EventKind::SessionAttached {
                name: session_name(task.as_ref(), &session),
            };
            write.emit(wanted.as_ref(), Some(&session.id), &event)?;
            if let Some(before) = before {
                // Those who follow the other SpecTask learn that it is gone.
                write.emit(Some(&before.id), Some(&session.id), &event)?;
            }
            Ok(Some(session))
        })
        .await
}

/// Deletes a thread for its editor. Its session ends and stays with its transcript.
///
/// # Errors
/// When there is no such thread.
pub async fn delete(store: &Store, id: &WorkSessionId) -> Result<ThreadRow, WorkflowError> {
    let id = id.clone();
    store
        .write(move |write| {
            let mut thread = found(write, &id)?;
            if thread.deleted_at.is_some() {
                return Ok(thread);
            }
            thread.deleted_at = Some(write.now());
            if let Some(mut session) = write.session(&id)? {
                thread.status = ThreadStatus::Completed;
                if !session.status.is_final() {
                    let reason = Some("its thread was deleted");
                    let to = SessionStatus::Completed;
                    move_session(write, &mut session, to, None, reason)?;
                }
            }
            write.update_thread(&thread)?;
            Ok(thread)
        })
        .await
}

/// Notes that no agent process serves a thread any more.
///
/// # Errors
/// When there is no such thread.
pub async fn close(store: &Store, id: &WorkSessionId) -> Result<ThreadRow, WorkflowError> {
    update(store, id, |thread| {
        if thread.status == ThreadStatus::Active {
            thread.status = ThreadStatus::Disconnected;
        }
    })
    .await
}

fn missing(id: &WorkSessionId) -> WorkflowError {
    WorkflowError::NotFound {
        what: "thread",
        name: id.to_string(),
    }
}

fn found(read: &Read<'_>, id: &WorkSessionId) -> Result<ThreadRow, WorkflowError> {
    read.thread(id)?.ok_or_else(|| missing(id))
}

/// The thread of that id that was not deleted.
fn living(read: &Read<'_>, id: &WorkSessionId) -> Result<ThreadRow, WorkflowError> {
    let thread = found(read, id)?;
    match thread.deleted_at {
        None => Ok(thread),
        Some(_) => Err(missing(id)),
    }
}

fn with_thread(
    write: &Write<'_>,
    id: &WorkSessionId,
    change: impl FnOnce(&mut ThreadRow),
) -> Result<(), WorkflowError> {
    if let Some(mut thread) = write.thread(id)? {
        change(&mut thread);
        write.update_thread(&thread)?;
    }
    Ok(())
}

fn ad_hoc(
    read: &Read<'_>,
    id: &WorkSessionId,
    command: &'static str,
) -> Result<SessionRow, WorkflowError> {
    let session = find_id(read, id)?;
    if session.is_ad_hoc() {
        return Ok(session);
    }
    let task = task_of(read, &session)?;
    Err(WorkflowError::NotAdHoc {
        command,
        name: session_name(task.as_ref(), &session),
    })
}

/// The thread of that id, while it has no session yet.
fn draft_named(read: &Read<'_>, name: &SessionRef) -> Result<Option<ThreadRow>, WorkflowError> {
    let Ok(id) = name.as_str().parse::<WorkSessionId>() else {
        return Ok(None);
    };
    if read.session(&id)?.is_some() {
        return Ok(None);
    }
    let thread = read.thread(&id)?;
    Ok(thread.filter(|thread| thread.deleted_at.is_none()))
}

/// The SpecTask of a thread's first prompt.
fn chosen(read: &Read<'_>, thread: &ThreadRow) -> Result<Option<TaskRow>, WorkflowError> {
    if let Some(id) = &thread.task {
        return Ok(read.task(id)?);
    }
    let Some(project) = &thread.project else {
        return Ok(None);
    };
    let mut tasks = read.tasks(Some(project), true)?;
    tasks.retain(|task| task.status == SpecTaskStatus::Implementation);
    Ok(if tasks.len() == 1 { tasks.pop() } else { None })
}

/// The first line that says something, not too long.
fn one_line(text: &str) -> String {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty());
    let plain = line
        .unwrap_or("Thread")
        .chars()
        .filter(|letter| !letter.is_control());
    plain.take(TITLE_LIMIT).collect()
}

#[cfg(test)]
#[path = "thread_tests.rs"]
mod tests;
