//! The agent towards its client: the ACP methods it answers, and the turn behind a prompt.

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use agent_client_protocol::{
    Agent, Client, ConnectTo, Error, Stdio,
    schema::ProtocolVersion,
    v1::{ConnectionTo, schema},
};

use super::{
    brief::{self, Brief},
    plan,
    session::{Sessions, Speaker},
    turn::{Offered, Stop, Turn, report},
    work,
};

/// The name the agent gives itself at `initialize`.
pub const AGENT_NAME: &str = "spectask-example-agent";

/// Begins the first message of every turn.
const WHO: &str = "I am SpecTask's built-in example agent; I work without a model.";
const DEFAULT_PACE: Duration = Duration::from_millis(40);
const MAX_PACE: Duration = Duration::from_secs(10);

/// The example agent could not go on.
#[derive(Debug, thiserror::Error)]
pub enum ExampleAgentError {
    /// Standard input or output failed, or carried something that is not ACP.
    #[error(
        "the example agent lost its connection on standard input and output: {0}. It speaks the \
         Agent Client Protocol and is meant to be started by a client such as the SpecTask daemon \
         or an editor."
    )]
    Connection(#[source] Error),
}

/// How the agent behaves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Config {
    /// Folder of the conversations (`{id}.json` each); `None` keeps them in memory.
    pub sessions: Option<PathBuf>,
    /// Pause between two steps of a turn.
    pub pace: Duration,
}

impl Config {
    /// Reads `SPECTASK_EXAMPLE_STATE` (a folder; default: the platform's state or cache folder) and
    /// `SPECTASK_EXAMPLE_PACE_MS` (milliseconds, 0 to 10,000; default 40).
    #[must_use]
    pub fn from_env() -> Self {
        let state = std::env::var_os("SPECTASK_EXAMPLE_STATE")
            .filter(|folder| !folder.is_empty())
            .map(PathBuf::from)
            .or_else(|| {
                let folders = directories::ProjectDirs::from("", "", AGENT_NAME)?;
                Some(
                    folders
                        .state_dir()
                        .unwrap_or(folders.cache_dir())
                        .to_owned(),
                )
            });
        let pace = std::env::var("SPECTASK_EXAMPLE_PACE_MS")
            .ok()
            .and_then(|value| value.trim().parse().ok())
            .map_or(DEFAULT_PACE, Duration::from_millis);
        Self {
            sessions: state.map(|folder| folder.join("sessions")),
            pace: pace.min(MAX_PACE),
        }
    }
}

/// Serves ACP v1 on standard input and output until the input ends. Nothing else is written to
/// standard output.
///
/// # Errors
///
/// [`ExampleAgentError::Connection`] if the connection fails; the end of the input is no failure.
pub async fn run() -> Result<(), ExampleAgentError> {
    serve(Stdio::new(), Config::from_env()).await
}

/// Serves ACP v1 on any transport until it closes.
///
/// # Errors
///
/// [`ExampleAgentError::Connection`] if the transport fails; its orderly end is no failure.
pub async fn serve(
    transport: impl ConnectTo<Agent> + 'static,
    config: Config,
) -> Result<(), ExampleAgentError> {
    let shared = Arc::new(Shared {
        sessions: Sessions::new(config.sessions),
        pace: config.pace,
        offered: Mutex::default(),
        client_left: AtomicBool::new(false),
    });
    let [new, load, prompt, cancel, close, end] = std::array::from_fn(|_| Arc::clone(&shared));
    let result = Agent
        .v1()
        .name(AGENT_NAME)
        .on_receive_request(
            async move |request: schema::InitializeRequest, responder, _cx| {
                responder.respond(shared.initialize(&request))
            },
            agent_client_protocol::on_receive_request!(),
        )
        .on_receive_request(
            async move |request: schema::NewSessionRequest, responder, _cx| {
                let session = new.sessions.create(request.cwd);
                responder.respond_with_result(
                    session.map(|session| schema::NewSessionResponse::new(session.id.clone())),
                )
            },
            agent_client_protocol::on_receive_request!(),
        )
        .on_receive_request(
            async move |request: schema::LoadSessionRequest, responder, cx| {
                responder.respond_with_result(load.load(request, &cx))
            },
            agent_client_protocol::on_receive_request!(),
        )
        .on_receive_request(
            async move |request: schema::PromptRequest, responder, cx| {
                // The turn is open before the next message is read, so that no cancel is missed.
                let guard = match prompt.sessions.begin_turn(&request.session_id.0) {
                    Ok(guard) => guard,
                    Err(error) => return responder.respond_with_error(error),
                };
                let withdrawn = responder.cancellation();
                let turn = Turn::new(cx.clone(), guard, prompt.offered(), prompt.pace);
                cx.spawn(async move {
                    let cancel = turn.guard.cancel.clone();
                    let work = take_turn(turn, request.prompt);
                    tokio::pin!(work);
                    let stop = tokio::select! {
                        stop = &mut work => stop,
                        () = withdrawn.cancelled() => {
                            cancel.cancel();
                            work.await
                        }
                    };
                    report(responder.respond(schema::PromptResponse::new(stop)));
                    Ok(())
                })
            },
            agent_client_protocol::on_receive_request!(),
        )
        .on_receive_notification(
            async move |request: schema::CancelNotification, _cx| {
                cancel.sessions.cancel(&request.session_id.0);
                Ok(())
            },
            agent_client_protocol::on_receive_notification!(),
        )
        .on_close(async move |_cx| {
            close.client_left.store(true, Ordering::Release);
            close.sessions.cancel_all();
            Ok(())
        })
        .connect_to(transport)
        .await;
    match result {
        // What could not be sent to a client that left is no failure of this side.
        Err(_) if end.client_left.load(Ordering::Acquire) => Ok(()),
        result => result.map_err(ExampleAgentError::Connection),
    }
}

