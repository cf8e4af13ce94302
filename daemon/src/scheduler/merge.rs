//! The merge queue of a SpecTask: one session at a time goes into `specs/{task}`, together with the
//! tick of its task, in one step of the ref. If others were merged since the session began, the
//! *merged* tree is verified first.

use spectask_protocol::{SessionStage, WaitKind};

use super::{
    context::git,
    halt::Halt,
    job::{Job, failed_verify},
};
use crate::{
    repo::{Author, Merge, RepoError, Repository, WorktreeAt},
    spec,
    workflow::{NextPrompt, session},
};

/// How often a foreign move of the branch is answered with another try.
const TRIES: u32 = 5;

/// Merges a verified session. Returns whether it is in; if not, its stage says how it goes on.
pub(super) async fn merge(job: &Job<'_>) -> Result<bool, Halt> {
    job.ctx
        .set_step(&job.row.id, Some("in the merge queue".into()));
    let lock = job.ctx.merge_lock(&job.task.id);
    let _turn = lock.lock().await;
    if matches!(NextPrompt::of(&job.row), Some(NextPrompt::Resolve { .. })) {
        return give_conflict(job).await.map(|()| false);
    }
    for _ in 0..TRIES {
        let plan = plan(job).await?;
        let (tip, commit) = match plan {
            Plan::Contained { tip, done } => {
                session::merged(&job.ctx.store, &job.row.id, tip, done).await?;
                tidy(job).await;
                return Ok(true);
            }
            Plan::Conflict { paths } => return Err(conflict(job, paths).await?),
            Plan::Merged { tip, commit } => (tip, commit),
        };
        if job.row.base.as_deref() != Some(tip.as_str()) && !job.chores.verify.is_empty() {
            let ended = verify_merged(job, &commit).await?;
            if !ended.passed {
                let output = ended.output.clone();
                let row = session::verified(&job.ctx.store, &job.row.id, false, output).await?;
                bring_tip(job, &tip).await?;
                failed_verify(job, &row, ended.output).await?;
                return Ok(false);
            }
        }
        match put(job, &tip, &commit).await {
            Ok((tip, done)) => {
                session::merged(&job.ctx.store, &job.row.id, tip, done).await?;
                tidy(job).await;
                return Ok(true);
            }
            Err(Put::Moved) => {}
            Err(Put::Halt(halt)) => return Err(halt),
        }
    }
    Err(Halt::broken(format!(
        "{} keeps moving; something else works on it",
        job.task.branch()
    )))
}

enum Plan {
    /// It is in already: a crash came between the ref and the database.
    Contained {
        tip: String,
        done: u32,
    },
    Merged {
        tip: String,
        commit: String,
    },
    Conflict {
        paths: Vec<String>,
    },
}

async fn plan(job: &Job<'_>) -> Result<Plan, Halt> {
    let (branch, name) = (job.task.branch(), job.task.name());
    let head = job.row.head.clone();
    let empty = job.row.accept_empty && job.row.head == job.row.base;
    let number = job.work.as_ref().map(|work| work.number.clone());
    let subject = format!("Merge {}: {}", job.name(), job.title());
    let message = job.message(subject);
    git(&job.repository, move |repository| {
        let tip = repository
            .branch_tip(&branch)?
            .ok_or_else(|| RepoError::UnknownRevision {
                rev: branch.clone(),
                shallow: false,
            })?;
        let Some(head) = head.filter(|_| !empty) else {
            // Nothing to merge: only the tick is missing, or not even that.
            let tasks = tasks_md(repository, &name, &tip)?;
            let ticked = number
                .as_deref()
                .is_none_or(|number| is_ticked(&tasks, number));
            return Ok(if ticked {
                Plan::Contained {
                    done: spec::progress(&tasks).done,
                    tip,
                }
            } else {
                Plan::Merged {
                    commit: tip.clone(),
                    tip,
                }
            });
        };
        Ok(
            match repository.merge(&tip, &head, &message, &Author::User)? {
                Merge::Merged { commit, .. } => Plan::Merged { tip, commit },
                Merge::AlreadyContained => {
                    let done = spec::progress(&tasks_md(repository, &name, &tip)?).done;
                    Plan::Contained { tip, done }
                }
                Merge::Conflict { paths } => Plan::Conflict { paths },
            },
        )
    })
    .await
}

fn tasks_md(repository: &Repository, name: &str, commit: &str) -> Result<String, RepoError> {
    let bytes = repository.read_file(commit, &format!("specs/{name}/tasks.md"))?;
    Ok(String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned())
}

fn is_ticked(tasks: &str, number: &str) -> bool {
    spec::plan(tasks, "")
        .unwrap_or_default()
        .iter()
        .any(|entry| entry.number == number && entry.ticked)
}

enum Put {
    Moved,
    Halt(Halt),
}

