//! What an editor sends, to the file that has its job; the prompts of a session one after another.

use std::sync::Arc;

use serde_json::Value;
use spectask_protocol::shim::Hello;
use tokio::sync::mpsc;

use super::{
    editor::{Call, Editor, Lane},
    frames::{self, Incoming},
    history,
    link::Link,
    prompt,
    room::Room,
    settings, start,
};
use crate::{agents::RpcError, rpc::Peer};

/// The editor of a shim that has connected; it shows again what it showed before.
pub(super) async fn attach(room: &Arc<Room>, peer: Peer, hello: Hello, link: Link) -> Arc<Editor> {
    let editor = Editor::attach(room, peer, &hello, link).await;
    for (session, seen) in &hello.sessions {
        history::attach_again(&editor, session, *seen).await;
    }
    editor
}

/// Takes a frame of the editor. Returns at once.
pub(super) fn frame(editor: &Arc<Editor>, number: Option<u64>, again: bool, frame: Value) {
    editor.touch();
    match frames::read(frame) {
        Incoming::Request { id, method, params } => match number {
            Some(number) => {
                let call = Call::new(number, again, id, method, &params);
                request(editor, Arc::new(call), params);
            }
            None => tracing::warn!(method, "a shim passed on a request without a number"),
        },
        Incoming::Notification { method, params } => notification(editor, method, params),
        Incoming::Response { id, outcome } => editor.answered(&id, outcome),
        Incoming::Other => {
            let error = RpcError::new(-32600, "this is no JSON-RPC message");
            editor.send(&frames::response(&Value::Null, Err(error)));
        }
    }
}

fn request(editor: &Arc<Editor>, call: Arc<Call>, params: Value) {
    if !editor.admit(&call) {
        return;
    }
    if let Some(error) = frames::misnamed(&call.method, &params) {
        return editor.answer(&call, Err(error));
    }
    match (&call.session, call.method.as_str()) {
        (Some(session), "session/prompt") => {
            let lane = editor.lane(session, || open_lane(editor));
            // The lane ends with the editor.
            let _ = lane.send((call, params));
        }
        _ => {
            let editor = Arc::clone(editor);
            tokio::spawn(async move {
                let outcome = serve(&editor, &call, params).await;
                editor.answer(&call, outcome);
            });
        }
    }
}

fn open_lane(editor: &Arc<Editor>) -> Lane {
    let (lane, mut queue) = mpsc::unbounded_channel::<(Arc<Call>, Value)>();
    let editor = Arc::downgrade(editor);
    tokio::spawn(async move {
        while let Some((call, params)) = queue.recv().await {
            let Some(editor) = editor.upgrade() else {
                return;
            };
            let outcome = prompt::prompt(&editor, &call, params).await;
            editor.answer(&call, outcome);
        }
    });
    lane
}

async fn serve(editor: &Arc<Editor>, call: &Call, params: Value) -> Result<Value, RpcError> {
    match call.method.as_str() {
        "initialize" => start::initialize(editor, call, params).await,
        "session/new" => start::new_session(editor, call, params).await,
        "session/fork" => start::fork(editor, call, params).await,
        "session/load" => history::load(editor, call, params).await,
        "session/resume" => history::resume(editor, params).await,
        "session/list" => history::list(editor, &params),
        "session/close" => history::close(editor, &params).await,
        "session/delete" => history::delete(editor, &params).await,
        "session/set_config_option" => settings::set_option(editor, call, params).await,
        _ => settings::pass_on(editor, call, params).await,
    }
}

fn notification(editor: &Arc<Editor>, method: String, params: Value) {
    match method.as_str() {
        "$/cancel_request" => editor.cancel(params.get("requestId")),
        "session/cancel" => editor.stop(frames::session_of(&params)),
        _ => {
            let editor = Arc::clone(editor);
            tokio::spawn(async move {
                settings::pass_notification(&editor, &method, params).await;
            });
        }
    }
}
