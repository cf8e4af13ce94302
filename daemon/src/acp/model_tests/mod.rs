//! The promises about threads as properties of one model, against the real room, workflow, streams
//! and SQLite, with agents in memory behind them and windows in front:
//!
//! - a mapping is a session's own, never the latest of its SpecTask;
//! - the first prompts of a thread make one work session and one session of the agent;
//! - the agent's session is given up only when the agent does not have it;
//! - what was deleted stays known as deleted;
//! - an old registration, or an old process, that ends late takes nothing from the new one;
//! - the agent knows what was said before, whatever happened in between.

mod agents;
mod window;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jsonrpsee::server::Methods;
use proptest::prelude::*;
use serde_json::{Value, json};
use spectask_protocol::{
    MessageKind, SessionRef, SpecTaskStatus, TurnStatus, WorkMode, WorkSessionId, shim::Entry,
};
use tempfile::TempDir;

use self::{
    agents::{Agents, Offers, Prompt},
    window::{Window, outcome},
};
use super::room::{Room, lock};
use crate::{
    paths::Paths,
    rpc::{Local, Peer},
    scheduler::{self, Context, Shared},
    store::{Store, ThreadRow},
    workflow::{self, WorkflowError, message, task},
};

/// What a person, an agent or a misfortune does. Threads and windows are counted round.
#[derive(Debug, Clone)]
enum Action {
    Draft(usize),
    Prompt(usize, usize),
    /// From two windows at once.
    PromptTwice(usize),
    /// While the mode is set.
    PromptAndSet(usize, usize),
    /// The agent dies of it.
    Deadly(usize, usize),
    /// The daemon is killed while the agent works.
    Cut(usize, usize),
    SetMode(usize, usize),
    Attach(usize, Option<&'static str>),
    Tell(usize),
    KillAgents,
    /// The agent loses the session of a thread.
    Lose(usize),
    /// So many openings are refused though the session is there.
    Hiccup(u32),
    Load(usize, usize),
    Resume(usize, usize),
    Reconnect(usize),
    Close(usize, usize),
    Delete(usize, usize),
    Restart,
}

fn action() -> impl Strategy<Value = Action> {
    let (window, thread) = (0..WINDOWS, 0usize..4);
    let both = (window.clone(), thread.clone());
    let task = prop_oneof![1 => Just(None), 3 => Just(Some("1")), 1 => Just(Some("2"))];
    prop_oneof![
        2 => window.clone().prop_map(Action::Draft),
        6 => both.clone().prop_map(|(w, t)| Action::Prompt(w, t)),
        3 => thread.clone().prop_map(Action::PromptTwice),
        2 => both.clone().prop_map(|(w, t)| Action::PromptAndSet(w, t)),
        2 => both.clone().prop_map(|(w, t)| Action::Deadly(w, t)),
        1 => both.clone().prop_map(|(w, t)| Action::Cut(w, t)),
        2 => both.clone().prop_map(|(w, t)| Action::SetMode(w, t)),
        5 => (thread.clone(), task).prop_map(|(t, task)| Action::Attach(t, task)),
        2 => thread.clone().prop_map(Action::Tell),
        3 => Just(Action::KillAgents),
        1 => thread.clone().prop_map(Action::Lose),
        1 => (1u32..4).prop_map(Action::Hiccup),
        2 => both.clone().prop_map(|(w, t)| Action::Load(w, t)),
        1 => both.clone().prop_map(|(w, t)| Action::Resume(w, t)),
        2 => window.prop_map(Action::Reconnect),
        1 => both.clone().prop_map(|(w, t)| Action::Close(w, t)),
        1 => both.prop_map(|(w, t)| Action::Delete(w, t)),
        1 => Just(Action::Restart),
    ]
}

/// Two of an agent's entry, one of the `SpecTask` entry.
const WINDOWS: usize = 3;

/// What is known of a thread without looking.
#[derive(Debug, Clone)]
struct Known {
    id: WorkSessionId,
    /// Prompts that the agent answered.
    answered: Vec<String>,
    prompted: bool,
    deleted: bool,
    task: Option<&'static str>,
    /// Messages that wait for its next prompt.
    told: Vec<String>,
    /// The agent's session as it was seen last.
    pointer: Option<String>,
    /// A word that an agent told nobody came with.
    words: u32,
}

struct Daemon {
    ctx: Shared,
    room: Arc<Room>,
}

struct World {
    folder: TempDir,
    agents: Arc<Agents>,
    daemon: Option<Daemon>,
    windows: Vec<Window>,
    threads: Vec<Known>,
    messages: u32,
    tasks: BTreeMap<&'static str, String>,
}

impl World {
    async fn new(offers: Offers) -> Self {
        let folder = TempDir::new().unwrap();
        let config = "default_agent = \"fake\"\n[agents.fake]\ncommand = [\"fake\"]\n";
        std::fs::write(folder.path().join("config.toml"), config).unwrap();
        std::fs::create_dir(folder.path().join("project")).unwrap();
        let mut world = Self {
            agents: Agents::new(offers),
            daemon: None,
            windows: Vec::new(),
            threads: Vec::new(),
            messages: 0,
            tasks: BTreeMap::new(),
            folder,
        };
        let command = || Entry::Command {
            command: vec!["fake".into()],
        };
        for entry in [command(), command(), Entry::SpecTask] {
            let window = Window::new(entry, &world.project());
            world.windows.push(window);
        }
        world.start().await;
        for (number, slug) in [("1", "auth"), ("2", "search")] {
            let id = world.implement(slug).await;
            world.tasks.insert(number, id);
        }
        world
    }

