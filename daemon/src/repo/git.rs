//! The one place that starts the `git` program.

use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::error::io;
use super::lock::WorktreeLock;
use super::names::quoted;
use super::{RepoError, Result};

/// Oldest `git` that serves, as (major, minor).
///
/// - 2.31: `rev-parse --path-format=absolute`
/// - 2.25: `restore` with `--source` and without overlay
/// - 2.24: `--end-of-options`
/// - 2.17: `worktree add` keeps a lock with the reason "initializing" until it is complete
pub const MINIMUM_GIT: (u32, u32) = (2, 31);

/// Variables that would point git at another repository, or change how it reads pathspecs and
/// dates. They are set when the daemon or the command line was started from a hook or an alias.
const REMOVED: &[&str] = &[
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_AUTHOR_DATE",
    "GIT_COMMITTER_DATE",
    "GIT_COMMON_DIR",
    "GIT_CONFIG",
    "GIT_CONFIG_PARAMETERS",
    "GIT_DIFF_OPTS",
    "GIT_DIR",
    "GIT_EXTERNAL_DIFF",
    "GIT_GLOB_PATHSPECS",
    "GIT_GRAFT_FILE",
    "GIT_ICASE_PATHSPECS",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_INTERNAL_SUPER_PREFIX",
    "GIT_LITERAL_PATHSPECS",
    "GIT_NAMESPACE",
    "GIT_NOGLOB_PATHSPECS",
    "GIT_NO_REPLACE_OBJECTS",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_REFLOG_ACTION",
    "GIT_REPLACE_REF_BASE",
    "GIT_SHALLOW_FILE",
    "GIT_WORK_TREE",
];

/// Settings that hold for every command, whatever the user configured.
const SETTINGS: &[&str] = &[
    // A file system monitor is a long-lived process of its own for each worktree.
    "core.fsmonitor=false",
    "core.quotePath=false",
    "core.pager=cat",
    "color.ui=false",
    "advice.detachedHead=false",
    // Housekeeping in the background would run while worktrees come and go.
    "gc.auto=0",
    "maintenance.auto=false",
    // Submodules of a worktree are left as they are.
    "submodule.recurse=false",
    // A branch made from a commit follows no other.
    "branch.autoSetupMerge=false",
    // libgit2 reads worktree files too, and older versions of git refuse relative ones.
    "worktree.useRelativePaths=false",
];

const STDOUT_LIMIT: usize = 64 << 20;
const STDERR_KEPT: usize = 16 << 10;
pub(super) const LOCK_PATIENCE: Duration = Duration::from_secs(5);
/// How long output is awaited after git itself ended; a hook may leave a process that holds it.
const DRAIN: Duration = Duration::from_secs(1);

/// Environment variables laid over the daemon's own for every `git` command; tests and callers
/// with a configuration of their own use it (`GIT_CONFIG_GLOBAL`, `HOME`, `PATH`).
#[derive(Debug, Clone, Default)]
pub struct Environment(Arc<Vec<(OsString, OsString)>>);

impl Environment {
    /// Makes an overlay of the given variables.
    pub fn new<K: Into<OsString>, V: Into<OsString>>(
        variables: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        Self(Arc::new(
            variables
                .into_iter()
                .map(|(k, v)| (k.into(), v.into()))
                .collect(),
        ))
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(key, _)| key == name) || std::env::var_os(name).is_some()
    }
}

/// How a command behaves towards the repository; decides its locks and its time limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Read,
    Write,
    Network,
}

impl Kind {
    const fn limit(self) -> Duration {
        match self {
            Self::Read => Duration::from_secs(120),
            // Checkouts with LFS and hooks that run tests take their time.
            Self::Write => Duration::from_secs(30 * 60),
            Self::Network => Duration::from_secs(10 * 60),
        }
    }
}

/// One `git` command to be.
#[derive(Debug)]
pub(super) struct Git<'a> {
    operation: &'static str,
    subject: String,
    kind: Kind,
    dir: &'a Path,
    environment: &'a Environment,
    settings: Vec<String>,
    variables: Vec<(OsString, OsString)>,
    args: Vec<OsString>,
    patience: Duration,
    limit: Duration,
    lock: Option<&'a WorktreeLock>,
}

/// What a command that ended said.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) code: Option<i32>,
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: String,
}

impl<'a> Git<'a> {
    fn new(
        kind: Kind,
        environment: &'a Environment,
        dir: &'a Path,
        operation: &'static str,
        subject: impl Into<String>,
    ) -> Self {
        Self {
            operation,
            subject: subject.into(),
            kind,
            dir,
            environment,
            settings: Vec::new(),
            variables: Vec::new(),
            args: Vec::new(),
            patience: if kind == Kind::Write {
                LOCK_PATIENCE
            } else {
                Duration::ZERO
            },
            limit: kind.limit(),
            lock: None,
        }
    }

