//! What an agent says of itself, and what the daemon says to it first.

use std::collections::BTreeMap;

use agent_client_protocol::schema::ProtocolVersion;
use agent_client_protocol::v1::schema as acp;
use serde_json::Value;

use super::profile::Profile;
use super::update::one_line;

/// What an agent says of itself in its answer to `initialize`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AgentInfo {
    /// Its name, if it gives one.
    pub name: Option<String>,
    /// Its version, if it gives one.
    pub version: Option<String>,
    /// It can load a session and repeat its history.
    pub load_session: bool,
    /// It can go on with a session without repeating its history.
    pub resume: bool,
    /// It can close a session.
    pub close: bool,
    /// It can list its sessions.
    pub list: bool,
    /// The ways to log in.
    pub auth_methods: Vec<AuthMethod>,
    /// The answer as it came.
    pub raw: Value,
}

/// A way to log in to an agent.
#[derive(Debug, Clone, PartialEq)]
pub struct AuthMethod {
    /// The id for [`Agent::authenticate`](super::Agent::authenticate).
    pub id: String,
    /// The name for people.
    pub name: String,
    /// More, for people.
    pub description: Option<String>,
    /// The command a person runs in a terminal for it, where it is not done by
    /// [`Agent::authenticate`](super::Agent::authenticate).
    pub login: Option<LoginCommand>,
    /// The method as it came.
    pub raw: Value,
}

/// A command by which a person logs in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginCommand {
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// Variables to add to the environment.
    pub env: BTreeMap<String, String>,
}

/// What the daemon says of itself: the files and terminals it serves.
pub(super) fn client_side(profile: &Profile) -> acp::InitializeRequest {
    let files = acp::FileSystemCapabilities::new()
        .read_text_file(profile.offers_reads())
        .write_text_file(true);
    let capabilities = acp::ClientCapabilities::new()
        .fs(files)
        .terminal(true)
        .auth(acp::AuthCapabilities::new().terminal(true));
    let version = env!("CARGO_PKG_VERSION");
    acp::InitializeRequest::new(ProtocolVersion::V1)
        .client_capabilities(capabilities)
        .client_info(acp::Implementation::new("spectask", version).title("SpecTask".to_owned()))
}

pub(super) fn read_info(answer: &Value, profile: &Profile) -> Result<AgentInfo, String> {
    let typed: acp::InitializeResponse = serde_json::from_value(answer.clone())
        .map_err(|error| format!("its answer to initialize does not fit: {error}"))?;
    if typed.protocol_version != ProtocolVersion::V1 {
        return Err(format!(
            "it speaks version {} of ACP, SpecTask speaks version 1",
            typed.protocol_version
        ));
    }
    let sessions = &typed.agent_capabilities.session_capabilities;
    let raw_methods = answer.get("authMethods").and_then(Value::as_array);
    let auth_methods = raw_methods
        .into_iter()
        .flatten()
        .filter_map(|raw| {
            let method: acp::AuthMethod = serde_json::from_value(raw.clone()).ok()?;
            Some(AuthMethod {
                id: method.id().to_string(),
                name: one_line(method.name(), 100),
                description: method.description().map(|text| one_line(text, 300)),
                login: login_command(&method, raw, profile),
                raw: raw.clone(),
            })
        })
        .collect();
    Ok(AgentInfo {
        name: typed
            .agent_info
            .as_ref()
            .map(|info| one_line(&info.name, 100)),
        version: typed
            .agent_info
            .as_ref()
            .map(|info| one_line(&info.version, 50)),
        load_session: typed.agent_capabilities.load_session,
        resume: sessions.resume.is_some(),
        close: sessions.close.is_some(),
        list: sessions.list.is_some(),
        auth_methods,
        raw: answer.clone(),
    })
}

/// The command for a method of type `terminal`, or one in the older `_meta.terminal-auth`.
fn login_command(method: &acp::AuthMethod, raw: &Value, profile: &Profile) -> Option<LoginCommand> {
    if let acp::AuthMethod::Terminal(terminal) = method {
        let argv = profile
            .command
            .iter()
            .chain(&terminal.args)
            .cloned()
            .collect();
        let env = terminal.env.clone().into_iter().collect();
        return Some(LoginCommand { argv, env });
    }
    let meta = raw.get("_meta")?.get("terminal-auth")?;
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let mut argv = vec![text(meta.get("command")?)?];
    argv.extend(
        meta.get("args")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(text),
    );
    let env = meta
        .get("env")
        .and_then(Value::as_object)
        .into_iter()
        .flatten();
    let env = env
        .filter_map(|(name, value)| Some((name.clone(), text(value)?)))
        .collect();
    Some(LoginCommand { argv, env })
}
