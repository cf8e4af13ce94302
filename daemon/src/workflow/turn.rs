//! What happens while an agent works: its process, its turns, its questions, its trespasses.

use spectask_protocol::{
    AgentName, EventKind, MessageId, PermissionId, PermissionOption, SpecTaskId, ThreadStatus,
    TurnStatus, WorkSessionId,
};

use super::{NextPrompt, WorkflowError, message, new_id};
use crate::store::{SessionRow, Store};

fn missing(id: &WorkSessionId) -> WorkflowError {
    WorkflowError::NotFound {
        what: "session",
        name: id.to_string(),
    }
}

/// A process that was started for a session.
#[derive(Debug, Clone, Copy)]
pub struct Process {
    /// Its id.
    pub pid: u32,
    /// When it started, in seconds since the Unix epoch.
    pub start_time: u64,
    /// The process group it leads.
    pub group: u32,
    /// Whether it is the agent itself, not one of its commands.
    pub is_agent: bool,
}

/// Notes an agent process before its first prompt; returns its row.
///
/// # Errors
/// When the database fails.
pub async fn process_started(
    store: &Store,
    session: Option<WorkSessionId>,
    agent: AgentName,
    process: Process,
) -> Result<i64, WorkflowError> {
    store
        .write(move |write| {
            let row = write.insert_process(
                session.as_ref(),
                &agent,
                process.pid,
                process.start_time,
                process.group,
            )?;
            if let Some(id) = session.as_ref().filter(|_| process.is_agent) {
                let mut row = write.session(id)?.ok_or_else(|| missing(id))?;
                row.generation += 1;
                write.update_session(&row)?;
                let event = EventKind::AgentStarted {
                    agent: agent.to_string(),
                    pid: process.pid,
                };
                write.emit(row.task.as_ref(), Some(id), &event)?;
            }
            Ok(row)
        })
        .await
}

/// Notes the end of an agent process.
///
/// # Errors
/// When the database fails.
pub async fn process_ended(store: &Store, row: i64) -> Result<(), WorkflowError> {
    store.write(move |write| Ok(write.end_process(row)?)).await
}

/// Opens a turn: from here on a crash shows as an interrupted turn. The messages `told` are part of its
/// prompt.
///
/// # Errors
/// When the database fails.
pub async fn begin(
    store: &Store,
    id: &WorkSessionId,
    purpose: &'static str,
    acp_session: String,
    told: Vec<MessageId>,
) -> Result<u32, WorkflowError> {
    let id = id.clone();
    store
        .write(move |write| {
            let mut session = write.session(&id)?.ok_or_else(|| missing(&id))?;
            session.acp_session = Some(acp_session);
            session.thread = ThreadStatus::Active;
            write.update_session(&session)?;
            let turn = write.insert_turn(&id, purpose, None)?;
            write.emit(
                session.task.as_ref(),
                Some(&id),
                &EventKind::TurnStarted { turn },
            )?;
            message::delivered(write, &session, &told, turn)?;
            Ok(turn)
        })
        .await
}

/// Ends a turn, with whatever it changes in the session.
///
/// # Errors
/// When the database fails.
pub async fn end(
    store: &Store,
    id: &WorkSessionId,
    turn: u32,
    status: TurnStatus,
    reason: Option<String>,
    change: impl FnOnce(&mut SessionRow) + Send + 'static,
) -> Result<SessionRow, WorkflowError> {
    let id = id.clone();
    store
        .write(move |write| {
            let mut session = write.session(&id)?.ok_or_else(|| missing(&id))?;
            change(&mut session);
            write.update_session(&session)?;
            write.cancel_permissions(Some(&id))?;
            if write.end_turn(&id, turn, status, reason.as_deref())? {
                let event = EventKind::TurnEnded {
                    turn,
                    status,
                    reason,
                };
                write.emit(session.task.as_ref(), Some(&id), &event)?;
            }
            Ok(session)
        })
        .await
}

