//! How planning ends: documents for review, or none.

use spectask_protocol::{Finding, SessionStage, SessionStatus, SpecTaskStatus, WorkSessionId};

use super::{
    NextPrompt, WorkflowError,
    lookup::load,
    machine::{move_session, move_task},
    review::{self, DocumentTexts},
};
use crate::store::{SessionRow, Store, TaskRow};

/// Keeps what a planning turn wrote as a revision and puts it before a person, or back to the agent.
///
/// # Errors
/// When the SpecTask is not being planned any more.
pub async fn planned(
    store: &Store,
    id: &WorkSessionId,
    texts: DocumentTexts,
    findings: Vec<Finding>,
    again: bool,
) -> Result<(TaskRow, SessionRow), WorkflowError> {
    let id = id.clone();
    store
        .write(move |write| {
            let (mut task, mut session) = load(write, &id)?;
            let revision =
                review::keep_revision(write, &mut task, "agent", &texts, findings.clone())?;
            if again {
                session.rounds += 1;
                session.stage = SessionStage::Turn;
                let next = NextPrompt::Revise {
                    comment: None,
                    comments: Vec::new(),
                    findings,
                };
                session.next_prompt = next.to_text();
                write.update_session(&session)?;
                return Ok((task, session));
            }
            session.next_prompt = None;
            move_session(write, &mut session, SessionStatus::Completed, None, None)?;
            let reason = format!("revision {} is ready for review", revision.number);
            move_task(write, &mut task, SpecTaskStatus::SpecReview, Some(&reason))?;
            Ok((task, session))
        })
        .await
}

/// Records that no usable documents came out of planning.
///
/// # Errors
/// When a person ended it meanwhile.
pub async fn fail_planning(
    store: &Store,
    id: &WorkSessionId,
    reason: String,
) -> Result<(), WorkflowError> {
    let id = id.clone();
    store
        .write(move |write| {
            let (mut task, mut session) = load(write, &id)?;
            move_session(
                write,
                &mut session,
                SessionStatus::Failed,
                None,
                Some(&reason),
            )?;
            move_task(write, &mut task, SpecTaskStatus::SpecFailed, Some(&reason))
        })
        .await
}
