//! Rows of the store as the views of the protocol.

use std::{collections::HashMap, path::Path};

use jiff::Timestamp;
use spectask_protocol::{
    Failure, FailureKind, ImplementationTaskView, PlanEntry, PlanWave, Progress, SeenView,
    SessionMethod, SessionPhase, SessionRef, SessionStage, SessionStatus, SpecTaskOverview,
    SpecTaskStatus, SpecTaskView, ThreadStatus, ThreadView, TurnView, WaitKind, Waiting,
    WorkSessionView,
};

use crate::{
    scheduler::Context,
    store::{
        NewImplementationTask, Read, SeenThreadRow, SessionRow, StoreError, TaskRow, ThreadRow,
    },
    workflow::lookup::session_name,
};

pub(super) fn time(millis: i64) -> String {
    Timestamp::from_millisecond(millis)
        .unwrap_or_default()
        .to_string()
}

pub(super) fn task(
    read: &Read<'_>,
    row: &TaskRow,
    (active, stuck): (u32, u32),
) -> Result<SpecTaskView, StoreError> {
    let project = read
        .project(&row.project)?
        .map(|project| project.root)
        .unwrap_or_default();
    Ok(SpecTaskView {
        id: row.id.clone(),
        number: row.number,
        name: row.name(),
        project,
        title: row.title.clone(),
        prompt: row.prompt.clone(),
        status: row.status,
        mode: row.mode,
        planning_agent: row.planning_agent.clone(),
        agent: row.agent.clone(),
        limit: row.session_limit,
        paused: row.paused,
        archived: row.archived,
        branch: row.branch(),
        tip: row.tip.clone(),
        base: row.base.clone(),
        target: row.target.clone(),
        revision: row.revision,
        approved: row.approved,
        progress: Progress {
            done: row.done,
            total: row.total,
        },
        active,
        stuck,
        error: row.error.clone(),
        imported: row.imported,
        created_at: time(row.created_at),
        updated_at: time(row.updated_at),
    })
}

/// The view of one SpecTask, by its row.
pub(super) fn one_task(ctx: &Context, row: &TaskRow) -> Result<SpecTaskView, Failure> {
    let view = ctx.store.read(|read| {
        let counts = read
            .session_counts()?
            .into_iter()
            .find(|(id, _, _)| *id == row.id);
        task(
            read,
            row,
            counts.map_or((0, 0), |(_, active, stuck)| (active, stuck)),
        )
    });
    view.map_err(super::error::store)
}

pub(super) fn tasks(read: &Read<'_>, rows: &[TaskRow]) -> Result<Vec<SpecTaskView>, StoreError> {
    let counts: HashMap<_, _> = read
        .session_counts()?
        .into_iter()
        .map(|(id, active, stuck)| (id, (active, stuck)))
        .collect();
    rows.iter()
        .map(|row| task(read, row, counts.get(&row.id).copied().unwrap_or_default()))
        .collect()
}

pub(super) fn session(
    ctx: &Context,
    read: &Read<'_>,
    task: Option<&TaskRow>,
    row: &SessionRow,
) -> Result<WorkSessionView, StoreError> {
    let number = match row.implementation_task {
        Some(id) => read.implementation_task(id)?.map(|work| work.number),
        None => None,
    };
    let turns = read.turns(&row.id)?.into_iter().map(|turn| TurnView {
        number: turn.number,
        purpose: turn.purpose,
        status: turn.status,
        reason: turn.reason,
    });
    Ok(WorkSessionView {
        id: row.id.clone(),
        name: session_name(task, row),
        task: row.task.clone(),
        title: row.title.clone(),
        phase: row.phase,
        status: row.status,
        stage: row.stage,
        method: row.method,
        parent: row.parent.clone(),
        task_number: number,
        agent: row.agent.clone(),
        branch: row.branch.clone(),
        worktree: row.worktree.clone(),
        base: row.base.clone(),
        head: row.head.clone(),
        // Before the end it is only where the branch was meant to go.
        merged: row
            .merged
            .clone()
            .filter(|_| row.status == SessionStatus::Completed),
        verified: row.verified,
        verify_output: row.verify_output.clone(),
        waiting: match &row.waiting {
            None if row.status == SessionStatus::Active => question(read, row)?,
            waiting => waiting.clone(),
        },
        step: ctx.step(&row.id),
        claim: row.claim.clone(),
        thread: row.thread,
        acp_session: row.acp_session.clone(),
        turns: turns.collect(),
        started_at: row.started_at.map(time),
        ended_at: row.ended_at.map(time),
        recorded: true,
        seen: None,
    })
}

