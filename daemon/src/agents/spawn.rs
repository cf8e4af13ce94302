//! Starts an agent's process and sees to its end.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::process::Command;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::connection::{Closed, Connection};
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
use super::terminal::Terminals;

/// How much of an agent's standard error is kept.
const STDERR_LIMIT: usize = 64 * 1024;
/// How long a process may run on after its output ended, or after it was asked to end.
pub(super) const EXIT_GRACE: Duration = Duration::from_secs(2);

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

/// A process and the task that owns it, from outside.
pub(super) struct Process {
    pub(super) identity: ProcessIdentity,
    pub(super) terminate: CancellationToken,
    pub(super) kill: CancellationToken,
    exit: watch::Receiver<Option<Exit>>,
    stderr: SharedTail,
}

impl Process {
    pub(super) async fn exited(&self) -> Exit {
        let mut exit = self.exit.clone();
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

    pub(super) fn is_running(&self) -> bool {
        self.exit.borrow().is_none()
    }

    pub(super) fn stderr_text(&self) -> String {
        tail_text(&self.stderr, false).0
    }
}

/// Starts the profile's program and connects to it, with `host` to serve it.
pub(super) async fn spawn(
    spec: &SpawnSpec,
    host: &Arc<Host>,
) -> Result<(Process, Connection), AgentError> {
    let failed = |source| AgentError::Spawn {
        agent: spec.profile.name.clone(),
        command: spec.profile.command.join(" "),
        source,
    };
    let mut group = Group::spawn(command(spec)?).map_err(failed)?;
    let identity = group.identity();
    let (Some(stdin), Some(stdout), stderr) = group.pipes() else {
        return Err(failed(std::io::Error::other("the process has no pipes")));
    };
    host.observer.started(&identity, ProcessKind::Agent).await;

    let tail = shared_tail(STDERR_LIMIT);
    let last_words = tokio::spawn(drain(stderr, Arc::clone(&tail)));
    let connection = Connection::open(stdout, stdin, Arc::clone(host));
    let (exited, exit) = watch::channel(None);
    let (terminate, kill) = (CancellationToken::new(), CancellationToken::new());
    let supervisor = Supervisor {
        group,
        identity,
        terminate: terminate.clone(),
        kill: kill.clone(),
        exited,
        last_words,
        connection: connection.clone(),
        host: Arc::clone(host),
    };
    tokio::spawn(supervisor.run());
    Ok((
        Process {
            identity,
            terminate,
            kill,
            exit,
            stderr: tail,
        },
        connection,
    ))
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

/// What is served to the agent.
pub(super) fn host(
    spec: &SpawnSpec,
    observer: &Arc<dyn Observer>,
) -> Result<Arc<Host>, AgentError> {
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
    let names = profile.missing_env(&spec.env);
    if !names.is_empty() {
        return Err(AgentError::EnvironmentMissing { agent, names });
    }
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
        .envs(marks(spec))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    Ok(command)
}

fn find_program(program: &str, spec: &SpawnSpec) -> Option<PathBuf> {
    if program == known::EXAMPLE_PROGRAM
        && let Some(own) = known::own_program()
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
