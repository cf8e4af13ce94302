//! `/spec` and `/spec-start`.

use spectask_protocol::{
    AgentName, CreateParams, Failure, FailureKind, SessionRef, SpecTaskStatus, SpecTaskView,
    StartParams, TargetParams, WaitKind,
    method::{SpecTaskCreate, SpecTaskResume, SpecTaskRetry, SpecTaskStart},
};

use super::{
    choose::{self, Behind, STARTABLE, first_word},
    invocation::{Invocation, Reply},
    markdown::{code, escape},
    words::{brief, task_state},
};

pub(super) const DETAILS: &str = "Everything after it is what you want, as many lines as you like. \
An agent writes `requirements.md`, `design.md` and `tasks.md`; nothing is built before you approve them.

Flags may stand before the text: `--agent NAME` (who plans and works), `--name NAME` (what it is called), \
`--later` (only note it).

Example: `/spec --agent claude Users can reset their password by mail`";

pub(super) const START: &str = "A noted SpecTask begins to plan, an approved one begins to work, a stopped one \
goes on, what failed or is stuck is tried again. With a session such as `7/2`: only that one is tried again.";

/// What stands before the text of `/spec`.
#[derive(Debug, Default, PartialEq, Eq)]
struct Flags {
    agent: Option<AgentName>,
    name: Option<String>,
    later: bool,
}

fn flags(args: &str) -> Result<(Flags, String), Failure> {
    let mut flags = Flags::default();
    let mut rest = args.trim();
    while rest.starts_with("--") {
        let (word, after) = first_word(rest);
        let (flag, inline) = word
            .split_once('=')
            .map_or((word, None), |(flag, value)| (flag, Some(value)));
        rest = after;
        match (flag, inline) {
            ("--", None) => break,
            ("--later", None) => flags.later = true,
            ("--agent" | "--name", inline) => {
                let value = match inline {
                    Some(value) => value,
                    None => {
                        let (value, after) = first_word(rest);
                        rest = after;
                        value
                    }
                };
                if value.is_empty() {
                    return Err(wrong(format!("{flag} needs a name")));
                }
                if flag == "--name" {
                    flags.name = Some(value.to_owned());
                } else {
                    let agent = value.parse().map_err(|error| wrong(format!("{error}")))?;
                    flags.agent = Some(agent);
                }
            }
            _ => return Err(wrong(format!("{word} is no flag of `/spec`"))),
        }
    }
    Ok((flags, rest.to_owned()))
}

fn wrong(message: String) -> Failure {
    Failure::new(FailureKind::InvalidParams, message).hint(
        "`--agent NAME`, `--name NAME` and `--later` may stand before the text; `--` ends them",
    )
}

pub(super) async fn spec(invocation: Invocation, args: String) -> Result<Reply, Failure> {
    let (flags, prompt) = flags(&args)?;
    if prompt.is_empty() {
        return Ok(Reply::Help);
    }
    let params = CreateParams {
        cwd: invocation.cwd,
        prompt,
        name: flags.name,
        agent: flags.agent.or(invocation.agent),
        planning_agent: None,
        mode: None,
        limit: None,
        base: None,
        verify: None,
        later: flags.later,
        environment: invocation.environment,
    };
    let task = invocation.client.call(SpecTaskCreate, params).await?;
    if flags.later {
        let text = format!(
            "Noted {}: {}\n\nNext: {}\n",
            code(&task.name),
            escape(&task.title),
            code(&format!("/spec-start {}", task.number))
        );
        return Ok(Reply::Text(text));
    }
    Ok(Reply::Plan { task })
}

pub(super) async fn start(invocation: Invocation, args: String) -> Result<Reply, Failure> {
    let (word, rest) = first_word(&args);
    if word.contains('/') && rest.is_empty() {
        let session = choose::session(&invocation, word).await?;
        retry(&invocation, session.id.into()).await?;
        return Ok(Reply::Text(format!(
            "{} is tried again.\n",
            code(&session.name)
        )));
    }
    let (task, _) = choose::task(
        &invocation,
        "spec-start",
        &args,
        &STARTABLE,
        Behind::Nothing,
    )
    .await?;
    let what = begin(&invocation, &task).await?;
    let shows = code(&format!("/spec-status {}", task.number));
    Ok(Reply::Text(format!(
        "{} {what}. {shows} shows how it goes.\n",
        code(&task.name)
    )))
}

/// Does what is next; says what.
async fn begin(invocation: &Invocation, task: &SpecTaskView) -> Result<String, Failure> {
    let client = &invocation.client;
    let params = StartParams {
        task: task.id.clone().into(),
        environment: invocation.environment.clone(),
    };
    let failed = matches!(
        task.status,
        SpecTaskStatus::SpecFailed | SpecTaskStatus::ImplementationFailed
    );
    if task.paused && !task.status.is_final() {
        client.call(SpecTaskResume, params).await?;
        let again = retry_stopped(invocation, task).await?;
        let tail = if again.is_empty() {
            String::new()
        } else {
            format!("; tried again: {}", again.join(", "))
        };
        return Ok(format!("goes on{tail}"));
    }
    if failed || task.stuck > 0 {
        retry(invocation, task.id.clone().into()).await?;
        return Ok("is tried again".to_owned());
    }
    let task = client.call(SpecTaskStart, params).await?;
    Ok(format!("starts: {}", task_state(&task)))
}

async fn retry(invocation: &Invocation, target: SessionRef) -> Result<SpecTaskView, Failure> {
    let params = TargetParams {
        target,
        environment: invocation.environment.clone(),
    };
    invocation.client.call(SpecTaskRetry, params).await
}

/// Tries the sessions again that `/spec-stop` stopped.
async fn retry_stopped(
    invocation: &Invocation,
    task: &SpecTaskView,
) -> Result<Vec<String>, Failure> {
    let overview = choose::find(&invocation.client, task.id.clone().into()).await?;
    let sessions = overview
        .map(|overview| overview.sessions)
        .unwrap_or_default();
    let mut again = Vec::new();
    for session in sessions {
        let stopped = session
            .waiting
            .as_ref()
            .is_some_and(|waiting| waiting.kind == WaitKind::Stopped);
        if !stopped || session.status.is_final() {
            continue;
        }
        match retry(invocation, session.id.clone().into()).await {
            Ok(_) => again.push(code(&brief(&session.name))),
            // It went on, or ended, between the two calls.
            Err(failure) if failure.kind == FailureKind::InvalidState => {}
            Err(failure) => return Err(failure),
        }
    }
    Ok(again)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_stand_before_the_text() {
        let parse = |args: &str| flags(args).map_err(|failure| failure.message);
        assert_eq!(
            parse(" --agent claude --name=search --later Add\n\n--search "),
            Ok((
                Flags {
                    agent: Some("claude".parse().unwrap()),
                    name: Some("search".into()),
                    later: true,
                },
                "Add\n\n--search".into()
            ))
        );
        assert_eq!(
            parse("-- --later x"),
            Ok((Flags::default(), "--later x".into()))
        );
        assert_eq!(parse(""), Ok((Flags::default(), String::new())));
        for bad in [
            "--agent",
            "--agent A_B x",
            "--name= x",
            "--quick x",
            "--later=1 x",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
