//! What was said and done before: thin, the answers come from the room `history`.

use std::{path::Path, sync::Arc};

use jiff::Timestamp;
use spectask_protocol::{Failure, Role, SearchParams, SearchResult};

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
