//! `history.layOut`: recorded history as folders.

use std::{
    fs, io,
    path::{Component, Path, PathBuf},
    sync::Arc,
};

use spectask_protocol::{Failure, FailureKind, LaidOut, LayOutParams, Role};

use super::{error, face::Face};
use crate::{
    recorder::{self, Exported, RecordError},
    repo::{Author, CommitMessage, Ledger, Repository},
    store::{ProjectRow, TaskRow},
    workflow::lookup::find_task,
};

pub(super) async fn lay_out(
    face: Arc<Face>,
    _role: Role,
    params: LayOutParams,
) -> Result<LaidOut, Failure> {
    let (task, project) = face.ctx.store.read(|read| {
        let task = find_task(read, &params.task)?;
        let project = read.project(&task.project)?;
        Ok::<_, crate::workflow::WorkflowError>((task, project))
    })?;
    let project = project.ok_or_else(|| error::internal("the project is not there"))?;
    let work = move || laid_out(&task, &project, params);
    tokio::task::spawn_blocking(work)
        .await
        .map_err(error::internal)?
}

fn failed(error: RecordError) -> Failure {
    match error {
        RecordError::Repository(error) => error::repository(error),
        RecordError::Nothing(_) => Failure::new(FailureKind::NotFound, error.to_string()),
        _ => error::internal(error),
    }
}

fn laid_out(
    task: &TaskRow,
    project: &ProjectRow,
    params: LayOutParams,
) -> Result<LaidOut, Failure> {
    let repository = Repository::discover(&project.root).map_err(error::repository)?;
    let ledger = Ledger::open(&repository).map_err(error::repository)?;
    let name = task.name();
    let specs = repository
        .branch_tip(&task.branch())
        .map_err(error::repository)?;
    let exported =
        recorder::export(&ledger, &name, specs.as_deref(), params.records).map_err(failed)?;
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let (files, sessions) = (count(exported.files.len()), count(exported.sessions));
    let (place, commit) = match params.folder {
        Some(folder) => {
            fill(Path::new(&folder), &exported)?;
            (folder, None)
        }
        None => {
            let branch = params.branch.unwrap_or_else(|| format!("history/{name}"));
            if branch == task.branch() && !task.status.is_final() {
                let text = format!("{branch} is the work of {name}, which is not finished");
                return Err(Failure::new(FailureKind::Conflict, text)
                    .hint(format!("leave --to-branch away: it is history/{name} then")));
            }
            let start = specs.as_deref().unwrap_or(&task.base);
            let commit = commit(&repository, &branch, start, &name, &exported)?;
            (branch, Some(commit))
        }
    };
    Ok(LaidOut {
        place,
        commit,
        files,
        sessions,
    })
}

fn commit(
    repository: &Repository,
    branch: &str,
    start: &str,
    name: &str,
    exported: &Exported,
) -> Result<String, Failure> {
    let tip = repository.branch_tip(branch).map_err(error::repository)?;
    let parent = tip.as_deref().unwrap_or(start);
    let message =
        CommitMessage::new(format!("History of {name}")).trailer("Spec-Task", name.to_owned());
    let new = repository
        .commit_files(parent, &exported.files, &message, &Author::User)
        .map_err(error::repository)?;
    if tip.as_ref() != Some(&new) {
        let full = format!("refs/heads/{branch}");
        repository
            .update_ref(&full, &new, tip.as_deref(), "history", &[])
            .map_err(error::repository)?;
    }
    Ok(new)
}

/// Writes the files into a folder that holds nothing yet.
fn fill(folder: &Path, exported: &Exported) -> Result<(), Failure> {
    let cannot = |error: io::Error| {
        let text = format!("cannot write {}: {error}", folder.display());
        Failure::new(FailureKind::InvalidParams, text)
    };
    if !folder.is_absolute() {
        return Err(Failure::new(
            FailureKind::InvalidParams,
            "name the folder with its whole path",
        ));
    }
    fs::create_dir_all(folder).map_err(cannot)?;
    if fs::read_dir(folder).map_err(cannot)?.next().is_some() {
        let text = format!("{} is not empty", folder.display());
        return Err(Failure::new(FailureKind::Conflict, text).hint("name a new folder"));
    }
    for (path, content) in &exported.files {
        let relative = PathBuf::from(path);
        // What was fetched from elsewhere may hold any name.
        if !relative
            .components()
            .all(|part| matches!(part, Component::Normal(_)))
        {
            continue;
        }
        let file = folder.join(relative);
        if let Some(parent) = file.parent() {
            fs::create_dir_all(parent).map_err(cannot)?;
        }
        fs::write(file, content).map_err(cannot)?;
    }
    Ok(())
}
