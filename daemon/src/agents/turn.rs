//! One turn of an agent: a prompt, its limits and its end.

use std::time::Duration;

use agent_client_protocol::v1::schema::{ContentBlock, PromptRequest, TextContent};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep_until, timeout};

use super::agent::Agent;
use super::connection::Failure;
use super::error::AgentError;
use super::session::Verdict;

/// How long an agent may take to end a turn after `session/cancel`.
pub(super) const CANCEL_GRACE: Duration =
    Duration::from_millis(if cfg!(test) { 300 } else { 10_000 });

/// Why a turn ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StopReason {
    /// The agent is done.
    EndTurn,
    /// The model's output limit was reached.
    MaxTokens,
    /// The agent's own limit of model requests in one turn was reached.
    MaxTurnRequests,
    /// The agent refuses to go on.
    Refusal,
    /// The turn was cancelled.
    Cancelled,
    /// Something newer.
    Other(String),
}

impl StopReason {
    fn read(answer: &Value) -> Option<Self> {
        Some(match answer.get("stopReason")?.as_str()? {
            "end_turn" => Self::EndTurn,
            "max_tokens" => Self::MaxTokens,
            "max_turn_requests" => Self::MaxTurnRequests,
            "refusal" => Self::Refusal,
            "cancelled" => Self::Cancelled,
            other => Self::Other(other.to_owned()),
        })
    }
}

/// The end of a turn.
#[derive(Debug, Clone, PartialEq)]
pub struct TurnEnd {
    /// Why it ended.
    pub stop_reason: StopReason,
    /// The agent did not react to `session/cancel`, and its process was killed.
    pub killed: bool,
    /// The answer to `session/prompt` as it came; null if there was none.
    pub raw: Value,
}

/// Why a turn is being ended before the agent ends it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cause {
    Asked,
    TurnLimit,
    IdleLimit,
}

impl Agent {
    /// Runs a turn of one text. See [`prompt`](Self::prompt).
    pub async fn prompt_text(&self, session: &str, text: &str) -> Result<TurnEnd, AgentError> {
        self.prompt(session, vec![ContentBlock::Text(TextContent::new(text))])
            .await
    }

    /// Sends a prompt to a session and waits for the end of the turn.
    ///
    /// A turn that [`cancel`](Self::cancel) ends is `Cancelled`, whatever the agent answers then.
    /// At the profile's turn or idle limit the turn is cancelled too, and is an error. An agent
    /// that does not end a cancelled turn within ten seconds is killed with its process group.
    /// Dropping the future cancels the turn without waiting for its end.
    pub async fn prompt(
        &self,
        session: &str,
        blocks: Vec<ContentBlock>,
    ) -> Result<TurnEnd, AgentError> {
        let state = self.open_session(session)?;
        let params = self.params(&PromptRequest::new(session.to_owned(), blocks))?;
        let closed = &self.host().closed;
        let (turn, cancelled) = state.begin_turn(closed);
        let mut abandoned = CancelOnDrop {
            agent: self,
            session,
            armed: true,
        };
        let (turn_limit, idle_limit) = (self.profile().turn_limit, self.profile().idle_limit);

        let answer = self.connection().request("session/prompt", &params);
        tokio::pin!(answer);
        let mut ending: Option<(Cause, Instant)> = None;
        let mut look_again = Instant::now();
        let result = loop {
            tokio::select! {
                biased;
                answer = &mut answer => break Ok(answer),
                () = cancelled.cancelled(), if ending.is_none() && !closed.is_cancelled() => {
                    ending = Some((Cause::Asked, Instant::now() + CANCEL_GRACE));
                }
                () = sleep_until(ending.map_or(look_again, |(_, end)| end)) => {
                    if let Some((cause, _)) = ending {
                        break Err(cause);
                    }
                    let cause = match state.verdict(turn_limit, idle_limit) {
                        Verdict::Fine(then) => {
                            look_again = then;
                            continue;
                        }
                        Verdict::Over => Cause::TurnLimit,
                        Verdict::Idle => Cause::IdleLimit,
                    };
                    ending = Some((cause, Instant::now() + CANCEL_GRACE));
                    self.cancel(session).await;
                }
            }
        };
        abandoned.armed = false;
        state.end_turn(turn, closed);
        let cause = ending.map(|(cause, _)| cause);
        let killed = result.is_err();
        if killed {
            self.kill().await;
        }
        match cause {
            Some(Cause::TurnLimit) => Err(self.timed_out("the turn", turn_limit)),
            Some(Cause::IdleLimit) => Err(self.fell_silent(idle_limit)),
            Some(Cause::Asked) => {
                let raw = match result {
                    Ok(Ok(raw)) => raw,
                    // Agents also answer a cancelled prompt with an error.
                    Ok(Err(Failure::Rpc(_))) | Err(_) => Value::Null,
                    Ok(Err(Failure::Closed)) => return Err(self.gone("being cancelled").await),
                };
                Ok(TurnEnd {
                    stop_reason: StopReason::Cancelled,
                    killed,
                    raw,
                })
            }
            None => {
                let raw = match result {
                    Ok(Ok(raw)) => raw,
                    Ok(Err(failure)) => return Err(self.failure("session/prompt", failure).await),
                    Err(_) => return Err(self.gone("session/prompt").await),
                };
                let Some(stop_reason) = StopReason::read(&raw) else {
                    let what = "its answer to session/prompt has no `stopReason`";
                    return Err(self.protocol_error(what));
                };
                Ok(TurnEnd {
                    stop_reason,
                    killed: false,
                    raw,
                })
            }
        }
    }

    /// Cancels a session's turn: the agent is told, permission requests that wait are answered
    /// `cancelled`, its commands are killed. Returns at once; [`prompt`](Self::prompt) returns
    /// when the turn has ended. Does nothing to a session that is not open.
    pub async fn cancel(&self, session: &str) {
        let Some(state) = self.host().session(session) else {
            return;
        };
        state.token().cancel();
        self.host().terminals.kill_session(session);
        let params = json!({ "sessionId": session });
        // An agent that no longer reads must not hold up its own end.
        let _ = timeout(
            CANCEL_GRACE,
            self.connection().notify("session/cancel", &params),
        )
        .await;
    }
}

/// Cancels a turn that nobody waits for any more.
struct CancelOnDrop<'a> {
    agent: &'a Agent,
    session: &'a str,
    armed: bool,
}

impl Drop for CancelOnDrop<'_> {
    fn drop(&mut self) {
        if self.armed
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let (agent, session) = (self.agent.clone(), self.session.to_owned());
            runtime.spawn(async move { agent.cancel(&session).await });
        }
    }
}
