//! Modes, config options, and whatever else is passed on to the agent as it came.

use std::sync::Arc;

use serde_json::{Value, json};
use spectask_protocol::{AttachParams, SessionRef};

use super::{
    editor::{Call, Editor},
    frames,
    history::{self, Shown},
    open,
    options::{AGENT, MODE, NONE, TASK},
    pool::Wanted,
    start,
    thread::Thread,
};
use crate::agents::RpcError;

/// Answers `session/set_config_option`: our selectors here, all else by the agent.
pub(super) async fn set_option(
    editor: &Arc<Editor>,
    call: &Call,
    params: Value,
) -> Result<Value, RpcError> {
    let thread = history::thread_of(editor, &params)?;
    let value = params.get("value").cloned().unwrap_or_default();
    let value = value.as_str().unwrap_or_default();
    match params.get("configId").and_then(Value::as_str) {
        Some(AGENT) => set_agent(editor, &thread, value).await?,
        Some(TASK) => set_task(editor, &thread, value).await?,
        Some(MODE) => {
            let opened = open::open(editor, &thread).await?;
            let asked = json!({ "sessionId": opened.session, "modeId": value });
            let set = opened
                .process
                .agent
                .relay("session/set_mode", &asked, &call.cancel);
            set.await.map_err(open::relayed)?;
            set_current_mode(&thread, value);
        }
        _ => {
            let mut answer = relay(editor, &thread, call, params).await?;
            if let Some(options) = answer.get("configOptions") {
                thread.remember("configOptions", options.clone());
            }
            if start::is_own_entry(&thread) {
                answer["configOptions"] = all_options(&thread);
            }
            return Ok(answer);
        }
    }
    Ok(json!({ "configOptions": all_options(&thread) }))
}

/// All options of a thread: of the `SpecTask` entry ours, then the agent's.
pub(super) fn all_options(thread: &Thread) -> Value {
    let (own, modes) = (
        thread.remembered("configOptions"),
        thread.remembered("modes"),
    );
    match thread.selectors() {
        Some(selectors) => selectors.with(own.as_ref(), modes.as_ref()).into(),
        None => own.unwrap_or_else(|| Value::Array(Vec::new())),
    }
}

/// The update that shows all options.
pub(super) fn options_update(thread: &Thread) -> Value {
    json!({ "sessionUpdate": "config_option_update", "configOptions": all_options(thread) })
}

fn set_current_mode(thread: &Thread, mode: &str) {
    if let Some(mut modes) = thread.remembered("modes") {
        modes["currentModeId"] = mode.into();
        thread.remember("modes", modes);
    }
}

async fn set_agent(editor: &Arc<Editor>, thread: &Arc<Thread>, name: &str) -> Result<(), RpcError> {
    let offered = thread.selectors().is_some_and(|selectors| {
        selectors.agents.iter().any(|agent| agent == name) || selectors.agent == name
    });
    let agent = name.parse().ok().filter(|_| offered);
    let Some(agent) = agent else {
        return Err(frames::invalid(format!("there is no agent {name:?}")));
    };
    if thread.row().agent == agent {
        return Ok(());
    }
    if thread.stream().is_some() {
        return Err(frames::internal(
            "This thread has begun with its agent. Open a new thread to work with another one.",
        ));
    }
    {
        // An opening that is under way would take its session for the new agent's.
        let _opening = thread.opening.lock().await;
        let row = thread.row();
        if let (Some(process), Some(session)) = (thread.process(), row.acp_session) {
            process.relay.unbind(&session);
            process.agent.forget_session(&session);
        }
        thread.set_process(None);
        for key in ["modes", "configOptions", "commands"] {
            thread.remember(key, Value::Null);
        }
        thread
            .change(&editor.room, move |row| {
                row.agent = agent.clone();
                row.acp_session = None;
            })
            .await;
    }
    thread.send_commands(editor);
    start::open_behind(editor, thread);
    Ok(())
}

async fn set_task(editor: &Arc<Editor>, thread: &Arc<Thread>, name: &str) -> Result<(), RpcError> {
    let task = match name {
        NONE | "" => None,
        name => Some(
            name.parse()
                .map_err(|_| frames::invalid(format!("{name:?} is no SpecTask")))?,
        ),
    };
    let client = editor.room.client(editor.peer());
    let session = SessionRef::from(thread.id.clone());
    let attach = AttachParams { session, task };
    let attached = client.call(spectask_protocol::method::WorkSessionAttach, attach);
    attached.await.map_err(|failure| frames::failed(&failure))?;
    start::show_selectors(editor, thread);
    Ok(())
}

/// Passes a request on to the agent of its session, or of the entry.
pub(super) async fn pass_on(
    editor: &Arc<Editor>,
    call: &Call,
    params: Value,
) -> Result<Value, RpcError> {
    if frames::session_of(&params).is_some() {
        let thread = match history::shown(editor, &params)? {
            Shown::Thread(thread) => thread,
            Shown::Session { .. } => {
                return Err(frames::internal(
                    "This thread shows a session that SpecTask runs: its settings are its own.",
                ));
            }
        };
        let mode = params
            .get("modeId")
            .and_then(Value::as_str)
            .map(str::to_owned);
        let answer = relay(editor, &thread, call, params).await?;
        if let (Some(mode), "session/set_mode") = (mode, call.method.as_str()) {
            set_current_mode(&thread, &mode);
        }
        return Ok(answer);
    }
    let Some(wanted) = Wanted::of(&editor.entry) else {
        let text = format!("the method `{}` is not served here", call.method);
        return Err(RpcError::new(-32601, text));
    };
    let process = editor.room.pool.get(editor, &wanted).await?;
    let answer = process.agent.relay(&call.method, &params, &call.cancel);
    answer.await.map_err(open::relayed)
}

async fn relay(
    editor: &Arc<Editor>,
    thread: &Arc<Thread>,
    call: &Call,
    params: Value,
) -> Result<Value, RpcError> {
    let opened = open::open(editor, thread).await?;
    let asked = frames::for_session(params, &opened.session);
    let answer = opened
        .process
        .agent
        .relay(&call.method, &asked, &call.cancel);
    let answer = answer.await.map_err(open::relayed)?;
    Ok(frames::for_session(answer, thread.id.as_str()))
}

/// Passes a notification on, if the agent's session is open.
pub(super) async fn pass_notification(editor: &Arc<Editor>, method: &str, params: Value) {
    let sent = match frames::session_of(&params) {
        Some(_) => {
            let Ok(thread) = history::thread_of(editor, &params) else {
                return;
            };
            let (Some(process), Some(session)) = (thread.process(), thread.row().acp_session)
            else {
                return;
            };
            let params = frames::for_session(params, &session);
            process.agent.notify(method, params).await
        }
        None => {
            let Some(wanted) = Wanted::of(&editor.entry) else {
                return;
            };
            match editor.room.pool.get(editor, &wanted).await {
                Ok(process) => process.agent.notify(method, params).await,
                Err(_) => return,
            }
        }
    };
    if let Err(error) = sent {
        tracing::debug!(%error, method, "a notification was not passed on");
    }
}
