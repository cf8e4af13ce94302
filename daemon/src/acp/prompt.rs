//! `session/prompt`: a slash command, a word to a session that the scheduler runs, or a turn of a
//! thread's agent.

use std::sync::Arc;

use serde_json::{Value, json};
use spectask_protocol::{Role, TurnStatus};

use super::{
    commits::Before,
    editor::{Call, Editor},
    frames,
    history::{self, Shown},
    open::{self, Open},
    room::Room,
    slash, steer,
    thread::Thread,
    view::Show,
};
use crate::{
    agents::{RelayError, RpcError},
    commands,
    live::Way,
    store::TurnRow,
    workflow::{self, WorkflowError},
};

/// Answers `session/prompt`. The prompts of a session come here one after another.
pub(super) async fn prompt(
    editor: &Arc<Editor>,
    call: &Call,
    mut params: Value,
) -> Result<Value, RpcError> {
    let shown = history::shown(editor, &params)?;
    if call.stop.is_cancelled() {
        return Ok(stopped());
    }
    let typed = params
        .pointer("/prompt/0/text")
        .and_then(Value::as_str)
        .and_then(commands::parse);
    // What an agent's process sends was typed by nobody.
    if let Some((command, rest)) = typed.filter(|_| editor.peer().role == Role::Person) {
        match slash::run(editor, call, &shown, &params, command, rest).await? {
            slash::Done::Answered(answer) => return Ok(answer),
            slash::Done::Prompt(text) => {
                params["prompt"] = json!([{ "type": "text", "text": text }]);
            }
        }
    }
    let mistyped = mistyped(&params).filter(|name| !offers(&shown, name));
    if let Some(name) = mistyped.filter(|_| editor.peer().role == Role::Person) {
        slash::unknown(editor, &shown, &name);
        return Ok(json!({ "stopReason": "end_turn" }));
    }
    match shown {
        Shown::Thread(thread) => turn(editor, call, &thread, params).await,
        Shown::Session { id, row } => steer::prompt(editor, call, &id, &row, &params).await,
    }
}

/// Whether the agent of a thread has a command of that name, with its slash.
fn offers(shown: &Shown, name: &str) -> bool {
    let Shown::Thread(thread) = shown else {
        return false;
    };
    let own = thread.remembered("commands");
    let own = own.as_ref().and_then(Value::as_array);
    let mut names = own
        .into_iter()
        .flatten()
        .filter_map(|command| command.get("name")?.as_str());
    names.any(|own| name.strip_prefix('/') == Some(own))
}

/// The name of a command that looks like one of ours and is none.
fn mistyped(params: &Value) -> Option<String> {
    let text = params.pointer("/prompt/0/text")?.as_str()?;
    let name = text.split_whitespace().next()?;
    let ours = name.to_ascii_lowercase().starts_with("/spec-");
    (ours && name.len() < 40 && commands::parse(text).is_none()).then(|| name.to_owned())
}

pub(super) fn stopped() -> Value {
    json!({ "stopReason": "cancelled" })
}

/// The key of a prompt, by which it is known after a crash.
pub(super) fn key(editor: &Editor, call: &Call) -> String {
    format!("{}:{}", editor.instance, call.number)
}

