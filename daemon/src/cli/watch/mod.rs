//! Following a SpecTask: `spectask watch`, and every command that waits.
//!
//! What is shown and when it ends follow from the state, which is fetched after each event and while
//! sessions run (`verdict`); events only wake, and are the lines where no terminal is (`lines`).
//! On a terminal a tree moves (`live`).

mod lines;
mod live;
mod verdict;

use std::time::{Duration, Instant};

use futures_util::FutureExt;
use jiff::tz::TimeZone;
use jsonrpsee::core::client::Subscription;
use serde_json::json;
use spectask_protocol::{
    Event, EventsParams, FailureKind, SpecTaskOverview, TaskParams, TaskRef,
    method::{EventsList, SpecTaskGet},
};

pub(super) use verdict::Goal;

use self::{live::Live, verdict::Verdict};
use super::{
    args::WatchArgs,
    choose, connect,
    connect::Daemon,
    context::Context,
    error::{CliError, Exit},
    sheet::{Sheet, Tone},
    show,
};

/// How often the state is fetched while something runs.
const TICK: Duration = Duration::from_millis(500);
/// How often it is fetched while nothing seems to run.
const SLOW_TICK: Duration = Duration::from_secs(5);
/// How long nothing may happen before a SpecTask counts as stuck: its next session may be about to
/// start.
const STUCK_AFTER: Duration = Duration::from_millis(1500);
/// How long a lost daemon may take to come back.
const RECONNECT: Duration = Duration::from_secs(15);

/// What to follow and how.
pub(super) struct Plan {
    /// The SpecTask.
    pub(super) task: TaskRef,
    /// What is waited for.
    pub(super) goal: Goal,
    /// Events with greater numbers are shown.
    pub(super) after: u64,
    /// Whether the end tells a person what to do next.
    pub(super) advice: bool,
}

impl Plan {
    /// Follows a SpecTask to a goal, showing events after a number.
    pub(super) const fn new(task: TaskRef, goal: Goal, after: u64) -> Self {
        Self {
            task,
            goal,
            after,
            advice: true,
        }
    }
}

/// How following ended.
pub(super) struct Followed {
    /// For the shell.
    pub(super) exit: Exit,
    /// The connection, perhaps a new one.
    pub(super) daemon: Daemon,
}

pub(super) async fn run(ctx: &Context, args: WatchArgs) -> Result<Exit, CliError> {
    let daemon = ctx.daemon().await?;
    let task = choose::current(ctx, &daemon, args.task).await?;
    let overview = daemon.call(SpecTaskGet, TaskParams { task }).await?;
    let from = args
        .from
        .map_or(overview.seq, |from| from.saturating_sub(1));
    let task = overview.task.id.into();
    let plan = Plan::new(task, Goal::Watch, from);
    Ok(follow(ctx, daemon, plan).await?.exit)
}

