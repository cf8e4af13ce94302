//! One connection: frames in, frames out, answers matched to requests.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::host::Host;
use super::observer::Direction;
use super::wire::{self, Frame, LineEnd, MAX_FRAME, RpcError, classify, read_line};

/// How many frames may wait to be written.
const QUEUE: usize = 256;
/// How many requests of the agent are served at once.
const MAX_SERVED: usize = 128;
/// How long an agent that no longer reads may go on writing.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Why a connection is closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Closed {
    /// The daemon closed it.
    ByUs,
    /// The agent closed its output.
    Eof,
    /// A frame was larger than [`MAX_FRAME`].
    TooLong,
    /// Reading or writing failed.
    Io(String),
}

/// Why a request has no result.
#[derive(Debug)]
pub(super) enum Failure {
    Rpc(RpcError),
    Closed,
}

/// A cheap handle to a connection.
#[derive(Clone)]
pub(super) struct Connection {
    shared: Arc<Shared>,
}

type Pending = HashMap<u64, oneshot::Sender<Result<Value, RpcError>>>;

struct Shared {
    host: Arc<Host>,
    out: mpsc::Sender<Value>,
    next: AtomicU64,
    pending: Mutex<Pending>,
    /// The agent's requests being served, by their id as JSON text.
    serving: Mutex<HashMap<String, CancellationToken>>,
    slots: Arc<Semaphore>,
    /// How many requests were turned away.
    refused: AtomicU64,
    closed: Mutex<Option<Closed>>,
    /// Ends the writer, and with it the agent's input.
    hang_up: CancellationToken,
}

impl Connection {
    /// Connects over a pair of streams; runs until either end closes, or [`Self::close`].
    pub(super) fn open<R, W>(reader: R, writer: W, host: Arc<Host>) -> Self
    where
        R: AsyncRead + Send + Unpin + 'static,
        W: AsyncWrite + Send + Unpin + 'static,
    {
        let (out, queue) = mpsc::channel(QUEUE);
        let shared = Arc::new(Shared {
            host,
            out,
            next: AtomicU64::new(1),
            pending: Mutex::default(),
            serving: Mutex::default(),
            slots: Arc::new(Semaphore::new(MAX_SERVED)),
            refused: AtomicU64::new(0),
            closed: Mutex::new(None),
            hang_up: CancellationToken::new(),
        });
        let connection = Self { shared };
        tokio::spawn(connection.clone().write_all(writer, queue));
        tokio::spawn(connection.clone().read_all(reader));
        connection
    }

    /// Sends a request and waits for its answer, for ever if need be.
    pub(super) async fn request(&self, method: &str, params: &Value) -> Result<Value, Failure> {
        let mut waiting = self.register();
        self.send(wire::request(waiting.id, method, params)).await?;
        match (&mut waiting.answer).await {
            Ok(answer) => answer.map_err(Failure::Rpc),
            Err(_) => Err(Failure::Closed),
        }
    }

    /// As [`request`](Self::request); when `cancel` fires the agent is told by `$/cancel_request`, and
    /// its answer is still waited for.
    pub(super) async fn request_until(
        &self,
        method: &str,
        params: &Value,
        cancel: &CancellationToken,
    ) -> Result<Value, Failure> {
        let mut waiting = self.register();
        self.send(wire::request(waiting.id, method, params)).await?;
        let mut told = false;
        loop {
            tokio::select! {
                biased;
                answer = &mut waiting.answer => {
                    return match answer {
                        Ok(answer) => answer.map_err(Failure::Rpc),
                        Err(_) => Err(Failure::Closed),
                    };
                }
                () = cancel.cancelled(), if !told => {
                    told = true;
                    let params = json!({ "requestId": waiting.id });
                    self.notify("$/cancel_request", &params).await?;
                }
            }
        }
    }

    /// As [`request`](Self::request), within `limit`; `None` if that is over, which the agent is
    /// told by `$/cancel_request`.
    pub(super) async fn request_within(
        &self,
        method: &str,
        params: &Value,
        limit: Duration,
    ) -> Option<Result<Value, Failure>> {
        let mut waiting = self.register();
        let id = waiting.id;
        let work = async {
            self.send(wire::request(id, method, params)).await?;
            match (&mut waiting.answer).await {
                Ok(answer) => answer.map_err(Failure::Rpc),
                Err(_) => Err(Failure::Closed),
            }
        };
        if let Ok(result) = tokio::time::timeout(limit, work).await {
            return Some(result);
        }
        let cancel = wire::notification("$/cancel_request", &json!({ "requestId": id }));
        let _ = self.shared.out.try_send(cancel);
        None
    }

    pub(super) async fn notify(&self, method: &str, params: &Value) -> Result<(), Failure> {
        self.send(wire::notification(method, params)).await
    }

    /// Ends the agent's input; what it still writes is read.
    pub(super) fn hang_up(&self) {
        self.shared.hang_up.cancel();
    }

    /// Closes the connection: requests fail, work for the agent ends. The first reason stays.
    pub(super) fn close(&self, reason: Closed) {
        lock(&self.shared.closed).get_or_insert(reason);
        self.shared.hang_up.cancel();
        self.shared.host.closed.cancel();
        lock(&self.shared.pending).clear();
    }

    /// Why it is closed, if it is.
    pub(super) fn closed(&self) -> Option<Closed> {
        lock(&self.shared.closed).clone()
    }

