//! Drives a work session through its stages: prepare, turn, verify, merge. The stage is kept, so a
//! restart goes on where it stood.

use std::path::PathBuf;

use spectask_protocol::{
    SessionStage, SessionStatus, SpecTaskStatus, WaitKind, WorkMode, WorkSessionId,
};
use tokio_util::sync::CancellationToken;

use super::{
    briefing::Briefing,
    context::{Shared, git},
    foreign,
    halt::Halt,
    job::{Job, failed_verify},
    merge,
    prompts::steering,
    thread::{Thread, Turned, ask, settle},
};
use crate::{
    repo::{Author, Repository, WorktreeAt},
    workflow::{NextPrompt, message, session, turn},
};

/// Works on a session until it is merged, stopped, or a person steps in.
pub(super) async fn run(ctx: Shared, id: WorkSessionId, cancel: CancellationToken) {
    let mut thread = None;
    match session::activate(&ctx.store, &id).await {
        Ok(row) => {
            let result = drive(&ctx, &id, &mut thread, &cancel).await;
            settle(&ctx, &row, thread, result).await;
        }
        Err(error) => tracing::debug!(%error, session = %id, "a session did not start"),
    }
    ctx.release(&id);
}

async fn drive(
    ctx: &Shared,
    id: &WorkSessionId,
    thread: &mut Option<Thread>,
    cancel: &CancellationToken,
) -> Result<(), Halt> {
    loop {
        let job = Job::load(ctx, id, cancel)?;
        let done = job.row.status != SessionStatus::Active
            || job.task.status != SpecTaskStatus::Implementation;
        if cancel.is_cancelled() || ctx.is_draining() || done {
            return Err(Halt::Gone);
        }
        match job.row.stage {
            SessionStage::Prepare => prepare(&job).await?,
            SessionStage::Turn => work_turn(&job, thread).await?,
            SessionStage::Verify if job.row.head.is_none() && told_meanwhile(ctx, id)? => {
                session::hold_for_messages(&ctx.store, id).await?;
            }
            // Once only: what a verify that a crash cut left behind is not the agent's work.
            SessionStage::Verify if job.row.head.is_none() => take_work(&job).await?,
            SessionStage::Verify => verify(&job).await?,
            SessionStage::Merge => {
                if merge::merge(&job).await? {
                    return Ok(());
                }
            }
        }
    }
}

/// Whether messages came while the agent worked, which it hears before its result is taken.
pub(super) fn told_meanwhile(ctx: &Shared, id: &WorkSessionId) -> Result<bool, Halt> {
    Ok(ctx.store.read(|read| message::want_a_turn(read, id))?)
}

/// Makes the worktree from the merge that holds all that the session depends on.
async fn prepare(job: &Job<'_>) -> Result<(), Halt> {
    job.ctx
        .set_step(&job.row.id, Some("preparing a worktree".into()));
    let branch = match &job.row.branch {
        Some(branch) => branch.clone(),
        None => format!(
            "spectask/{}/{:02}-{}",
            job.task.name(),
            job.row.number,
            job.row.slug
        ),
    };
    // A session that was prepared before keeps the commit it started from.
    let base = match &job.row.base {
        Some(base) => base.clone(),
        None => merge::tip(job).await?,
    };
    let worktree = job.worktree.display().to_string();
    let (name, start) = (branch.clone(), base.clone());
    // Before git makes the branch, so that after a crash it is not taken for one that starts from
    // what was merged since.
    session::update(&job.ctx.store, &job.row.id, move |row| {
        row.branch = Some(branch);
        row.worktree = Some(worktree);
        row.base = Some(base);
    })
    .await?;
    let simple = job.task.mode == WorkMode::Simple;
    let (path, copy) = (job.worktree.clone(), job.chores.copy.clone());
    let root = PathBuf::from(&job.project.root);
    git(&job.repository, move |repository| {
        let at = WorktreeAt::Branch {
            name: name.clone(),
            start: start.clone(),
        };
        if simple && path.exists() {
            let copied = repository.copy_into(&root, &path, &copy)?.files;
            repository.switch_worktree(&path, &name, &start, &copied)?;
        } else {
            repository.add_worktree(&path, &at)?;
        }
        repository.copy_into(&root, &path, &copy)?;
        Ok(())
    })
    .await?;
    if !job.chores.setup.is_empty() {
        let ended = job.run(&job.chores.setup, &job.worktree, "setup").await?;
        if !ended.passed {
            return Err(Halt::wait(
                WaitKind::Repository,
                format!("the setup commands failed:\n{}", ended.output),
                Some("mend `setup` in .spectask.toml, `spectask trust`, `spectask retry`"),
            ));
        }
    }
    session::advance(&job.ctx.store, &job.row.id, SessionStage::Turn, |_| {}).await?;
    Ok(())
}

