//! Slash commands over JSON-RPC.

use std::sync::Arc;

use spectask_protocol::{
    Client, CommandAnswer, CommandList, CommandParams, CommandView, DynTransport, Empty, Failure,
    FailureKind, Role, SessionParams, SessionRef, TaskRef, WorkSessionId, method::WorkSessionGet,
};

use super::face::Face;
use crate::commands::{self, COMMANDS, CommandClient, Invocation};

pub(super) async fn list(
    _face: Arc<Face>,
    _role: Role,
    _params: Empty,
) -> Result<CommandList, Failure> {
    let commands = COMMANDS.iter().map(|command| CommandView {
        name: command.name.to_owned(),
        description: command.description.to_owned(),
        hint: command.hint.map(str::to_owned),
    });
    Ok(CommandList {
        commands: commands.collect(),
    })
}

pub(super) async fn run(
    face: Arc<Face>,
    _role: Role,
    params: CommandParams,
) -> Result<CommandAnswer, Failure> {
    let Some((command, args)) = commands::parse(params.line.trim()) else {
        return Err(Failure::new(
            FailureKind::InvalidParams,
            "that is no slash command of SpecTask",
        )
        .hint("`/spec-help` lists them"));
    };
    let local = face
        .local()
        .ok_or_else(|| Failure::new(FailureKind::Unavailable, "the daemon is still starting"))?;
    let local: Arc<dyn DynTransport> = Arc::new(local);
    let client = Client::new(local);
    let (session, task) = match params.session {
        Some(session) => thread(&client, session).await?,
        None => (None, None),
    };
    let invocation = Invocation {
        client,
        cwd: params.cwd,
        session,
        task,
        agent: None,
        environment: params.environment,
    };
    let reply = commands::run(invocation, command, args).await?;
    Ok(CommandAnswer { text: reply.text() })
}

/// The thread that a command was typed in, and the SpecTask it is bound to.
async fn thread(
    client: &CommandClient,
    session: SessionRef,
) -> Result<(Option<WorkSessionId>, Option<TaskRef>), Failure> {
    let params = SessionParams {
        session: session.clone(),
    };
    match client.call(WorkSessionGet, params).await {
        Ok(session) => Ok((Some(session.id), session.task.map(TaskRef::from))),
        // A draft has an id and is no session yet.
        Err(failure) if failure.kind == FailureKind::NotFound => {
            let draft: WorkSessionId = session.as_str().parse().map_err(|_| failure)?;
            Ok((Some(draft), None))
        }
        Err(failure) => Err(failure),
    }
}
