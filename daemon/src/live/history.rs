//! What an agent repeats when it loads a session, and what the transcript has already.

use serde_json::Value;

use super::Way;

/// Tells the updates between the daemon's `session/load` and its answer from new ones.
#[derive(Debug, Default)]
pub struct History {
    /// Requests that are open: id, and the agent's session.
    loading: Vec<(Value, String)>,
}

impl History {
    /// Sees a frame of an agent's connection; says whether it repeats what was said before.
    pub fn repeats(&mut self, way: Way, frame: &Value) -> bool {
        let method = frame.get("method").and_then(Value::as_str);
        match (way, method) {
            (Way::ToAgent, Some("session/load")) => {
                if let (Some(id), Some(session)) = (frame.get("id"), session_of(frame)) {
                    self.loading.push((id.clone(), session.to_owned()));
                }
                false
            }
            _ if self.loading.is_empty() => false,
            (Way::FromAgent, Some("session/update")) => session_of(frame)
                .is_some_and(|session| self.loading.iter().any(|(_, loading)| loading == session)),
            (Way::FromAgent, None) => {
                if let Some(id) = frame.get("id") {
                    self.loading.retain(|(open, _)| open != id);
                }
                false
            }
            _ => false,
        }
    }
}

fn session_of(frame: &Value) -> Option<&str> {
    frame.get("params")?.get("sessionId")?.as_str()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_updates_of_a_session_that_loads_are_repeated() {
        let update =
            |session| json!({ "method": "session/update", "params": { "sessionId": session } });
        let load = json!({ "id": 3, "method": "session/load", "params": { "sessionId": "a" } });
        let mut history = History::default();
        let mut sees = |way, frame: &Value| history.repeats(way, frame);
        assert!(!sees(Way::FromAgent, &update("a")));
        assert!(!sees(Way::ToAgent, &load));
        assert!(sees(Way::FromAgent, &update("a")));
        assert!(!sees(Way::FromAgent, &update("b")));
        // A request of the agent with the same id is no answer.
        let request = json!({ "id": 3, "method": "fs/read_text_file", "params": {} });
        assert!(!sees(Way::FromAgent, &request));
        assert!(sees(Way::FromAgent, &update("a")));
        assert!(!sees(Way::FromAgent, &json!({ "id": 3, "error": {} })));
        assert!(!sees(Way::FromAgent, &update("a")));
    }
}
