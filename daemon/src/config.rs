//! The person's configuration: one TOML file; every field has an environment variable.

use std::{
    collections::BTreeMap,
    env, fs,
    io::{self, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::{Span, SpanRelativeTo, Unit};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use spectask_protocol::AgentName;
use toml_edit::{DocumentMut, Item, Table, Value};

use crate::{
    agents::Profile,
    redact::{UserRuleError, UserRules},
};

mod extension;

pub use extension::ExtensionSettings;

/// What the configuration file may say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The agent used when none is named. Absent: the first one found on this machine.
    /// `SPECTASK_DEFAULT_AGENT`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_agent: Option<AgentName>,
    /// The agent that plans, when none is named. Absent: the default agent.
    /// `SPECTASK_PLANNING_AGENT`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub planning_agent: Option<AgentName>,
    /// How many sessions of a SpecTask work at the same time, 1 to 32. `SPECTASK_SESSION_LIMIT`
    pub session_limit: u32,
    /// How many sessions that agents spawned may be open in a SpecTask at the same time, 0 (none) to
    /// 32; persons may spawn more. `SPECTASK_AGENT_SPAWN_LIMIT`
    pub agent_spawn_limit: u32,
    /// How often findings of the validator go back to the planning agent. `SPECTASK_PLANNING_ROUNDS`
    pub planning_rounds: u32,
    /// How often a failed verify goes back to the agent. `SPECTASK_FIX_ROUNDS`
    pub fix_rounds: u32,
    /// Seconds that a setup or verify command may take. `SPECTASK_COMMAND_LIMIT`
    pub command_limit: u64,
    /// What the log file tells, in the syntax of tracing's env-filter. `SPECTASK_LOG`
    pub log: String,
    /// HTTP on this machine, for programs that cannot open the local socket.
    pub http: Http,
    /// What is taken out of everything that is kept, besides the formats that are known.
    #[serde(skip_serializing_if = "Redaction::is_empty")]
    pub redaction: Redaction,
    /// What the daemon does about Zed by itself.
    pub zed: Zed,
    /// What is recorded in git.
    pub history: History,
    /// Agents, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub agents: BTreeMap<AgentName, Profile>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            default_agent: None,
            planning_agent: None,
            session_limit: 3,
            agent_spawn_limit: 3,
            planning_rounds: 3,
            fix_rounds: 3,
            command_limit: 1800,
            log: "info".into(),
            http: Http::default(),
            redaction: Redaction::default(),
            zed: Zed::default(),
            history: History::default(),
            agents: BTreeMap::new(),
        }
    }
}

/// What is recorded in git. The daemon reads it when it starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct History {
    /// Whether sessions are recorded on refs under `refs/spectask/` of the repository they work in.
    /// `SPECTASK_HISTORY_RECORD`
    pub record: bool,
    /// How long the daemon keeps what was said in sessions that cannot go on, such as `90d`, once it is
    /// recorded in git; `spectask gc` removes what is older. Absent: for ever.
    /// `SPECTASK_HISTORY_KEEP_TRANSCRIPTS`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_transcripts: Option<String>,
}

impl Default for History {
    fn default() -> Self {
        Self {
            record: true,
            keep_transcripts: None,
        }
    }
}

impl History {
    /// How long transcripts are kept; none: for ever. Days have 24 hours.
    ///
    /// # Errors
    /// Why the text is no such time.
    pub fn retention(&self) -> Result<Option<Duration>, String> {
        let Some(text) = &self.keep_transcripts else {
            return Ok(None);
        };
        let unfit = || format!("`{text}` is not a time above zero such as `90d` or `12h`");
        let span: Span = text.parse().map_err(|_| unfit())?;
        let relative = SpanRelativeTo::days_are_24_hours();
        let seconds = span.total((Unit::Second, relative)).map_err(|_| unfit())?;
        match Duration::try_from_secs_f64(seconds) {
            Ok(time) if !time.is_zero() => Ok(Some(time)),
            _ => Err(unfit()),
        }
    }
}

/// HTTP on this machine. The daemon reads it when it starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Http {
    /// Whether the daemon listens on 127.0.0.1. `SPECTASK_HTTP_ENABLED`
    pub enabled: bool,
    /// The port; 0 takes one that is free. `SPECTASK_HTTP_PORT`
    pub port: u16,
}

impl Default for Http {
    fn default() -> Self {
        Self {
            enabled: true,
            port: 0,
        }
    }
}

/// What a person adds to the redaction.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Redaction {
    /// Secrets of this person's own formats.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<RedactionRule>,
    /// Expressions of what is no secret: what was found and matches one is left as it is.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<String>,
}

