//! What every driver shares.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use sha2::{Digest, Sha256};
use spectask_protocol::{
    AgentName, Environment, Failure, FailureKind, PermissionId, ProjectId, SpecTaskId,
    WorkSessionId,
};
use tokio::sync::{Notify, oneshot};
use tokio_util::sync::CancellationToken;

use super::{
    environment::Environments,
    halt::Halt,
    project::{Project, ProjectError},
    prompts::Prompts,
};
use crate::{
    agents::{self, AgentError, Found, PermissionAnswer, Profile, Source},
    config::{Config, ConfigError, Redaction},
    live::Live,
    paths::Paths,
    redact::{self, Redactor, UserRules},
    repo::{RepoError, Repository},
    store::{ProjectRow, SessionRow, Store, StoreError, TaskRow},
    workflow::WorkflowError,
    zed_paths,
};

/// What every driver and face shares. Cheap to clone.
pub type Shared = Arc<Context>;

/// Redactors that are kept, for as many environments.
const REDACTORS: usize = 8;

/// Names and values of variables.
type Secrets = Vec<(String, String)>;

/// A question to a person.
enum Ask {
    Waits(oneshot::Sender<PermissionAnswer>),
    /// Answered before anyone waited.
    Answered(PermissionAnswer),
}

/// What every driver and face shares.
pub struct Context {
    /// The database.
    pub store: Store,
    /// What happens now: streams of sessions, attached editors.
    pub live: Live,
    /// Where everything lives.
    pub paths: Paths,
    /// The person's environments.
    pub environments: Environments,
    /// The prompt templates.
    pub prompts: Prompts,
    /// Why history in git waits, where it does.
    pub history: crate::recorder::Status,
    /// Wakes the scheduler without an event.
    pub wake: Notify,
    /// One clean-up at a time.
    pub(super) cleaning: tokio::sync::Mutex<()>,
    redaction_key: [u8; 32],
    /// The person's own rules as they were last read.
    redaction: Mutex<(Redaction, UserRules)>,
    /// The redactors used last, the newest at the end.
    redactors: Mutex<Vec<(Secrets, Redactor)>>,
    draining: AtomicBool,
    steps: Mutex<HashMap<WorkSessionId, String>>,
    asks: Mutex<HashMap<PermissionId, Ask>>,
    running: Mutex<HashMap<WorkSessionId, CancellationToken>>,
    /// Wakes those who wait until a session is let go.
    released: Notify,
    merging: Mutex<HashMap<SpecTaskId, Arc<tokio::sync::Mutex<()>>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Context {
    /// Makes the context; the key of the redaction hash is made once per installation.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn new(store: Store, paths: Paths) -> Result<Shared, StoreError> {
        const KEY: &str = "redaction_key";
        let fresh: Vec<u8> =
            Sha256::digest(format!("{}{}", uuid::Uuid::now_v7(), uuid::Uuid::now_v7())).to_vec();
        store
            .write(move |write| write.keep_setting(KEY, &fresh))
            .await?;
        let kept = store.read(|read| read.setting(KEY))?.unwrap_or_default();
        let redaction_key = Sha256::digest(kept).into();
        let prompts = Prompts::new(paths.prompts());
        Ok(Arc::new(Self {
            live: Live::new(store.clone()),
            store,
            paths,
            environments: Environments::new(),
            prompts,
            history: crate::recorder::Status::default(),
            wake: Notify::new(),
            cleaning: tokio::sync::Mutex::default(),
            redaction_key,
            redaction: Mutex::default(),
            redactors: Mutex::default(),
            draining: AtomicBool::new(false),
            steps: Mutex::default(),
            asks: Mutex::default(),
            running: Mutex::default(),
            released: Notify::new(),
            merging: Mutex::default(),
        }))
    }

    /// The configuration as it is now.
    ///
    /// # Errors
    /// When the file or a variable does not fit.
    pub fn config(&self) -> Result<Config, ConfigError> {
        Config::load(&self.paths.config_file)
    }

