//! Lines that an agent wrote and that it did not commit: a person did, or nobody yet. The transcripts
//! tell what was written; a line of the file that stands where it was written came of that turn.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    time::Instant,
};

use serde_json::Value;
use spectask_protocol::{TranscriptEntry, WorkSessionId};

use super::{HistoryError, turns::range_of};
use crate::{
    repo::{Blame, Repository},
    store::{FileTurn, Read, Store},
};

/// Turns that are looked at, the newest that touched the file.
const TURNS: u32 = 200;

/// Text of a transcript that is unpacked at a time, in bytes.
const PAGE: usize = 256 << 10;

/// Letters and digits of a line that is not found everywhere, such as a bracket is.
const TELLING: usize = 4;

/// Characters of a line that tells enough whatever stands beside it.
const LONG: usize = 20;

/// A line of a file whose turn is not known.
struct Line<'a> {
    /// Its place among all lines.
    place: usize,
    /// Its text.
    text: &'a str,
    /// The lines before and after it in the file.
    beside: [Option<&'a str>; 2],
    /// The place of its commit.
    commit: usize,
    /// When that was made, in seconds since 1970 UTC; none: not yet.
    at: Option<i64>,
}

/// A turn, by its session and number.
pub(super) type Turn = (WorkSessionId, u32);

/// The turns that wrote lines which came of no commit that `is_known`, by the places of the lines, and
/// whether there was time to look at all turns that could have. `text` is the whole file.
///
/// # Errors
/// When the database fails.
pub(super) fn find(
    store: &Store,
    repository: &Repository,
    blame: &Blame,
    text: &[String],
    is_known: impl Fn(&str) -> bool,
    until: Instant,
) -> Result<(BTreeMap<usize, Turn>, bool), HistoryError> {
    let mut files: HashMap<&str, Vec<Line<'_>>> = HashMap::new();
    for (place, line) in blame.lines.iter().enumerate() {
        let commit = &blame.commits[line.commit];
        if commit.id.as_ref().is_some_and(|id| is_known(id)) {
            continue;
        }
        let number = line.line as usize;
        let beside = [number.checked_sub(2), Some(number)];
        files.entry(&commit.path).or_default().push(Line {
            place,
            text: &line.text,
            beside: beside.map(|at| text.get(at?).map(String::as_str)),
            commit: line.commit,
            at: commit.id.is_some().then_some(commit.committed_at),
        });
    }
    let common = repository.common_dir().display().to_string();
    let project = store.read(|read| read.project_of(&common))?;
    let (mut found, mut complete) = (BTreeMap::new(), true);
    let Some(project) = project else {
        return Ok((found, complete));
    };
    for (path, lines) in files {
        let turns = store.read(|read| -> Result<_, HistoryError> {
            Ok(read.turns_of_file(&project.id, &names(repository, path), TURNS)?)
        })?;
        let mut texts = Vec::new();
        for turn in turns {
            if Instant::now() >= until {
                complete = false;
                break;
            }
            let writes = store.read(|read| writes(read, &turn, path))?;
            if !writes.is_empty() {
                texts.push((turn, writes));
            }
        }
        found.extend(of_file(&added(texts), &lines));
    }
    Ok((found, complete))
}

/// The names under which transcripts may speak of a file of the repository: whole, or relative to the
/// folder of a session.
fn names(repository: &Repository, path: &str) -> Vec<String> {
    let mut names = vec![path.to_owned()];
    let ends = path
        .match_indices('/')
        .map(|(at, _)| path[at + 1..].to_owned());
    names.extend(ends);
    let roots = [repository.root(), repository.worktree()];
    names.extend(roots.map(|root| format!("{}/{path}", root.display())));
    names
}

