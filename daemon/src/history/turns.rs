//! Turns that are over: listed, and read again.

use std::collections::HashMap;

use jiff::Timestamp;
use spectask_protocol::{
    HistoryLog, ProjectId, RecordedPart, RecordedTurn, SessionRef, WorkSessionId,
};

use super::{HistoryError, recorded};
use crate::{
    repo::Repository,
    store::{Read, SessionRow, Store, TaskRow, TurnRow, WorkRow},
    workflow::{
        WorkflowError,
        lookup::{Target, find_session, find_target, session_name, task_of},
    },
};

/// Segments of frames that are read from a ref at a time.
const SEGMENTS: usize = 8;

/// Text of a transcript that is sent at a time, in bytes.
const PAGE: usize = 512 << 10;

/// A time of the store as RFC 3339 in UTC.
pub(super) fn rfc3339(millis: i64) -> String {
    Timestamp::from_millisecond(millis)
        .unwrap_or_default()
        .to_string()
}

/// What many turns of a session share.
#[derive(Debug, Clone)]
pub(super) struct About {
    pub(super) row: SessionRow,
    pub(super) task: Option<TaskRow>,
    pub(super) work: Vec<WorkRow>,
    pub(super) name: String,
}

/// Sessions that were looked up.
#[derive(Debug, Default)]
pub(super) struct Abouts(HashMap<WorkSessionId, Option<About>>);

impl Abouts {
    /// What is known of a session; none when there is none of that id.
    pub(super) fn get(
        &mut self,
        read: &Read<'_>,
        id: &WorkSessionId,
    ) -> Result<Option<&About>, HistoryError> {
        if !self.0.contains_key(id) {
            let about = match read.session(id)? {
                Some(row) => Some(about(read, row)?),
                None => None,
            };
            self.0.insert(id.clone(), about);
        }
        Ok(self.0.get(id).and_then(Option::as_ref))
    }
}

fn about(read: &Read<'_>, row: SessionRow) -> Result<About, HistoryError> {
    let task = task_of(read, &row)?;
    let work = match (&task, row.implementation_task) {
        (_, Some(id)) => read.implementation_task(id)?.into_iter().collect(),
        (Some(task), None) => {
            let mut all = read.implementation_tasks(&task.id)?;
            all.retain(|work| work.session.as_ref() == Some(&row.id));
            all
        }
        (None, None) => Vec::new(),
    };
    let name = session_name(task.as_ref(), &row);
    Ok(About {
        row,
        task,
        work,
        name,
    })
}

/// A turn of the store as lists show it.
pub(super) fn view(
    read: &Read<'_>,
    abouts: &mut Abouts,
    turn: TurnRow,
) -> Result<Option<RecordedTurn>, HistoryError> {
    let commits = read.turn_commits(&turn.session, Some(turn.number))?;
    let Some(about) = abouts.get(read, &turn.session)? else {
        return Ok(None);
    };
    Ok(Some(RecordedTurn {
        session: turn.session,
        name: about.name.clone(),
        title: about.row.title.clone(),
        turn: turn.number,
        purpose: turn.purpose,
        status: turn.status,
        reason: turn.reason,
        tasks: about.work.iter().map(|work| work.number.clone()).collect(),
        requirements: requirements(&about.work),
        commits: commits.into_iter().map(|commit| commit.id).collect(),
        started_at: rfc3339(turn.started_at),
        ended_at: turn.ended_at.map(rfc3339),
    }))
}

/// The criteria that implementation tasks serve, each once.
pub(super) fn requirements(work: &[WorkRow]) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for number in work.iter().flat_map(|work| &work.requirements) {
        if !all.contains(number) {
            all.push(number.clone());
        }
    }
    all
}

/// Whether a name stands for nothing that the store knows.
pub(super) fn is_unknown(error: &WorkflowError) -> bool {
    matches!(error, WorkflowError::NotFound { .. })
}

/// Turns, newest first: of a SpecTask or session, of a repository, or all. What the store does not
/// know is looked for in the refs of the repository.
///
/// # Errors
/// When nothing has that name, or the database fails.
pub fn log(
    store: &Store,
    repository: Option<&Repository>,
    target: Option<&SessionRef>,
    limit: u32,
) -> Result<HistoryLog, HistoryError> {
    let mut abouts = Abouts::default();
    let found = store.read(|read| -> Result<_, HistoryError> {
        let (mut task, mut session, mut project) = (None, None, None);
        match (target, repository) {
            (Some(name), _) => match find_target(read, name) {
                Ok(Target::Task(row)) => task = Some(row.id),
                Ok(Target::Session(_, row)) => session = Some(row.id),
                Err(error) if is_unknown(&error) && repository.is_some() => return Ok(None),
                Err(error) => return Err(error.into()),
            },
            (None, Some(repository)) => {
                let common = repository.common_dir().display().to_string();
                let Some(row) = read.project_of(&common)? else {
                    return Ok(Some(Vec::new()));
                };
                project = Some(row.id);
            }
            (None, None) => {}
        }
        let project: Option<&ProjectId> = project.as_ref();
        let rows = read.newest_turns(project, task.as_ref(), session.as_ref(), limit)?;
        let mut turns = Vec::new();
        for row in rows {
            turns.extend(view(read, &mut abouts, row)?);
        }
        Ok(Some(turns))
    })?;
    if let Some(turns) = found {
        return Ok(HistoryLog { turns });
    }
    let (Some(name), Some(repository)) = (target, repository) else {
        return Ok(HistoryLog { turns: Vec::new() });
    };
    let past = repository.past()?;
    let sessions = match recorded::session(&past, name.as_str()) {
        Some(session) => vec![session],
        None => recorded::sessions(&past, name.as_str()),
    };
    if sessions.is_empty() {
        return Err(HistoryError::NotFound {
            what: "SpecTask or session",
            name: name.to_string(),
        });
    }
    let mut turns: Vec<RecordedTurn> = sessions
        .iter()
        .flat_map(|session| session.turns(&past).map(|turn| session.view(turn)))
        .collect();
    turns.sort_by(|a, b| b.started_at.cmp(&a.started_at));
    turns.truncate(limit as usize);
    Ok(HistoryLog { turns })
}

