//! Recorded history in the user's repository: commits that are made in memory, written together
//! and shown by one ref, which moves by compare-and-swap. Branches, index, `HEAD` and working trees
//! have no part in it.

use std::collections::HashSet;
use std::fmt;
use std::path::PathBuf;

use git2::{ObjectType, Oid};

use super::error::object;
use super::folder::Folder;
use super::pack::{self, Packed};
use super::{Repository, Result};

/// Whose name recorded history carries: the same on every machine, so that the same record gives
/// the same commits.
const AUTHOR: &str = "SpecTask <spectask@localhost>";

/// More than this is written as a pack, not one by one: objects, bytes.
const LOOSE: (usize, usize) = (64, 1 << 20);

/// What is kept in memory before it is written as a pack, in bytes.
const WAITING: usize = 32 << 20;

/// Objects that wait to be written.
#[derive(Default)]
pub(super) struct Objects {
    waiting: Vec<Packed>,
    known: HashSet<Oid>,
    bytes: usize,
}

impl Objects {
    /// Adds an object; `line` names what it is a version of. Returns its id.
    pub(super) fn add(&mut self, kind: ObjectType, data: Vec<u8>, line: &str) -> Oid {
        let id = Oid::hash_object(kind, &data).unwrap_or(Oid::ZERO_SHA1);
        if self.known.insert(id) {
            self.bytes += data.len();
            let line = line.to_owned();
            self.waiting.push(Packed {
                id,
                kind,
                data,
                line,
            });
        }
        id
    }
}

/// A commit that is to be made.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// The commit before, 40 hex digits.
    pub parent: Option<&'a str>,
    /// The whole message.
    pub message: &'a str,
    /// Seconds since the Unix epoch.
    pub at: i64,
}

/// The longest file that is read, in bytes: a ref may come from anyone.
const BLOB: usize = 256 << 20;

/// Writes and reads recorded history of one repository. It keeps files open; who holds one for long
/// opens it anew after [`Ledger::consolidate`].
pub struct Ledger {
    pub(super) repository: Repository,
    pub(super) opened: git2::Repository,
    objects: Objects,
    /// Loose objects written since it was opened.
    loose: usize,
    /// Whether what is there may be damaged.
    repair: bool,
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ledger")
            .field("repository", &self.repository.root())
            .finish_non_exhaustive()
    }
}

impl Ledger {
    /// Opens the ledger of a repository.
    ///
    /// # Errors
    /// When the repository is not there any more.
    pub fn open(repository: &Repository) -> Result<Self> {
        Ok(Self {
            repository: repository.clone(),
            opened: repository.open()?,
            objects: Objects::default(),
            loose: 0,
            repair: false,
        })
    }

    /// The repository.
    #[must_use]
    pub fn repository(&self) -> &Repository {
        &self.repository
    }

    /// Where a ref (full name) stands.
    ///
    /// # Errors
    /// When refs cannot be read.
    pub fn tip(&self, name: &str) -> Result<Option<String>> {
        match self.opened.refname_to_id(name) {
            Ok(id) => Ok(Some(id.to_string())),
            Err(error) if error.code() == git2::ErrorCode::NotFound => Ok(None),
            Err(error) => Err(object("read", name)(error)),
        }
    }

    /// Full names of refs that begin so, sorted.
    ///
    /// # Errors
    /// When refs cannot be read.
    pub fn refs(&self, start: &str) -> Result<Vec<String>> {
        let found = self
            .opened
            .references_glob(&format!("{start}*"))
            .map_err(object("list", start))?;
        let mut names: Vec<String> = found
            .flatten()
            .map(|found| String::from_utf8_lossy(found.name_bytes()).into_owned())
            .collect();
        names.sort();
        Ok(names)
    }

    /// The files of a commit.
    ///
    /// # Errors
    /// When the commit or its tree cannot be read.
    pub fn folder(&self, commit: &str) -> Result<Folder> {
        let tree = Oid::from_str(commit)
            .and_then(|id| self.opened.find_commit(id))
            .map_err(object("read", commit))?
            .tree_id();
        Folder::read(&self.opened, tree)
    }

    /// The message of a commit.
    ///
    /// # Errors
    /// When the commit cannot be read.
    pub fn message(&self, commit: &str) -> Result<String> {
        let found = Oid::from_str(commit)
            .and_then(|id| self.opened.find_commit(id))
            .map_err(object("read", commit))?;
        Ok(String::from_utf8_lossy(found.message_bytes()).into_owned())
    }

