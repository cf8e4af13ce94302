//! After a start: ends what a crash left behind, before anything opens a worktree again.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use super::context::{Shared, git};
use crate::{
    agents::{self, ProcessIdentity, Reaped, SESSION_MARK},
    store::StoreError,
    workflow::{WorkflowError, turn},
};

/// Locks are held for moments; a git command that outlived the daemon may hold a younger one.
const STALE: Duration = Duration::from_secs(1);

/// Reaps orphaned agents and commands, removes locks they left, and marks interrupted turns.
///
/// # Errors
/// When the database fails.
pub async fn recover(ctx: &Shared) -> Result<(), WorkflowError> {
    let processes = ctx.store.read(|read| read.open_processes())?;
    for process in processes {
        let identity = ProcessIdentity {
            pid: process.pid,
            start_time: process.start_time,
            group: process.process_group,
        };
        let reaped = tokio::task::spawn_blocking(move || agents::reap(&identity)).await;
        match reaped {
            Ok(Reaped::Killed) => {
                tracing::info!(pid = process.pid, agent = %process.agent, "an orphaned agent was ended");
            }
            Ok(_) => {}
            Err(error) => tracing::error!(%error, "an orphan could not be looked at"),
        }
        turn::process_ended(&ctx.store, process.id).await?;
    }
    // Commands of a repository, agents that were not noted yet, and what left its group.
    reap_strays(ctx).await;
    clear_locks(ctx).await?;
    let turns = turn::interrupt_all(&ctx.store).await?;
    if turns > 0 {
        tracing::info!(
            turns,
            "turns were interrupted by the end of the daemon before"
        );
    }
    Ok(())
}

/// Ends processes that were started for a session of an open SpecTask, or for one of no SpecTask, and
/// left their agents.
pub async fn reap_strays(ctx: &Shared) {
    let sessions = ctx.store.read(|read| {
        let mut ids = Vec::new();
        for task in read.open_tasks()? {
            let sessions = read.sessions(&task.id)?;
            ids.extend(sessions.into_iter().map(|session| session.id.to_string()));
        }
        let loose = read.loose_sessions(None)?.into_iter();
        let open = loose.filter(|session| !session.status.is_final());
        ids.extend(open.map(|session| session.id.to_string()));
        Ok::<_, StoreError>(ids)
    });
    reap_of(sessions.unwrap_or_default()).await;
}

/// Ends processes that were started for these sessions.
pub(super) async fn reap_of(sessions: Vec<String>) {
    if sessions.is_empty() {
        return;
    }
    let reap = move || agents::reap_marked(SESSION_MARK, &sessions);
    if let Ok(count @ 1..) = tokio::task::spawn_blocking(reap).await {
        tracing::info!(count, "processes that outlived their agents were ended");
    }
}

/// Removes git's locks from branches and worktrees of open SpecTasks: whoever held them was killed.
async fn clear_locks(ctx: &Shared) -> Result<(), WorkflowError> {
    let mut projects = BTreeMap::new();
    for task in ctx.store.read(|read| read.open_tasks())? {
        let sessions = ctx.store.read(|read| read.driven_sessions(&task.id))?;
        let worktrees = sessions
            .iter()
            .filter_map(|session| session.worktree.as_ref());
        let (_, all): &mut (_, Vec<PathBuf>) = projects
            .entry(task.project.to_string())
            .or_insert_with(|| (task.clone(), Vec::new()));
        all.extend(worktrees.map(PathBuf::from));
    }
    for (task, worktrees) in projects.into_values() {
        let cleared = match ctx.repository(&task) {
            Ok((_, repository)) => {
                let clear = move |repository: &crate::repo::Repository| {
                    repository.clear_stale_locks(&worktrees, STALE)
                };
                git(&repository, clear).await
            }
            Err(halt) => Err(halt),
        };
        match cleared {
            Ok(locks) if locks.is_empty() => {}
            Ok(locks) => tracing::warn!(?locks, "removed locks that a killed command left"),
            // A repository may be gone or away; its sessions will say so.
            Err(halt) => {
                let text = halt.waiting().map(|waiting| waiting.text);
                tracing::warn!(task = %task.name(), ?text, "locks were not looked for");
            }
        }
    }
    Ok(())
}
