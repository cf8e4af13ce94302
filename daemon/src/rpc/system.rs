//! The daemon itself: hello, status, shutdown, events.

use std::sync::Arc;

use spectask_protocol::{
    DaemonView, Empty, EventList, EventsParams, Failure, FailureKind, HelloParams, HistoryWait,
    PROTOCOL_VERSION, Role, ShutdownParams,
};

use super::{error, face::Face, role::Peer};
use crate::workflow::lookup::find_task;

fn view(face: &Face, peer: Peer) -> DaemonView {
    let paths = &face.ctx.paths;
    DaemonView {
        version: env!("CARGO_PKG_VERSION").into(),
        protocol: PROTOCOL_VERSION,
        pid: std::process::id(),
        uptime: face.started.elapsed().as_secs(),
        socket: paths.socket().display().to_string(),
        data_dir: paths.data_dir.display().to_string(),
        config_file: paths.config_file.display().to_string(),
        log_file: paths.log_file().display().to_string(),
        role: peer.role,
        session: peer.session,
        active_sessions: u32::try_from(face.ctx.running()).unwrap_or(u32::MAX),
        history: face
            .ctx
            .history
            .waiting()
            .into_iter()
            .map(|(root, reason)| HistoryWait { root, reason })
            .collect(),
    }
}

pub(super) async fn hello(
    face: Arc<Face>,
    peer: Peer,
    params: HelloParams,
) -> Result<DaemonView, Failure> {
    if face.ctx.is_draining() {
        return Err(Failure::new(
            FailureKind::Unavailable,
            "the daemon is stopping",
        ));
    }
    tracing::debug!(client = %params.client, version = %params.version, role = %peer.role, "hello");
    Ok(view(&face, peer))
}

pub(super) async fn status(
    face: Arc<Face>,
    peer: Peer,
    _params: Empty,
) -> Result<DaemonView, Failure> {
    Ok(view(&face, peer))
}

pub(super) async fn shutdown(
    face: Arc<Face>,
    _role: Role,
    params: ShutdownParams,
) -> Result<Empty, Failure> {
    face.ctx.drain();
    if params.drain {
        let face = Arc::clone(&face);
        tokio::spawn(async move {
            while face.ctx.running() > 0 && !face.stop.is_cancelled() {
                // A session that is released wakes the scheduler, which then has nothing to do.
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
            face.stop.cancel();
        });
    } else {
        face.stop.cancel();
    }
    Ok(Empty {})
}

pub(super) async fn events(
    face: Arc<Face>,
    _role: Role,
    params: EventsParams,
) -> Result<EventList, Failure> {
    let store = &face.ctx.store;
    let task = match &params.task {
        Some(name) => Some(
            store
                .read(|read| find_task(read, name))
                .map_err(Failure::from)?
                .id,
        ),
        None => None,
    };
    let events = store
        .read(|read| read.events_after(params.after, task.as_ref(), 1000))
        .map_err(error::store)?;
    Ok(EventList { events })
}