    /// A redactor that also knows the secret-looking values of an environment.
    #[must_use]
    pub fn redactor(&self, environment: &Environment) -> Redactor {
        let secrets: Secrets = environment
            .iter()
            .filter(|(name, _)| redact::is_secret_name(name))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        let (user, changed) = self.user_rules();
        let mut known = lock(&self.redactors);
        if changed {
            known.clear();
        }
        // Each may hold an automaton of its values; sessions of one environment share it.
        if let Some(at) = known.iter().position(|(of, _)| *of == secrets) {
            let found = known.remove(at);
            let redactor = found.1.clone();
            known.push(found);
            return redactor;
        }
        let redactor = Redactor::with_rules(self.redaction_key, secrets.iter().cloned(), user);
        if known.len() >= REDACTORS {
            known.remove(0);
        }
        known.push((secrets, redactor.clone()));
        redactor
    }

    /// A text without the secrets of known formats and of the person's own.
    #[must_use]
    pub fn clean(&self, text: &str) -> String {
        self.redactor(&Environment::default())
            .text(text)
            .into_owned()
    }

    /// The person's own rules, and whether they are others than the last time. A configuration that
    /// does not fit changes nothing here; whoever needs it tells.
    fn user_rules(&self) -> (UserRules, bool) {
        let mut kept = lock(&self.redaction);
        let mut changed = false;
        if let Ok(config) = self.config()
            && config.redaction != kept.0
            && let Ok(compiled) = config.redaction.compile()
        {
            *kept = (config.redaction, compiled);
            changed = true;
        }
        (kept.1.clone(), changed)
    }

    /// Agents that are configured or were found, the configured first.
    #[must_use]
    pub fn agents(&self, config: &Config, environment: &Environment) -> Vec<(Found, bool)> {
        let path = environment.get("PATH").map(std::ffi::OsString::from);
        let found = agents::discover(
            path.as_deref(),
            &zed_paths::settings_files(),
            &zed_paths::data_folders(),
        );
        let configured = config.agents.values().map(|profile| {
            let program = profile
                .command
                .first()
                .map(String::as_str)
                .unwrap_or_default();
            let executable = which::which_in_global(program, path.as_deref())
                .ok()
                .and_then(|mut all| all.next())
                .unwrap_or_else(|| PathBuf::from(program));
            (
                Found {
                    profile: profile.clone(),
                    source: Source::Path,
                    executable,
                },
                true,
            )
        });
        let configured: Vec<_> = configured.collect();
        let names: Vec<&str> = configured
            .iter()
            .map(|(found, _)| found.profile.name.as_str())
            .collect();
        let others: Vec<_> = found
            .into_iter()
            .filter(|found| !names.contains(&found.profile.name.as_str()))
            .map(|found| (found, false))
            .collect();
        configured.into_iter().chain(others).collect()
    }

    /// The agent used when none is named: the configured default, else the first that is there.
    #[must_use]
    pub fn default_agent(&self, config: &Config, environment: &Environment) -> Option<AgentName> {
        config.default_agent.clone().or_else(|| {
            self.agents(config, environment)
                .iter()
                .filter(|(found, _)| found.source != Source::BuiltIn && found.executable.exists())
                .find_map(|(found, _)| found.profile.name.parse().ok())
        })
    }

    /// The profile of an agent.
    pub(super) fn profile(
        &self,
        name: &AgentName,
        environment: &Environment,
    ) -> Result<Profile, Halt> {
        let config = self.config()?;
        self.agents(&config, environment)
            .into_iter()
            .map(|(found, _)| found.profile)
            .find(|profile| profile.name == name.as_str())
            .ok_or_else(|| {
                let known = agents::known()
                    .iter()
                    .find(|known| known.name == name.as_str());
                Halt::from(AgentError::NotFound {
                    agent: name.to_string(),
                    command: known
                        .and_then(|known| known.argv.first())
                        .map_or_else(|| name.to_string(), |program| (*program).to_owned()),
                    hint: known.map(|known| known.hint.to_owned()),
                })
            })
    }

