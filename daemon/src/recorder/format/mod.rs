//! What lies on the refs of recorded history: names, files, records and trailers, for those who
//! write it and those who read it.
//!
//! `refs/spectask/sessions/{task}/{session}` (without a SpecTask: `…/threads/{session}`), a commit
//! per turn, decision and ten minutes of a long turn:
//!
//! ```text
//! session.json                   SessionRecord
//! conversation.md                who said what; goes on in conversation-0002.md, …
//! code-changes.md                files, +/-, why; goes on likewise
//! decisions.md                   decision, context, rationale, where from; likewise
//! activity-log.md                one line per step; likewise
//! turns/00/0003.json             TurnRecord of turn 3; 100 turns to a folder
//! turns/00/0003.jsonl            its frames, one TranscriptEntry a line; goes on in 0003-0002.jsonl, …
//! ```
//!
//! `refs/spectask/tasks/{task}`, a commit per message, merge and change of status:
//!
//! ```text
//! task.json                      TaskRecord
//! coordination-log.md            messages, spawns, merges, conflicts; goes on in …-0002.md
//! progress-updates/0001-slug.md  one per merged task and change of status
//! IMPLEMENTATION_COMPLETE.md     when it is done
//! ```
//!
//! Documents grow at their end only; a segment that has a successor is never written again. Frames
//! are cut into segments of [`FRAMES_LIMIT`] bytes and wherever a commit was made; they are never
//! written again at all. Every commit ends with [`Trailers`].

mod names;
mod records;
mod trailers;

pub use names::{
    COMPLETE, DOCUMENT_LIMIT, Document, FRAMES_LIMIT, Recorded, SESSION, SESSIONS, TASK, TASKS,
    TurnFile, progress_path, session_ref, suffixed, task_ref, turn_frames_path, turn_record_path,
};
pub use records::{
    CodeCommit, Cursor, FORMAT, FileChange, Segments, SessionRecord, TaskLink, TaskRecord,
    TaskSession, TurnRecord,
};
pub use trailers::Trailers;
