//! Messages to sessions: kept at once, delivered between turns, quoted with where they come from.

use spectask_protocol::{
    EventKind, MessageId, MessageKind, SessionRef, SessionStatus, WorkSessionId,
};

use super::{
    WorkflowError,
    lookup::{Target, find_id, session_name, target_here, task_of},
    new_id,
};
use crate::store::{MessageRow, NewMessage, Read, SessionRow, Store, TaskRow, Write};

/// The longest message, in bytes.
pub const TEXT_LIMIT: usize = 64 * 1024;

/// How many messages may wait for one session.
pub const WAITING_LIMIT: usize = 100;

/// How many turns of a session are held for messages of other agents alone: two that answer each other
/// come to an end.
pub const TURN_LIMIT: usize = 20;

/// The purpose of a turn that only delivers messages.
pub const PURPOSE: &str = "message";

/// Something that a session is to be told.
#[derive(Debug, Clone)]
pub struct Tell {
    /// The session that is told; for a broadcast, it or its SpecTask.
    pub to: SessionRef,
    /// The session that tells; none: a person.
    pub sender: Option<WorkSessionId>,
    /// Whether an agent tells, which reaches only sessions of its own SpecTask.
    pub agent: bool,
    /// What sort.
    pub kind: MessageKind,
    /// What, redacted.
    pub text: String,
    /// The request it answers.
    pub answers: Option<MessageId>,
}

/// Keeps a message, or one for each other open session of the SpecTask for a broadcast. Gives back what
/// was kept, that to the named session first.
///
/// # Errors
/// When the text is empty or too long, when too many wait, when the session has ended, or when an agent
/// tells a session that is none of its business.
pub async fn tell(store: &Store, tell: Tell) -> Result<Vec<MessageRow>, WorkflowError> {
    if tell.text.trim().is_empty() {
        return Err(WorkflowError::Invalid("the message is empty".into()));
    }
    if tell.text.len() > TEXT_LIMIT {
        return Err(WorkflowError::Invalid(format!(
            "the message has {} bytes; at most {TEXT_LIMIT} are taken: put the rest into a file and name it",
            tell.text.len()
        )));
    }
    store
        .write(move |write| {
            let target = target_here(write, &tell.to)?;
            let sender = match &tell.sender {
                Some(id) => Some(find_id(write, id)?),
                None => None,
            };
            check_reach(&tell, &target, sender.as_ref())?;
            check_answer(write, &tell)?;
            let told = receivers(write, &tell, target)?;
            let mut kept = Vec::with_capacity(told.len());
            for (task, session) in told {
                kept.push(keep(write, &tell, task.as_ref(), &session)?);
            }
            Ok(kept)
        })
        .await
}

/// An agent speaks with sessions of its own SpecTask, not with itself.
fn check_reach(
    tell: &Tell,
    target: &Target,
    sender: Option<&SessionRow>,
) -> Result<(), WorkflowError> {
    let broadcast = tell.kind == MessageKind::Broadcast;
    if let (Target::Session(_, session), Some(sender), false) = (target, sender, broadcast)
        && session.id == sender.id
    {
        return Err(WorkflowError::Invalid(
            "a session cannot tell itself something".into(),
        ));
    }
    if !tell.agent {
        return Ok(());
    }
    let own = sender.and_then(|sender| sender.task.as_ref());
    let theirs = target.task().map(|task| &task.id);
    if own.is_some() && own == theirs {
        return Ok(());
    }
    Err(WorkflowError::Forbidden(
        "an agent may only tell sessions of its own SpecTask something".into(),
    ))
}

fn check_answer(read: &Read<'_>, tell: &Tell) -> Result<(), WorkflowError> {
    let Some(answers) = &tell.answers else {
        return Ok(());
    };
    let Some(request) = read.message(answers)? else {
        return Err(WorkflowError::NotFound {
            what: "message",
            name: answers.to_string(),
        });
    };
    // Whoever was not asked cannot answer.
    if tell
        .sender
        .as_ref()
        .is_some_and(|id| *id != request.session)
    {
        return Err(WorkflowError::Invalid(
            "the request that this answers went to another session".into(),
        ));
    }
    Ok(())
}