/// After a crash of the daemon: ends every turn that is said to run as interrupted, gives its session
/// a prompt to go on with (a thread in an editor gets none: its person goes on), cancels questions
/// nobody waits for any more. Returns how many turns.
///
/// # Errors
/// When the database fails.
pub async fn interrupt_all(store: &Store) -> Result<usize, WorkflowError> {
    store
        .write(move |write| {
            let turns = write.running_turns()?;
            for turn in &turns {
                let reason = "the daemon stopped while the agent worked";
                let status = TurnStatus::Interrupted;
                write.end_turn(&turn.session, turn.number, status, Some(reason))?;
                let mut session = write
                    .session(&turn.session)?
                    .ok_or_else(|| missing(&turn.session))?;
                if !session.is_ad_hoc() {
                    session.next_prompt = continued(&session, reason);
                }
                session.thread = ThreadStatus::Disconnected;
                write.update_session(&session)?;
                let event = EventKind::TurnEnded {
                    turn: turn.number,
                    status,
                    reason: Some(reason.into()),
                };
                write.emit(session.task.as_ref(), Some(&session.id), &event)?;
            }
            write.cancel_permissions(None)?;
            write.disconnect_threads()?;
            Ok(turns.len())
        })
        .await
}

/// The prompt that goes on with what a session was asked before.
#[must_use]
pub fn continued(session: &SessionRow, reason: &str) -> Option<String> {
    let before = match NextPrompt::of(session) {
        Some(NextPrompt::Continue { before, .. }) => before,
        other => other.map(Box::new),
    };
    NextPrompt::Continue {
        reason: reason.into(),
        before,
    }
    .to_text()
}

/// Keeps a question of an agent for a person.
///
/// # Errors
/// When the database fails.
pub async fn ask(
    store: &Store,
    id: &WorkSessionId,
    title: String,
    kind: String,
    options: Vec<PermissionOption>,
) -> Result<PermissionId, WorkflowError> {
    let id = id.clone();
    store
        .write(move |write| {
            let permission: PermissionId = new_id()?;
            let session = write.session(&id)?.ok_or_else(|| missing(&id))?;
            write.insert_permission(&permission, &id, &title, &kind, &options)?;
            let event = EventKind::PermissionAsked {
                permission: permission.clone(),
                title,
            };
            write.emit(session.task.as_ref(), Some(&id), &event)?;
            Ok(permission)
        })
        .await
}

/// Ends a question; returns whether it was waiting.
///
/// # Errors
/// When the database fails.
pub async fn answered(
    store: &Store,
    permission: PermissionId,
    session: WorkSessionId,
    answer: String,
) -> Result<bool, WorkflowError> {
    store
        .write(move |write| {
            let waiting = write.answer_permission(&permission, &answer)?;
            if waiting {
                let task = write.session(&session)?.and_then(|session| session.task);
                let event = EventKind::PermissionAnswered { permission, answer };
                write.emit(task.as_ref(), Some(&session), &event)?;
            }
            Ok(waiting)
        })
        .await
}

/// Records what an agent did, or tried, and may not.
///
/// # Errors
/// When the database fails.
pub async fn incident(
    store: &Store,
    task: impl Into<Option<&SpecTaskId>>,
    session: &WorkSessionId,
    incident: &'static str,
    text: String,
) -> Result<(), WorkflowError> {
    let (task, session) = (task.into().cloned(), session.clone());
    store
        .write(move |write| {
            let event = EventKind::Incident {
                incident: incident.into(),
                text,
            };
            Ok(write.emit(task.as_ref(), Some(&session), &event)?)
        })
        .await
}

/// Records what a session's agent, or a person for it, says it did: a claim.
///
/// # Errors
/// When the session is not there or the database fails.
pub async fn reported(
    store: &Store,
    session: &WorkSessionId,
    text: String,
) -> Result<(), WorkflowError> {
    let id = session.clone();
    store
        .write(move |write| {
            let session = write.session(&id)?.ok_or_else(|| missing(&id))?;
            let event = EventKind::Reported { text };
            Ok(write.emit(session.task.as_ref(), Some(&id), &event)?)
        })
        .await
}

/// Records a decision of a SpecTask or of one of its sessions.
///
/// # Errors
/// When the database fails.
pub async fn decided(
    store: &Store,
    task: Option<SpecTaskId>,
    session: Option<WorkSessionId>,
    text: String,
    source: String,
) -> Result<(), WorkflowError> {
    store
        .write(move |write| {
            let event = EventKind::DecisionRecorded { text, source };
            Ok(write.emit(task.as_ref(), session.as_ref(), &event)?)
        })
        .await
}
