//! Blame, trace, import and export over real repositories.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::json;
use spectask_protocol::{
    BlameCommit, ExportForm, Failure, Origin, SessionMethod, SessionPhase, SessionStatus,
    SpecTaskId, SpecTaskStatus, TranscriptEntry, TurnStatus, WorkMode, WorkSessionId,
};
use tempfile::TempDir;

use super::{HistoryError, blame, export, import, index::catch_up, log, show, trace};
use crate::{
    recorder::format::{
        CodeCommit, Cursor, FORMAT, SessionRecord, TaskLink, TaskRecord, TurnRecord,
        turn_frames_path, turn_record_path,
    },
    redact::Redactor,
    repo::Repository,
    store::{
        Frame, NewImplementationTask, NewSession, NewTask, SearchFilter, Store, StoreError,
        TurnCommit,
    },
    workflow::{self, WorkflowError},
};

const REQUIREMENTS: &str = "# Requirements\n\n## Requirement 1: Tokens\n\n**User Story:** As a user, \
    I want tokens, so that I can log in.\n\n#### Acceptance Criteria\n\n\
    1. WHEN a token is an hour old THE SYSTEM SHALL refuse it\n\
    2. WHEN a user logs out THE SYSTEM SHALL forget the token\n";
const TASKS: &str = "# Implementation Plan\n\n- [ ] 1. Expire tokens\n  - _Requirements: 1.1_\n";
const NAME: &str = "7-user-auth";

fn id<T: TryFrom<String>>() -> T
where
    T::Error: std::fmt::Debug,
{
    T::try_from(uuid::Uuid::now_v7().to_string()).unwrap()
}

struct World {
    folder: TempDir,
    repo: PathBuf,
    store: Store,
    task: SpecTaskId,
    session: WorkSessionId,
}

