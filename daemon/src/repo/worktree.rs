//! Worktrees: made, used again, repaired after a crash, removed; never at the cost of changes.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;
use std::thread;
use std::time::{Duration, Instant};

use super::admin::{Entry, join_pointer, resolved};
use super::error::io;
use super::git::{Git, LOCK_PATIENCE};
use super::lock::{WorktreeLock, list_of};
use super::names::branch_ref;
use super::repository::{canonical, head, open};
use super::{RepoError, Repository, Result};

/// How long a lock that a killed command may have left is waited for before it is removed.
const LEFT_LOCK_PATIENCE: Duration = Duration::from_secs(2);

/// What a new worktree has checked out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WorktreeAt {
    /// A commit and no branch.
    Detached {
        /// The commit, as hex digits.
        commit: String,
    },
    /// A branch.
    Branch {
        /// Its name without `refs/heads/`.
        name: String,
        /// The commit it starts at when it does not exist yet; an existing branch stays as it is.
        start: String,
    },
}

/// A worktree of the repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Worktree {
    /// Its root.
    pub path: PathBuf,
    /// The branch checked out, without `refs/heads/`; `None` when detached.
    pub branch: Option<String>,
    /// The commit checked out; `None` when there is none or it cannot be read.
    pub commit: Option<String>,
    /// Whether it is the main worktree, the user's own checkout.
    pub main: bool,
    /// Whether its folder exists and it was completely made.
    pub usable: bool,
}

impl Repository {
    /// Makes a worktree at `path`, or gives the one that an earlier call made.
    ///
    /// Safe to call again after a crash at any moment: one that was not completed (no index, still
    /// locked by `git worktree add`, folder gone, folder there but unknown to git) is made anew;
    /// lock files left in it are removed. One that is complete is given as it is, changes included,
    /// if it has the wanted branch, or stands detached at or after the wanted commit; it is
    /// switched if it has something else and is clean. An existing branch is checked out where it is.
    ///
    /// Must not be called while anything works inside the worktree.
    ///
    /// # Errors
    /// [`RepoError::Dirty`] or [`RepoError::InTheWay`] when something there would be lost,
    /// [`RepoError::CheckedOut`] when the branch is checked out in another worktree.
    pub fn add_worktree(&self, path: &Path, at: &WorktreeAt) -> Result<Worktree> {
        let lock = WorktreeLock::beside(path)?;
        let path = &resolved(path);
        let commit = match at {
            WorktreeAt::Detached { commit } => self.resolve(commit)?,
            WorktreeAt::Branch { name, start } => {
                branch_ref(name)?;
                self.refuse_held_elsewhere(name, path)?;
                match self.branch_tip(name)? {
                    Some(tip) => tip,
                    None => self.resolve(start)?,
                }
            }
        };
        match self.find_entry(path)? {
            Some(entry) if entry.main => {
                return Err(RepoError::InTheWay {
                    path: path.clone(),
                    why: "it is the main worktree".to_owned(),
                });
            }
            Some(entry) if entry.present() && !entry.half_made() => {
                let entry = self.entry(path)?;
                clear_left_locks(&entry)?;
                return self.settle(&lock, &entry, at, &commit);
            }
            Some(entry) => {
                if entry.present() && !entry.initializing() {
                    self.refuse_unknown_files(path, &commit)?;
                }
                self.forget(&lock, &entry)?;
            }
            None => {
                if let Some(entry) = self.reconnect(path)? {
                    clear_left_locks(&entry)?;
                    return self.settle(&lock, &entry, at, &commit);
                }
            }
        }
        let started = Instant::now();
        loop {
            match self.make(&lock, path, at, &commit) {
                Err(RepoError::Locked { .. }) if started.elapsed() < LOCK_PATIENCE => {
                    thread::sleep(Duration::from_millis(30));
                }
                done => return done,
            }
        }
    }

