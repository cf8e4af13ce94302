use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::json;
use spectask_protocol::{
    EventKind, ImplementationTaskStatus, ProjectId, SessionMethod, SessionPhase, SpecTaskId,
    SpecTaskStatus, WorkMode, WorkSessionId,
};
use tempfile::TempDir;

use super::*;

fn id<T: TryFrom<String>>() -> T
where
    T::Error: std::fmt::Debug,
{
    T::try_from(uuid::Uuid::now_v7().to_string()).unwrap()
}

fn store() -> (TempDir, Store) {
    let folder = TempDir::new().unwrap();
    let store = Store::open(&folder.path().join("spectask.db")).unwrap();
    (folder, store)
}

async fn task(store: &Store) -> TaskRow {
    store
        .write(|write| {
            let project = write.ensure_project(&id::<ProjectId>(), "/r/.git", "/r")?;
            write.insert_task(&NewTask {
                id: id::<SpecTaskId>(),
                slug: "auth".into(),
                project: project.id,
                title: "Auth".into(),
                prompt: "auth".into(),
                status: SpecTaskStatus::Backlog,
                mode: WorkMode::Parallel,
                planning_agent: "example".parse().unwrap(),
                agent: "example".parse().unwrap(),
                session_limit: 3,
                base: "0".repeat(40),
                target: None,
                verify: None,
            })
        })
        .await
        .unwrap()
}

async fn session(store: &Store, task: &TaskRow) -> SessionRow {
    let task = task.id.clone();
    store
        .write(move |write| {
            write.insert_session(&NewSession {
                id: id::<WorkSessionId>(),
                task,
                slug: "plan".into(),
                title: "Plan".into(),
                description: String::new(),
                phase: SessionPhase::Planning,
                method: SessionMethod::Planned,
                parent: None,
                implementation_task: None,
                agent: "example".parse().unwrap(),
            })
        })
        .await
        .unwrap()
}

fn work(number: usize, depends: &[usize]) -> NewImplementationTask {
    NewImplementationTask {
        number: number.to_string(),
        title: format!("Task {number}"),
        body: String::new(),
        optional: false,
        wave: 0,
        completed: false,
        requirements: vec![],
        resources: vec![],
        depends: depends.iter().map(ToString::to_string).collect(),
    }
}

#[tokio::test]
async fn what_was_committed_is_there_after_reopening() {
    let (folder, store) = store();
    let kept = task(&store).await;
    store.close().await;
    let again = Store::open(&folder.path().join("spectask.db")).unwrap();
    assert_eq!(
        again.read(|read| read.task(&kept.id)).unwrap().unwrap(),
        kept
    );
    assert_eq!(kept.name(), "1-auth");
}

#[tokio::test]
async fn an_error_rolls_back_its_own_change_only() {
    let (_folder, store) = store();
    let kept = task(&store).await;
    let id = kept.id.clone();
    let failed: Result<(), StoreError> = store
        .write(move |write| {
            write.emit(Some(&id), None, &EventKind::TaskPaused { paused: true })?;
            Err(StoreError::Closed)
        })
        .await;
    assert!(failed.is_err());
    let other = kept.id.clone();
    store
        .write::<_, StoreError>(move |write| {
            write.emit(Some(&other), None, &EventKind::TaskPaused { paused: false })
        })
        .await
        .unwrap();
    let events = store.read(|read| read.events_after(0, None, 10)).unwrap();
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].kind, EventKind::TaskPaused { paused: false });
    assert_eq!(*store.committed().borrow(), events[0].seq);
}

#[tokio::test]
async fn changes_that_come_together_are_all_kept() {
    let (_folder, store) = store();
    let changes = (0..200).map(|_| {
        let store = store.clone();
        tokio::spawn(async move {
            store
                .write::<_, StoreError>(|write| {
                    write.emit(None, None, &EventKind::TaskPaused { paused: true })
                })
                .await
        })
    });
    for change in changes.collect::<Vec<_>>() {
        change.await.unwrap().unwrap();
    }
    assert_eq!(store.read(|read| read.last_event()).unwrap(), 200);
}

#[tokio::test]
async fn a_newer_database_is_refused_and_untouched() {
    let (folder, store) = store();
    store.close().await;
    let path = folder.path().join("spectask.db");
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection
        .execute_batch("PRAGMA user_version = 9999; PRAGMA wal_checkpoint(TRUNCATE);")
        .unwrap();
    drop(connection);
    let before = std::fs::read(&path).unwrap();
    let Err(error) = Store::open(&path) else {
        panic!("opened")
    };
    assert!(
        matches!(error, StoreError::Newer { found: 9999, .. }),
        "{error}"
    );
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("spectask.db");
    std::fs::write(
        &path,
        "not a database at all, but long enough to be looked at".repeat(99),
    )
    .unwrap();
    assert!(matches!(Store::open(&path), Err(StoreError::Open { .. })));
}

