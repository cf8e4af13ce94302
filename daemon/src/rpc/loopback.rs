//! The same service on a port of this machine, for programs that cannot open the local socket: who
//! has the token of this run may call, as far as its process may.

use std::{
    io::{self, Write},
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use axum::{
    Router,
    extract::Request,
    http::{
        HeaderMap, HeaderName, HeaderValue, StatusCode, Uri,
        header::{
            CONNECTION, HOST, ORIGIN, RETRY_AFTER, SEC_WEBSOCKET_PROTOCOL, UPGRADE,
            WWW_AUTHENTICATE,
        },
    },
    response::{IntoResponse, Response},
};
use serde_json::json;
use spectask_protocol::{Failure, FailureKind};
use subtle::ConstantTimeEq;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::OnceCell,
};

use super::{
    face::Face,
    http::{bearer, pass, refusal},
    owner::peer_over,
    rate::{Bucket, Pace},
    role::Peer,
};

/// The largest request, in bytes.
pub(super) const REQUEST_LIMIT: u32 = 16 << 20;

/// Connections at a time.
pub(super) const CONNECTIONS: usize = 64;

/// How long a connection may be without a whole request head, from its start or its last answer.
pub(super) const HEAD_TIMEOUT: Duration = Duration::from_secs(15);

/// Requests a second, and at once, of each connection and of all together.
const OWN_RATE: (u32, u32) = (200, 400);
const ALL_RATE: (u32, u32) = (400, 800);

/// The WebSocket subprotocol, for browsers, which can set no `Authorization`; beside it
/// `bearer.TOKEN`.
const SUBPROTOCOL: &str = "spectask";

/// The listening port and its token, which live as long as the daemon.
pub(super) struct Loopback {
    listener: TcpListener,
    guard: Arc<Guard>,
    file: PathBuf,
}

struct Guard {
    address: SocketAddr,
    token: String,
    pace: Arc<Bucket>,
}

impl Loopback {
    /// Takes the port (0: any that is free) and tells it, with a new token, in a file that only this
    /// user can read.
    ///
    /// # Errors
    /// When the port or the file cannot be had.
    pub(super) fn bind(port: u16, file: PathBuf) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let listener = TcpListener::from_std(listener)?;
        let mut token = [0; 32];
        getrandom::fill(&mut token).map_err(|error| io::Error::other(error.to_string()))?;
        let token: String = token.iter().map(|byte| format!("{byte:02x}")).collect();
        tell(&file, &address, &token)?;
        let guard = Guard {
            address,
            token,
            pace: Arc::new(Bucket::new(ALL_RATE.0, ALL_RATE.1)),
        };
        Ok(Self {
            listener,
            guard: Arc::new(guard),
            file,
        })
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.guard.address)
    }

    pub(super) async fn accept(&self) -> io::Result<(TcpStream, Visitor)> {
        let (stream, client) = self.listener.accept().await?;
        stream.set_nodelay(true)?;
        let guard = Arc::clone(&self.guard);
        Ok((stream, Visitor { guard, client }))
    }
}

/// Whose connection was accepted.
pub(super) struct Visitor {
    guard: Arc<Guard>,
    client: SocketAddr,
}

impl Visitor {
    /// What answers this connection.
    pub(super) fn open(self, app: Router, face: Arc<Face>) -> Door {
        Door {
            guard: self.guard,
            client: self.client,
            app,
            face,
            own: Arc::new(Bucket::new(OWN_RATE.0, OWN_RATE.1)),
            peer: Arc::default(),
        }
    }
}

impl Drop for Loopback {
    fn drop(&mut self) {
        forget(&self.file);
    }
}

/// Removes what a daemon that was killed has left.
pub(super) fn forget(file: &Path) {
    if let Err(error) = std::fs::remove_file(file)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(%error, file = %file.display(), "the file was not removed");
    }
}

fn tell(file: &Path, address: &SocketAddr, token: &str) -> io::Result<()> {
    let text = json!({
        "url": format!("http://{address}"),
        "token": token,
        "pid": std::process::id(),
    });
    let folder = file.parent().unwrap_or(Path::new("."));
    // Made for its owner alone, before anything is in it.
    let mut new = tempfile::NamedTempFile::new_in(folder)?;
    writeln!(new, "{text}")?;
    new.persist(file).map_err(|error| error.error)?;
    Ok(())
}

