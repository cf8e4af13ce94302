//! What is known of a session on a connection.

use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::toolcall::ToolFacts;

/// How many tool calls of a session are remembered.
const MAX_TOOLS: usize = 256;

/// A session mode an agent offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mode {
    /// The id to choose it by.
    pub id: String,
    /// The name for people.
    pub name: String,
}

/// The session modes of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Modes {
    /// The id of the current one.
    pub current: String,
    /// Those the agent offers.
    pub available: Vec<Mode>,
    /// The id of the config option that stands for the mode, where the agent has that instead of
    /// `modes`.
    pub(super) option: Option<String>,
}

impl Modes {
    /// Reads `modes`, or else the config option of category `mode`, from the answer to
    /// `session/new`, `load` or `resume`.
    pub(super) fn read(answer: &Value) -> Option<Self> {
        answer
            .get("modes")
            .and_then(Self::from_modes)
            .or_else(|| Self::from_options(answer))
    }

    fn from_modes(modes: &Value) -> Option<Self> {
        let current = modes.get("currentModeId")?.as_str()?.to_owned();
        let available = modes.get("availableModes")?.as_array()?;
        let available = available
            .iter()
            .filter_map(|mode| Mode::read(mode, "id"))
            .collect();
        Some(Self {
            current,
            available,
            option: None,
        })
    }

    fn from_options(answer: &Value) -> Option<Self> {
        let options = answer.get("configOptions")?.as_array()?;
        let mode = options
            .iter()
            .find(|option| option.get("category").is_some_and(|c| c == "mode"))?;
        let mut available = Vec::new();
        for entry in mode.get("options")?.as_array()? {
            // An entry is a value, or a group of values.
            match entry.get("options").and_then(Value::as_array) {
                Some(group) => {
                    available.extend(group.iter().filter_map(|e| Mode::read(e, "value")));
                }
                None => available.extend(Mode::read(entry, "value")),
            }
        }
        Some(Self {
            current: mode.get("currentValue")?.as_str()?.to_owned(),
            available,
            option: Some(mode.get("id")?.as_str()?.to_owned()),
        })
    }
}

impl Mode {
    fn read(value: &Value, id: &str) -> Option<Self> {
        let id = value.get(id)?.as_str()?.to_owned();
        let name = value
            .get("name")
            .and_then(Value::as_str)
            .unwrap_or(&id)
            .to_owned();
        Some(Self { id, name })
    }
}

/// A session on a connection.
pub(super) struct Session {
    pub(super) cwd: PathBuf,
    state: Mutex<State>,
}

struct State {
    turn: u64,
    token: CancellationToken,
    clock: Clock,
    tools: HashMap<String, ToolFacts>,
    order: VecDeque<String>,
    loading: bool,
}

impl Session {
    /// A session whose work ends when `closed` is cancelled.
    pub(super) fn new(cwd: PathBuf, closed: &CancellationToken) -> Self {
        let state = State {
            turn: 0,
            token: closed.child_token(),
            clock: Clock::new(),
            tools: HashMap::new(),
            order: VecDeque::new(),
            loading: false,
        };
        Self {
            cwd,
            state: Mutex::new(state),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Cancelled when the current turn is, or when the connection closes.
    pub(super) fn token(&self) -> CancellationToken {
        self.lock().token.clone()
    }

    /// Begins a turn: its number, and the token that ends its work.
    pub(super) fn begin_turn(&self, closed: &CancellationToken) -> (u64, CancellationToken) {
        let mut state = self.lock();
        state.turn += 1;
        state.token = closed.child_token();
        state.clock.restart();
        (state.turn, state.token.clone())
    }

    /// Ends turn `turn`: what the agent asks for after a cancelled turn is a new matter.
    pub(super) fn end_turn(&self, turn: u64, closed: &CancellationToken) {
        let mut state = self.lock();
        if state.turn == turn && state.token.is_cancelled() {
            state.token = closed.child_token();
        }
    }

    pub(super) fn set_loading(&self, loading: bool) {
        self.lock().loading = loading;
    }

    pub(super) fn is_loading(&self) -> bool {
        self.lock().loading
    }

    pub(super) fn touch(&self) {
        self.lock().clock.touch();
    }

    /// Holds the clock while the daemon, not the agent, is to move: only the idle limit, or with
    /// `person` both limits.
    pub(super) fn hold(&self, person: bool) -> Hold<'_> {
        self.lock().clock.hold(person);
        Hold {
            session: self,
            person,
        }
    }

    pub(super) fn verdict(&self, turn: Duration, idle: Duration) -> Verdict {
        self.lock().clock.verdict(turn, idle)
    }

    /// Adds what `call` says to what is known of its tool call; `None` if it has no id.
    pub(super) fn tool(&self, call: &Value) -> Option<ToolFacts> {
        let id = call.get("toolCallId")?.as_str()?;
        let mut state = self.lock();
        if !state.tools.contains_key(id) {
            if state.order.len() >= MAX_TOOLS
                && let Some(oldest) = state.order.pop_front()
            {
                state.tools.remove(&oldest);
            }
            state.order.push_back(id.to_owned());
        }
        let facts = state.tools.entry(id.to_owned()).or_default();
        facts.absorb(call);
        Some(facts.clone())
    }
}

/// Keeps a session's clock held until dropped.
pub(super) struct Hold<'a> {
    session: &'a Session,
    person: bool,
}

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        self.session.lock().clock.release(self.person);
    }
}

/// What the limits say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Within them; look again then.
    Fine(Instant),
    Idle,
    Over,
}

