//! What can be asked of the daemon: parameters of its methods.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    AgentName, AgentTestView, AgentView, CommandView, DoctorCheck, Document, Event, LineComment,
    MessageId, MessageKind, MessageView, PermissionId, PermissionView, PromptView, SessionRef,
    SpecTaskView, TaskRef, ThreadView, TranscriptEntry, WorkMode, WorkSessionView, ZedInstanceView,
};

/// Variables of the person's environment, handed to agents; kept in memory only.
pub type Environment = BTreeMap<String, String>;

/// Nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Empty {}

/// Opens a connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HelloParams {
    /// The client's protocol version.
    pub protocol: u32,
    /// The client's program version.
    pub version: String,
    /// What the client is: `cli`, `extension`, `test`.
    pub client: String,
}

/// Stops the daemon.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ShutdownParams {
    /// Whether running turns may end first; new ones do not start.
    #[serde(default)]
    pub drain: bool,
}

/// Creates a SpecTask.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CreateParams {
    /// A folder in the repository.
    pub cwd: String,
    /// What the person wants.
    pub prompt: String,
    /// A short name; made from the prompt when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The agent for planning and implementation; the default agent when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentName>,
    /// Another agent for planning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub planning_agent: Option<AgentName>,
    /// How to work; parallel when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<WorkMode>,
    /// How many sessions at a time; the configured limit when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// The revision everything starts from; the repository's `base`, else HEAD, when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    /// A verify command that a person typed, used instead of the repository's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verify: Option<String>,
    /// Whether only to note it (`backlog`).
    #[serde(default)]
    pub later: bool,
    /// The person's environment.
    #[serde(default)]
    pub environment: Environment,
}

/// Lists SpecTasks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ListParams {
    /// Only those of the repository that this folder is in; all when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    /// Whether archived ones are listed.
    #[serde(default)]
    pub archived: bool,
}

/// Names one SpecTask.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TaskParams {
    /// The SpecTask.
    pub task: TaskRef,
}

/// Names one SpecTask and brings the person's environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StartParams {
    /// The SpecTask.
    pub task: TaskRef,
    /// The person's environment.
    #[serde(default)]
    pub environment: Environment,
}

/// Names a SpecTask or one of its sessions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TargetParams {
    /// A SpecTask or a work session.
    pub target: SessionRef,
    /// The person's environment.
    #[serde(default)]
    pub environment: Environment,
}

/// Asks for a revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReviewParams {
    /// The SpecTask.
    pub task: TaskRef,
    /// The revision; the newest when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<u32>,
}

/// Approves a revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ApproveParams {
    /// The SpecTask.
    pub task: TaskRef,
    /// The revision the person saw; must be the newest.
    pub revision: u32,
    /// The digest the person saw.
    pub digest: String,
    /// What the person says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Whether findings of severity error are accepted (never secrets or a broken plan).
    #[serde(default)]
    pub accept_findings: bool,
    /// Whether work starts at once.
    #[serde(default = "yes")]
    pub start: bool,
    /// The person's environment.
    #[serde(default)]
    pub environment: Environment,
}

fn yes() -> bool {
    true
}

/// Sends a revision back to the agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RequestChangesParams {
    /// The SpecTask.
    pub task: TaskRef,
    /// The revision the person saw; must be the newest.
    pub revision: u32,
    /// What should be different.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Comments on lines.
    #[serde(default)]
    pub comments: Vec<LineComment>,
    /// The person's environment.
    #[serde(default)]
    pub environment: Environment,
}

/// Gives a SpecTask up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RejectParams {
    /// The SpecTask.
    pub task: TaskRef,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}

/// Keeps documents that a person changed as a new revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EditParams {
    /// The SpecTask.
    pub task: TaskRef,
    /// The revision the person changed; must be the newest.
    pub revision: u32,
    /// The changed documents; those not named stay.
    pub documents: Vec<Document>,
}

/// Spawns a work session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SpawnParams {
    /// The SpecTask, or the session that becomes the parent.
    pub target: SessionRef,
    /// What to do, in a line.
    pub title: String,
    /// What to do.
    pub description: String,
    /// The agent; the SpecTask's when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentName>,
    /// The person's environment.
    #[serde(default)]
    pub environment: Environment,
}

/// Asks for a diff.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DiffParams {
    /// A SpecTask or one of its sessions.
    pub target: SessionRef,
    /// Whether only statistics are wanted.
    #[serde(default)]
    pub stat: bool,
}

