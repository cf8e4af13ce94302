//! Watches a session's agent: transcript, current step, questions for a person, trespasses.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures_util::future::BoxFuture;
use serde_json::Value;
use spectask_protocol::{AgentName, SpecTaskId, WorkSessionId};

use super::{answer::ask_person, context::Shared};
use crate::{
    agents::{
        Direction, Incident, IncidentKind, Observer, PermissionAnswer, PermissionAsk,
        ProcessIdentity, ProcessKind, SessionUpdateView,
    },
    live::{History, Stream, Way},
    redact::Redactor,
    store::StoreError,
    workflow::turn,
};

/// How much of what an agent says in a turn is kept as its claim, in bytes.
const CLAIM_LIMIT: usize = 8 * 1024;

/// The observer of one session's agent process.
pub(super) struct SessionObserver {
    ctx: Shared,
    task: SpecTaskId,
    session: WorkSessionId,
    agent: AgentName,
    pub(super) redactor: Redactor,
    pub(super) stream: Arc<Stream>,
    history: Mutex<History>,
    said: Mutex<String>,
    processes: Mutex<HashMap<ProcessIdentity, i64>>,
}

impl SessionObserver {
    pub(super) fn new(
        ctx: Shared,
        task: SpecTaskId,
        session: WorkSessionId,
        agent: AgentName,
        redactor: Redactor,
    ) -> Result<Arc<Self>, StoreError> {
        let stream = ctx.live.stream(&session, Some(redactor.clone()))?;
        Ok(Arc::new(Self {
            ctx,
            task,
            session,
            agent,
            redactor,
            stream,
            history: Mutex::default(),
            said: Mutex::default(),
            processes: Mutex::default(),
        }))
    }

    /// What the agent said since the last call: its last message counts, so a tool call in between
    /// starts anew.
    pub(super) fn take_claim(&self) -> Option<String> {
        let said = std::mem::take(&mut *lock(&self.said));
        let said = said.trim();
        (!said.is_empty()).then(|| self.redactor.text(said).into_owned())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Observer for SessionObserver {
    fn frame(&self, direction: Direction, frame: &Value) {
        let way = match direction {
            Direction::ToAgent => Way::ToAgent,
            Direction::FromAgent => Way::FromAgent,
        };
        // What an agent repeats when it reopens its session is in the transcript already.
        if !lock(&self.history).repeats(way, frame) {
            self.stream.frame(way, frame);
        }
    }

    fn update(&self, _session: &str, update: &SessionUpdateView<'_>) {
        if update.replay {
            return;
        }
        if let Some(step) = &update.step {
            let step = self.redactor.text(step).into_owned();
            self.ctx.set_step(&self.session, Some(step));
        }
        match update.kind {
            "agent_message_chunk" => {
                let mut said = lock(&self.said);
                if let Some(text) = update.text()
                    && said.len() + text.len() <= CLAIM_LIMIT
                {
                    said.push_str(text);
                }
            }
            "tool_call" => lock(&self.said).clear(),
            _ => {}
        }
    }

    fn permission(&self, ask: PermissionAsk) -> BoxFuture<'_, PermissionAnswer> {
        Box::pin(ask_person(
            &self.ctx,
            &self.session,
            &self.stream,
            &self.redactor,
            ask,
        ))
    }

    fn redact(&self, text: &str) -> String {
        self.redactor.text(text).into_owned()
    }

    fn incident(&self, incident: &Incident) {
        let text = self.redactor.text(&incident.text).into_owned();
        let kind = match incident.kind {
            IncidentKind::OutsideRoot | IncidentKind::GitInternals => "escape",
            _ => {
                tracing::warn!(session = %self.session, %text, "agent");
                return;
            }
        };
        let (store, task, session) = (
            self.ctx.store.clone(),
            self.task.clone(),
            self.session.clone(),
        );
        tokio::spawn(async move {
            if let Err(error) = turn::incident(&store, &task, &session, kind, text).await {
                tracing::error!(%error, "an incident could not be kept");
            }
        });
    }

    fn started(&self, process: &ProcessIdentity, kind: ProcessKind) -> BoxFuture<'_, ()> {
        let process = *process;
        Box::pin(async move {
            let kept = turn::process_started(
                &self.ctx.store,
                Some(self.session.clone()),
                self.agent.clone(),
                turn::Process {
                    pid: process.pid,
                    start_time: process.start_time,
                    group: process.group,
                    is_agent: kind == ProcessKind::Agent,
                },
            )
            .await;
            match kept {
                Ok(row) => {
                    lock(&self.processes).insert(process, row);
                }
                Err(error) => tracing::error!(%error, "an agent process could not be noted"),
            }
        })
    }

    fn ended(&self, process: &ProcessIdentity) {
        let Some(row) = lock(&self.processes).remove(process) else {
            return;
        };
        let store = self.ctx.store.clone();
        tokio::spawn(async move {
            if let Err(error) = turn::process_ended(&store, row).await {
                tracing::debug!(%error, "the end of a process was not noted");
            }
        });
    }
}
