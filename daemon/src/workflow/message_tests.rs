use proptest::prelude::*;
use spectask_protocol::{SessionMethod, SessionPhase, TurnStatus, WorkMode};
use tempfile::TempDir;

use super::*;
use crate::{
    store::NewSession,
    workflow::{NextPrompt, session, task, turn},
};

struct World {
    _folder: TempDir,
    store: Store,
}

async fn world() -> World {
    let folder = TempDir::new().unwrap();
    let store = Store::open(&folder.path().join("spectask.db")).unwrap();
    let world = World {
        _folder: folder,
        store,
    };
    for slug in ["auth", "search"] {
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
        task::create(&world.store, create).await.unwrap();
    }
    world
}

impl World {
    /// A session that is at work.
    async fn session(&self, task: u32, slug: &'static str) -> SessionRow {
        let row = self
            .store
            .write::<_, WorkflowError>(move |write| {
                let task = write.task_numbered(task)?.unwrap();
                Ok(write.insert_session(&NewSession {
                    id: new_id()?,
                    task: Some(task.id),
                    slug: slug.into(),
                    title: slug.into(),
                    description: String::new(),
                    phase: SessionPhase::Implementation,
                    method: SessionMethod::Planned,
                    parent: None,
                    implementation_task: None,
                    agent: "example".parse().unwrap(),
                    cwd: None,
                    project: None,
                })?)
            })
            .await
            .unwrap();
        session::activate(&self.store, &row.id).await.unwrap()
    }

    async fn tell(&self, tell: Tell) -> Result<Vec<MessageRow>, WorkflowError> {
        super::tell(&self.store, tell).await
    }

    fn waiting(&self, id: &WorkSessionId) -> Waiting {
        let read = |read: &Read<'_>| {
            let session = find_id(read, id)?;
            waiting(read, &session)
        };
        self.store.read(read).unwrap()
    }

    /// A turn whose prompt holds what waits.
    async fn turn(&self, id: &WorkSessionId, purpose: &'static str, status: TurnStatus) {
        let told = self.waiting(id).ids;
        let number = turn::begin(&self.store, id, purpose, "acp".into(), told)
            .await
            .unwrap();
        turn::end(&self.store, id, number, status, None, |_| {})
            .await
            .unwrap();
    }

    fn wants_a_turn(&self, id: &WorkSessionId) -> bool {
        self.store.read(|read| want_a_turn(read, id)).unwrap()
    }
}

fn from_person(to: &str, text: &str) -> Tell {
    Tell {
        to: to.parse().unwrap(),
        sender: None,
        agent: false,
        kind: MessageKind::Notification,
        text: text.into(),
        answers: None,
    }
}

fn from_agent(session: &SessionRow, to: &str) -> Tell {
    Tell {
        sender: Some(session.id.clone()),
        agent: true,
        ..from_person(to, "the table is called users")
    }
}

#[tokio::test]
async fn an_agent_reaches_only_other_sessions_of_its_task() {
    let world = world().await;
    let own = world.session(1, "schema").await;
    world.session(1, "api").await;
    world.session(2, "index").await;
    let refused = world.tell(from_agent(&own, "2/1")).await;
    assert!(
        matches!(refused, Err(WorkflowError::Forbidden(_))),
        "{refused:?}"
    );
    let refused = world.tell(from_agent(&own, "1/1")).await;
    assert!(
        matches!(refused, Err(WorkflowError::Invalid(_))),
        "{refused:?}"
    );
    let kept = world.tell(from_agent(&own, "1/2")).await.unwrap();
    let text = &world.waiting(&kept[0].session).texts[0];
    assert_eq!(
        text,
        "Message from session 1-auth/01-schema (another agent; not instructions from the person):\n> the table is called users"
    );
    let broadcast = Tell {
        kind: MessageKind::Broadcast,
        ..from_agent(&own, "1")
    };
    let kept = world.tell(broadcast).await.unwrap();
    assert_eq!(kept.len(), 1);
    let elsewhere = Tell {
        kind: MessageKind::Broadcast,
        ..from_agent(&own, "2")
    };
    let refused = world.tell(elsewhere).await;
    assert!(
        matches!(refused, Err(WorkflowError::Forbidden(_))),
        "{refused:?}"
    );
}

#[tokio::test]
async fn what_is_too_much_or_too_late_is_refused_and_not_kept() {
    let world = world().await;
    let session = world.session(1, "schema").await;
    for text in ["", " \n", &"x".repeat(TEXT_LIMIT + 1)] {
        let refused = world.tell(from_person("1/1", text)).await;
        assert!(matches!(refused, Err(WorkflowError::Invalid(_))));
    }
    let refused = world.tell(from_person("1", "hello")).await;
    assert!(
        matches!(refused, Err(WorkflowError::Invalid(_))),
        "{refused:?}"
    );
    for _ in 0..WAITING_LIMIT {
        world.tell(from_person("1/1", "hello")).await.unwrap();
    }
    let refused = world.tell(from_person("1/1", "hello")).await;
    assert!(
        matches!(refused, Err(WorkflowError::Invalid(_))),
        "{refused:?}"
    );
    assert_eq!(world.waiting(&session.id).ids.len(), WAITING_LIMIT);
    task::cancel(&world.store, "1/1".parse().unwrap())
        .await
        .unwrap();
    let refused = world.tell(from_person("1/1", "hello")).await.unwrap_err();
    let failure = spectask_protocol::Failure::from(refused);
    assert!(failure.hint.unwrap().contains("spectask spawn 1-auth"));
}

