use proptest::prelude::*;
use spectask_protocol::{
    Decision, Document, DocumentKind, FinishHow, SessionRef, SessionStage, SessionStatus,
    SpecTaskStatus, TaskRef, WaitKind, Waiting, WorkMode,
};
use tempfile::TempDir;

use super::{
    NextPrompt, Spawner, WorkflowError, planning,
    review::{self, Approval, DocumentTexts},
    session, task, turn,
};
use crate::store::{Store, TaskRow};

const REQUIREMENTS: &str = "# Requirements Document\n\n## Introduction\n\nNotes.\n\n## Glossary\n\n- **Note_Store**: keeps notes.\n\n## Requirements\n\n### Requirement 1: Keep\n\n**User Story:** As a user, I want notes, so that I remember.\n\n#### Acceptance Criteria\n\n1. WHEN a user saves a note, THE Note_Store SHALL keep it.\n2. IF the disk is full, THEN THE Note_Store SHALL refuse the note.\n";
const DESIGN: &str = "# Design Document\n\n## Overview\n\nx\n\n## Architecture\n\nx\n\n## Components and Interfaces\n\nx\n\n## Data Models\n\nx\n\n## Correctness Properties\n\nProperty 1: kept.\n\n**Validates: Requirements 1.1**\n\n## Error Handling\n\nx\n\n## Testing Strategy\n\nx\n";
const TASKS: &str = "# Implementation Plan\n\n- [ ] 1. Keep notes\n  - Write `a`\n  - _Requirements: 1.1_\n\n- [ ] 2. Refuse notes\n  - Write `b`\n  - _Requirements: 1.2_\n  - _Depends: 1_\n";

fn texts() -> DocumentTexts {
    DocumentTexts {
        requirements: REQUIREMENTS.into(),
        design: DESIGN.into(),
        tasks: TASKS.into(),
    }
}

fn name() -> TaskRef {
    "1".parse().unwrap()
}

fn target(name: &str) -> SessionRef {
    name.parse().unwrap()
}

struct World {
    _folder: TempDir,
    store: Store,
}

impl World {
    async fn new(later: bool) -> Self {
        let folder = TempDir::new().unwrap();
        let store = Store::open(&folder.path().join("spectask.db")).unwrap();
        let create = task::Create {
            common_dir: "/r/.git".into(),
            root: "/r".into(),
            slug: "notes".into(),
            title: "Notes".into(),
            prompt: "Keep notes".into(),
            planning_agent: "example".parse().unwrap(),
            agent: "example".parse().unwrap(),
            mode: WorkMode::Parallel,
            limit: 3,
            base: "0".repeat(40),
            target: None,
            verify: None,
            later,
        };
        task::create(&store, create).await.unwrap();
        Self {
            _folder: folder,
            store,
        }
    }

    fn task(&self) -> TaskRow {
        self.store
            .read(|read| read.task_numbered(1))
            .unwrap()
            .unwrap()
    }

    fn session(&self, number: u32) -> Option<crate::store::SessionRow> {
        let id = self.task().id;
        self.store
            .read(|read| read.session_numbered(&id, number))
            .unwrap()
    }

    async fn plan(&self, texts: DocumentTexts) -> Result<(), WorkflowError> {
        let Some(planner) = self.session(0) else {
            return Ok(());
        };
        session::activate(&self.store, &planner.id).await?;
        let findings = texts.validate();
        planning::planned(&self.store, &planner.id, texts, findings, false).await?;
        Ok(())
    }

    async fn approve(&self, revision: u32, digest: &str) -> Result<TaskRow, WorkflowError> {
        let approval = Approval {
            revision,
            digest: digest.into(),
            comment: None,
            accept_findings: false,
            start: true,
        };
        review::approve(&self.store, name(), approval).await
    }

    async fn approve_newest(&self) -> Result<TaskRow, WorkflowError> {
        let task = self.task();
        let revision = task.revision.unwrap_or(0);
        let kept = self
            .store
            .read(|read| read.revision(&task.id, revision))
            .unwrap();
        let digest = kept.map(|kept| kept.digest).unwrap_or_default();
        self.approve(revision, &digest).await
    }

