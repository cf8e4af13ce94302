//! Searches what was said and done, in the transcripts, newest session first.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use spectask_protocol::{
    Failure, FailureKind, Role, SearchHit, SearchParams, SearchResult, TranscriptEntry,
    WorkSessionId,
};

use super::{error, face::Face};
use crate::{
    repo::Repository,
    store::{Read, SessionRow},
    workflow::{
        WorkflowError,
        lookup::{Target, find_target, session_name, task_of},
    },
};

/// Hits when no number is asked for, and at most.
const HITS: (u32, u32) = (20, 100);

/// The shortest and the longest text that is searched for, in characters.
const TEXT: (usize, usize) = (2, 200);

/// Entries that are looked at, over all sessions.
const ENTRY_LIMIT: usize = 50_000;

/// A search takes no longer; what was found until then is the answer.
const TIME_LIMIT: Duration = Duration::from_secs(10);

/// Text that is unpacked at a time, in bytes.
const PAGE: usize = 1024 * 1024;

/// A message is searched when it has grown to this size, in bytes, even if it goes on.
const MESSAGE_LIMIT: usize = 256 * 1024;

/// The longest excerpt, and how much of it may stand before the hit, in characters.
const EXCERPT: (usize, usize) = (300, 100);

pub(super) async fn search(
    face: Arc<Face>,
    _role: Role,
    params: SearchParams,
) -> Result<SearchResult, Failure> {
    let text = params.text.trim();
    if !(TEXT.0..=TEXT.1).contains(&text.chars().count()) {
        let text = format!("search for {} to {} characters", TEXT.0, TEXT.1);
        return Err(Failure::new(FailureKind::InvalidParams, text));
    }
    let wanted: Vec<char> = text.chars().flat_map(char::to_lowercase).collect();
    let most = params.limit.unwrap_or(HITS.0).clamp(1, HITS.1);
    let work = move || -> Result<Vec<SearchHit>, Failure> {
        let common = match &params.cwd {
            Some(cwd) => {
                let repository = Repository::discover(Path::new(cwd)).map_err(error::repository)?;
                Some(repository.common_dir().display().to_string())
            }
            None => None,
        };
        let mut search = Search {
            wanted,
            most: usize::try_from(most).unwrap_or(usize::MAX),
            left: ENTRY_LIMIT,
            until: Instant::now() + TIME_LIMIT,
            hits: Vec::new(),
        };
        let store = &face.ctx.store;
        let sessions = store.read(|read| sessions(read, &params, common.as_deref()))?;
        for (name, session) in sessions {
            if search.is_over() {
                break;
            }
            // A snapshot per session: a long search keeps no old pages of the database alive.
            store.read(|read| search.session(read, &name, &session))?;
        }
        Ok(search.hits)
    };
    let hits = tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Failure::new(FailureKind::Internal, error.to_string()))??;
    Ok(SearchResult { hits })
}

/// Names and rows of the sessions to search, newest first.
fn sessions(
    read: &Read<'_>,
    params: &SearchParams,
    common: Option<&str>,
) -> Result<Vec<(String, SessionRow)>, WorkflowError> {
    let project = match common {
        Some(common) => match read.project_of(common)? {
            Some(project) => Some(project.id),
            None => return Ok(Vec::new()),
        },
        None => None,
    };
    let rows = match &params.target {
        Some(name) => match find_target(read, name)? {
            Target::Task(task) => {
                let mut rows = read.sessions(&task.id)?;
                rows.reverse();
                rows
            }
            Target::Session(_, session) => vec![*session],
        },
        None => read.newest_sessions(project.as_ref())?,
    };
    rows.into_iter()
        .map(|row| {
            let task = task_of(read, &row)?;
            Ok((session_name(task.as_ref(), &row), row))
        })
        .collect()
}

struct Search {
    /// In lower case.
    wanted: Vec<char>,
    most: usize,
    left: usize,
    until: Instant,
    hits: Vec<SearchHit>,
}

/// Something that was said, perhaps in pieces.
struct Said {
    who: &'static str,
    index: u64,
    at: String,
    text: String,
}

impl Search {
    fn is_over(&self) -> bool {
        self.hits.len() >= self.most || self.left == 0 || Instant::now() >= self.until
    }

    fn session(
        &mut self,
        read: &Read<'_>,
        name: &str,
        session: &SessionRow,
    ) -> Result<(), WorkflowError> {
        let mut from = 0;
        let mut open: Option<Said> = None;
        loop {
            let entries = read.transcript_page(&session.id, from..u64::MAX, PAGE)?;
            let Some(last) = entries.last().map(|entry| entry.index) else {
                break;
            };
            for entry in entries {
                if self.is_over() {
                    return Ok(());
                }
                self.left -= 1;
                let Some((who, text)) = words(&entry, session.is_ad_hoc()) else {
                    // Updates of other kinds come in the middle of a message.
                    continue;
                };
                let goes_on = |said: &&mut Said| who == "agent" && said.who == who;
                if let Some(said) = open.as_mut().filter(goes_on)
                    && said.text.len() < MESSAGE_LIMIT
                {
                    said.text.push_str(&text);
                    continue;
                }
                let next = Said {
                    who,
                    index: entry.index,
                    at: entry.at,
                    text,
                };
                if let Some(said) = open.replace(next) {
                    self.look(name, &session.id, said);
                }
            }
            from = last + 1;
        }
        if let Some(said) = open {
            self.look(name, &session.id, said);
        }
        Ok(())
    }

