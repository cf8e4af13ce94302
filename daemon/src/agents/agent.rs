//! An agent: its process, its connection, and what can be asked of it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use agent_client_protocol::schema::ProtocolVersion;
use agent_client_protocol::v1::schema as acp;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::process::Command;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::connection::{Closed, Connection, Failure};
use super::error::AgentError;
use super::host::Host;
use super::known;
use super::observer::{Observer, ProcessKind};
use super::orphans::AGENT_MARK;
use super::process::{
    DRAIN_LIMIT, Exit, Group, ProcessIdentity, SharedTail, drain, shared_tail, tail_text,
};
use super::profile::Profile;
use super::root::Root;
use super::session::{Modes, Session};
use super::terminal::Terminals;
use super::wire::{MAX_FRAME, RpcError};

/// How much of an agent's standard error is kept.
const STDERR_LIMIT: usize = 64 * 1024;
/// How long a process may run on after its output ended, or after it was asked to end.
const EXIT_GRACE: Duration = Duration::from_secs(2);

/// How to start an agent.
#[derive(Debug, Clone)]
pub struct SpawnSpec {
    /// Which agent.
    pub profile: Profile,
    /// The folder the process starts in.
    pub cwd: PathBuf,
    /// The folder whose files are served; nothing outside is.
    pub root: PathBuf,
    /// The whole environment of the process, such as the user's; nothing is inherited.
    pub env: BTreeMap<String, String>,
    /// Marks such as `SPECTASK_SESSION`, for the process and its commands. `SPECTASK_AGENT=1` is
    /// always among them.
    pub extra_env: BTreeMap<String, String>,
    /// The parameters of `initialize`, where they are not to be the daemon's own: an editor's, for
    /// a connection that is relayed.
    pub initialize: Option<Value>,
}

impl SpawnSpec {
    /// A start in `root`, with the daemon's own capabilities and no marks.
    #[must_use]
    pub fn new(profile: Profile, root: &Path, env: BTreeMap<String, String>) -> Self {
        Self {
            profile,
            cwd: root.to_owned(),
            root: root.to_owned(),
            env,
            extra_env: BTreeMap::new(),
            initialize: None,
        }
    }
}

/// What an agent says of itself in its answer to `initialize`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AgentInfo {
    /// Its name, if it gives one.
    pub name: Option<String>,
    /// Its version, if it gives one.
    pub version: Option<String>,
    /// It can load a session and repeat its history.
    pub load_session: bool,
    /// It can go on with a session without repeating its history.
    pub resume: bool,
    /// It can close a session.
    pub close: bool,
    /// It can list its sessions.
    pub list: bool,
    /// The ways to log in.
    pub auth_methods: Vec<AuthMethod>,
    /// The answer as it came.
    pub raw: Value,
}

/// A way to log in to an agent.
#[derive(Debug, Clone, PartialEq)]
pub struct AuthMethod {
    /// The id for [`Agent::authenticate`].
    pub id: String,
    /// The name for people.
    pub name: String,
    /// More, for people.
    pub description: Option<String>,
    /// The command a person runs in a terminal for it, where it is not done by
    /// [`Agent::authenticate`].
    pub login: Option<LoginCommand>,
    /// The method as it came.
    pub raw: Value,
}

/// A command by which a person logs in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginCommand {
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// Variables to add to the environment.
    pub env: BTreeMap<String, String>,
}

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
    info: std::sync::OnceLock<AgentInfo>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.connection.close(Closed::ByUs);
        if let Some(process) = &self.process {
            process.kill.cancel();
        }
    }
}

/// The task that owns the process, from outside.
struct Process {
    identity: ProcessIdentity,
    terminate: CancellationToken,
    kill: CancellationToken,
    exit: watch::Receiver<Option<Exit>>,
    stderr: SharedTail,
}

