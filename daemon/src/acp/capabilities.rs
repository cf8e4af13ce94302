//! The answer to the editor's `initialize`: the agent's own, plus what the daemon adds.

use serde_json::{Map, Value, json};

/// What the daemon does for every thread, whatever the agent can.
const ADDED: [&str; 4] = ["list", "resume", "close", "delete"];

/// The answer of an `--agent` entry: the agent's own with the daemon's additions; all else as it is.
pub(super) fn with_additions(answer: &Value) -> Value {
    let mut answer = answer.clone();
    if let Value::Object(map) = &mut answer {
        let capabilities = map
            .entry("agentCapabilities")
            .or_insert_with(|| Value::Object(Map::new()));
        add(capabilities);
    }
    answer
}

/// The answer of the `SpecTask` entry, behind which the agent may change: what agents commonly can.
pub(super) fn own() -> Value {
    let mut capabilities = json!({
        "promptCapabilities": { "image": true, "embeddedContext": true },
        "mcpCapabilities": { "http": true, "sse": true },
    });
    add(&mut capabilities);
    json!({
        "protocolVersion": 1,
        "agentInfo": {
            "name": "spectask",
            "title": "SpecTask",
            "version": env!("CARGO_PKG_VERSION"),
        },
        "agentCapabilities": capabilities,
        "authMethods": [],
    })
}

fn add(capabilities: &mut Value) {
    if !capabilities.is_object() {
        *capabilities = Value::Object(Map::new());
    }
    if let Value::Object(map) = capabilities {
        map.insert("loadSession".into(), Value::Bool(true));
        let sessions = map
            .entry("sessionCapabilities")
            .or_insert_with(|| Value::Object(Map::new()));
        if !sessions.is_object() {
            *sessions = Value::Object(Map::new());
        }
        if let Value::Object(sessions) = sessions {
            for name in ADDED {
                let there = sessions.get(name).is_some_and(|value| !value.is_null());
                if !there {
                    sessions.insert(name.into(), json!({}));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_agent_says_stays() {
        let answer = json!({
            "protocolVersion": 1,
            "agentCapabilities": {
                "loadSession": false,
                "novel": { "x": 1 },
                "sessionCapabilities": { "fork": {}, "list": { "_meta": 1 }, "close": null },
            },
            "authMethods": [{ "id": "a" }],
            "_meta": { "y": 2 },
        });
        assert_eq!(
            with_additions(&answer),
            json!({
                "protocolVersion": 1,
                "agentCapabilities": {
                    "loadSession": true,
                    "novel": { "x": 1 },
                    "sessionCapabilities": {
                        "fork": {}, "list": { "_meta": 1 }, "close": {}, "resume": {}, "delete": {},
                    },
                },
                "authMethods": [{ "id": "a" }],
                "_meta": { "y": 2 },
            })
        );
        let bare = with_additions(&json!({ "protocolVersion": 1 }));
        assert_eq!(bare["agentCapabilities"]["loadSession"], true);
        assert_eq!(own()["agentCapabilities"]["loadSession"], true);
    }
}
