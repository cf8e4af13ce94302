//! Sessions: conversations that survive the process, each with at most one turn.

use std::{
    collections::HashMap,
    io::Write as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use agent_client_protocol::{Error, v1::schema};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

/// Oldest messages are dropped above this size, so that a file stays small.
const MAX_KEPT: usize = 1 << 20;
/// Conversations that nobody touched for so long are removed.
const MAX_AGE: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Who said something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Speaker {
    /// The client, for a person or a program.
    User,
    /// This agent.
    Agent,
}

/// One message of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Message {
    pub(super) id: String,
    pub(super) speaker: Speaker,
    pub(super) text: String,
}

/// The file of a session.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Saved {
    cwd: PathBuf,
    messages: Vec<Message>,
}

/// A session that is open in this process.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) id: String,
    pub(super) cwd: PathBuf,
    file: Option<PathBuf>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    messages: Vec<Message>,
    turn: Option<CancellationToken>,
}

/// All sessions of the process.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    folder: Option<PathBuf>,
    open: Mutex<HashMap<String, Arc<Session>>>,
}

/// A running turn; another may begin once it is dropped.
#[derive(Debug)]
pub(super) struct TurnGuard {
    pub(super) session: Arc<Session>,
    /// Cancelled by `session/cancel`.
    pub(super) cancel: CancellationToken,
}

impl Drop for TurnGuard {
    fn drop(&mut self) {
        lock(&self.session.state).turn = None;
    }
}

impl Sessions {
    /// Keeps conversations in a folder, or in memory only.
    pub(super) fn new(folder: Option<PathBuf>) -> Self {
        if let Some(folder) = &folder {
            remove_old(folder);
        }
        Self {
            folder,
            open: Mutex::default(),
        }
    }

    /// Opens a new session.
    pub(super) fn create(&self, cwd: PathBuf) -> Result<Arc<Session>, Error> {
        let id = uuid::Uuid::now_v7().to_string();
        let session = self.open(id, cwd, Vec::new())?;
        session.save();
        Ok(session)
    }

    /// Opens a session again, from this process or from its file.
    pub(super) fn load(
        &self,
        id: &str,
        cwd: PathBuf,
    ) -> Result<(Arc<Session>, Vec<Message>), Error> {
        let unknown = || not_found(id);
        if !is_safe_id(id) {
            return Err(unknown());
        }
        let known = lock(&self.open).get(id).cloned();
        let messages = if let Some(known) = known {
            let state = lock(&known.state);
            if state.turn.is_some() {
                return Err(Error::invalid_request().data(serde_json::json!(
                    "a turn of this session is running; cancel it before loading the session"
                )));
            }
            state.messages.clone()
        } else {
            let folder = self.folder.as_ref().ok_or_else(unknown)?;
            let text = std::fs::read(file_of(folder, id)).map_err(|_| unknown())?;
            let saved: Saved = serde_json::from_slice(&text).map_err(|_| unknown())?;
            saved.messages
        };
        let session = self.open(id.to_owned(), cwd, messages.clone())?;
        session.save();
        Ok((session, messages))
    }

    fn open(
        &self,
        id: String,
        cwd: PathBuf,
        messages: Vec<Message>,
    ) -> Result<Arc<Session>, Error> {
        if !cwd.is_absolute() {
            return Err(Error::invalid_params().data(serde_json::json!("cwd must be absolute")));
        }
        let session = Arc::new(Session {
            file: self.folder.as_ref().map(|folder| file_of(folder, &id)),
            id: id.clone(),
            cwd,
            state: Mutex::new(State {
                messages,
                turn: None,
            }),
        });
        lock(&self.open).insert(id, Arc::clone(&session));
        Ok(session)
    }

    /// Begins a turn. A session has one at a time.
    pub(super) fn begin_turn(&self, id: &str) -> Result<TurnGuard, Error> {
        let session = lock(&self.open)
            .get(id)
            .cloned()
            .ok_or_else(|| not_found(id))?;
        let cancel = CancellationToken::new();
        {
            let mut state = lock(&session.state);
            if state.turn.is_some() {
                return Err(Error::invalid_request().data(serde_json::json!(
                    "a turn of this session is running; wait for its end or cancel it"
                )));
            }
            state.turn = Some(cancel.clone());
        }
        Ok(TurnGuard { session, cancel })
    }