/// Records how a person finished a SpecTask.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FinishParams {
    /// The SpecTask.
    pub task: TaskRef,
    /// How.
    pub how: FinishHow,
    /// Whether to finish although tasks are open.
    #[serde(default)]
    pub incomplete: bool,
}

/// How a SpecTask is finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FinishHow {
    /// Only checks whether it could be finished.
    Check,
    /// Merged into the target branch.
    Merge,
    /// Handed over as a pull request.
    PullRequest,
    /// The branch is kept as it is.
    Keep,
}

/// Lists work sessions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SessionListParams {
    /// Only those of this SpecTask.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<TaskRef>,
    /// Only those of the repository that this folder is in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    /// Threads of Zed's own agent, too, which are seen and not recorded; never those of one SpecTask.
    #[serde(default)]
    pub seen: bool,
}

/// Removes what nobody needs any more.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GcParams {
    /// Only tell what would be removed.
    #[serde(default)]
    pub dry_run: bool,
}

/// Names one work session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SessionParams {
    /// The session.
    pub session: SessionRef,
}

/// Asks for a part of a transcript.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TranscriptParams {
    /// The session.
    pub session: SessionRef,
    /// The first entry.
    #[serde(default)]
    pub from: u64,
    /// At most so many; 1,000 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// Answers a permission request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PermissionAnswerParams {
    /// The request.
    pub permission: PermissionId,
    /// The id of the chosen option; absent: cancelled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub option: Option<String>,
}

/// Lists agents.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AgentListParams {
    /// The person's environment, in whose PATH agents are looked for.
    #[serde(default)]
    pub environment: Environment,
}

/// Adds an agent profile to the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AgentAddParams {
    /// Its name.
    pub name: AgentName,
    /// The command line.
    pub command: Vec<String>,
    /// Names of variables it needs.
    #[serde(default)]
    pub env: Vec<String>,
    /// The permission policy: `ask`, `allow-reads`, `allow-in-root`, `deny`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permission: Option<String>,
    /// Whether it becomes the default.
    #[serde(default)]
    pub default: bool,
}

/// Tries an agent, or logs in to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AgentParams {
    /// The profile.
    pub name: AgentName,
    /// For a login: the method; the only one when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// The person's environment.
    #[serde(default)]
    pub environment: Environment,
}

/// Trusts (or no longer trusts) the commands in a repository's `.spectask.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TrustParams {
    /// A folder in the repository.
    pub cwd: String,
    /// The digest the person saw; absent: only show.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Whether trust is taken back.
    #[serde(default)]
    pub revoke: bool,
}

/// Names the remote that recorded history of a repository may go to; changes nothing without a remote
/// and without `none`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HistoryRemoteParams {
    /// A folder in the repository.
    pub cwd: String,
    /// The remote from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote: Option<String>,
    /// Whether there shall be none.
    #[serde(default)]
    pub none: bool,
}

/// Reads or sets the configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConfigParams {
    /// A dotted key; absent: everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The value to set, as TOML or plain text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
}

/// The configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ConfigView {
    /// The file.
    pub file: String,
    /// Whether it exists.
    pub exists: bool,
    /// The values in force.
    pub values: serde_json::Value,
    /// The JSON schema of the file.
    pub schema: serde_json::Value,
}

/// Follows events.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EventsParams {
    /// Only events with a greater number.
    #[serde(default)]
    pub after: u64,
    /// Only events of this SpecTask.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<TaskRef>,
}

/// Asks what is wrong with the set-up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DoctorParams {
    /// A folder, perhaps in a repository.
    pub cwd: String,
    /// The person's environment.
    #[serde(default)]
    pub environment: Environment,
}

/// Says something to a session: delivered between its turns, quoted with where it comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TellParams {
    /// The session that is told.
    pub session: SessionRef,
    /// What, plain text; at most 64 KiB.
    pub text: String,
    /// What sort of message; `notification` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<MessageKind>,
    /// The session that tells, where a person's program speaks for one; an agent's connection
    /// always speaks for its own session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<SessionRef>,
    /// For a response: the request it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answers: Option<MessageId>,
}

/// Asks for the messages of a SpecTask's sessions or of one session, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MessageListParams {
    /// The SpecTask or the session (messages to it and from it).
    pub target: SessionRef,
}

/// Binds a thread that a person started in an editor to a SpecTask.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AttachParams {
    /// The thread's session.
    pub session: SessionRef,
    /// The SpecTask; absent: to none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<TaskRef>,
}

/// Reports progress of a session, in the words of whoever reports: a claim, not evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReportParams {
    /// The session; an agent's connection may leave it out for its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionRef>,
    /// What was done or is being done; at most 8 KiB.
    pub text: String,
}