    /// A command that only looks and takes no lock.
    pub(super) fn read(
        environment: &'a Environment,
        dir: &'a Path,
        operation: &'static str,
        subject: impl Into<String>,
    ) -> Self {
        Self::new(Kind::Read, environment, dir, operation, subject)
    }

    /// A command that changes the repository or a worktree; waits a while for locks of others.
    pub(super) fn write(
        environment: &'a Environment,
        dir: &'a Path,
        operation: &'static str,
        subject: impl Into<String>,
    ) -> Self {
        Self::new(Kind::Write, environment, dir, operation, subject)
    }

    /// A command that talks to a remote.
    pub(super) fn network(
        environment: &'a Environment,
        dir: &'a Path,
        operation: &'static str,
        subject: impl Into<String>,
    ) -> Self {
        Self::new(Kind::Network, environment, dir, operation, subject)
    }

    pub(super) fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.args
            .extend(args.into_iter().map(|arg| arg.as_ref().to_os_string()));
        self
    }

    pub(super) fn arg(self, arg: impl AsRef<OsStr>) -> Self {
        self.args([arg])
    }

    pub(super) fn setting(mut self, setting: &str) -> Self {
        self.settings.push(setting.to_owned());
        self
    }

    pub(super) fn variable(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.variables
            .push((name.into(), value.as_ref().to_os_string()));
        self
    }

    /// Takes every path given to the command by its letters; `*` and `:(…)` mean nothing.
    pub(super) fn literal(self) -> Self {
        self.variable("GIT_LITERAL_PATHSPECS", "1")
    }

    /// Does not try again when a lock is held: for commands that may stop halfway.
    pub(super) fn once(mut self) -> Self {
        self.patience = Duration::ZERO;
        self
    }

    /// Holds the lock of a worktree for as long as the command runs, whatever becomes of its caller.
    pub(super) fn holding(mut self, lock: Option<&'a WorktreeLock>) -> Self {
        self.lock = lock;
        self
    }

    /// Ends it when it takes longer.
    pub(super) fn within(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Runs the command and gives what it printed; any other exit than 0 is an error.
    pub(super) fn run(self) -> Result<Vec<u8>> {
        let (operation, subject) = (self.operation, self.subject.clone());
        let answer = self.answer()?;
        if answer.code == Some(0) {
            Ok(answer.stdout)
        } else {
            Err(answer.into_error(operation, subject))
        }
    }

    /// Runs the command and gives what came out, whatever the exit.
    ///
    /// # Errors
    /// When it could not start, did not end in time, printed too much, or the lock of another
    /// command outlasted the patience.
    pub(super) fn answer(self) -> Result<Answer> {
        let started = Instant::now();
        let mut pause = Duration::from_millis(20);
        loop {
            let answer = self.attempt()?;
            let Some(lock) = (answer.code != Some(0))
                .then(|| held_lock(&answer.stderr))
                .flatten()
            else {
                return Ok(answer);
            };
            if started.elapsed() >= self.patience {
                return Err(RepoError::Locked {
                    operation: self.operation,
                    subject: self.subject,
                    lock,
                });
            }
            thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(400));
        }
    }

    fn command(&self) -> Result<Command> {
        let stdin = match self.lock {
            Some(lock) => lock
                .for_child()
                .map_err(io("share the lock of", self.dir))?
                .into(),
            None => Stdio::null(),
        };
        let mut command = Command::new("git");
        command.arg("-C").arg(self.dir);
        for setting in SETTINGS {
            command.arg("-c").arg(setting);
        }
        for setting in &self.settings {
            command.arg("-c").arg(setting);
        }
        command.args(&self.args);
        for name in REMOVED {
            command.env_remove(name);
        }
        command
            .env("LC_ALL", "C")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_EDITOR", ":")
            .env("GIT_SEQUENCE_EDITOR", ":")
            .env("GIT_MERGE_AUTOEDIT", "no")
            .env_remove("GPG_TTY")
            .envs(self.environment.0.iter().map(|(key, value)| (key, value)));
        if self.kind == Kind::Read {
            command.env("GIT_OPTIONAL_LOCKS", "0");
        }
        command
            .envs(self.variables.iter().map(|(key, value)| (key, value)))
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        #[cfg(unix)]
        {
            // A group of its own, so that hooks and helpers end with it when time is up.
            use std::os::unix::process::CommandExt;
            command.process_group(0);
        }
        Ok(command)
    }

    fn attempt(&self) -> Result<Answer> {
        let mut child = self
            .command()?
            .spawn()
            .map_err(|source| match source.kind() {
                std::io::ErrorKind::NotFound => RepoError::GitMissing {
                    source,
                    needed: format!("{}.{}", MINIMUM_GIT.0, MINIMUM_GIT.1),
                },
                _ => RepoError::Git {
                    operation: self.operation,
                    subject: self.subject.clone(),
                    stderr: format!("(it cannot be run: {source})"),
                },
            })?;
        let (ended, ends) = mpsc::channel();
        let stdout = collect(child.stdout.take(), STDOUT_LIMIT, Keep::Head, ended.clone());
        let stderr = collect(child.stderr.take(), STDERR_KEPT, Keep::Tail, ended);
        let deadline = Instant::now() + self.limit;
        let mut open = 2;
        let mut gone: Option<Instant> = None;
        let status = loop {
            match ends.recv_timeout(Duration::from_millis(if open == 0 { 1 } else { 25 })) {
                Ok(End::Closed) => open -= 1,
                Ok(End::TooLarge) => {
                    stop(&mut child);
                    return Err(RepoError::OutputTooLarge {
                        operation: self.operation,
                        subject: self.subject.clone(),
                        limit: STDOUT_LIMIT,
                    });
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    open = 0;
                    thread::sleep(Duration::from_millis(1));
                }
            }
            if let Some(status) = child.try_wait().map_err(|source| self.lost(source))? {
                let since = gone.get_or_insert_with(Instant::now);
                if open <= 0 || since.elapsed() > DRAIN {
                    break status;
                }
            } else if Instant::now() > deadline {
                stop(&mut child);
                return Err(RepoError::TimedOut {
                    operation: self.operation,
                    subject: self.subject.clone(),
                    seconds: self.limit.as_secs(),
                });
            }
        };
        let stdout = std::mem::take(&mut *stdout.lock().unwrap_or_else(PoisonError::into_inner));
        let stderr = std::mem::take(&mut *stderr.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(Answer {
            code: status.code(),
            stdout,
            stderr: String::from_utf8_lossy(&stderr).trim().to_owned(),
        })
    }

    fn lost(&self, source: std::io::Error) -> RepoError {
        RepoError::Io {
            operation: "wait for git in",
            path: self.dir.to_path_buf(),
            source,
        }
    }
}

