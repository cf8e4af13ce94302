//! The merge queue of a SpecTask: one session at a time goes into `specs/{task}`, together with the
//! tick of its task, in one step of the ref. If others were merged since the session began, the
//! *merged* tree is verified first.

use spectask_protocol::{Event, EventKind, SessionStage, WaitKind};

use super::{
    context::git,
    halt::Halt,
    job::{Job, failed_verify},
    tidy,
};
use crate::{
    repo::{Author, Merge, RepoError, Repository, WorktreeAt},
    spec,
    store::SessionRow,
    workflow::{NextPrompt, session, turn},
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
        let tip = tip(job).await?;
        if let Some(done) = is_in(job, &tip).await? {
            session::merged(&job.ctx.store, &job.row.id, tip, done).await?;
            tidy(job).await;
            return Ok(true);
        }
        let (tip, commit) = match plan(job, tip).await? {
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

/// Where the branch of the SpecTask stands.
///
/// # Errors
/// When something else moved it so that it lost what was merged, or holds another specification or
/// other ticks than the daemon put there: nothing is built on that.
pub(super) async fn tip(job: &Job<'_>) -> Result<String, Halt> {
    let branch = job.task.branch();
    let at = branch.clone();
    let tip = git(&job.repository, move |repository| {
        repository
            .branch_tip(&at)?
            .ok_or_else(|| RepoError::UnknownRevision {
                rev: at.clone(),
                shallow: false,
            })
    })
    .await?;
    let store = &job.ctx.store;
    let known = store.read(|read| read.task(&job.task.id))?;
    let known = known.and_then(|task| task.tip).ok_or(Halt::Gone)?;
    let sessions = store.read(|read| read.sessions(&job.task.id))?;
    // A crash may have come between the ref and the database, in any session.
    let meant = |session: &SessionRow| session.merged.as_ref() == Some(&tip);
    if tip == known || sessions.iter().any(meant) {
        return Ok(tip);
    }
    let (from, to) = (known.clone(), tip.clone());
    let folder = format!("specs/{}", job.task.name());
    let harmless = git(&job.repository, move |repository| {
        Ok(repository.is_ancestor(&from, &to)?
            && contents(repository, &from, &folder)? == contents(repository, &to, &folder)?)
    })
    .await?;
    if harmless {
        report_moved(job, &known, &tip).await?;
        return Ok(tip);
    }
    let hint = format!(
        "look at `git log {known}..{branch}`; `git branch --force {branch} {known}` puts it back, \
         then `spectask retry`"
    );
    let text = format!(
        "{branch} is not where it was left: something else moved it, and with it the specification, \
         the ticks or what was merged"
    );
    Err(Halt::wait(WaitKind::Repository, text, Some(&hint)))
}

/// Tells a person once that commits of somebody else are on the branch.
async fn report_moved(job: &Job<'_>, known: &str, tip: &str) -> Result<(), Halt> {
    let text = format!(
        "something else moved {} from {known:.12} to {tip:.12}; it holds the same specification, so \
         work goes on from there",
        job.task.branch(),
    );
    let store = &job.ctx.store;
    let told = store.read(|read| read.incidents(&job.task.id, 20))?;
    let same = |event: &Event| matches!(&event.kind, EventKind::Incident { text: told, .. } if *told == text);
    if !told.iter().any(same) {
        turn::incident(store, &job.task.id, &job.row.id, "foreign_ref", text).await?;
    }
    Ok(())
}

type Contents = Vec<(String, Option<Vec<u8>>)>;

fn contents(repository: &Repository, commit: &str, folder: &str) -> Result<Contents, RepoError> {
    let read = |path: String| {
        let bytes = repository.read_file(commit, &path)?;
        Ok((path, bytes))
    };
    let paths = repository.list_files(commit, folder)?;
    paths.into_iter().map(read).collect()
}

/// How many tasks are done, when the session is in already: a crash came between the ref and the
/// database. Told by the commit that was noted before the ref moved, which nobody else could make.
async fn is_in(job: &Job<'_>, tip: &str) -> Result<Option<u32>, Halt> {
    let Some(meant) = job.row.merged.clone() else {
        return Ok(None);
    };
    let (tip, name) = (tip.to_owned(), job.task.name());
    git(&job.repository, move |repository| {
        if !repository.is_ancestor(&meant, &tip)? {
            return Ok(None);
        }
        let tasks = tasks_md(repository, &name, &tip)?;
        Ok(Some(spec::progress(&tasks).done))
    })
    .await
}

enum Plan {
    Merged { tip: String, commit: String },
    Conflict { paths: Vec<String> },
}

async fn plan(job: &Job<'_>, tip: String) -> Result<Plan, Halt> {
    let head = job.row.head.clone();
    let empty = job.row.accept_empty && job.row.head == job.row.base;
    let subject = format!("Merge {}: {}", job.name(), job.title());
    let message = job.message(subject);
    let folder = format!("specs/{}", job.task.name());
    git(&job.repository, move |repository| {
        // Only the tick is missing, or not even that.
        let nothing = || Plan::Merged {
            commit: tip.clone(),
            tip: tip.clone(),
        };
        let Some(head) = head.filter(|_| !empty) else {
            return Ok(nothing());
        };
        Ok(
            // A session's history of the specification counts for nothing.
            match repository.merge_but(&tip, &head, Some(&folder), &message, &Author::User)? {
                Merge::Merged { commit, .. } => Plan::Merged { tip, commit },
                Merge::AlreadyContained => nothing(),
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

enum Put {
    Moved,
    Halt(Halt),
}

impl From<Halt> for Put {
    fn from(halt: Halt) -> Self {
        Self::Halt(halt)
    }
}

/// Ticks the task on top of the merge and moves the branch there, by compare-and-swap.
async fn put(job: &Job<'_>, tip: &str, merge: &str) -> Result<(String, u32), Put> {
    let (commit, done) = tick(job, merge).await?;
    note(job, Some(commit.clone())).await?;
    let reference = format!("refs/heads/{}", job.task.branch());
    let (expected, new) = (tip.to_owned(), commit.clone());
    let moved = git(&job.repository, move |repository| {
        match repository.update_ref(&reference, &new, Some(&expected), "merge a session", &[]) {
            Ok(()) => Ok(true),
            Err(RepoError::RefMoved { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    })
    .await;
    match moved {
        Ok(true) => Ok((commit, done)),
        Ok(false) => {
            note(job, None).await?;
            Err(Put::Moved)
        }
        Err(halt) => {
            note(job, None).await?;
            Err(Put::Halt(halt))
        }
    }
}

/// Notes where the branch is about to move, before it moves.
async fn note(job: &Job<'_>, commit: Option<String>) -> Result<(), Halt> {
    session::update(&job.ctx.store, &job.row.id, move |row| row.merged = commit).await?;
    Ok(())
}

async fn tick(job: &Job<'_>, merge: &str) -> Result<(String, u32), Halt> {
    let (name, merge) = (job.task.name(), merge.to_owned());
    let number = job.work.as_ref().map(|work| work.number.clone());
    let message = job.message(format!("Tick {}", job.title()));
    let made = git(&job.repository, move |repository| {
        let tasks = tasks_md(repository, &name, &merge)?;
        let ticked = match &number {
            Some(number) => spec::tick_task(&tasks, number, &spec::digest(&tasks)),
            None => Ok(tasks.clone()),
        };
        let ticked = match ticked {
            Ok(ticked) => ticked,
            Err(error) => return Ok(Err(error.to_string())),
        };
        let done = spec::progress(&ticked).done;
        if ticked == tasks {
            return Ok(Ok((merge, done)));
        }
        let files = [(format!("specs/{name}/tasks.md"), ticked.into_bytes())];
        let commit = repository.commit_files(&merge, &files, &message, &Author::User)?;
        Ok(Ok((commit, done)))
    })
    .await?;
    made.map_err(|text| Halt::broken(format!("the task cannot be ticked: {text}")))
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
    let wip = format!("refs/spectask/wip/{}/integration", job.task.name());
    git(&job.repository, move |repository| {
        // What verify left there is no one's work.
        let copied = repository.copied(&path, &copy)?;
        repository.remove_worktree(&path, Some(&wip), &copied)?;
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
    let tip = tip(job).await?;
    let (worktree, commit) = (job.worktree.clone(), tip.clone());
    let files = git(&job.repository, move |repository| {
        repository.merge_into_worktree(&worktree, &commit)
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

/// Removes the worktree of a merged session in parallel mode: its work is on two branches.
async fn tidy(job: &Job<'_>) {
    let (copy, repository) = (&job.chores.copy, &job.repository);
    if let Err(halt) = tidy::after(job.ctx, &job.task, &job.row, repository, copy).await {
        let text = halt.waiting().map(|waiting| waiting.text);
        tracing::warn!(session = %job.name(), ?text, "a worktree could not be removed");
    }
}
