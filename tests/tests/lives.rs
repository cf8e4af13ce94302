//! Whole lives of editor threads, in which windows, agents and the daemon are killed at moments that
//! a seed chooses: nothing is shown twice, what is missing is marked, every prompt is answered, the
//! agent remembers, and nothing is left at the end.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use serde_json::json;
use spectask_tests::editor::{Desk, PermissionState, ZedEditor};
use spectask_tests::env::kill;
use spectask_tests::processes;

use super::kill::{Random, number};
use super::threads_common::Place;

/// How long a thread may take to come to rest at the end.
const REST: Duration = Duration::from_secs(30);

/// What windows run, by the seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entry {
    /// `spectask acp -- COMMAND`.
    Command,
    /// `spectask acp --agent NAME`.
    Named,
    /// `spectask acp`.
    SpecTask,
}

impl Entry {
    /// The entry of a seed, and what its agent does not offer.
    fn of(seed: u32) -> (Self, &'static str) {
        let entry = [Self::Command, Self::Named, Self::SpecTask, Self::Command];
        let without = ["", "", "", "resume", "load"];
        (entry[seed as usize % 4], without[seed as usize % 5])
    }
}

/// A window, and the prompts it waits for.
struct Window {
    editor: ZedEditor,
    prompts: Vec<String>,
}

/// What a life went through.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    prompts: u32,
    windows: u32,
    agents: u32,
    daemons: u32,
    resumed: u32,
    forked: u32,
    chosen: u32,
}

struct Life<'place> {
    place: &'place Place,
    entry: Entry,
    random: Random,
    windows: Vec<Window>,
    threads: Vec<String>,
    words: u32,
    seen: Seen,
    story: Vec<String>,
}

impl<'place> Life<'place> {
    fn new(place: &'place Place, entry: Entry, seed: u32) -> Self {
        Self {
            place,
            entry,
            random: Random::new(seed),
            windows: Vec::new(),
            threads: Vec::new(),
            words: 0,
            seen: Seen::default(),
            story: Vec::new(),
        }
    }

    fn tell(&mut self, what: impl Into<String>) {
        self.story.push(what.into());
    }

    fn pick(&mut self, count: usize) -> usize {
        let below = self.random.below(u64::try_from(count).unwrap());
        usize::try_from(below).unwrap()
    }

    fn pause(&mut self, most: u64) {
        let pause = Duration::from_micros(self.random.below(most * 1000));
        std::thread::sleep(pause);
    }

    fn editor(&self) -> ZedEditor {
        match self.entry {
            Entry::Command => self.place.editor(),
            Entry::Named => self.place.editor_of(&["--agent", "echo"]),
            Entry::SpecTask => self.place.editor_of(&[]),
        }
    }

    fn open_window(&mut self) {
        self.tell("opens a window");
        self.windows.push(Window {
            editor: self.editor(),
            prompts: Vec::new(),
        });
    }

    fn script(&mut self) -> String {
        self.words += 1;
        let mut orders = vec![format!("word{}", self.words)];
        for _ in 0..1 + self.random.below(3) {
            let count = 1 + self.random.below(12);
            orders.push(match self.random.below(8) {
                0 => "tool".to_owned(),
                1 => "plan; usage".to_owned(),
                2 => format!("title Title {count}"),
                3 => format!("ask {}", 1 + count % 2),
                4 | 5 => format!("chunks {count} 20"),
                _ => format!("chunks {count} 3"),
            });
        }
        if self.random.below(10) == 0 {
            orders.push("crash".to_owned());
        }
        orders.join("; ")
    }

    fn open_in(&self, window: usize) -> Vec<String> {
        let open = |thread: &&String| {
            self.windows[window]
                .editor
                .look(|desk| desk.threads.contains_key(*thread))
        };
        self.threads.iter().filter(open).cloned().collect()
    }

