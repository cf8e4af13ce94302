//! What Zed's settings say of the context server. The type that describes them to people is the daemon's,
//! whose schema Zed shows; the program may not be there yet when they are read, so they are read here.

use serde_json::Value;
use zed_extension_api::settings::ContextServerSettings;

/// The settings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Settings {
    /// The `spectask` program.
    pub(crate) binary: Option<String>,
    /// Variables for it.
    pub(crate) env: Vec<(String, String)>,
}

impl Settings {
    /// From what Zed tells. `command.path` of older settings counts as `binary`.
    ///
    /// # Errors
    /// When `settings` has another shape.
    pub(crate) fn read(told: Option<ContextServerSettings>) -> Result<Self, String> {
        let Some(told) = told else {
            return Ok(Self::default());
        };
        let (path, variables) = told
            .command
            .map(|command| (command.path, command.env))
            .unwrap_or_default();
        let own = told.settings.unwrap_or_default();
        let binary = match own.get("binary") {
            None | Some(Value::Null) => path,
            Some(Value::String(binary)) => Some(binary.clone()),
            Some(_) => return Err(nonsense("binary", "no text")),
        };
        let env = match own.get("env") {
            None | Some(Value::Null) => variables.into_iter().flatten().collect(),
            Some(Value::Object(env)) => env
                .iter()
                .map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
                .collect::<Option<_>>()
                .ok_or_else(|| nonsense("env", "not only text"))?,
            Some(_) => return Err(nonsense("env", "no object")),
        };
        Ok(Self {
            binary: binary.filter(|path| !path.trim().is_empty()),
            env,
        })
    }
}

fn nonsense(name: &str, problem: &str) -> String {
    format!("in Zed's settings of SpecTask's context server, `{name}` is {problem}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(value: Value) -> Result<Settings, String> {
        Settings::read(Some(serde_json::from_value(value).unwrap()))
    }

    fn settings(binary: Option<&str>, env: &[(&str, &str)]) -> Settings {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Settings {
            binary: binary.map(str::to_owned),
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
            json!({ "settings": { "binary": null, "env": {} } }),
            json!({ "settings": { "binary": " " } }),
        ] {
            assert_eq!(read(value.clone()).unwrap(), Settings::default(), "{value}");
        }
    }

    #[test]
    fn the_settings_win_over_a_command() {
        let both = json!({
            "command": { "path": "/old", "arguments": ["x"], "env": { "A": "1" } },
            "settings": { "binary": "/new", "env": { "C": "3" } },
        });
        assert_eq!(
            read(both.clone()).unwrap(),
            settings(Some("/new"), &[("C", "3")])
        );
        let old = json!({ "command": both["command"] });
        assert_eq!(read(old).unwrap(), settings(Some("/old"), &[("A", "1")]));
    }

    #[test]
    fn nonsense_is_told() {
        for (value, text) in [
            (json!({ "binary": 7 }), "`binary` is no text"),
            (json!({ "env": [] }), "`env` is no object"),
            (json!({ "env": { "A": 1 } }), "`env` is not only text"),
        ] {
            let error = read(json!({ "settings": value })).unwrap_err();
            assert!(error.ends_with(text), "{error}");
        }
    }
}
