//! Who is at the other end: a process that descends from an agent, or from the daemon itself as git
//! hooks and the commands of a repository do, is an agent, whatever it says.

use std::{collections::HashMap, ffi::OsString};

use spectask_protocol::{Role, WorkSessionId};
use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System, UpdateKind};

use crate::{
    agents::{AGENT_MARK, SESSION_MARK},
    store::ProcessRow,
};

/// A process tree that is deeper is looked at no further.
const DEPTH: usize = 64;

/// Who is at the other end of a connection. It is in the extensions of every HTTP request and of every
/// JSON-RPC call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// What it may do.
    pub role: Role,
    /// The work session it speaks for, where that can be told: the one whose agent it descends from, or
    /// the one whose token it showed.
    pub session: Option<WorkSessionId>,
    /// Its process, where the system tells.
    pub pid: Option<u32>,
}

impl Peer {
    const PERSON: Self = Self {
        role: Role::Person,
        session: None,
        pid: None,
    };

    /// One that cannot be looked at may only read.
    pub(super) const UNKNOWN: Self = Self {
        role: Role::Agent,
        session: None,
        pid: None,
    };

    /// A person.
    #[must_use]
    pub const fn person() -> Self {
        Self::PERSON
    }

    /// The agent of a work session.
    #[must_use]
    pub const fn agent(session: WorkSessionId) -> Self {
        Self {
            role: Role::Agent,
            session: Some(session),
            pid: None,
        }
    }
}

/// Who a peer is by its process id. A peer that cannot be looked at is an agent: it may read.
///
/// It is one if an ancestor is a known agent process, if it or an ancestor leads or belongs to an
/// agent's process group, or if the mark of agents is in its environment or an ancestor's. A hostile
/// process of the same user that hides all three is not found; the README says so.
pub(super) fn peer_of(pid: Option<u32>, agents: &[ProcessRow]) -> Peer {
    match pid {
        Some(pid) => Peer {
            pid: Some(pid),
            ..judge(pid, agents)
        },
        // Only systems that tell no peer get here; the socket's mode keeps other users out.
        None => Peer::PERSON,
    }
}

fn judge(pid: u32, agents: &[ProcessRow]) -> Peer {
    if pid == std::process::id() {
        return Peer::PERSON;
    }
    let Ok(mut system) = System::new() else {
        return Peer::UNKNOWN;
    };
    let known: HashMap<u32, &ProcessRow> = agents
        .iter()
        .flat_map(|process| [(process.pid, process), (process.process_group, process)])
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
                Peer::UNKNOWN
            } else {
                Peer::PERSON
            };
        };
        let marked = marks(process.environ());
        let recorded = known
            .get(&at.as_u32())
            .or_else(|| known.get(&group(at.as_u32())?));
        if marked.is_some() || recorded.is_some() {
            let session = recorded.and_then(|process| process.session.clone());
            return Peer {
                role: Role::Agent,
                session: session.or_else(|| marked.flatten()),
                pid: None,
            };
        }
        match process.parent() {
            // What the daemon starts, it starts for agents. In a container it may itself be the
            // process that everything without a parent is given to.
            Some(parent) if parent.as_u32() == std::process::id() && parent.as_u32() != 1 => {
                return Peer::UNKNOWN;
            }
            Some(parent) if parent.as_u32() > 1 => at = parent,
            _ => return Peer::PERSON,
        }
    }
    Peer::UNKNOWN
}

/// Whether an environment has the mark of agents, and which session it names.
fn marks(environ: &[OsString]) -> Option<Option<WorkSessionId>> {
    let value = |mark: &str| {
        environ
            .iter()
            .find_map(|entry| entry.to_str()?.strip_prefix(mark)?.strip_prefix('='))
    };
    value(AGENT_MARK)?;
    Some(value(SESSION_MARK).and_then(|id| id.parse().ok()))
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
    use std::{
        io::Read,
        process::{Child, Command, Stdio},
    };

    use super::*;

    const SESSION: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

    fn role_of(pid: Option<u32>, agents: &[ProcessRow]) -> Role {
        peer_of(pid, agents).role
    }

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

    /// A child that has begun: before, the system shows no environment of it.
    fn sleeper(mark: bool) -> Child {
        let mut command = Command::new("sh");
        command
            .args(["-c", "echo; read -r _"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        if mark {
            command.env(AGENT_MARK, "1").env(SESSION_MARK, SESSION);
        }
        let mut child = command.spawn().unwrap();
        let mut line = [0];
        child
            .stdout
            .as_mut()
            .unwrap()
            .read_exact(&mut line)
            .unwrap();
        child
    }

    /// A process that is no child of this one, which stands for the daemon here.
    fn stranger() -> u32 {
        let output = Command::new("sh")
            .args(["-c", "sleep 60 >/dev/null 2>&1 & echo $!"])
            .output()
            .unwrap();
        String::from_utf8(output.stdout)
            .unwrap()
            .trim()
            .parse()
            .unwrap()
    }

    #[test]
    fn a_marked_process_and_a_child_of_an_agent_are_agents() {
        let mut marked = sleeper(true);
        let mut child = sleeper(false);
        let plain = stranger();
        let peer = peer_of(Some(marked.id()), &[]);
        assert_eq!(peer.role, Role::Agent);
        assert_eq!(peer.session, SESSION.parse().ok());
        assert_eq!(role_of(Some(child.id()), &[]), Role::Agent);
        assert_eq!(role_of(Some(plain), &[]), Role::Person);
        assert_eq!(role_of(Some(plain), &[row(plain)]), Role::Agent);
        assert_eq!(role_of(Some(u32::MAX / 2), &[]), Role::Agent);
        for child in [&mut marked, &mut child] {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        let killed = Command::new("kill").arg(plain.to_string()).status();
        assert!(killed.unwrap().success());
    }
}
