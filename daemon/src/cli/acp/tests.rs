//! Random lives of a shim against what must always hold.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    time::{Duration, Instant},
};

use proptest::prelude::*;
use serde_json::{Value, json};
use spectask_protocol::{Failure, FailureKind, shim::At};

use super::pending::Pending;

#[derive(Debug, Clone)]
enum Op {
    Prompt(u8),
    Ask(&'static str),
    Cancel(u8),
    CancelRequest(usize),
    Tell,
    Answer(usize),
    DaemonAsks,
    DaemonStreams(u8, u64),
    EditorAnswers(usize),
    Pull(usize),
    Lose,
    Attach,
    Fail,
    Wait(u64),
    Detach,
    Garbage,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (0..3_u8).prop_map(Op::Prompt),
        2 => prop::sample::select(vec!["initialize", "session/new", "session/load", "session/list"]).prop_map(Op::Ask),
        2 => (0..3_u8).prop_map(Op::Cancel),
        1 => any::<usize>().prop_map(Op::CancelRequest),
        2 => Just(Op::Tell),
        4 => any::<usize>().prop_map(Op::Answer),
        3 => Just(Op::DaemonAsks),
        3 => (0..3_u8, 0..20_u64).prop_map(|(session, index)| Op::DaemonStreams(session, index)),
        3 => any::<usize>().prop_map(Op::EditorAnswers),
        6 => (0..8_usize).prop_map(Op::Pull),
        2 => Just(Op::Lose),
        4 => Just(Op::Attach),
        1 => Just(Op::Fail),
        1 => (0..30_u64).prop_map(Op::Wait),
        1 => Just(Op::Detach),
        1 => Just(Op::Garbage),
    ]
}

/// What the editor wrote, in order.
struct Written {
    text: String,
    /// The id of a request.
    id: Option<String>,
    /// The session of a prompt.
    prompts: Option<String>,
    cancels: Option<String>,
    cancels_request: Option<String>,
    /// The daemon whose request it answers.
    answers: Option<u32>,
    /// Daemons that got it.
    got: BTreeSet<u32>,
    /// Dropped for good: answered, or the editor was detached.
    done: bool,
}

struct World {
    pending: Pending,
    start: Instant,
    now: Instant,
    /// The daemon that is there.
    daemon: Option<u32>,
    daemons: u32,
    written: Vec<Written>,
    numbers: BTreeMap<u64, String>,
    answered: BTreeMap<String, u32>,
    /// Requests of daemons at the editor: id, daemon.
    asked: Vec<(String, u32)>,
    withdrawn: BTreeSet<String>,
    asks: u32,
    streamed: BTreeMap<String, u64>,
    detached: bool,
}

fn session(n: u8) -> String {
    format!("00000000-0000-7000-8000-0000000000{n:02}")
}

impl World {
    fn new() -> Self {
        let start = Instant::now();
        let mut pending = Pending::new(start);
        for n in 0..3 {
            pending.streams.opened(session(n).parse().unwrap(), true);
        }
        Self {
            pending,
            start,
            now: start,
            daemon: None,
            daemons: 0,
            written: Vec::new(),
            numbers: BTreeMap::new(),
            answered: BTreeMap::new(),
            asked: Vec::new(),
            withdrawn: BTreeSet::new(),
            asks: 0,
            streamed: BTreeMap::new(),
            detached: false,
        }
    }

    #[allow(clippy::needless_pass_by_value, reason = "frames are written in place")]
    fn write(&mut self, frame: Value) {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let method = text(&frame["method"]).unwrap_or_default();
        let subject = text(&frame["params"]["sessionId"]);
        let is_response = frame.get("method").is_none();
        let id = text(&frame["id"]).filter(|_| !is_response);
        let line = frame.to_string();
        self.pending.line(line.as_bytes(), self.now);
        let attaches = ["initialize", "session/new", "session/load"].contains(&method.as_str());
        if self.detached && attaches {
            self.detached = false;
        }
        let answers = is_response.then(|| {
            let id = text(&frame["id"]).unwrap();
            let at = self.asked.iter().position(|(asked, _)| *asked == id);
            self.asked.remove(at.unwrap()).1
        });
        self.written.push(Written {
            text: line,
            id,
            prompts: subject.clone().filter(|_| method == "session/prompt"),
            cancels: subject.filter(|_| method == "session/cancel"),
            cancels_request: text(&frame["params"]["requestId"]),
            answers,
            got: BTreeSet::new(),
            done: self.detached,
        });
        self.check();
    }

