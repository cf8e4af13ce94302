//! What is changed in a worktree, and putting paths back.

use std::collections::BTreeSet;
use std::path::Path;

use super::git::Git;
use super::names::check_tree_path;
use super::{Repository, Result};

/// How a file differs from the commit checked out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ChangeKind {
    /// New and staged.
    Added,
    /// Other content, mode or type.
    Modified,
    /// Gone.
    Deleted,
    /// New, unknown to git and not ignored.
    Untracked,
    /// Left unmerged by a conflict.
    Conflicted,
    /// An untracked folder that is a repository of its own; it is never committed.
    InnerRepository,
}

/// One changed file of a worktree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Path relative to the worktree, `/` between its parts; what is not UTF-8 is replaced.
    pub path: String,
    /// What happened to it.
    pub kind: ChangeKind,
}

/// A line of `git status`.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) change: Change,
    /// Whether the file differs from the index, not only the index from the commit.
    pub(super) in_worktree: bool,
}

impl Repository {
    /// What differs in a worktree from its `HEAD`, untracked files included, ignored ones not.
    /// A renamed file is a deleted and a new one.
    ///
    /// # Errors
    /// [`RepoError::WorktreeDamaged`](super::RepoError::WorktreeDamaged), or when git fails.
    pub fn changes(&self, worktree: &Path) -> Result<Vec<Change>> {
        let entry = self.entry(worktree)?;
        let subject = entry.path.display().to_string();
        let status = Git::read(
            &self.environment,
            &entry.path,
            "look at the changes in",
            subject,
        )
        .args([
            "status",
            "--porcelain=v2",
            "-z",
            "--untracked-files=all",
            "--no-renames",
        ])
        .run()?;
        Ok(parse_status(&status)
            .into_iter()
            .map(|found| found.change)
            .collect())
    }

    /// Puts paths (files or folders) of a worktree and its index back to what they are at
    /// `commit`; files that are not in it are removed, ignored ones too. Returns the files that
    /// were put back. Neither `HEAD` nor any branch moves.
    ///
    /// # Errors
    /// [`RepoError::InvalidPath`](super::RepoError::InvalidPath) for a path that leaves the
    /// worktree; otherwise when git fails, with part of the paths put back.
    pub fn restore(&self, worktree: &Path, paths: &[&str], commit: &str) -> Result<Vec<String>> {
        let entry = self.entry(worktree)?;
        let lock = self.lock_of(&entry)?;
        let commit = self.resolve(commit)?;
        let mut restored = BTreeSet::new();
        for path in paths {
            check_tree_path(path)?;
            let read = |args: &[&str]| {
                Git::read(&self.environment, &entry.path, "look at", *path)
                    .literal()
                    .args(args)
                    .args(["--", path])
                    .run()
                    .map(|output| split(&output))
            };
            let differing = read(&["diff", "--name-only", "--no-renames", "-z", &commit])?;
            let staged = read(&[
                "diff",
                "--cached",
                "--name-only",
                "--no-renames",
                "-z",
                &commit,
            ])?;
            let unknown = read(&["ls-files", "--others", "-z"])?;
            let tracked = !differing.is_empty() || !staged.is_empty();
            let write = || {
                Git::write(&self.environment, &entry.path, "put back", *path)
                    .holding(lock.as_ref())
                    .literal()
            };
            // Cleaned first: a folder where a file was, or a link, would stand in its way.
            if !unknown.is_empty() {
                write().args(["clean", "-q", "-ffdx", "--", path]).run()?;
            }
            if tracked {
                write()
                    .args(["restore", "--staged", "--worktree", "--ignore-unmerged"])
                    .args(["--source", &commit, "--", path])
                    .run()?;
            }
            restored.extend(differing.into_iter().chain(staged).chain(unknown));
        }
        Ok(restored.into_iter().collect())
    }

