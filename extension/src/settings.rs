//! What Zed's settings say of the context server. The type that describes them to people is the daemon's,
//! whose schema Zed shows; the program may not be there yet when they are read, so they are read here.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;
use zed_extension_api::settings::ContextServerSettings;

/// The settings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Settings {
    /// The `spectask` program.
    pub(crate) path: Option<String>,
    /// Variables for it, sorted.
    pub(crate) env: Vec<(String, String)>,
}

impl Settings {
    /// From what Zed tells. A `command` of older settings counts where `settings` say nothing.
    ///
    /// # Errors
    /// When `settings` has another shape.
    pub(crate) fn read(told: Option<ContextServerSettings>) -> Result<Self, String> {
        let Some(told) = told else {
            return Ok(Self::default());
        };
        let own = told.settings.unwrap_or_default();
        if !own.is_null() && !own.is_object() {
            return Err(nonsense("they are no object"));
        }
        let path = match own.get("path") {
            None | Some(Value::Null) => None,
            Some(Value::String(path)) => Some(path.clone()),
            Some(_) => return Err(nonsense("`path` is no text")),
        };
        let (old_path, old_env) = told
            .command
            .map(|command| (command.path, command.env))
            .unwrap_or_default();
        let env = match own.get("env") {
            None | Some(Value::Null) => sorted(old_env.unwrap_or_default()),
            Some(Value::Object(env)) => {
                let variable = |(name, value): (&String, &Value)| match value {
                    Value::String(value) => Ok((name.clone(), value.clone())),
                    _ => Err(nonsense("a variable in `env` is no text")),
                };
                env.iter().map(variable).collect::<Result<_, _>>()?
            }
            Some(_) => return Err(nonsense("`env` is no object")),
        };
        let filled = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
        Ok(Self {
            path: filled(path).or(filled(old_path)),
            env,
        })
    }
}

fn nonsense(reason: &str) -> String {
    format!("Zed's settings of SpecTask's context server make no sense: {reason}")
}

fn sorted(variables: HashMap<String, String>) -> Vec<(String, String)> {
    // By inserting: the standard sort is a twentieth of the component.
    let mut sorted = BTreeMap::new();
    for (name, value) in variables {
        sorted.insert(name, value);
    }
    sorted.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(value: Value) -> Result<Settings, String> {
        Settings::read(Some(serde_json::from_value(value).unwrap()))
    }

    fn settings(path: Option<&str>, env: &[(&str, &str)]) -> Settings {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Settings {
            path: path.map(str::to_owned),
            env: env.iter().map(own).collect(),
        }
    }

    #[test]
    fn settings_are_optional() {
        assert_eq!(Settings::read(None).unwrap(), Settings::default());
        for value in [
            json!({}),
            json!({ "command": null, "settings": null }),
            json!({ "settings": {} }),
            json!({ "settings": { "path": null, "env": {} } }),
            json!({ "settings": { "path": " " } }),
        ] {
            assert_eq!(read(value.clone()).unwrap(), Settings::default(), "{value}");
        }
    }

    #[test]
    fn the_settings_win_over_a_command() {
        let both = json!({
            "command": { "path": "/old", "arguments": ["x"], "env": { "B": "2", "A": "1" } },
            "settings": { "path": "/new", "env": { "C": "3" } },
        });
        assert_eq!(
            read(both.clone()).unwrap(),
            settings(Some("/new"), &[("C", "3")])
        );
        let old = json!({ "command": both["command"] });
        assert_eq!(
            read(old).unwrap(),
            settings(Some("/old"), &[("A", "1"), ("B", "2")])
        );
    }

    #[test]
    fn nonsense_is_told() {
        for settings in [
            json!(7),
            json!([]),
            json!({ "path": 7 }),
            json!({ "env": [] }),
            json!({ "env": { "A": 1 } }),
        ] {
            let error = read(json!({ "settings": settings })).unwrap_err();
            assert!(
                error.starts_with("Zed's settings of SpecTask's context server make no sense: "),
                "{error}"
            );
        }
    }
}
