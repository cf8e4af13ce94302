use std::{sync::Arc, time::Duration};

use axum::{Extension, Router, extract::Request, routing::any};
use interprocess::local_socket::tokio::{Stream, prelude::*};
use jsonrpsee::{
    client_transport::ws::WsTransportClientBuilder,
    core::{
        client::{Client as RpcClient, ClientBuilder, ClientT, SubscriptionClientT},
        params::ObjectParams,
    },
};
use serde_json::{Value, json};
use spectask_protocol::{
    Empty, Event, Failure, FailureKind, Role, WorkMode, WorkSessionId, method,
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use super::{Local, Mounts, Peer, Server, loopback, socket_name};
use crate::{
    paths::Paths,
    scheduler::{Context, Shared},
    store::Store,
    workflow::task,
};

const SESSION: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

/// A daemon's server in this process, which therefore counts as a person.
struct Daemon {
    _folder: TempDir,
    ctx: Shared,
    stop: CancellationToken,
    running: JoinHandle<()>,
    local: Local,
}

async fn who(Extension(peer): Extension<Peer>) -> String {
    format!(
        "{:?} {:?}",
        peer.role,
        peer.session.map(|id| id.to_string())
    )
}

/// Takes the connection over and sends back what comes.
async fn echo(mut request: Request) -> axum::response::Response {
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let stream = hyper_util::rt::TokioIo::new(upgrade.await.unwrap());
        let (mut from, mut to) = tokio::io::split(stream);
        tokio::io::copy(&mut from, &mut to).await.unwrap();
    });
    axum::http::Response::builder()
        .status(101)
        .header("connection", "upgrade")
        .header("upgrade", "spectask-test")
        .body(axum::body::Body::empty())
        .unwrap()
}

impl Daemon {
    async fn start(config: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let paths = Paths {
            data_dir: folder.path().to_owned(),
            config_file: folder.path().join("config.toml"),
        };
        std::fs::write(&paths.config_file, config).unwrap();
        let store = Store::open(&paths.database()).unwrap();
        let ctx = Context::new(store, paths).await.unwrap();
        let stop = CancellationToken::new();
        let mut local = None;
        let server = Server::bind(Arc::clone(&ctx), stop.clone(), |methods| {
            local = Some(methods);
            Mounts {
                local: Router::new().route("/echo", any(echo)),
                everywhere: Router::new().route("/who", any(who)).route(
                    "/take",
                    any(|body: axum::body::Bytes| async move { body.len().to_string() }),
                ),
            }
        });
        Self {
            _folder: folder,
            ctx,
            stop,
            running: tokio::spawn(server.unwrap().run()),
            local: local.unwrap(),
        }
    }

    fn told(&self) -> Value {
        let text = std::fs::read_to_string(self.ctx.paths.http_file()).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    fn token(&self) -> String {
        self.told()["token"].as_str().unwrap().to_owned()
    }

    /// The token of [`SESSION`].
    fn session(&self) -> String {
        let session: WorkSessionId = SESSION.parse().unwrap();
        self.ctx.live.tokens().issue(&session)
    }

    fn host(&self) -> String {
        let url = self.told()["url"].as_str().unwrap().to_owned();
        url.strip_prefix("http://").unwrap().to_owned()
    }

    async fn tcp(&self) -> TcpStream {
        TcpStream::connect(self.host()).await.unwrap()
    }

    async fn local(&self) -> Stream {
        let socket = self.ctx.paths.socket();
        Stream::connect(socket_name(&socket).unwrap())
            .await
            .unwrap()
    }

    /// Sends one request over loopback; `headers` are whole lines.
    async fn ask(&self, path: &str, headers: &[String], body: &str) -> (u16, String) {
        let host = format!("Host: {}", self.host());
        let own = headers.iter().any(|line| line.starts_with("Host:"));
        let host = if own { Vec::new() } else { vec![host] };
        send(self.tcp().await, path, &[&host, headers].concat(), body).await
    }

    async fn call(&self, method: &str, token: &str) -> (u16, Value) {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": {} });
        let (status, text) = self.ask("/rpc", &[bearer(token)], &body.to_string()).await;
        (status, serde_json::from_str(&text).unwrap())
    }

    async fn web_socket(&self, headers: &[(&'static str, String)]) -> Option<RpcClient> {
        let url = format!("ws://{}/rpc", self.host()).parse().unwrap();
        let mut map = axum::http::HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().unwrap());
        }
        let (sender, receiver) = WsTransportClientBuilder::default()
            .set_headers(map)
            .build_with_stream(url, self.tcp().await)
            .await
            .ok()?;
        Some(ClientBuilder::default().build_with_tokio(sender, receiver))
    }

    async fn end(self) -> TempDir {
        self.stop.cancel();
        self.running.await.unwrap();
        self._folder
    }
}

fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}")
}