    fn nth_open(&self, n: usize) -> Option<String> {
        let open: Vec<_> = self.written.iter().filter(|one| !one.done).collect();
        let ids: Vec<_> = open.iter().filter_map(|one| one.id.clone()).collect();
        ids.get(n % ids.len().max(1)).cloned()
    }

    /// What must go to a daemon that is there now.
    fn expected(&self, daemon: u32) -> Vec<(&str, bool)> {
        let open = |one: &&Written| !one.done && one.id.is_some();
        let wanted = |at: usize, one: &Written| {
            let before = || self.written[..at].iter().filter(open);
            if one.done || one.got.contains(&daemon) {
                return false;
            }
            if let Some(by) = one.answers {
                return by == daemon;
            }
            one.id.is_some()
                || one.got.is_empty()
                || one.cancels.as_ref().is_some_and(|session| {
                    before().any(|other| other.prompts.as_ref() == Some(session))
                })
                || one
                    .cancels_request
                    .as_ref()
                    .is_some_and(|id| before().any(|other| other.id.as_ref() == Some(id)))
        };
        let wanted = self
            .written
            .iter()
            .enumerate()
            .filter(|(at, one)| wanted(*at, one));
        wanted
            .map(|(_, one)| (one.text.as_str(), !one.got.is_empty()))
            .collect()
    }

    fn pull(&mut self, count: usize) {
        let Some(daemon) = self.daemon else {
            assert!(self.pending.next().is_none());
            return;
        };
        for _ in 0..count {
            let expected = self.expected(daemon);
            let expected = expected
                .first()
                .map(|(text, again)| ((*text).to_owned(), *again));
            let got = self.pending.next();
            let shown = got.as_ref().map(|got| (got.text.to_string(), got.again));
            assert_eq!(shown, expected);
            let Some(got) = got else { return };
            let one = self
                .written
                .iter_mut()
                .find(|one| *one.text == *got.text)
                .unwrap();
            assert_eq!(got.number.is_some(), one.id.is_some());
            if let Some(number) = got.number {
                let known = self
                    .numbers
                    .entry(number)
                    .or_insert_with(|| one.text.clone());
                assert_eq!(*known, one.text);
            }
            one.got.insert(daemon);
            // A cancellation for something that was over is for this daemon only.
        }
    }

    /// Looks at what came out for the editor.
    fn check(&mut self) {
        for frame in self.pending.take_out() {
            let value: Value = serde_json::from_str(&frame.text).unwrap();
            assert!(!frame.text.contains('\n'));
            if value["method"] == "$/cancel_request" {
                let id = value["params"]["requestId"].as_str().unwrap().to_owned();
                assert!(self.asked.iter().any(|(asked, _)| *asked == id));
                assert!(self.withdrawn.insert(id), "withdrawn twice");
            } else if let Some(at) = frame.at {
                let last = self.streamed.insert(at.session.to_string(), at.index);
                assert!(last.is_none_or(|last| last < at.index), "out of order");
            } else if value.get("method").is_none() {
                let Some(id) = value["id"].as_str() else {
                    assert_eq!(value["error"]["code"], -32700);
                    continue;
                };
                let times = self.answered.entry(id.to_owned()).or_default();
                *times += 1;
                assert_eq!(*times, 1, "{id} is answered twice");
                let mut of_it = self
                    .written
                    .iter_mut()
                    .filter(|one| one.id.as_deref() == Some(id));
                // Refused at once while detached: noted as written only after this.
                if let Some(one) = of_it.next() {
                    one.done = true;
                }
            }
        }
    }

    fn lose(&mut self) {
        self.pending.lost(self.now);
        self.daemon = None;
        self.check();
        let open = self.asked.iter().map(|(id, _)| id);
        assert!(open.clone().all(|id| self.withdrawn.contains(id)));
    }

    fn attach(&mut self) {
        if self.daemon.is_none() && self.pending.wants_daemon() {
            self.daemons += 1;
            self.daemon = Some(self.daemons);
            self.pending.attached();
        }
    }