/// A secret of a person's own format.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RedactionRule {
    /// Its name in placeholders: small letters, digits and `-`.
    pub id: String,
    /// What it looks like, within one line; its first group, where there is one, is the secret.
    pub regex: String,
    /// Words of which one is in each line that has such a secret, in capitals or not; none: every
    /// line is looked at.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keywords: Vec<String>,
}

impl Redaction {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The rules and exceptions, ready to use.
    ///
    /// # Errors
    /// When one does not compile or costs too much.
    pub fn compile(&self) -> Result<UserRules, UserRuleError> {
        let rules = self.rules.iter();
        UserRules::new(
            rules.map(|rule| (&*rule.id, &*rule.regex, &*rule.keywords)),
            self.allow.iter().map(String::as_str),
        )
    }
}

/// What the daemon does about Zed by itself. The daemon reads it when it starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Zed {
    /// Whether threads of Zed's own agent are seen in Zed's database, which is only read.
    /// `SPECTASK_ZED_WATCH`
    pub watch: bool,
}

impl Default for Zed {
    fn default() -> Self {
        Self { watch: true }
    }
}

/// Why the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file cannot be written.
    #[error("cannot write {path}: {source}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file, or a change of it, does not fit.
    #[error("{path}: {reason}")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// What is wrong, with its place.
        reason: String,
    },
    /// A variable holds nonsense.
    #[error("{variable} is {value:?}, which {reason}")]
    Variable {
        /// The variable.
        variable: String,
        /// Its value.
        value: String,
        /// Why it does not fit.
        reason: String,
    },
}

impl Config {
    /// Reads the file, if there is one, and the environment over it.
    ///
    /// # Errors
    /// When the file or a variable does not fit the schema.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        Self::load_with(path, |name| {
            env::var(name).ok().filter(|value| !value.is_empty())
        })
    }

    fn load_with(
        path: &Path,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        let mut config = Self::parse(path, &read(path)?)?;
        let overlay = |name: &str, apply: &mut dyn FnMut(&str) -> Result<(), String>| {
            let name = format!("SPECTASK_{name}");
            match variable(&name) {
                Some(value) => apply(&value).map_err(|reason| ConfigError::Variable {
                    variable: name,
                    value,
                    reason,
                }),
                None => Ok(()),
            }
        };
        let agent = |value: &str| value.parse().map(Some).map_err(|error| format!("{error}"));
        overlay("DEFAULT_AGENT", &mut |value| {
            agent(value).map(|a| config.default_agent = a)
        })?;
        overlay("PLANNING_AGENT", &mut |value| {
            agent(value).map(|a| config.planning_agent = a)
        })?;
        overlay("SESSION_LIMIT", &mut |value| {
            number(value).map(|n| config.session_limit = n)
        })?;
        overlay("AGENT_SPAWN_LIMIT", &mut |value| {
            number(value).map(|n| config.agent_spawn_limit = n)
        })?;
        overlay("PLANNING_ROUNDS", &mut |value| {
            number(value).map(|n| config.planning_rounds = n)
        })?;
        overlay("FIX_ROUNDS", &mut |value| {
            number(value).map(|n| config.fix_rounds = n)
        })?;
        overlay("COMMAND_LIMIT", &mut |value| {
            number(value).map(|n| config.command_limit = u64::from(n))
        })?;
        overlay("HTTP_ENABLED", &mut |value| {
            let enabled = value.parse().map_err(|_| "is neither true nor false")?;
            config.http.enabled = enabled;
            Ok(())
        })?;
        overlay("HTTP_PORT", &mut |value| {
            config.http.port = value.parse().map_err(|_| "is not a port")?;
            Ok(())
        })?;
        overlay("ZED_WATCH", &mut |value| {
            config.zed.watch = value.parse().map_err(|_| "is neither true nor false")?;
            Ok(())
        })?;
        overlay("HISTORY_RECORD", &mut |value| {
            let record = value.parse().map_err(|_| "is neither true nor false")?;
            config.history.record = record;
            Ok(())
        })?;
        overlay("HISTORY_KEEP_TRANSCRIPTS", &mut |value| {
            config.history.keep_transcripts = Some(value.to_owned());
            config.history.retention().map(drop)
        })?;
        overlay("LOG", &mut |value| {
            config.log = value.to_owned();
            Ok(())
        })?;
        config.check(path)?;
        Ok(config)
    }

    fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let mut config: Self =
            toml_edit::de::from_str(text).map_err(|error| ConfigError::Syntax {
                path: path.into(),
                reason: error.to_string(),
            })?;
        for (name, profile) in &mut config.agents {
            profile.name = name.to_string();
        }
        config.check(path)?;
        Ok(config)
    }

    fn check(&self, path: &Path) -> Result<(), ConfigError> {
        self.history
            .retention()
            .map_err(|reason| ConfigError::Syntax {
                path: path.into(),
                reason: format!("history.keep_transcripts: {reason}"),
            })?;
        if let Err(error) = self.redaction.compile() {
            return Err(ConfigError::Syntax {
                path: path.into(),
                reason: error.to_string(),
            });
        }
        let limits = [
            ("session_limit", self.session_limit, 1),
            ("agent_spawn_limit", self.agent_spawn_limit, 0),
        ];
        match limits
            .iter()
            .find(|(_, value, least)| !(*least..=32).contains(value))
        {
            None => Ok(()),
            Some((name, value, least)) => Err(ConfigError::Syntax {
                path: path.into(),
                reason: format!("{name} must be from {least} to 32, not {value}"),
            }),
        }
    }

    /// The JSON schema of the file.
    #[must_use]
    pub fn schema() -> serde_json::Value {
        schemars::schema_for!(Self).into()
    }
}

