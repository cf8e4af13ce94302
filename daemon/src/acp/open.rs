//! Opening the agent's session behind a thread: the one it had, where the agent can, else a new one.

use std::{path::Path, sync::Arc, time::Duration};

use serde_json::{Map, Value, json};
use spectask_protocol::ThreadStatus;
use tokio_util::sync::CancellationToken;

use super::{
    editor::Editor,
    frames,
    pool::{Process, Wanted, unstarted},
    room::Room,
    thread::Thread,
};
use crate::{
    agents::{RelayError, RpcError},
    live::Way,
};

/// The name of the MCP server that every session gets.
const SERVER: &str = "spectask";
/// The variable that holds a session's token.
const TOKEN: &str = "SPECTASK_SESSION_TOKEN";
/// The error code by which an agent asks for a login.
const AUTH_REQUIRED: i64 = -32000;
/// The error code by which an agent says that it does not have something.
const NOT_FOUND: i64 = -32002;
/// Set in what is remembered of a thread whose agent does not know what was said before, until a prompt
/// has told it.
const FORGOT: &str = "forgot";
/// The session of a thread that its agent could not open the last time, in what is remembered.
const REFUSED: &str = "refused";
/// How long an agent that could not open a session is given before it is asked once more.
const PAUSE: Duration = Duration::from_millis(100);

/// The agent's session behind a thread.
pub(super) struct Open {
    pub(super) process: Arc<Process>,
    /// The agent's own id of it.
    pub(super) session: String,
}

/// Which agent serves a thread.
pub(super) fn wanted(thread: &Thread) -> Wanted {
    let row = thread.row();
    Wanted::of(&row.entry).unwrap_or(Wanted {
        name: row.agent,
        command: None,
    })
}

/// The agent's session of a thread, opened when it is not; by one caller at a time.
pub(super) async fn open(editor: &Arc<Editor>, thread: &Arc<Thread>) -> Result<Open, RpcError> {
    let _opening = thread.opening.lock().await;
    let process = editor.room.pool.get(editor, &wanted(thread)).await?;
    match open_with(editor, thread, process.clone()).await {
        // It ended in that moment, perhaps because of another of its threads.
        Err(_) if !process.agent.is_alive() => {
            let process = editor.room.pool.get(editor, &wanted(thread)).await?;
            open_with(editor, thread, process).await
        }
        opened => opened,
    }
}

async fn open_with(
    editor: &Arc<Editor>,
    thread: &Arc<Thread>,
    process: Arc<Process>,
) -> Result<Open, RpcError> {
    let row = thread.row();
    if let (Some(open), Some(session)) = (thread.process(), &row.acp_session)
        && open.agent.is_alive()
    {
        open.touch();
        return Ok(Open {
            process: open,
            session: session.clone(),
        });
    }
    let room = &editor.room;
    let reopened = match &row.acp_session {
        Some(session) => reopen(room, thread, &process, session).await?,
        None => false,
    };
    if !reopened {
        // Before the session is there: whatever opens it, the next prompt tells it.
        if has_begun(room, thread)? {
            thread.remember(FORGOT, Value::Bool(true));
        }
        let params = parameters(room, thread, None);
        create(room, thread, &process, &params, &CancellationToken::new()).await?;
    }
    let session = thread.row().acp_session.unwrap_or_default();
    Ok(Open { process, session })
}

/// Whether something was said in a thread.
fn has_begun(room: &Room, thread: &Thread) -> Result<bool, RpcError> {
    if let Some(stream) = thread.stream() {
        return Ok(stream.next_index() > 0);
    }
    let next = room.ctx.store.read(|read| read.transcript_next(&thread.id));
    next.map(|next| next > 0)
        .map_err(|error| frames::internal(error.to_string()))
}

/// Whether the agent does not know what was said in a thread before.
pub(super) fn forgot(thread: &Thread) -> bool {
    thread.remembered(FORGOT) == Some(Value::Bool(true))
}

/// The agent was told what was said before.
pub(super) fn was_told(thread: &Thread) {
    thread.forget(FORGOT);
}

/// Opens a new session of the agent for a thread. Returns the agent's answer.
pub(super) async fn create(
    room: &Room,
    thread: &Arc<Thread>,
    process: &Arc<Process>,
    params: &Value,
    cancel: &CancellationToken,
) -> Result<Value, RpcError> {
    let (session, answer) = make(thread, process, "session/new", params, cancel).await?;
    adopt(room, thread, process, session, &answer).await;
    Ok(answer)
}

/// Has the agent make a session for a thread. Returns its id and the agent's answer.
pub(super) async fn make(
    thread: &Thread,
    process: &Process,
    method: &str,
    params: &Value,
    cancel: &CancellationToken,
) -> Result<(String, Value), RpcError> {
    let cwd = thread.row().cwd;
    let ask = async |params: &Value| {
        let made = process
            .agent
            .relay_new(method, params, Path::new(&cwd), cancel);
        made.await
    };
    let made = ask(params).await;
    let again = || renamed(thread, params).filter(|_| !cancel.is_cancelled());
    second_try(made, again, ask)
        .await
        .map_err(|error| without_token(params, relayed(error)))
}

