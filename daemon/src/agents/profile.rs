//! How an agent is started and what it may do.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An agent as the configuration file names it, under `[agents.NAME]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// The name, from the table's key.
    #[serde(skip)]
    #[schemars(skip)]
    pub name: String,
    /// The program and its arguments, such as `["gemini", "--acp"]`. The program is looked up on
    /// PATH; no shell is involved.
    pub command: Vec<String>,
    /// Names of environment variables the agent cannot do without, such as `["OPENAI_API_KEY"]`.
    /// While one is missing, sessions with this agent wait for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    /// Environment variables with fixed values, for the agent alone (its commands do not get them).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub set: BTreeMap<String, String>,
    /// How the agent's permission requests are answered.
    #[serde(default)]
    pub permission: Policy,
    /// The session mode to choose after a session is opened (an id the agent offers, such as
    /// `acceptEdits`). The agent's default if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// Whether the agent may read files through the daemon (`fs/read_text_file`); writing always
    /// goes through it where the agent supports that. By default yes, but for Gemini CLI, which
    /// then takes a file that is not there for an error and cannot create one; it reads files
    /// itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_files: Option<bool>,
    /// How long the agent may take to start, to open a session and to answer other short requests.
    #[serde(default = "start_limit", with = "text")]
    #[schemars(with = "String", extend("examples" = ["90s"]))]
    pub start_limit: Duration,
    /// How long one turn may take, waiting for a person's permission not counted.
    #[serde(default = "turn_limit", with = "text")]
    #[schemars(with = "String", extend("examples" = ["1h", "2h 30m"]))]
    pub turn_limit: Duration,
    /// How long the agent may send nothing during a turn. Time in which it waits for a command
    /// that runs in its terminal, or for a person, does not count.
    #[serde(default = "idle_limit", with = "text")]
    #[schemars(with = "String", extend("examples" = ["15m"]))]
    pub idle_limit: Duration,
}

impl Profile {
    /// A profile with the default policy and limits.
    #[must_use]
    pub fn new(name: &str, command: &[&str]) -> Self {
        Self {
            name: name.to_owned(),
            command: command.iter().map(|&word| word.to_owned()).collect(),
            env: Vec::new(),
            set: BTreeMap::new(),
            permission: Policy::default(),
            mode: None,
            read_files: None,
            start_limit: start_limit(),
            turn_limit: turn_limit(),
            idle_limit: idle_limit(),
        }
    }

    /// Whether the agent is offered to read files through the daemon.
    #[must_use]
    pub fn offers_reads(&self) -> bool {
        // Seen in gemini-cli 0.61: it tells a missing file by JavaScript's `Error`, and its ACP
        // library gives it the plain error object.
        let is_gemini = |word: &String| {
            word.rsplit(['/', '\\'])
                .next()
                .is_some_and(|name| name.starts_with("gemini"))
        };
        self.read_files
            .unwrap_or_else(|| !self.command.iter().any(is_gemini))
    }

    /// The variables in `env` that neither `environment` nor `set` has with a value, in order.
    #[must_use]
    pub fn missing_env(&self, environment: &BTreeMap<String, String>) -> Vec<String> {
        let given = |name: &String| {
            [environment.get(name), self.set.get(name)]
                .into_iter()
                .flatten()
                .any(|v| !v.is_empty())
        };
        self.env
            .iter()
            .filter(|name| !given(name))
            .cloned()
            .collect()
    }
}

/// How an agent's permission requests are answered without a person.
///
/// The policy reads what the agent says it is about to do. It is a guard against accidents, not a
/// sandbox: an agent is a process of the user and does not have to ask.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Policy {
    /// A person answers every request.
    Ask,
    /// Reading, searching and thinking are allowed; a person answers the rest.
    AllowReads,
    /// Reading, searching, thinking, fetching, running commands, and changing files of which every
    /// path lies inside the session's folder are allowed; a person answers the rest. Commands run
    /// in the session's folder and are not sandboxed.
    #[default]
    AllowInRoot,
    /// Every request is rejected.
    Deny,
}

