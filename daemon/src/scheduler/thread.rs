//! The thread of a session: its agent process, its ACP session, its turns.

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use spectask_protocol::{SessionPhase, SessionStage, ThreadStatus, TurnStatus, WaitKind};
use tokio_util::sync::CancellationToken;

use super::{context::Shared, halt::Halt, observe::SessionObserver, recovery};
use crate::{
    agents::{Agent, AgentError, SESSION_MARK, SpawnSpec, StopReason},
    store::{SessionRow, TaskRow},
    workflow::{message, session, turn},
};

/// How often in a row an agent may crash, or stop early, before a person is asked.
const PATIENCE: u32 = 3;

/// An agent that serves a session.
pub(super) struct Thread {
    agent: Agent,
    acp_session: String,
    observer: Arc<SessionObserver>,
}

/// Why an agent does not serve a session.
enum Unopened {
    /// Its process ended before it was ready; another one may do better.
    Ended(AgentError),
    Halt(Halt),
}

impl From<Halt> for Unopened {
    fn from(halt: Halt) -> Self {
        Self::Halt(halt)
    }
}

impl From<AgentError> for Unopened {
    fn from(error: AgentError) -> Self {
        match error {
            error @ AgentError::Exited { .. } => Self::Ended(error),
            error => Self::Halt(error.into()),
        }
    }
}

/// What came of a turn.
pub(super) enum Turned {
    /// The agent is done.
    Ended,
    /// The same goes on with another prompt, which the session keeps.
    Again,
}

impl Thread {
    /// Starts the session's agent in its worktree, and opens its ACP session: the one it had, where
    /// the agent can, else a new one.
    async fn open(
        ctx: &Shared,
        task: &TaskRow,
        session: &SessionRow,
        worktree: &Path,
    ) -> Result<Self, Unopened> {
        let base = ctx.environments.of(&task.project, &[]).await;
        let profile = ctx.profile(&session.agent, &base)?;
        let mut environment = ctx.environments.of(&task.project, &profile.env).await;
        let redactor = {
            let mut all = environment.clone();
            all.extend(profile.set.clone());
            // It is in the parameters by which the agent's session is opened.
            let token = ctx.live.tokens().issue(&session.id);
            all.insert("SPECTASK_SESSION_TOKEN".into(), token);
            ctx.redactor(&all)
        };
        let data_dir = ctx.paths.data_dir.display().to_string();
        environment.insert("SPECTASK_DATA_DIR".into(), data_dir);
        let observer = SessionObserver::new(
            Arc::clone(ctx),
            task.id.clone(),
            session.id.clone(),
            session.agent.clone(),
            redactor,
        )
        .map_err(Halt::from)?;
        let mut spec = SpawnSpec::new(profile, worktree, environment);
        spec.extra_env = BTreeMap::from([(SESSION_MARK.to_owned(), session.id.to_string())]);
        ctx.set_step(&session.id, Some("starting".into()));
        let agent = Agent::start(spec, Arc::<SessionObserver>::clone(&observer)).await?;
        let info = agent.info();
        let servers: Vec<_> = ctx.mcp_server(&session.id).into_iter().collect();
        let start = match &session.acp_session {
            Some(id) if info.resume || info.load_session => {
                match agent.reopen_session(id, worktree, servers.clone()).await {
                    Ok(start) => start,
                    Err(AgentError::Rpc { error, .. }) => {
                        tracing::warn!(session = %session.id, %error, "the agent lost its session; a new one is opened");
                        agent.new_session(worktree, servers).await?
                    }
                    Err(error) => return Err(error.into()),
                }
            }
            _ => agent.new_session(worktree, servers).await?,
        };
        Ok(Self {
            agent,
            acp_session: start.id,
            observer,
        })
    }

    /// Ends the agent's process.
    pub(super) async fn close(self) {
        self.observer.stream.flush().await;
        self.agent.close().await;
    }
}

