//! The routes: JSON-RPC as WebSocket and as POST, and what other faces bring.

use axum::{
    RequestExt, Router,
    body::{Body, HttpBody, to_bytes},
    extract::{DefaultBodyLimit, Request},
    http::{HeaderMap, StatusCode, header::AUTHORIZATION},
    middleware::map_request,
    response::{IntoResponse, Response},
    routing::any,
};
use jsonrpsee::server::{
    BatchRequestConfig, Methods, Server as RpcServer, ServerConfig, StopHandle,
};
use serde_json::json;
use spectask_protocol::{Failure, FailureKind};
use tower::{Service, ServiceExt};

use super::{face::Face, role::Peer};

/// Routes that other faces bring. Each request has its [`Peer`] in its extensions.
#[derive(Debug, Default)]
pub struct Mounts {
    /// Served on the local socket only.
    pub local: Router,
    /// Served wherever the daemon listens.
    pub everywhere: Router,
}

/// The largest answer, in bytes: a diff, or the documents of a review.
const ANSWER_LIMIT: u32 = 256 << 20;

/// All routes of one listener, which takes requests up to so many bytes.
pub(super) fn routes(
    methods: Methods,
    stop: StopHandle,
    request: u32,
    connections: usize,
    mounted: Router,
) -> Router {
    let size = usize::try_from(request).unwrap_or(usize::MAX);
    let mounted = mounted
        .layer(map_request(|request: Request| async {
            request.with_limited_body()
        }))
        .layer(DefaultBodyLimit::max(size));
    rpc(methods, stop, request, connections)
        .merge(mounted)
        .fallback(no_route)
}

/// JSON-RPC at `/rpc`: calls as POST, calls and subscriptions over a WebSocket.
fn rpc(methods: Methods, stop: StopHandle, request: u32, connections: usize) -> Router {
    let size = usize::try_from(request).unwrap_or(usize::MAX);
    let config = ServerConfig::builder()
        .max_request_body_size(request)
        .max_response_body_size(ANSWER_LIMIT)
        .max_connections(u32::try_from(connections).unwrap_or(u32::MAX))
        .set_batch_request_config(BatchRequestConfig::Disabled)
        .build();
    let builder = RpcServer::builder().set_config(config).to_service_builder();
    let serve = any(move |request: Request| {
        let mut service = builder.clone().build(methods.clone(), stop.clone());
        async move {
            let request = match sized(request, size).await {
                Ok(request) => request,
                Err(refused) => return refused,
            };
            match service.call(request).await {
                Ok(answer) => {
                    let mut answer = answer.map(Body::new);
                    // A client that sees only the bodies of good answers still learns what was wrong.
                    if answer.status() == StatusCode::BAD_REQUEST {
                        *answer.status_mut() = StatusCode::OK;
                    }
                    answer
                }
                Err(error) => refusal(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    &Failure::new(FailureKind::Internal, error.to_string()),
                ),
            }
        }
    });
    Router::new().route("/rpc", serve)
}

/// Answers one request of a process on the local socket. A session's token makes its bearer that
/// session's agent, whatever process it is.
pub(super) async fn answer(
    app: &Router,
    request: Request,
    mut peer: Peer,
    face: &Face,
) -> Response {
    if let Some(session) = bearer(request.headers()).and_then(|token| face.session_of(token)) {
        peer = Peer {
            pid: peer.pid,
            ..Peer::agent(session)
        };
    }
    pass(app, request, peer).await
}

/// Reads a body whose length is not told, up to the limit. jsonrpsee does so too, but calls one that is
/// too long an internal error.
async fn sized(request: Request, limit: usize) -> Result<Request, Response> {
    if request.body().size_hint().upper().is_some() {
        return Ok(request);
    }
    let (head, body) = request.into_parts();
    match to_bytes(body, limit).await {
        Ok(body) => Ok(Request::from_parts(head, body.into())),
        Err(_) => {
            let text = format!("the request is larger than {} MiB", limit >> 20);
            let failure = Failure::new(FailureKind::InvalidParams, text);
            Err(refusal(StatusCode::PAYLOAD_TOO_LARGE, &failure))
        }
    }
}

/// Hands a request to its route.
pub(super) async fn pass(app: &Router, mut request: Request, peer: Peer) -> Response {
    request.extensions_mut().insert(peer);
    match app.clone().oneshot(request).await {
        Ok(answer) => answer,
        Err(never) => match never {},
    }
}

/// The token of `Authorization: Bearer TOKEN`.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| token.trim())
        .filter(|token| !token.is_empty())
}

/// The answer where there is no route.
async fn no_route() -> Response {
    refusal(
        StatusCode::NOT_FOUND,
        &Failure::new(
            FailureKind::NotFound,
            "nothing is served at this path; JSON-RPC is at /rpc",
        ),
    )
}

/// A refusal of HTTP as a JSON-RPC error object.
pub(super) fn refusal(status: StatusCode, failure: &Failure) -> Response {
    let body = json!({
        "jsonrpc": "2.0",
        "id": null,
        "error": { "code": failure.kind.code(), "message": failure.message, "data": failure },
    });
    let json = [("content-type", "application/json; charset=utf-8")];
    (status, json, body.to_string()).into_response()
}