#[tokio::test]
async fn transcripts_come_back_with_their_large_strings() {
    let (_folder, store) = store();
    let task = task(&store).await;
    let session = session(&store, &task).await;
    let large = "x".repeat(200_000);
    for batch in 0..3 {
        let (id, large) = (session.id.clone(), large.clone());
        store
            .write::<_, StoreError>(move |write| {
                let frames = (0..4)
                    .map(|n| Frame {
                        at: 0,
                        direction: "from_agent".into(),
                        frame: json!({ "n": batch * 4 + n, "text": large }),
                    })
                    .collect();
                write.append_transcript(&id, batch * 4, frames)
            })
            .await
            .unwrap();
    }
    let part = store
        .read(|read| read.transcript(&session.id, 5, 3))
        .unwrap();
    assert_eq!(
        part.iter().map(|entry| entry.index).collect::<Vec<_>>(),
        [5, 6, 7]
    );
    assert_eq!(part[0].frame, json!({ "n": 5, "text": large }));
    let blobs: u32 = store
        .read::<_, StoreError>(|read| {
            Ok(read
                .0
                .query_row("SELECT count(*) FROM blob", [], |row| row.get(0))?)
        })
        .unwrap();
    assert_eq!(blobs, 1);
}

#[tokio::test]
async fn transcripts_may_have_gaps_and_never_overlap() {
    let (_folder, store) = store();
    let task = task(&store).await;
    let session = session(&store, &task).await;
    let append = async |first: u64| {
        let id = session.id.clone();
        store
            .write::<_, StoreError>(move |write| {
                let frames = (first..first + 3)
                    .map(|n| Frame {
                        at: 0,
                        direction: "daemon".into(),
                        frame: json!(n),
                    })
                    .collect();
                write.append_transcript(&id, first, frames)
            })
            .await
    };
    let next = || {
        store
            .read(|read| read.transcript_next(&session.id))
            .unwrap()
    };
    assert_eq!(next(), 0);
    append(2).await.unwrap();
    append(10).await.unwrap();
    for taken in [0, 4, 12] {
        assert!(matches!(
            append(taken).await,
            Err(StoreError::Overlap { next: 13, .. })
        ));
    }
    assert_eq!(next(), 13);
    let page = |from, until, bytes| -> Vec<u64> {
        let page = store
            .read(|read| read.transcript_page(&session.id, from..until, bytes))
            .unwrap();
        page.iter().map(|entry| entry.index).collect()
    };
    assert_eq!(page(0, 100, usize::MAX), [2, 3, 4, 10, 11, 12]);
    assert_eq!(page(0, 100, 1), [2, 3, 4]);
    assert_eq!(page(3, 12, usize::MAX), [3, 4, 10, 11]);
    assert_eq!(page(5, 100, 1), [10, 11, 12]);
    assert_eq!(page(13, u64::MAX, 1), Vec::<u64>::new());
}

#[tokio::test]
async fn the_cursor_never_goes_back() {
    let (_folder, store) = store();
    for seq in [5, 3] {
        store
            .write::<_, StoreError>(move |write| write.move_cursor("recorder", seq))
            .await
            .unwrap();
    }
    assert_eq!(store.read(|read| read.cursor("recorder")).unwrap(), 5);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    /// Whatever the order of completion, exactly those tasks are ready whose dependencies are done.
    #[test]
    fn ready_is_what_has_no_open_dependency(
        edges in proptest::collection::vec((0usize..12, 0usize..12), 0..30),
        order in Just((0..12).collect::<Vec<usize>>()).prop_shuffle(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (_folder, store) = store();
            let task = task(&store).await;
            let depends = |number: usize| -> Vec<usize> {
                // An edge from the higher to the lower number: never a cycle.
                edges.iter().filter(|(a, b)| a.max(b) == &number && a != b).map(|(a, b)| *a.min(b)).collect()
            };
            let new: Vec<_> = (0..12).map(|number| work(number, &depends(number))).collect();
            let id = task.id.clone();
            store.write(move |write| write.insert_implementation_tasks(&id, &new)).await.unwrap();
            let mut done = BTreeSet::new();
            for next in order {
                let ready: BTreeSet<usize> = store
                    .read(|read| read.ready_tasks(&task.id, 100)).unwrap()
                    .iter().map(|ready| ready.number.parse().unwrap()).collect();
                let expected: BTreeSet<usize> = (0..12)
                    .filter(|n| !done.contains(n) && depends(*n).iter().all(|d| done.contains(d)))
                    .collect();
                assert_eq!(ready, expected);
                let rows = store.read(|read| read.implementation_tasks(&task.id)).unwrap();
                let row = rows.iter().find(|row| row.number == next.to_string()).unwrap().id;
                for _ in 0..2 {
                    store.write(move |write| {
                        write.set_implementation_task(row, ImplementationTaskStatus::Completed, None)
                    }).await.unwrap();
                }
                done.insert(next);
            }
            assert!(store.read(|read| read.all_completed(&task.id)).unwrap());
        });
    }
}
