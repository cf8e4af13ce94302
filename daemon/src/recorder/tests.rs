use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::{Value, json};
use spectask_protocol::{
    Decision, EventKind, ImplementationTaskStatus, MessageKind, SessionMethod, SessionPhase,
    SessionStatus, SpecTaskId, SpecTaskStatus, TurnStatus, WorkMode, WorkSessionId,
};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::{
    RecordError, Recorder, Status, export,
    format::{
        Document, Recorded, SessionRecord, TaskRecord, Trailers, TurnRecord, turn_record_path,
    },
};
use crate::{
    redact::Redactor,
    repo::{Ledger, Repository},
    store::{Frame, NewImplementationTask, NewMessage, NewSession, NewTask, Store, StoreError},
};

fn id<T: TryFrom<String>>() -> T
where
    T::Error: std::fmt::Debug,
{
    T::try_from(uuid::Uuid::now_v7().to_string()).unwrap()
}

fn git(dir: &Path, args: &[&str]) -> String {
    let null = if cfg!(windows) { "NUL" } else { "/dev/null" };
    let output = Command::new("git")
        .args(["-c", "user.name=U", "-c", "user.email=u@example.com"])
        .args(args)
        .current_dir(dir)
        .env("GIT_CONFIG_GLOBAL", null)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "git {args:?}: {error}{text}");
    text
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}

/// A repository that can be put back to what it was, and a store of which copies can be opened.
struct World {
    folder: TempDir,
    runtime: Runtime,
    store: Store,
    task: SpecTaskId,
    /// Frames are this much later than they are written, in milliseconds.
    later: i64,
    next: BTreeMap<WorkSessionId, u64>,
    sessions: u32,
}