impl Agent {
    /// Starts the profile's program in a process group of its own, connects, and exchanges
    /// `initialize` within the profile's start limit. The observer has stored the process before
    /// the agent gets its first frame.
    pub async fn start(spec: SpawnSpec, observer: Arc<dyn Observer>) -> Result<Self, AgentError> {
        let profile = &spec.profile;
        let names = profile.missing_env(&spec.env);
        if !names.is_empty() {
            return Err(AgentError::EnvironmentMissing {
                agent: profile.name.clone(),
                names,
            });
        }
        let mut command = command(&spec)?;
        let host = host(&spec, &observer)?;
        let mut group = match Group::spawn(command_pipes(&mut command)) {
            Ok(group) => group,
            Err(source) => {
                return Err(AgentError::Spawn {
                    agent: profile.name.clone(),
                    command: profile.command.join(" "),
                    source,
                });
            }
        };
        let identity = group.identity();
        let (stdin, stdout, stderr) = group.pipes();
        let (Some(stdin), Some(stdout)) = (stdin, stdout) else {
            return Err(AgentError::Spawn {
                agent: profile.name.clone(),
                command: profile.command.join(" "),
                source: std::io::Error::other("the process has no pipes"),
            });
        };
        observer.started(&identity, ProcessKind::Agent).await;

        let tail = shared_tail(STDERR_LIMIT);
        let last_words = tokio::spawn(drain(stderr, Arc::clone(&tail)));
        let connection = Connection::open(stdout, stdin, Arc::clone(&host));
        let (exited, exit) = watch::channel(None);
        let (terminate, kill) = (CancellationToken::new(), CancellationToken::new());
        tokio::spawn(
            Supervisor {
                group,
                identity,
                terminate: terminate.clone(),
                kill: kill.clone(),
                exited,
                last_words,
                connection: connection.clone(),
                host: Arc::clone(&host),
            }
            .run(),
        );
        let process = Process {
            identity,
            terminate,
            kill,
            exit,
            stderr: tail,
        };
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
        let info = std::sync::OnceLock::new();
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
            None => agent.params(&client_side())?,
        };
        let answer = agent.short_request("initialize", &params).await?;
        let info =
            read_info(&answer, agent.profile()).map_err(|what| agent.protocol_error(what))?;
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
            .map_or_else(String::new, |process| tail_text(&process.stderr, false).0)
    }

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
            return Err(self.protocol_error(what.to_owned()));
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
            Some(process) => wait_exit(process).await,
            None => {
                self.host().closed.cancelled().await;
                Exit {
                    code: None,
                    signal: None,
                }
            }
        }
    }

    /// Whether the process runs and the connection is open.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.connection().closed().is_none()
            && self
                .inner
                .process
                .as_ref()
                .is_none_or(|process| process.exit.borrow().is_none())
    }

    /// Ends the agent: closes its input, then asks its group to end, then kills it, two seconds
    /// apart. Returns when it is gone.
    pub async fn close(self) {
        self.connection().hang_up();
        if let Some(process) = &self.inner.process
            && timeout(EXIT_GRACE, wait_exit(process)).await.is_err()
        {
            process.terminate.cancel();
            if timeout(EXIT_GRACE, wait_exit(process)).await.is_err() {
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
            wait_exit(process).await;
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

    pub(super) fn params<T: Serialize>(&self, params: &T) -> Result<Value, AgentError> {
        serde_json::to_value(params).map_err(|error| self.protocol_error(error.to_string()))
    }

    async fn short_request(&self, method: &str, params: &Value) -> Result<Value, AgentError> {
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

    pub(super) fn protocol_error(&self, what: String) -> AgentError {
        let (agent, stderr) = (self.profile().name.clone(), self.stderr_tail());
        AgentError::Protocol {
            agent,
            what,
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
                    message: super::update::one_line(&error.message, 200),
                    methods: self.info().auth_methods.clone(),
                }
            }
            Failure::Rpc(error) => {
                let (method, stderr) = (method.to_owned(), self.stderr_tail());
                let error = Box::new(error);
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
            return self.protocol_error(what);
        }
        let exit = match &self.inner.process {
            // A process that only closed its output is killed after a grace.
            Some(process) => timeout(EXIT_GRACE * 2, wait_exit(process)).await.ok(),
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

async fn wait_exit(process: &Process) -> Exit {
    let mut exit = process.exit.clone();
    let exit = exit
        .wait_for(Option::is_some)
        .await
        .ok()
        .and_then(|exit| exit.clone());
    exit.unwrap_or(Exit {
        code: None,
        signal: None,
    })
}

/// Owns the process until it and its group are gone.
struct Supervisor {
    group: Group,
    identity: ProcessIdentity,
    terminate: CancellationToken,
    kill: CancellationToken,
    exited: watch::Sender<Option<Exit>>,
    last_words: tokio::task::JoinHandle<()>,
    connection: Connection,
    host: Arc<Host>,
}

impl Supervisor {
    async fn run(mut self) {
        let closed = self.host.closed.clone();
        let deadline = async {
            closed.cancelled().await;
            sleep(EXIT_GRACE).await;
        };
        tokio::pin!(deadline);
        let mut asked = false;
        let exit = loop {
            tokio::select! {
                exit = self.group.wait() => break exit,
                () = self.terminate.cancelled(), if !asked => {
                    asked = true;
                    self.group.terminate();
                }
                () = self.kill.cancelled() => {
                    self.group.kill();
                    break self.group.wait().await;
                }
                () = &mut deadline => {
                    self.group.kill();
                    break self.group.wait().await;
                }
            }
        };
        // What the leader left behind also holds its pipes open.
        self.group.kill();
        let _ = timeout(DRAIN_LIMIT, self.last_words).await;
        self.exited.send_replace(Some(exit));
        // What it wrote before it ended is still read, unless someone outside the group holds on.
        let _ = timeout(DRAIN_LIMIT, self.host.closed.cancelled()).await;
        self.connection.close(Closed::Eof);
        self.host.observer.ended(&self.identity);
    }
}

fn host(spec: &SpawnSpec, observer: &Arc<dyn Observer>) -> Result<Arc<Host>, AgentError> {
    let root = Root::new(&spec.root).map_err(|source| AgentError::Root {
        agent: spec.profile.name.clone(),
        path: spec.root.clone(),
        source,
    })?;
    let terminals = Terminals::new(spec.env.clone(), marks(spec), Arc::clone(observer));
    Ok(Arc::new(Host::new(
        root,
        spec.profile.permission,
        Arc::clone(observer),
        terminals,
    )))
}

fn marks(spec: &SpawnSpec) -> BTreeMap<String, String> {
    let mut marks = spec.extra_env.clone();
    marks.insert(AGENT_MARK.to_owned(), "1".to_owned());
    marks
}

fn command(spec: &SpawnSpec) -> Result<Command, AgentError> {
    let profile = &spec.profile;
    let agent = profile.name.clone();
    let Some((program, args)) = profile.command.split_first() else {
        return Err(AgentError::NoCommand { agent });
    };
    let Some(path) = find_program(program, spec) else {
        let hint = known::by_program(program).map(|known| known.hint.to_owned());
        return Err(AgentError::NotFound {
            agent,
            command: program.clone(),
            hint,
        });
    };
    let mut command = Command::new(path);
    command
        .args(args)
        .current_dir(&spec.cwd)
        .env_clear()
        .envs(&spec.env)
        .envs(&profile.set)
        .envs(marks(spec));
    Ok(command)
}

fn command_pipes(command: &mut Command) -> Command {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    std::mem::replace(command, Command::new(""))
}

fn find_program(program: &str, spec: &SpawnSpec) -> Option<PathBuf> {
    if program == known::EXAMPLE_PROGRAM
        && let Ok(own) = std::env::current_exe()
        && own.exists()
    {
        return Some(own);
    }
    let path = spec
        .profile
        .set
        .get("PATH")
        .or_else(|| spec.env.get("PATH"));
    let home = spec.env.get("HOME").or_else(|| spec.env.get("USERPROFILE"));
    let program = match (program.strip_prefix("~/"), home) {
        (Some(rest), Some(home)) => Path::new(home).join(rest),
        _ => PathBuf::from(program),
    };
    which::which_in(program, path, &spec.cwd).ok()
}

/// What the daemon says of itself: the files and terminals it serves.
fn client_side() -> acp::InitializeRequest {
    let files = acp::FileSystemCapabilities::new()
        .read_text_file(true)
        .write_text_file(true);
    let capabilities = acp::ClientCapabilities::new()
        .fs(files)
        .terminal(true)
        .auth(acp::AuthCapabilities::new().terminal(true));
    let version = env!("CARGO_PKG_VERSION");
    acp::InitializeRequest::new(ProtocolVersion::V1)
        .client_capabilities(capabilities)
        .client_info(acp::Implementation::new("spectask", version).title("SpecTask".to_owned()))
}

fn read_info(answer: &Value, profile: &Profile) -> Result<AgentInfo, String> {
    let typed: acp::InitializeResponse = serde_json::from_value(answer.clone())
        .map_err(|error| format!("its answer to initialize does not fit: {error}"))?;
    if typed.protocol_version != ProtocolVersion::V1 {
        return Err(format!(
            "it speaks version {} of ACP, SpecTask speaks version 1",
            typed.protocol_version
        ));
    }
    let sessions = &typed.agent_capabilities.session_capabilities;
    let raw_methods = answer.get("authMethods").and_then(Value::as_array);
    let auth_methods = raw_methods
        .into_iter()
        .flatten()
        .filter_map(|raw| {
            let method: acp::AuthMethod = serde_json::from_value(raw.clone()).ok()?;
            Some(AuthMethod {
                id: method.id().to_string(),
                name: super::update::one_line(method.name(), 100),
                description: method
                    .description()
                    .map(|text| super::update::one_line(text, 300)),
                login: login_command(&method, raw, profile),
                raw: raw.clone(),
            })
        })
        .collect();
    Ok(AgentInfo {
        name: typed
            .agent_info
            .as_ref()
            .map(|info| super::update::one_line(&info.name, 100)),
        version: typed
            .agent_info
            .as_ref()
            .map(|info| super::update::one_line(&info.version, 50)),
        load_session: typed.agent_capabilities.load_session,
        resume: sessions.resume.is_some(),
        close: sessions.close.is_some(),
        list: sessions.list.is_some(),
        auth_methods,
        raw: answer.clone(),
    })
}

/// The command for a method of type `terminal`, or one in the older `_meta.terminal-auth`.
fn login_command(method: &acp::AuthMethod, raw: &Value, profile: &Profile) -> Option<LoginCommand> {
    if let acp::AuthMethod::Terminal(terminal) = method {
        let argv = profile
            .command
            .iter()
            .chain(&terminal.args)
            .cloned()
            .collect();
        let env = terminal.env.clone().into_iter().collect();
        return Some(LoginCommand { argv, env });
    }
    let meta = raw.get("_meta")?.get("terminal-auth")?;
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let mut argv = vec![text(meta.get("command")?)?];
    argv.extend(
        meta.get("args")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(text),
    );
    let env = meta
        .get("env")
        .and_then(Value::as_object)
        .into_iter()
        .flatten();
    let env = env
        .filter_map(|(name, value)| Some((name.clone(), text(value)?)))
        .collect();
    Some(LoginCommand { argv, env })
}
