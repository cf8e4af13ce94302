//! `/spec-status` and `/spec-sessions`.

use spectask_protocol::{
    EventKind, Failure, ImplementationTaskStatus, ImplementationTaskView, PermissionView,
    SpecTaskOverview, SpecTaskView, WorkSessionView,
};

use super::{
    choose::{self, Behind, OPEN},
    invocation::{Invocation, Reply},
    markdown::{code, escape, escape_short, table},
    words::{self, brief, count, session_state, task_state},
};

/// Rows of a list.
const ROWS: usize = 30;

/// Characters of a title in a table.
const TITLE: usize = 60;

pub(super) async fn status(invocation: Invocation, args: String) -> Result<Reply, Failure> {
    let named = choose::named(&invocation, &args, Behind::Nothing).await?;
    let task = match (named, &invocation.task) {
        (Some((task, _)), _) => Some(task.id.into()),
        (None, Some(bound)) => Some(bound.clone()),
        (None, None) => None,
    };
    if let Some(task) = task
        && let Some(overview) = choose::find(&invocation.client, task).await?
    {
        return Ok(Reply::Text(dashboard(&overview)));
    }
    let tasks = choose::of_project(&invocation).await?;
    let open: Vec<&SpecTaskView> = tasks.iter().filter(|task| (OPEN.test)(task)).collect();
    if let [only] = open.as_slice()
        && let Some(overview) = choose::find(&invocation.client, only.id.clone().into()).await?
    {
        return Ok(Reply::Text(dashboard(&overview)));
    }
    Ok(Reply::Text(list(&tasks)))
}

/// The SpecTasks of a project.
fn list(tasks: &[SpecTaskView]) -> String {
    if tasks.is_empty() {
        return "There is no SpecTask in this project yet.\n\nNext: `/spec` and what you want\n"
            .to_owned();
    }
    let rows: Vec<Vec<String>> = tasks
        .iter()
        .take(ROWS)
        .map(|task| {
            vec![
                code(&task.number.to_string()),
                escape_short(&task.title, TITLE),
                state(task),
                progress(task),
            ]
        })
        .collect();
    let more = match tasks.len().saturating_sub(ROWS) {
        0 => String::new(),
        more => format!("\nAnd {more} more.\n"),
    };
    let number = tasks.first().map_or(1, |task| task.number);
    format!(
        "{}{more}\nNext: {}\n",
        table(&["", "SpecTask", "State", "Tasks"], &rows),
        code(&format!("/spec-status {number}"))
    )
}

fn state(task: &SpecTaskView) -> String {
    let state = task_state(task);
    if task.stuck > 0 && !task.status.is_final() {
        format!("{state}, {} stuck", task.stuck)
    } else {
        state.to_owned()
    }
}

fn progress(task: &SpecTaskView) -> String {
    // Before the approval nothing counts.
    if task.progress.total == 0 || task.approved.is_none() {
        return String::new();
    }
    format!("{}/{}", task.progress.done, task.progress.total)
}

/// Name, title and how far it is, in two paragraphs.
pub(super) fn header(task: &SpecTaskView) -> String {
    let mut facts = vec![format!("**{}**", task_state(task))];
    if task.progress.total > 0 && task.approved.is_some() {
        let (done, total) = (task.progress.done, task.progress.total);
        facts.push(format!("{done} of {total} tasks done"));
    }
    match (task.revision, task.approved) {
        (Some(revision), Some(approved)) if revision == approved => {
            facts.push(format!("revision {revision} approved"));
        }
        (Some(revision), Some(approved)) => {
            facts.push(format!("revision {revision}, {approved} is approved"));
        }
        (Some(revision), None) => facts.push(format!("revision {revision}")),
        (None, _) => {}
    }
    if task.approved.is_some() {
        facts.push(format!("branch {}", code(&task.branch)));
    }
    facts.push(format!("agent {}", code(task.agent.as_str())));
    let error = task.error.as_deref().map_or_else(String::new, |error| {
        format!("\n{}\n", words::sentence(error))
    });
    format!(
        "{} {}\n\n{}\n{error}",
        code(&task.name),
        escape_short(&task.title, 120),
        facts.join(" · ")
    )
}

