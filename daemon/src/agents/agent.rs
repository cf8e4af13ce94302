//! An agent: its process, its connection, and what can be asked of it.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use super::connection::{Closed, Connection, Failure};
use super::error::AgentError;
use super::host::Host;
use super::info::{AgentInfo, client_side, read_info};
use super::observer::Observer;
use super::process::{Exit, ProcessIdentity};
use super::profile::Profile;
use super::session::Session;
use super::spawn::{EXIT_GRACE, Process, SpawnSpec, host, spawn};
use super::update::one_line;
use super::wire::{MAX_FRAME, RpcError};

/// A running agent. Clones share it; when the last one is dropped, the process is killed with its
/// group.
#[derive(Clone)]
pub struct Agent {
    inner: Arc<Inner>,
}

struct Inner {
    profile: Profile,
    host: Arc<Host>,
    connection: Connection,
    process: Option<Process>,
    info: OnceLock<AgentInfo>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.connection.close(Closed::ByUs);
        if let Some(process) = &self.process {
            process.kill.cancel();
        }
    }
}

impl Agent {
    /// Starts the profile's program in a process group of its own, connects, and exchanges
    /// `initialize` within the profile's start limit. The observer has stored the process before
    /// the agent gets its first frame.
    pub async fn start(spec: SpawnSpec, observer: Arc<dyn Observer>) -> Result<Self, AgentError> {
        let host = host(&spec, &observer)?;
        let (process, connection) = spawn(&spec, &host).await?;
        Self::begin(spec, host, connection, Some(process)).await
    }

    /// Connects to an agent over a pair of streams instead of a process of the daemon's.
    pub async fn connect<R, W>(
        reader: R,
        writer: W,
        spec: SpawnSpec,
        observer: Arc<dyn Observer>,
    ) -> Result<Self, AgentError>
    where
        R: AsyncRead + Send + Unpin + 'static,
        W: AsyncWrite + Send + Unpin + 'static,
    {
        let host = host(&spec, &observer)?;
        let connection = Connection::open(reader, writer, Arc::clone(&host));
        Self::begin(spec, host, connection, None).await
    }

    async fn begin(
        spec: SpawnSpec,
        host: Arc<Host>,
        connection: Connection,
        process: Option<Process>,
    ) -> Result<Self, AgentError> {
        let SpawnSpec {
            profile,
            initialize,
            ..
        } = spec;
        let info = OnceLock::new();
        let agent = Self {
            inner: Arc::new(Inner {
                profile,
                host,
                connection,
                process,
                info,
            }),
        };
        let params = match initialize {
            Some(params) => params,
            None => agent.params(&client_side(agent.profile()))?,
        };
        let answer = agent.short_request("initialize", &params).await?;
        let info =
            read_info(&answer, agent.profile()).map_err(|what| agent.protocol_error(&what))?;
        let _ = agent.inner.info.set(info);
        Ok(agent)
    }

    /// The process; `None` where the agent was connected to over streams.
    #[must_use]
    pub fn identity(&self) -> Option<&ProcessIdentity> {
        self.inner.process.as_ref().map(|process| &process.identity)
    }

    /// What the agent says of itself.
    #[must_use]
    pub fn info(&self) -> &AgentInfo {
        // Set before `start` and `connect` return.
        self.inner.info.get_or_init(AgentInfo::default)
    }

    /// The profile it was started from.
    #[must_use]
    pub fn profile(&self) -> &Profile {
        &self.inner.profile
    }

    /// The end of what the process wrote to standard error, at most 64 KiB.
    #[must_use]
    pub fn stderr_tail(&self) -> String {
        self.inner
            .process
            .as_ref()
            .map_or_else(String::new, |process| self.redacted(&process.stderr_text()))
    }

    /// Logs in by one of the agent's methods. May wait for a person in a browser: no limit.
    pub async fn authenticate(&self, method: &str) -> Result<(), AgentError> {
        self.request("authenticate", json!({ "methodId": method }))
            .await
            .map(drop)
    }

    /// Sends any request and waits for its answer without a limit: the way for what this type does
    /// not know, and for relaying.
    pub async fn request(&self, method: &str, params: Value) -> Result<Value, AgentError> {
        match self.connection().request(method, &params).await {
            Ok(answer) => Ok(answer),
            Err(failure) => Err(self.failure(method, failure).await),
        }
    }

    /// Sends any notification.
    pub async fn notify(&self, method: &str, params: Value) -> Result<(), AgentError> {
        match self.connection().notify(method, &params).await {
            Ok(()) => Ok(()),
            Err(failure) => Err(self.failure(method, failure).await),
        }
    }

    /// Waits until the agent is gone, and says how it ended.
    pub async fn exited(&self) -> Exit {
        match &self.inner.process {
            Some(process) => process.exited().await,
            None => {
                self.host().closed.cancelled().await;
                Exit {
                    code: None,
                    signal: None,
                }
            }
        }
    }

