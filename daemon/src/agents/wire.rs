//! JSON-RPC frames, one per line, as raw JSON.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _};

/// The longest frame an agent may send.
pub(super) const MAX_FRAME: usize = if cfg!(test) { 1 << 20 } else { 64 << 20 };

/// An error object of JSON-RPC.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RpcError {
    /// The code; ACP's own are -32000 (login required), -32002 (not found), -32800 (cancelled).
    pub code: i64,
    /// One sentence.
    pub message: String,
    /// More, in the sender's own shape.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Value>,
}

impl RpcError {
    pub(super) const AUTH_REQUIRED: i64 = -32000;
    pub(super) const NOT_FOUND: i64 = -32002;
    pub(super) const CANCELLED: i64 = -32800;

    /// An error with `code` and `message`.
    #[must_use]
    pub fn new(code: i64, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            data: None,
        }
    }

    pub(super) fn method_not_found(method: &str) -> Self {
        Self::new(-32601, format!("the method `{method}` is not served here"))
    }

    pub(super) fn invalid_params(message: impl Into<String>) -> Self {
        Self::new(-32602, message)
    }

    pub(super) fn internal(message: impl Into<String>) -> Self {
        Self::new(-32603, message)
    }

    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self::new(Self::NOT_FOUND, message)
    }

    pub(super) fn cancelled() -> Self {
        Self::new(Self::CANCELLED, "the request was cancelled")
    }
}

impl fmt::Display for RpcError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "{} (code {})",
            super::update::one_line(&self.message, 500),
            self.code
        )?;
        let detail = match &self.data {
            None | Some(Value::Null) => return Ok(()),
            Some(Value::String(text)) => text.clone(),
            Some(Value::Object(map)) => match map.get("details").or_else(|| map.get("message")) {
                Some(Value::String(text)) => text.clone(),
                _ => Value::Object(map.clone()).to_string(),
            },
            Some(other) => other.to_string(),
        };
        write!(out, ": {}", super::update::one_line(&detail, 500))
    }
}

/// What a frame is.
#[derive(Debug)]
pub(super) enum Frame<'a> {
    Request {
        id: &'a Value,
        method: &'a str,
        params: &'a Value,
    },
    Notification {
        method: &'a str,
        params: &'a Value,
    },
    Response {
        id: &'a Value,
        outcome: Result<&'a Value, &'a Value>,
    },
    /// JSON, but no JSON-RPC message.
    Other,
}

/// Tells what `frame` is by its members; `jsonrpc` itself is not insisted on.
pub(super) fn classify(frame: &Value) -> Frame<'_> {
    const NULL: &Value = &Value::Null;
    let Value::Object(map) = frame else {
        return Frame::Other;
    };
    let params = map.get("params").unwrap_or(NULL);
    match (map.get("method"), map.get("id")) {
        (Some(Value::String(method)), Some(id)) if !id.is_null() => {
            Frame::Request { id, method, params }
        }
        (Some(Value::String(method)), _) => Frame::Notification { method, params },
        (None, Some(id)) => match (map.get("error"), map.get("result")) {
            (Some(error), _) if !error.is_null() => Frame::Response {
                id,
                outcome: Err(error),
            },
            (_, Some(result)) => Frame::Response {
                id,
                outcome: Ok(result),
            },
            _ => Frame::Other,
        },
        _ => Frame::Other,
    }
}

pub(super) fn request(id: u64, method: &str, params: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
}

pub(super) fn notification(method: &str, params: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "method": method, "params": params })
}

pub(super) fn response(id: &Value, outcome: Result<Value, RpcError>) -> Value {
    match outcome {
        Ok(result) => json!({ "jsonrpc": "2.0", "id": id, "result": result }),
        Err(error) => json!({ "jsonrpc": "2.0", "id": id, "error": error }),
    }
}

/// The error object of a response, whatever its shape.
pub(super) fn read_error(error: &Value) -> RpcError {
    serde_json::from_value(error.clone()).unwrap_or_else(|_| RpcError {
        code: error.get("code").and_then(Value::as_i64).unwrap_or(-32603),
        message: match error.get("message").and_then(Value::as_str) {
            Some(message) => message.to_owned(),
            None => error.to_string(),
        },
        data: error.get("data").cloned(),
    })
}

