//! History in git: a long transcript from frames to refs, the commit of a turn with many turns behind
//! it, a clone of a repository with recorded history. Plain files with the same bytes stand beside
//! the first two, a repository without history beside the last, in the same run.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a bench that cannot be set up has nothing to tell"
)]
#![allow(clippy::print_stdout, reason = "what it measured is read there")]

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use spectask::{
    recorder::{Recorder, Status},
    redact::Redactor,
    repo::Repository,
    store::{Frame, NewSession, Store, StoreError},
};
use spectask_protocol::{EventKind, SessionMethod, SessionPhase, TurnStatus, WorkSessionId};
use tokio::runtime::Runtime;

const LONG: usize = 70 << 20;
const TURNS: usize = 5000;
/// Where the commit of a turn is looked at, and how many of them.
const BEHIND: [usize; 3] = [100, 1000, 4900];
const WINDOW: usize = 100;
const CLONES: usize = 15;

struct World {
    folder: tempfile::TempDir,
    runtime: Runtime,
    store: Store,
    session: WorkSessionId,
}

fn git(dir: &Path, args: &[&str]) {
    let status = Command::new("git")
        .args(["-c", "user.name=U", "-c", "user.email=u@example.com"])
        .args(args)
        .current_dir(dir)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .status()
        .unwrap();
    assert!(status.success(), "git {args:?}");
}

fn id<T: TryFrom<String>>() -> T
where
    T::Error: std::fmt::Debug,
{
    T::try_from(uuid::Uuid::now_v7().to_string()).unwrap()
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("repo");
        fs::create_dir(&root).unwrap();
        git(&root, &["init", "-q", "-b", "main"]);
        // A small project: what a clone costs is mostly not history.
        for number in 0..400 {
            let text = format!("line {number}\n").repeat(200);
            fs::write(root.join(format!("file-{number}.txt")), text).unwrap();
        }
        git(&root, &["add", "."]);
        git(&root, &["commit", "-qm", "first"]);
        let repository = Repository::discover(&root).unwrap();
        let runtime = Runtime::new().unwrap();
        let store = Store::open(&folder.path().join("spectask.db")).unwrap();
        let session: WorkSessionId = id();
        let new = session.clone();
        let common = repository.common_dir().display().to_string();
        let root = repository.root().display().to_string();
        runtime
            .block_on(store.write(move |write| {
                let project = write.ensure_project(&id(), &common, &root)?;
                write.insert_session(&NewSession {
                    id: new.clone(),
                    task: None,
                    slug: "thread".into(),
                    title: "Thread".into(),
                    description: String::new(),
                    phase: SessionPhase::Implementation,
                    method: SessionMethod::AdHoc,
                    parent: None,
                    implementation_task: None,
                    agent: "example".parse().unwrap(),
                    cwd: Some(root),
                    project: Some(project.id),
                })?;
                let name = "threads/01-thread".to_owned();
                write.emit(None, Some(&new), &EventKind::SessionCreated { name })
            }))
            .unwrap();
        Self {
            folder,
            runtime,
            store,
            session,
        }
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("repo")
    }

    fn recorder(&self) -> Recorder {
        Recorder::new(self.store.clone(), Redactor::new([]), Status::default()).unwrap()
    }

    fn pass(&self, recorder: &mut Recorder) {
        recorder.pass(self.runtime.handle(), 0).unwrap();
        assert!(!recorder.is_behind());
    }

    /// A turn of these frames; returns their bytes.
    fn turn(&self, frames: Vec<(&'static str, Value)>) -> usize {
        let session = self.session.clone();
        self.runtime
            .block_on(self.store.write(move |write| {
                let turn = write.insert_turn(&session, "prompt", None)?;
                let started = EventKind::TurnStarted { turn };
                write.emit(None, Some(&session), &started)?;
                let mut bytes = 0;
                let mut batch = Vec::new();
                for (direction, frame) in frames {
                    bytes += frame.to_string().len();
                    batch.push(Frame {
                        at: write.now(),
                        direction: direction.into(),
                        frame,
                    });
                    if batch.len() == 64 {
                        let next = write.transcript_next(&session)?;
                        write.append_transcript(&session, next, std::mem::take(&mut batch))?;
                    }
                }
                let next = write.transcript_next(&session)?;
                write.append_transcript(&session, next, batch)?;
                write.end_turn(&session, turn, TurnStatus::Ended, Some("end_turn"))?;
                let ended = EventKind::TurnEnded {
                    turn,
                    status: TurnStatus::Ended,
                    reason: Some("end_turn".into()),
                };
                write.emit(None, Some(&session), &ended)?;
                Ok::<_, StoreError>(bytes)
            }))
            .unwrap()
    }

    fn loose(&self) -> usize {
        let folders = fs::read_dir(self.root().join(".git/objects")).unwrap();
        folders
            .map(|entry| entry.unwrap())
            .filter(|entry| entry.file_name().len() == 2)
            .map(|entry| fs::read_dir(entry.path()).unwrap().count())
            .sum()
    }

    /// The transcript as lines, as it lies in the store.
    fn plain(&self, out: &mut File) {
        let mut from = 0;
        loop {
            let page = self
                .store
                .read(|read| read.transcript_page(&self.session, from..u64::MAX, 1 << 20))
                .unwrap();
            let Some(last) = page.last() else {
                return;
            };
            from = last.index + 1;
            let mut lines = Vec::new();
            for entry in &page {
                serde_json::to_writer(&mut lines, entry).unwrap();
                lines.push(b'\n');
            }
            out.write_all(&lines).unwrap();
        }
    }
}