impl Answer {
    pub(super) fn into_error(self, operation: &'static str, subject: String) -> RepoError {
        if let Some((_, rest)) = self
            .stderr
            .split_once("dubious ownership in repository at ")
        {
            let path = quoted(rest).unwrap_or(&subject).into();
            return RepoError::UnsafeOwner { path };
        }
        let stderr = if self.stderr.is_empty() {
            self.code.map_or_else(
                || "(it was killed)".to_owned(),
                |code| format!("(nothing; exit code {code})"),
            )
        } else {
            self.stderr
        };
        RepoError::Git {
            operation,
            subject,
            stderr,
        }
    }
}

enum End {
    Closed,
    TooLarge,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Keep {
    Head,
    Tail,
}

fn collect<R: Read + Send + 'static>(
    source: Option<R>,
    limit: usize,
    keep: Keep,
    ended: mpsc::Sender<End>,
) -> Arc<Mutex<Vec<u8>>> {
    let buffer = Arc::new(Mutex::new(Vec::new()));
    let shared = Arc::clone(&buffer);
    thread::spawn(move || {
        let mut chunk = vec![0; 32 << 10];
        if let Some(mut source) = source {
            loop {
                let read = match source.read(&mut chunk) {
                    Ok(0) => break,
                    Ok(read) => read,
                    Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                    Err(_) => break,
                };
                let mut buffer = shared.lock().unwrap_or_else(PoisonError::into_inner);
                buffer.extend_from_slice(&chunk[..read]);
                if buffer.len() > limit {
                    if keep == Keep::Head {
                        drop(ended.send(End::TooLarge));
                        return;
                    }
                    let surplus = buffer.len() - limit;
                    buffer.drain(..surplus);
                }
            }
        }
        drop(ended.send(End::Closed));
    });
    buffer
}