    fn make(
        &self,
        lock: &WorktreeLock,
        path: &Path,
        at: &WorktreeAt,
        commit: &str,
    ) -> Result<Worktree> {
        if path.exists() {
            self.refuse_unknown_files(path, commit)?;
            fs::remove_dir_all(path).map_err(io("remove", path))?;
        }
        let added = self.git_worktree_add(lock, path, at, commit);
        match self.find_entry(path)? {
            // A failing post-checkout hook fails the command, but the worktree is complete.
            Some(entry) if entry.present() && !entry.half_made() => {
                if let Err(error) = added {
                    tracing::warn!(%error, path = %path.display(), "git complained after the worktree was made");
                }
                self.describe(&self.entry(path)?)
            }
            found => {
                if let Some(entry) = found {
                    self.forget(lock, &entry)?;
                }
                added?;
                Err(RepoError::WorktreeDamaged {
                    path: path.to_path_buf(),
                    why: "git made it only in part; try again".to_owned(),
                })
            }
        }
    }

    /// Checks a branch out in a worktree that an earlier piece of work used: `branch` is made at
    /// `start`, or moved there when it holds nothing that `start` does not; a branch that already
    /// stands at or after `start` is checked out as it is. Commits that no ref holds get one.
    ///
    /// # Errors
    /// [`RepoError::Dirty`] when there are uncommitted changes but those of `exclude`,
    /// [`RepoError::BranchHasWork`] when
    /// moving the branch would lose commits, [`RepoError::CheckedOut`] when it is checked out
    /// in another worktree.
    pub fn switch_worktree(
        &self,
        path: &Path,
        branch: &str,
        start: &str,
        exclude: &[String],
    ) -> Result<Worktree> {
        let lock = WorktreeLock::beside(path)?;
        let entry = self.entry(path)?;
        if entry.main {
            return Err(RepoError::InTheWay {
                path: entry.path,
                why: "it is the main worktree".to_owned(),
            });
        }
        let name = branch_ref(branch)?;
        let start = self.resolve(start)?;
        self.refuse_held_elsewhere(branch, &entry.path)?;
        let tip = self.branch_tip(branch)?;
        let target = match &tip {
            Some(tip) if self.is_ancestor(&start, tip)? => tip,
            Some(tip) if !self.is_ancestor(tip, &start)? => {
                return Err(RepoError::BranchHasWork {
                    branch: branch.to_owned(),
                    tip: tip.clone(),
                    start,
                });
            }
            _ => &start,
        };
        self.refuse_dirty_except(&entry.path, exclude)?;
        clear_left_locks(&entry)?;
        self.keep_detached(&entry)?;
        if entry.branch.as_deref() == Some(branch) && tip.as_ref() == Some(target) {
            return self.describe(&entry);
        }
        Git::write(&self.environment, &entry.path, "check out", name)
            .holding(Some(&lock))
            .args(["checkout", "-q", "-B", branch, "--end-of-options"])
            .args([target.as_str(), "--"])
            .run()?;
        self.describe(&self.entry(path)?)
    }

    /// Removes a worktree. With `wip_ref` its uncommitted state (tracked and untracked, without
    /// `exclude` and what is ignored) is first committed to that ref, and the commit returned; a
    /// ref that exists becomes a second parent, so that nothing saved earlier is lost. A worktree
    /// that is not there is removed already.
    ///
    /// # Errors
    /// [`RepoError::Dirty`] when there are changes and no `wip_ref`; [`RepoError::InTheWay`] for a
    /// folder that is no worktree, the main worktree, or one with another repository inside.
    pub fn remove_worktree(
        &self,
        path: &Path,
        wip_ref: Option<&str>,
        exclude: &[String],
    ) -> Result<Option<String>> {
        let lock = WorktreeLock::beside(path)?;
        let in_the_way = |why: String| RepoError::InTheWay {
            path: path.to_path_buf(),
            why,
        };
        let Some(entry) = self.find_entry(path)? else {
            let mut content = match fs::read_dir(path) {
                Ok(content) => content,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(io("look into", path)(error)),
            };
            if content.next().is_some() {
                return Err(in_the_way(
                    "it is no worktree of this repository".to_owned(),
                ));
            }
            fs::remove_dir(path).map_err(io("remove", path))?;
            return Ok(None);
        };
        if entry.main {
            return Err(in_the_way("it is the main worktree".to_owned()));
        }
        let mut saved = None;
        if entry.present() && !entry.initializing() {
            let entry = self.entry(path)?;
            clear_left_locks(&entry)?;
            self.refuse_inner_repositories(&entry)?;
            match wip_ref {
                Some(name) => saved = self.save_wip_of(&lock, &entry, name, exclude)?,
                None => self.refuse_dirty_except(&entry.path, exclude)?,
            }
        }
        self.forget(&lock, &entry)?;
        Ok(saved)
    }