fn number(value: &str) -> Result<u32, String> {
    value.parse().map_err(|_| "is not a number".to_owned())
}

fn read(path: &Path) -> Result<String, ConfigError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        Err(source) => Err(ConfigError::Read {
            path: path.into(),
            source,
        }),
    }
}

/// Sets a dotted key in the file and keeps everything else as it is written. The value is TOML, or
/// plain text where it is none. A change that does not fit the schema is refused.
///
/// # Errors
/// When the file cannot be read or written, or the change does not fit.
pub fn set(path: &Path, key: &str, value: &str) -> Result<(), ConfigError> {
    let value: Value = value.parse().unwrap_or_else(|_| Value::from(value));
    change(path, |document| {
        let mut parts: Vec<&str> = key.split('.').collect();
        let last = parts
            .pop()
            .filter(|part| !part.is_empty())
            .ok_or("the key is empty")?;
        let table = descend(document.as_table_mut(), &parts)?;
        table.insert(last, Item::Value(value));
        Ok(())
    })
}

/// Adds or replaces an agent profile in the file.
///
/// # Errors
/// When the file cannot be read or written, or the profile does not fit.
pub fn add_agent(
    path: &Path,
    name: &AgentName,
    profile: &Profile,
    default: bool,
) -> Result<(), ConfigError> {
    change(path, |document| {
        let profile = toml_edit::ser::to_document(profile).map_err(|error| error.to_string())?;
        let agents = descend(document.as_table_mut(), &["agents"])?;
        agents.set_implicit(true);
        agents.insert(name.as_str(), Item::Table(profile.as_table().clone()));
        if default {
            document.insert("default_agent", toml_edit::value(name.as_str()));
        }
        Ok(())
    })
}

fn descend<'a>(table: &'a mut Table, parts: &[&str]) -> Result<&'a mut Table, String> {
    parts.iter().try_fold(table, |table, part| {
        table
            .entry(part)
            .or_insert(Item::Table(Table::new()))
            .as_table_mut()
            .ok_or_else(|| format!("{part} is not a table"))
    })
}

