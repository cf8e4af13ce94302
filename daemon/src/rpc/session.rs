//! Work sessions and their questions.

use std::{path::Path, sync::Arc};

use spectask_protocol::{
    Empty, Failure, FailureKind, PermissionAnswerParams, PermissionList, Role, SessionListParams,
    SessionParams, SpawnParams, Transcript, TranscriptParams, WorkSessionList, WorkSessionView,
};

use super::{error, face::Face, role::Peer, view};
use crate::{
    repo::Repository,
    scheduler::{AnswerError, answer_permission},
    store::{SessionRow, Store, StoreError, TaskRow},
    workflow::{
        Spawner, WorkflowError,
        lookup::{find_session, find_target, find_task},
        session,
    },
};

/// Entries of a transcript that are sent at once.
const TRANSCRIPT_LIMIT: u32 = 1000;

pub(super) fn show(
    face: &Face,
    task: Option<&TaskRow>,
    row: &SessionRow,
) -> Result<WorkSessionView, Failure> {
    face.ctx
        .store
        .read(|read| view::session(&face.ctx, read, task, row))
        .map_err(error::store)
}

pub(super) async fn list(
    face: Arc<Face>,
    _role: Role,
    params: SessionListParams,
) -> Result<WorkSessionList, Failure> {
    let store = &face.ctx.store;
    let repository = params.cwd.as_ref().map(Path::new).map(Repository::discover);
    let repository = repository.transpose().map_err(error::repository)?;
    let seen = match (&params.task, params.seen) {
        (None, true) => {
            let folder = repository.as_ref().map(Repository::root);
            seen(store, folder).map_err(error::store)?
        }
        _ => Vec::new(),
    };
    let project = match &repository {
        Some(repository) => {
            let common = repository.common_dir().display().to_string();
            let project = store
                .read(|read| read.project_of(&common))
                .map_err(error::store)?;
            match project {
                Some(project) => Some(project.id),
                None => return Ok(WorkSessionList { sessions: seen }),
            }
        }
        None => None,
    };
    let mut sessions = store.read(|read| -> Result<_, WorkflowError> {
        let tasks = match &params.task {
            Some(name) => vec![find_task(read, name)?],
            None => read.tasks(project.as_ref(), false)?,
        };
        let mut views = Vec::new();
        for task in &tasks {
            for row in read.sessions(&task.id)? {
                views.push(view::session(&face.ctx, read, Some(task), &row)?);
            }
        }
        if params.task.is_none() {
            for row in read.loose_sessions(project.as_ref())? {
                views.push(view::session(&face.ctx, read, None, &row)?);
            }
        }
        Ok(views)
    })?;
    sessions.extend(seen);
    Ok(WorkSessionList { sessions })
}

/// Threads of Zed's own agent that are neither archived nor gone, the one used last first.
fn seen(store: &Store, folder: Option<&Path>) -> Result<Vec<WorkSessionView>, StoreError> {
    let rows = store.read(|read| read.seen_threads(false))?;
    let here = rows
        .iter()
        .filter(|row| folder.is_none_or(|folder| view::is_seen_in(row, folder)));
    Ok(here.filter_map(view::seen_session).collect())
}

pub(super) async fn get(
    face: Arc<Face>,
    _role: Role,
    params: SessionParams,
) -> Result<WorkSessionView, Failure> {
    let store = &face.ctx.store;
    let seen = store.read(|read| view::find_seen(read, &params.session));
    if let Some(view) = seen
        .map_err(error::store)?
        .as_ref()
        .and_then(view::seen_session)
    {
        return Ok(view);
    }
    let (task, row) = store.read(|read| find_session(read, &params.session))?;
    show(&face, task.as_ref(), &row)
}

pub(super) async fn spawn(
    face: Arc<Face>,
    peer: Peer,
    params: SpawnParams,
) -> Result<WorkSessionView, Failure> {
    let by = match (peer.role, peer.session) {
        (Role::Person, _) => None,
        (Role::Agent, Some(session)) => Some(Spawner {
            session,
            limit: face.ctx.config().map_err(error::config)?.agent_spawn_limit,
        }),
        (Role::Agent, None) => {
            return Err(Failure::new(
                FailureKind::Forbidden,
                "spawning from outside a work session is for persons",
            ));
        }
    };
    let store = &face.ctx.store;
    let target = store.read(|read| find_target(read, &params.target))?;
    if by.is_none()
        && let Some(task) = target.task()
    {
        // An agent's environment is not a person's.
        face.ctx
            .environments
            .bring(&task.project, params.environment);
    }
    let redactor = face.ctx.redactor(&Default::default());
    let description = redactor.text(&params.description).into_owned();
    // Branch and folder are named after it.
    let title = redactor.text(&params.title).into_owned();
    let row = session::spawn(store, params.target, title, description, params.agent, by).await?;
    show(&face, target.task(), &row)
}

pub(super) async fn accept_empty(
    face: Arc<Face>,
    _role: Role,
    params: SessionParams,
) -> Result<WorkSessionView, Failure> {
    let row = session::accept_empty(&face.ctx.store, params.session.clone()).await?;
    let (task, _) = face
        .ctx
        .store
        .read(|read| find_session(read, &params.session))?;
    show(&face, task.as_ref(), &row)
}

pub(super) async fn transcript(
    face: Arc<Face>,
    _role: Role,
    params: TranscriptParams,
) -> Result<Transcript, Failure> {
    let (_, row) = face
        .ctx
        .store
        .read(|read| find_session(read, &params.session))?;
    let limit = params
        .limit
        .unwrap_or(TRANSCRIPT_LIMIT)
        .min(TRANSCRIPT_LIMIT);
    let entries = face
        .ctx
        .store
        .read(|read| read.transcript(&row.id, params.from, limit))
        .map_err(error::store)?;
    Ok(Transcript { entries })
}

pub(super) async fn permissions(
    face: Arc<Face>,
    _role: Role,
    _params: Empty,
) -> Result<PermissionList, Failure> {
    let permissions = face
        .ctx
        .store
        .read(|read| read.open_permissions(None))
        .map_err(error::store)?;
    Ok(PermissionList { permissions })
}

pub(super) async fn answer(
    face: Arc<Face>,
    role: Role,
    params: PermissionAnswerParams,
) -> Result<PermissionList, Failure> {
    answer_permission(&face.ctx, &params.permission, params.option)
        .await
        .map_err(|error| match error {
            AnswerError::Gone => Failure::new(FailureKind::NotFound, error.to_string())
                .hint("`spectask permissions` lists those that do"),
            AnswerError::Unknown { .. } => {
                Failure::new(FailureKind::InvalidParams, error.to_string())
            }
            AnswerError::Workflow(error) => error.into(),
        })?;
    permissions(face, role, Empty {}).await
}