    /// One thing that a person or a misfortune does.
    fn step(&mut self) {
        if self.windows.is_empty() {
            return self.open_window();
        }
        let window = self.pick(self.windows.len());
        match self.random.below(23) {
            0 if self.windows.len() < 2 => self.open_window(),
            1 => self.draft(window),
            2..=8 => self.prompt(window),
            9 => {
                let open = self.open_in(window);
                if !open.is_empty() {
                    let thread = &open[self.pick(open.len())];
                    self.tell(format!("stops {thread}"));
                    self.windows[window].editor.cancel(thread);
                    if self.random.below(2) == 0 {
                        self.prompt_in(window, thread);
                    }
                }
            }
            10..=12 => self.decide(window),
            13 => self.load(window),
            19 => self.resume(window),
            20 => self.fork(window),
            21 => self.choose(window),
            14 => {
                let open = self.open_in(window);
                if open.len() > 1 {
                    let thread = &open[self.pick(open.len())];
                    let idle = self.windows[window]
                        .editor
                        .look(|desk| !desk.is_running(thread));
                    if idle {
                        self.tell(format!("closes the view of {thread}"));
                        self.windows[window].editor.close_thread(thread);
                    }
                }
            }
            15 => {
                self.tell(format!("closes window {window}"));
                let mut window = self.windows.remove(window);
                window.editor.close_window();
                self.seen.windows += 1;
                assert_eq!(window.editor.faults(), Vec::<String>::new());
            }
            16 => {
                self.tell(format!("quits window {window}"));
                let mut window = self.windows.remove(window);
                assert!(window.editor.quit(REST), "the agent process stays");
                assert_eq!(window.editor.faults(), Vec::<String>::new());
            }
            17 => {
                let agents = self.place.agents();
                if let Some(agent) = agents.first() {
                    self.tell("kills the agent");
                    self.seen.agents += u32::from(kill(*agent));
                }
            }
            18 => {
                if let Some(daemon) = self.place.daemon() {
                    self.tell("kills the daemon");
                    self.seen.daemons += u32::from(kill(daemon));
                }
            }
            _ => {}
        }
        self.pause(60);
    }

    fn draft(&mut self, window: usize) {
        let thread = self.windows[window].editor.new_thread();
        self.tell(format!("in window {window} drafts {thread}"));
        self.threads.push(thread);
    }

    fn prompt(&mut self, window: usize) {
        let open = self.open_in(window);
        let idle = |thread: &String| {
            self.windows[window]
                .editor
                .look(|desk| !desk.is_running(thread))
        };
        let open: Vec<String> = open.into_iter().filter(idle).collect();
        if open.is_empty() {
            return self.load(window);
        }
        let thread = &open[self.pick(open.len())];
        self.prompt_in(window, thread);
    }

    fn prompt_in(&mut self, window: usize, thread: &str) {
        let script = self.script();
        self.tell(format!("in window {window}, {thread}: {script}"));
        let prompt = self.windows[window].editor.send_prompt(thread, &script);
        self.windows[window].prompts.push(prompt);
        self.seen.prompts += 1;
    }

    fn decide(&mut self, window: usize) {
        let editor = &self.windows[window].editor;
        let shown = editor.look(|desk| {
            let shown = desk.permissions.iter();
            let shown = shown.filter(|permission| permission.state == PermissionState::Shown);
            shown.cloned().collect::<Vec<_>>()
        });
        if !shown.is_empty() {
            let at = usize::try_from(self.random.below(shown.len() as u64)).unwrap();
            let kind = ["allow_once", "reject_once"][usize::from(self.random.below(3) == 0)];
            editor.decide(&shown[at], kind);
        }
    }

    fn load(&mut self, window: usize) {
        let open: BTreeSet<String> = self.open_in(window).into_iter().collect();
        let listed = self.windows[window].editor.import();
        let closed: Vec<String> = listed
            .iter()
            .filter_map(|listed| listed["sessionId"].as_str().map(str::to_owned))
            .filter(|thread| !open.contains(thread))
            .collect();
        if !closed.is_empty() {
            let thread = &closed[self.pick(closed.len())];
            self.tell(format!("in window {window} loads {thread}"));
            let loaded = self.windows[window].editor.load(thread);
            assert!(loaded.is_ok(), "what is listed can be loaded: {loaded:?}");
        } else if open.is_empty() {
            self.draft(window);
        }
    }

    /// Opens a thread as editors do that need no history.
    fn resume(&mut self, window: usize) {
        let open: BTreeSet<String> = self.open_in(window).into_iter().collect();
        let known = self.place.sessions();
        let closed: Vec<&str> = known
            .iter()
            .filter_map(|session| session["id"].as_str())
            .filter(|id| !open.contains(*id) && self.threads.iter().any(|known| known == id))
            .collect();
        if !closed.is_empty() {
            let thread = closed[self.pick(closed.len())].to_owned();
            self.tell(format!("in window {window} resumes {thread}"));
            let params = json!({
                "sessionId": thread, "cwd": self.place.project, "mcpServers": [],
            });
            let editor = &self.windows[window].editor;
            let resumed = editor.request("session/resume", params);
            assert!(resumed.is_ok(), "what is there can be resumed: {resumed:?}");
            self.seen.resumed += 1;
        }
    }