/// Runs a turn of a thread's agent.
async fn turn(
    editor: &Arc<Editor>,
    call: &Call,
    thread: &Arc<Thread>,
    params: Value,
) -> Result<Value, RpcError> {
    let (room, key) = (&editor.room, key(editor, call));
    let store = &room.ctx.store;
    let broken = |error: WorkflowError| frames::internal(error.to_string());
    if call.again {
        let before = store.read(|read| read.turn_of_request(&key));
        let before = before.map_err(|error| frames::internal(error.to_string()))?;
        if let Some(before) = before {
            return Ok(cut(room, thread, &before).await);
        }
    }
    // A turn that began in another window: this editor thinks the thread idle.
    let running = tokio::select! {
        biased;
        () = call.stop.cancelled() => return Ok(stopped()),
        running = room.ctx.take_when_free(&thread.id) => running,
    };
    let busy = Running { editor, thread };
    let opened = open::open(editor, thread).await;
    if room.closing.is_cancelled() {
        drop(busy);
        // It was not begun: the shim sends it to the next daemon.
        return std::future::pending().await;
    }
    let opened = opened?;
    let redactor = &opened.process.relay.redactor;
    let title = redactor.text(&title(&params)).into_owned();
    workflow::thread::first_prompt(store, &thread.id, title)
        .await
        .map_err(broken)?;
    let stream = room
        .ctx
        .live
        .stream(&thread.id, Some(redactor.clone()))
        .map_err(|error| frames::internal(error.to_string()))?;
    thread.set_primary(editor);
    if thread.stream().is_none() || editor.view(&thread.id).is_none() {
        thread.set_stream(Arc::clone(&stream));
        history::show_thread(editor, thread, Show::New)?;
    }
    if let Some(view) = editor.view(&thread.id) {
        view.caught_up().await;
    }
    tell_cut(room, thread).await;
    let forgot = open::forgot(thread);
    let recap = forgot.then(|| open::recap(room, thread)).flatten();
    let before = Before::look(room, thread).await;
    let begun =
        workflow::thread::begin_turn(store, &thread.id, opened.session.clone(), Some(key.clone()));
    let number = match begun.await {
        Ok(number) => number,
        Err(WorkflowError::Repeated(before)) => return Ok(cut(room, thread, &before).await),
        Err(error) => return Err(broken(error)),
    };
    stream.frame(
        Way::ToAgent,
        &frames::request(&key.as_str().into(), "session/prompt", &params),
    );
    let told = match workflow::message::take(store, &thread.id, number).await {
        Ok(told) => told,
        Err(error) => {
            // They wait for the next prompt; this one goes on without.
            tracing::error!(%error, thread = %thread.id, "messages could not be taken");
            Vec::new()
        }
    };
    let mut asked = frames::for_session(params, &opened.session);
    if let Some(blocks) = asked.get_mut("prompt").and_then(Value::as_array_mut) {
        let told = told
            .iter()
            .map(|text| json!({ "type": "text", "text": text }));
        let before: Vec<Value> = recap.into_iter().chain(told).collect();
        blocks.splice(0..0, before);
    }
    let outcome = run(call, &opened, &running, &asked).await;
    if forgot && outcome.is_ok() {
        open::was_told(thread);
    }
    let (status, reason, answer) = judge(room, thread, call, &running, outcome);
    let reason = redactor.text(&reason).into_owned();
    if status == TurnStatus::Interrupted {
        thread.remember(TOLD, number.into());
    }
    let said = frames::response(&key.as_str().into(), answer.clone());
    stream.frame(Way::FromAgent, &said);
    // What the editor hears is kept.
    stream.flush().await;
    let commits = match before {
        Some(before) => before.commits(room, thread).await,
        None => Vec::new(),
    };
    let reason = Some(reason);
    let ended =
        workflow::thread::end_turn(store, &thread.id, number, status, reason, commits).await;
    if let Err(error) = ended {
        tracing::error!(%error, thread = %thread.id, "the end of a turn could not be kept");
    }
    thread.change(room, |_| {}).await;
    // The editor has been sent all of the turn, so that its end does not come first.
    if let Some(view) = editor.view(&thread.id) {
        view.caught_up().await;
    }
    answer
}

/// A thread's turn is over, whatever came of it.
struct Running<'a> {
    editor: &'a Editor,
    thread: &'a Thread,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.editor.room.ctx.release(&self.thread.id);
    }
}

async fn run(
    call: &Call,
    opened: &Open,
    running: &tokio_util::sync::CancellationToken,
    asked: &Value,
) -> Result<Value, RelayError> {
    let agent = &opened.process.agent;
    let work = agent.relay_prompt(&opened.session, asked, &call.cancel);
    tokio::pin!(work);
    let mut told = false;
    loop {
        tokio::select! {
            biased;
            outcome = &mut work => return outcome,
            () = call.stop.cancelled(), if !told => {
                told = true;
                agent.cancel(&opened.session).await;
            }
            () = running.cancelled(), if !told => {
                told = true;
                agent.cancel(&opened.session).await;
            }
        }
    }
}

