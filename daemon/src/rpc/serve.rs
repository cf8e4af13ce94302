//! Listens on the local socket, one per data folder, for its owner only; serves HTTP/1.1 with upgrades.

use std::{
    convert::Infallible,
    fs, io,
    path::{Path, PathBuf},
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::{body::Body, extract::Request as AxumRequest, response::Response, routing::get};
use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use interprocess::local_socket::{
    GenericFilePath, ListenerOptions, Name, ToFsName,
    tokio::{Listener, Stream, prelude::*},
    traits::StreamCommon,
};
use jsonrpsee::server::{Methods, StopHandle, stop_channel};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    error::ServeError,
    face::{Face, Served},
    http::{self, Mounts},
    local::Local,
    loopback::{self, Loopback, Visitor},
    register,
    role::{Peer, peer_of},
};
use crate::scheduler::Shared;

/// The largest request on the local socket, in bytes: documents that a person edited.
const REQUEST_LIMIT: u32 = 256 << 20;

/// Connections at a time.
const CONNECTIONS: usize = 256;

/// Answers that are under way at the end may still be sent for so long.
const LAST_ANSWERS: Duration = Duration::from_millis(500);

/// The listening daemon.
pub struct Server {
    listener: Listener,
    socket: PathBuf,
    face: Arc<Face>,
    methods: Methods,
    mounts: Mounts,
    loopback: Option<Loopback>,
}

/// The socket's name as the system wants it.
///
/// # Errors
/// When the path cannot be a socket.
pub fn socket_name(socket: &Path) -> io::Result<Name<'_>> {
    socket.to_fs_name::<GenericFilePath>()
}

impl Server {
    /// Takes the socket. The caller holds the lock of the data folder, so a socket that is there is
    /// left over from a daemon that was killed. `mounts` gets the methods as a person calls them and
    /// gives the routes of other faces.
    ///
    /// # Errors
    /// When the socket cannot be made, or a method has no handler.
    pub fn bind(
        ctx: Shared,
        stop: CancellationToken,
        mounts: impl FnOnce(Local) -> Mounts,
    ) -> Result<Self, ServeError> {
        let socket = ctx.paths.socket();
        let failed = |source| ServeError::Listen {
            socket: socket.clone(),
            source,
        };
        let listener = listen(&socket).map_err(failed)?;
        let face = Arc::new(Face::new(ctx, stop));
        let methods: Methods = register::module(Arc::clone(&face))?.into();
        let local = Local::new(methods.clone(), Peer::person());
        face.serves(local.clone());
        let mounts = mounts(local);
        let loopback = loopback(&face);
        Ok(Self {
            listener,
            socket,
            face,
            methods,
            mounts,
            loopback,
        })
    }