/// Everything about one SpecTask.
fn dashboard(overview: &SpecTaskOverview) -> String {
    let mut out = header(&overview.task);
    let rows = rows(overview);
    if !rows.is_empty() {
        out.push('\n');
        out.push_str(&table(&["", "What", "State"], &rows));
    }
    let waits: String = overview
        .sessions
        .iter()
        .filter(|session| !session.status.is_final())
        .filter_map(|session| Some(words::waiting(session, session.waiting.as_ref()?)))
        .collect();
    if !waits.is_empty() {
        out.push_str(&format!("\nWaiting:\n\n{waits}"));
    }
    if !overview.permissions.is_empty() {
        let asks: String = overview.permissions.iter().map(ask).collect();
        out.push_str(&format!("\nAgents ask:\n\n{asks}"));
    }
    let incidents: Vec<String> = overview
        .incidents
        .iter()
        .rev()
        .take(3)
        .rev()
        .filter_map(|event| match &event.kind {
            EventKind::Incident { incident, text } => Some(format!(
                "- {}: {}\n",
                escape(incident),
                escape_short(text, 300)
            )),
            _ => None,
        })
        .collect();
    if !incidents.is_empty() {
        out.push_str(&format!("\nIncidents:\n\n{}", incidents.concat()));
    }
    let next = words::next(&overview.next);
    if !next.is_empty() {
        out.push_str(&format!("\n{next}"));
    }
    out
}

/// Tasks of the plan with their sessions, then sessions without one.
fn rows(overview: &SpecTaskOverview) -> Vec<Vec<String>> {
    let of = |task: &ImplementationTaskView| {
        let id = task.session.as_ref()?;
        overview.sessions.iter().find(|session| session.id == *id)
    };
    let shown: Vec<_> = overview
        .tasks
        .iter()
        .filter_map(|task| task.session.clone())
        .collect();
    // The planning session tells nothing any more once there is a plan.
    let planned = !overview.tasks.is_empty();
    let others = overview.sessions.iter().filter(|session| {
        let planning = session.phase == spectask_protocol::SessionPhase::Planning;
        !shown.contains(&session.id) && !(planning && (planned || session.status.is_final()))
    });
    overview
        .tasks
        .iter()
        .map(|task| task_row(task, of(task)))
        .chain(others.map(session_row))
        .collect()
}

fn task_row(task: &ImplementationTaskView, session: Option<&WorkSessionView>) -> Vec<String> {
    let state = match session {
        Some(session) => doing(session),
        None => match task.status {
            ImplementationTaskStatus::Completed => "done".to_owned(),
            _ if !task.depends.is_empty() => {
                format!("after {}", escape_short(&task.depends.join(", "), 30))
            }
            _ => "pending".to_owned(),
        },
    };
    let name = session.map(|session| code(&brief(&session.name)));
    let optional = if task.optional { " (optional)" } else { "" };
    vec![
        name.unwrap_or_default(),
        format!(
            "{}. {}{optional}",
            escape_short(&task.number, 12),
            escape_short(&task.title, TITLE)
        ),
        state,
    ]
}

fn session_row(session: &WorkSessionView) -> Vec<String> {
    vec![
        code(&brief(&session.name)),
        escape_short(&session.title, TITLE),
        doing(session),
    ]
}

/// The state of a session and what its agent does just now.
fn doing(session: &WorkSessionView) -> String {
    let state = session_state(session);
    match &session.step {
        Some(step) if !session.status.is_final() && session.waiting.is_none() => {
            format!("{state}: {}", escape_short(step, TITLE))
        }
        _ => state.to_owned(),
    }
}

fn ask(permission: &PermissionView) -> String {
    let session = brief(&permission.session_name);
    let answer = format!("spectask permissions answer {} allow", permission.id);
    format!(
        "- {} wants: {} ({} shows it; {} in a terminal)\n",
        code(&session),
        escape_short(&permission.title, 200),
        code(&format!("/spec-open {session}")),
        code(&answer)
    )
}

pub(super) async fn sessions(invocation: Invocation, args: String) -> Result<Reply, Failure> {
    let sessions = match choose::named(&invocation, &args, Behind::Nothing).await? {
        Some((task, _)) => choose::find(&invocation.client, task.id.into())
            .await?
            .map(|overview| overview.sessions)
            .unwrap_or_default(),
        None => choose::sessions(&invocation).await?,
    };
    Ok(Reply::Text(session_list(&sessions)))
}

fn session_list(sessions: &[WorkSessionView]) -> String {
    let Some(first) = sessions.first() else {
        return "There is no work session yet.\n\nNext: `/spec` and what you want\n".to_owned();
    };
    let rows: Vec<Vec<String>> = sessions
        .iter()
        .take(ROWS)
        .map(|session| {
            vec![
                code(&brief(&session.name)),
                escape_short(&session.title, TITLE),
                doing(session),
                escape(session.agent.as_str()),
            ]
        })
        .collect();
    let more = match sessions.len().saturating_sub(ROWS) {
        0 => String::new(),
        more => format!("\nAnd {more} more.\n"),
    };
    let name = brief(&first.name);
    format!(
        "{}\n{}{more}\nNext: {} in a fresh thread, {}\n",
        count(sessions.len(), "session"),
        {
            let table = table(&["", "What", "State", "Agent"], &rows);
            format!("\n{table}")
        },
        code(&format!("/spec-open {name}")),
        code(&format!("/spec-tell {name} TEXT"))
    )
}
