//! What sessions say to each other, and what persons say about them.

use std::sync::Arc;

use spectask_protocol::{
    AttachParams, DecideParams, Empty, Failure, FailureKind, MessageKind, MessageList,
    MessageListParams, MessageView, ReportParams, Role, SessionParams, SessionRef, TellParams,
    WorkSessionId, WorkSessionView,
};

use super::{error, face::Face, role::Peer, session::show, view};
use crate::{
    store::{MessageRow, Read},
    workflow::{
        WorkflowError,
        lookup::{Target, find_session, find_target, session_name, target_here, task_of},
        message, session, thread, turn,
    },
};

/// The longest report or decision, in bytes.
const NOTE_LIMIT: usize = 8 * 1024;

pub(super) async fn stop(
    face: Arc<Face>,
    _role: Role,
    params: SessionParams,
) -> Result<WorkSessionView, Failure> {
    // The state first: whatever works on the session sees it, and nothing starts again.
    let (task, row) = session::halt(&face.ctx.store, params.session).await?;
    face.ctx.interrupt(&row.id);
    show(&face, task.as_ref(), &row)
}

pub(super) async fn attach(
    face: Arc<Face>,
    _role: Role,
    params: AttachParams,
) -> Result<WorkSessionView, Failure> {
    let store = &face.ctx.store;
    let attached = thread::attach(store, params.session.clone(), params.task).await?;
    let Some(row) = attached else {
        let id: WorkSessionId = params
            .session
            .as_str()
            .parse()
            .map_err(|_| view::gone("thread"))?;
        let draft = store.read(|read| read.thread(&id)).map_err(error::store)?;
        return Ok(view::draft(&draft.ok_or_else(|| view::gone("thread"))?));
    };
    let task = store.read(|read| task_of(read, &row))?;
    show(&face, task.as_ref(), &row)
}

/// The session that an agent's connection speaks for.
fn own(peer: &Peer) -> Result<WorkSessionId, Failure> {
    peer.session.clone().ok_or_else(|| {
        Failure::new(
            FailureKind::Forbidden,
            "it cannot be told which session this connection belongs to",
        )
        .hint("an agent speaks through a process of its own session")
    })
}

fn forbidden(text: &str) -> Failure {
    Failure::new(FailureKind::Forbidden, text)
}

fn lacks(what: &str) -> Failure {
    Failure::new(FailureKind::InvalidParams, format!("{what} is missing"))
}

/// A short text of a person or an agent, redacted.
fn note(face: &Face, text: &str) -> Result<String, Failure> {
    let text = text.trim();
    if text.is_empty() {
        return Err(Failure::new(
            FailureKind::InvalidParams,
            "the text is empty",
        ));
    }
    if text.len() > NOTE_LIMIT {
        let text = format!(
            "the text has {} bytes; at most {NOTE_LIMIT} are taken",
            text.len()
        );
        return Err(Failure::new(FailureKind::InvalidParams, text));
    }
    let redactor = face.ctx.redactor(&Default::default());
    Ok(redactor.text(text).into_owned())
}

pub(super) async fn report(
    face: Arc<Face>,
    peer: Peer,
    params: ReportParams,
) -> Result<Empty, Failure> {
    let text = note(&face, &params.text)?;
    let store = &face.ctx.store;
    let named = match &params.session {
        Some(name) => Some(store.read(|read| find_session(read, name))?.1.id),
        None => None,
    };
    let id = match (peer.role, named) {
        (Role::Agent, named) => {
            let own = own(&peer)?;
            if named.is_some_and(|named| named != own) {
                return Err(forbidden("an agent reports for its own session only"));
            }
            own
        }
        (Role::Person, Some(named)) => named,
        (Role::Person, None) => return Err(lacks("the session")),
    };
    turn::reported(store, &id, text).await?;
    Ok(Empty {})
}

