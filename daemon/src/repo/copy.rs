//! Copies of untracked files, such as `.env`, from the user's checkout into a worktree.

use std::fs;
use std::path::{Path, PathBuf};

use super::changes::split;
use super::error::io;
use super::git::Git;
use super::names::check_tree_path;
use super::repository::canonical;
use super::{Repository, Result};

/// A folder with more files than this is no configuration.
const FILE_LIMIT: usize = 10_000;

/// What [`Repository::copy_into`] did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Copied {
    /// Files of the worktree that match, copied now or there before: what
    /// [`Repository::commit_all`] must exclude. Sorted.
    pub files: Vec<String>,
    /// Paths that were left out, each with the reason.
    pub skipped: Vec<(String, String)>,
}

impl Repository {
    /// Copies files of `from_root` into a worktree: relative paths of files or folders, or a path
    /// whose last part ends with `*` for all names that start so. A file that git tracks, or that
    /// is in the worktree already, is not overwritten; a path that does not exist is passed over.
    /// Links are followed only to files inside `from_root`; nothing is written through a link.
    ///
    /// # Errors
    /// [`RepoError::InvalidPath`](super::RepoError::InvalidPath) for a pattern that is absolute,
    /// has `..` or reaches into `.git`, before anything is copied; otherwise when copying fails.
    pub fn copy_into(
        &self,
        from_root: &Path,
        worktree: &Path,
        patterns: &[String],
    ) -> Result<Copied> {
        let entry = self.entry(worktree)?;
        let root = canonical(from_root).map_err(io("open", from_root))?;
        let (found, mut copied) = matching(&root, patterns)?;
        if found.is_empty() {
            return Ok(copied);
        }
        let tracked = Git::read(&self.environment, &entry.path, "look at", "what is tracked")
            .literal()
            .args(["ls-files", "-z"])
            .run()?;
        let tracked: std::collections::HashSet<String> = split(&tracked).into_iter().collect();
        for path in found {
            if tracked.contains(&path) {
                copied.skipped.push((path, "git tracks it".to_owned()));
                continue;
            }
            let target = entry.path.join(&path);
            if let Some(link) = link_above(&entry.path, &path) {
                copied
                    .skipped
                    .push((path, format!("{link} is a link or a file in the worktree")));
                continue;
            }
            if fs::symlink_metadata(&target).is_err() {
                if let Some(parent) = target.parent() {
                    fs::create_dir_all(parent).map_err(io("make", parent))?;
                }
                let source = root.join(&path);
                fs::copy(&source, &target).map_err(io("copy", &source))?;
            }
            copied.files.push(path);
        }
        Ok(copied)
    }

    /// Files of a worktree that are copies of the user's by these patterns, and still the same: nothing is
    /// lost with them, and they may hold secrets.
    ///
    /// # Errors
    /// As [`Repository::copy_into`].
    pub fn copied(&self, worktree: &Path, patterns: &[String]) -> Result<Vec<String>> {
        let root = canonical(self.root()).map_err(io("open", self.root()))?;
        let (mut found, _) = matching(&root, patterns)?;
        found.retain(|path| is_same(&root.join(path), &worktree.join(path)));
        Ok(found)
    }
}

/// The files of `root` that match, sorted, and what was left out.
fn matching(root: &Path, patterns: &[String]) -> Result<(Vec<String>, Copied)> {
    let patterns: Vec<&str> = patterns
        .iter()
        .map(|pattern| pattern.trim_end_matches('/'))
        .collect();
    for pattern in &patterns {
        check_tree_path(pattern)?;
    }
    let mut found = Vec::new();
    let mut copied = Copied::default();
    for pattern in patterns {
        let (folder, name) = pattern.rsplit_once('/').unwrap_or(("", pattern));
        match name.strip_suffix('*') {
            Some(start) if !root.join(pattern).exists() => {
                for name in names(&root.join(folder)) {
                    if name.starts_with(start) && name != ".git" {
                        let path = if folder.is_empty() {
                            name
                        } else {
                            format!("{folder}/{name}")
                        };
                        collect(root, &path, &mut found, &mut copied);
                    }
                }
            }
            _ => collect(root, pattern, &mut found, &mut copied),
        }
    }
    found.sort();
    found.dedup();
    Ok((found, copied))
}