    /// Serves until the stop token fires; open requests end first, for a moment.
    pub async fn run(self) {
        let (stop_handle, server_handle) = stop_channel();
        let routes = |limit, connections, mounted| {
            let (methods, stop) = (self.methods.clone(), stop_handle.clone());
            http::routes(methods, stop, limit, connections, mounted)
        };
        let everywhere = self.mounts.everywhere;
        let guarded = routes(
            loopback::REQUEST_LIMIT,
            loopback::CONNECTIONS,
            everywhere.clone(),
        );
        let mounted = everywhere
            .merge(self.mounts.local)
            .route("/healthz", get(|| async { "ok" }));
        let app = routes(REQUEST_LIMIT, CONNECTIONS, mounted);
        let mut local = Slots::new("local socket", CONNECTIONS);
        let mut guests = Slots::new("loopback", loopback::CONNECTIONS);
        let open = TaskTracker::new();
        loop {
            let accepted = tokio::select! {
                () = self.face.stop.cancelled() => break,
                accepted = self.listener.accept() => accepted.map(Accepted::Local),
                accepted = guest(self.loopback.as_ref()) => accepted,
            };
            let stop = stop_handle.clone();
            match accepted {
                Ok(Accepted::Local(stream)) => {
                    let Some(slot) = local.take() else { continue };
                    let (app, face) = (app.clone(), Arc::clone(&self.face));
                    open.spawn(async move {
                        let peer = look(&stream, &face).await;
                        let answer = move |request| {
                            let (app, face) = (app.clone(), Arc::clone(&face));
                            let peer = peer.clone();
                            async move { http::answer(&app, request, peer, &face).await }
                        };
                        serve(http1::Builder::new(), slot.hold(stream), answer, stop).await;
                    });
                }
                Ok(Accepted::Guest(stream, door)) => {
                    let Some(slot) = guests.take() else { continue };
                    let door = door.open(guarded.clone(), Arc::clone(&self.face));
                    open.spawn(async move {
                        let mut builder = http1::Builder::new();
                        builder
                            .timer(TokioTimer::new())
                            .header_read_timeout(loopback::HEAD_TIMEOUT);
                        let answer = move |request| {
                            let door = door.clone();
                            async move { door.answer(request).await }
                        };
                        serve(builder, slot.hold(stream), answer, stop).await;
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
        if let Err(error) = server_handle.stop() {
            tracing::debug!(%error, "the server had stopped");
        }
        drop((self.listener, self.loopback));
        if !cfg!(windows)
            && let Err(error) = fs::remove_file(&self.socket)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, socket = %self.socket.display(), "the socket was not removed");
        }
        open.close();
        drop(tokio::time::timeout(LAST_ANSWERS, open.wait()).await);
    }
}

enum Accepted {
    Local(Stream),
    Guest(TcpStream, Visitor),
}

/// The next connection on loopback, if that is served.
async fn guest(loopback: Option<&Loopback>) -> io::Result<Accepted> {
    match loopback {
        Some(loopback) => {
            let (stream, visitor) = loopback.accept().await?;
            Ok(Accepted::Guest(stream, visitor))
        }
        None => std::future::pending().await,
    }
}

/// Places for connections.
struct Slots {
    listener: &'static str,
    free: Arc<Semaphore>,
    full: bool,
}

impl Slots {
    fn new(listener: &'static str, places: usize) -> Self {
        Self {
            listener,
            free: Arc::new(Semaphore::new(places)),
            full: false,
        }
    }

    /// A place, if one is free. It is logged once that there is none.
    fn take(&mut self) -> Option<Slot> {
        let slot = Arc::clone(&self.free).try_acquire_owned().ok();
        if slot.is_none() && !self.full {
            tracing::warn!(
                listener = self.listener,
                "too many connections; more are closed"
            );
        }
        self.full = slot.is_none();
        slot.map(Slot)
    }
}

struct Slot(OwnedSemaphorePermit);

impl Slot {
    fn hold<S>(self, stream: S) -> Counted<S> {
        Counted {
            stream,
            _slot: self.0,
        }
    }
}

/// Listens on loopback as the configuration says. The daemon works without it.
fn loopback(face: &Face) -> Option<Loopback> {
    let file = face.ctx.paths.http_file();
    let bound = match face.ctx.config() {
        Ok(config) if config.http.enabled => {
            let bound = Loopback::bind(config.http.port, file.clone());
            bound.map_err(|error| format!("port {} cannot be served: {error}", config.http.port))
        }
        Ok(_) => {
            loopback::forget(&file);
            face.told(Served::Off);
            return None;
        }
        Err(error) => Err(error.to_string()),
    };
    match bound {
        Ok(bound) => {
            face.told(Served::At(bound.url()));
            Some(bound)
        }
        Err(error) => {
            loopback::forget(&file);
            tracing::error!(error, "there is no HTTP on loopback");
            face.told(Served::Failed(error));
            None
        }
    }
}

/// Who is at the other end of a connection on the local socket.
async fn look(stream: &Stream, face: &Face) -> Peer {
    let pid = stream.peer_creds().ok().and_then(|peer| peer.pid());
    let pid = pid.and_then(|pid| u32::try_from(pid).ok());
    let agents = face.agents();
    let looked = tokio::task::spawn_blocking(move || peer_of(pid, &agents)).await;
    looked.unwrap_or(Peer::UNKNOWN)
}

/// Serves one connection to its end, or to the daemon's.
async fn serve<S, F, Fut>(builder: http1::Builder, stream: S, answer: F, stop: StopHandle)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    F: Fn(AxumRequest) -> Fut + Send,
    Fut: Future<Output = Response> + Send,
{
    let service = service_fn(|request: Request<Incoming>| {
        let answered = answer(request.map(Body::new));
        async move { Ok::<_, Infallible>(answered.await) }
    });
    let serving = builder
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut serving = pin!(serving);
    let ended = tokio::select! {
        ended = serving.as_mut() => ended,
        () = stop.shutdown() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended badly");
    }
}

/// A stream that holds its slot until it is closed, whatever protocol it was upgraded to.
struct Counted<S> {
    stream: S,
    _slot: OwnedSemaphorePermit,
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, buffer)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(unix)]
fn listen(socket: &Path) -> io::Result<Listener> {
    use std::os::unix::fs::DirBuilderExt;

    use interprocess::os::unix::local_socket::ListenerOptionsExt;
    if let Some(folder) = socket.parent() {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)?;
    }
    match fs::remove_file(socket) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    ListenerOptions::new()
        .name(socket_name(socket)?)
        .mode(0o600)
        .create_tokio()
}

#[cfg(windows)]
fn listen(socket: &Path) -> io::Result<Listener> {
    // A named pipe's default security descriptor lets only its owner and administrators write.
    ListenerOptions::new()
        .name(socket_name(socket)?)
        .create_tokio()
}
