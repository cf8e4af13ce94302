//! New sessions beside the planned ones.

use schemars::JsonSchema;
use serde::Deserialize;
use spectask_protocol::{Failure, SessionRef, SpawnParams, method};

use super::{
    record::{given, target},
    session::SessionLine,
};
use crate::mcp::{
    caller::{Caller, Shape},
    tool::{Effect, Tool},
};

/// What a new session shall do.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::mcp) struct SpawnInput {
    /// What to do, in a line.
    title: String,
    /// What to do, with everything a fresh agent needs to know: it sees the documents of the
    /// SpecTask, but nothing of this conversation.
    description: String,
    /// The SpecTask, or the session that becomes the parent. Absent: your own session, else the
    /// only open SpecTask of the project.
    #[serde(default)]
    target: Option<SessionRef>,
    /// Absolute path of a folder in the repository, when it is not the one this server runs in.
    #[serde(default)]
    project: Option<String>,
}

/// `spawn_session`.
pub(in crate::mcp) struct SpawnSession;

impl Tool for SpawnSession {
    const NAME: &'static str = "spawn_session";
    const TITLE: &'static str = "Spawn a work session";
    const DESCRIPTION: &'static str = "Starts another agent on a piece of work of the same SpecTask, \
        in a worktree of its own; its result is verified and merged like that of a planned \
        session. An agent may have only a few of them open at a time (configuration \
        `agent_spawn_limit`), and a spawned session spawns none.";
    const EFFECT: Effect = Effect::Adds;
    type Input = SpawnInput;
    type Output = SessionLine;

    async fn call(caller: &Caller, input: SpawnInput) -> Result<(SessionLine, String), Failure> {
        let own = || caller.session.clone().map(SessionRef::from);
        let target = match input.target.or_else(own) {
            Some(target) => target,
            None => target(caller.task(None, input.project).await?)?,
        };
        let params = SpawnParams {
            target,
            title: given(input.title)?,
            description: given(input.description)?,
            agent: None,
            // An agent's environment is not a person's.
            environment: match caller.shape {
                Shape::Injected => Default::default(),
                Shape::Standalone => caller.environment.clone(),
            },
        };
        let view = caller.client.call(method::WorkSessionSpawn, params).await?;
        let session = SessionLine::from(view);
        let text = format!("spawned {}, {}\n", session.name, session.status);
        Ok((session, text))
    }
}
