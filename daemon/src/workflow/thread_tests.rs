use proptest::prelude::*;
use serde_json::json;
use spectask_protocol::{SpecTaskId, WorkMode, shim::Entry};
use tempfile::TempDir;

use super::*;
use crate::{
    store::ThreadFilter,
    workflow::{new_id, session, task, turn},
};

struct World {
    _folder: TempDir,
    store: Store,
}

fn world() -> World {
    let folder = TempDir::new().unwrap();
    let store = Store::open(&folder.path().join("spectask.db")).unwrap();
    World {
        _folder: folder,
        store,
    }
}

impl World {
    async fn task(&self, slug: &str) -> TaskRow {
        let create = task::Create {
            common_dir: "/r/.git".into(),
            root: "/r".into(),
            slug: slug.into(),
            title: slug.into(),
            prompt: slug.into(),
            planning_agent: "example".parse().unwrap(),
            agent: "example".parse().unwrap(),
            mode: WorkMode::Parallel,
            limit: 1,
            base: "0".repeat(40),
            target: None,
            verify: None,
            later: true,
        };
        task::create(&self.store, create).await.unwrap()
    }

    /// Puts a SpecTask where the scheduler would have brought it.
    async fn implementing(&self, id: &SpecTaskId) {
        let id = id.clone();
        self.store
            .write::<_, WorkflowError>(move |write| {
                let mut task = write.task(&id)?.unwrap();
                task.status = SpecTaskStatus::Implementation;
                Ok(write.update_task(&task)?)
            })
            .await
            .unwrap();
    }

    async fn draft(&self) -> ThreadRow {
        let project = self
            .store
            .write::<_, WorkflowError>(|write| {
                Ok(write.ensure_project(&new_id()?, "/r/.git", "/r")?)
            })
            .await
            .unwrap();
        let new = NewThread {
            id: new_id().unwrap(),
            entry: Entry::SpecTask,
            agent: "example".parse().unwrap(),
            project: Some(project.id),
            cwd: "/r".into(),
            acp_session: Some("acp".into()),
            title: None,
            state: json!({}),
            task: None,
        };
        draft(&self.store, new).await.unwrap()
    }

    async fn prompted(&self, title: &str) -> SessionRow {
        let thread = self.draft().await;
        first_prompt(&self.store, &thread.id, title.into())
            .await
            .unwrap()
    }

    fn name(&self, id: &WorkSessionId) -> String {
        let name = SessionRef::from(id.clone());
        let found = self.store.read(|read| find_session(read, &name));
        let (task, session) = found.unwrap();
        let name = session_name(task.as_ref(), &session);
        // What people read, they can type.
        for typed in [name.clone(), name.split('-').next().unwrap().to_owned()] {
            if task.is_none() {
                let typed: SessionRef = typed.parse().unwrap();
                let again = self.store.read(|read| find_session(read, &typed));
                assert_eq!(again.unwrap().1.id, session.id, "{typed}");
            }
        }
        name
    }
}

fn named(id: &WorkSessionId) -> SessionRef {
    id.clone().into()
}

#[tokio::test]
async fn the_first_prompt_makes_the_session_once() {
    let world = world();
    let thread = world.draft().await;
    assert_eq!(thread.status, ThreadStatus::Draft);
    let title = "\n Fix the login\nplease".to_owned();
    let first = first_prompt(&world.store, &thread.id, title).await.unwrap();
    assert_eq!(first.id, thread.id);
    assert_eq!(first.title, "Fix the login");
    assert_eq!(first.status, SessionStatus::Active);
    assert_eq!(first.thread, ThreadStatus::Active);
    assert_eq!(first.acp_session.as_deref(), Some("acp"));
    assert_eq!((first.cwd.as_deref(), &first.worktree), (Some("/r"), &None));
    assert_eq!(world.name(&first.id), "threads/01-fix-the-login");
    let events = world.store.read(|read| read.last_event()).unwrap();
    let again = first_prompt(&world.store, &thread.id, "Other".into()).await;
    assert_eq!(again.unwrap(), first);
    assert_eq!(world.store.read(|read| read.last_event()).unwrap(), events);
    assert_eq!(
        world.name(&world.prompted("Second").await.id),
        "threads/02-second"
    );
}

