//! Editors that are attached now.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
};

use jiff::Timestamp;
use spectask_protocol::{ProjectId, WorkSessionId};
use tokio_util::sync::CancellationToken;

/// What an editor says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EditorInfo {
    /// Its shim's id, a UUID.
    pub instance: String,
    /// What it calls itself: name and version.
    pub editor: String,
    /// The folder it was started in.
    pub cwd: String,
    /// The project of that folder, if it is one.
    pub project: Option<ProjectId>,
    /// The agent it was started for; none: the `SpecTask` entry.
    pub agent: Option<String>,
    /// The process of the shim.
    pub pid: u32,
    /// When it attached, in milliseconds since the Unix epoch.
    pub since: i64,
}

/// Each instance's newest registration.
type Registered = Arc<Mutex<HashMap<String, (u64, Weak<Editor>)>>>;

/// The registry of attached editors.
#[derive(Default)]
pub struct Editors {
    registered: Registered,
    generations: AtomicU64,
}

/// An attached editor; registered as long as this is held.
pub struct Editor {
    info: EditorInfo,
    detach: CancellationToken,
    generation: u64,
    activity: AtomicI64,
    open: Mutex<BTreeSet<WorkSessionId>>,
    registered: Registered,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn now() -> i64 {
    Timestamp::now().as_millisecond()
}

impl Editors {
    /// Registers an editor until the last reference to what is returned is dropped. A newer
    /// registration of an instance takes the place of an older one, which may still be held.
    /// `detach` is cancelled when a person detaches the editor.
    #[must_use]
    pub fn attach(&self, info: EditorInfo, detach: CancellationToken) -> Arc<Editor> {
        let generation = self.generations.fetch_add(1, Ordering::Relaxed);
        let instance = info.instance.clone();
        let editor = Arc::new(Editor {
            info,
            detach,
            generation,
            activity: AtomicI64::new(now()),
            open: Mutex::default(),
            registered: Arc::clone(&self.registered),
        });
        lock(&self.registered).insert(instance, (generation, Arc::downgrade(&editor)));
        editor
    }

    /// The attached editors, those that came first, first.
    #[must_use]
    pub fn list(&self) -> Vec<Arc<Editor>> {
        let mut all: Vec<_> = {
            let registered = lock(&self.registered);
            registered
                .values()
                .filter_map(|(_, editor)| editor.upgrade())
                .collect()
        };
        all.sort_by_key(|editor| editor.generation);
        all
    }

    /// An attached editor.
    #[must_use]
    pub fn get(&self, instance: &str) -> Option<Arc<Editor>> {
        let registered = lock(&self.registered);
        registered
            .get(instance)
            .and_then(|(_, editor)| editor.upgrade())
    }

    /// Detaches an editor; returns whether there is such a one.
    #[must_use]
    pub fn detach(&self, instance: &str) -> bool {
        let editor = self.get(instance);
        if let Some(editor) = &editor {
            editor.detach.cancel();
        }
        editor.is_some()
    }

    /// The instance in which a session is open; the newest, when several show it.
    #[must_use]
    pub fn instance_of(&self, session: &WorkSessionId) -> Option<String> {
        self.list()
            .iter()
            .rev()
            .find(|editor| lock(&editor.open).contains(session))
            .map(|editor| editor.info.instance.clone())
    }
}

impl Editor {
    /// What it says of itself.
    #[must_use]
    pub fn info(&self) -> &EditorInfo {
        &self.info
    }

    /// Notes a frame.
    pub fn touch(&self) {
        self.activity.store(now(), Ordering::Relaxed);
    }

    /// When the newest frame came, in milliseconds since the Unix epoch.
    #[must_use]
    pub fn last_activity(&self) -> i64 {
        self.activity.load(Ordering::Relaxed)
    }

    /// Notes that it shows a session.
    pub fn open(&self, session: &WorkSessionId) {
        lock(&self.open).insert(session.clone());
    }

    /// Notes that it does not show a session any more.
    pub fn close(&self, session: &WorkSessionId) {
        lock(&self.open).remove(session);
    }

    /// The sessions it shows.
    #[must_use]
    pub fn sessions(&self) -> Vec<WorkSessionId> {
        lock(&self.open).iter().cloned().collect()
    }

    /// Whether a person detached it.
    #[must_use]
    pub fn detached(&self) -> bool {
        self.detach.is_cancelled()
    }
}

impl Drop for Editor {
    fn drop(&mut self) {
        let mut registered = lock(&self.registered);
        // A newer registration of the same instance stays.
        if registered
            .get(&self.info.instance)
            .is_some_and(|(generation, _)| *generation == self.generation)
        {
            registered.remove(&self.info.instance);
        }
    }
}