    fn project(&self) -> std::path::PathBuf {
        self.folder.path().join("project")
    }

    fn store(&self) -> &Store {
        &self.daemon.as_ref().unwrap().ctx.store
    }

    fn room(&self) -> Arc<Room> {
        Arc::clone(&self.daemon.as_ref().unwrap().room)
    }

    async fn start(&mut self) {
        let paths = Paths {
            data_dir: self.folder.path().to_owned(),
            config_file: self.folder.path().join("config.toml"),
        };
        let store = Store::open(&paths.database()).unwrap();
        let ctx = Context::new(store, paths).await.unwrap();
        scheduler::recover(&ctx).await.unwrap();
        self.agents.belong_to(Some(Arc::clone(&ctx)));
        let local = Local::new(Methods::new(), Peer::person());
        let room = Room::new(Arc::clone(&ctx), local, self.agents.starter());
        self.daemon = Some(Daemon { ctx, room });
        let room = self.room();
        for window in &mut self.windows {
            // The line to the daemon before has ended with it.
            drop(window.connect(&room).await);
        }
    }

    /// Ends the daemon as a crash does: nothing is written any more from a moment on.
    async fn crash(&mut self) {
        let daemon = self.daemon.take().unwrap();
        self.agents.belong_to(None);
        daemon.ctx.store.close().await;
        self.agents.kill();
        let editors: Vec<_> = lock(&daemon.room.editors).drain().collect();
        for (_, editor) in editors {
            if let Some(link) = editor.link() {
                link.closed.cancel();
            }
        }
    }

    /// A SpecTask that is being implemented.
    async fn implement(&self, slug: &str) -> String {
        let create = task::Create {
            common_dir: "/r/.git".into(),
            root: "/r".into(),
            slug: slug.into(),
            title: slug.into(),
            prompt: slug.into(),
            planning_agent: "fake".parse().unwrap(),
            agent: "fake".parse().unwrap(),
            mode: WorkMode::Parallel,
            limit: 1,
            base: "0".repeat(40),
            target: None,
            verify: None,
            later: true,
        };
        let id = task::create(self.store(), create).await.unwrap().id;
        let made = id.to_string();
        let change = move |write: &crate::store::Write<'_>| {
            let mut task = write.task(&id)?.unwrap();
            task.status = SpecTaskStatus::Implementation;
            Ok::<_, WorkflowError>(write.update_task(&task)?)
        };
        self.store().write(change).await.unwrap();
        made
    }