#[tokio::test]
async fn a_thread_joins_the_only_task_that_is_implemented() {
    let world = world();
    let (auth, search) = (world.task("auth").await, world.task("search").await);
    let none = world.prompted("One").await;
    assert_eq!(none.task, None);
    world.implementing(&auth.id).await;
    let bound = world.prompted("Two").await;
    assert_eq!(world.name(&bound.id), "1-auth/01-two");
    world.implementing(&search.id).await;
    assert_eq!(world.prompted("Three").await.task, None);
    let chosen = world.draft().await;
    let task = Some("2".parse().unwrap());
    let attached = attach(&world.store, named(&chosen.id), task).await.unwrap();
    assert_eq!(attached, None);
    let chosen = first_prompt(&world.store, &chosen.id, "Four".into())
        .await
        .unwrap();
    assert_eq!(world.name(&chosen.id), "2-search/01-four");
}

#[tokio::test]
async fn a_request_that_comes_again_gets_its_turn_and_no_other() {
    let world = world();
    let session = world.prompted("One").await;
    let key = || Some("shim:4".to_owned());
    let begin = || begin_turn(&world.store, &session.id, "acp-2".into(), key());
    assert_eq!(begin().await.unwrap(), 1);
    let Err(WorkflowError::Repeated(turn)) = begin().await else {
        panic!("ran twice")
    };
    assert_eq!((turn.number, turn.status), (1, TurnStatus::Running));
    for status in [TurnStatus::Ended, TurnStatus::Failed] {
        end_turn(&world.store, &session.id, 1, status, None, Vec::new())
            .await
            .unwrap();
    }
    let Err(WorkflowError::Repeated(turn)) = begin().await else {
        panic!("ran twice")
    };
    assert_eq!(turn.status, TurnStatus::Ended);
    let next = begin_turn(&world.store, &session.id, "acp-2".into(), None).await;
    assert_eq!(next.unwrap(), 2);
}

#[tokio::test]
async fn a_crash_interrupts_the_turn_and_prompts_nothing() {
    let world = world();
    let session = world.prompted("One").await;
    begin_turn(&world.store, &session.id, "acp".into(), None)
        .await
        .unwrap();
    assert_eq!(turn::interrupt_all(&world.store).await.unwrap(), 1);
    let row = world.store.read(|read| read.session(&session.id)).unwrap();
    let row = row.unwrap();
    assert_eq!((row.next_prompt, row.status), (None, SessionStatus::Active));
    assert_eq!(row.thread, ThreadStatus::Disconnected);
    let thread = world.store.read(|read| read.thread(&session.id)).unwrap();
    assert_eq!(thread.unwrap().status, ThreadStatus::Disconnected);
}

#[tokio::test]
async fn threads_have_no_part_in_the_work_of_their_task() {
    let world = world();
    let auth = world.task("auth").await;
    world.implementing(&auth.id).await;
    let session = world.prompted("One").await;
    let read = |id: &SpecTaskId| world.store.read(|read| read.driven_sessions(id));
    assert!(read(&auth.id).unwrap().is_empty());
    assert!(
        world
            .store
            .read(|read| read.session_counts())
            .unwrap()
            .is_empty()
    );
    for refused in [
        task::cancel(&world.store, named(&session.id)).await,
        task::retry(&world.store, named(&session.id)).await,
    ] {
        assert!(
            matches!(refused, Err(WorkflowError::AdHoc { .. })),
            "{refused:?}"
        );
    }
    let driven = session::activate(&world.store, &session.id).await;
    assert!(
        matches!(driven, Err(WorkflowError::AdHoc { .. })),
        "{driven:?}"
    );
    task::cancel(&world.store, "1".parse().unwrap())
        .await
        .unwrap();
    let row = world.store.read(|read| read.session(&session.id)).unwrap();
    assert_eq!(row.unwrap().status, SessionStatus::Active);
}

#[tokio::test]
async fn what_is_deleted_stays_deleted_and_keeps_its_session() {
    let world = world();
    let (draft, session) = (world.draft().await, world.prompted("One").await);
    for id in [&draft.id, &session.id] {
        let gone = delete(&world.store, id).await.unwrap();
        assert!(gone.deleted_at.is_some());
        assert_eq!(delete(&world.store, id).await.unwrap(), gone);
        let again = first_prompt(&world.store, id, "Again".into()).await;
        assert!(
            matches!(again, Err(WorkflowError::NotFound { .. })),
            "{again:?}"
        );
    }
    let begun = begin_turn(&world.store, &session.id, "acp".into(), None).await;
    assert!(
        matches!(begun, Err(WorkflowError::SessionState { .. })),
        "{begun:?}"
    );
    let row = world.store.read(|read| read.session(&session.id)).unwrap();
    assert_eq!(row.unwrap().status, SessionStatus::Completed);
}

