//! `kill -9` of the daemon and of agents, at moments that a seed chooses: the job ends as if nothing
//! had happened, and says what was interrupted.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::Stdio;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::Value;
use spectask_tests::env::{Next, kill};
use spectask_tests::{Follow, SampleRepo, TestEnv, processes};

const BRANCH: &str = "specs/1-job";
/// Nothing in a job of a few seconds takes longer than this.
const LIMIT: Duration = Duration::from_secs(60);
/// Leaves something behind that must not get into a commit, as builds do.
const VERIFY: &str = "mkdir -p out && date > out/built && sh checks/run.sh";
/// More crashes of an agent in a row block its session.
const AGENT_KILLS: u32 = 3;

/// Where things go wrong follows from the seed alone.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u32) -> Self {
        // Mixed: neighbours would have the same numbers, moved by one.
        let mut random = Self(u64::from(seed));
        Self(random.next())
    }

    /// SplitMix64.
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Victim {
    Daemon,
    Agent,
}

/// One kill: so many events after the one before, then a moment later.
#[derive(Clone, Copy, Debug)]
struct Strike {
    events: u64,
    pause: Duration,
    victim: Victim,
}

#[derive(Debug)]
struct Plan {
    strikes: Vec<Strike>,
    /// The daemon is also killed while the documents are approved, after this time.
    approval: Option<Duration>,
}

impl Plan {
    fn of(seed: u32) -> Self {
        let mut random = Random::new(seed);
        let mut agents = 0;
        let strikes = (0..3 + random.below(4))
            .map(|_| {
                let agent = random.below(3) == 0 && agents < AGENT_KILLS;
                agents += u32::from(agent);
                Strike {
                    events: random.below(24),
                    pause: Duration::from_micros(random.below(40_000)),
                    victim: if agent { Victim::Agent } else { Victim::Daemon },
                }
            })
            .collect();
        let approval = (random.below(3) == 0).then(|| Duration::from_micros(random.below(60_000)));
        Self { strikes, approval }
    }

    const fn undisturbed() -> Self {
        Self {
            strikes: Vec::new(),
            approval: None,
        }
    }
}

/// A job on a small project, with the built-in agent.
struct Job<'env> {
    env: &'env TestEnv,
    repo: SampleRepo<'env>,
    checkout: String,
    last: u64,
    daemons: u32,
    agents: u32,
}

/// What a job leaves.
#[derive(Debug, PartialEq)]
struct Result {
    /// Blob by path on the branch, without what names ids and times.
    tree: BTreeMap<String, String>,
    /// The steps of the SpecTask.
    steps: Vec<String>,
    /// The state of each task and session.
    states: BTreeMap<String, String>,
}

/// What a job went through.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    daemons: u32,
    agents: u32,
    interrupted: u32,
}

fn environment(pace: u32) -> TestEnv {
    let mut env = TestEnv::new();
    env.set("SPECTASK_EXAMPLE_PACE_MS", pace.to_string());
    env
}

impl<'env> Job<'env> {
    fn new(env: &'env TestEnv) -> Self {
        let repo = SampleRepo::new(env, "project")
            .file(
                "checks/run.sh",
                "set -eu\ncd \"$(dirname \"$0\")/..\"\nfor check in features/*/check.sh; do\n\
                 [ ! -e \"$check\" ] || sh \"$check\"\ndone\necho checked\n",
            )
            .commit("Checks");
        let checkout = repo.checkout_state();
        Self {
            env,
            repo,
            checkout,
            last: 0,
            daemons: 0,
            agents: 0,
        }
    }

    fn path(&self) -> &Path {
        self.repo.path()
    }

    fn show(&self) -> Value {
        // A daemon that was just killed may still take a call; the next one starts another.
        for _ in 0..3 {
            let run = self.env.run(self.path(), &["show", "1", "--json"]);
            if run.code != Some(6) {
                return serde_json::from_str(&run.ok().stdout).unwrap();
            }
        }
        panic!("the daemon does not come back");
    }

    fn status(&self) -> String {
        self.show()["task"]["status"].as_str().unwrap().to_owned()
    }

    fn create(&self) {
        let args = [
            "new",
            "Say farewell to a person",
            "--agent",
            "example",
            "--name",
            "job",
            "--verify",
            VERIFY,
            "--no-wait",
        ];
        let _ = self.env.run(self.path(), &args).ok();
    }

    fn follow(&self) -> Follow {
        let from = (self.last + 1).to_string();
        self.env
            .follow(self.path(), &["watch", "1", "--json", "--from", &from])
    }

    fn note(&mut self, line: &Value) {
        self.last = self.last.max(line["seq"].as_u64().unwrap_or(0));
    }

