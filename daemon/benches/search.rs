//! A search over 100,000 turns, for a text in 1 % of them, in five of them and in none. The baseline in
//! the same run reads every transcript, as a search without an index has to.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a bench that cannot be set up has nothing to tell"
)]

use std::sync::LazyLock;

use divan::{Bencher, black_box};
use serde_json::json;
use spectask::{
    history,
    store::{Frame, NewSession, SearchFilter, Store, StoreError},
};
use spectask_protocol::{SessionMethod, SessionPhase, TurnStatus, WorkSessionId};

const SESSIONS: usize = 1_000;
const TURNS: usize = 100;
/// What a person gets who asks for no number.
const HITS: usize = 20;

struct Kept {
    _folder: tempfile::TempDir,
    store: Store,
}

static KEPT: LazyLock<Kept> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("spectask.db")).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut words = Words(7);
        for number in 0..SESSIONS {
            fill(&store, number, &mut words).await.unwrap();
        }
        let before = std::time::Instant::now();
        history::catch_up(&store).await.unwrap();
        eprintln!("indexed in {:.1} s", before.elapsed().as_secs_f64());
    });
    let size = |name: &str| {
        let about = std::fs::metadata(folder.path().join(name));
        about.map_or(0, |about| about.len() >> 20)
    };
    eprintln!("database {} MiB", size("spectask.db"));
    Kept {
        _folder: folder,
        store,
    }
});

/// Words of a made-up language, common ones more often: a fixed sequence.
struct Words(u64);

impl Words {
    fn next(&mut self, below: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }

    fn text(&mut self, words: usize) -> String {
        let mut text = String::new();
        for _ in 0..words {
            let rank = self
                .next(20_000)
                .min(self.next(20_000))
                .min(self.next(20_000));
            let mut rest = rank + 17;
            while rest > 0 {
                let syllables = [
                    "ba", "ke", "di", "mo", "nu", "ra", "se", "ti", "lo", "fu", "in", "er",
                ];
                text.push_str(syllables[(rest % 12) as usize]);
                rest /= 12;
            }
            text.push(' ');
        }
        text
    }
}

async fn fill(store: &Store, number: usize, words: &mut Words) -> Result<(), StoreError> {
    let session: WorkSessionId = uuid::Uuid::now_v7().to_string().parse().unwrap();
    let turns: Vec<(String, String)> = (0..TURNS)
        .map(|turn| {
            let mut said = words.text(120);
            let at = number * TURNS + turn;
            if at % 100 == 7 {
                said.push_str("the quick zebra_crossing ");
            }
            if at % 20_000 == 11 {
                said.push_str("a quetzalcoatl ");
            }
            (words.text(40), said + &words.text(60))
        })
        .collect();
    store
        .write(move |write| {
            write.insert_session(&NewSession {
                id: session.clone(),
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
                project: None,
            })?;
            for (prompt, said) in turns {
                let turn = write.insert_turn(&session, "prompt", None)?;
                let first = write.transcript_next(&session)?;
                let frame = |direction: &str, frame| Frame {
                    at: write.now(),
                    direction: direction.into(),
                    frame,
                };
                let prompt = json!({ "id": 1, "method": "session/prompt",
                    "params": { "prompt": [{ "type": "text", "text": prompt }] } });
                let mut frames = vec![frame("to_agent", prompt)];
                for piece in said.as_bytes().chunks(64) {
                    let piece = String::from_utf8_lossy(piece);
                    let update = json!({ "method": "session/update", "params": { "update": {
                        "sessionUpdate": "agent_message_chunk",
                        "content": { "type": "text", "text": piece } } } });
                    frames.push(frame("from_agent", update));
                }
                write.append_transcript(&session, first, frames)?;
                write.end_turn(&session, turn, TurnStatus::Ended, None)?;
            }
            Ok(())
        })
        .await
}

fn find(text: &str) -> usize {
    let found = history::find(&KEPT.store, text, &SearchFilter::default(), HITS).unwrap();
    assert!(found.complete && found.behind == 0);
    found.hits.len()
}

fn main() {
    // Not within the first bench's time.
    LazyLock::force(&KEPT);
    divan::main();
}

#[divan::bench(sample_count = 50, sample_size = 1)]
fn in_one_percent_of_the_turns(bencher: Bencher) {
    assert_eq!(find("zebra_crossing"), HITS);
    bencher.bench(|| find(black_box("zebra_crossing")));
}

#[divan::bench(sample_count = 50, sample_size = 1)]
fn in_five_turns(bencher: Bencher) {
    assert_eq!(find("Quetzalcoatl"), 5);
    bencher.bench(|| find(black_box("Quetzalcoatl")));
}

#[divan::bench(sample_count = 50, sample_size = 1)]
fn of_two_letters(bencher: Bencher) {
    assert_eq!(find("zc"), 0);
    bencher.bench(|| find(black_box("_c")));
}

#[divan::bench(sample_count = 20, sample_size = 1)]
fn in_none(bencher: Bencher) {
    assert_eq!(find("bakedimoxyz"), 0);
    bencher.bench(|| find(black_box("bakedimoxyz")));
}

#[divan::bench(sample_count = 1, sample_size = 1)]
fn baseline_reading_everything(bencher: Bencher) {
    bencher.bench(|| {
        let hits = history::scan(&KEPT.store, black_box("Quetzalcoatl"), HITS).unwrap();
        assert_eq!(hits.len(), 5);
    });
}
