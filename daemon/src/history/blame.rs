//! Why a line is as it is: line, commit, turn, implementation task, requirement, prompt.

use std::{
    collections::HashMap,
    path::Path,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use spectask_protocol::{
    BlameCommit, BlameGroup, BlameView, Origin, SessionRef, SpecTaskId, WorkSessionId,
};

use super::{
    HistoryError, recorded,
    turns::{Abouts, range_of, requirements},
    written::{self, Turn},
};
use crate::{
    repo::{Blame, CommitFacts, Past, RepoError, Repository},
    store::{Read, Store},
    workflow::lookup::find_session,
};

/// Patch ids cost a difference each; those that there is no time for are not computed.
const PATCHES: Duration = Duration::from_millis(30);

/// What turns wrote is read for so long: for a file, and for lines that a person asks for.
const WRITTEN: [Duration; 2] = [Duration::from_millis(15), Duration::from_millis(40)];

/// The longest file whose lines are looked up beside those that were asked for, in bytes.
const FILE: u64 = 8 << 20;

/// Names of sessions that are looked for on refs: each may be looked for among all.
const NAMES: usize = 50;

/// Recorded branches that a file is compared with.
const TIPS: usize = 100;

/// Recorded branches that are asked for the lines of a squashed commit.
const AGAIN: usize = 3;

/// The longest prompt of a turn that is told, in bytes.
const PROMPT: usize = 2048;

/// Text of a transcript that is unpacked for a prompt, in bytes.
const PAGE: usize = 64 << 10;

/// Tells what the lines of a file came of.
///
/// # Errors
/// When the file is in no repository, is not committed or is no text; when git or the database fails.
pub fn blame(
    store: &Store,
    path: &Path,
    lines: Option<(u32, u32)>,
    rev: Option<&str>,
) -> Result<BlameView, HistoryError> {
    let folder = path
        .ancestors()
        .skip(1)
        .find(|folder| folder.is_dir())
        .unwrap_or(path);
    let repository = Repository::discover(folder)?;
    let inside = repository.path_in_worktree(path)?;
    if path.is_dir() {
        return Err(HistoryError::Invalid(format!("{inside:?} is a folder")));
    }
    let blame = repository
        .blame(&inside, lines, rev)
        .map_err(|error| refused(error, &inside))?;
    if blame.lines.iter().any(|line| line.text.contains('\0')) {
        return Err(HistoryError::Invalid(format!("{inside:?} is no text")));
    }
    let mut finder = Finder {
        repository: &repository,
        past: repository.past()?,
        origins: HashMap::new(),
        imported: HashMap::new(),
        named: HashMap::new(),
        written: HashMap::new(),
        turns: Vec::new(),
        incomplete: false,
    };
    let blame = finder.find(store, blame)?;
    let text = match lines {
        None => blame.lines.iter().map(|line| line.text.clone()).collect(),
        Some(_) => whole(&repository, path, &inside, rev),
    };
    let limit = WRITTEN[usize::from(lines.is_some())];
    finder.written(store, &blame, &text, Instant::now() + limit)?;
    Ok(finder.view(inside, &blame))
}

/// The lines of a file; none when it is too long or cannot be read.
fn whole(repository: &Repository, path: &Path, inside: &str, rev: Option<&str>) -> Vec<String> {
    let bytes = match rev {
        Some(rev) => repository
            .resolve(rev)
            .and_then(|commit| repository.read_file(&commit, inside))
            .ok()
            .flatten(),
        None => std::fs::metadata(path)
            .ok()
            .filter(|about| about.len() <= FILE)
            .and_then(|_| std::fs::read(path).ok()),
    };
    let text = bytes.unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    text.lines().map(str::to_owned).collect()
}

/// What git says of a file or lines that are not there.
fn refused(error: RepoError, path: &str) -> HistoryError {
    let RepoError::Git { stderr, .. } = &error else {
        return error.into();
    };
    if ["no such path", "no such ref: HEAD"]
        .iter()
        .any(|text| stderr.contains(text))
    {
        return HistoryError::NotFound {
            what: "committed file",
            name: path.to_owned(),
        };
    }
    if let Some((_, many)) = stderr.split_once(" has only ") {
        let many = many.split_whitespace().next().unwrap_or("fewer");
        return HistoryError::Invalid(format!("{path} has only {many} lines"));
    }
    error.into()
}

/// A turn that a commit came of, and by what that was found.
type Found = (&'static str, Turn);

struct Finder<'a> {
    repository: &'a Repository,
    past: Past,
    origins: HashMap<String, Origin>,
    /// Sessions of SpecTasks that were taken over, as their refs have them.
    imported: HashMap<SpecTaskId, Vec<recorded::OnRef>>,
    /// Sessions that commits name and the store does not know, as refs have them.
    named: HashMap<String, Option<recorded::OnRef>>,
    /// The turns of lines that these did not commit, by the places of the lines.
    written: HashMap<usize, u32>,
    /// The turns that they name.
    turns: Vec<Origin>,
    incomplete: bool,
}

impl Finder<'_> {
    /// Finds the turns of all commits; lines of a squashed commit get the commits that were squashed.
    fn find(&mut self, store: &Store, mut blame: Blame) -> Result<Blame, HistoryError> {
        let ids: Vec<String> = blame.commits.iter().filter_map(|c| c.id.clone()).collect();
        let mut found: HashMap<String, Found> = HashMap::new();
        store.read(|read| by_id(read, &ids, &mut found))?;
        let open: Vec<usize> = (0..blame.commits.len())
            .filter(|at| {
                let id = blame.commits[*at].id.as_ref();
                id.is_some_and(|id| !found.contains_key(id))
            })
            .collect();
        let linked = store.read(|read| read.has_turn_commits())?;
        if !open.is_empty() && linked {
            let tips = store.read(|read| self.tips(read))?;
            let before = blame.commits.len();
            // What the file is on the branches, for each name that it had.
            let mut files: HashMap<String, HashMap<String, Vec<&String>>> = HashMap::new();
            for at in open.iter().copied() {
                let path = blame.commits[at].path.clone();
                let by_blob = files.entry(path.clone()).or_insert_with(|| {
                    let mut by_blob: HashMap<String, Vec<&String>> = HashMap::new();
                    for tip in &tips {
                        if let Some(blob) = self.past.blob(tip, &path) {
                            by_blob.entry(blob).or_default().push(tip);
                        }
                    }
                    by_blob
                });
                if !by_blob.is_empty() {
                    self.unsquash(store, &mut blame, at, by_blob)?;
                }
            }
            let new = blame.commits.get(before..).unwrap_or_default();
            let new: Vec<String> = new.iter().filter_map(|c| c.id.clone()).collect();
            store.read(|read| by_id(read, &new, &mut found))?;
            for id in &new {
                if let Some(found) = found.get_mut(id) {
                    found.0 = "content";
                }
            }
        }
        let used: std::collections::HashSet<usize> =
            blame.lines.iter().map(|line| line.commit).collect();
        let left: Vec<String> = (0..blame.commits.len())
            .filter(|at| used.contains(at))
            .filter_map(|at| blame.commits[at].id.clone())
            .filter(|id| !found.contains_key(id))
            .collect();
        let facts: HashMap<String, CommitFacts> = left
            .into_iter()
            .filter_map(|id| Some((id.clone(), self.past.facts(&id)?)))
            .collect();
        if linked {
            self.by_content(store, &facts, &mut found)?;
        }
        store.read(|read| self.describe(read, &found, &facts))?;
        Ok(blame)
    }

    /// The tips of recorded branches that are still there, newest SpecTask first.
    fn tips(&self, read: &Read<'_>) -> Result<Vec<String>, HistoryError> {
        let common = self.repository.common_dir().display().to_string();
        let Some(project) = read.project_of(&common)? else {
            return Ok(Vec::new());
        };
        let tasks = read.tasks(Some(&project.id), true)?;
        let mut tips: Vec<String> = tasks.into_iter().filter_map(|task| task.tip).collect();
        tips.truncate(TIPS);
        Ok(tips)
    }

    /// Lines of a commit whose file is that of a recorded branch came of the commits of that branch,
    /// as far as those are known to be of a turn.
    fn unsquash(
        &self,
        store: &Store,
        blame: &mut Blame,
        at: usize,
        tips: &HashMap<String, Vec<&String>>,
    ) -> Result<(), HistoryError> {
        let commit = blame.commits[at].clone();
        let Some(id) = commit.id else { return Ok(()) };
        let file = self.past.blob(&id, &commit.path);
        let Some(same) = file.and_then(|file| tips.get(&file)) else {
            return Ok(());
        };
        for tip in same.iter().filter(|tip| ***tip != id).take(AGAIN) {
            let numbers: Vec<u32> = blame
                .lines
                .iter()
                .filter(|line| line.commit == at)
                .map(|line| line.origin)
                .collect();
            let (Some(first), Some(last)) = (numbers.iter().min(), numbers.iter().max()) else {
                return Ok(());
            };
            let Ok(mut again) =
                self.repository
                    .blame(&commit.path, Some((*first, *last)), Some(tip))
            else {
                continue;
            };
            // The squashed commit itself is in the branch: nothing more is known there.
            if again
                .commits
                .iter()
                .any(|other| other.id.as_ref() == Some(&id))
            {
                continue;
            }
            let ids: Vec<String> = again.commits.iter().filter_map(|c| c.id.clone()).collect();
            let mut known = HashMap::new();
            store.read(|read| by_id(read, &ids, &mut known))?;
            if known.is_empty() {
                continue;
            }
            let is_known = |place: usize| {
                let id = again.commits[place].id.as_ref();
                id.is_some_and(|id| known.contains_key(id))
            };
            let start = blame.commits.len();
            let by_line: HashMap<u32, usize> = again
                .lines
                .iter()
                .filter(|line| is_known(line.commit))
                .map(|line| (line.line, line.commit))
                .collect();
            for commit in &mut again.commits {
                commit.within = Some(id.clone());
            }
            blame.commits.extend(again.commits);
            for line in blame.lines.iter_mut().filter(|line| line.commit == at) {
                if let Some(place) = by_line.get(&line.origin) {
                    line.commit = start + place;
                }
            }
            return Ok(());
        }
        Ok(())
    }

    /// Finds commits again by their tree, or by what they change.
    fn by_content(
        &mut self,
        store: &Store,
        facts: &HashMap<String, CommitFacts>,
        found: &mut HashMap<String, Found>,
    ) -> Result<(), HistoryError> {
        store.read(|read| -> Result<(), HistoryError> {
            for (id, facts) in facts {
                if let Some(first) = read
                    .turn_commits_of_tree(&facts.tree)?
                    .into_iter()
                    .next_back()
                {
                    found.insert(id.clone(), ("tree", (first.session, first.turn)));
                }
            }
            Ok(())
        })?;
        let until = Instant::now() + PATCHES;
        // Those that say that they are ours come first.
        let mut left: Vec<&String> = facts.keys().filter(|id| !found.contains_key(*id)).collect();
        left.sort_by_key(|id| (named(&facts[*id]).is_none(), (*id).clone()));
        for id in left {
            if Instant::now() >= until {
                self.incomplete = true;
                break;
            }
            let Some(patch) = self.past.patch_id(id) else {
                continue;
            };
            let of_patch = store.read(|read| read.turn_commits_of_patch(&patch))?;
            if let Some(first) = of_patch.into_iter().next() {
                found.insert(id.clone(), ("patch", (first.session, first.turn)));
            }
        }
        Ok(())
    }

    fn describe(
        &mut self,
        read: &Read<'_>,
        found: &HashMap<String, Found>,
        facts: &HashMap<String, CommitFacts>,
    ) -> Result<(), HistoryError> {
        let mut abouts = Abouts::default();
        let mut known: HashMap<Turn, Option<Origin>> = HashMap::new();
        for (id, (via, turn)) in found {
            let origin = match known.get(turn) {
                Some(known) => known.clone(),
                None => {
                    let made = self.of_turn(read, &mut abouts, turn, via)?;
                    known.insert(turn.clone(), made.clone());
                    made
                }
            };
            if let Some(mut origin) = origin {
                origin.via = (*via).to_owned();
                self.origins.insert(id.clone(), origin);
            }
        }
        for (id, facts) in facts {
            if self.origins.contains_key(id) {
                continue;
            }
            if let Some(name) = named(facts)
                && let Some(origin) = self.by_name(read, &mut abouts, name, facts)?
            {
                self.origins.insert(id.clone(), origin);
            }
        }
        Ok(())
    }

    /// Finds the turns that wrote what came of no commit of a turn.
    fn written(
        &mut self,
        store: &Store,
        blame: &Blame,
        text: &[String],
        until: Instant,
    ) -> Result<(), HistoryError> {
        let is_known = |id: &str| self.origins.contains_key(id);
        let (found, complete) =
            written::find(store, self.repository, blame, text, is_known, until)?;
        self.incomplete |= !complete;
        let mut places: HashMap<Turn, Option<u32>> = HashMap::new();
        let mut abouts = Abouts::default();
        for (line, turn) in found {
            let place = match places.get(&turn) {
                Some(known) => *known,
                None => {
                    let origin =
                        store.read(|read| self.of_turn(read, &mut abouts, &turn, "edit"))?;
                    let place = u32::try_from(self.turns.len()).ok();
                    let place = place.filter(|_| origin.is_some());
                    self.turns.extend(origin);
                    places.insert(turn, place);
                    place
                }
            };
            self.written.extend(place.map(|place| (line, place)));
        }
        Ok(())
    }

    /// What stands behind a turn of the store.
    fn of_turn(
        &mut self,
        read: &Read<'_>,
        abouts: &mut Abouts,
        (session, number): &Turn,
        via: &str,
    ) -> Result<Option<Origin>, HistoryError> {
        let Some(mut origin) = origin(read, abouts, session, via)? else {
            return Ok(None);
        };
        origin.turn = Some(*number);
        origin.prompt = prompt(read, session, *number)?;
        if origin.work.is_empty() {
            self.complete(abouts, read, session, &mut origin)?;
        }
        Ok(Some(origin))
    }

    /// Takes what a session served from its ref, for a SpecTask whose documents did not come with it.
    fn complete(
        &mut self,
        abouts: &mut Abouts,
        read: &Read<'_>,
        session: &WorkSessionId,
        origin: &mut Origin,
    ) -> Result<(), HistoryError> {
        let about = abouts.get(read, session)?;
        let Some(task) = about.and_then(|about| about.task.as_ref()) else {
            return Ok(());
        };
        if !task.imported {
            return Ok(());
        }
        let all = self
            .imported
            .entry(task.id.clone())
            .or_insert_with(|| recorded::sessions(&self.past, task.id.as_str()));
        if let Some(found) = all.iter().find(|one| one.record.id == *session) {
            origin.work.clone_from(&found.record.tasks);
            origin.requirements.clone_from(&found.record.requirements);
        }
        Ok(())
    }

    /// What a commit says of itself, held against the store or the session's ref.
    fn by_name(
        &mut self,
        read: &Read<'_>,
        abouts: &mut Abouts,
        name: &str,
        facts: &CommitFacts,
    ) -> Result<Option<Origin>, HistoryError> {
        if let Ok(reference) = name.parse::<SessionRef>()
            && let Ok((_, row)) = find_session(read, &reference)
        {
            return origin(read, abouts, &row.id, "trailer");
        }
        if !self.named.contains_key(name) {
            if self.named.len() >= NAMES {
                self.incomplete = true;
                return Ok(None);
            }
            let found = recorded::session(&self.past, name);
            self.named.insert(name.to_owned(), found);
        }
        let Some(session) = self.named.get(name).cloned().flatten() else {
            return Ok(None);
        };
        let turn = session
            .turns(&self.past)
            .find(|turn| turn.commits.iter().any(|commit| commit.tree == facts.tree));
        Ok(Some(Origin {
            via: "trailer".into(),
            session: Some(session.record.id),
            name: session.record.name,
            turn: turn.as_ref().map(|turn| turn.number),
            task: session.record.task.map(|task| task.name),
            work: session.record.tasks,
            requirements: session.record.requirements,
            wish: None,
            prompt: turn.map(|turn| cut(turn.prompt)),
        }))
    }

    fn view(mut self, path: String, blame: &Blame) -> BlameView {
        let mut commits: Vec<BlameCommit> = Vec::new();
        let mut places: HashMap<usize, u32> = HashMap::new();
        let mut groups: Vec<BlameGroup> = Vec::new();
        for (place, line) in blame.lines.iter().enumerate() {
            let of = &blame.commits[line.commit];
            let commit = of.id.as_ref().map(|id| {
                *places.entry(line.commit).or_insert_with(|| {
                    commits.push(BlameCommit {
                        id: id.clone(),
                        within: of.within.clone(),
                        author: of.author.clone(),
                        at: Timestamp::from_second(of.at)
                            .unwrap_or_default()
                            .to_string(),
                        subject: of.subject.clone(),
                        was: (of.path != path).then(|| of.path.clone()),
                        origin: self.origins.get(id).cloned(),
                    });
                    u32::try_from(commits.len() - 1).unwrap_or(u32::MAX)
                })
            });
            let turn = self.written.get(&place).copied();
            match groups.last_mut() {
                Some(group) if group.commit == commit && group.written == turn => {
                    group.lines.push(line.text.clone());
                }
                _ => groups.push(BlameGroup {
                    line: line.line,
                    lines: vec![line.text.clone()],
                    commit,
                    written: turn,
                }),
            }
        }
        self.origins.clear();
        BlameView {
            path,
            groups,
            commits,
            written: self.turns,
            incomplete: self.incomplete,
        }
    }
}