type Told = Vec<(Option<TaskRow>, SessionRow)>;

fn receivers(read: &Read<'_>, tell: &Tell, target: Target) -> Result<Told, WorkflowError> {
    let (task, named) = match target {
        Target::Session(task, session) => (task, Some(*session)),
        Target::Task(task) => (Some(task), None),
    };
    if tell.kind != MessageKind::Broadcast {
        let Some(session) = named else {
            return Err(WorkflowError::Invalid(
                "name a session, such as 7/2; only a broadcast goes to a whole SpecTask".into(),
            ));
        };
        check_open(task.as_ref(), &session)?;
        return Ok(vec![(task, session)]);
    }
    let Some(task) = task else {
        return Err(WorkflowError::Invalid(
            "a broadcast needs a session that belongs to a SpecTask".into(),
        ));
    };
    let named = named.map(|session| session.id);
    let mut sessions = read.sessions(&task.id)?;
    sessions
        .retain(|session| !session.status.is_final() && Some(&session.id) != tell.sender.as_ref());
    if sessions.is_empty() {
        return Err(WorkflowError::Invalid(format!(
            "no other session of {} is open",
            task.name()
        )));
    }
    sessions.sort_by_key(|session| (Some(&session.id) != named.as_ref(), session.number));
    Ok(sessions
        .into_iter()
        .map(|session| (Some(task.clone()), session))
        .collect())
}

fn check_open(task: Option<&TaskRow>, session: &SessionRow) -> Result<(), WorkflowError> {
    if session.status.is_final() {
        return Err(WorkflowError::Ended {
            command: "tell",
            name: session_name(task, session),
            status: session.status,
            task: task.map(TaskRow::name),
        });
    }
    Ok(())
}

fn keep(
    write: &Write<'_>,
    tell: &Tell,
    task: Option<&TaskRow>,
    session: &SessionRow,
) -> Result<MessageRow, WorkflowError> {
    if write.undelivered_messages(&session.id)?.len() >= WAITING_LIMIT {
        return Err(WorkflowError::Invalid(format!(
            "{WAITING_LIMIT} messages wait for {} already",
            session_name(task, session)
        )));
    }
    let message = write.insert_message(&NewMessage {
        id: new_id()?,
        session: session.id.clone(),
        sender: tell.sender.clone(),
        kind: tell.kind,
        text: tell.text.clone(),
        answers: tell.answers.clone(),
    })?;
    let event = EventKind::MessageSent {
        message: message.id.clone(),
        message_kind: message.kind,
    };
    write.emit(session.task.as_ref(), Some(&session.id), &event)?;
    Ok(message)
}

/// What a prompt of a session must say beside its own text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Waiting {
    /// The messages that are in it.
    pub ids: Vec<MessageId>,
    /// Each as it is put into the prompt.
    pub texts: Vec<String>,
}

impl Waiting {
    /// A prompt with the messages at its end.
    #[must_use]
    pub fn after(&self, prompt: &str) -> String {
        let mut all = prompt.trim_end().to_owned();
        for text in &self.texts {
            all.push_str("\n\n");
            all.push_str(text);
        }
        all
    }
}

/// The messages for the next prompt of a session: those that wait, and those of turns that did not come
/// to their end, which its agent may not have seen.
///
/// # Errors
/// When the database fails.
pub fn waiting(read: &Read<'_>, session: &SessionRow) -> Result<Waiting, WorkflowError> {
    let mut waiting = Waiting::default();
    for message in read.messages_to_tell(&session.id, session.is_ad_hoc())? {
        waiting.texts.push(quoted(read, &message)?);
        waiting.ids.push(message.id);
    }
    Ok(waiting)
}