fn update(update: &Value) -> (&'static str, Value) {
    let frame = json!({"jsonrpc":"2.0","method":"session/update",
        "params":{"sessionId":"s","update":update}});
    ("from_agent", frame)
}

fn prompt(text: &str) -> (&'static str, Value) {
    let frame = json!({"jsonrpc":"2.0","id":1,"method":"session/prompt",
        "params":{"sessionId":"s","prompt":[{"type":"text","text":text}]}});
    ("to_agent", frame)
}

fn chunk(text: &str) -> (&'static str, Value) {
    update(&json!({"sessionUpdate":"agent_message_chunk","content":{"type":"text","text":text}}))
}

/// Text that does not repeat: numbers among words.
struct Words(u64);

impl Words {
    fn text(&mut self, bytes: usize) -> String {
        let mut text = String::with_capacity(bytes + 16);
        while text.len() < bytes {
            self.0 = self
                .0
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let word = ["fn", "let", "return", "error", "the", "value", "path", "of"];
            text.push_str(word[(self.0 >> 40) as usize % 8]);
            text.push_str(&format!(" {:x}\n", self.0 >> 44));
        }
        text
    }
}

/// A turn in which an agent reads, says and edits something.
fn ordinary(words: &mut Words, number: usize) -> Vec<(&'static str, Value)> {
    let id = format!("t{number}");
    let edit = words.text(600);
    vec![
        prompt(&words.text(200)),
        chunk(&words.text(150)),
        chunk(&words.text(150)),
        update(
            &json!({"sessionUpdate":"tool_call","toolCallId":id,"title":"Edit src/main.rs",
            "kind":"edit","status":"pending"}),
        ),
        update(
            &json!({"sessionUpdate":"tool_call_update","toolCallId":id,"status":"completed",
            "content":[{"type":"diff","path":"src/main.rs","oldText":edit,
                "newText":format!("{edit}more\n")}]}),
        ),
        chunk(&words.text(300)),
    ]
}

/// Processor time of this process, in milliseconds.
fn cpu() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat
        .rsplit_once(')')
        .unwrap()
        .1
        .split_whitespace()
        .collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    ticks as f64 * 10.0
}

fn median(times: &mut [Duration]) -> f64 {
    times.sort();
    times[times.len() / 2].as_secs_f64() * 1e3
}

fn spread(name: &str, times: &mut [Duration], more: &str) -> f64 {
    let middle = median(times);
    let ms = |at: usize| times[at].as_secs_f64() * 1e3;
    println!(
        "{name}: {middle:.2} ms ({:.2} to {:.2}){more}",
        ms(0),
        ms(times.len() - 1)
    );
    middle
}

