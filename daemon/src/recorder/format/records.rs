//! The machine-readable records, as JSON.

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use spectask_protocol::{
    SessionMethod, SessionPhase, SessionStatus, SpecTaskId, SpecTaskStatus, TurnStatus,
    WorkSessionId,
};

/// The version of the format that is written. A reader refuses a greater one.
pub const FORMAT: u32 = 1;

/// How far the sources of a ref were read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Cursor {
    /// The number of the last domain event of this session (or SpecTask).
    pub event: u64,
    /// The index after the last transcript entry; 0 on the ref of a SpecTask.
    pub entries: u64,
}

/// The SpecTask of a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskLink {
    /// Its id.
    pub id: SpecTaskId,
    /// Its name, such as `7-user-auth`.
    pub name: String,
}

/// How many segments each document has; 0: it does not exist yet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segments {
    /// `conversation.md`
    pub conversation: u32,
    /// `code-changes.md`
    pub code_changes: u32,
    /// `decisions.md`
    pub decisions: u32,
    /// `activity-log.md`
    pub activity_log: u32,
}

/// `session.json`: a work session as it is at that commit. Its size does not grow with its turns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionRecord {
    /// [`FORMAT`].
    pub format: u32,
    /// Its id: the same in every repository and on every machine.
    pub id: WorkSessionId,
    /// Its name, as `{task}/{session}` or `threads/{session}`.
    pub name: String,
    /// Its SpecTask; none for a thread of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<TaskLink>,
    /// One line.
    pub title: String,
    /// What it is for.
    pub phase: SessionPhase,
    /// How it came to be.
    pub method: SessionMethod,
    /// The session that spawned it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<WorkSessionId>,
    /// The agent's name.
    pub agent: String,
    /// The state.
    pub status: SessionStatus,
    /// Numbers of its implementation tasks in `tasks.md`.
    pub tasks: Vec<String>,
    /// Numbers of the requirements that those cite.
    pub requirements: Vec<String>,
    /// When it was created, RFC 3339 in UTC.
    pub created_at: String,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<String>,
    /// The number of its newest turn; 0: none yet.
    pub turns: u32,
    /// The commit on `specs/{task}` that holds its work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merged: Option<String>,
    /// How its verify command ended last; none: none ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified: Option<bool>,
    /// How far its sources were read.
    pub cursor: Cursor,
    /// Where a recorder that starts anew reads again: the beginning of the turn that is open.
    pub resume: Cursor,
    /// Segments of the documents.
    pub segments: Segments,
}

/// A commit of code that came of a turn. Tree and patch id find it again after a rebase or squash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodeCommit {
    /// The commit, 40 hex digits.
    pub id: String,
    /// Its tree.
    pub tree: String,
    /// The patch id of its difference to its first parent (`git patch-id --stable`); none when that is empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patch_id: Option<String>,
}

/// A file that a turn changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileChange {
    /// Its path; in the repository, with `/`, where the agent named it so.
    pub path: String,
    /// Lines added.
    pub added: u32,
    /// Lines removed.
    pub removed: u32,
}

/// `turns/NN/NNNN.json`: a turn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TurnRecord {
    /// [`FORMAT`].
    pub format: u32,
    /// Its number in the session, from 1.
    pub number: u32,
    /// Why it was sent, such as `implement`, `fix`, `prompt`.
    pub purpose: String,
    /// How it ended, or that it runs.
    pub status: TurnStatus,
    /// The ACP stop reason, or the error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When it began, RFC 3339 in UTC.
    pub started_at: String,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<String>,
    /// The prompt, redacted; the first 64 KiB.
    pub prompt: String,
    /// Numbers of the implementation tasks in `tasks.md` that it worked on.
    pub tasks: Vec<String>,
    /// Numbers of the requirements that those cite.
    pub requirements: Vec<String>,
    /// Files that it changed, by path.
    pub files: Vec<FileChange>,
    /// Commits of code that came of it.
    pub commits: Vec<CodeCommit>,
    /// Tool calls.
    pub tools: u32,
    /// The first and last domain event.
    pub events: (u64, u64),
    /// The first transcript entry, and the index after the last.
    pub entries: (u64, u64),
    /// Segments of its frames.
    pub frames: u32,
}

/// A session of a SpecTask, in its record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskSession {
    /// Its id.
    pub id: WorkSessionId,
    /// Its name, as `{task}/{session}`.
    pub name: String,
    /// One line.
    pub title: String,
    /// The state.
    pub status: SessionStatus,
    /// Turns that ended.
    pub turns: u32,
    /// The commit on `specs/{task}` that holds its work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merged: Option<String>,
}

/// `task.json`: a SpecTask as it is at that commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskRecord {
    /// [`FORMAT`].
    pub format: u32,
    /// Its id: the same in every repository and on every machine.
    pub id: SpecTaskId,
    /// Its name, such as `7-user-auth`.
    pub name: String,
    /// One line.
    pub title: String,
    /// The prompt that it began with, redacted.
    pub prompt: String,
    /// The branch that it started from.
    pub base: String,
    /// The state.
    pub status: SpecTaskStatus,
    /// When it was created, RFC 3339 in UTC.
    pub created_at: String,
    /// Numbers of the implementation tasks that are completed.
    pub completed: Vec<String>,
    /// Its sessions, in the order of creation.
    pub sessions: Vec<TaskSession>,
    /// Progress updates so far.
    pub updates: u32,
    /// Segments of `coordination-log.md`; 0: it does not exist yet.
    pub segments: u32,
    /// How far its events were read.
    pub cursor: Cursor,
}

/// Reads a record; none when it is none, or of a later format.
fn read<T: DeserializeOwned>(bytes: &[u8], format: impl Fn(&T) -> u32) -> Option<T> {
    let record = serde_json::from_slice(bytes).ok()?;
    (format(&record) <= FORMAT).then_some(record)
}

/// The text of a record: indented, so that a difference shows what changed, with a final line break.
fn write(record: &impl Serialize) -> Vec<u8> {
    let mut bytes = serde_json::to_vec_pretty(record).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}

macro_rules! file {
    ($($record:ident),+) => {
        $(impl $record {
            /// Reads the file; none when it is damaged or of a later format.
            #[must_use]
            pub fn parse(bytes: &[u8]) -> Option<Self> {
                read(bytes, |record: &Self| record.format)
            }

            /// The bytes of the file.
            #[must_use]
            pub fn to_bytes(&self) -> Vec<u8> {
                write(self)
            }
        })+
    };
}
file!(SessionRecord, TurnRecord, TaskRecord);
