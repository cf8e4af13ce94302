//! Brings a stopped or ended session back to work.

use spectask_protocol::{
    ImplementationTaskStatus, SessionStage, SessionStatus, ThreadStatus, WaitKind,
};

use super::{NextPrompt, WorkflowError, machine::move_session};
use crate::store::{SessionRow, Write};

/// Makes a stopped or ended session active again, with fresh counters.
pub(super) fn reopen(write: &Write<'_>, session: &mut SessionRow) -> Result<(), WorkflowError> {
    let kept = NextPrompt::of(session);
    let (next, stage) = match session.waiting.as_ref().map(|waiting| waiting.kind) {
        Some(WaitKind::Verify) => {
            let output = session.verify_output.clone().unwrap_or_default();
            (Some(NextPrompt::Fix { output }), SessionStage::Turn)
        }
        // Stopped by a person in the middle of the daemon's own part, which asks the agent nothing.
        Some(WaitKind::Stopped) if session.stage != SessionStage::Turn => (kept, session.stage),
        Some(WaitKind::EmptyResult | WaitKind::Stopped | WaitKind::TimeLimit | WaitKind::Agent) => {
            let before = match kept {
                Some(NextPrompt::Continue { before, .. }) => before,
                other => other.map(Box::new),
            };
            let reason = "a person asked to try again".into();
            (
                Some(NextPrompt::Continue { reason, before }),
                SessionStage::Turn,
            )
        }
        Some(WaitKind::Conflict) if session.stage == SessionStage::Verify => {
            (kept, SessionStage::Turn)
        }
        _ if session.status == SessionStatus::Cancelled => (kept, SessionStage::Prepare),
        _ => (kept, session.stage),
    };
    reopen_with(write, session, next.as_ref(), stage)
}

pub(super) fn reopen_with(
    write: &Write<'_>,
    session: &mut SessionRow,
    next: Option<&NextPrompt>,
    stage: SessionStage,
) -> Result<(), WorkflowError> {
    session.next_prompt = next.and_then(NextPrompt::to_text);
    session.stage = stage;
    (session.crashes, session.fixes, session.rounds) = (0, 0, 0);
    if matches!(stage, SessionStage::Prepare | SessionStage::Turn) {
        // Was said about a result that is about to be another.
        session.accept_empty = false;
    }
    session.thread = ThreadStatus::Disconnected;
    if session.status == SessionStatus::Cancelled {
        // The machine has no way back from there; what a person tries again has a new life.
        session.status = SessionStatus::Failed;
    }
    move_session(
        write,
        session,
        SessionStatus::Active,
        None,
        Some("tried again"),
    )?;
    if let Some(work) = session.implementation_task {
        let status = ImplementationTaskStatus::InProgress;
        write.set_implementation_task(work, status, Some(&session.id))?;
    }
    Ok(())
}
