//! JSON-RPC over a WebSocket on the local socket.

use std::{error::Error, io, time::Duration};

use axum::http::{HeaderMap, HeaderValue, header::AUTHORIZATION};
use interprocess::local_socket::{
    GenericFilePath, ToFsName,
    tokio::{Stream, prelude::*},
};
use jsonrpsee::{
    client_transport::ws::{WsHandshakeError, WsTransportClientBuilder},
    core::{
        ClientError, JsonRawValue,
        client::{Client as RpcClient, ClientBuilder, ClientT, Subscription, SubscriptionClientT},
        traits::ToRpcParams,
    },
};
use serde_json::Value;
use spectask_protocol::{Event, EventsParams, Failure, FailureKind, Transport, method};

use super::error::CliError;
use crate::paths::Paths;

/// The largest message either side sends: a diff, or the documents of a review.
const MESSAGE_LIMIT: u32 = 256 << 20;
/// A login waits for a person in a browser.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30 * 60);
/// Events that may wait to be shown.
const EVENT_BUFFER: usize = 16 * 1024;

/// Carries calls over the local socket.
#[derive(Debug)]
pub(super) struct LocalTransport {
    client: RpcClient,
}

impl Transport for LocalTransport {
    async fn call(&self, method: &'static str, params: Value) -> Result<Value, Failure> {
        self.client
            .request(method, Params(params))
            .await
            .map_err(|error| failure(method, error))
    }
}

struct Params(Value);

impl ToRpcParams for Params {
    fn to_rpc_params(self) -> Result<Option<Box<JsonRawValue>>, serde_json::Error> {
        serde_json::value::to_raw_value(&self.0).map(Some)
    }
}

impl LocalTransport {
    /// Whether the daemon is still at the other end.
    pub(super) fn is_connected(&self) -> bool {
        self.client.is_connected()
    }

    /// Follows events from a number on.
    ///
    /// # Errors
    /// The daemon's failure.
    pub(super) async fn subscribe_events(
        &self,
        params: EventsParams,
    ) -> Result<Subscription<Event>, CliError> {
        let (subscribe, _, unsubscribe) = method::EVENTS_SUBSCRIBE;
        let params = serde_json::to_value(params)
            .map_err(|error| CliError::internal(format!("{subscribe}: {error}")))?;
        self.client
            .subscribe(subscribe, Params(params), unsubscribe)
            .await
            .map_err(|error| failure(subscribe, error).into())
    }
}

/// Opens a connection; none when no daemon listens. A session's token says whose agent opens it.
///
/// # Errors
/// When the socket may not be opened, what listens there does not answer, or the token is no token.
pub(super) async fn open(
    paths: &Paths,
    token: Option<&str>,
) -> Result<Option<LocalTransport>, CliError> {
    let mut headers = HeaderMap::new();
    if let Some(token) = token {
        let mut value = HeaderValue::try_from(format!("Bearer {token}"))
            .map_err(|_| CliError::usage("the session's token has characters that none has"))?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    let socket = paths.socket();
    let name = socket
        .as_path()
        .to_fs_name::<GenericFilePath>()
        .map_err(|error| unreachable_socket(paths, &error))?;
    let stream = match Stream::connect(name).await {
        Ok(stream) => stream,
        Err(error) if nobody_listens(&error) => return Ok(None),
        Err(error) => return Err(unreachable_socket(paths, &error)),
    };
    let url = "ws://localhost/rpc"
        .parse()
        .map_err(|error| CliError::internal(format!("cannot make the address: {error}")))?;
    let transport = WsTransportClientBuilder::default()
        .set_headers(headers)
        .max_request_size(MESSAGE_LIMIT)
        .max_response_size(MESSAGE_LIMIT)
        .connection_timeout(Duration::from_secs(10))
        .build_with_stream(url, stream)
        .await;
    match transport {
        Ok((sender, receiver)) => {
            let client = ClientBuilder::default()
                .request_timeout(REQUEST_TIMEOUT)
                .max_buffer_capacity_per_subscription(EVENT_BUFFER)
                .build_with_tokio(sender, receiver);
            Ok(Some(LocalTransport { client }))
        }
        // It stopped between the connection and the handshake.
        Err(WsHandshakeError::Io(error)) if nobody_listens(&error) => Ok(None),
        Err(error) if cause(&error).is_some_and(nobody_listens) => Ok(None),
        Err(error) => Err(CliError::new(
            FailureKind::Unavailable,
            format!(
                "the daemon at {} does not answer: {error}",
                socket.display()
            ),
        )
        .hint(format!("see {}", paths.log_file().display()))),
    }
}

/// The error of the system behind an error.
fn cause<'a>(mut error: &'a (dyn Error + 'static)) -> Option<&'a io::Error> {
    loop {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        error = error.source()?;
    }
}

/// Whether it means that no daemon is there.
pub(super) fn nobody_listens(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(
        error.kind(),
        Kind::NotFound
            | Kind::ConnectionRefused
            | Kind::ConnectionReset
            | Kind::BrokenPipe
            | Kind::UnexpectedEof
    )
}

/// The failure when the socket is there and may not be opened.
pub(super) fn unreachable_socket(paths: &Paths, error: &io::Error) -> CliError {
    CliError::new(
        FailureKind::Unavailable,
        format!(
            "cannot open the daemon's socket {}: {error}",
            paths.socket().display()
        ),
    )
    .hint("it belongs to the user who started the daemon; SPECTASK_DATA_DIR names another folder")
}

fn failure(method: &str, error: ClientError) -> Failure {
    match error {
        ClientError::Call(error) => {
            let data = error
                .data()
                .and_then(|data| serde_json::from_str(data.get()).ok());
            data.unwrap_or_else(|| {
                Failure::new(FailureKind::from_code(error.code()), error.message())
            })
        }
        ClientError::RestartNeeded(_)
        | ClientError::Transport(_)
        | ClientError::ServiceDisconnect => Failure::new(
            FailureKind::Unavailable,
            "the connection to the daemon was lost",
        )
        .hint("work goes on when the daemon starts again: `spectask list`"),
        ClientError::RequestTimeout => Failure::new(
            FailureKind::Unavailable,
            format!("the daemon does not answer {method}"),
        ),
        other => Failure::new(FailureKind::Internal, format!("{method}: {other}")),
    }
}

#[cfg(test)]
mod tests {
    use jsonrpsee::types::ErrorObjectOwned;

    use super::*;

    #[test]
    fn a_failure_travels_whole_and_a_bare_code_keeps_its_kind() {
        let sent = Failure::new(FailureKind::Forbidden, "agents do not approve").hint("ask");
        let object = ErrorObjectOwned::owned(-32003, "agents do not approve", Some(&sent));
        assert_eq!(failure("m", ClientError::Call(object)), sent);
        let bare = ErrorObjectOwned::owned(-32001, "gone", None::<()>);
        assert_eq!(
            failure("m", ClientError::Call(bare)).kind,
            FailureKind::NotFound
        );
    }
}
