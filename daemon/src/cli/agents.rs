//! `spectask agents`: list, add, test, login.

use spectask_protocol::{
    AgentAddParams, AgentList, AgentListParams, AgentParams, AgentTestView,
    method::{AgentAdd, AgentListAll, AgentLogin, AgentTest},
};

use super::{
    args::{AgentsArgs, AgentsCommand, PermissionPolicy},
    context::{Context, environment},
    error::{CliError, Exit},
    sheet::{Sheet, Tone},
    table::{Cell, table},
};

pub(super) async fn run(ctx: &Context, args: AgentsArgs) -> Result<Exit, CliError> {
    let daemon = ctx.daemon().await?;
    match args.command {
        None | Some(AgentsCommand::List) => {
            let list = daemon
                .call(
                    AgentListAll,
                    AgentListParams {
                        environment: environment(),
                    },
                )
                .await?;
            ctx.show(&list, |sheet| agents(sheet, &list, ctx.width()))?;
            Ok(Exit::Good)
        }
        Some(AgentsCommand::Add {
            name,
            env,
            permission,
            default,
            command,
        }) => {
            let params = AgentAddParams {
                name,
                command,
                env,
                permission: permission.map(PermissionPolicy::as_str).map(str::to_owned),
                default,
            };
            let list = daemon.call(AgentAdd, params).await?;
            ctx.show(&list, |sheet| agents(sheet, &list, ctx.width()))?;
            Ok(Exit::Good)
        }
        Some(AgentsCommand::Test { name }) => {
            ctx.note(&format!("Starting {name} …"));
            let params = AgentParams {
                name,
                method: None,
                environment: environment(),
            };
            let view = daemon.call(AgentTest, params).await?;
            ctx.show(&view, |sheet| tested(sheet, &view))?;
            Ok(if view.session_opened {
                Exit::Good
            } else {
                Exit::Failed
            })
        }
        Some(AgentsCommand::Login { name, method }) => {
            ctx.note(&format!("Logging in to {name}; it may open a browser …"));
            let params = AgentParams {
                name,
                method,
                environment: environment(),
            };
            let view = daemon.call(AgentLogin, params).await?;
            ctx.show(&view, |sheet| tested(sheet, &view))?;
            Ok(if view.session_opened {
                Exit::Good
            } else {
                Exit::Failed
            })
        }
    }
}

fn agents(sheet: &mut Sheet, list: &AgentList, width: Option<usize>) {
    let rows: Vec<Vec<Cell>> = list
        .agents
        .iter()
        .map(|agent| {
            let (tone, state) = match agent.source.as_str() {
                _ if agent.available => (Tone::Good, "found"),
                "known" => (Tone::Faint, "not found"),
                _ => (Tone::Warn, "not usable"),
            };
            let default = if agent.default { "default" } else { "" };
            vec![
                Cell::name(agent.name.as_str()),
                Cell::new(tone, state),
                Cell::plain(default),
                Cell::plain(&agent.source),
                Cell::plain(&agent.permission),
                Cell::plain(&agent.command.join(" ")),
            ]
        })
        .collect();
    table(
        sheet,
        &["NAME", "STATE", "", "SOURCE", "PERMISSION", "COMMAND"],
        &rows,
        width,
    );
    for agent in list.agents.iter().filter(|agent| !agent.available) {
        if let Some(hint) = &agent.hint {
            sheet
                .put(Tone::Faint, agent.name.as_str())
                .plain(": ")
                .line(Tone::Faint, hint);
        }
    }
}

fn tested(sheet: &mut Sheet, view: &AgentTestView) {
    sheet.put(Tone::Name, view.name.as_str()).plain("  ");
    if view.session_opened {
        sheet.line(
            Tone::Good,
            &format!("works: a session was open after {} ms", view.millis),
        );
    } else {
        sheet.line(Tone::Bad, "no session could be opened");
    }
    sheet
        .plain("  ")
        .line(Tone::Plain, &format!("{} {}", view.title, view.version));
    let can = |yes, what: &str| format!("{} {what}", if yes { "can" } else { "cannot" });
    sheet.plain("  ").line(
        Tone::Faint,
        &format!(
            "{}, {}",
            can(view.load_session, "load a session"),
            can(view.resume_session, "resume a session")
        ),
    );
    if let Some(problem) = &view.problem {
        sheet.put(Tone::Bad, "  problem: ").block(problem).end();
    }
    if !view.session_opened {
        for method in &view.auth_methods {
            sheet
                .plain("  ")
                .put(
                    Tone::Name,
                    &format!("spectask agents login {} --method {}", view.name, method.id),
                )
                .put(Tone::Faint, &format!("  {}", method.name));
            if let Some(description) = &method.description {
                sheet.put(Tone::Faint, &format!(": {description}"));
            }
            sheet.end();
        }
    }
}

#[cfg(test)]
mod tests {
    use spectask_protocol::AuthMethod;

    use super::*;

    #[test]
    fn a_test_that_failed_says_how_to_log_in() {
        let view = AgentTestView {
            name: "gemini".parse().unwrap(),
            title: "Gemini CLI".into(),
            version: "1.0".into(),
            load_session: true,
            resume_session: false,
            auth_methods: vec![AuthMethod {
                id: "oauth".into(),
                name: "Log in with Google".into(),
                description: None,
            }],
            session_opened: false,
            problem: Some("Authentication required".into()),
            millis: 900,
        };
        let mut sheet = Sheet::new(false);
        tested(&mut sheet, &view);
        insta::assert_snapshot!(sheet.into_text(), @r"
        gemini  no session could be opened
          Gemini CLI 1.0
          can load a session, cannot resume a session
          problem: Authentication required
          spectask agents login gemini --method oauth  Log in with Google
        ");
    }
}
