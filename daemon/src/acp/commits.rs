//! Commits that the agent of a thread makes by itself: what `HEAD` of the thread's folder got in a
//! turn in which one of its tools spoke of a commit. A person who commits at that moment in the same
//! folder cannot be told from it.

use std::path::{Path, PathBuf};

use spectask_protocol::{TranscriptEntry, WorkSessionId};

use super::{room::Room, thread::Thread};
use crate::{
    repo::{RepoError, Repository},
    store::{Store, StoreError},
};

/// Commits of one turn that are kept.
const MOST: usize = 100;

/// Text of a transcript that is read at a time, in bytes.
const PAGE: usize = 1 << 20;

/// Where a thread's folder stood before a turn.
pub(super) struct Before {
    repository: Repository,
    worktree: PathBuf,
    head: Option<String>,
    /// Seconds since the Unix epoch.
    at: i64,
    /// The first entry of the turn in its transcript.
    entries: u64,
}

impl Before {
    /// Looks; none when the folder is in no repository.
    pub(super) async fn look(room: &Room, thread: &Thread) -> Option<Self> {
        let cwd = PathBuf::from(thread.row().cwd);
        let (store, id) = (room.ctx.store.clone(), thread.id.clone());
        let look = move || {
            let repository = Repository::discover(&cwd).ok()?;
            let worktree = repository.worktree().to_owned();
            Some(Self {
                head: head(&repository, &worktree).ok()?,
                repository,
                worktree,
                at: jiff::Timestamp::now().as_second(),
                entries: store.read(|read| read.transcript_next(&id)).ok()?,
            })
        };
        tokio::task::spawn_blocking(look).await.ok()?
    }

    /// What the agent has committed since, oldest first. Everything of the turn is in the store.
    pub(super) async fn commits(self, room: &Room, thread: &Thread) -> Vec<String> {
        let (store, id) = (room.ctx.store.clone(), thread.id.clone());
        let look = move || -> Result<Vec<String>, Box<dyn std::error::Error + Send + Sync>> {
            let now = head(&self.repository, &self.worktree)?;
            let Some(now) = now.filter(|now| Some(now) != self.head.as_ref()) else {
                return Ok(Vec::new());
            };
            if !spoke_of_commits(&store, &id, self.entries)? {
                return Ok(Vec::new());
            }
            let (from, since) = (self.head.as_deref(), Some(self.at));
            Ok(self.repository.line(from, &now, since, MOST)?)
        };
        match tokio::task::spawn_blocking(look).await {
            Ok(Ok(commits)) => commits,
            Ok(Err(error)) => {
                tracing::warn!(%error, thread = %thread.id, "an agent's commits were not looked up");
                Vec::new()
            }
            Err(_) => Vec::new(),
        }
    }
}

/// Where the folder stands; nowhere before its first commit.
fn head(repository: &Repository, worktree: &Path) -> Result<Option<String>, RepoError> {
    match repository.head_of(worktree) {
        Ok(head) => Ok(Some(head.commit)),
        Err(RepoError::NoCommits { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether a tool or a terminal of the agent had to do with a commit since that entry.
fn spoke_of_commits(store: &Store, id: &WorkSessionId, mut from: u64) -> Result<bool, StoreError> {
    loop {
        let page = store.read(|read| read.transcript_page(id, from..u64::MAX, PAGE))?;
        let Some(last) = page.last() else {
            return Ok(false);
        };
        if page.iter().any(is_about_a_commit) {
            return Ok(true);
        }
        from = last.index + 1;
    }
}

fn is_about_a_commit(entry: &TranscriptEntry) -> bool {
    let frame = &entry.frame;
    let update = frame["params"]["update"]["sessionUpdate"].as_str();
    let of_tool = matches!(update, Some("tool_call" | "tool_call_update"));
    let of_terminal = frame["method"] == "terminal/create";
    entry.direction == "from_agent"
        && (of_tool || of_terminal)
        && frame.to_string().contains("commit")
}