fn long() {
    let world = World::new();
    let mut words = Words(7);
    let mut bytes = 0;
    while bytes < LONG {
        let mut frames = vec![prompt("go on")];
        for number in 0..100 {
            let id = format!("c{number}");
            for _ in 0..20 {
                frames.push(chunk(&words.text(40)));
            }
            frames.push(update(&json!({"sessionUpdate":"tool_call","toolCallId":id,
                "title":"Run the tests","kind":"execute","status":"pending"})));
            frames.push(update(
                &json!({"sessionUpdate":"tool_call_update","toolCallId":id,
                "status":"completed","content":[{"type":"content",
                    "content":{"type":"text","text":words.text(12_000)}}]}),
            ));
        }
        bytes += world.turn(frames);
    }
    let (began, before) = (Instant::now(), cpu());
    let mut file = File::create(world.folder.path().join("plain.jsonl")).unwrap();
    world.plain(&mut file);
    file.sync_all().unwrap();
    println!(
        "baseline: {} MB of transcript as one plain file: {:.0} ms CPU, {:.0} ms",
        bytes >> 20,
        cpu() - before,
        began.elapsed().as_secs_f64() * 1e3
    );
    let mut recorder = world.recorder();
    let (began, before) = (Instant::now(), cpu());
    world.pass(&mut recorder);
    println!(
        "recorded to refs: {:.0} ms CPU, {:.0} ms",
        cpu() - before,
        began.elapsed().as_secs_f64() * 1e3
    );
}

fn turns() {
    let world = World::new();
    let without = world.folder.path().join("without");
    git(
        world.folder.path(),
        &["clone", "-q", "--no-hardlinks", "repo", "without"],
    );
    let mut words = Words(9);
    let mut recorder = world.recorder();
    let mut plain = Vec::new();
    let mut windows = Vec::new();
    let mut loose = 0;
    let mut number = 0;
    for behind in BEHIND {
        // Those before are recorded in one go: one after another within seconds, they leave the file
        // system tens of thousands of files that were deleted just now, and ext4 looks at each of
        // them whenever it makes one.
        while number < behind {
            world.turn(ordinary(&mut words, number));
            number += 1;
        }
        world.pass(&mut recorder);
        let mut times = Vec::new();
        for _ in 0..WINDOW {
            let frames = ordinary(&mut words, number);
            // The same bytes as files that nobody finds again: the least it could cost.
            let text: String = frames.iter().map(|(_, frame)| frame.to_string()).collect();
            world.turn(frames);
            let began = Instant::now();
            for part in ["conversation", "changes", "log", "turn"] {
                let path = world.folder.path().join(format!("{part}-{number}"));
                fs::write(path, &text).unwrap();
            }
            plain.push(began.elapsed());
            let began = Instant::now();
            world.pass(&mut recorder);
            times.push(began.elapsed());
            loose = loose.max(world.loose());
            number += 1;
        }
        windows.push((behind, times));
    }
    assert_eq!(number, TURNS);
    let base = spread("baseline: four plain files a turn", &mut plain, "");
    for (behind, mut times) in windows {
        let name = format!("commit of a turn, {behind} turns behind");
        let middle = spread(&name, &mut times, "");
        println!("  {:.1} times the baseline", middle / base);
    }
    println!("loose objects, the most seen: {loose}");
    let folder = world.root().join(".git/objects/pack");
    let (mut size, mut packs) = (0, 0);
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        size += entry.metadata().unwrap().len();
        packs += usize::from(entry.path().extension().is_some_and(|ext| ext == "pack"));
    }
    println!(
        "{TURNS} turns in git: {:.1} MB in {packs} packs",
        size as f64 / 1e6
    );
    git(&world.root(), &["fsck", "--strict", "--no-progress"]);

    let clone = |from: &Path, number: usize| {
        let url = format!("file://{}", from.display());
        let to = world.folder.path().join(format!("clone-{number}"));
        let began = Instant::now();
        git(
            world.folder.path(),
            &["clone", "-q", &url, to.to_str().unwrap()],
        );
        let took = began.elapsed();
        fs::remove_dir_all(to).unwrap();
        took
    };
    let (mut plain, mut recorded) = (Vec::new(), Vec::new());
    for number in 0..CLONES {
        plain.push(clone(&without, number));
        recorded.push(clone(&world.root(), number));
    }
    let base = spread("baseline: clone without history", &mut plain, "");
    let middle = spread("clone with 5,000 recorded turns", &mut recorded, "");
    println!("  {:.2} times the baseline", middle / base);
}

fn main() {
    long();
    turns();
}
