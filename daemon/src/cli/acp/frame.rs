//! What the shim must know of a frame: the keys of its top level, no more.

use std::{borrow::Cow, rc::Rc};

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// A request's id, whatever way it was written.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Id {
    /// `null`, which ACP allows.
    Null,
    /// A number, as JSON.
    Number(String),
    /// A text.
    Text(String),
}

impl Id {
    fn read(raw: &RawValue) -> Option<Self> {
        match serde_json::from_str(raw.get()).ok()? {
            serde_json::Value::Null => Some(Self::Null),
            serde_json::Value::Number(number) => Some(Self::Number(number.to_string())),
            serde_json::Value::String(text) => Some(Self::Text(text)),
            _ => None,
        }
    }

    /// The id as JSON.
    pub(super) fn json(&self) -> String {
        match self {
            Self::Null => "null".to_owned(),
            Self::Number(number) => number.clone(),
            Self::Text(text) => serde_json::Value::from(text.as_str()).to_string(),
        }
    }
}

/// What a request asks for, as far as the shim treats it apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Asks {
    /// `initialize`.
    Initialize,
    /// `session/new`, `resume`, `fork`: opens a session.
    Open,
    /// `session/load` of that session: opens it, and sends all of it again.
    Load(Option<String>),
    /// `session/prompt` in that session.
    Prompt(Option<String>),
    /// Anything else.
    Other,
}

impl Asks {
    /// Whether an editor that a person detached attaches again with it.
    pub(super) const fn attaches(&self) -> bool {
        matches!(self, Self::Initialize | Self::Open | Self::Load(_))
    }
}

/// What a notification tells, as far as the shim treats it apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Tells {
    /// `session/cancel` of that session.
    Cancel(String),
    /// `$/cancel_request` of that request.
    CancelRequest(Id),
    /// Anything else.
    Other,
}

/// What a frame is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// It wants an answer.
    Request(Id, Asks),
    /// It wants none.
    Notification(Tells),
    /// It is an answer; whether a good one.
    Response(Id, bool),
}

/// One frame, unchanged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Frame {
    /// The JSON, on one line.
    pub(super) text: Rc<str>,
    /// What it is.
    pub(super) kind: Kind,
}

/// Why a line is no frame.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Malformed {
    /// Not JSON at all, or a batch, which ACP does not have.
    #[error("{0}")]
    Unreadable(String),
    /// JSON, but neither request nor notification nor response.
    #[error("{0}")]
    Invalid(&'static str),
}

#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    method: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "present")]
    params: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    result: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    error: Option<&'a RawValue>,
}

/// Keeps `null` apart from absent.
fn present<'de: 'a, 'a, D: Deserializer<'de>>(from: D) -> Result<Option<&'a RawValue>, D::Error> {
    <&RawValue>::deserialize(from).map(Some)
}

#[derive(Deserialize)]
struct Subject<'a> {
    #[serde(borrow, default, rename = "sessionId")]
    session: Option<Cow<'a, str>>,
    #[serde(borrow, default, rename = "requestId")]
    request: Option<&'a RawValue>,
}

impl Frame {
    /// Reads a line; none when it is blank.
    ///
    /// # Errors
    /// When it is no frame.
    pub(super) fn read(line: &[u8]) -> Result<Option<Self>, Malformed> {
        let text = std::str::from_utf8(line)
            .map_err(|error| Malformed::Unreadable(format!("not UTF-8: {error}")))?
            .trim();
        if text.is_empty() {
            return Ok(None);
        }
        if text.starts_with('[') {
            return Err(Malformed::Unreadable("ACP has no batches".to_owned()));
        }
        let kind = kind(text)?;
        Ok(Some(Self {
            text: text.into(),
            kind,
        }))
    }
}

/// What a frame is.
///
/// # Errors
/// When it is none.
pub(super) fn kind(text: &str) -> Result<Kind, Malformed> {
    let head: Head<'_> = serde_json::from_str(text)
        .map_err(|error| Malformed::Unreadable(format!("not a JSON object: {error}")))?;
    let id = match head.id.map(Id::read) {
        Some(None) => return Err(Malformed::Invalid("an id is a number, a text or null")),
        Some(id) => id,
        None => None,
    };
    match (head.method.as_deref(), id) {
        (Some(method), Some(id)) => Ok(Kind::Request(id, asks(method, head.params))),
        (Some(method), None) => Ok(Kind::Notification(tells(method, head.params))),
        (None, Some(id)) if head.result.is_some() || head.error.is_some() => {
            Ok(Kind::Response(id, head.error.is_none()))
        }
        (None, _) => Err(Malformed::Invalid(
            "neither a request nor a notification nor a response",
        )),
    }
}