impl World {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let root = folder.path().join("repo");
        fs::create_dir(&root).unwrap();
        git(&root, &["init", "-q", "-b", "main"]);
        fs::write(root.join("a.txt"), "one\n").unwrap();
        git(&root, &["add", "."]);
        git(&root, &["commit", "-qm", "first"]);
        fs::write(root.join("a.txt"), "one\ntwo\n").unwrap();
        git(&root, &["commit", "-qam", "second"]);
        copy(&root, &folder.path().join("template"));
        let runtime = Runtime::new().unwrap();
        let store = Store::open(&folder.path().join("spectask.db")).unwrap();
        let repository = Repository::discover(&root).unwrap();
        let (common, root) = (
            repository.common_dir().display().to_string(),
            repository.root().display().to_string(),
        );
        let task: SpecTaskId = id();
        let new = NewTask {
            id: task.clone(),
            slug: "auth".into(),
            project: id(),
            title: "User `auth`\n# x".into(),
            prompt: "Let people log in".into(),
            status: SpecTaskStatus::Backlog,
            mode: WorkMode::Parallel,
            planning_agent: "example".parse().unwrap(),
            agent: "example".parse().unwrap(),
            session_limit: 3,
            base: "main".into(),
            target: None,
            verify: None,
        };
        runtime
            .block_on(store.write(move |write| {
                let project = write.ensure_project(&new.project, &common, &root)?;
                let row = write.insert_task(&NewTask {
                    project: project.id,
                    ..new
                })?;
                let plan = |number: &str, depends: &[&str]| NewImplementationTask {
                    number: number.into(),
                    title: format!("Task {number}"),
                    body: String::new(),
                    optional: false,
                    wave: 0,
                    completed: false,
                    requirements: vec![format!("{number}.1")],
                    resources: Vec::new(),
                    depends: depends.iter().map(|d| (*d).to_owned()).collect(),
                };
                write.insert_implementation_tasks(&row.id, &[plan("1", &[]), plan("2", &["1"])])?;
                let created = EventKind::TaskCreated { name: row.name() };
                write.emit(Some(&row.id), None, &created)
            }))
            .unwrap();
        Self {
            folder,
            runtime,
            store,
            task,
            later: 0,
            next: BTreeMap::new(),
            sessions: 0,
        }
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("repo")
    }

    fn write<T: Send + 'static>(
        &self,
        change: impl FnOnce(&crate::store::Write<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> T {
        self.runtime.block_on(self.store.write(change)).unwrap()
    }

    fn emit(&self, session: Option<&WorkSessionId>, kind: EventKind) {
        let (task, session) = (self.task.clone(), session.cloned());
        self.write(move |write| write.emit(Some(&task), session.as_ref(), &kind));
    }

    fn session(&mut self, slug: &'static str, method: SessionMethod) -> WorkSessionId {
        let new: WorkSessionId = id();
        let number = self.sessions;
        self.sessions += 1;
        let (task, session) = (self.task.clone(), new.clone());
        self.write(move |write| {
            let work = write.implementation_tasks(&task)?;
            let row = write.insert_session(&NewSession {
                id: session.clone(),
                task: Some(task.clone()),
                slug: slug.into(),
                title: slug.into(),
                description: String::new(),
                phase: if number == 0 {
                    SessionPhase::Planning
                } else {
                    SessionPhase::Implementation
                },
                method,
                parent: None,
                implementation_task: work.first().filter(|_| number > 0).map(|work| work.id),
                agent: "example".parse().unwrap(),
                cwd: None,
                project: None,
            })?;
            let name = format!("1-auth/{:02}-{}", row.number, row.slug);
            write.emit(
                Some(&task),
                Some(&session),
                &EventKind::SessionCreated { name },
            )
        });
        new
    }

    fn frame(&mut self, session: &WorkSessionId, direction: &str, frame: Value) {
        let next = self.next.entry(session.clone()).or_default();
        let index = *next;
        *next += 1;
        let (session, later, direction) = (session.clone(), self.later, direction.to_owned());
        self.write(move |write| {
            let at = write.now() + later;
            let frames = vec![Frame {
                at,
                direction,
                frame,
            }];
            write.append_transcript(&session, index, frames)
        });
    }

    fn update(&mut self, session: &WorkSessionId, update: &Value) {
        let frame = json!({"jsonrpc":"2.0","method":"session/update","params":{"sessionId":"s","update":update}});
        self.frame(session, "from_agent", frame);
    }

    fn says(&mut self, session: &WorkSessionId, text: &str) {
        self.update(
            session,
            &json!({"sessionUpdate":"agent_message_chunk","content":{"type":"text","text":text}}),
        );
    }

    fn begin(&mut self, session: &WorkSessionId, prompt: &str) -> u32 {
        let (task, own) = (self.task.clone(), session.clone());
        let turn = self.write(move |write| {
            let turn = write.insert_turn(&own, "implement", None)?;
            write.emit(Some(&task), Some(&own), &EventKind::TurnStarted { turn })?;
            Ok(turn)
        });
        self.frame(
            session,
            "to_agent",
            json!({"jsonrpc":"2.0","id":1,"method":"session/prompt","params":{"sessionId":"s","prompt":[{"type":"text","text":prompt}]}}),
        );
        turn
    }

    fn end(&self, session: &WorkSessionId, turn: u32) {
        self.emit(
            Some(session),
            EventKind::TurnEnded {
                turn,
                status: TurnStatus::Ended,
                reason: Some("end_turn".into()),
            },
        );
    }

    fn edits(&mut self, session: &WorkSessionId) {
        self.update(
            session,
            &json!({"sessionUpdate":"tool_call","toolCallId":"t1","title":"Edit `a.txt`","kind":"edit","status":"pending","locations":[{"path":"/r/a.txt"}]}),
        );
        self.update(
            session,
            &json!({"sessionUpdate":"tool_call_update","toolCallId":"t1","status":"completed","content":[{"type":"diff","path":"a.txt","oldText":"one\n","newText":"one\ntwo\n"}]}),
        );
    }

    /// A log with everything in it; `step` is called between its parts.
    fn live(&mut self, step: &mut dyn FnMut(&Self)) {
        let planning = self.session("planning", SessionMethod::Planned);
        self.emit(
            None,
            EventKind::TaskStatus {
                from: SpecTaskStatus::Backlog,
                to: SpecTaskStatus::SpecGeneration,
                reason: None,
            },
        );
        step(self);
        let turn = self.begin(&planning, "Plan it");
        self.says(&planning, "Three documents.");
        self.end(&planning, turn);
        step(self);
        let task = self.task.clone();
        self.write(move |write| {
            write.insert_review(&task, 1, Decision::Approve, Some("Good"), &[])?;
            let decided = EventKind::ReviewDecided {
                revision: 1,
                decision: Decision::Approve,
            };
            write.emit(Some(&task), None, &decided)
        });
        step(self);
        let work = self.session("backend", SessionMethod::Planned);
        let head = git(&self.root(), &["rev-parse", "HEAD"]);
        for round in 0..3 {
            let turn = self.begin(&work, "## Turn 9\n```\nEvent: 99\n```");
            self.says(&work, "I change a.txt ");
            step(self);
            self.says(&work, "because two is more than one.");
            self.edits(&work);
            self.update(&work, &json!({"sessionUpdate":"plan","entries":[{"content":"write it","status":"pending"},{"content":"test it","status":"pending"}]}));
            let permission: spectask_protocol::PermissionId = id();
            self.emit(
                Some(&work),
                EventKind::PermissionAsked {
                    permission: permission.clone(),
                    title: "Run `rm`".into(),
                },
            );
            self.emit(
                Some(&work),
                EventKind::PermissionAnswered {
                    permission,
                    answer: "allow_once".into(),
                },
            );
            step(self);
            // Half an hour passes.
            self.later += 30 * 60 * 1000;
            self.says(&work, "Still at it.");
            step(self);
            self.emit(
                Some(&work),
                EventKind::DecisionRecorded {
                    text: "Tokens last an hour".into(),
                    source: "mcp".into(),
                },
            );
            self.says(&work, "Done.");
            self.end(&work, turn);
            step(self);
            if round == 1 {
                self.emit(
                    Some(&work),
                    EventKind::SessionCommitted {
                        commit: head.clone(),
                    },
                );
            }
            step(self);
        }
        let message = NewMessage {
            id: id(),
            session: work.clone(),
            sender: Some(planning.clone()),
            kind: MessageKind::Notification,
            text: "The interface is ready\n# Merge".into(),
            answers: None,
        };
        let (task, to) = (self.task.clone(), work.clone());
        self.write(move |write| {
            let row = write.insert_message(&message)?;
            let sent = EventKind::MessageSent {
                message: row.id,
                message_kind: row.kind,
            };
            write.emit(Some(&task), Some(&to), &sent)
        });
        step(self);
        for kind in [
            EventKind::SessionStatus {
                from: SessionStatus::Active,
                to: SessionStatus::Completed,
                waiting: None,
                reason: None,
            },
            EventKind::SessionMerged { commit: head },
            EventKind::ImplementationTaskStatus {
                number: "1".into(),
                to: ImplementationTaskStatus::Completed,
            },
        ] {
            self.emit(Some(&work), kind);
        }
        step(self);
        self.emit(
            None,
            EventKind::TaskStatus {
                from: SpecTaskStatus::Implementation,
                to: SpecTaskStatus::Done,
                reason: Some("finished".into()),
            },
        );
        step(self);
    }

    fn recorder(&self, store: &Store) -> Recorder {
        Recorder::new(store.clone(), Redactor::new([]), Status::default()).unwrap()
    }

    fn pass(&self, recorder: &mut Recorder) -> Result<(), RecordError> {
        recorder.pass(self.runtime.handle(), i64::MAX)
    }

    /// A store with the same content, in a file of its own, and the repository as it was.
    fn anew(&self, name: &str) -> Store {
        fs::remove_dir_all(self.root()).unwrap();
        copy(&self.folder.path().join("template"), &self.root());
        let path = self.folder.path().join(name);
        fs::copy(self.folder.path().join("spectask.db"), &path).unwrap();
        rusqlite::Connection::open(&path)
            .and_then(|db| db.execute_batch("DELETE FROM cursor; DELETE FROM turn_commit;"))
            .unwrap();
        Store::open(&path).unwrap()
    }

    fn refs(&self) -> BTreeMap<String, String> {
        git(
            &self.root(),
            &[
                "for-each-ref",
                "--format=%(refname) %(objectname)",
                "refs/spectask",
            ],
        )
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(name, id)| (name.to_owned(), id.to_owned()))
        .collect()
    }

    fn show(&self, name: &str, path: &str) -> String {
        git(&self.root(), &["show", &format!("{name}:{path}")])
    }
}

