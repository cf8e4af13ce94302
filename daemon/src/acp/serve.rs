//! Connections of shims: the upgrade, the first line, frames in.

use std::{sync::Arc, time::Duration};

use axum::{
    Extension, Router,
    extract::{Request, State},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use futures_util::StreamExt as _;
use hyper_util::rt::TokioIo;
use spectask_protocol::{
    Failure, FailureKind,
    shim::{self, Hello, ToDaemon, ToShim},
};
use tokio::io::{AsyncRead, AsyncWrite, split};
use tokio_util::{
    codec::{FramedRead, LinesCodec},
    sync::CancellationToken,
};

use super::{
    dispatch,
    editor::Editor,
    link::Link,
    room::{Room, lock},
};
use crate::rpc::Peer;

/// The longest line: a frame of an editor with what the shim adds.
const LINE_LIMIT: usize = 96 << 20;
/// How long a shim may take to say who it is.
const HELLO_LIMIT: Duration = Duration::from_secs(10);

pub(super) fn routes(room: Arc<Room>) -> Router {
    Router::new()
        .route(shim::PATH, get(upgrade))
        .with_state(room)
}

async fn upgrade(
    State(room): State<Arc<Room>>,
    Extension(peer): Extension<Peer>,
    mut request: Request,
) -> Response {
    let wanted = request.headers().get(header::UPGRADE);
    if wanted != Some(&HeaderValue::from_static(shim::UPGRADE)) {
        return (StatusCode::UPGRADE_REQUIRED, "this is for `spectask acp`").into_response();
    }
    let upgraded = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        match upgraded.await {
            Ok(stream) => serve(room, peer, TokioIo::new(stream)).await,
            Err(error) => tracing::debug!(%error, "a shim went before it was served"),
        }
    });
    let headers = [
        (header::CONNECTION, "upgrade"),
        (header::UPGRADE, shim::UPGRADE),
    ];
    (StatusCode::SWITCHING_PROTOCOLS, headers).into_response()
}

/// Serves a shim until its connection ends.
pub(super) async fn serve(
    room: Arc<Room>,
    peer: Peer,
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
) {
    let (reader, writer) = split(stream);
    let mut lines = FramedRead::new(reader, LinesCodec::new_with_max_length(LINE_LIMIT));
    let closed = CancellationToken::new();
    let link = Link::open(writer, closed.clone());
    let first = tokio::time::timeout(HELLO_LIMIT, lines.next()).await;
    let hello = match first {
        Ok(Some(Ok(line))) => serde_json::from_str::<ToDaemon>(&line),
        _ => return,
    };
    let hello = match hello {
        Ok(ToDaemon::Hello(hello)) if hello.version == shim::VERSION => *hello,
        Ok(ToDaemon::Hello(hello)) => return refuse(&link, &hello).await,
        _ => return,
    };
    link.say(&ToShim::Welcome {
        program: env!("CARGO_PKG_VERSION").to_owned(),
    });
    let editor = dispatch::attach(&room, peer, hello, link.clone()).await;
    loop {
        let line = tokio::select! {
            () = closed.cancelled() => break,
            line = lines.next() => line,
        };
        match line {
            Some(Ok(line)) => match serde_json::from_str::<ToDaemon>(&line) {
                Ok(ToDaemon::Frame {
                    number,
                    again,
                    frame,
                }) => match serde_json::from_str(frame.get()) {
                    Ok(frame) => dispatch::frame(&editor, number, again, frame),
                    Err(error) => tracing::warn!(%error, "a shim passed on what is no JSON"),
                },
                Ok(ToDaemon::Ack { .. }) => editor.touch(),
                Ok(ToDaemon::Hello(_)) => tracing::warn!("a shim said hello twice"),
                Err(error) => tracing::warn!(%error, "a shim's line does not fit"),
            },
            Some(Err(error)) => {
                tracing::warn!(%error, "a shim's connection ended badly");
                break;
            }
            None => break,
        }
    }
    closed.cancel();
    editor.lost(&link);
    away(&room, &editor).await;
}

async fn refuse(link: &Link, hello: &Hello) {
    let failure = Failure::new(
        FailureKind::VersionMismatch,
        format!(
            "this `spectask acp` ({}) does not fit the daemon ({})",
            hello.program,
            env!("CARGO_PKG_VERSION")
        ),
    )
    .hint("restart the editor, so that it runs the newer program");
    link.say(&ToShim::Refused { failure });
    let end = Duration::from_secs(5);
    // The shim closes when it has read why.
    let _ = tokio::time::timeout(end, link.closed.cancelled()).await;
}

/// Forgets an editor that does not come back.
async fn away(room: &Room, editor: &Arc<Editor>) {
    const GRACE: Duration = Duration::from_secs(60);
    tokio::time::sleep(GRACE).await;
    if !editor.is_linked() {
        let mut editors = lock(&room.editors);
        if editors
            .get(&editor.instance)
            .is_some_and(|kept| Arc::ptr_eq(kept, editor))
        {
            editors.remove(&editor.instance);
        }
    }
}