/// Some agents keep the MCP servers of all their sessions in one place, and refuse a second one of the
/// same name with other settings; ours differ in their tokens. What was refused is asked for once more,
/// with our server under a name of the thread's own. When that is refused too, the first answer counts.
async fn second_try<T>(
    first: Result<T, RelayError>,
    again: impl FnOnce() -> Option<Value>,
    ask: impl AsyncFnOnce(&Value) -> Result<T, RelayError>,
) -> Result<T, RelayError> {
    let error = match first {
        Err(RelayError::Rpc(error)) if error.code != AUTH_REQUIRED => error,
        decided => return decided,
    };
    let Some(params) = again() else {
        return Err(RelayError::Rpc(error));
    };
    match ask(&params).await {
        Err(RelayError::Rpc(_)) => Err(RelayError::Rpc(error)),
        second => second,
    }
}

/// An agent's error without our token: some repeat in it what they were asked.
fn without_token(params: &Value, error: RpcError) -> RpcError {
    let servers = params.get("mcpServers").and_then(Value::as_array);
    let tokens = servers
        .into_iter()
        .flatten()
        .filter_map(|server| server.get("env")?.as_array())
        .flatten()
        .filter(|variable| variable.get("name").is_some_and(|name| name == TOKEN))
        .filter_map(|variable| variable.get("value")?.as_str());
    let Ok(mut text) = serde_json::to_string(&error) else {
        return error;
    };
    for token in tokens {
        text = text.replace(token, "\u{ab}token\u{bb}");
    }
    serde_json::from_str(&text).unwrap_or(error)
}

/// The same parameters with our server under a name of the thread's own; none when it is not there.
fn renamed(thread: &Thread, params: &Value) -> Option<Value> {
    let mut params = params.clone();
    let servers = params.get_mut("mcpServers")?.as_array_mut()?;
    let own = servers
        .iter_mut()
        .find(|server| server.get("name").is_some_and(|name| name == SERVER))?;
    // The end of an id is random.
    let id = thread.id.as_str();
    let end = id.get(id.len().checked_sub(8)?..)?;
    own["name"] = format!("{SERVER}-{end}").into();
    Some(params)
}

/// Ties a thread to a session that the agent has just opened.
pub(super) async fn adopt(
    room: &Room,
    thread: &Arc<Thread>,
    process: &Arc<Process>,
    session: String,
    answer: &Value,
) {
    remember(thread, answer);
    process.relay.bind(&session, thread, false);
    thread.set_process(Some(Arc::clone(process)));
    thread
        .change(room, move |row| {
            row.acp_session = Some(session.clone());
            if row.status == ThreadStatus::Disconnected {
                row.status = ThreadStatus::Active;
            }
        })
        .await;
}

/// Opens the session that the agent had; `false` when the agent does not have it any more. An error
/// that does not say so is no proof: the session stays, and only when the next opening is refused too
/// is it given up.
async fn reopen(
    room: &Room,
    thread: &Arc<Thread>,
    process: &Arc<Process>,
    session: &str,
) -> Result<bool, RpcError> {
    let info = process.agent.info();
    let method = match (info.resume, info.load_session) {
        (true, _) => "session/resume",
        (false, true) => "session/load",
        (false, false) => return Ok(false),
    };
    let params = parameters(room, thread, Some(session));
    let cwd = thread.row().cwd;
    process.relay.bind(session, thread, true);
    let ask = async |params: &Value| {
        let opened = process
            .agent
            .relay_reopen(method, session, params, Path::new(&cwd));
        opened.await
    };
    let mut answer = ask(&params).await;
    if let Err(RelayError::Rpc(error)) = &answer
        && error.code != AUTH_REQUIRED
        && !is_absent(error)
    {
        // Alone in its process, it was refused for a reason of its own.
        let shared = process.relay.serves_another(&thread.id);
        let second = match renamed(thread, &params).filter(|_| shared) {
            Some(params) => ask(&params).await,
            None => {
                tokio::time::sleep(PAUSE).await;
                ask(&params).await
            }
        };
        // When that is refused too, the first answer counts, unless the second says more.
        match second {
            Err(RelayError::Rpc(error)) if !is_absent(&error) => {}
            second => answer = second,
        }
    }
    process.relay.loaded(session);
    let error = match answer {
        Ok(answer) => {
            remember(thread, &answer);
            thread.forget(REFUSED);
            thread.set_process(Some(Arc::clone(process)));
            thread
                .change(room, |row| {
                    if row.status == ThreadStatus::Disconnected {
                        row.status = ThreadStatus::Active;
                    }
                })
                .await;
            return Ok(true);
        }
        Err(error) => error,
    };
    process.relay.unbind(session);
    match error {
        RelayError::Rpc(error) if error.code != AUTH_REQUIRED => {
            let before = thread.remembered(REFUSED);
            if is_absent(&error) || before.is_some_and(|before| before == session) {
                tracing::info!(code = error.code, thread = %thread.id, "the agent lost a session; it gets a new one");
                thread.forget(REFUSED);
                return Ok(false);
            }
            thread.remember(REFUSED, session.into());
            let mut error = without_token(&params, error);
            error.message = format!(
                "The agent could not open this conversation again: {}. Nothing is lost. Send the prompt \
                 once more; if the agent cannot open it then either, it goes on in a new session and is \
                 told what was said.",
                error.message.trim_end_matches('.')
            );
            Err(error)
        }
        error => Err(without_token(&params, relayed(error))),
    }
}

