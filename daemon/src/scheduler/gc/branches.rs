//! Branches of sessions whose work is in the branch of their SpecTask, or where that went.

use super::{
    super::context::{Shared, git},
    Garbage,
};
use crate::{
    repo::{RepoError, Repository},
    store::{StoreError, TaskRow},
};

const KIND: &str = "branch";

/// What becomes of a branch.
enum Fate {
    /// It is in `specs/{task}` or the target.
    Merged,
    /// It is not, or it cannot be told.
    Kept(String),
    /// There is none.
    Gone,
}

pub(super) async fn collect(ctx: &Shared, garbage: &mut Garbage) -> Result<(), StoreError> {
    let tasks = ctx.store.read(|read| read.tasks(None, true))?;
    for task in tasks.into_iter().filter(|task| task.status.is_final()) {
        let sessions = ctx.store.read(|read| read.driven_sessions(&task.id))?;
        let own = format!("spectask/{}/", task.name());
        let branches: Vec<String> = sessions
            .into_iter()
            .filter_map(|row| row.branch)
            .filter(|branch| branch.starts_with(&own))
            .collect();
        if branches.is_empty() {
            continue;
        }
        // Without its repository there are no branches.
        let Ok((_, repository)) = ctx.repository(&task) else {
            continue;
        };
        let dry_run = garbage.dry_run;
        let fates = git(&repository, move |repository| {
            let holders = holders(repository, &task)?;
            let fates = branches.into_iter().map(|branch| {
                let fate = fate(repository, &branch, &holders, dry_run);
                let fate = fate.unwrap_or_else(|error| Fate::Kept(error.to_string()));
                (branch, fate)
            });
            Ok(fates.collect::<Vec<_>>())
        })
        .await;
        for (branch, fate) in fates.unwrap_or_default() {
            match fate {
                Fate::Merged => {
                    garbage.removed(KIND, branch, 0);
                }
                Fate::Kept(reason) => garbage.kept(KIND, branch, 0, reason),
                Fate::Gone => {}
            }
        }
    }
    Ok(())
}

/// The commits that hold what was merged: tips of `specs/{task}` and of the branch it went to.
fn holders(repository: &Repository, task: &TaskRow) -> Result<Vec<String>, RepoError> {
    let target = match &task.target {
        Some(target) => Some(target.clone()),
        None => repository.default_branch()?,
    };
    let mut holders = Vec::new();
    for branch in [Some(task.branch()), target].into_iter().flatten() {
        holders.extend(repository.branch_tip(&branch)?);
    }
    Ok(holders)
}

fn fate(
    repository: &Repository,
    branch: &str,
    holders: &[String],
    dry_run: bool,
) -> Result<Fate, RepoError> {
    let Some(tip) = repository.branch_tip(branch)? else {
        return Ok(Fate::Gone);
    };
    if let Some(path) = repository.checked_out_at(branch)? {
        // In a dry run the worktree would have gone before.
        if !dry_run {
            let text = format!("it is checked out at {}", path.display());
            return Ok(Fate::Kept(text));
        }
    }
    let merged = if dry_run {
        holders.iter().try_fold(false, |found, holder| {
            Ok::<_, RepoError>(found || repository.is_ancestor(&tip, holder)?)
        })?
    } else {
        repository.delete_merged_branch(branch, holders)?
    };
    Ok(if merged {
        Fate::Merged
    } else {
        Fate::Kept("it is not merged".into())
    })
}
