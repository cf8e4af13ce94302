//! Nothing is lost when a worktree goes: what is in no branch gets a ref with a name, first.

use std::path::Path;

use super::admin::Entry;
use super::git::Git;
use super::names::check_ref;
use super::{RepoError, Repository, Result};

/// Refs of one name that are tried before giving up: each keeps another state.
const NAMES: u32 = 1000;

/// A ref that keeps what would be lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saved {
    /// Its full name.
    pub name: String,
    /// The commit it is at.
    pub commit: String,
}

impl Repository {
    /// Removes a worktree after its uncommitted state, and its `HEAD` when no ref holds that, are kept
    /// under `name`; tells where, if there was anything to keep. Killed between any two steps, it is
    /// done by the next call.
    ///
    /// # Errors
    /// As [`Repository::remove_worktree`]; [`RepoError::RefMoved`] when what was kept is not there when
    /// it is looked for.
    pub fn retire_worktree(
        &self,
        path: &Path,
        name: &str,
        exclude: &[String],
    ) -> Result<Option<Saved>> {
        let entry = self.find_entry(path)?;
        let there = entry.is_some_and(|entry| entry.present() && !entry.initializing());
        let mut saved = None;
        if there {
            if let Some(commit) = self.save_wip(path, name, exclude)? {
                saved = Some(self.verified(name, &commit)?);
            }
            let head = self.head_of(path)?;
            if head.branch.is_none() && !self.is_named(&head.commit)? {
                saved = Some(self.keep_commit(name, &head.commit)?);
            }
        }
        match self.remove_worktree(path, Some(name), exclude)? {
            Some(commit) => Ok(Some(self.verified(name, &commit)?)),
            None => Ok(saved),
        }
    }

    /// Whether removing the worktree would lose something that has no name yet.
    ///
    /// # Errors
    /// When git cannot read the worktree.
    pub fn needs_saving(&self, path: &Path, exclude: &[String]) -> Result<bool> {
        self.refuse_inner_repositories(&self.entry(path)?)?;
        let changes = self.changes(path)?;
        if changes.iter().any(|change| !exclude.contains(&change.path)) {
            return Ok(true);
        }
        let head = self.head_of(path)?;
        Ok(head.branch.is_none() && !self.is_named(&head.commit)?)
    }

    /// Makes a ref under `refs/spectask/wip/…` hold a commit: this one, or the same name with a number
    /// when it holds another.
    ///
    /// # Errors
    /// When refs cannot be read or moved.
    pub fn keep_commit(&self, name: &str, commit: &str) -> Result<Saved> {
        let commit = self.resolve(commit)?;
        for number in 1..NAMES {
            let name = match number {
                1 => name.to_owned(),
                number => format!("{name}-{number}"),
            };
            let reason = "keep what no branch holds";
            match self.ref_target(&name)? {
                None => self.update_ref(&name, &commit, None, reason, &[])?,
                Some(at) if at == commit || self.is_ancestor(&commit, &at)? => {
                    return Ok(Saved { name, commit: at });
                }
                Some(at) if self.is_ancestor(&at, &commit)? => {
                    self.update_ref(&name, &commit, Some(&at), reason, &[])?;
                }
                Some(_) => continue,
            }
            return self.verified(&name, &commit);
        }
        Err(RepoError::InvalidName {
            what: "a ref",
            name: name.to_owned(),
            why: "too many refs have that name",
        })
    }