/// Records a decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DecideParams {
    /// The SpecTask or session it belongs to; an agent's connection may leave it out for its own
    /// session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<SessionRef>,
    /// What was decided and why; at most 8 KiB.
    pub text: String,
    /// Where it was said: `slash_command`, `mcp`, `cli`.
    pub source: String,
}

/// Searches what was said and done in the transcripts of sessions, newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SearchParams {
    /// The text, without regard to case and to how blanks are written; 2 to 200 characters.
    pub text: String,
    /// Only this SpecTask or session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<SessionRef>,
    /// Only sessions of the repository that this folder is in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    /// Only turns that read or wrote this file: its path in the repository, or the end of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Only sessions that serve this criterion (`2.3`) or requirement (`2`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requirement: Option<String>,
    /// Not before this moment, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// Before this moment, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// At most so many hits; 20 when absent, at most 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// Lists threads.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ThreadListParams {
    /// Only those of the repository, or folder, that this folder is in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    /// Only those of this agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentName>,
    /// Threads of Zed's own agent that are archived or deleted, too.
    #[serde(default)]
    pub archived: bool,
}

/// Names an attached editor, or the editors of a SpecTask's project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ZedParams {
    /// The instance, as `zed.list` tells it.
    pub instance: String,
}

/// Parameters of `zed.event`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ZedEventParams {
    /// What happened.
    pub event: ExtensionEvent,
    /// The version of the extension.
    pub extension: String,
    /// The protocol version that it speaks.
    pub protocol: u32,
    /// What it is about: the id of the context server, the name of the slash command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// What happened in Zed's extension.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ExtensionEvent {
    /// It found the daemon for the first time since Zed loaded it.
    #[serde(rename = "extension.started")]
    Started,
    /// Zed asked for the command of the context server: a project was opened.
    #[serde(rename = "contextServer.requested")]
    ContextServerRequested,
    /// A person ran a slash command.
    #[serde(rename = "slashCommand")]
    SlashCommand,
}

impl ExtensionEvent {
    /// Its name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Started => "extension.started",
            Self::ContextServerRequested => "contextServer.requested",
            Self::SlashCommand => "slashCommand",
        }
    }
}

/// Lists attached editors.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ZedListParams {
    /// Only those in this SpecTask's project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<TaskRef>,
}

/// Runs a slash command that a person typed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CommandParams {
    /// The line, from the `/` on.
    pub line: String,
    /// The folder the person works in.
    pub cwd: String,
    /// The thread it was typed in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionRef>,
    /// The person's environment.
    #[serde(default)]
    pub environment: Environment,
}

macro_rules! list {
    ($($(#[$doc:meta])* $name:ident { $field:ident: $item:ty })*) => {
        $($(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
        pub struct $name {
            /// The entries.
            pub $field: Vec<$item>,
        })*
    };
}

list! {
    /// SpecTasks.
    SpecTaskList { tasks: SpecTaskView }
    /// Work sessions.
    WorkSessionList { sessions: WorkSessionView }
    /// Permission requests that wait.
    PermissionList { permissions: PermissionView }
    /// Agents, the default one first.
    AgentList { agents: AgentView }
    /// Prompt templates.
    PromptList { prompts: PromptView }
    /// Events, oldest first.
    EventList { events: Event }
    /// Checks.
    DoctorReport { checks: DoctorCheck }
    /// A part of a transcript.
    Transcript { entries: TranscriptEntry }
    /// Messages, oldest first.
    MessageList { messages: MessageView }
    /// Threads, the one used last first.
    ThreadList { threads: ThreadView }
    /// Attached editors.
    ZedInstanceList { instances: ZedInstanceView }
    /// Slash commands.
    CommandList { commands: CommandView }
    /// Results of a login.
    AgentLoginView { agents: AgentTestView }
}

/// Lays out the recorded history of a SpecTask as folders: `specs/{task}/…`, `sessions/{task}/…`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LayOutParams {
    /// The SpecTask; `threads` for the sessions of a repository that belong to none.
    pub task: TaskRef,
    /// A folder in the repository whose threads are meant, or whose refs are looked through for a SpecTask
    /// that the daemon does not know; absolute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// The branch that gets them in one commit, on top of what it has, or of `specs/{task}`. Absent,
    /// without a folder: `history/{task}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// The folder that gets them, absolute; it must be empty or not be there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<String>,
    /// The zip file that gets them, absolute; it must not be there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zip: Option<String>,
    /// Whether the machine-readable records and frames go with them.
    #[serde(default)]
    pub records: bool,
}
