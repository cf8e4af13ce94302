//! The context server: its command, and what Zed shows to set it up.

use spectask_protocol::ExtensionEvent;
use zed_extension_api::{Command, ContextServerConfiguration};

use crate::{
    daemon::Daemon,
    editor::Editor,
    program::{self, INSTALL},
    settings::Settings,
};

/// The command of the MCP server. A daemon that does not answer changes nothing: the server starts it, or
/// tells its caller why it cannot.
///
/// # Errors
/// When there is no program that fits.
pub(crate) fn command(
    editor: &dyn Editor,
    settings: &Settings,
    announced: &mut bool,
    server: &str,
) -> Result<Command, String> {
    let endpoint = program::ask(editor, settings)?;
    if let Some(daemon) = Daemon::of(editor, &endpoint) {
        daemon.tell(announced, ExtensionEvent::ContextServerRequested, server);
    }
    Ok(Command {
        command: endpoint.program,
        args: vec!["mcp".to_owned()],
        env: settings.env.clone(),
    })
}

/// What Zed shows for the context server: the daemon's word, or how to get one.
pub(crate) fn configuration(
    editor: &dyn Editor,
    settings: &Settings,
) -> ContextServerConfiguration {
    match program::ask(editor, settings) {
        Ok(endpoint) => {
            let mut text = endpoint.instructions.clone();
            if let Some(note) = program::differs(&endpoint) {
                text = format!("{note}\n\n{text}");
            }
            ContextServerConfiguration {
                installation_instructions: text,
                settings_schema: filled(endpoint.settings_schema, SCHEMA),
                default_settings: filled(endpoint.default_settings, DEFAULT),
            }
        }
        Err(problem) => ContextServerConfiguration {
            installation_instructions: if problem.contains(INSTALL) {
                problem
            } else {
                format!("{problem}\n\n{INSTALL}")
            },
            settings_schema: SCHEMA.to_owned(),
            default_settings: DEFAULT.to_owned(),
        },
    }
}

/// Until there is a program that knows better: the one setting that finds it.
const SCHEMA: &str = r#"{"type":"object","properties":{"path":{"description":"The `spectask` program, an absolute path","type":["string","null"]}}}"#;
const DEFAULT: &str = "{\n  // The `spectask` program, an absolute path.\n  \"path\": null\n}\n";

fn filled(text: String, other: &str) -> String {
    if text.is_empty() {
        other.to_owned()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::{Fake, endpoint};

    fn asked(fake: &Fake, announced: &mut bool) -> Result<Command, String> {
        let settings = Settings {
            path: None,
            env: vec![("A".into(), "1".into())],
        };
        command(fake, &settings, announced, "mcp-server-spectask")
    }

    #[test]
    fn the_command_is_absolute_and_the_daemon_is_told() {
        let good = || Ok(json!({ "result": {} }));
        let fake = Fake::answering(&endpoint()).posts([good(), good(), good()]);
        let mut announced = false;
        let command = asked(&fake, &mut announced).unwrap();
        assert_eq!(command.command, "/usr/bin/spectask");
        assert_eq!(command.args, ["mcp"]);
        assert_eq!(command.env, [("A".to_owned(), "1".to_owned())]);
        asked(&fake, &mut announced).unwrap();
        let events: Vec<_> = fake
            .posted()
            .iter()
            .map(|(_, _, body)| body["params"]["event"].clone())
            .collect();
        let requested = "contextServer.requested";
        assert_eq!(events, ["extension.started", requested, requested]);
        let params = &fake.posted()[1].2["params"];
        assert_eq!(params["name"], "mcp-server-spectask");
        assert_eq!(params["extension"], env!("CARGO_PKG_VERSION"));
    }

    #[test]
    fn a_daemon_that_is_down_is_no_problem() {
        let mut down = endpoint();
        (down.url, down.token) = (None, None);
        down.problem = Some("it did not start".into());
        let fake = Fake::answering(&down);
        let mut announced = false;
        assert!(asked(&fake, &mut announced).is_ok());
        assert!(!announced && fake.posted().is_empty());
        // One that ended between two calls; it is not asked twice.
        let fake = Fake::answering(&endpoint()).posts([Err("refused".to_owned())]);
        assert!(asked(&fake, &mut announced).is_ok());
        assert!(!announced);
        assert_eq!(fake.posted().len(), 1);
    }

    #[test]
    fn the_configuration_is_the_programs_or_how_to_get_one() {
        let shown = configuration(&Fake::answering(&endpoint()), &Settings::default());
        assert_eq!(shown.installation_instructions, "instructions");
        assert_eq!(shown.settings_schema, "{\"schema\":1}");
        assert_eq!(shown.default_settings, "{}");
        let mut other = endpoint();
        other.version = "9.8.7".into();
        let shown = configuration(&Fake::answering(&other), &Settings::default());
        assert!(shown.installation_instructions.contains("9.8.7"));
        let shown = configuration(&Fake::missing(), &Settings::default());
        assert_eq!(shown.installation_instructions.matches(INSTALL).count(), 1);
        serde_json::from_str::<serde_json::Value>(&shown.settings_schema).unwrap();
        other.protocol += 1;
        let shown = configuration(&Fake::answering(&other), &Settings::default());
        assert!(shown.installation_instructions.contains("protocol"));
        assert_eq!(shown.installation_instructions.matches(INSTALL).count(), 1);
    }
}