    /// Puts a whole worktree back to its `HEAD`; what is not tracked goes, except what is ignored.
    ///
    /// # Errors
    /// When git fails, with a part put back.
    pub fn discard_changes(&self, worktree: &Path) -> Result<()> {
        let entry = self.entry(worktree)?;
        let lock = self.lock_of(&entry)?;
        let write = || {
            Git::write(&self.environment, &entry.path, "put back", "the worktree")
                .holding(lock.as_ref())
        };
        write().args(["reset", "-q", "--hard"]).run()?;
        write().args(["clean", "-q", "-ffd"]).run().map(drop)
    }
}

/// Reads `git status --porcelain=v2 -z --no-renames`; lines it does not know are left out.
pub(super) fn parse_status(output: &[u8]) -> Vec<Found> {
    split(output)
        .into_iter()
        .filter_map(|line| {
            let (mark, rest) = line.split_once(' ')?;
            let (fields, xy) = match mark {
                "1" => (7, rest.get(..2)?),
                "u" => (9, "UU"),
                "?" => (0, "??"),
                _ => return None,
            };
            let path = rest.splitn(fields + 1, ' ').nth(fields)?;
            let (path, inner) = match path.strip_suffix('/') {
                Some(folder) => (folder, true),
                None => (path, false),
            };
            let kind = match xy {
                "??" if inner => ChangeKind::InnerRepository,
                "??" => ChangeKind::Untracked,
                "UU" => ChangeKind::Conflicted,
                xy if xy.contains('D') => ChangeKind::Deleted,
                xy if xy.starts_with('A') => ChangeKind::Added,
                _ => ChangeKind::Modified,
            };
            let in_worktree = !xy.ends_with('.');
            Some(Found {
                change: Change {
                    path: path.to_owned(),
                    kind,
                },
                in_worktree,
            })
        })
        .collect()
}