pub(super) async fn decide(
    face: Arc<Face>,
    peer: Peer,
    params: DecideParams,
) -> Result<Empty, Failure> {
    let text = note(&face, &params.text)?;
    let known = !params.source.is_empty()
        && params.source.len() <= 32
        && params
            .source
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b == b'_');
    if !known {
        let text = "the source is a word of a-z and _, such as cli";
        return Err(Failure::new(FailureKind::InvalidParams, text));
    }
    let store = &face.ctx.store;
    let target = match &params.target {
        Some(name) => Some(store.read(|read| target_here(read, name))?),
        None => None,
    };
    let (target, source) = match (peer.role, target) {
        (Role::Agent, target) => {
            let own = SessionRef::from(own(&peer)?);
            let own = store.read(|read| find_target(read, &own))?;
            let target = target.unwrap_or_else(|| own.clone());
            if !together(&own, &target) {
                return Err(forbidden(
                    "an agent records decisions for its own session and SpecTask only",
                ));
            }
            // It does not pass its words off as a person's.
            let source = match params.source.as_str() {
                "mcp" => "mcp",
                _ => "agent",
            };
            (target, source.to_owned())
        }
        (Role::Person, Some(target)) => (target, params.source),
        (Role::Person, None) => return Err(lacks("the SpecTask or session")),
    };
    let (task, session) = match &target {
        Target::Task(task) => (Some(task.id.clone()), None),
        Target::Session(task, row) => (
            task.as_ref().map(|task| task.id.clone()),
            Some(row.id.clone()),
        ),
    };
    turn::decided(store, task, session, text, source).await?;
    Ok(Empty {})
}

/// Whether a target is that session or belongs to the same SpecTask.
fn together(own: &Target, target: &Target) -> bool {
    if let (Target::Session(_, own), Target::Session(_, target)) = (own, target)
        && own.id == target.id
    {
        return true;
    }
    match (own.task(), target.task()) {
        (Some(own), Some(target)) => own.id == target.id,
        _ => false,
    }
}

pub(super) async fn tell(
    face: Arc<Face>,
    peer: Peer,
    params: TellParams,
) -> Result<MessageView, Failure> {
    let store = &face.ctx.store;
    let agent = peer.role == Role::Agent;
    let named = match &params.from {
        Some(name) => Some(store.read(|read| find_session(read, name))?.1.id),
        None => None,
    };
    let sender = if agent {
        let own = own(&peer)?;
        if named.is_some_and(|named| named != own) {
            return Err(forbidden("an agent speaks for its own session only"));
        }
        Some(own)
    } else {
        named
    };
    let redactor = face.ctx.redactor(&Default::default());
    let tell = message::Tell {
        to: params.session,
        sender,
        agent,
        kind: params.kind.unwrap_or(MessageKind::Notification),
        // What is too long is refused as it came.
        text: if params.text.len() > message::TEXT_LIMIT {
            params.text
        } else {
            redactor.text(&params.text).into_owned()
        },
        answers: params.answers,
    };
    let kept = message::tell(store, tell).await?;
    let first = kept.first().ok_or_else(|| view::gone("message"))?;
    Ok(store.read(|read| shown(read, first))?)
}

pub(super) async fn list(
    face: Arc<Face>,
    _role: Role,
    params: MessageListParams,
) -> Result<MessageList, Failure> {
    let messages = face.ctx.store.read(|read| {
        let rows = match find_target(read, &params.target)? {
            Target::Task(task) => read.messages_of_task(&task.id)?,
            Target::Session(_, session) => read.messages_of_session(&session.id)?,
        };
        rows.iter().map(|row| shown(read, row)).collect()
    });
    Ok(MessageList {
        messages: messages.map_err(|error: WorkflowError| Failure::from(error))?,
    })
}

fn name(read: &Read<'_>, id: &WorkSessionId) -> Result<String, WorkflowError> {
    let Some(session) = read.session(id)? else {
        return Ok(id.to_string());
    };
    let task = task_of(read, &session)?;
    Ok(session_name(task.as_ref(), &session))
}

fn shown(read: &Read<'_>, row: &MessageRow) -> Result<MessageView, WorkflowError> {
    Ok(MessageView {
        id: row.id.clone(),
        to: name(read, &row.session)?,
        from: match &row.sender {
            Some(sender) => Some(name(read, sender)?),
            None => None,
        },
        kind: row.kind,
        text: row.text.clone(),
        answers: row.answers.clone(),
        delivered: row.delivered_at.is_some(),
        at: view::time(row.at),
    })
}
