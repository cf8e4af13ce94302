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

use axum::{Router, body::Body, routing::get};
use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use interprocess::local_socket::{
    GenericFilePath, ListenerOptions, Name, ToFsName,
    tokio::{Listener, Stream, prelude::*},
    traits::StreamCommon,
};
use jsonrpsee::server::{Methods, StopHandle, stop_channel};
use spectask_protocol::WorkSessionId;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    error::ServeError,
    face::Face,
    http::{self, Mounts},
    local::Local,
    register,
    role::{Peer, peer_of},
};
use crate::scheduler::Shared;

/// The largest message either side sends: a diff, or the documents of a review.
const MESSAGE_LIMIT: u32 = 256 << 20;

/// Connections at a time.
const CONNECTIONS: usize = 256;

/// Answers that are under way at the end may still be sent for so long.
const LAST_ANSWERS: Duration = Duration::from_millis(500);

/// Tells which work session a token belongs to.
pub type SessionOf = Arc<dyn Fn(&str) -> Option<WorkSessionId> + Send + Sync>;

/// The listening daemon.
pub struct Server {
    listener: Listener,
    socket: PathBuf,
    face: Arc<Face>,
    methods: Methods,
    mounts: Mounts,
    sessions: SessionOf,
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
        let mounts = mounts(Local::new(methods.clone(), Peer::person()));
        Ok(Self {
            listener,
            socket,
            face,
            methods,
            mounts,
            sessions: Arc::new(|_| None),
        })
    }

    /// The same server, which knows the tokens of sessions: a request that shows one comes from that
    /// session's agent.
    #[must_use]
    pub fn with_sessions(mut self, sessions: SessionOf) -> Self {
        self.sessions = sessions;
        self
    }

    /// Serves until the stop token fires; open requests end first, for a moment.
    pub async fn run(self) {
        let (stop_handle, server_handle) = stop_channel();
        let rpc = http::rpc(
            self.methods.clone(),
            stop_handle.clone(),
            MESSAGE_LIMIT,
            CONNECTIONS,
        );
        let app = rpc
            .route("/healthz", get(|| async { "ok" }))
            .merge(self.mounts.everywhere)
            .merge(self.mounts.local)
            .fallback(http::no_route);
        let slots = Arc::new(Semaphore::new(CONNECTIONS));
        let open = TaskTracker::new();
        loop {
            let accepted = tokio::select! {
                () = self.face.stop.cancelled() => break,
                accepted = self.listener.accept() => accepted,
            };
            let stream = match accepted {
                Ok(stream) => stream,
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            };
            let Ok(slot) = Arc::clone(&slots).try_acquire_owned() else {
                tracing::warn!("too many connections; one more was closed");
                continue;
            };
            let (face, sessions) = (Arc::clone(&self.face), Arc::clone(&self.sessions));
            let (app, stop) = (app.clone(), stop_handle.clone());
            open.spawn(async move {
                let peer = look(&stream, &face).await;
                let stream = Counted {
                    stream,
                    _slot: slot,
                };
                connection(stream, app, peer, sessions, stop).await;
            });
        }
        if let Err(error) = server_handle.stop() {
            tracing::debug!(%error, "the server had stopped");
        }
        drop(self.listener);
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

/// Who is at the other end of a connection.
async fn look(stream: &Stream, face: &Face) -> Peer {
    let pid = stream.peer_creds().ok().and_then(|peer| peer.pid());
    let pid = pid.and_then(|pid| u32::try_from(pid).ok());
    let agents = face
        .ctx
        .store
        .read(|read| read.open_processes())
        .unwrap_or_default();
    let looked = tokio::task::spawn_blocking(move || peer_of(pid, &agents)).await;
    looked.unwrap_or(Peer::UNKNOWN)
}

async fn connection<S>(stream: S, app: Router, peer: Peer, sessions: SessionOf, stop: StopHandle)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request: Request<Incoming>| {
        let (app, peer, sessions) = (app.clone(), peer.clone(), Arc::clone(&sessions));
        async move {
            let request = request.map(Body::new);
            Ok::<_, Infallible>(http::answer(&app, request, peer, &sessions).await)
        }
    });
    let serving = http1::Builder::new()
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
