//! The state machines: which step leads where. Every change of a state goes through here and leaves
//! its event in the same transaction.

use spectask_protocol::{
    EventKind, SessionStage, SessionStatus, SpecTaskStatus, ThreadStatus, Waiting,
};

use super::WorkflowError;
use crate::store::{SessionRow, TaskRow, Write};

/// States that a SpecTask may go to from a state.
#[must_use]
pub const fn task_steps(from: SpecTaskStatus) -> &'static [SpecTaskStatus] {
    use SpecTaskStatus as S;
    match from {
        S::Backlog => &[S::QueuedSpecGeneration, S::Cancelled],
        S::QueuedSpecGeneration => &[S::SpecGeneration, S::SpecFailed, S::Cancelled],
        S::SpecGeneration | S::SpecRevision => &[S::SpecReview, S::SpecFailed, S::Cancelled],
        S::SpecReview => &[S::SpecRevision, S::SpecApproved, S::Cancelled],
        S::SpecApproved => &[S::QueuedImplementation, S::SpecReview, S::Cancelled],
        S::QueuedImplementation => &[S::Implementation, S::Cancelled],
        S::Implementation => &[
            S::ImplementationReview,
            S::ImplementationFailed,
            S::Cancelled,
        ],
        S::ImplementationReview => &[S::Implementation, S::PullRequest, S::Done, S::Cancelled],
        S::PullRequest => &[S::Implementation, S::Done, S::Cancelled],
        S::SpecFailed => &[
            S::QueuedSpecGeneration,
            S::SpecRevision,
            S::SpecReview,
            S::Cancelled,
        ],
        S::ImplementationFailed => &[S::Implementation, S::Done, S::Cancelled],
        S::Done | S::Cancelled => &[],
    }
}

/// States that a work session may go to from a state.
#[must_use]
pub const fn session_steps(from: SessionStatus) -> &'static [SessionStatus] {
    use SessionStatus as S;
    match from {
        S::Pending => &[S::Active, S::Cancelled],
        S::Active => &[
            S::Blocked,
            S::Waiting,
            S::Completed,
            S::Failed,
            S::Cancelled,
        ],
        S::Blocked | S::Waiting => &[S::Active, S::Completed, S::Failed, S::Cancelled],
        S::Completed => &[S::Active],
        S::Failed => &[S::Active, S::Cancelled],
        S::Cancelled => &[],
    }
}

/// Moves a SpecTask, keeps it, and leaves the event.
pub(super) fn move_task(
    write: &Write<'_>,
    task: &mut TaskRow,
    to: SpecTaskStatus,
    reason: Option<&str>,
) -> Result<(), WorkflowError> {
    let from = task.status;
    if !task_steps(from).contains(&to) {
        return Err(WorkflowError::Transition {
            subject: task.name(),
            from: from.as_str(),
            to: to.as_str(),
        });
    }
    task.status = to;
    task.error = match to {
        SpecTaskStatus::SpecFailed | SpecTaskStatus::ImplementationFailed => {
            reason.map(str::to_owned)
        }
        _ => None,
    };
    write.update_task(task)?;
    let event = EventKind::TaskStatus {
        from,
        to,
        reason: reason.map(str::to_owned),
    };
    write.emit(Some(&task.id), None, &event)?;
    Ok(())
}

/// Moves a work session, keeps it, and leaves the event.
pub(super) fn move_session(
    write: &Write<'_>,
    session: &mut SessionRow,
    to: SessionStatus,
    waiting: Option<Waiting>,
    reason: Option<&str>,
) -> Result<(), WorkflowError> {
    let from = session.status;
    if from != to && !session_steps(from).contains(&to) {
        return Err(WorkflowError::Transition {
            subject: format!("session {}", session.id),
            from: from.as_str(),
            to: to.as_str(),
        });
    }
    session.status = to;
    session.waiting = waiting;
    match to {
        SessionStatus::Active => {
            session.started_at = session.started_at.or(Some(write.now()));
            session.ended_at = None;
        }
        SessionStatus::Completed => {
            session.thread = ThreadStatus::Completed;
            session.ended_at = Some(write.now());
        }
        SessionStatus::Failed | SessionStatus::Cancelled => {
            session.thread = ThreadStatus::Failed;
            session.ended_at = Some(write.now());
        }
        SessionStatus::Pending | SessionStatus::Blocked | SessionStatus::Waiting => {}
    }
    write.update_session(session)?;
    let event = EventKind::SessionStatus {
        from,
        to,
        waiting: session.waiting.as_ref().map(|waiting| waiting.kind),
        reason: reason
            .map(str::to_owned)
            .or_else(|| session.waiting.as_ref().map(|waiting| waiting.text.clone())),
    };
    write.emit(session.task.as_ref(), Some(&session.id), &event)?;
    Ok(())
}

/// Moves a session to another stage, keeps it, and leaves the event.
pub(super) fn move_stage(
    write: &Write<'_>,
    session: &mut SessionRow,
    stage: SessionStage,
) -> Result<(), WorkflowError> {
    session.stage = stage;
    write.update_session(session)?;
    write.emit(
        session.task.as_ref(),
        Some(&session.id),
        &EventKind::SessionStage { stage },
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_task_state_is_reached_and_every_open_one_can_be_cancelled() {
        let mut seen = BTreeSet::from([SpecTaskStatus::Backlog]);
        let mut open = vec![SpecTaskStatus::Backlog];
        while let Some(from) = open.pop() {
            for to in task_steps(from) {
                if seen.insert(*to) {
                    open.push(*to);
                }
            }
        }
        assert_eq!(seen.len(), SpecTaskStatus::ALL.len());
        for status in SpecTaskStatus::ALL {
            let steps = task_steps(*status);
            assert_eq!(steps.is_empty(), status.is_final(), "{status}");
            assert!(
                status.is_final() || steps.contains(&SpecTaskStatus::Cancelled),
                "{status}"
            );
        }
    }

    #[test]
    fn implementation_is_reached_only_through_approval() {
        for from in SpecTaskStatus::ALL {
            if task_steps(*from).contains(&SpecTaskStatus::QueuedImplementation) {
                assert_eq!(*from, SpecTaskStatus::SpecApproved);
            }
            if task_steps(*from).contains(&SpecTaskStatus::SpecApproved) {
                assert_eq!(*from, SpecTaskStatus::SpecReview);
            }
        }
    }
}