impl World {
    /// A repository with a branch `specs/1-user-auth`, on which two turns of a session committed.
    async fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let base = folder.path().canonicalize().unwrap();
        let repo = base.join("repo");
        fs::create_dir(&repo).unwrap();
        let store = Store::open(&base.join("spectask.db")).unwrap();
        let world = Self {
            folder,
            repo,
            store,
            task: id(),
            session: id(),
        };
        world.git(&["init", "-q", "-b", "main"]);
        world.commit("first", &[("a.txt", "one\n")]);
        world.git(&["checkout", "-qb", "specs/1-user-auth"]);
        let trailer = "\n\nWork-Session: 1-user-auth/01-tokens";
        let first = world.commit(&format!("1. Expire{trailer}"), &[("a.txt", "one\ntwo\n")]);
        let text = "one\ntwo\nthree\n";
        let second = world.commit(&format!("1. Again{trailer}"), &[("a.txt", text)]);
        world.fill(&[first, second]).await;
        world
    }

    fn git_in(folder: &Path, args: &[&str]) -> String {
        let null = if cfg!(windows) { "NUL" } else { "/dev/null" };
        let output = Command::new("git")
            .args(["-c", "user.name=User", "-c", "user.email=user@example.com"])
            .args(args)
            .current_dir(folder)
            .env("GIT_CONFIG_GLOBAL", null)
            .env("GIT_CONFIG_SYSTEM", null)
            .output()
            .unwrap();
        assert!(output.status.success(), "{args:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn git(&self, args: &[&str]) -> String {
        Self::git_in(&self.repo, args)
    }

    fn commit(&self, message: &str, files: &[(&str, &str)]) -> String {
        for (path, text) in files {
            let path = self.repo.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        self.git(&["add", "-A"]);
        self.git(&["commit", "-qm", message]);
        self.git(&["rev-parse", "HEAD"])
    }

    /// Rows of the SpecTask; the session's turns made these commits.
    async fn fill(&self, commits: &[String]) {
        let (task, session) = (self.task.clone(), self.session.clone());
        let common = Repository::discover(&self.repo).unwrap();
        let common = common.common_dir().display().to_string();
        let root = self.repo.display().to_string();
        let tip = commits.last().cloned();
        let past = Repository::discover(&self.repo).unwrap().past().unwrap();
        let commits: Vec<(String, String, Option<String>)> = commits
            .iter()
            .map(|id| {
                let facts = past.facts(id).unwrap();
                (id.clone(), facts.tree, past.patch_id(id))
            })
            .collect();
        self.store
            .write::<_, StoreError>(move |write| {
                let project = write.ensure_project(&id(), &common, &root)?;
                let mut row = write.insert_task(&NewTask {
                    id: task.clone(),
                    slug: "user-auth".into(),
                    project: project.id,
                    title: "User auth".into(),
                    prompt: "Add user authentication".into(),
                    status: SpecTaskStatus::Implementation,
                    mode: WorkMode::Parallel,
                    planning_agent: "example".parse().unwrap(),
                    agent: "example".parse().unwrap(),
                    session_limit: 3,
                    base: "main".into(),
                    target: None,
                    verify: None,
                })?;
                write.insert_revision(
                    &task,
                    &crate::store::NewRevision {
                        number: 1,
                        author: "agent".into(),
                        requirements: REQUIREMENTS.into(),
                        design: "# Design\n".into(),
                        tasks: TASKS.into(),
                        digest: "0".repeat(64),
                        findings: vec![],
                    },
                )?;
                row.revision = Some(1);
                row.approved = Some(1);
                row.tip = tip;
                write.update_task(&row)?;
                write.insert_implementation_tasks(
                    &task,
                    &[NewImplementationTask {
                        number: "1".into(),
                        title: "Expire tokens".into(),
                        body: String::new(),
                        optional: false,
                        wave: 1,
                        completed: false,
                        requirements: vec!["1.1".into()],
                        resources: vec![],
                        depends: vec![],
                    }],
                )?;
                let work = write.implementation_tasks(&task)?[0].id;
                write.insert_session(&NewSession {
                    id: session.clone(),
                    task: Some(task),
                    slug: "tokens".into(),
                    title: "Expire tokens".into(),
                    description: String::new(),
                    phase: SessionPhase::Implementation,
                    method: SessionMethod::Planned,
                    parent: None,
                    implementation_task: Some(work),
                    agent: "example".parse().unwrap(),
                    cwd: None,
                    project: None,
                })
            })
            .await
            .unwrap();
        for (turn, (commit, tree, patch_id)) in (1..).zip(commits) {
            let session = self.session.clone();
            self.store
                .write::<_, StoreError>(move |write| {
                    let number = write.insert_turn(&session, "implement", None)?;
                    let first = write.transcript_next(&session)?;
                    let frame = json!({ "id": 1, "method": "session/prompt", "params": {
                        "prompt": [{ "type": "text", "text": format!("Prompt of turn {turn}") }] } });
                    let frame = Frame {
                        at: write.now(),
                        direction: "to_agent".into(),
                        frame,
                    };
                    write.append_transcript(&session, first, vec![frame])?;
                    write.end_turn(&session, number, TurnStatus::Ended, None)?;
                    write.keep_turn_commits(&[TurnCommit {
                        id: commit,
                        session,
                        turn,
                        tree,
                        patch_id,
                        at: write.now(),
                    }])
                })
                .await
                .unwrap();
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
        catch_up(&self.store).await.unwrap();
    }

    fn blame(&self, file: &str) -> Vec<(u32, Option<BlameCommit>)> {
        let view = blame(&self.store, &self.repo.join(file), None, None).unwrap();
        let mut lines = Vec::new();
        for group in view.groups {
            let commit = group.commit.map(|at| view.commits[at as usize].clone());
            for at in 0..group.lines.len() {
                lines.push((group.line + u32::try_from(at).unwrap(), commit.clone()));
            }
        }
        lines
    }

    /// By what each line's turn was found, and which it is.
    fn turns(&self, file: &str) -> Vec<(String, Option<u32>)> {
        let lines = self.blame(file).into_iter();
        lines
            .map(|(_, commit)| match commit.map(|commit| commit.origin) {
                Some(Some(Origin { via, turn, .. })) => (via, turn),
                Some(None) => ("person".into(), None),
                None => ("open".into(), None),
            })
            .collect()
    }
}

fn is(via: &str, turn: u32) -> (String, Option<u32>) {
    (via.to_owned(), (turn > 0).then_some(turn))
}

#[tokio::test]
async fn a_line_leads_to_the_prompt_behind_it() {
    let world = World::new().await;
    fs::write(world.repo.join("a.txt"), "one\ntwo\nthree\nfour\n").unwrap();
    let all = [
        is("person", 0),
        is("commit", 1),
        is("commit", 2),
        is("open", 0),
    ];
    assert_eq!(world.turns("a.txt"), all);
    let lines = world.blame("a.txt");
    let origin = lines[2].1.clone().unwrap().origin.unwrap();
    assert_eq!(origin.name, "1-user-auth/01-tokens");
    assert_eq!(origin.work, ["1. Expire tokens"]);
    assert_eq!(origin.requirements, ["1.1"]);
    assert_eq!(origin.wish.as_deref(), Some("Add user authentication"));
    assert_eq!(origin.prompt.as_deref(), Some("Prompt of turn 2"));
    let one = blame(&world.store, &world.repo.join("a.txt"), Some((2, 2)), None).unwrap();
    assert_eq!(one.groups.len(), 1);
    let old = blame(&world.store, &world.repo.join("a.txt"), None, Some("main")).unwrap();
    assert_eq!(old.groups[0].lines, ["one"]);
}

#[tokio::test]
async fn lines_that_an_agent_left_to_others_lead_to_their_turn() {
    let world = World::new().await;
    let file = world.repo.join("src/b.rs");
    let text = "fn hours_of_a_day() -> u32 {\n    24\n}\n";
    let frame = json!({ "method": "session/update", "params": { "update": {
        "sessionUpdate": "tool_call_update", "content": [
            { "type": "diff", "path": file, "oldText": null, "newText": text }] } } });
    let session = world.session.clone();
    world
        .store
        .write::<_, StoreError>(move |write| {
            let number = write.insert_turn(&session, "prompt", None)?;
            let first = write.transcript_next(&session)?;
            let direction = "from_agent".to_owned();
            let at = write.now();
            write.append_transcript(
                &session,
                first,
                vec![Frame {
                    at,
                    direction,
                    frame,
                }],
            )?;
            write.end_turn(&session, number, TurnStatus::Ended, None)
        })
        .await
        .unwrap();
    catch_up(&world.store).await.unwrap();
    // The agent's file, a line of a person in it, and committed by a person.
    let text = text.replace("24", "24 * 60");
    world.commit("hours", &[("src/b.rs", &text)]);
    fs::write(
        &file,
        format!("{text}\n// mine\nfn hours_of_a_day() -> u32 {{\n    24\n}}\n"),
    )
    .unwrap();
    let of = |lines| {
        let view = blame(&world.store, &file, lines, None).unwrap();
        let mut turns = Vec::new();
        for group in &view.groups {
            let origin = group.written.map(|at| &view.written[at as usize]);
            let found = origin.map(|origin| (origin.via.clone(), origin.turn));
            turns.extend(group.lines.iter().map(|_| found.clone()));
        }
        (turns, view.incomplete)
    };
    let third = Some(("edit".to_owned(), Some(3)));
    let all = [&third, &None, &None, &None, &None, &third, &third, &third].map(Clone::clone);
    assert_eq!(of(None), (all.to_vec(), false));
    assert_eq!(of(Some((1, 1))), (vec![third], false));
    assert_eq!(of(Some((5, 5))), (vec![None], false));
}

#[tokio::test]
async fn a_squash_and_a_rename_lose_no_turn() {
    let world = World::new().await;
    world.git(&["checkout", "-q", "main"]);
    world.commit("elsewhere", &[("b.txt", "b\n")]);
    world.git(&["merge", "-q", "--squash", "specs/1-user-auth"]);
    world.git(&["commit", "-qm", "User auth (#1)"]);
    world.git(&["branch", "-qD", "specs/1-user-auth"]);
    // The line of before the branch keeps its commit.
    let all = [is("person", 0), is("content", 1), is("content", 2)];
    assert_eq!(world.turns("a.txt"), all);
    let squashed = world.git(&["rev-parse", "main"]);
    for (line, commit) in world.blame("a.txt") {
        let within = commit.unwrap().within;
        assert_eq!(within, (line > 1).then(|| squashed.trim().to_owned()));
    }
    world.git(&["mv", "a.txt", "c.txt"]);
    world.git(&["commit", "-qm", "rename"]);
    assert_eq!(world.turns("c.txt"), all);
    assert_eq!(
        world.blame("c.txt")[1].1.clone().unwrap().was.as_deref(),
        Some("a.txt")
    );
}

#[tokio::test]
async fn a_rebase_loses_no_turn() {
    let world = World::new().await;
    world.git(&["checkout", "-q", "main"]);
    world.commit("elsewhere", &[("b.txt", "b\n")]);
    // Without the trailers, and in a file that goes on.
    for commit in world
        .git(&["rev-list", "--reverse", "HEAD..specs/1-user-auth"])
        .lines()
    {
        world.git(&["cherry-pick", "--no-commit", commit]);
        world.git(&["commit", "-qm", "picked"]);
    }
    world.commit("more", &[("a.txt", "zero\none\ntwo\nthree\n")]);
    let all = [
        is("person", 0),
        is("person", 0),
        is("patch", 1),
        // After the last of them the file was that of the branch.
        is("content", 2),
    ];
    assert_eq!(world.turns("a.txt"), all);
}

#[tokio::test]
async fn a_commit_that_is_not_linked_says_its_session_itself() {
    let world = World::new().await;
    let message = "More\n\nSpec-Task: 1-user-auth\nWork-Session: 1-user-auth/01-tokens";
    world.commit(message, &[("d.txt", "d\n")]);
    world.commit(
        "Forged\n\nWork-Session: ../../etc/passwd",
        &[("e.txt", "e\n")],
    );
    assert_eq!(world.turns("d.txt"), [is("trailer", 0)]);
    assert_eq!(world.turns("e.txt"), [is("person", 0)]);
}

#[tokio::test]
async fn what_cannot_be_blamed_says_why() {
    let world = World::new().await;
    world.commit("binary", &[("x.bin", "a\0b\n"), ("sub/y.txt", "y\n")]);
    fs::write(world.repo.join("new.txt"), "n\n").unwrap();
    fs::write(world.folder.path().join("outside.txt"), "o\n").unwrap();
    let ask = |path: PathBuf, lines| {
        blame(&world.store, &path, lines, None)
            .unwrap_err()
            .to_string()
    };
    assert!(ask(world.repo.join("x.bin"), None).contains("is no text"));
    assert!(ask(world.repo.join("sub"), None).contains("is a folder"));
    assert!(ask(world.repo.join("new.txt"), None).contains("no committed file"));
    assert!(ask(world.repo.join("absent/z.txt"), None).contains("no committed file"));
    assert!(ask(world.repo.join("a.txt"), Some((70, 71))).contains("has only 3 lines"));
    assert!(ask(world.folder.path().join("outside.txt"), None).contains("git repository"));
}

#[tokio::test]
async fn a_requirement_leads_to_commits_and_to_what_is_missing() {
    let world = World::new().await;
    let task = "1".parse().unwrap();
    let view = trace(&world.store, &task, None).unwrap();
    assert_eq!(view.criteria.len(), 2);
    let (first, second) = (&view.criteria[0], &view.criteria[1]);
    assert_eq!(
        first.work[0].session.as_deref(),
        Some("1-user-auth/01-tokens")
    );
    assert_eq!(first.work[0].turns.len(), 2);
    assert_eq!(first.work[0].turns[1].commits.len(), 1);
    assert_eq!(first.gaps, ["task 1 is pending"]);
    assert_eq!(
        (second.number.as_str(), &second.gaps[..]),
        ("1.2", &["no task serves it".to_owned()][..])
    );
    assert_eq!(
        trace(&world.store, &task, Some("1.2"))
            .unwrap()
            .criteria
            .len(),
        1
    );
    let missing = trace(&world.store, &task, Some("9")).unwrap_err();
    assert!(matches!(missing, HistoryError::NotFound { .. }));
}

#[tokio::test]
async fn exports_name_the_lines_of_each_commit() {
    let world = World::new().await;
    let task = "1".parse().unwrap();
    let notes = export(&world.store, &task, ExportForm::GitAi).unwrap();
    assert_eq!((notes.count, notes.skipped), (2, 0));
    let again = export(&world.store, &task, ExportForm::GitAi).unwrap();
    assert_eq!((again.count, again.skipped), (0, 2));
    let note = world.git(&["notes", "--ref=ai", "show", "HEAD"]);
    assert!(
        note.starts_with("a.txt\n  ") && note.contains(" 3\n---\n{"),
        "{note}"
    );
    let records = export(&world.store, &task, ExportForm::AgentTrace)
        .unwrap()
        .records;
    assert_eq!(records.len(), 2);
    let record = &records[1];
    assert_eq!(record["version"], "0.1");
    assert_eq!(record["vcs"]["revision"], world.git(&["rev-parse", "HEAD"]));
    let ranges = &record["files"][0]["conversations"][0]["ranges"];
    assert_eq!(*ranges, json!([{ "start_line": 3, "end_line": 3 }]));
}

/// Writes the refs of a SpecTask `7-user-auth` as the recorder does.
struct Remote {
    world: World,
    task: SpecTaskId,
    session: WorkSessionId,
    /// Whether the second turn has ended.
    over: std::cell::Cell<bool>,
}

impl Remote {
    async fn new() -> Self {
        let world = World::new().await;
        let specs = format!("specs/{NAME}");
        world.git(&["checkout", "-q", "-b", &specs, "main"]);
        let path = |name: &str| format!("{specs}/{name}");
        world.commit(
            "documents",
            &[
                (&path("requirements.md"), REQUIREMENTS),
                (&path("design.md"), "# Design\n"),
                (&path("tasks.md"), TASKS),
            ],
        );
        let remote = Self {
            world,
            task: id(),
            session: id(),
            over: false.into(),
        };
        remote.write(&remote.session_record(), 2, &remote.frames());
        remote
    }

    fn session_record(&self) -> SessionRecord {
        SessionRecord {
            format: FORMAT,
            id: self.session.clone(),
            name: format!("{NAME}/01-tokens"),
            task: Some(TaskLink {
                id: self.task.clone(),
                name: NAME.into(),
            }),
            title: "Expire tokens".into(),
            phase: SessionPhase::Implementation,
            method: SessionMethod::Planned,
            parent: None,
            agent: "example".into(),
            status: SessionStatus::Active,
            tasks: vec!["1".into()],
            requirements: vec!["1.1".into()],
            created_at: "2026-03-04T10:00:00Z".into(),
            ended_at: None,
            turns: 2,
            merged: None,
            verified: Some(true),
            cursor: Cursor::default(),
            resume: Cursor::default(),
            segments: crate::recorder::format::Segments::default(),
        }
    }

    fn frames(&self) -> Vec<TranscriptEntry> {
        let entry = |index, direction: &str, frame| TranscriptEntry {
            index,
            at: format!("2026-03-04T10:0{index}:00Z"),
            direction: direction.into(),
            frame,
        };
        let prompt = |text: &str| {
            json!({ "id": 1, "method": "session/prompt",
            "params": { "prompt": [{ "type": "text", "text": text }] } })
        };
        let said = json!({ "method": "session/update", "params": { "update": {
            "sessionUpdate": "agent_message_chunk", "content": { "type": "text",
            "text": "the zebra token AKIAIOSFODNN7EXAMPLQ" } } } });
        vec![
            entry(0, "to_agent", prompt("first")),
            entry(1, "from_agent", said),
            entry(2, "to_agent", prompt("second")),
            entry(3, "sideways", json!("forged")),
        ]
    }

    fn turn(&self, number: u32) -> TurnRecord {
        let commit = self.world.git(&["rev-parse", "HEAD"]);
        TurnRecord {
            format: FORMAT,
            number,
            purpose: "implement".into(),
            status: if number == 2 && !self.over.get() {
                TurnStatus::Running
            } else {
                TurnStatus::Ended
            },
            reason: None,
            started_at: format!("2026-03-04T10:0{}:00Z", 2 * (number - 1)),
            ended_at: None,
            prompt: "first".into(),
            tasks: vec!["1".into()],
            requirements: vec!["1.1".into()],
            files: vec![],
            commits: vec![
                CodeCommit {
                    id: commit,
                    tree: "b".repeat(40),
                    patch_id: None,
                },
                CodeCommit {
                    id: "../x".into(),
                    tree: String::new(),
                    patch_id: None,
                },
            ],
            tools: 0,
            events: (0, 0),
            entries: (u64::from(2 * (number - 1)), u64::from(2 * number)),
            frames: 1,
        }
    }

    /// Writes the refs: the record, so many turns, and their frames by turn.
    fn write(&self, record: &SessionRecord, turns: u32, frames: &[TranscriptEntry]) {
        let git = |args: &[&str]| self.world.git(args);
        let put = |path: &str, bytes: &[u8]| {
            let path = self.world.repo.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        };
        let turn_of = |number| self.turn(number).to_bytes();
        git(&["checkout", "-qf", "main"]);
        let records: Vec<Vec<u8>> = (1..=turns).map(turn_of).collect();
        git(&["checkout", "-q", "--orphan", "scratch"]);
        git(&["rm", "-rqf", "."]);
        put("session.json", &record.to_bytes());
        for (number, bytes) in (1..=turns).zip(records) {
            put(&turn_record_path(number), &bytes);
            let range = u64::from(2 * (number - 1))..u64::from(2 * number);
            let lines: Vec<String> = frames
                .iter()
                .filter(|entry| range.contains(&entry.index))
                .map(|entry| serde_json::to_string(entry).unwrap())
                .collect();
            let text = format!("{}\nnot json\n", lines.join("\n"));
            put(&turn_frames_path(number, 1), text.as_bytes());
        }
        git(&["add", "-A"]);
        git(&["commit", "-qm", "Turn"]);
        git(&[
            "update-ref",
            &format!("refs/spectask/sessions/{NAME}/01-tokens"),
            "HEAD",
        ]);
        git(&["rm", "-rqf", "."]);
        let task = TaskRecord {
            format: FORMAT,
            id: self.task.clone(),
            name: NAME.into(),
            title: "User auth".into(),
            prompt: "Add user authentication".into(),
            base: "main".into(),
            status: SpecTaskStatus::Implementation,
            created_at: "2026-03-04T10:00:00Z".into(),
            completed: vec!["1".into()],
            sessions: vec![],
            updates: 0,
            segments: 0,
            cursor: Cursor::default(),
        };
        put("task.json", &task.to_bytes());
        git(&["add", "-A"]);
        git(&["commit", "-qm", "Task"]);
        git(&["update-ref", &format!("refs/spectask/tasks/{NAME}"), "HEAD"]);
        git(&["checkout", "-qf", "main"]);
        git(&["branch", "-qD", "scratch"]);
    }

    /// A clone with a store of its own.
    fn clone(&self, name: &str) -> (PathBuf, Store) {
        let base = self.world.folder.path().canonicalize().unwrap();
        let folder = base.join(name);
        let url = format!("file://{}", self.world.repo.display());
        World::git_in(&base, &["clone", "-q", &url, name]);
        let store = Store::open(&base.join(format!("{name}.db"))).unwrap();
        (folder, store)
    }
}

#[tokio::test]
async fn asking_again_brings_what_went_on_meanwhile() {
    let remote = Remote::new().await;
    let (folder, store) = remote.clone("there");
    let redactor = Redactor::new([]);
    let import = async || {
        import(&store, &redactor, &folder, NAME, Some("origin"))
            .await
            .unwrap()
    };
    import().await;
    catch_up(&store).await.unwrap();
    remote.over.set(true);
    let specs = format!("specs/{NAME}");
    remote.world.git(&["checkout", "-q", &specs]);
    let tasks = TASKS.replace("- [ ] 1. Expire", "- [ ] 1. Really expire");
    let path = format!("{specs}/tasks.md");
    remote.world.commit("approved again", &[(&path, &tasks)]);
    remote.write(&remote.session_record(), 2, &remote.frames());
    let done = import().await;
    assert_eq!((done.sessions, done.turns, done.entries), (0, 1, 0));
    let task = store.read(|read| read.task(&remote.task)).unwrap().unwrap();
    assert_eq!((task.revision, task.approved), (Some(2), Some(2)));
    let work = store
        .read(|read| read.implementation_tasks(&remote.task))
        .unwrap();
    let [work] = &work[..] else {
        panic!("{work:?}");
    };
    assert_eq!(work.title, "Really expire tokens");
    assert_eq!(work.session.as_ref(), Some(&remote.session));
    let turns = store.read(|read| read.turns(&remote.session)).unwrap();
    assert_eq!(turns[1].status, TurnStatus::Ended);
    let again = import().await;
    assert_eq!((again.sessions, again.turns, again.entries), (0, 0, 0));
}

#[tokio::test]
async fn a_task_of_another_machine_can_be_read_searched_and_traced() {
    let remote = Remote::new().await;
    let (folder, store) = remote.clone("there");
    let redactor = Redactor::new([]);
    let none = import(&store, &redactor, &folder, NAME, None)
        .await
        .unwrap_err();
    assert!(matches!(none, HistoryError::NotRecorded { .. }), "{none}");
    let done = import(&store, &redactor, &folder, NAME, Some("origin"))
        .await
        .unwrap();
    assert_eq!(
        (done.sessions, done.turns, done.entries),
        (1, 2, 3),
        "{done:?}"
    );
    assert_eq!((done.task.as_str(), &done.problems[..]), (NAME, &[][..]));
    // Nothing drives it, and what had not ended says so.
    assert_eq!(store.read(|read| read.open_tasks()).unwrap(), []);
    let row = store
        .read(|read| read.session(&remote.session))
        .unwrap()
        .unwrap();
    assert_eq!(row.status, SessionStatus::Blocked);
    let turns = store.read(|read| read.turns(&remote.session)).unwrap();
    assert_eq!(turns[1].status, TurnStatus::Interrupted);
    // Again: nothing is new. A newer state is.
    let again = import(&store, &redactor, &folder, NAME, Some("origin"))
        .await
        .unwrap();
    assert_eq!((again.sessions, again.turns, again.entries), (0, 0, 0));
    catch_up(&store).await.unwrap();
    let found = super::find(&store, "zebra", &SearchFilter::default(), 9).unwrap();
    assert_eq!(found.hits.len(), 1);
    assert!(
        !found.hits[0].excerpt.contains("AKIAIOSFODNN7EXAMPLQ"),
        "{:?}",
        found.hits
    );
    let view = trace(&store, &NAME.parse().unwrap(), Some("1.1")).unwrap();
    assert_eq!(view.criteria[0].work[0].turns.len(), 2);
    let turns = log(&store, None, Some(&NAME.parse().unwrap()), 10)
        .unwrap()
        .turns;
    assert_eq!(turns.len(), 2);
    assert_eq!(turns[0].commits.len() + turns[1].commits.len(), 1);
    // It is worked on elsewhere.
    let name = || NAME.parse().unwrap();
    for refused in [
        workflow::task::cancel(&store, name()).await,
        workflow::task::retry(&store, name()).await,
        workflow::task::start(&store, NAME.parse().unwrap()).await,
        workflow::task::set_paused(&store, NAME.parse().unwrap(), true).await,
    ] {
        let refused = refused.unwrap_err();
        assert!(
            matches!(&refused, WorkflowError::Elsewhere(of) if of == NAME),
            "{refused}"
        );
    }
    // Its own machine has nothing to take over.
    let world = &remote.world;
    let own = import(&world.store, &redactor, &world.repo, NAME, None)
        .await
        .unwrap();
    assert_eq!(own.task, NAME);
}

#[tokio::test]
async fn documents_may_come_later_and_from_anywhere() {
    let remote = Remote::new().await;
    let (folder, store) = remote.clone("there");
    let redactor = Redactor::new([]);
    let world = &remote.world;
    let specs = format!("specs/{NAME}");
    let documents = world.git(&["rev-parse", &specs]);
    world.git(&["branch", "-qD", &specs]);
    World::git_in(
        &folder,
        &["update-ref", "-d", &format!("refs/remotes/origin/{specs}")],
    );
    let missing = import(&store, &redactor, &folder, "8", Some("origin")).await;
    assert!(matches!(
        missing,
        Err(HistoryError::NotRecorded { known, .. }) if known.is_empty()
    ));
    let done = import(&store, &redactor, &folder, "7", Some("origin"))
        .await
        .unwrap();
    assert_eq!(
        (done.task.as_str(), done.recorded_as.as_str()),
        (NAME, NAME)
    );
    assert!(done.problems[0].starts_with("no documents: "), "{done:?}");
    let session = |store: &Store| {
        let row = store.read(|read| read.session(&remote.session)).unwrap();
        row.unwrap()
    };
    assert_eq!(session(&store).implementation_task, None);
    assert_eq!(session(&store).verified, Some(true));
    let named = import(&store, &redactor, &folder, "8-other", None).await;
    let failure = Failure::from(named.unwrap_err());
    assert_eq!(
        failure.hint.as_deref(),
        Some("there is: 7-user-auth (from origin)")
    );
    // A merge brought them: what was fetched before is enough.
    World::git_in(&folder, &["merge", "-q", "--ff", &documents]);
    let done = import(&store, &redactor, &folder, "7", None).await.unwrap();
    assert_eq!(done.problems, Vec::<String>::new());
    assert!(session(&store).implementation_task.is_some());
    let id = session(&store).task.unwrap();
    let works = store.read(|read| read.implementation_tasks(&id)).unwrap();
    assert_eq!(works[0].session.as_ref(), Some(&remote.session));
    let view = trace(&store, &NAME.parse().unwrap(), Some("1.1")).unwrap();
    assert_eq!(view.criteria[0].work[0].verified, Some(true));
    // The refs of a remote are laid out as those of this machine are.
    let place = super::place(&store, &"7".parse().unwrap(), None).unwrap();
    assert_eq!(place.start, "refs/spectask/remotes/origin/");
    assert_eq!(place.documents.len(), 3);
}

#[tokio::test]
async fn a_ticked_task_that_nobody_is_known_to_have_done_is_a_gap() {
    let remote = Remote::new().await;
    let (folder, store) = remote.clone("there");
    let git = |args: &[&str]| remote.world.git(args);
    git(&[
        "update-ref",
        "-d",
        &format!("refs/spectask/sessions/{NAME}/01-tokens"),
    ]);
    import(&store, &Redactor::new([]), &folder, NAME, Some("origin"))
        .await
        .unwrap();
    let view = trace(&store, &NAME.parse().unwrap(), Some("1.1")).unwrap();
    assert_eq!(
        view.criteria[0].gaps,
        ["task 1 is ticked, but no session is known that did it"]
    );
}

#[tokio::test]
async fn documents_outlive_their_branch() {
    let world = World::new().await;
    let at = || super::place(&world.store, &"1".parse().unwrap(), None).unwrap();
    let place = at();
    assert_eq!(
        (place.start.as_str(), place.name.as_str()),
        ("refs/spectask/", "1-user-auth")
    );
    // No branch has any: those that the daemon keeps.
    let names: Vec<&str> = place
        .documents
        .iter()
        .map(|(path, _)| path.as_str())
        .collect();
    assert_eq!(
        names,
        [
            "specs/1-user-auth/requirements.md",
            "specs/1-user-auth/design.md",
            "specs/1-user-auth/tasks.md"
        ]
    );
    world.commit("documents", &[("specs/1-user-auth/tasks.md", "as merged")]);
    let place = at();
    assert_eq!(
        place.documents,
        [(
            "specs/1-user-auth/tasks.md".to_owned(),
            b"as merged".to_vec()
        )]
    );
    assert!(super::place(&world.store, &"9".parse().unwrap(), None).is_err());
    let nothing = super::place(&world.store, &"9".parse().unwrap(), Some(&world.repo));
    assert!(matches!(nothing, Err(HistoryError::NotRecorded { .. })));
}

#[tokio::test]
async fn decisions_are_found() {
    let world = World::new().await;
    let task = world
        .store
        .read(|read| read.task_numbered(1))
        .unwrap()
        .unwrap();
    let sessions = world.store.read(|read| read.sessions(&task.id)).unwrap();
    let session = sessions.last().unwrap().id.clone();
    let decide = |session, text: &str| {
        workflow::turn::decided(
            &world.store,
            Some(task.id.clone()),
            session,
            text.to_owned(),
            "cli".to_owned(),
        )
    };
    decide(None, "Zebras keep their stripes").await.unwrap();
    decide(Some(session.clone()), "Tokens expire, zebras too")
        .await
        .unwrap();
    let find = |text: &str, filter: SearchFilter, most| {
        super::find(&world.store, text, &filter, most).unwrap().hits
    };
    let hits = find("ZEBRA", SearchFilter::default(), 9);
    assert_eq!(hits.len(), 2);
    assert_eq!(
        (hits[0].who.as_str(), &hits[0].session),
        ("decision", &session)
    );
    assert_eq!(hits[0].turn, 2);
    assert_eq!(find("zebra", SearchFilter::default(), 1).len(), 1);
    let of = SearchFilter {
        task: Some(task.id.clone()),
        ..SearchFilter::default()
    };
    assert_eq!(find("zebra", of, 9).len(), 2);
    let of = SearchFilter {
        session: Some(session.clone()),
        ..SearchFilter::default()
    };
    assert_eq!(find("zebra", of, 9).len(), 1);
    for nothing in [
        SearchFilter {
            task: Some(id()),
            ..SearchFilter::default()
        },
        SearchFilter {
            project: Some(id()),
            ..SearchFilter::default()
        },
        SearchFilter {
            until: Some(1),
            ..SearchFilter::default()
        },
        SearchFilter {
            file: Some("a.txt".into()),
            ..SearchFilter::default()
        },
    ] {
        assert_eq!(find("zebra", nothing, 9), []);
    }
}

#[tokio::test]
async fn a_number_that_is_taken_is_given_anew_and_a_session_of_this_machine_stays() {
    let remote = Remote::new().await;
    let (folder, store) = remote.clone("there");
    let common = Repository::discover(&folder).unwrap();
    let common = common.common_dir().display().to_string();
    let own = remote.session.clone();
    store
        .write::<_, StoreError>(move |write| {
            let project = write.ensure_project(&id(), &common, "/x")?;
            for _ in 0..7 {
                write.insert_task(&NewTask {
                    id: id(),
                    slug: "own".into(),
                    project: project.id.clone(),
                    title: "Own".into(),
                    prompt: "Own".into(),
                    status: SpecTaskStatus::Backlog,
                    mode: WorkMode::Parallel,
                    planning_agent: "example".parse().unwrap(),
                    agent: "example".parse().unwrap(),
                    session_limit: 3,
                    base: "main".into(),
                    target: None,
                    verify: None,
                })?;
            }
            write.insert_session(&NewSession {
                id: own,
                task: None,
                slug: "own".into(),
                title: "Own".into(),
                description: String::new(),
                phase: SessionPhase::Implementation,
                method: SessionMethod::AdHoc,
                parent: None,
                implementation_task: None,
                agent: "example".parse().unwrap(),
                cwd: None,
                project: None,
            })
        })
        .await
        .unwrap();
    let redactor = Redactor::new([]);
    let done = import(&store, &redactor, &folder, NAME, Some("origin"))
        .await
        .unwrap();
    assert_eq!(done.task, "8-user-auth");
    assert_eq!(done.turns, 0);
    assert!(
        done.problems[0].contains("id of another session"),
        "{done:?}"
    );
    let row = store
        .read(|read| read.session(&remote.session))
        .unwrap()
        .unwrap();
    assert_eq!((row.task, row.title.as_str()), (None, "Own"));
}

#[tokio::test]
async fn refs_that_lie_are_not_believed() {
    let remote = Remote::new().await;
    let (folder, store) = remote.clone("there");
    let redactor = Redactor::new([]);
    for bad in ["../x", "7-user-auth/..", "-x", "", "a b"] {
        assert!(
            import(&store, &redactor, &folder, bad, Some("origin"))
                .await
                .is_err(),
            "{bad}"
        );
    }
    assert!(
        import(&store, &redactor, &folder, NAME, Some("--upload-pack=x"))
            .await
            .is_err()
    );
    // A session that calls itself another, or of another SpecTask, is not taken.
    let mut record = remote.session_record();
    record.name = "7-user-auth/../../x".into();
    remote.write(&record, 2, &remote.frames());
    let done = import(&store, &redactor, &folder, NAME, Some("origin"))
        .await
        .unwrap();
    assert_eq!(done.sessions, 0);
    record = remote.session_record();
    record.task.as_mut().unwrap().id = id();
    remote.write(&record, 2, &remote.frames());
    let done = import(&store, &redactor, &folder, NAME, Some("origin"))
        .await
        .unwrap();
    assert_eq!(done.sessions, 0);
    // More turns than there are, an agent that is none, later indexes twice.
    record = remote.session_record();
    record.turns = u32::MAX;
    let mut frames = remote.frames();
    frames[0].index = 1;
    remote.write(&record, 2, &frames);
    let done = import(&store, &redactor, &folder, NAME, Some("origin"))
        .await
        .unwrap();
    assert_eq!((done.sessions, done.turns), (1, 2));
    let entries = store
        .read(|read| read.transcript(&remote.session, 0, 100))
        .unwrap();
    let indexes: Vec<u64> = entries.iter().map(|entry| entry.index).collect();
    assert_eq!(indexes, [1, 2]);
}

#[tokio::test]
async fn a_session_that_only_a_ref_knows_is_read_there() {
    let remote = Remote::new().await;
    let world = &remote.world;
    let repository = Repository::discover(&world.repo).unwrap();
    let name = "7/1".parse().unwrap();
    let part = show(&world.store, Some(&repository), &name, None, 0).unwrap();
    assert_eq!(part.source, "refs/spectask/sessions/7-user-auth/01-tokens");
    // Few segments at a time; these are few.
    assert_eq!((part.entries.len(), part.next), (4, None));
    let rest = show(&world.store, Some(&repository), &name, None, 2).unwrap();
    assert_eq!((rest.entries.len(), rest.next), (2, None));
    let turn = show(&world.store, Some(&repository), &name, Some(2), 0).unwrap();
    assert_eq!(turn.entries[0].index, 2);
    assert!(show(&world.store, Some(&repository), &name, Some(9), 0).is_err());
    assert!(show(&world.store, None, &name, None, 0).is_err());
    let own = show(&world.store, None, &"1/1".parse().unwrap(), Some(2), 0).unwrap();
    assert_eq!((own.source.as_str(), own.entries.len()), ("transcript", 1));
    let all = log(
        &world.store,
        Some(&repository),
        Some(&"7".parse().unwrap()),
        9,
    )
    .unwrap();
    assert_eq!(all.turns.len(), 2);
    assert_eq!(all.turns[0].turn, 2);
}