#[derive(Debug, Clone)]
enum Step {
    Prompt(usize),
    Attach(usize, Option<&'static str>),
    Begin(usize, Option<u8>),
    End(usize, u32),
    Title(usize),
    Close(usize),
    Delete(usize),
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    let which = 0usize..3;
    let task = prop_oneof![
        Just(None),
        Just(Some("1")),
        Just(Some("2")),
        Just(Some("9"))
    ];
    prop_oneof![
        3 => which.clone().prop_map(Step::Prompt),
        3 => (which.clone(), task).prop_map(|(n, task)| Step::Attach(n, task)),
        3 => (which.clone(), proptest::option::of(0u8..4)).prop_map(|(n, key)| Step::Begin(n, key)),
        3 => (which.clone(), 1u32..3).prop_map(|(n, turn)| Step::End(n, turn)),
        1 => which.clone().prop_map(Step::Title),
        1 => which.clone().prop_map(Step::Close),
        1 => which.prop_map(Step::Delete),
        1 => Just(Step::Crash),
    ]
}

async fn take(store: &Store, ids: &[WorkSessionId], step: Step) -> Result<(), WorkflowError> {
    match step {
        Step::Prompt(n) => first_prompt(store, &ids[n], "T".into()).await.map(drop),
        Step::Attach(n, task) => {
            let task = task.map(|task| task.parse().unwrap());
            attach(store, named(&ids[n]), task).await.map(drop)
        }
        Step::Begin(n, key) => {
            let key = key.map(|key| format!("shim:{key}"));
            begin_turn(store, &ids[n], "acp".into(), key)
                .await
                .map(drop)
        }
        Step::End(n, turn) => {
            end_turn(store, &ids[n], turn, TurnStatus::Ended, None, Vec::new()).await
        }
        Step::Title(n) => set_title(store, &ids[n], "Name\n".into()).await.map(drop),
        Step::Close(n) => close(store, &ids[n]).await.map(drop),
        Step::Delete(n) => delete(store, &ids[n]).await.map(drop),
        Step::Crash => turn::interrupt_all(store).await.map(drop),
    }
}

fn check(world: &World, ids: &[WorkSessionId]) {
    let mut names = std::collections::BTreeSet::new();
    let mut requests = std::collections::BTreeSet::new();
    for id in ids {
        let thread = world.store.read(|read| read.thread(id)).unwrap().unwrap();
        let session = world.store.read(|read| read.session(id)).unwrap();
        let Some(session) = session else {
            assert_eq!(thread.status, ThreadStatus::Draft, "{thread:?}");
            continue;
        };
        assert_ne!(thread.status, ThreadStatus::Draft, "{thread:?}");
        assert_eq!(thread.task, session.task);
        let deleted = thread.deleted_at.is_some();
        assert_eq!(
            session.status == SessionStatus::Completed,
            deleted,
            "{session:?}"
        );
        assert!(deleted || session.status == SessionStatus::Active);
        assert_eq!(session.next_prompt, None);
        assert!(names.insert(world.name(id)), "one name for two");
        for turn in world.store.read(|read| read.turns(id)).unwrap() {
            if let Some(request) = turn.request {
                assert!(requests.insert(request), "one request in two turns");
            }
        }
    }
    let filter = ThreadFilter {
        drafts: true,
        ..ThreadFilter::default()
    };
    for row in world.store.read(|read| read.threads(filter)).unwrap() {
        assert_eq!(row.deleted_at, None);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    /// Whatever editors and persons do with threads, and whenever the daemon dies: names are unique,
    /// a request runs once, a refused command changes nothing.
    #[test]
    fn threads_keep_their_promises(steps in proptest::collection::vec(step(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let world = world();
            world.task("auth").await;
            world.task("search").await;
            let mut ids = Vec::new();
            for _ in 0..3 {
                ids.push(world.draft().await.id);
            }
            for step in steps {
                let before = world.store.read(|read| read.last_event()).unwrap();
                if take(&world.store, &ids, step.clone()).await.is_err() {
                    let after = world.store.read(|read| read.last_event()).unwrap();
                    assert_eq!(before, after, "{step:?} was refused and left events");
                }
                check(&world, &ids);
            }
        });
    }
}
