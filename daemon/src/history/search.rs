//! Searches what was said: the index names stretches, newest first, and each is looked at in the
//! transcript. Decisions are looked at one by one.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use spectask_protocol::{Event, EventKind, SearchHit, SearchResult, WorkSessionId};

use super::{
    HistoryError, index,
    letters::{self, wanted},
    said::{Pieces, Said},
};
use crate::{
    store::{LOOSE, Read, SearchBlock, SearchFilter, Store},
    workflow::lookup::{session_name, task_of},
};

/// The shortest and the longest text that is searched for, in characters.
pub const LIMITS: (usize, usize) = (2, 200);

/// Stretches that are asked of the index at a time.
const PAGE: u32 = 100;

/// Decisions that are read at a time.
const DECISIONS: u32 = 500;

/// Text of a transcript that is unpacked at a time, in bytes.
const TEXT: usize = 1024 * 1024;

/// A search takes no longer; what was found until then is the answer, and the answer says so.
const TIME_LIMIT: Duration = Duration::from_secs(5);

/// The longest excerpt, and how much of it may stand before the hit, in characters.
const EXCERPT: (usize, usize) = (300, 100);

/// What was said that holds a text, newest first, at most `most`.
///
/// # Errors
/// [`HistoryError::Invalid`] for a text that is too short or too long; when the database fails.
pub fn find(
    store: &Store,
    text: &str,
    filter: &SearchFilter,
    most: usize,
) -> Result<SearchResult, HistoryError> {
    let wanted = check(text, filter)?;
    let grams = letters::lookup(&wanted);
    let until = Instant::now() + TIME_LIMIT;
    let mut search = Search::new(&wanted, most);
    let behind = store.read(index::behind)?;
    // Stretches are asked for in the order in which they were indexed. What was taken over from elsewhere
    // may be older than it is long here.
    let parts = if store.read(|read| read.has_imported())? {
        vec![Some(false), Some(true)]
    } else {
        vec![None]
    };
    let (mut hits, mut complete) = (Vec::new(), true);
    for imported in parts {
        let filter = SearchFilter {
            imported,
            ..filter.clone()
        };
        complete &= stretches(store, &mut search, &grams, &filter, until)?;
        hits.append(&mut search.hits);
    }
    let (decided, all) = decisions(store, &mut search, filter, until)?;
    hits.extend(decided);
    hits.sort_by_cached_key(|hit| std::cmp::Reverse(hit.at.parse::<Timestamp>().ok()));
    hits.truncate(most);
    Ok(SearchResult {
        hits,
        complete: complete && all,
        behind,
    })
}

/// Looks through the stretches that may hold the text, the one that was indexed last first, until there are
/// enough hits; returns whether there was time.
fn stretches(
    store: &Store,
    search: &mut Search<'_>,
    grams: &[String],
    filter: &SearchFilter,
    until: Instant,
) -> Result<bool, HistoryError> {
    let mut before = None;
    while !search.is_full() {
        let page = store.read(|read| read.search_blocks(grams, filter, before, PAGE))?;
        let Some(last) = page.last() else { break };
        before = Some(last.id);
        for block in page {
            if Instant::now() >= until {
                return Ok(false);
            }
            // A snapshot per stretch: a long search keeps no old pages of the database alive.
            store.read(|read| search.look(read, &block))?;
            if search.is_full() {
                break;
            }
        }
    }
    Ok(true)
}

/// Decisions that hold the text, newest first, and whether all were looked at. They are few, and events,
/// not frames: no index has them.
fn decisions(
    store: &Store,
    search: &mut Search<'_>,
    filter: &SearchFilter,
    until: Instant,
) -> Result<(Vec<SearchHit>, bool), HistoryError> {
    let mut hits = Vec::new();
    let mut before = None;
    loop {
        let page = store.read(|read| read.decisions(filter, before, DECISIONS))?;
        let Some((last, _)) = page.last() else {
            return Ok((hits, true));
        };
        before = Some(last.seq);
        for (event, index) in page {
            if Instant::now() >= until {
                return Ok((hits, false));
            }
            let EventKind::DecisionRecorded { text, .. } = &event.kind else {
                continue;
            };
            if let Some(at) = letters::find(text, search.wanted)
                && let Some(hit) = store.read(|read| search.decision(read, &event, index, at))?
            {
                hits.push(hit);
                if hits.len() >= search.most {
                    return Ok((hits, true));
                }
            }
        }
    }
}

/// The answer where nothing can be.
///
/// # Errors
/// Those of [`find`].
pub fn nothing(store: &Store, text: &str) -> Result<SearchResult, HistoryError> {
    check(text, &SearchFilter::default())?;
    Ok(SearchResult {
        hits: Vec::new(),
        complete: true,
        behind: store.read(index::behind)?,
    })
}