fn of_file(turns: &[Added], lines: &[Line<'_>]) -> BTreeMap<usize, Turn> {
    let mut by_line: HashMap<&str, Vec<(usize, &Added)>> = HashMap::new();
    for (at, turn) in turns.iter().enumerate() {
        for line in &turn.lines {
            by_line.entry(line).or_default().push((at, turn));
        }
    }
    let mut found: HashMap<usize, usize> = HashMap::new();
    for line in lines {
        let mut known = by_line.get(line.text.trim()).into_iter().flatten();
        let newest = known.find(|(_, turn)| turn.wrote(line));
        found.extend(newest.map(|(at, _)| (line.place, *at)));
    }
    beside(turns, lines.iter(), &mut found);
    beside(turns, lines.iter().rev(), &mut found);
    let turn = |(place, at): (usize, usize)| Some((place, turns.get(at)?.turn.clone()));
    found.into_iter().filter_map(turn).collect()
}

/// Brackets and empty lines belong to what stands beside them.
fn beside<'a>(
    turns: &[Added],
    lines: impl Iterator<Item = &'a Line<'a>>,
    found: &mut HashMap<usize, usize>,
) {
    let mut last: Option<(&Line<'_>, usize)> = None;
    for line in lines {
        if let Some(at) = found.get(&line.place) {
            last = Some((line, *at));
            continue;
        }
        last = last.filter(|(other, at)| {
            let [above, below] = if other.place < line.place {
                [other, line]
            } else {
                [line, other]
            };
            below.place - above.place == 1
                && other.commit == line.commit
                && !is_telling(line.text)
                && turns.get(*at).is_some_and(|turn| {
                    turn.lines.contains(line.text.trim()) && turn.has(above.text, below.text)
                })
        });
        if let Some((_, at)) = last {
            found.insert(line.place, at);
            last = Some((line, at));
        }
    }
}

fn is_telling(text: &str) -> bool {
    text.chars().filter(|c| c.is_alphanumeric()).count() >= TELLING
}

/// What an agent wrote into a file at once.
struct Written {
    /// What it took the place of, where that is known.
    old: Option<String>,
    new: String,
}

/// What a turn wrote into a file: what its tools say, or else what it asked the editor to write.
fn writes(read: &Read<'_>, turn: &FileTurn, path: &str) -> Result<Vec<Written>, HistoryError> {
    let range = range_of(read, &turn.session, turn.turn)?;
    let (mut edits, mut files) = (Vec::new(), Vec::new());
    let mut from = range.start;
    loop {
        let page = read.transcript_page(&turn.session, from..range.end, PAGE)?;
        let Some(last) = page.last().map(|entry| entry.index) else {
            break;
        };
        for entry in &page {
            collect(entry, path, &mut edits, &mut files);
        }
        from = last + 1;
    }
    Ok(if edits.is_empty() { files } else { edits })
}

fn collect(
    entry: &TranscriptEntry,
    path: &str,
    edits: &mut Vec<Written>,
    files: &mut Vec<Written>,
) {
    let is_meant = |named: &Value| {
        named.as_str().is_some_and(|named| {
            let start = named.strip_suffix(path);
            start.is_some_and(|start| start.is_empty() || start.ends_with('/'))
        })
    };
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let params = &entry.frame["params"];
    match entry.frame["method"].as_str() {
        Some("fs/write_text_file") if is_meant(&params["path"]) => {
            let written = text(&params["content"]).map(|new| Written { old: None, new });
            files.extend(written);
        }
        Some("session/update") => {
            let blocks = params["update"]["content"].as_array();
            for block in blocks.into_iter().flatten() {
                if block["type"] == "diff" && is_meant(&block["path"]) {
                    let written = text(&block["newText"]).map(|new| Written {
                        old: Some(text(&block["oldText"]).unwrap_or_default()),
                        new,
                    });
                    edits.extend(written);
                }
            }
        }
        _ => {}
    }
}

/// What a turn brought into a file, line by line, without indentation.
struct Added {
    turn: Turn,
    /// Milliseconds since the Unix epoch.
    started_at: i64,
    lines: HashSet<String>,
    /// Lines that stand one above the other.
    pairs: HashSet<(String, String)>,
    /// Whether all it wrote at once was one line.
    single: bool,
}

impl Added {
    /// Whether a line that is among its own stands where it wrote it.
    fn wrote(&self, line: &Line<'_>) -> bool {
        let in_time = line.at.is_none_or(|at| self.started_at < (at + 1) * 1000);
        let text = line.text.trim();
        if !in_time || !is_telling(text) {
            return false;
        }
        if self.single || text.chars().count() >= LONG {
            return true;
        }
        let [before, after] = line.beside.map(|beside| beside.filter(|b| is_telling(b)));
        before.is_some_and(|before| self.has(before, text))
            || after.is_some_and(|after| self.has(text, after))
    }

    /// Whether it wrote the second line below the first.
    fn has(&self, first: &str, second: &str) -> bool {
        let pair = (first.trim().to_owned(), second.trim().to_owned());
        self.pairs.contains(&pair)
    }
}

/// What each turn added, newest first, as they come.
fn added(texts: Vec<(FileTurn, Vec<Written>)>) -> Vec<Added> {
    // A file that is written anew holds what was written into it before.
    let mut known: HashSet<String> = HashSet::new();
    let mut turns: Vec<Added> = Vec::new();
    for (turn, writes) in texts.into_iter().rev() {
        let mut one = Added {
            turn: (turn.session, turn.turn),
            started_at: turn.started_at,
            lines: HashSet::new(),
            pairs: HashSet::new(),
            single: writes.iter().all(|text| text.new.lines().count() == 1),
        };
        for text in &writes {
            let mut old: Option<HashMap<&str, usize>> = text.old.as_ref().map(|old| {
                let mut counts = HashMap::new();
                for line in old.lines() {
                    *counts.entry(line.trim()).or_default() += 1;
                }
                counts
            });
            let new: Vec<&str> = text.new.lines().map(str::trim).collect();
            let fresh = new.iter().filter(|line| match &mut old {
                Some(old) => match old.get_mut(**line) {
                    Some(left) if *left > 0 => {
                        *left -= 1;
                        false
                    }
                    _ => true,
                },
                None => !known.contains(**line),
            });
            one.lines.extend(fresh.map(|line| (*line).to_owned()));
            let pairs = new.iter().zip(new.iter().skip(1));
            one.pairs
                .extend(pairs.map(|(a, b)| ((*a).to_owned(), (*b).to_owned())));
        }
        let all = writes.iter().flat_map(|text| text.new.lines());
        known.extend(all.map(|line| line.trim().to_owned()));
        turns.push(one);
    }
    turns.reverse();
    turns
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Turns of one session that wrote texts (old, new), the oldest first, a second apart.
    fn turns(writes: &[&[(Option<&str>, &str)]]) -> Vec<Added> {
        let session = WorkSessionId::try_from(uuid::Uuid::now_v7().to_string()).unwrap();
        let turn = |(at, writes): (usize, &&[(Option<&str>, &str)])| {
            let of = FileTurn {
                session: session.clone(),
                turn: u32::try_from(at).unwrap() + 1,
                started_at: i64::try_from(at).unwrap() * 1000,
            };
            let writes = writes.iter().map(|(old, new)| Written {
                old: old.map(str::to_owned),
                new: (*new).to_owned(),
            });
            (of, writes.collect())
        };
        added(writes.iter().enumerate().map(turn).rev().collect())
    }

    /// The turn of each line of a file, all of them of one commit.
    fn of_text(turns: &[Added], text: &str, at: Option<i64>) -> Vec<u32> {
        let all: Vec<&str> = text.lines().collect();
        let line = |place: usize| Line {
            place,
            text: all[place],
            beside: [place.checked_sub(1), Some(place + 1)].map(|at| all.get(at?).copied()),
            commit: 0,
            at,
        };
        let lines: Vec<Line<'_>> = (0..all.len()).map(line).collect();
        let found = of_file(turns, &lines);
        (0..all.len())
            .map(|place| found.get(&place).map_or(0, |turn| turn.1))
            .collect()
    }

    #[test]
    fn lines_stand_where_they_were_written() {
        let old = "fn area() {\n    width\n}\n";
        let new = "fn area() {\n    checked(width);\n    width\n}\n\nfn other() {\n    todo\n}\n";
        let turns = turns(&[&[(Some(old), new)]]);
        // A formatter may have moved them; brackets belong to what they stand beside. The first of the
        // brackets could be the new one.
        let file = "fn area() {\n  checked(width);\n  width\n}\n\nfn other() {\n  todo\n}\n}\n";
        assert_eq!(of_text(&turns, file, None), [0, 1, 0, 1, 1, 1, 1, 1, 0]);
        // The same words elsewhere are somebody else's.
        assert_eq!(of_text(&turns, "begin\ntodo\nother\n", None), [0, 0, 0]);
    }

    #[test]
    fn the_newest_turn_before_the_commit_wrote_it() {
        let first: &[_] = &[(Some("a"), "let first = 1;\nlet second = 2;")];
        let again: &[_] = &[(Some(""), "let first = 1;\nlet second = 2;")];
        let turns = turns(&[first, again]);
        let text = "let first = 1;\nlet second = 2;\n";
        assert_eq!(of_text(&turns, text, None), [2, 2]);
        assert_eq!(of_text(&turns, text, Some(0)), [1, 1]);
        assert_eq!(of_text(&turns, text, Some(-1)), [0, 0]);
    }

    #[test]
    fn a_file_that_is_written_anew_holds_what_was_there() {
        let turns = turns(&[
            &[(None, "one line of it\nanother line")],
            &[(None, "one line of it\nanother line\na third line")],
            &[(None, "# Title of the file, alone")],
        ]);
        let text = "one line of it\nanother line\na third line\n# Title of the file, alone\n";
        assert_eq!(of_text(&turns, text, None), [1, 1, 2, 3]);
    }

    #[test]
    fn edits_are_those_of_that_file_and_hostile_frames_are_none() {
        let entry = |frame: Value| TranscriptEntry {
            index: 0,
            at: String::new(),
            direction: "from_agent".into(),
            frame,
        };
        let (mut edits, mut files) = (Vec::new(), Vec::new());
        let diff = |path: &str| json!({ "type": "diff", "path": path, "newText": "x" });
        let call = json!({ "method": "session/update", "params": { "update": {
            "sessionUpdate": "tool_call", "content": [
                diff("/r/src/a.rs"), diff("/r/src/b.rs"), diff("/r/xsrc/a.rs"), diff("src/a.rs"),
                { "type": "diff", "path": 3 }, { "type": "diff", "path": "src/a.rs" }, 7] } } });
        let write = |path: Value| {
            json!({ "method": "fs/write_text_file",
                "params": { "path": path, "content": "y" } })
        };
        let frames = [
            call,
            write(json!("/r/src/a.rs")),
            write(json!(["/r/src/a.rs"])),
            json!([1]),
            json!({ "method": "session/update", "params": { "update": { "content": 3 } } }),
        ];
        for frame in frames {
            collect(&entry(frame), "src/a.rs", &mut edits, &mut files);
        }
        assert_eq!((edits.len(), files.len()), (2, 1));
    }
}