/// Whether an agent says by an error that it does not have a session. Few use the code for that, so
/// their words count too.
fn is_absent(error: &RpcError) -> bool {
    const WORDS: [&str; 10] = [
        "not found",
        "notfound",
        "no such",
        "unknown session",
        "not exist",
        "n't exist",
        "invalid session",
        "no session",
        "no conversation",
        "no rollout",
    ];
    let said = || {
        serde_json::to_string(error)
            .unwrap_or_default()
            .to_lowercase()
    };
    error.code == NOT_FOUND || {
        let said = said();
        WORDS.iter().any(|words| said.contains(words))
    }
}

fn remember(thread: &Thread, answer: &Value) {
    for key in ["modes", "configOptions"] {
        if let Some(value) = answer.get(key).filter(|value| !value.is_null()) {
            thread.remember(key, value.clone());
        }
    }
}

/// The parameters by which a thread's session is opened: what the editor gave, with our MCP server.
pub(super) fn parameters(room: &Room, thread: &Thread, session: Option<&str>) -> Value {
    let mut params = Map::new();
    if let Some(session) = session {
        params.insert("sessionId".into(), session.into());
    }
    params.insert("cwd".into(), thread.row().cwd.into());
    params.extend(thread.setup());
    let servers = params.get("mcpServers").and_then(Value::as_array);
    let mut servers: Vec<Value> = servers
        .into_iter()
        .flatten()
        .filter(|server| server.get("name").is_none_or(|name| name != SERVER))
        .cloned()
        .collect();
    servers.extend(room.ctx.mcp_server(&thread.id));
    params.insert("mcpServers".into(), servers.into());
    Value::Object(params)
}

/// What an agent's error is to the editor: its own error as it came, or that it is gone.
pub(super) fn relayed(error: RelayError) -> RpcError {
    match error {
        RelayError::Rpc(error) => error,
        RelayError::Gone(error) => unstarted(&error),
    }
}

/// What was said so far, for an agent that does not know it: people's prompts and the agent's words,
/// the newest of it.
pub(super) fn recap(room: &Room, thread: &Thread) -> Option<Value> {
    const LIMIT: usize = 64 * 1024;
    let mut text = String::new();
    let mut from = 0;
    loop {
        let entries = room
            .ctx
            .store
            .read(|read| read.transcript(&thread.id, from, 1_000))
            .ok()?;
        let Some(last) = entries.last() else { break };
        from = last.index + 1;
        for entry in &entries {
            append(&mut text, &entry.direction, &entry.frame);
        }
        if text.len() > 4 * LIMIT {
            text = tail(&text, LIMIT).to_owned();
        }
    }
    let text = tail(text.trim(), LIMIT);
    (!text.is_empty()).then(|| {
        json!({ "type": "text", "text": format!(
            "This conversation was interrupted, and you do not remember it. What was said before, \
             for your information:\n\n{text}\n\nIt goes on here:\n"
        ) })
    })
}

fn append(text: &mut String, direction: &str, frame: &Value) {
    if direction == Way::ToAgent.as_str()
        && frame.get("method").is_some_and(|m| m == "session/prompt")
    {
        text.push_str("\n\nPerson: ");
        let blocks = frame.pointer("/params/prompt").and_then(Value::as_array);
        for block in blocks.into_iter().flatten() {
            if let Some(part) = block.get("text").and_then(Value::as_str) {
                text.push_str(part);
            }
        }
        text.push_str("\n\nYou: ");
    }
    if let Some(update) = frame.pointer("/params/update")
        && update
            .get("sessionUpdate")
            .is_some_and(|kind| kind == "agent_message_chunk")
        && let Some(part) = update.pointer("/content/text").and_then(Value::as_str)
    {
        text.push_str(part);
    }
}

fn tail(text: &str, limit: usize) -> &str {
    let mut from = text.len().saturating_sub(limit);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    text.get(from..).unwrap_or_default()
}
