//! `/spec-help`.

use spectask_protocol::{Failure, FailureKind};

use super::{
    choose::first_word,
    command::Command,
    invocation::Reply,
    markdown::{code, escape, short, table},
};

pub(super) fn help(commands: &[Command], args: &str) -> Result<Reply, Failure> {
    let (name, _) = first_word(args);
    if name.is_empty() {
        return Ok(Reply::Text(all(commands)));
    }
    let find = |name: &str| commands.iter().find(|command| command.name == name);
    let bare = name.strip_prefix('/').unwrap_or(name);
    // `/spec-help review` is understood too.
    match find(bare).or_else(|| find(&format!("spec-{bare}"))) {
        Some(command) => Ok(Reply::Text(one(command))),
        None => {
            let name = short(name, 40).replace('`', "'");
            let text = format!("there is no command {name}");
            Err(Failure::new(FailureKind::NotFound, text).hint("`/spec-help` lists them"))
        }
    }
}

fn usage(command: &Command) -> String {
    let hint = command.hint.map(|hint| format!(" {hint}"));
    format!("/{}{}", command.name, hint.unwrap_or_default())
}

/// The help of one command.
pub(super) fn one(command: &Command) -> String {
    // Bars in a hint are no table here.
    let usage = usage(command);
    format!(
        "`{usage}`\n\n{}.\n\n{}\n",
        escape(command.description),
        command.details
    )
}

fn all(commands: &[Command]) -> String {
    let rows: Vec<Vec<String>> = commands
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