/// Follows a SpecTask until its goal is reached, it fails, or a person has to do something; shows
/// it as the context wants.
///
/// # Errors
/// When the daemon cannot be reached any more.
pub(super) async fn follow(
    ctx: &Context,
    daemon: Daemon,
    plan: Plan,
) -> Result<Followed, CliError> {
    let Plan {
        task,
        goal,
        after,
        advice,
    } = plan;
    let mut view = View::new(ctx, advice);
    let mut follower = Follower {
        ctx,
        daemon,
        name: task.to_string(),
        last: after,
        task,
        seen: Vec::new(),
    };
    let mut events = follower.subscribe().await?;
    let mut quiet: Option<(Instant, u64)> = None;
    loop {
        let mut overview = follower.overview(&mut events).await?;
        follower.name.clone_from(&overview.task.name);
        let drained = follower.drain(&mut events);
        if drained.iter().any(|event| event.seq > overview.seq) {
            // They may name sessions that were made after the look.
            overview = follower.overview(&mut events).await?;
        }
        for event in drained {
            view.event(&event, &overview)?;
        }
        view.state(&overview);
        let ended = match verdict::verdict(&overview, goal) {
            Verdict::Running | Verdict::Idle => {
                quiet = None;
                None
            }
            Verdict::Stuck(reason) => {
                let since = match quiet {
                    Some((since, seq)) if seq == overview.seq => since,
                    _ => Instant::now(),
                };
                quiet = Some((since, overview.seq));
                (since.elapsed() >= STUCK_AFTER).then_some((Exit::WaitsForPerson, reason))
            }
            Verdict::Ended(exit, reason) => Some((exit, reason)),
        };
        if let Some((exit, reason)) = ended {
            for event in follower.rest().await? {
                view.event(&event, &overview)?;
            }
            view.end(&overview, exit, reason)?;
            return Ok(Followed {
                exit,
                daemon: follower.daemon,
            });
        }
        let idle = quiet.is_none() && verdict::verdict(&overview, goal) == Verdict::Idle;
        if !follower.wait(&mut events, idle).await? {
            view.interrupted(&overview.task.name);
            return Ok(Followed {
                exit: Exit::Interrupted,
                daemon: follower.daemon,
            });
        }
    }
}

struct Follower<'a> {
    ctx: &'a Context,
    daemon: Daemon,
    task: TaskRef,
    last: u64,
    /// Events that woke, to be shown with the state that they led to.
    seen: Vec<Event>,
    /// What to type to follow it again.
    name: String,
}