const WORK: &str = "refs/spectask/sessions/1-auth/01-backend";

#[test]
fn what_was_recorded_as_it_happened_and_later_is_the_same_killed_anywhere() {
    let mut world = World::new();
    let store = world.store.clone();
    let mut recorder = world.recorder(&store);
    world.live(&mut |world| world.pass(&mut recorder).unwrap());
    let live = world.refs();
    git(&world.root(), &["fsck", "--strict", "--full"]);
    assert_eq!(git(&world.root(), &["status", "--porcelain"]), "");
    assert_eq!(live.len(), 3, "{live:?}");
    let head = git(&world.root(), &["rev-parse", "HEAD"]);
    let linked = store.read(|read| read.turn_commit(&head)).unwrap().unwrap();
    assert_eq!(linked.turn, 2);
    let patch = git(&world.root(), &["show", &head]);
    assert!(patch.contains("+two") && linked.patch_id.is_some());
    world.runtime.block_on(store.close());

    // Late, in one go.
    let late = world.anew("late.db");
    let mut recorder = world.recorder(&late);
    world.pass(&mut recorder).unwrap();
    assert_eq!(world.refs(), live);
    let steps = recorder.faults.steps;
    assert!(steps > 12, "{steps}");
    // Nothing is new: nothing is written.
    world.pass(&mut recorder).unwrap();
    let mut fresh = world.recorder(&late);
    world.pass(&mut fresh).unwrap();
    assert_eq!(world.refs(), live);

    // Ended at every step, and started again.
    for step in 0..steps {
        let store = world.anew(&format!("{step}.db"));
        let mut recorder = world.recorder(&store);
        recorder.faults.left = Some(step);
        let ended = world.pass(&mut recorder);
        assert!(
            matches!(ended, Err(RecordError::Killed(_))),
            "{step}: {ended:?}"
        );
        drop(recorder);
        let mut recorder = world.recorder(&store);
        // And once more on the way.
        recorder.faults.left = Some(step / 2 + 1);
        drop(world.pass(&mut recorder));
        let mut recorder = world.recorder(&store);
        world.pass(&mut recorder).unwrap();
        assert_eq!(world.refs(), live, "ended at step {step}");
        let linked = store.read(|read| read.turn_commit(&head)).unwrap();
        assert!(linked.is_some_and(|linked| linked.turn == 2));
    }
}