    fn thread(&self, which: usize) -> Option<usize> {
        (!self.threads.is_empty()).then(|| which % self.threads.len())
    }

    fn setup(&self, thread: Option<usize>) -> Value {
        let mut params = json!({ "cwd": self.project(), "mcpServers": [] });
        if let Some(thread) = thread {
            params["sessionId"] = self.threads[thread].id.as_str().into();
        }
        params
    }

    fn word(&mut self, thread: usize) -> String {
        let known = &mut self.threads[thread];
        known.words += 1;
        format!("t{thread}w{}.", known.words)
    }

    async fn ask(
        &mut self,
        window: usize,
        thread: usize,
        text: &str,
    ) -> tokio::sync::oneshot::Receiver<Value> {
        let params = json!({
            "sessionId": self.threads[thread].id,
            "prompt": [{ "type": "text", "text": text }],
        });
        self.windows[window].ask("session/prompt", params).await
    }

    /// Looks at the answer to a prompt.
    fn heard(&mut self, thread: usize, word: &str, answer: &Result<Value, Value>) {
        let known = &mut self.threads[thread];
        // What a turn that did not come to its end was told comes again.
        match answer {
            Ok(answer) if answer["stopReason"] == "end_turn" => {
                assert!(!known.deleted, "a deleted thread answers: {word}");
                known.prompted = true;
                known.answered.push(word.to_owned());
                let disk = lock(&self.agents.disk);
                let got = disk.prompts.iter().filter(|got| got.word == word);
                let got: Vec<_> = got.collect();
                assert_eq!(got.len(), 1, "{word} was sent more than once");
                let memory = &disk.sessions[&got[0].session].memory;
                for before in &known.answered {
                    assert!(memory.contains(before), "{before} was forgotten: {memory}");
                }
                let waited = got[0].text.matches("message-").count();
                assert_eq!(waited, known.told.len(), "{word}: {}", got[0].text);
                for told in known.told.drain(..) {
                    assert!(got[0].text.contains(&told), "{told} did not come");
                }
            }
            _ => {}
        }
    }

    async fn prompt(&mut self, window: usize, thread: usize) {
        let word = self.word(thread);
        let answer = self.ask(window, thread, &word).await;
        let answer = outcome(answer).await;
        let refused = self.refused(thread);
        let known = &self.threads[thread];
        match &answer {
            Ok(answer) => assert_eq!(answer["stopReason"], "end_turn", "{word}"),
            // An agent that refuses to open a session for a passing reason says so.
            Err(error) => assert!(known.deleted || refused, "{word}: {error}"),
        }
        self.heard(thread, &word, &answer);
    }

    fn refused(&self, thread: usize) -> bool {
        let disk = lock(&self.agents.disk);
        let pointer = self.threads[thread].pointer.as_ref();
        pointer
            .and_then(|id| disk.sessions.get(id))
            .is_some_and(|session| session.refused > 0)
    }