/// Sends one request and reads the answer to its end.
async fn send<S>(mut stream: S, path: &str, headers: &[String], body: &str) -> (u16, String)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let head = [
        format!("POST {path} HTTP/1.1"),
        "Connection: close".to_owned(),
        "Content-Type: application/json".to_owned(),
        format!("Content-Length: {}", body.len()),
    ];
    let head = [&head[..], headers].concat().join("\r\n");
    let request = format!("{head}\r\n\r\n{body}");
    // A server that has refused may close before it has read all.
    let _ = stream.write_all(request.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    (status.unwrap_or_default(), body.to_owned())
}

fn failure(answer: &Value) -> Failure {
    serde_json::from_value(answer["error"]["data"].clone())
        .unwrap_or_else(|error| panic!("{error}: {answer}"))
}

#[tokio::test]
async fn over_loopback_only_the_token_lets_in() {
    let daemon = Daemon::start("").await;
    let good = daemon.token();
    assert_eq!(good.len(), 64);
    let (status, answer) = daemon.call("daemon.status", &good).await;
    assert_eq!((status, &answer["result"]["role"]), (200, &json!("person")));
    for token in [
        "",
        "x",
        &good[1..],
        &good.to_uppercase().replace(char::is_numeric, "A"),
    ] {
        let (status, answer) = daemon.call("daemon.status", token).await;
        assert_eq!(status, 401, "{token}");
        assert_eq!(failure(&answer).kind, FailureKind::Forbidden);
    }
    let (status, _) = daemon.ask("/rpc", &[], "{}").await;
    assert_eq!(status, 401);
    assert_eq!(daemon.ask("/healthz", &[], "").await, (200, "ok".into()));
    assert_eq!(daemon.ask("/nothing", &[], "").await.0, 401);
    assert_eq!(daemon.ask("/nothing", &[bearer(&good)], "").await.0, 404);
    // What is for the local socket is not here.
    assert_eq!(daemon.ask("/echo", &[bearer(&good)], "").await.0, 404);
}

#[tokio::test]
async fn over_loopback_other_names_and_origins_are_refused() {
    let daemon = Daemon::start("").await;
    let token = bearer(&daemon.token());
    let (_, port) = daemon
        .host()
        .rsplit_once(':')
        .map(|(host, port)| (host.to_owned(), port.to_owned()))
        .unwrap();
    let ask = async |line: &str| {
        let body = r#"{"jsonrpc":"2.0","id":1,"method":"daemon.status","params":{}}"#;
        daemon
            .ask("/rpc", &[token.clone(), line.to_owned()], body)
            .await
    };
    for line in [
        format!("Host: localhost:{port}"),
        "Origin: http://localhost:3000".into(),
    ] {
        assert_eq!(ask(&line).await.0, 200, "{line}");
    }
    for line in [
        format!("Host: evil.example:{port}"),
        "Origin: https://evil.example".into(),
        "Origin: null".into(),
    ] {
        let (status, body) = ask(&line).await;
        assert_eq!(status, 403, "{line}");
        let failure = failure(&serde_json::from_str(&body).unwrap());
        assert_eq!(failure.kind, FailureKind::Forbidden);
    }
}

#[tokio::test]
async fn errors_of_json_rpc_come_with_a_good_status() {
    let daemon = Daemon::start("").await;
    let token = daemon.token();
    let (status, answer) = daemon.call("no.such", &token).await;
    assert_eq!((status, &answer["error"]["code"]), (200, &json!(-32601)));
    for body in ["", "nonsense", "{", "[]", "{\"jsonrpc\":\"2.0\"}"] {
        let (status, text) = daemon.ask("/rpc", &[bearer(&token)], body).await;
        assert_eq!(status, 200, "{body}: {text}");
        let answer: Value = serde_json::from_str(&text).unwrap();
        assert!(answer["error"]["code"].is_i64(), "{body}: {text}");
    }
    let (_, described) = daemon.call("rpc.discover", &token).await;
    assert_eq!(described["result"], method::open_rpc());
}