    /// Deletes a branch (name without `refs/heads/`) that one of these commits holds. Whether it did.
    ///
    /// # Errors
    /// As [`Repository::delete_ref`]; a branch that is checked out is not deleted.
    pub fn delete_merged_branch(&self, branch: &str, holders: &[String]) -> Result<bool> {
        let Some(tip) = self.branch_tip(branch)? else {
            return Ok(false);
        };
        for holder in holders {
            if self.is_ancestor(&tip, holder)? {
                self.delete_ref(&format!("refs/heads/{branch}"), &tip)?;
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Gives the `HEAD` of a worktree a ref when none holds it, before something else is checked out there.
    pub(super) fn keep_detached(&self, entry: &Entry) -> Result<()> {
        if entry.branch.is_some() {
            return Ok(());
        }
        let head = self.head_of(&entry.path)?.commit;
        if !self.is_named(&head)? {
            let folder = entry.path.file_name().unwrap_or_default();
            let name = format!("refs/spectask/wip/detached/{}", folder.to_string_lossy());
            let name = check_ref(&name).map_or("refs/spectask/wip/detached/head", |()| &name);
            self.keep_commit(name, &head)?;
        }
        Ok(())
    }

    /// Whether a ref holds a commit.
    fn is_named(&self, commit: &str) -> Result<bool> {
        let found = Git::read(&self.environment, self.root(), "look for", commit)
            .args(["for-each-ref", "--count=1", "--contains", commit])
            .run()?;
        Ok(!found.is_empty())
    }

    /// Reads back what was kept.
    fn verified(&self, name: &str, commit: &str) -> Result<Saved> {
        let found = self.ref_target(name)?;
        if found.as_deref() != Some(commit) || self.resolve(commit)? != commit {
            return Err(RepoError::RefMoved {
                name: name.to_owned(),
                expected: Some(commit.to_owned()),
                found,
            });
        }
        Ok(Saved {
            name: name.to_owned(),
            commit: commit.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use super::super::WorktreeAt;
    use super::super::testing::Fixture;
    use super::*;

    const WIP: &str = "refs/spectask/wip/7-x/01-a";

    fn worktree(fixture: &Fixture, repository: &Repository, name: &str) -> PathBuf {
        let path = fixture.dir().join(name);
        let at = WorktreeAt::Detached {
            commit: repository.head().unwrap().commit,
        };
        repository.add_worktree(&path, &at).unwrap();
        path
    }

    #[test]
    fn what_is_in_no_branch_gets_a_name() {
        let fixture = Fixture::new();
        let repository = fixture.repository();
        // Nothing to save.
        let path = worktree(&fixture, &repository, "clean");
        assert!(!repository.needs_saving(&path, &[]).unwrap());
        assert_eq!(repository.retire_worktree(&path, WIP, &[]).unwrap(), None);
        assert!(!path.exists());
        // A commit that only HEAD holds.
        let path = worktree(&fixture, &repository, "ahead");
        fs::write(path.join("new.txt"), "committed\n").unwrap();
        fixture.git(&path, &["add", "."]);
        fixture.git(&path, &["commit", "-qm", "alone"]);
        let alone = repository.head_of(&path).unwrap().commit;
        assert!(repository.needs_saving(&path, &[]).unwrap());
        let saved = repository
            .retire_worktree(&path, WIP, &[])
            .unwrap()
            .unwrap();
        assert_eq!((saved.name.as_str(), &saved.commit), (WIP, &alone));
        assert!(!path.exists());
        // Both, beside what was saved under that name before.
        let path = worktree(&fixture, &repository, "both");
        fs::write(path.join("new.txt"), "other\n").unwrap();
        fixture.git(&path, &["add", "."]);
        fixture.git(&path, &["commit", "-qm", "other"]);
        let other = repository.head_of(&path).unwrap().commit;
        fs::write(path.join("README.md"), "changed\n").unwrap();
        fs::write(path.join("untracked"), "u\n").unwrap();
        fs::write(path.join(".env"), "KEY=1\n").unwrap();
        let secret = [".env".to_owned()];
        let saved = repository
            .retire_worktree(&path, WIP, &secret)
            .unwrap()
            .unwrap();
        assert_eq!(saved.name, WIP);
        let file = |path: &str| repository.read_file(&saved.commit, path).unwrap();
        assert_eq!(file("README.md").unwrap(), b"changed\n");
        assert_eq!(file("untracked").unwrap(), b"u\n");
        assert_eq!(file(".env"), None);
        for earlier in [&alone, &other] {
            assert!(repository.is_ancestor(earlier, &saved.commit).unwrap());
        }
        // Gone already.
        assert_eq!(repository.retire_worktree(&path, WIP, &[]).unwrap(), None);
        repository.fsck().unwrap();
    }

    #[test]
    fn a_crash_between_saving_and_removing_costs_nothing() {
        let fixture = Fixture::new();
        let repository = fixture.repository();
        let path = worktree(&fixture, &repository, "w");
        fs::write(path.join("README.md"), "changed\n").unwrap();
        let first = repository.save_wip(&path, WIP, &[]).unwrap().unwrap();
        // Killed here, any number of times.
        for _ in 0..3 {
            let again = repository.save_wip(&path, WIP, &[]).unwrap().unwrap();
            assert_eq!(again, first);
        }
        let saved = repository
            .retire_worktree(&path, WIP, &[])
            .unwrap()
            .unwrap();
        assert_eq!(saved.commit, first);
        // Killed while the folder was being removed: git still knows it.
        let path = worktree(&fixture, &repository, "half");
        fs::remove_dir_all(&path).unwrap();
        assert_eq!(repository.retire_worktree(&path, WIP, &[]).unwrap(), None);
        assert_eq!(repository.ref_target(WIP).unwrap(), Some(first));
        assert_eq!(repository.worktrees().unwrap().len(), 1);
    }

    #[test]
    fn another_state_of_the_same_name_gets_a_number() {
        let fixture = Fixture::new();
        let repository = fixture.repository();
        let base = repository.head().unwrap().commit;
        let commit = |text: &str| {
            let files = [("f".to_owned(), text.as_bytes().to_vec())];
            let message = super::super::CommitMessage::new(text);
            let author = super::super::Author::User;
            repository
                .commit_files(&base, &files, &message, &author)
                .unwrap()
        };
        let (a, b) = (commit("a"), commit("b"));
        assert_eq!(repository.keep_commit(WIP, &base).unwrap().name, WIP);
        assert_eq!(repository.keep_commit(WIP, &a).unwrap().name, WIP);
        assert_eq!(repository.keep_commit(WIP, &a).unwrap().commit, a);
        assert_eq!(repository.keep_commit(WIP, &base).unwrap().commit, a);
        let second = repository.keep_commit(WIP, &b).unwrap();
        assert_eq!(second.name, format!("{WIP}-2"));
        assert_eq!(repository.keep_commit(WIP, &b).unwrap(), second);
        assert_eq!(repository.ref_target(WIP).unwrap(), Some(a));
    }

    #[test]
    fn only_what_is_merged_is_deleted() {
        let fixture = Fixture::new();
        let repository = fixture.repository();
        let base = repository.head().unwrap().commit;
        fixture.git(fixture.repo_dir(), &["branch", "spectask/7-x/01-a"]);
        let ahead = fixture.commit("ahead", &[("x", "y")]);
        fixture.git(fixture.repo_dir(), &["branch", "spectask/7-x/02-b"]);
        let delete = |branch: &str, holders: &[&String]| {
            let holders: Vec<String> = holders.iter().map(|holder| (*holder).clone()).collect();
            repository.delete_merged_branch(branch, &holders).unwrap()
        };
        assert!(!delete("spectask/7-x/02-b", &[&base]));
        assert!(!delete("spectask/7-x/02-b", &[]));
        assert!(delete("spectask/7-x/01-a", &[&base]));
        assert!(!delete("spectask/7-x/01-a", &[&base]));
        assert!(delete("spectask/7-x/02-b", &[&base, &ahead]));
        // One that somebody looks at stays.
        let error = repository
            .delete_merged_branch("main", &[ahead])
            .unwrap_err();
        assert!(matches!(error, RepoError::CheckedOut { .. }), "{error}");
    }
}