    async fn take(&mut self, action: Action) {
        if let Action::Draft(window) = action {
            let params = self.setup(None);
            let made = self.windows[window].request("session/new", params).await;
            let id = made.unwrap()["sessionId"]
                .as_str()
                .unwrap()
                .parse()
                .unwrap();
            let new = self.threads.iter().all(|known| known.id != id);
            assert!(new, "{id} was another thread's");
            self.threads.push(Known {
                id,
                answered: Vec::new(),
                prompted: false,
                deleted: false,
                task: None,
                told: Vec::new(),
                pointer: None,
                words: 0,
            });
            return;
        }
        match action {
            Action::KillAgents => return self.agents.kill(),
            Action::Hiccup(count) => {
                lock(&self.agents.disk).hiccups = count;
                return;
            }
            Action::Restart => {
                self.crash().await;
                return self.start().await;
            }
            Action::Reconnect(window) => return self.reconnect(window).await,
            _ => {}
        }
        let which = match action {
            Action::PromptTwice(thread) | Action::Tell(thread) | Action::Lose(thread) => thread,
            Action::Attach(thread, _) => thread,
            Action::Prompt(_, thread)
            | Action::PromptAndSet(_, thread)
            | Action::Deadly(_, thread)
            | Action::Cut(_, thread)
            | Action::SetMode(_, thread)
            | Action::Load(_, thread)
            | Action::Resume(_, thread)
            | Action::Close(_, thread)
            | Action::Delete(_, thread) => thread,
            _ => return,
        };
        let Some(thread) = self.thread(which) else {
            return;
        };
        let id = self.threads[thread].id.clone();
        let deleted = self.threads[thread].deleted;
        match action {
            Action::Prompt(window, _) => self.prompt(window, thread).await,
            Action::PromptTwice(_) => {
                let words = [self.word(thread), self.word(thread)];
                let first = self.ask(0, thread, &words[0]).await;
                let second = self.ask(1, thread, &words[1]).await;
                for (word, answer) in words.iter().zip([first, second]) {
                    let answer = outcome(answer).await;
                    self.heard(thread, word, &answer);
                }
            }
            Action::PromptAndSet(window, _) => {
                let word = self.word(thread);
                let params = json!({ "sessionId": id, "modeId": "code" });
                let set = self.windows[window].ask("session/set_mode", params).await;
                let asked = self.ask((window + 1) % WINDOWS, thread, &word).await;
                let answer = outcome(asked).await;
                self.heard(thread, &word, &answer);
                let _ = outcome(set).await;
            }
            Action::SetMode(window, _) => {
                let params = json!({ "sessionId": id, "modeId": "code" });
                let set = self.windows[window]
                    .request("session/set_mode", params)
                    .await;
                assert!(set.is_ok() || deleted || self.refused(thread), "{set:?}");
            }
            Action::Deadly(window, _) => {
                let word = format!("{} crash", self.word(thread));
                let answer = self.ask(window, thread, &word).await;
                let answer = outcome(answer).await;
                assert_ne!(
                    answer.as_ref().ok().map(|answer| &answer["stopReason"]),
                    Some(&"end_turn".into())
                );
                self.heard(thread, &word, &answer);
            }
            Action::Cut(window, _) => {
                let word = self.word(thread);
                lock(&self.agents.disk).hangs = true;
                let answer = self.ask(window, thread, &word).await;
                let began = self.began(thread, &word).await;
                lock(&self.agents.disk).hangs = false;
                self.crash().await;
                self.start().await;
                let answer = outcome(answer).await;
                if began {
                    assert_ne!(
                        answer.as_ref().ok().map(|answer| &answer["stopReason"]),
                        Some(&"end_turn".into())
                    );
                }
                self.heard(thread, &word, &answer);
            }
            Action::Attach(_, task) => self.attach(thread, task).await,
            Action::Tell(_) => {
                self.messages += 1;
                let text = format!("message-{}.", self.messages);
                let tell = message::Tell {
                    to: SessionRef::from(id),
                    sender: None,
                    agent: false,
                    kind: MessageKind::Notification,
                    text: text.clone(),
                    answers: None,
                };
                let told = message::tell(self.store(), tell).await;
                if told.is_ok() {
                    assert!(!deleted, "a deleted thread is told something");
                    self.threads[thread].told.push(text);
                }
            }
            Action::Lose(_) => {
                let pointer = self.row(thread).and_then(|row| row.acp_session);
                let mut disk = lock(&self.agents.disk);
                if let Some((id, session)) = pointer.and_then(|id| disk.sessions.remove_entry(&id))
                {
                    disk.lost.insert(id, session);
                }
                drop(disk);
                // Open sessions are lost with their process.
                self.agents.kill();
            }
            Action::Load(window, _) | Action::Resume(window, _) => {
                let method = if matches!(action, Action::Load(..)) {
                    self.windows[window].clear(&id);
                    "session/load"
                } else {
                    "session/resume"
                };
                let params = self.setup(Some(thread));
                let opened = self.windows[window].request(method, params).await;
                assert_eq!(opened.is_ok(), !deleted, "{method}: {opened:?}");
                if method == "session/load" && !deleted {
                    let said = self.windows[window].said(&id);
                    for word in &self.threads[thread].answered {
                        let times = said.matches(&format!("heard {word}.")).count();
                        assert_eq!(times, 1, "{word} is shown {times} times: {said}");
                    }
                }
            }
            Action::Close(window, _) => {
                let params = json!({ "sessionId": id });
                let closed = self.windows[window].request("session/close", params).await;
                closed.unwrap();
            }
            Action::Delete(window, _) => {
                let params = json!({ "sessionId": id });
                let gone = self.windows[window].request("session/delete", params).await;
                assert_eq!(gone.is_ok(), !deleted, "{gone:?}");
                self.threads[thread].deleted = true;
                self.threads[thread].told.clear();
            }
            _ => {}
        }
    }