    fn answer(&mut self, n: usize) {
        if self.daemon.is_none() {
            return;
        }
        // A daemon may know a request from the one before.
        let got = |one: &&Written| one.id.is_some() && !one.got.is_empty();
        let got: Vec<_> = self
            .written
            .iter()
            .filter(got)
            .filter_map(|one| one.id.clone())
            .collect();
        // Now and then one that was answered before.
        if let Some(id) = got.get(n % got.len().max(1)) {
            let text = json!({ "jsonrpc": "2.0", "id": id, "result": {} }).to_string();
            self.pending.heard(None, text.into());
            self.check();
        }
    }

    #[allow(clippy::needless_pass_by_value, reason = "an operation is run once")]
    fn run(&mut self, op: Op) {
        let serial = self.written.len();
        match op {
            Op::Prompt(n) => {
                let id = format!("e{serial}");
                self.write(json!({ "id": id, "method": "session/prompt", "params": { "sessionId": session(n), "prompt": [serial] } }));
            }
            Op::Ask(method) => {
                let id = format!("e{serial}");
                self.write(json!({ "id": id, "method": method, "params": { "sessionId": session(9) } }));
            }
            Op::Cancel(n) => self.write(json!({ "method": "session/cancel", "params": { "sessionId": session(n), "_meta": serial } })),
            Op::CancelRequest(n) => {
                if let Some(id) = self.nth_open(n) {
                    self.write(json!({ "method": "$/cancel_request", "params": { "requestId": id, "_meta": serial } }));
                }
            }
            Op::Tell => self.write(json!({ "method": "_x/y", "params": serial })),
            Op::Answer(n) => self.answer(n),
            Op::DaemonAsks => {
                if let Some(daemon) = self.daemon {
                    self.asks += 1;
                    let id = format!("d{}", self.asks);
                    self.asked.push((id.clone(), daemon));
                    let text = json!({ "id": id, "method": "session/request_permission" });
                    self.pending.heard(None, text.to_string().into());
                    self.check();
                }
            }
            Op::DaemonStreams(n, index) => {
                if self.daemon.is_some() {
                    let at = At { session: session(n).parse().unwrap(), index };
                    let text = json!({ "method": "session/update" }).to_string();
                    self.pending.heard(Some(at), text.into());
                    self.check();
                }
            }
            Op::EditorAnswers(n) => {
                if let Some((id, _)) = self.asked.get(n % self.asked.len().max(1)) {
                    self.write(json!({ "id": id.clone(), "result": serial }));
                }
            }
            Op::Pull(count) => self.pull(count),
            Op::Lose => {
                if self.daemon.is_some() {
                    self.lose();
                }
            }
            Op::Attach => self.attach(),
            Op::Fail => self.pending.failed(Failure::new(FailureKind::Unavailable, "broken")),
            Op::Wait(seconds) => {
                self.now += Duration::from_secs(seconds);
                self.pending.tick(self.now);
                self.check();
                assert!(self.pending.deadline().is_none_or(|until| until > self.now));
            }
            Op::Detach => {
                if self.daemon.is_some() {
                    self.daemon = None;
                    self.pending.detached("elsewhere".to_owned(), self.now);
                    self.check();
                    for one in &mut self.written {
                        assert!(one.done || one.id.is_none());
                        one.done = true;
                    }
                    self.detached = true;
                    assert!(!self.pending.wants_daemon());
                }
            }
            Op::Garbage => {
                self.pending.line(b"{\"id\":", self.now);
                self.check();
            }
        }
    }

    /// Lets a daemon come and answer everything.
    fn finish(mut self) {
        self.run(Op::Ask("initialize"));
        self.attach();
        self.pull(usize::MAX);
        for n in 0..self.written.len() {
            self.answer(n);
        }
        for one in self.written.iter().filter(|one| one.id.is_some()) {
            let id = one.id.as_deref().unwrap();
            assert_eq!(self.answered.get(id), Some(&1), "{id}");
        }
        assert!(self.pending.next().is_none());
        assert!(self.now >= self.start);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 2000 } else { 20_000 }))]

    #[test]
    fn every_request_is_answered_once_and_nothing_goes_astray(ops in prop::collection::vec(op(), 0..60)) {
        let mut world = World::new();
        for op in ops {
            world.run(op);
        }
        world.finish();
    }
}

