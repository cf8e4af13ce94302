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
    store::{LOOSE, TaskRow},
    workflow::lookup::find_task,
};

/// Whose history is laid out.
struct Source {
    name: String,
    /// A folder in the repository.
    root: PathBuf,
    /// None: the threads of the repository.
    task: Option<TaskRow>,
}

pub(super) async fn lay_out(
    face: Arc<Face>,
    _role: Role,
    params: LayOutParams,
) -> Result<LaidOut, Failure> {
    let source = source(&face, &params)?;
    let work = move || laid_out(&source, params);
    tokio::task::spawn_blocking(work)
        .await
        .map_err(error::internal)?
}

fn source(face: &Face, params: &LayOutParams) -> Result<Source, Failure> {
    if params.task.as_str() == LOOSE {
        let root = params.repository.as_ref().map(PathBuf::from);
        let root = root.filter(|root| root.is_absolute()).ok_or_else(|| {
            Failure::new(
                FailureKind::InvalidParams,
                "`repository` is missing: a folder in the repository of the threads",
            )
        })?;
        return Ok(Source {
            name: LOOSE.to_owned(),
            root,
            task: None,
        });
    }
    let (task, project) = face.ctx.store.read(|read| {
        let task = find_task(read, &params.task)?;
        let project = read.project(&task.project)?;
        Ok::<_, crate::workflow::WorkflowError>((task, project))
    })?;
    let project = project.ok_or_else(|| error::internal("the project is not there"))?;
    Ok(Source {
        name: task.name(),
        root: project.root.into(),
        task: Some(task),
    })
}

fn failed(error: RecordError) -> Failure {
    match error {
        RecordError::Repository(error) => error::repository(error),
        RecordError::Nothing(_) => Failure::new(FailureKind::NotFound, error.to_string()),
        _ => error::internal(error),
    }
}

fn laid_out(source: &Source, params: LayOutParams) -> Result<LaidOut, Failure> {
    let repository = Repository::discover(&source.root).map_err(error::repository)?;
    let ledger = Ledger::open(&repository).map_err(error::repository)?;
    let name = &source.name;
    let specs = match &source.task {
        Some(task) => repository
            .branch_tip(&task.branch())
            .map_err(error::repository)?,
        None => None,
    };
    let exported =
        recorder::export(&ledger, name, specs.as_deref(), params.records).map_err(failed)?;
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let (files, sessions) = (count(exported.files.len()), count(exported.sessions));
    let (place, commit) = match params.folder {
        Some(folder) => {
            fill(Path::new(&folder), &exported)?;
            (folder, None)
        }
        None => {
            let branch = params.branch.unwrap_or_else(|| format!("history/{name}"));
            let open = source.task.as_ref().filter(|task| !task.status.is_final());
            if open.is_some_and(|task| task.branch() == branch) {
                let text = format!("{branch} is the work of {name}, which is not finished");
                return Err(Failure::new(FailureKind::Conflict, text)
                    .hint(format!("leave --to-branch away: it is history/{name} then")));
            }
            let start = match (specs, &source.task) {
                (Some(specs), _) => specs,
                (None, Some(task)) => task.base.clone(),
                (None, None) => repository.head().map_err(error::repository)?.commit,
            };
            let commit = commit(&repository, &branch, &start, name, &exported)?;
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
    let mut message = CommitMessage::new(format!("History of {name}"));
    if name != LOOSE {
        message = message.trailer("Spec-Task", name.to_owned());
    }
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
