//! Sessions that agents spawn: few, in their own SpecTask, and none by a spawned one.

use spectask_protocol::{AgentName, SessionMethod, WorkSessionId};

use super::WorkflowError;
use crate::store::{Read, TaskRow};

/// An agent that spawns a session, and how many it may.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spawner {
    /// The session whose agent it is.
    pub session: WorkSessionId,
    /// Spawned sessions of a SpecTask that may be open at a time.
    pub limit: u32,
}

impl Spawner {
    /// Whether it may spawn one more in that SpecTask, with that agent where one is named.
    pub(super) fn check(
        &self,
        read: &Read<'_>,
        task: &TaskRow,
        agent: Option<&AgentName>,
    ) -> Result<(), WorkflowError> {
        let refuse = |text: String| Err(WorkflowError::Forbidden(text));
        let own = read.session(&self.session)?;
        let Some(own) = own.filter(|own| own.task.as_ref() == Some(&task.id)) else {
            return refuse("spawning in another SpecTask than one's own is for persons".into());
        };
        if own.method == SessionMethod::Spawned {
            return refuse("a spawned session spawns none: more of them is for persons".into());
        }
        if agent.is_some_and(|agent| *agent != task.agent) {
            return refuse("choosing another agent for a session is for persons".into());
        }
        let open = read.sessions(&task.id)?.into_iter().filter(|session| {
            session.method == SessionMethod::Spawned && !session.status.is_final()
        });
        if u32::try_from(open.count()).unwrap_or(u32::MAX) >= self.limit {
            return refuse(format!(
                "agents may have {} spawned sessions of {} open at a time \
                 (`agent_spawn_limit`); more is for persons",
                self.limit,
                task.name()
            ));
        }
        Ok(())
    }
}
