//! Removes worktrees that nobody needs any more.

use spectask_protocol::{SessionPhase, SessionStatus, WorkMode};

use super::{
    context::{Shared, git},
    halt::Halt,
};
use crate::{
    repo::Repository,
    store::{SessionRow, TaskRow},
    workflow::{lookup::session_name, session},
};

/// Removes the worktree of a session that has ended well; `copy` are the patterns of the user's files there. What is not committed there is saved to a
/// ref first; of a planning session only the documents count, and they are kept. In simple mode the
/// worktree stays: the next session works in it, and a person looks at it.
pub(super) async fn after(
    ctx: &Shared,
    task: &TaskRow,
    row: &SessionRow,
    repository: &Repository,
    copy: &[String],
) -> Result<(), Halt> {
    let planning = row.phase == SessionPhase::Planning;
    if !planning && task.mode == WorkMode::Simple {
        return Ok(());
    }
    let worktree = ctx.worktree_of(task, row);
    let wip = format!("refs/spectask/wip/{}", session_name(task, row));
    let copy = copy.to_vec();
    git(repository, move |repository| {
        let copied = repository.copied(&worktree, &copy)?;
        if planning {
            if worktree.exists() {
                repository.discard_changes(&worktree)?;
            }
            return repository
                .remove_worktree(&worktree, None, &copied)
                .map(drop);
        }
        repository
            .retire_worktree(&worktree, &wip, &copied)
            .map(drop)
    })
    .await?;
    session::update(&ctx.store, &row.id, |row| row.worktree = None).await?;
    Ok(())
}

/// Makes up for what the end of a daemon cut: worktrees of sessions that had ended well.
pub async fn sweep(ctx: Shared) {
    let all = ctx.store.read(|read| {
        let mut all = Vec::new();
        for task in read.open_tasks()? {
            for session in read.driven_sessions(&task.id)? {
                if session.status == SessionStatus::Completed && session.worktree.is_some() {
                    all.push((task.clone(), session.id));
                }
            }
        }
        Ok::<_, crate::store::StoreError>(all)
    });
    for (task, id) in all.unwrap_or_default() {
        // Nobody opens it again meanwhile.
        if ctx.take(&id).is_none() {
            continue;
        }
        if let Err(halt) = sweep_one(&ctx, &task, &id).await {
            let text = halt.waiting().map(|waiting| waiting.text);
            tracing::warn!(session = %id, ?text, "a worktree could not be removed");
        }
        ctx.release(&id);
    }
}

async fn sweep_one(
    ctx: &Shared,
    task: &TaskRow,
    id: &spectask_protocol::WorkSessionId,
) -> Result<(), Halt> {
    let row = ctx.store.read(|read| read.session(id))?.ok_or(Halt::Gone)?;
    if row.status != SessionStatus::Completed || row.worktree.is_none() {
        return Ok(());
    }
    let (project, repository) = ctx.repository(task)?;
    let copy = ctx.project_file(&project)?.file.copy;
    after(ctx, task, &row, &repository, &copy).await
}