/// What stands for Zed's own agent among agents.
const ZED_AGENT: &str = "zed";

/// A thread of Zed's own agent as the session it would be; none if it is not to be named.
pub(super) fn seen_session(row: &SeenThreadRow) -> Option<WorkSessionView> {
    let status = if row.deleted_at.is_some() {
        SessionStatus::Cancelled
    } else {
        SessionStatus::Active
    };
    Some(WorkSessionView {
        id: row.id.clone(),
        name: row.id.to_string(),
        task: None,
        title: row.title.clone().unwrap_or_default(),
        phase: SessionPhase::Implementation,
        status,
        stage: SessionStage::Prepare,
        method: SessionMethod::Seen,
        parent: None,
        task_number: None,
        agent: ZED_AGENT.parse().ok()?,
        branch: None,
        worktree: None,
        base: None,
        head: None,
        merged: None,
        verified: None,
        verify_output: None,
        waiting: None,
        step: None,
        claim: None,
        thread: ThreadStatus::Active,
        acp_session: None,
        turns: Vec::new(),
        started_at: row.created_at.map(time),
        ended_at: row.deleted_at.map(time),
        recorded: false,
        seen: Some(seen(row)),
    })
}

/// A thread of Zed's own agent; none if it is not to be named.
pub(super) fn seen_thread(row: &SeenThreadRow) -> Option<ThreadView> {
    Some(ThreadView {
        id: row.id.clone(),
        session: None,
        agent: ZED_AGENT.parse().ok()?,
        title: row.title.clone(),
        cwd: row.folders.first().cloned().unwrap_or_default(),
        status: ThreadStatus::Active,
        instance: None,
        running: false,
        last_activity: time(row.used_at),
        recorded: false,
        seen: Some(seen(row)),
    })
}

fn seen(row: &SeenThreadRow) -> SeenView {
    SeenView {
        channel: row.channel.clone(),
        session: row.session.clone(),
        folders: row.folders.clone(),
        remote: row.remote,
        archived: row.archived,
        deleted_at: row.deleted_at.map(time),
    }
}

/// The thread of Zed's own agent that a person named by its id.
pub(super) fn find_seen(
    read: &Read<'_>,
    name: &SessionRef,
) -> Result<Option<SeenThreadRow>, StoreError> {
    match name.as_str().parse() {
        Ok(id) if read.thread(&id)?.is_none() && read.session(&id)?.is_none() => {
            read.seen_thread(&id)
        }
        _ => Ok(None),
    }
}

/// Whether a thread of Zed's own agent works in that folder, below it, or in a linked worktree of it.
pub(super) fn is_seen_in(row: &SeenThreadRow, folder: &Path) -> bool {
    let mut paths = row.folders.iter().chain(&row.repositories);
    !row.remote && paths.any(|path| Path::new(path).starts_with(folder))
}

/// A thread that was not prompted yet, as the session it will be.
pub(super) fn draft(row: &ThreadRow) -> WorkSessionView {
    WorkSessionView {
        id: row.id.clone(),
        name: row.id.to_string(),
        task: row.task.clone(),
        title: row.title.clone().unwrap_or_default(),
        phase: SessionPhase::Implementation,
        status: SessionStatus::Pending,
        stage: SessionStage::Prepare,
        method: SessionMethod::AdHoc,
        parent: None,
        task_number: None,
        agent: row.agent.clone(),
        branch: None,
        worktree: None,
        base: None,
        head: None,
        merged: None,
        verified: None,
        verify_output: None,
        waiting: None,
        step: None,
        claim: None,
        thread: row.status,
        acp_session: row.acp_session.clone(),
        turns: Vec::new(),
        started_at: None,
        ended_at: None,
        recorded: true,
        seen: None,
    }
}

/// What the agent of an active session asks a person: until the answer its turn stands still.
fn question(read: &Read<'_>, row: &SessionRow) -> Result<Option<Waiting>, StoreError> {
    let asked = read.open_permissions(row.task.as_ref())?;
    let asked = asked.into_iter().find(|asked| asked.session == row.id);
    Ok(asked.map(|asked| Waiting {
        kind: WaitKind::Permission,
        text: asked.title,
        hint: Some(format!(
            "`spectask permissions answer {} allow`, or reject",
            asked.id
        )),
    }))
}