    fn register(&self) -> Waiting {
        let id = self.shared.next.fetch_add(1, Ordering::Relaxed);
        let (sender, answer) = oneshot::channel();
        lock(&self.shared.pending).insert(id, sender);
        Waiting {
            id,
            answer,
            shared: Arc::clone(&self.shared),
        }
    }

    async fn send(&self, frame: Value) -> Result<(), Failure> {
        tokio::select! {
            biased;
            () = self.shared.host.closed.cancelled() => Err(Failure::Closed),
            sent = self.shared.out.send(frame) => sent.map_err(|_| Failure::Closed),
        }
    }

    async fn write_all<W: AsyncWrite + Unpin>(
        self,
        mut writer: W,
        mut queue: mpsc::Receiver<Value>,
    ) {
        let hang_up = self.shared.hang_up.clone();
        let host = Arc::clone(&self.shared.host);
        let work = async {
            while let Some(frame) = queue.recv().await {
                host.frame(Direction::ToAgent, &frame);
                let mut line = frame.to_string().into_bytes();
                line.push(b'\n');
                writer.write_all(&line).await?;
                writer.flush().await?;
            }
            Ok::<(), std::io::Error>(())
        };
        let failed = tokio::select! {
            () = hang_up.cancelled() => None,
            result = work => result.err(),
        };
        drop(writer);
        drop(queue);
        if let Some(error) = failed {
            let _ = tokio::time::timeout(LAST_WORDS, host.closed.cancelled()).await;
            self.close(Closed::Io(error.to_string()));
        }
    }

    async fn read_all<R: AsyncRead + Unpin>(self, reader: R) {
        let mut reader = BufReader::with_capacity(64 * 1024, reader);
        let host = Arc::clone(&self.shared.host);
        let work = async {
            let mut line = Vec::new();
            let mut malformed = 0;
            loop {
                match read_line(&mut reader, &mut line, MAX_FRAME).await {
                    Ok(()) if line.iter().all(u8::is_ascii_whitespace) => {}
                    Ok(()) => {
                        let frame = serde_json::from_slice::<Value>(&line).ok();
                        if !frame.is_some_and(|frame| self.dispatch(frame)) {
                            malformed += 1;
                            host.malformed(&line, malformed);
                        }
                    }
                    Err(LineEnd::Eof) => return Closed::Eof,
                    Err(LineEnd::TooLong) => return Closed::TooLong,
                    Err(LineEnd::Io(error)) => return Closed::Io(error.to_string()),
                }
            }
        };
        let reason = tokio::select! {
            () = host.closed.cancelled() => Closed::ByUs,
            reason = work => reason,
        };
        self.close(reason);
    }

    /// Acts on a frame without waiting for anything; `false` if it is no message.
    fn dispatch(&self, frame: Value) -> bool {
        let host = &self.shared.host;
        if matches!(classify(&frame), Frame::Other) {
            return false;
        }
        host.frame(Direction::FromAgent, &frame);
        match classify(&frame) {
            Frame::Request { .. } => self.serve(frame),
            Frame::Notification {
                method: "$/cancel_request",
                params,
            } => {
                let id = params
                    .get("requestId")
                    .map(ToString::to_string)
                    .unwrap_or_default();
                if let Some(token) = lock(&self.shared.serving).get(&id) {
                    token.cancel();
                }
            }
            Frame::Notification { method, params } => host.notification(method, params),
            Frame::Response { id, outcome } => {
                let waiting = id
                    .as_u64()
                    .and_then(|id| lock(&self.shared.pending).remove(&id));
                if let Some(waiting) = waiting {
                    // A receiver that is gone has given up on the answer.
                    let _ = waiting.send(outcome.cloned().map_err(wire::read_error));
                }
            }
            Frame::Other => {}
        }
        true
    }

    /// Serves a request in a task of its own.
    fn serve(&self, frame: Value) {
        let shared = Arc::clone(&self.shared);
        let key = frame.get("id").map(ToString::to_string).unwrap_or_default();
        let Ok(slot) = Arc::clone(&shared.slots).try_acquire_owned() else {
            // No task and no waiting, so that a flood costs nothing that stays.
            let error = RpcError::internal("too many open requests; wait for answers");
            let id = frame.get("id").unwrap_or(&Value::Null);
            let _ = shared.out.try_send(wire::response(id, Err(error)));
            shared.host.overloaded(
                shared.refused.fetch_add(1, Ordering::Relaxed) + 1,
                MAX_SERVED,
            );
            return;
        };
        let cancel = shared.host.closed.child_token();
        lock(&shared.serving).insert(key.clone(), cancel.clone());
        let connection = self.clone();
        tokio::spawn(async move {
            let _slot = slot;
            let Frame::Request { id, method, params } = classify(&frame) else {
                return;
            };
            let answer = tokio::select! {
                biased;
                () = cancel.cancelled() => Err(RpcError::cancelled()),
                answer = shared.host.request(method, params) => answer,
            };
            lock(&shared.serving).remove(&key);
            let _ = connection.send(wire::response(id, answer)).await;
        });
    }
}

/// A request that is waited for; dropping it forgets the request, and its answer is ignored.
struct Waiting {
    id: u64,
    answer: oneshot::Receiver<Result<Value, RpcError>>,
    shared: Arc<Shared>,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        lock(&self.shared.pending).remove(&self.id);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
