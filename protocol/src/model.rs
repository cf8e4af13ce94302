//! What the daemon shows: read-only views of its state.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    AgentName, Decision, DocumentKind, Event, Finding, ImplementationTaskStatus, MessageId,
    MessageKind, PermissionId, Role, SessionMethod, SessionPhase, SessionStage, SessionStatus,
    SpecTaskId, SpecTaskStatus, ThreadStatus, TurnStatus, WaitKind, WorkMode, WorkSessionId,
};

/// Ticked required leaf tasks over all required ones.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Progress {
    /// Ticked.
    pub done: u32,
    /// All.
    pub total: u32,
}

/// What something waits for, and the way out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Waiting {
    /// The kind.
    pub kind: WaitKind,
    /// What happened, for a person.
    pub text: String,
    /// The command that helps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// A SpecTask.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SpecTaskView {
    /// Its id.
    pub id: SpecTaskId,
    /// Its number, from 1, unique in this daemon.
    pub number: u32,
    /// Its name, as people, branches and folders use it: `7-user-auth`.
    pub name: String,
    /// The repository's main working tree (or git directory when bare).
    pub project: String,
    /// One line.
    pub title: String,
    /// What the person asked for.
    pub prompt: String,
    /// The state.
    pub status: SpecTaskStatus,
    /// How it is worked on.
    pub mode: WorkMode,
    /// The agent that plans.
    pub planning_agent: AgentName,
    /// The agent that implements.
    pub agent: AgentName,
    /// How many sessions may run at a time.
    pub limit: u32,
    /// Whether new sessions are held back.
    pub paused: bool,
    /// Whether it is hidden from lists.
    pub archived: bool,
    /// The branch that collects the work: `specs/{task}`.
    pub branch: String,
    /// The last commit that the daemon put on that branch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tip: Option<String>,
    /// The commit that everything starts from.
    pub base: String,
    /// The branch that `finish --merge` merges into.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// The newest revision of the documents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<u32>,
    /// The approved revision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved: Option<u32>,
    /// Progress by evidence.
    pub progress: Progress,
    /// Work sessions by state: how many run.
    pub active: u32,
    /// Work sessions that wait for a person or are blocked.
    pub stuck: u32,
    /// Why it failed, for a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Whether it was taken over from another machine, to be read: nothing works on it here.
    #[serde(default)]
    pub imported: bool,
    /// RFC 3339, UTC.
    pub created_at: String,
    /// RFC 3339, UTC.
    pub updated_at: String,
}

/// One top-level task of the approved `tasks.md`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ImplementationTaskView {
    /// Its number in `tasks.md`.
    pub number: String,
    /// Its title.
    pub title: String,
    /// The state.
    pub status: ImplementationTaskStatus,
    /// Whether it is marked optional.
    pub optional: bool,
    /// Numbers of the tasks it depends on.
    pub depends: Vec<String>,
    /// Criteria it serves.
    pub requirements: Vec<String>,
    /// Resources it holds alone while it runs.
    pub resources: Vec<String>,
    /// Its work session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<WorkSessionId>,
}

/// A work session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WorkSessionView {
    /// Its id.
    pub id: WorkSessionId,
    /// Its name: `7-user-auth/02-api`.
    pub name: String,
    /// Its SpecTask; none for a thread from an editor that is attached to none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<SpecTaskId>,
    /// One line.
    pub title: String,
    /// What it is for.
    pub phase: SessionPhase,
    /// The state.
    pub status: SessionStatus,
    /// The stage while it is active.
    pub stage: SessionStage,
    /// How it came to be.
    pub method: SessionMethod,
    /// The session that spawned it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<WorkSessionId>,
    /// The number of its implementation task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_number: Option<String>,
    /// The agent profile.
    pub agent: AgentName,
    /// Its branch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// Its worktree, while there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worktree: Option<String>,
    /// The commit it started from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    /// The last commit on its branch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<String>,
    /// The commit on `specs/{task}` that holds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merged: Option<String>,
    /// `Some(true)` passed, `Some(false)` failed, none: no verify command, unverified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified: Option<bool>,
    /// The end of the last verify output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verify_output: Option<String>,
    /// What it waits for or is blocked by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<Waiting>,
    /// The agent's current step, while a turn runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// What the agent said at the end of its last turn: a claim, not evidence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<String>,
    /// The state of its thread.
    pub thread: ThreadStatus,
    /// The ACP session id of its thread.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acp_session: Option<String>,
    /// Its turns.
    pub turns: Vec<TurnView>,
    /// RFC 3339, UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<String>,
    /// RFC 3339, UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<String>,
    /// Whether what is said in it is recorded; not so for a thread of Zed's own agent.
    #[serde(default = "recorded")]
    pub recorded: bool,
    /// What Zed's database tells of it, when it is seen and not recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<SeenView>,
}

