//! The table, and what a person types against it.

use serde_json::{Value, json};
use spectask_protocol::Failure;

use super::{
    command::Command,
    decide, help,
    invocation::{Invocation, Reply},
    plan, review, spawn, status, stop, tell, thread,
};

/// Every slash command, in the order in which people read them.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "spec",
        description: "Plan a change: an agent writes requirements, design and tasks for your review",
        hint: Some("what you want"),
        details: plan::DETAILS,
        run: |invocation, args| Box::pin(plan::spec(invocation, args)),
    },
    Command {
        name: "spec-status",
        description: "Show how far SpecTasks are and what waits for you",
        hint: Some("[SpecTask]"),
        details: "Without a name: the SpecTask of this thread, the only open one of this project, or all of them.",
        run: |invocation, args| Box::pin(status::status(invocation, args)),
    },
    Command {
        name: "spec-review",
        description: "Read the documents, the validator's findings and what changed",
        hint: Some("[SpecTask] [requirements|design|tasks|findings|diff]"),
        details: review::DETAILS,
        run: |invocation, args| Box::pin(review::review(invocation, args)),
    },
    Command {
        name: "spec-approve",
        description: "Approve the newest documents and start the work",
        hint: Some("[SpecTask] [--accept-findings] [comment]"),
        details: decide::APPROVE,
        run: |invocation, args| Box::pin(decide::approve(invocation, args)),
    },
    Command {
        name: "spec-changes",
        description: "Send the documents back to the agent with what should be different",
        hint: Some("[SpecTask] what should be different"),
        details: decide::CHANGES,
        run: |invocation, args| Box::pin(decide::changes(invocation, args)),
    },
    Command {
        name: "spec-start",
        description: "Start or go on: planning, approved work, what was stopped or failed",
        hint: Some("[SpecTask or session]"),
        details: plan::START,
        run: |invocation, args| Box::pin(plan::start(invocation, args)),
    },
    Command {
        name: "spec-stop",
        description: "Stop running turns; /spec-start goes on",
        hint: Some("[SpecTask or session]"),
        details: stop::DETAILS,
        run: |invocation, args| Box::pin(stop::stop(invocation, args)),
    },
    Command {
        name: "spec-spawn",
        description: "Start one more work session beside the planned ones",
        hint: Some("[SpecTask or session] title: what to do"),
        details: spawn::DETAILS,
        run: |invocation, args| Box::pin(spawn::spawn(invocation, args)),
    },
    Command {
        name: "spec-attach",
        description: "Bind this thread to a SpecTask",
        hint: Some("[SpecTask|none]"),
        details: "Without a name: the only SpecTask of this project that is being implemented. `none` lets the thread go.",
        run: |invocation, args| Box::pin(thread::attach(invocation, args)),
    },
    Command {
        name: "spec-open",
        description: "Show a work session in this fresh thread",
        hint: Some("session"),
        details: thread::OPEN,
        run: |invocation, args| Box::pin(thread::open(invocation, args)),
    },
    Command {
        name: "spec-sessions",
        description: "List work sessions",
        hint: Some("[SpecTask]"),
        details: "Without a name: those of every SpecTask and thread of this project.",
        run: |invocation, args| Box::pin(status::sessions(invocation, args)),
    },
    Command {
        name: "spec-tell",
        description: "Say something to a work session; it reads it between its turns",
        hint: Some("session text"),
        details: "Example: `/spec-tell 7/2 The API returns 404, not 400.`",
        run: |invocation, args| Box::pin(tell::tell(invocation, args)),
    },
    Command {
        name: "spec-decide",
        description: "Record a decision",
        hint: Some("[SpecTask or session] what was decided and why"),
        details: "It is kept with the session of this thread, else with the SpecTask that is meant.",
        run: |invocation, args| Box::pin(tell::decide(invocation, args)),
    },
    Command {
        name: "spec-help",
        description: "Explain these commands",
        hint: Some("[command]"),
        details: "Example: `/spec-help spec-changes`",
        run: |_, args| Box::pin(async move { help::help(COMMANDS, &args) }),
    },
];

/// Runs a command of the table; `args` is everything after its name.
///
/// # Errors
/// The daemon's refusal, or what is missing or not understood in `args`.
pub async fn run(
    invocation: Invocation,
    command: &'static Command,
    args: String,
) -> Result<Reply, Failure> {
    tracing::debug!(command = command.name, "a slash command");
    Ok(match command.call(invocation, args).await? {
        Reply::Help => Reply::Text(help::one(command)),
        reply => reply,
    })
}

