use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::json;
use spectask_protocol::{
    EventKind, ImplementationTaskStatus, MessageKind, ProjectId, SessionMethod, SessionPhase,
    SpecTaskId, SpecTaskStatus, TurnStatus, WorkMode, WorkSessionId, shim::Entry,
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
                task: Some(task),
                slug: "plan".into(),
                title: "Plan".into(),
                description: String::new(),
                phase: SessionPhase::Planning,
                method: SessionMethod::Planned,
                parent: None,
                implementation_task: None,
                agent: "example".parse().unwrap(),
                cwd: None,
                project: None,
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

/// A database as the first release wrote it, with rows in every table that others point at.
fn first_version(path: &std::path::Path) -> (String, String) {
    let mut connection = rusqlite::Connection::open(path).unwrap();
    connection
        .execute_batch("PRAGMA journal_mode=WAL; PRAGMA foreign_keys=ON;")
        .unwrap();
    rusqlite_migration::Migrations::from_slice(&open::MIGRATIONS[..1])
        .to_latest(&mut connection)
        .unwrap();
    let (project, task) = (id::<ProjectId>(), id::<SpecTaskId>());
    let [planning, work] = [id::<WorkSessionId>(), id::<WorkSessionId>()].map(String::from);
    connection
        .execute_batch(&format!(
            "INSERT INTO project VALUES ('{project}', '/r/.git', '/r', 1);
             INSERT INTO spec_task (id, number, slug, project, title, prompt, status, mode,
                planning_agent, agent, session_limit, base, created_at, updated_at)
             VALUES ('{task}', 7, 'auth', '{project}', 'Auth', 'auth', 'implementation', 'parallel',
                'example', 'example', 3, '0', 1, 1);
             INSERT INTO implementation_task VALUES
                (5, '{task}', '1', 0, 'One', '', 0, 0, 'in_progress', 0, '[]', '[]', '{work}');
             INSERT INTO work_session (id, task, number, slug, title, description, phase, status,
                stage, method, implementation_task, agent, branch, worktree, wait_kind, wait_text,
                thread, acp_session, generation, created_at, fixes)
             VALUES ('{planning}', '{task}', 0, 'planning', 'Plan', '', 'planning', 'completed',
                'verify', 'planned', NULL, 'example', NULL, NULL, NULL, NULL, 'completed', 'a', 1,
                2, 0),
                ('{work}', '{task}', 1, 'one', 'One', 'd', 'implementation', 'blocked', 'turn',
                'planned', 5, 'example', 'spectask/7-auth/01-one', '/w', 'verify', 'failed',
                'disconnected', 'b', 2, 3, 4);
             INSERT INTO turn VALUES ('{work}', 1, 'implement', 'ended', 'end_turn', 4, 5),
                ('{work}', 2, 'fix', 'running', NULL, 6, NULL);
             INSERT INTO permission (id, session, title, kind, options, asked_at)
             VALUES ('{work}', '{work}', 'Run', 'execute', '[]', 7);
             INSERT INTO agent_process (session, agent, pid, start_time, process_group, started_at)
             VALUES ('{work}', 'example', 1, 1, 1, 1);
             INSERT INTO event (at, task, session, kind, body)
             VALUES (1, '{task}', '{work}', 'turn_started',
                '{{\"kind\":\"turn_started\",\"data\":{{\"turn\":1}}}}');"
        ))
        .unwrap();
    let packed = zstd::encode_all(
        br#"[{"at":0,"direction":"to_agent","frame":{"n":1}}]"#.as_slice(),
        3,
    )
    .unwrap();
    connection
        .execute(
            "INSERT INTO transcript VALUES (?1, 0, 1, ?2)",
            rusqlite::params![work, packed],
        )
        .unwrap();
    (planning, work)
}

#[tokio::test]
async fn a_database_of_the_first_release_is_brought_up_to_date_with_its_rows() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("spectask.db");
    let (planning, work) = first_version(&path);
    let store = Store::open(&path).unwrap();
    let task = store.read(|read| read.task_numbered(7)).unwrap().unwrap();
    let rows = store.read(|read| read.sessions(&task.id)).unwrap();
    let ids: Vec<_> = rows.iter().map(|row| row.id.as_str()).collect();
    assert_eq!(ids, [planning, work]);
    let row = &rows[1];
    assert_eq!(row.task.as_ref(), Some(&task.id));
    assert_eq!((row.number, row.fixes, row.generation), (1, 4, 2));
    assert_eq!(row.worktree.as_deref(), Some("/w"));
    assert_eq!(row.acp_session.as_deref(), Some("b"));
    assert_eq!(row.implementation_task, Some(5));
    assert_eq!(row.waiting.as_ref().unwrap().text, "failed");
    assert_eq!((&row.cwd, &row.project), (&None, &None));
    let turns = store.read(|read| read.turns(&row.id)).unwrap();
    assert_eq!(turns.len(), 2);
    assert_eq!(turns[1].status, TurnStatus::Running);
    let asked = store.read(|read| read.open_permissions(None)).unwrap();
    assert_eq!(asked[0].session_name, "7-auth/01-one");
    let entries = store.read(|read| read.transcript(&row.id, 0, 9)).unwrap();
    assert_eq!(entries[0].frame, json!({ "n": 1 }));
    // The keys hold again, and a number is still given once.
    let clash = row.id.clone();
    let (turn, number): (Result<u32, StoreError>, Result<(), StoreError>) = store
        .write::<_, StoreError>(move |write| {
            let nobody = write.insert_turn(&id::<WorkSessionId>(), "x", None);
            let number = write.run(
                "UPDATE work_session SET number = 0 WHERE id = ?1",
                [clash.as_str()],
            );
            Ok((nobody, number.map(drop)))
        })
        .await
        .unwrap();
    assert!(turn.is_err() && number.is_err());
    store.close().await;
    drop(store);
    let again = Store::open(&path).unwrap();
    assert_eq!(again.read(|read| read.sessions(&task.id)).unwrap(), rows);
}