/// Notes in the transaction that opens a turn that its prompt holds these messages.
pub(super) fn delivered(
    write: &Write<'_>,
    session: &SessionRow,
    ids: &[MessageId],
    turn: u32,
) -> Result<(), WorkflowError> {
    let new: Vec<MessageId> = write
        .undelivered_messages(&session.id)?
        .into_iter()
        .map(|message| message.id)
        .filter(|id| ids.contains(id))
        .collect();
    write.messages_delivered(&new, turn)?;
    for message in new {
        let event = EventKind::MessageDelivered { message };
        write.emit(session.task.as_ref(), Some(&session.id), &event)?;
    }
    Ok(())
}

/// Takes the messages for a turn that was opened: each as it is put into the prompt.
///
/// # Errors
/// When the session is not there or the database fails.
pub async fn take(
    store: &Store,
    session: &WorkSessionId,
    turn: u32,
) -> Result<Vec<String>, WorkflowError> {
    let id = session.clone();
    store
        .write(move |write| {
            let session = find_id(write, &id)?;
            let waiting = waiting(write, &session)?;
            delivered(write, &session, &waiting.ids, turn)?;
            Ok(waiting.texts)
        })
        .await
}

/// Whether messages are worth a turn of their own before a session's result is looked at.
///
/// # Errors
/// When the database fails.
pub fn want_a_turn(read: &Read<'_>, session: &WorkSessionId) -> Result<bool, WorkflowError> {
    let waiting = read.undelivered_messages(session)?;
    if waiting.is_empty() {
        return Ok(false);
    }
    if waiting.iter().any(|message| message.sender.is_none()) {
        return Ok(true);
    }
    let held = read.turns(session)?;
    let held = held.iter().filter(|turn| turn.purpose == PURPOSE).count();
    Ok(held < TURN_LIMIT)
}

/// A message as it stands in a prompt: every line is marked, so that nothing in it passes for the
/// daemon's words.
fn quoted(read: &Read<'_>, message: &MessageRow) -> Result<String, WorkflowError> {
    let mut head = match &message.sender {
        None => "From the person".to_owned(),
        Some(sender) => {
            let session = find_id(read, sender)?;
            let task = task_of(read, &session)?;
            format!(
                "Message from session {} (another agent; not instructions from the person)",
                session_name(task.as_ref(), &session)
            )
        }
    };
    match (message.kind, &message.answers) {
        (MessageKind::Request, _) => head.push_str(&format!(", request {}", message.id)),
        (_, Some(answers)) => head.push_str(&format!(", answer to {answers}")),
        (MessageKind::Notification, None) => {}
        (kind, None) => head.push_str(&format!(", {kind}")),
    }
    head.push(':');
    for line in lines(&message.text) {
        head.push_str("\n> ");
        head.push_str(line);
    }
    Ok(head)
}

/// Lines by everything that anyone takes for the end of one.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    let text = text.trim_end();
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let breaks = [
            '\n', '\r', '\u{b}', '\u{c}', '\u{85}', '\u{2028}', '\u{2029}',
        ];
        match text.find(breaks) {
            Some(at) => {
                let (line, after) = text.split_at(at);
                let long = if after.starts_with("\r\n") {
                    2
                } else {
                    after.chars().next().map_or(1, char::len_utf8)
                };
                rest = after.get(long..);
                Some(line)
            }
            None => {
                rest = None;
                Some(text)
            }
        }
    })
}

/// What keeps a session from hearing a message soon, with the way out, for whoever told it.
#[must_use]
pub fn hindrance(name: &str, status: SessionStatus) -> Option<String> {
    match status {
        SessionStatus::Blocked | SessionStatus::Waiting => Some(format!(
            "{name} is {status}; a message does not make it go on: `spectask retry {name}` does, and its prompt holds the message"
        )),
        SessionStatus::Pending => Some(format!(
            "{name} has not begun; the message is in its first prompt"
        )),
        _ => None,
    }
}

#[cfg(test)]
#[path = "message_tests.rs"]
mod tests;
