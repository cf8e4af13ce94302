//! The selectors of the `SpecTask` entry: *Agent* and *SpecTask* ahead of the agent's own.

use serde_json::{Value, json};

/// The id of the *Agent* selector.
pub(super) const AGENT: &str = "spectask.agent";
/// The id of the *SpecTask* selector.
pub(super) const TASK: &str = "spectask.task";
/// The id of the selector that stands for the modes of an agent that has no config options: editors
/// ignore modes when there are options.
pub(super) const MODE: &str = "spectask.mode";
/// The value of the *SpecTask* selector that stands for none.
pub(super) const NONE: &str = "none";

/// What the selectors offer, and what is chosen.
#[derive(Debug, Clone, Default)]
pub(super) struct Selectors {
    pub(super) agents: Vec<String>,
    pub(super) agent: String,
    /// Names and titles.
    pub(super) tasks: Vec<(String, String)>,
    pub(super) task: Option<String>,
}

impl Selectors {
    /// The config options of a session: ours, then the agent's own.
    pub(super) fn with(&self, own: Option<&Value>, modes: Option<&Value>) -> Vec<Value> {
        let mut options = vec![
            select(
                AGENT,
                "Agent",
                "The agent that works in this thread",
                &self.agent,
                self.agents
                    .iter()
                    .map(|name| (name.clone(), name.clone()))
                    .collect(),
            ),
            select(
                TASK,
                "SpecTask",
                "The SpecTask this thread belongs to",
                self.task.as_deref().unwrap_or(NONE),
                std::iter::once((NONE.to_owned(), "None".to_owned()))
                    .chain(
                        self.tasks
                            .iter()
                            .map(|(name, title)| (name.clone(), format!("{name}: {title}"))),
                    )
                    .collect(),
            ),
        ];
        let own = own.and_then(Value::as_array).filter(|own| !own.is_empty());
        match (own, modes) {
            (Some(own), _) => options.extend(own.iter().cloned()),
            (None, Some(modes)) => options.extend(from_modes(modes)),
            (None, None) => {}
        }
        options
    }
}

fn select(
    id: &str,
    name: &str,
    description: &str,
    current: &str,
    mut values: Vec<(String, String)>,
) -> Value {
    if !values.iter().any(|(value, _)| value == current) {
        values.insert(0, (current.to_owned(), current.to_owned()));
    }
    let values: Vec<Value> = values
        .into_iter()
        .map(|(value, name)| json!({ "value": value, "name": name }))
        .collect();
    json!({
        "id": id,
        "name": name,
        "description": description,
        "type": "select",
        "currentValue": current,
        "options": values,
    })
}

fn from_modes(modes: &Value) -> Option<Value> {
    let current = modes.get("currentModeId")?.as_str()?;
    let values = modes
        .get("availableModes")?
        .as_array()?
        .iter()
        .filter_map(|mode| {
            let id = mode.get("id")?.as_str()?;
            let name = mode.get("name").and_then(Value::as_str).unwrap_or(id);
            Some((id.to_owned(), name.to_owned()))
        })
        .collect();
    let mut option = select(MODE, "Mode", "The agent's session mode", current, values);
    option["category"] = "mode".into();
    Some(option)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selectors() -> Selectors {
        Selectors {
            agents: vec!["claude".into(), "gemini".into()],
            agent: "gemini".into(),
            tasks: vec![("7-auth".into(), "Auth".into())],
            task: Some("7-auth".into()),
        }
    }

    fn ids(options: &[Value]) -> Vec<&str> {
        options
            .iter()
            .filter_map(|option| option["id"].as_str())
            .collect()
    }

    #[test]
    fn ours_come_first_and_modes_stand_in_for_missing_options() {
        let modes = json!({ "currentModeId": "b", "availableModes": [{ "id": "a", "name": "A" }, { "id": "b" }] });
        let own = json!([{ "id": "model" }]);
        assert_eq!(
            ids(&selectors().with(Some(&own), Some(&modes))),
            [AGENT, TASK, "model"]
        );
        let options = selectors().with(None, Some(&modes));
        assert_eq!(ids(&options), [AGENT, TASK, MODE]);
        assert_eq!(options[0]["currentValue"], "gemini");
        assert_eq!(options[1]["currentValue"], "7-auth");
        assert_eq!(options[2]["currentValue"], "b");
        assert_eq!(options[2]["options"][1]["name"], "b");
        assert_eq!(
            ids(&selectors().with(Some(&json!([])), None)),
            [AGENT, TASK]
        );
    }

    #[test]
    fn what_is_chosen_is_always_offered() {
        let mut selectors = selectors();
        selectors.agent = "gone".into();
        selectors.task = None;
        let options = selectors.with(None, None);
        assert_eq!(options[0]["options"][0]["value"], "gone");
        assert_eq!(options[1]["currentValue"], NONE);
    }
}
