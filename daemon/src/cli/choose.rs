//! Which SpecTask is meant when none is named: the only one of this project that fits.

use spectask_protocol::{
    FailureKind, ListParams, SessionRef, SpecTaskStatus, SpecTaskView, TaskRef,
    method::SpecTaskListAll,
};

use super::{connect::Daemon, context::Context, error::CliError};

/// What a SpecTask must be like for a command to pick it.
pub(super) struct Fit {
    /// Completes "no SpecTask …": `is in review`.
    pub(super) what: &'static str,
    /// Whether one fits.
    pub(super) test: fn(&SpecTaskView) -> bool,
    /// Whether one that was taken over fits too: it can be read, not worked on.
    pub(super) read_only: bool,
}

/// Any that is not over.
const OPEN: Fit = Fit {
    what: "is open",
    test: |task| !task.archived && !task.status.is_final(),
    read_only: false,
};

/// One that moves by itself.
const MOVING: Fit = Fit {
    what: "is at work",
    test: |task| is_moving(task.status),
    read_only: false,
};

/// One whose documents wait for a decision.
pub(super) const IN_REVIEW: Fit = Fit {
    what: "is in review",
    test: |task| task.status == SpecTaskStatus::SpecReview,
    read_only: false,
};

/// One that has something to show on its branch.
pub(super) const WITH_BRANCH: Fit = Fit {
    what: "has work on its branch",
    test: |task| task.approved.is_some() && task.status != SpecTaskStatus::Cancelled,
    read_only: true,
};

/// One whose work can be brought home.
pub(super) const FINISHABLE: Fit = Fit {
    what: "is ready to be finished",
    test: |task| task.status == SpecTaskStatus::ImplementationReview,
    read_only: false,
};

/// One that a person can start.
pub(super) const STARTABLE: Fit = Fit {
    what: "waits to be started",
    test: |task| {
        matches!(
            task.status,
            SpecTaskStatus::Backlog | SpecTaskStatus::QueuedImplementation
        )
    },
    read_only: false,
};

/// One that is paused.
pub(super) const PAUSED: Fit = Fit {
    what: "is paused",
    test: |task| task.paused,
    read_only: false,
};

/// One that could be paused.
pub(super) const RUNNING: Fit = Fit {
    what: "is at work",
    test: |task| !task.paused && (task.active > 0 || is_moving(task.status)),
    read_only: false,
};

/// One that failed or is stuck.
pub(super) const STUCK: Fit = Fit {
    what: "failed or is stuck",
    test: |task| {
        task.stuck > 0
            || matches!(
                task.status,
                SpecTaskStatus::SpecFailed | SpecTaskStatus::ImplementationFailed
            )
    },
    read_only: false,
};

/// One whose requirements can be traced.
pub(super) const TRACEABLE: Fit = Fit {
    what: "has requirements",
    test: |task| task.revision.is_some(),
    read_only: true,
};

const fn is_moving(status: SpecTaskStatus) -> bool {
    matches!(
        status,
        SpecTaskStatus::QueuedSpecGeneration
            | SpecTaskStatus::SpecGeneration
            | SpecTaskStatus::SpecRevision
            | SpecTaskStatus::QueuedImplementation
            | SpecTaskStatus::Implementation
    )
}

/// The SpecTask that was named, or the only one that fits.
///
/// # Errors
/// When none or several fit; says which.
pub(super) async fn task(
    ctx: &Context,
    daemon: &Daemon,
    named: Option<TaskRef>,
    fit: &Fit,
) -> Result<TaskRef, CliError> {
    if let Some(task) = named {
        return Ok(task);
    }
    let params = ListParams {
        cwd: Some(ctx.cwd()?),
        archived: false,
    };
    let tasks = daemon.call(SpecTaskListAll, params).await?.tasks;
    let chosen = only(&tasks, fit)?;
    ctx.note(&format!("SpecTask {}: {}", chosen.name, chosen.title));
    Ok(chosen.id.clone().into())
}