#[tokio::test]
async fn a_token_of_a_session_makes_an_agent_wherever_it_comes_from() {
    let daemon = Daemon::start("").await;
    let agent = format!("Agent Some({SESSION:?})");
    let who = daemon.ask("/who", &[bearer(&daemon.session())], "").await;
    assert_eq!(who, (200, agent.clone()));
    let who = daemon.ask("/who", &[bearer(&daemon.token())], "").await;
    assert_eq!(who, (200, "Person None".into()));
    let local = async |headers: &[String]| {
        let headers = [&["Host: localhost".to_owned()], headers].concat();
        send(daemon.local().await, "/who", &headers, "").await
    };
    assert_eq!(local(&[]).await, (200, "Person None".into()));
    assert_eq!(local(&[bearer(&daemon.session())]).await, (200, agent));
    let (status, answer) = daemon.call("specTask.pause", &daemon.session()).await;
    assert_eq!(status, 200);
    assert_eq!(failure(&answer).kind, FailureKind::Forbidden);
}

#[tokio::test]
async fn other_faces_call_in_the_process_and_take_connections_over() {
    let daemon = Daemon::start("http.enabled = false\n").await;
    assert!(!daemon.ctx.paths.http_file().exists());
    let person = spectask_protocol::Client::new(daemon.local.clone());
    let view = person.call(method::DaemonStatus, Empty {}).await.unwrap();
    assert_eq!(view.role, Role::Person);
    let agent = Peer::agent(SESSION.parse().unwrap());
    let agent = spectask_protocol::Client::new(daemon.local.as_peer(agent));
    let view = agent.call(method::DaemonStatus, Empty {}).await.unwrap();
    assert_eq!(view.role, Role::Agent);

    let mut stream = daemon.local().await;
    let head = "GET /echo HTTP/1.1\r\nHost: localhost\r\nConnection: upgrade\r\nUpgrade: spectask-test\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(stream.read_u8().await.unwrap());
    }
    assert!(answer.starts_with(b"HTTP/1.1 101"));
    stream.write_all(b"hello\n").await.unwrap();
    let mut back = [0; 6];
    stream.read_exact(&mut back).await.unwrap();
    assert_eq!(&back, b"hello\n");
}

#[tokio::test]
async fn events_are_followed_over_a_web_socket_on_loopback() {
    let daemon = Daemon::start("").await;
    let token = daemon.token();
    let refused = [("authorization", "Bearer wrong".to_owned())];
    assert!(daemon.web_socket(&refused).await.is_none());
    let client = daemon
        .web_socket(&[("authorization", format!("Bearer {token}"))])
        .await
        .unwrap();
    let mut params = ObjectParams::new();
    params.insert("after", 0).unwrap();
    let mut events = client
        .subscribe::<Event, _>("events.subscribe", params, "events.unsubscribe")
        .await
        .unwrap();
    let create = task::Create {
        common_dir: "/r/.git".into(),
        root: "/r".into(),
        slug: "notes".into(),
        title: "Notes".into(),
        prompt: "Keep notes".into(),
        planning_agent: "example".parse().unwrap(),
        agent: "example".parse().unwrap(),
        mode: WorkMode::Parallel,
        limit: 3,
        base: "0".repeat(40),
        target: None,
        verify: None,
        later: true,
    };
    task::create(&daemon.ctx.store, create).await.unwrap();
    let event = events.next().await.unwrap().unwrap();
    assert_eq!(event.seq, 1);
}

#[tokio::test]
async fn a_browser_shows_the_token_as_a_subprotocol() {
    let daemon = Daemon::start("").await;
    let mut stream = daemon.tcp().await;
    let head = format!(
        "GET /rpc HTTP/1.1\r\nHost: {}\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: spectask, bearer.{}\r\nOrigin: http://localhost:3000\r\n\r\n",
        daemon.host(),
        daemon.token()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(stream.read_u8().await.unwrap());
    }
    let answer = String::from_utf8(answer).unwrap().to_lowercase();
    assert!(answer.starts_with("http/1.1 101"), "{answer}");
    assert!(
        answer.contains("sec-websocket-protocol: spectask\r\n"),
        "{answer}"
    );
}

