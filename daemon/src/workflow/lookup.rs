//! Finds what a person named: `7`, `7-user-auth`, `7/2`, `7-user-auth/02-api`, `threads/12` for a
//! session of no SpecTask, or an id.

use spectask_protocol::{SessionRef, SpecTaskId, TaskRef, WorkSessionId};

pub use super::name::session_name;
use super::{WorkflowError, error::refused_ad_hoc};
use crate::store::{LOOSE, Read, SessionRow, TaskRow};

/// A SpecTask, or one of its sessions.
#[derive(Debug, Clone)]
pub enum Target {
    /// The whole SpecTask.
    Task(TaskRow),
    /// One session and its SpecTask; an ad hoc session may have none.
    Session(Option<TaskRow>, Box<SessionRow>),
}

impl Target {
    /// The SpecTask that is meant or that the session belongs to.
    #[must_use]
    pub fn task(&self) -> Option<&TaskRow> {
        match self {
            Self::Task(task) => Some(task),
            Self::Session(task, _) => task.as_ref(),
        }
    }
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
        let task = task_of(read, &session)?;
        return Ok(Target::Session(task, Box::new(session)));
    }
    task_named(read, name.as_str())?
        .map(Target::Task)
        .ok_or_else(|| WorkflowError::NotFound {
            what: "SpecTask or session",
            name: name.to_string(),
        })
}

/// The session that a person named, and its SpecTask; an ad hoc session may have none.
///
/// # Errors
/// When there is none of that name.
pub fn find_session(
    read: &Read<'_>,
    name: &SessionRef,
) -> Result<(Option<TaskRow>, SessionRow), WorkflowError> {
    let session = session_named(read, name.as_str())?.ok_or_else(|| WorkflowError::NotFound {
        what: "session",
        name: name.to_string(),
    })?;
    Ok((task_of(read, &session)?, session))
}

/// The SpecTask that a person wants to change.
///
/// # Errors
/// As [`find_task`]; when it was taken over from another machine.
pub(super) fn task_here(read: &Read<'_>, name: &TaskRef) -> Result<TaskRow, WorkflowError> {
    let task = find_task(read, name)?;
    is_here(Some(&task))?;
    Ok(task)
}

/// The SpecTask or session that a person wants to change.
///
/// # Errors
/// As [`find_target`]; when it was taken over from another machine.
pub fn target_here(read: &Read<'_>, name: &SessionRef) -> Result<Target, WorkflowError> {
    let target = find_target(read, name)?;
    is_here(target.task())?;
    Ok(target)
}

/// The session that a person wants to change, and its SpecTask.
///
/// # Errors
/// As [`find_session`]; when it was taken over from another machine.
pub(super) fn session_here(
    read: &Read<'_>,
    name: &SessionRef,
) -> Result<(Option<TaskRow>, SessionRow), WorkflowError> {
    let (task, session) = find_session(read, name)?;
    is_here(task.as_ref())?;
    Ok((task, session))
}

fn is_here(task: Option<&TaskRow>) -> Result<(), WorkflowError> {
    match task {
        Some(task) if task.imported => Err(WorkflowError::Elsewhere(task.name())),
        _ => Ok(()),
    }
}

/// The SpecTask of a session, where it has one.
///
/// # Errors
/// When the database fails or the SpecTask is not there.
pub fn task_of(read: &Read<'_>, session: &SessionRow) -> Result<Option<TaskRow>, WorkflowError> {
    let Some(id) = &session.task else {
        return Ok(None);
    };
    let task = read.task(id)?.ok_or_else(|| WorkflowError::NotFound {
        what: "SpecTask",
        name: id.to_string(),
    })?;
    Ok(Some(task))
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
    let task = if task == LOOSE {
        None
    } else {
        match task_named(read, task)? {
            Some(task) => Some(task),
            None => return Ok(None),
        }
    };
    let (number, rest) = session.split_once('-').unwrap_or((session, ""));
    let Ok(number) = number.parse::<u32>() else {
        return Ok(None);
    };
    let session = match &task {
        Some(task) => read.session_numbered(&task.id, number)?,
        None => read.loose_session_numbered(number)?,
    };
    Ok(session.filter(|session| rest.is_empty() || session.slug == rest))
}

/// A session that the daemon drives and its SpecTask, by the session's id.
pub(super) fn load(
    read: &Read<'_>,
    id: &WorkSessionId,
) -> Result<(TaskRow, SessionRow), WorkflowError> {
    let session = find_id(read, id)?;
    match task_of(read, &session)? {
        Some(task) if !session.is_ad_hoc() => Ok((task, session)),
        task => Err(refused_ad_hoc("drive", task.as_ref(), &session)),
    }
}

/// A session by its id.
pub(super) fn find_id(read: &Read<'_>, id: &WorkSessionId) -> Result<SessionRow, WorkflowError> {
    read.session(id)?.ok_or_else(|| WorkflowError::NotFound {
        what: "session",
        name: id.to_string(),
    })
}
