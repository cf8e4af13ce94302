//! What handlers see.

use std::{
    collections::HashSet,
    sync::{Mutex, OnceLock, PoisonError},
    time::Instant,
};

use spectask_protocol::WorkSessionId;
use tokio_util::sync::CancellationToken;

use super::local::Local;
use crate::{
    scheduler::Shared,
    store::ProcessRow,
    workflow::{
        WorkflowError,
        lookup::{session_name, task_of},
        turn,
    },
};

/// What became of the face on loopback.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Served {
    /// Not asked for.
    Off,
    /// At this URL.
    At(String),
    /// It cannot be; why.
    Failed(String),
}

/// What handlers see.
pub(super) struct Face {
    pub(super) ctx: Shared,
    pub(super) started: Instant,
    pub(super) stop: CancellationToken,
    /// What agents were refused, so that each is told to the person once.
    refused: Mutex<HashSet<(WorkSessionId, &'static str)>>,
    loopback: OnceLock<Served>,
    /// The methods as a person calls them: slash commands are made of calls.
    local: OnceLock<Local>,
}

impl Face {
    pub(super) fn new(ctx: Shared, stop: CancellationToken) -> Self {
        Self {
            ctx,
            started: Instant::now(),
            stop,
            refused: Mutex::default(),
            loopback: OnceLock::new(),
            local: OnceLock::new(),
        }
    }

    /// Keeps what became of the loopback face.
    pub(super) fn told(&self, served: Served) {
        // It is bound once.
        drop(self.loopback.set(served));
    }

    /// Keeps the methods, which are made of this face.
    pub(super) fn serves(&self, local: Local) {
        // They are made once.
        drop(self.local.set(local));
    }

    /// The methods as a person calls them, once they are there.
    pub(super) fn local(&self) -> Option<Local> {
        self.local.get().cloned()
    }

    /// Where the loopback face is.
    pub(super) fn loopback(&self) -> &Served {
        self.loopback.get().unwrap_or(&Served::Off)
    }

    /// The work session that a token was issued to.
    pub(super) fn session_of(&self, token: &str) -> Option<WorkSessionId> {
        self.ctx.live.tokens().session(token)
    }

    /// Processes of agents that are recorded as running.
    pub(super) fn agents(&self) -> Vec<ProcessRow> {
        let rows = self.ctx.store.read(|read| read.open_processes());
        rows.unwrap_or_default()
    }

    /// Tells the person that an agent tried what it may not.
    pub(super) async fn refused(&self, session: &WorkSessionId, method: &'static str) {
        let first = self
            .refused
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert((session.clone(), method));
        let found = self.ctx.store.read(|read| {
            let Some(row) = read.session(session)? else {
                return Ok(None);
            };
            Ok::<_, WorkflowError>(Some((task_of(read, &row)?, row)))
        });
        let Some((task, row)) = found.ok().flatten().filter(|_| first) else {
            return;
        };
        let text = format!(
            "a process of the agent of {} tried {method}, which is for persons",
            session_name(task.as_ref(), &row)
        );
        let task = task.map(|task| task.id);
        let kept = turn::incident(&self.ctx.store, task.as_ref(), &row.id, "forbidden", text).await;
        if let Err(error) = kept {
            tracing::error!(%error, "an incident could not be kept");
        }
    }
}