/// How a turn ended: its state, why, and what the editor hears.
fn judge(
    room: &Room,
    thread: &Thread,
    call: &Call,
    running: &tokio_util::sync::CancellationToken,
    outcome: Result<Value, RelayError>,
) -> (TurnStatus, String, Result<Value, RpcError>) {
    let cancelled = call.stop.is_cancelled() || running.is_cancelled();
    match outcome {
        Ok(answer) => {
            let reason = answer.get("stopReason").and_then(Value::as_str);
            let reason = reason.unwrap_or("unknown").to_owned();
            let status = match reason.as_str() {
                "end_turn" => TurnStatus::Ended,
                "cancelled" => TurnStatus::Cancelled,
                _ if cancelled => TurnStatus::Cancelled,
                _ => TurnStatus::Failed,
            };
            (status, reason, Ok(answer))
        }
        // Agents also answer a cancelled prompt with an error.
        Err(RelayError::Rpc(_)) if cancelled => {
            (TurnStatus::Cancelled, "cancelled".to_owned(), Ok(stopped()))
        }
        Err(RelayError::Rpc(error)) => (TurnStatus::Failed, error.to_string(), Err(error)),
        Err(RelayError::Gone(_)) if cancelled => {
            thread.note(
                "The agent did not stop by itself, and was ended. The next prompt starts it again.",
            );
            (TurnStatus::Cancelled, "cancelled".to_owned(), Ok(stopped()))
        }
        Err(RelayError::Gone(_)) if room.closing.is_cancelled() => {
            thread.note(
                "The turn was interrupted: the daemon was stopped while the agent worked. The \
                 conversation is kept; a new prompt goes on.",
            );
            let reason = "the daemon stopped while the agent worked".to_owned();
            (TurnStatus::Interrupted, reason, Ok(stopped()))
        }
        Err(RelayError::Gone(error)) => {
            thread.note(&format!(
                "The turn was interrupted: {error}. The conversation is kept; the next prompt starts \
                 the agent again."
            ));
            (TurnStatus::Interrupted, error.to_string(), Ok(stopped()))
        }
    }
}

/// The answer to a prompt that a daemon before began to serve: it is not sent to the agent twice.
async fn cut(room: &Room, thread: &Thread, before: &TurnRow) -> Value {
    if before.status == TurnStatus::Ended {
        return json!({ "stopReason": before.reason.as_deref().unwrap_or("end_turn") });
    }
    tell_cut(room, thread).await;
    stopped()
}

/// The newest turn of a thread of which its stream says that it was cut.
const TOLD: &str = "cut";

/// Says once in a thread's stream that its last turn was cut by the end of the daemon before: who
/// waited for its answer may be gone.
pub(super) async fn tell_cut(room: &Room, thread: &Thread) {
    let turns = room.ctx.store.read(|read| read.turns(&thread.id));
    let last = turns.unwrap_or_default().pop();
    let Some(last) = last.filter(|last| last.status == TurnStatus::Interrupted) else {
        return;
    };
    let Some(stream) = thread.stream() else {
        return;
    };
    if !thread.is_news(TOLD, last.number.into()) {
        return;
    }
    thread.note(
        "The turn was interrupted: the daemon was restarted while the agent worked. The conversation \
         is kept; a new prompt goes on.",
    );
    // A crash between the two says it twice; the other way round it would never be said.
    stream.flush().await;
    thread.change(room, |_| {}).await;
}

/// The first line of a prompt, short enough for a list.
fn title(params: &Value) -> String {
    let blocks = params.get("prompt").and_then(Value::as_array);
    let text = blocks
        .into_iter()
        .flatten()
        .find_map(|block| block.get("text").and_then(Value::as_str))
        .unwrap_or("a thread");
    let line = text.lines().map(str::trim).find(|line| !line.is_empty());
    let line: String = line
        .unwrap_or("a thread")
        .chars()
        .filter(|c| !c.is_control())
        .collect();
    match line.char_indices().nth(80) {
        Some((end, _)) => format!("{}\u{2026}", line[..end].trim_end()),
        None => line,
    }
}
