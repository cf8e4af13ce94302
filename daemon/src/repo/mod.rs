//! Git. The `git` program does what users have configured it for (worktrees, staging, commits in
//! worktrees, the network), so that LFS, hooks, credentials and filters work; libgit2 does objects,
//! refs by compare-and-swap, diffs and merges in memory, which touch no working tree.
//!
//! [`Repository::discover`] opens the user's repository. Work happens in worktrees
//! ([`Repository::add_worktree`]), is committed ([`Repository::commit_all`]), merged without a
//! checkout ([`Repository::merge`], [`Repository::update_ref`]) and brought home at the end
//! ([`Repository::finish_merge`]). The user's checkout, index and `HEAD` are written by that last
//! step only. All functions block; an async caller uses `spawn_blocking`.

mod admin;
mod blame;
mod changes;
mod commit;
mod conflict;
mod consolidate;
mod copy;
mod diff;
mod error;
mod finish;
mod folder;
mod git;
mod inner;
mod ledger;
mod lock;
mod log;
mod merge;
mod names;
mod objects;
mod pack;
mod past;
mod publish;
mod refs;
mod remote;
mod repository;
mod retain;
mod snapshot;
#[cfg(test)]
mod testing;
mod wip;
mod worktree;
#[cfg(test)]
mod worktree_tests;

pub use blame::{Blame, BlamedCommit, BlamedLine};
pub use changes::{Change, ChangeKind};
pub use commit::{Author, CommitMessage};
pub use copy::Copied;
pub use diff::{FileStat, text_diff};
pub use error::RepoError;
pub use finish::FinishOutcome;
pub use folder::Folder;
pub use git::{Environment, MINIMUM_GIT, version};
pub use ledger::{Entry, Ledger};
pub use log::CommitInfo;
pub use merge::Merge;
pub use names::{check_ref_segment, slug};
pub use past::{AddedLines, CommitFacts, Past};
pub use publish::{Audience, FetchedRef, Outgoing, OutgoingRef, audience};
pub use remote::{Remote, web_compare_url, without_password};
pub use repository::{Head, Repository};
pub use retain::Saved;
pub use snapshot::{RefChange, RefSnapshot};
pub use worktree::{Worktree, WorktreeAt};

/// What the functions of this room return.
pub type Result<T, E = RepoError> = std::result::Result<T, E>;
