//! Drives a planning session: the agent writes the documents in a detached worktree, the validator's
//! findings go back to it, what stands in the end goes before a person.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use spectask_protocol::{DocumentKind, SessionStage, Severity, SpecTaskStatus, WorkSessionId};
use tokio_util::sync::CancellationToken;

use super::{
    briefing::Briefing,
    context::{Shared, git},
    foreign,
    halt::Halt,
    prompts::steering,
    thread::{Thread, Turned, ask, settle},
    tidy,
    worker::told_meanwhile,
};
use crate::{
    agents::Root,
    repo::{Repository, WorktreeAt},
    store::{SessionRow, TaskRow},
    workflow::{
        NextPrompt,
        lookup::task_of,
        planning,
        review::{DOCUMENT_LIMIT, DocumentTexts, count},
        session,
    },
};

/// Works on a planning session until a person's turn has come.
pub(super) async fn run(ctx: Shared, id: WorkSessionId, cancel: CancellationToken) {
    let mut thread = None;
    match session::activate(&ctx.store, &id).await {
        Ok(row) => {
            let result = drive(&ctx, &row, &mut thread, &cancel).await;
            settle(&ctx, &row, thread, result).await;
        }
        Err(error) => tracing::debug!(%error, session = %id, "a planning session did not start"),
    }
    ctx.release(&id);
}

async fn drive(
    ctx: &Shared,
    row: &SessionRow,
    thread: &mut Option<Thread>,
    cancel: &CancellationToken,
) -> Result<(), Halt> {
    let task = load(ctx, row)?.0;
    let (_, repository) = ctx.repository(&task)?;
    let worktree = prepare(ctx, &repository, &task, row).await?;
    let (at, base) = (repository.clone(), task.base.clone());
    let steering = git(&at, move |repository| Ok(steering(repository, &base))).await?;
    loop {
        let (task, row) = load(ctx, row)?;
        if cancel.is_cancelled() || ctx.is_draining() || task.paused || !is_planned(&task) {
            return Err(Halt::Gone);
        }
        if row.stage != SessionStage::Verify {
            let briefing = Briefing {
                ctx,
                task: &task,
                session: &row,
                root: &worktree,
                steering: steering.clone(),
                verify: &[],
            };
            let prompt = briefing.next()?;
            let before = git(&repository, Repository::snapshot).await?;
            let turned = ask(ctx, thread, &task, &row, &worktree, prompt, cancel).await;
            foreign::report(ctx, &repository, &task, &row, &before).await?;
            match turned? {
                Turned::Again | Turned::Ended => continue,
            }
        }
        if told_meanwhile(ctx, &row.id)? {
            session::hold_for_messages(&ctx.store, &row.id).await?;
            continue;
        }
        if collect(ctx, &task, &row, &worktree).await? {
            return tidy::after(ctx, &task, &row, &repository, &[]).await;
        }
    }
}

fn load(ctx: &Shared, row: &SessionRow) -> Result<(TaskRow, SessionRow), Halt> {
    let row = ctx
        .store
        .read(|read| read.session(&row.id))?
        .ok_or(Halt::Gone)?;
    let task = ctx.store.read(|read| task_of(read, &row))?;
    Ok((task.ok_or(Halt::Gone)?, row))
}

const fn is_planned(task: &TaskRow) -> bool {
    matches!(
        task.status,
        SpecTaskStatus::SpecGeneration | SpecTaskStatus::SpecRevision
    )
}

/// The planning worktree with the newest revision in it, a person's edits included.
async fn prepare(
    ctx: &Shared,
    repository: &Repository,
    task: &TaskRow,
    row: &SessionRow,
) -> Result<PathBuf, Halt> {
    let worktree = ctx.worktree_of(task, row);
    let (path, commit) = (worktree.clone(), task.base.clone());
    ctx.set_step(&row.id, Some("preparing a worktree".into()));
    git(repository, move |repository| {
        repository.add_worktree(&path, &WorktreeAt::Detached { commit })
    })
    .await?;
    let kept = worktree.display().to_string();
    session::update(&ctx.store, &row.id, move |session| {
        session.worktree = Some(kept);
    })
    .await?;
    if row.stage != SessionStage::Prepare {
        return Ok(worktree);
    }
    if let Some(number) = task.revision
        && let Some(revision) = ctx.store.read(|read| read.revision(&task.id, number))?
    {
        let texts = DocumentTexts::of(&revision);
        let folder = format!("specs/{}", task.name());
        put(&worktree, &folder, &texts)
            .map_err(|error| Halt::broken(format!("the documents cannot be written: {error}")))?;
    }
    session::advance(&ctx.store, &row.id, SessionStage::Turn, |_| {}).await?;
    Ok(worktree)
}

