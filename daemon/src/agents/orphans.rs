//! Finds and ends processes that a crashed daemon left behind.

use std::collections::HashSet;
use std::ffi::OsString;
use std::thread::sleep;
use std::time::{Duration, Instant};

use sysinfo::{ProcessRefreshKind, ProcessStatus, ProcessesToUpdate, System, UpdateKind};

use super::process::{ProcessIdentity, start_time};

/// The start time of a process is the boot time plus a count of ticks, and the system's idea of
/// its boot time moves when the clock is set.
const CLOCK_DRIFT: u64 = 2;
/// How long an ended process may take to go.
const GONE_WITHIN: Duration = Duration::from_secs(5);

/// What became of a recorded process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reaped {
    /// It had ended, with its group.
    Gone,
    /// The process id now belongs to someone else, or it cannot be told; nothing was touched.
    NotOurs,
    /// It, or what was left of its group, was killed.
    Killed,
}

/// Whether the process recorded as `identity` still runs: the same id with the same start time.
#[must_use]
pub fn is_alive(identity: &ProcessIdentity) -> bool {
    start_time(identity.pid).is_some_and(|time| same_time(time, identity.start_time))
}

/// Ends the process recorded as `identity` and its group, if it is still the same process. Where
/// the leader is gone, members of its group are ended if they carry the `SPECTASK_AGENT` mark.
/// Waits until they are gone, for some seconds at most. Blocks.
pub fn reap(identity: &ProcessIdentity) -> Reaped {
    match start_time(identity.pid) {
        Some(time) if same_time(time, identity.start_time) => {
            kill_all(identity);
            wait_until(|| !is_alive(identity));
            Reaped::Killed
        }
        Some(_) => Reaped::NotOurs,
        None => reap_leaderless(identity),
    }
}

/// Ends every process whose environment has `variable` set to one of `values`, the caller excepted,
/// and says how many those were. Finds also those that left their group. Processes whose
/// environment the system does not show are not found. Blocks.
pub fn reap_marked(variable: &str, values: &[String]) -> usize {
    let marks: HashSet<OsString> = values
        .iter()
        .map(|value| format!("{variable}={value}").into())
        .collect();
    let found = marked(&marks);
    for &pid in &found {
        kill_one(pid);
    }
    wait_until(|| found.iter().all(|&pid| start_time(pid).is_none()));
    found.len()
}

fn same_time(one: u64, other: u64) -> bool {
    one.abs_diff(other) <= CLOCK_DRIFT
}

fn wait_until(done: impl Fn() -> bool) {
    let end = Instant::now() + GONE_WITHIN;
    while !done() && Instant::now() < end {
        sleep(Duration::from_millis(5));
    }
}

/// The processes that have one of the `marks` (`NAME=value`) in their environment.
fn marked(marks: &HashSet<OsString>) -> Vec<u32> {
    let Ok(mut system) = System::new() else {
        return Vec::new();
    };
    let refresh = ProcessRefreshKind::nothing()
        .without_tasks()
        .with_environ(UpdateKind::Always);
    system.refresh_processes_specifics(ProcessesToUpdate::All, true, refresh);
    let own = std::process::id();
    system
        .processes()
        .iter()
        .filter(|(_, process)| process.environ().iter().any(|entry| marks.contains(entry)))
        .filter(|(_, process)| !matches!(process.status(), ProcessStatus::Zombie))
        .map(|(pid, _)| pid.as_u32())
        .filter(|&pid| pid != own)
        .collect()
}

#[cfg(unix)]
fn kill_one(pid: u32) {
    if let Some(pid) = super::process::unix_pid(pid) {
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }
}

#[cfg(not(unix))]
fn kill_one(pid: u32) {
    let pid = Pid::from_u32(pid);
    let Ok(mut system) = System::new() else {
        return;
    };
    let refresh = ProcessRefreshKind::nothing();
    system.refresh_processes_specifics(ProcessesToUpdate::Some(&[pid]), true, refresh);
    if let Some(process) = system.process(pid) {
        process.kill();
    }
}

