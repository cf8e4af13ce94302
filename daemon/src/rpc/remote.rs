//! The one remote that recorded history of a repository may go to. It is kept here and not in git's
//! configuration, which agents can write.

use std::{path::Path, sync::Arc};

use spectask_protocol::{
    Failure, FailureKind, HistoryRemote, HistoryRemoteParams, HistoryRemoteView, Role,
};

use super::{error, face::Face};
use crate::{
    repo::{Repository, without_password},
    workflow,
};

pub(super) async fn named(
    face: Arc<Face>,
    _role: Role,
    params: HistoryRemoteParams,
) -> Result<HistoryRemoteView, Failure> {
    let store = &face.ctx.store;
    let repository = Repository::discover(Path::new(&params.cwd)).map_err(error::repository)?;
    let common_dir = repository.common_dir().display().to_string();
    let root = repository.root().display().to_string();
    let shown_root = root.clone();
    let project = store
        .write(move |write| {
            let id = workflow::new_id()?;
            Ok::<_, workflow::WorkflowError>(write.ensure_project(&id, &common_dir, &root)?)
        })
        .await?;
    let key = format!("history.remote.{}", project.id);
    let chosen = match &params.remote {
        Some(name) => {
            let url = repository.push_url(name).map_err(error::repository)?;
            Some(HistoryRemote {
                name: name.clone(),
                url: without_password(&url),
            })
        }
        None => None,
    };
    if chosen.is_some() || params.none {
        let value = chosen.as_ref().map(serde_json::to_vec).transpose();
        let value =
            value.map_err(|error| Failure::new(FailureKind::Internal, error.to_string()))?;
        let key = key.clone();
        store
            .write(move |write| write.put_setting(&key, value.as_deref()))
            .await
            .map_err(error::store)?;
    }
    let kept = store
        .read(|read| read.setting(&key))
        .map_err(error::store)?;
    Ok(HistoryRemoteView {
        project: shown_root,
        remote: kept.and_then(|value| serde_json::from_slice(&value).ok()),
    })
}