    /// All worktrees, the main one first.
    ///
    /// # Errors
    /// When git's folder of worktrees cannot be read.
    pub fn worktrees(&self) -> Result<Vec<Worktree>> {
        self.entries()?
            .iter()
            .map(|entry| self.describe(entry))
            .collect()
    }

    /// The root of the worktree that has a branch (without `refs/heads/`) checked out, or that is
    /// in the middle of a rebase or bisect of it; `None` when no existing worktree has.
    ///
    /// # Errors
    /// When git's folder of worktrees cannot be read.
    pub fn checked_out_at(&self, branch: &str) -> Result<Option<PathBuf>> {
        Ok(self.holders(branch)?.into_iter().next())
    }

    pub(super) fn holders(&self, branch: &str) -> Result<Vec<PathBuf>> {
        Ok(self
            .entries()?
            .into_iter()
            .filter(|entry| {
                entry.present()
                    && (entry.branch.as_deref() == Some(branch)
                        || entry.reserved.as_deref() == Some(branch))
            })
            .map(|entry| entry.path)
            .collect())
    }

    pub(super) fn refuse_dirty(&self, worktree: &Path) -> Result<()> {
        self.refuse_dirty_except(worktree, &[])
    }

    fn refuse_dirty_except(&self, worktree: &Path, exclude: &[String]) -> Result<()> {
        let changes: Vec<String> = self
            .changes(worktree)?
            .into_iter()
            .map(|change| change.path)
            .filter(|path| !exclude.contains(path))
            .collect();
        if changes.is_empty() {
            return Ok(());
        }
        Err(RepoError::Dirty {
            path: worktree.to_path_buf(),
            changes,
        })
    }

    fn refuse_held_elsewhere(&self, branch: &str, path: &Path) -> Result<()> {
        match self
            .holders(branch)?
            .into_iter()
            .find(|holder| holder != path)
        {
            Some(path) => Err(RepoError::CheckedOut {
                branch: branch.to_owned(),
                path,
            }),
            None => Ok(()),
        }
    }

    /// Brings a complete worktree to what was asked for.
    fn settle(
        &self,
        lock: &WorktreeLock,
        entry: &Entry,
        at: &WorktreeAt,
        commit: &str,
    ) -> Result<Worktree> {
        let current = head(&open(&entry.path)?, &entry.path)?;
        let fits = match at {
            WorktreeAt::Detached { .. } => {
                current.branch.is_none() && self.is_ancestor(commit, &current.commit)?
            }
            WorktreeAt::Branch { name, .. } => current.branch.as_deref() == Some(name),
        };
        if !fits {
            self.refuse_dirty(&entry.path)?;
            let git = Git::write(&self.environment, &entry.path, "check out", commit)
                .holding(Some(lock))
                .args(["checkout", "-q"]);
            match at {
                WorktreeAt::Detached { .. } => git.args(["--detach", commit, "--"]),
                // Either it does not exist, or `commit` is its tip.
                WorktreeAt::Branch { name, .. } => git.args(["-B", name, commit, "--"]),
            }
            .run()?;
        }
        self.describe(&self.entry(&entry.path)?)
    }

