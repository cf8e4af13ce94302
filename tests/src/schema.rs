//! Whether a frame is what the protocol's official schema says it is.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use jsonschema::Validator;
use serde_json::{Map, Value, json};

use crate::clients;

/// Which end of the protocol a frame comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The client: an editor.
    Client,
    /// The agent.
    Agent,
}

/// The kinds of updates a 1.11 editor knows. Any other is lost on it.
const UPDATES: [&str; 11] = [
    "user_message_chunk",
    "agent_message_chunk",
    "agent_thought_chunk",
    "tool_call",
    "tool_call_update",
    "plan",
    "available_commands_update",
    "current_mode_update",
    "config_option_update",
    "session_info_update",
    "usage_update",
];

/// The definitions, and a validator for each that was used.
struct Schema {
    /// Name of the definition of a method's parameters and result: stable before unstable.
    requests: BTreeMap<String, (Release, String)>,
    results: BTreeMap<String, (Release, String)>,
    definitions: [Map<String, Value>; 2],
    validators: Mutex<HashMap<(Release, String), Arc<Validator>>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Release {
    Stable,
    Unstable,
}

fn schema() -> &'static Schema {
    static SCHEMA: OnceLock<Schema> = OnceLock::new();
    SCHEMA.get_or_init(|| {
        let folder = clients::schema_folder();
        let read = |name: &str| -> Map<String, Value> {
            let path = folder.join(name);
            let text = std::fs::read_to_string(&path)
                .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let schema: Value = serde_json::from_str(&text).expect("the schema is JSON");
            schema["$defs"].as_object().expect("definitions").clone()
        };
        let definitions = [read("schema.json"), read("schema.unstable.json")];
        let (mut requests, mut results) = (BTreeMap::new(), BTreeMap::new());
        for (release, definitions) in [Release::Unstable, Release::Stable]
            .into_iter()
            .zip([&definitions[1], &definitions[0]])
        {
            for (name, definition) in definitions {
                let Some(method) = definition["x-method"].as_str() else {
                    continue;
                };
                let table = if name.ends_with("Response") {
                    &mut results
                } else {
                    &mut requests
                };
                table.insert(method.to_owned(), (release, name.clone()));
            }
        }
        Schema {
            requests,
            results,
            definitions,
            validators: Mutex::default(),
        }
    })
}

impl Schema {
    fn validator(&self, key: &(Release, String)) -> Arc<Validator> {
        let mut validators = self
            .validators
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let made = validators.entry(key.clone()).or_insert_with(|| {
            let definitions = &self.definitions[usize::from(key.0 == Release::Unstable)];
            let schema = json!({
                "$schema": "https://json-schema.org/draft/2020-12/schema",
                "$ref": format!("#/$defs/{}", key.1),
                "$defs": definitions,
            });
            Arc::new(jsonschema::validator_for(&schema).expect("the official schema compiles"))
        });
        Arc::clone(made)
    }

    fn check(&self, key: &(Release, String), value: &Value) -> Result<(), String> {
        match self.validator(key).iter_errors(value).next() {
            None => Ok(()),
            Some(error) => Err(format!("{} at {}: {error}", key.1, error.instance_path())),
        }
    }
}

/// Makes the validators of common frames, which takes a while: a reader of frames must not be held
/// up by it.
pub fn warm() {
    static WARM: OnceLock<()> = OnceLock::new();
    WARM.get_or_init(|| {
        let schema = schema();
        for table in [&schema.requests, &schema.results] {
            let common = table
                .iter()
                .filter(|(method, _)| method.starts_with("session/") || *method == "initialize");
            for (_, key) in common {
                drop(schema.validator(key));
            }
        }
    });
}

/// Checks the frames of one end of a connection against those of the other, in their order.
#[derive(Debug, Default)]
pub struct Checker {
    /// Method by id of requests, for each side.
    open: [HashMap<String, String>; 2],
    /// How many updates of a kind were checked; a flood is checked by samples.
    seen: HashMap<String, u64>,
}

/// So many updates of a kind are all checked, then each hundredth.
const ALL_OF: u64 = 300;