    /// The content of a file in a folder; none when there is no such file.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(&self, folder: &mut Folder, path: &str) -> Result<Option<Vec<u8>>> {
        let Some(id) = folder.get(&self.opened, path)? else {
            return Ok(None);
        };
        let waiting = self.objects.waiting.iter().find(|object| object.id == id);
        if let Some(waiting) = waiting {
            return Ok(Some(waiting.data.clone()));
        }
        let size = self.opened.odb().and_then(|odb| odb.read_header(id));
        if size.is_ok_and(|(size, _)| size > BLOB) {
            return Err(super::RepoError::InvalidPath {
                path: path.to_owned(),
                why: "it is too long",
            });
        }
        let blob = self.opened.find_blob(id).map_err(object("read", path))?;
        Ok(Some(blob.content().to_vec()))
    }

    /// Puts a file into a folder. `line` names the ref that it is for.
    ///
    /// # Errors
    /// [`super::RepoError::InvalidPath`]; when what waits had to be written and could not.
    pub fn put(
        &mut self,
        folder: &mut Folder,
        line: &str,
        path: &str,
        content: Vec<u8>,
    ) -> Result<()> {
        let line = format!("{line}:{path}");
        let id = self.objects.add(ObjectType::Blob, content, &line);
        folder.put(&self.opened, path, id)?;
        if self.objects.bytes > WAITING {
            self.write()?;
        }
        Ok(())
    }

    /// Makes a commit of a folder; nothing is written yet. Returns its id.
    ///
    /// # Errors
    /// None today; a caller need not know that.
    pub fn commit(&mut self, folder: &mut Folder, line: &str, entry: Entry<'_>) -> Result<String> {
        let tree = folder.write(&mut self.objects, &format!("{line}:"));
        let mut text = format!("tree {tree}\n");
        if let Some(parent) = entry.parent {
            text.push_str(&format!("parent {parent}\n"));
        }
        let at = entry.at.max(0);
        text.push_str(&format!(
            "author {AUTHOR} {at} +0000\ncommitter {AUTHOR} {at} +0000\n\n{}",
            entry.message
        ));
        let id = self
            .objects
            .add(ObjectType::Commit, text.into_bytes(), line);
        Ok(id.to_string())
    }

    /// From here on objects that are there and damaged, as after a loss of power, are written again.
    pub fn repair(&mut self) {
        self.repair = true;
    }

    /// Whether [`Ledger::repair`] was called: such a ledger writes packs only and is not kept.
    #[must_use]
    pub fn repairs(&self) -> bool {
        self.repair
    }

    /// Writes everything that waits: a few objects one by one, many as a pack.
    ///
    /// # Errors
    /// When the repository cannot be written.
    pub fn write(&mut self) -> Result<()> {
        let waiting = std::mem::take(&mut self.objects);
        if waiting.waiting.is_empty() {
            return Ok(());
        }
        let about = || self.repository.root().display().to_string();
        let odb = self.opened.odb().map_err(object("write to", about()))?;
        if !self.repair && waiting.waiting.len() <= LOOSE.0 && waiting.bytes <= LOOSE.1 {
            for object_ in &waiting.waiting {
                odb.write(object_.kind, &object_.data)
                    .map_err(object("write to", about()))?;
            }
            self.loose += waiting.waiting.len();
            return Ok(());
        }
        let new: Vec<Packed> = waiting
            .waiting
            .into_iter()
            .filter(|object| {
                if self.repair {
                    odb.read(object.id).is_err()
                } else {
                    !odb.exists(object.id)
                }
            })
            .collect();
        if self.repair {
            for damaged in &new {
                let file = self.loose_file(damaged.id);
                pack::make_writable(&file);
                if std::fs::remove_file(&file).is_ok() {
                    tracing::warn!(object = %damaged.id, "a damaged object of history is written anew");
                }
            }
        }
        if !new.is_empty() {
            pack::write(&self.pack_folder(), &new)?;
            odb.refresh().map_err(object("write to", about()))?;
        }
        Ok(())
    }

    /// Moves a ref (full name) from where it was seen; the reflog tells nothing of it.
    ///
    /// # Errors
    /// [`super::RepoError::RefMoved`], [`super::RepoError::Locked`]; when the repository cannot be written.
    pub fn move_ref(&self, name: &str, new: &str, expected: Option<&str>) -> Result<()> {
        self.repository
            .update_ref(name, new, expected, "history", &[])
    }

    /// Loose objects written since it was opened.
    #[must_use]
    pub fn loose(&self) -> usize {
        self.loose
    }

    pub(super) fn pack_folder(&self) -> PathBuf {
        self.repository.common_dir().join("objects").join("pack")
    }

    /// The commit, its tree and the patch id of its difference to its first parent; none when the
    /// commit is not there.
    ///
    /// # Errors
    /// When the objects are damaged.
    pub fn code_commit(&self, id: &str) -> Result<Option<(String, Option<String>)>> {
        let found = Oid::from_str(id).and_then(|id| self.opened.find_commit(id));
        let Ok(commit) = found else {
            return Ok(None);
        };
        let read = || -> Result<(String, Option<String>), git2::Error> {
            let tree = commit.tree()?;
            let before = match commit.parent(0) {
                Ok(parent) => Some(parent.tree()?),
                Err(_) => None,
            };
            let diff = self
                .opened
                .diff_tree_to_tree(before.as_ref(), Some(&tree), None)?;
            let patch = if diff.deltas().len() == 0 {
                None
            } else {
                Some(diff.patchid(None)?.to_string())
            };
            Ok((tree.id().to_string(), patch))
        };
        read().map(Some).map_err(object("read", id))
    }

    /// Whether there is a commit of that id.
    #[must_use]
    pub fn has_commit(&self, id: &str) -> bool {
        Oid::from_str(id).is_ok_and(|id| self.opened.find_commit(id).is_ok())
    }

    /// The parents of a commit.
    ///
    /// # Errors
    /// When the commit cannot be read.
    pub fn parents(&self, id: &str) -> Result<Vec<String>> {
        let commit = Oid::from_str(id)
            .and_then(|id| self.opened.find_commit(id))
            .map_err(object("read", id))?;
        Ok(commit.parent_ids().map(|id| id.to_string()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Fixture;
    use super::*;

    const NAME: &str = "refs/spectask/sessions/7-x/01-y";

    fn loose(fixture: &Fixture) -> usize {
        let text = fixture.git(fixture.repo_dir(), &["count-objects", "-v"]);
        let count = text.lines().find_map(|line| line.strip_prefix("count: "));
        count.unwrap().parse().unwrap()
    }

    /// Appends to a document, adds a file in a folder, commits; `times` times.
    fn record(ledger: &mut Ledger, from: usize, times: usize, each: bool) -> String {
        let mut tip = ledger.tip(NAME).unwrap();
        let mut shown = tip.clone();
        let mut folder = match &tip {
            Some(tip) => ledger.folder(tip).unwrap(),
            None => Folder::default(),
        };
        for number in from..from + times {
            let mut text = ledger
                .read(&mut folder, "log.md")
                .unwrap()
                .unwrap_or_default();
            text.extend_from_slice(format!("line {number} of what was said\n").as_bytes());
            ledger.put(&mut folder, NAME, "log.md", text).unwrap();
            let path = format!("turns/{:02}/{number:04}.json", number / 100);
            let content = format!("{{\"number\":{number}}}").into_bytes();
            ledger.put(&mut folder, NAME, &path, content).unwrap();
            let entry = Entry {
                parent: tip.as_deref(),
                message: "Turn\n\nEvent: 1\n",
                at: 1_700_000_000 + number as i64,
            };
            tip = Some(ledger.commit(&mut folder, NAME, entry).unwrap());
            if each {
                ledger.write().unwrap();
                let new = tip.as_deref().unwrap();
                ledger.move_ref(NAME, new, shown.as_deref()).unwrap();
                shown.clone_from(&tip);
            }
        }
        ledger.write().unwrap();
        let tip = tip.unwrap();
        if !each {
            ledger.move_ref(NAME, &tip, shown.as_deref()).unwrap();
        }
        tip
    }

    #[test]
    fn commits_are_the_same_however_they_are_written() {
        let tips: Vec<String> = [true, false]
            .into_iter()
            .map(|each| {
                let fixture = Fixture::new();
                let before = loose(&fixture);
                let repository = fixture.repository();
                let mut ledger = Ledger::open(&repository).unwrap();
                record(&mut ledger, 1, 120, each);
                assert_eq!(loose(&fixture) > before, each);
                for round in 1..10 {
                    ledger.consolidate(1).unwrap();
                    assert_eq!(loose(&fixture), before);
                    ledger = Ledger::open(&repository).unwrap();
                    record(&mut ledger, 120 * round + 1, 3, true);
                }
                ledger.consolidate(1).unwrap();
                let packs = pack::ours(&ledger.pack_folder()).len();
                assert!(packs < PACKS_AT_MOST, "{packs}");
                fixture.git(fixture.repo_dir(), &["fsck", "--strict", "--full"]);
                fixture.git(fixture.repo_dir(), &["gc", "-q", "--prune=now"]);
                fixture.git(fixture.repo_dir(), &["fsck", "--strict", "--full"]);
                Ledger::open(&repository)
                    .unwrap()
                    .tip(NAME)
                    .unwrap()
                    .unwrap()
            })
            .collect();
        assert_eq!(tips[0], tips[1]);
    }

    const PACKS_AT_MOST: usize = 8;

    #[test]
    fn versions_of_what_grows_cost_little() {
        let fixture = Fixture::new();
        let mut ledger = Ledger::open(&fixture.repository()).unwrap();
        record(&mut ledger, 1, 1000, false);
        let size: u64 = pack::ours(&ledger.pack_folder())
            .iter()
            .map(|(_, size)| size)
            .sum();
        // A thousand versions of a text of up to 30 KB, and of three folders.
        assert!(size < 600_000, "{size}");
    }
}
