//! Answers an agent's requests and hears its notifications.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use agent_client_protocol::v1::schema::{
    CreateTerminalRequest, ReadTextFileRequest, WriteTextFileRequest,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::files::{self, FileError};
use super::observer::Decision;
use super::observer::{Direction, Incident, IncidentKind, Observer, PermissionAnswer};
use super::permission;
use super::profile::Policy;
use super::root::{Refusal, Root};
use super::session::Session;
use super::terminal::{MAX_RUNNING, Terminals};
use super::update::{SessionUpdateView, one_line, plain_step};
use super::wire::{Frame, RpcError, classify};

/// What the daemon serves to one agent.
pub(super) struct Host {
    pub(super) root: Root,
    pub(super) policy: Policy,
    pub(super) observer: Arc<dyn Observer>,
    pub(super) terminals: Terminals,
    /// Cancelled when the connection is closed.
    pub(super) closed: CancellationToken,
    sessions: Mutex<HashMap<String, Arc<Session>>>,
    /// Stands for sessions that were not opened on this connection, such as those of subagents.
    stray: Arc<Session>,
}

impl Host {
    pub(super) fn new(
        root: Root,
        policy: Policy,
        observer: Arc<dyn Observer>,
        terminals: Terminals,
    ) -> Self {
        let closed = CancellationToken::new();
        let stray = Arc::new(Session::new(root.path().to_owned(), &closed));
        Self {
            root,
            policy,
            observer,
            terminals,
            closed,
            sessions: Mutex::default(),
            stray,
        }
    }

