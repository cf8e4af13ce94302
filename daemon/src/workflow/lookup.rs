//! Finds what a person named: `7`, `7-user-auth`, `7/2`, `7-user-auth/02-api`, or an id.

use spectask_protocol::{SessionRef, SpecTaskId, TaskRef, WorkSessionId};

use super::WorkflowError;
use crate::store::{Read, SessionRow, TaskRow};

/// A SpecTask, or one of its sessions.
#[derive(Debug, Clone)]
pub enum Target {
    /// The whole SpecTask.
    Task(TaskRow),
    /// One session and its SpecTask.
    Session(TaskRow, Box<SessionRow>),
}

/// The SpecTask that a person named.
///
/// # Errors
/// When there is none of that name.
pub fn find_task(read: &Read<'_>, name: &TaskRef) -> Result<TaskRow, WorkflowError> {
    task_named(read, name.as_str())?.ok_or_else(|| WorkflowError::NotFound {
        what: "SpecTask",
        name: name.to_string(),
    })
}

/// The SpecTask or session that a person named.
///
/// # Errors
/// When there is none of that name.
pub fn find_target(read: &Read<'_>, name: &SessionRef) -> Result<Target, WorkflowError> {
    if let Some(session) = session_named(read, name.as_str())? {
        return Ok(Target::Session(task_of(read, &session)?, Box::new(session)));
    }
    task_named(read, name.as_str())?
        .map(Target::Task)
        .ok_or_else(|| WorkflowError::NotFound {
            what: "SpecTask or session",
            name: name.to_string(),
        })
}

/// The session that a person named.
///
/// # Errors
/// When there is none of that name.
pub fn find_session(
    read: &Read<'_>,
    name: &SessionRef,
) -> Result<(TaskRow, SessionRow), WorkflowError> {
    let session = session_named(read, name.as_str())?.ok_or_else(|| WorkflowError::NotFound {
        what: "session",
        name: name.to_string(),
    })?;
    Ok((task_of(read, &session)?, session))
}

/// The SpecTask of a session.
pub(super) fn task_of(read: &Read<'_>, session: &SessionRow) -> Result<TaskRow, WorkflowError> {
    read.task(&session.task)?
        .ok_or_else(|| WorkflowError::NotFound {
            what: "SpecTask",
            name: session.task.to_string(),
        })
}

/// The session's name: `7-user-auth/02-api`.
#[must_use]
pub fn session_name(task: &TaskRow, session: &SessionRow) -> String {
    format!("{}/{:02}-{}", task.name(), session.number, session.slug)
}

fn task_named(read: &Read<'_>, name: &str) -> Result<Option<TaskRow>, WorkflowError> {
    if let Ok(id) = name.parse::<SpecTaskId>() {
        return Ok(read.task(&id)?);
    }
    let (number, rest) = name.split_once('-').unwrap_or((name, ""));
    let Ok(number) = number.parse::<u32>() else {
        return Ok(None);
    };
    let task = read.task_numbered(number)?;
    Ok(task.filter(|task| rest.is_empty() || task.slug == rest))
}

fn session_named(read: &Read<'_>, name: &str) -> Result<Option<SessionRow>, WorkflowError> {
    if let Ok(id) = name.parse::<WorkSessionId>() {
        return Ok(read.session(&id)?);
    }
    let Some((task, session)) = name.split_once('/') else {
        return Ok(None);
    };
    let Some(task) = task_named(read, task)? else {
        return Ok(None);
    };
    let (number, rest) = session.split_once('-').unwrap_or((session, ""));
    let Ok(number) = number.parse::<u32>() else {
        return Ok(None);
    };
    let session = read.session_numbered(&task.id, number)?;
    Ok(session.filter(|session| rest.is_empty() || session.slug == rest))
}

/// A session and its SpecTask, by the session's id.
pub(super) fn load(
    read: &Read<'_>,
    id: &WorkSessionId,
) -> Result<(TaskRow, SessionRow), WorkflowError> {
    let session = read.session(id)?.ok_or_else(|| WorkflowError::NotFound {
        what: "session",
        name: id.to_string(),
    })?;
    Ok((task_of(read, &session)?, session))
}