    /// Kills whom the strike names; whether somebody was there.
    fn kill(&mut self, victim: Victim) -> bool {
        let all = processes::of_data_dir(&self.env.data_dir());
        let daemons: BTreeSet<_> = all
            .iter()
            .filter(|p| p.is_daemon())
            .map(|p| p.pid)
            .collect();
        let found = all.iter().find(|process| match victim {
            // A child that is about to become another program still looks like the daemon.
            Victim::Daemon => {
                process.is_daemon()
                    && process
                        .parent
                        .is_none_or(|parent| !daemons.contains(&parent))
            }
            Victim::Agent => process.is_example_agent(),
        });
        let killed = found.is_some_and(|process| kill(process.pid));
        match victim {
            _ if !killed => {}
            Victim::Daemon => self.daemons += 1,
            Victim::Agent => self.agents += 1,
        }
        killed
    }

    /// Follows the job while it leaves `from`, and strikes as planned.
    fn see_through(&mut self, from: &[&str], to: &str, strikes: &mut Vec<Strike>) {
        let started = Instant::now();
        let mut count = 0;
        loop {
            let mut watch = self.follow();
            loop {
                match watch.next(Duration::from_millis(200)) {
                    Next::Line(line) => {
                        self.note(&line);
                        count += 1;
                    }
                    Next::Nothing => {}
                    Next::Ended => break,
                }
                if let Some(strike) = strikes.first().copied()
                    && count >= strike.events
                {
                    std::thread::sleep(strike.pause);
                    if self.kill(strike.victim) {
                        strikes.remove(0);
                        count = 0;
                    }
                }
                assert!(
                    started.elapsed() < LIMIT,
                    "no end of {from:?}: {:#}",
                    self.show()
                );
            }
            let status = self.status();
            if status == to {
                return;
            }
            assert!(from.contains(&status.as_str()), "{:#}", self.show());
            assert!(
                started.elapsed() < LIMIT,
                "no end of {from:?}: {:#}",
                self.show()
            );
        }
    }

    /// Approves; a kill in the middle leaves it approved or not, and then a person tries again.
    fn approve(&mut self, kill_after: Option<Duration>) {
        let mut approve = self.env.spectask(self.path(), &["approve", "1", "--yes"]);
        let mut child = approve
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        if let Some(pause) = kill_after {
            std::thread::sleep(pause);
            self.kill(Victim::Daemon);
        }
        let approved = child.wait().unwrap().success();
        if self.status() == "spec_review" {
            assert!(kill_after.is_some() && !approved, "approval was lost");
            let _ = self.env.run(self.path(), &["approve", "1", "--yes"]).ok();
        }
    }

    fn run(&mut self, plan: &Plan) {
        let mut strikes = plan.strikes.clone();
        self.create();
        self.see_through(
            &["queued_spec_generation", "spec_generation"],
            "spec_review",
            &mut strikes,
        );
        self.approve(plan.approval);
        self.see_through(
            &["spec_approved", "queued_implementation", "implementation"],
            "implementation_review",
            &mut strikes,
        );
    }

    /// Every event of the job.
    fn events(&mut self) -> Vec<Value> {
        self.last = 0;
        let mut watch = self.follow();
        while !matches!(watch.next(LIMIT), Next::Ended) {}
        let mut events = std::mem::take(&mut watch.seen);
        events.retain(|event| event["seq"].is_u64());
        events
    }

    fn result(&mut self) -> (Result, Vec<Value>) {
        let listed = self.repo.git(&["ls-tree", "-r", BRANCH]);
        let tree = listed
            .lines()
            .filter_map(|line| line.split_once('\t'))
            .filter(|(_, path)| !path.contains("/reviews/") && !path.ends_with("metadata.json"))
            .map(|(entry, path)| (path.to_owned(), entry.to_owned()))
            .collect();
        let show = self.show();
        let mut states = BTreeMap::new();
        for session in show["sessions"].as_array().unwrap() {
            states.insert(session["name"].to_string(), session["status"].to_string());
        }
        for task in show["tasks"].as_array().unwrap() {
            states.insert(task["number"].to_string(), task["status"].to_string());
        }
        let progress = &show["task"]["progress"];
        states.insert("progress".into(), progress.to_string());
        let events = self.events();
        let steps = events
            .iter()
            .filter(|event| event["kind"] == "task_status")
            .map(|event| event["data"]["to"].as_str().unwrap().to_owned())
            .collect();
        (
            Result {
                tree,
                steps,
                states,
            },
            events,
        )
    }