/// Why no further line can be read.
#[derive(Debug)]
pub(super) enum LineEnd {
    Eof,
    TooLong,
    Io(std::io::Error),
}

/// Reads the next line, without its end, into `line`, which is cleared first.
///
/// Not safe to cancel in the middle: a part of the line would be lost.
pub(super) async fn read_line<R: AsyncBufRead + Unpin>(
    reader: &mut R,
    line: &mut Vec<u8>,
    limit: usize,
) -> Result<(), LineEnd> {
    line.clear();
    if line.capacity() > 1024 * 1024 {
        // One huge frame must not cost its memory for the rest of the connection.
        *line = Vec::new();
    }
    loop {
        let chunk = reader.fill_buf().await.map_err(LineEnd::Io)?;
        if chunk.is_empty() {
            // A last line without an end still counts.
            return if line.is_empty() {
                Err(LineEnd::Eof)
            } else {
                Ok(())
            };
        }
        let end = chunk.iter().position(|&byte| byte == b'\n');
        let taken = end.unwrap_or(chunk.len());
        if line.len() + taken > limit {
            return Err(LineEnd::TooLong);
        }
        line.extend_from_slice(&chunk[..taken]);
        let used = if end.is_some() { taken + 1 } else { taken };
        reader.consume(used);
        if end.is_some() {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(frame: &Value) -> &'static str {
        match classify(frame) {
            Frame::Request { .. } => "request",
            Frame::Notification { .. } => "notification",
            Frame::Response { outcome: Ok(_), .. } => "result",
            Frame::Response { .. } => "error",
            Frame::Other => "other",
        }
    }

    #[test]
    fn frames_are_told_apart() {
        assert_eq!(kind(&json!({"id": "x", "method": "m"})), "request");
        assert_eq!(kind(&json!({"method": "m", "params": {}})), "notification");
        assert_eq!(kind(&json!({"id": null, "method": "m"})), "notification");
        assert_eq!(kind(&json!({"id": 1, "result": null})), "result");
        assert_eq!(
            kind(&json!({"id": 1, "result": null, "error": {"code": 1}})),
            "error"
        );
        assert_eq!(
            kind(&json!({"id": 1, "result": 2, "error": null})),
            "result"
        );
        for other in [
            json!([]),
            json!({"id": 1}),
            json!({"method": 3}),
            json!("x"),
            json!({}),
        ] {
            assert_eq!(kind(&other), "other", "{other}");
        }
    }

    #[test]
    fn an_error_of_any_shape_is_read() {
        assert_eq!(
            read_error(&json!({"code": -32000, "message": "m"})),
            RpcError::new(-32000, "m")
        );
        assert_eq!(read_error(&json!("broken")).message, "\"broken\"");
        assert_eq!(
            read_error(&json!({"message": "only"})),
            RpcError::new(-32603, "only")
        );
        let with_data = read_error(&json!({"code": 1, "message": "m", "data": {"details": "d"}}));
        assert_eq!(with_data.to_string(), "m (code 1): d");
    }

    async fn lines(input: &[u8], limit: usize) -> (Vec<String>, LineEnd) {
        let mut reader = tokio::io::BufReader::with_capacity(3, input);
        let (mut line, mut all) = (Vec::new(), Vec::new());
        loop {
            match read_line(&mut reader, &mut line, limit).await {
                Ok(()) => all.push(String::from_utf8_lossy(&line).into_owned()),
                Err(end) => return (all, end),
            }
        }
    }

    #[tokio::test]
    async fn lines_are_split_and_bounded() {
        let (all, end) = lines(b"one\n\nthree\nlast", 5).await;
        assert_eq!(all, ["one", "", "three", "last"]);
        assert!(matches!(end, LineEnd::Eof));
        let (all, end) = lines(b"one\nlonger\n", 5).await;
        assert_eq!(all, ["one"]);
        assert!(matches!(end, LineEnd::TooLong));
    }
}
