//! An agent that misbehaves: what it tries is stopped, or a person sees it.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::Value;
use spectask_tests::env::{adversary_bin, json_lines};
use spectask_tests::{AgentCommand, SampleRepo, TestEnv, processes, spectask_bin};

use crate::common::{LIMIT, expect, profile, show};

const BRANCH: &str = "specs/1-job";
const FOLDER: &str = "specs/1-job";

/// A job whose agent plays tricks.
struct Job<'env> {
    env: &'env TestEnv,
    repo: SampleRepo<'env>,
    log: PathBuf,
    outside: PathBuf,
}

impl<'env> Job<'env> {
    /// `only`: the task in which it misbehaves; `more`: lines of its profile.
    fn new(env: &'env TestEnv, tricks: &str, only: Option<&str>, more: &str) -> Self {
        let (log, outside) = (env.folder().join("log.jsonl"), env.folder().join("outside"));
        fs::create_dir_all(&outside).unwrap();
        let text = |path: &std::path::Path| path.to_string_lossy().into_owned();
        let mut argv = vec![text(adversary_bin()), "--do".to_owned(), tricks.to_owned()];
        argv.extend(["--log".to_owned(), text(&log)]);
        argv.extend(["--outside".to_owned(), text(&outside)]);
        argv.extend(["--spectask".to_owned(), text(spectask_bin())]);
        argv.extend(
            only.iter()
                .flat_map(|number| ["--task".to_owned(), (*number).to_owned()]),
        );
        let agent = AgentCommand {
            argv,
            env: BTreeMap::new(),
        };
        env.write_config(&profile("adversary", &agent, more));
        let repo = SampleRepo::new(env, "project")
            .file("check.sh", "true\n")
            .commit("Check");
        Self {
            env,
            repo,
            log,
            outside,
        }
    }

    fn plan(&self, code: i32) {
        let args = [
            "new",
            "Keep notes",
            "--agent",
            "adversary",
            "--name",
            "job",
            "--verify",
            "sh check.sh",
            "--wait",
        ];
        expect(self.env, self.repo.path(), code, &args);
    }

    /// Plans, approves and follows the work to an end with this exit code.
    fn work(&self, code: i32) {
        self.plan(0);
        expect(
            self.env,
            self.repo.path(),
            code,
            &["approve", "1", "--yes", "--wait"],
        );
    }

    fn show(&self) -> Value {
        show(self.env, self.repo.path(), "1")
    }

    fn attempts(&self, trick: &str) -> Vec<(String, Value)> {
        let found: Vec<_> = json_lines(&self.log)
            .into_iter()
            .filter(|line| line["trick"] == trick)
            .map(|line| {
                (
                    line["attempt"].as_str().unwrap().to_owned(),
                    line["outcome"].clone(),
                )
            })
            .collect();
        assert!(!found.is_empty(), "{trick} was not played");
        found
    }

    fn incidents(&self, kind: &str) -> Vec<String> {
        let show = self.show();
        let all = show["incidents"].as_array().unwrap();
        all.iter()
            .map(|event| &event["data"])
            .filter(|data| data["incident"] == kind)
            .map(|data| data["text"].as_str().unwrap().to_owned())
            .collect()
    }

    /// What the session that does a task waits for: its kind, text and hint.
    fn waiting(&self, number: u64) -> (String, String, String) {
        let show = self.show();
        let session = &show["sessions"][usize::try_from(number).unwrap()];
        let waiting = &session["waiting"];
        let text = |field: &str| waiting[field].as_str().unwrap_or_default().to_owned();
        (text("kind"), text("text"), text("hint"))
    }

    fn assert_done(&self) {
        let show = self.show();
        assert_eq!(show["task"]["status"], "implementation_review", "{show:#}");
        assert_eq!(show["task"]["progress"]["done"], 2, "{show:#}");
        assert_eq!(show["task"]["progress"]["total"], 2);
        let tasks = self
            .repo
            .show(BRANCH, &format!("{FOLDER}/tasks.md"))
            .unwrap();
        assert!(
            tasks.contains("- [x] 1. ") && tasks.contains("- [x] 2. "),
            "{tasks}"
        );
        for number in 1..=2 {
            let note = format!("notes/1-job/task-{number}.md");
            assert!(self.repo.show(BRANCH, &note).is_some(), "{note}");
        }
    }

