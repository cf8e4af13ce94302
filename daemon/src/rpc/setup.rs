//! The set-up: agents, prompts, trust, configuration, doctor.

use std::{path::Path, sync::Arc, time::Instant};

use spectask_protocol::{
    AgentAddParams, AgentList, AgentListParams, AgentName, AgentParams, AgentTestView, AgentView,
    AuthMethod, ConfigParams, ConfigView, DoctorCheck, DoctorParams, DoctorReport, Empty,
    Environment, Failure, FailureKind, PromptList, Role, TrustParams, TrustView,
};

use super::{
    error,
    face::{Face, Served},
};
use crate::{
    agents::{self, Agent, Observer, Source, SpawnSpec},
    config::{self, Config},
    repo::Repository,
    scheduler::Project,
    workflow,
};

pub(super) async fn agents(
    face: Arc<Face>,
    _role: Role,
    params: AgentListParams,
) -> Result<AgentList, Failure> {
    let config = face.ctx.config().map_err(error::config)?;
    let mut environment = own_environment();
    environment.extend(params.environment);
    Ok(AgentList {
        agents: agent_views(&face, &config, &environment),
    })
}

fn own_environment() -> Environment {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

fn agent_views(face: &Face, config: &Config, environment: &Environment) -> Vec<AgentView> {
    let default = face.ctx.default_agent(config, environment);
    let found = face.ctx.agents(config, environment);
    let mut views: Vec<AgentView> = found
        .iter()
        .filter_map(|(found, configured)| {
            let name: AgentName = found.profile.name.parse().ok()?;
            let missing = found.profile.missing_env(environment);
            let there = found.executable.exists();
            Some(AgentView {
                default: Some(&name) == default.as_ref(),
                command: found.profile.command.clone(),
                source: match (&found.source, configured) {
                    (_, true) => "config".into(),
                    (Source::Path, _) => "path".into(),
                    (Source::ZedSettings(_) | Source::ZedFolder(_), _) => "zed".into(),
                    (Source::BuiltIn, _) => "built-in".into(),
                },
                available: there && missing.is_empty(),
                permission: shown(&found.profile.permission),
                env: found.profile.env.clone(),
                hint: match (there, missing.is_empty()) {
                    (false, _) => Some(format!("{} does not exist", found.executable.display())),
                    (true, false) => Some(format!("needs {}", missing.join(", "))),
                    (true, true) => None,
                },
                name,
            })
        })
        .collect();
    for known in agents::known() {
        let Ok(name) = known.name.parse::<AgentName>() else {
            continue;
        };
        if views.iter().all(|view| view.name != name) {
            views.push(AgentView {
                name,
                command: known.argv.iter().map(|word| (*word).to_owned()).collect(),
                source: "known".into(),
                available: false,
                default: false,
                permission: shown(&agents::Policy::default()),
                env: Vec::new(),
                hint: Some(known.hint.into()),
            });
        }
    }
    views.sort_by_key(|view| (!view.default, !view.available));
    views
}

fn shown(policy: &agents::Policy) -> String {
    serde_json::to_value(policy)
        .ok()
        .and_then(|value| value.as_str().map(str::to_owned))
        .unwrap_or_default()
}

pub(super) async fn add_agent(
    face: Arc<Face>,
    role: Role,
    params: AgentAddParams,
) -> Result<AgentList, Failure> {
    let invalid = |text: String| Failure::new(FailureKind::InvalidParams, text);
    if params.command.is_empty() {
        return Err(invalid("an agent needs a command".into()));
    }
    let words: Vec<&str> = params.command.iter().map(String::as_str).collect();
    let mut profile = agents::Profile::new(params.name.as_str(), &words);
    profile.env = params.env;
    if let Some(policy) = params.permission {
        profile.permission = serde_json::from_value(policy.clone().into()).map_err(|_| {
            invalid(format!(
                "{policy:?} is no policy: ask, allow-reads, allow-in-root or deny"
            ))
        })?;
    }
    config::add_agent(
        &face.ctx.paths.config_file,
        &params.name,
        &profile,
        params.default,
    )
    .map_err(error::config)?;
    agents(face, role, AgentListParams::default()).await
}

struct Quiet;
impl Observer for Quiet {}

/// Starts an agent in an empty folder of its own.
async fn begin(face: &Face, params: &AgentParams) -> Result<(Agent, tempfile::TempDir), Failure> {
    let config = face.ctx.config().map_err(error::config)?;
    let mut environment = own_environment();
    environment.extend(params.environment.clone());
    let profile = face
        .ctx
        .agents(&config, &environment)
        .into_iter()
        .map(|(found, _)| found.profile)
        .find(|profile| profile.name == params.name.as_str())
        .ok_or_else(|| {
            let known = agents::known()
                .iter()
                .find(|known| known.name == params.name.as_str());
            let hint = known.map_or("`spectask agents` lists those that are there", |k| k.hint);
            Failure::new(
                FailureKind::NotFound,
                format!("agent {} was not found", params.name),
            )
            .hint(hint)
        })?;
    let folder = tempfile::tempdir().map_err(error::internal)?;
    let spec = SpawnSpec::new(profile, folder.path(), environment);
    let agent = Agent::start(spec, Arc::new(Quiet))
        .await
        .map_err(error::agent)?;
    Ok((agent, folder))
}

async fn report(
    params: &AgentParams,
    agent: Agent,
    folder: &Path,
    started: Instant,
) -> AgentTestView {
    let opened = agent.new_session(folder, Vec::new()).await;
    let info = agent.info().clone();
    let millis = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    agent.close().await;
    AgentTestView {
        name: params.name.clone(),
        title: info.name.unwrap_or_else(|| params.name.to_string()),
        version: info.version.unwrap_or_default(),
        load_session: info.load_session,
        resume_session: info.resume,
        auth_methods: info
            .auth_methods
            .into_iter()
            .map(|method| AuthMethod {
                id: method.id,
                name: method.name,
                description: method.description.or_else(|| {
                    method
                        .login
                        .map(|login| format!("run: {}", login.argv.join(" ")))
                }),
            })
            .collect(),
        session_opened: opened.is_ok(),
        problem: opened.err().map(|error| error.to_string()),
        millis,
    }
}

pub(super) async fn test_agent(
    face: Arc<Face>,
    _role: Role,
    params: AgentParams,
) -> Result<AgentTestView, Failure> {
    let started = Instant::now();
    let (agent, folder) = begin(&face, &params).await?;
    Ok(report(&params, agent, folder.path(), started).await)
}

pub(super) async fn login(
    face: Arc<Face>,
    _role: Role,
    params: AgentParams,
) -> Result<AgentTestView, Failure> {
    let started = Instant::now();
    let (agent, folder) = begin(&face, &params).await?;
    let methods = agent.info().auth_methods.clone();
    let listed = || {
        methods
            .iter()
            .map(|method| format!("{} ({})", method.id, method.name))
            .collect::<Vec<_>>()
    };
    let method = match (&params.method, methods.as_slice()) {
        (Some(id), _) => methods
            .iter()
            .find(|method| method.id == *id)
            .ok_or_else(|| {
                let text = format!("{id:?} is no way to log in: {}", listed().join(", "));
                Failure::new(FailureKind::InvalidParams, text)
            })?,
        (None, [only]) => only,
        (None, []) => return Ok(report(&params, agent, folder.path(), started).await),
        (None, _) => {
            let text = format!("there are several ways to log in: {}", listed().join(", "));
            return Err(Failure::new(FailureKind::InvalidParams, text)
                .hint(format!("spectask agents login {} --method ID", params.name)));
        }
    };
    if let Some(login) = &method.login {
        let text = format!("agent {} logs in by a command of its own", params.name);
        return Err(Failure::new(FailureKind::InvalidState, text)
            .hint(format!("run in your terminal: {}", login.argv.join(" "))));
    }
    agent.authenticate(&method.id).await.map_err(error::agent)?;
    Ok(report(&params, agent, folder.path(), started).await)
}

pub(super) async fn prompts(
    face: Arc<Face>,
    _role: Role,
    _params: Empty,
) -> Result<PromptList, Failure> {
    Ok(PromptList {
        prompts: face.ctx.prompts.list().map_err(error::prompt)?,
    })
}

pub(super) async fn trust(
    face: Arc<Face>,
    _role: Role,
    params: TrustParams,
) -> Result<TrustView, Failure> {
    let store = &face.ctx.store;
    let repository = Repository::discover(Path::new(&params.cwd)).map_err(error::repository)?;
    let root = repository.root().to_owned();
    let common_dir = repository.common_dir().display().to_string();
    let shown_root = root.display().to_string();
    let project = store
        .write(move |write| {
            let id = workflow::new_id()?;
            Ok::<_, workflow::WorkflowError>(write.ensure_project(&id, &common_dir, &shown_root)?)
        })
        .await?;
    let load = || store.read(|read| Project::of(read, Some(&project.id), &root));
    let seen = load().map_err(error::project)?;
    let id = project.id.clone();
    if params.revoke {
        store
            .write(move |write| write.distrust(&id))
            .await
            .map_err(error::store)?;
    } else if let Some(digest) = params.digest {
        if seen.digest.as_deref() != Some(digest.as_str()) {
            return Err(
                Failure::new(FailureKind::Conflict, ".spectask.toml changed meanwhile")
                    .hint("look again: `spectask trust`"),
            );
        }
        store
            .write(move |write| write.trust(&id, &digest))
            .await
            .map_err(error::store)?;
    }
    Ok(load().map_err(error::project)?.view(&root))
}

pub(super) async fn config(
    face: Arc<Face>,
    _role: Role,
    params: ConfigParams,
) -> Result<ConfigView, Failure> {
    let file = &face.ctx.paths.config_file;
    if let (Some(key), Some(value)) = (&params.key, &params.value) {
        config::set(file, key, value).map_err(error::config)?;
    }
    let config = face.ctx.config().map_err(error::config)?;
    let mut values = serde_json::to_value(&config).map_err(error::internal)?;
    if let Some(key) = &params.key {
        let pointer = format!("/{}", key.replace('.', "/"));
        let schema = Config::schema();
        let known = key.split('.').next().is_some_and(|first| {
            schema["properties"]
                .as_object()
                .is_some_and(|fields| fields.contains_key(first))
        });
        if !known {
            return Err(Failure::new(
                FailureKind::NotFound,
                format!("there is no setting {key:?}"),
            )
            .hint("`spectask config` shows all"));
        }
        values = values.pointer(&pointer).cloned().unwrap_or_default();
    }
    Ok(ConfigView {
        file: file.display().to_string(),
        exists: file.exists(),
        values,
        schema: Config::schema(),
    })
}

pub(super) async fn doctor(
    face: Arc<Face>,
    _role: Role,
    params: DoctorParams,
) -> Result<DoctorReport, Failure> {
    let mut checks = Vec::new();
    let mut check = |name: &str, state: &str, text: String, hint: Option<String>| {
        checks.push(DoctorCheck {
            name: name.into(),
            state: state.into(),
            text,
            hint,
        });
    };
    let paths = &face.ctx.paths;
    check(
        "daemon",
        "ok",
        format!(
            "version {}, process {}",
            env!("CARGO_PKG_VERSION"),
            std::process::id()
        ),
        None,
    );
    check("data", "ok", paths.data_dir.display().to_string(), None);
    let config = match face.ctx.config() {
        Ok(config) => {
            let there = if paths.config_file.exists() {
                ""
            } else {
                " (not there: defaults)"
            };
            check(
                "configuration",
                "ok",
                format!("{}{there}", paths.config_file.display()),
                None,
            );
            config
        }
        Err(error) => {
            check(
                "configuration",
                "error",
                error.to_string(),
                Some("mend the file".into()),
            );
            Config::default()
        }
    };
    let waiting = face.ctx.history.waiting();
    if !config.history.record {
        let text = "off: `history.record` is false".into();
        check("history", "ok", text, None);
    } else if waiting.is_empty() {
        let text = "recorded in git under refs/spectask/".into();
        check("history", "ok", text, None);
    }
    for (root, reason) in waiting {
        let hint = "sessions go on; it is recorded when the repository can be written".into();
        check(
            "history",
            "warning",
            format!("waits in {root}: {reason}"),
            Some(hint),
        );
    }
    match face.loopback() {
        Served::At(url) => check(
            "http",
            "ok",
            format!("{url}, token in {}", paths.http_file().display()),
            None,
        ),
        Served::Off => check("http", "ok", "off: `http.enabled` is false".into(), None),
        Served::Failed(why) => check(
            "http",
            "warning",
            format!("not served: {why}"),
            Some("mend `http.port` (0 takes a free one), then `spectask daemon restart`".into()),
        ),
    }
    match crate::repo::version() {
        Ok(version) => check("git", "ok", version, None),
        Err(error) => check("git", "error", error.to_string(), None),
    }
    match Repository::discover(Path::new(&params.cwd)) {
        Ok(repository) => {
            check(
                "repository",
                "ok",
                repository.root().display().to_string(),
                None,
            );
            let common = repository.common_dir().display().to_string();
            let file = face.ctx.store.read(|read| {
                let id = read.project_of(&common)?.map(|project| project.id);
                Project::of(read, id.as_ref(), repository.root())
            });
            match file {
                Ok(file) if file.digest.is_none() => check(
                    "verify",
                    "warning",
                    "no .spectask.toml: results are shown as unverified".into(),
                    Some("write one with `verify = \"…\"`, or give `spectask new --verify`".into()),
                ),
                Ok(file) if !file.trusted => check(
                    "verify",
                    "warning",
                    ".spectask.toml has commands that nobody trusted yet".into(),
                    Some("spectask trust".into()),
                ),
                Ok(file) if file.file.verify.is_empty() => {
                    check(
                        "verify",
                        "warning",
                        "no verify command: results are shown as unverified".into(),
                        None,
                    );
                }
                Ok(file) => check("verify", "ok", file.file.verify.join(" && "), None),
                Err(error) => check("verify", "error", error.to_string(), None),
            }
        }
        Err(error) => check("repository", "warning", error.to_string(), None),
    }
    let mut environment = own_environment();
    environment.extend(params.environment);
    let views = agent_views(&face, &config, &environment);
    let usable = views
        .iter()
        .filter(|view| view.available && view.source != "built-in")
        .count();
    if usable == 0 {
        check(
            "agents",
            "warning",
            "no agent was found; only the built-in example is there".into(),
            Some(
                "install one that `spectask agents` lists, or name yours: `spectask agents add`"
                    .into(),
            ),
        );
    }
    for view in views.iter().filter(|view| view.source != "known") {
        let state = if view.available { "ok" } else { "warning" };
        let default = if view.default { " (default)" } else { "" };
        let text = format!(
            "{}{default}: {} [{}]",
            view.name,
            view.command.join(" "),
            view.source
        );
        check("agent", state, text, view.hint.clone());
    }
    Ok(DoctorReport { checks })
}