fn start_limit() -> Duration {
    Duration::from_secs(90)
}

fn turn_limit() -> Duration {
    Duration::from_secs(60 * 60)
}

fn idle_limit() -> Duration {
    Duration::from_secs(15 * 60)
}

/// A duration as people write it: `1h 30m`, `90s`.
pub(super) fn duration_text(duration: Duration) -> String {
    let seconds = duration.as_secs();
    if seconds == 0 {
        return format!("{}ms", duration.as_millis());
    }
    let parts = [
        (seconds / 3600, "h"),
        (seconds / 60 % 60, "m"),
        (seconds % 60, "s"),
    ];
    let words: Vec<String> = parts
        .iter()
        .filter(|(n, _)| *n > 0)
        .map(|(n, unit)| format!("{n}{unit}"))
        .collect();
    words.join(" ")
}

/// Serde for durations written as text.
mod text {
    use super::{Deserialize, Deserializer, Duration, Serializer, duration_text};
    use serde::de::Error as _;

    pub(super) fn serialize<S: Serializer>(value: &Duration, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_str(&duration_text(*value))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<Duration, D::Error> {
        let text = String::deserialize(input)?;
        let signed: jiff::SignedDuration = text.parse().map_err(|_| {
            D::Error::custom(format!(
                "`{text}` is not a duration such as `90s` or `1h 30m`"
            ))
        })?;
        match Duration::try_from(signed) {
            Ok(duration) if !duration.is_zero() => Ok(duration),
            _ => Err(D::Error::custom(format!(
                "the duration `{text}` must be above zero"
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Profile, toml_edit::de::Error> {
        toml_edit::de::from_str(text)
    }

    #[test]
    fn a_command_is_enough() {
        let profile = parse(r#"command = ["gemini", "--acp"]"#).unwrap();
        assert_eq!(profile, Profile::new("", &["gemini", "--acp"]));
        assert_eq!(profile.permission, Policy::AllowInRoot);
    }

    #[test]
    fn every_field_is_read_and_written_back() {
        let text = r#"
            command = ["a"]
            env = ["KEY"]
            set = { B = "1" }
            permission = "allow-reads"
            mode = "plan"
            start_limit = "5s"
            turn_limit = "2h 30m"
            idle_limit = "1m"
        "#;
        let profile = parse(text).unwrap();
        assert_eq!(profile.permission, Policy::AllowReads);
        assert_eq!(profile.turn_limit, Duration::from_secs(9000));
        let again = parse(&toml_edit::ser::to_string(&profile).unwrap()).unwrap();
        assert_eq!(again, profile);
    }

    #[test]
    fn mistakes_are_named() {
        let wrong = |text: &str| parse(text).unwrap_err().to_string();
        assert!(wrong("command = []\npermisson = 'ask'").contains("permisson"));
        assert!(wrong("command = []\nturn_limit = 'soon'").contains("`soon` is not a duration"));
        assert!(wrong("command = []\nturn_limit = '0s'").contains("above zero"));
        assert!(wrong("command = []\nturn_limit = '-5s'").contains("above zero"));
        assert!(wrong("command = []\npermission = 'allow'").contains("allow-in-root"));
    }

    #[test]
    fn gemini_reads_files_itself() {
        assert!(Profile::new("", &["codex-acp"]).offers_reads());
        for command in [
            ["gemini", "--acp"],
            ["npx", "@google/gemini-cli@1"],
            ["node", "/x/gemini"],
        ] {
            assert!(!Profile::new("", &command).offers_reads());
        }
        let forced = parse("command = ['gemini']\nread_files = true").unwrap();
        assert!(forced.offers_reads());
    }

    #[test]
    fn missing_variables_are_listed() {
        let mut profile = Profile::new("x", &["x"]);
        profile.env = vec!["A".into(), "B".into(), "C".into()];
        profile.set.insert("B".into(), "1".into());
        let env = BTreeMap::from([("A".to_owned(), String::new()), ("C".into(), "v".into())]);
        assert_eq!(profile.missing_env(&env), ["A"]);
    }
}