fn new_thread(project: Option<&ProjectId>) -> NewThread {
    NewThread {
        id: id(),
        entry: Entry::SpecTask,
        agent: "example".parse().unwrap(),
        project: project.cloned(),
        cwd: "/r".into(),
        acp_session: None,
        title: None,
        state: json!({ "modes": ["a"] }),
        task: None,
    }
}

#[tokio::test]
async fn threads_are_listed_by_what_they_are_and_old_drafts_go() {
    let (_folder, store) = store();
    let task = task(&store).await;
    let (mut inside, outside) = (new_thread(Some(&task.project)), new_thread(None));
    inside.task = Some(task.id.clone());
    let news = [inside.clone(), outside.clone()];
    store
        .write::<_, StoreError>(move |write| {
            for new in &news {
                write.insert_thread(new)?;
            }
            let mut prompted = write.thread(&news[1].id)?.unwrap();
            prompted.status = spectask_protocol::ThreadStatus::Active;
            prompted.used_at = write.now() + 10;
            write.update_thread(&prompted)
        })
        .await
        .unwrap();
    let of = |filter: ThreadFilter<'_>| {
        let rows = store.read(|read| read.threads(filter)).unwrap();
        rows.into_iter().map(|row| row.id).collect::<Vec<_>>()
    };
    let all = ThreadFilter {
        drafts: true,
        ..ThreadFilter::default()
    };
    assert_eq!(of(all), [outside.id.clone(), inside.id.clone()]);
    assert_eq!(
        of(ThreadFilter::default()),
        std::slice::from_ref(&outside.id)
    );
    let project = Some(&task.project);
    assert_eq!(of(ThreadFilter { project, ..all }), [inside.id.clone()]);
    let cwd = Some("/elsewhere");
    assert_eq!(of(ThreadFilter { cwd, ..all }), []);
    let kept = store.read(|read| read.thread(&inside.id)).unwrap().unwrap();
    assert_eq!(kept.state, inside.state);
    assert_eq!(kept.entry, Entry::SpecTask);
    let draft = || new_thread(None);
    let (shown, deleted, mut viewer) = (draft(), draft(), draft());
    viewer.state = json!({ "viewing": "x" });
    let stay = [shown.id.clone(), deleted.id.clone(), viewer.id.clone()];
    let gone = store
        .write::<_, StoreError>(move |write| {
            for new in [&shown, &deleted, &viewer] {
                write.insert_thread(new)?;
            }
            let mut row = write.thread(&deleted.id)?.unwrap();
            row.deleted_at = Some(write.now());
            write.update_thread(&row)?;
            assert!(write.drafts_before(write.now() - 60_000)?.is_empty());
            let drafts = write.drafts_before(write.now() + 1)?;
            assert!(!write.delete_draft(&deleted.id)? && !write.delete_draft(&viewer.id)?);
            assert!(drafts.contains(&shown.id) && write.delete_draft(&inside.id)?);
            Ok(drafts.len())
        })
        .await
        .unwrap();
    assert_eq!(gone, 2);
    for id in stay.iter().chain([&outside.id]) {
        assert!(store.read(|read| read.thread(id)).unwrap().is_some());
    }
}

