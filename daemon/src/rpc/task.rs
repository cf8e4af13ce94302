//! SpecTasks.

use std::{path::Path, sync::Arc};

use spectask_protocol::{
    AgentName, CreateParams, DiffParams, DiffView, Environment, Failure, FailureKind, FileStat,
    FinishParams, ListParams, Role, SessionRef, SpecTaskList, SpecTaskOverview, SpecTaskView,
    StartParams, TargetParams, TaskParams, TaskRef, WorkMode,
};

use super::{error, face::Face, view};
use crate::{
    agents,
    config::Config,
    repo::{self, Repository},
    scheduler::Project,
    store::TaskRow,
    workflow::{
        lookup::{Target, find_target, find_task},
        task,
    },
};

/// The largest prompt that is taken, in bytes.
const PROMPT_LIMIT: usize = 256 * 1024;

fn blocking_error(error: tokio::task::JoinError) -> Failure {
    error::internal(error)
}

async fn repository(cwd: &str) -> Result<Repository, Failure> {
    let cwd = cwd.to_owned();
    tokio::task::spawn_blocking(move || Repository::discover(Path::new(&cwd)))
        .await
        .map_err(blocking_error)?
        .map_err(error::repository)
}

pub(super) async fn create(
    face: Arc<Face>,
    _role: Role,
    params: CreateParams,
) -> Result<SpecTaskView, Failure> {
    if params.prompt.len() > PROMPT_LIMIT {
        let text = format!("the prompt has more than {PROMPT_LIMIT} bytes");
        return Err(Failure::new(FailureKind::InvalidParams, text));
    }
    let ctx = &face.ctx;
    let repository = repository(&params.cwd).await?;
    let common_dir = repository.common_dir().display().to_string();
    let root = repository.root().display().to_string();
    let known = ctx
        .store
        .read(|read| read.project_of(&common_dir))
        .map_err(error::store)?;
    let file = ctx
        .store
        .read(|read| Project::of(read, known.as_ref().map(|p| &p.id), repository.root()))
        .map_err(error::project)?;
    let config = ctx.config().map_err(error::config)?;
    let agent = match params
        .agent
        .clone()
        .or_else(|| config.default_agent.clone())
    {
        Some(agent) => agent,
        None => ctx
            .default_agent(&config, &params.environment)
            .ok_or_else(no_agent)?,
    };
    let planning_agent = params
        .planning_agent
        .clone()
        .or_else(|| params.agent.clone())
        .or_else(|| config.planning_agent.clone())
        .unwrap_or_else(|| agent.clone());
    for name in [&agent, &planning_agent] {
        known_agent(&face, &config, &params.environment, name)?;
    }
    let prompt = ctx
        .redactor(&params.environment)
        .text(params.prompt.trim())
        .into_owned();
    let title = title(&prompt);
    let wanted = match &params.name {
        Some(name) => repo::slug(name),
        None => short_slug(&title),
    };
    let (base, verify) = (
        params.base.clone().or(file.file.base),
        params.verify.clone(),
    );
    let (base, target, slug) = tokio::task::spawn_blocking(move || {
        // HEAD is that of the worktree the person stands in.
        let head = if repository.is_bare() && repository.worktree() == repository.root() {
            repository.head()?
        } else {
            repository.head_of(repository.worktree())?
        };
        let target = match &base {
            Some(base) if repository.branch_tip(base)?.is_some() => Some(base.clone()),
            Some(_) => head.branch.clone(),
            None => head.branch.clone(),
        };
        let base = match &base {
            Some(base) => {
                let base = match base.strip_prefix("HEAD") {
                    Some(rest) => format!("{}{rest}", head.commit),
                    None => base.clone(),
                };
                repository.resolve(&base)?
            }
            None => head.commit,
        };
        Ok::<_, repo::RepoError>((base, target, free_slug(&repository, wanted)?))
    })
    .await
    .map_err(blocking_error)?
    .map_err(error::repository)?;
    let row = task::create(
        &ctx.store,
        task::Create {
            common_dir,
            root,
            slug,
            title,
            prompt,
            planning_agent,
            agent,
            mode: params.mode.unwrap_or(WorkMode::Parallel),
            limit: params.limit.unwrap_or(config.session_limit),
            base,
            target,
            verify,
            later: params.later,
        },
    )
    .await?;
    ctx.environments.bring(&row.project, params.environment);
    ctx.wake.notify_one();
    view::one_task(ctx, &row)
}

