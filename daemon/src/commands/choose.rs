//! Which SpecTask or session is meant.

use spectask_protocol::{
    Failure, FailureKind, ListParams, SessionListParams, SessionParams, SessionRef, SpecTaskId,
    SpecTaskOverview, SpecTaskStatus, SpecTaskView, TaskParams, TaskRef, WorkSessionView,
    method::{SpecTaskGet, SpecTaskListAll, WorkSessionGet, WorkSessionListAll},
};

use super::{
    invocation::{CommandClient, Invocation},
    markdown::short,
    words,
};

/// How many candidates a refusal names.
const CANDIDATES: usize = 8;

/// What a SpecTask must be like for a command to pick it.
pub(super) struct Fit {
    /// Completes "no SpecTask …": `is in review`.
    pub(super) what: &'static str,
    /// Whether one fits.
    pub(super) test: fn(&SpecTaskView) -> bool,
}

/// Any that is not over.
pub(super) const OPEN: Fit = Fit {
    what: "is open",
    test: |task| !task.archived && !task.status.is_final(),
};

/// One whose documents wait for a decision.
pub(super) const IN_REVIEW: Fit = Fit {
    what: "is in review",
    test: |task| task.status == SpecTaskStatus::SpecReview,
};

/// One that a person can start, or let go on.
pub(super) const STARTABLE: Fit = Fit {
    what: "waits to be started",
    test: |task| {
        (task.paused && !task.status.is_final())
            || task.stuck > 0
            || matches!(
                task.status,
                SpecTaskStatus::Backlog
                    | SpecTaskStatus::QueuedImplementation
                    | SpecTaskStatus::SpecFailed
                    | SpecTaskStatus::ImplementationFailed
            )
    },
};

/// One that moves by itself.
pub(super) const MOVING: Fit = Fit {
    what: "is at work",
    test: |task| {
        task.active > 0
            || matches!(
                task.status,
                SpecTaskStatus::QueuedSpecGeneration
                    | SpecTaskStatus::SpecGeneration
                    | SpecTaskStatus::SpecRevision
                    | SpecTaskStatus::QueuedImplementation
                    | SpecTaskStatus::Implementation
            )
    },
};

/// One that takes more work.
pub(super) const IMPLEMENTING: Fit = Fit {
    what: "is being implemented",
    test: |task| {
        matches!(
            task.status,
            SpecTaskStatus::Implementation
                | SpecTaskStatus::ImplementationReview
                | SpecTaskStatus::PullRequest
        )
    },
};

/// What may stand behind the name of a SpecTask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Behind {
    /// Nothing: the first word names a SpecTask or nothing does.
    Nothing,
    /// Text, which may itself begin with a number.
    Text,
}

/// The first word, and what follows the white space behind it.
pub(super) fn first_word(args: &str) -> (&str, &str) {
    let args = args.trim();
    args.split_once(char::is_whitespace)
        .map_or((args, ""), |(word, rest)| (word, rest.trim_start()))
}

/// The SpecTask that a word could name: `7`, `7-user-auth`, `7/2`, `7-user-auth/02-api` or an id.
fn task_word(word: &str) -> Option<TaskRef> {
    if let Ok(id) = word.parse::<SpecTaskId>() {
        return Some(id.into());
    }
    let name = word.split('/').next()?;
    let number = name.split('-').next()?;
    number.parse::<u32>().ok()?;
    word.parse::<SessionRef>().ok()?;
    name.parse().ok()
}

/// The SpecTask of that name, if there is one.
pub(super) async fn find(
    client: &CommandClient,
    task: TaskRef,
) -> Result<Option<SpecTaskOverview>, Failure> {
    match client.call(SpecTaskGet, TaskParams { task }).await {
        Ok(overview) => Ok(Some(overview)),
        Err(failure) if failure.kind == FailureKind::NotFound => Ok(None),
        Err(failure) => Err(failure),
    }
}

