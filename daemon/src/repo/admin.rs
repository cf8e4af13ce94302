//! What git keeps about each worktree (`worktrees/*` in the common directory), read directly: it
//! is asked for often, and `git worktree list -z` would need a newer git.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::error::io;
use super::repository::canonical;
use super::{RepoError, Repository, Result};

/// One worktree as git knows it.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// Its root; canonical when it exists.
    pub(super) path: PathBuf,
    /// Its own git directory.
    pub(super) admin: PathBuf,
    pub(super) main: bool,
    /// The branch checked out, without `refs/heads/`.
    pub(super) branch: Option<String>,
    /// The branch that an unfinished rebase or bisect will come back to.
    pub(super) reserved: Option<String>,
    /// Content of `locked`.
    pub(super) locked: Option<String>,
}

impl Entry {
    pub(super) fn present(&self) -> bool {
        self.path.is_dir()
    }

    /// Whether `git worktree add` was killed before it was done; nobody has worked in it then.
    pub(super) fn initializing(&self) -> bool {
        !self.main && self.locked.as_deref() == Some("initializing")
    }

    /// Whether it cannot be used as it is.
    pub(super) fn half_made(&self) -> bool {
        !self.main
            && (self.initializing()
                || !self.admin.join("index").exists()
                || !self.admin.join("HEAD").exists())
    }
}

impl Repository {
    /// All worktrees, the main one first (none when bare).
    pub(super) fn entries(&self) -> Result<Vec<Entry>> {
        let mut entries = Vec::new();
        if !self.is_bare() {
            entries.push(read_entry(
                self.root().to_path_buf(),
                self.common_dir().to_path_buf(),
                true,
            ));
        }
        let folder = self.common_dir().join("worktrees");
        let listing = match fs::read_dir(&folder) {
            Ok(listing) => listing,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(entries),
            Err(error) => return Err(io("read", &folder)(error)),
        };
        let mut linked: Vec<Entry> = listing
            .filter_map(|item| {
                let admin = item.ok()?.path();
                // Without `gitdir` git does not know it either.
                let pointer = fs::read(admin.join("gitdir")).ok()?;
                let dot_git = join_pointer(&admin, &pointer)?;
                let path = dot_git.parent()?.to_path_buf();
                Some(read_entry(resolved(&path), admin, false))
            })
            .collect();
        linked.sort_by(|a, b| a.path.cmp(&b.path));
        entries.extend(linked);
        Ok(entries)
    }

    /// The worktree at `path`, as far as git knows it.
    pub(super) fn find_entry(&self, path: &Path) -> Result<Option<Entry>> {
        let path = resolved(path);
        Ok(self.entries()?.into_iter().find(|entry| entry.path == path))
    }