pub(super) fn overview(ctx: &Context, row: &TaskRow) -> Result<SpecTaskOverview, Failure> {
    let view = ctx.store.read(|read| -> Result<_, StoreError> {
        let rows = read.sessions(&row.id)?;
        let count = |wanted: &[SessionStatus]| {
            let all = rows
                .iter()
                .filter(|session| !session.is_ad_hoc() && wanted.contains(&session.status))
                .count();
            u32::try_from(all).unwrap_or(u32::MAX)
        };
        let counts = (
            count(&[SessionStatus::Active]),
            count(&[SessionStatus::Blocked, SessionStatus::Waiting]),
        );
        let depends = read.dependencies(&row.id)?;
        let tasks =
            read.implementation_tasks(&row.id)?
                .into_iter()
                .map(|work| ImplementationTaskView {
                    depends: depends.get(&work.number).cloned().unwrap_or_default(),
                    number: work.number,
                    title: work.title,
                    status: work.status,
                    optional: work.optional,
                    requirements: work.requirements,
                    resources: work.resources,
                    session: work.session,
                });
        let sessions: Vec<WorkSessionView> = rows
            .iter()
            .map(|session_row| session(ctx, read, Some(row), session_row))
            .collect::<Result<_, _>>()?;
        let permissions = read.open_permissions(Some(&row.id))?;
        Ok(SpecTaskOverview {
            task: task(read, row, counts)?,
            tasks: tasks.collect(),
            next: next(row, &sessions, permissions.len()),
            sessions,
            permissions,
            incidents: read.incidents(&row.id, 20)?,
            seq: read.last_event()?,
        })
    });
    view.map_err(super::error::store)
}

/// What the person can do now.
fn next(task: &TaskRow, sessions: &[WorkSessionView], permissions: usize) -> Vec<String> {
    let name = task.name();
    if task.imported {
        return vec![
            format!("spectask history log {name}"),
            format!("spectask history trace {name}"),
        ];
    }
    let mut next = Vec::new();
    if permissions > 0 {
        next.push("spectask permissions".to_owned());
    }
    for session in sessions {
        if let Some(waiting) = &session.waiting {
            match waiting.kind {
                // Named above; the session goes on by the answer.
                WaitKind::Permission => continue,
                WaitKind::NeedsAuth => {
                    next.push(format!("spectask agents login {}", session.agent));
                }
                WaitKind::Trust => next.push("spectask trust".to_owned()),
                WaitKind::EmptyResult => {
                    next.push(format!("spectask accept-empty {}", session.name));
                }
                _ => {}
            }
            next.push(format!("spectask retry {}", session.name));
        }
    }
    let more: &[&str] = match task.status {
        SpecTaskStatus::Backlog => &["start"],
        SpecTaskStatus::SpecReview => &["review", "approve", "request-changes", "edit"],
        SpecTaskStatus::QueuedImplementation if !task.start_requested => &["start"],
        SpecTaskStatus::SpecFailed | SpecTaskStatus::ImplementationFailed => &["retry"],
        SpecTaskStatus::ImplementationReview => &["diff", "finish"],
        SpecTaskStatus::PullRequest => &["finish --keep"],
        _ if task.paused => &["resume"],
        _ => &[],
    };
    for command in more {
        let (command, flags) = command.split_once(' ').unwrap_or((command, ""));
        next.push(
            format!("spectask {command} {name} {flags}")
                .trim_end()
                .to_owned(),
        );
    }
    next.dedup();
    next
}

/// The tasks of a plan in waves: each wave is what can run when those before are done.
pub(super) fn waves(plan: &[NewImplementationTask]) -> Vec<PlanWave> {
    let mut level: HashMap<&str, usize> = HashMap::new();
    // Dependencies point at tasks in any order; a plan has no cycle, so this settles.
    for _ in 0..plan.len() {
        for entry in plan {
            let after = entry
                .depends
                .iter()
                .filter_map(|on| level.get(on.as_str()))
                .max();
            let at = after.map_or(0, |level| level + 1);
            level.insert(&entry.number, at);
        }
    }
    let depth = level.values().max().map_or(0, |level| level + 1);
    let wave = |wanted: usize| PlanWave {
        tasks: plan
            .iter()
            .filter(|entry| level.get(entry.number.as_str()) == Some(&wanted))
            .map(|entry| PlanEntry {
                number: entry.number.clone(),
                title: entry.title.clone(),
                depends: entry.depends.clone(),
                optional: entry.optional,
            })
            .collect(),
    };
    (0..depth).map(wave).collect()
}

/// The failure of a thing that must be there.
pub(super) fn gone(what: &str) -> Failure {
    Failure::new(
        FailureKind::NotFound,
        format!("the {what} is not in the database"),
    )
}
