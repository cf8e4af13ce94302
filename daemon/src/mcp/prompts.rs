//! Slash commands as prompts. Zed shows a prompt in its `/` menu only when it has at most one
//! argument, and always lets the model answer; so the prompt carries the result and asks the model
//! to show it.

use rmcp::model::{
    ErrorCode, ErrorData, GetPromptRequestParams, GetPromptResult, JsonObject, Prompt,
    PromptArgument, PromptMessage, Role,
};
use serde_json::Value;
use spectask_protocol::{CommandParams, CommandView, Empty, Failure, FailureKind, method};

use super::{caller::Caller, tool::told};

/// The commands as prompts.
pub(super) async fn list(caller: &Caller) -> Result<Vec<Prompt>, ErrorData> {
    let list = caller.client.call(method::CommandListAll, Empty {}).await;
    let commands = list.map_err(|failure| refused(&failure))?.commands;
    Ok(commands.iter().filter(|c| is_usable(c)).map(show).collect())
}

/// Runs the command of that name.
pub(super) async fn get(
    caller: &Caller,
    params: GetPromptRequestParams,
) -> Result<GetPromptResult, ErrorData> {
    let list = caller.client.call(method::CommandListAll, Empty {}).await;
    let commands = list.map_err(|failure| refused(&failure))?.commands;
    let known = commands
        .into_iter()
        .find(|command| command.name == params.name && is_usable(command));
    let Some(command) = known else {
        return Err(ErrorData::invalid_params(
            format!("there is no prompt {:?}", params.name),
            None,
        ));
    };
    let line = match argument(params.arguments)? {
        Some(rest) => format!("/{} {rest}", command.name),
        None => format!("/{}", command.name),
    };
    let run = CommandParams {
        line: line.clone(),
        cwd: caller.cwd.clone().unwrap_or_else(|| "/".to_owned()),
        session: caller.session.clone().map(Into::into),
        environment: caller.environment.clone(),
    };
    let answer = caller.client.call(method::CommandRun, run).await;
    let answer = answer.map_err(|failure| refused(&failure))?;
    let text = format!(
        "I ran the SpecTask command `{line}`. It is done; do not run it again. Its result is \
         below. Show it to me briefly, then wait for what I say next: use no tools and change \
         nothing.\n\n{}",
        answer.text
    );
    let message = PromptMessage::new_text(Role::User, text);
    Ok(GetPromptResult::new(vec![message]).with_description(command.description))
}

/// Clients cut names at these marks.
fn is_usable(command: &CommandView) -> bool {
    !command.name.is_empty() && !command.name.contains(['.', ':'])
}

fn show(command: &CommandView) -> Prompt {
    let argument = command.hint.as_ref().map(|hint| {
        let argument = PromptArgument::new(argument_name(hint))
            .with_description(hint)
            .with_required(false);
        vec![argument]
    });
    Prompt::new(&command.name, Some(&command.description), argument)
}

/// A name from a hint: `[task] <text>` becomes `task-text`.
fn argument_name(hint: &str) -> String {
    let words = hint
        .split(|char: char| !char.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty());
    let name = words.collect::<Vec<_>>().join("-").to_ascii_lowercase();
    if name.is_empty() {
        "text".to_owned()
    } else {
        name
    }
}

/// The one argument, whatever the client calls it; on one line, as a command is.
fn argument(arguments: Option<JsonObject>) -> Result<Option<String>, ErrorData> {
    let mut given = arguments.unwrap_or_default().into_iter();
    let (first, more) = (given.next(), given.next());
    match (first, more) {
        (None, _) => Ok(None),
        (Some((_, Value::String(text))), None) => {
            let text = text.trim();
            Ok((!text.is_empty()).then(|| text.to_owned()))
        }
        (Some((name, _)), None) => Err(ErrorData::invalid_params(
            format!("argument {name:?} is no text"),
            None,
        )),
        (Some(_), Some(_)) => Err(ErrorData::invalid_params(
            "a command takes one argument",
            None,
        )),
    }
}

/// A failure of the daemon. A prompt has no result that says "refused".
fn refused(failure: &Failure) -> ErrorData {
    let code = match failure.kind {
        FailureKind::InvalidParams | FailureKind::NotFound => ErrorCode::INVALID_PARAMS,
        FailureKind::Internal | FailureKind::Unavailable => ErrorCode::INTERNAL_ERROR,
        _ => ErrorCode::INVALID_REQUEST,
    };
    ErrorData::new(code, told(failure), None)
}