    fn only_expected_worktrees(&self) -> bool {
        let listed = self.repo.git(&["worktree", "list", "--porcelain"]);
        listed
            .lines()
            .filter_map(|line| line.strip_prefix("worktree "))
            .filter_map(|path| Path::new(path).file_name()?.to_str())
            .all(|name| name == "project" || name == "integration")
    }

    /// Nothing is left in the repository or in the system that should not be there.
    fn assert_clean(&self) {
        assert_eq!(
            self.repo.checkout_state(),
            self.checkout,
            "the checkout was touched"
        );
        self.repo.fsck();
        let broken = self
            .repo
            .git(&["worktree", "prune", "--dry-run", "--verbose"]);
        assert_eq!(broken, "", "broken worktrees");
        // The last is removed after the job is said to be done.
        let started = Instant::now();
        while !self.only_expected_worktrees() {
            let listed = self.repo.git(&["worktree", "list"]);
            assert!(
                started.elapsed() < Duration::from_secs(5),
                "worktrees are left: {listed}"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        // History follows the job, and holds a lock while it moves a ref.
        let started = Instant::now();
        loop {
            let mut locks = Vec::new();
            find_locks(&self.path().join(".git"), &mut locks);
            if locks.is_empty() {
                break;
            }
            let left = started.elapsed() < Duration::from_secs(10);
            assert!(left, "locks are left: {locks:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.env.run(self.path(), &["daemon", "stop"]).ok();
        let left = processes::left_over(&self.env.data_dir(), Duration::from_secs(3));
        assert!(left.is_empty(), "processes are left: {left:#?}");
        let log = std::fs::read_to_string(self.env.data_dir().join("daemon.log")).unwrap();
        assert!(!log.contains("panicked"), "{log}");
    }
}

/// What libgit2 was writing when it was killed locks nothing; the recorder removes it after an hour.
fn is_unfinished_pack(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    name.is_some_and(|name| name.starts_with("pack_git2_"))
}

fn find_locks(folder: &Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            find_locks(&path, found);
        } else if path.extension().is_some_and(|end| end == "lock") && !is_unfinished_pack(&path) {
            found.push(path.display().to_string());
        }
    }
}

/// Each turn that began ended once, each session was merged once and then left alone, and nobody did
/// anything that is not allowed.
fn assert_history(events: &[Value]) -> u32 {
    let mut open: BTreeMap<(String, u64), usize> = BTreeMap::new();
    let mut merged = BTreeSet::new();
    let mut turns: BTreeMap<String, u64> = BTreeMap::new();
    let mut interrupted = 0;
    let mut seq = 0;
    for (at, event) in events.iter().enumerate() {
        let number = event["seq"].as_u64().unwrap();
        assert!(number > seq, "events out of order at {number}");
        seq = number;
        let session = event["session"].as_str().unwrap_or_default().to_owned();
        let data = &event["data"];
        match event["kind"].as_str().unwrap() {
            "turn_started" => {
                let turn = data["turn"].as_u64().unwrap();
                let last = turns.insert(session.clone(), turn).unwrap_or(0);
                assert_eq!(turn, last + 1, "{event}");
                assert!(
                    !merged.contains(&session),
                    "a turn after the merge: {event}"
                );
                assert!(open.insert((session, turn), at).is_none());
            }
            "turn_ended" => {
                let turn = data["turn"].as_u64().unwrap();
                let began = open.remove(&(session, turn));
                assert!(began.is_some(), "ended twice or never began: {event}");
                let reason = data["reason"].as_str().unwrap_or_default();
                let cut = reason.contains("the daemon stopped") || reason.contains("SIGKILL");
                assert_eq!(data["status"] == "interrupted", cut, "{event}");
                interrupted += u32::from(cut);
            }
            "agent_started" | "session_stage" | "session_committed" => {
                assert!(!merged.contains(&session), "work after the merge: {event}");
            }
            "session_merged" => assert!(merged.insert(session), "merged twice: {event}"),
            "incident" => panic!("nobody did anything wrong: {event}"),
            _ => {}
        }
    }
    assert!(open.is_empty(), "turns that never ended: {open:?}");
    assert_eq!(merged.len(), 4, "every session was merged");
    interrupted
}

fn undisturbed() -> &'static Result {
    static RESULT: OnceLock<Result> = OnceLock::new();
    RESULT.get_or_init(|| {
        let env = environment(0);
        let mut job = Job::new(&env);
        job.run(&Plan::undisturbed());
        let (result, events) = job.result();
        assert_eq!(assert_history(&events), 0);
        job.assert_clean();
        assert!(
            result.tree.keys().any(|path| path.starts_with("features/")),
            "{result:#?}"
        );
        let tasks = job.repo.show(BRANCH, "specs/1-job/tasks.md").unwrap();
        assert!(tasks.contains("- [x] 4. "), "{tasks}");
        result
    })
}

fn one_seed(seed: u32) -> Seen {
    let env = environment(15);
    let mut job = Job::new(&env);
    let plan = Plan::of(seed);
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        job.run(&plan);
        let (result, events) = job.result();
        let interrupted = assert_history(&events);
        assert_eq!(&result, undisturbed(), "another result than undisturbed");
        job.assert_clean();
        Seen {
            daemons: job.daemons,
            agents: job.agents,
            interrupted,
        }
    }));
    outcome.unwrap_or_else(|panic| {
        let log = std::fs::read_to_string(env.data_dir().join("daemon.log")).unwrap_or_default();
        let log: Vec<&str> = log.lines().collect();
        let log = log[log.len().saturating_sub(40)..].join("\n");
        let mut text = format!("seed {seed}, {plan:?}\nthe end of the daemon's log:\n{log}\n");
        let said = panic.downcast_ref::<String>().map(String::as_str);
        let said = said.or_else(|| panic.downcast_ref::<&str>().copied());
        let _ = writeln!(text, "{}", said.unwrap_or("it panicked"));
        panic!("{text}");
    })
}