/// Counts a turn's time and the agent's silence.
struct Clock {
    begun: Instant,
    last: Instant,
    busy: usize,
    persons: usize,
    waiting_since: Option<Instant>,
    waited: Duration,
}

impl Clock {
    fn new() -> Self {
        let now = Instant::now();
        Self {
            begun: now,
            last: now,
            busy: 0,
            persons: 0,
            waiting_since: None,
            waited: Duration::ZERO,
        }
    }

    /// Holds survive: a person may still be thinking about the turn before.
    fn restart(&mut self) {
        let now = Instant::now();
        self.begun = now;
        self.last = now;
        self.waited = Duration::ZERO;
        self.waiting_since = self.waiting_since.map(|_| now);
    }

    fn touch(&mut self) {
        self.last = Instant::now();
    }

    fn hold(&mut self, person: bool) {
        self.busy += 1;
        if person {
            self.persons += 1;
            self.waiting_since.get_or_insert_with(Instant::now);
        }
    }

    fn release(&mut self, person: bool) {
        self.busy = self.busy.saturating_sub(1);
        if person {
            self.persons = self.persons.saturating_sub(1);
            if self.persons == 0
                && let Some(since) = self.waiting_since.take()
            {
                self.waited += since.elapsed();
            }
        }
        self.touch();
    }

    fn verdict(&self, turn: Duration, idle: Duration) -> Verdict {
        let now = Instant::now();
        let waited = self.waited
            + self
                .waiting_since
                .map_or(Duration::ZERO, |since| now - since);
        let worked = (now - self.begun).saturating_sub(waited);
        let silent = if self.busy > 0 {
            Duration::ZERO
        } else {
            now - self.last
        };
        if worked >= turn {
            Verdict::Over
        } else if silent >= idle {
            Verdict::Idle
        } else {
            Verdict::Fine(now + (turn - worked).min(idle - silent))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn session() -> (Session, CancellationToken) {
        let closed = CancellationToken::new();
        (Session::new("/".into(), &closed), closed)
    }

    #[test]
    fn modes_are_read_from_either_place() {
        let modes = json!({"modes": {"currentModeId": "a", "availableModes": [{"id": "a", "name": "A"}, {"id": "b"}]}});
        let read = Modes::read(&modes).unwrap();
        assert_eq!(read.current, "a");
        assert_eq!(
            read.available[1],
            Mode {
                id: "b".into(),
                name: "b".into()
            }
        );
        let options = json!({"configOptions": [
            {"id": "model", "category": "model", "currentValue": "m", "options": []},
            {"id": "mode", "category": "mode", "currentValue": "x", "options": [
                {"value": "x", "name": "X"}, {"name": "group", "options": [{"value": "y", "name": "Y"}]},
            ]},
        ]});
        let read = Modes::read(&options).unwrap();
        assert_eq!(read.option.as_deref(), Some("mode"));
        let ids: Vec<&str> = read.available.iter().map(|mode| mode.id.as_str()).collect();
        assert_eq!(ids, ["x", "y"]);
        assert_eq!(Modes::read(&json!({"modes": null})), None);
        assert_eq!(Modes::read(&json!({})), None);
    }

    #[test]
    fn tool_calls_are_remembered_within_bounds() {
        let (session, _) = session();
        session.tool(&json!({"toolCallId": "first", "kind": "edit"}));
        let facts = session
            .tool(&json!({"toolCallId": "first", "title": "T"}))
            .unwrap();
        assert_eq!(
            (facts.kind.as_deref(), facts.title.as_deref()),
            (Some("edit"), Some("T"))
        );
        for n in 0..MAX_TOOLS {
            session.tool(&json!({"toolCallId": n.to_string()}));
        }
        assert_eq!(
            session.tool(&json!({"toolCallId": "first"})).unwrap().kind,
            None
        );
        assert_eq!(session.lock().tools.len(), MAX_TOOLS);
        assert!(session.tool(&json!({})).is_none());
    }

    #[test]
    fn a_cancelled_turn_does_not_cancel_the_next() {
        let (session, closed) = session();
        let (first, token) = session.begin_turn(&closed);
        token.cancel();
        assert!(session.token().is_cancelled());
        let (second, _) = session.begin_turn(&closed);
        session.end_turn(first, &closed);
        assert!(!session.token().is_cancelled());
        session.token().cancel();
        session.end_turn(second, &closed);
        assert!(!session.token().is_cancelled());
        closed.cancel();
        assert!(session.token().is_cancelled());
    }

    #[test]
    fn the_clock_stands_still_for_persons_and_commands() {
        let (session, closed) = session();
        session.begin_turn(&closed);
        let (short, long) = (Duration::from_nanos(1), Duration::from_secs(100));
        let later = || std::thread::sleep(Duration::from_millis(1));
        later();
        assert_eq!(session.verdict(long, short), Verdict::Idle);
        assert_eq!(session.verdict(short, long), Verdict::Over);
        let command = session.hold(false);
        assert!(matches!(session.verdict(long, short), Verdict::Fine(_)));
        assert_eq!(session.verdict(short, long), Verdict::Over);
        drop(command);
        let (turn, _) = session.begin_turn(&closed);
        assert_eq!(turn, 2);
        let before = Duration::from_millis(500);
        let person = session.hold(true);
        let other = session.hold(true);
        std::thread::sleep(Duration::from_millis(600));
        drop(other);
        assert!(matches!(session.verdict(before, short), Verdict::Fine(_)));
        drop(person);
        assert!(matches!(session.verdict(before, long), Verdict::Fine(_)));
    }
}
