//! What a handler gets and what it answers.

use std::sync::Arc;

use spectask_protocol::{
    AgentName, Client, DynTransport, Environment, SpecTaskView, TaskRef, WorkSessionId,
    WorkSessionView,
};

use super::{
    markdown::{code, escape},
    words::{brief, session_state},
};

/// The client that handlers call the daemon with.
pub type CommandClient = Client<Arc<dyn DynTransport>>;

/// A slash command as a person typed it somewhere.
#[derive(Clone)]
pub struct Invocation {
    /// Calls the daemon for the person.
    pub client: CommandClient,
    /// The folder the person works in, absolute.
    pub cwd: String,
    /// The thread it was typed in, if that is a work session or a draft.
    pub session: Option<WorkSessionId>,
    /// The SpecTask that the thread is bound to or that is selected.
    pub task: Option<TaskRef>,
    /// The agent of the thread, which also plans what is asked for there.
    pub agent: Option<AgentName>,
    /// The person's environment, handed to agents that the command starts.
    pub environment: Environment,
}

/// What comes of a slash command.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(
    clippy::large_enum_variant,
    reason = "one exists at a time, for a moment"
)]
pub enum Reply {
    /// Markdown for the person, without a model turn.
    Text(String),
    /// A SpecTask was created and plans: its planning session can be followed, and
    /// [`super::review_summary`] tells how it ended.
    Plan {
        /// The new SpecTask.
        task: SpecTaskView,
    },
    /// The session that a fresh thread becomes a viewer of.
    Open {
        /// The session.
        session: WorkSessionView,
    },
    /// A prompt for the agent in the person's name.
    Prompt(String),
    /// What was typed lacks something: the command's own help, which [`super::run`] puts here.
    Help,
}

impl Reply {
    /// Markdown for a face that can neither follow a planning session nor show one.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Text(text) | Self::Prompt(text) => text.clone(),
            Self::Help => "`/spec-help` explains the commands\n".to_owned(),
            Self::Plan { task } => format!(
                "Planning of {} started: {}\n\nNext: {} shows how it goes, then {}\n",
                code(&task.name),
                escape(&task.title),
                code(&format!("/spec-status {}", task.number)),
                code(&format!("/spec-review {}", task.number))
            ),
            Self::Open { session } => {
                let name = brief(&session.name);
                format!(
                    "{} {} ({})\n\nIn Zed: {} in a fresh thread. In a terminal: {}\n",
                    code(&session.name),
                    escape(&session.title),
                    session_state(session),
                    code(&format!("/spec-open {name}")),
                    code(&format!("spectask sessions show {name}"))
                )
            }
        }
    }
}
