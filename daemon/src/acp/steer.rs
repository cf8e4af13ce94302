//! A person's words to a session that the scheduler runs, typed in an editor that shows it.

use std::sync::Arc;

use serde_json::{Value, json};
use spectask_protocol::{
    SessionParams, SessionRef, SessionStatus, TargetParams, TellParams, WorkSessionId, method,
};

use super::{
    editor::{Call, Editor},
    frames, prompt,
};
use crate::{
    agents::RpcError,
    commands,
    store::{SessionRow, StoreError},
};

/// Hands a prompt to the session; the editor's prompt stays open until the turn it led to has ended.
pub(super) async fn prompt(
    editor: &Arc<Editor>,
    call: &Call,
    id: &WorkSessionId,
    row: &SessionRow,
    params: &Value,
) -> Result<Value, RpcError> {
    let say = |text: &str| {
        let message = uuid::Uuid::now_v7().to_string();
        editor.send(&frames::update(
            id.as_str(),
            &frames::message(text, &message),
        ));
    };
    let (store, client) = (&editor.room.ctx.store, editor.room.client(editor.peer()));
    let session = SessionRef::from(row.id.clone());
    let current = store
        .read(|read| read.session(&row.id))
        .map_err(|error| frames::internal(error.to_string()))?;
    let status = current.map_or(row.status, |row| row.status);
    let told = if call.again {
        None
    } else {
        let tell = TellParams {
            session: session.clone(),
            text: text(params),
            kind: None,
            from: None,
            answers: None,
        };
        match client.call(method::CoordinationTell, tell).await {
            Ok(told) => Some(told),
            Err(failure) => return Err(frames::failed(&failure)),
        }
    };
    match status {
        SessionStatus::Active => {
            say("_The agent gets this when its current turn ends._\n\n");
        }
        SessionStatus::Blocked | SessionStatus::Waiting | SessionStatus::Failed => {
            let retry = TargetParams {
                target: session.clone(),
                environment: editor.environment.clone(),
            };
            let retried = client.call(method::SpecTaskRetry, retry).await;
            retried.map_err(|failure| frames::failed(&failure))?;
        }
        _ => {}
    }
    let mut committed = store.committed();
    loop {
        committed.mark_unchanged();
        let over = store.read(|read| {
            let delivered = match &told {
                Some(told) => read.message(&told.id)?.and_then(|message| message.turn),
                None => Some(0),
            };
            let row = read.session(&row.id)?;
            let turns = read.turns(&session_id(&row, id))?;
            let runs = turns
                .iter()
                .any(|turn| turn.status == spectask_protocol::TurnStatus::Running);
            let stands = row.is_none_or(|row| row.status.is_final() || row.waiting.is_some());
            Ok::<_, StoreError>(stands || (delivered.is_some() && !runs))
        });
        if over.map_err(|error| frames::internal(error.to_string()))? {
            return Ok(json!({ "stopReason": "end_turn" }));
        }
        tokio::select! {
            () = call.stop.cancelled() => {
                let stop = SessionParams { session };
                if let Err(failure) = client.call(method::WorkSessionStop, stop).await {
                    say(&commands::failure_text(&failure));
                }
                return Ok(prompt::stopped());
            }
            changed = committed.changed() => if changed.is_err() {
                return Ok(prompt::stopped());
            },
        }
    }
}

fn session_id(row: &Option<SessionRow>, id: &WorkSessionId) -> WorkSessionId {
    row.as_ref()
        .map_or_else(|| id.clone(), |row| row.id.clone())
}

/// The words of a prompt; what is linked or embedded is named.
fn text(params: &Value) -> String {
    let blocks = params.get("prompt").and_then(Value::as_array);
    let mut text = String::new();
    for block in blocks.into_iter().flatten() {
        let part = block.get("text").and_then(Value::as_str);
        let link = || {
            let uri = block.get("uri").or_else(|| block.pointer("/resource/uri"));
            uri.and_then(Value::as_str)
        };
        if let Some(part) = part.or_else(link) {
            if !text.is_empty() {
                text.push('\n');
            }
            text.push_str(part);
        }
    }
    text
}