/// The parts of an answer that `-z` ends with a zero byte each.
pub(super) fn split(output: &[u8]) -> Vec<String> {
    output
        .split(|byte| *byte == 0)
        .filter(|part| !part.is_empty())
        .map(|part| String::from_utf8_lossy(part).into_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::testing::Fixture;
    use super::*;

    #[test]
    fn names_of_every_kind_are_told_with_what_happened() {
        let fixture = Fixture::new();
        fixture.commit("more", &[("gone", "x"), ("mode d.txt", "x")]);
        let worktree = fixture.worktree("w");
        for (name, text) in [("ü/new\nline", "1"), (" lead and -dash", "2"), ("-rf", "3")] {
            let path = worktree.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        fs::remove_file(worktree.join("gone")).unwrap();
        fs::write(worktree.join("mode d.txt"), "y").unwrap();
        fs::create_dir(worktree.join("inner")).unwrap();
        fixture.git(&worktree.join("inner"), &["init", "-q"]);
        let mut changes = fixture.repository().changes(&worktree).unwrap();
        changes.sort_by(|a, b| a.path.cmp(&b.path));
        let found: Vec<_> = changes.iter().map(|c| (c.path.as_str(), c.kind)).collect();
        assert_eq!(
            found,
            [
                (" lead and -dash", ChangeKind::Untracked),
                ("-rf", ChangeKind::Untracked),
                ("gone", ChangeKind::Deleted),
                ("inner", ChangeKind::InnerRepository),
                ("mode d.txt", ChangeKind::Modified),
                ("ü/new\nline", ChangeKind::Untracked),
            ]
        );
    }

    #[test]
    fn paths_are_put_back_whatever_was_done_to_them() {
        let fixture = Fixture::new();
        let base = fixture.commit(
            "specs",
            &[
                ("specs/7-x/tasks.md", "- [ ] 1\n"),
                ("specs/7-x/design.md", "d"),
                ("specs/*", "star"),
            ],
        );
        let worktree = fixture.worktree("w");
        let repository = fixture.repository();
        let specs = worktree.join("specs/7-x");
        fs::write(specs.join("tasks.md"), "- [x] 1\n").unwrap();
        fs::remove_file(specs.join("design.md")).unwrap();
        fs::write(specs.join("added.md"), "a").unwrap();
        fs::write(specs.join("staged.md"), "a").unwrap();
        fixture.git(
            &worktree,
            &["add", "specs/7-x/staged.md", "specs/7-x/tasks.md"],
        );
        fs::create_dir(specs.join("inner")).unwrap();
        fixture.git(&specs.join("inner"), &["init", "-q"]);
        fs::write(specs.join("inner/file"), "f").unwrap();
        fs::write(worktree.join("kept.rs"), "work").unwrap();

        let restored = repository
            .restore(&worktree, &["specs/7-x"], &base)
            .unwrap();
        assert!(
            restored.contains(&"specs/7-x/tasks.md".to_owned()),
            "{restored:?}"
        );
        assert!(
            restored.contains(&"specs/7-x/added.md".to_owned()),
            "{restored:?}"
        );
        assert!(
            restored.contains(&"specs/7-x/staged.md".to_owned()),
            "{restored:?}"
        );
        assert_eq!(
            fs::read_to_string(specs.join("tasks.md")).unwrap(),
            "- [ ] 1\n"
        );
        assert!(specs.join("design.md").exists());
        assert!(!specs.join("added.md").exists());
        assert!(!specs.join("staged.md").exists());
        assert!(!specs.join("inner").exists());
        let left = repository.changes(&worktree).unwrap();
        assert_eq!(
            left,
            [Change {
                path: "kept.rs".into(),
                kind: ChangeKind::Untracked
            }]
        );
        assert_eq!(
            repository
                .restore(&worktree, &["specs/7-x"], &base)
                .unwrap(),
            [""; 0]
        );
        assert_eq!(
            repository
                .restore(&worktree, &["not/there"], &base)
                .unwrap(),
            [""; 0]
        );
        assert_eq!(
            repository.restore(&worktree, &["specs/*"], &base).unwrap(),
            [""; 0]
        );
    }

    #[test]
    fn what_the_agent_committed_is_put_back_too() {
        let fixture = Fixture::new();
        let base = fixture.commit("specs", &[("specs/7-x/tasks.md", "- [ ] 1\n")]);
        let worktree = fixture.worktree("w");
        fs::write(worktree.join("specs/7-x/tasks.md"), "- [x] 1\n").unwrap();
        fixture.git(&worktree, &["commit", "-qam", "tick"]);
        let restored = fixture
            .repository()
            .restore(&worktree, &["specs/7-x"], &base)
            .unwrap();
        assert_eq!(restored, ["specs/7-x/tasks.md"]);
        assert_eq!(
            fs::read_to_string(worktree.join("specs/7-x/tasks.md")).unwrap(),
            "- [ ] 1\n"
        );
    }

    #[cfg(unix)]
    #[test]
    fn a_link_in_place_of_the_folder_is_replaced_and_its_target_left_alone() {
        let fixture = Fixture::new();
        let base = fixture.commit("specs", &[("specs/7-x/tasks.md", "- [ ] 1\n")]);
        let worktree = fixture.worktree("w");
        let outside = fixture.dir().join("outside");
        fs::create_dir_all(outside.join("7-x")).unwrap();
        fs::write(outside.join("7-x/tasks.md"), "theirs").unwrap();
        fs::remove_dir_all(worktree.join("specs")).unwrap();
        std::os::unix::fs::symlink(&outside, worktree.join("specs")).unwrap();
        fixture
            .repository()
            .restore(&worktree, &["specs/7-x"], &base)
            .unwrap();
        assert_eq!(
            fs::read_to_string(worktree.join("specs/7-x/tasks.md")).unwrap(),
            "- [ ] 1\n"
        );
        assert!(!worktree.join("specs").is_symlink());
        assert_eq!(
            fs::read_to_string(outside.join("7-x/tasks.md")).unwrap(),
            "theirs"
        );
    }

    #[test]
    fn a_path_that_leaves_the_worktree_is_refused() {
        let fixture = Fixture::new();
        let worktree = fixture.worktree("w");
        for path in ["../repo", "/etc", "", ".git/config"] {
            let error = fixture
                .repository()
                .restore(&worktree, &[path], "HEAD")
                .unwrap_err();
            assert!(
                matches!(error, super::super::RepoError::InvalidPath { .. }),
                "{error}"
            );
        }
    }
}