/// Answers the requests of one connection.
#[derive(Clone)]
pub(super) struct Door {
    guard: Arc<Guard>,
    client: SocketAddr,
    app: Router,
    face: Arc<Face>,
    own: Arc<Bucket>,
    /// Looked up once, when the connection has shown the token.
    peer: Arc<OnceCell<Peer>>,
}

impl Door {
    pub(super) async fn answer(&self, mut request: Request) -> Response {
        if let Err(failure) = place(request.uri(), request.headers(), self.guard.address.port()) {
            return last(refusal(StatusCode::FORBIDDEN, &failure));
        }
        if !self.own.take() {
            return too_fast();
        }
        if request.uri().path() == "/healthz" {
            return last("ok".into_response());
        }
        let Some(token) = token(request.headers()) else {
            return last(unauthorized("this request shows no token"));
        };
        let peer = if self.guard.knows(token) {
            None
        } else if let Some(session) = self.face.session_of(token) {
            Some(Peer::agent(session))
        } else {
            return last(unauthorized("the token is not the one of this daemon"));
        };
        // Only those who may come in count together, so that others cannot lock them out.
        if !self.guard.pace.take() {
            return too_fast();
        }
        let peer = match peer {
            Some(peer) => peer,
            None => self.peer.get_or_init(|| self.look()).await.clone(),
        };
        let headers = request.headers_mut();
        let browser = offered(headers).any(|name| name == SUBPROTOCOL);
        headers.remove(SEC_WEBSOCKET_PROTOCOL);
        if headers.contains_key(UPGRADE) {
            let pace = Pace {
                own: Arc::clone(&self.own),
                all: Arc::clone(&self.guard.pace),
            };
            request.extensions_mut().insert(pace);
        }
        let mut answer = pass(&self.app, request, peer).await;
        if browser && answer.status() == StatusCode::SWITCHING_PROTOCOLS {
            let name = HeaderValue::from_static(SUBPROTOCOL);
            answer.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, name);
        }
        answer
    }

    /// Who is at the other end: the token alone makes no person of an agent's process.
    async fn look(&self) -> Peer {
        let agents = self.face.agents();
        let (client, server) = (self.client, self.guard.address);
        tokio::task::spawn_blocking(move || peer_over(client, server, &agents))
            .await
            .unwrap_or(Peer::UNKNOWN)
    }
}

impl Guard {
    fn knows(&self, token: &str) -> bool {
        self.token.as_bytes().ct_eq(token.as_bytes()).into()
    }
}

/// A page that a browser shows may reach this port too: only pages of this machine, and only under
/// this machine's names, so that no other name can be bound to this address.
fn place(uri: &Uri, headers: &HeaderMap, port: u16) -> Result<(), Failure> {
    let forbidden = |text| Err(Failure::new(FailureKind::Forbidden, text));
    let here = |host: &str| {
        host.rsplit_once(':').is_some_and(|(name, given)| {
            given.parse() == Ok(port)
                && ["127.0.0.1", "localhost", "[::1]"]
                    .iter()
                    .any(|own| name.eq_ignore_ascii_case(own))
        })
    };
    let all = |name: HeaderName, fits: &dyn Fn(&str) -> bool| {
        headers
            .get_all(name)
            .iter()
            .all(|value| value.to_str().is_ok_and(fits))
    };
    if !headers.contains_key(HOST)
        || !all(HOST, &here)
        || uri.authority().is_some_and(|name| !here(name.as_str()))
    {
        return forbidden("the daemon answers only as 127.0.0.1 or localhost with its own port");
    }
    if !all(ORIGIN, &is_local) {
        return forbidden("pages of other origins than this machine may not call the daemon");
    }
    Ok(())
}

fn is_local(origin: &str) -> bool {
    ["http://localhost", "http://127.0.0.1"]
        .iter()
        .filter_map(|own| origin.strip_prefix(own))
        .any(|rest| {
            rest.is_empty()
                || rest
                    .strip_prefix(':')
                    .is_some_and(|port| port.parse::<u16>().is_ok())
        })
}

