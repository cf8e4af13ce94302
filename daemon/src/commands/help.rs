//! `/spec-help`.

use spectask_protocol::{Failure, FailureKind};

use super::{
    choose::first_word,
    invocation::Reply,
    markdown::{code, escape, short, table},
    table::{COMMANDS, Command, find},
};

pub(super) async fn help(args: String) -> Result<Reply, Failure> {
    let (name, _) = first_word(&args);
    if name.is_empty() {
        return Ok(Reply::Text(all()));
    }
    // `/spec-help review` is understood too.
    let command = find(name).or_else(|| find(&format!("spec-{}", name.trim_start_matches('/'))));
    match command {
        Some(command) => Ok(Reply::Text(one(command))),
        None => {
            let name = short(name, 40).replace('`', "'");
            let text = format!("there is no command {name}");
            Err(Failure::new(FailureKind::NotFound, text).hint("`/spec-help` lists them"))
        }
    }
}

/// The help of a command of the table.
pub(super) fn of(name: &str) -> String {
    find(name).map_or_else(all, one)
}

fn usage(command: &Command) -> String {
    let hint = command.hint.map(|hint| format!(" {hint}"));
    format!("/{}{}", command.name, hint.unwrap_or_default())
}

fn one(command: &Command) -> String {
    // Bars in a hint are no table here.
    let usage = usage(command);
    format!(
        "`{usage}`\n\n{}.\n\n{}\n",
        escape(command.description),
        command.details
    )
}

fn all() -> String {
    let rows: Vec<Vec<String>> = COMMANDS
        .iter()
        .map(|command| {
            vec![
                code(&format!("/{}", command.name)),
                escape(command.description),
            ]
        })
        .collect();
    format!(
        "{}\nWithout a name a command takes the SpecTask of this thread, or the only one that fits. \
A SpecTask is named `7` or `7-user-auth`, a session `7/2`. `/spec-help COMMAND` says more.\n",
        table(&["Command", "What it does"], &rows)
    )
}