    fn sessions(&self) -> MutexGuard<'_, HashMap<String, Arc<Session>>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn session(&self, id: &str) -> Option<Arc<Session>> {
        self.sessions().get(id).cloned()
    }

    pub(super) fn open_session(&self, id: &str, cwd: &Path) -> Arc<Session> {
        let session = Arc::new(Session::new(cwd.to_owned(), &self.closed));
        self.sessions().insert(id.to_owned(), Arc::clone(&session));
        session
    }

    pub(super) fn forget_session(&self, id: &str) {
        if let Some(session) = self.sessions().remove(id) {
            session.token().cancel();
        }
    }

    fn session_or_stray(&self, id: &str) -> Arc<Session> {
        self.session(id).unwrap_or_else(|| Arc::clone(&self.stray))
    }

    /// Sees a frame before it is acted on, or written.
    pub(super) fn frame(&self, direction: Direction, frame: &Value) {
        if direction == Direction::FromAgent {
            let params = match classify(frame) {
                Frame::Request { params, .. } | Frame::Notification { params, .. } => Some(params),
                Frame::Response { .. } | Frame::Other => None,
            };
            let id = params
                .and_then(|params| params.get("sessionId"))
                .and_then(Value::as_str);
            match id.and_then(|id| self.session(id)) {
                Some(session) => session.touch(),
                // A sign of life that names no session counts for all.
                None => self.sessions().values().for_each(|session| session.touch()),
            }
        }
        self.observer.frame(direction, frame);
    }

    pub(super) fn notification(&self, method: &str, params: &Value) {
        if method != "session/update" {
            return;
        }
        let id = params.get("sessionId").and_then(Value::as_str);
        let Some((id, update)) = id.zip(params.get("update")) else {
            return;
        };
        let session = self.session_or_stray(id);
        let kind = update
            .get("sessionUpdate")
            .and_then(Value::as_str)
            .unwrap_or("unknown");
        let step = match kind {
            "tool_call" | "tool_call_update" => {
                let facts = session.tool(update);
                match update.get("status").and_then(Value::as_str) {
                    Some("completed" | "failed") => None,
                    _ => facts.and_then(|facts| facts.step(|path| self.root.display(path))),
                }
            }
            _ => plain_step(kind, update),
        };
        let replay = session.is_loading();
        self.observer.update(
            id,
            &SessionUpdateView {
                kind,
                step,
                replay,
                raw: update,
            },
        );
    }

    /// Answers a request of the agent.
    pub(super) async fn request(&self, method: &str, params: &Value) -> Result<Value, RpcError> {
        let id = params
            .get("sessionId")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let session = self.session_or_stray(id);
        let _busy = session.hold(false);
        if let Some(answer) = self.observer.serve(method, params) {
            return answer.await;
        }
        match method {
            "session/request_permission" => self.permission(&session, params).await,
            "fs/read_text_file" => self.read_file(parse(params)?).await,
            "fs/write_text_file" => self.write_file(parse(params)?).await,
            "terminal/create" => self.create_terminal(&session, parse(params)?).await,
            "terminal/output" => self.terminals.output(id, terminal_id(params)?),
            "terminal/wait_for_exit" => {
                self.terminals.wait_for_exit(id, terminal_id(params)?).await
            }
            "terminal/kill" => self.terminals.kill(id, terminal_id(params)?),
            "terminal/release" => self.terminals.release(id, terminal_id(params)?),
            _ => Err(RpcError::method_not_found(method)),
        }
    }

    async fn permission(&self, session: &Session, params: &Value) -> Result<Value, RpcError> {
        let turn = session.token();
        let earlier = params.get("toolCall").and_then(|call| session.tool(call));
        let Some((mut ask, facts)) = permission::read(params, earlier) else {
            return Err(RpcError::invalid_params(
                "the permission request lacks required members",
            ));
        };
        let step = facts.step(|path| self.root.display(path));
        ask.step = step.unwrap_or_else(|| ask.title.clone());
        let decision = permission::decide(self.policy, &facts, &self.root);
        if let Decision::Ask(reason) = &decision {
            ask.reason.clone_from(reason);
        }
        let chosen = match decision {
            Decision::Allow => permission::choose(&ask.options, true),
            Decision::Deny => permission::choose(&ask.options, false),
            Decision::Ask(_) => None,
        };
        let selected = match (&decision, chosen) {
            _ if turn.is_cancelled() => None,
            (Decision::Allow, Some(id)) => {
                self.observer.decided(&ask, decision);
                Some(id)
            }
            (Decision::Deny, chosen) => {
                self.observer.decided(&ask, decision);
                chosen
            }
            // Also where the agent offers no plain way to allow.
            (Decision::Allow | Decision::Ask(_), _) => {
                let _waiting = session.hold(true);
                let options = ask.options.clone();
                let answer = tokio::select! {
                    biased;
                    () = turn.cancelled() => PermissionAnswer::Cancelled,
                    answer = self.observer.permission(ask) => answer,
                };
                match answer {
                    PermissionAnswer::Selected(id) => {
                        options.iter().any(|option| option.id == id).then_some(id)
                    }
                    PermissionAnswer::Cancelled => None,
                }
            }
        };
        Ok(match selected {
            Some(id) => json!({ "outcome": { "outcome": "selected", "optionId": id } }),
            None => json!({ "outcome": { "outcome": "cancelled" } }),
        })
    }

    async fn read_file(&self, request: ReadTextFileRequest) -> Result<Value, RpcError> {
        let (root, session) = (self.root.clone(), request.session_id.to_string());
        let read = move || files::read(&root, &request.path, request.line, request.limit);
        let content = self.file_result(&session, "read", blocking(read).await?)?;
        Ok(json!({ "content": content }))
    }

    async fn write_file(&self, request: WriteTextFileRequest) -> Result<Value, RpcError> {
        let (root, session) = (self.root.clone(), request.session_id.to_string());
        let write = move || files::write(&root, &request.path, &request.content);
        self.file_result(&session, "write", blocking(write).await?)?;
        Ok(json!({}))
    }

    fn file_result<T>(
        &self,
        session: &str,
        verb: &str,
        result: Result<T, FileError>,
    ) -> Result<T, RpcError> {
        result.map_err(|error| match error {
            FileError::Failed(error) => error,
            FileError::Refused(refusal) => self.refused(session, verb, &refusal),
        })
    }

    /// Tells the observer of a refused path, and words it for the agent.
    fn refused(&self, session: &str, verb: &str, refusal: &Refusal) -> RpcError {
        let kind = match refusal {
            Refusal::Git(_) => IncidentKind::GitInternals,
            Refusal::Unreadable(..) => return RpcError::internal(refusal.to_string()),
            Refusal::Outside(_) | Refusal::Parent(_) | Refusal::DanglingLink(_) => {
                IncidentKind::OutsideRoot
            }
        };
        self.incident(
            Some(session),
            kind,
            format!("the agent's request to {verb} was refused: {refusal}"),
        );
        RpcError::invalid_params(format!(
            "refused: {refusal}; the session's folder is `{}`",
            self.root.path().display()
        ))
    }

    async fn create_terminal(
        &self,
        session: &Session,
        request: CreateTerminalRequest,
    ) -> Result<Value, RpcError> {
        let id = request.session_id.to_string();
        let folder = request.cwd.as_deref().unwrap_or(&session.cwd);
        let folder = self
            .root
            .resolve(folder)
            .map_err(|refusal| self.refused(&id, "run a command in a folder", &refusal))?;
        let turn = session.token();
        if turn.is_cancelled() {
            return Err(RpcError::cancelled());
        }
        if self.terminals.running() >= MAX_RUNNING {
            let text = format!("the agent wants to run more than {MAX_RUNNING} commands at once");
            self.incident(Some(&id), IncidentKind::TooMany, text);
        }
        self.terminals.create(&request, &folder, &turn).await
    }

    pub(super) fn incident(&self, session: Option<&str>, kind: IncidentKind, text: String) {
        let session = session.filter(|id| !id.is_empty()).map(str::to_owned);
        self.observer.incident(&Incident {
            session,
            kind,
            text,
        });
    }

    /// Hears of the `count`th line that is no message.
    pub(super) fn malformed(&self, line: &[u8], count: u64) {
        if is_worth_telling(count) {
            let start = String::from_utf8_lossy(&line[..line.len().min(400)]);
            let text = format!(
                "the agent wrote {count} line(s) that are no JSON-RPC message, the last one: {}",
                one_line(&start, 100)
            );
            self.incident(None, IncidentKind::MalformedFrame, text);
        }
    }

    /// Hears that the `count`th request was turned away because `limit` others were open.
    pub(super) fn overloaded(&self, count: u64, limit: usize) {
        if is_worth_telling(count) {
            let text = format!("{count} request(s) of the agent were refused: it had {limit} open");
            self.incident(None, IncidentKind::TooMany, text);
        }
    }
}

/// The first of something that repeats are told, then ever fewer.
fn is_worth_telling(count: u64) -> bool {
    count <= 3 || (count >= 10 && 10_u64.pow(count.ilog10()) == count)
}

fn parse<T: DeserializeOwned>(params: &Value) -> Result<T, RpcError> {
    serde_json::from_value(params.clone())
        .map_err(|error| RpcError::invalid_params(format!("the parameters do not fit: {error}")))
}

fn terminal_id(params: &Value) -> Result<&str, RpcError> {
    params
        .get("terminalId")
        .and_then(Value::as_str)
        .ok_or_else(|| RpcError::invalid_params("`terminalId` is missing"))
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, RpcError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| RpcError::internal("the daemon is stopping"))
}
