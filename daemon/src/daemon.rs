//! The daemon: one per data folder. Takes the lock, opens the store, cleans up after a crash, serves.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Write},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use crate::{
    acp::Acp,
    config::{Config, ConfigError},
    history, mcp,
    paths::Paths,
    recorder::{self, Recorder},
    redact::Redactor,
    rpc::{Mounts, ServeError, Server},
    scheduler::{self, Context},
    store::{Store, StoreError},
    workflow::WorkflowError,
    zed::{self, Pace},
    zed_paths,
};

/// The log of a daemon that runs for months stays readable: at this size it starts anew once.
const LOG_LIMIT: u64 = 16 << 20;

/// Running agents get this long to hear that they are cancelled.
const GRACE: Duration = Duration::from_secs(5);

/// Why the daemon does not run.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// Another one has the data folder.
    #[error("another daemon is at work in {0}")]
    Running(PathBuf),
    /// The data folder cannot be used.
    #[error("cannot use {path}: {source}")]
    Folder {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The configuration does not fit.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The database cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The clean-up after a crash failed.
    #[error(transparent)]
    Workflow(#[from] WorkflowError),
    /// The socket cannot be used.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// The runtime cannot be made.
    #[error("cannot start the runtime: {0}")]
    Runtime(io::Error),
}

/// Runs the daemon until it is told to stop. Prints `ready` as a line on standard output when its
/// socket accepts; whoever started it waits for that.
///
/// # Errors
/// When it cannot start; [`DaemonError::Running`] when another one has the data folder.
pub fn run_blocking(paths: &Paths) -> Result<(), DaemonError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("spectask")
        .enable_all()
        .build()
        .map_err(DaemonError::Runtime)?;
    let result = runtime.block_on(run(paths));
    // A blocked git command must not hold the end up.
    runtime.shutdown_timeout(Duration::from_secs(1));
    // Only now is the data folder free: what the runtime held has closed its files.
    result.map(drop)
}

/// Serves until the end; returns the lock, which outlives everything else.
async fn run(paths: &Paths) -> Result<File, DaemonError> {
    let lock = lock(paths)?;
    let config = Config::load(&paths.config_file);
    log_to(
        paths,
        config.as_ref().map_or("info", |config| config.log.as_str()),
    )?;
    let watch_zed = config.as_ref().is_ok_and(|config| config.zed.watch);
    if let Err(error) = config {
        // The daemon runs all the same, so that the person is told through the command line.
        tracing::error!(%error, "the configuration cannot be used");
    }
    let store = Store::open(&paths.database())?;
    let ctx = Context::new(store.clone(), paths.clone()).await?;
    scheduler::recover(&ctx).await?;
    let stop = CancellationToken::new();
    let mut editors = None;
    let server = Server::bind(Arc::clone(&ctx), stop.clone(), |local| {
        let everywhere = mcp::service(local.clone());
        let acp = Acp::new(Arc::clone(&ctx), local);
        let local = acp.routes();
        editors = Some(acp);
        Mounts { local, everywhere }
    })?;
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        pid = std::process::id(),
        "started"
    );
    announce();
    let scheduler = tokio::spawn(scheduler::run(Arc::clone(&ctx)));
    tokio::spawn(scheduler::sweep(Arc::clone(&ctx)));
    tokio::spawn(scheduler::keep_tidy(Arc::clone(&ctx)));
    let zed = watch_zed.then(|| {
        let redactor = ctx.redactor(&Default::default());
        let places = zed_paths::places();
        tokio::spawn(zed::watch(store.clone(), redactor, places, Pace::default()))
    });
    tokio::spawn(history::index(store.clone()));
    let history_stop = CancellationToken::new();
    let history = start_recorder(&ctx, &history_stop);
    tokio::spawn(stop_on_signal(stop.clone()));
    server.run().await;
    ctx.drain();
    if let Some(zed) = zed {
        zed.abort();
    }
    if let Some(acp) = editors {
        // Before the store is closed: the turns of threads end in it.
        drop(tokio::time::timeout(GRACE, acp.close()).await);
    }
    scheduler.abort();
    // Aborting the scheduler drops its sessions, and with them their agents' process groups.
    drop(tokio::time::timeout(GRACE, scheduler).await);
    scheduler::reap_strays(&ctx).await;
    // What agents said last; a stream that cannot be written must not hold the daemon.
    drop(tokio::time::timeout(GRACE, ctx.live.flush()).await);
    // What is not recorded by then is when the daemon starts again.
    history_stop.cancel();
    if let Some(history) = history {
        drop(tokio::time::timeout(GRACE, history).await);
    }
    store.close().await;
    tracing::info!("stopped");
    Ok(lock)
}