    /// Forks a thread where its agent can; one that dies meanwhile may refuse.
    fn fork(&mut self, window: usize) {
        let open = self.open_in(window);
        let editor = &self.windows[window].editor;
        let idle = |thread: &&String| editor.look(|desk| !desk.is_running(thread));
        let idle: Vec<&String> = open.iter().filter(idle).collect();
        if idle.is_empty() || !editor.can("fork") {
            return;
        }
        let thread = idle[self.pick(idle.len())].clone();
        let params = json!({ "sessionId": thread, "cwd": self.place.project, "mcpServers": [] });
        let forked = self.windows[window].editor.request("session/fork", params);
        if let Ok(forked) = &forked {
            let new = forked["sessionId"].as_str().unwrap().to_owned();
            self.tell(format!("in window {window} forks {thread}: {new}"));
            assert!(!self.threads.contains(&new), "{new} was another's");
            self.threads.push(new);
            self.seen.forked += 1;
        }
    }

    /// Changes an option: of the `SpecTask` entry, or of the agent.
    fn choose(&mut self, window: usize) {
        let open = self.open_in(window);
        if open.is_empty() {
            return;
        }
        let thread = open[self.pick(open.len())].clone();
        let own = self.entry == Entry::SpecTask && self.random.below(2) == 0;
        let (option, value) = if own {
            ("spectask.task", "none")
        } else {
            ("loud", "false")
        };
        self.tell(format!("in window {window}, {thread}: sets {option}"));
        let value = if own { json!(value) } else { json!(false) };
        let mut params = json!({ "sessionId": thread, "configId": option, "value": value });
        if !own {
            params["type"] = "boolean".into();
        }
        let editor = &self.windows[window].editor;
        let set = editor.request("session/set_config_option", params);
        if let Ok(set) = set {
            let options = set["configOptions"].as_array().unwrap();
            let ours = options
                .iter()
                .any(|option| option["id"] == "spectask.agent");
            assert_eq!(ours, self.entry == Entry::SpecTask, "{options:?}");
            self.seen.chosen += 1;
        }
    }

    /// Brings everything to its end and looks at what is left.
    fn end(&mut self) {
        self.tell("comes to its end");
        let mut windows = std::mem::take(&mut self.windows);
        for window in &windows {
            for prompt in &window.prompts {
                self.settle(&window.editor, "a prompt is not answered", || {
                    // Another window may be asked.
                    for other in &windows {
                        allow_all(&other.editor);
                    }
                    window.editor.is_answered(prompt).then_some(())
                });
            }
            let open = window.editor.look(Desk::unanswered);
            assert!(open.is_empty(), "not answered: {open:?}");
        }
        for window in &mut windows {
            let views = window.editor.look(|desk| desk.threads.clone());
            for (id, view) in views {
                assert_eq!(view.twice, Vec::<String>::new(), "{id}: shown twice");
            }
            assert_eq!(window.editor.faults(), Vec::<String>::new());
            window.editor.close_window();
        }
        self.look_back();
    }