/// Splits the first text block of a prompt into a command of the table and everything after the
/// white space behind its name, lines included; none when it begins with anything else.
#[must_use]
pub fn parse(text: &str) -> Option<(&'static Command, String)> {
    let line = text.strip_prefix('/')?;
    let (name, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let command = COMMANDS.iter().find(|command| command.name == name)?;
    Some((command, rest.to_owned()))
}

/// The commands as entries of ACP's `availableCommands`.
#[must_use]
pub fn available() -> Vec<Value> {
    let entry = |command: &Command| {
        let mut entry = json!({ "name": command.name, "description": command.description });
        if let Some(hint) = command.hint {
            entry["input"] = json!({ "hint": hint });
        }
        entry
    };
    COMMANDS.iter().map(entry).collect()
}

/// The commands before those that an agent offers itself. Of two with one name ours stays.
#[must_use]
pub fn merge(own: &[Value]) -> Vec<Value> {
    let mut merged = available();
    for entry in own {
        let name = entry.get("name").and_then(Value::as_str);
        match name.filter(|name| COMMANDS.iter().any(|command| command.name == *name)) {
            Some(name) => tracing::info!(name, "an agent's slash command gives way to ours"),
            None => merged.push(entry.clone()),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_table() {
        let lines: Vec<String> = COMMANDS
            .iter()
            .map(|command| {
                let hint = command.hint.unwrap_or_default();
                format!("/{} {hint}\n    {}", command.name, command.description)
            })
            .collect();
        insta::assert_snapshot!(lines.join("\n"), @r"
        /spec what you want
            Plan a change: an agent writes requirements, design and tasks for your review
        /spec-status [SpecTask]
            Show how far SpecTasks are and what waits for you
        /spec-review [SpecTask] [requirements|design|tasks|findings|diff]
            Read the documents, the validator's findings and what changed
        /spec-approve [SpecTask] [--accept-findings] [comment]
            Approve the newest documents and start the work
        /spec-changes [SpecTask] what should be different
            Send the documents back to the agent with what should be different
        /spec-start [SpecTask or session]
            Start or go on: planning, approved work, what was stopped or failed
        /spec-stop [SpecTask or session]
            Stop running turns; /spec-start goes on
        /spec-spawn [SpecTask or session] title: what to do
            Start one more work session beside the planned ones
        /spec-attach [SpecTask|none]
            Bind this thread to a SpecTask
        /spec-open session
            Show a work session in this fresh thread
        /spec-sessions [SpecTask]
            List work sessions
        /spec-tell session text
            Say something to a work session; it reads it between its turns
        /spec-decide [SpecTask or session] what was decided and why
            Record a decision
        /spec-help [command]
            Explain these commands
        ");
    }

    #[test]
    fn the_manifest_of_the_extension_has_the_table() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../extension.toml");
        let manifest: toml_edit::DocumentMut =
            std::fs::read_to_string(path).unwrap().parse().unwrap();
        let told: Vec<_> = manifest["slash_commands"]
            .as_table()
            .unwrap()
            .iter()
            .map(|(name, entry)| {
                (
                    name,
                    entry["description"].as_str().unwrap(),
                    entry["requires_argument"].as_bool().unwrap(),
                )
            })
            .collect();
        let ours: Vec<_> = COMMANDS
            .iter()
            .map(|command| {
                // What is not in brackets has to be there.
                let hint = command.hint.unwrap_or_default();
                let rest = hint
                    .split('[')
                    .map(|part| part.split_once(']').map_or(part, |(_, rest)| rest));
                let required = rest.collect::<String>().trim() != "";
                (command.name, command.description, required)
            })
            .collect();
        assert_eq!(told, ours);
    }

    #[test]
    fn a_command_is_its_exact_name() {
        let name = |text: &str| parse(text).map(|(command, rest)| (command.name, rest));
        assert_eq!(name("/spec"), Some(("spec", String::new())));
        assert_eq!(
            name("/spec Add search\n\n- fast\n"),
            Some(("spec", "Add search\n\n- fast\n".to_owned()))
        );
        assert_eq!(name("/spec\nline"), Some(("spec", "line".to_owned())));
        assert_eq!(
            name("/spec-status 7"),
            Some(("spec-status", "7".to_owned()))
        );
        for text in [
            "",
            "/",
            "spec",
            " /spec",
            "/spec-foo",
            "/specs",
            "/SPEC",
            "/spec/7",
            "//spec",
            "/compact",
            "please /spec",
        ] {
            assert_eq!(name(text), None, "{text:?}");
        }
    }

    #[test]
    fn an_agents_own_commands_stay_but_for_ours() {
        let own = [
            json!({ "name": "compact", "description": "d", "_meta": { "x": 1 } }),
            json!({ "name": "spec-status", "description": "mine" }),
            json!({ "odd": true }),
        ];
        let merged = merge(&own);
        assert_eq!(merged.len(), COMMANDS.len() + 2);
        assert_eq!(merged[..COMMANDS.len()], available()[..]);
        assert_eq!(merged[COMMANDS.len()..], [own[0].clone(), own[2].clone()]);
        assert_eq!(
            available()[1],
            json!({
                "name": "spec-status",
                "description": "Show how far SpecTasks are and what waits for you",
                "input": { "hint": "[SpecTask]" },
            })
        );
    }

    proptest! {
        #[test]
        fn any_text_is_a_command_or_not(text in "(?s)/?(spec|spec-[a-z]{0,8})?.{0,20}") {
            if let Some((command, rest)) = parse(&text) {
                let (head, tail) = text.split_at(1 + command.name.len());
                prop_assert_eq!(head, format!("/{}", command.name));
                let mut tail = tail.chars();
                prop_assert!(tail.next().is_none_or(char::is_whitespace));
                prop_assert_eq!(tail.as_str(), rest);
            } else {
                let known = COMMANDS.iter().any(|command| {
                    text.strip_prefix('/')
                        .and_then(|line| line.strip_prefix(command.name))
                        .is_some_and(|rest| rest.chars().next().is_none_or(char::is_whitespace))
                });
                prop_assert!(!known, "{:?}", text);
            }
        }

        #[test]
        fn what_follows_a_command_is_kept(
            index in 0..COMMANDS.len(),
            space in "[ \t\n]",
            rest in "(?s).{0,40}",
        ) {
            let text = format!("/{}{space}{rest}", COMMANDS[index].name);
            let (command, found) = parse(&text).unwrap();
            prop_assert_eq!((command.name, found), (COMMANDS[index].name, rest));
        }
    }
}
