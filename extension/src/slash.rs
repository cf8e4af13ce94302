//! Slash commands, for releases of Zed that take them from extensions: the daemon's, run by it.

use serde_json::{Map, Value, json};
use spectask_protocol::{
    ExtensionEvent,
    method::{CommandListAll, CommandRun},
};

use crate::{daemon::Daemon, editor::Editor, json::text, program, settings::Settings};

/// The project that a command was typed in.
pub(crate) struct Folder {
    /// Its root.
    pub(crate) path: String,
    /// The environment of a shell there.
    pub(crate) environment: Vec<(String, String)>,
}

/// Runs a command and returns its answer, Markdown.
///
/// # Errors
/// What a person should know and do.
pub(crate) fn run(
    editor: &dyn Editor,
    settings: &Settings,
    announced: &mut bool,
    name: &str,
    args: &[String],
    folder: Option<Folder>,
) -> Result<String, String> {
    let Some(folder) = folder else {
        return Err(format!("/{name} needs a project: open a folder first"));
    };
    let endpoint = program::ask(editor, settings)?;
    let daemon =
        Daemon::of(editor, &endpoint).ok_or_else(|| unreachable(endpoint.problem.as_deref()))?;
    daemon.tell(announced, ExtensionEvent::SlashCommand, name);
    // By inserting, as in the settings.
    let mut environment = Map::new();
    for (name, value) in folder.environment {
        if !name.starts_with("SPECTASK_") {
            environment.insert(name, Value::String(value));
        }
    }
    let params = json!({
        "line": format!("/{name} {}", args.join(" ")),
        "cwd": folder.path,
        "environment": environment,
    });
    let mut answer = daemon.call(CommandRun, &params)?;
    text(&mut answer, "text").ok_or_else(|| format!("/{name} has no answer"))
}

/// What may follow a command: words of which its hint lets one choose, and the commands that can be
/// explained.
///
/// # Errors
/// When the daemon cannot be asked.
pub(crate) fn complete(
    editor: &dyn Editor,
    settings: &Settings,
    name: &str,
    args: &[String],
) -> Result<Vec<String>, String> {
    let endpoint = program::ask(editor, settings)?;
    let daemon =
        Daemon::of(editor, &endpoint).ok_or_else(|| unreachable(endpoint.problem.as_deref()))?;
    let list = daemon.call(CommandListAll, &json!({}))?;
    let commands = list["commands"].as_array().map_or(&[][..], Vec::as_slice);
    let words: Vec<String> = if name == "spec-help" {
        let names = commands
            .iter()
            .filter_map(|command| command["name"].as_str());
        names.map(str::to_owned).collect()
    } else {
        let command = commands.iter().find(|command| command["name"] == *name);
        choices(command.map_or("", |command| command["hint"].as_str().unwrap_or_default()))
    };
    let begun = args.last().map_or("", String::as_str);
    Ok(words
        .into_iter()
        .filter(|word| word.starts_with(begun))
        .collect())
}

/// The words of `[a|b]` and `[--a]` in a hint; what has a capital letter or stands alone names a thing.
fn choices(hint: &str) -> Vec<String> {
    let is_word =
        |word: &&str| !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase() || c == '-');
    let groups = hint.split('[').filter_map(|part| part.split_once(']'));
    groups
        .map(|(group, _)| group)
        .filter(|group| group.contains('|') || group.starts_with("--"))
        .flat_map(|group| group.split('|').filter(is_word))
        .map(str::to_owned)
        .collect()
}

