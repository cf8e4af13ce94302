//! A session's stream in an editor: what was said before, then what is said now.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, OnceLock, Weak},
};

use serde_json::{Value, json};
use spectask_protocol::{PermissionId, TranscriptEntry, WorkSessionId, shim::At};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{
    editor::Editor,
    frames,
    link::Link,
    room::lock,
    thread::{Thread, adapt},
};
use crate::{
    commands,
    live::{Replay, Stream, Viewer, ViewerId, Way},
    scheduler,
};

/// From where a session is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Show {
    /// From its beginning, for an editor that knows nothing of it.
    All,
    /// What is new from now on.
    New,
    /// What comes after an entry that the editor has, after a reconnect.
    After(Option<u64>),
    /// As `All`, inside another thread, whose stream it is not.
    Inside,
}

/// A session's stream in an editor.
pub(super) struct View {
    /// The editor's id of the session.
    id: WorkSessionId,
    link: Link,
    editor: Weak<Editor>,
    stream: Arc<Stream>,
    /// The thread, where it is one of an editor's own.
    thread: Option<Arc<Thread>>,
    /// Whether frames say where in the stream they are.
    placed: bool,
    viewer: OnceLock<ViewerId>,
    replay: Mutex<Option<Replay>>,
    seen: watch::Sender<Seen>,
    /// Questions that the editor was asked.
    asked: Mutex<HashMap<PermissionId, CancellationToken>>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    any: bool,
    caught_up: bool,
    /// The newest entry of the replay.
    last: Option<u64>,
}

impl View {
    /// Shows a stream in an editor from now on, in place of what it showed under that id.
    pub(super) fn attach(
        editor: &Arc<Editor>,
        id: &WorkSessionId,
        stream: &Arc<Stream>,
        thread: Option<Arc<Thread>>,
        show: Show,
    ) -> Option<Arc<Self>> {
        let link = editor.link()?;
        let from = match show {
            Show::All | Show::Inside | Show::After(None) => 0,
            Show::New => stream.next_index(),
            Show::After(Some(last)) => {
                if stream.next_index() <= last {
                    stream.skip_to(last + 1);
                    let text = "Some of the conversation was shown here but not recorded: the daemon \
                                was killed in that moment.";
                    stream.frame(Way::Daemon, &json!({ "note": text }));
                }
                last + 1
            }
        };
        let replay = matches!(show, Show::All | Show::Inside).then(Replay::new);
        let view = Arc::new(Self {
            id: id.clone(),
            link,
            editor: Arc::downgrade(editor),
            stream: Arc::clone(stream),
            thread,
            placed: show != Show::Inside,
            viewer: OnceLock::new(),
            replay: Mutex::new(replay),
            seen: watch::Sender::new(Seen::default()),
            asked: Mutex::default(),
        });
        editor.set_view(id, Arc::clone(&view));
        let viewer = stream.attach(Arc::<Self>::clone(&view), from);
        if view.viewer.set(viewer).is_err() {
            tracing::error!("a view was attached twice");
        }
        Some(view)
    }

    /// Shows the stream of a view that another one took the place of, from an entry on.
    pub(super) fn again(editor: &Arc<Editor>, before: &Self, next: u64) {
        let thread = before.thread.clone();
        let show = Show::After(next.checked_sub(1));
        Self::attach(editor, &before.id, &before.stream, thread, show);
    }

    /// The index that the stream's next entry gets.
    pub(super) fn next_index(&self) -> u64 {
        self.stream.next_index()
    }

    /// Shows nothing more.
    pub(super) fn end(&self) {
        if let Some(viewer) = self.viewer.get() {
            self.stream.detach(*viewer);
        }
        for (_, token) in lock(&self.asked).drain() {
            token.cancel();
        }
        self.seen.send_modify(|seen| seen.caught_up = true);
    }

    /// Waits until the editor has got all that was said before.
    pub(super) async fn caught_up(&self) {
        let mut seen = self.seen.subscribe();
        // It ends with the view, which the caller holds.
        let _ = seen.wait_for(|seen| seen.caught_up).await;
    }

    /// Whether anything was shown yet.
    pub(super) fn has_shown(&self) -> bool {
        self.seen.borrow().any
    }

    fn send(&self, index: Option<u64>, frame: &Value) {
        let at = index.filter(|_| self.placed).map(|index| At {
            session: self.id.clone(),
            index,
        });
        self.link.frame(at, frame);
    }

    fn update(&self, index: Option<u64>, update: &Value) {
        self.send(index, &frames::update(self.id.as_str(), update));
    }