    /// The profile of an agent for a thread of a person.
    ///
    /// # Errors
    /// When there is none of that name, with how to get it; when the configuration does not fit.
    pub fn agent_profile(
        &self,
        name: &AgentName,
        environment: &Environment,
    ) -> Result<Profile, Failure> {
        self.profile(name, environment).map_err(|halt| {
            let waiting = halt.waiting();
            let text = waiting.as_ref().map(|waiting| waiting.text.clone());
            let failure = Failure::new(
                FailureKind::NotFound,
                text.unwrap_or_else(|| format!("agent {name} cannot be used")),
            );
            match waiting.and_then(|waiting| waiting.hint) {
                Some(hint) => failure.hint(hint),
                None => failure,
            }
        })
    }

    /// The MCP server that the agent of a session gets (an entry of ACP's `mcpServers`), with a token
    /// that tells whose it is; none when this program cannot be found.
    #[must_use]
    pub fn mcp_server(&self, session: &WorkSessionId) -> Option<serde_json::Value> {
        let program = agents::own_program()?;
        Some(serde_json::json!({
            "name": "spectask",
            "command": program,
            "args": ["mcp"],
            "env": [
                { "name": "SPECTASK_SESSION_TOKEN", "value": self.live.tokens().issue(session) },
                { "name": "SPECTASK_DATA_DIR", "value": self.paths.data_dir },
            ],
        }))
    }

    /// The project of a SpecTask, and its repository.
    pub(super) fn repository(&self, task: &TaskRow) -> Result<(ProjectRow, Repository), Halt> {
        let project = self.project(&task.project)?;
        let repository = Repository::discover(PathBuf::from(&project.root))?;
        Ok((project, repository))
    }

    fn project(&self, id: &ProjectId) -> Result<ProjectRow, Halt> {
        let project: Option<ProjectRow> = self.store.read(|read| read.project(id))?;
        project.ok_or_else(|| {
            WorkflowError::NotFound {
                what: "project",
                name: id.to_string(),
            }
            .into()
        })
    }

    /// What `.spectask.toml` of a project says now.
    ///
    /// # Errors
    /// When it cannot be read or does not fit.
    pub fn project_file(&self, project: &ProjectRow) -> Result<Project, ProjectError> {
        self.store
            .read(|read| Project::of(read, Some(&project.id), project.root.as_ref()))
    }

    /// The worktree of a session; sessions of a SpecTask in simple mode share one.
    #[must_use]
    pub fn worktree_of(&self, task: &TaskRow, session: &SessionRow) -> PathBuf {
        let folder = self.task_folder(task);
        match (session.phase, task.mode) {
            (spectask_protocol::SessionPhase::Planning, _) => folder.join("planning"),
            (_, spectask_protocol::WorkMode::Simple) => folder.join("work"),
            (_, spectask_protocol::WorkMode::Parallel) => {
                folder.join(format!("{:02}-{}", session.number, session.slug))
            }
        }
    }

    /// The folder of all worktrees of a SpecTask. The end of its id keeps the folders of two
    /// databases apart.
    #[must_use]
    pub fn task_folder(&self, task: &TaskRow) -> PathBuf {
        let id = task.id.as_str();
        let tail = id.get(id.len().saturating_sub(6)..).unwrap_or_default();
        self.paths
            .worktrees()
            .join(format!("{}-{tail}", task.name()))
    }

    /// One merge at a time per SpecTask.
    pub(super) fn merge_lock(&self, task: &SpecTaskId) -> Arc<tokio::sync::Mutex<()>> {
        Arc::clone(lock(&self.merging).entry(task.clone()).or_default())
    }

