//! What can go wrong with git, each with what it was about and what a person does next.

use std::path::{Path, PathBuf};

/// An operation on a repository that did not happen. The text of each says what, why and what to
/// do; unless it says otherwise nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RepoError {
    /// No repository at or above the path.
    #[error(
        "{path} is not inside a git repository: run `git init` there, or change to a folder of one"
    )]
    NotARepository {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The `git` program could not be started.
    #[error("cannot run `git`: {source}; install git {needed} or newer and see that it is on PATH")]
    GitMissing {
        /// Why it did not start.
        source: std::io::Error,
        /// Oldest version that serves, such as `2.31`.
        needed: String,
    },
    /// The `git` program is older than [`MINIMUM_GIT`](super::MINIMUM_GIT).
    #[error("git {found} is too old: install git {needed} or newer")]
    GitTooOld {
        /// What `git --version` said.
        found: String,
        /// Oldest version that serves.
        needed: String,
    },
    /// Git refuses a repository that belongs to another user.
    #[error(
        "{path} belongs to another user, so git refuses it: if you trust it, run `git config --global --add safe.directory {path}`"
    )]
    UnsafeOwner {
        /// The repository.
        path: PathBuf,
    },
    /// The repository uses a format that the built-in library cannot read.
    #[error(
        "{path} uses {what}, which SpecTask cannot work with yet: use a clone in the default format (SHA-1 objects, `files` refs, no `--filter`)"
    )]
    Unsupported {
        /// The repository.
        path: PathBuf,
        /// The format, for people.
        what: String,
    },
    /// `HEAD` names a branch without a commit.
    #[error(
        "{path} has no commit yet, so there is nothing to branch from: run `git commit --allow-empty -m \"First commit\"`"
    )]
    NoCommits {
        /// The repository or worktree.
        path: PathBuf,
    },
    /// No commit goes by that name.
    #[error(
        "`{rev}` is no commit of this repository{}: check the name with `git log`",
        if *shallow { " (it is a shallow clone; `git fetch --unshallow` brings the rest)" } else { "" }
    )]
    UnknownRevision {
        /// What was asked for.
        rev: String,
        /// Whether history is cut off, so that the commit may exist elsewhere.
        shallow: bool,
    },
    /// A branch, ref or remote name that git does not take.
    #[error("`{name}` cannot be used as {what}: {why}")]
    InvalidName {
        /// What it should name.
        what: &'static str,
        /// The name.
        name: String,
        /// The rule it breaks.
        why: &'static str,
    },
    /// No remote of that name is configured.
    #[error("there is no remote `{name}`; `git remote -v` lists those there are")]
    NoRemote {
        /// The name.
        name: String,
    },
    /// A path that would leave its root or that git does not take.
    #[error("the path `{path}` is refused: {why}")]
    InvalidPath {
        /// The path as it was given.
        path: String,
        /// The rule it breaks.
        why: &'static str,
    },
    /// There are changes that would be lost or mixed in.
    #[error(
        "{path} has uncommitted changes ({}): commit or stash them and try again",
        some(changes)
    )]
    Dirty {
        /// The worktree.
        path: PathBuf,
        /// The changed paths, relative to it.
        changes: Vec<String>,
    },
    /// Something else is where a worktree should be made or removed.
    #[error("{path} is in the way: {why}; move it elsewhere and try again")]
    InTheWay {
        /// The folder.
        path: PathBuf,
        /// What was found there.
        why: String,
    },
    /// A worktree is no longer connected to its repository.
    #[error("the worktree {path} cannot be used: {why}")]
    WorktreeDamaged {
        /// The worktree.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A branch that should start anew has commits that would be lost.
    #[error(
        "branch `{branch}` already has commits ({tip}) that are not in {start}: merge or delete the branch first"
    )]
    BranchHasWork {
        /// The branch, without `refs/heads/`.
        branch: String,
        /// Its tip.
        tip: String,
        /// Where it should have started.
        start: String,
    },
    /// A branch is checked out, so that moving it would make that worktree look changed.
    #[error("branch `{branch}` is checked out at {path}: switch to another branch there")]
    CheckedOut {
        /// The branch, without `refs/heads/`.
        branch: String,
        /// The worktree that has it.
        path: PathBuf,
    },
    /// A ref is not what the caller last saw.
    #[error(
        "{name} moved meanwhile: expected {}, found {}",
        expected.as_deref().unwrap_or("no such ref"),
        found.as_deref().unwrap_or("no such ref")
    )]
    RefMoved {
        /// Full name of the ref.
        name: String,
        /// What the caller expected; `None` for "does not exist".
        expected: Option<String>,
        /// What is there.
        found: Option<String>,
    },
    /// Another git command holds a lock, for longer than was waited.
    #[error(
        "cannot {operation} {subject}: another git command is at work there, or one was killed; if none is running, remove {lock}"
    )]
    Locked {
        /// What was tried.
        operation: &'static str,
        /// On what.
        subject: String,
        /// The lock file.
        lock: String,
    },
    /// `git commit` or `git merge` refused, most often by a hook of the repository.
    #[error("git refused the commit in {path} (a hook?): {stderr}")]
    CommitRefused {
        /// The worktree.
        path: PathBuf,
        /// What git and its hooks said.
        stderr: String,
    },
    /// Two commits without a common ancestor.
    #[error(
        "{ours} and {theirs} have no common history{}",
        if *shallow { "; this is a shallow clone: run `git fetch --unshallow`" } else { ", so they cannot be merged" }
    )]
    NoCommonHistory {
        /// The commit merged into.
        ours: String,
        /// The commit merged.
        theirs: String,
        /// Whether the clone is shallow.
        shallow: bool,
    },
    /// A `git` command failed.
    #[error("cannot {operation} {subject}: git says: {stderr}")]
    Git {
        /// What was tried, such as "make the worktree".
        operation: &'static str,
        /// On what.
        subject: String,
        /// The end of what git printed.
        stderr: String,
    },
    /// A `git` command did not end in time and was stopped; it may have done part of its work.
    #[error("cannot {operation} {subject}: git did not end within {seconds} s and was stopped")]
    TimedOut {
        /// What was tried.
        operation: &'static str,
        /// On what.
        subject: String,
        /// The time limit.
        seconds: u64,
    },
    /// A `git` command printed more than is kept in memory.
    #[error("cannot {operation} {subject}: git's answer is longer than {limit} bytes")]
    OutputTooLarge {
        /// What was tried.
        operation: &'static str,
        /// On what.
        subject: String,
        /// The limit.
        limit: usize,
    },
    /// A file could not be read or written.
    #[error("cannot {operation} {path}: {source}")]
    Io {
        /// What was tried.
        operation: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// An object or ref could not be read or written.
    #[error("cannot {operation} {subject}: {}", source.message())]
    Object {
        /// What was tried.
        operation: &'static str,
        /// On what.
        subject: String,
        /// What libgit2 says.
        source: git2::Error,
    },
}

fn some(changes: &[String]) -> String {
    let mut text = changes
        .iter()
        .take(3)
        .cloned()
        .collect::<Vec<_>>()
        .join(", ");
    if changes.len() > 3 {
        text.push_str(&format!(" and {} more", changes.len() - 3));
    }
    text
}

/// Shorthand for [`RepoError::Object`] in `map_err`.
pub(super) fn object(
    operation: &'static str,
    subject: impl Into<String>,
) -> impl FnOnce(git2::Error) -> RepoError {
    move |source| RepoError::Object {
        operation,
        subject: subject.into(),
        source,
    }
}

/// Shorthand for [`RepoError::Io`] in `map_err`.
pub(super) fn io(
    operation: &'static str,
    path: impl AsRef<Path>,
) -> impl FnOnce(std::io::Error) -> RepoError {
    move |source| RepoError::Io {
        operation,
        path: path.as_ref().to_path_buf(),
        source,
    }
}
