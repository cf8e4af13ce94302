//! After a start: ends what a crash left behind, before anything opens a worktree again.

use super::context::Shared;
use crate::{
    agents::{self, ProcessIdentity, Reaped},
    workflow::{WorkflowError, turn},
};

/// Reaps orphaned agents and marks interrupted turns.
///
/// # Errors
/// When the database fails.
pub async fn recover(ctx: &Shared) -> Result<(), WorkflowError> {
    let processes = ctx.store.read(|read| read.open_processes())?;
    for process in processes {
        let identity = ProcessIdentity {
            pid: process.pid,
            start_time: process.start_time,
            group: process.process_group,
        };
        let session = process.session.clone();
        let reaped = tokio::task::spawn_blocking(move || {
            let reaped = agents::reap(&identity);
            // What left the group still carries the mark.
            if let Some(session) = session {
                agents::reap_marked("SPECTASK_SESSION", session.as_str());
            }
            reaped
        })
        .await;
        match reaped {
            Ok(Reaped::Killed) => {
                tracing::info!(pid = process.pid, agent = %process.agent, "an orphaned agent was ended");
            }
            Ok(_) => {}
            Err(error) => tracing::error!(%error, "an orphan could not be looked at"),
        }
        turn::process_ended(&ctx.store, process.id).await?;
    }
    let turns = turn::interrupt_all(&ctx.store).await?;
    if turns > 0 {
        tracing::info!(
            turns,
            "turns were interrupted by the end of the daemon before"
        );
    }
    Ok(())
}