fn token(headers: &HeaderMap) -> Option<&str> {
    bearer(headers).or_else(|| offered(headers).find_map(|name| name.strip_prefix("bearer.")))
}

/// The subprotocols that a WebSocket offers.
fn offered(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    headers
        .get_all(SEC_WEBSOCKET_PROTOCOL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
}

fn unauthorized(text: &str) -> Response {
    let failure = Failure::new(FailureKind::Forbidden, text)
        .hint("`spectask daemon address --json` tells address and token of the daemon that runs");
    let mut answer = refusal(StatusCode::UNAUTHORIZED, &failure);
    let scheme = HeaderValue::from_static("Bearer");
    answer.headers_mut().insert(WWW_AUTHENTICATE, scheme);
    answer
}

pub(super) fn too_many() -> Failure {
    Failure::new(
        FailureKind::Unavailable,
        format!(
            "too many requests; a connection may send {} a second",
            OWN_RATE.0
        ),
    )
    .hint("wait a second, then go on")
}

fn too_fast() -> Response {
    let mut answer = refusal(StatusCode::TOO_MANY_REQUESTS, &too_many());
    let second = HeaderValue::from_static("1");
    answer.headers_mut().insert(RETRY_AFTER, second);
    answer
}

/// The connection ends with this answer: who shows no token keeps no connection.
fn last(mut answer: Response) -> Response {
    let close = HeaderValue::from_static("close");
    answer.headers_mut().insert(CONNECTION, close);
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placed(host: &[&'static str], origin: Option<&'static str>, uri: &str) -> bool {
        let mut headers = HeaderMap::new();
        for host in host {
            headers.append(HOST, HeaderValue::from_static(host));
        }
        if let Some(origin) = origin {
            headers.insert(ORIGIN, HeaderValue::from_static(origin));
        }
        place(&uri.parse().unwrap(), &headers, 7000).is_ok()
    }

    #[test]
    fn only_this_machine_under_its_own_names() {
        for host in [
            "127.0.0.1:7000",
            "localhost:7000",
            "LOCALHOST:7000",
            "[::1]:7000",
        ] {
            assert!(placed(&[host], None, "/rpc"), "{host}");
        }
        for host in [
            "127.0.0.1",
            "127.0.0.1:7001",
            "evil.example:7000",
            "localhost.evil.example:7000",
            "127.0.0.1:7000:7000",
            "",
        ] {
            assert!(!placed(&[host], None, "/rpc"), "{host}");
        }
        assert!(!placed(&[], None, "/rpc"));
        assert!(!placed(&["localhost:7000", "evil.example"], None, "/rpc"));
        assert!(!placed(
            &["localhost:7000"],
            None,
            "http://evil.example/rpc"
        ));
    }

    #[test]
    fn only_pages_of_this_machine() {
        for origin in [
            "http://localhost",
            "http://localhost:3000",
            "http://127.0.0.1:80",
        ] {
            assert!(
                placed(&["localhost:7000"], Some(origin), "/rpc"),
                "{origin}"
            );
        }
        for origin in [
            "null",
            "",
            "https://localhost.evil.example",
            "http://localhost.evil.example",
            "http://localhost:3000.evil.example",
            "http://localhost@evil.example",
            "http://127.0.0.1:99999",
        ] {
            assert!(
                !placed(&["localhost:7000"], Some(origin), "/rpc"),
                "{origin}"
            );
        }
    }

    #[test]
    fn a_token_comes_in_either_header() {
        let with = |name: HeaderName, value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, HeaderValue::from_static(value));
            token(&headers).map(str::to_owned)
        };
        let authorization = axum::http::header::AUTHORIZATION;
        assert_eq!(with(authorization.clone(), "Bearer abc").unwrap(), "abc");
        assert_eq!(with(authorization.clone(), "bearer  abc").unwrap(), "abc");
        assert_eq!(with(authorization.clone(), "Basic abc"), None);
        assert_eq!(with(authorization, "Bearer "), None);
        let protocols = "spectask, bearer.abc";
        assert_eq!(with(SEC_WEBSOCKET_PROTOCOL, protocols).unwrap(), "abc");
        assert_eq!(with(SEC_WEBSOCKET_PROTOCOL, "spectask"), None);
    }
}