const fn recorded() -> bool {
    true
}

/// One thing that `daemon.gc` looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GcItem {
    /// What: `worktree`, `branch`, `transcript`, `blobs`, `drafts`, `log`, `database`.
    pub kind: String,
    /// Which: a path, a branch, the name of a session, or how many.
    pub name: String,
    /// What became of it: `removed`, `would_remove`, or `kept`, for the reason given.
    pub outcome: String,
    /// Bytes that this frees, or would free.
    pub bytes: u64,
    /// The ref that holds what would have been lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub saved: Option<String>,
    /// The commit that the ref was left at; none in a dry run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub saved_commit: Option<String>,
    /// Why it was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What `daemon.gc` did, or would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GcView {
    /// Whether nothing was changed.
    pub dry_run: bool,
    /// What was looked at.
    pub items: Vec<GcItem>,
    /// Bytes that were freed, or would be.
    pub bytes: u64,
}

/// A thread of Zed's own agent, as Zed's database tells of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SeenView {
    /// The release channel of Zed: `stable`, `preview`, `nightly`, `dev`.
    pub channel: String,
    /// Zed's own id of the thread's session.
    pub session: String,
    /// The folders of its project, in Zed's order.
    pub folders: Vec<String>,
    /// Whether those folders are on another machine.
    pub remote: bool,
    /// Whether it is archived there.
    pub archived: bool,
    /// When it was found to be deleted there, RFC 3339 in UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted_at: Option<String>,
}

/// One prompt and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TurnView {
    /// Its number in the session, from 1.
    pub number: u32,
    /// Why it was sent: `plan`, `revise`, `implement`, `fix`, `continue`.
    pub purpose: String,
    /// How it ended.
    pub status: TurnStatus,
    /// The ACP stop reason, or the error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A SpecTask with everything that belongs to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SpecTaskOverview {
    /// The SpecTask.
    pub task: SpecTaskView,
    /// Its implementation tasks, in the order of `tasks.md`.
    pub tasks: Vec<ImplementationTaskView>,
    /// Its sessions, in the order of creation.
    pub sessions: Vec<WorkSessionView>,
    /// Permission requests that wait.
    pub permissions: Vec<PermissionView>,
    /// The newest incidents, oldest first; at most 20.
    pub incidents: Vec<Event>,
    /// The number of the newest event of the daemon.
    pub seq: u64,
    /// What the person can do now, as commands.
    pub next: Vec<String>,
}

/// One document of a revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Document {
    /// Which.
    pub kind: DocumentKind,
    /// Its text.
    pub text: String,
}

/// A line comment of a review.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LineComment {
    /// The document.
    pub document: DocumentKind,
    /// The line, from 1; none: the whole document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// What the person says.
    pub text: String,
}

/// A decision that was taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReviewRecord {
    /// The revision it is about.
    pub revision: u32,
    /// The decision.
    pub decision: Decision,
    /// What the person said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Comments on lines.
    pub comments: Vec<LineComment>,
    /// RFC 3339, UTC.
    pub at: String,
}

/// A wave of the plan: tasks that can run at the same time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlanWave {
    /// Numbers and titles of the tasks.
    pub tasks: Vec<PlanEntry>,
}

/// A task of the plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlanEntry {
    /// Its number.
    pub number: String,
    /// Its title.
    pub title: String,
    /// Numbers it depends on.
    pub depends: Vec<String>,
    /// Whether it is optional.
    pub optional: bool,
}

/// What a person reviews.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReviewView {
    /// The SpecTask.
    pub task: SpecTaskView,
    /// The revision shown.
    pub revision: u32,
    /// Who wrote it: `agent` or `person`.
    pub author: String,
    /// SHA-256 over the masked documents, hex. Approval names it.
    pub digest: String,
    /// The three documents.
    pub documents: Vec<Document>,
    /// What the validator found.
    pub findings: Vec<Finding>,
    /// Unified diff to the revision before; empty for the first.
    pub diff: String,
    /// Decisions so far, oldest first.
    pub reviews: Vec<ReviewRecord>,
    /// The sessions that approval would start; empty when the plan has faults.
    pub plan: Vec<PlanWave>,
}

