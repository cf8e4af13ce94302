//! Listens on the local socket, one per data folder, for its owner only.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use interprocess::local_socket::{
    GenericFilePath, ListenerOptions, Name, ToFsName,
    tokio::{Listener, Stream, prelude::*},
    traits::StreamCommon,
};
use jsonrpsee::server::{
    BatchRequestConfig, HttpRequest, Methods, Server as RpcServer, ServerConfig, StopHandle,
    TowerService, serve_with_graceful_shutdown, stop_channel,
};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tower::layer::util::Identity;

use super::{
    error::ServeError,
    face::Face,
    register,
    role::{Peer, peer_of},
};
use crate::scheduler::Shared;

/// The largest message either side sends: a diff, or the documents of a review.
const MESSAGE_LIMIT: u32 = 256 << 20;

/// Connections at a time.
const CONNECTIONS: usize = 256;

/// The listening daemon.
pub struct Server {
    listener: Listener,
    socket: PathBuf,
    face: Arc<Face>,
    methods: Methods,
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
    /// left over from a daemon that was killed.
    ///
    /// # Errors
    /// When the socket cannot be made, or a method has no handler.
    pub fn bind(ctx: Shared, stop: CancellationToken) -> Result<Self, ServeError> {
        let socket = ctx.paths.socket();
        let failed = |source| ServeError::Listen {
            socket: socket.clone(),
            source,
        };
        let listener = listen(&socket).map_err(failed)?;
        let face = Arc::new(Face::new(ctx, stop));
        let methods = register::module(Arc::clone(&face))?.into();
        Ok(Self {
            listener,
            socket,
            face,
            methods,
        })
    }

    /// Serves until the stop token fires; open requests end first, for a moment.
    pub async fn run(self) {
        let (stop_handle, server_handle) = stop_channel();
        let config = ServerConfig::builder()
            .max_request_body_size(MESSAGE_LIMIT)
            .max_response_body_size(MESSAGE_LIMIT)
            .max_connections(u32::try_from(CONNECTIONS).unwrap_or(u32::MAX))
            .set_batch_request_config(BatchRequestConfig::Disabled)
            .build();
        let builder = RpcServer::builder().set_config(config).to_service_builder();
        let slots = Arc::new(Semaphore::new(CONNECTIONS));
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
            let service = builder
                .clone()
                .build(self.methods.clone(), stop_handle.clone());
            let (face, stop) = (Arc::clone(&self.face), stop_handle.clone());
            tokio::spawn(async move {
                connection(stream, &face, service, stop).await;
                drop(slot);
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
    }
}

async fn connection(
    stream: Stream,
    face: &Face,
    service: TowerService<Identity, Identity>,
    stop: StopHandle,
) {
    let pid = stream.peer_creds().ok().and_then(|peer| peer.pid());
    let pid = pid.and_then(|pid| u32::try_from(pid).ok());
    let agents = face
        .ctx
        .store
        .read(|read| read.open_processes())
        .unwrap_or_default();
    let looked = tokio::task::spawn_blocking(move || peer_of(pid, &agents)).await;
    let peer = looked.unwrap_or(Peer::UNKNOWN);
    let service = tower::ServiceBuilder::new()
        .map_request(move |mut request: HttpRequest<_>| {
            request.extensions_mut().insert(peer.clone());
            request
        })
        .service(service);
    if let Err(error) = serve_with_graceful_shutdown(stream, service, stop.shutdown()).await {
        tracing::debug!(%error, "a connection ended badly");
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
