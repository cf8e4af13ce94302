//! The states in words and tones that people read.

use spectask_protocol::{
    ImplementationTaskStatus, SeenView, SessionMethod, SessionStage, SessionStatus, SpecTaskStatus,
    SpecTaskView, TurnStatus, WaitKind, WorkSessionView,
};

use super::sheet::Tone;

/// A SpecTask's state.
pub(super) const fn task_status(status: SpecTaskStatus) -> (Tone, &'static str) {
    use SpecTaskStatus as S;
    match status {
        S::Backlog => (Tone::Faint, "backlog"),
        S::QueuedSpecGeneration => (Tone::Busy, "planning queued"),
        S::SpecGeneration => (Tone::Busy, "planning"),
        S::SpecReview => (Tone::Warn, "in review"),
        S::SpecRevision => (Tone::Busy, "revising"),
        S::SpecApproved => (Tone::Busy, "approved"),
        S::QueuedImplementation => (Tone::Busy, "work queued"),
        S::Implementation => (Tone::Busy, "at work"),
        S::ImplementationReview => (Tone::Good, "ready to finish"),
        S::PullRequest => (Tone::Good, "pull request"),
        S::Done => (Tone::Good, "done"),
        S::SpecFailed => (Tone::Bad, "planning failed"),
        S::ImplementationFailed => (Tone::Bad, "work failed"),
        S::Cancelled => (Tone::Faint, "cancelled"),
    }
}

/// A SpecTask's state with what holds it up.
pub(super) const fn task_state(task: &SpecTaskView) -> (Tone, &'static str) {
    if task.imported {
        return (Tone::Faint, "imported");
    }
    if task.paused && !task.status.is_final() {
        return (Tone::Warn, "paused");
    }
    let (tone, text) = task_status(task.status);
    if task.stuck > 0 && task.active == 0 && !task.status.is_final() {
        return (Tone::Warn, text);
    }
    (tone, text)
}

/// A session's mark.
pub(super) const fn mark(session: &WorkSessionView) -> (Tone, &'static str) {
    match session.status {
        SessionStatus::Pending => (Tone::Faint, "○"),
        SessionStatus::Active if session.waiting.is_some() => (Tone::Warn, "?"),
        SessionStatus::Active => (Tone::Busy, "●"),
        SessionStatus::Blocked | SessionStatus::Waiting => (Tone::Warn, "!"),
        SessionStatus::Completed => (Tone::Good, "✓"),
        SessionStatus::Failed => (Tone::Bad, "✗"),
        SessionStatus::Cancelled => (Tone::Faint, "–"),
    }
}

/// A session's state in a word or two.
pub(super) fn session_state(session: &WorkSessionView) -> (Tone, &'static str) {
    if let Some(waiting) = &session.waiting
        && !session.status.is_final()
    {
        return (Tone::Warn, wait_kind(waiting.kind));
    }
    if let Some(seen) = &session.seen {
        return (Tone::Faint, seen_state(seen));
    }
    match session.status {
        SessionStatus::Pending => (Tone::Faint, "pending"),
        SessionStatus::Active if is_idle(session) => (Tone::Faint, "open"),
        SessionStatus::Active => (Tone::Busy, stage(session.stage)),
        SessionStatus::Blocked => (Tone::Warn, "blocked"),
        SessionStatus::Waiting => (Tone::Warn, "waiting"),
        SessionStatus::Completed => match session.verified {
            None if session.merged.is_some() => (Tone::Good, "merged, unverified"),
            _ if session.merged.is_some() => (Tone::Good, "merged"),
            _ => (Tone::Good, "completed"),
        },
        SessionStatus::Failed => (Tone::Bad, "failed"),
        SessionStatus::Cancelled => (Tone::Faint, "cancelled"),
    }
}

/// The state of a thread of Zed's own agent.
pub(super) const fn seen_state(seen: &SeenView) -> &'static str {
    match (&seen.deleted_at, seen.archived) {
        (Some(_), _) => "deleted (seen, not recorded)",
        (None, true) => "archived (seen, not recorded)",
        (None, false) => "seen, not recorded",
    }
}

/// Whether a thread of a person waits for the person's next prompt.
fn is_idle(session: &WorkSessionView) -> bool {
    if !matches!(session.method, SessionMethod::AdHoc) {
        return false;
    }
    match session.turns.last() {
        Some(turn) => !matches!(turn.status, TurnStatus::Running),
        None => true,
    }
}

/// What an active session does.
pub(super) const fn stage(stage: SessionStage) -> &'static str {
    match stage {
        SessionStage::Prepare => "preparing",
        SessionStage::Turn => "agent at work",
        SessionStage::Verify => "verifying",
        SessionStage::Merge => "merging",
    }
}

/// What a session waits for.
pub(super) const fn wait_kind(kind: WaitKind) -> &'static str {
    match kind {
        WaitKind::Environment => "needs a variable",
        WaitKind::NeedsAuth => "needs a login",
        WaitKind::AgentMissing => "agent missing",
        WaitKind::Trust => "needs trust",
        WaitKind::BranchCheckedOut => "branch in use",
        WaitKind::EmptyResult => "changed nothing",
        WaitKind::Conflict => "merge conflict",
        WaitKind::Verify => "verify failed",
        WaitKind::Permission => "asks a person",
        WaitKind::Stopped => "agent stopped",
        WaitKind::Agent => "agent failed",
        WaitKind::TimeLimit => "time limit",
        WaitKind::Repository => "git refused",
    }
}

/// An implementation task's mark.
pub(super) const fn work_mark(status: ImplementationTaskStatus) -> (Tone, &'static str) {
    match status {
        ImplementationTaskStatus::Pending | ImplementationTaskStatus::Assigned => {
            (Tone::Faint, "○")
        }
        ImplementationTaskStatus::InProgress => (Tone::Busy, "●"),
        ImplementationTaskStatus::Completed => (Tone::Good, "✓"),
        ImplementationTaskStatus::Blocked => (Tone::Faint, "·"),
    }
}

/// A bar of that width: `████░░░░`.
pub(super) fn bar(done: u32, total: u32, width: usize) -> String {
    let total = usize::try_from(total.max(1)).unwrap_or(1);
    let done = usize::try_from(done).unwrap_or(0).min(total);
    let full = done * width / total;
    "█".repeat(full) + &"░".repeat(width - full)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_full_only_at_the_end() {
        assert_eq!(bar(0, 0, 4), "░░░░");
        assert_eq!(bar(3, 4, 4), "███░");
        assert_eq!(bar(99, 100, 4), "███░");
        assert_eq!(bar(9, 4, 4), "████");
    }
}