fn by_id(
    read: &Read<'_>,
    ids: &[String],
    found: &mut HashMap<String, Found>,
) -> Result<(), HistoryError> {
    for id in ids {
        if let Some(commit) = read.turn_commit(id)? {
            found.insert(id.clone(), ("commit", (commit.session, commit.turn)));
        }
    }
    Ok(())
}

/// The session that a commit names: in its trailers, or, squashed, once in its message.
fn named(facts: &CommitFacts) -> Option<&str> {
    const KEY: &str = "Work-Session";
    let trailer = facts
        .trailers
        .iter()
        .find(|(key, _)| key.eq_ignore_ascii_case(KEY));
    if let Some((_, name)) = trailer {
        return Some(name);
    }
    let mut names = facts.message.lines().filter_map(|line| {
        let (key, name) = line.trim().split_once(':')?;
        (key == KEY).then(|| name.trim())
    });
    let first = names.next()?;
    names.all(|name| name == first).then_some(first)
}

/// What stands behind the turns of a session of the store.
fn origin(
    read: &Read<'_>,
    abouts: &mut Abouts,
    session: &WorkSessionId,
    via: &str,
) -> Result<Option<Origin>, HistoryError> {
    Ok(abouts.get(read, session)?.map(|about| Origin {
        via: via.to_owned(),
        session: Some(session.clone()),
        name: about.name.clone(),
        turn: None,
        task: about.task.as_ref().map(|task| task.name()),
        work: about
            .work
            .iter()
            .map(|work| format!("{}. {}", work.number, work.title))
            .collect(),
        requirements: requirements(&about.work),
        wish: about.task.as_ref().map(|task| task.prompt.clone()),
        prompt: None,
    }))
}

/// The prompt of a turn, as the transcript has it.
fn prompt(
    read: &Read<'_>,
    session: &WorkSessionId,
    turn: u32,
) -> Result<Option<String>, HistoryError> {
    let range = range_of(read, session, turn)?;
    let page = read.transcript_page(session, range, PAGE)?;
    let prompt = page.iter().find(|entry| super::said::is_prompt(entry));
    Ok(prompt.and_then(|entry| {
        let blocks = entry.frame["params"]["prompt"].as_array()?;
        let texts: Vec<&str> = blocks.iter().filter_map(|b| b["text"].as_str()).collect();
        Some(cut(texts.join("\n")))
    }))
}

fn cut(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(PROMPT));
    text
}
