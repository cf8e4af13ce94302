//! Worktrees of SpecTasks that are done or cancelled.

use std::{
    fs,
    path::{Path, PathBuf},
};

use spectask_protocol::WorkSessionId;

use super::{
    super::context::{Shared, git},
    Garbage,
};
use crate::{
    repo::{RepoError, Repository},
    store::{SessionRow, StoreError, TaskRow},
    workflow::session,
};

const KIND: &str = "worktree";

pub(super) async fn collect(ctx: &Shared, garbage: &mut Garbage) -> Result<(), StoreError> {
    let tasks = ctx.store.read(|read| read.tasks(None, true))?;
    let mut known = Vec::new();
    for task in tasks {
        let folder = ctx.task_folder(&task);
        known.push(folder.clone());
        if !task.status.is_final() || !folder.is_dir() {
            continue;
        }
        let sessions = ctx.store.read(|read| read.sessions(&task.id))?;
        for path in folders(&folder) {
            of_task(ctx, &task, &sessions, &path, garbage).await?;
        }
        if !garbage.dry_run {
            leave(&folder);
        }
    }
    if !garbage.told {
        return Ok(());
    }
    for stray in folders(&ctx.paths.worktrees()) {
        if !known.contains(&stray) {
            let name = stray.display().to_string();
            let reason = "it belongs to no SpecTask that is known here";
            garbage.kept(KIND, name, size(stray).await, reason);
        }
    }
    Ok(())
}

async fn of_task(
    ctx: &Shared,
    task: &TaskRow,
    sessions: &[SessionRow],
    path: &Path,
    garbage: &mut Garbage,
) -> Result<(), StoreError> {
    let name = path.display().to_string();
    let bytes = if garbage.told {
        size(path.to_owned()).await
    } else {
        0
    };
    let users: Vec<WorkSessionId> = sessions
        .iter()
        .filter(|row| !row.is_ad_hoc() && ctx.worktree_of(task, row) == path)
        .map(|row| row.id.clone())
        .collect();
    if is_open(ctx, path)? {
        garbage.kept(KIND, name, bytes, "an editor has it open");
        return Ok(());
    }
    let Some(_taken) = Taken::all(ctx, sessions) else {
        garbage.kept(KIND, name, bytes, "a session is at work");
        return Ok(());
    };
    let opened = ctx.repository(task).and_then(|(project, repository)| {
        let copy = ctx.project_file(&project)?.file.copy;
        Ok((repository, copy))
    });
    let (repository, copy) = match opened {
        Ok(opened) => opened,
        Err(halt) => {
            let reason = halt.waiting().map_or_else(
                || "its repository cannot be opened".into(),
                |waiting| waiting.text,
            );
            garbage.kept(KIND, name, bytes, reason);
            return Ok(());
        }
    };
    let last = path.file_name().unwrap_or_default().to_string_lossy();
    let wip = format!("refs/spectask/wip/{}/{last}", task.name());
    let (worktree, reference) = (path.to_owned(), wip.clone());
    let dry_run = garbage.dry_run;
    let done = git(&repository, move |repository| {
        // Why it stays is no failure of the clean-up.
        Ok(remove(repository, &worktree, &reference, &copy, dry_run))
    })
    .await;
    match done {
        Ok(Ok(saved)) => {
            let item = garbage.removed(KIND, name, bytes);
            if let Some((name, commit)) = saved {
                item.saved = Some(name);
                item.saved_commit = commit;
            }
        }
        Ok(Err(error)) => {
            garbage.kept(KIND, name, bytes, error.to_string());
            return Ok(());
        }
        Err(_) => {
            garbage.kept(KIND, name, bytes, "git did not answer");
            return Ok(());
        }
    }
    if !dry_run {
        for id in users {
            let forgotten = session::update(&ctx.store, &id, |row| row.worktree = None).await;
            if let Err(error) = forgotten {
                tracing::debug!(%error, session = %id, "its worktree is gone");
            }
        }
    }
    Ok(())
}

/// Whether an editor that is attached, or a thread in one, works in a folder.
fn is_open(ctx: &Shared, path: &Path) -> Result<bool, StoreError> {
    let real = |path: &Path| fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let path = real(path);
    for editor in ctx.live.editors().list() {
        let threads = ctx.store.read(|read| -> Result<Vec<_>, StoreError> {
            let rows = editor.sessions().into_iter().map(|id| read.session(&id));
            let rows = rows.collect::<Result<Vec<_>, _>>()?;
            Ok(rows
                .into_iter()
                .flatten()
                .filter_map(|row| row.cwd)
                .collect())
        })?;
        let mut folders = threads.iter().chain([&editor.info().cwd]);
        if folders.any(|folder| real(Path::new(folder)).starts_with(&path)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Where the state is, or in a dry run would be, saved.
type Kept = Option<(String, Option<String>)>;

fn remove(
    repository: &Repository,
    worktree: &Path,
    reference: &str,
    copy: &[String],
    dry_run: bool,
) -> Result<Kept, RepoError> {
    let copied = &repository.copied(worktree, copy)?;
    if dry_run {
        let needs = repository.needs_saving(worktree, copied)?;
        return Ok(needs.then(|| (reference.to_owned(), None)));
    }
    let saved = repository.retire_worktree(worktree, reference, copied)?;
    Ok(saved.map(|saved| (saved.name, Some(saved.commit))))
}

/// Sessions that nobody works on meanwhile.
struct Taken<'a>(&'a Shared, Vec<WorkSessionId>);

impl<'a> Taken<'a> {
    fn all(ctx: &'a Shared, sessions: &[SessionRow]) -> Option<Self> {
        let mut taken = Self(ctx, Vec::new());
        for row in sessions.iter().filter(|row| !row.is_ad_hoc()) {
            let _token = ctx.take(&row.id)?;
            taken.1.push(row.id.clone());
        }
        Some(taken)
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        for id in &self.1 {
            self.0.release(id);
        }
    }
}

/// Removes the folder of a SpecTask when nothing but locks of worktrees is left in it.
fn leave(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    let left: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    let is_lock = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with('.') && name.ends_with(".lock")
    };
    if left.iter().all(is_lock) {
        for lock in left {
            drop(fs::remove_file(lock));
        }
        drop(fs::remove_dir(folder));
    }
}

/// Folders in a folder, in order; links count as none.
fn folders(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect();
    found.sort();
    found
}

/// Bytes of all files below a folder.
async fn size(folder: PathBuf) -> u64 {
    let walk = move || {
        let (mut waiting, mut bytes) = (vec![folder], 0);
        while let Some(folder) = waiting.pop() {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                match entry.metadata() {
                    Ok(about) if about.is_dir() => waiting.push(entry.path()),
                    Ok(about) => bytes += about.len(),
                    Err(_) => {}
                }
            }
        }
        bytes
    };
    tokio::task::spawn_blocking(walk).await.unwrap_or(0)
}