/// An option of a permission request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PermissionOption {
    /// Its id.
    pub id: String,
    /// What it says.
    pub name: String,
    /// The ACP kind: `allow_once`, `allow_always`, `reject_once`, `reject_always`.
    pub kind: String,
}

/// A permission request that waits for a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PermissionView {
    /// Its id.
    pub id: PermissionId,
    /// The session that asks.
    pub session: WorkSessionId,
    /// The session's name.
    pub session_name: String,
    /// What the agent wants to do.
    pub title: String,
    /// The ACP tool kind: `edit`, `execute`, ….
    pub kind: String,
    /// What can be answered.
    pub options: Vec<PermissionOption>,
    /// RFC 3339, UTC.
    pub asked_at: String,
}

/// An agent that the daemon knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AgentView {
    /// The profile's name.
    pub name: AgentName,
    /// The command line.
    pub command: Vec<String>,
    /// Where it was found: `config`, `path`, `zed`, `built-in`.
    pub source: String,
    /// Whether its program exists.
    pub available: bool,
    /// Whether it is the one used when none is named.
    pub default: bool,
    /// The permission policy.
    pub permission: String,
    /// Names of the variables it needs.
    pub env: Vec<String>,
    /// Why it is not available, or how to install it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// What an agent said when it was tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AgentTestView {
    /// The profile's name.
    pub name: AgentName,
    /// What the agent calls itself.
    pub title: String,
    /// Its version.
    pub version: String,
    /// Whether it can load a session.
    pub load_session: bool,
    /// Whether it can resume a session.
    pub resume_session: bool,
    /// Ways to log in.
    pub auth_methods: Vec<AuthMethod>,
    /// Whether a session could be opened.
    pub session_opened: bool,
    /// What kept it from opening one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// Milliseconds from start to an open session.
    pub millis: u64,
}

/// A way to log in to an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuthMethod {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What the agent says about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// A prompt template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PromptView {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub purpose: String,
    /// Where the text in use comes from: `built-in` or a path.
    pub source: String,
    /// The template in use.
    pub text: String,
    /// The folder into which a copy for override goes.
    pub folder: String,
}

/// What `.spectask.toml` of a repository says, and whether a person trusts its commands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TrustView {
    /// The repository.
    pub project: String,
    /// The file, when there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// SHA-256 of the file, hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Commands that run in each worktree before the agent.
    pub setup: Vec<String>,
    /// Files copied into each worktree.
    pub copy: Vec<String>,
    /// Commands that decide whether work counts.
    pub verify: Vec<String>,
    /// Whether exactly this text is trusted.
    pub trusted: bool,
}

/// The remote that recorded history of a repository may go to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HistoryRemoteView {
    /// The repository.
    pub project: String,
    /// The remote; none until a person names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote: Option<HistoryRemote>,
}

/// A remote as it was named.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HistoryRemote {
    /// Its name.
    pub name: String,
    /// The address that it pushed to then, without credentials.
    pub url: String,
}

/// What a finished SpecTask's branch holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DiffView {
    /// The commit compared from.
    pub from: String,
    /// The commit compared to.
    pub to: String,
    /// Per file.
    pub files: Vec<FileStat>,
    /// Unified patch; empty when only statistics were asked for.
    pub patch: String,
}

/// How much of a file changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FileStat {
    /// Path from the root of the repository.
    pub path: String,
    /// Lines added.
    pub added: u64,
    /// Lines removed.
    pub removed: u64,
    /// Whether it is binary.
    pub binary: bool,
}

/// The daemon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DaemonView {
    /// The version of the program.
    pub version: String,
    /// The version of the protocol.
    pub protocol: u32,
    /// Its process.
    pub pid: u32,
    /// Seconds since it started.
    pub uptime: u64,
    /// Its socket.
    pub socket: String,
    /// Its data folder.
    pub data_dir: String,
    /// Its configuration file.
    pub config_file: String,
    /// Its log file.
    pub log_file: String,
    /// What it takes this connection for.
    pub role: Role,
    /// The work session whose agent this connection comes from, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<WorkSessionId>,
    /// Sessions whose agent works now.
    pub active_sessions: u32,
    /// Repositories whose history waits; empty when it is recorded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<HistoryWait>,
}

/// A repository whose history cannot be recorded at the moment. It is caught up with later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HistoryWait {
    /// Its root.
    pub root: String,
    /// Why.
    pub reason: String,
}

