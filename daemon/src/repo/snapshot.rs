//! All refs before and after somebody worked, to see who moved what.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::error::object;
use super::{Repository, Result};

/// Key of the whole stash, which is a reflog and not only `refs/stash`.
const STASH: &str = "stash entries";

/// Where every ref, `HEAD` of the main worktree and the stash stood.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefSnapshot {
    refs: BTreeMap<String, String>,
}

/// A ref that is not where it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefChange {
    /// Full name; also `HEAD` and `stash entries`.
    pub name: String,
    /// A commit or other object, or `ref: ` and a name; `None` when it did not exist.
    pub before: Option<String>,
    /// The same for afterwards.
    pub after: Option<String>,
}

impl Repository {
    /// Notes where all refs, `HEAD` of the main worktree and the stash stand.
    ///
    /// # Errors
    /// When refs cannot be read.
    pub fn snapshot(&self) -> Result<RefSnapshot> {
        let opened = self.open()?;
        let about = || self.root().display().to_string();
        let mut refs = BTreeMap::new();
        let value = |reference: &git2::Reference<'_>| match reference.target() {
            Some(id) => id.to_string(),
            None => format!(
                "ref: {}",
                String::from_utf8_lossy(reference.symbolic_target_bytes().unwrap_or_default())
            ),
        };
        for reference in opened
            .references()
            .map_err(object("read the refs of", about()))?
        {
            match reference {
                Ok(reference) => {
                    let name = String::from_utf8_lossy(reference.name_bytes()).into_owned();
                    refs.insert(name, value(&reference));
                }
                // Deleted between listing and reading.
                Err(error) if error.code() == git2::ErrorCode::NotFound => {}
                Err(error) => return Err(object("read the refs of", about())(error)),
            }
        }
        if let Ok(head) = opened.find_reference("HEAD") {
            refs.insert("HEAD".to_owned(), value(&head));
        }
        if let Ok(stash) = fs::read(self.common_dir().join("logs/refs/stash"))
            && !stash.is_empty()
        {
            let digest = Sha256::digest(&stash);
            let count = stash.iter().filter(|byte| **byte == b'\n').count();
            refs.insert(
                STASH.to_owned(),
                format!(
                    "{count} ({:02x}{:02x}{:02x}{:02x})",
                    digest[0], digest[1], digest[2], digest[3]
                ),
            );
        }
        Ok(RefSnapshot { refs })
    }
}

impl RefSnapshot {
    /// What differs in `later` but is not `allowed` (asked with the full name), sorted by name.
    #[must_use]
    pub fn foreign_changes(&self, later: &Self, allowed: &dyn Fn(&str) -> bool) -> Vec<RefChange> {
        let names: BTreeSet<&String> = self.refs.keys().chain(later.refs.keys()).collect();
        names
            .into_iter()
            .filter(|name| self.refs.get(*name) != later.refs.get(*name) && !allowed(name))
            .map(|name| RefChange {
                name: name.clone(),
                before: self.refs.get(name).cloned(),
                after: later.refs.get(name).cloned(),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::testing::Fixture;

    #[test]
    fn what_an_agent_does_to_refs_head_and_stash_is_seen() {
        let fixture = Fixture::new();
        let repository = fixture.repository();
        let user = fixture.repo_dir();
        fixture.git(user, &["branch", "victim"]);
        fixture.git(user, &["tag", "v1"]);
        for text in ["one", "two"] {
            fs::write(user.join("README.md"), text).unwrap();
            fixture.git(user, &["stash", "-q"]);
        }
        let worktree = fixture.branch_worktree("w", "spectask/7-x/01-a");
        let before = repository.snapshot().unwrap();
        assert_eq!(
            before.foreign_changes(&repository.snapshot().unwrap(), &|_| false),
            []
        );

        fs::write(worktree.join("x"), "x").unwrap();
        fixture.git(&worktree, &["add", "x"]);
        fixture.git(&worktree, &["commit", "-qm", "own work"]);
        fixture.git(&worktree, &["branch", "-f", "victim", "HEAD"]);
        fixture.git(&worktree, &["tag", "-d", "v1"]);
        fixture.git(&worktree, &["stash", "drop", "-q", "stash@{1}"]);
        fixture.git(&worktree, &["update-ref", "refs/spectask/wip/x", "HEAD"]);
        fixture.git(user, &["checkout", "-q", "-b", "elsewhere"]);
        let after = repository.snapshot().unwrap();
        let changes =
            before.foreign_changes(&after, &|name| name.starts_with("refs/heads/spectask/7-x/"));
        let names: Vec<_> = changes.iter().map(|change| change.name.as_str()).collect();
        assert_eq!(
            names,
            [
                "HEAD",
                "refs/heads/elsewhere",
                "refs/heads/victim",
                "refs/spectask/wip/x",
                "refs/tags/v1",
                "stash entries"
            ]
        );
        assert_eq!(changes[0].before.as_deref(), Some("ref: refs/heads/main"));
        assert_eq!(changes[4].after, None);
    }
}
