//! `history.layOut`: recorded history as folders.

use std::{
    fs, io,
    path::{Component, Path, PathBuf},
    sync::Arc,
};

use spectask_protocol::{Failure, FailureKind, LaidOut, LayOutParams, Role};

use super::{error, face::Face};
use crate::{
    history::{self, OWN, Place},
    recorder::{self, Exported, RecordError},
    repo::{Author, CommitMessage, Ledger, Repository},
    store::LOOSE,
};

pub(super) async fn lay_out(
    face: Arc<Face>,
    _role: Role,
    params: LayOutParams,
) -> Result<LaidOut, Failure> {
    let work = move || laid_out(&place(&face, &params)?, params);
    tokio::task::spawn_blocking(work)
        .await
        .map_err(error::internal)?
}

/// Whose history is laid out, and where it lies.
fn place(face: &Face, params: &LayOutParams) -> Result<Place, Failure> {
    let folder = params.repository.as_ref().map(PathBuf::from);
    let folder = folder.filter(|folder| folder.is_absolute());
    if params.task.as_str() != LOOSE {
        return Ok(history::place(
            &face.ctx.store,
            &params.task,
            folder.as_deref(),
        )?);
    }
    let folder = folder.ok_or_else(|| {
        Failure::new(
            FailureKind::InvalidParams,
            "`repository` is missing: a folder in the repository of the threads",
        )
    })?;
    Ok(Place {
        repository: Repository::discover(&folder).map_err(error::repository)?,
        start: OWN.to_owned(),
        name: LOOSE.to_owned(),
        task: None,
        specs: None,
        documents: Vec::new(),
    })
}

fn failed(error: RecordError) -> Failure {
    match error {
        RecordError::Repository(error) => error::repository(error),
        RecordError::Nothing(_) => Failure::new(FailureKind::NotFound, error.to_string()),
        _ => error::internal(error),
    }
}

fn laid_out(place: &Place, params: LayOutParams) -> Result<LaidOut, Failure> {
    let Place {
        repository, name, ..
    } = place;
    let ledger = Ledger::open(repository).map_err(error::repository)?;
    let mut exported =
        recorder::export(&ledger, &place.start, name, params.records).map_err(failed)?;
    exported.files.extend(place.documents.iter().cloned());
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let (files, sessions) = (count(exported.files.len()), count(exported.sessions));
    let (target, commit) = if let Some(folder) = params.folder {
        fill(Path::new(&folder), &exported)?;
        (real(folder), None)
    } else if let Some(file) = params.zip {
        zip(repository, Path::new(&file), &exported)?;
        (real(file), None)
    } else {
        let branch = params.branch.unwrap_or_else(|| format!("history/{name}"));
        let open = place.task.as_ref().filter(|task| !task.status.is_final());
        if open.is_some_and(|task| task.branch() == branch) {
            let text = format!("{branch} is the work of {name}, which is not finished");
            return Err(Failure::new(FailureKind::Conflict, text)
                .hint(format!("leave --to-branch away: it is history/{name} then")));
        }
        let commit = commit(place, &branch, &exported)?;
        (branch, Some(commit))
    };
    Ok(LaidOut {
        place: target,
        commit,
        files,
        sessions,
    })
}

/// Where a new branch begins: where the documents are, what the SpecTask started from, or `HEAD`.
fn start(place: &Place) -> Result<String, Failure> {
    if let Some(specs) = &place.specs {
        return Ok(specs.clone());
    }
    let base = place.task.as_ref().map(|task| task.base.as_str());
    if let Some(base) = base
        && let Ok(commit) = place.repository.resolve(base)
    {
        return Ok(commit);
    }
    Ok(place.repository.head().map_err(error::repository)?.commit)
}

fn commit(place: &Place, branch: &str, exported: &Exported) -> Result<String, Failure> {
    let Place {
        repository, name, ..
    } = place;
    let tip = repository.branch_tip(branch).map_err(error::repository)?;
    let parent = match &tip {
        Some(tip) => tip.clone(),
        None => start(place)?,
    };
    let mut message = CommitMessage::new(format!("History of {name}"));
    if name != LOOSE {
        message = message.trailer("Spec-Task", name.to_owned());
    }
    let new = repository
        .commit_files(&parent, &exported.files, &message, &Author::User)
        .map_err(error::repository)?;
    if tip.as_ref() != Some(&new) {
        let full = format!("refs/heads/{branch}");
        repository
            .update_ref(&full, &new, tip.as_deref(), "history", &[])
            .map_err(error::repository)?;
    }
    Ok(new)
}

/// The path of what is there now, without `..` and links.
fn real(path: String) -> String {
    let real = fs::canonicalize(&path).ok();
    real.and_then(|path| path.into_os_string().into_string().ok())
        .unwrap_or(path)
}

/// Writes the files into a new zip file.
fn zip(repository: &Repository, file: &Path, exported: &Exported) -> Result<(), Failure> {
    if !file.is_absolute() {
        return Err(Failure::new(
            FailureKind::InvalidParams,
            "name the file with its whole path",
        ));
    }
    if file.symlink_metadata().is_ok() {
        let text = format!("{} is there already", file.display());
        return Err(Failure::new(FailureKind::Conflict, text).hint("name a new file"));
    }
    let tree = repository
        .past()
        .and_then(|past| past.tree(&exported.files));
    tree.and_then(|tree| repository.archive(&tree, file))
        .map_err(error::repository)
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
