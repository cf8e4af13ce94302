//! Editors that are attached, and agent threads.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use jiff::Timestamp;
use spectask_protocol::{
    Failure, FailureKind, Role, SessionParams, SessionRef, TaskRef, ThreadList, ThreadListParams,
    ThreadStatus, ThreadView, TurnStatus, WorkSessionId, ZedInstanceList, ZedInstanceView,
    ZedListParams, ZedParams,
};

use super::{error, face::Face, view};
use crate::{
    live::Editor,
    repo::Repository,
    scheduler::Context,
    store::{Read, SessionRow, StoreError, ThreadFilter, ThreadRow},
    workflow::{
        WorkflowError,
        lookup::{find_session, find_task, session_name, task_of},
    },
};

/// A thread as it is kept: an editor's own, or a session that the scheduler runs.
enum Kept {
    Thread(Box<ThreadRow>),
    Session(Box<SessionRow>),
}

pub(super) async fn threads(
    face: Arc<Face>,
    _role: Role,
    params: ThreadListParams,
) -> Result<ThreadList, Failure> {
    let ctx = &face.ctx;
    let found = params.cwd.as_ref();
    let found = found.and_then(|cwd| Repository::discover(Path::new(cwd)).ok());
    let repository = found.as_ref();
    let repository = repository.map(|found| found.common_dir().display().to_string());
    let folder = match &found {
        Some(found) => Some(found.root().to_owned()),
        None => params.cwd.as_ref().map(PathBuf::from),
    };
    let mut threads = ctx.store.read(|read| -> Result<_, WorkflowError> {
        let project = match &repository {
            Some(common) => read.project_of(common)?.map(|project| project.id),
            None => None,
        };
        let mut views = Vec::new();
        let all = ThreadFilter {
            agent: params.agent.as_ref(),
            drafts: true,
            ..ThreadFilter::default()
        };
        for row in read.threads(all)? {
            let here = params
                .cwd
                .as_ref()
                .is_none_or(|cwd| row.cwd == *cwd || (project.is_some() && row.project == project));
            let shown = row.status != ThreadStatus::Draft || editor_of(ctx, &row.id).is_some();
            if here && shown {
                views.push(of(ctx, read, &Kept::Thread(Box::new(row)))?);
            }
        }
        for row in read.seen_threads(params.archived)? {
            let here = folder.as_ref();
            let here = here.is_none_or(|folder| view::is_seen_in(&row, folder));
            let view = view::seen_thread(&row).filter(|view| {
                let wanted = params.agent.as_ref();
                here && wanted.is_none_or(|agent| *agent == view.agent)
            });
            views.extend(view);
        }
        if params.cwd.is_some() && project.is_none() {
            return Ok(views);
        }
        for task in read.tasks(project.as_ref(), true)? {
            for row in read.sessions(&task.id)? {
                let wanted = params
                    .agent
                    .as_ref()
                    .is_none_or(|agent| row.agent == *agent);
                if wanted && !row.is_ad_hoc() && row.started_at.is_some() {
                    views.push(of(ctx, read, &Kept::Session(Box::new(row)))?);
                }
            }
        }
        Ok(views)
    })?;
    threads.sort_by(|a, b| b.last_activity.cmp(&a.last_activity));
    Ok(ThreadList { threads })
}

pub(super) async fn thread(
    face: Arc<Face>,
    _role: Role,
    params: SessionParams,
) -> Result<ThreadView, Failure> {
    let ctx = &face.ctx;
    let view = ctx.store.read(|read| -> Result<_, WorkflowError> {
        if let Some(row) = view::find_seen(read, &params.session)?
            && let Some(view) = view::seen_thread(&row)
        {
            return Ok(view);
        }
        let kept = find(read, &params.session)?;
        of(ctx, read, &kept)
    })?;
    Ok(view)
}

pub(super) async fn heartbeat(
    face: Arc<Face>,
    role: Role,
    params: SessionParams,
) -> Result<ThreadView, Failure> {
    let kept = face.ctx.store.read(|read| find(read, &params.session))?;
    let id = match &kept {
        Kept::Thread(row) => &row.id,
        Kept::Session(row) => &row.id,
    };
    let live = &face.ctx.live;
    // Only of one that nobody has opened yet: an agent's knows more.
    let redactor = (live.get(id).is_none()).then(|| face.ctx.redactor(&Default::default()));
    let stream = live.stream(id, redactor).map_err(error::store)?;
    stream.touch();
    thread(face, role, params).await
}

pub(super) async fn list(
    face: Arc<Face>,
    _role: Role,
    params: ZedListParams,
) -> Result<ZedInstanceList, Failure> {
    let ctx = &face.ctx;
    let project = match &params.task {
        Some(task) => Some(project_of(ctx, task)?),
        None => None,
    };
    let instances = ctx
        .live
        .editors()
        .list()
        .iter()
        .filter(|editor| project.is_none() || editor.info().project == project)
        .map(|editor| instance(ctx, editor))
        .collect::<Result<_, _>>()?;
    Ok(ZedInstanceList { instances })
}

fn project_of(ctx: &Context, task: &TaskRef) -> Result<spectask_protocol::ProjectId, Failure> {
    let task = ctx.store.read(|read| find_task(read, task))?;
    Ok(task.project)
}

pub(super) async fn get(
    face: Arc<Face>,
    _role: Role,
    params: ZedParams,
) -> Result<ZedInstanceView, Failure> {
    let editor = attached(&face.ctx, &params.instance)?;
    instance(&face.ctx, &editor)
}

