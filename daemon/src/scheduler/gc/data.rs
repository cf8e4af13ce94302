//! The database and the log: drafts, transcripts, blobs, empty pages, the log before this one.

use std::{
    fs,
    path::Path,
    time::{Duration, SystemTime},
};

use jiff::Timestamp;
use spectask_protocol::{ProjectId, WorkSessionId};

use super::{super::context::Shared, Garbage};
use crate::{
    recorder,
    repo::Repository,
    store::{BlobMarks, StoreError},
    workflow::lookup::session_name,
};

/// A draft that nobody prompted is kept so long, in milliseconds.
pub const DRAFT_LIFE: i64 = 24 * 3600 * 1000;
/// A log that was put aside is kept so long.
const LOG_LIFE: Duration = Duration::from_secs(7 * 24 * 3600);
/// Batches of frames that are looked at in one read.
const BATCHES: u32 = 200;

pub(super) async fn collect(ctx: &Shared, garbage: &mut Garbage) -> Result<(), StoreError> {
    let drafts = forget_drafts(ctx, DRAFT_LIFE, &[], garbage.dry_run)
        .await?
        .len();
    if drafts > 0 {
        garbage.removed("drafts", drafts.to_string(), 0);
    }
    transcripts(ctx, garbage).await?;
    blobs(ctx, garbage).await?;
    logs(&ctx.paths.log_file(), garbage);
    let pages = ctx.store.read(|read| read.free_pages())?;
    if pages.are_many() {
        let reason = "the daemon gives empty pages back when it starts next";
        garbage.kept("database", "spectask.db", pages.free, reason);
    }
    Ok(())
}

/// Forgets threads of editors that nobody prompted for `life` milliseconds, that no editor shows, and
/// that are not among `shown`; returns which. In a dry run it only finds them.
///
/// # Errors
/// When the database fails.
pub async fn forget_drafts(
    ctx: &Shared,
    life: i64,
    shown: &[WorkSessionId],
    dry_run: bool,
) -> Result<Vec<WorkSessionId>, StoreError> {
    let before = Timestamp::now().as_millisecond().saturating_sub(life);
    let mut drafts = ctx.store.read(|read| read.drafts_before(before))?;
    drafts.retain(|id| !shown.contains(id) && ctx.live.editors().instance_of(id).is_none());
    if dry_run || drafts.is_empty() {
        return Ok(drafts);
    }
    ctx.store
        .write(move |write| {
            let mut gone = Vec::new();
            for draft in drafts {
                if write.delete_draft(&draft)? {
                    gone.push(draft);
                }
            }
            Ok(gone)
        })
        .await
}

/// What was said in sessions that cannot go on, if it is kept long enough and recorded in git.
async fn transcripts(ctx: &Shared, garbage: &mut Garbage) -> Result<(), StoreError> {
    let retention = ctx
        .config()
        .ok()
        .and_then(|config| config.history.retention().ok());
    let Some(retention) = retention.flatten() else {
        return Ok(());
    };
    let retention = i64::try_from(retention.as_millis()).unwrap_or(i64::MAX);
    let before = Timestamp::now().as_millisecond().saturating_sub(retention);
    let sessions = ctx.store.read(|read| read.sessions_to_forget(before))?;
    for row in sessions {
        if ctx.is_running(&row.id) {
            continue;
        }
        let (name, project, turns, bytes) = ctx.store.read(|read| -> Result<_, StoreError> {
            let task = match &row.task {
                Some(task) => read.task(task)?,
                None => None,
            };
            let project = task.as_ref().map(|task| task.project.clone());
            let name = session_name(task.as_ref(), &row);
            let bytes = read.transcript_size(&row.id)?;
            let turns = read.turns(&row.id)?.last().map_or(0, |turn| turn.number);
            let project = project.or_else(|| row.project.clone());
            Ok((name, project, turns, bytes))
        })?;
        if !is_recorded(ctx, project, name.clone(), row.id.clone(), turns).await {
            garbage.kept(
                "transcript",
                name,
                bytes,
                "not all of it is recorded in git",
            );
            continue;
        }
        if !garbage.dry_run {
            let id = row.id.clone();
            ctx.store
                .write(move |write| write.forget_transcript(&id))
                .await?;
        }
        garbage.removed("transcript", name, bytes);
    }
    Ok(())
}

/// Whether the history of a session is in its repository, up to the end of that turn.
async fn is_recorded(
    ctx: &Shared,
    project: Option<ProjectId>,
    name: String,
    id: WorkSessionId,
    turns: u32,
) -> bool {
    let root = project.and_then(|id| {
        let project = ctx.store.read(|read| read.project(&id));
        project.ok().flatten().map(|project| project.root)
    });
    let Some(root) = root else {
        return false;
    };
    let look = move || {
        let repository = Repository::discover(Path::new(&root))?;
        recorder::holds(&repository, &name, &id, turns)
    };
    let found = tokio::task::spawn_blocking(look).await;
    found.is_ok_and(|found| found.unwrap_or(false))
}

/// Blobs that no transcript names.
async fn blobs(ctx: &Shared, garbage: &mut Garbage) -> Result<(), StoreError> {
    let mut marks = BlobMarks::default();
    loop {
        let store = ctx.store.clone();
        let look = move || {
            let more = store.read(|read| read.mark_blobs(&mut marks, BATCHES));
            (more, marks)
        };
        let (more, looked) = tokio::task::spawn_blocking(look)
            .await
            .map_err(|_| StoreError::Closed)?;
        marks = looked;
        match more {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => {
                // A row that cannot be read may name any of them.
                garbage.kept("blobs", "all", 0, error.to_string());
                return Ok(());
            }
        }
    }
    let unnamed = ctx.store.read(|read| read.unnamed_blobs(&marks))?;
    if unnamed.is_empty() {
        return Ok(());
    }
    let mut found = (
        u32::try_from(unnamed.len()).unwrap_or(u32::MAX),
        unnamed.iter().map(|(_, size)| size).sum(),
    );
    if !garbage.dry_run {
        found = ctx
            .store
            .write(move |write| write.forget_blobs(&marks, &unnamed))
            .await?;
    }
    garbage.removed("blobs", found.0.to_string(), found.1);
    Ok(())
}

/// Logs that were put aside when they were full.
fn logs(log: &Path, garbage: &mut Garbage) {
    let aside = log.with_extension("log.1");
    let Ok(about) = fs::metadata(&aside) else {
        return;
    };
    let old = SystemTime::now().checked_sub(LOG_LIFE);
    let is_old = about.modified().ok() < old;
    if !about.is_file() || !is_old {
        return;
    }
    let name = aside.display().to_string();
    if !garbage.dry_run
        && let Err(error) = fs::remove_file(&aside)
    {
        garbage.kept("log", name, about.len(), error.to_string());
        return;
    }
    garbage.removed("log", name, about.len());
}