    /// A future that is done when the agent is gone, and does not keep it alive.
    pub fn exit_watch(&self) -> impl Future<Output = ()> + Send + 'static {
        let closed = self.host().closed.clone();
        async move { closed.cancelled().await }
    }

    /// Whether the process runs and the connection is open.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.connection().closed().is_none()
            && self.inner.process.as_ref().is_none_or(Process::is_running)
    }

    /// Ends the agent: closes its input, then asks its group to end, then kills it, two seconds
    /// apart. Returns when it is gone.
    pub async fn close(self) {
        self.connection().hang_up();
        if let Some(process) = &self.inner.process
            && timeout(EXIT_GRACE, process.exited()).await.is_err()
        {
            process.terminate.cancel();
            if timeout(EXIT_GRACE, process.exited()).await.is_err() {
                self.kill().await;
            }
        }
        self.connection().close(Closed::ByUs);
    }

    /// Kills the agent with its process group at once. Returns when it is gone.
    pub async fn kill(&self) {
        self.connection().close(Closed::ByUs);
        if let Some(process) = &self.inner.process {
            process.kill.cancel();
            process.exited().await;
        }
    }

    pub(super) fn host(&self) -> &Host {
        &self.inner.host
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.inner.connection
    }

    pub(super) fn open_session(&self, id: &str) -> Result<Arc<Session>, AgentError> {
        self.host()
            .session(id)
            .ok_or_else(|| AgentError::UnknownSession {
                agent: self.profile().name.clone(),
                session: id.to_owned(),
            })
    }

    pub(super) fn params<T: Serialize>(&self, params: &T) -> Result<Value, AgentError> {
        serde_json::to_value(params).map_err(|error| self.protocol_error(&error.to_string()))
    }

    pub(super) async fn short_request(
        &self,
        method: &str,
        params: &Value,
    ) -> Result<Value, AgentError> {
        let limit = self.profile().start_limit;
        match self
            .connection()
            .request_within(method, params, limit)
            .await
        {
            Some(Ok(answer)) => Ok(answer),
            Some(Err(failure)) => Err(self.failure(method, failure).await),
            None => Err(self.timed_out(method, limit)),
        }
    }

    /// The agent's own words as an error may have them.
    fn redacted(&self, text: &str) -> String {
        self.host().observer.redact(text)
    }

    pub(super) fn timed_out(&self, what: &str, after: Duration) -> AgentError {
        let (agent, stderr) = (self.profile().name.clone(), self.stderr_tail());
        AgentError::Timeout {
            agent,
            what: what.to_owned(),
            after,
            stderr,
        }
    }

    pub(super) fn fell_silent(&self, after: Duration) -> AgentError {
        let (agent, stderr) = (self.profile().name.clone(), self.stderr_tail());
        AgentError::Idle {
            agent,
            after,
            stderr,
        }
    }

    pub(super) fn protocol_error(&self, what: &str) -> AgentError {
        let (agent, stderr) = (self.profile().name.clone(), self.stderr_tail());
        AgentError::Protocol {
            agent,
            what: self.redacted(what),
            stderr,
        }
    }

    /// Words a failed request.
    pub(super) async fn failure(&self, method: &str, failure: Failure) -> AgentError {
        let agent = self.profile().name.clone();
        match failure {
            Failure::Rpc(error)
                if error.code == RpcError::AUTH_REQUIRED && method != "authenticate" =>
            {
                AgentError::AuthRequired {
                    agent,
                    message: one_line(&self.redacted(&error.message), 200),
                    methods: self.info().auth_methods.clone(),
                }
            }
            Failure::Rpc(error) => {
                let (method, stderr) = (method.to_owned(), self.stderr_tail());
                let mut error = Box::new(error);
                error.message = self.redacted(&error.message);
                AgentError::Rpc {
                    agent,
                    method,
                    error,
                    stderr,
                }
            }
            Failure::Closed => self.gone(method).await,
        }
    }

    /// Says why the agent is gone, once it is known.
    pub(super) async fn gone(&self, during: &str) -> AgentError {
        let reason = self.connection().closed();
        if reason == Some(Closed::TooLong) {
            let what = format!("it sent a frame of more than {} MiB", MAX_FRAME >> 20);
            return self.protocol_error(&what);
        }
        let exit = match &self.inner.process {
            // A process that only closed its output is killed after a grace.
            Some(process) => timeout(EXIT_GRACE * 2, process.exited()).await.ok(),
            None => None,
        };
        let status = match (reason, exit) {
            (Some(Closed::ByUs), _) => "it was stopped".to_owned(),
            (_, Some(exit)) => exit.to_string(),
            (Some(Closed::Io(error)), None) => error,
            (_, None) => "the connection was closed".to_owned(),
        };
        let during = match during {
            "initialize" => "it was starting (initialize)".to_owned(),
            during => format!("answering {during}"),
        };
        let (agent, stderr) = (self.profile().name.clone(), self.stderr_tail());
        AgentError::Exited {
            agent,
            during,
            status,
            stderr,
        }
    }
}
