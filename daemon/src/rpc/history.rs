//! What was said and done before: thin, the answers come from the room `history`.

use std::{path::Path, sync::Arc};

use jiff::Timestamp;
use spectask_protocol::{
    BlameParams, BlameView, ExportParams, Exported, Failure, HistoryLog, HistoryLogParams,
    HistoryShowParams, ImportParams, Imported, RecordedPart, Role, SearchParams, SearchResult,
    TraceParams, TraceView,
};

use super::{error, face::Face};
use crate::{
    history::{self, HistoryError},
    repo::Repository,
    store::{SearchFilter, Store},
    workflow::lookup::{Target, find_target},
};

/// Hits when no number is asked for, and at most.
const HITS: (u32, u32) = (20, 100);

/// Runs what blocks.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, HistoryError> + Send + 'static,
) -> Result<T, Failure> {
    let done = tokio::task::spawn_blocking(work);
    Ok(done.await.map_err(error::internal)??)
}

pub(super) async fn search(
    face: Arc<Face>,
    _role: Role,
    params: SearchParams,
) -> Result<SearchResult, Failure> {
    let most = params.limit.unwrap_or(HITS.0).clamp(1, HITS.1) as usize;
    blocking(move || {
        let store = &face.ctx.store;
        match filter(store, &params)? {
            Some(filter) => history::find(store, &params.text, &filter, most),
            // A repository without a SpecTask has said nothing.
            None => history::nothing(store, &params.text),
        }
    })
    .await
}

/// What a search is limited to; none when nothing can be there.
fn filter(store: &Store, params: &SearchParams) -> Result<Option<SearchFilter>, HistoryError> {
    let mut filter = SearchFilter {
        file: params.file.as_ref().map(|file| {
            let file = file.trim_start_matches("./").trim_start_matches('/');
            file.to_owned()
        }),
        requirement: params.requirement.clone(),
        since: moment(params.since.as_deref())?,
        until: moment(params.until.as_deref())?,
        ..SearchFilter::default()
    };
    if let Some(cwd) = &params.cwd {
        let repository = Repository::discover(Path::new(cwd))?;
        let common = repository.common_dir().display().to_string();
        match store.read(|read| read.project_of(&common))? {
            Some(project) => filter.project = Some(project.id),
            None => return Ok(None),
        }
    }
    if let Some(name) = &params.target {
        match store.read(|read| find_target(read, name))? {
            Target::Task(task) => filter.task = Some(task.id),
            Target::Session(_, session) => filter.session = Some(session.id),
        }
    }
    Ok(Some(filter))
}

fn moment(text: Option<&str>) -> Result<Option<i64>, HistoryError> {
    text.map(|text| {
        text.parse::<Timestamp>()
            .map(Timestamp::as_millisecond)
            .map_err(|_| HistoryError::Invalid(format!("{text:?} is no moment as RFC 3339 has it")))
    })
    .transpose()
}

/// Turns that are listed when no number is asked for, and at most.
const TURNS: (u32, u32) = (50, 10_000);

/// The repository that a folder is in, where one is named and it is in one.
fn repository(cwd: Option<&String>) -> Result<Option<Repository>, HistoryError> {
    Ok(match cwd {
        Some(cwd) => Some(Repository::discover(Path::new(cwd))?),
        None => None,
    })
}

pub(super) async fn log(
    face: Arc<Face>,
    _role: Role,
    params: HistoryLogParams,
) -> Result<HistoryLog, Failure> {
    let most = params.limit.unwrap_or(TURNS.0).clamp(1, TURNS.1);
    blocking(move || {
        let repository = match repository(params.cwd.as_ref()) {
            // A SpecTask or session that is named is found without a repository, too.
            Err(_) if params.target.is_some() => None,
            found => found?,
        };
        history::log(
            &face.ctx.store,
            repository.as_ref(),
            params.target.as_ref(),
            most,
        )
    })
    .await
}

pub(super) async fn show(
    face: Arc<Face>,
    _role: Role,
    params: HistoryShowParams,
) -> Result<RecordedPart, Failure> {
    blocking(move || {
        let repository = repository(params.cwd.as_ref()).unwrap_or(None);
        let store = &face.ctx.store;
        history::show(
            store,
            repository.as_ref(),
            &params.session,
            params.turn,
            params.from,
        )
    })
    .await
}

pub(super) async fn blame(
    face: Arc<Face>,
    _role: Role,
    params: BlameParams,
) -> Result<BlameView, Failure> {
    blocking(move || {
        let path = Path::new(&params.path);
        if !path.is_absolute() {
            return Err(HistoryError::Invalid(format!("{path:?} is not absolute")));
        }
        history::blame(&face.ctx.store, path, params.lines, params.rev.as_deref())
    })
    .await
}

pub(super) async fn trace(
    face: Arc<Face>,
    _role: Role,
    params: TraceParams,
) -> Result<TraceView, Failure> {
    blocking(move || history::trace(&face.ctx.store, &params.task, params.requirement.as_deref()))
        .await
}

pub(super) async fn import(
    face: Arc<Face>,
    _role: Role,
    params: ImportParams,
) -> Result<Imported, Failure> {
    let redactor = face.ctx.redactor(&spectask_protocol::Environment::new());
    // Reading and redacting take long; only the writer of the database is waited for.
    let runtime = tokio::runtime::Handle::current();
    blocking(move || {
        runtime.block_on(history::import(
            &face.ctx.store,
            &redactor,
            Path::new(&params.cwd),
            &params.task,
            params.remote.as_deref(),
        ))
    })
    .await
}

pub(super) async fn export(
    face: Arc<Face>,
    _role: Role,
    params: ExportParams,
) -> Result<Exported, Failure> {
    blocking(move || history::export(&face.ctx.store, &params.task, params.form)).await
}