/// Whether two files hold the same.
fn is_same(one: &Path, other: &Path) -> bool {
    let file = |path: &Path| {
        fs::symlink_metadata(path)
            .ok()
            .filter(fs::Metadata::is_file)
    };
    match (fs::metadata(one), file(other)) {
        (Ok(source), Some(copy)) if source.len() == copy.len() => {
            matches!((fs::read(one), fs::read(other)), (Ok(one), Ok(other)) if one == other)
        }
        _ => false,
    }
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|item| item.file_name().into_string().ok())
        .collect();
    names.sort();
    names
}

/// Adds the file at `path`, or all files below it.
fn collect(root: &Path, path: &str, found: &mut Vec<String>, copied: &mut Copied) {
    let full = root.join(path);
    let Ok(real) = canonical(&full) else { return };
    let mut skip = |why: &str| copied.skipped.push((path.to_owned(), why.to_owned()));
    if found.len() >= FILE_LIMIT {
        return skip("there are too many files");
    }
    let Ok(inside) = real.strip_prefix(root) else {
        return skip("it leads outside the folder");
    };
    if inside
        .components()
        .any(|part| part.as_os_str().eq_ignore_ascii_case(".git"))
    {
        return skip("it leads into `.git`");
    }
    if real.is_file() {
        found.push(path.to_owned());
    } else if real.is_dir() {
        // A linked folder may contain itself.
        if real != full {
            return skip("it leads through a link to a folder");
        }
        for name in names(&full) {
            if !name.eq_ignore_ascii_case(".git") {
                collect(root, &format!("{path}/{name}"), found, copied);
            }
        }
    } else {
        skip("it is neither file nor folder");
    }
}

