use proptest::prelude::*;
use serde_json::{Value, json};
use spectask_protocol::{
    SearchResult, SessionMethod, SessionPhase, SpecTaskId, SpecTaskStatus, TurnStatus, WorkMode,
    WorkSessionId,
};
use tempfile::TempDir;

use super::{find, index::catch_up};
use crate::store::{
    Frame, NewImplementationTask, NewSession, NewTask, SearchFilter, Store, StoreError,
};

fn id<T: TryFrom<String>>() -> T
where
    T::Error: std::fmt::Debug,
{
    T::try_from(uuid::Uuid::now_v7().to_string()).unwrap()
}

struct World {
    _folder: TempDir,
    store: Store,
    task: SpecTaskId,
}

impl World {
    async fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let store = Store::open(&folder.path().join("spectask.db")).unwrap();
        let task: SpecTaskId = id();
        let new = task.clone();
        store
            .write::<_, StoreError>(move |write| {
                let project = write.ensure_project(&id(), "/r/.git", "/r")?;
                write.insert_task(&NewTask {
                    id: new.clone(),
                    slug: "auth".into(),
                    project: project.id,
                    title: "Auth".into(),
                    prompt: "auth".into(),
                    status: SpecTaskStatus::Implementation,
                    mode: WorkMode::Parallel,
                    planning_agent: "example".parse().unwrap(),
                    agent: "example".parse().unwrap(),
                    session_limit: 3,
                    base: "0".repeat(40),
                    target: None,
                    verify: None,
                })?;
                let work = NewImplementationTask {
                    number: "1".into(),
                    title: "Schema".into(),
                    body: String::new(),
                    optional: false,
                    wave: 1,
                    completed: false,
                    requirements: vec!["2.3".into(), "20.1".into()],
                    resources: vec![],
                    depends: vec![],
                };
                write.insert_implementation_tasks(&new, &[work])
            })
            .await
            .unwrap();
        Self {
            _folder: folder,
            store,
            task,
        }
    }

    async fn session(&self, of_work: bool) -> WorkSessionId {
        let session: WorkSessionId = id();
        let (new, task) = (session.clone(), self.task.clone());
        self.store
            .write::<_, StoreError>(move |write| {
                let work = write.implementation_tasks(&task)?[0].id;
                let row = write.insert_session(&NewSession {
                    id: new,
                    task: Some(task),
                    slug: "api".into(),
                    title: "Api".into(),
                    description: String::new(),
                    phase: SessionPhase::Implementation,
                    method: SessionMethod::Planned,
                    parent: None,
                    implementation_task: of_work.then_some(work),
                    agent: "example".parse().unwrap(),
                    cwd: None,
                    project: None,
                })?;
                write.update_session(&crate::store::SessionRow {
                    worktree: Some("/w/s".into()),
                    ..row
                })
            })
            .await
            .unwrap();
        session
    }

    /// A turn that begins, in which that is said; it ends when `ends`.
    async fn turn(&self, session: &WorkSessionId, prompt: &str, frames: Vec<Value>, ends: bool) {
        let id = session.clone();
        let prompt = json!({ "id": 1, "method": "session/prompt",
            "params": { "prompt": [{ "type": "text", "text": prompt }] } });
        self.store
            .write::<_, StoreError>(move |write| {
                let number = write.insert_turn(&id, "implement", None)?;
                let at = write.now();
                let first = write.transcript_next(&id)?;
                let mut all = vec![Frame {
                    at,
                    direction: "to_agent".into(),
                    frame: prompt,
                }];
                all.extend(frames.into_iter().map(|frame| Frame {
                    at,
                    direction: "from_agent".into(),
                    frame,
                }));
                write.append_transcript(&id, first, all)?;
                if ends {
                    write.end_turn(&id, number, TurnStatus::Ended, None)?;
                }
                Ok(())
            })
            .await
            .unwrap();
        // The next turn begins in a later millisecond.
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }

    async fn found(&self, text: &str) -> Vec<(String, u32, String)> {
        self.within(text, SearchFilter::default()).await
    }

    async fn within(&self, text: &str, filter: SearchFilter) -> Vec<(String, u32, String)> {
        catch_up(&self.store).await.unwrap();
        let found = find(&self.store, text, &filter, 100).unwrap();
        assert!(found.complete && found.behind == 0);
        let hits = found.hits.into_iter();
        hits.map(|hit| (hit.name, hit.turn, hit.excerpt)).collect()
    }
}

fn piece(text: &str) -> Value {
    json!({ "method": "session/update", "params": { "update": {
        "sessionUpdate": "agent_message_chunk", "content": { "type": "text", "text": text } } } })
}