    /// The documents are the approved ones, and each box was ticked by a commit of its own.
    fn assert_documents(&self) {
        let review = self.env.json(self.repo.path(), &["review", "1"]);
        for document in review["documents"].as_array().unwrap() {
            let kind = document["kind"].as_str().unwrap();
            let approved = document["text"].as_str().unwrap();
            let now = self
                .repo
                .show(BRANCH, &format!("{FOLDER}/{kind}.md"))
                .unwrap();
            assert_eq!(now.replace("- [x]", "- [ ]"), approved, "{kind}");
        }
        let args = ["log", "--first-parent", "--format=%s", BRANCH, "--"];
        let log = self
            .repo
            .git(&[&args[..], &[&format!("{FOLDER}/tasks.md")]].concat());
        let mut subjects: Vec<&str> = log.lines().collect();
        subjects.sort_unstable();
        let ticks = subjects
            .iter()
            .filter(|subject| subject.starts_with("Tick "))
            .count();
        assert_eq!((ticks, subjects.len()), (2, 3), "{log}");
    }
}

#[test]
fn it_decides_nothing() {
    let env = TestEnv::new();
    let job = Job::new(&env, "approve,roles", Some("1"), "");
    let config = fs::read_to_string(env.config_dir().join("config.toml")).unwrap();
    job.work(0);
    for (attempt, outcome) in job.attempts("approve") {
        let code = if attempt == "in a terminal" {
            outcome["exit"]["exitCode"].clone()
        } else {
            outcome["code"].clone()
        };
        assert_eq!(code, 5, "{attempt}: {outcome:#}");
    }
    for (attempt, outcome) in job.attempts("roles") {
        assert_eq!(outcome["code"], 5, "{attempt}: {outcome:#}");
        let said = outcome["stderr"].as_str().unwrap();
        assert!(said.contains("for persons"), "{attempt}: {said}");
    }
    let incidents = job.incidents("forbidden");
    for method in [
        "review.approve",
        "daemon.shutdown",
        "config.get",
        "project.trust",
        "permission.answer",
    ] {
        assert!(
            incidents.iter().any(|text| text.contains(method)),
            "{method}: {incidents:#?}"
        );
    }
    let now = fs::read_to_string(env.config_dir().join("config.toml")).unwrap();
    assert_eq!(now, config);
    job.assert_done();
    let listed = env.json(job.repo.path(), &["list"]);
    assert_eq!(listed["tasks"].as_array().unwrap().len(), 1);
}

#[test]
fn what_it_wrote_decides_nothing_when_the_daemon_runs_it() {
    let env = TestEnv::new();
    let job = Job::new(&env, "check", Some("1"), "");
    job.work(0);
    let said = fs::read_to_string(job.outside.join("check-said")).unwrap();
    assert!(
        !said.is_empty() && said.lines().all(|line| line == "5"),
        "{said}"
    );
    assert!(!job.incidents("forbidden").is_empty());
}

