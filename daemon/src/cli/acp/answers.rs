//! The frames that the shim writes itself, each on one line.

use serde_json::json;
use spectask_protocol::Failure;

use super::frame::{Id, Malformed};

/// The answer to a line that is no frame.
pub(super) fn malformed(why: &Malformed) -> String {
    let (code, message) = match why {
        Malformed::Unreadable(_) => (-32700, "Parse error"),
        Malformed::Invalid(_) => (-32600, "Invalid request"),
    };
    error(&Id::Null, code, message, &why.to_string())
}

/// The answer to a request that cannot reach the daemon. Zed shows the details in a red box below
/// the prompt, and the thread goes on.
pub(super) fn unreachable(id: &Id, failure: &Failure) -> String {
    let details = match &failure.hint {
        Some(hint) => format!("{}\n{hint}", failure.message),
        None => failure.message.clone(),
    };
    error(id, -32603, "Internal error", &details)
}

/// Takes a request of the daemon back.
pub(super) fn withdraw(id: &Id) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","method":"$/cancel_request","params":{{"requestId":{}}}}}"#,
        id.json()
    )
}

fn error(id: &Id, code: i32, message: &str, details: &str) -> String {
    let error = json!({ "code": code, "message": message, "data": { "details": details } });
    format!(r#"{{"jsonrpc":"2.0","id":{},"error":{error}}}"#, id.json())
}

#[cfg(test)]
mod tests {
    use spectask_protocol::FailureKind;

    use super::*;

    #[test]
    fn answers_are_single_lines_of_json_rpc() {
        let failure = Failure::new(FailureKind::Unavailable, "no \"daemon\"\nhere").hint("look");
        insta::assert_snapshot!(unreachable(&Id::Text("a\"b".into()), &failure), @r#"{"jsonrpc":"2.0","id":"a\"b","error":{"code":-32603,"message":"Internal error","data":{"details":"no \"daemon\"\nhere\nlook"}}}"#);
        insta::assert_snapshot!(malformed(&Malformed::Unreadable("what".into())), @r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"Parse error","data":{"details":"what"}}}"#);
        insta::assert_snapshot!(withdraw(&Id::Number("7".into())), @r#"{"jsonrpc":"2.0","method":"$/cancel_request","params":{"requestId":7}}"#);
    }
}
