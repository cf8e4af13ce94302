//! The settings of Zed's extension and what Zed shows about them: the schema is this type's, the
//! template and the text are made from the schemas.

use std::{collections::BTreeMap, fmt::Write, path::Path};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Config;

/// What Zed's settings may say of SpecTask, below
/// `context_servers.mcp-server-spectask.settings`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ExtensionSettings {
    /// The `spectask` program, an absolute path; null takes the one on PATH.
    pub path: Option<String>,
    /// Variables for the program, such as `SPECTASK_DATA_DIR` for a daemon of another data folder.
    pub env: BTreeMap<String, String>,
}

impl ExtensionSettings {
    /// The JSON schema of the settings.
    #[must_use]
    pub fn schema() -> Value {
        schemars::schema_for!(Self).into()
    }

    /// The settings as they are without any: JSON, each with what it means as a comment.
    #[must_use]
    pub fn template() -> String {
        let schema = Self::schema();
        let values = serde_json::to_value(Self::default()).unwrap_or_default();
        let fields = values.as_object().into_iter().flatten();
        let fields: Vec<String> = fields
            .map(|(name, value)| {
                let about = described(&schema, name);
                format!("  // {about}\n  \"{name}\": {value}")
            })
            .collect();
        format!("{{\n{}\n}}\n", fields.join(",\n"))
    }

    /// How to set the context server up, Markdown.
    #[must_use]
    pub fn instructions(program: &Path, config: &Path, problem: Option<&str>) -> String {
        let mut text = format!(
            "SpecTask {} is `{}`. Its MCP server needs no more settings.\n",
            env!("CARGO_PKG_VERSION"),
            program.display(),
        );
        if let Some(problem) = problem {
            let _ = write!(
                text,
                "\nIts daemon does not answer now: {problem}. It is started again when it is needed; \
                 `spectask doctor` tells more.\n"
            );
        }
        text.push_str(
            "\nTo run agent threads through SpecTask and to give its tools to external agents, run \
             `spectask zed setup --write` in a terminal. `spectask zed doctor` checks everything.\n",
        );
        let _ = write!(
            text,
            "\nWhat SpecTask itself does is set in `{}`, or by `spectask config set NAME VALUE`:\n\n",
            config.display()
        );
        let schema = Config::schema();
        for name in schema["properties"].as_object().into_iter().flatten() {
            let about = described(&schema, name.0);
            let first = about.split(". ").next().unwrap_or(&about);
            let _ = writeln!(text, "- `{}`: {}", name.0, first.trim_end_matches('.'));
        }
        text
    }
}

/// What a schema says of a field, on one line.
fn described(schema: &Value, field: &str) -> String {
    let about = schema["properties"][field]["description"].as_str();
    let words = about.unwrap_or_default().split_whitespace();
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_is_the_default_with_comments() {
        let template = ExtensionSettings::template();
        insta::assert_snapshot!(template, @r#"
        {
          // The `spectask` program, an absolute path; null takes the one on PATH.
          "path": null,
          // Variables for the program, such as `SPECTASK_DATA_DIR` for a daemon of another data folder.
          "env": {}
        }
        "#);
        let value: ExtensionSettings =
            jsonc_parser::parse_to_serde_value(&template, &jsonc_parser::ParseOptions::default())
                .unwrap();
        assert_eq!(value, ExtensionSettings::default());
        let schema = ExtensionSettings::schema();
        assert_eq!(schema["additionalProperties"], false);
        let properties = schema["properties"].as_object().unwrap();
        assert_eq!(properties.len(), 2, "{schema}");
    }

    #[test]
    fn the_text_names_program_configuration_and_every_setting() {
        let (program, config) = (Path::new("/bin/spectask"), Path::new("/c/config.toml"));
        let text = ExtensionSettings::instructions(program, config, None);
        assert!(text.contains("`/bin/spectask`") && text.contains("`/c/config.toml`"));
        assert!(!text.contains("does not answer"), "{text}");
        for name in Config::schema()["properties"].as_object().unwrap().keys() {
            assert!(text.contains(&format!("\n- `{name}`: ")), "{name}: {text}");
        }
        let text = ExtensionSettings::instructions(program, config, Some("it sleeps"));
        assert!(text.contains("does not answer now: it sleeps."), "{text}");
    }
}