/// The SpecTask that was named, or the only one that moves, or the only one that is open.
///
/// # Errors
/// When none or several fit; says which.
pub(super) async fn current(
    ctx: &Context,
    daemon: &Daemon,
    named: Option<TaskRef>,
) -> Result<TaskRef, CliError> {
    if let Some(task) = named {
        return Ok(task);
    }
    let params = ListParams {
        cwd: Some(ctx.cwd()?),
        archived: false,
    };
    let tasks = daemon.call(SpecTaskListAll, params).await?.tasks;
    let chosen = only(&tasks, &MOVING).or_else(|_| only(&tasks, &OPEN))?;
    ctx.note(&format!("SpecTask {}: {}", chosen.name, chosen.title));
    Ok(chosen.id.clone().into())
}

/// The SpecTask or session that was named, or the only SpecTask that fits.
///
/// # Errors
/// When none or several fit; says which.
pub(super) async fn target(
    ctx: &Context,
    daemon: &Daemon,
    named: Option<SessionRef>,
    fit: &Fit,
) -> Result<SessionRef, CliError> {
    if let Some(target) = named {
        return Ok(target);
    }
    let task = task(ctx, daemon, None, fit).await?;
    task.as_str()
        .parse()
        .map_err(|error| CliError::internal(format!("{error}")))
}

/// The SpecTask that `7`, `7/2` or `7-user-auth/02-api` belongs to.
pub(super) fn task_of(target: &SessionRef) -> Option<TaskRef> {
    target.as_str().split('/').next()?.parse().ok()
}

fn only<'a>(tasks: &'a [SpecTaskView], fit: &Fit) -> Result<&'a SpecTaskView, CliError> {
    let fitting: Vec<_> = tasks
        .iter()
        .filter(|task| (fit.read_only || !task.imported) && (fit.test)(task))
        .collect();
    match fitting.as_slice() {
        [task] => Ok(task),
        [] => Err(CliError::new(
            FailureKind::NotFound,
            format!("no SpecTask of this repository {}", fit.what),
        )
        .hint("`spectask list` shows all; name the one you mean")),
        several => {
            let names: Vec<_> = several
                .iter()
                .take(5)
                .map(|task| task.name.as_str())
                .collect();
            let more = if several.len() > 5 { ", …" } else { "" };
            Err(CliError::usage(format!(
                "more than one SpecTask {}: {}{more}",
                fit.what,
                names.join(", ")
            ))
            .hint("name the one you mean"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::fixtures, *};

    #[test]
    fn exactly_one_is_chosen() {
        let review = fixtures::task(7, "user-auth", SpecTaskStatus::SpecReview);
        let work = fixtures::task(8, "search", SpecTaskStatus::Implementation);
        let tasks = [review.clone(), work.clone()];
        assert_eq!(only(&tasks, &IN_REVIEW).unwrap().name, "7-user-auth");
        assert_eq!(only(&tasks, &FINISHABLE).unwrap_err().code(), 3);
        let mut imported = fixtures::task(9, "theirs", SpecTaskStatus::SpecReview);
        imported.imported = true;
        let with = [review.clone(), imported];
        assert_eq!(only(&with, &IN_REVIEW).unwrap().name, "7-user-auth");
        assert_eq!(only(&with[1..], &OPEN).unwrap_err().code(), 3);
        let mut written = with[1].clone();
        written.revision = Some(1);
        assert_eq!(only(&[written], &TRACEABLE).unwrap().name, "9-theirs");
        let both = only(&tasks, &OPEN).unwrap_err();
        assert_eq!(both.code(), 2);
        assert!(both.render(false).contains("7-user-auth, 8-search"));
    }

    #[test]
    fn a_session_names_its_task() {
        let of = |name: &str| task_of(&name.parse().unwrap()).unwrap().to_string();
        assert_eq!([of("7/2"), of("7-a/02-b"), of("7")], ["7", "7-a", "7"]);
    }
}