    /// Waits until the agent has got a prompt. Not for ever: it may be refused before.
    async fn began(&self, thread: usize, word: &str) -> bool {
        for _ in 0..1_000 {
            let got = |got: &Prompt| got.word == word;
            if lock(&self.agents.disk).prompts.iter().any(got) {
                return true;
            }
            if self.threads[thread].deleted || self.refused(thread) {
                return false;
            }
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
        false
    }

    async fn attach(&mut self, thread: usize, task: Option<&'static str>) {
        let id = self.threads[thread].id.clone();
        let wanted = task.map(|task| task.parse().unwrap());
        let attached = workflow::thread::attach(self.store(), SessionRef::from(id), wanted);
        if attached.await.is_ok() {
            self.threads[thread].task = task;
        } else {
            assert!(self.threads[thread].deleted, "{thread} cannot be attached");
        }
    }

    /// The window connects again before its old connection has ended.
    async fn reconnect(&mut self, window: usize) {
        let room = self.room();
        let before = self.windows[window].connect(&room).await;
        drop(before);
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
    }

    fn row(&self, thread: usize) -> Option<ThreadRow> {
        let id = &self.threads[thread].id;
        self.store().read(|read| read.thread(id)).unwrap()
    }

    /// Holds the promises against what the database, the agents and the windows have.
    fn look(&mut self) {
        let store = self.store().clone();
        let mut owners: BTreeMap<String, usize> = BTreeMap::new();
        let mut numbers = BTreeSet::new();
        let mut prompted = 0;
        for thread in 0..self.threads.len() {
            let row = self.row(thread);
            let row = row.unwrap_or_else(|| panic!("the row of {thread} is gone"));
            let known = &self.threads[thread];
            assert_eq!(row.deleted_at.is_some(), known.deleted, "{thread}");
            let session = store.read(|read| read.session(&row.id)).unwrap();
            assert!(session.is_some() || !known.prompted, "{thread}");
            let task = known.task.map(|task| self.tasks[task].clone());
            let bound = row.task.as_ref().map(ToString::to_string);
            assert_eq!(bound, task, "{thread} belongs to another SpecTask");
            if let Some(session) = &session {
                prompted += 1;
                assert_eq!(session.task, row.task, "{thread}");
                assert_eq!(session.acp_session, row.acp_session, "{thread}");
                let number = (session.task.clone(), session.number);
                assert!(numbers.insert(number), "{thread} has another's number");
            }
            let disk = lock(&self.agents.disk);
            if let Some(pointer) = &row.acp_session {
                let other = owners.insert(pointer.clone(), thread);
                assert_eq!(other, None, "{thread} has that one's session");
                let made = disk.sessions.get(pointer).or(disk.lost.get(pointer));
                let whose = made.and_then(|session| session.thread.as_ref());
                assert!(whose.is_none_or(|whose| *whose == row.id), "{thread}");
            }
            // Its pointer was given up only when the agent did not have it, or said twice that it
            // cannot open it.
            if let Some(before) = known.pointer.as_ref()
                && row.acp_session.as_ref() != Some(before)
            {
                let there = disk.sessions.get(before);
                let kept = there.is_some_and(|session| session.refused < 4);
                let never = self.agents.cannot_reopen();
                assert!(!kept || never, "{thread} gave {before} up");
                assert!(
                    row.acp_session.is_some(),
                    "{thread} has no session any more"
                );
            }
            drop(disk);
            self.threads[thread].pointer = row.acp_session;
        }
        let all = store.read(|read| read.loose_sessions(None)).unwrap();
        let bound = |task: &String| {
            let id = task.parse().unwrap();
            store.read(|read| read.sessions(&id)).unwrap().len()
        };
        let bound: usize = self.tasks.values().map(bound).sum();
        assert_eq!(all.len() + bound, prompted, "work sessions");
        self.look_at_agents();
        self.look_at_windows();
    }

    fn look_at_agents(&self) {
        let disk = lock(&self.agents.disk);
        assert_eq!(disk.faults, Vec::<String>::new());
        let mut got = BTreeSet::new();
        let mut homes: BTreeMap<&str, &str> = BTreeMap::new();
        for Prompt { word, session, .. } in &disk.prompts {
            assert!(got.insert(word), "{word} was sent twice");
            let thread = word.split('w').next().unwrap();
            let other = homes
                .insert(session, thread)
                .filter(|other| *other != thread);
            assert_eq!(other, None, "{session} got {word}");
        }
    }

    fn look_at_windows(&self) {
        let daemon = self.daemon.as_ref().unwrap();
        let editors = daemon.ctx.live.editors();
        assert_eq!(editors.list().len(), WINDOWS);
        for window in &self.windows {
            assert!(editors.get(&window.instance).is_some(), "a window is gone");
            for (thread, known) in self.threads.iter().enumerate() {
                let said = window.said(&known.id);
                let own = format!("t{thread}w");
                let foreign = said
                    .split("heard ")
                    .skip(1)
                    .find(|text| !text.starts_with(&own));
                assert_eq!(foreign, None, "{thread} shows what another was told");
            }
        }
    }

    /// At the end every thread that lives goes on and remembers.
    async fn end(&mut self) {
        lock(&self.agents.disk).hiccups = 0;
        for thread in 0..self.threads.len() {
            self.prompt(thread % WINDOWS, thread).await;
            self.look();
        }
        let params = json!({});
        let listed = self.windows[2].request("session/list", params).await;
        let listed = listed.unwrap()["sessions"].take();
        let listed: BTreeSet<&str> = listed
            .as_array()
            .unwrap()
            .iter()
            .map(|session| session["sessionId"].as_str().unwrap())
            .collect();
        for known in &self.threads {
            assert_eq!(listed.contains(known.id.as_str()), !known.deleted);
        }
    }
}

fn live(offers: Offers, actions: Vec<Action>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut world = World::new(offers).await;
        // Two that share a process, and then whatever comes.
        let first = [
            Action::Draft(0),
            Action::Draft(0),
            Action::Prompt(0, 0),
            Action::Prompt(0, 1),
        ];
        for action in first.into_iter().chain(actions) {
            world.take(action).await;
            world.look();
        }
        world.end().await;
        world.crash().await;
    });
}