fn put(worktree: &Path, folder: &str, texts: &DocumentTexts) -> io::Result<()> {
    let root = Root::new(worktree)?;
    for kind in DocumentKind::ALL {
        let path = worktree.join(folder).join(kind.file_name());
        let path = root
            .resolve_for_write(&path)
            .map_err(|refusal| io::Error::other(refusal.to_string()))?;
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(path, texts.get(kind))?;
    }
    Ok(())
}

/// Takes the documents from the worktree. Returns whether a person's turn has come.
async fn collect(
    ctx: &Shared,
    task: &TaskRow,
    row: &SessionRow,
    worktree: &Path,
) -> Result<bool, Halt> {
    let config = ctx.config()?;
    let mut texts = DocumentTexts {
        requirements: String::new(),
        design: String::new(),
        tasks: String::new(),
    };
    let mut missing = Vec::new();
    for kind in DocumentKind::ALL {
        match take(worktree, &format!("specs/{}", task.name()), kind) {
            Ok(text) if !text.trim().is_empty() => *texts.get_mut(kind) = text,
            Ok(_) => missing.push(kind.file_name().to_owned()),
            Err(reason) => {
                tracing::info!(session = %row.id, %reason, "a document was not taken");
                missing.push(format!("{} ({reason})", kind.file_name()));
            }
        }
    }
    if !missing.is_empty() {
        return lacking(ctx, task, row, missing, config.planning_rounds).await;
    }
    let checked = texts.clone();
    let findings = tokio::task::spawn_blocking(move || checked.validate())
        .await
        .map_err(|error| Halt::broken(format!("the validator ended badly: {error}")))?;
    let faulty = count(&findings, Severity::Error) > 0;
    let stuck = match task.revision {
        // The agent changed nothing although it was told: once more would not help.
        Some(number) if row.rounds > 0 => ctx
            .store
            .read(|read| read.revision(&task.id, number))?
            .is_some_and(|before| DocumentTexts::of(&before) == texts),
        _ => false,
    };
    let again = faulty && !stuck && row.rounds < config.planning_rounds;
    planning::planned(&ctx.store, &row.id, texts, findings, again).await?;
    Ok(!again)
}

async fn lacking(
    ctx: &Shared,
    task: &TaskRow,
    row: &SessionRow,
    files: Vec<String>,
    limit: u32,
) -> Result<bool, Halt> {
    if row.rounds < limit {
        let next = NextPrompt::Missing { files };
        session::update(&ctx.store, &row.id, move |session| {
            session.rounds += 1;
            session.stage = SessionStage::Turn;
            session.next_prompt = next.to_text();
        })
        .await?;
        return Ok(false);
    }
    let said = row.claim.as_deref().unwrap_or("nothing");
    let reason = format!(
        "agent {} did not write {} although it was asked {} times; its last words: {said}",
        row.agent,
        files.join(", "),
        row.rounds + 1
    );
    planning::fail_planning(&ctx.store, &row.id, reason).await?;
    tracing::info!(task = %task.name(), "planning failed");
    Ok(true)
}

/// Reads one document, through no link that leads out.
fn take(worktree: &Path, folder: &str, kind: DocumentKind) -> Result<String, String> {
    let root = Root::new(worktree).map_err(|error| error.to_string())?;
    let path = worktree.join(folder).join(kind.file_name());
    if !path.exists() {
        return Ok(String::new());
    }
    let path = root.resolve(&path).map_err(|refusal| refusal.to_string())?;
    let about = fs::metadata(&path).map_err(|error| error.to_string())?;
    if !about.is_file() || about.len() > DOCUMENT_LIMIT as u64 {
        return Err(format!(
            "it is no plain file of at most {DOCUMENT_LIMIT} bytes"
        ));
    }
    let bytes = fs::read(&path).map_err(|error| error.to_string())?;
    String::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())
}
