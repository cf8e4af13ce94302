//! What Zed's extension tells of itself: an event, for whoever follows them.

use std::sync::Arc;

use spectask_protocol::{
    Empty, EventKind, Failure, FailureKind, PROTOCOL_VERSION, Role, ZedEventParams,
};

use super::{error, face::Face};
use crate::store::StoreError;

/// The longest id of a context server or name of a command, in bytes.
const NAME_LIMIT: usize = 64;

pub(super) async fn event(
    face: Arc<Face>,
    _role: Role,
    params: ZedEventParams,
) -> Result<Empty, Failure> {
    let ZedEventParams {
        event,
        extension,
        protocol,
        name,
    } = params;
    if protocol != PROTOCOL_VERSION {
        return Err(Failure::new(
            FailureKind::VersionMismatch,
            format!("the extension speaks protocol {protocol}, the daemon {PROTOCOL_VERSION}"),
        )
        .hint("update the older of the two"));
    }
    // A name is all that a sender may choose, and it is kept.
    if !name.iter().chain([&extension]).all(|name| is_name(name)) {
        let text = "a name has letters, digits, `-`, `_`, `.` and `+`, and at most 64 of them";
        return Err(Failure::new(FailureKind::InvalidParams, text));
    }
    tracing::info!(event = event.as_str(), %extension, name, "Zed's extension");
    let kind = EventKind::ZedExtension { event, name };
    let kept = face.ctx.store.write(move |write| {
        write.emit(None, None, &kind)?;
        Ok::<_, StoreError>(())
    });
    kept.await.map_err(error::store)?;
    Ok(Empty {})
}

fn is_name(name: &str) -> bool {
    (1..=NAME_LIMIT).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.+".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for name in ["0.1.0", "0.2.0-rc.1+x", "mcp-server-spectask", "spec_x"] {
            assert!(is_name(name), "{name}");
        }
        let long = "x".repeat(NAME_LIMIT + 1);
        for name in ["", "a b", "\u{1b}[2J", "sk-ant\n", "é", &long] {
            assert!(!is_name(name), "{name:?}");
        }
    }
}