/// Stopped in order, it leaves no turn to the next one: what ran has ended in the database, and what
/// waited was not begun.
#[tokio::test]
async fn a_stop_of_the_daemon_interrupts_turns() {
    let mut world = World::new(Offers::Load).await;
    world.take(Action::Draft(0)).await;
    let (word, later) = (world.word(0), world.word(0));
    lock(&world.agents.disk).hangs = true;
    let cut = world.ask(0, 0, &word).await;
    assert!(world.began(0, &word).await);
    let waits = world.ask(0, 0, &later).await;
    let (room, id) = (world.room(), world.threads[0].id.clone());
    let closed = tokio::time::timeout(std::time::Duration::from_secs(20), room.close());
    closed.await.expect("it ends");
    let turns = world.store().read(|read| read.turns(&id)).unwrap();
    let [turn] = turns.as_slice() else {
        panic!("{turns:?}")
    };
    assert_eq!(turn.status, TurnStatus::Interrupted);
    let reason = "the daemon stopped while the agent worked";
    assert_eq!(turn.reason.as_deref(), Some(reason));
    assert_eq!(outcome(cut).await.unwrap()["stopReason"], "cancelled");
    let said = world.windows[0].said(&id);
    assert_eq!(
        said.matches("The turn was interrupted").count(),
        1,
        "{said}"
    );
    assert!(said.contains("the daemon was stopped"), "{said}");
    lock(&world.agents.disk).hangs = false;
    world.crash().await;
    world.start().await;
    assert_eq!(outcome(waits).await.unwrap()["stopReason"], "end_turn");
    let said = world.windows[0].said(&id);
    assert_eq!(
        said.matches("The turn was interrupted").count(),
        1,
        "{said}"
    );
}

