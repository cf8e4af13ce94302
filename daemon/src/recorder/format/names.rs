//! Names of refs and paths of files.

use crate::repo::{self, check_ref_segment};

/// Where the refs of work sessions begin.
pub const SESSIONS: &str = "refs/spectask/sessions/";

/// Where the refs of SpecTasks begin.
pub const TASKS: &str = "refs/spectask/tasks/";

/// The record of a session on its ref.
pub const SESSION: &str = "session.json";

/// The record of a SpecTask on its ref.
pub const TASK: &str = "task.json";

/// The summary on the ref of a SpecTask that is done.
pub const COMPLETE: &str = "IMPLEMENTATION_COMPLETE.md";

/// A segment of a document is not longer, in bytes. What is appended to one is stored as a new blob
/// of the whole segment, so it is well below the 256 KiB that a reader may rely on.
pub const DOCUMENT_LIMIT: usize = 64 << 10;

/// A segment of frames ends before it gets longer, in bytes, unless one frame alone is.
pub const FRAMES_LIMIT: usize = 256 << 10;

/// Turns in one folder of `turns/`.
const TURNS_TO_A_FOLDER: u32 = 100;

/// The ref of a session, from its name as `{task}/{session}` or `threads/{session}`.
///
/// # Errors
/// [`repo::RepoError::InvalidName`] when the name is not two segments that a ref can hold.
pub fn session_ref(name: &str) -> repo::Result<String> {
    let (task, session) = name.split_once('/').unwrap_or((name, ""));
    check_ref_segment(task)?;
    check_ref_segment(session)?;
    Ok(format!("{SESSIONS}{task}/{session}"))
}

/// The ref of a SpecTask, from its name.
///
/// # Errors
/// [`repo::RepoError::InvalidName`] when the name cannot be a segment of a ref.
pub fn task_ref(name: &str) -> repo::Result<String> {
    check_ref_segment(name)?;
    Ok(format!("{TASKS}{name}"))
}

/// The name that a session or SpecTask gets whose own one is taken in the repository by that of another
/// installation.
#[must_use]
pub fn suffixed(name: &str, id: &str) -> String {
    let end = id.char_indices().rev().nth(7).map_or(0, |(at, _)| at);
    format!("{name}-{}", &id[end..])
}

/// What a ref of recorded history is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Recorded {
    /// A work session.
    Session {
        /// The name of its SpecTask, or `threads`.
        task: String,
        /// Its name there, such as `02-backend`.
        session: String,
    },
    /// A SpecTask.
    Task {
        /// Its name.
        task: String,
    },
}

impl Recorded {
    /// What a full ref name is about; none for refs of anything else, and for names that are not
    /// safe as segments.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let safe = |segment: &str| check_ref_segment(segment).ok().map(|()| segment.to_owned());
        if let Some(rest) = name.strip_prefix(SESSIONS) {
            let (task, session) = rest.split_once('/')?;
            let (task, session) = (safe(task)?, safe(session)?);
            return Some(Self::Session { task, session });
        }
        let task = safe(name.strip_prefix(TASKS)?)?;
        Some(Self::Task { task })
    }

    /// The full ref name.
    #[must_use]
    pub fn ref_name(&self) -> String {
        match self {
            Self::Session { task, session } => format!("{SESSIONS}{task}/{session}"),
            Self::Task { task } => format!("{TASKS}{task}"),
        }
    }
}

/// A document that grows at its end, in segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Document {
    /// Who said what, of a session.
    Conversation,
    /// Files, lines and reasons, of a session.
    CodeChanges,
    /// Decisions, of a session.
    Decisions,
    /// One line per step, of a session.
    ActivityLog,
    /// Messages and merges, of a SpecTask.
    CoordinationLog,
}

impl Document {
    /// Those of a session, in the order of a listing.
    pub const OF_SESSION: [Self; 4] = [
        Self::Conversation,
        Self::CodeChanges,
        Self::Decisions,
        Self::ActivityLog,
    ];

    /// Its name without number and extension.
    #[must_use]
    pub fn stem(self) -> &'static str {
        match self {
            Self::Conversation => "conversation",
            Self::CodeChanges => "code-changes",
            Self::Decisions => "decisions",
            Self::ActivityLog => "activity-log",
            Self::CoordinationLog => "coordination-log",
        }
    }

    /// Its first line.
    #[must_use]
    pub fn heading(self) -> &'static str {
        match self {
            Self::Conversation => "# Conversation\n",
            Self::CodeChanges => "# Code changes\n",
            Self::Decisions => "# Decisions\n",
            Self::ActivityLog => "# Activity log\n",
            Self::CoordinationLog => "# Coordination log\n",
        }
    }

    /// The file of a segment, from 1: `conversation.md`, `conversation-0002.md`.
    #[must_use]
    pub fn file(self, segment: u32) -> String {
        match segment {
            0 | 1 => format!("{}.md", self.stem()),
            _ => format!("{}-{segment:04}.md", self.stem()),
        }
    }

    /// The document and segment of a file name.
    #[must_use]
    pub fn parse(file: &str) -> Option<(Self, u32)> {
        let all = Self::OF_SESSION.into_iter().chain([Self::CoordinationLog]);
        for document in all {
            let Some(rest) = file.strip_prefix(document.stem()) else {
                continue;
            };
            if rest == ".md" {
                return Some((document, 1));
            }
            let number = rest.strip_prefix('-')?.strip_suffix(".md")?;
            let segment = number.parse().ok().filter(|segment| *segment > 1)?;
            return (document.file(segment) == file).then_some((document, segment));
        }
        None
    }
}