    /// Notes what a session's agent does now.
    pub fn set_step(&self, session: &WorkSessionId, step: Option<String>) {
        let mut steps = lock(&self.steps);
        match step {
            Some(step) => steps.insert(session.clone(), step),
            None => steps.remove(session),
        };
    }

    /// What a session's agent does now.
    #[must_use]
    pub fn step(&self, session: &WorkSessionId) -> Option<String> {
        lock(&self.steps).get(session).cloned()
    }

    /// Waits for a person's answer under an id.
    #[must_use]
    pub fn expect_answer(&self, permission: PermissionId) -> oneshot::Receiver<PermissionAnswer> {
        let (sender, receiver) = oneshot::channel();
        let mut asks = lock(&self.asks);
        if let Some(Ask::Answered(answer)) = asks.remove(&permission) {
            let _ = sender.send(answer);
        } else {
            asks.insert(permission, Ask::Waits(sender));
        }
        receiver
    }

    /// Hands a person's answer to the agent that waits, or is about to: a question can be seen and
    /// answered before the one who asked gets to wait.
    pub fn answer(&self, permission: &PermissionId, answer: PermissionAnswer) {
        let mut asks = lock(&self.asks);
        match asks.remove(permission) {
            Some(Ask::Waits(waiting)) => {
                let _ = waiting.send(answer);
            }
            _ => {
                asks.insert(permission.clone(), Ask::Answered(answer));
            }
        }
    }

    /// Waits for no answer under that id any more.
    pub fn forget_ask(&self, permission: &PermissionId) {
        lock(&self.asks).remove(permission);
    }

    /// Takes a session into work; none when it is already.
    #[must_use]
    pub fn take(&self, session: &WorkSessionId) -> Option<CancellationToken> {
        let mut running = lock(&self.running);
        if running.contains_key(session) {
            return None;
        }
        let token = CancellationToken::new();
        running.insert(session.clone(), token.clone());
        Some(token)
    }

    /// Takes a session into work as soon as nothing else works on it.
    pub async fn take_when_free(&self, session: &WorkSessionId) -> CancellationToken {
        loop {
            let released = self.released.notified();
            tokio::pin!(released);
            // From here on no release is missed.
            released.as_mut().enable();
            if let Some(token) = self.take(session) {
                return token;
            }
            released.await;
        }
    }

    /// Waits until nothing works on a session.
    pub async fn idle(&self, session: &WorkSessionId) {
        loop {
            let released = self.released.notified();
            tokio::pin!(released);
            released.as_mut().enable();
            if !self.is_running(session) {
                return;
            }
            released.await;
        }
    }

    /// Lets a session go that was [taken](Self::take).
    pub fn release(&self, session: &WorkSessionId) {
        lock(&self.running).remove(session);
        self.set_step(session, None);
        self.released.notify_waiters();
        self.wake.notify_one();
    }

    /// Whether a session is being worked on.
    #[must_use]
    pub fn is_running(&self, session: &WorkSessionId) -> bool {
        lock(&self.running).contains_key(session)
    }

    /// How many sessions are being worked on.
    #[must_use]
    pub fn running(&self) -> usize {
        lock(&self.running).len()
    }

    /// Ends what works on a session; its agent is told to cancel.
    pub fn interrupt(&self, session: &WorkSessionId) {
        if let Some(token) = lock(&self.running).get(session) {
            token.cancel();
        }
    }

    /// Lets no new turn start.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::SeqCst);
    }

    /// Whether no new turn may start.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::SeqCst)
    }
}

/// Runs git work off the runtime's threads.
pub(super) async fn git<T: Send + 'static>(
    repository: &Repository,
    work: impl FnOnce(&Repository) -> Result<T, RepoError> + Send + 'static,
) -> Result<T, Halt> {
    let repository = repository.clone();
    match tokio::task::spawn_blocking(move || work(&repository)).await {
        Ok(result) => Ok(result?),
        Err(error) => Err(Halt::broken(format!("git work ended badly: {error}"))),
    }
}
