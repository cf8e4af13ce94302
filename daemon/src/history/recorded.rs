//! Sessions as they lie on their refs, read within bounds: a ref may come from anyone.

use spectask_protocol::{RecordedTurn, SpecTaskId, TranscriptEntry, WorkSessionId};

use super::HistoryError;
use crate::{
    recorder::format::{
        Recorded, SESSION, SESSIONS, SessionRecord, TASK, TASKS, TaskRecord, TurnRecord, suffixed,
        turn_frames_path, turn_record_path,
    },
    repo::Past,
};

/// Where the recorder of this machine writes: `{this}sessions/…`.
pub const OWN: &str = "refs/spectask/";

/// Where refs are put that were fetched from a remote: `{this}{remote}/sessions/…`.
pub(super) const REMOTES: &str = "refs/spectask/remotes/";

/// What is read of a record, in bytes.
const RECORD: usize = 4 << 20;

/// What is read of a segment of frames; one frame alone may be longer than a segment.
const SEGMENT: usize = 64 << 20;

/// SpecTasks that a person is told of who named none of them.
const NAMED: usize = 8;

/// Turns and segments that are looked at.
const TURNS: u32 = 100_000;
const SEGMENTS: u32 = 10_000;

/// A session on its ref.
#[derive(Debug, Clone)]
pub(super) struct OnRef {
    /// The full name of the ref.
    pub(super) name: String,
    /// Where it stands.
    pub(super) commit: String,
    /// Its record.
    pub(super) record: SessionRecord,
}

impl OnRef {
    fn read(past: &Past, name: String, commit: String) -> Option<Self> {
        let record = SessionRecord::parse(&past.read(&commit, SESSION, RECORD)?)?;
        // What it calls itself goes into names and paths: it is what the ref is called, or nothing.
        let own = match about(&name)? {
            Recorded::Session { task, session } => format!("{task}/{session}"),
            Recorded::Task { .. } => return None,
        };
        if !is_called(&own, &record.name, record.id.as_str()) {
            return None;
        }
        Some(Self {
            name,
            commit,
            record: SessionRecord {
                name: own,
                ..record
            },
        })
    }

    /// Its turns, oldest first; what is damaged is left out.
    pub(super) fn turns<'a>(&'a self, past: &'a Past) -> impl Iterator<Item = TurnRecord> + 'a {
        (1..=self.last_turn()).filter_map(|number| self.turn(past, number))
    }

    /// The number of its newest turn, within bounds.
    pub(super) fn last_turn(&self) -> u32 {
        self.record.turns.min(TURNS)
    }

    pub(super) fn turn(&self, past: &Past, number: u32) -> Option<TurnRecord> {
        let bytes = past.read(&self.commit, &turn_record_path(number), RECORD)?;
        TurnRecord::parse(&bytes).filter(|turn| turn.number == number)
    }

    /// The frames of a segment of a turn, from 1; lines that are none are left out. None: there is no
    /// such segment.
    pub(super) fn frames(
        &self,
        past: &Past,
        turn: u32,
        segment: u32,
    ) -> Option<Vec<TranscriptEntry>> {
        if segment > SEGMENTS {
            return None;
        }
        let bytes = past.read(&self.commit, &turn_frames_path(turn, segment), SEGMENT)?;
        let lines = bytes.split(|byte| *byte == b'\n');
        Some(
            lines
                .filter_map(|line| serde_json::from_slice(line).ok())
                .collect(),
        )
    }

    /// A turn as lists show it.
    pub(super) fn view(&self, turn: TurnRecord) -> RecordedTurn {
        RecordedTurn {
            session: self.record.id.clone(),
            name: self.record.name.clone(),
            title: self.record.title.clone(),
            turn: turn.number,
            purpose: turn.purpose,
            status: turn.status,
            reason: turn.reason,
            tasks: turn.tasks,
            requirements: turn.requirements,
            commits: turn.commits.into_iter().map(|commit| commit.id).collect(),
            started_at: turn.started_at,
            ended_at: turn.ended_at,
        }
    }
}

/// What a ref is about, also one that was fetched from a remote.
fn about(name: &str) -> Option<Recorded> {
    match name.strip_prefix(REMOTES) {
        Some(rest) => {
            let (_, rest) = rest.split_once('/')?;
            Recorded::parse(&format!("refs/spectask/{rest}"))
        }
        None => Recorded::parse(name),
    }
}

/// Sessions of a repository's refs, and of one remote or all.
fn all(past: &Past, under: &[&str]) -> Vec<OnRef> {
    under
        .iter()
        .flat_map(|start| past.refs(start).unwrap_or_default())
        .filter(|(name, _)| matches!(about(name), Some(Recorded::Session { .. })))
        .filter_map(|(name, commit)| OnRef::read(past, name, commit))
        .collect()
}

/// Whether a person means this segment: `7`, or `7-user-auth`.
fn means(wanted: &str, segment: &str) -> bool {
    let number = |text: &str| -> Option<u32> {
        let digits = text.split_once('-').map_or(text, |(number, _)| number);
        digits.parse().ok()
    };
    wanted == segment
        || (!wanted.contains('-') && number(wanted) == number(segment) && number(wanted).is_some())
}