#[test]
fn what_is_recorded_as_it_happens_is_killed_between_any_two_steps() {
    let mut kills = 0_u32;
    let mut world = World::new();
    let store = world.store.clone();
    let mut recorder = world.recorder(&store);
    world.live(&mut |world| {
        // Every pass is ended at another step, then at the next ones, until it comes through.
        for left in 0.. {
            recorder.faults.left = Some(left);
            match world.pass(&mut recorder) {
                Ok(()) => break,
                Err(RecordError::Killed(_)) => {
                    kills += 1;
                    recorder = world.recorder(&store);
                }
                Err(error) => panic!("{error}"),
            }
        }
    });
    assert!(kills >= 50, "{kills}");
    let live = world.refs();
    world.runtime.block_on(store.close());
    let late = world.anew("late.db");
    let mut recorder = world.recorder(&late);
    world.pass(&mut recorder).unwrap();
    assert_eq!(world.refs(), live);
}

#[test]
fn what_lies_on_a_ref_reads_well() {
    let mut world = World::new();
    world.live(&mut |_| {});
    let store = world.store.clone();
    let mut recorder = world.recorder(&store);
    world.pass(&mut recorder).unwrap();
    let ledger = Ledger::open(&Repository::discover(world.root()).unwrap()).unwrap();
    let exported = export(&ledger, "refs/spectask/", "1-auth", true).unwrap();
    let names: Vec<&str> = exported
        .files
        .iter()
        .map(|(path, _)| path.as_str())
        .collect();
    insta::assert_snapshot!(names.join("\n"), @r#"
    sessions/1-auth/00-planning/activity-log.md
    sessions/1-auth/00-planning/code-changes.md
    sessions/1-auth/00-planning/conversation.md
    sessions/1-auth/00-planning/decisions.md
    sessions/1-auth/00-planning/session.json
    sessions/1-auth/00-planning/turns/00/0001.json
    sessions/1-auth/00-planning/turns/00/0001.jsonl
    sessions/1-auth/01-backend/activity-log.md
    sessions/1-auth/01-backend/code-changes.md
    sessions/1-auth/01-backend/conversation.md
    sessions/1-auth/01-backend/decisions.md
    sessions/1-auth/01-backend/session.json
    sessions/1-auth/01-backend/turns/00/0001-0002.jsonl
    sessions/1-auth/01-backend/turns/00/0001-0003.jsonl
    sessions/1-auth/01-backend/turns/00/0001.json
    sessions/1-auth/01-backend/turns/00/0001.jsonl
    sessions/1-auth/01-backend/turns/00/0002-0002.jsonl
    sessions/1-auth/01-backend/turns/00/0002-0003.jsonl
    sessions/1-auth/01-backend/turns/00/0002.json
    sessions/1-auth/01-backend/turns/00/0002.jsonl
    sessions/1-auth/01-backend/turns/00/0003-0002.jsonl
    sessions/1-auth/01-backend/turns/00/0003-0003.jsonl
    sessions/1-auth/01-backend/turns/00/0003.json
    sessions/1-auth/01-backend/turns/00/0003.jsonl
    sessions/1-auth/IMPLEMENTATION_COMPLETE.md
    sessions/1-auth/coordination-log.md
    sessions/1-auth/progress-updates/0001-spec-generation.md
    sessions/1-auth/progress-updates/0002-task-1.md
    sessions/1-auth/progress-updates/0003-done.md
    sessions/1-auth/task.json
    "#);
    let text = world.show(WORK, "conversation.md");
    let times = |text: &str| {
        let mut out = String::new();
        for word in text.split_inclusive([' ', '\n']) {
            let bare = word.trim_end().trim_end_matches('.');
            if bare.len() == 20 && bare.ends_with('Z') && bare.contains('T') {
                out.push_str(&word.replace(bare, "TIME"));
            } else if bare.len() == 42 && bare.starts_with('`') {
                out.push_str(&word.replace(bare, "COMMIT"));
            } else {
                out.push_str(word);
            }
        }
        out
    };
    let first = text
        .find("\n## Turn 2")
        .unwrap_or_else(|| text.find("\n## Turn `2").unwrap_or(text.len()));
    insta::assert_snapshot!(times(&text[..first.min(text.len())]), @r#"
    # Conversation

    ## Turn 1 · `implement` · TIME

    ### SpecTask · TIME

    ````text
    ## Turn 9
    ```
    Event: 99
    ```
    ````

    ### Agent · TIME

    ```text
    I change a.txt because two is more than one.
    ```

    - TIME edit `` Edit `a.txt` ``

    ### Agent · TIME

    ```text
    Still at it.
    ```

    ### Agent · TIME

    ```text
    Done.
    ```

    - TIME turn 1 ended: `end_turn`
    "#);
    insta::assert_snapshot!(times(&world.show(WORK, "decisions.md")).chars().take(900).collect::<String>(), @r#"
    # Decisions

    ## Plan · TIME

    ### Decision

    ```text
    1. write it
    2. test it
    ```

    ### Context

    The first plan of the turn.

    ### Rationale

    ```text
    I change a.txt because two is more than one.
    ```

    ### From

    The agent's plan.

    ## Permission · TIME

    ### Decision

    ```text
    allow_once
    ```

    ### Context

    ```text
    Run `rm`
    ```

    In turn 1 (`implement`).

    ### Rationale

    What the agent said last:

    ```text
    I change a.txt because two is more than one.
    ```

    ### From

    A permission that the agent asked for.

    ## Decision · TIME

    ### Decision

    ```text
    Tokens last an hour
    ```

    ### Context

    In turn 1 (`implement`).

    ### Rationale

    What the agent said last:

    ```text
    Still at it.
    ```

    ### From

    The agent, by its tool.

    ## Plan · TIME

    ### Decision

    ```text
    1. write it
    2. test it
    ```

    ### Context

    The first plan of the turn.

    ### Rationale

    ```text
    I change a.txt because two is more than one.
    ```

    ### From

    The ag
    "#);
    insta::assert_snapshot!(times(&world.show(WORK, "code-changes.md")).chars().take(400).collect::<String>(), @r#"
    # Code changes

    ## `a.txt` · TIME

    +1 -0

    ### Reasoning

    ```text
    I change a.txt because two is more than one.
    ```

    ### Changes

    ```diff
    @@ -1 +1,2 @@
     one
    +two
    ```

    ## `a.txt` · TIME

    +1 -0

    ### Reasoning

    ```text
    I change a.txt because two is more than one.
    ```

    ### Changes

    ```diff
    @@ -1 +1,2 @@
     one
    +two
    ```

    ## Commit COMMIT · TIME

    Of turn 2.

    - `a.txt` +1 -0

    ## `a.txt` · TIME

    +1 -0

    ### Re
    "#);
    insta::assert_snapshot!(times(&world.show("refs/spectask/tasks/1-auth", "coordination-log.md")), @r#"
    # Coordination log

    ## Session · TIME

    `1-auth/00-planning`: `planning`

    ## Status · TIME

    From backlog to spec_generation.

    ## Review · TIME

    Revision 1: approve.

    ## Session · TIME

    `1-auth/01-backend`: `backend`

    ## Decision · TIME

    Of `1-auth/01-backend`.

    ```text
    Tokens last an hour
    ```

    ## Decision · TIME

    Of `1-auth/01-backend`.

    ```text
    Tokens last an hour
    ```

    ## Decision · TIME

    Of `1-auth/01-backend`.

    ```text
    Tokens last an hour
    ```

    ## Message · TIME

    From `1-auth/00-planning` to `1-auth/01-backend`: notification.

    ```text
    The interface is ready
    # Merge
    ```

    ## Session · TIME

    `1-auth/01-backend` is completed.

    ## Merge · TIME

    `1-auth/01-backend` as COMMIT.

    ## Status · TIME

    From implementation to done.

    ```text
    finished
    ```
    "#);
    let record = SessionRecord::parse(world.show(WORK, "session.json").as_bytes()).unwrap();
    assert_eq!(
        (record.turns, record.requirements),
        (3, vec!["1.1".to_owned()])
    );
    let turn = TurnRecord::parse(world.show(WORK, &turn_record_path(2)).as_bytes()).unwrap();
    assert_eq!(turn.commits.len(), 1);
    assert_eq!(
        (turn.files[0].path.as_str(), turn.files[0].added),
        ("a.txt", 1)
    );
    let frames = world.show(WORK, "turns/00/0002.jsonl");
    assert!(frames.lines().count() >= 3);
    let task = world.show("refs/spectask/tasks/1-auth", "task.json");
    let task = TaskRecord::parse(task.as_bytes()).unwrap();
    assert_eq!(task.completed, ["1"]);
    let done = world.show("refs/spectask/tasks/1-auth", "IMPLEMENTATION_COMPLETE.md");
    assert!(done.starts_with("# Implementation complete\n"), "{done}");
    let message = git(&world.root(), &["log", "-1", "--format=%B%n%an %ae", WORK]);
    assert!(
        Trailers::parse(message.rsplit_once('\n').unwrap().0)
            .unwrap()
            .cursor
            .event
            > 0
    );
    assert!(
        message.ends_with("SpecTask spectask@localhost"),
        "{message}"
    );
    // A commit per turn, decision, ten minutes and commit of code.
    let subjects = git(
        &world.root(),
        &["log", "--topo-order", "--reverse", "--format=%s", WORK],
    );
    insta::assert_snapshot!(subjects.lines().take(6).collect::<Vec<_>>().join("\n"), @r#"
    Permission answered
    Decision
    Turn 1 ended
    Turn 2 goes on
    Permission answered
    Decision
    "#);
}

#[test]
fn a_name_that_another_installation_has_gets_a_part_of_the_id() {
    let mut world = World::new();
    world.live(&mut |_| {});
    let store = world.store.clone();
    let foreign = git(&world.root(), &["rev-parse", "HEAD"]);
    git(&world.root(), &["update-ref", WORK, &foreign]);
    let mut recorder = world.recorder(&store);
    world.pass(&mut recorder).unwrap();
    let refs = world.refs();
    assert_eq!(refs[WORK], foreign);
    let own: Vec<_> = refs
        .keys()
        .filter(|name| name.starts_with(&format!("{WORK}-")))
        .collect();
    assert_eq!(own.len(), 1, "{refs:?}");
    assert!(Recorded::parse(own[0]).is_some());
}

#[test]
fn a_repository_that_is_away_is_caught_up_with() {
    let mut world = World::new();
    world.live(&mut |_| {});
    let store = world.store.clone();
    let away = world.folder.path().join("away");
    fs::rename(world.root(), &away).unwrap();
    let status = Status::default();
    let mut recorder = Recorder::new(store.clone(), Redactor::new([]), status.clone()).unwrap();
    world.pass(&mut recorder).unwrap();
    assert!(recorder.is_behind());
    assert_eq!(status.waiting().len(), 1);
    // A restart does not forget.
    let mut recorder = Recorder::new(store, Redactor::new([]), status.clone()).unwrap();
    world.pass(&mut recorder).unwrap();
    assert!(recorder.is_behind());
    fs::rename(&away, world.root()).unwrap();
    world.pass(&mut recorder).unwrap();
    assert!(!recorder.is_behind() && status.waiting().is_empty());
    assert_eq!(world.refs().len(), 3);
}

#[test]
fn a_damaged_ref_is_written_anew() {
    let mut world = World::new();
    let store = world.store.clone();
    let work = world.session("backend", SessionMethod::Planned);
    let name = "refs/spectask/sessions/1-auth/00-backend";
    let mut recorder = world.recorder(&store);
    for _ in 0..3 {
        let turn = world.begin(&work, "go on");
        world.end(&work, turn);
        world.pass(&mut recorder).unwrap();
    }
    // As a loss of power leaves them: the newest commit and its tree are empty files.
    let ids = [name.to_owned(), format!("{name}^{{tree}}")]
        .map(|rev| git(&world.root(), &["rev-parse", &rev]));
    for id in ids {
        let loose = world
            .root()
            .join(".git/objects")
            .join(&id[..2])
            .join(&id[2..]);
        fs::remove_file(&loose).unwrap();
        fs::write(&loose, "").unwrap();
    }
    let turn = world.begin(&work, "go on");
    world.end(&work, turn);
    let mut recorder = world.recorder(&store);
    world.pass(&mut recorder).unwrap();
    git(&world.root(), &["fsck", "--strict", "--full"]);
    let subjects = git(&world.root(), &["log", "--format=%s", name]);
    assert_eq!(subjects.lines().count(), 4, "{subjects}");
    let repaired = world.refs();
    world.runtime.block_on(store.close());
    let late = world.anew("late.db");
    let mut recorder = world.recorder(&late);
    world.pass(&mut recorder).unwrap();
    assert_eq!(world.refs(), repaired);
}

#[test]
fn a_fault_of_one_session_takes_nothing_of_another_along() {
    let mut world = World::new();
    let store = world.store.clone();
    let long = world.session("backend", SessionMethod::Planned);
    let status = Status::default();
    let mut recorder = Recorder::new(store, Redactor::new([]), status.clone()).unwrap();
    let runtime = world.runtime.handle().clone();
    let turn = world.begin(&long, "go on");
    recorder.pass(&runtime, 0).unwrap();
    for part in 0..5 {
        let text: String = (0..16_000).map(|word| format!("{part}-{word} ")).collect();
        world.says(&long, &text);
    }
    // The frames are older than the event.
    std::thread::sleep(std::time::Duration::from_millis(20));
    let title = EventKind::PermissionAsked {
        permission: id(),
        title: "Go on".into(),
    };
    world.emit(Some(&long), title);
    recorder.pass(&runtime, 0).unwrap();
    // The ref of the other session cannot be read.
    let damaged = world
        .root()
        .join(".git/refs/spectask/sessions/1-auth/01-docs");
    fs::create_dir_all(damaged.parent().unwrap()).unwrap();
    fs::write(&damaged, "no commit").unwrap();
    let other = world.session("docs", SessionMethod::Planned);
    let second = world.begin(&other, "write");
    world.end(&other, second);
    recorder.pass(&runtime, 0).unwrap();
    assert!(recorder.is_behind() && !status.waiting().is_empty());
    fs::remove_file(damaged).unwrap();
    world.end(&long, turn);
    recorder.pass(&runtime, 0).unwrap();
    assert!(!recorder.is_behind());
    git(&world.root(), &["fsck", "--strict", "--full"]);
    let frames = git(
        &world.root(),
        &[
            "ls-tree",
            "-r",
            "--name-only",
            "refs/spectask/sessions/1-auth/00-backend",
        ],
    );
    assert!(frames.matches("turns/00/0001").count() > 2, "{frames}");
}

#[test]
fn a_name_that_a_session_gets_back_keeps_its_history() {
    let mut world = World::new();
    let store = world.store.clone();
    let work = world.session("backend", SessionMethod::Planned);
    let turn = world.begin(&work, "go on");
    world.end(&work, turn);
    let first = "1-auth/00-backend";
    for name in ["threads/03-backend", first] {
        let name = name.to_owned();
        world.emit(Some(&work), EventKind::SessionAttached { name });
    }
    let mut recorder = world.recorder(&store);
    world.pass(&mut recorder).unwrap();
    let before = world.refs();
    assert!(before.contains_key(&format!("refs/spectask/sessions/{first}")));
    world.emit(
        Some(&work),
        EventKind::SessionStage {
            stage: spectask_protocol::SessionStage::Verify,
        },
    );
    let mut recorder = world.recorder(&store);
    world.pass(&mut recorder).unwrap();
    assert!(!recorder.is_behind());
    assert_eq!(world.refs(), before);
}

#[test]
fn what_is_said_after_the_last_turn_is_recorded_when_the_session_ends() {
    let mut world = World::new();
    let store = world.store.clone();
    let work = world.session("backend", SessionMethod::Planned);
    let turn = world.begin(&work, "go on");
    world.end(&work, turn);
    world.later = 5;
    world.says(&work, "One word more");
    world.later = 10;
    world.frame(&work, "daemon", json!({ "note": "the agent went" }));
    std::thread::sleep(std::time::Duration::from_millis(20));
    let kind = EventKind::SessionStatus {
        from: SessionStatus::Active,
        to: SessionStatus::Completed,
        waiting: None,
        reason: None,
    };
    world.emit(Some(&work), kind);
    let mut recorder = world.recorder(&store);
    world.pass(&mut recorder).unwrap();
    let name = "refs/spectask/sessions/1-auth/00-backend";
    let show = |path: &str| git(&world.root(), &["show", &format!("{name}:{path}")]);
    assert!(show("conversation.md").contains("One word more"));
    let list = git(&world.root(), &["ls-tree", "-r", "--name-only", name]);
    let frames = list
        .lines()
        .filter(|path| path.contains("0001") && path.ends_with(".jsonl"));
    let all: String = frames.map(show).collect();
    assert!(
        all.contains("One word more") && all.contains("the agent went"),
        "{list}"
    );
}

#[test]
fn a_damaged_ref_whose_transcript_is_gone_is_left_as_it_is() {
    let mut world = World::new();
    let store = world.store.clone();
    let work = world.session("backend", SessionMethod::Planned);
    let name = "1-auth/00-backend";
    let full = format!("refs/spectask/sessions/{name}");
    let repository = Repository::discover(world.root()).unwrap();
    let holds = |turns| super::holds(&repository, name, &work, turns).unwrap();
    assert!(!holds(0));
    let mut recorder = world.recorder(&store);
    let turn = world.begin(&work, "go on");
    world.pass(&mut recorder).unwrap();
    assert!(!holds(1), "it goes on");
    world.end(&work, turn);
    assert!(!holds(1), "the recorder is behind");
    world.pass(&mut recorder).unwrap();
    assert!(holds(1) && holds(0) && !holds(2));
    assert!(!super::holds(&repository, name, &id(), 1).unwrap());
    let forgotten = work.clone();
    world.write(move |write| write.forget_transcript(&forgotten));
    let tree = git(&world.root(), &["rev-parse", &format!("{full}^{{tree}}")]);
    let loose = world.root().join(".git/objects").join(&tree[..2]);
    fs::remove_file(loose.join(&tree[2..])).unwrap();
    let tip = world.refs()[&full].clone();
    world.write({
        let text = "keep it".to_owned();
        let source = "cli".to_owned();
        let (task, work) = (world.task.clone(), work.clone());
        move |write| {
            let kind = EventKind::DecisionRecorded { text, source };
            write.emit(Some(&task), Some(&work), &kind)
        }
    });
    let status = Status::default();
    let mut recorder = Recorder::new(store, Redactor::new([]), status.clone()).unwrap();
    world.pass(&mut recorder).unwrap();
    let waiting = format!("{:?}", status.waiting());
    assert!(waiting.contains("kept nowhere else"), "{waiting}");
    assert_eq!(world.refs()[&full], tip);
}

#[test]
fn a_thread_that_is_attached_takes_its_history_along_killed_anywhere() {
    let mut tips = std::collections::BTreeSet::new();
    let mut world = World::new();
    let store = world.store.clone();
    let thread: WorkSessionId = id();
    let (task, new) = (world.task.clone(), thread.clone());
    world.write(move |write| {
        let project = write.task(&task)?.map(|task| task.project);
        write.insert_session(&NewSession {
            id: new.clone(),
            task: None,
            slug: "try".into(),
            title: "Try".into(),
            description: String::new(),
            phase: SessionPhase::Implementation,
            method: SessionMethod::AdHoc,
            parent: None,
            implementation_task: None,
            agent: "example".parse().unwrap(),
            cwd: Some("/r".into()),
            project,
        })?;
        let name = "threads/01-try".to_owned();
        write.emit(None, Some(&new), &EventKind::SessionCreated { name })
    });
    let turn = world.begin(&thread, "try it");
    world.end(&thread, turn);
    let mut recorder = world.recorder(&store);
    world.pass(&mut recorder).unwrap();
    drop(recorder);
    assert!(
        world
            .refs()
            .contains_key("refs/spectask/sessions/threads/01-try")
    );
    copy(&world.root(), &world.folder.path().join("before"));
    let (task, moved) = (world.task.clone(), thread.clone());
    world.write(move |write| {
        write.move_session(&moved, Some(&task))?;
        let name = "1-auth/01-try".to_owned();
        write.emit(
            Some(&task),
            Some(&moved),
            &EventKind::SessionAttached { name },
        )
    });
    world.runtime.block_on(store.close());
    for step in 0.. {
        fs::remove_dir_all(world.root()).unwrap();
        copy(&world.folder.path().join("before"), &world.root());
        let path = world.folder.path().join(format!("{step}.db"));
        fs::copy(world.folder.path().join("spectask.db"), &path).unwrap();
        let store = Store::open(&path).unwrap();
        let mut recorder = world.recorder(&store);
        recorder.faults.left = Some(step);
        let came_through = world.pass(&mut recorder).is_ok();
        let mut recorder = world.recorder(&store);
        world.pass(&mut recorder).unwrap();
        let refs = world.refs();
        let names: Vec<_> = refs
            .keys()
            .filter(|name| name.contains("sessions"))
            .collect();
        assert_eq!(
            names,
            ["refs/spectask/sessions/1-auth/01-try"],
            "step {step}"
        );
        tips.insert(refs["refs/spectask/sessions/1-auth/01-try"].clone());
        if came_through {
            break;
        }
    }
    assert_eq!(tips.len(), 1);
}

#[test]
fn documents_stay_below_their_limit_and_old_segments_as_they_are() {
    let mut world = World::new();
    let work = world.session("backend", SessionMethod::Planned);
    let store = world.store.clone();
    let mut recorder = world.recorder(&store);
    let name = "refs/spectask/sessions/1-auth/00-backend";
    let mut first = String::new();
    for round in 0..30 {
        let turn = world.begin(&work, "go on");
        world.says(&work, &"word after word\n".repeat(600));
        world.end(&work, turn);
        world.pass(&mut recorder).unwrap();
        let tree = git(&world.root(), &["ls-tree", "-r", "-l", name]);
        if tree.contains("conversation-0002.md") {
            let line = tree
                .lines()
                .find(|line| line.ends_with("\tconversation.md"))
                .unwrap();
            if first.is_empty() {
                first = line.to_owned();
            }
            assert_eq!(line, first, "round {round}");
        }
    }
    let tree = git(&world.root(), &["ls-tree", "-r", "-l", name]);
    for line in tree.lines() {
        let size: usize = line.split_whitespace().nth(3).unwrap().parse().unwrap();
        assert!(size <= 256 << 10, "{line}");
    }
    assert!(tree.contains(&Document::Conversation.file(4)), "{tree}");
}