impl Checker {
    /// Checks a frame that `from` sent.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&mut self, from: Side, frame: &Value) -> Result<(), String> {
        let wrong = |what: &str| Err(format!("{what}: {}", shorten(frame)));
        let Some(members) = frame.as_object() else {
            return wrong("no object");
        };
        if frame["jsonrpc"] != "2.0" {
            return wrong("no JSON-RPC 2.0");
        }
        if let Some(odd) = members.keys().find(|name| {
            !["jsonrpc", "id", "method", "params", "result", "error"].contains(&name.as_str())
        }) {
            return wrong(&format!("a member {odd}"));
        }
        let outcome = match (frame["method"].as_str(), frame.get("id")) {
            (Some(method), id) => {
                if frame.get("result").is_some() || frame.get("error").is_some() {
                    return wrong("a request with a result");
                }
                if let Some(id) = id {
                    let before = self.open[from as usize].insert(id.to_string(), method.to_owned());
                    if before.is_some() {
                        return wrong("an id that is open already");
                    }
                }
                self.check_params(method, &frame["params"])
            }
            (None, Some(id)) => {
                if frame.get("result").is_some() == frame.get("error").is_some() {
                    return wrong("neither or both of result and error");
                }
                self.check_answer(from, id, frame)
            }
            (None, None) => return wrong("neither method nor id"),
        };
        outcome.or_else(|error| wrong(&error))
    }

    fn check_params(&mut self, method: &str, params: &Value) -> Result<(), String> {
        if method == "session/update" {
            let kind = params["update"]["sessionUpdate"].as_str().unwrap_or("");
            if !UPDATES.contains(&kind) {
                return Err(format!("an update of kind {kind:?}"));
            }
            let seen = self.seen.entry(kind.to_owned()).or_default();
            *seen += 1;
            if *seen > ALL_OF && !seen.is_multiple_of(100) {
                return Ok(());
            }
        }
        match schema().requests.get(method) {
            Some(key) => schema().check(key, params),
            // An extension.
            None if method.starts_with('_') => Ok(()),
            None => Err(format!("a method {method} that the schema does not know")),
        }
    }

    fn check_answer(&mut self, from: Side, id: &Value, frame: &Value) -> Result<(), String> {
        let asker = match from {
            Side::Client => Side::Agent,
            Side::Agent => Side::Client,
        };
        if let Some(error) = frame.get("error") {
            schema().check(&(Release::Stable, "Error".to_owned()), error)?;
            if id.is_null() {
                return Ok(());
            }
        }
        let Some(method) = self.open[asker as usize].remove(&id.to_string()) else {
            return Err("an answer to nothing, or a second one".to_owned());
        };
        match (frame.get("result"), schema().results.get(&method)) {
            (Some(result), Some(key)) => schema().check(key, result),
            _ => Ok(()),
        }
    }

    /// Methods of the requests of a side that were not answered.
    #[must_use]
    pub fn unanswered(&self, from: Side) -> Vec<&str> {
        let methods = self.open[from as usize].values();
        methods.map(String::as_str).collect()
    }
}

fn shorten(frame: &Value) -> String {
    let mut text = frame.to_string();
    if let Some((end, _)) = text.char_indices().nth(2000) {
        text.truncate(end);
        text.push('…');
    }
    text
}

/// Checks every frame in the log of an echo agent that its client sent.
///
/// # Panics
/// When the log cannot be read.
#[must_use]
pub fn faults_in_log(log: &Path) -> Vec<String> {
    let mut checkers: HashMap<u64, Checker> = HashMap::new();
    crate::env::json_lines(log)
        .iter()
        .filter_map(|line| {
            let checker = checkers.entry(line["pid"].as_u64()?).or_default();
            let (side, ours) = match line["dir"].as_str()? {
                "in" => (Side::Client, true),
                _ => (Side::Agent, false),
            };
            let outcome = checker.check(side, &line["frame"]);
            outcome.err().filter(|_| ours)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_schema_forbids_is_found() {
        let mut checker = Checker::default();
        let new = json!({"jsonrpc": "2.0", "id": "a", "method": "session/new",
            "params": {"cwd": "/", "mcpServers": []}});
        assert_eq!(checker.check(Side::Client, &new), Ok(()));
        assert!(checker.check(Side::Client, &new).is_err(), "the id is open");
        let answer = json!({"jsonrpc": "2.0", "id": "a", "result": {"sessionId": "s"}});
        assert_eq!(checker.check(Side::Agent, &answer), Ok(()));
        assert!(
            checker.check(Side::Agent, &answer).is_err(),
            "answered twice"
        );
        let update = |update: Value| {
            json!({"jsonrpc": "2.0", "method": "session/update",
                "params": {"sessionId": "s", "update": update}})
        };
        let text = json!({"type": "text", "text": "x"});
        let good = update(json!({"sessionUpdate": "agent_message_chunk", "content": text}));
        assert_eq!(checker.check(Side::Agent, &good), Ok(()));
        for bad in [
            json!({"sessionUpdate": "agent_message_chunk", "content": "x"}),
            json!({"sessionUpdate": "an_unheard_of_kind", "content": text}),
            json!({"sessionUpdate": "tool_call", "title": "no id"}),
        ] {
            assert!(checker.check(Side::Agent, &update(bad)).is_err());
        }
        let bad = json!({"jsonrpc": "2.0", "id": 1, "method": "session/request_permission",
            "params": {"sessionId": "s", "toolCall": {}, "options": []}});
        assert!(checker.check(Side::Agent, &bad).is_err());
        let fork = json!({"jsonrpc": "2.0", "id": "f", "method": "session/fork",
            "params": {"sessionId": "s", "cwd": "/"}});
        assert_eq!(checker.check(Side::Client, &fork), Ok(()));
    }
}
