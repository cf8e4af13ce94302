//! What is ready, at 10,000 tasks and 30,000 dependencies. The baseline in the same run answers the
//! same question without the kept state: it reads all tasks and dependencies and computes.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a bench that cannot be set up has nothing to tell"
)]

use std::{collections::HashSet, sync::LazyLock};

use divan::{Bencher, black_box};
use spectask::store::{NewImplementationTask, NewTask, ReadyTask, Store, StoreError};
use spectask_protocol::{ImplementationTaskStatus, SpecTaskId, SpecTaskStatus, WorkMode};

const TASKS: usize = 10_000;
const DEPENDENCIES: usize = 30_000;
/// How far back a task depends; a plan has layers, not one chain.
const REACH: usize = 400;
/// What the scheduler asks for with the default limit of three sessions.
const LOOK: u32 = 24;

struct Kept {
    _folder: tempfile::TempDir,
    runtime: tokio::runtime::Runtime,
    store: Store,
    task: SpecTaskId,
}

static KEPT: LazyLock<Kept> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("spectask.db")).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let task = runtime.block_on(fill(&store)).unwrap();
    Kept {
        _folder: folder,
        runtime,
        store,
        task,
    }
});

/// A plan of layers of which the first third is done.
async fn fill(store: &Store) -> Result<SpecTaskId, StoreError> {
    let new_id = || uuid::Uuid::now_v7().to_string();
    let id: SpecTaskId = new_id().parse().unwrap();
    let project = new_id().parse().unwrap();
    let task = id.clone();
    store
        .write(move |write| {
            let project = write.ensure_project(&project, "/r/.git", "/r")?;
            write.insert_task(&NewTask {
                id: task.clone(),
                slug: "large".into(),
                project: project.id,
                title: "A large plan".into(),
                prompt: "A large plan".into(),
                status: SpecTaskStatus::Implementation,
                mode: WorkMode::Parallel,
                planning_agent: "example".parse().unwrap(),
                agent: "example".parse().unwrap(),
                session_limit: 3,
                base: "0".repeat(40),
                target: None,
                verify: None,
            })?;
            write.insert_implementation_tasks(&task, &plan())?;
            for work in write.implementation_tasks(&task)?.iter().take(TASKS / 3) {
                let done = ImplementationTaskStatus::Completed;
                write.set_implementation_task(work.id, done, None)?;
            }
            Ok(())
        })
        .await
        .map(|()| id)
}

fn plan() -> Vec<NewImplementationTask> {
    // The first tasks depend on nothing; the others make up for them.
    let first = REACH;
    let mut left = DEPENDENCIES;
    (0..TASKS)
        .map(|number| {
            let after = TASKS - number;
            let count = if number < first {
                0
            } else {
                left.div_ceil(after)
            };
            left -= count;
            let depends: Vec<String> = (1..=count)
                .map(|n| (number - 1 - (number * 7 + n * 97) % (REACH - 1)).to_string())
                .collect();
            NewImplementationTask {
                number: number.to_string(),
                title: format!("Task {number} of a large plan"),
                body: format!(
                    "- [ ] {number}. Task {number} of a large plan\n  - _Requirements: 1.1_\n"
                ),
                optional: false,
                wave: u32::try_from(number / REACH).unwrap(),
                completed: false,
                requirements: vec!["1.1".into()],
                resources: Vec::new(),
                depends,
            }
        })
        .collect()
}

fn ready(limit: u32) -> Vec<ReadyTask> {
    KEPT.store
        .read(|read| read.ready_tasks(&KEPT.task, limit))
        .unwrap()
}

/// The same by reading everything.
fn computed() -> Vec<String> {
    let (tasks, depends) = KEPT
        .store
        .read(|read| -> Result<_, StoreError> {
            Ok((
                read.implementation_tasks(&KEPT.task)?,
                read.dependencies(&KEPT.task)?,
            ))
        })
        .unwrap();
    let done: HashSet<&str> = tasks
        .iter()
        .filter(|task| task.status == ImplementationTaskStatus::Completed)
        .map(|task| task.number.as_str())
        .collect();
    tasks
        .iter()
        .filter(|task| !done.contains(task.number.as_str()) && !task.optional)
        .filter(|task| {
            depends
                .get(&task.number)
                .is_none_or(|on| on.iter().all(|number| done.contains(number.as_str())))
        })
        .map(|task| task.number.clone())
        .collect()
}

#[divan::bench]
fn baseline_read_all_and_compute() -> usize {
    computed().len()
}

#[divan::bench]
fn ready_for_the_scheduler() -> usize {
    ready(black_box(LOOK)).len()
}

#[divan::bench]
fn ready_all() -> usize {
    ready(black_box(u32::MAX)).len()
}

/// Completes a task and makes those ready that waited for it; with the commit, and so an `fsync`.
#[divan::bench(sample_count = 50, sample_size = 1)]
fn complete_and_ready(bencher: Bencher<'_, '_>) {
    let next = || {
        let next = ready(1);
        (next[0].id, next)
    };
    bencher.with_inputs(next).bench_values(|(id, _)| {
        let completed = KEPT.store.write(move |write| {
            write.set_implementation_task(id, ImplementationTaskStatus::Completed, None)
        });
        KEPT.runtime
            .block_on(completed)
            .unwrap_or_else(|error: StoreError| panic!("{error}"));
        ready(LOOK).len()
    });
}

fn main() {
    let edges = KEPT
        .store
        .read(|read| read.dependencies(&KEPT.task))
        .unwrap()
        .values()
        .map(Vec::len)
        .sum::<usize>();
    let found: HashSet<String> = ready(u32::MAX)
        .into_iter()
        .map(|task| task.number)
        .collect();
    // A bench that answers wrongly, or an easier question, is caught here.
    assert_eq!(edges, DEPENDENCIES);
    assert_eq!(found, computed().into_iter().collect());
    assert!(found.len() > LOOK as usize, "{} ready", found.len());
    #[allow(clippy::print_stdout)]
    {
        println!("{TASKS} tasks, {edges} dependencies, {} ready", found.len());
    }
    divan::main();
}