/// Refuses a name that nobody knows; an agent that is only not installed yet is waited for.
fn known_agent(
    face: &Face,
    config: &Config,
    environment: &Environment,
    name: &AgentName,
) -> Result<(), Failure> {
    let known = agents::known()
        .iter()
        .any(|known| known.name == name.as_str());
    if known || config.agents.contains_key(name) {
        return Ok(());
    }
    let found = face.ctx.agents(config, environment);
    if found
        .iter()
        .any(|(found, _)| found.profile.name == name.as_str())
    {
        return Ok(());
    }
    Err(
        Failure::new(FailureKind::NotFound, format!("there is no agent {name}")).hint(
            "`spectask agents` lists those that are there; `spectask agents add` names another",
        ),
    )
}

fn no_agent() -> Failure {
    Failure::new(FailureKind::InvalidState, "no agent was found on this machine").hint(
        "install one that speaks ACP (`spectask agents` lists those it knows), name yours with `spectask agents add`, or try `--agent example`",
    )
}

/// The first line, short enough for a table.
fn title(prompt: &str) -> String {
    let line = prompt
        .lines()
        .map(str::trim)
        .find(|line| !line.is_empty())
        .unwrap_or_default();
    let line: String = line.chars().filter(|c| !c.is_control()).collect();
    match line.char_indices().nth(100) {
        Some((end, _)) => format!("{}…", line[..end].trim_end()),
        None => line,
    }
}

/// The first words of a title that say something: names are typed.
fn short_slug(title: &str) -> String {
    const LENGTH: usize = 24;
    const FILLERS: &[&str] = &[
        "a",
        "an",
        "the",
        "add",
        "implement",
        "create",
        "please",
        "to",
        "of",
    ];
    let slug = repo::slug(title);
    let mut short = String::new();
    for word in slug.split('-').filter(|word| !FILLERS.contains(word)) {
        if !short.is_empty() && short.len() + word.len() >= LENGTH {
            break;
        }
        if !short.is_empty() {
            short.push('-');
        }
        short.push_str(word);
    }
    if short.is_empty() {
        slug
    } else {
        repo::slug(&short)
    }
}

/// A slug that no branch of this repository has: another machine or an earlier database may have
/// used the same number.
fn free_slug(repository: &Repository, wanted: String) -> Result<String, repo::RepoError> {
    let taken = |slug: &str| -> Result<bool, repo::RepoError> {
        Ok(repository.branches("specs/")?.iter().any(|branch| {
            let name = branch.trim_start_matches("specs/");
            name.split_once('-').is_some_and(|(_, rest)| rest == slug)
        }))
    };
    if !taken(&wanted)? {
        return Ok(wanted);
    }
    for n in 2..1000 {
        let slug = format!("{wanted}-{n}");
        if !taken(&slug)? {
            return Ok(slug);
        }
    }
    Ok(wanted)
}

pub(super) async fn list(
    face: Arc<Face>,
    _role: Role,
    params: ListParams,
) -> Result<SpecTaskList, Failure> {
    let store = &face.ctx.store;
    let project = match &params.cwd {
        Some(cwd) => {
            let common = repository(cwd).await?.common_dir().display().to_string();
            match store
                .read(|read| read.project_of(&common))
                .map_err(error::store)?
            {
                Some(project) => Some(project.id),
                None => return Ok(SpecTaskList { tasks: Vec::new() }),
            }
        }
        None => None,
    };
    let tasks = store.read(|read| {
        let rows = read.tasks(project.as_ref(), params.archived)?;
        view::tasks(read, &rows)
    });
    Ok(SpecTaskList {
        tasks: tasks.map_err(error::store)?,
    })
}

fn find(face: &Face, name: &TaskRef) -> Result<TaskRow, Failure> {
    Ok(face.ctx.store.read(|read| find_task(read, name))?)
}

pub(super) async fn get(
    face: Arc<Face>,
    _role: Role,
    params: TaskParams,
) -> Result<SpecTaskOverview, Failure> {
    let task = find(&face, &params.task)?;
    view::overview(&face.ctx, &task)
}

pub(super) async fn start(
    face: Arc<Face>,
    _role: Role,
    params: StartParams,
) -> Result<SpecTaskView, Failure> {
    let task = find(&face, &params.task)?;
    face.ctx
        .environments
        .bring(&task.project, params.environment);
    let task = task::start(&face.ctx.store, params.task).await?;
    face.ctx.wake.notify_one();
    view::one_task(&face.ctx, &task)
}

pub(super) async fn pause(
    face: Arc<Face>,
    _role: Role,
    params: TaskParams,
) -> Result<SpecTaskView, Failure> {
    let task = task::set_paused(&face.ctx.store, params.task, true).await?;
    view::one_task(&face.ctx, &task)
}