pub(super) async fn threads_of(
    face: Arc<Face>,
    _role: Role,
    params: ZedParams,
) -> Result<ThreadList, Failure> {
    let editor = attached(&face.ctx, &params.instance)?;
    let threads = shown_in(&face.ctx, &editor)?;
    Ok(ThreadList { threads })
}

pub(super) async fn detach(
    face: Arc<Face>,
    _role: Role,
    params: ZedParams,
) -> Result<ZedInstanceView, Failure> {
    // As it was: what it showed closes now.
    let editor = attached(&face.ctx, &params.instance)?;
    let mut view = instance(&face.ctx, &editor)?;
    if !face.ctx.live.editors().detach(&params.instance) {
        return Err(not_attached(&params.instance));
    }
    "detached".clone_into(&mut view.status);
    Ok(view)
}

fn attached(ctx: &Context, instance: &str) -> Result<Arc<Editor>, Failure> {
    let editor = ctx.live.editors().get(instance);
    editor.ok_or_else(|| not_attached(instance))
}

fn not_attached(instance: &str) -> Failure {
    let instance: String = instance.chars().take(80).collect();
    let text = format!("no editor {instance:?} is attached");
    Failure::new(FailureKind::NotFound, text).hint("`spectask zed list` shows those that are")
}

fn instance(ctx: &Context, editor: &Editor) -> Result<ZedInstanceView, Failure> {
    let info = editor.info();
    let status = if editor.detached() {
        "detached"
    } else {
        "attached"
    };
    let uptime = Timestamp::now().as_millisecond() - info.since;
    Ok(ZedInstanceView {
        instance: info.instance.clone(),
        editor: info.editor.clone(),
        status: status.into(),
        project: info.cwd.clone(),
        agent: info.agent.clone(),
        pid: info.pid,
        uptime: u64::try_from(uptime / 1000).unwrap_or(0),
        last_activity: view::time(editor.last_activity()),
        threads: shown_in(ctx, editor)?,
    })
}

/// The threads that an editor shows, the one used last first.
fn shown_in(ctx: &Context, editor: &Editor) -> Result<Vec<ThreadView>, Failure> {
    let mut threads = ctx.store.read(|read| -> Result<Vec<_>, WorkflowError> {
        let mut views = Vec::new();
        for id in editor.sessions() {
            if let Some(kept) = kept(read, &id)? {
                views.push(of(ctx, read, &kept)?);
            }
        }
        Ok(views)
    })?;
    threads.sort_by(|a, b| b.last_activity.cmp(&a.last_activity));
    Ok(threads)
}

fn editor_of(ctx: &Context, id: &WorkSessionId) -> Option<String> {
    ctx.live.editors().instance_of(id)
}

/// The thread that a person named.
fn find(read: &Read<'_>, name: &SessionRef) -> Result<Kept, WorkflowError> {
    if let Ok(id) = name.as_str().parse::<WorkSessionId>()
        && let Some(kept) = kept(read, &id)?
    {
        return Ok(kept);
    }
    let (_, row) = find_session(read, name)?;
    match kept(read, &row.id)? {
        Some(kept) => Ok(kept),
        None => Ok(Kept::Session(Box::new(row))),
    }
}

fn kept(read: &Read<'_>, id: &WorkSessionId) -> Result<Option<Kept>, StoreError> {
    let thread = read.thread(id)?;
    if let Some(thread) = thread.filter(|thread| thread.deleted_at.is_none()) {
        return Ok(Some(Kept::Thread(Box::new(thread))));
    }
    let session = read.session(id)?;
    Ok(session.map(|session| Kept::Session(Box::new(session))))
}

fn of(ctx: &Context, read: &Read<'_>, kept: &Kept) -> Result<ThreadView, WorkflowError> {
    let session = match kept {
        Kept::Thread(row) => read.session(&row.id)?,
        Kept::Session(row) => Some((**row).clone()),
    };
    let name = match &session {
        Some(session) => Some(session_name(task_of(read, session)?.as_ref(), session)),
        None => None,
    };
    let (id, agent, title, cwd, status, used) = match kept {
        Kept::Thread(row) => (
            &row.id,
            &row.agent,
            row.title.clone(),
            row.cwd.clone(),
            row.status,
            row.used_at,
        ),
        Kept::Session(row) => {
            let folder = row.worktree.clone().or_else(|| row.cwd.clone());
            let folder = match folder {
                Some(folder) => folder,
                None => root_of(read, row)?.unwrap_or_default(),
            };
            let used = row.ended_at.or(row.started_at).unwrap_or(row.created_at);
            let title = Some(row.title.clone());
            (&row.id, &row.agent, title, folder, row.thread, used)
        }
    };
    let seen = ctx.live.get(id).map_or(0, |stream| stream.last_activity());
    let turns = read.turns(id)?;
    Ok(ThreadView {
        id: id.clone(),
        session: name,
        agent: agent.clone(),
        title,
        cwd,
        status,
        instance: editor_of(ctx, id),
        running: turns
            .last()
            .is_some_and(|turn| turn.status == TurnStatus::Running),
        last_activity: view::time(used.max(seen)),
        recorded: true,
        seen: None,
    })
}

/// The folder of a session's project.
fn root_of(read: &Read<'_>, row: &SessionRow) -> Result<Option<String>, WorkflowError> {
    let project = match task_of(read, row)? {
        Some(task) => Some(task.project),
        None => row.project.clone(),
    };
    let Some(project) = project else {
        return Ok(None);
    };
    Ok(read.project(&project)?.map(|project| project.root))
}

#[cfg(test)]
mod tests;
