//! JSON-RPC frames of ACP, as raw JSON.

use serde_json::{Map, Value, json};
use spectask_protocol::Failure;

use crate::{agents::RpcError, commands};

/// What a frame of the editor is.
pub(super) enum Incoming {
    Request {
        id: Value,
        method: String,
        params: Value,
    },
    Notification {
        method: String,
        params: Value,
    },
    Response {
        id: Value,
        outcome: Result<Value, RpcError>,
    },
    /// No JSON-RPC message.
    Other,
}

pub(super) fn read(frame: Value) -> Incoming {
    let Value::Object(mut map) = frame else {
        return Incoming::Other;
    };
    let id = map.remove("id").filter(|id| !id.is_null());
    let params = map.remove("params").unwrap_or(Value::Null);
    match (map.remove("method"), id) {
        (Some(Value::String(method)), Some(id)) => Incoming::Request { id, method, params },
        (Some(Value::String(method)), None) => Incoming::Notification { method, params },
        (None, Some(id)) => match (map.remove("error"), map.remove("result")) {
            (Some(error), _) if !error.is_null() => Incoming::Response {
                id,
                outcome: Err(serde_json::from_value(error).unwrap_or_else(|_| {
                    internal("the editor answered with an error that does not fit")
                })),
            },
            (_, Some(result)) => Incoming::Response {
                id,
                outcome: Ok(result),
            },
            _ => Incoming::Other,
        },
        _ => Incoming::Other,
    }
}

pub(super) fn response(id: &Value, outcome: Result<Value, RpcError>) -> Value {
    match outcome {
        Ok(result) => json!({ "jsonrpc": "2.0", "id": id, "result": result }),
        Err(error) => json!({ "jsonrpc": "2.0", "id": id, "error": error }),
    }
}

pub(super) fn request(id: &Value, method: &str, params: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
}

pub(super) fn notification(method: &str, params: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "method": method, "params": params })
}

/// A `session/update` of a session.
pub(super) fn update(session: &str, update: &Value) -> Value {
    notification(
        "session/update",
        &json!({ "sessionId": session, "update": update }),
    )
}

/// An agent message of the daemon's own.
pub(super) fn message(text: &str, id: &str) -> Value {
    json!({
        "sessionUpdate": "agent_message_chunk",
        "messageId": id,
        "content": { "type": "text", "text": text },
    })
}

/// `params` for another session: `sessionId` replaced in its place.
pub(super) fn for_session(mut params: Value, session: &str) -> Value {
    if let Some(id) = params.get_mut("sessionId") {
        *id = Value::String(session.to_owned());
    }
    params
}

/// The session that parameters name.
pub(super) fn session_of(params: &Value) -> Option<&str> {
    params.get("sessionId")?.as_str()
}

/// Why no session can be told from the parameters of a request, if that is so: its id has another type,
/// or is missing where the method is about a session that is open.
pub(super) fn misnamed(method: &str, params: &Value) -> Option<RpcError> {
    const ABOUT_ONE: [&str; 8] = [
        "session/prompt",
        "session/load",
        "session/resume",
        "session/fork",
        "session/close",
        "session/delete",
        "session/set_mode",
        "session/set_config_option",
    ];
    let needed = ABOUT_ONE.contains(&method);
    let kind = match params.get("sessionId") {
        Some(Value::String(_)) => return None,
        None | Some(Value::Null) if !needed => return None,
        None => {
            return Some(invalid(
                "`sessionId` is missing: the id of a session, a string",
            ));
        }
        Some(Value::Null) => "null",
        Some(Value::Bool(_)) => "a boolean",
        Some(Value::Number(_)) => "a number",
        Some(Value::Array(_)) => "an array",
        Some(Value::Object(_)) => "an object",
    };
    Some(invalid(format!(
        "`sessionId` must be a string, the id of a session, not {kind}"
    )))
}

/// The members of an object; none of anything else.
pub(super) fn members(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

/// An error that Zed shows as a red box while the thread stays usable.
pub(super) fn internal(text: impl Into<String>) -> RpcError {
    let text = text.into();
    RpcError {
        code: -32603,
        message: text.clone(),
        data: Some(json!({ "details": text })),
    }
}

pub(super) fn invalid(text: impl Into<String>) -> RpcError {
    RpcError::new(-32602, text)
}

pub(super) fn not_found(text: impl Into<String>) -> RpcError {
    RpcError::new(-32002, text)
}

/// A failure of the daemon, with what to do next.
pub(super) fn failed(failure: &Failure) -> RpcError {
    let text = match &failure.hint {
        Some(hint) => format!("{}\n{hint}", failure.message),
        None => failure.message.clone(),
    };
    internal(commands::in_thread(&text))
}