    /// Shows an entry as it happens.
    fn live(&self, index: u64, way: Way, frame: &Value) {
        let method = frame.get("method").and_then(Value::as_str);
        match (way, method) {
            (Way::FromAgent, Some("session/update")) => {
                let Some(update) = frame.pointer("/params/update") else {
                    return;
                };
                if let Some(update) = self.adapted(update) {
                    let mut frame = frame.clone();
                    frame["params"]["sessionId"] = self.id.as_str().into();
                    frame["params"]["update"] = update;
                    self.send(Some(index), &frame);
                }
            }
            // A notification that only the agent and the editor know.
            (Way::FromAgent, Some(method))
                if self.placed && frame.get("id").is_none() && !method.starts_with("$/") =>
            {
                let mut frame = frame.clone();
                frame["params"]["sessionId"] = self.id.as_str().into();
                self.send(Some(index), &frame);
            }
            // What a planner is asked is not what the person wrote.
            (Way::ToAgent, Some("session/prompt")) if self.placed && !self.is_own(frame) => {
                let blocks = frame.pointer("/params/prompt").and_then(Value::as_array);
                let blocks = blocks.map_or(&[][..], Vec::as_slice);
                for (at, block) in blocks.iter().enumerate() {
                    let last = at + 1 == blocks.len();
                    let update = json!({
                        "sessionUpdate": "user_message_chunk",
                        "messageId": format!("m-{index}"),
                        "content": block,
                    });
                    self.update(last.then_some(index), &update);
                }
            }
            (Way::Daemon, _) => {
                if let Some(note) = frame.get("note").and_then(Value::as_str) {
                    let text = format!("\n\n_{note}_\n\n");
                    self.update(Some(index), &frames::message(&text, &format!("m-{index}")));
                }
            }
            _ => {}
        }
    }

    /// A prompt that was typed in this editor, which shows it by itself.
    fn is_own(&self, frame: &Value) -> bool {
        let Some(editor) = self.editor.upgrade() else {
            return false;
        };
        let id = frame.get("id").and_then(Value::as_str);
        id.and_then(|id| id.strip_prefix(editor.instance.as_str()))
            .is_some_and(|rest| rest.starts_with(':'))
    }

    fn adapted(&self, update: &Value) -> Option<Value> {
        let kind = update.get("sessionUpdate").and_then(Value::as_str);
        if !self.placed && matches!(kind, Some("user_message_chunk" | "session_info_update")) {
            return None;
        }
        match &self.thread {
            Some(thread) => {
                let selectors = thread.selectors();
                Some(adapt(
                    update,
                    || thread.commands_update(),
                    selectors.as_ref(),
                ))
            }
            // Commands, modes and options of a session that the scheduler runs are not an editor's.
            None => match kind {
                Some(
                    "available_commands_update" | "current_mode_update" | "config_option_update",
                ) => None,
                _ => Some(update.clone()),
            },
        }
    }

    /// Sends what the replay still holds, then the commands.
    fn end_replay(&self) {
        let replayed = lock(&self.replay).take();
        if let Some(replayed) = replayed {
            let updates = replayed.finish();
            for update in updates
                .into_iter()
                .filter_map(|update| self.adapted(&update))
            {
                self.update(None, &update);
            }
            // Also tells the shim how far the editor is. The stream itself may not be asked here.
            let last = self.seen.borrow().last;
            if self.placed {
                self.update(last, &self.commands());
            }
        }
    }

    fn commands(&self) -> Value {
        match &self.thread {
            Some(thread) => thread.commands_update(),
            None => json!({
                "sessionUpdate": "available_commands_update",
                "availableCommands": commands::available(),
            }),
        }
    }
}

impl Viewer for View {
    fn entry(&self, index: u64, way: Way, frame: &Value, replay: bool) {
        let mut converter = lock(&self.replay);
        match &mut *converter {
            Some(converter) if replay => {
                let updates = converter.push(TranscriptEntry {
                    index,
                    at: String::new(),
                    direction: way.as_str().to_owned(),
                    frame: frame.clone(),
                });
                let shown = !updates.is_empty();
                let updates = updates.into_iter();
                for update in updates.filter_map(|update| self.adapted(&update)) {
                    self.update(None, &update);
                }
                self.seen.send_if_modified(|seen| {
                    seen.last = Some(index);
                    shown && !std::mem::replace(&mut seen.any, true)
                });
            }
            _ => {
                drop(converter);
                // What was said before comes first, though it is not complete.
                self.end_replay();
                self.live(index, way, frame);
            }
        }
    }

    fn caught_up(&self) {
        self.end_replay();
        self.seen.send_modify(|seen| {
            seen.any = true;
            seen.caught_up = true;
        });
    }

    fn asks(&self, permission: &PermissionId, params: &Value) {
        let Some(editor) = self.editor.upgrade() else {
            return;
        };
        // Every window that shows the session asks: the first answer counts, and the others are
        // withdrawn. Asked in one only, the question would be lost with that window.
        let withdrawn = CancellationToken::new();
        let before = lock(&self.asked).insert(permission.clone(), withdrawn.clone());
        if before.is_some() {
            return;
        }
        let params = frames::for_session(params.clone(), self.id.as_str());
        let permission = permission.clone();
        tokio::spawn(async move {
            let answer = tokio::select! {
                biased;
                () = withdrawn.cancelled() => None,
                answer = editor.ask("session/request_permission", &params) => answer,
            };
            let Some(answer) = answer else { return };
            let room = &editor.room;
            let chosen = match answer {
                Ok(result) => {
                    let chosen = result.pointer("/outcome/optionId").and_then(Value::as_str);
                    let chosen = chosen.map(str::to_owned);
                    lock(&room.answers).insert(permission.clone(), result);
                    chosen
                }
                Err(_) => None,
            };
            // Who came second is not heard.
            if let Err(error) = scheduler::answer_permission(&room.ctx, &permission, chosen).await {
                tracing::debug!(%error, "an editor's answer came too late");
                lock(&room.answers).remove(&permission);
            }
        });
    }

    fn settled(&self, permission: &PermissionId) {
        if let Some(token) = lock(&self.asked).remove(permission) {
            token.cancel();
        }
    }

    fn backlog(&self) -> usize {
        self.link.backlog()
    }
}
