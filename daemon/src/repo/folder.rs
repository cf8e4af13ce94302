//! A tree of files in memory: read from git folder by folder where it is looked at, written back
//! where it was changed.

use std::collections::BTreeMap;

use git2::{ObjectType, Oid};

use super::error::object;
use super::ledger::Objects;
use super::names::check_tree_path;
use super::{RepoError, Result};

enum Node {
    Blob(Oid),
    /// A folder that was not looked at.
    Closed(Oid),
    Open(Box<Folder>),
}

/// A folder of a commit that is being made.
#[derive(Default)]
pub struct Folder {
    /// By name; the name of a folder ends with `/`, which gives git's order.
    entries: BTreeMap<String, Node>,
    /// Its id, when nothing was changed since it was read or written.
    id: Option<Oid>,
}

impl Folder {
    /// Reads the folder of a tree.
    pub(super) fn read(opened: &git2::Repository, id: Oid) -> Result<Self> {
        let tree = opened
            .find_tree(id)
            .map_err(object("read", id.to_string()))?;
        let mut entries = BTreeMap::new();
        for entry in &tree {
            let name = String::from_utf8_lossy(entry.name_bytes()).into_owned();
            match entry.kind() {
                Some(ObjectType::Tree) => {
                    entries.insert(format!("{name}/"), Node::Closed(entry.id()));
                }
                _ => {
                    entries.insert(name, Node::Blob(entry.id()));
                }
            }
        }
        Ok(Self {
            entries,
            id: Some(id),
        })
    }

    /// The file at a path.
    pub(super) fn get(&mut self, opened: &git2::Repository, path: &str) -> Result<Option<Oid>> {
        match path.split_once('/') {
            None => Ok(match self.entries.get(path) {
                Some(Node::Blob(id)) => Some(*id),
                _ => None,
            }),
            Some((folder, rest)) => match self.open(opened, folder)? {
                Some(inner) => inner.get(opened, rest),
                None => Ok(None),
            },
        }
    }

    fn open(&mut self, opened: &git2::Repository, name: &str) -> Result<Option<&mut Self>> {
        let Some(node) = self.entries.get_mut(&format!("{name}/")) else {
            return Ok(None);
        };
        if let Node::Closed(id) = node {
            *node = Node::Open(Box::new(Self::read(opened, *id)?));
        }
        Ok(match node {
            Node::Open(folder) => Some(folder),
            _ => None,
        })
    }

    /// Puts a file at a path, over what is there.
    ///
    /// # Errors
    /// [`RepoError::InvalidPath`] for a path that leaves the tree; when a folder cannot be read.
    pub(super) fn put(&mut self, opened: &git2::Repository, path: &str, id: Oid) -> Result<()> {
        check_tree_path(path)?;
        self.put_checked(opened, path, id)
    }

    fn put_checked(&mut self, opened: &git2::Repository, path: &str, id: Oid) -> Result<()> {
        self.id = None;
        match path.split_once('/') {
            None => {
                self.entries.remove(&format!("{path}/"));
                self.entries.insert(path.to_owned(), Node::Blob(id));
                Ok(())
            }
            Some((folder, rest)) => {
                self.entries.remove(folder);
                if self.open(opened, folder)?.is_none() {
                    let new = Node::Open(Box::default());
                    self.entries.insert(format!("{folder}/"), new);
                }
                match self.open(opened, folder)? {
                    Some(inner) => inner.put_checked(opened, rest, id),
                    None => Err(RepoError::InvalidPath {
                        path: path.to_owned(),
                        why: "a folder of it cannot be made",
                    }),
                }
            }
        }
    }

    /// Adds the trees that were changed to the objects; `line` names this folder over its versions.
    pub(super) fn write(&mut self, objects: &mut Objects, line: &str) -> Oid {
        if let Some(id) = self.id {
            return id;
        }
        let mut tree = Vec::with_capacity(self.entries.len() * 48);
        for (name, node) in &mut self.entries {
            let (mode, id) = match node {
                Node::Blob(id) => ("100644", *id),
                Node::Closed(id) => ("40000", *id),
                Node::Open(folder) => ("40000", folder.write(objects, &format!("{line}{name}"))),
            };
            tree.extend_from_slice(mode.as_bytes());
            tree.push(b' ');
            tree.extend_from_slice(name.trim_end_matches('/').as_bytes());
            tree.push(0);
            tree.extend_from_slice(id.as_bytes());
        }
        let id = objects.add(ObjectType::Tree, tree, line);
        self.id = Some(id);
        id
    }
}
