//! `/spec-stop`.

use spectask_protocol::{
    Failure, FailureKind, SessionMethod, SessionParams, SessionStatus, SpecTaskView, TaskParams,
    TurnStatus, WorkSessionView,
    method::{SpecTaskPause, WorkSessionGet, WorkSessionStop},
};

use super::{
    choose::{self, Behind, MOVING, first_word},
    invocation::{CommandClient, Invocation, Reply},
    markdown::code,
    words::brief,
};

pub(super) const DETAILS: &str = "With a session such as `7/2`: its turn ends, the others go on. \
With a SpecTask: every running turn of it ends and no session starts until `/spec-start`. \
Without a name: what runs in this thread, else the SpecTask that is meant. Nothing is lost.";

pub(super) async fn stop(invocation: Invocation, args: String) -> Result<Reply, Failure> {
    let (word, rest) = first_word(&args);
    if word.contains('/') && rest.is_empty() {
        let session = choose::session(&invocation, word).await?;
        if session.method == SessionMethod::AdHoc && !runs(&session) {
            let name = code(&session.name);
            return Ok(Reply::Text(format!("Nothing runs in {name}.\n")));
        }
        return stop_session(&invocation.client, &session).await;
    }
    if word.is_empty()
        && let Some(session) = of_thread(&invocation).await?
    {
        return stop_session(&invocation.client, &session).await;
    }
    let (task, _) = choose::task(&invocation, "spec-stop", &args, &MOVING, Behind::Nothing).await?;
    stop_task(&invocation, task).await
}

/// The session of the thread, if something runs in it.
async fn of_thread(invocation: &Invocation) -> Result<Option<WorkSessionView>, Failure> {
    let Some(id) = &invocation.session else {
        return Ok(None);
    };
    let params = SessionParams {
        session: id.clone().into(),
    };
    match invocation.client.call(WorkSessionGet, params).await {
        Ok(session) => Ok(Some(session).filter(runs)),
        // A draft is no session yet.
        Err(failure) if failure.kind == FailureKind::NotFound => Ok(None),
        Err(failure) => Err(failure),
    }
}

/// Whether there is a turn to stop.
fn runs(session: &WorkSessionView) -> bool {
    let turn = session
        .turns
        .last()
        .is_some_and(|turn| turn.status == TurnStatus::Running);
    turn || (session.status == SessionStatus::Active && session.method != SessionMethod::AdHoc)
}

async fn stop_session(client: &CommandClient, session: &WorkSessionView) -> Result<Reply, Failure> {
    let params = SessionParams {
        session: session.id.clone().into(),
    };
    let stopped = client.call(WorkSessionStop, params).await?;
    let next = if stopped.method == SessionMethod::AdHoc {
        String::new()
    } else {
        let command = format!("/spec-start {}", brief(&stopped.name));
        format!("\nNext: {}\n", code(&command))
    };
    Ok(Reply::Text(format!(
        "Stopped {}.\n{next}",
        code(&stopped.name)
    )))
}

async fn stop_task(invocation: &Invocation, task: SpecTaskView) -> Result<Reply, Failure> {
    let client = &invocation.client;
    // First nothing new starts, then what runs ends.
    let params = TaskParams {
        task: task.id.clone().into(),
    };
    let task = client.call(SpecTaskPause, params).await?;
    let overview = choose::find(client, task.id.clone().into()).await?;
    let sessions = overview
        .map(|overview| overview.sessions)
        .unwrap_or_default();
    let mut stopped = Vec::new();
    for session in sessions.iter().filter(|session| runs(session)) {
        let params = SessionParams {
            session: session.id.clone().into(),
        };
        match client.call(WorkSessionStop, params).await {
            Ok(session) => stopped.push(code(&brief(&session.name))),
            // It ended by itself, or verifies and merges what it did: that is short and may end.
            Err(failure) if failure.kind == FailureKind::InvalidState => {}
            Err(failure) => return Err(failure),
        }
    }
    let what = if stopped.is_empty() {
        "no turn was running".to_owned()
    } else {
        format!("ended the turns of {}", stopped.join(", "))
    };
    Ok(Reply::Text(format!(
        "Stopped {}: {what}; no new session starts.\n\nNext: {}\n",
        code(&task.name),
        code(&format!("/spec-start {}", task.number))
    )))
}