    fn look(&mut self, name: &str, session: &WorkSessionId, said: Said) {
        if self.hits.len() >= self.most {
            return;
        }
        if let Some(at) = find(&said.text, &self.wanted) {
            self.hits.push(SearchHit {
                session: session.clone(),
                name: name.to_owned(),
                index: said.index,
                who: said.who.to_owned(),
                excerpt: excerpt(&said.text, at),
                at: said.at,
            });
        }
    }
}

/// Who said what in an entry: prompts, the agent's words, titles of its tools, the daemon's notes.
fn words(entry: &TranscriptEntry, ad_hoc: bool) -> Option<(&'static str, String)> {
    let frame = &entry.frame;
    if entry.direction == "daemon" {
        let text = frame.as_str().map(str::to_owned);
        return Some(("daemon", text.unwrap_or_else(|| frame.to_string())));
    }
    let said = match frame["method"].as_str()? {
        "session/prompt" => {
            let blocks = frame["params"]["prompt"].as_array()?;
            let texts: Vec<&str> = blocks.iter().filter_map(|b| b["text"].as_str()).collect();
            // Prompts of sessions that the daemon drives are written by it.
            let who = if ad_hoc { "person" } else { "daemon" };
            (who, texts.join("\n"))
        }
        "session/update" => {
            let update = &frame["params"]["update"];
            match update["sessionUpdate"].as_str()? {
                "agent_message_chunk" => ("agent", update["content"]["text"].as_str()?.to_owned()),
                "tool_call" => ("tool", update["title"].as_str()?.to_owned()),
                _ => return None,
            }
        }
        "session/request_permission" => {
            let title = frame["params"]["toolCall"]["title"].as_str()?;
            ("tool", title.to_owned())
        }
        _ => return None,
    };
    Some(said)
}

/// Where a text holds another, without regard to case: the byte at which it begins.
fn find(text: &str, wanted: &[char]) -> Option<usize> {
    let begins = |at: &usize| {
        let mut letters = text.get(*at..).unwrap_or_default().chars();
        let mut lower = letters.by_ref().flat_map(char::to_lowercase);
        wanted.iter().all(|letter| lower.next() == Some(*letter))
    };
    text.char_indices().map(|(at, _)| at).find(begins)
}

/// One line around a place in a text.
fn excerpt(text: &str, at: usize) -> String {
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn entry(direction: &str, frame: Value) -> TranscriptEntry {
        TranscriptEntry {
            index: 0,
            at: String::new(),
            direction: direction.into(),
            frame,
        }
    }

    #[test]
    fn an_excerpt_is_one_line_around_the_hit() {
        let text = format!("{}\nNeedle\u{1b}[2J\n{}", "a ".repeat(400), "ä".repeat(400));
        let at = text.find("Needle").unwrap();
        let excerpt = excerpt(&text, at);
        assert!(excerpt.contains("a Needle [2J ä"), "{excerpt}");
        assert!(excerpt.chars().count() <= 300 && excerpt.lines().count() == 1);
    }

    #[test]
    fn case_does_not_matter_in_any_script() {
        let find = |text: &str, wanted: &str| {
            let wanted: Vec<char> = wanted.chars().flat_map(char::to_lowercase).collect();
            find(text, &wanted)
        };
        assert_eq!(find("über GRÖSSE und İx", "größe"), None);
        assert_eq!(find("über GRÖßE", "Größe"), Some(6));
        assert_eq!(find("aab", "AB"), Some(1));
        assert_eq!(find("日本語ABC", "c"), Some(11));
        assert_eq!(find("ab", "abc"), None);
    }

    #[test]
    fn only_what_was_said_is_searched() {
        let prompt = json!({ "method": "session/prompt",
            "params": { "prompt": [{ "type": "text", "text": "a" }, { "type": "image" }] } });
        let said = |ad_hoc| words(&entry("to_agent", prompt.clone()), ad_hoc);
        assert_eq!(said(true), Some(("person", "a".into())));
        assert_eq!(said(false), Some(("daemon", "a".into())));
        for other in [
            json!({ "id": 1, "result": {} }),
            json!([1]),
            json!({ "method": 3 }),
        ] {
            assert_eq!(words(&entry("from_agent", other), true), None);
        }
        let note = entry("daemon", json!("cut"));
        assert_eq!(words(&note, true), Some(("daemon", "cut".into())));
    }
}