/// The same without the index: reads every transcript. What the bench compares with.
///
/// # Errors
/// Those of [`find`].
pub fn scan(store: &Store, text: &str, most: usize) -> Result<Vec<SearchHit>, HistoryError> {
    let wanted = check(text, &SearchFilter::default())?;
    let mut search = Search::new(&wanted, most);
    let sessions = store.read(|read| read.newest_sessions(None))?;
    for session in sessions {
        let block = SearchBlock {
            id: 0,
            session: session.id,
            turn: 0,
            first: 0,
            end: u64::MAX,
        };
        store.read(|read| search.look(read, &block))?;
        if search.is_full() {
            break;
        }
    }
    Ok(search.hits)
}

fn check(text: &str, filter: &SearchFilter) -> Result<Vec<char>, HistoryError> {
    let wanted = wanted(text);
    if !(LIMITS.0..=LIMITS.1).contains(&wanted.len()) {
        let text = format!("search for {} to {} characters", LIMITS.0, LIMITS.1);
        return Err(HistoryError::Invalid(text));
    }
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if let Some(requirement) = &filter.requirement
        && !requirement.split('.').all(is_number)
    {
        return Err(HistoryError::Invalid(format!(
            "{requirement:?} names no criterion; one looks like 2.3, a requirement like 2"
        )));
    }
    Ok(wanted)
}

struct Search<'a> {
    wanted: &'a [char],
    most: usize,
    /// Names of sessions, and whether a person leads them.
    names: HashMap<WorkSessionId, (String, bool)>,
    hits: Vec<SearchHit>,
}

impl<'a> Search<'a> {
    fn new(wanted: &'a [char], most: usize) -> Self {
        Self {
            wanted,
            most,
            names: HashMap::new(),
            hits: Vec::new(),
        }
    }

    fn is_full(&self) -> bool {
        self.hits.len() >= self.most
    }

    /// Looks through a stretch of a transcript; its newest hits come first.
    fn look(&mut self, read: &Read<'_>, block: &SearchBlock) -> Result<(), HistoryError> {
        let (name, ad_hoc) = self.name(read, &block.session)?;
        let mut pieces = Pieces::new(ad_hoc);
        let mut hits = Vec::new();
        let mut keep = |said: Option<Said>| {
            let said = said?;
            let at = letters::find(&said.text, self.wanted)?;
            hits.push(SearchHit {
                session: block.session.clone(),
                name: name.clone(),
                turn: block.turn,
                index: said.index,
                who: said.who.to_owned(),
                excerpt: excerpt(&said.text, at),
                at: said.at,
            });
            Some(())
        };
        let mut from = block.first;
        loop {
            let page = read.transcript_page(&block.session, from..block.end, TEXT)?;
            let Some(last) = page.last().map(|entry| entry.index) else {
                break;
            };
            for entry in page {
                keep(pieces.push(entry));
            }
            from = last + 1;
        }
        keep(pieces.finish());
        let left = self.most - self.hits.len().min(self.most);
        self.hits.extend(hits.into_iter().rev().take(left));
        Ok(())
    }

    /// A decision; one of a SpecTask is shown with its planning.
    fn decision(
        &mut self,
        read: &Read<'_>,
        event: &Event,
        index: u64,
        at: usize,
    ) -> Result<Option<SearchHit>, HistoryError> {
        let EventKind::DecisionRecorded { text, .. } = &event.kind else {
            return Ok(None);
        };
        let session = match (&event.session, &event.task) {
            (Some(session), _) => Some(session.clone()),
            (None, Some(task)) => read.sessions(task)?.into_iter().next().map(|row| row.id),
            (None, None) => None,
        };
        let Some(session) = session else {
            return Ok(None);
        };
        let when: Timestamp = event.at.parse().unwrap_or_default();
        let turns = read.turns(&session)?;
        let turn = turns
            .iter()
            .rfind(|turn| turn.started_at <= when.as_millisecond());
        let (name, _) = self.name(read, &session)?;
        Ok(Some(SearchHit {
            name,
            turn: turn.map_or(0, |turn| turn.number),
            index,
            who: "decision".to_owned(),
            excerpt: excerpt(text, at),
            at: event.at.clone(),
            session,
        }))
    }

    fn name(
        &mut self,
        read: &Read<'_>,
        session: &WorkSessionId,
    ) -> Result<(String, bool), HistoryError> {
        if let Some(known) = self.names.get(session) {
            return Ok(known.clone());
        }
        let name = match read.session(session)? {
            Some(row) => {
                let task = task_of(read, &row)?;
                (session_name(task.as_ref(), &row), row.is_ad_hoc())
            }
            None => (format!("{LOOSE}/{session}"), false),
        };
        self.names.insert(session.clone(), name.clone());
        Ok(name)
    }
}

/// One line around a place in a text.
pub(super) fn excerpt(text: &str, at: usize) -> String {
    let (before, after) = text.split_at_checked(at).unwrap_or(("", text));
    let skip = before.chars().count().saturating_sub(EXCERPT.1);
    let before: String = before.chars().skip(skip).collect();
    let line: String = before
        .chars()
        .chain(after.chars().take(EXCERPT.0))
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .collect();
    let words: Vec<&str> = line.split_whitespace().collect();
    words.join(" ").chars().take(EXCERPT.0).collect()
}
