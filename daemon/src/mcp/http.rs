//! Streamable HTTP in the daemon. Nothing is kept between requests: this server says nothing by
//! itself, so that a session would only be something to run out of.

use std::sync::Arc;

use axum::{
    Router,
    body::Body,
    extract::Request,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::any,
};
use rmcp::transport::streamable_http_server::{
    StreamableHttpServerConfig, StreamableHttpService, session::never::NeverSessionManager,
};
use spectask_protocol::Role;

use super::{Caller, Server, Shape};
use crate::rpc::{Local, Peer};

/// The largest request, in bytes.
const REQUEST_LIMIT: usize = 4 << 20;

/// The route `/mcp`. Who calls is said by the [`Peer`] of each request; without one there is no
/// answer.
pub fn service(local: Local) -> Router {
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true)
        .with_max_request_body_bytes(REQUEST_LIMIT)
        .with_allowed_origins(["http://localhost:*", "http://127.0.0.1:*"]);
    let sessions = Arc::new(NeverSessionManager::default());
    let answer = move |request: Request| {
        let (local, config, sessions) = (local.clone(), config.clone(), Arc::clone(&sessions));
        async move {
            let Some(peer) = request.extensions().get::<Peer>().cloned() else {
                return StatusCode::FORBIDDEN.into_response();
            };
            let server = Server::new(caller(&local, peer));
            let service = StreamableHttpService::new(move || Ok(server.clone()), sessions, config);
            let answer: Response = service.handle(request).await.map(Body::new);
            answer
        }
    };
    Router::new().route("/mcp", any(answer))
}

fn caller(local: &Local, peer: Peer) -> Caller {
    let shape = match peer.role {
        Role::Agent => Shape::Injected,
        Role::Person => Shape::Standalone,
    };
    let session = peer.session.clone();
    Caller::new(Arc::new(local.as_peer(peer)), shape).in_session(session)
}
