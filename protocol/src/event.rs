//! Domain events: what happened, in the order of the database, numbered without gaps per commit.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Decision, ExtensionEvent, ImplementationTaskStatus, MessageId, MessageKind, PermissionId,
    SessionStage, SessionStatus, SpecTaskId, SpecTaskStatus, TurnStatus, WaitKind, WorkSessionId,
};

/// One domain event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    /// Its number; events of one database are numbered upwards from 1.
    pub seq: u64,
    /// When it was committed, RFC 3339 in UTC.
    pub at: String,
    /// The SpecTask it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<SpecTaskId>,
    /// The work session it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<WorkSessionId>,
    /// What happened.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", content = "data", rename_all = "snake_case")]
pub enum EventKind {
    /// A SpecTask was created.
    TaskCreated {
        /// Its name.
        name: String,
    },
    /// A SpecTask changed its status.
    TaskStatus {
        /// Before.
        from: SpecTaskStatus,
        /// After.
        to: SpecTaskStatus,
        /// Why, for a person.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// Dispatch of new sessions was paused or resumed.
    TaskPaused {
        /// Whether it is paused now.
        paused: bool,
    },
    /// A revision of the documents was kept.
    RevisionKept {
        /// Its number, from 1.
        revision: u32,
        /// Findings of severity error.
        errors: u32,
        /// Findings of severity warning.
        warnings: u32,
    },
    /// A person decided on a revision.
    ReviewDecided {
        /// The revision.
        revision: u32,
        /// The decision.
        decision: Decision,
    },
    /// The approved documents were committed.
    DocumentsCommitted {
        /// The commit on `specs/{task}`.
        commit: String,
    },
    /// A work session was created.
    SessionCreated {
        /// Its name.
        name: String,
    },
    /// A work session changed its status.
    SessionStatus {
        /// Before.
        from: SessionStatus,
        /// After.
        to: SessionStatus,
        /// What it waits for, when it waits or is blocked.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        waiting: Option<WaitKind>,
        /// Why, for a person.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// A work session went to another stage.
    SessionStage {
        /// The stage.
        stage: SessionStage,
    },
    /// An implementation task changed its status.
    ImplementationTaskStatus {
        /// Its number in `tasks.md`.
        number: String,
        /// After.
        to: ImplementationTaskStatus,
    },
    /// An agent process was started for a session.
    AgentStarted {
        /// The profile.
        agent: String,
        /// The process id.
        pid: u32,
    },
    /// A prompt was sent.
    TurnStarted {
        /// The number of the turn in its session, from 1.
        turn: u32,
    },
    /// A turn ended.
    TurnEnded {
        /// The number of the turn.
        turn: u32,
        /// How.
        status: TurnStatus,
        /// The ACP stop reason, or the error.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// The work of a turn was committed on the session's branch.
    SessionCommitted {
        /// The commit.
        commit: String,
    },
    /// The project's verify command ended.
    Verified {
        /// Whether it succeeded.
        passed: bool,
        /// Which attempt, from 1.
        attempt: u32,
    },
    /// A session's branch was merged into `specs/{task}` and its task ticked.
    SessionMerged {
        /// The new tip of `specs/{task}`.
        commit: String,
    },
    /// An agent asks a person.
    PermissionAsked {
        /// The request.
        permission: PermissionId,
        /// What it wants to do.
        title: String,
    },
    /// A permission request ended.
    PermissionAnswered {
        /// The request.
        permission: PermissionId,
        /// The name of the chosen option, or `cancelled`.
        answer: String,
    },
    /// An agent did, or tried, something that it may not do.
    Incident {
        /// What: `escape`, `foreign_ref`, `spec_edit`, `forbidden`.
        incident: String,
        /// For a person.
        text: String,
    },
    /// A thread from an editor was bound to another SpecTask, or to none.
    SessionAttached {
        /// The name it has now.
        name: String,
    },
    /// A thread got a title.
    ThreadTitled {
        /// The title.
        title: String,
    },
    /// A message to a session was kept.
    MessageSent {
        /// The message.
        message: MessageId,
        /// What sort.
        message_kind: MessageKind,
    },
    /// A message reached its session.
    MessageDelivered {
        /// The message.
        message: MessageId,
    },
    /// Progress was reported: a claim.
    Reported {
        /// What was said.
        text: String,
    },
    /// A decision was recorded.
    DecisionRecorded {
        /// What was decided.
        text: String,
        /// Where it was said.
        source: String,
    },
    /// Threads of Zed's own agent were seen to change.
    ThreadsSeen {
        /// The release channel of Zed.
        channel: String,
        /// How many are new, or there again.
        added: u32,
        /// How many have another title, folder or time, or were archived or taken out again.
        changed: u32,
        /// How many were deleted.
        deleted: u32,
    },
    /// Zed's extension told something of itself.
    ZedExtension {
        /// What happened.
        event: ExtensionEvent,
        /// What it is about: a context server, a slash command.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
    },
    /// The SpecTask's branch was merged, handed over or kept.
    Finished {
        /// How: `merge`, `pull_request`, `keep`.
        how: String,
    },
}