/// The session that a person named, where only a ref knows it: `7/2`, `7-user-auth/02-api`, an id.
pub(super) fn session(past: &Past, name: &str) -> Option<OnRef> {
    if let Ok(id) = name.parse::<WorkSessionId>() {
        let found = all(past, &[SESSIONS, REMOTES]);
        return found.into_iter().find(|session| session.record.id == id);
    }
    // Whole names need no list.
    let whole = format!("{SESSIONS}{name}");
    if about(&whole).is_some()
        && let Some(commit) = past.tip(&whole)
        && let Some(found) = OnRef::read(past, whole, commit)
    {
        return Some(found);
    }
    let (task, session) = name.split_once('/')?;
    let named = |(full, _): &(String, String)| match about(full) {
        Some(Recorded::Session {
            task: of,
            session: own,
        }) => means(task, &of) && (own == session || means(session, &own)),
        _ => false,
    };
    [SESSIONS, REMOTES]
        .iter()
        .flat_map(|start| past.refs(start).unwrap_or_default())
        .filter(named)
        .find_map(|(name, commit)| OnRef::read(past, name, commit))
}

/// The sessions of a SpecTask that a person named, where only refs know it.
pub(super) fn sessions(past: &Past, task: &str) -> Vec<OnRef> {
    let mut found = all(past, &[SESSIONS, REMOTES]);
    let by_id = task.parse::<SpecTaskId>().ok();
    found.retain(|session| match (&session.record.task, &by_id) {
        (Some(link), Some(id)) => link.id == *id,
        (Some(link), None) => means(task, &link.name),
        (None, _) => false,
    });
    // The repository's own refs come first and win.
    let mut seen = std::collections::HashSet::new();
    found.retain(|session| seen.insert(session.record.id.clone()));
    found
}

/// SpecTasks that have refs: what those begin with, and the name there. The repository's own come
/// first.
fn tasks(past: &Past, remote: Option<&str>) -> Vec<(String, String)> {
    let refs = match remote {
        Some(remote) => past.refs(&format!("{REMOTES}{remote}/tasks/")),
        None => past.refs(TASKS).map(|mut own| {
            own.extend(past.refs(REMOTES).unwrap_or_default());
            own
        }),
    };
    let places = refs.unwrap_or_default().into_iter();
    places
        .filter_map(|(full, _)| match about(&full)? {
            Recorded::Task { task } => {
                let start = full.strip_suffix(&format!("tasks/{task}"))?.to_owned();
                Some((start, task))
            }
            Recorded::Session { .. } => None,
        })
        .collect()
}

/// Where the SpecTask is that a person names, short or whole: on the refs of a remote, or on the
/// repository's own and, if there is none of that name, on those that were fetched.
pub(super) fn named(
    past: &Past,
    wanted: &str,
    remote: Option<&str>,
) -> Result<(String, String), HistoryError> {
    let all = tasks(past, remote);
    let mut found: Vec<&(String, String)> =
        all.iter().filter(|(_, name)| means(wanted, name)).collect();
    if found.iter().any(|(start, _)| start == OWN) {
        found.retain(|(start, _)| start == OWN);
    }
    let place = |(start, name): &(String, String)| match start.strip_prefix(REMOTES) {
        Some(remote) => format!("{name} (from {})", remote.trim_end_matches('/')),
        None => name.clone(),
    };
    match found[..] {
        [one] => Ok(one.clone()),
        [] => Err(HistoryError::NotRecorded {
            name: wanted.to_owned(),
            remote: remote.map(str::to_owned),
            known: {
                let mut seen = std::collections::HashSet::new();
                let known = all.iter().filter(|(_, name)| seen.insert(name));
                known.take(NAMED).map(place).collect()
            },
        }),
        _ => {
            let places: Vec<String> = found.into_iter().map(place).collect();
            Err(HistoryError::Invalid(format!(
                "{wanted:?} may be one of these: {}; `spectask history import NAME --from REMOTE` \
                 takes one over",
                places.join(", ")
            )))
        }
    }
}

/// Where the SpecTask of that id is.
pub(super) fn by_id(past: &Past, id: &SpecTaskId) -> Option<(String, String)> {
    tasks(past, None)
        .into_iter()
        .find(|(start, name)| record(past, start, name).is_some_and(|record| record.id == *id))
}

fn record(past: &Past, start: &str, name: &str) -> Option<TaskRecord> {
    let commit = past.tip(&format!("{start}tasks/{name}"))?;
    let record = TaskRecord::parse(&past.read(&commit, TASK, RECORD)?)?;
    is_called(name, &record.name, record.id.as_str()).then(|| TaskRecord {
        name: name.to_owned(),
        ..record
    })
}

/// Whether a ref of that name is one of a record: its own name, or that with a part of the id.
fn is_called(name: &str, own: &str, id: &str) -> bool {
    name == own || name == suffixed(own, id)
}

/// The record of a SpecTask and its sessions, from the refs that begin so.
pub(super) fn task(past: &Past, start: &str, name: &str) -> Option<(TaskRecord, Vec<OnRef>)> {
    let record = record(past, start, name)?;
    let sessions = format!("{start}sessions/{name}/");
    let sessions = all(past, &[sessions.as_str()])
        .into_iter()
        .filter(|session| {
            let link = session.record.task.as_ref();
            link.is_some_and(|link| link.id == record.id)
        })
        .collect();
    Some((record, sessions))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_name_refs_short_or_whole() {
        assert!(means("7", "7-user-auth"));
        assert!(means("2", "02-api"));
        assert!(means("02-api", "02-api"));
        assert!(means("threads", "threads"));
        assert!(!means("7", "17-user-auth"));
        assert!(!means("7-other", "7-user-auth"));
        assert!(!means("x", "y"));
        assert_eq!(
            about("refs/spectask/remotes/origin/sessions/7-x/01-y"),
            Recorded::parse("refs/spectask/sessions/7-x/01-y")
        );
        assert_eq!(about("refs/spectask/remotes/origin"), None);
    }
}