    /// What the scheduler does, without agents and git.
    async fn schedule(&self) -> Result<(), WorkflowError> {
        let task = self.task();
        match task.status {
            SpecTaskStatus::SpecApproved => {
                session::documents_committed(&self.store, &task.id, "1".repeat(40)).await?;
            }
            SpecTaskStatus::QueuedImplementation if task.start_requested => {
                let to = SpecTaskStatus::Implementation;
                session::task_step(&self.store, &task.id, to, None).await?;
            }
            SpecTaskStatus::Implementation => {
                for ready in self
                    .store
                    .read(|read| read.ready_tasks(&task.id, 10))
                    .unwrap()
                {
                    session::assign(&self.store, &task.id, ready).await?;
                }
                if self
                    .store
                    .read(|read| read.all_completed(&task.id))
                    .unwrap()
                {
                    let to = SpecTaskStatus::ImplementationReview;
                    session::task_step(&self.store, &task.id, to, None).await?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    async fn work(&self, number: u32, fate: Fate) -> Result<(), WorkflowError> {
        let Some(row) = self.session(number).filter(|row| !row.status.is_final()) else {
            return Ok(());
        };
        session::activate(&self.store, &row.id).await?;
        let turn = turn::begin(&self.store, &row.id, "implement", "acp".into(), Vec::new()).await?;
        match fate {
            Fate::Merged => {
                let status = spectask_protocol::TurnStatus::Ended;
                turn::end(&self.store, &row.id, turn, status, None, |_| {}).await?;
                session::advance(&self.store, &row.id, SessionStage::Merge, |row| {
                    row.head = Some("2".repeat(40));
                })
                .await?;
                session::merged(&self.store, &row.id, "3".repeat(40), number).await?;
            }
            Fate::Blocked => {
                let waiting = Waiting {
                    kind: WaitKind::EmptyResult,
                    text: "nothing".into(),
                    hint: None,
                };
                session::stop(&self.store, &row.id, waiting).await?;
            }
            Fate::Crashed => {
                assert!(turn::interrupt_all(&self.store).await? > 0);
            }
        }
        Ok(())
    }
}

#[derive(Debug, Clone, Copy)]
enum Fate {
    Merged,
    Blocked,
    Crashed,
}

#[derive(Debug, Clone)]
enum Step {
    Start,
    Pause(bool),
    Plan,
    ApproveNewest,
    ApproveWrong,
    RequestChanges,
    Edit,
    Reject,
    Cancel(&'static str),
    Retry(&'static str),
    Schedule,
    Work(u32, Fate),
    AcceptEmpty(&'static str),
    Spawn,
    Finish(FinishHow),
}

fn step() -> impl Strategy<Value = Step> {
    let target = prop_oneof![Just("1"), Just("1/0"), Just("1/1"), Just("1/2")];
    let fate = prop_oneof![Just(Fate::Merged), Just(Fate::Blocked), Just(Fate::Crashed)];
    prop_oneof![
        2 => Just(Step::Start),
        1 => any::<bool>().prop_map(Step::Pause),
        4 => Just(Step::Plan),
        4 => Just(Step::ApproveNewest),
        1 => Just(Step::ApproveWrong),
        1 => Just(Step::RequestChanges),
        1 => Just(Step::Edit),
        1 => Just(Step::Reject),
        1 => target.clone().prop_map(Step::Cancel),
        2 => target.clone().prop_map(Step::Retry),
        6 => Just(Step::Schedule),
        6 => (1u32..4, fate).prop_map(|(number, fate)| Step::Work(number, fate)),
        1 => target.prop_map(Step::AcceptEmpty),
        1 => Just(Step::Spawn),
        1 => prop_oneof![Just(FinishHow::Keep), Just(FinishHow::Merge), Just(FinishHow::PullRequest)]
            .prop_map(Step::Finish),
    ]
}

async fn take(world: &World, step: Step) -> Result<(), WorkflowError> {
    let store = &world.store;
    match step {
        Step::Start => task::start(store, name()).await.map(drop),
        Step::Pause(paused) => task::set_paused(store, name(), paused).await.map(drop),
        Step::Plan => world.plan(texts()).await,
        Step::ApproveNewest => world.approve_newest().await.map(drop),
        Step::ApproveWrong => world.approve(1, "0").await.map(drop),
        Step::RequestChanges => {
            let seen = world.task().revision.unwrap_or(0);
            let said = Some("more".into());
            review::request_changes(store, name(), seen, said, vec![])
                .await
                .map(drop)
        }
        Step::Edit => {
            let seen = world.task().revision.unwrap_or(0);
            let text = format!("{DESIGN}\nEdited after {seen}.\n");
            let changed = vec![Document {
                kind: DocumentKind::Design,
                text,
            }];
            review::edit(store, name(), seen, changed).await.map(drop)
        }
        Step::Reject => review::reject(store, name(), None).await.map(drop),
        Step::Cancel(what) => task::cancel(store, target(what)).await.map(drop),
        Step::Retry(what) => task::retry(store, target(what)).await.map(drop),
        Step::Schedule => world.schedule().await,
        Step::Work(number, fate) => world.work(number, fate).await,
        Step::AcceptEmpty(what) => session::accept_empty(store, target(what)).await.map(drop),
        Step::Spawn => {
            let (title, text) = ("More".into(), "Do more".into());
            session::spawn(store, target("1"), title, text, None, None)
                .await
                .map(drop)
        }
        Step::Finish(how) => task::finish(store, name(), how, true).await.map(drop),
    }
}

fn check(world: &World) {
    let task = world.task();
    let reviews = world.store.read(|read| read.reviews(&task.id)).unwrap();
    let approved = reviews.iter().any(|review| {
        review.decision == Decision::Approve && Some(review.revision) == task.approved
    });
    let implementing = !matches!(
        task.status,
        SpecTaskStatus::Backlog
            | SpecTaskStatus::QueuedSpecGeneration
            | SpecTaskStatus::SpecGeneration
            | SpecTaskStatus::SpecReview
            | SpecTaskStatus::SpecRevision
            | SpecTaskStatus::SpecFailed
            | SpecTaskStatus::Cancelled
    );
    assert!(
        !implementing || approved,
        "{} without an approval",
        task.status
    );
    let sessions = world.store.read(|read| read.sessions(&task.id)).unwrap();
    for session in &sessions {
        if session.number > 0 {
            assert!(approved, "session {} without an approval", session.number);
            let merged = session.merged.is_some();
            assert_eq!(
                session.status == SessionStatus::Completed,
                merged,
                "{session:?}"
            );
        }
        let waits = matches!(
            session.status,
            SessionStatus::Blocked | SessionStatus::Waiting
        );
        assert_eq!(waits, session.waiting.is_some(), "{session:?}");
        assert!(
            !task.status.is_final() || session.status != SessionStatus::Active,
            "{:?} in {}",
            session.status,
            task.status
        );
    }
    let work = world
        .store
        .read(|read| read.implementation_tasks(&task.id))
        .unwrap();
    let done = |number: &str| {
        work.iter().any(|row| {
            row.number == number
                && row.status == spectask_protocol::ImplementationTaskStatus::Completed
        })
    };
    let second = work.iter().find(|row| row.number == "2");
    if second.is_some_and(|row| row.session.is_some()) {
        assert!(done("1"), "2 began before 1 was done");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    /// Whatever people and agents do, in whatever order: a refused command changes nothing, and
    /// nothing is implemented that no person approved.
    #[test]
    fn no_order_of_commands_gets_around_the_gate(
        later in any::<bool>(),
        steps in proptest::collection::vec(step(), 1..40),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let world = World::new(later).await;
            for step in steps {
                let before = world.store.read(|read| read.last_event()).unwrap();
                let single = !matches!(step, Step::Plan | Step::Schedule | Step::Work(..));
                if take(&world, step.clone()).await.is_err() && single {
                    let after = world.store.read(|read| read.last_event()).unwrap();
                    assert_eq!(before, after, "{step:?} was refused and left events");
                }
                check(&world);
            }
        });
    }
}

#[tokio::test]
async fn agents_spawn_few_and_only_beside_their_own() {
    let world = World::new(false).await;
    world.plan(texts()).await.unwrap();
    world.approve_newest().await.unwrap();
    for _ in 0..3 {
        world.schedule().await.unwrap();
    }
    let spawn = async |by: u32, limit: u32, agent: Option<&str>| {
        let session = match world.session(by) {
            Some(session) => session.id,
            None => crate::workflow::new_id().unwrap(),
        };
        let agent = agent.map(|agent| agent.parse().unwrap());
        let by = Some(Spawner { session, limit });
        let (title, text) = ("More".into(), "Do more".into());
        session::spawn(&world.store, target("1"), title, text, agent, by).await
    };
    let refused = |answer: Result<_, WorkflowError>, word: &str| match answer {
        Err(WorkflowError::Forbidden(text)) => assert!(text.contains(word), "{text}"),
        other => panic!("{other:?}"),
    };
    refused(spawn(1, 0, None).await, "agent_spawn_limit");
    refused(spawn(1, 2, Some("other")).await, "another agent");
    refused(spawn(99, 2, None).await, "another SpecTask");
    let first = spawn(1, 2, Some("example")).await.unwrap();
    assert_eq!(first.parent, world.session(1).map(|session| session.id));
    refused(spawn(first.number, 2, None).await, "spawns none");
    let second = spawn(1, 2, None).await.unwrap();
    refused(spawn(1, 2, None).await, "agent_spawn_limit");
    // One that has ended counts no more; a person is not held.
    let name = SessionRef::from(second.id);
    task::cancel(&world.store, name).await.unwrap();
    spawn(1, 2, None).await.unwrap();
    let (title, text) = ("More".into(), "Do more".into());
    session::spawn(&world.store, target("1"), title, text, None, None)
        .await
        .unwrap();
}

#[tokio::test]
async fn approval_names_what_the_person_saw() {
    let world = World::new(false).await;
    world.plan(texts()).await.unwrap();
    let digest = texts().digest();
    assert!(matches!(
        world.approve(2, &digest).await,
        Err(WorkflowError::Outdated { newest: 1, .. })
    ));
    assert!(matches!(
        world.approve(1, "x").await,
        Err(WorkflowError::DigestMismatch { .. })
    ));
    assert_eq!(
        world.approve(1, &digest).await.unwrap().status,
        SpecTaskStatus::SpecApproved
    );
}

#[tokio::test]
async fn a_secret_is_never_accepted() {
    let world = World::new(false).await;
    let mut leaky = texts();
    leaky.design.push_str("\nkey: AKIAQ3EGRZ7TBOWXK2VL\n");
    world.plan(leaky.clone()).await.unwrap();
    let approval = Approval {
        revision: 1,
        digest: leaky.digest(),
        comment: None,
        accept_findings: true,
        start: true,
    };
    let refused = review::approve(&world.store, name(), approval).await;
    assert!(
        matches!(
            refused,
            Err(WorkflowError::Findings {
                acceptable: false,
                ..
            })
        ),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_restart_asks_the_same_again() {
    let world = World::new(false).await;
    world.plan(texts()).await.unwrap();
    world.approve_newest().await.unwrap();
    for _ in 0..3 {
        world.schedule().await.unwrap();
    }
    world.work(1, Fate::Crashed).await.unwrap();
    let row = world.session(1).unwrap();
    let next = NextPrompt::of(&row).unwrap();
    assert!(
        matches!(next, NextPrompt::Continue { before: None, .. }),
        "{next:?}"
    );
    let turns = world.store.read(|read| read.turns(&row.id)).unwrap();
    assert_eq!(turns[0].status, spectask_protocol::TurnStatus::Interrupted);
    assert_eq!(row.status, SessionStatus::Active);
}
