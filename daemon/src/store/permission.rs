//! Permission requests that wait for a person.

use rusqlite::{Row, params};
use spectask_protocol::{
    PermissionId, PermissionOption, PermissionView, SpecTaskId, WorkSessionId,
};

use super::{LOOSE, Read, StoreError, Write, event::rfc3339, row};

fn permission(row: &Row<'_>) -> Result<PermissionView, StoreError> {
    let number: u32 = row.get("number")?;
    let slug: String = row.get("slug")?;
    let (task_number, task): (Option<u32>, Option<String>) =
        (row.get("task_number")?, row.get("task_slug")?);
    let of = match (task_number, task) {
        (Some(number), Some(task)) => format!("{number}-{task}"),
        _ => LOOSE.to_owned(),
    };
    Ok(PermissionView {
        id: row::text(row, "id")?,
        session: row::text(row, "session")?,
        session_name: format!("{of}/{number:02}-{slug}"),
        title: row.get("title")?,
        kind: row.get("kind")?,
        options: row::json(row, "options")?,
        asked_at: rfc3339(row.get("asked_at")?),
    })
}

impl Read<'_> {
    /// Requests that wait, of one SpecTask or all, oldest first.
    ///
    /// # Errors
    /// When the database fails.
    pub fn open_permissions(
        &self,
        task: Option<&SpecTaskId>,
    ) -> Result<Vec<PermissionView>, StoreError> {
        self.rows(
            "SELECT permission.*, work_session.number, work_session.slug,
                spec_task.number AS task_number, spec_task.slug AS task_slug
             FROM permission
             JOIN work_session ON work_session.id = permission.session
             LEFT JOIN spec_task ON spec_task.id = work_session.task
             WHERE answered_at IS NULL AND (?1 IS NULL OR work_session.task = ?1)
             ORDER BY asked_at, permission.id",
            params![task.map(SpecTaskId::as_str)],
            permission,
        )
    }
}

impl Write<'_> {
    /// Keeps a request.
    ///
    /// # Errors
    /// When the database fails.
    pub fn insert_permission(
        &self,
        id: &PermissionId,
        session: &WorkSessionId,
        title: &str,
        kind: &str,
        options: &[PermissionOption],
    ) -> Result<(), StoreError> {
        self.run(
            "INSERT INTO permission (id, session, title, kind, options, asked_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![
                id.as_str(),
                session.as_str(),
                title,
                kind,
                row::to_json(&options)?,
                self.now()
            ],
        )?;
        Ok(())
    }

    /// Ends a request; returns whether it was waiting.
    ///
    /// # Errors
    /// When the database fails.
    pub fn answer_permission(&self, id: &PermissionId, answer: &str) -> Result<bool, StoreError> {
        let changed = self.run(
            "UPDATE permission SET answer = ?2, answered_at = ?3
             WHERE id = ?1 AND answered_at IS NULL",
            params![id.as_str(), answer, self.now()],
        )?;
        Ok(changed == 1)
    }

    /// Cancels every request that waits: nobody is there to take the answer.
    ///
    /// # Errors
    /// When the database fails.
    pub fn cancel_permissions(&self, session: Option<&WorkSessionId>) -> Result<(), StoreError> {
        self.run(
            "UPDATE permission SET answer = 'cancelled', answered_at = ?2
             WHERE answered_at IS NULL AND (?1 IS NULL OR session = ?1)",
            params![session.map(WorkSessionId::as_str), self.now()],
        )?;
        Ok(())
    }
}