/// What an editor got wrong it is told in words, before anything is done.
#[tokio::test]
async fn parameters_that_do_not_fit_are_refused_as_such() {
    let mut world = World::new(Offers::Load).await;
    let missing = world.folder.path().join("gone");
    let file = world.folder.path().join("config.toml");
    let prompt = json!([{ "type": "text", "text": "x" }]);
    for (method, params, words) in [
        (
            "session/prompt",
            json!({ "sessionId": 7, "prompt": prompt }),
            "not a number",
        ),
        (
            "session/prompt",
            json!({ "prompt": prompt }),
            "`sessionId` is missing",
        ),
        (
            "session/load",
            json!({ "sessionId": ["x"] }),
            "not an array",
        ),
        (
            "session/set_mode",
            json!({ "sessionId": null, "modeId": "x" }),
            "not null",
        ),
        ("_ext/method", json!({ "sessionId": {} }), "not an object"),
        (
            "session/new",
            json!({ "cwd": missing, "mcpServers": [] }),
            "cannot be used",
        ),
        (
            "session/new",
            json!({ "cwd": file, "mcpServers": [] }),
            "is no folder",
        ),
        (
            "session/new",
            json!({ "cwd": "a/b", "mcpServers": [] }),
            "must be an absolute path",
        ),
        (
            "session/new",
            json!({ "cwd": 1, "mcpServers": [] }),
            "must be a string",
        ),
        (
            "session/new",
            json!({ "mcpServers": [] }),
            "`cwd` is missing",
        ),
    ] {
        for window in [0, 2] {
            let asked = params.clone();
            let error = world.windows[window]
                .request(method, asked)
                .await
                .unwrap_err();
            assert_eq!(error["code"], -32602, "{method} {params}: {error}");
            let said = error["message"].as_str().unwrap();
            assert!(said.contains(words), "{method} {params}: {said}");
        }
    }
}

/// The end of a process may be heard when another serves its threads already.
#[tokio::test]
async fn a_process_that_ends_late_takes_nothing_from_the_next() {
    let mut world = World::new(Offers::Load).await;
    for action in [Action::Draft(0), Action::Prompt(0, 0)] {
        world.take(action).await;
    }
    let room = world.room();
    let thread = room.thread(&world.threads[0].id).unwrap().unwrap();
    let before = thread.process().unwrap();
    let session = thread.row().acp_session.unwrap();
    world.agents.kill();
    world.take(Action::Prompt(0, 0)).await;
    let next = thread.process().unwrap();
    assert!(!Arc::ptr_eq(&before, &next));
    before.relay.bind(&session, &thread, false);
    before.relay.gone(&room).await;
    let kept = thread.process().expect("it is served still");
    assert!(Arc::ptr_eq(&kept, &next));
    world.take(Action::Prompt(1, 0)).await;
    world.look();
}

/// As many as take a few seconds; `PROPTEST_CASES` asks for more.
fn config() -> ProptestConfig {
    let mut config = ProptestConfig {
        failure_persistence: None,
        max_shrink_iters: 200,
        ..ProptestConfig::default()
    };
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = 24;
    }
    config
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn threads_keep_their_promises(
        offers in prop_oneof![Just(Offers::Load), Just(Offers::Resume), Just(Offers::Nothing)],
        actions in prop::collection::vec(action(), 8..32),
    ) {
        live(offers, actions);
    }
}