pub(crate) fn number(variable: &str, default: u32) -> u32 {
    let given = std::env::var(variable).ok();
    given.map_or(default, |text| {
        text.parse().unwrap_or_else(|_| panic!("{variable}={text}"))
    })
}

#[test]
fn a_job_ends_well_whatever_is_killed() {
    let from = number("SPECTASK_SOAK_FROM", 0);
    let seeds = number("SPECTASK_SOAK_SEEDS", 10);
    undisturbed();
    let mut failed = Vec::new();
    let mut all = Seen::default();
    for seed in from..from + seeds {
        let started = Instant::now();
        match catch_unwind(|| one_seed(seed)) {
            Ok(seen) => {
                println!(
                    "seed {seed}: {seen:?} in {:.1} s",
                    started.elapsed().as_secs_f32()
                );
                all.daemons += seen.daemons;
                all.agents += seen.agents;
                all.interrupted += seen.interrupted;
            }
            Err(_) => failed.push(seed),
        }
    }
    println!(
        "{seeds} seeds from {from}: {all:?}, {} failed",
        failed.len()
    );
    assert!(failed.is_empty(), "failed seeds: {failed:?}");
    assert!(
        seeds < 5 || (all.daemons > 0 && all.agents > 0 && all.interrupted > 0),
        "{all:?}"
    );
}

/// Waits for an event of a kind that was not seen yet.
fn wait_for(watch: &mut Follow, kind: &str) -> Value {
    watch.wait_for_next(LIMIT, |event| event["kind"] == kind)
}

#[test]
fn a_turn_that_the_end_of_the_daemon_cut_is_interrupted_and_goes_on() {
    let env = environment(150);
    let mut job = Job::new(&env);
    job.create();
    let mut watch = job.follow();
    wait_for(&mut watch, "turn_started");
    assert!(job.kill(Victim::Daemon));
    let ended = wait_for(&mut watch, "turn_ended");
    assert_eq!(ended["data"]["status"], "interrupted");
    let again = wait_for(&mut watch, "turn_started");
    assert_eq!(again["data"]["turn"], 2);
    let ended = wait_for(&mut watch, "turn_ended");
    assert_eq!(ended["data"]["reason"], "end_turn");
    job.see_through(&["spec_generation"], "spec_review", &mut Vec::new());
    job.assert_clean();
}

#[test]
fn an_agent_that_is_killed_again_and_again_blocks_its_session_until_a_person_retries() {
    let env = environment(150);
    let mut job = Job::new(&env);
    job.create();
    let mut watch = job.follow();
    for _ in 0..=AGENT_KILLS {
        wait_for(&mut watch, "turn_started");
        assert!(job.kill(Victim::Agent));
        let ended = wait_for(&mut watch, "turn_ended");
        assert_eq!(ended["data"]["status"], "interrupted");
        let reason = ended["data"]["reason"].as_str().unwrap();
        assert!(reason.contains("SIGKILL"), "{reason}");
    }
    let blocked = watch.wait_for(LIMIT, |event| event["data"]["to"] == "blocked");
    assert_eq!(blocked["data"]["waiting"], "agent");
    let _ = env.run(job.path(), &["retry", "1"]).ok();
    job.see_through(&["spec_generation"], "spec_review", &mut Vec::new());
    job.assert_clean();
}