    /// Waits for something while permissions are answered.
    fn settle<T>(&self, editor: &ZedEditor, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
        let until = Instant::now() + REST;
        loop {
            if let Some(found) = look() {
                return found;
            }
            assert!(
                Instant::now() < until,
                "{what}: {:#?}",
                self.place.env.run(&self.place.project, &["sessions"])
            );
            allow_all(editor);
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// A new window sees every thread whole, and its agent remembers it.
    fn look_back(&self) {
        let editor = self.editor();
        let sessions = self.place.sessions();
        let names: Vec<&str> = sessions
            .iter()
            .filter_map(|session| session["id"].as_str())
            .collect();
        let distinct: BTreeSet<&str> = names.iter().copied().collect();
        assert_eq!(
            names.len(),
            distinct.len(),
            "one work session for each thread"
        );
        for thread in &distinct {
            assert!(
                self.threads.iter().any(|known| known == thread),
                "{thread} is nobody's"
            );
            let loaded = editor.load(thread);
            assert!(loaded.is_ok(), "{loaded:?}");
            self.settle(&editor, "the thread is not usable again", || {
                let id = editor.send_prompt(thread, "recall");
                let answer = self.settle(&editor, "no answer", || {
                    editor.is_answered(&id).then(|| editor.answer(&id))
                });
                answer
                    .is_ok_and(|answer| answer["stopReason"] == "end_turn")
                    .then_some(())
            });
            let view = editor.thread(thread);
            assert_eq!(view.twice, Vec::<String>::new(), "{thread}: shown twice");
            assert_eq!(view.gap(), None, "{thread}: {:#?}", view.entries);
            let said = view.said();
            let remembered = said.rsplit("remembered: ").next().unwrap_or_default();
            let mut asked: BTreeMap<String, u32> = BTreeMap::new();
            for text in view.asked() {
                if let Some(word) = text
                    .split(';')
                    .next()
                    .filter(|word| word.starts_with("word"))
                {
                    *asked.entry(word.to_owned()).or_default() += 1;
                }
            }
            for (word, times) in asked {
                assert_eq!(times, 1, "{thread}: {word} is shown {times} times");
                // Its answer was shown, so the agent had it.
                if said.contains(&format!("] {word}[")) || said.contains(&format!("] {word} ")) {
                    assert!(
                        remembered.contains(&word),
                        "{thread}: {word} was forgotten: {remembered}"
                    );
                }
            }
        }
        self.assert_each_prompt_ran_once();
        let agents = self.place.agents();
        assert!(agents.len() <= 1, "one agent for the project: {agents:?}");
        assert_eq!(editor.faults(), Vec::<String>::new());
        drop(editor);
        let _ = self
            .place
            .env
            .run(&self.place.project, &["daemon", "stop"])
            .ok();
        let left = processes::left_over(&self.place.env.data_dir(), Duration::from_secs(5));
        assert!(left.is_empty(), "processes are left: {left:#?}");
        self.place.finish(&[]);
    }

    fn assert_each_prompt_ran_once(&self) {
        let mut ran: BTreeMap<String, u32> = BTreeMap::new();
        for params in self.place.asked("session/prompt") {
            let last = params["prompt"]
                .as_array()
                .and_then(|blocks| blocks.last().cloned());
            let text = last.unwrap_or_default()["text"]
                .as_str()
                .unwrap_or_default()
                .to_owned();
            if text.starts_with("word") {
                *ran.entry(text).or_default() += 1;
            }
        }
        let twice: Vec<_> = ran.iter().filter(|(_, times)| **times > 1).collect();
        assert!(twice.is_empty(), "the agent got a prompt twice: {twice:?}");
    }
}

/// Allows whatever is asked.
fn allow_all(editor: &ZedEditor) {
    let shown = editor.look(|desk| {
        let shown = desk.permissions.iter();
        let shown = shown.filter(|permission| permission.state == PermissionState::Shown);
        shown.cloned().collect::<Vec<_>>()
    });
    for permission in shown {
        editor.decide(&permission, "allow_once");
    }
}

fn one_life(seed: u32) -> Seen {
    let (entry, without) = Entry::of(seed);
    let place = Place::without(without);
    place.configure("echo");
    let mut life = Life::new(&place, entry, seed);
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        for _ in 0..32 {
            life.step();
        }
        life.end();
    }));
    match outcome {
        Ok(()) => life.seen,
        Err(panic) => {
            let log = place.env.data_dir().join("daemon.log");
            let log = std::fs::read_to_string(log).unwrap_or_default();
            let log: Vec<&str> = log.lines().collect();
            let log = log[log.len().saturating_sub(40)..].join("\n");
            let said = panic.downcast_ref::<String>().map(String::as_str);
            let said = said.or_else(|| panic.downcast_ref::<&str>().copied());
            panic!(
                "seed {seed}: {}\nthe end of the daemon's log:\n{log}\n{}",
                life.story.join("\n"),
                said.unwrap_or("it panicked")
            );
        }
    }
}

#[test]
fn a_thread_lives_on_whatever_is_killed() {
    let from = number("SPECTASK_SOAK_FROM", 0);
    let seeds = number("SPECTASK_SOAK_SEEDS", 10);
    let mut failed = Vec::new();
    let mut all = Seen::default();
    for seed in from..from + seeds {
        let started = Instant::now();
        match catch_unwind(|| one_life(seed)) {
            Ok(seen) => {
                println!(
                    "seed {seed}: {:?}, {seen:?} in {:.1} s",
                    Entry::of(seed),
                    started.elapsed().as_secs_f32()
                );
                all.prompts += seen.prompts;
                all.windows += seen.windows;
                all.agents += seen.agents;
                all.daemons += seen.daemons;
                all.resumed += seen.resumed;
                all.forked += seen.forked;
                all.chosen += seen.chosen;
            }
            Err(_) => failed.push(seed),
        }
    }
    println!(
        "{seeds} seeds from {from}: {all:?}, {} failed",
        failed.len()
    );
    assert!(failed.is_empty(), "failed seeds: {failed:?}");
    let killed = all.windows > 0 && all.agents > 0 && all.daemons > 0;
    let opened = all.prompts > 0 && all.resumed + all.forked + all.chosen > 0;
    assert!(seeds < 5 || (killed && opened), "{all:?}");
}
