//! Keeps recorded history small: loose objects of ours go into a pack, small packs of ours into one.
//! `git gc` is never run, and nothing of the user's is touched.

use std::collections::HashSet;
use std::fs;
use std::path::PathBuf;

use git2::{ObjectType, Oid};

use super::error::object;
use super::ledger::Ledger;
use super::pack::{self, Packed};
use super::{RepoError, Result};

/// A pack is joined with others until it has this size, in bytes.
const JOINED: u64 = 8 << 20;

/// So many small packs are joined.
const PACKS: usize = 8;

/// Where history lies.
const HISTORY: &[&str] = &["refs/spectask/sessions/", "refs/spectask/tasks/"];

impl Ledger {
    /// Packs the loose objects of recorded history, when there are at least `least`, and removes
    /// them when they are known to be in the pack. Returns how many.
    ///
    /// # Errors
    /// When the repository cannot be written; nothing is lost then.
    pub fn consolidate(&self, least: usize) -> Result<usize> {
        let found = self.loose_objects()?;
        if found.is_empty() || found.len() < least {
            return Ok(0);
        }
        let folder = self.pack_folder();
        let file = pack::write(&folder, &found)?;
        let packed: HashSet<Oid> = pack::ids(&file)?.into_iter().collect();
        let mut removed = 0;
        for object in &found {
            let loose = self.loose_file(object.id);
            if packed.contains(&object.id) {
                pack::make_writable(&loose);
                removed += usize::from(fs::remove_file(loose).is_ok());
            }
        }
        self.join_packs()?;
        Ok(removed)
    }

    fn join_packs(&self) -> Result<()> {
        let folder = self.pack_folder();
        let small: Vec<PathBuf> = pack::ours(&folder)
            .into_iter()
            .filter(|(_, size)| *size < JOINED)
            .map(|(pack, _)| pack)
            .collect();
        if small.len() < PACKS {
            return Ok(());
        }
        let joined = pack::join(&folder, &small)?;
        let there: HashSet<Oid> = pack::ids(&joined)?.into_iter().collect();
        for old in small.iter().filter(|old| **old != joined) {
            if pack::ids(old)?.iter().all(|id| there.contains(id)) {
                pack::remove(old);
            }
        }
        Ok(())
    }

    fn loose_file(&self, id: Oid) -> PathBuf {
        let id = id.to_string();
        let objects = self.repository.common_dir().join("objects");
        objects.join(&id[..2]).join(&id[2..])
    }

    /// Loose objects of the newest commits of every ref, back to the first commit that is not loose:
    /// a pack holds everything before it.
    fn loose_objects(&self) -> Result<Vec<Packed>> {
        let mut found = Found {
            ledger: self,
            seen: HashSet::new(),
            objects: Vec::new(),
        };
        for start in HISTORY {
            for name in self.refs(start)? {
                let Some(tip) = self.tip(&name)? else {
                    continue;
                };
                let mut commits = Vec::new();
                let mut next = Oid::from_str(&tip).ok();
                while let Some(id) = next {
                    if found.seen.contains(&id) || !self.loose_file(id).exists() {
                        break;
                    }
                    commits.push(id);
                    next = self
                        .opened
                        .find_commit(id)
                        .map_err(object("read", id.to_string()))?
                        .parent_id(0)
                        .ok();
                }
                for id in commits.into_iter().rev() {
                    found.commit(&name, id)?;
                }
            }
        }
        Ok(found.objects)
    }
}

struct Found<'a> {
    ledger: &'a Ledger,
    seen: HashSet<Oid>,
    objects: Vec<Packed>,
}

impl Found<'_> {
    fn commit(&mut self, name: &str, id: Oid) -> Result<()> {
        let opened = &self.ledger.opened;
        let read = |error| object("read", id.to_string())(error);
        let commit = opened.find_commit(id).map_err(read)?;
        let before = match commit.parent_id(0) {
            Ok(parent) => Some(opened.find_commit(parent).map_err(read)?.tree_id()),
            Err(_) => None,
        };
        self.tree(&format!("{name}:"), commit.tree_id(), before)?;
        self.take(id, ObjectType::Commit, name)
    }

    /// What is in a tree and not in the one before it.
    fn tree(&mut self, line: &str, id: Oid, before: Option<Oid>) -> Result<()> {
        if Some(id) == before {
            return Ok(());
        }
        let opened = &self.ledger.opened;
        let read = |error| object("read", id.to_string())(error);
        let tree = opened.find_tree(id).map_err(read)?;
        let before = before.and_then(|id| opened.find_tree(id).ok());
        for entry in &tree {
            let old = before
                .as_ref()
                .and_then(|tree| tree.get_name_bytes(entry.name_bytes()).map(|old| old.id()));
            if old == Some(entry.id()) {
                continue;
            }
            let name = String::from_utf8_lossy(entry.name_bytes());
            if entry.kind() == Some(ObjectType::Tree) {
                self.tree(&format!("{line}{name}/"), entry.id(), old)?;
            } else {
                self.take(entry.id(), ObjectType::Blob, &format!("{line}{name}"))?;
            }
        }
        self.take(id, ObjectType::Tree, line)
    }

    fn take(&mut self, id: Oid, kind: ObjectType, line: &str) -> Result<()> {
        if !self.seen.insert(id) || !self.ledger.loose_file(id).exists() {
            return Ok(());
        }
        let read = |error| -> RepoError { object("read", id.to_string())(error) };
        let odb = self.ledger.opened.odb().map_err(read)?;
        let data = odb.read(id).map_err(read)?.data().to_vec();
        let line = line.to_owned();
        self.objects.push(Packed {
            id,
            kind,
            data,
            line,
        });
        Ok(())
    }
}
