//! Compares refs, HEAD and stash with before a turn: what moved, and was not moved by the daemon, is
//! an incident for a person to judge.

use std::time::Duration;

use super::{
    context::{Shared, git},
    halt::Halt,
};
use crate::{
    repo::{RefChange, RefSnapshot, Repository},
    store::{SessionRow, TaskRow},
    workflow::{lookup::session_name, turn},
};

/// The daemon moves a ref first and notes it in the database after; between the two it looks foreign.
const LOOKS: u32 = 10;
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

/// Reports what moved since `before` and was not moved by the daemon.
pub(super) async fn report(
    ctx: &Shared,
    repository: &Repository,
    task: &TaskRow,
    row: &SessionRow,
    before: &RefSnapshot,
) -> Result<(), Halt> {
    let mut changes = Vec::new();
    for _ in 0..LOOKS {
        changes = foreign(ctx, repository, row, before).await?;
        // The daemon's own branches settle; others are what they are.
        if !changes.iter().any(|change| is_ours(&change.name)) {
            break;
        }
        tokio::time::sleep(BETWEEN_LOOKS).await;
    }
    for change in changes {
        let text = format!(
            "while the agent of {} worked, {} went from {} to {}; if that was not you, it was the agent",
            session_name(task, row),
            change.name,
            short(change.before.as_deref()),
            short(change.after.as_deref()),
        );
        turn::incident(&ctx.store, &task.id, &row.id, "foreign_ref", text).await?;
    }
    Ok(())
}

fn short(value: Option<&str>) -> String {
    match value {
        Some(value) if value.len() == 40 => value.chars().take(12).collect(),
        Some(value) => value.to_owned(),
        None => "nothing".to_owned(),
    }
}

fn is_ours(name: &str) -> bool {
    name.starts_with("refs/heads/specs/") || name.starts_with("refs/heads/spectask/")
}

async fn foreign(
    ctx: &Shared,
    repository: &Repository,
    row: &SessionRow,
    before: &RefSnapshot,
) -> Result<Vec<RefChange>, Halt> {
    let after = git(repository, Repository::snapshot).await?;
    let own = row
        .branch
        .as_deref()
        .map(|branch| format!("refs/heads/{branch}"));
    let changes = before.foreign_changes(&after, &|name| {
        name.starts_with("refs/spectask/")
            || name.starts_with("refs/remotes/")
            || Some(name) == own.as_deref()
    });
    let expected = expected(ctx, row)?;
    let mut left = Vec::new();
    for change in changes {
        let known = expected.iter().find(|(name, _)| *name == change.name);
        let fine = match known {
            None => false,
            Some((_, Place::At(commit))) => *commit == change.after,
            Some((_, Place::Grows)) => grows(repository, &change).await?,
        };
        if !fine {
            left.push(change);
        }
    }
    Ok(left)
}

/// Whether a branch only got commits on top, as an agent that commits does with its own.
async fn grows(repository: &Repository, change: &RefChange) -> Result<bool, Halt> {
    match (change.before.clone(), change.after.clone()) {
        (None, Some(_)) => Ok(true),
        (Some(before), Some(after)) => {
            git(repository, move |repository| {
                repository.is_ancestor(&before, &after)
            })
            .await
        }
        (_, None) => Ok(false),
    }
}

enum Place {
    At(Option<String>),
    Grows,
}

/// Refs that the daemon and its other sessions move, with where they should be.
fn expected(ctx: &Shared, own: &SessionRow) -> Result<Vec<(String, Place)>, Halt> {
    let mut expected = Vec::new();
    for task in ctx.store.read(|read| read.open_tasks())? {
        expected.push((
            format!("refs/heads/{}", task.branch()),
            Place::At(task.tip.clone()),
        ));
        for session in ctx.store.read(|read| read.sessions(&task.id))? {
            let Some(branch) = session.branch.as_ref().filter(|_| session.id != own.id) else {
                continue;
            };
            let place = if ctx.is_running(&session.id) {
                Place::Grows
            } else {
                Place::At(session.head.clone().or(session.base.clone()))
            };
            expected.push((format!("refs/heads/{branch}"), place));
        }
    }
    Ok(expected)
}