#[tokio::test]
async fn a_message_waits_until_a_turn_took_it_and_is_taken_once() {
    let (_folder, store) = store();
    let task = task(&store).await;
    let session = session(&store, &task).await;
    let (to, first) = (session.id.clone(), id::<spectask_protocol::MessageId>());
    let message = NewMessage {
        id: first.clone(),
        session: to.clone(),
        sender: None,
        kind: MessageKind::Request,
        text: "hello".into(),
        answers: None,
    };
    store
        .write::<_, StoreError>(move |write| {
            let kept = write.insert_message(&message)?;
            assert_eq!((kept.turn, kept.delivered_at), (None, None));
            Ok(())
        })
        .await
        .unwrap();
    let waiting = store.read(|read| read.undelivered_messages(&to)).unwrap();
    assert_eq!(waiting.len(), 1);
    for turn in [3, 4] {
        let ids = [first.clone()];
        store
            .write::<_, StoreError>(move |write| write.messages_delivered(&ids, turn))
            .await
            .unwrap();
    }
    let all = store.read(|read| read.messages_of_task(&task.id)).unwrap();
    assert_eq!(
        all,
        store.read(|read| read.messages_of_session(&to)).unwrap()
    );
    assert_eq!(all[0].turn, Some(3));
    assert!(
        store
            .read(|read| read.undelivered_messages(&to))
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn it_is_known_where_each_turn_begins() {
    let (_folder, store) = store();
    let task = task(&store).await;
    let session = session(&store, &task).await;
    let id = session.id.clone();
    store
        .write::<_, StoreError>(move |write| {
            for turn in 1..=3 {
                write.emit(None, Some(&id), &EventKind::TurnStarted { turn })?;
                let frame = |n: u32| Frame {
                    at: write.now(),
                    direction: "to_agent".into(),
                    frame: json!({ "n": n }),
                };
                let first = write.transcript_next(&id)?;
                write.append_transcript(&id, first, (0..turn).map(frame).collect())?;
            }
            Ok(())
        })
        .await
        .unwrap();
    let begins = |turn| {
        let place = store.read(|read| read.turn_begins(&session.id, turn));
        place.unwrap()
    };
    assert_eq!([1, 2, 3, 4].map(begins), [Some(0), Some(1), Some(3), None]);
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
async fn what_an_agent_calls_a_blob_is_none() {
    let (_folder, store) = store();
    let task = task(&store).await;
    let session = session(&store, &task).await.id;
    let large = "x".repeat(200_000);
    let given = vec![
        json!({ "text": large }),
        json!({ "$blob": "a".repeat(64) }),
        json!([{ "$$blob": { "$blob": large } }, { "$blob": 3 }, { "$blob": "x", "more": 1 }]),
    ];
    let (id, frames) = (session.clone(), given.clone());
    store
        .write::<_, StoreError>(move |write| {
            let frames = frames.into_iter().map(|frame| Frame {
                at: 1,
                direction: "from_agent".into(),
                frame,
            });
            write.append_transcript(&id, 0, frames.collect())
        })
        .await
        .unwrap();
    let read = store.read(|read| read.transcript(&session, 0, 9)).unwrap();
    let frames: Vec<_> = read.into_iter().map(|entry| entry.frame).collect();
    assert!(frames == given);
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
