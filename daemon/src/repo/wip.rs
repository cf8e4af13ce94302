//! Uncommitted work, looked at and saved through an index of its own, so that nobody's index changes.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::admin::Entry;
use super::changes::parse_status;
use super::commit::{Staging, stage};
use super::error::{io, object};
use super::git::Git;
use super::lock::WorktreeLock;
use super::names::check_ref;
use super::repository::{head, open};
use super::{Author, ChangeKind, RepoError, Repository, Result};

impl Repository {
    /// Commits the uncommitted state of a worktree (tracked and untracked files, without what is
    /// ignored and without `exclude`) to a ref such as `refs/spectask/wip/…`, and gives the commit;
    /// `None` when there is nothing to save. Index, branch and files of the worktree stay as they
    /// are. A ref that exists becomes the second parent; one that holds just that state stays.
    ///
    /// # Errors
    /// When git cannot read the worktree or write the commit.
    pub fn save_wip(
        &self,
        worktree: &Path,
        name: &str,
        exclude: &[String],
    ) -> Result<Option<String>> {
        let lock = WorktreeLock::beside(worktree)?;
        let entry = self.entry(worktree)?;
        self.save_wip_of(&lock, &entry, name, exclude)
    }

    /// Does so for a caller that holds the lock.
    pub(super) fn save_wip_of(
        &self,
        lock: &WorktreeLock,
        entry: &Entry,
        name: &str,
        exclude: &[String],
    ) -> Result<Option<String>> {
        check_ref(name)?;
        let head = head(&open(&entry.path)?, &entry.path)?;
        let (_folder, index) = self.private_index(entry, &head.commit)?;
        let staging = Staging {
            environment: &self.environment,
            dir: &entry.path,
            index: Some(&index),
            lock: Some(lock),
        };
        stage(&staging, exclude, &self.changes(&entry.path)?)?;
        let subject = entry.path.display().to_string();
        let tree = staging
            .git("save the changes in", &subject)
            .arg("write-tree")
            .run()?;
        let opened = self.open()?;
        let about = || format!("the state of {subject}");
        let tree = git2::Oid::from_str(String::from_utf8_lossy(&tree).trim())
            .and_then(|id| opened.find_tree(id))
            .map_err(object("save", about()))?;
        let parent = git2::Oid::from_str(&head.commit)
            .and_then(|id| opened.find_commit(id))
            .map_err(object("save", about()))?;
        if parent.tree_id() == tree.id() {
            return Ok(None);
        }
        let before = self.ref_target(name)?;
        let earlier = before
            .as_deref()
            .map(|id| git2::Oid::from_str(id).and_then(|id| opened.find_commit(id)))
            .transpose()
            .map_err(object("save", about()))?;
        // Saved before, by a command that was killed before it went on.
        if let Some(earlier) = &earlier
            && earlier.tree_id() == tree.id()
            && earlier.parent_id(0).is_ok_and(|first| first == parent.id())
        {
            return Ok(Some(earlier.id().to_string()));
        }
        let mut parents = vec![&parent];
        parents.extend(earlier.as_ref());
        let signature = self.signature(&Author::User)?;
        let place = head.branch.as_deref().unwrap_or("no branch");
        let message = format!("Uncommitted work on {place} at {}\n", head.commit);
        let commit = opened
            .commit(None, &signature, &signature, &message, &tree, &parents)
            .map_err(object("save", about()))?
            .to_string();
        self.update_ref(
            name,
            &commit,
            before.as_deref(),
            "save uncommitted work",
            &[],
        )?;
        Ok(Some(commit))
    }

    /// Refuses a folder that holds files which `commit` does not have in that form.
    pub(super) fn refuse_unknown_files(&self, path: &Path, commit: &str) -> Result<()> {
        let in_the_way = |why: String| RepoError::InTheWay {
            path: path.to_path_buf(),
            why,
        };
        if !path.is_dir() {
            return Err(in_the_way("it is a file".to_owned()));
        }
        let mut content = fs::read_dir(path).map_err(io("read", path))?;
        if content.next().is_none() {
            return Ok(());
        }
        if path.join(".git").is_dir() {
            return Err(in_the_way("it is another repository".to_owned()));
        }
        let folder = tempfile::tempdir().map_err(io("make a folder in", std::env::temp_dir()))?;
        let index = folder.path().join("index");
        let subject = path.display().to_string();
        let git = || {
            Git::write(&self.environment, path, "look at", &subject)
                .variable("GIT_DIR", self.common_dir())
                .variable("GIT_WORK_TREE", path)
                .variable("GIT_INDEX_FILE", &index)
        };
        git().args(["read-tree", commit]).run()?;
        let status = git()
            .args([
                "status",
                "--porcelain=v2",
                "-z",
                "--untracked-files=all",
                "--no-renames",
            ])
            .arg("--ignore-submodules=all")
            .run()?;
        // Against HEAD of the main worktree the index differs; only the worktree column counts.
        let unknown: Vec<String> = parse_status(&status)
            .into_iter()
            .filter(|found| found.in_worktree && found.change.kind != ChangeKind::Deleted)
            .map(|found| found.change.path)
            .collect();
        match unknown.first() {
            None => Ok(()),
            Some(first) => Err(in_the_way(format!(
                "it holds {} files that are in no commit, such as {first}",
                unknown.len()
            ))),
        }
    }

    /// A copy of the worktree's index; a fresh one of `commit` when it has none.
    fn private_index(&self, entry: &Entry, commit: &str) -> Result<(TempDir, std::path::PathBuf)> {
        let folder = tempfile::tempdir().map_err(io("make a folder in", std::env::temp_dir()))?;
        let index = folder.path().join("index");
        match fs::copy(entry.admin.join("index"), &index) {
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Git::write(&self.environment, &entry.path, "read", commit)
                    .variable("GIT_INDEX_FILE", &index)
                    .args(["read-tree", commit])
                    .run()?;
            }
            Err(error) => return Err(io("copy", entry.admin.join("index"))(error)),
        }
        Ok((folder, index))
    }
}