/// Sends a prompt to the session's thread, which is opened when there is none, and sees the turn
/// through to its end, whatever that is.
pub(super) async fn ask(
    ctx: &Shared,
    thread: &mut Option<Thread>,
    task: &TaskRow,
    row: &SessionRow,
    worktree: &Path,
    (purpose, prompt): (&'static str, String),
    cancel: &CancellationToken,
) -> Result<Turned, Halt> {
    let opened = match thread.take() {
        Some(open) if open.agent.is_alive() => Ok(open),
        _ => tokio::select! {
            biased;
            () = cancel.cancelled() => return Err(Halt::Gone),
            opened = Thread::open(ctx, task, row, worktree) => opened,
        },
    };
    let open = match opened {
        Ok(open) => open,
        Err(Unopened::Ended(error)) => return ended_early(ctx, row, error, cancel).await,
        Err(Unopened::Halt(halt)) => return Err(halt),
    };
    // After the agent is there, so that what comes while it starts is in the prompt.
    let told = ctx.store.read(|read| message::waiting(read, row))?;
    let prompt = told.after(&prompt);
    let acp_session = open.acp_session.clone();
    let number = turn::begin(&ctx.store, &row.id, purpose, acp_session, told.ids).await?;
    ctx.set_step(&row.id, Some("waiting for the agent".into()));
    let answer = {
        let asked = open.agent.prompt_text(&open.acp_session, &prompt);
        tokio::pin!(asked);
        tokio::select! {
            biased;
            () = cancel.cancelled() => {
                open.agent.cancel(&open.acp_session).await;
                asked.await
            }
            answer = &mut asked => answer,
        }
    };
    let claim = open.observer.take_claim();
    open.observer.stream.flush().await;
    let mut outcome = judge(&answer, cancel.is_cancelled(), row, claim.as_deref());
    let redactor = &open.observer.redactor;
    outcome.reason = redactor.text(&outcome.reason).into_owned();
    if let Step::Halt(Halt::Wait(waiting)) = &mut outcome.step {
        waiting.text = redactor.text(&waiting.text).into_owned();
    }
    let (status, reason) = (outcome.status, outcome.reason.clone());
    let next = match &outcome.step {
        // Stays until the result is taken, so that a crash in between takes it and asks nothing.
        Step::Done => row.next_prompt.clone(),
        _ => turn::continued(row, &outcome.reason),
    };
    let trouble = !matches!(outcome.step, Step::Done);
    let kept = turn::end(
        &ctx.store,
        &row.id,
        number,
        status,
        Some(reason),
        move |session| {
            session.next_prompt = next;
            session.crashes = if trouble { session.crashes + 1 } else { 0 };
            if claim.is_some() {
                session.claim = claim;
            }
            if trouble {
                session.thread = ThreadStatus::Disconnected;
            } else {
                session.stage = SessionStage::Verify;
                // There is one again when the result of this turn was committed.
                session.head = None;
            }
        },
    )
    .await?;
    let step = outcome.step;
    if open.agent.is_alive() {
        *thread = Some(open);
    }
    match step {
        Step::Done => Ok(Turned::Ended),
        Step::Gone => Err(Halt::Gone),
        Step::Again if kept.crashes <= PATIENCE => once_more(&kept, cancel).await,
        Step::Again => match answer {
            Err(error) => Err(error.into()),
            Ok(_) => Err(Halt::wait(
                WaitKind::Stopped,
                format!("{}, {} times in a row", outcome.reason, kept.crashes),
                Some("`spectask retry` goes on"),
            )),
        },
        Step::Halt(halt) => Err(halt),
    }
}

/// Counts an agent that ended before its first prompt like one that crashed in a turn.
async fn ended_early(
    ctx: &Shared,
    row: &SessionRow,
    error: AgentError,
    cancel: &CancellationToken,
) -> Result<Turned, Halt> {
    tracing::warn!(session = %row.id, %error, "an agent ended while it started");
    let kept = session::update(&ctx.store, &row.id, |session| session.crashes += 1).await?;
    if kept.crashes > PATIENCE {
        return Err(error.into());
    }
    once_more(&kept, cancel).await
}

/// The same again, after a pause that grows.
async fn once_more(row: &SessionRow, cancel: &CancellationToken) -> Result<Turned, Halt> {
    let pause = Duration::from_millis(100 << row.crashes.min(6));
    tokio::select! {
        () = cancel.cancelled() => Err(Halt::Gone),
        () = tokio::time::sleep(pause) => Ok(Turned::Again),
    }
}

enum Step {
    Done,
    Again,
    Gone,
    Halt(Halt),
}

struct Outcome {
    status: TurnStatus,
    reason: String,
    step: Step,
}

/// Each stop reason is handled as what it is.
fn judge(
    answer: &Result<crate::agents::TurnEnd, AgentError>,
    cancelled: bool,
    row: &SessionRow,
    claim: Option<&str>,
) -> Outcome {
    let outcome = |status, reason: &str, step| Outcome {
        status,
        reason: reason.into(),
        step,
    };
    match answer {
        _ if cancelled => outcome(TurnStatus::Cancelled, "cancelled", Step::Gone),
        Ok(end) => match &end.stop_reason {
            StopReason::EndTurn => outcome(TurnStatus::Ended, "end_turn", Step::Done),
            StopReason::MaxTokens => outcome(
                TurnStatus::Failed,
                "the output limit of the model was reached (max_tokens)",
                Step::Again,
            ),
            StopReason::MaxTurnRequests => outcome(
                TurnStatus::Failed,
                "the agent's limit of requests in a turn was reached (max_turn_requests)",
                Step::Again,
            ),
            StopReason::Refusal => {
                let said = claim.unwrap_or("it gave no reason");
                let what = match row.phase {
                    SessionPhase::Planning => "plan this",
                    _ => "do this",
                };
                let halt = Halt::wait(
                    WaitKind::Stopped,
                    format!("agent {} refuses to {what}: {said}", row.agent),
                    Some("`spectask retry` asks again; `spectask cancel` gives it up"),
                );
                outcome(TurnStatus::Failed, "refusal", Step::Halt(halt))
            }
            StopReason::Cancelled => {
                let halt = Halt::wait(
                    WaitKind::Stopped,
                    "the agent ended the turn as cancelled, which nobody asked for",
                    Some("`spectask retry` goes on"),
                );
                outcome(TurnStatus::Cancelled, "cancelled", Step::Halt(halt))
            }
            StopReason::Other(other) => {
                let halt = Halt::wait(
                    WaitKind::Stopped,
                    format!("the agent ended the turn with {other:?}"),
                    Some("`spectask retry` goes on"),
                );
                outcome(TurnStatus::Failed, other, Step::Halt(halt))
            }
        },
        Err(error) => {
            let text = error.to_string();
            match error {
                AgentError::Exited { .. } => outcome(TurnStatus::Interrupted, &text, Step::Again),
                AgentError::Rpc { .. } | AgentError::Protocol { .. } => {
                    outcome(TurnStatus::Failed, &text, Step::Again)
                }
                AgentError::AuthRequired { agent, .. } => {
                    let hint = format!("`spectask agents login {agent}`, then `spectask retry`");
                    let halt = Halt::wait(WaitKind::NeedsAuth, text.clone(), Some(&hint));
                    outcome(TurnStatus::Failed, &text, Step::Halt(halt))
                }
                AgentError::Timeout { .. } | AgentError::Idle { .. } => {
                    let hint = Some("`spectask retry` goes on");
                    let halt = Halt::wait(WaitKind::TimeLimit, text.clone(), hint);
                    outcome(TurnStatus::Failed, &text, Step::Halt(halt))
                }
                _ => {
                    let hint = Some("`spectask retry` tries again");
                    let halt = Halt::wait(WaitKind::Agent, text.clone(), hint);
                    outcome(TurnStatus::Failed, &text, Step::Halt(halt))
                }
            }
        }
    }
}

/// Gives a session its agent as it is, or the person's word why it cannot work.
pub(super) async fn settle(
    ctx: &Shared,
    row: &SessionRow,
    thread: Option<Thread>,
    result: Result<(), Halt>,
) {
    if let Some(thread) = thread {
        thread.close().await;
    }
    // What an agent started and let go outlives it, and would move refs and files unseen.
    recovery::reap_of(vec![row.id.to_string()]).await;
    if let Err(Halt::Workflow(error)) = &result {
        tracing::debug!(%error, session = %row.id, "the state was moved meanwhile");
        // Not to run hot where the database or a row stands against it.
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    if let Err(halt) = result
        && let Some(mut waiting) = halt.waiting()
        && {
            waiting.text = ctx.clean(&waiting.text);
            true
        }
        && let Err(error) = session::stop(&ctx.store, &row.id, waiting).await
    {
        tracing::error!(%error, session = %row.id, "a session could not be stopped");
    }
}