fn write_of(path: &str) -> Value {
    json!({ "method": "fs/write_text_file", "params": { "path": path, "content": "x" } })
}

#[tokio::test]
async fn what_was_said_is_found_newest_first_and_only_when_its_turn_has_ended() {
    let world = World::new().await;
    let session = world.session(false).await;
    let pieces = vec![piece("the tok"), write_of("/w/s/a.rs"), piece("en expires")];
    world.turn(&session, "Write the tokens", pieces, true).await;
    world.turn(&session, "Mend the token", vec![], true).await;
    world
        .turn(&session, "Now a TOKEN runs", vec![], false)
        .await;
    let name = "1-auth/01-api".to_owned();
    assert_eq!(
        world.found("token").await,
        [
            (name.clone(), 2, "Mend the token".to_owned()),
            (name.clone(), 1, "the token expires".to_owned()),
            (name.clone(), 1, "Write the tokens".to_owned()),
        ]
    );
    let of = session.clone();
    world
        .store
        .write::<_, StoreError>(move |write| write.end_turn(&of, 3, TurnStatus::Ended, None))
        .await
        .unwrap();
    assert_eq!(world.found("token").await.len(), 4);
    assert_eq!(world.found("token r").await[0].1, 3);
    // Nothing is indexed twice.
    catch_up(&world.store).await.unwrap();
    assert_eq!(world.found("token").await.len(), 4);
}

#[tokio::test]
async fn a_search_can_be_limited() {
    let world = World::new().await;
    let (a, b) = (world.session(true).await, world.session(false).await);
    let files = vec![write_of("/w/s/src/100%_a.rs"), write_of("/elsewhere/b.rs")];
    world.turn(&a, "token one", files, true).await;
    world.turn(&b, "token two", vec![], true).await;
    let only = |filter: SearchFilter| async {
        let hits = world.within("token", filter).await;
        hits.into_iter().map(|hit| hit.2).collect::<Vec<_>>()
    };
    let filter = SearchFilter::default;
    let file = |path: &str| SearchFilter {
        file: Some(path.into()),
        ..filter()
    };
    for path in ["src/100%_a.rs", "100%_a.rs", "b.rs", "elsewhere/b.rs"] {
        assert_eq!(only(file(path)).await, ["token one"], "{path}");
    }
    for path in ["a.rs", "100%", "src/100", "%", ""] {
        assert_eq!(only(file(path)).await, [""; 0], "{path}");
    }
    let of = |number: &str| SearchFilter {
        requirement: Some(number.into()),
        ..filter()
    };
    assert_eq!(only(of("2.3")).await, ["token one"]);
    assert_eq!(only(of("2")).await, ["token one"]);
    assert_eq!(only(of("3")).await, [""; 0]);
    assert_eq!(only(of("2.30")).await, [""; 0]);
    assert!(find(&world.store, "token", &of("%"), 9).is_err());
    let session = SearchFilter {
        session: Some(b.clone()),
        ..filter()
    };
    assert_eq!(only(session).await, ["token two"]);
    let task = SearchFilter {
        task: Some(world.task.clone()),
        ..filter()
    };
    assert_eq!(only(task).await, ["token two", "token one"]);
    let since = world.store.read(|read| read.turns(&b)).unwrap()[0].started_at;
    let late = SearchFilter {
        since: Some(since),
        ..filter()
    };
    assert_eq!(only(late).await, ["token two"]);
    let early = SearchFilter {
        until: Some(since),
        ..filter()
    };
    assert_eq!(only(early).await, ["token one"]);
    let project = world.store.read(|read| read.project_of("/r/.git")).unwrap();
    let here = SearchFilter {
        project: project.map(|project| project.id),
        ..filter()
    };
    assert_eq!(only(here).await.len(), 2);
}

#[tokio::test]
async fn any_text_is_only_a_text() {
    let world = World::new().await;
    let session = world.session(false).await;
    let long = "x".repeat(200);
    let hostile = [
        "\"",
        "\"\"",
        "' OR 1=1 --",
        "NEAR(a b)",
        "a AND NOT b",
        "grams : x",
        "^a",
        "a*",
        "{a}",
        "a\0b",
        "(",
        "-",
        "%_%",
        "日本語",
        "語の",
        "тест",
        "\u{202e}x",
        "🦀🦀",
        "İİ",
        &long,
    ];
    for text in hostile {
        world.turn(&session, text, vec![], true).await;
    }
    catch_up(&world.store).await.unwrap();
    for text in hostile {
        let found = find(&world.store, text, &SearchFilter::default(), 100);
        if text.chars().count() < 2 {
            assert!(found.is_err(), "{text}");
        } else {
            assert!(!found.unwrap().hits.is_empty(), "{text}");
        }
    }
    assert!(find(&world.store, &"x".repeat(201), &SearchFilter::default(), 1).is_err());
}

