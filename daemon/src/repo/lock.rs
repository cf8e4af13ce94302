//! One writer per worktree, across crashes.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread;
use std::time::{Duration, Instant};

use super::error::io;
use super::{RepoError, Result};

/// As long as one git command may take that another process started.
const PATIENCE: Duration = Duration::from_secs(30 * 60);

/// The lock of a repository's list of worktrees, by its common directory: held shared while one is
/// added, alone while one is removed. Git removes the folder of the list with the last worktree in
/// it, under the feet of a command that is about to add the next.
pub(super) fn list_of(common_dir: &Path) -> Arc<RwLock<()>> {
    static LISTS: Mutex<BTreeMap<PathBuf, Arc<RwLock<()>>>> = Mutex::new(BTreeMap::new());
    let mut lists = LISTS.lock().unwrap_or_else(PoisonError::into_inner);
    Arc::clone(lists.entry(common_dir.to_owned()).or_default())
}

/// Holds off other writers of the same worktree, in this process and in others.
///
/// The lock lies on a file beside the worktree, and is given to every git command as its standard
/// input: when the daemon is killed, a command that goes on holds the lock until it ends, so that
/// the next daemon does not repair what is still being written.
#[derive(Debug)]
pub(super) struct WorktreeLock(File);

impl WorktreeLock {
    pub(super) fn beside(worktree: &Path) -> Result<Self> {
        let (Some(parent), Some(name)) = (worktree.parent(), worktree.file_name()) else {
            return Err(RepoError::InvalidPath {
                path: worktree.display().to_string(),
                why: "a worktree needs a folder of its own",
            });
        };
        fs::create_dir_all(parent).map_err(io("make", parent))?;
        let path = parent.join(format!(".{}.lock", name.to_string_lossy()));
        let file = File::options()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path)
            .map_err(io("open", &path))?;
        let started = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self(file)),
                Err(TryLockError::WouldBlock) if started.elapsed() < PATIENCE => {
                    thread::sleep(Duration::from_millis(20));
                }
                Err(TryLockError::WouldBlock) => {
                    return Err(RepoError::Locked {
                        operation: "write to",
                        subject: worktree.display().to_string(),
                        lock: path.display().to_string(),
                    });
                }
                Err(TryLockError::Error(error)) => return Err(io("lock", &path)(error)),
            }
        }
    }

    /// The lock for a child to hold; it is an empty file to whoever reads it.
    pub(super) fn for_child(&self) -> std::io::Result<File> {
        self.0.try_clone()
    }
}
