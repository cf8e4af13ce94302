//! Why a driver stops, and what a person sees of it.

use spectask_protocol::{WaitKind, Waiting};

use super::{command::CommandError, project::ProjectError, prompts::PromptError};
use crate::{
    agents::AgentError, config::ConfigError, repo::RepoError, store::StoreError,
    workflow::WorkflowError,
};

/// Why a driver stops.
#[derive(Debug)]
pub(super) enum Halt {
    /// It waits for a person or for something outside.
    Wait(Waiting),
    /// Nothing to do any more: cancelled, paused, draining, or moved by a person.
    Gone,
    /// The state could not be changed.
    Workflow(WorkflowError),
}

impl Halt {
    pub(super) fn wait(kind: WaitKind, text: impl Into<String>, hint: Option<&str>) -> Self {
        Self::Wait(Waiting {
            kind,
            text: text.into(),
            hint: hint.map(str::to_owned),
        })
    }

    pub(super) fn broken(text: impl Into<String>) -> Self {
        Self::wait(
            WaitKind::Repository,
            text,
            Some("`spectask retry` tries again"),
        )
    }

    /// As a session keeps it; none when there is nothing to keep.
    pub(super) fn waiting(self) -> Option<Waiting> {
        match self {
            Self::Wait(waiting) => Some(waiting),
            Self::Gone => None,
            Self::Workflow(WorkflowError::Store(error)) => {
                tracing::error!(%error, "a driver lost the database");
                None
            }
            Self::Workflow(error) => {
                tracing::debug!(%error, "a person moved the state meanwhile");
                None
            }
        }
    }
}

impl From<WorkflowError> for Halt {
    fn from(error: WorkflowError) -> Self {
        Self::Workflow(error)
    }
}

impl From<StoreError> for Halt {
    fn from(error: StoreError) -> Self {
        Self::Workflow(error.into())
    }
}

impl From<RepoError> for Halt {
    fn from(error: RepoError) -> Self {
        match &error {
            RepoError::CheckedOut { .. } => Self::wait(
                WaitKind::BranchCheckedOut,
                error.to_string(),
                Some("switch that worktree to another branch, then `spectask retry`"),
            ),
            _ => Self::broken(error.to_string()),
        }
    }
}

impl From<ConfigError> for Halt {
    fn from(error: ConfigError) -> Self {
        Self::broken(error.to_string())
    }
}

impl From<ProjectError> for Halt {
    fn from(error: ProjectError) -> Self {
        match error {
            ProjectError::Store(error) => error.into(),
            error => Self::broken(error.to_string()),
        }
    }
}

impl From<PromptError> for Halt {
    fn from(error: PromptError) -> Self {
        Self::broken(error.to_string())
    }
}

impl From<CommandError> for Halt {
    fn from(error: CommandError) -> Self {
        match error {
            CommandError::Cancelled { .. } => Self::Gone,
            error @ CommandError::Start { .. } => Self::broken(error.to_string()),
        }
    }
}

impl From<AgentError> for Halt {
    fn from(error: AgentError) -> Self {
        let text = error.to_string();
        let retry = "`spectask retry` tries again";
        match error {
            AgentError::NotFound { .. } | AgentError::NoCommand { .. } => Self::wait(
                WaitKind::AgentMissing,
                text,
                Some("`spectask agents` lists what is there; install it, then `spectask retry`"),
            ),
            AgentError::EnvironmentMissing { names, .. } => {
                let hint = format!(
                    "export {} in your shell, then `spectask retry` from there hands it over",
                    names.join(", ")
                );
                Self::wait(WaitKind::Environment, text, Some(&hint))
            }
            AgentError::AuthRequired { agent, .. } => {
                let hint = format!("`spectask agents login {agent}`, then `spectask retry`");
                Self::wait(WaitKind::NeedsAuth, text, Some(&hint))
            }
            AgentError::Timeout { .. } | AgentError::Idle { .. } => {
                Self::wait(WaitKind::TimeLimit, text, Some(retry))
            }
            _ => Self::wait(WaitKind::Agent, text, Some(retry)),
        }
    }
}