    /// Cancels the running turn of a session, if there is one.
    pub(super) fn cancel(&self, id: &str) {
        let session = lock(&self.open).get(id).cloned();
        if let Some(session) = session {
            session.cancel();
        }
    }

    /// Cancels all running turns.
    pub(super) fn cancel_all(&self) {
        for session in lock(&self.open).values() {
            session.cancel();
        }
    }
}

impl Session {
    fn cancel(&self) {
        if let Some(turn) = &lock(&self.state).turn {
            turn.cancel();
        }
    }

    /// Adds a message and saves the conversation.
    pub(super) fn record(&self, message: Message) {
        let mut state = lock(&self.state);
        state.messages.push(message);
        let mut size: usize = state
            .messages
            .iter()
            .map(|message| message.text.len())
            .sum();
        while size > MAX_KEPT && state.messages.len() > 1 {
            size -= state.messages.remove(0).text.len();
        }
        drop(state);
        self.save();
    }

    /// A conversation that cannot be saved still goes on; only loading it later will fail.
    fn save(&self) {
        let Some(file) = &self.file else { return };
        let saved = Saved {
            cwd: self.cwd.clone(),
            messages: lock(&self.state).messages.clone(),
        };
        if let Err(error) = write_file(file, &saved) {
            tracing::warn!(file = %file.display(), %error, "the session cannot be saved");
        }
    }
}

/// Replaces the file in one step; a new file belongs to its owner only.
fn write_file(file: &Path, saved: &Saved) -> std::io::Result<()> {
    let folder = file.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let mut new = tempfile::NamedTempFile::new_in(folder)?;
    new.write_all(&serde_json::to_vec(saved)?)?;
    new.persist(file)?;
    Ok(())
}

fn file_of(folder: &Path, id: &str) -> PathBuf {
    folder.join(format!("{id}.json"))
}

fn not_found(id: &str) -> Error {
    schema::Error::session_not_found(id.to_owned()).into()
}

fn is_safe_id(id: &str) -> bool {
    (1..=64).contains(&id.len()) && id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
}

fn remove_old(folder: &Path) {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        let age = entry
            .metadata()
            .and_then(|metadata| metadata.modified())
            .ok()
            .and_then(|modified| SystemTime::now().duration_since(modified).ok());
        let name = entry.file_name();
        let is_session = Path::new(&name)
            .extension()
            .is_some_and(|end| end == "json");
        if is_session && age.is_some_and(|age| age > MAX_AGE) {
            // Another process may have removed it; nothing depends on it.
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

/// The state behind these locks is valid after every statement, so a poisoned lock is usable.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> Message {
        Message {
            id: "m".into(),
            speaker: Speaker::User,
            text: text.into(),
        }
    }

    #[test]
    fn a_conversation_survives_the_process_and_stays_small() {
        let folder = tempfile::tempdir().unwrap();
        let cwd = folder.path().to_owned();
        let state = folder.path().join("deep/sessions");
        let id = {
            let sessions = Sessions::new(Some(state.clone()));
            let session = sessions.create(cwd.clone()).unwrap();
            session.record(message(&"x".repeat(MAX_KEPT)));
            session.record(message("hello"));
            session.id.clone()
        };
        let sessions = Sessions::new(Some(state.clone()));
        let (session, messages) = sessions.load(&id, cwd).unwrap();
        assert_eq!(messages, [message("hello")]);
        assert_eq!(session.id, id);
        assert_eq!(std::fs::read_dir(state).unwrap().count(), 1);
    }

    #[test]
    fn hostile_ids_name_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("sessions");
        std::fs::write(folder.path().join("x.json"), r#"{"cwd":"/","messages":[]}"#).unwrap();
        let sessions = Sessions::new(Some(state));
        for id in ["../x", "", "..", "a/b", "a\\b", "nothing"] {
            assert!(sessions.load(id, folder.path().to_owned()).is_err(), "{id}");
        }
    }

    #[test]
    fn one_turn_at_a_time() {
        let sessions = Sessions::new(None);
        let id = sessions.create(std::env::temp_dir()).unwrap().id.clone();
        let turn = sessions.begin_turn(&id).unwrap();
        assert!(sessions.begin_turn(&id).is_err());
        sessions.cancel(&id);
        assert!(turn.cancel.is_cancelled());
        drop(turn);
        assert!(!sessions.begin_turn(&id).unwrap().cancel.is_cancelled());
        assert!(sessions.create(PathBuf::from("relative")).is_err());
    }
}