fn change(
    path: &Path,
    apply: impl FnOnce(&mut DocumentMut) -> Result<(), String>,
) -> Result<(), ConfigError> {
    let syntax = |reason: String| ConfigError::Syntax {
        path: path.into(),
        reason,
    };
    let mut document: DocumentMut = read(path)?
        .parse()
        .map_err(|error: toml_edit::TomlError| syntax(error.to_string()))?;
    apply(&mut document).map_err(syntax)?;
    let text = document.to_string();
    Config::parse(path, &text)?;
    let failed = |source| ConfigError::Write {
        path: path.into(),
        source,
    };
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(failed)?;
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)?;
    file.as_file().sync_all().map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn a_missing_file_is_the_default() {
        let config = Config::load_with(Path::new("/nowhere/config.toml"), |_| None).unwrap();
        assert_eq!(config, Config::default());
    }

    #[test]
    fn every_scalar_field_has_a_variable() {
        let schema = Config::schema();
        let asked = std::cell::RefCell::new(Vec::new());
        Config::load_with(Path::new("/nowhere"), |name| {
            asked.borrow_mut().push(name.to_owned());
            None
        })
        .unwrap();
        let check = |prefix: &str, properties: &serde_json::Value| {
            let fields = properties.as_object().unwrap().iter();
            for (field, about) in fields.filter(|(field, _)| {
                !["agents", "history", "http", "redaction", "zed"].contains(&field.as_str())
            }) {
                let variable = format!("{prefix}{}", field.to_uppercase());
                assert!(asked.borrow().contains(&variable), "{variable}");
                let told = about["description"].as_str().unwrap();
                assert!(told.contains(&variable), "{field}: {told}");
            }
        };
        check("SPECTASK_", &schema["properties"]);
        check("SPECTASK_HTTP_", &schema["$defs"]["Http"]["properties"]);
        check("SPECTASK_ZED_", &schema["$defs"]["Zed"]["properties"]);
        let history = &schema["$defs"]["History"]["properties"];
        check("SPECTASK_HISTORY_", history);
    }

    #[test]
    fn setting_keeps_comments_and_refuses_nonsense() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("sub/config.toml");
        set(&path, "session_limit", "5").unwrap();
        fs::write(&path, "# mine\nsession_limit = 5 # five\n").unwrap();
        set(&path, "default_agent", "claude").unwrap();
        set(&path, "agents.local.command", r#"["my-agent", "acp"]"#).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains("# mine") && text.contains("# five"), "{text}");
        let config = Config::load_with(&path, |_| None).unwrap();
        assert_eq!(config.default_agent.unwrap().as_str(), "claude");
        assert_eq!(
            config.agents.values().next().unwrap().command,
            ["my-agent", "acp"]
        );
        for (key, value) in [
            ("session_limit", "0"),
            ("agent_spawn_limit", "33"),
            ("history.keep_transcripts", "0d"),
            ("history.keep_transcripts", "soon"),
            ("nonsense", "1"),
            ("", "1"),
            ("log.x", "1"),
        ] {
            assert!(set(&path, key, value).is_err(), "{key}");
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }

    #[test]
    fn transcripts_are_kept_for_ever_or_a_time() {
        let kept = |text: Option<&str>| {
            let history = History {
                keep_transcripts: text.map(str::to_owned),
                ..History::default()
            };
            history
                .retention()
                .ok()
                .flatten()
                .map(|time| time.as_secs())
        };
        assert_eq!(kept(None), None);
        assert_eq!(kept(Some("90d")), Some(90 * 86_400));
        assert_eq!(kept(Some("2w")), Some(14 * 86_400));
        assert_eq!(kept(Some("1h 30m")), Some(5_400));
        for bad in ["-1d", "0s", "", "3mo", "x"] {
            assert_eq!(kept(Some(bad)), None, "{bad}");
        }
    }

    #[test]
    fn rules_of_redaction_are_checked() {
        let read = |text: &str| Config::parse(Path::new("c"), text).map_err(|e| e.to_string());
        let good = r#"
            [redaction]
            allow = ["^EXAMPLE"]
            rules = [{ id = "acme", regex = "acme-([0-9]{8})", keywords = ["acme"] }]
        "#;
        assert_eq!(read(good).unwrap().redaction.rules[0].id, "acme");
        for (bad, told) in [
            (r#"rules = [{ id = "A b", regex = "x" }]"#, "the id must be"),
            (r#"rules = [{ id = "a", regex = "(" }]"#, "does not compile"),
            (r#"rules = [{ id = "a", regex = "x*" }]"#, "an empty text"),
            (
                r#"rules = [{ id = "a", regex = "(\\w{500}){500}" }]"#,
                "too costly",
            ),
            (
                r#"rules = [{ id = "a", regex = "x", keywords = [" "] }]"#,
                "shorter than 2",
            ),
            (r#"allow = ["["]"#, "redaction.allow"),
        ] {
            let error = read(&format!("[redaction]\n{bad}")).unwrap_err();
            assert!(error.contains(told), "{bad}: {error}");
        }
    }

    #[test]
    fn the_environment_wins_and_is_checked() {
        let set = |wanted: &'static str, value: &'static str| {
            Config::load_with(Path::new("/nowhere"), move |name| {
                (name == wanted).then(|| value.to_owned())
            })
        };
        assert_eq!(set("SPECTASK_SESSION_LIMIT", "7").unwrap().session_limit, 7);
        let error = set("SPECTASK_SESSION_LIMIT", "many").unwrap_err();
        assert_eq!(
            error.to_string(),
            r#"SPECTASK_SESSION_LIMIT is "many", which is not a number"#
        );
        assert!(set("SPECTASK_DEFAULT_AGENT", "../x").is_err());
    }
}
