use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use proptest::prelude::*;
use serde_json::{Value, json};
use spectask_protocol::{
    PermissionId, SessionMethod, SessionPhase, SpecTaskStatus, WorkMode, WorkSessionId,
};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::{stream::Limits, *};
use crate::{
    redact::Redactor,
    store::{NewSession, NewTask, Store, StoreError},
};

fn id<T: TryFrom<String>>() -> T
where
    T::Error: std::fmt::Debug,
{
    T::try_from(uuid::Uuid::now_v7().to_string()).unwrap()
}

async fn store() -> (TempDir, Store, WorkSessionId) {
    let folder = TempDir::new().unwrap();
    let store = Store::open(&folder.path().join("spectask.db")).unwrap();
    let session: WorkSessionId = id();
    let new = session.clone();
    store
        .write::<_, StoreError>(move |write| {
            let project = write.ensure_project(&id(), "/r/.git", "/r")?;
            let task = write.insert_task(&NewTask {
                id: id(),
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
            })?;
            write.insert_session(&NewSession {
                id: new,
                task: Some(task.id),
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
        .unwrap();
    (folder, store, session)
}

/// Keeps what it sees, and fails when calls overlap.
#[derive(Default)]
struct Seen {
    entries: Mutex<Vec<(u64, Value, bool)>>,
    inside: AtomicBool,
    overlapped: AtomicBool,
    caught_up: AtomicUsize,
    unwritten: AtomicUsize,
    stalled: AtomicBool,
    asks: Mutex<Vec<String>>,
}

impl Seen {
    fn indexes(&self) -> Vec<u64> {
        let entries = self.entries.lock().unwrap();
        entries.iter().map(|(index, ..)| *index).collect()
    }

    async fn until(&self, ready: impl Fn(&Self) -> bool) {
        let start = Instant::now();
        while !ready(self) {
            assert!(start.elapsed() < Duration::from_secs(30), "never came");
            if !self.stalled.load(Ordering::SeqCst) {
                self.unwritten.store(0, Ordering::SeqCst);
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

impl Viewer for Seen {
    fn entry(&self, index: u64, way: Way, frame: &Value, replay: bool) {
        let inside = self.inside.swap(true, Ordering::SeqCst);
        if inside || way != Way::FromAgent {
            self.overlapped.store(true, Ordering::SeqCst);
        }
        self.unwritten.fetch_add(100, Ordering::SeqCst);
        let entry = (index, frame.clone(), replay);
        self.entries.lock().unwrap().push(entry);
        self.inside.store(false, Ordering::SeqCst);
    }

    fn caught_up(&self) {
        self.caught_up.fetch_add(1, Ordering::SeqCst);
    }

    fn asks(&self, permission: &PermissionId, params: &Value) {
        let line = format!("ask {permission} {params}");
        self.asks.lock().unwrap().push(line);
    }

    fn settled(&self, permission: &PermissionId) {
        let line = format!("settled {permission}");
        self.asks.lock().unwrap().push(line);
    }

    fn backlog(&self) -> usize {
        self.unwritten.load(Ordering::SeqCst)
    }
}

fn frame(n: u64) -> Value {
    json!({ "method": "session/update", "params": { "n": n } })
}

#[derive(Debug, Clone)]
enum Act {
    /// So many frames from each of two threads.
    Frames(u64),
    /// A viewer from this part of what there is, in hundredths.
    Attach(u64),
    Detach(usize),
    Stall(usize, bool),
    Flush,
    Rest,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (1..300_u64).prop_map(Act::Frames),
        3 => (0..=100_u64).prop_map(Act::Attach),
        1 => any::<prop::sample::Index>().prop_map(|at| Act::Detach(at.index(64))),
        2 => (0..64_usize, any::<bool>()).prop_map(|(at, on)| Act::Stall(at, on)),
        1 => Just(Act::Flush),
        1 => Just(Act::Rest),
    ]
}

async fn storm(acts: Vec<Act>, limits: Limits) {
    let (_folder, store, session) = store().await;
    let live = Live::with(store, limits);
    let stream = live.stream(&session, None).unwrap();
    let mut viewers: Vec<(Arc<Seen>, ViewerId, u64)> = Vec::new();
    let mut gone: Vec<(Arc<Seen>, u64)> = Vec::new();
    let mut writers = Vec::new();
    for act in acts {
        match act {
            Act::Frames(count) => {
                for _ in 0..2 {
                    let stream = Arc::clone(&stream);
                    writers.push(tokio::task::spawn_blocking(move || {
                        (0..count)
                            .map(|n| {
                                let index = stream.frame(Way::FromAgent, &frame(n));
                                (index, n)
                            })
                            .collect::<Vec<_>>()
                    }));
                }
            }
            Act::Attach(part) => {
                let seen = Arc::new(Seen::default());
                let from = stream.next_index() * part / 100;
                let viewer = stream.attach(Arc::<Seen>::clone(&seen), from);
                viewers.push((seen, viewer, from));
            }
            Act::Detach(at) if !viewers.is_empty() => {
                let (seen, viewer, from) = viewers.remove(at % viewers.len());
                stream.detach(viewer);
                gone.push((seen, from));
            }
            Act::Stall(at, on) if !viewers.is_empty() => {
                let seen = &viewers[at % viewers.len()].0;
                seen.stalled.store(on, Ordering::SeqCst);
                let unwritten = if on { limits.backlog + 1 } else { 0 };
                seen.unwritten.store(unwritten, Ordering::SeqCst);
            }
            Act::Flush => stream.flush().await,
            Act::Rest => tokio::time::sleep(Duration::from_millis(5)).await,
            Act::Detach(_) | Act::Stall(..) => {}
        }
    }
    let mut all = Vec::new();
    for writer in writers {
        all.extend(writer.await.unwrap());
    }
    all.sort_unstable();
    let next = stream.next_index();
    assert!(all.iter().map(|(index, _)| *index).eq(0..next));
    for (seen, viewer, from) in &viewers {
        seen.stalled.store(false, Ordering::SeqCst);
        seen.until(|seen| {
            stream.is_live(*viewer) && seen.indexes().last().map_or(*from, |last| last + 1) == next
        })
        .await;
        assert!(seen.indexes().into_iter().eq(*from..next), "a gap");
        assert!(seen.caught_up.load(Ordering::SeqCst) > 0);
    }
    let kept = viewers.iter().map(|(seen, _, from)| (seen, *from));
    for (seen, from) in kept.chain(gone.iter().map(|(seen, from)| (seen, *from))) {
        assert!(!seen.overlapped.load(Ordering::SeqCst), "calls overlap");
        let entries = seen.entries.lock().unwrap();
        for (expected, (index, value, _)) in (from..).zip(entries.iter()) {
            assert_eq!(*index, expected);
            let written = all[usize::try_from(*index).unwrap()].1;
            assert_eq!(*value, frame(written));
        }
    }
    stream.flush().await;
    let kept = live
        .common_store()
        .read(|read| read.transcript_next(&session));
    assert_eq!(kept.unwrap(), next);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    /// Whoever attaches, at whatever moment: every entry once, in order, also where buffers are so
    /// small that every viewer reads from the store again and again.
    #[test]
    fn every_viewer_sees_every_entry_once(
        acts in prop::collection::vec(act(), 1..40),
        small in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(3)
            .enable_all()
            .build()
            .unwrap();
        let limits = if small {
            Limits { backlog: 5_000, drained: 500, buffer: 2_000, ..Limits::default() }
        } else {
            Limits { backlog: 1 << 30, ..Limits::default() }
        };
        runtime.block_on(storm(acts, limits));
    }
}

#[tokio::test]
async fn the_transcript_is_redacted_and_viewers_see_what_was_said() {
    let (_folder, store, session) = store().await;
    let live = Live::new(store.clone());
    let secret = ("API_TOKEN".to_owned(), "k3yk3yk3yk3yk3yk3y".to_owned());
    let redactor = Redactor::new([secret]);
    let stream = live.stream(&session, Some(redactor)).unwrap();
    let seen = Arc::new(Seen::default());
    stream.attach(Arc::<Seen>::clone(&seen), 0);
    let said = json!({ "text": "it is k3yk3yk3yk3yk3yk3y" });
    stream.frame(Way::FromAgent, &said);
    stream.flush().await;
    assert_eq!(seen.entries.lock().unwrap()[0].1, said);
    let kept = store.read(|read| read.transcript(&session, 0, 9)).unwrap();
    let text = kept[0].frame.to_string();
    assert!(
        !text.contains("k3yk3y") && text.contains("«secret:"),
        "{text}"
    );
    assert_eq!(kept[0].direction, "from_agent");
}

#[tokio::test]
async fn a_stream_goes_on_where_the_transcript_ends() {
    let (_folder, store, session) = store().await;
    let live = Live::new(store.clone());
    let stream = live.stream(&session, None).unwrap();
    assert_eq!(stream.frame(Way::FromAgent, &frame(0)), 0);
    live.flush().await;
    let live = Live::new(store.clone());
    let stream = live.stream(&session, None).unwrap();
    // The editor saw three entries more than were recorded.
    stream.skip_to(4);
    stream.skip_to(2);
    stream.skip_to(u64::MAX);
    assert_eq!(stream.frame(Way::FromAgent, &frame(4)), 4);
    stream.flush().await;
    let seen = Arc::new(Seen::default());
    stream.attach(Arc::<Seen>::clone(&seen), 0);
    seen.until(|seen| seen.caught_up.load(Ordering::SeqCst) == 1)
        .await;
    assert_eq!(seen.indexes(), [0, 4]);
    assert!(seen.entries.lock().unwrap().iter().all(|entry| entry.2));
}

#[tokio::test]
async fn frames_that_cannot_be_recorded_reach_viewers_and_end_a_flush() {
    let (_folder, store, _session) = store().await;
    let live = Live::new(store);
    // No row of the database knows this session.
    let stream = live.stream(&id(), None).unwrap();
    let seen = Arc::new(Seen::default());
    stream.attach(Arc::<Seen>::clone(&seen), 0);
    stream.frame(Way::FromAgent, &frame(0));
    stream.flush().await;
    assert_eq!(seen.indexes(), [0]);
    // Its indexes were given away: it must not begin anew.
    assert!(!stream.is_idle(i64::MAX));
}

#[tokio::test]
async fn what_waits_for_the_disk_is_bounded() {
    let (_folder, store, session) = store().await;
    let limits = Limits {
        queue: 20_000,
        ..Limits::default()
    };
    let live = Live::with(store.clone(), limits);
    let stream = live.stream(&session, None).unwrap();
    let (release, held) = std::sync::mpsc::channel::<()>();
    let stuck = tokio::spawn({
        let store = store.clone();
        async move {
            store
                .write::<_, StoreError>(move |_| {
                    let _ = held.recv();
                    Ok(())
                })
                .await
        }
    });
    for n in 0..10_000 {
        stream.frame(Way::FromAgent, &frame(n));
    }
    release.send(()).unwrap();
    stuck.await.unwrap().unwrap();
    stream.flush().await;
    let kept = store
        .read(|read| read.transcript_page(&session, 0..u64::MAX, usize::MAX))
        .unwrap();
    assert!(!kept.is_empty() && kept.len() < 1_000, "{}", kept.len());
    assert!(kept.iter().all(|entry| entry.frame == frame(entry.index)));
    assert_eq!(stream.frame(Way::FromAgent, &frame(10_000)), 10_000);
    stream.flush().await;
    let next = store.read(|read| read.transcript_next(&session)).unwrap();
    assert_eq!(next, 10_001);
}

#[tokio::test]
async fn questions_are_shown_once_and_taken_back() {
    let (_folder, store, session) = store().await;
    let live = Live::new(store);
    let stream = live.stream(&session, None).unwrap();
    let [first, second]: [PermissionId; 2] = [id(), id()];
    let early = Arc::new(Seen::default());
    stream.attach(Arc::<Seen>::clone(&early), 0);
    stream.ask(&first, &json!(1));
    stream.ask(&first, &json!(1));
    stream.ask(&second, &json!(2));
    stream.settle(&second);
    let late = Arc::new(Seen::default());
    stream.attach(Arc::<Seen>::clone(&late), 0);
    stream.settle(&first);
    stream.settle(&first);
    let ask = |id: &PermissionId, n: u32| format!("ask {id} {n}");
    let settled = |id: &PermissionId| format!("settled {id}");
    assert_eq!(
        *early.asks.lock().unwrap(),
        [
            ask(&first, 1),
            ask(&second, 2),
            settled(&second),
            settled(&first)
        ]
    );
    assert_eq!(
        *late.asks.lock().unwrap(),
        [ask(&first, 1), settled(&first)]
    );
}

#[tokio::test]
async fn a_frame_costs_little_on_the_thread_it_comes_on() {
    let (_folder, store, session) = store().await;
    let live = Live::new(store);
    let stream = live.stream(&session, None).unwrap();
    stream.attach(Arc::new(Quiet), 0);
    let update = json!({ "jsonrpc": "2.0", "method": "session/update", "params": {
        "sessionId": "s", "update": { "sessionUpdate": "agent_message_chunk",
        "content": { "type": "text", "text": "some words of an answer" } } } });
    let count = 20_000;
    let start = Instant::now();
    for _ in 0..count {
        stream.frame(Way::FromAgent, &update);
    }
    let each = start.elapsed() / count;
    // Also without optimization, on a busy machine.
    assert!(each < Duration::from_millis(5), "{each:?}");
    eprintln!("{each:?} for a frame");
}

struct Quiet;
impl Viewer for Quiet {
    fn entry(&self, _index: u64, _way: Way, _frame: &Value, _replay: bool) {}
}

#[test]
fn a_token_names_its_session_until_it_is_revoked() {
    let tokens = Tokens::default();
    let [one, two]: [WorkSessionId; 2] = [id(), id()];
    let token = tokens.issue(&one);
    assert_eq!(token.len(), 64);
    assert_eq!(token, tokens.issue(&one));
    assert_ne!(token, tokens.issue(&two));
    assert_eq!(tokens.session(&token), Some(one.clone()));
    for wrong in ["", "x", &token[1..], &token.to_uppercase()] {
        assert_eq!(tokens.session(wrong), None, "{wrong}");
    }
    tokens.revoke(&one);
    assert_eq!(tokens.session(&token), None);
}

#[test]
fn a_newer_registration_of_an_editor_survives_the_older() {
    let info = |instance: &str| EditorInfo {
        instance: instance.into(),
        editor: "zed 1.0".into(),
        cwd: "/r".into(),
        project: None,
        agent: None,
        pid: 7,
        since: 0,
    };
    let editors = Editors::default();
    let names = || -> Vec<String> {
        let all = editors.list();
        all.iter()
            .map(|editor| editor.info().instance.clone())
            .collect()
    };
    let old = editors.attach(info("a"), CancellationToken::new());
    let session: WorkSessionId = id();
    old.open(&session);
    assert_eq!(editors.instance_of(&session), Some("a".into()));
    let new = editors.attach(info("a"), CancellationToken::new());
    let other = editors.attach(info("b"), CancellationToken::new());
    assert_eq!(names(), ["a", "b"]);
    drop(old);
    assert_eq!(names(), ["a", "b"]);
    assert_eq!(editors.instance_of(&session), None);
    other.open(&session);
    assert_eq!(other.sessions(), std::slice::from_ref(&session));
    assert_eq!(editors.instance_of(&session), Some("b".into()));
    assert!(editors.detach("b") && other.detached() && !new.detached());
    drop((new, other));
    assert!(names().is_empty() && !editors.detach("b"));
}

fn chunk(kind: &str, text: &str) -> Value {
    json!({ "method": "session/update", "params": { "sessionId": "s", "update": {
        "sessionUpdate": kind, "content": { "type": "text", "text": text } } } })
}

fn token() -> String {
    ["ghp", "_", "aB3dE5gH7jK9mN1pQ0rS2tU4vW6xYzAcCfFi"].concat()
}

#[tokio::test]
async fn a_secret_that_is_streamed_in_chunks_is_not_recorded_in_parts() {
    let token = token();
    for cut in 1..token.len() {
        let (_folder, store, session) = store().await;
        let live = Live::new(store.clone());
        let stream = live.stream(&session, None).unwrap();
        let (head, tail) = token.split_at(cut);
        let middle = cut / 2;
        let said = [
            chunk("agent_message_chunk", &format!("it is {}", &head[..middle])),
            chunk("agent_message_chunk", &head[middle..]),
            json!({ "method": "session/update", "params": { "sessionId": "s",
                "update": { "sessionUpdate": "usage_update", "used": 1 } } }),
            chunk("agent_message_chunk", &format!("{tail} and")),
            chunk("agent_thought_chunk", "so"),
            json!({ "id": 1, "result": { "stopReason": "end_turn" } }),
        ];
        for frame in &said {
            stream.frame(Way::FromAgent, frame);
            stream.settled(false).await;
        }
        stream.flush().await;
        let kept = store.read(|read| read.transcript(&session, 0, 99)).unwrap();
        assert_eq!(kept.len(), said.len());
        assert!((0..).zip(&kept).all(|(at, entry)| entry.index == at));
        let text = |at: usize| {
            let entry: &spectask_protocol::TranscriptEntry = &kept[at];
            let text = entry.frame.pointer("/params/update/content/text");
            text.and_then(Value::as_str).unwrap().to_owned()
        };
        let message = [text(0), text(1), text(3)].concat();
        assert!(
            message.starts_with("it is «secret:github-token:"),
            "{message}"
        );
        assert!(message.ends_with("» and"), "{message}");
        assert_eq!(text(4), "so");
        assert_eq!(kept[2].frame, said[2]);
        assert_eq!(kept[5].frame, said[5]);
    }
}

#[tokio::test]
async fn who_comes_in_the_middle_of_a_word_sees_it() {
    let (_folder, store, session) = store().await;
    let live = Live::new(store.clone());
    let stream = live.stream(&session, None).unwrap();
    let said: Vec<Value> = ["a wo", "rd that go", "es on"]
        .iter()
        .map(|text| chunk("agent_message_chunk", text))
        .collect();
    stream.frame(Way::FromAgent, &said[0]);
    stream.frame(Way::FromAgent, &said[1]);
    let seen = Arc::new(Seen::default());
    stream.attach(Arc::<Seen>::clone(&seen), 0);
    seen.until(|seen| seen.caught_up.load(Ordering::SeqCst) == 1)
        .await;
    stream.frame(Way::FromAgent, &said[2]);
    seen.until(|seen| seen.indexes().len() == 3).await;
    assert_eq!(seen.indexes(), [0, 1, 2]);
    {
        let texts = seen.entries.lock().unwrap();
        assert!(texts.iter().map(|(_, frame, _)| frame).eq(&said));
    }
    // Held, and not lost when the daemon ends.
    assert_eq!(
        store.read(|read| read.transcript_next(&session)).unwrap(),
        1
    );
    live.flush().await;
    assert_eq!(
        store.read(|read| read.transcript_next(&session)).unwrap(),
        3
    );
}
