//! Opening, reopening and closing sessions of an agent.

use std::path::Path;

use serde_json::{Value, json};

use super::agent::Agent;
use super::error::AgentError;
use super::session::Modes;

/// An opened session.
#[derive(Debug, Clone, PartialEq)]
pub struct SessionStart {
    /// The ACP session id.
    pub id: String,
    /// Its modes, the current one after the profile's was set.
    pub modes: Option<Modes>,
    /// The answer as it came.
    pub raw: Value,
}

impl Agent {
    /// Opens a new session in `cwd` with these MCP servers (each as in ACP's `mcpServers`), and
    /// sets the profile's mode.
    pub async fn new_session(
        &self,
        cwd: &Path,
        mcp_servers: Vec<Value>,
    ) -> Result<SessionStart, AgentError> {
        let params = json!({ "cwd": cwd, "mcpServers": mcp_servers });
        let raw = self.short_request("session/new", &params).await?;
        let Some(id) = raw
            .get("sessionId")
            .and_then(Value::as_str)
            .map(str::to_owned)
        else {
            let what = "its answer to session/new has no `sessionId`";
            return Err(self.protocol_error(what));
        };
        self.host().open_session(&id, cwd);
        self.opened(id, raw).await
    }

    /// Opens an earlier session and has the agent repeat its history, as updates marked `replay`.
    pub async fn load_session(
        &self,
        id: &str,
        cwd: &Path,
        mcp_servers: Vec<Value>,
    ) -> Result<SessionStart, AgentError> {
        self.require(self.info().load_session, "session/load")?;
        self.reopen("session/load", id, cwd, mcp_servers).await
    }

    /// Opens an earlier session without its history.
    pub async fn resume_session(
        &self,
        id: &str,
        cwd: &Path,
        mcp_servers: Vec<Value>,
    ) -> Result<SessionStart, AgentError> {
        self.require(self.info().resume, "session/resume")?;
        self.reopen("session/resume", id, cwd, mcp_servers).await
    }

    /// Opens an earlier session, by `session/resume` if the agent has that, else by `session/load`.
    pub async fn reopen_session(
        &self,
        id: &str,
        cwd: &Path,
        mcp_servers: Vec<Value>,
    ) -> Result<SessionStart, AgentError> {
        if self.info().resume {
            self.resume_session(id, cwd, mcp_servers).await
        } else {
            self.load_session(id, cwd, mcp_servers).await
        }
    }

    async fn reopen(
        &self,
        method: &str,
        id: &str,
        cwd: &Path,
        mcp_servers: Vec<Value>,
    ) -> Result<SessionStart, AgentError> {
        let params = json!({ "sessionId": id, "cwd": cwd, "mcpServers": mcp_servers });
        // Before the request: the history comes ahead of the answer.
        let session = self.host().open_session(id, cwd);
        session.set_loading(true);
        let answer = self.short_request(method, &params).await;
        session.set_loading(false);
        match answer {
            Ok(raw) => self.opened(id.to_owned(), raw).await,
            Err(error) => {
                self.host().forget_session(id);
                Err(error)
            }
        }
    }

    /// Sets the profile's mode in a session that was just opened.
    async fn opened(&self, id: String, raw: Value) -> Result<SessionStart, AgentError> {
        let mut start = SessionStart {
            modes: Modes::read(&raw),
            id,
            raw,
        };
        if let Some(wanted) = &self.profile().mode
            && start
                .modes
                .as_ref()
                .is_none_or(|modes| modes.current != *wanted)
        {
            let available = start.modes.as_ref().map(|modes| modes.available.as_slice());
            let available: Vec<String> = available
                .unwrap_or_default()
                .iter()
                .map(|mode| mode.id.clone())
                .collect();
            if !available.contains(wanted) {
                let agent = self.profile().name.clone();
                return Err(AgentError::UnknownMode {
                    agent,
                    wanted: wanted.clone(),
                    available,
                });
            }
            if let Some(modes) = &mut start.modes {
                match &modes.option {
                    Some(option) => {
                        let params =
                            json!({ "sessionId": start.id, "configId": option, "value": wanted });
                        self.short_request("session/set_config_option", &params)
                            .await?;
                    }
                    None => self.set_mode(&start.id, wanted).await?,
                }
                modes.current.clone_from(wanted);
            }
        }
        Ok(start)
    }

    /// Sets a session's mode by its id.
    pub async fn set_mode(&self, session: &str, mode: &str) -> Result<(), AgentError> {
        let params = json!({ "sessionId": session, "modeId": mode });
        self.short_request("session/set_mode", &params)
            .await
            .map(drop)
    }

    /// Closes a session; agents that have no such method just forget about it with their process.
    pub async fn close_session(&self, session: &str) -> Result<(), AgentError> {
        self.cancel(session).await;
        self.host().forget_session(session);
        if self.info().close {
            self.short_request("session/close", &json!({ "sessionId": session }))
                .await?;
        }
        Ok(())
    }

    fn require(&self, offered: bool, what: &str) -> Result<(), AgentError> {
        if offered {
            return Ok(());
        }
        let agent = self.profile().name.clone();
        Err(AgentError::Unsupported {
            agent,
            what: what.to_owned(),
        })
    }
}