fn stop(child: &mut Child) {
    #[cfg(unix)]
    if let Some(group) = i32::try_from(child.id())
        .ok()
        .and_then(rustix::process::Pid::from_raw)
    {
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
    drop(child.kill());
    drop(child.wait());
}

/// The file that git's message names, when the message is about a lock that is held, or about a
/// worktree that another command registers at this moment, on which git gives up too.
fn held_lock(stderr: &str) -> Option<String> {
    stderr.lines().find_map(|line| {
        if let Some((_, rest)) = line.split_once("failed to read ")
            && let Some((path, _)) = rest.split_once("/commondir:")
        {
            return Some(format!("{path}/commondir"));
        }
        let start = line.find("Unable to create '")? + "Unable to create '".len();
        let end = line.find(".lock': File exists")? + ".lock".len();
        line.get(start..end).map(str::to_owned)
    })
}

/// The version of the `git` program, as it says it.
///
/// # Errors
/// When it is missing or too old.
pub fn version() -> Result<String> {
    ask_version(&Environment::default(), &std::env::temp_dir())
}

/// Checks that the `git` program is there and new enough; asks the usual one once per process.
pub(super) fn check_version(environment: &Environment, dir: &Path) -> Result<()> {
    static GOOD: AtomicBool = AtomicBool::new(false);
    let usual = environment.0.is_empty();
    if usual && GOOD.load(Ordering::Relaxed) {
        return Ok(());
    }
    ask_version(environment, dir)?;
    if usual {
        GOOD.store(true, Ordering::Relaxed);
    }
    Ok(())
}

fn ask_version(environment: &Environment, dir: &Path) -> Result<String> {
    let answer = Git::read(environment, dir, "ask for the version of", "git")
        .arg("--version")
        .run()?;
    let text = String::from_utf8_lossy(&answer)
        .trim()
        .replace("git version ", "");
    if numbers(&text).is_some_and(|found| found < MINIMUM_GIT) {
        return Err(RepoError::GitTooOld {
            found: text,
            needed: format!("{}.{}", MINIMUM_GIT.0, MINIMUM_GIT.1),
        });
    }
    Ok(text)
}

/// Major and minor number; `None` for a spelling it does not know, which passes.
fn numbers(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.split(['.', ' ', '-']).map(str::parse);
    Some((parts.next()?.ok()?, parts.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_every_maker_are_read() {
        for (text, expected) in [
            ("2.47.3", Some((2, 47))),
            ("2.39.5 (Apple Git-154)", Some((2, 39))),
            ("2.51.0.windows.1", Some((2, 51))),
            ("2.9-rc1", Some((2, 9))),
            ("next", None),
        ] {
            assert_eq!(numbers(text), expected, "{text}");
        }
    }

    #[test]
    fn a_held_lock_is_told_from_other_failures() {
        insta::assert_debug_snapshot!(
            held_lock("fatal: Unable to create '/r/.git/index.lock': File exists.\n\nAnother git"),
            @r#"
        Some(
            "/r/.git/index.lock",
        )
        "#
        );
        assert_eq!(
            held_lock("fatal: failed to read .git/worktrees/1/commondir: Success").as_deref(),
            Some(".git/worktrees/1/commondir")
        );
        assert_eq!(
            held_lock("fatal: Unable to create '/r/.git/index.lock': Permission denied"),
            None
        );
    }

    #[cfg(unix)]
    #[test]
    fn a_command_that_hangs_is_stopped_with_its_children() {
        let dir = tempfile::tempdir().unwrap();
        let environment = Environment::default();
        let marker = dir.path().join("survived");
        let error = Git::read(&environment, dir.path(), "run", "an alias")
            .setting(&format!(
                "alias.hang=!sleep 2; touch '{}'",
                marker.display()
            ))
            .arg("hang")
            .within(Duration::from_millis(200))
            .run()
            .unwrap_err();
        assert!(matches!(error, RepoError::TimedOut { .. }), "{error}");
        thread::sleep(Duration::from_millis(2200));
        assert!(!marker.exists(), "a child of the stopped command went on");
    }

    #[cfg(unix)]
    #[test]
    fn a_background_process_that_holds_the_pipes_does_not_hold_the_caller() {
        let dir = tempfile::tempdir().unwrap();
        let environment = Environment::default();
        let started = Instant::now();
        let out = Git::read(&environment, dir.path(), "run", "an alias")
            .setting("alias.leave=!echo done; sleep 20 &")
            .arg("leave")
            .run()
            .unwrap();
        assert_eq!(out, b"done\n");
        assert!(started.elapsed() < Duration::from_secs(10));
    }

    #[cfg(unix)]
    #[test]
    fn an_endless_answer_is_cut_off() {
        let dir = tempfile::tempdir().unwrap();
        let environment = Environment::default();
        let error = Git::read(&environment, dir.path(), "run", "an alias")
            .setting("alias.endless=!yes")
            .arg("endless")
            .run()
            .unwrap_err();
        assert!(matches!(error, RepoError::OutputTooLarge { .. }), "{error}");
    }
}