/// The first folder on the way to `path` that is something else than a folder.
fn link_above(worktree: &Path, path: &str) -> Option<String> {
    let mut at = PathBuf::from(worktree);
    let (folders, _) = path.rsplit_once('/')?;
    for part in folders.split('/') {
        at.push(part);
        match fs::symlink_metadata(&at) {
            Ok(found) if found.is_dir() => {}
            Ok(_) => return Some(part.to_owned()),
            Err(_) => return None,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::testing::Fixture;
    use super::super::{Author, CommitMessage, RepoError};
    use super::*;

    fn patterns(list: &[&str]) -> Vec<String> {
        list.iter().map(|pattern| (*pattern).to_owned()).collect()
    }

    #[test]
    fn untracked_files_are_copied_and_stay_out_of_commits() {
        let fixture = Fixture::new();
        let user = fixture.repo_dir();
        let worktree = fixture.worktree("w");
        fs::create_dir_all(user.join("conf/deep")).unwrap();
        for name in [".env", ".env.local", "conf/deep/a b", "conf/c", "other"] {
            fs::write(user.join(name), name).unwrap();
        }
        fs::write(user.join("README.md"), "changed by the user").unwrap();
        let repository = fixture.repository();
        let wanted = patterns(&[".env*", "conf/", "README.md", "absent", "absent*"]);
        let copied = repository.copy_into(user, &worktree, &wanted).unwrap();
        assert_eq!(
            copied.files,
            [".env", ".env.local", "conf/c", "conf/deep/a b"]
        );
        assert_eq!(
            copied.skipped,
            [("README.md".to_owned(), "git tracks it".to_owned())]
        );
        assert_eq!(
            fs::read_to_string(worktree.join("conf/deep/a b")).unwrap(),
            "conf/deep/a b"
        );
        assert!(!worktree.join("other").exists());

        fs::write(worktree.join(".env"), "changed").unwrap();
        assert_eq!(
            repository
                .copy_into(user, &worktree, &wanted)
                .unwrap()
                .files,
            copied.files
        );
        assert_eq!(
            fs::read_to_string(worktree.join(".env")).unwrap(),
            "changed"
        );

        fs::write(worktree.join("work"), "w").unwrap();
        let commit = repository
            .commit_all(
                &worktree,
                &CommitMessage::new("x"),
                &Author::User,
                &copied.files,
            )
            .unwrap()
            .unwrap();
        assert_eq!(
            repository.list_files(&commit, "").unwrap(),
            ["README.md", "work"]
        );
    }

    #[test]
    fn what_differs_from_the_users_files_is_saved() {
        let fixture = Fixture::new();
        let user = fixture.repo_dir();
        let worktree = fixture.worktree("w");
        fs::create_dir_all(user.join("config")).unwrap();
        for name in ["config/local.env", "config/other", "config/gone"] {
            fs::write(user.join(name), name).unwrap();
        }
        let repository = fixture.repository();
        let wanted = patterns(&["config/"]);
        repository.copy_into(user, &worktree, &wanted).unwrap();
        fs::write(worktree.join("config/new.yml"), "work").unwrap();
        fs::write(worktree.join("config/other"), "work, too").unwrap();
        fs::remove_file(worktree.join("config/gone")).unwrap();
        let copied = repository.copied(&worktree, &wanted).unwrap();
        assert_eq!(copied, ["config/local.env"]);
        assert!(repository.needs_saving(&worktree, &copied).unwrap());
        let saved = repository
            .retire_worktree(&worktree, "refs/spectask/wip/7-x/w", &copied)
            .unwrap()
            .unwrap();
        assert_eq!(
            repository.list_files(&saved.commit, "config").unwrap(),
            ["config/new.yml", "config/other"]
        );
    }

    #[test]
    fn patterns_that_leave_the_folder_are_refused() {
        let fixture = Fixture::new();
        let worktree = fixture.worktree("w");
        for bad in [
            "../x",
            "/etc/passwd",
            "a/../../x",
            ".git/config",
            ".GIT",
            "",
            "a\\..\\b",
        ] {
            let error = fixture
                .repository()
                .copy_into(fixture.repo_dir(), &worktree, &patterns(&[bad]))
                .unwrap_err();
            assert!(
                matches!(error, RepoError::InvalidPath { .. }),
                "{bad}: {error}"
            );
        }
    }

    #[cfg(unix)]
    #[test]
    fn links_lead_neither_out_of_the_source_nor_out_of_the_worktree() {
        use std::os::unix::fs::symlink;
        let fixture = Fixture::new();
        let user = fixture.repo_dir();
        let worktree = fixture.worktree("w");
        let outside = fixture.dir().join("outside");
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("secret"), "s").unwrap();
        fs::create_dir(user.join("conf")).unwrap();
        fs::create_dir(user.join("into")).unwrap();
        symlink(outside.join("secret"), user.join("out")).unwrap();
        symlink(&outside, user.join("conf/dir")).unwrap();
        symlink(user.join(".git/config"), user.join("conf/git")).unwrap();
        symlink(user.join("conf"), user.join("conf/self")).unwrap();
        fs::write(user.join("conf/real"), "r").unwrap();
        symlink("real", user.join("conf/alias")).unwrap();
        fs::write(user.join("into/file"), "f").unwrap();
        symlink(&outside, worktree.join("into")).unwrap();
        let copied = fixture
            .repository()
            .copy_into(user, &worktree, &patterns(&["out", "conf", "into/file"]))
            .unwrap();
        assert_eq!(copied.files, ["conf/alias", "conf/real"]);
        assert!(!worktree.join("conf/alias").is_symlink());
        let skipped: Vec<_> = copied
            .skipped
            .iter()
            .map(|(path, _)| path.as_str())
            .collect();
        assert_eq!(
            skipped,
            ["out", "conf/dir", "conf/git", "conf/self", "into/file"]
        );
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
    }
}