fn folder(turn: u32) -> u32 {
    turn / TURNS_TO_A_FOLDER
}

/// The path of a turn's record: `turns/00/0003.json`.
#[must_use]
pub fn turn_record_path(turn: u32) -> String {
    format!("turns/{:02}/{turn:04}.json", folder(turn))
}

/// The path of a segment of a turn's frames, from 1: `turns/00/0003.jsonl`, `turns/00/0003-0002.jsonl`.
#[must_use]
pub fn turn_frames_path(turn: u32, segment: u32) -> String {
    match segment {
        0 | 1 => format!("turns/{:02}/{turn:04}.jsonl", folder(turn)),
        _ => format!("turns/{:02}/{turn:04}-{segment:04}.jsonl", folder(turn)),
    }
}

/// The path of a progress update, from 1; `what` is a safe word.
#[must_use]
pub fn progress_path(number: u32, what: &str) -> String {
    format!("progress-updates/{number:04}-{what}.md")
}

/// A file of a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TurnFile {
    /// The record of a turn.
    Record {
        /// The turn.
        turn: u32,
    },
    /// A segment of its frames.
    Frames {
        /// The turn.
        turn: u32,
        /// The segment, from 1.
        segment: u32,
    },
}

impl TurnFile {
    /// What a path in the tree of a session's ref holds; none for everything else.
    #[must_use]
    pub fn parse(path: &str) -> Option<Self> {
        let name = path.strip_prefix("turns/")?.split_once('/')?.1;
        let found = if let Some(stem) = name.strip_suffix(".jsonl") {
            let (turn, segment) = stem.split_once('-').unwrap_or((stem, "1"));
            let (turn, segment) = (turn.parse().ok()?, segment.parse().ok()?);
            Self::Frames { turn, segment }
        } else {
            let turn = name.strip_suffix(".json")?.parse().ok()?;
            Self::Record { turn }
        };
        let written = match found {
            Self::Record { turn } => turn_record_path(turn),
            Self::Frames { turn, segment } => turn_frames_path(turn, segment),
        };
        (written == path).then_some(found)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        assert_eq!(
            session_ref("7-user-auth/02-backend").unwrap(),
            "refs/spectask/sessions/7-user-auth/02-backend"
        );
        for bad in [
            "7-x", "7-x/", "/02-x", "../x", "7-x/..", "7-x/a b", "7-x/02/y",
        ] {
            assert!(session_ref(bad).is_err(), "{bad}");
        }
        for name in [
            "refs/spectask/sessions/threads/01-x",
            "refs/spectask/tasks/7-user-auth",
        ] {
            assert_eq!(Recorded::parse(name).unwrap().ref_name(), name);
        }
        for bad in [
            "refs/heads/x",
            "refs/spectask/tasks/a/b",
            "refs/spectask/sessions/x",
        ] {
            assert_eq!(Recorded::parse(bad), None, "{bad}");
        }
        assert_eq!(Document::parse("conversation-0001.md"), None);
        assert_eq!(Document::parse("conversation.mdx"), None);
        assert_eq!(TurnFile::parse("turns/01/0003.json"), None);
        assert_eq!(turn_record_path(12_345), "turns/123/12345.json");
    }

    proptest! {
        #[test]
        fn files_are_read_as_they_are_written(turn in 1_u32..200_000, segment in 1_u32..20_000) {
            for document in Document::OF_SESSION {
                prop_assert_eq!(Document::parse(&document.file(segment)), Some((document, segment)));
            }
            prop_assert_eq!(TurnFile::parse(&turn_record_path(turn)), Some(TurnFile::Record { turn }));
            prop_assert_eq!(
                TurnFile::parse(&turn_frames_path(turn, segment)),
                Some(TurnFile::Frames { turn, segment })
            );
        }

        #[test]
        fn hostile_names_never_get_far(name in "\\PC{0,40}") {
            if let Ok(full) = session_ref(&name) {
                prop_assert_eq!(Recorded::parse(&full).unwrap().ref_name(), full);
                prop_assert!(!name.contains(".."));
            }
            let _document = Document::parse(&name);
            let _file = TurnFile::parse(&name);
        }
    }
}
