//! Agent processes, noted before their first prompt so that a later daemon can reap them.

use rusqlite::{Row, params};
use spectask_protocol::{AgentName, WorkSessionId};

use super::{Read, StoreError, Write, row};

/// An agent process that was started and whose end was not seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessRow {
    /// Its row.
    pub id: i64,
    /// The session it was started for.
    pub session: Option<WorkSessionId>,
    /// The profile.
    pub agent: AgentName,
    /// The process id.
    pub pid: u32,
    /// When it started, in seconds since the Unix epoch as the system counts them.
    pub start_time: u64,
    /// Its process group.
    pub process_group: u32,
}

fn process(row: &Row<'_>) -> Result<ProcessRow, StoreError> {
    Ok(ProcessRow {
        id: row.get("id")?,
        session: row::optional(row, "session")?,
        agent: row::text(row, "agent")?,
        pid: row.get("pid")?,
        start_time: row.get("start_time")?,
        process_group: row.get("process_group")?,
    })
}

impl Read<'_> {
    /// Processes whose end was not seen.
    ///
    /// # Errors
    /// When the database fails.
    pub fn open_processes(&self) -> Result<Vec<ProcessRow>, StoreError> {
        self.rows(
            "SELECT * FROM agent_process WHERE ended_at IS NULL ORDER BY id",
            [],
            process,
        )
    }
}

impl Write<'_> {
    /// Notes a process; returns its row.
    ///
    /// # Errors
    /// When the database fails.
    pub fn insert_process(
        &self,
        session: Option<&WorkSessionId>,
        agent: &AgentName,
        pid: u32,
        start_time: u64,
        process_group: u32,
    ) -> Result<i64, StoreError> {
        self.run(
            "INSERT INTO agent_process (session, agent, pid, start_time, process_group, started_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![
                session.map(WorkSessionId::as_str),
                agent.as_str(),
                pid,
                start_time,
                process_group,
                self.now()
            ],
        )?;
        Ok(self.0.last_insert_rowid())
    }

    /// Notes the end of a process.
    ///
    /// # Errors
    /// When the database fails.
    pub fn end_process(&self, id: i64) -> Result<(), StoreError> {
        self.run(
            "UPDATE agent_process SET ended_at = ?2 WHERE id = ?1",
            params![id, self.now()],
        )?;
        Ok(())
    }
}