/// Starts what records history in git, unless the person wants none.
fn start_recorder(
    ctx: &Arc<Context>,
    stop: &CancellationToken,
) -> Option<tokio::task::JoinHandle<()>> {
    if ctx.config().is_ok_and(|config| !config.history.record) {
        return None;
    }
    let redactor = ctx.redactor(&std::env::vars().collect());
    match Recorder::new(ctx.store.clone(), redactor, ctx.history.clone()) {
        Ok(recorder) => Some(tokio::spawn(recorder::run(
            recorder,
            ctx.store.clone(),
            stop.clone(),
        ))),
        Err(error) => {
            tracing::error!(%error, "history is not recorded");
            None
        }
    }
}

fn lock(paths: &Paths) -> Result<File, DaemonError> {
    let folder = |source| DaemonError::Folder {
        path: paths.data_dir.clone(),
        source,
    };
    make_private(&paths.data_dir).map_err(folder)?;
    let path = paths.lock_file();
    let file = OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(false)
        .open(&path)
        .map_err(|source| DaemonError::Folder {
            path: path.clone(),
            source,
        })?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(DaemonError::Running(paths.data_dir.clone())),
        Err(TryLockError::Error(source)) => Err(DaemonError::Folder { path, source }),
    }
}

#[cfg(unix)]
fn make_private(folder: &std::path::Path) -> io::Result<()> {
    use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)?;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700))
}

#[cfg(not(unix))]
fn make_private(folder: &std::path::Path) -> io::Result<()> {
    fs::create_dir_all(folder)
}

fn log_to(paths: &Paths, filter: &str) -> Result<(), DaemonError> {
    let path = paths.log_file();
    let failed = |source| DaemonError::Folder {
        path: path.clone(),
        source,
    };
    if fs::metadata(&path).is_ok_and(|about| about.len() > LOG_LIMIT) {
        fs::rename(&path, path.with_extension("log.1")).map_err(failed)?;
    }
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(&path).map_err(failed)?;
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(false)
        .with_writer(std::sync::Mutex::new(Redacted(file)))
        .finish();
    // What a program says when it breaks may quote what it worked on; its standard error is the log.
    std::panic::set_hook(Box::new(|panic| {
        let said = format!("{panic}\n");
        let clean = Redactor::without_variables().text(&said);
        drop(io::stderr().write_all(clean.as_bytes()));
    }));
    // A second daemon in one process happens only in tests.
    drop(tracing::subscriber::set_global_default(subscriber));
    Ok(())
}

/// The log without secrets of known formats, wherever the words come from: each line is written at
/// once.
struct Redacted(File);

impl Write for Redacted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let line = String::from_utf8_lossy(bytes);
        let clean = Redactor::without_variables().text(&line);
        self.0.write_all(clean.as_bytes()).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

fn announce() {
    let mut out = io::stdout().lock();
    // Whoever started it may have gone.
    drop(out.write_all(b"ready\n").and_then(|()| out.flush()));
}

#[cfg(unix)]
async fn stop_on_signal(stop: CancellationToken) {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut term), Ok(mut int)) = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    ) else {
        tracing::error!("signals cannot be heard");
        return;
    };
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
    stop.cancel();
}

#[cfg(not(unix))]
async fn stop_on_signal(stop: CancellationToken) {
    if tokio::signal::ctrl_c().await.is_ok() {
        stop.cancel();
    }
}