/// The SpecTasks of the project, newest first.
pub(super) async fn of_project(invocation: &Invocation) -> Result<Vec<SpecTaskView>, Failure> {
    let params = ListParams {
        cwd: Some(invocation.cwd.clone()),
        archived: false,
    };
    Ok(invocation.client.call(SpecTaskListAll, params).await?.tasks)
}

/// The SpecTask that the first word names, and the rest of the text.
///
/// Where text follows, a bare number counts only if it is that of a SpecTask of this project: "3
/// tasks are too many" is a remark.
///
/// # Errors
/// When nothing may follow and the word names none.
pub(super) async fn named(
    invocation: &Invocation,
    args: &str,
    behind: Behind,
) -> Result<Option<(SpecTaskView, String)>, Failure> {
    let (word, rest) = first_word(args);
    if word.is_empty() {
        return Ok(None);
    }
    let found = match task_word(word) {
        Some(name) => find(&invocation.client, name).await?,
        None => None,
    };
    let Some(SpecTaskOverview { task, .. }) = found else {
        return match behind {
            Behind::Text => Ok(None),
            Behind::Nothing => Err(no_such(invocation, "SpecTask", word).await),
        };
    };
    match behind {
        Behind::Nothing if !rest.is_empty() => {
            let text = format!(
                "{:?} is too much: only a SpecTask can be named",
                short(rest, 40)
            );
            Err(Failure::new(FailureKind::InvalidParams, text))
        }
        Behind::Text if word.parse::<u32>().is_ok() => {
            let here = of_project(invocation).await?;
            let here = here.iter().any(|known| known.id == task.id);
            Ok(here.then(|| (task, rest.to_owned())))
        }
        _ => Ok(Some((task, rest.to_owned()))),
    }
}

/// The SpecTask that is meant when none is named: that of the thread, else the only one that fits.
///
/// # Errors
/// When none or several fit; lists them.
pub(super) async fn meant(
    invocation: &Invocation,
    command: &str,
    fit: &Fit,
) -> Result<SpecTaskView, Failure> {
    if let Some(bound) = &invocation.task
        && let Some(found) = find(&invocation.client, bound.clone()).await?
    {
        return Ok(found.task);
    }
    only(of_project(invocation).await?, command, fit)
}

/// The SpecTask that is named first, else the one that is meant; and the rest of the text.
///
/// # Errors
/// When none of that name is there, or none or several fit.
pub(super) async fn task(
    invocation: &Invocation,
    command: &str,
    args: &str,
    fit: &Fit,
    behind: Behind,
) -> Result<(SpecTaskView, String), Failure> {
    if let Some(named) = named(invocation, args, behind).await? {
        return Ok(named);
    }
    Ok((
        meant(invocation, command, fit).await?,
        args.trim().to_owned(),
    ))
}

fn only(tasks: Vec<SpecTaskView>, command: &str, fit: &Fit) -> Result<SpecTaskView, Failure> {
    let (mut fitting, others): (Vec<_>, Vec<_>) = tasks.into_iter().partition(fit.test);
    if fitting.len() == 1 {
        return Ok(fitting.remove(0));
    }
    let what = fit.what;
    let (kind, message, hint, listed) = match (fitting.first(), others.is_empty()) {
        (Some(first), _) => (
            FailureKind::InvalidParams,
            format!("more than one SpecTask {what}"),
            format!(
                "name the one you mean, for example `/{command} {}`",
                first.number
            ),
            fitting,
        ),
        (None, false) => (
            FailureKind::InvalidState,
            format!("no SpecTask of this project {what}"),
            "`/spec-status` shows what each of them needs".to_owned(),
            others,
        ),
        (None, true) => (
            FailureKind::NotFound,
            format!("no SpecTask of this project {what}"),
            "`/spec` and what you want plans the first".to_owned(),
            others,
        ),
    };
    Err(Failure::new(kind, message + &candidates(&listed)).hint(hint))
}