#[tokio::test]
async fn too_many_requests_on_one_connection_are_refused() {
    let daemon = Daemon::start("").await;
    // No token: whoever may not come in is slowed too. The connection closes after each answer, so the
    // rate is seen over a WebSocket and over a connection that is kept.
    let client = daemon
        .web_socket(&[("authorization", format!("Bearer {}", daemon.token()))])
        .await
        .unwrap();
    let mut refused = None;
    for _ in 0..10_000 {
        let answer = client
            .request::<Value, _>("daemon.status", ObjectParams::new())
            .await;
        if let Err(error) = answer {
            refused = Some(error.to_string());
            break;
        }
    }
    let refused = refused.expect("it is never refused");
    assert!(refused.contains("too many requests"), "{refused}");

    let mut stream = daemon.tcp().await;
    let request = format!(
        "POST /who HTTP/1.1\r\nHost: {}\r\nContent-Length: 0\r\n{}\r\n\r\n",
        daemon.host(),
        bearer(&daemon.token())
    );
    let mut answers = Vec::new();
    for _ in 0..10_000 {
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut buffer = [0; 4096];
        let read = stream.read(&mut buffer).await.unwrap();
        answers = buffer[..read].to_vec();
        if !answers.starts_with(b"HTTP/1.1 200") {
            break;
        }
    }
    let answers = String::from_utf8(answers).unwrap();
    assert!(answers.starts_with("HTTP/1.1 429"), "{answers}");
    assert!(answers.contains("retry-after: 1"), "{answers}");
    assert!(answers.contains("too many requests"), "{answers}");
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused() {
    let daemon = Daemon::start("").await;
    let token = bearer(&daemon.token());
    let stream = async |path: &str, headers: &str, body: &[u8]| {
        let mut stream = daemon.tcp().await;
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: {}\r\n{token}\r\nConnection: close\r\nContent-Type: application/json\r\n{headers}\r\n\r\n",
            daemon.host()
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let (mut from, mut to) = stream.into_split();
        let body = body.to_vec();
        let sending = tokio::spawn(async move { to.write_all(&body).await });
        let mut answer = Vec::new();
        let _ = from.read_to_end(&mut answer).await;
        sending.abort();
        String::from_utf8_lossy(&answer).into_owned()
    };
    let limit = loopback::REQUEST_LIMIT as usize;
    let length = format!("Content-Length: {}", limit + 1);
    let answer = stream("/rpc", &length, b"").await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    assert!(answer.contains("\"error\""), "{answer}");
    let mut chunked = format!("{:x}\r\n", limit + 1).into_bytes();
    chunked.extend(vec![b'{'; limit + 1]);
    chunked.extend(b"\r\n0\r\n\r\n");
    for path in ["/rpc", "/take"] {
        let answer = stream(path, "Transfer-Encoding: chunked", &chunked).await;
        assert!(answer.starts_with("HTTP/1.1 413"), "{path}: {answer}");
    }
    assert_eq!(
        daemon
            .ask("/take", std::slice::from_ref(&token), "four")
            .await,
        (200, "4".into())
    );
}

#[tokio::test]
async fn no_more_connections_than_there_are_places() {
    let daemon = Daemon::start("").await;
    let mut held = Vec::new();
    for _ in 0..loopback::CONNECTIONS {
        held.push(
            daemon
                .web_socket(&[("authorization", format!("Bearer {}", daemon.token()))])
                .await
                .unwrap(),
        );
    }
    // Those that were upgraded count.
    assert_eq!(daemon.ask("/healthz", &[], "").await.0, 0);
    held.pop();
    let again = async {
        while daemon.ask("/healthz", &[], "").await.0 != 200 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), again)
        .await
        .unwrap();
}

#[tokio::test]
async fn the_address_is_for_the_owner_alone_and_gone_at_the_end() {
    let first = Daemon::start("").await;
    let second = Daemon::start("").await;
    assert_ne!(first.told()["url"], second.told()["url"]);
    assert_eq!(second.call("daemon.status", &first.token()).await.0, 401);
    let file = first.ctx.paths.http_file();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    assert_eq!(first.told()["pid"], std::process::id());
    // A port that is taken is no reason not to run.
    let port = first.host().rsplit_once(':').unwrap().1.to_owned();
    let third = Daemon::start(&format!("[http]\nport = {port}\n")).await;
    assert!(!third.ctx.paths.http_file().exists());
    let doctor = third.local.clone();
    let report =
        spectask_protocol::Transport::call(&doctor, "daemon.doctor", json!({ "cwd": "/" }))
            .await
            .unwrap();
    let checks = report["checks"].as_array().unwrap();
    let http = checks.iter().find(|check| check["name"] == "http").unwrap();
    assert_eq!(http["state"], "warning", "{http}");
    let folder = first.end().await;
    assert!(!file.exists());
    assert!(!folder.path().join("daemon.sock").exists());
    let left = std::fs::read_dir(folder.path()).unwrap().count();
    assert!(left > 0, "the folder itself stays");
}