/// The entries of a turn, as a range; up to the end when the next one is not known.
pub(super) fn range_of(
    read: &Read<'_>,
    session: &WorkSessionId,
    turn: u32,
) -> Result<std::ops::Range<u64>, HistoryError> {
    let begins = |number: u32| -> Result<Option<u64>, HistoryError> {
        if let Some(index) = read.turn_begins(session, number)? {
            return Ok(Some(index));
        }
        let turns = read.turns(session)?;
        let Some(row) = turns.iter().find(|turn| turn.number == number) else {
            return Ok(None);
        };
        // Recorded before places were noted, and not indexed: by the time.
        let mut from = 0;
        loop {
            let page = read.transcript_page(session, from..u64::MAX, PAGE)?;
            let Some(last) = page.last().map(|entry| entry.index) else {
                return Ok(None);
            };
            let started = Timestamp::from_millisecond(row.started_at).unwrap_or_default();
            let first = page.iter().find(|entry| {
                let at = entry.at.parse::<Timestamp>();
                at.is_ok_and(|at| at >= started)
            });
            if let Some(first) = first {
                return Ok(Some(first.index));
            }
            from = last + 1;
        }
    };
    let Some(start) = begins(turn)? else {
        return Ok(0..0);
    };
    Ok(start..begins(turn.saturating_add(1))?.unwrap_or(u64::MAX))
}

/// What was recorded of a session, from an entry on; from its ref where the store does not know it.
///
/// # Errors
/// When nothing has that name, or the database fails.
pub fn show(
    store: &Store,
    repository: Option<&Repository>,
    name: &SessionRef,
    turn: Option<u32>,
    from: u64,
) -> Result<RecordedPart, HistoryError> {
    let found = store.read(|read| -> Result<_, HistoryError> {
        let (task, row) = match find_session(read, name) {
            Ok(found) => found,
            Err(error) if is_unknown(&error) && repository.is_some() => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let range = match turn {
            Some(turn) => {
                if !read.turns(&row.id)?.iter().any(|row| row.number == turn) {
                    return Err(no_turn(turn));
                }
                range_of(read, &row.id, turn)?
            }
            None => 0..u64::MAX,
        };
        let start = from.max(range.start);
        let entries = read.transcript_page(&row.id, start..range.end, PAGE)?;
        let next = entries.last().map(|entry| entry.index + 1);
        let end = range.end.min(read.transcript_next(&row.id)?);
        Ok(Some(RecordedPart {
            name: session_name(task.as_ref(), &row),
            session: row.id,
            title: row.title,
            source: "transcript".into(),
            entries,
            next: next.filter(|next| *next < end),
        }))
    })?;
    if let Some(part) = found {
        return Ok(part);
    }
    let missing = || HistoryError::NotFound {
        what: "session",
        name: name.to_string(),
    };
    let past = repository.ok_or_else(missing)?.past()?;
    let session = recorded::session(&past, name.as_str()).ok_or_else(missing)?;
    if let Some(turn) = turn
        && session.turn(&past, turn).is_none()
    {
        return Err(no_turn(turn));
    }
    let mut part = RecordedPart {
        session: session.record.id.clone(),
        name: session.record.name.clone(),
        title: session.record.title.clone(),
        source: session.name.clone(),
        entries: Vec::new(),
        next: None,
    };
    // Segment by segment: the first few that have something from there on are the answer.
    let mut taken = 0;
    for record in session.turns(&past) {
        if turn.is_some_and(|turn| turn != record.number) || record.entries.1 <= from {
            continue;
        }
        for segment in 1..=record.frames {
            let Some(frames) = session.frames(&past, record.number, segment) else {
                break;
            };
            let wanted = frames.into_iter().filter(|entry| entry.index >= from);
            if taken < SEGMENTS {
                let before = part.entries.len();
                part.entries.extend(wanted);
                taken += usize::from(part.entries.len() > before);
            } else if let Some(first) = wanted.map(|entry| entry.index).next() {
                part.next = Some(first);
                return Ok(part);
            }
        }
    }
    Ok(part)
}

fn no_turn(turn: u32) -> HistoryError {
    HistoryError::NotFound {
        what: "turn",
        name: turn.to_string(),
    }
}