/// SpecTasks as lines of a failure.
fn candidates(tasks: &[SpecTaskView]) -> String {
    let mut lines: String = tasks
        .iter()
        .take(CANDIDATES)
        .map(|task| {
            let title = short(&task.title, 60).replace('`', "'");
            let state = words::task_state(task);
            format!("\n- `{}` {title} ({state})", task.name)
        })
        .collect();
    if tasks.len() > CANDIDATES {
        lines.push_str(&format!("\n- and {} more", tasks.len() - CANDIDATES));
    }
    if lines.is_empty() {
        lines
    } else {
        format!(":\n{lines}")
    }
}

/// Work sessions of the project, those that run first, then the newest.
pub(super) async fn sessions(invocation: &Invocation) -> Result<Vec<WorkSessionView>, Failure> {
    let params = SessionListParams {
        task: None,
        cwd: Some(invocation.cwd.clone()),
        seen: false,
    };
    let mut sessions = invocation
        .client
        .call(WorkSessionListAll, params)
        .await?
        .sessions;
    sessions.sort_by(|a, b| {
        let rank = |session: &WorkSessionView| {
            let over = session.status.is_final();
            (over, session.waiting.is_none())
        };
        rank(a).cmp(&rank(b)).then_with(|| b.id.cmp(&a.id))
    });
    Ok(sessions)
}

/// The session of that name.
///
/// # Errors
/// When there is none; lists those of the project.
pub(super) async fn session(
    invocation: &Invocation,
    word: &str,
) -> Result<WorkSessionView, Failure> {
    let Ok(session) = word.parse::<SessionRef>() else {
        return Err(no_such(invocation, "work session", word).await);
    };
    match invocation
        .client
        .call(WorkSessionGet, SessionParams { session })
        .await
    {
        Err(failure) if failure.kind == FailureKind::NotFound => {
            Err(no_such(invocation, "work session", word).await)
        }
        found => found,
    }
}

/// The refusal of a name, or of none, with what could be named.
pub(super) async fn no_such(invocation: &Invocation, what: &str, word: &str) -> Failure {
    let message = if word.is_empty() {
        format!("a {what} has to be named")
    } else {
        let word = short(word, 60).replace('`', "'");
        format!("there is no {what} {word}")
    };
    let kind = if word.is_empty() {
        FailureKind::InvalidParams
    } else {
        FailureKind::NotFound
    };
    if what == "SpecTask" {
        let tasks = of_project(invocation).await.unwrap_or_default();
        return Failure::new(kind, message + &candidates(&tasks))
            .hint("`/spec-status` shows SpecTasks; name one by its number or its name");
    }
    let sessions = sessions(invocation).await.unwrap_or_default();
    let lines: String = sessions
        .iter()
        .take(CANDIDATES)
        .map(|session| {
            let title = short(&session.title, 60).replace('`', "'");
            let state = words::session_state(session);
            format!("\n- `{}` {title} ({state})", words::brief(&session.name))
        })
        .collect();
    let lines = if lines.is_empty() {
        lines
    } else {
        format!(":\n{lines}")
    };
    Failure::new(kind, message + &lines)
        .hint("`/spec-sessions` lists them; name one as `7/2`, `threads/12` or by its id")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_a_spec_task_begins_with_its_number() {
        let name = |word: &str| task_word(word).map(|task| task.to_string());
        assert_eq!(name("7").as_deref(), Some("7"));
        assert_eq!(name("7-user-auth").as_deref(), Some("7-user-auth"));
        assert_eq!(name("7/2").as_deref(), Some("7"));
        assert_eq!(name("7-user-auth/02-api").as_deref(), Some("7-user-auth"));
        let id = "01890a5d-ac96-774b-bcce-b302099a8057";
        assert_eq!(name(id).as_deref(), Some(id));
        for word in [
            "",
            "design",
            "seven",
            "7.",
            "7/../x",
            "-7",
            "threads/12",
            "7a",
        ] {
            assert_eq!(name(word), None, "{word}");
        }
    }

    #[test]
    fn words_are_split_at_any_space() {
        assert_eq!(first_word("  7\n a\n b "), ("7", "a\n b"));
        assert_eq!(first_word(""), ("", ""));
        assert_eq!(first_word("7"), ("7", ""));
    }
}