/// One check of `spectask doctor`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DoctorCheck {
    /// What was checked.
    pub name: String,
    /// `ok`, `warning` or `error`.
    pub state: String,
    /// What was seen.
    pub text: String,
    /// What to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// One entry of a session's transcript.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TranscriptEntry {
    /// Its number in the session.
    pub index: u64,
    /// RFC 3339, UTC.
    pub at: String,
    /// `to_agent`, `from_agent` or `daemon`.
    pub direction: String,
    /// The redacted JSON-RPC frame, or the daemon's note.
    pub frame: serde_json::Value,
}

/// A message to a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MessageView {
    /// Its id.
    pub id: MessageId,
    /// The name of the session that is told.
    pub to: String,
    /// The name of the session that tells; none: a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// What sort.
    pub kind: MessageKind,
    /// What.
    pub text: String,
    /// The request it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answers: Option<MessageId>,
    /// Whether the session has got it.
    pub delivered: bool,
    /// RFC 3339, UTC.
    pub at: String,
}

/// An agent thread as an editor sees it: one ACP session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ThreadView {
    /// The ACP session id towards editors; also the id of its work session once it was prompted.
    pub id: WorkSessionId,
    /// The name of its work session; none for a draft.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// The agent.
    pub agent: AgentName,
    /// What it is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The folder it works in.
    pub cwd: String,
    /// The state.
    pub status: ThreadStatus,
    /// The editor that shows it, as `zed.list` names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// Whether a turn runs.
    pub running: bool,
    /// The newest sign of life of agent or person, RFC 3339 in UTC.
    pub last_activity: String,
    /// Whether what is said in it is recorded; not so for a thread of Zed's own agent.
    #[serde(default = "recorded")]
    pub recorded: bool,
    /// What Zed's database tells of it, when it is seen and not recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<SeenView>,
}

/// What `spectask zed endpoint --json` tells Zed's extension. Fields that are unknown are ignored and new
/// ones are optional, because extension and program are updated apart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ZedEndpoint {
    /// The program, an absolute path.
    pub program: String,
    /// Its version.
    pub version: String,
    /// The protocol version that it speaks.
    pub protocol: u32,
    /// Where the daemon answers: `http://127.0.0.1:PORT`. Absent when it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// What lets a program of this user in there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// Why there is no address, for a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// How to set the context server up, Markdown.
    #[serde(default)]
    pub instructions: String,
    /// JSON schema of the context server's settings.
    #[serde(default)]
    pub settings_schema: String,
    /// The settings as they are without any, JSON with comments.
    #[serde(default)]
    pub default_settings: String,
}

/// An attached editor: one shim that a Zed window, or another ACP client, runs for a project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ZedInstanceView {
    /// Its id, a UUID; new with each process of the shim.
    pub instance: String,
    /// What the editor calls itself: name and version.
    pub editor: String,
    /// `attached`, or `detached` by a person.
    pub status: String,
    /// The folder it was started in.
    pub project: String,
    /// The agent it was started for; none: the `SpecTask` entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// The process of the shim.
    pub pid: u32,
    /// Seconds since it attached.
    pub uptime: u64,
    /// The newest frame either way, RFC 3339 in UTC.
    pub last_activity: String,
    /// The threads that are open in it.
    pub threads: Vec<ThreadView>,
}

/// What a search found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SearchResult {
    /// The hits, newest first.
    pub hits: Vec<SearchHit>,
    /// Whether all that is indexed was looked at, or the limit was reached; false: the time was up.
    pub complete: bool,
    /// How many turns have ended and are not in the index yet.
    pub behind: u32,
}

/// A place where a searched text was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SearchHit {
    /// The session.
    pub session: WorkSessionId,
    /// Its name.
    pub name: String,
    /// The turn it was said in; 0 before the first.
    pub turn: u32,
    /// The transcript's entry.
    pub index: u64,
    /// Who said it: `person`, `agent`, `tool`, `daemon`.
    pub who: String,
    /// The text around it, one line, at most 300 characters.
    pub excerpt: String,
    /// RFC 3339, UTC.
    pub at: String,
}

/// A slash command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CommandView {
    /// Its name without the slash: `spec-status`.
    pub name: String,
    /// What it does, one line.
    pub description: String,
    /// What may follow it, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// What a slash command answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CommandAnswer {
    /// Markdown.
    pub text: String,
}

/// History that was laid out as folders.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LaidOut {
    /// The branch, the folder or the zip file.
    pub place: String,
    /// The commit on the branch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// Files.
    pub files: u32,
    /// Sessions that are in it.
    pub sessions: u32,
}