/// The parameters of a request.
pub(super) fn params(text: &str) -> Option<Box<RawValue>> {
    let head: Head<'_> = serde_json::from_str(text).ok()?;
    head.params.map(ToOwned::to_owned)
}

fn asks(method: &str, params: Option<&RawValue>) -> Asks {
    match method {
        "initialize" => Asks::Initialize,
        "session/new" | "session/resume" | "session/fork" => Asks::Open,
        "session/load" => Asks::Load(session(params)),
        "session/prompt" => Asks::Prompt(session(params)),
        _ => Asks::Other,
    }
}

fn tells(method: &str, params: Option<&RawValue>) -> Tells {
    match method {
        "session/cancel" => session(params).map_or(Tells::Other, Tells::Cancel),
        "$/cancel_request" => subject(params)
            .and_then(|subject| Id::read(subject.request?))
            .map_or(Tells::Other, Tells::CancelRequest),
        _ => Tells::Other,
    }
}

fn session(params: Option<&RawValue>) -> Option<String> {
    Some(subject(params)?.session?.into_owned())
}

fn subject(params: Option<&RawValue>) -> Option<Subject<'_>> {
    serde_json::from_str(params?.get()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Kind, Malformed> {
        Frame::read(line.as_bytes()).map(|frame| frame.unwrap().kind)
    }

    #[test]
    fn frames_are_told_apart_by_their_top_level_alone() {
        let text = |id: &str| Id::Text(id.to_owned());
        let number = |id: &str| Id::Number(id.to_owned());
        for (line, kind) in [
            (
                r#" {"jsonrpc":"2.0","id":"a","method":"session\/prompt","params":{"prompt":[{"id":7}],"sessionId":"s"}} "#,
                Kind::Request(text("a"), Asks::Prompt(Some("s".into()))),
            ),
            (
                r#"{"id":1,"method":"session/load","params":{"sessionId":"s"}}"#,
                Kind::Request(number("1"), Asks::Load(Some("s".into()))),
            ),
            (
                r#"{"id":null,"method":"x","params":null}"#,
                Kind::Request(Id::Null, Asks::Other),
            ),
            (
                r#"{"method":"session/cancel","params":{"sessionId":"s"}}"#,
                Kind::Notification(Tells::Cancel("s".into())),
            ),
            (
                r#"{"method":"$/cancel_request","params":{"requestId":"\u0061"}}"#,
                Kind::Notification(Tells::CancelRequest(text("a"))),
            ),
            (
                r#"{"method":"session/cancel","params":[1]}"#,
                Kind::Notification(Tells::Other),
            ),
            (
                r#"{"id":"b","result":null}"#,
                Kind::Response(text("b"), true),
            ),
            (
                r#"{"error":{"code":1},"id":2}"#,
                Kind::Response(number("2"), false),
            ),
        ] {
            assert_eq!(read(line), Ok(kind), "{line}");
        }
    }

    #[test]
    fn what_is_no_frame_is_told_why() {
        for line in [
            "hello",
            r#"{"id":1,"method":"x""#,
            "[{}]",
            "7",
            "{\"a\":\u{1}}",
        ] {
            assert!(
                matches!(read(line), Err(Malformed::Unreadable(_))),
                "{line}"
            );
        }
        for line in ["{}", r#"{"id":{},"method":"x"}"#, r#"{"id":1}"#] {
            assert!(matches!(read(line), Err(Malformed::Invalid(_))), "{line}");
        }
        assert!(matches!(
            Frame::read(b"{\"id\":1,\"method\":\"\xff\"}"),
            Err(Malformed::Unreadable(_))
        ));
        assert_eq!(Frame::read(b" \r"), Ok(None));
        // However deep: nothing is built from it.
        let deep = format!(
            r#"{{"id":1,"method":"x","params":{}{}}}"#,
            "[".repeat(100_000),
            "]".repeat(100_000)
        );
        assert!(read(&deep).is_ok());
    }
}
