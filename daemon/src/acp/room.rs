//! What everything in this room shares.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde_json::Value;
use spectask_protocol::{Client, DynTransport, PermissionId, ProjectId, WorkSessionId};
use tokio_util::sync::CancellationToken;

use super::{
    editor::Editor,
    pool::{Pool, Starter},
    serve,
    thread::Thread,
};
use crate::{
    agents::Agent,
    repo::Repository,
    rpc::{Local, Peer},
    scheduler::Shared,
    store::{StoreError, ThreadRow},
};

/// The daemon as an ACP agent towards editors. Cheap to clone.
#[derive(Clone)]
pub struct Acp {
    room: Arc<Room>,
}

impl Acp {
    /// The face, over the daemon's state; slash commands call methods through `local`.
    #[must_use]
    pub fn new(ctx: Shared, local: Local) -> Self {
        let room = Room::new(
            ctx,
            local,
            Box::new(|spec, relay| Box::pin(Agent::start(spec, relay))),
        );
        tokio::spawn(super::thread::collect_drafts(Arc::downgrade(&room)));
        tokio::spawn(super::pool::sweep(Arc::downgrade(&room)));
        Self { room }
    }

    /// Ends the agents of threads, and waits until their turns have ended as interrupted. The store
    /// must be open still.
    pub async fn close(&self) {
        self.room.close().await;
    }

    /// The route that shims connect to; only for the local socket.
    pub fn routes(&self) -> axum::Router {
        serve::routes(Arc::clone(&self.room))
    }
}

/// What everything in this room shares.
pub(super) struct Room {
    pub(super) ctx: Shared,
    local: Local,
    pub(super) pool: Pool,
    /// By instance; also those that are away for a moment.
    pub(super) editors: Mutex<HashMap<String, Arc<Editor>>>,
    threads: Mutex<HashMap<WorkSessionId, Arc<Thread>>>,
    /// What editors answered to permission requests, as it came.
    pub(super) answers: Mutex<HashMap<PermissionId, Value>>,
    /// Tells this daemon from those before.
    pub(super) boot: String,
    /// Cancelled when the daemon stops: agents end because of it, and none starts any more.
    pub(super) closing: CancellationToken,
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Room {
    pub(super) fn new(ctx: Shared, local: Local, starter: Starter) -> Arc<Self> {
        Arc::new_cyclic(|own| Self {
            ctx,
            local,
            pool: Pool::new(own.clone(), starter),
            editors: Mutex::default(),
            threads: Mutex::default(),
            answers: Mutex::default(),
            boot: uuid::Uuid::now_v7().simple().to_string(),
            closing: CancellationToken::new(),
        })
    }

    /// Ends the agents of threads, and waits until their turns have ended.
    pub(super) async fn close(&self) {
        self.closing.cancel();
        self.pool.close().await;
        let threads: Vec<WorkSessionId> = lock(&self.threads).keys().cloned().collect();
        for thread in threads {
            self.ctx.idle(&thread).await;
        }
    }

    /// A client of the daemon's own methods that may do what `peer` may.
    pub(super) fn client(&self, peer: Peer) -> Client<Arc<dyn DynTransport>> {
        Client::new(Arc::new(self.local.as_peer(peer)))
    }

    /// The thread of that id, if it is one that a person began in an editor.
    pub(super) fn thread(&self, id: &WorkSessionId) -> Result<Option<Arc<Thread>>, StoreError> {
        if let Some(thread) = lock(&self.threads).get(id) {
            return Ok(Some(Arc::clone(thread)));
        }
        let row = self.ctx.store.read(|read| read.thread(id))?;
        Ok(row
            .filter(|row| row.deleted_at.is_none())
            .map(|row| self.keep(row)))
    }

    /// Gives a thread whose window is gone to another one that shows it.
    pub(super) fn hand_over(&self, id: &WorkSessionId, gone: &Editor) {
        let Ok(Some(thread)) = self.thread(id) else {
            return;
        };
        if thread.primary().is_some() {
            return;
        }
        let editors: Vec<Arc<Editor>> = lock(&self.editors).values().cloned().collect();
        let next = editors.iter().find(|editor| {
            editor.instance != gone.instance && editor.is_linked() && editor.view(id).is_some()
        });
        if let Some(next) = next {
            thread.set_primary(next);
        }
    }

    /// The thread of a row; there is never a second one of the same id.
    pub(super) fn keep(&self, row: ThreadRow) -> Arc<Thread> {
        let id = row.id.clone();
        let mut threads = lock(&self.threads);
        let thread = threads.entry(id).or_insert_with(|| Thread::new(row));
        Arc::clone(thread)
    }

    pub(super) fn forget(&self, id: &WorkSessionId) {
        lock(&self.threads).remove(id);
    }

    /// The project of a folder, made known when it is a repository; none elsewhere.
    pub(super) async fn project(&self, folder: &str) -> Option<ProjectId> {
        let folder = std::path::PathBuf::from(folder);
        let found = tokio::task::spawn_blocking(move || Repository::discover(folder)).await;
        let repository = found.ok()?.ok()?;
        let common_dir = repository.common_dir().display().to_string();
        let root = repository.root().display().to_string();
        let made = self.ctx.store.write(move |write| {
            let id = crate::workflow::new_id()?;
            Ok::<_, crate::workflow::WorkflowError>(write.ensure_project(
                &id,
                &common_dir,
                &root,
            )?)
        });
        match made.await {
            Ok(project) => Some(project.id),
            Err(error) => {
                tracing::error!(%error, "a project could not be noted");
                None
            }
        }
    }
}
