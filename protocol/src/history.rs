//! What was said and done before: questions about it and what is answered.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    ImplementationTaskStatus, SessionRef, SessionStatus, TaskRef, TranscriptEntry, TurnStatus,
    WorkSessionId,
};

/// Lists turns, newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HistoryLogParams {
    /// Only those of this SpecTask or session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<SessionRef>,
    /// Only those of the repository that this folder is in; its refs tell of sessions that the daemon
    /// does not know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    /// At most so many turns; 50 when absent, at most 10,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// A turn that was recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RecordedTurn {
    /// The session.
    pub session: WorkSessionId,
    /// Its name, such as `7-user-auth/02-api`.
    pub name: String,
    /// What the session is about, one line.
    pub title: String,
    /// The number of the turn in its session, from 1.
    pub turn: u32,
    /// Why it was sent, such as `implement` or `fix`.
    pub purpose: String,
    /// How it ended, or that it runs.
    pub status: TurnStatus,
    /// The ACP stop reason, or the error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Numbers of the implementation tasks that it worked on.
    pub tasks: Vec<String>,
    /// Numbers of the criteria that those serve.
    pub requirements: Vec<String>,
    /// Commits of code that came of it.
    pub commits: Vec<String>,
    /// RFC 3339, UTC.
    pub started_at: String,
    /// RFC 3339, UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<String>,
}

/// Turns, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HistoryLog {
    /// The entries.
    pub turns: Vec<RecordedTurn>,
}

/// Reads what was said and done in a session, from the daemon's store or from its ref in git.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HistoryShowParams {
    /// The session; one that the daemon does not know is looked for in the refs, by its name.
    pub session: SessionRef,
    /// Only this turn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn: Option<u32>,
    /// A folder in the repository whose refs are looked into.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    /// The first entry to read.
    #[serde(default)]
    pub from: u64,
}

/// A part of what was recorded of a session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RecordedPart {
    /// The session.
    pub session: WorkSessionId,
    /// Its name.
    pub name: String,
    /// What it is about, one line.
    pub title: String,
    /// Where it was read: `transcript`, or the full name of a ref.
    pub source: String,
    /// The entries, redacted.
    pub entries: Vec<TranscriptEntry>,
    /// The entry to go on with; none at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
}

/// Asks why lines are as they are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BlameParams {
    /// The file, absolute.
    pub path: String,
    /// Only these lines: the first and the last, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lines: Option<(u32, u32)>,
    /// As of this revision, and not as the file is now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rev: Option<String>,
}

/// Lines of a file, and what they came of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BlameView {
    /// The file in its repository, with `/`.
    pub path: String,
    /// Lines that follow each other and came of the same commit and turn.
    pub groups: Vec<BlameGroup>,
    /// The commits that they name.
    pub commits: Vec<BlameCommit>,
    /// The turns that wrote lines and did not commit them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub written: Vec<Origin>,
    /// Whether there was no time to look every commit up by what it changed, and every turn by what it
    /// wrote.
    #[serde(default)]
    pub incomplete: bool,
}

/// Lines that follow each other and came of the same commit and turn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BlameGroup {
    /// The number of the first, from 1.
    pub line: u32,
    /// The lines, without line breaks.
    pub lines: Vec<String>,
    /// The place of the commit in the list; none: not committed yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<u32>,
    /// The place of the turn that wrote them among `written`, where the commit came of none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub written: Option<u32>,
}

/// A commit, and the turn that it came of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BlameCommit {
    /// Its id.
    pub id: String,
    /// The commit of the file's own history that has these lines, where this one was squashed into it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<String>,
    /// Its author's name.
    pub author: String,
    /// When it was written, RFC 3339, UTC.
    pub at: String,
    /// Its first line.
    pub subject: String,
    /// What the file was called there, when it was called something else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub was: Option<String>,
    /// The turn; none when it came of no session that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
}

/// The turn that a commit came of, and what stands behind it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Origin {
    /// By what it was found: `commit` (its id), `tree` or `patch` (after a rebase or squash),
    /// `content` (the file is that of a recorded branch), `trailer` (its message), `edit` (the lines
    /// stand where the turn wrote them).
    pub via: String,
    /// The session; none when only its name is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<WorkSessionId>,
    /// Its name.
    pub name: String,
    /// The turn, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn: Option<u32>,
    /// The name of its SpecTask.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// Numbers and titles of the implementation tasks, such as `2. Write the API`.
    pub work: Vec<String>,
    /// Numbers of the criteria that those serve.
    pub requirements: Vec<String>,
    /// What the person asked for, redacted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wish: Option<String>,
    /// The prompt of the turn, redacted; its first 2 KiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
}

/// Asks what became of a requirement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TraceParams {
    /// The SpecTask.
    pub task: TaskRef,
    /// A criterion (`2.3`) or requirement (`2`); all when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requirement: Option<String>,
}

/// What became of requirements.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TraceView {
    /// The SpecTask.
    pub task: String,
    /// The revision of the documents that was read.
    pub revision: u32,
    /// The criteria, in the order of `requirements.md`.
    pub criteria: Vec<TracedCriterion>,
}

/// What became of a criterion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TracedCriterion {
    /// Its number, such as `2.3`.
    pub number: String,
    /// Its text, one line.
    pub text: String,
    /// The implementation tasks that serve it.
    pub work: Vec<TracedWork>,
    /// What is missing: no task serves it, a task is not done, what was merged is not verified.
    pub gaps: Vec<String>,
}

/// An implementation task that serves a criterion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TracedWork {
    /// Its number in `tasks.md`.
    pub number: String,
    /// Its title.
    pub title: String,
    /// The state.
    pub status: ImplementationTaskStatus,
    /// Whether it is marked optional.
    pub optional: bool,
    /// The name of its session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// The state of its session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_status: Option<SessionStatus>,
    /// Whether the verify command passed; none: it did not run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified: Option<bool>,
    /// The commit on `specs/{task}` that holds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merged: Option<String>,
    /// Its turns, oldest first.
    pub turns: Vec<RecordedTurn>,
}

/// Takes the recorded history of a SpecTask over from a repository's refs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ImportParams {
    /// A folder in the repository.
    pub cwd: String,
    /// The SpecTask on its refs, by name or number: `7-user-auth`, `7`.
    pub task: String,
    /// A remote to fetch the refs from. Absent: the repository's own are taken, or else those that were
    /// fetched before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote: Option<String>,
}

/// What was taken over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Imported {
    /// The name of the SpecTask here; its number may be another one.
    pub task: String,
    /// Its name on the refs.
    pub recorded_as: String,
    /// The repository that it is kept for, which another clone of it may have taken it over for: its main
    /// working tree, or its git directory when bare.
    pub repository: String,
    /// Sessions that are new.
    pub sessions: u32,
    /// Turns that are new.
    pub turns: u32,
    /// Entries of transcripts that are new.
    pub entries: u64,
    /// What was left out, and why.
    pub problems: Vec<String>,
}

/// A form that history is exported in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ExportForm {
    /// Notes of git-ai 3.0.0 in `refs/notes/ai`.
    GitAi,
    /// Records of agent-trace 0.1.
    AgentTrace,
}

/// Exports the history of a SpecTask.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ExportParams {
    /// The SpecTask.
    pub task: TaskRef,
    /// The form.
    pub form: ExportForm,
}

/// What was exported.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Exported {
    /// The ref that it is in; none for records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// Notes that were written, or records.
    pub count: u32,
    /// Commits that were left out because they have a note already, or are not there.
    pub skipped: u32,
    /// The records.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub records: Vec<Value>,
}
