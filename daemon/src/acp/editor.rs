//! One editor: the process of a shim, over all its connections.

use std::{
    collections::{HashMap, VecDeque},
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use serde_json::{Value, json};
use spectask_protocol::{
    Environment, WorkSessionId,
    shim::{Entry, Hello, ToShim},
};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::{
    frames,
    link::Link,
    room::{Room, lock},
    view::View,
};
use crate::{
    agents::RpcError,
    live::{self, EditorInfo},
    rpc::Peer,
};

/// Answers that are kept for a shim that asks again, because the line with the first was lost.
const KEPT_ANSWERS: usize = 256;

/// Where the prompts of a session wait for each other, with their parameters.
pub(super) type Lane = mpsc::UnboundedSender<(Arc<Call>, Value)>;

/// One editor. Everything it waits for goes on while its shim is away for a moment.
pub(super) struct Editor {
    pub(super) room: Arc<Room>,
    pub(super) instance: String,
    pub(super) entry: Entry,
    pub(super) cwd: PathBuf,
    pub(super) environment: Environment,
    pid: u32,
    registered: Mutex<Option<Arc<live::Editor>>>,
    state: Mutex<State>,
    next_ask: AtomicU64,
}

struct State {
    peer: Peer,
    link: Option<Link>,
    initialize: Option<Value>,
    views: HashMap<WorkSessionId, Arc<View>>,
    /// The editor's requests being served, by the shim's number.
    serving: HashMap<u64, Arc<Call>>,
    answers: VecDeque<(u64, Value)>,
    /// Prompts of a session are served one after another.
    lanes: HashMap<String, Lane>,
    /// Requests to the editor, by id.
    asked: HashMap<String, oneshot::Sender<Result<Value, RpcError>>>,
}

/// A request of the editor that is being served.
pub(super) struct Call {
    /// The shim's number of it; with the instance it is unique for ever.
    pub(super) number: u64,
    pub(super) method: String,
    id: Value,
    pub(super) session: Option<String>,
    /// Whether a daemon before may have served it.
    pub(super) again: bool,
    /// Cancelled by `$/cancel_request`.
    pub(super) cancel: CancellationToken,
    /// Cancelled by `session/cancel`.
    pub(super) stop: CancellationToken,
}

impl Call {
    /// A request of the editor: the shim's number, the editor's id, and whether a daemon before may have
    /// served it.
    pub(super) fn new(number: u64, again: bool, id: Value, method: String, params: &Value) -> Self {
        Self {
            number,
            method,
            id,
            session: frames::session_of(params).map(str::to_owned),
            again,
            cancel: CancellationToken::new(),
            stop: CancellationToken::new(),
        }
    }
}

impl Editor {
    /// The editor of a shim that has connected: a new one, or the one it was before. It shows nothing yet.
    pub(super) async fn attach(
        room: &Arc<Room>,
        peer: Peer,
        hello: &Hello,
        link: Link,
    ) -> Arc<Self> {
        let initialize = hello
            .initialize
            .as_ref()
            .and_then(|raw| serde_json::from_str::<Value>(raw.get()).ok());
        let editor = {
            let mut editors = lock(&room.editors);
            let editor = editors.entry(hello.instance.clone()).or_insert_with(|| {
                Arc::new(Self {
                    room: Arc::clone(room),
                    instance: hello.instance.clone(),
                    entry: hello.entry.clone(),
                    cwd: PathBuf::from(&hello.cwd),
                    environment: hello.environment.clone(),
                    pid: hello.pid,
                    registered: Mutex::default(),
                    state: Mutex::new(State {
                        peer: peer.clone(),
                        link: None,
                        initialize: None,
                        views: HashMap::new(),
                        serving: HashMap::new(),
                        answers: VecDeque::new(),
                        lanes: HashMap::new(),
                        asked: HashMap::new(),
                    }),
                    next_ask: AtomicU64::new(1),
                })
            });
            Arc::clone(editor)
        };
        let before = {
            let mut state = lock(&editor.state);
            state.peer = peer;
            state.initialize = initialize.or(state.initialize.take());
            state.link.replace(link)
        };
        if let Some(before) = before {
            before.closed.cancel();
            editor.drop_views();
        }
        editor.register().await;
        editor
    }

    async fn register(self: &Arc<Self>) {
        let cwd = self.cwd.display().to_string();
        let project = self.room.project(&cwd).await;
        if let Some(project) = &project {
            let environments = &self.room.ctx.environments;
            environments.bring(project, self.environment.clone());
        }
        let detach = CancellationToken::new();
        let info = EditorInfo {
            instance: self.instance.clone(),
            editor: self.client_name(),
            cwd,
            project,
            agent: match &self.entry {
                Entry::SpecTask => None,
                Entry::Agent { name } => Some(name.to_string()),
                Entry::Command { command } => Some(command.join(" ")),
            },
            pid: self.pid,
            since: jiff::Timestamp::now().as_millisecond(),
        };
        let registered = self.room.ctx.live.editors().attach(info, detach.clone());
        *lock(&self.registered) = Some(registered);
        let (editor, link) = (Arc::downgrade(self), lock(&self.state).link.clone());
        let Some(link) = link else { return };
        tokio::spawn(async move {
            tokio::select! {
                () = link.closed.cancelled() => {}
                () = detach.cancelled() => if let Some(editor) = editor.upgrade() {
                    editor.drop_views();
                    link.say(&ToShim::Detached {
                        text: "SpecTask was detached from this editor by a person. Open a new thread, \
                               or an earlier one, to attach again.".to_owned(),
                    });
                },
            }
        });
    }

    /// What the editor calls itself.
    fn client_name(&self) -> String {
        let state = lock(&self.state);
        let info = state
            .initialize
            .as_ref()
            .and_then(|params| params.get("clientInfo"));
        let text = |key| info.and_then(|info| info.get(key)?.as_str());
        let name = text("title")
            .or_else(|| text("name"))
            .unwrap_or("an editor");
        match text("version") {
            Some(version) => format!("{name} {version}"),
            None => name.to_owned(),
        }
    }

    pub(super) fn touch(&self) {
        if let Some(registered) = &*lock(&self.registered) {
            registered.touch();
        }
    }

    pub(super) fn peer(&self) -> Peer {
        lock(&self.state).peer.clone()
    }

    pub(super) fn initialize(&self) -> Option<Value> {
        lock(&self.state).initialize.clone()
    }

    pub(super) async fn set_initialize(self: &Arc<Self>, params: Value) {
        lock(&self.state).initialize = Some(params);
        // Only now it is known what the editor calls itself.
        self.register().await;
    }

    /// Whether the editor said it serves that: a pointer into its `clientCapabilities`.
    pub(super) fn offers(&self, pointer: &str) -> bool {
        lock(&self.state)
            .initialize
            .as_ref()
            .and_then(|params| params.get("clientCapabilities")?.pointer(pointer))
            .is_some_and(|value| !matches!(value, Value::Null | Value::Bool(false)))
    }

    pub(super) fn link(&self) -> Option<Link> {
        lock(&self.state).link.clone()
    }

    pub(super) fn is_linked(&self) -> bool {
        lock(&self.state).link.is_some()
    }

    /// Hears that a connection is over: what the editor was asked is not answered any more.
    pub(super) fn lost(&self, link: &Link) {
        {
            let mut state = lock(&self.state);
            let ours = state
                .link
                .as_ref()
                .is_some_and(|kept| kept.closed.is_cancelled());
            if !ours || !link.closed.is_cancelled() {
                return;
            }
            state.link = None;
        }
        let views: Vec<_> = lock(&self.state).views.keys().cloned().collect();
        self.drop_views();
        *lock(&self.registered) = None;
        for session in views {
            self.room.hand_over(&session, self);
        }
    }

    fn drop_views(&self) {
        let (views, asked) = {
            let mut state = lock(&self.state);
            (
                std::mem::take(&mut state.views),
                std::mem::take(&mut state.asked),
            )
        };
        drop(asked);
        for view in views.into_values() {
            view.end();
        }
    }

    /// Shows a session in this editor from now on.
    pub(super) fn opened(&self, session: &WorkSessionId) {
        if let Some(registered) = &*lock(&self.registered) {
            registered.open(session);
        }
        if let Some(link) = self.link() {
            link.say(&ToShim::Opened {
                session: session.clone(),
            });
        }
    }

    /// Shows a session in this editor no longer.
    pub(super) fn closed(&self, session: &WorkSessionId) {
        if let Some(registered) = &*lock(&self.registered) {
            registered.close(session);
        }
        let view = lock(&self.state).views.remove(session);
        if let Some(view) = view {
            view.end();
        }
        if let Some(link) = self.link() {
            link.say(&ToShim::Closed {
                session: session.clone(),
            });
        }
    }

    /// The sessions that are open in it.
    pub(super) fn shows(&self) -> Vec<WorkSessionId> {
        let registered = lock(&self.registered);
        registered
            .as_ref()
            .map_or_else(Vec::new, |registered| registered.sessions())
    }

    pub(super) fn view(&self, session: &WorkSessionId) -> Option<Arc<View>> {
        lock(&self.state).views.get(session).cloned()
    }

    pub(super) fn set_view(&self, session: &WorkSessionId, view: Arc<View>) {
        let before = lock(&self.state).views.insert(session.clone(), view);
        if let Some(before) = before {
            before.end();
        }
    }

    /// Shows nothing more by that view, unless another one has taken its place.
    pub(super) fn end_view(&self, session: &WorkSessionId, view: &Arc<View>) {
        let mut state = lock(&self.state);
        let ours = state.views.get(session);
        if ours.is_some_and(|kept| Arc::ptr_eq(kept, view)) {
            state.views.remove(session);
        }
        drop(state);
        view.end();
    }

    /// Sends a notification or update that belongs to no place in a stream.
    pub(super) fn send(&self, frame: &Value) {
        if let Some(link) = self.link() {
            link.frame(None, frame);
        }
    }

    /// Asks the editor something; none when it is away or goes. Dropping the future withdraws the
    /// question.
    pub(super) async fn ask(
        &self,
        method: &str,
        params: &Value,
    ) -> Option<Result<Value, RpcError>> {
        let number = self.next_ask.fetch_add(1, Ordering::Relaxed);
        // Unlike any id of a daemon before.
        let id = format!("spectask-{}-{number}", self.room.boot);
        let (sender, answer) = oneshot::channel();
        let link = {
            let mut state = lock(&self.state);
            let link = state.link.clone()?;
            state.asked.insert(id.clone(), sender);
            link
        };
        let _withdraw = Withdraw {
            editor: self,
            id: id.clone(),
        };
        link.frame(None, &frames::request(&id.into(), method, params));
        answer.await.ok()
    }

    /// Hears the editor's answer to something it was asked.
    pub(super) fn answered(&self, id: &Value, outcome: Result<Value, RpcError>) {
        let asked = id
            .as_str()
            .and_then(|id| lock(&self.state).asked.remove(id));
        if let Some(asked) = asked {
            let _ = asked.send(outcome);
        }
    }

    /// Whether a request is to be served. One that is being served gets its answer then; one that was
    /// answered gets the same answer again.
    pub(super) fn admit(&self, call: &Arc<Call>) -> bool {
        let mut state = lock(&self.state);
        if state.serving.contains_key(&call.number) {
            return false;
        }
        let kept = state.answers.iter().find(|(kept, _)| *kept == call.number);
        if let Some((_, answer)) = kept {
            if let Some(link) = &state.link {
                link.frame(None, answer);
            }
            return false;
        }
        state.serving.insert(call.number, Arc::clone(call));
        true
    }

    /// The lane of a session's prompts, opened when there is none.
    pub(super) fn lane(&self, session: &str, open: impl FnOnce() -> Lane) -> Lane {
        let mut state = lock(&self.state);
        let lane = state.lanes.entry(session.to_owned());
        lane.or_insert_with(open).clone()
    }

    /// Answers a request.
    pub(super) fn answer(&self, call: &Call, outcome: Result<Value, RpcError>) {
        let frame = frames::response(&call.id, outcome);
        let mut state = lock(&self.state);
        state.serving.remove(&call.number);
        if let Some(link) = &state.link {
            link.frame(None, &frame);
        }
        if state.answers.len() == KEPT_ANSWERS {
            state.answers.pop_front();
        }
        state.answers.push_back((call.number, frame));
    }

    /// Cancels the request of that id, if it is being served.
    pub(super) fn cancel(&self, id: Option<&Value>) {
        let state = lock(&self.state);
        let call = state.serving.values().find(|call| Some(&call.id) == id);
        if let Some(call) = call {
            call.cancel.cancel();
        }
    }

    /// Stops the prompts of a session.
    pub(super) fn stop(&self, session: Option<&str>) {
        for call in lock(&self.state).serving.values() {
            if call.method == "session/prompt" && call.session.as_deref() == session {
                call.stop.cancel();
            }
        }
    }
}

/// Takes a question back that has no answer and that nobody waits for any more.
struct Withdraw<'a> {
    editor: &'a Editor,
    id: String,
}

impl Drop for Withdraw<'_> {
    fn drop(&mut self) {
        let link = {
            let mut state = lock(&self.editor.state);
            if state.asked.remove(&self.id).is_none() {
                return;
            }
            state.link.clone()
        };
        if let Some(link) = link {
            let params = json!({ "requestId": self.id });
            link.frame(None, &frames::notification("$/cancel_request", &params));
        }
    }
}