pub(super) async fn resume(
    face: Arc<Face>,
    _role: Role,
    params: StartParams,
) -> Result<SpecTaskView, Failure> {
    let task = find(&face, &params.task)?;
    face.ctx
        .environments
        .bring(&task.project, params.environment);
    let task = task::set_paused(&face.ctx.store, params.task, false).await?;
    view::one_task(&face.ctx, &task)
}

pub(super) async fn archive(
    face: Arc<Face>,
    _role: Role,
    params: TaskParams,
) -> Result<SpecTaskView, Failure> {
    let task = task::toggle_archived(&face.ctx.store, params.task).await?;
    view::one_task(&face.ctx, &task)
}

pub(super) async fn retry(
    face: Arc<Face>,
    _role: Role,
    params: TargetParams,
) -> Result<SpecTaskView, Failure> {
    if let Some(task) = target(&face, &params.target)?.task() {
        face.ctx
            .environments
            .bring(&task.project, params.environment);
    }
    let task = task::retry(&face.ctx.store, params.target).await?;
    view::one_task(&face.ctx, &task)
}

fn target(face: &Face, name: &SessionRef) -> Result<Target, Failure> {
    Ok(face.ctx.store.read(|read| find_target(read, name))?)
}

pub(super) async fn cancel(
    face: Arc<Face>,
    _role: Role,
    params: TargetParams,
) -> Result<SpecTaskView, Failure> {
    let sessions = match target(&face, &params.target)? {
        Target::Task(task) => {
            let rows = face
                .ctx
                .store
                .read(|read| read.driven_sessions(&task.id))
                .map_err(error::store)?;
            rows.into_iter().map(|row| row.id).collect()
        }
        Target::Session(_, row) => vec![row.id],
    };
    let task = task::cancel(&face.ctx.store, params.target).await?;
    for session in &sessions {
        face.ctx.interrupt(session);
    }
    view::one_task(&face.ctx, &task)
}

pub(super) async fn finish(
    face: Arc<Face>,
    _role: Role,
    params: FinishParams,
) -> Result<SpecTaskView, Failure> {
    let row = task::finish(&face.ctx.store, params.task, params.how, params.incomplete).await?;
    view::one_task(&face.ctx, &row)
}

pub(super) async fn diff(
    face: Arc<Face>,
    _role: Role,
    params: DiffParams,
) -> Result<DiffView, Failure> {
    let (task, from, to) = match target(&face, &params.target)? {
        Target::Task(task) => {
            let (from, to) = (task.base.clone(), task.branch());
            (task, from, to)
        }
        Target::Session(task, row) => {
            let nothing = || {
                Failure::new(FailureKind::InvalidState, "this session has no commit yet")
                    .hint("`spectask sessions show` tells what it does")
            };
            let from = row.base.ok_or_else(nothing)?;
            let to = row.head.ok_or_else(nothing)?;
            let task = task.ok_or_else(nothing)?;
            (task, from, to)
        }
    };
    let project = face
        .ctx
        .store
        .read(|read| read.project(&task.project))
        .map_err(error::store)?
        .ok_or_else(|| view::gone("project"))?;
    let repository = repository(&project.root).await?;
    let branch = to == task.branch();
    tokio::task::spawn_blocking(move || {
        let to = if branch {
            let tip = repository.branch_tip(&to).map_err(error::repository)?;
            // Of a branch that was deleted the commits may still be there.
            let kept = || task.tip.filter(|tip| repository.resolve(tip).is_ok());
            tip.or_else(kept).ok_or_else(|| {
                if task.approved.is_some() {
                    let text = format!("the branch {to} is not here");
                    let hint = format!(
                        "`spectask history export {}` tells what was done",
                        task.number
                    );
                    return Failure::new(FailureKind::InvalidState, text).hint(hint);
                }
                let text = format!("there is no branch {to} yet");
                Failure::new(FailureKind::InvalidState, text)
                    .hint("it is made when a person approves the documents")
            })?
        } else {
            to
        };
        let files = repository
            .diff_stat(&from, &to)
            .map_err(error::repository)?
            .into_iter()
            .map(|file| FileStat {
                path: file.path,
                added: file.added as u64,
                removed: file.removed as u64,
                binary: file.binary,
            })
            .collect();
        let patch = if params.stat {
            String::new()
        } else {
            repository
                .diff(&from, &to, &[])
                .map_err(error::repository)?
        };
        Ok(DiffView {
            from,
            to,
            files,
            patch,
        })
    })
    .await
    .map_err(blocking_error)?
}
