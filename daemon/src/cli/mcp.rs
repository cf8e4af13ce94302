//! `spectask mcp`: the MCP server on standard streams, for editors' own agents and inside agents'
//! sessions. It outlives the daemon: each call goes to the one that runs then.

use std::{env, sync::Arc};

use serde_json::Value;
use spectask_protocol::{Failure, FailureKind, Role, Transport, WorkSessionId};
use tokio::sync::Mutex;

use super::{
    connect::connect_or_start_as,
    context::{Context, environment},
    error::{CliError, Exit, io},
    wire::LocalTransport,
};
use crate::{
    mcp::{self, Caller, Shape},
    paths::Paths,
};

/// The token of the session that this process was started in, given by the daemon to the agent.
const TOKEN: &str = "SPECTASK_SESSION_TOKEN";
/// The id of the session whose agent's process started this one.
const SESSION: &str = "SPECTASK_SESSION";

/// Serves standard streams until the client closes its end.
///
/// # Errors
/// When the client speaks no MCP.
pub(super) fn run(ctx: &Context) -> Result<Exit, CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(io("start", "the runtime"))?;
    let ended = runtime.block_on(serve(ctx));
    // A read of standard input that nobody ends must not hold this process.
    runtime.shutdown_background();
    ended
}

async fn serve(ctx: &Context) -> Result<Exit, CliError> {
    let given = |name| env::var(name).ok().filter(|value| !value.is_empty());
    let token = given(TOKEN);
    let marked: Option<WorkSessionId> = given(SESSION).and_then(|id| id.parse().ok());
    let mut agent = token.is_some() || marked.is_some();
    // A token belongs to a thread, a mark to the process: the token is more exact.
    let mut session = marked.filter(|_| token.is_none());
    let link = Link::new(ctx.paths.clone(), token);
    match connect_or_start_as(&link.paths, link.token.as_deref()).await {
        Ok(daemon) => {
            agent |= daemon.view.role == Role::Agent;
            session = daemon.view.session.clone().or(session);
            *link.current.lock().await = Some(Arc::new(daemon.into_transport()));
        }
        // Tools say it too; a server that ends at once is shown to nobody.
        Err(error) => ctx.note(&failure(error).message),
    }
    let shape = if agent {
        Shape::Injected
    } else {
        Shape::Standalone
    };
    let caller = Caller::new(Arc::new(link), shape)
        .in_session(session)
        .in_folder(ctx.cwd().ok())
        .with_environment(environment());
    mcp::stdio(caller)
        .await
        .map_err(|error| CliError::usage(error.to_string()))?;
    Ok(Exit::Good)
}

/// A connection that is made again when the daemon was restarted.
struct Link {
    paths: Paths,
    token: Option<String>,
    current: Mutex<Option<Arc<LocalTransport>>>,
}

impl Link {
    fn new(paths: Paths, token: Option<String>) -> Self {
        Self {
            paths,
            token,
            current: Mutex::new(None),
        }
    }
}

impl Link {
    /// The connection; a new one when the last was lost.
    async fn transport(&self) -> Result<Arc<LocalTransport>, Failure> {
        let mut current = self.current.lock().await;
        if let Some(open) = current.as_ref().filter(|open| open.is_connected()) {
            return Ok(Arc::clone(open));
        }
        let daemon = connect_or_start_as(&self.paths, self.token.as_deref()).await;
        let open = Arc::new(daemon.map_err(failure)?.into_transport());
        *current = Some(Arc::clone(&open));
        Ok(open)
    }
}

impl Transport for Link {
    async fn call(&self, method: &'static str, params: Value) -> Result<Value, Failure> {
        let open = self.transport().await?;
        let answer = open.call(method, params.clone()).await;
        match answer {
            // Whether a lost call was heard is not known; only a question may be asked twice.
            Err(_) if !open.is_connected() && reads(method) => {
                self.transport().await?.call(method, params).await
            }
            answer => answer,
        }
    }
}

fn reads(method: &str) -> bool {
    let verb = method.rsplit_once('.').map_or(method, |(_, verb)| verb);
    ["get", "list", "search", "transcript"].contains(&verb)
}

fn failure(error: CliError) -> Failure {
    match error {
        CliError::Failure(failure) => failure,
        CliError::OutputClosed => Failure::new(FailureKind::Internal, "the output was closed"),
    }
}
