//! Why each line of a file is as it is, in a repository of 600 commits; a third of them were made by
//! recorded turns, a third are known only by what they change, a third a person made of what a turn
//! wrote. `git blame
//! --porcelain` on the same lines stands beside it, in turn, in the same run.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::panic,
    reason = "a bench that cannot be set up has nothing to tell"
)]

use std::{
    fmt::Write as _,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::json;
use spectask::{
    history,
    repo::Repository,
    store::{Frame, NewSession, Store, StoreError, TurnCommit},
};
use spectask_protocol::{EventKind, SessionMethod, SessionPhase, TurnStatus, WorkSessionId};

const COMMITS: usize = 600;
const LINES: usize = 4000;
const EDITED: usize = 12;
const OTHER_FILES: usize = 200;
const RUNS: usize = 25;
const FILE: &str = "src/main.rs";

struct World {
    _folder: tempfile::TempDir,
    root: PathBuf,
    store: Store,
}

fn git(root: &Path, args: &[&str], input: &[u8]) -> String {
    let mut child = Command::new("git")
        .args(args)
        .current_dir(root)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "git {args:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The repository as a stream for `git fast-import`: every commit changes a few lines of one file. And
/// the lines that each changes.
fn stream() -> (String, Vec<String>) {
    let mut stream = String::new();
    let mut edits = Vec::new();
    let mut lines: Vec<String> = (0..LINES)
        .map(|number| format!("    let value_{number} = compute({number});\n"))
        .collect();
    let mut next = 7_u64;
    for commit in 0..COMMITS {
        let mut edit = String::new();
        for _ in 0..EDITED {
            next = next
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let at = (next >> 33) as usize % LINES;
            lines[at] = format!("    let value_{at} = compute({at}, {commit}); // {next:x}\n");
            edit.push_str(&lines[at]);
        }
        edits.push(edit);
        let message = format!("Change {commit}\n\nIn {commit} places.\n");
        // After the turns, which are made now.
        let at = 3_000_000_000_usize + commit * 60;
        let who = format!("User <user@example.com> {at} +0000");
        write!(
            stream,
            "commit refs/heads/main\nauthor {who}\ncommitter {who}\ndata {}\n{message}\n",
            message.len()
        )
        .unwrap();
        if commit == 0 {
            for other in 0..OTHER_FILES {
                let text = format!("line of {other}\n").repeat(100);
                let length = text.len();
                let path = format!("src/part-{}/file-{other}.rs", other % 10);
                write!(stream, "M 100644 inline {path}\ndata {length}\n{text}\n").unwrap();
            }
        }
        let text = lines.concat();
        let length = text.len();
        write!(stream, "M 100644 inline {FILE}\ndata {length}\n{text}\n").unwrap();
    }
    (stream, edits)
}

fn world() -> World {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("repo");
    std::fs::create_dir(&root).unwrap();
    git(&root, &["init", "-q", "-b", "main"], b"");
    let (stream, edits) = stream();
    git(&root, &["fast-import", "--quiet"], stream.as_bytes());
    git(&root, &["reset", "-q", "--hard"], b"");
    let repository = Repository::discover(&root).unwrap();
    let root = repository.root().to_path_buf();
    let past = repository.past().unwrap();
    let list = git(&root, &["rev-list", "--reverse", "main"], b"");
    let commits: Vec<TurnCommit> = list
        .lines()
        .enumerate()
        .filter(|(number, _)| number % 3 > 0)
        .map(|(number, id)| {
            let tree = past.facts(id).unwrap().tree;
            let patch_id = past.patch_id(id);
            // Rebased: the commit and its tree have other ids now.
            let (id, tree) = match number % 3 {
                1 => (id.to_owned(), tree),
                _ => (format!("{number:040x}"), format!("{:040x}", number + 1)),
            };
            TurnCommit {
                id,
                session: "00000000-0000-7000-8000-000000000000".parse().unwrap(),
                turn: u32::try_from(number / 3 + 1).unwrap(),
                tree,
                patch_id,
                at: 0,
            }
        })
        .collect();
    let store = Store::open(&folder.path().join("spectask.db")).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    runtime
        .block_on(async {
            fill(&store, &repository, commits, edits).await?;
            history::catch_up(&store).await
        })
        .unwrap();
    World {
        _folder: folder,
        root,
        store,
    }
}

async fn fill(
    store: &Store,
    repository: &Repository,
    mut commits: Vec<TurnCommit>,
    edits: Vec<String>,
) -> Result<(), StoreError> {
    let file = repository.root().join(FILE);
    let session: WorkSessionId = uuid::Uuid::now_v7().to_string().parse().unwrap();
    for commit in &mut commits {
        commit.session = session.clone();
    }
    let common = repository.common_dir().display().to_string();
    let root = repository.root().display().to_string();
    let id = session.clone();
    store
        .write::<_, StoreError>(move |write| {
            let new = uuid::Uuid::now_v7().to_string().parse().unwrap();
            let project = write.ensure_project(&new, &common, &root)?;
            write.insert_session(&NewSession {
                id,
                task: None,
                slug: "thread".into(),
                title: "Thread".into(),
                description: String::new(),
                phase: SessionPhase::Implementation,
                method: SessionMethod::AdHoc,
                parent: None,
                implementation_task: None,
                agent: "example".parse().unwrap(),
                cwd: None,
                project: Some(project.id),
            })
        })
        .await?;
    for edit in edits.into_iter().step_by(3) {
        let edit = json!({ "method": "session/update", "params": { "update": {
            "sessionUpdate": "tool_call", "toolCallId": "1", "title": "Edit",
            "content": [{ "type": "diff", "path": file, "oldText": "", "newText": edit }] } } });
        let prompt = "Change it once more. ".repeat(40);
        let said = json!({ "method": "session/update", "params": { "update": {
            "sessionUpdate": "agent_message_chunk",
            "content": { "type": "text", "text": prompt } } } });
        let prompt = json!({ "id": 1, "method": "session/prompt",
            "params": { "prompt": [{ "type": "text", "text": prompt }] } });
        let mut frames = vec![("to_agent", prompt)];
        frames.extend((0..20).map(|_| ("from_agent", said.clone())));
        frames.push(("from_agent", edit));
        let session = session.clone();
        store
            .write::<_, StoreError>(move |write| {
                let turn = write.insert_turn(&session, "prompt", None)?;
                write.emit(None, Some(&session), &EventKind::TurnStarted { turn })?;
                let first = write.transcript_next(&session)?;
                let frames = frames.into_iter().map(|(direction, frame)| Frame {
                    at: write.now(),
                    direction: direction.into(),
                    frame,
                });
                write.append_transcript(&session, first, frames.collect())?;
                write.end_turn(&session, turn, TurnStatus::Ended, None)
            })
            .await?;
        // No two begin in the same millisecond.
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    store
        .write(move |write| write.keep_turn_commits(&commits))
        .await
}

fn spread(name: &str, times: &mut [Duration]) -> f64 {
    times.sort();
    let ms = |at: usize| times[at].as_secs_f64() * 1e3;
    let middle = ms(times.len() / 2);
    println!(
        "{name}: {middle:.1} ms ({:.1} to {:.1})",
        ms(0),
        ms(times.len() - 1)
    );
    middle
}

fn compare(world: &World, name: &str, lines: Option<(u32, u32)>) {
    let path = world.root.join(FILE);
    let mut args = vec!["blame".to_owned(), "--porcelain".to_owned()];
    args.extend(lines.map(|(first, last)| format!("-L{first},{last}")));
    args.extend(["--".to_owned(), FILE.to_owned()]);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let (mut base, mut ours) = (Vec::new(), Vec::new());
    for run in 0..RUNS {
        let began = Instant::now();
        let text = git(&world.root, &args, b"");
        base.push(began.elapsed());
        let began = Instant::now();
        let view = history::blame(&world.store, &path, lines, None).unwrap();
        ours.push(began.elapsed());
        if run == 0 {
            let told = view.commits.iter().filter(|commit| commit.origin.is_some());
            println!(
                "{name}: {} KB of porcelain, {} commits, {} with an origin, {} groups of lines that {} \
                 turns wrote{}",
                text.len() >> 10,
                view.commits.len(),
                told.count(),
                view.groups
                    .iter()
                    .filter(|group| group.written.is_some())
                    .count(),
                view.written.len(),
                if view.incomplete { ", cut short" } else { "" }
            );
        }
    }
    let base = spread("  baseline: git blame --porcelain", &mut base);
    let middle = spread("  history blame", &mut ours);
    println!(
        "  {:.2} times the baseline; limit {:.1} ms",
        middle / base,
        1.2 * base + 50.0
    );
}

fn main() {
    let world = world();
    compare(&world, "the whole file", None);
    compare(&world, "one line", Some((2000, 2000)));
}
