//! The level-triggered loop: woken, it reads the state and acts until it is as it should be.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use spectask_protocol::{SessionPhase, SessionStatus, SpecTaskStatus, WorkMode};
use tokio::task::JoinSet;

use super::{context::Shared, documents, halt::Halt, planner, worker};
use crate::{
    store::{ReadyTask, SessionRow, TaskRow},
    workflow::session,
};

/// A wake that was missed, or a failure outside the database, is made up for after this time.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// Runs until the daemon ends.
pub async fn run(ctx: Shared) {
    let mut committed = ctx.store.committed();
    let mut work = JoinSet::new();
    loop {
        committed.mark_unchanged();
        if !ctx.is_draining() {
            match ctx.store.read(|read| read.open_tasks()) {
                Ok(tasks) => {
                    for task in tasks {
                        if let Err(halt) = look_at(&ctx, &task, &mut work).await
                            && let Some(waiting) = halt.waiting()
                        {
                            tracing::warn!(task = %task.name(), text = %waiting.text, "not moved on");
                        }
                    }
                }
                Err(error) => tracing::error!(%error, "the scheduler cannot read"),
            }
        }
        while work.try_join_next().is_some() {}
        tokio::select! {
            changed = committed.changed() => if changed.is_err() { return },
            () = ctx.wake.notified() => {}
            () = tokio::time::sleep(LOOK_AGAIN) => {}
        }
    }
}

/// Does for one SpecTask what its state asks for.
async fn look_at(ctx: &Shared, task: &TaskRow, work: &mut JoinSet<()>) -> Result<(), Halt> {
    match task.status {
        SpecTaskStatus::QueuedSpecGeneration
        | SpecTaskStatus::SpecGeneration
        | SpecTaskStatus::SpecRevision => plan(ctx, task, work),
        SpecTaskStatus::SpecApproved => {
            documents::commit(Arc::clone(ctx), task.id.clone()).await;
            Ok(())
        }
        SpecTaskStatus::QueuedImplementation if task.start_requested && !task.paused => {
            session::task_step(&ctx.store, &task.id, SpecTaskStatus::Implementation, None).await?;
            Ok(())
        }
        SpecTaskStatus::Implementation => implement(ctx, task, work).await,
        _ => Ok(()),
    }
}

fn is_open(session: &SessionRow) -> bool {
    matches!(
        session.status,
        SessionStatus::Pending | SessionStatus::Active
    )
}

fn plan(ctx: &Shared, task: &TaskRow, work: &mut JoinSet<()>) -> Result<(), Halt> {
    if task.paused {
        return Ok(());
    }
    let session = ctx.store.read(|read| read.session_numbered(&task.id, 0))?;
    if let Some(session) = session.filter(is_open)
        && let Some(cancel) = ctx.take(&session.id)
    {
        work.spawn(planner::run(Arc::clone(ctx), session.id, cancel));
    }
    Ok(())
}

/// Starts sessions in dependency order: those that exist, then those of tasks that are ready, as many
/// as the limit and the resources allow.
async fn implement(ctx: &Shared, task: &TaskRow, work: &mut JoinSet<()>) -> Result<(), Halt> {
    let sessions: Vec<_> = ctx
        .store
        .read(|read| read.driven_sessions(&task.id))?
        .into_iter()
        .filter(|session| session.phase != SessionPhase::Planning)
        .collect();
    let tasks = ctx.store.read(|read| read.implementation_tasks(&task.id))?;
    let resources_of = |session: &SessionRow| {
        let id = session.implementation_task;
        tasks
            .iter()
            .find(|task| Some(task.id) == id)
            .map(|task| task.resources.clone())
    };
    let limit = match task.mode {
        WorkMode::Simple => 1,
        WorkMode::Parallel => usize::try_from(task.session_limit).unwrap_or(usize::MAX),
    };
    let mut held = BTreeSet::new();
    let mut running = 0;
    for session in sessions
        .iter()
        .filter(|session| ctx.is_running(&session.id))
    {
        running += 1;
        held.extend(resources_of(session).unwrap_or_default());
    }
    // In simple mode a session that is stuck holds the one worktree.
    let stuck = |session: &SessionRow| {
        matches!(
            session.status,
            SessionStatus::Blocked | SessionStatus::Waiting
        )
    };
    if task.mode == WorkMode::Simple && sessions.iter().any(stuck) {
        return Ok(());
    }
    let mut start = |session: &SessionRow, held: &mut BTreeSet<String>, running: &mut usize| {
        let wanted = resources_of(session).unwrap_or_default();
        if *running >= limit || wanted.iter().any(|resource| held.contains(resource)) {
            return false;
        }
        let Some(cancel) = ctx.take(&session.id) else {
            return false;
        };
        held.extend(wanted);
        *running += 1;
        work.spawn(worker::run(Arc::clone(ctx), session.id.clone(), cancel));
        true
    };
    let open: Vec<_> = sessions.iter().filter(|session| is_open(session)).collect();
    // What is under way goes first: it holds a worktree.
    for status in [SessionStatus::Active, SessionStatus::Pending] {
        if task.paused && status == SessionStatus::Pending {
            continue;
        }
        for session in open
            .iter()
            .filter(|s| s.status == status && !ctx.is_running(&s.id))
        {
            let turns = matches!(
                session.stage,
                spectask_protocol::SessionStage::Prepare | spectask_protocol::SessionStage::Turn
            );
            if !(task.paused && turns) {
                start(session, &mut held, &mut running);
            }
        }
    }
    let waiting = open.len() > running;
    if !task.paused && !waiting {
        let room = limit.saturating_sub(running);
        let ready = ready(ctx, task, &held, room)?;
        for next in ready {
            let session = session::assign(&ctx.store, &task.id, next).await?;
            // Its resources are known by its task, which the next look sees.
            let Some(cancel) = ctx.take(&session.id) else {
                continue;
            };
            work.spawn(worker::run(Arc::clone(ctx), session.id, cancel));
            running += 1;
        }
    }
    let idle = running == 0 && open.is_empty() && !sessions.iter().any(stuck);
    if idle && ctx.store.read(|read| read.all_completed(&task.id))? {
        let to = SpecTaskStatus::ImplementationReview;
        session::task_step(&ctx.store, &task.id, to, Some("every task is done".into())).await?;
    }
    Ok(())
}

/// Ready tasks that fit together: no two want the same resource.
fn ready(
    ctx: &Shared,
    task: &TaskRow,
    held: &BTreeSet<String>,
    room: usize,
) -> Result<Vec<ReadyTask>, Halt> {
    if room == 0 {
        return Ok(Vec::new());
    }
    let mut held = held.clone();
    let mut chosen = Vec::new();
    // Some of the first may want resources that are held: look a little further.
    let look = u32::try_from(room.saturating_mul(8)).unwrap_or(u32::MAX);
    for next in ctx.store.read(|read| read.ready_tasks(&task.id, look))? {
        if chosen.len() == room {
            break;
        }
        if next
            .resources
            .iter()
            .any(|resource| held.contains(resource))
        {
            continue;
        }
        held.extend(next.resources.iter().cloned());
        chosen.push(next);
    }
    Ok(chosen)
}
