//! Which process is at the other end of a loopback connection, where the system tells.

use std::net::SocketAddr;

use super::role::{Peer, peer_of};
use crate::store::ProcessRow;

/// Who a loopback client is. A process that cannot be found is an agent: it may read. Where one of
/// several processes that hold the connection is an agent's, it is an agent.
#[cfg(target_os = "linux")]
pub(super) fn peer_over(client: SocketAddr, server: SocketAddr, agents: &[ProcessRow]) -> Peer {
    use spectask_protocol::Role;

    let Some(link) = linux::link(client, server) else {
        return Peer::UNKNOWN;
    };
    let mut found = None;
    for pid in linux::holders(&link) {
        let peer = peer_of(Some(pid), agents);
        match peer.role {
            Role::Person => drop(found.get_or_insert(peer)),
            // A process that is being started holds what its parent holds, for a moment.
            Role::Agent if linux::holds(pid, &link) => return peer,
            Role::Agent => {}
        }
    }
    found.unwrap_or(Peer::UNKNOWN)
}

/// Who a loopback client is: this system does not tell, so the token alone decides.
#[cfg(not(target_os = "linux"))]
pub(super) fn peer_over(_client: SocketAddr, _server: SocketAddr, agents: &[ProcessRow]) -> Peer {
    peer_of(None, agents)
}

#[cfg(target_os = "linux")]
mod linux {
    use std::{
        fs,
        net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    };

    /// How `/proc` names the client's end of a connection.
    pub(super) fn link(client: SocketAddr, server: SocketAddr) -> Option<String> {
        ["/proc/self/net/tcp", "/proc/self/net/tcp6"]
            .iter()
            .filter_map(|table| fs::read_to_string(table).ok())
            .find_map(|table| inode(&table, client, server))
            .map(|inode| format!("socket:[{inode}]"))
    }

    /// The processes that have a descriptor of a socket.
    pub(super) fn holders(link: &str) -> Vec<u32> {
        let Ok(processes) = fs::read_dir("/proc") else {
            return Vec::new();
        };
        processes
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .filter(|pid| holds(*pid, link))
            .collect()
    }

    /// Whether a process has a descriptor of that socket; not if it may not be looked at.
    pub(super) fn holds(pid: u32, link: &str) -> bool {
        fs::read_dir(format!("/proc/{pid}/fd")).is_ok_and(|mut files| {
            files.any(|file| {
                file.and_then(|file| fs::read_link(file.path()))
                    .is_ok_and(|to| to.as_os_str() == link)
            })
        })
    }

    /// The inode of the socket with these ends in a table of `/proc/net` (proc(5)).
    fn inode(table: &str, local: SocketAddr, remote: SocketAddr) -> Option<u64> {
        table.lines().skip(1).find_map(|line| {
            let mut fields = line.split_ascii_whitespace();
            let ends = (fields.nth(1)?, fields.next()?);
            // A socket that its process has closed has no inode any more.
            let inode = fields.nth(6)?.parse().ok().filter(|inode| *inode != 0)?;
            (address(ends.0) == Some(local) && address(ends.1) == Some(remote)).then_some(inode)
        })
    }

    /// An address as the kernel prints it: words in the machine's byte order, port in hexadecimal.
    fn address(text: &str) -> Option<SocketAddr> {
        let (host, port) = text.split_once(':')?;
        let word = |at: usize| {
            let digits = host.get(at..at + 8)?;
            Some(u32::from_str_radix(digits, 16).ok()?.to_ne_bytes())
        };
        let host: IpAddr = match host.len() {
            8 => Ipv4Addr::from(word(0)?).into(),
            32 => {
                let words = [word(0)?, word(8)?, word(16)?, word(24)?].concat();
                Ipv6Addr::from(<[u8; 16]>::try_from(words).ok()?).to_canonical()
            }
            _ => return None,
        };
        Some((host, u16::from_str_radix(port, 16).ok()?).into())
    }

    #[cfg(test)]
    mod tests {
        use std::net::{TcpListener, TcpStream};

        use super::*;

        #[test]
        #[cfg(target_endian = "little")]
        fn both_tables_are_read() {
            let head = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";
            let four = format!(
                "{head}   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 11 1 0\n   1: 0100007F:C350 0100007F:1F90 01 00000000:00000000 00:00000000 00000000  1000        0 22 1 0\n nonsense\n"
            );
            let six = format!(
                "{head}   1: 0000000000000000FFFF00000100007F:C350 0000000000000000FFFF00000100007F:1F90 01 00000000:00000000 00:00000000 00000000  1000        0 33 1 0\n"
            );
            let (client, server) = (
                "127.0.0.1:50000".parse().unwrap(),
                "127.0.0.1:8080".parse().unwrap(),
            );
            assert_eq!(inode(&four, client, server), Some(22));
            assert_eq!(inode(&six, client, server), Some(33));
            assert_eq!(inode(&four, server, client), None);
            assert_eq!(inode(&four.replace(" 22 ", " 0 "), client, server), None);
        }

        #[test]
        fn a_connection_leads_to_its_process() {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let server = listener.local_addr().unwrap();
            let stream = TcpStream::connect(server).unwrap();
            let client = stream.local_addr().unwrap();
            let link = link(client, server).unwrap();
            // A process that another test is starting may hold it too.
            assert!(holders(&link).contains(&std::process::id()));
            assert_eq!(super::link(client, "127.0.0.1:1".parse().unwrap()), None);
            drop((stream, listener));
            assert!(!holds(std::process::id(), &link));
        }
    }
}
