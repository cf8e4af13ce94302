//! The processes that a daemon and its agents leave in the system.

use std::ffi::OsString;
use std::path::Path;
use std::time::{Duration, Instant};

use sysinfo::{ProcessRefreshKind, ProcessStatus, ProcessesToUpdate, System, UpdateKind};

/// A running process.
#[derive(Clone, Debug)]
pub struct Process {
    /// Its id.
    pub pid: u32,
    /// Its parent's id, where there is one.
    pub parent: Option<u32>,
    /// Its command line.
    pub command: Vec<String>,
}

impl Process {
    /// Whether it is the daemon.
    #[must_use]
    pub fn is_daemon(&self) -> bool {
        self.command.get(1..3) == Some(&["daemon".to_owned(), "run".to_owned()])
    }

    /// Whether it is an agent of the built-in kind.
    #[must_use]
    pub fn is_example_agent(&self) -> bool {
        self.command.get(1).map(String::as_str) == Some("example-agent")
    }
}

/// Every running process that has this data folder in its environment; ended ones that nobody
/// collected are left out.
///
/// # Panics
/// When the system shows no processes.
#[must_use]
pub fn of_data_dir(data_dir: &Path) -> Vec<Process> {
    let mut mark = OsString::from("SPECTASK_DATA_DIR=");
    mark.push(data_dir);
    let mut system = System::new().expect("the system shows its processes");
    let refresh = ProcessRefreshKind::nothing()
        .without_tasks()
        .with_cmd(UpdateKind::Always)
        .with_environ(UpdateKind::Always);
    system.refresh_processes_specifics(ProcessesToUpdate::All, true, refresh);
    system
        .processes()
        .values()
        .filter(|process| process.environ().contains(&mark))
        .filter(|process| {
            !matches!(
                process.status(),
                ProcessStatus::Zombie | ProcessStatus::Dead
            )
        })
        .map(|process| Process {
            pid: process.pid().as_u32(),
            parent: process.parent().map(sysinfo::Pid::as_u32),
            command: process
                .cmd()
                .iter()
                .map(|word| word.to_string_lossy().into_owned())
                .collect(),
        })
        .collect()
}

/// What is left of them after a while for ending.
#[must_use]
pub fn left_over(data_dir: &Path, patience: Duration) -> Vec<Process> {
    let started = Instant::now();
    loop {
        let left = of_data_dir(data_dir);
        if left.is_empty() || started.elapsed() > patience {
            return left;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