async fn work_turn(job: &Job<'_>, thread: &mut Option<Thread>) -> Result<(), Halt> {
    if job.task.paused {
        return Err(Halt::Gone);
    }
    let base = job
        .row
        .base
        .clone()
        .unwrap_or_else(|| job.task.base.clone());
    let steering = git(&job.repository, move |repository| {
        Ok(steering(repository, &base))
    })
    .await?;
    let briefing = Briefing {
        ctx: job.ctx,
        task: &job.task,
        session: &job.row,
        root: &job.worktree,
        steering,
        verify: &job.chores.verify,
    };
    let prompt = briefing.next()?;
    let before = git(&job.repository, Repository::snapshot).await?;
    let turned = ask(
        job.ctx,
        thread,
        &job.task,
        &job.row,
        &job.worktree,
        prompt,
        job.cancel,
    )
    .await;
    foreign::report(job.ctx, &job.repository, &job.task, &job.row, &before).await?;
    match turned? {
        Turned::Again | Turned::Ended => Ok(()),
    }
}

/// Commits of its agent's own that are kept of a turn.
const OWN_COMMITS: usize = 200;

/// Commits what a turn changed, after its edits of the specification are put back.
async fn take_work(job: &Job<'_>) -> Result<(), Halt> {
    job.ctx.set_step(&job.row.id, Some("committing".into()));
    let base = job
        .row
        .base
        .clone()
        .unwrap_or_else(|| job.task.base.clone());
    let folder = format!("specs/{}", job.task.name());
    let message = job.message(job.title());
    let (worktree, from) = (job.worktree.clone(), base.clone());
    let (root, copy) = (PathBuf::from(&job.project.root), job.chores.copy.clone());
    let resolving = NextPrompt::of(&job.row).is_some_and(|next| next.resolves());
    let taken = git(&job.repository, move |repository| {
        let restored = repository.restore(&worktree, &[folder.as_str()], &from)?;
        let marked = if resolving {
            repository.conflict_markers(&worktree)?
        } else {
            Vec::new()
        };
        if !marked.is_empty() {
            return Ok((restored, marked, repository.head_of(&worktree)?, true));
        }
        let copied = repository.copy_into(&root, &worktree, &copy)?.files;
        repository.commit_all(&worktree, &message, &Author::User, &copied)?;
        let head = repository.head_of(&worktree)?;
        let changed = !repository.diff_stat(&from, &head.commit)?.is_empty();
        Ok((restored, marked, head, changed))
    })
    .await?;
    let (restored, marked, head, changed) = taken;
    if !restored.is_empty() {
        let text = format!(
            "{} edited the specification; put back: {}",
            job.name(),
            restored.join(", ")
        );
        turn::incident(&job.ctx.store, &job.task.id, &job.row.id, "spec_edit", text).await?;
    }
    if !marked.is_empty() {
        return Err(Halt::wait(
            WaitKind::Conflict,
            format!("conflict markers are left in {}", marked.join(", ")),
            Some("`spectask retry` gives the conflict to the agent again"),
        ));
    }
    if head.branch != job.row.branch {
        let text = format!(
            "the agent left its branch: its worktree is on {}",
            head.branch.as_deref().unwrap_or("no branch")
        );
        turn::incident(
            &job.ctx.store,
            &job.task.id,
            &job.row.id,
            "foreign_ref",
            text.clone(),
        )
        .await?;
        let hint = format!(
            "look at {}, bring it back to its branch, then `spectask retry`",
            job.worktree.display()
        );
        return Err(Halt::wait(WaitKind::Repository, text, Some(&hint)));
    }
    let (commit, from) = (head.commit.clone(), base.clone());
    if !git(&job.repository, move |repository| {
        repository.is_ancestor(&from, &commit)
    })
    .await?
    {
        return Err(Halt::broken(
            "the agent rewrote its branch, which no longer holds the commit it started from",
        ));
    }
    if !changed && !job.row.accept_empty {
        return Err(Halt::wait(
            WaitKind::EmptyResult,
            "the turn ended, but nothing was changed",
            Some("`spectask accept-empty` if that is right; `spectask retry` asks the agent again"),
        ));
    }
    let (commit, from) = (head.commit.clone(), job.row.head.clone().unwrap_or(base));
    let mut own = git(&job.repository, move |repository| {
        repository.line(Some(&from), &commit, None, OWN_COMMITS)
    })
    .await?;
    own.retain(|commit| *commit != head.commit);
    session::advance_with(
        &job.ctx.store,
        &job.row.id,
        SessionStage::Verify,
        own,
        move |row| {
            row.head = Some(head.commit);
            row.verified = None;
            row.next_prompt = None;
        },
    )
    .await?;
    Ok(())
}

/// Runs the verify commands; a failure goes back to the agent.
async fn verify(job: &Job<'_>) -> Result<(), Halt> {
    if !job.chores.verify.is_empty() {
        let ended = job.run(&job.chores.verify, &job.worktree, "verify").await?;
        let passed = ended.passed;
        let row =
            session::verified(&job.ctx.store, &job.row.id, passed, ended.output.clone()).await?;
        if !passed {
            return failed_verify(job, &row, ended.output).await;
        }
    }
    session::advance(&job.ctx.store, &job.row.id, SessionStage::Merge, |_| {}).await?;
    Ok(())
}
