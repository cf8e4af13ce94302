//! Passing an editor's requests on to an agent, and its answers back, as they are.

use std::path::Path;

use serde_json::Value;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::agent::Agent;
use super::connection::Failure;
use super::error::AgentError;
use super::turn::CANCEL_GRACE;
use super::wire::RpcError;

/// Why a relayed request has no result.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// The agent answered with an error, which goes back as it is.
    #[error("{0}")]
    Rpc(RpcError),
    /// The agent is gone, or ended the connection.
    #[error(transparent)]
    Gone(#[from] AgentError),
}

impl Agent {
    /// Sends a request and waits for its answer without a limit. When `cancel` fires the agent is
    /// told by `$/cancel_request`, and its answer is still waited for.
    ///
    /// # Errors
    /// The agent's own error as it came, or that it is gone.
    pub async fn relay(
        &self,
        method: &str,
        params: &Value,
        cancel: &CancellationToken,
    ) -> Result<Value, RelayError> {
        let answer = self.connection().request_until(method, params, cancel);
        self.relayed(method, answer.await).await
    }

    async fn relayed(
        &self,
        method: &str,
        answer: Result<Value, Failure>,
    ) -> Result<Value, RelayError> {
        match answer {
            Ok(answer) => Ok(answer),
            Err(Failure::Rpc(error)) => Err(RelayError::Rpc(error)),
            Err(Failure::Closed) => Err(self.gone(method).await.into()),
        }
    }

    /// Relays a request that makes a session (`session/new`, `session/fork`), and serves that session
    /// in `cwd` from then on. Returns its id and the answer.
    ///
    /// # Errors
    /// As [`relay`](Self::relay); an answer without a `sessionId` is an error too.
    pub async fn relay_new(
        &self,
        method: &str,
        params: &Value,
        cwd: &Path,
        cancel: &CancellationToken,
    ) -> Result<(String, Value), RelayError> {
        let answer = self.relay(method, params, cancel).await?;
        let Some(id) = answer.get("sessionId").and_then(Value::as_str) else {
            let what = format!("its answer to {method} has no `sessionId`");
            return Err(self.protocol_error(&what).into());
        };
        let id = id.to_owned();
        self.host().open_session(&id, cwd);
        Ok((id, answer))
    }

    /// Relays `session/load` or `session/resume` of session `id`; what the agent repeats meanwhile is
    /// marked as a replay.
    ///
    /// # Errors
    /// As [`relay`](Self::relay).
    pub async fn relay_reopen(
        &self,
        method: &str,
        id: &str,
        params: &Value,
        cwd: &Path,
    ) -> Result<Value, RelayError> {
        // Before the request: the history comes ahead of the answer.
        let session = self.host().open_session(id, cwd);
        session.set_loading(true);
        let limit = self.profile().start_limit;
        let answer = self
            .connection()
            .request_within(method, params, limit)
            .await;
        session.set_loading(false);
        let answer = match answer {
            Some(answer) => self.relayed(method, answer).await,
            None => Err(self.timed_out(method, limit).into()),
        };
        if answer.is_err() {
            self.host().forget_session(id);
        }
        answer
    }

    /// Relays a `session/prompt` of session `session`, which must be open. An agent that does not end
    /// the turn in time after [`cancel`](Agent::cancel) is killed with its process group.
    ///
    /// # Errors
    /// As [`relay`](Self::relay).
    pub async fn relay_prompt(
        &self,
        session: &str,
        params: &Value,
        cancel: &CancellationToken,
    ) -> Result<Value, RelayError> {
        let state = self.open_session(session)?;
        let closed = self.host().closed.clone();
        let (turn, cancelled) = state.begin_turn(&closed);
        let answer = self.relay("session/prompt", params, cancel);
        tokio::pin!(answer);
        let mut deadline: Option<Instant> = None;
        let answer = loop {
            tokio::select! {
                biased;
                answer = &mut answer => break answer,
                () = cancelled.cancelled(), if deadline.is_none() && !closed.is_cancelled() => {
                    deadline = Some(Instant::now() + CANCEL_GRACE);
                }
                () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => {
                    self.kill().await;
                    break answer.await;
                }
            }
        };
        state.end_turn(turn, &closed);
        answer
    }

    /// Serves session `id` no longer, as after `session/close`.
    pub fn forget_session(&self, id: &str) {
        self.host().forget_session(id);
    }
}