/// Ticks the task on top of the merge and moves the branch there, by compare-and-swap.
async fn put(job: &Job<'_>, tip: &str, merge: &str) -> Result<(String, u32), Put> {
    let (branch, name) = (job.task.branch(), job.task.name());
    let (tip, merge) = (tip.to_owned(), merge.to_owned());
    let number = job.work.as_ref().map(|work| work.number.clone());
    let message = job.message(format!("Tick {}", job.title()));
    let moved = git(&job.repository, move |repository| {
        let tasks = tasks_md(repository, &name, &merge)?;
        let ticked = match &number {
            Some(number) => spec::tick_task(&tasks, number, &spec::digest(&tasks)),
            None => Ok(tasks.clone()),
        };
        let ticked = match ticked {
            Ok(ticked) => ticked,
            Err(error) => return Ok(Err(error.to_string())),
        };
        let path = format!("specs/{name}/tasks.md");
        let commit = if ticked == tasks {
            merge
        } else {
            let files = [(path, ticked.clone().into_bytes())];
            repository.commit_files(&merge, &files, &message, &Author::User)?
        };
        let reference = format!("refs/heads/{branch}");
        match repository.update_ref(&reference, &commit, Some(&tip), "merge a session", &[]) {
            Ok(()) => Ok(Ok(Some((commit, spec::progress(&ticked).done)))),
            Err(RepoError::RefMoved { .. }) => Ok(Ok(None)),
            Err(error) => Err(error),
        }
    })
    .await;
    match moved {
        Ok(Ok(Some(done))) => Ok(done),
        Ok(Ok(None)) => Err(Put::Moved),
        Ok(Err(text)) => Err(Put::Halt(Halt::broken(format!(
            "the task cannot be ticked: {text}"
        )))),
        Err(halt) => Err(Put::Halt(halt)),
    }
}

/// Verifies a merged tree in the integration worktree, which is kept for the next merge.
async fn verify_merged(job: &Job<'_>, commit: &str) -> Result<super::command::Ended, Halt> {
    let folder = job.ctx.task_folder(&job.task).join("integration");
    let (path, at) = (
        folder.clone(),
        WorktreeAt::Detached {
            commit: commit.to_owned(),
        },
    );
    let (root, copy) = (job.project.root.clone(), job.chores.copy.clone());
    git(&job.repository, move |repository| {
        // What verify left there is no one's work.
        repository.remove_worktree(&path, Some("refs/spectask/wip/integration"), &[])?;
        repository.add_worktree(&path, &at)?;
        repository.copy_into(root.as_ref(), &path, &copy)?;
        Ok(())
    })
    .await?;
    let commands: Vec<String> = job
        .chores
        .setup
        .iter()
        .chain(&job.chores.verify)
        .cloned()
        .collect();
    job.run(&commands, &folder, "verify the merged tree").await
}

async fn conflict(job: &Job<'_>, paths: Vec<String>) -> Result<Halt, Halt> {
    let text = format!(
        "conflicts with work merged meanwhile in {}",
        paths.join(", ")
    );
    let next = NextPrompt::Resolve { files: paths };
    session::update(&job.ctx.store, &job.row.id, move |row| {
        row.next_prompt = next.to_text();
    })
    .await?;
    let hint = "`spectask retry` gives the conflict to this session's agent to resolve";
    Ok(Halt::wait(WaitKind::Conflict, text, Some(hint)))
}

/// Starts the merge in the session's own worktree and asks its agent to resolve it.
async fn give_conflict(job: &Job<'_>) -> Result<(), Halt> {
    let branch = job.task.branch();
    let worktree = job.worktree.clone();
    let (tip, files) = git(&job.repository, move |repository| {
        let tip = repository
            .branch_tip(&branch)?
            .ok_or_else(|| RepoError::UnknownRevision {
                rev: branch.clone(),
                shallow: false,
            })?;
        let files = repository.merge_into_worktree(&worktree, &tip)?;
        Ok((tip, files))
    })
    .await?;
    let next = (!files.is_empty()).then_some(NextPrompt::Resolve { files });
    let stage = if next.is_some() {
        SessionStage::Turn
    } else {
        SessionStage::Verify
    };
    let head = head(job).await?;
    session::advance(&job.ctx.store, &job.row.id, stage, move |row| {
        row.base = Some(tip);
        row.next_prompt = next.as_ref().and_then(NextPrompt::to_text);
        row.head = Some(head);
    })
    .await?;
    Ok(())
}

async fn head(job: &Job<'_>) -> Result<String, Halt> {
    let worktree = job.worktree.clone();
    git(&job.repository, move |repository| {
        Ok(repository.head_of(&worktree)?.commit)
    })
    .await
}

/// Brings what was merged meanwhile into the session's worktree, where its agent mends the sum.
async fn bring_tip(job: &Job<'_>, tip: &str) -> Result<(), Halt> {
    let (worktree, commit) = (job.worktree.clone(), tip.to_owned());
    git(&job.repository, move |repository| {
        repository.merge_into_worktree(&worktree, &commit)
    })
    .await?;
    let (tip, head) = (tip.to_owned(), head(job).await?);
    session::update(&job.ctx.store, &job.row.id, move |row| {
        row.base = Some(tip);
        row.head = Some(head);
    })
    .await?;
    Ok(())
}

/// Removes the worktree of a merged session in parallel mode: its work is on two branches. What is
/// not committed there is saved to a ref first.
async fn tidy(job: &Job<'_>) {
    if job.task.mode == spectask_protocol::WorkMode::Simple {
        return;
    }
    let worktree = job.worktree.clone();
    let wip = format!("refs/spectask/wip/{}", job.name());
    let copy = job.chores.copy.clone();
    let removed = git(&job.repository, move |repository| {
        repository.remove_worktree(&worktree, Some(&wip), &copy)
    })
    .await;
    match removed {
        Ok(_) => {
            let gone = session::update(&job.ctx.store, &job.row.id, |row| row.worktree = None);
            if let Err(error) = gone.await {
                tracing::debug!(%error, "the removed worktree was not noted");
            }
        }
        Err(_) => tracing::warn!(session = %job.name(), "a worktree could not be removed"),
    }
}