fn failure() -> Failure {
    Failure::new(FailureKind::Unavailable, "the daemon did not start").hint("see the log")
}

fn out(pending: &mut Pending) -> Vec<String> {
    let out = pending.take_out().into_iter();
    out.map(|frame| frame.text.into()).collect()
}

#[test]
fn a_failure_is_told_after_a_while_and_what_opens_a_thread_waits_longer() {
    let start = Instant::now();
    let mut pending = Pending::new(start);
    pending.line(br#"{"id":"i","method":"initialize","params":{}}"#, start);
    pending.line(
        br#"{"id":"p","method":"session/prompt","params":{"sessionId":"s"}}"#,
        start,
    );
    let hour = start + Duration::from_secs(3600);
    pending.tick(hour);
    assert_eq!(pending.deadline(), None, "nobody knows of a failure");
    pending.failed(failure());
    let first = pending.deadline().unwrap();
    assert_eq!(first, start + Duration::from_secs(20));
    pending.tick(first);
    insta::assert_snapshot!(out(&mut pending).join("\n"), @r#"{"jsonrpc":"2.0","id":"p","error":{"code":-32603,"message":"Internal error","data":{"details":"the daemon did not start\nsee the log"}}}"#);
    let second = pending.deadline().unwrap();
    assert_eq!(second, start + Duration::from_secs(60));
    pending.tick(second);
    assert_eq!(out(&mut pending).len(), 1);
    assert_eq!(pending.deadline(), None);
    pending.attached();
    assert_eq!(pending.next(), None);
}

#[test]
fn a_prompt_that_ran_for_long_has_its_time_from_the_loss_on() {
    let start = Instant::now();
    let mut pending = Pending::new(start);
    pending.attached();
    pending.line(
        br#"{"id":"p","method":"session/prompt","params":{"sessionId":"s"}}"#,
        start,
    );
    assert!(!pending.next().unwrap().again);
    let lost = start + Duration::from_secs(1000);
    pending.lost(lost);
    pending.failed(failure());
    assert_eq!(pending.deadline(), Some(lost + Duration::from_secs(20)));
}

#[test]
fn the_next_daemon_learns_how_the_editor_initialised() {
    let start = Instant::now();
    let mut pending = Pending::new(start);
    pending.attached();
    let line = br#"{"id":1,"method":"initialize","params":{"protocolVersion":1, "x":[]}}"#;
    pending.line(line, start);
    assert_eq!(
        pending.next().unwrap().text,
        Rc::from(std::str::from_utf8(line).unwrap())
    );
    assert!(pending.initialize().is_none());
    pending.heard(None, r#"{"id":1,"result":{}}"#.into());
    let params = pending.initialize().unwrap();
    assert_eq!(params.get(), r#"{"protocolVersion":1, "x":[]}"#);
}

#[test]
fn a_load_that_is_sent_again_goes_on_where_it_was() {
    let start = Instant::now();
    let mut pending = Pending::new(start);
    let id = session(1);
    let frame = |index| At {
        session: session(1).parse().unwrap(),
        index,
    };
    let load = json!({ "id": 1, "method": "session/load", "params": { "sessionId": id } });
    let update = || r#"{"method":"session/update"}"#.into();
    pending.line(load.to_string().as_bytes(), start);
    pending.attached();
    pending.next();
    pending.opened(id.parse().unwrap());
    for index in 0..3 {
        pending.heard(Some(frame(index)), update());
    }
    assert_eq!(out(&mut pending).len(), 3);
    pending.lost(start);
    pending.attached();
    assert!(pending.next().unwrap().again);
    pending.opened(id.parse().unwrap());
    for index in 0..4 {
        pending.heard(Some(frame(index)), update());
    }
    pending.heard(Some(frame(2)), r#"{"id":1,"result":{}}"#.into());
    assert_eq!(out(&mut pending).len(), 2, "the fourth and the answer");
    // Loaded once more, by an editor that has forgotten it.
    let again = json!({ "id": 2, "method": "session/load", "params": { "sessionId": id } });
    pending.line(again.to_string().as_bytes(), start);
    pending.next();
    pending.opened(id.parse().unwrap());
    pending.heard(Some(frame(0)), update());
    assert_eq!(out(&mut pending).len(), 1);
}