fn unreachable(problem: Option<&str>) -> String {
    format!(
        "SpecTask's daemon does not answer: {}. `spectask doctor` in a terminal tells more.",
        problem.unwrap_or("the program told no address")
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use spectask_protocol::{CommandAnswer, CommandList, CommandParams, Failure, FailureKind};

    use super::{complete as complete_words, *};
    use crate::testing::{Fake, endpoint};

    fn typed(fake: &Fake, name: &str, args: &[&str]) -> Result<String, String> {
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        let folder = Folder {
            path: "/project".into(),
            environment: vec![
                ("PATH".into(), "/bin".into()),
                ("SPECTASK_SESSION".into(), "x".into()),
            ],
        };
        run(
            fake,
            &Settings::default(),
            &mut true,
            name,
            &args,
            Some(folder),
        )
    }

    #[test]
    fn a_command_is_run_by_the_daemon() {
        let fake = Fake::answering(&endpoint()).posts([
            Ok(json!({ "result": {} })),
            Ok(json!({ "result": CommandAnswer { text: "**planned**".into() } })),
        ]);
        let answer = typed(&fake, "spec", &["Add", "search"]).unwrap();
        assert_eq!(answer, "**planned**");
        let posted = fake.posted();
        assert_eq!(posted[0].2["params"]["event"], "slashCommand");
        assert_eq!(posted[0].2["params"]["name"], "spec");
        let _: CommandParams = serde_json::from_value(posted[1].2["params"].clone()).unwrap();
        assert_eq!(
            posted[1].2["params"],
            json!({ "line": "/spec Add search", "cwd": "/project", "environment": { "PATH": "/bin" } })
        );
    }

    #[test]
    fn failures_are_told_with_what_to_do() {
        let failure = Failure::new(FailureKind::NotFound, "no SpecTask 9").hint("see /spec-status");
        let fake = Fake::answering(&endpoint()).posts([
            Ok(json!({ "result": {} })),
            Ok(json!({ "error": { "code": -32001, "message": "m", "data": failure } })),
        ]);
        let error = typed(&fake, "spec-review", &["9"]).unwrap_err();
        assert_eq!(error, "no SpecTask 9 (see /spec-status)");
        let mut down = endpoint();
        down.url = None;
        down.problem = Some("the disk is full".into());
        let error = typed(&Fake::answering(&down), "spec", &[]).unwrap_err();
        assert!(error.contains("the disk is full"), "{error}");
        let settings = Settings::default();
        let error = run(&Fake::missing(), &settings, &mut true, "spec", &[], None).unwrap_err();
        assert!(error.contains("open a folder"), "{error}");
    }

    #[test]
    fn choices_come_from_the_hint() {
        let hint = "[SpecTask] [requirements|design|tasks|findings|diff]";
        assert_eq!(
            choices(hint),
            ["requirements", "design", "tasks", "findings", "diff"]
        );
        assert_eq!(
            choices("[SpecTask] [--accept-findings] [comment]"),
            ["--accept-findings"]
        );
        assert_eq!(choices("[SpecTask|none]"), ["none"]);
        for hint in [
            "",
            "[SpecTask]",
            "session text",
            "[a",
            "]|[",
            "[SpecTask or session]",
            "[command]",
        ] {
            assert!(choices(hint).is_empty(), "{hint}");
        }
    }

    #[test]
    fn completion_asks_the_daemon() {
        let list = json!({ "commands": [
            { "name": "spec", "description": "d", "hint": "what you want" },
            { "name": "spec-review", "description": "d", "hint": "[SpecTask] [requirements|design]" },
        ] });
        let _: CommandList = serde_json::from_value(list.clone()).unwrap();
        let list = json!({ "result": list });
        let complete = |name: &str, args: &[&str]| {
            let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
            let fake = Fake::answering(&endpoint()).posts([Ok(list.clone())]);
            complete_words(&fake, &Settings::default(), name, &args).unwrap()
        };
        assert_eq!(complete("spec-help", &[]), ["spec", "spec-review"]);
        assert_eq!(complete("spec-help", &["spec-"]), ["spec-review"]);
        assert_eq!(complete("spec-review", &["7", "d"]), ["design"]);
        assert!(complete("spec", &[]).is_empty());
        assert!(complete("nonsense", &[]).is_empty());
    }
}
