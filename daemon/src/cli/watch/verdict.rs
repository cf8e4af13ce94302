//! When following ends.

use spectask_protocol::{SessionMethod, SessionStatus, SpecTaskOverview, SpecTaskStatus};

use super::super::error::Exit;

/// What a command waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum Goal {
    /// Documents to review.
    Review,
    /// Work to finish.
    Work,
    /// Whatever comes first.
    Watch,
}

/// What a state means for somebody who waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Something runs.
    Running,
    /// Nothing runs and nothing is stuck: something is about to start.
    Idle,
    /// Needs a person, if it stays so.
    Stuck(&'static str),
    /// Over.
    Ended(Exit, &'static str),
}

/// What this state means.
pub(super) fn verdict(overview: &SpecTaskOverview, goal: Goal) -> Verdict {
    use SpecTaskStatus as S;
    let task = &overview.task;
    match task.status {
        S::SpecReview if goal == Goal::Work => {
            return Verdict::Ended(
                Exit::WaitsForPerson,
                "the documents have to be reviewed again",
            );
        }
        S::SpecReview => return Verdict::Ended(Exit::Good, "the documents are ready for review"),
        S::ImplementationReview => {
            return Verdict::Ended(Exit::Good, "the work is done and merged into its branch");
        }
        S::PullRequest => return Verdict::Ended(Exit::Good, "handed over as a pull request"),
        S::Done => return Verdict::Ended(Exit::Good, "finished"),
        S::SpecFailed => return Verdict::Ended(Exit::Failed, "planning failed"),
        S::ImplementationFailed => return Verdict::Ended(Exit::Failed, "the work failed"),
        S::Cancelled => return Verdict::Ended(Exit::Failed, "cancelled"),
        S::Backlog => return Verdict::Ended(Exit::WaitsForPerson, "waits to be started"),
        // The daemon offers to start what nobody asked it to start.
        S::QueuedImplementation
            if overview
                .next
                .iter()
                .any(|next| next.starts_with("spectask start ")) =>
        {
            return Verdict::Ended(Exit::WaitsForPerson, "waits to be started");
        }
        S::QueuedSpecGeneration
        | S::SpecGeneration
        | S::SpecRevision
        | S::SpecApproved
        | S::QueuedImplementation
        | S::Implementation => {}
    }
    let sessions = || {
        let all = overview.sessions.iter();
        // Threads that a person leads in an editor are open as long as the person likes.
        all.filter(|session| session.method != SessionMethod::AdHoc)
    };
    if sessions().any(|s| s.status == SessionStatus::Active && s.waiting.is_none()) {
        return Verdict::Running;
    }
    if task.paused {
        return Verdict::Stuck("paused");
    }
    if !overview.permissions.is_empty() {
        return Verdict::Stuck("an agent asks for permission");
    }
    if sessions().any(|s| s.waiting.is_some() && !s.status.is_final())
        || sessions().any(|s| matches!(s.status, SessionStatus::Blocked | SessionStatus::Waiting))
    {
        return Verdict::Stuck("waits for a person");
    }
    if task.status == S::Implementation && sessions().any(|s| s.status == SessionStatus::Failed) {
        return Verdict::Stuck("a session failed");
    }
    Verdict::Idle
}

#[cfg(test)]
mod tests {
    use spectask_protocol::{SessionStatus as Status, WaitKind, Waiting};

    use super::{super::super::fixtures, *};

    #[test]
    fn reviews_and_ends_end_it() {
        let end = |status, goal| verdict(&fixtures::overview(status, vec![]), goal);
        let code = |status, goal| match end(status, goal) {
            Verdict::Ended(exit, _) => Some(exit.code()),
            _ => None,
        };
        assert_eq!(code(SpecTaskStatus::SpecReview, Goal::Review), Some(0));
        assert_eq!(code(SpecTaskStatus::SpecReview, Goal::Work), Some(7));
        assert_eq!(
            code(SpecTaskStatus::ImplementationReview, Goal::Work),
            Some(0)
        );
        assert_eq!(code(SpecTaskStatus::SpecFailed, Goal::Review), Some(1));
        assert_eq!(code(SpecTaskStatus::Backlog, Goal::Watch), Some(7));
        assert_eq!(code(SpecTaskStatus::SpecApproved, Goal::Work), None);
        assert_eq!(
            end(SpecTaskStatus::Implementation, Goal::Work),
            Verdict::Idle
        );
    }

    #[test]
    fn it_goes_on_while_anything_runs() {
        let blocked = fixtures::session(1, "a", Status::Blocked);
        let active = fixtures::session(2, "b", Status::Active);
        let of = |sessions| {
            verdict(
                &fixtures::overview(SpecTaskStatus::Implementation, sessions),
                Goal::Work,
            )
        };
        assert_eq!(of(vec![blocked.clone(), active.clone()]), Verdict::Running);
        assert!(matches!(of(vec![blocked]), Verdict::Stuck(_)));
        let mut asks = active;
        asks.waiting = Some(Waiting {
            kind: WaitKind::Permission,
            text: String::new(),
            hint: None,
        });
        assert!(matches!(of(vec![asks]), Verdict::Stuck(_)));
        let mut paused = fixtures::overview(SpecTaskStatus::Implementation, vec![]);
        paused.task.paused = true;
        assert_eq!(verdict(&paused, Goal::Work), Verdict::Stuck("paused"));
    }
}
