//! A merge in a worktree, for someone to resolve there, and the marks it leaves.

use std::{fs, path::Path};

use super::git::Git;
use super::names::branch_ref;
use super::{ChangeKind, Repository, Result};

/// A larger file is not looked through for marks.
const LOOK_LIMIT: u64 = 8 << 20;

impl Repository {
    /// Merges a commit into the branch of a worktree, with the `git` program, so that conflicts are
    /// marked in its files. Returns the files that have conflicts; then the merge is under way and
    /// [`Repository::commit_all`] concludes it. Without conflicts the merge is committed.
    ///
    /// # Errors
    /// When the worktree is dirty, or git refuses for another reason than conflicts.
    pub fn merge_into_worktree(&self, worktree: &Path, commit: &str) -> Result<Vec<String>> {
        let commit = self.resolve(commit)?;
        let entry = self.entry(worktree)?;
        let lock = self.lock_of(&entry)?;
        let (name, email) = self.identity()?;
        let answer = Git::write(&self.environment, &entry.path, "merge", &commit)
            .holding(lock.as_ref())
            .variable("GIT_AUTHOR_NAME", &name)
            .variable("GIT_AUTHOR_EMAIL", &email)
            .variable("GIT_COMMITTER_NAME", &name)
            .variable("GIT_COMMITTER_EMAIL", &email)
            .args([
                "merge",
                "--no-edit",
                "--no-ff",
                "--no-gpg-sign",
                "-q",
                &commit,
            ])
            .answer()?;
        if answer.code == Some(0) {
            return Ok(Vec::new());
        }
        let conflicted = self.conflicted(worktree)?;
        if conflicted.is_empty() {
            return Err(answer.into_error("merge", commit));
        }
        Ok(conflicted)
    }

    /// Files of a worktree in which a merge left conflicts that still have their marks.
    ///
    /// # Errors
    /// When git cannot read the worktree.
    pub fn conflict_markers(&self, worktree: &Path) -> Result<Vec<String>> {
        let marked = |path: &String| {
            let path = worktree.join(path);
            match fs::symlink_metadata(&path) {
                Ok(about) if about.is_file() && about.len() <= LOOK_LIMIT => fs::read(&path)
                    .is_ok_and(|content| {
                        let text = String::from_utf8_lossy(&content);
                        text.lines().any(|line| line.starts_with("<<<<<<< "))
                    }),
                _ => false,
            }
        };
        let mut paths: Vec<String> = self
            .changes(worktree)?
            .into_iter()
            .map(|c| c.path)
            .collect();
        paths.retain(marked);
        Ok(paths)
    }

    /// Names of the branches below a prefix such as `specs/`, sorted.
    ///
    /// # Errors
    /// When git cannot list refs.
    pub fn branches(&self, prefix: &str) -> Result<Vec<String>> {
        let pattern = branch_ref(prefix.trim_end_matches('/'))?;
        let output = Git::read(&self.environment, self.root(), "list", prefix)
            .args([
                "for-each-ref",
                "--format=%(refname)",
                "--end-of-options",
                &pattern,
            ])
            .run()?;
        let text = String::from_utf8_lossy(&output);
        Ok(text
            .lines()
            .filter_map(|name| name.strip_prefix("refs/heads/"))
            .map(str::to_owned)
            .collect())
    }

    fn conflicted(&self, worktree: &Path) -> Result<Vec<String>> {
        Ok(self
            .changes(worktree)?
            .into_iter()
            .filter(|change| change.kind == ChangeKind::Conflicted)
            .map(|change| change.path)
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Fixture;
    use super::*;

    #[test]
    fn a_merge_needs_no_name_of_the_user() {
        let fixture = Fixture::without_identity();
        let user = ["-c", "user.name=A", "-c", "user.email=a@example.com"];
        let worktree = fixture.worktree("w");
        for (dir, name) in [(worktree.as_path(), "a"), (fixture.repo_dir(), "b")] {
            fs::write(dir.join(name), "x").unwrap();
            fixture.git(dir, &["add", name]);
            fixture.git(dir, &[&user[..], &["commit", "-qm", "x"]].concat());
        }
        let repository = fixture.repository();
        let commit = repository.head().unwrap().commit;
        let files = repository.merge_into_worktree(&worktree, &commit).unwrap();
        assert!(files.is_empty());
        let merged = repository.head_of(&worktree).unwrap().commit;
        assert!(repository.is_ancestor(&commit, &merged).unwrap());
        let elsewhere = repository.merge_into_worktree(fixture.dir(), &commit);
        assert!(elsewhere.is_err());
    }
}