#[tokio::test]
async fn a_kill_anywhere_repeats_and_loses_nothing() {
    let world = World::new().await;
    let session = world.session(false).await;
    for turn in 0..6 {
        let frames = (0..40).map(|n| {
            let filler = "lorem ipsum ".repeat(200);
            let call = json!({ "method": "session/update", "params": { "update": {
                "sessionUpdate": "tool_call", "title": format!("mark {turn}-{n:02} {filler}") } } });
            call
        });
        world.turn(&session, "go", frames.collect(), true).await;
    }
    // Killed after each number of transactions: the task is dropped between any two.
    for polls in 0..12 {
        let mut work = Box::pin(catch_up(&world.store));
        for _ in 0..polls {
            let part = tokio::time::timeout(std::time::Duration::from_millis(3), &mut work);
            if part.await.is_ok() {
                break;
            }
        }
    }
    for turn in 0..6 {
        for n in 0..40 {
            assert_eq!(world.found(&format!("mark {turn}-{n:02}")).await.len(), 1);
        }
    }
}

#[tokio::test]
async fn a_session_is_forgotten_when_its_transcript_goes() {
    let world = World::new().await;
    let (a, b) = (world.session(false).await, world.session(false).await);
    world
        .turn(&a, "a token", vec![write_of("/w/s/a")], true)
        .await;
    world.turn(&b, "b token", vec![], true).await;
    assert_eq!(world.found("token").await.len(), 2);
    world
        .store
        .write::<_, StoreError>(move |write| write.forget_search(&a))
        .await
        .unwrap();
    assert_eq!(world.found("token").await.len(), 1);
}

#[tokio::test]
async fn what_is_not_indexed_is_counted() {
    let world = World::new().await;
    let session = world.session(false).await;
    world.turn(&session, "a token", vec![], true).await;
    let SearchResult { hits, behind, .. } =
        find(&world.store, "token", &SearchFilter::default(), 9).unwrap();
    assert_eq!((hits.len(), behind), (0, 1));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn the_index_finds_what_reading_everything_finds(
        texts in prop::collection::vec("[abAß語 \n\"*\0]{0,30}", 1..12),
        query in "[abAß語\"*]{2,4}",
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let world = World::new().await;
            let session = world.session(false).await;
            for text in &texts {
                world.turn(&session, text, vec![piece(text)], true).await;
            }
            let mut indexed = world.found(&query).await.into_iter().map(|hit| hit.2).collect::<Vec<_>>();
            let mut read: Vec<String> = super::scan(&world.store, &query, 100).unwrap()
                .into_iter().map(|hit| hit.excerpt).collect();
            indexed.sort();
            read.sort();
            assert_eq!(indexed, read);
        });
    }
}

#[tokio::test]
async fn a_database_that_shrinks_at_its_start_is_searched_as_before() {
    let mut world = World::new().await;
    let (gone, kept) = (world.session(false).await, world.session(false).await);
    world.turn(&kept, "The zebra stays", vec![], true).await;
    let mut state = 1u64;
    for _ in 0..24 {
        // Texts that do not compress, each too short for a blob of its own.
        let mut text = || -> String {
            let letters = (0..1024).map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                char::from(b'0' + (state % 64) as u8)
            });
            letters.collect()
        };
        let noise: Vec<String> = (0..1024).map(|_| text()).collect();
        world
            .turn(&gone, "x", vec![json!({ "noise": noise })], true)
            .await;
    }
    world.turn(&gone, "The zebra goes", vec![], true).await;
    world.turn(&kept, "One more zebra", vec![], true).await;
    assert_eq!(world.found("zebra").await.len(), 3);
    let file = world._folder.path().join("spectask.db");
    let size = || std::fs::metadata(&file).unwrap().len();
    let of = gone.clone();
    let store = &world.store;
    store
        .write(move |write| write.forget_transcript(&of))
        .await
        .unwrap();
    store.close().await;
    assert!(size() > 16 << 20, "{}", size());
    world.store = Store::open(&file).unwrap();
    assert!(size() < 4 << 20, "{}", size());
    let texts: Vec<String> = world
        .found("zebra")
        .await
        .into_iter()
        .map(|hit| hit.2)
        .collect();
    assert_eq!(texts, ["One more zebra", "The zebra stays"]);
}