    /// The worktree at `path`, fit for use: git commands started in it reach this repository and
    /// no other. A `.git` file that was deleted is written again; one that was replaced is refused,
    /// since its configuration could run programs.
    pub(super) fn entry(&self, path: &Path) -> Result<Entry> {
        let damaged = |why: &str| RepoError::WorktreeDamaged {
            path: path.to_path_buf(),
            why: why.into(),
        };
        let entry = self
            .find_entry(path)?
            .ok_or_else(|| damaged("it is no worktree of this repository"))?;
        if !entry.present() {
            return Err(damaged("its folder is gone"));
        }
        if entry.main {
            return Ok(entry);
        }
        let dot_git = entry.path.join(".git");
        match fs::symlink_metadata(&dot_git) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                tracing::warn!(path = %entry.path.display(), "worktree lost its .git file; it is written again");
                let text = format!("gitdir: {}\n", entry.admin.display());
                fs::write(&dot_git, text).map_err(io("write", &dot_git))?;
            }
            Err(error) => return Err(io("read", &dot_git)(error)),
            Ok(found) if !found.is_file() => {
                return Err(damaged("its `.git` is not the file that git made"));
            }
            Ok(_) => {
                let content = fs::read(&dot_git).map_err(io("read", &dot_git))?;
                let target = content
                    .strip_prefix(b"gitdir: ")
                    .and_then(|pointer| join_pointer(&entry.path, pointer))
                    .and_then(|target| canonical(&target).ok());
                if target != canonical(&entry.admin).ok() {
                    return Err(damaged("its `.git` file points to another repository"));
                }
            }
        }
        Ok(entry)
    }

    /// Removes lock files that a killed command left in SpecTask's own places: its branches
    /// (`specs/`, `spectask/`), its refs, and the given worktrees; also registrations of worktrees
    /// that were cut short so early that they stop every git command that lists worktrees. Returns
    /// what was removed.
    ///
    /// Only for when no git command of SpecTask runs, as at the start of the daemon; `older_than`
    /// spares locks of commands that a person just started.
    ///
    /// # Errors
    /// When a lock cannot be removed.
    pub fn clear_stale_locks(
        &self,
        worktrees: &[PathBuf],
        older_than: Duration,
    ) -> Result<Vec<PathBuf>> {
        let mut locks = Vec::new();
        for folder in ["refs/heads/specs", "refs/heads/spectask", "refs/spectask"] {
            find_locks(&self.common_dir().join(folder), 8, &mut locks);
        }
        for worktree in worktrees {
            if let Some(entry) = self.find_entry(worktree)?.filter(|entry| !entry.main) {
                find_locks(&entry.admin, 0, &mut locks);
            }
        }
        let now = SystemTime::now();
        let mut removed = Vec::new();
        for lock in locks {
            let old = fs::symlink_metadata(&lock).is_ok_and(|found| age(&found, now) >= older_than);
            if old {
                match fs::remove_file(&lock) {
                    Ok(()) => removed.push(lock),
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                    Err(error) => return Err(io("remove", &lock)(error)),
                }
            }
        }
        for item in fs::read_dir(self.common_dir().join("worktrees"))
            .into_iter()
            .flatten()
            .flatten()
        {
            let admin = item.path();
            let cut_short = fs::metadata(admin.join("commondir"))
                .is_ok_and(|found| found.len() == 0 && age(&found, now) >= older_than);
            if cut_short {
                fs::remove_dir_all(&admin).map_err(io("remove", &admin))?;
                removed.push(admin);
            }
        }
        Ok(removed)
    }
}

/// Zero for what seems to be from the future.
fn age(found: &fs::Metadata, now: SystemTime) -> Duration {
    found
        .modified()
        .ok()
        .and_then(|modified| now.duration_since(modified).ok())
        .unwrap_or_default()
}

fn find_locks(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) {
    for item in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = item.path();
        let Ok(kind) = item.file_type() else { continue };
        if kind.is_dir() && depth > 0 {
            find_locks(&path, depth - 1, found);
        } else if kind.is_file() && path.extension().is_some_and(|end| end == "lock") {
            found.push(path);
        }
    }
}

fn read_entry(path: PathBuf, admin: PathBuf, main: bool) -> Entry {
    let text = |name: &str| {
        fs::read(admin.join(name))
            .ok()
            .map(|text| String::from_utf8_lossy(&text).trim().to_owned())
    };
    let short = |name: &str| name.strip_prefix("refs/heads/").map(str::to_owned);
    let branch = text("HEAD").and_then(|head| short(head.strip_prefix("ref: ")?.trim()));
    let reserved = text("rebase-merge/head-name")
        .or_else(|| text("rebase-apply/head-name"))
        .and_then(|name| short(&name))
        .or_else(|| text("BISECT_START"));
    let locked = text("locked");
    Entry {
        path,
        admin,
        main,
        branch,
        reserved,
        locked,
    }
}

/// The path in a `gitdir` file, which may be relative to the folder it lies in.
pub(super) fn join_pointer(base: &Path, pointer: &[u8]) -> Option<PathBuf> {
    let pointer = pointer.strip_suffix(b"\n").unwrap_or(pointer);
    let pointer = pointer.strip_suffix(b"\r").unwrap_or(pointer);
    if pointer.is_empty() {
        return None;
    }
    #[cfg(unix)]
    let pointer = {
        use std::os::unix::ffi::OsStrExt;
        Path::new(std::ffi::OsStr::from_bytes(pointer)).to_path_buf()
    };
    #[cfg(not(unix))]
    let pointer = PathBuf::from(String::from_utf8_lossy(pointer).into_owned());
    Some(base.join(pointer))
}

/// The canonical form of a path of which the last part may not exist.
pub(super) fn resolved(path: &Path) -> PathBuf {
    if let Ok(path) = canonical(path) {
        return path;
    }
    match (
        path.parent().and_then(|parent| canonical(parent).ok()),
        path.file_name(),
    ) {
        (Some(parent), Some(name)) => parent.join(name),
        _ => path.to_path_buf(),
    }
}
