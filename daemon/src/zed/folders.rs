//! Which folders are listened to.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher, event::ModifyKind};
use tokio::sync::Notify;

/// Listens to the folders in which the databases are, as far as they are there.
pub(super) struct Folders {
    watcher: Option<RecommendedWatcher>,
    listened: BTreeSet<PathBuf>,
    changed: Arc<Notify>,
    /// Folders came or went, so that what is listened to may be another folder of that name.
    moved: Arc<AtomicBool>,
}

impl Folders {
    pub(super) fn new() -> Self {
        let changed = Arc::new(Notify::new());
        let moved = Arc::new(AtomicBool::new(false));
        let (wake, mark) = (Arc::clone(&changed), Arc::clone(&moved));
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            let event = match event {
                // Our own reading opens and closes files.
                Ok(event) if event.kind.is_access() => return,
                Ok(event) => event,
                Err(_) => {
                    mark.store(true, Ordering::Release);
                    wake.notify_one();
                    return;
                }
            };
            let structural = matches!(
                event.kind,
                EventKind::Create(_)
                    | EventKind::Remove(_)
                    | EventKind::Modify(ModifyKind::Name(_))
                    | EventKind::Any
                    | EventKind::Other
            );
            if structural && !event.paths.iter().all(|path| is_database(path)) {
                mark.store(true, Ordering::Release);
            }
            wake.notify_one();
        });
        let watcher = watcher
            .inspect_err(|error| {
                tracing::info!(%error, "Zed's threads are looked for now and then only");
            })
            .ok();
        Self {
            watcher,
            listened: BTreeSet::new(),
            changed,
            moved,
        }
    }

    /// Listens to what is there of these folders, and to no others. With `anew`, or after folders came
    /// or went, every one of them is listened to anew.
    pub(super) fn listen(&mut self, folders: &BTreeSet<PathBuf>, anew: bool) {
        let Some(watcher) = &mut self.watcher else {
            return;
        };
        let there: BTreeSet<PathBuf> = folders
            .iter()
            .filter(|folder| folder.is_dir())
            .cloned()
            .collect();
        let anew = self.moved.swap(false, Ordering::AcqRel) || anew;
        if !anew && there == self.listened {
            return;
        }
        for folder in std::mem::take(&mut self.listened) {
            // A folder that is gone is not listened to any more.
            drop(watcher.unwatch(&folder));
        }
        for folder in there {
            match watcher.watch(&folder, RecursiveMode::NonRecursive) {
                Ok(()) => {
                    self.listened.insert(folder);
                }
                Err(error) => tracing::debug!(%error, "a folder of Zed is not listened to"),
            }
        }
    }

    /// Returns when something changed since the last time.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }
}

fn is_database(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    name.is_some_and(|name| name.starts_with("db.sqlite"))
}