#[cfg(unix)]
fn kill_all(identity: &ProcessIdentity) {
    if let Some(group) = super::process::unix_pid(identity.group) {
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
    // Between fork and exec, or after a change of group, the leader may be elsewhere.
    kill_one(identity.pid);
}

#[cfg(not(unix))]
fn kill_all(identity: &ProcessIdentity) {
    let Ok(mut system) = System::new() else {
        return;
    };
    let refresh = ProcessRefreshKind::nothing();
    system.refresh_processes_specifics(ProcessesToUpdate::All, true, refresh);
    let mut tree = vec![Pid::from_u32(identity.pid)];
    let mut next = 0;
    while let Some(&parent) = tree.get(next) {
        let children = system.processes().iter().filter(|(pid, process)| {
            // A parent id may have been taken over by a younger process.
            process.parent() == Some(parent)
                && process.start_time() + CLOCK_DRIFT >= identity.start_time
                && !tree.contains(pid)
        });
        let children: Vec<Pid> = children.map(|(&pid, _)| pid).collect();
        tree.extend(children);
        next += 1;
    }
    for pid in tree {
        if let Some(process) = system.process(pid) {
            process.kill();
        }
    }
}

#[cfg(unix)]
fn reap_leaderless(identity: &ProcessIdentity) -> Reaped {
    use rustix::process::{getpgid, test_kill_process_group};
    let Some(group) = super::process::unix_pid(identity.group) else {
        return Reaped::NotOurs;
    };
    if test_kill_process_group(group).is_err() {
        return Reaped::Gone;
    }
    // The number may have been given to a group of someone else's since.
    let mark = HashSet::from([format!("{AGENT_MARK}=1").into()]);
    let members: Vec<u32> = marked(&mark)
        .into_iter()
        .filter(|&pid| super::process::unix_pid(pid).is_some_and(|p| getpgid(Some(p)) == Ok(group)))
        .collect();
    if members.is_empty() {
        return Reaped::Gone;
    }
    kill_all(identity);
    wait_until(|| members.iter().all(|&pid| start_time(pid).is_none()));
    Reaped::Killed
}

#[cfg(not(unix))]
fn reap_leaderless(_identity: &ProcessIdentity) -> Reaped {
    // A job object ends with the daemon that made it.
    Reaped::Gone
}

/// The variable that every agent, and every command of one, has set to `1`.
pub const AGENT_MARK: &str = "SPECTASK_AGENT";

/// The variable that names the work session for which a process was started.
pub const SESSION_MARK: &str = "SPECTASK_SESSION";

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead as _, BufReader};
    use std::os::unix::process::CommandExt as _;
    use std::process::{Child, Command, Stdio};

    /// Runs a shell script in a group of its own and returns with its first line of output.
    fn run(script: &str, envs: &[(&str, &str)]) -> (Child, ProcessIdentity, String) {
        let mut child = Command::new("/bin/sh")
            .args(["-c", script])
            .envs(envs.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let pid = child.id();
        let start_time = start_time(pid).unwrap_or(0);
        (
            child,
            ProcessIdentity {
                pid,
                start_time,
                group: pid,
            },
            line.trim().to_owned(),
        )
    }

    #[test]
    fn a_recorded_process_is_killed_with_its_group() {
        let (mut child, identity, grandchild) = run("sleep 600 & echo $!; wait", &[]);
        assert!(is_alive(&identity));
        assert_eq!(reap(&identity), Reaped::Killed);
        assert!(!is_alive(&identity));
        child.wait().unwrap();
        let grandchild: u32 = grandchild.parse().unwrap();
        wait_until(|| start_time(grandchild).is_none());
        assert_eq!(start_time(grandchild), None);
        assert_eq!(reap(&identity), Reaped::Gone);
    }

    #[test]
    fn a_process_with_another_start_time_is_left_alone() {
        let (mut child, identity, _) = run("echo; exec sleep 600", &[]);
        let other = ProcessIdentity {
            start_time: identity.start_time - 100,
            ..identity
        };
        assert!(!is_alive(&other));
        assert_eq!(reap(&other), Reaped::NotOurs);
        assert!(is_alive(&identity));
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn what_is_left_of_a_group_is_killed_only_with_the_mark() {
        let (mut child, identity, left) = run("sleep 600 & echo $!; exit", &[(AGENT_MARK, "1")]);
        child.wait().unwrap();
        let left: u32 = left.parse().unwrap();
        assert!(start_time(left).is_some());
        assert_eq!(reap(&identity), Reaped::Killed);
        assert_eq!(start_time(left), None);

        let (mut child, identity, left) = run("sleep 600 & echo $!; exit", &[(AGENT_MARK, "0")]);
        child.wait().unwrap();
        let left: u32 = left.parse().unwrap();
        assert_eq!(reap(&identity), Reaped::Gone);
        assert!(start_time(left).is_some());
        kill_one(left);
    }

    #[test]
    fn a_marked_process_is_found_wherever_it_went() {
        let value = format!("test-{}", std::process::id());
        let script = "echo; exec sleep 600";
        let (mut one, first, _) = run(script, &[("SPECTASK_TEST_MARK", &value)]);
        let (mut two, second, _) = run(script, &[("SPECTASK_TEST_MARK", "other")]);
        assert_eq!(reap_marked("SPECTASK_TEST_MARK", &[value]), 1);
        assert!(!is_alive(&first));
        assert!(is_alive(&second));
        two.kill().unwrap();
        one.wait().unwrap();
        two.wait().unwrap();
    }
}
