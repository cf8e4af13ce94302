//! Processes in groups of their own.

use std::fmt;
use std::io;
use std::process::ExitStatus;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use process_wrap::tokio::{ChildWrapper, CommandWrap, KillOnDrop};
use serde::{Deserialize, Serialize};
use sysinfo::{Pid, ProcessRefreshKind, ProcessStatus, ProcessesToUpdate, System};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{ChildStderr, ChildStdin, ChildStdout, Command};

use super::output::Tail;

/// What tells a process from every other one, also after a restart of the daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ProcessIdentity {
    /// The process id.
    pub pid: u32,
    /// When it started, in seconds since 1970; 0 if the system did not say.
    pub start_time: u64,
    /// The process group it leads; equal to `pid` on Unix, and meaningless on Windows.
    pub group: u32,
}

/// How a process ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exit {
    /// The exit code; `None` if a signal ended it, or if it is not known.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
}

impl Exit {
    fn from_status(status: Option<ExitStatus>) -> Self {
        let Some(status) = status else {
            return Self {
                code: None,
                signal: None,
            };
        };
        #[cfg(unix)]
        let signal = std::os::unix::process::ExitStatusExt::signal(&status);
        #[cfg(not(unix))]
        let signal = None;
        Self {
            code: status.code(),
            signal,
        }
    }

    /// The signal's name, such as `SIGKILL`.
    #[must_use]
    pub fn signal_name(&self) -> Option<String> {
        let number = self.signal?;
        #[cfg(unix)]
        {
            use rustix::process::Signal;
            let known = [
                (Signal::HUP, "SIGHUP"),
                (Signal::INT, "SIGINT"),
                (Signal::QUIT, "SIGQUIT"),
                (Signal::ILL, "SIGILL"),
                (Signal::ABORT, "SIGABRT"),
                (Signal::BUS, "SIGBUS"),
                (Signal::FPE, "SIGFPE"),
                (Signal::KILL, "SIGKILL"),
                (Signal::SEGV, "SIGSEGV"),
                (Signal::PIPE, "SIGPIPE"),
                (Signal::TERM, "SIGTERM"),
            ];
            if let Some((_, name)) = known.iter().find(|(signal, _)| signal.as_raw() == number) {
                return Some((*name).to_owned());
            }
        }
        Some(format!("signal {number}"))
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.code, self.signal_name()) {
            (_, Some(signal)) => write!(out, "ended by {signal}"),
            (Some(code), None) => write!(out, "exit status {code}"),
            (None, None) => out.write_str("ended"),
        }
    }
}

/// A child process that leads a group (a job object on Windows), which ends with it when this is
/// dropped.
#[derive(Debug)]
pub(super) struct Group {
    child: Box<dyn ChildWrapper>,
    pid: u32,
    /// The leader was waited for and nothing else of the group is left.
    gone: bool,
}

impl Group {
    pub(super) fn spawn(command: Command) -> io::Result<Self> {
        let mut wrap = CommandWrap::from(command);
        #[cfg(unix)]
        wrap.wrap(process_wrap::tokio::ProcessGroup::leader());
        #[cfg(windows)]
        wrap.wrap(process_wrap::tokio::JobObject);
        let child = wrap.wrap(KillOnDrop).spawn()?;
        let pid = child
            .id()
            .ok_or_else(|| io::Error::other("the process has no id"))?;
        Ok(Self {
            child,
            pid,
            gone: false,
        })
    }

    pub(super) fn identity(&self) -> ProcessIdentity {
        let start_time = start_time(self.pid).unwrap_or(0);
        ProcessIdentity {
            pid: self.pid,
            start_time,
            group: self.pid,
        }
    }

    pub(super) fn pipes(
        &mut self,
    ) -> (Option<ChildStdin>, Option<ChildStdout>, Option<ChildStderr>) {
        (
            self.child.stdin().take(),
            self.child.stdout().take(),
            self.child.stderr().take(),
        )
    }

    /// Waits for the leader. Safe to cancel.
    pub(super) async fn wait(&mut self) -> Exit {
        let status = self.child.wait().await.ok();
        self.gone = !self.has_members();
        Exit::from_status(status)
    }

    /// Asks the group to end.
    pub(super) fn terminate(&mut self) {
        #[cfg(unix)]
        if let Some(group) = unix_pid(self.pid).filter(|_| !self.gone) {
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::TERM);
        }
        #[cfg(not(unix))]
        self.kill();
    }

    /// Ends the group at once.
    pub(super) fn kill(&mut self) {
        if !self.gone {
            // An error means that nothing is left to kill.
            let _ = self.child.start_kill();
        }
    }

    /// Whether something of the group runs on after the leader was waited for.
    pub(super) fn is_left(&self) -> bool {
        !self.gone
    }

    fn has_members(&self) -> bool {
        #[cfg(unix)]
        return unix_pid(self.pid)
            .is_some_and(|group| rustix::process::test_kill_process_group(group).is_ok());
        #[cfg(not(unix))]
        false
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

#[cfg(unix)]
pub(super) fn unix_pid(pid: u32) -> Option<rustix::process::Pid> {
    // 0 and 1 would name the daemon's own group and everything else.
    i32::try_from(pid)
        .ok()
        .filter(|&pid| pid > 1)
        .and_then(rustix::process::Pid::from_raw)
}

/// A tail shared between the task that fills it and those that read it.
pub(super) type SharedTail = Arc<Mutex<Tail>>;

pub(super) fn shared_tail(limit: usize) -> SharedTail {
    Arc::new(Mutex::new(Tail::new(limit)))
}

pub(super) fn tail_text(tail: &SharedTail, open: bool) -> (String, bool) {
    tail.lock()
        .unwrap_or_else(PoisonError::into_inner)
        .text(open)
}

/// Reads a pipe to its end into a tail.
pub(super) async fn drain<R: AsyncRead + Unpin>(pipe: Option<R>, tail: SharedTail) {
    let Some(mut pipe) = pipe else { return };
    let mut chunk = vec![0; 8 * 1024];
    while let Ok(count @ 1..) = pipe.read(&mut chunk).await {
        tail.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .append(&chunk[..count]);
    }
}

/// How long what was written before the end is waited for after a process ended: another process
/// may hold the pipe open for ever.
pub(super) const DRAIN_LIMIT: Duration = Duration::from_millis(500);

/// When the process started, in seconds since 1970. `None` if there is none, or if it has ended
/// and only waits to be collected by its parent.
pub(super) fn start_time(pid: u32) -> Option<u64> {
    let pid = Pid::from_u32(pid);
    let mut system = System::new().ok()?;
    let refresh = ProcessRefreshKind::nothing().without_tasks();
    system.refresh_processes_specifics(ProcessesToUpdate::Some(&[pid]), true, refresh);
    let process = system.process(pid)?;
    let ended = matches!(
        process.status(),
        ProcessStatus::Zombie | ProcessStatus::Dead
    );
    (!ended).then(|| process.start_time())
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn ends_read_well() {
        let text = |code, signal| Exit { code, signal }.to_string();
        assert_eq!(text(Some(3), None), "exit status 3");
        assert_eq!(text(None, Some(9)), "ended by SIGKILL");
        assert_eq!(text(None, Some(63)), "ended by signal 63");
        assert_eq!(text(None, None), "ended");
    }

    #[test]
    fn no_pid_stands_for_everything() {
        assert!(unix_pid(0).is_none());
        assert!(unix_pid(1).is_none());
        assert!(unix_pid(u32::MAX).is_none());
        assert!(unix_pid(2).is_some());
    }
}
