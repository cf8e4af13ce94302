//! Commands that move a SpecTask or a session: start, pause, resume, retry, cancel, spawn.

use spectask_protocol::{
    SessionParams, SpawnParams, SpecTaskView, StartParams, TargetParams, TaskParams, TaskRef,
    method::{
        SpecTaskCancel, SpecTaskGet, SpecTaskPause, SpecTaskResume, SpecTaskRetry, SpecTaskStart,
        WorkSessionAcceptEmpty, WorkSessionSpawn,
    },
};

use super::{
    args::{CancelArgs, RetryArgs, SessionArgs, SpawnArgs, TaskArgs, WaitingTaskArgs},
    choose,
    connect::Daemon,
    context::{Context, environment},
    error::{CliError, Exit},
    sheet::Tone,
    tree,
    watch::{self, Goal, Plan},
    wording,
};

pub(super) async fn start(ctx: &Context, args: WaitingTaskArgs) -> Result<Exit, CliError> {
    let daemon = ctx.daemon().await?;
    let task = choose::task(ctx, &daemon, args.task, &choose::STARTABLE).await?;
    let follow = Follow::if_wanted(args.wait, &daemon, &task).await?;
    let params = StartParams {
        task,
        environment: environment(),
    };
    let task = daemon.call(SpecTaskStart, params).await?;
    moved(ctx, daemon, task, "started", follow).await
}

pub(super) async fn pause(ctx: &Context, args: TaskArgs) -> Result<Exit, CliError> {
    let daemon = ctx.daemon().await?;
    let task = choose::task(ctx, &daemon, args.task, &choose::RUNNING).await?;
    let task = daemon.call(SpecTaskPause, TaskParams { task }).await?;
    moved(
        ctx,
        daemon,
        task,
        "is paused; running turns end",
        Follow::NOT,
    )
    .await
}

pub(super) async fn resume(ctx: &Context, args: WaitingTaskArgs) -> Result<Exit, CliError> {
    let daemon = ctx.daemon().await?;
    let task = choose::task(ctx, &daemon, args.task, &choose::PAUSED).await?;
    let follow = Follow::if_wanted(args.wait, &daemon, &task).await?;
    let params = StartParams {
        task,
        environment: environment(),
    };
    let task = daemon.call(SpecTaskResume, params).await?;
    moved(ctx, daemon, task, "goes on", follow).await
}

pub(super) async fn retry(ctx: &Context, args: RetryArgs) -> Result<Exit, CliError> {
    let daemon = ctx.daemon().await?;
    let target = choose::target(ctx, &daemon, args.target, &choose::STUCK).await?;
    let follow = match choose::task_of(&target) {
        Some(task) => Follow::if_wanted(args.wait, &daemon, &task).await?,
        None => Follow::NOT,
    };
    let params = TargetParams {
        target,
        environment: environment(),
    };
    let task = daemon.call(SpecTaskRetry, params).await?;
    moved(ctx, daemon, task, "tries again", follow).await
}

pub(super) async fn cancel(ctx: &Context, args: CancelArgs) -> Result<Exit, CliError> {
    let what = if args.target.as_str().contains('/') {
        "the session"
    } else {
        "the SpecTask"
    };
    let question = format!("Cancel {what} {}? Its turns are ended.", args.target);
    if !args.yes && !ctx.confirm(&question, "--yes")? {
        ctx.note("Nothing was cancelled.");
        return Ok(Exit::Good);
    }
    let daemon = ctx.daemon().await?;
    let named = args.target.clone();
    let params = TargetParams {
        target: args.target,
        environment: environment(),
    };
    let task = daemon.call(SpecTaskCancel, params).await?;
    ctx.show(&task, |sheet| {
        sheet
            .put(Tone::Name, named.as_str())
            .line(Tone::Plain, " is cancelled");
    })?;
    Ok(Exit::Good)
}

pub(super) async fn spawn(ctx: &Context, args: SpawnArgs) -> Result<Exit, CliError> {
    let daemon = ctx.daemon().await?;
    let params = SpawnParams {
        target: args.target,
        description: args.message.unwrap_or_else(|| args.title.clone()),
        title: args.title,
        agent: args.agent,
        environment: environment(),
    };
    let session = daemon.call(WorkSessionSpawn, params).await?;
    ctx.show(&session, |sheet| {
        sheet.plain("Spawned ").put(Tone::Name, &session.name).end();
        let task = session.name.split('/').next().unwrap_or_default();
        sheet
            .plain("Follow it: ")
            .line(Tone::Name, &format!("spectask watch {task}"));
    })?;
    Ok(Exit::Good)
}

pub(super) async fn accept_empty(ctx: &Context, args: SessionArgs) -> Result<Exit, CliError> {
    let daemon = ctx.daemon().await?;
    let params = SessionParams {
        session: args.session,
    };
    let session = daemon.call(WorkSessionAcceptEmpty, params).await?;
    ctx.show(&session, |sheet| {
        let (tone, state) = wording::session_state(&session);
        sheet
            .put(Tone::Name, tree::short(&session))
            .plain(": ")
            .line(tone, state);
    })?;
    Ok(Exit::Good)
}

/// Whether and from which event on a command follows what it set going.
#[derive(Debug, Clone, Copy)]
pub(super) struct Follow(Option<u64>);

impl Follow {
    /// Does not.
    pub(super) const NOT: Self = Self(None);

    /// Follows if asked to, from the newest event on; to be called before anything is set going.
    pub(super) async fn if_wanted(
        wanted: bool,
        daemon: &Daemon,
        task: &TaskRef,
    ) -> Result<Self, CliError> {
        if !wanted {
            return Ok(Self::NOT);
        }
        let params = TaskParams { task: task.clone() };
        Ok(Self(Some(daemon.call(SpecTaskGet, params).await?.seq)))
    }
}

/// Says what happened to a SpecTask and follows it if asked to.
pub(super) async fn moved(
    ctx: &Context,
    daemon: Daemon,
    task: SpecTaskView,
    what: &str,
    follow: Follow,
) -> Result<Exit, CliError> {
    let Follow(after) = follow;
    if !(after.is_some() && ctx.json) {
        ctx.show(&task, |sheet| {
            sheet
                .put(Tone::Name, &task.name)
                .line(Tone::Plain, &format!(" {what}"));
            if after.is_none() && !task.status.is_final() {
                sheet
                    .plain("Follow it: ")
                    .line(Tone::Name, &format!("spectask watch {}", task.name));
            }
        })?;
    }
    let Some(after) = after else {
        return Ok(Exit::Good);
    };
    let goal = if task.approved.is_some() {
        Goal::Work
    } else {
        Goal::Review
    };
    let plan = Plan::new(task.id.into(), goal, after);
    Ok(watch::follow(ctx, daemon, plan).await?.exit)
}
