//! A scripted editor that behaves towards `spectask acp` as Zed 1.11 does.
//!
//! It runs the command through a shell in a process group of its own, sends what Zed sends, serves
//! files and terminals, shows each thread as Zed does ([`Thread`]) and judges every frame it gets
//! by the official schema. What a person would see and what the protocol forbids are asked for
//! separately: [`ZedEditor::thread`] and [`ZedEditor::faults`].

mod client;
mod desk;
mod terminals;
mod thread;

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::acp::Frame;
use crate::env::{TestEnv, spectask_bin};
use crate::schema::Checker;

pub use desk::{Desk, Permission, PermissionState};
pub use thread::{Entry, Thread};

/// How long anything may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// So many idle threads stay open.
const IDLE_THREADS: usize = 5;

/// A window with one project.
pub struct ZedEditor {
    child: Child,
    project: PathBuf,
    shared: Arc<Shared>,
    /// The answer to `initialize`.
    pub initialized: Value,
}

/// What the window's threads share.
struct Shared {
    desk: Mutex<Desk>,
    changed: Condvar,
    stdin: Mutex<Option<ChildStdin>>,
}

impl Shared {
    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<T>(&self, change: impl FnOnce(&mut Desk) -> T) -> T {
        let changed = change(&mut self.desk());
        self.changed.notify_all();
        changed
    }

    /// Writes a frame; it is judged and logged in the order of writing.
    fn send(&self, frame: &Value) {
        let mut stdin = self.stdin.lock().unwrap_or_else(PoisonError::into_inner);
        self.change(|desk| desk.sent(frame));
        if let Some(stdin) = stdin.as_mut() {
            // A closed pipe shows as a missing answer.
            let _ = stdin.write_all(format!("{frame}\n").as_bytes());
            let _ = stdin.flush();
        }
    }
}

impl ZedEditor {
    /// Opens a window on `project`: starts `spectask acp` with `args` and initialises it.
    ///
    /// # Panics
    /// When it does not answer.
    #[must_use]
    pub fn open(env: &TestEnv, project: &Path, args: &[&str]) -> Self {
        let mut editor = Self::start(env, project, args);
        editor.initialized = editor
            .request("initialize", client::initialize())
            .unwrap_or_else(|error| panic!("initialize was refused: {error}"));
        editor
    }

    /// The same with any agent in place of the product, for comparison.
    ///
    /// # Panics
    /// When it does not answer.
    #[must_use]
    pub fn open_directly(env: &TestEnv, project: &Path, argv: &[&str]) -> Self {
        let mut editor = Self::spawn(env, project, argv);
        editor.initialized = editor
            .request("initialize", client::initialize())
            .unwrap_or_else(|error| panic!("initialize was refused: {error}"));
        editor
    }

    /// Starts `spectask acp` and sends nothing.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn start(env: &TestEnv, project: &Path, args: &[&str]) -> Self {
        let bin = spectask_bin().to_string_lossy();
        let argv: Vec<&str> = [&*bin, "acp"].iter().chain(args).copied().collect();
        Self::spawn(env, project, &argv)
    }

    fn spawn(env: &TestEnv, project: &Path, argv: &[&str]) -> Self {
        crate::schema::warm();
        let quoted: Vec<_> = argv
            .iter()
            .map(|word| format!("'{}'", word.replace('\'', r"'\''")))
            .collect();
        let mut command: Command = env.command("sh", project);
        // A second command keeps the shell, as login shells do.
        let line = format!("{}; exit $?", quoted.join(" "));
        command.args(["-c", &line]).process_group(0);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the shell starts");
        let shared = Arc::new(Shared {
            desk: Mutex::new(Desk::new(project)),
            changed: Condvar::new(),
            stdin: Mutex::new(child.stdin.take()),
        });
        let stdout = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let reading = Arc::clone(&shared);
        std::thread::spawn(move || {
            for line in stdout.split(b'\n').map_while(Result::ok) {
                client::received(&reading, &line);
            }
            reading.change(|desk| desk.ended = true);
        });
        let mut stderr = child.stderr.take().expect("stderr is piped");
        let complaining = Arc::clone(&shared);
        std::thread::spawn(move || {
            let mut part = [0; 4096];
            while let Ok(length @ 1..) = stderr.read(&mut part) {
                let text = String::from_utf8_lossy(&part[..length]);
                complaining.change(|desk| desk.stderr.push_str(&text));
            }
        });
        Self {
            child,
            project: project.to_owned(),
            shared,
            initialized: Value::Null,
        }
    }

    /// Waits until `wanted` finds something in what the window knows.
    ///
    /// # Panics
    /// When it does not in [`PATIENCE`]; `what` is in the message.
    pub fn wait<T>(&self, what: &str, wanted: impl FnMut(&mut Desk) -> Option<T>) -> T {
        self.wait_within(PATIENCE, what, wanted)
    }

    /// The same with a limit of its own.
    ///
    /// # Panics
    /// When it does not find it in time.
    pub fn wait_within<T>(
        &self,
        limit: Duration,
        what: &str,
        mut wanted: impl FnMut(&mut Desk) -> Option<T>,
    ) -> T {
        let until = Instant::now() + limit;
        let mut desk = self.shared.desk();
        loop {
            if let Some(found) = wanted(&mut desk) {
                return found;
            }
            let left = until.saturating_duration_since(Instant::now());
            let gone = desk.ended;
            assert!(
                !left.is_zero() && !gone,
                "{what}: {}; {}",
                if gone {
                    "the agent process ended"
                } else {
                    "not in time"
                },
                desk.describe()
            );
            let woken = self.shared.changed.wait_timeout(desk, left);
            desk = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// A look at what the window knows.
    pub fn look<T>(&self, look: impl FnOnce(&Desk) -> T) -> T {
        look(&self.shared.desk())
    }

    /// A thread as the person sees it.
    ///
    /// # Panics
    /// When it is not open.
    #[must_use]
    pub fn thread(&self, session: &str) -> Thread {
        self.look(|desk| desk.threads.get(session).cloned())
            .unwrap_or_else(|| panic!("{session} is not open"))
    }

    /// What was wrong with frames from the product.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        self.look(|desk| desk.faults.clone())
    }

    /// All frames so far.
    #[must_use]
    pub fn frames(&self) -> Vec<Frame> {
        self.look(|desk| desk.frames.clone())
    }

    /// Id of the shell that runs the agent; also of its process group.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Closes the window as Zed does: SIGKILL to the whole group.
    pub fn close_window(&mut self) {
        let group = format!("-{}", self.child.id());
        let _ = Command::new("kill").args(["-9", "--", &group]).output();
        let _ = self.child.wait();
    }

    /// Ends as on SIGTERM: the agent's stdin ends, nothing else. Whether it left in time.
    pub fn quit(&mut self, limit: Duration) -> bool {
        *self
            .shared
            .stdin
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = None;
        let until = Instant::now() + limit;
        while Instant::now() < until {
            if let Ok(Some(_)) = self.child.try_wait() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        false
    }

    /// Writes bytes that need not be a frame.
    pub fn write_raw(&self, line: &[u8]) {
        let mut stdin = self
            .shared
            .stdin
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(stdin) = stdin.as_mut() {
            let _ = stdin.write_all(line).and_then(|()| stdin.write_all(b"\n"));
            let _ = stdin.flush();
        }
    }
}

impl Drop for ZedEditor {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(Some(_))) {
            self.close_window();
        }
    }
}