impl Follower<'_> {
    async fn subscribe(&self) -> Result<Subscription<Event>, CliError> {
        let params = EventsParams {
            after: self.last,
            task: Some(self.task.clone()),
        };
        self.daemon.subscribe_events(params).await
    }

    /// The state; from a new connection when the old one is lost.
    async fn overview(
        &mut self,
        events: &mut Subscription<Event>,
    ) -> Result<SpecTaskOverview, CliError> {
        loop {
            let params = TaskParams {
                task: self.task.clone(),
            };
            match self.daemon.call(SpecTaskGet, params).await {
                Err(error) if error.kind() == Some(FailureKind::Unavailable) => {
                    self.reconnect(events).await?;
                }
                other => return other,
            }
        }
    }

    /// Events that are there already.
    fn drain(&mut self, events: &mut Subscription<Event>) -> Vec<Event> {
        let mut drained = std::mem::take(&mut self.seen);
        while let Some(Some(Ok(event))) = events.next().now_or_never() {
            self.last = self.last.max(event.seq);
            drained.push(event);
        }
        drained
    }

    /// Events that the subscription has not brought yet.
    async fn rest(&mut self) -> Result<Vec<Event>, CliError> {
        let mut rest = Vec::new();
        loop {
            let params = EventsParams {
                after: self.last,
                task: Some(self.task.clone()),
            };
            let events = self.daemon.call(EventsList, params).await?.events;
            let Some(newest) = events.iter().map(|event| event.seq).max() else {
                return Ok(rest);
            };
            if newest <= self.last {
                return Ok(rest);
            }
            self.last = newest;
            rest.extend(events);
        }
    }

    /// Waits until there is something new to see; false when the person interrupted.
    async fn wait(
        &mut self,
        events: &mut Subscription<Event>,
        idle: bool,
    ) -> Result<bool, CliError> {
        tokio::select! {
            event = events.next() => match event {
                Some(Ok(event)) => {
                    self.last = self.last.max(event.seq);
                    self.seen.push(event);
                }
                Some(Err(error)) => {
                    return Err(CliError::internal(format!("the daemon sent no event: {error}")));
                }
                // Lost, or too far behind: either way it goes on from the last event seen.
                None => self.reconnect(events).await?,
            },
            () = tokio::time::sleep(if idle { SLOW_TICK } else { TICK }) => {}
            _ = tokio::signal::ctrl_c() => return Ok(false),
        }
        Ok(true)
    }

    async fn reconnect(&mut self, events: &mut Subscription<Event>) -> Result<(), CliError> {
        let start = Instant::now();
        loop {
            let found = match connect::connect_if_running(&self.ctx.paths).await {
                // One that was stopped takes its socket away and stays stopped; one that was killed
                // cannot, and its work goes on.
                Ok(None) if self.ctx.paths.socket().exists() => {
                    connect::connect_or_start(&self.ctx.paths).await.ok()
                }
                other => other.ok().flatten(),
            };
            if let Some(daemon) = found {
                self.daemon = daemon;
                if let Ok(subscription) = self.subscribe().await {
                    *events = subscription;
                    return Ok(());
                }
            }
            if start.elapsed() > RECONNECT {
                return Err(CliError::new(
                    FailureKind::Unavailable,
                    "the daemon stopped while this command was waiting",
                )
                .hint(format!(
                    "`spectask watch {}` starts it again and work goes on",
                    self.name
                )));
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// Where it is shown.
struct View<'a> {
    ctx: &'a Context,
    zone: TimeZone,
    live: Option<Live>,
    advice: bool,
}

impl<'a> View<'a> {
    fn new(ctx: &'a Context, advice: bool) -> Self {
        let live = (ctx.terminal && !ctx.json).then(|| Live::new(ctx.color));
        Self {
            ctx,
            zone: TimeZone::system(),
            live,
            advice,
        }
    }

    fn event(&mut self, event: &Event, overview: &SpecTaskOverview) -> Result<(), CliError> {
        if self.ctx.json {
            return self.ctx.print_json_line(event);
        }
        let mut sheet = self.ctx.sheet();
        match &self.live {
            None => {
                lines::line(&mut sheet, event, overview, &self.zone);
                self.ctx.print(sheet)
            }
            Some(live) => {
                if lines::matters(event) {
                    lines::line(&mut sheet, event, overview, &self.zone);
                    live.above(&sheet.into_text());
                }
                Ok(())
            }
        }
    }

    fn state(&mut self, overview: &SpecTaskOverview) {
        if let Some(live) = &mut self.live {
            live.update(overview);
        }
    }

    /// Clears the tree and says how it ended.
    fn end(
        &mut self,
        overview: &SpecTaskOverview,
        exit: Exit,
        reason: &str,
    ) -> Result<(), CliError> {
        if self.ctx.json {
            return self.ctx.print_json_line(&json!({
                "kind": "watch_ended",
                "data": {
                    "exit": exit.code(),
                    "reason": reason,
                    "status": overview.task.status,
                    "next": overview.next,
                },
            }));
        }
        let mut sheet = self.ctx.sheet();
        if let Some(live) = self.live.take() {
            live.clear();
            live::summary(&mut sheet, overview, self.ctx.width());
        }
        ending(&mut sheet, overview, exit, reason);
        if self.advice || exit != Exit::Good {
            show::next(&mut sheet, &overview.next);
        }
        self.ctx.print(sheet)
    }

    fn interrupted(&mut self, name: &str) {
        if let Some(live) = self.live.take() {
            live.clear();
        }
        self.ctx.note(&format!(
            "The work goes on. Look again: spectask watch {name}"
        ));
    }
}

/// Says how it ended and what waits.
fn ending(sheet: &mut Sheet, overview: &SpecTaskOverview, exit: Exit, reason: &str) {
    let tone = match exit {
        Exit::Good => Tone::Good,
        Exit::WaitsForPerson | Exit::Interrupted => Tone::Warn,
        Exit::Failed => Tone::Bad,
    };
    sheet
        .put(Tone::Name, &overview.task.name)
        .plain(": ")
        .line(tone, reason);
    if let Some(error) = overview
        .task
        .error
        .as_ref()
        .filter(|_| exit == Exit::Failed)
    {
        sheet.block(&format!("{error}\n"));
    }
    show::waits(sheet, overview);
    show::permissions(sheet, &overview.permissions);
}