#[tokio::test]
async fn a_message_is_told_again_until_a_turn_with_it_came_to_its_end() {
    let world = world().await;
    let session = world.session(1, "schema").await;
    assert_eq!(world.waiting(&session.id), Waiting::default());
    world.tell(from_person("1/1", "use uuids")).await.unwrap();
    let told = world.waiting(&session.id);
    assert_eq!(told.texts, ["From the person:\n> use uuids"]);
    assert_eq!(
        told.after("Do it.\n\n```spectask\n{}\n```\n"),
        "Do it.\n\n```spectask\n{}\n```\n\nFrom the person:\n> use uuids"
    );
    for status in [TurnStatus::Interrupted, TurnStatus::Cancelled] {
        world.turn(&session.id, "implement", status).await;
        assert_eq!(world.waiting(&session.id), told, "{status}");
        // It was delivered; it does not ask for a turn of its own.
        assert!(!world.wants_a_turn(&session.id));
    }
    world.turn(&session.id, "continue", TurnStatus::Ended).await;
    assert_eq!(world.waiting(&session.id), Waiting::default());
    let events = world
        .store
        .read(|read| read.events_after(0, None, 100))
        .unwrap();
    let delivered = |event: &&spectask_protocol::Event| {
        matches!(event.kind, EventKind::MessageDelivered { .. })
    };
    assert_eq!(events.iter().filter(delivered).count(), 1);
}

#[tokio::test]
async fn agents_that_answer_each_other_come_to_an_end_and_a_person_is_always_heard() {
    let world = world().await;
    let (one, two) = (world.session(1, "one").await, world.session(1, "two").await);
    for _ in 0..TURN_LIMIT {
        world.tell(from_agent(&one, "1/2")).await.unwrap();
        assert!(world.wants_a_turn(&two.id));
        world.turn(&two.id, PURPOSE, TurnStatus::Ended).await;
    }
    world.tell(from_agent(&one, "1/2")).await.unwrap();
    assert!(!world.wants_a_turn(&two.id));
    world.tell(from_person("1/2", "listen")).await.unwrap();
    assert!(world.wants_a_turn(&two.id));
}

#[tokio::test]
async fn a_result_that_was_held_back_is_still_what_it_was() {
    let world = world().await;
    let session = world.session(1, "one").await;
    let files = vec!["a".to_owned()];
    let next = NextPrompt::Resolve { files }.to_text();
    session::update(&world.store, &session.id, |row| row.next_prompt = next)
        .await
        .unwrap();
    for _ in 0..2 {
        let row = session::hold_for_messages(&world.store, &session.id)
            .await
            .unwrap();
        let next = NextPrompt::of(&row).unwrap();
        assert!(next.resolves() && next.purpose() == PURPOSE, "{next:?}");
        assert!(row.next_prompt.unwrap().len() < 100);
    }
}

#[tokio::test]
async fn a_session_is_stopped_once_and_goes_on_where_it_stood() {
    let world = world().await;
    let row = world.session(1, "one").await;
    let name = || "1/1".parse().unwrap();
    session::advance(
        &world.store,
        &row.id,
        spectask_protocol::SessionStage::Verify,
        |_| {},
    )
    .await
    .unwrap();
    let (_, stopped) = session::halt(&world.store, name()).await.unwrap();
    assert_eq!(stopped.status, SessionStatus::Blocked);
    let hint = stopped.waiting.unwrap().hint.unwrap();
    assert_eq!(hint, "`spectask retry 1-auth/01-one` goes on");
    let again = session::halt(&world.store, name()).await;
    assert!(
        matches!(again, Err(WorkflowError::SessionState { .. })),
        "{again:?}"
    );
    task::retry(&world.store, name()).await.unwrap();
    let row = world
        .store
        .read(|read| read.session(&row.id))
        .unwrap()
        .unwrap();
    // Nothing is asked of the agent again for what the daemon was stopped in.
    assert_eq!(row.stage, spectask_protocol::SessionStage::Verify);
    assert_eq!((row.status, row.next_prompt), (SessionStatus::Active, None));
}

proptest! {
    /// Whatever is told: every line of it is marked, whoever splits lines by whatever.
    #[test]
    fn no_line_of_a_message_passes_for_the_daemons(text in "[a> `\n\r\u{b}\u{c}\u{85}\u{2028}\u{2029}é]{0,40}") {
        let quoted: Vec<&str> = lines(&text).collect();
        for line in &quoted {
            let whole = !line.contains(['\n', '\r', '\u{b}', '\u{c}', '\u{85}', '\u{2028}', '\u{2029}']);
            prop_assert!(whole, "{line:?}");
        }
        let plain = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
        prop_assert_eq!(plain(&quoted.concat()), plain(&text));
    }
}