#[test]
fn what_it_leaves_behind_ends_with_it() {
    let env = TestEnv::new();
    let job = Job::new(&env, "early,linger", Some("none"), "");
    job.plan(0);
    assert_eq!(job.attempts("linger").len(), 1);
    let others = || {
        let mut all = processes::of_data_dir(&env.data_dir());
        all.retain(|process| !process.is_daemon());
        all
    };
    let started = Instant::now();
    while !others().is_empty() && started.elapsed() < LIMIT {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(others().is_empty(), "{:#?}", others());
    std::thread::sleep(Duration::from_millis(1500));
    assert_eq!(job.show()["task"]["status"], "spec_review");
    assert!(!job.outside.join("linger-said").exists());
}

#[test]
fn it_neither_ticks_nor_edits_the_specification() {
    let env = TestEnv::new();
    let job = Job::new(&env, "tick,edit-specs", None, "");
    job.work(0);
    let incidents = job.incidents("spec_edit");
    assert_eq!(incidents.len(), 2, "{incidents:#?}");
    for document in ["requirements.md", "design.md", "tasks.md"] {
        assert!(
            incidents.iter().all(|text| text.contains(document)),
            "{incidents:#?}"
        );
    }
    job.assert_done();
    job.assert_documents();
    // What it could commit by itself is told of its turn, beside what the daemon committed.
    let own = || {
        let log = env.json(job.repo.path(), &["history", "log", "1"]);
        let turns = log["turns"].as_array().unwrap().clone();
        let commits = turns.iter().filter_map(|turn| turn["commits"].as_array());
        let subjects = |id: &Value| {
            let id = id.as_str().unwrap();
            job.repo.git(&["log", "-1", "--format=%s", id])
        };
        commits
            .map(|commits| commits.iter().map(subjects).collect::<Vec<_>>())
            .filter(|subjects| subjects.len() == 2)
            .filter(|subjects| subjects.iter().any(|text| text == "Everything is done"))
            .count()
    };
    let started = Instant::now();
    while own() == 0 {
        assert!(started.elapsed() < LIMIT, "none is told of");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn ticks_that_it_moves_the_branch_to_do_not_count() {
    let env = TestEnv::new();
    let job = Job::new(&env, "forge", Some("1"), "");
    job.work(7);
    let show = job.show();
    assert_eq!(show["task"]["progress"]["done"], 0, "{:#}", show["task"]);
    let incidents = job.incidents("foreign_ref");
    assert!(
        incidents.iter().any(|text| text.contains(BRANCH)),
        "{incidents:#?}"
    );
    let (kind, text, hint) = job.waiting(1);
    assert_eq!(kind, "repository", "{text}");
    assert!(text.contains("is not where it was left"), "{text}");
    // A person does what the hint says.
    let back = hint
        .split("--force specs/1-job ")
        .nth(1)
        .and_then(|rest| rest.split('`').next());
    job.repo.git(&["branch", "--force", BRANCH, back.unwrap()]);
    expect(&env, job.repo.path(), 0, &["retry", "1", "--wait"]);
    job.assert_done();
    job.assert_documents();
}

#[test]
fn it_writes_and_reads_nothing_outside_its_root() {
    let env = TestEnv::new();
    let job = Job::new(&env, "escape", Some("1"), "");
    job.work(0);
    let attempts = job.attempts("escape");
    for (attempt, outcome) in &attempts {
        assert!(outcome["error"].is_object(), "{attempt}: {outcome:#}");
    }
    let inside = fs::read_dir(&job.outside).unwrap().count();
    assert_eq!(inside, 0, "something was written outside");
    let mut found = Vec::new();
    find(&env.folder(), "escaped", &mut found);
    assert!(found.is_empty(), "{found:?}");
    assert!(!job.repo.path().join(".git/hooks/post-commit").exists());
    let incidents = job.incidents("escape");
    assert_eq!(incidents.len(), attempts.len(), "{incidents:#?}");
    job.assert_done();
}

fn find(folder: &std::path::Path, start: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(start) {
            found.push(entry.path());
        }
        if entry.file_type().unwrap().is_dir() {
            find(&entry.path(), start, found);
        }
    }
}

#[test]
fn refs_that_it_moves_are_reported() {
    let env = TestEnv::new();
    let job = Job::new(&env, "foreign-ref", Some("1"), "");
    let _ = job.repo.git(&["branch", "mine"]);
    job.plan(0);
    let args = ["approve", "1", "--yes", "--wait"];
    let _ = env.run(job.repo.path(), &args);
    let incidents = job.incidents("foreign_ref");
    for name in [
        "refs/heads/main",
        "refs/heads/mine",
        BRANCH,
        "refs/heads/adversary",
        "refs/tags/adversary",
        "stash",
    ] {
        assert!(
            incidents.iter().any(|text| text.contains(name)),
            "{name}: {incidents:#?}"
        );
    }
}

#[test]
fn an_agent_that_says_nothing_any_more_is_stopped() {
    let env = TestEnv::new();
    let job = Job::new(&env, "hang", Some("1"), "idle_limit = \"1s\"");
    job.work(7);
    let (kind, text, hint) = job.waiting(1);
    assert_eq!(kind, "time_limit");
    assert!(
        text.contains("silent") && hint.contains("spectask retry"),
        "{text} {hint}"
    );
    let left = processes::of_data_dir(&env.data_dir());
    assert!(left.iter().all(processes::Process::is_daemon), "{left:#?}");
}

#[test]
fn an_agent_that_crashes_is_started_again_three_times() {
    let env = TestEnv::new();
    let job = Job::new(&env, "exit", Some("1"), "");
    job.work(7);
    let (kind, text, _) = job.waiting(1);
    assert_eq!(kind, "agent");
    assert!(
        text.contains("exit status: 3") || text.contains("exit status 3"),
        "{text}"
    );
    assert!(text.contains("out of cheese"), "{text}");
    let turns = job.show()["sessions"][1]["turns"].clone();
    let turns = turns.as_array().unwrap();
    assert_eq!(turns.len(), 4, "{turns:#?}");
    assert!(
        turns.iter().all(|turn| turn["status"] == "interrupted"),
        "{turns:#?}"
    );
}

#[test]
fn an_empty_result_counts_only_when_a_person_accepts_it() {
    let env = TestEnv::new();
    let job = Job::new(&env, "empty", Some("1"), "");
    job.work(7);
    let (kind, _, hint) = job.waiting(1);
    assert_eq!(kind, "empty_result");
    assert!(hint.contains("accept-empty"), "{hint}");
    assert_eq!(job.show()["task"]["progress"]["done"], 1);
    expect(&env, job.repo.path(), 0, &["accept-empty", "1/1"]);
    expect(&env, job.repo.path(), 0, &["watch", "1"]);
    let show = job.show();
    assert_eq!(show["task"]["status"], "implementation_review");
    assert_eq!(show["task"]["progress"]["done"], 2);
    assert!(job.repo.show(BRANCH, "notes/1-job/task-1.md").is_none());
}

#[test]
fn a_flood_of_nonsense_does_no_harm() {
    let env = TestEnv::new();
    let job = Job::new(&env, "flood", None, "");
    job.work(0);
    job.assert_done();
    let shown = env.run(job.repo.path(), &["show", "1"]).ok();
    assert!(
        !shown.stdout.contains('\u{1b}') && !shown.stdout.contains('\u{202e}'),
        "{}",
        shown.stdout
    );
}

#[test]
fn a_login_is_asked_for() {
    let env = TestEnv::new();
    let job = Job::new(&env, "needs-auth", None, "");
    job.plan(7);
    let (kind, text, hint) = job.waiting(0);
    assert_eq!(kind, "needs_auth", "{text}");
    assert!(hint.contains("spectask agents login adversary"), "{hint}");
}

#[test]
fn a_refusal_is_passed_on() {
    let env = TestEnv::new();
    let job = Job::new(&env, "stop=refusal", Some("1"), "");
    job.work(7);
    let (kind, text, _) = job.waiting(1);
    assert_eq!(kind, "stopped");
    assert!(text.contains("refuses"), "{text}");
}

#[test]
fn a_turn_that_ran_out_of_tokens_goes_on_three_times() {
    let env = TestEnv::new();
    let job = Job::new(&env, "stop=max_tokens", Some("1"), "");
    job.work(7);
    let (kind, text, _) = job.waiting(1);
    assert_eq!(kind, "stopped");
    assert!(
        text.contains("max_tokens") && text.contains("4 times"),
        "{text}"
    );
    let turns = job.show()["sessions"][1]["turns"].as_array().unwrap().len();
    assert_eq!(turns, 4);
}
