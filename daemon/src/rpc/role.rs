//! Who is at the other end: a process that descends from an agent is an agent, whatever it says.

use std::collections::HashSet;

use spectask_protocol::Role;
use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System, UpdateKind};

use crate::{agents::AGENT_MARK, store::ProcessRow};

/// A process tree that is deeper is looked at no further.
const DEPTH: usize = 64;

/// The role of a peer by its process id. A peer that cannot be looked at is an agent: it may read.
///
/// It is one if an ancestor is a known agent process, if it or an ancestor leads or belongs to an
/// agent's process group, or if the mark of agents is in its environment or an ancestor's. A hostile
/// process of the same user that hides all three is not found; the README says so.
pub(super) fn role_of(pid: Option<u32>, agents: &[ProcessRow]) -> Role {
    let Some(pid) = pid else {
        // Only systems that tell no peer get here; the socket's mode keeps other users out.
        return Role::Person;
    };
    if pid == std::process::id() {
        return Role::Person;
    }
    let Ok(mut system) = System::new() else {
        return Role::Agent;
    };
    let known: HashSet<u32> = agents
        .iter()
        .flat_map(|process| [process.pid, process.process_group])
        .collect();
    let mut at = Pid::from_u32(pid);
    for depth in 0..DEPTH {
        let refresh = ProcessRefreshKind::nothing()
            .without_tasks()
            .with_environ(UpdateKind::Always);
        system.refresh_processes_specifics(ProcessesToUpdate::Some(&[at]), true, refresh);
        let Some(process) = system.process(at) else {
            // The peer itself must be there; an ancestor may have ended.
            return if depth == 0 {
                Role::Agent
            } else {
                Role::Person
            };
        };
        let marked = process
            .environ()
            .iter()
            .any(|entry| entry.as_encoded_bytes().starts_with(AGENT_MARK.as_bytes()));
        let grouped = group(at.as_u32()).is_some_and(|group| known.contains(&group));
        if marked || grouped || known.contains(&at.as_u32()) {
            return Role::Agent;
        }
        match process.parent() {
            // The daemon's own parent chain is of no interest.
            Some(parent) if parent.as_u32() > 1 && parent.as_u32() != std::process::id() => {
                at = parent;
            }
            _ => return Role::Person,
        }
    }
    Role::Agent
}

#[cfg(unix)]
fn group(pid: u32) -> Option<u32> {
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).ok()?)?;
    let group = rustix::process::getpgid(Some(pid)).ok()?;
    u32::try_from(group.as_raw_nonzero().get()).ok()
}

#[cfg(not(unix))]
fn group(_pid: u32) -> Option<u32> {
    None
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::process::{Child, Command, Stdio};

    use super::*;

    fn row(pid: u32) -> ProcessRow {
        ProcessRow {
            id: 1,
            session: None,
            agent: "example".parse().unwrap(),
            pid,
            start_time: 0,
            process_group: pid,
        }
    }

    fn sleeper(mark: bool) -> Child {
        let mut command = Command::new("sleep");
        command.arg("60").stdin(Stdio::null());
        if mark {
            command.env("SPECTASK_AGENT", "1");
        }
        command.spawn().unwrap()
    }

    #[test]
    fn a_marked_process_and_a_child_of_an_agent_are_agents() {
        let mut marked = sleeper(true);
        let mut plain = sleeper(false);
        assert_eq!(role_of(Some(marked.id()), &[]), Role::Agent);
        assert_eq!(role_of(Some(plain.id()), &[]), Role::Person);
        assert_eq!(role_of(Some(plain.id()), &[row(plain.id())]), Role::Agent);
        assert_eq!(role_of(Some(u32::MAX / 2), &[]), Role::Agent);
        for child in [&mut marked, &mut plain] {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}