    /// Connects a worktree again whose folder was moved, as when the data directory was.
    fn reconnect(&self, path: &Path) -> Result<Option<Entry>> {
        let Ok(pointer) = fs::read(path.join(".git")) else {
            return Ok(None);
        };
        let ours = pointer
            .strip_prefix(b"gitdir: ")
            .and_then(|pointer| join_pointer(path, pointer))
            .and_then(|admin| canonical(&admin).ok())
            .is_some_and(|admin| admin.starts_with(self.common_dir().join("worktrees")));
        if !ours {
            return Ok(None);
        }
        Git::write(
            &self.environment,
            self.root(),
            "repair",
            path.display().to_string(),
        )
        .args(["worktree", "repair", "--"])
        .arg(path)
        .answer()?;
        match self.find_entry(path)? {
            Some(entry) if !entry.half_made() => self.entry(path).map(Some),
            _ => Ok(None),
        }
    }

    fn git_worktree_add(
        &self,
        lock: &WorktreeLock,
        path: &Path,
        at: &WorktreeAt,
        commit: &str,
    ) -> Result<()> {
        let subject = path.display().to_string();
        let mut git = Git::write(&self.environment, self.root(), "make the worktree", subject)
            .once()
            .holding(Some(lock))
            // Holders that exist were refused above; one whose folder is gone is in nobody's way.
            .args(["worktree", "add", "-q", "--force", "--no-guess-remote"]);
        git = match at {
            WorktreeAt::Detached { .. } => git.args(["--detach", "--"]).arg(path).arg(commit),
            WorktreeAt::Branch { name, .. } if self.branch_tip(name)?.is_some() => {
                git.arg("--").arg(path).arg(name)
            }
            WorktreeAt::Branch { name, .. } => git.args(["-b", name, "--"]).arg(path).arg(commit),
        };
        let list = list_of(self.common_dir());
        let _shared = list.read().unwrap_or_else(PoisonError::into_inner);
        git.run().map(drop)
    }

    /// Makes git forget a worktree and removes its folder; the caller has seen to its changes.
    fn forget(&self, lock: &WorktreeLock, entry: &Entry) -> Result<()> {
        let subject = entry.path.display().to_string();
        let list = list_of(self.common_dir());
        let _alone = list.write().unwrap_or_else(PoisonError::into_inner);
        let removed = Git::write(
            &self.environment,
            self.root(),
            "remove the worktree",
            subject,
        )
        .holding(Some(lock))
        .args(["worktree", "remove", "--force", "--force", "--"])
        .arg(&entry.path)
        .run();
        if let Err(error) = removed {
            // Git refuses one that is too broken to be looked at, such as without HEAD.
            if !entry.half_made() && entry.present() {
                return Err(error);
            }
            if entry.present() {
                fs::remove_dir_all(&entry.path).map_err(io("remove", &entry.path))?;
            }
            if entry.admin.is_dir() {
                fs::remove_dir_all(&entry.admin).map_err(io("remove", &entry.admin))?;
            }
        }
        Ok(())
    }

    pub(super) fn describe(&self, entry: &Entry) -> Result<Worktree> {
        let usable = entry.present() && !entry.half_made();
        let commit = match &entry.branch {
            Some(branch) => self.branch_tip(branch).ok().flatten(),
            None => fs::read_to_string(entry.admin.join("HEAD"))
                .ok()
                .map(|head| head.trim().to_owned())
                .filter(|head| git2::Oid::from_str(head).is_ok_and(|id| !id.is_zero())),
        };
        Ok(Worktree {
            path: entry.path.clone(),
            branch: entry.branch.clone(),
            commit,
            main: entry.main,
            usable,
        })
    }
}

/// Removes `index.lock` and `HEAD.lock` that a killed command left.
fn clear_left_locks(entry: &Entry) -> Result<()> {
    let started = Instant::now();
    for name in ["index.lock", "HEAD.lock"] {
        let lock = entry.admin.join(name);
        while lock.exists() && started.elapsed() < LEFT_LOCK_PATIENCE {
            thread::sleep(Duration::from_millis(50));
        }
        match fs::remove_file(&lock) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(io("remove", &lock)(error));
            }
            Ok(()) => {
                tracing::warn!(lock = %lock.display(), "removed a lock that a killed command left");
            }
            Err(_) => {}
        }
    }
    Ok(())
}
