//! `/spec-attach` and `/spec-open`.

use spectask_protocol::{
    AttachParams, Failure, FailureKind, SessionPhase, SessionStatus, TaskRef, WorkSessionView,
    method::WorkSessionAttach,
};

use super::{
    choose::{self, Behind, IMPLEMENTING, first_word},
    invocation::{Invocation, Reply},
    markdown::code,
    words::brief,
};

pub(super) const OPEN: &str = "A session is named `7/2`, `7-user-auth/02-api`, `threads/12` or by its id; with a SpecTask the one \
that runs in it. Its conversation is shown here and goes on here.";

pub(super) async fn attach(invocation: Invocation, args: String) -> Result<Reply, Failure> {
    let Some(session) = invocation.session.clone() else {
        let text = "this is no thread of the daemon, so there is nothing to attach";
        return Err(Failure::new(FailureKind::InvalidState, text)
            .hint("type it in an agent thread that runs through SpecTask"));
    };
    let task = if matches!(args.trim(), "none" | "--none") {
        None
    } else {
        // What the thread is bound to now is not what it is to be bound to.
        let free = Invocation {
            task: None,
            ..invocation.clone()
        };
        let chosen =
            choose::task(&free, "spec-attach", &args, &IMPLEMENTING, Behind::Nothing).await?;
        Some(chosen.0)
    };
    let params = AttachParams {
        session: session.into(),
        task: task.as_ref().map(|task| TaskRef::from(task.id.clone())),
    };
    let session = invocation.client.call(WorkSessionAttach, params).await?;
    Ok(Reply::Text(match task {
        Some(task) => format!(
            "This thread belongs to {} now and is called {}.\n\nNext: {}\n",
            code(&task.name),
            code(&session.name),
            code(&format!("/spec-status {}", task.number))
        ),
        None => format!(
            "This thread belongs to no SpecTask now and is called {}.\n",
            code(&session.name)
        ),
    }))
}

pub(super) async fn open(invocation: Invocation, args: String) -> Result<Reply, Failure> {
    let (word, rest) = first_word(&args);
    if !rest.is_empty() {
        let text = "only one session can be opened in a thread";
        return Err(Failure::new(FailureKind::InvalidParams, text));
    }
    let session = if word.is_empty() || word.contains('/') {
        None
    } else {
        of_task(&invocation, word).await?
    };
    let session = match session {
        Some(session) => session,
        None if word.is_empty() => {
            return Err(choose::no_such(&invocation, "work session", "").await);
        }
        None => choose::session(&invocation, word).await?,
    };
    Ok(Reply::Open { session })
}

/// The session to look at where only a SpecTask was named: the only one that runs, else the
/// planning session while there is no other.
async fn of_task(invocation: &Invocation, word: &str) -> Result<Option<WorkSessionView>, Failure> {
    let Some((task, _)) = choose::named(invocation, word, Behind::Text).await? else {
        return Ok(None);
    };
    let overview = choose::find(&invocation.client, task.id.clone().into()).await?;
    let mut sessions = overview
        .map(|overview| overview.sessions)
        .unwrap_or_default();
    let active: Vec<usize> = sessions
        .iter()
        .enumerate()
        .filter(|(_, session)| session.status == SessionStatus::Active)
        .map(|(index, _)| index)
        .collect();
    let planning = |session: &WorkSessionView| session.phase == SessionPhase::Planning;
    let index = match active.as_slice() {
        [only] => Some(*only),
        [] if sessions.iter().all(planning) => sessions.iter().position(planning),
        _ => None,
    };
    if let Some(index) = index {
        return Ok(Some(sessions.swap_remove(index)));
    }
    let names: String = sessions
        .iter()
        .map(|session| format!("\n- `{}`", brief(&session.name)))
        .collect();
    let text = format!("{} has several sessions:\n{names}", task.name);
    Err(Failure::new(FailureKind::InvalidParams, text)
        .hint("name one of them, for example `/spec-open 7/2`"))
}