struct Shared {
    sessions: Sessions,
    pace: Duration,
    offered: Mutex<Offered>,
    client_left: AtomicBool,
}

impl Shared {
    fn initialize(&self, request: &schema::InitializeRequest) -> schema::InitializeResponse {
        let client = &request.client_capabilities;
        *self.offered.lock().unwrap_or_else(PoisonError::into_inner) = Offered {
            read: client.fs.read_text_file,
            write: client.fs.write_text_file,
            terminal: client.terminal,
        };
        schema::InitializeResponse::new(ProtocolVersion::V1)
            .agent_capabilities(schema::AgentCapabilities::new().load_session(true))
            .agent_info(
                schema::Implementation::new(AGENT_NAME, env!("CARGO_PKG_VERSION"))
                    .title("SpecTask example agent (no model)".to_owned()),
            )
    }

    fn offered(&self) -> Offered {
        *self.offered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a session again and replays its conversation before the answer.
    fn load(
        &self,
        request: schema::LoadSessionRequest,
        cx: &ConnectionTo<Client>,
    ) -> Result<schema::LoadSessionResponse, Error> {
        let (session, messages) = self.sessions.load(&request.session_id.0, request.cwd)?;
        for message in messages {
            let chunk =
                schema::ContentChunk::new(message.text.into()).message_id(message.id.as_str());
            let update = match message.speaker {
                Speaker::User => schema::SessionUpdate::UserMessageChunk(chunk),
                Speaker::Agent => schema::SessionUpdate::AgentMessageChunk(chunk),
            };
            cx.send_notification(schema::SessionNotification::new(session.id.clone(), update))?;
        }
        Ok(schema::LoadSessionResponse::new())
    }
}

/// Does what a prompt asks for; the turn is closed when this returns.
async fn take_turn(mut turn: Turn, prompt: Vec<schema::ContentBlock>) -> schema::StopReason {
    let prompt = text_of(&prompt);
    turn.record_prompt(&prompt);
    let (continued, brief) = brief::read(&prompt);
    turn.say(&introduction(continued, &brief));
    match carry_out(&mut turn, &brief).await {
        Ok(()) => schema::StopReason::EndTurn,
        Err(Stop::Cancelled) => schema::StopReason::Cancelled,
        Err(Stop::Refused(reason)) => {
            turn.say(&reason);
            schema::StopReason::Refusal
        }
    }
}

async fn carry_out(turn: &mut Turn, brief: &Brief) -> Result<(), Stop> {
    turn.breathe().await?;
    let needs_files = !matches!(brief, Brief::Free { .. });
    if needs_files && !(turn.offered.read && turn.offered.write) {
        return Err(Stop::Refused(
            "I read and write files only through the client, and this client offers no \
             `fs/read_text_file` and `fs/write_text_file`. I changed nothing."
                .to_owned(),
        ));
    }
    match brief {
        Brief::Plan(brief) => plan::plan(turn, brief).await,
        Brief::Revise {
            plan,
            errors,
            comments,
        } => plan::revise(turn, plan, errors, comments).await,
        Brief::Work(brief) => work::work(turn, brief).await,
        Brief::Resolve { files } => work::resolve(turn, files).await,
        Brief::Free { .. } => Ok(()),
    }
}

fn introduction(continued: bool, brief: &Brief) -> String {
    let what = match brief {
        Brief::Plan(_) => "I write the requirements, the design and the tasks of this request.",
        Brief::Revise { .. } => "I revise the documents.",
        Brief::Work(work) if work.output.is_some() => "I look at a task that failed.",
        Brief::Work(_) => "I carry out one task of the approved plan.",
        Brief::Resolve { .. } => "I resolve the conflicts of a merge.",
        Brief::Free { .. } => {
            "I can plan a small feature for any request, revise the plan after review comments, and \
             carry out its tasks by editing files through the client, all from prompts that \
             SpecTask writes. I cannot answer questions. For real work choose an agent with a \
             model: `spectask agents` lists those that are installed."
        }
    };
    let mut text = format!("{WHO} ");
    if continued {
        text.push_str("The turn before was interrupted; I continue it. ");
    }
    if let Brief::Free {
        problem: Some(problem),
    } = brief
    {
        text.push_str(&format!(
            "The prompt has a `spectask` block, but {problem}. "
        ));
    }
    text.push_str(what);
    text
}

/// The text of a prompt; what is not text is left out.
fn text_of(blocks: &[schema::ContentBlock]) -> String {
    let texts: Vec<&str> = blocks
        .iter()
        .filter_map(|block| match block {
            schema::ContentBlock::Text(text) => Some(text.text.as_str()),
            _ => None,
        })
        .collect();
    texts.join("\n")
}
