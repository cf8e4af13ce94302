//! Agent processes for threads: one per folder and agent, shared by its threads.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Mutex, Weak},
    time::Duration,
};

use futures_util::future::BoxFuture;
use serde_json::Value;
use spectask_protocol::{AgentName, shim::Entry};
use tokio::time::Instant;

use super::{
    editor::Editor,
    frames,
    relay::Relay,
    room::{Room, lock},
};
use crate::agents::{Agent, AgentError, Profile, RpcError, SpawnSpec};

/// A process that served nobody for so long is ended.
const IDLE: Duration = Duration::from_secs(600);

/// An agent process and who watches it.
pub(super) struct Process {
    pub(super) agent: Agent,
    pub(super) relay: Arc<Relay>,
    used: Mutex<Instant>,
}

impl Process {
    pub(super) fn touch(&self) {
        *lock(&self.used) = Instant::now();
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    folder: PathBuf,
    command: Vec<String>,
    name: String,
}

type Slot = Arc<tokio::sync::Mutex<Option<Arc<Process>>>>;

/// How an agent is started; tests have agents in memory.
pub(super) type Starter = Box<
    dyn Fn(SpawnSpec, Arc<Relay>) -> BoxFuture<'static, Result<Agent, AgentError>> + Send + Sync,
>;

/// The agent processes of threads.
pub(super) struct Pool {
    room: Weak<Room>,
    starter: Starter,
    slots: Mutex<HashMap<Key, Slot>>,
}

/// Which agent serves a thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) name: AgentName,
    /// The command, where the entry names one instead of a profile.
    pub(super) command: Option<Vec<String>>,
}

impl Wanted {
    /// The agent of an entry; none for the `SpecTask` entry, where a person chooses.
    pub(super) fn of(entry: &Entry) -> Option<Self> {
        match entry {
            Entry::SpecTask => None,
            Entry::Agent { name } => Some(Self {
                name: name.clone(),
                command: None,
            }),
            Entry::Command { command } => name_of(command).map(|name| Self {
                name,
                command: Some(command.clone()),
            }),
        }
    }
}

/// A name for an agent that is only a command: the program's.
fn name_of(command: &[String]) -> Option<AgentName> {
    let program = command.first().map_or("", String::as_str);
    let program = program.rsplit(['/', '\\']).next().unwrap_or_default();
    let mut name: String = program
        .trim_end_matches(".exe")
        .chars()
        .map(|c| c.to_ascii_lowercase())
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .take(40)
        .collect();
    name = name.trim_matches('-').to_owned();
    name.parse().or_else(|_| "agent".parse()).ok()
}

impl Pool {
    pub(super) fn new(room: Weak<Room>, starter: Starter) -> Self {
        let slots = Mutex::default();
        Self {
            room,
            starter,
            slots,
        }
    }

    /// The process for `wanted` in the editor's folder, started when there is none; it is told the
    /// editor's capabilities.
    pub(super) async fn get(
        &self,
        editor: &Editor,
        wanted: &Wanted,
    ) -> Result<Arc<Process>, RpcError> {
        let stopping = || frames::internal("the daemon is stopping");
        let room = self.room.upgrade().ok_or_else(stopping)?;
        let profile = match &wanted.command {
            Some(command) => {
                let mut profile = Profile::new(wanted.name.as_str(), &[]);
                profile.command.clone_from(command);
                profile
            }
            None => room
                .ctx
                .agent_profile(&wanted.name, &editor.environment)
                .map_err(|failure| frames::failed(&failure))?,
        };
        let key = Key {
            folder: editor.cwd.clone(),
            command: profile.command.clone(),
            name: profile.name.clone(),
        };
        let slot = Arc::clone(lock(&self.slots).entry(key).or_default());
        let mut slot = slot.lock().await;
        if let Some(process) = &*slot
            && process.agent.is_alive()
        {
            process.touch();
            return Ok(Arc::clone(process));
        }
        if room.closing.is_cancelled() {
            return Err(stopping());
        }
        let process = self.start(&room, editor, wanted, profile).await?;
        *slot = Some(Arc::clone(&process));
        Ok(process)
    }

    /// Ends processes that served nobody for a while.
    pub(super) async fn sweep(&self) {
        let slots: Vec<Slot> = lock(&self.slots).values().cloned().collect();
        for slot in slots {
            let Ok(mut slot) = slot.try_lock() else {
                continue;
            };
            let idle = slot.as_ref().is_some_and(|process| {
                lock(&process.used).elapsed() > IDLE && !process.relay.is_in_use()
            });
            if idle && let Some(process) = slot.take() {
                process.agent.clone().close().await;
            }
        }
    }

    /// Ends all processes.
    pub(super) async fn close(&self) {
        let slots: Vec<Slot> = lock(&self.slots).values().cloned().collect();
        for slot in slots {
            if let Some(process) = slot.lock().await.take() {
                process.agent.kill().await;
            }
        }
    }

    async fn start(
        &self,
        room: &Arc<Room>,
        editor: &Editor,
        wanted: &Wanted,
        profile: Profile,
    ) -> Result<Arc<Process>, RpcError> {
        let mut environment = editor.environment.clone();
        let data_dir = room.ctx.paths.data_dir.display().to_string();
        environment.insert("SPECTASK_DATA_DIR".into(), data_dir);
        let redactor = {
            let mut all = environment.clone();
            all.extend(profile.set.clone());
            room.ctx.redactor(&all)
        };
        let relay = Relay::new(Arc::downgrade(room), wanted.name.clone(), redactor);
        let mut spec = SpawnSpec::new(profile, &editor.cwd, environment);
        spec.initialize = editor.initialize();
        let agent = (self.starter)(spec, Arc::clone(&relay))
            .await
            .map_err(|error| unstarted(&error))?;
        let process = Arc::new(Process {
            agent: agent.clone(),
            relay,
            used: Mutex::new(Instant::now()),
        });
        let (room, relay) = (Arc::downgrade(room), Arc::clone(&process.relay));
        // Holds no agent: it ends with the last thread that uses it.
        let exited = agent.exit_watch();
        drop(agent);
        tokio::spawn(async move {
            exited.await;
            if let Some(room) = room.upgrade() {
                relay.gone(&room).await;
            }
        });
        Ok(process)
    }
}

/// Ends processes that serve nobody any more, for as long as the room is there.
pub(super) async fn sweep(room: Weak<Room>) {
    let mut minutes = tokio::time::interval(Duration::from_secs(60));
    loop {
        minutes.tick().await;
        let Some(room) = room.upgrade() else { return };
        room.pool.sweep().await;
    }
}

/// An agent that could not be used, in words for the editor.
pub(super) fn unstarted(error: &AgentError) -> RpcError {
    let text = error.to_string();
    match error {
        AgentError::AuthRequired { methods, .. } => RpcError {
            code: -32000,
            message: text,
            data: Some(Value::from(
                methods
                    .iter()
                    .map(|method| method.raw.clone())
                    .collect::<Vec<_>>(),
            )),
        },
        _ => frames::internal(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_has_a_name() {
        let name = |program: &str| name_of(&[program.to_owned()]).unwrap().to_string();
        assert_eq!(name("/usr/bin/Echo_Agent.exe"), "echo-agent");
        assert_eq!(name("C:\\x\\gemini"), "gemini");
        assert_eq!(name("..."), "agent");
        assert_eq!(name_of(&[]).unwrap().to_string(), "agent");
    }
}
