//! Implementation tasks and what they depend on. What is ready is one index range: the writer keeps
//! `open_dependencies` and the state `blocked` up to date.

use std::collections::HashMap;

use rusqlite::{Row, params};
use spectask_protocol::{ImplementationTaskStatus, SpecTaskId, WorkSessionId};

use super::{Read, StoreError, Write, row};

/// An implementation task as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkRow {
    /// Its row.
    pub id: i64,
    /// Its number in `tasks.md`.
    pub number: String,
    /// Its title.
    pub title: String,
    /// Its source text in the approved `tasks.md`.
    pub body: String,
    /// Whether it is marked optional.
    pub optional: bool,
    /// The state.
    pub status: ImplementationTaskStatus,
    /// Criteria it serves.
    pub requirements: Vec<String>,
    /// Resources it holds alone.
    pub resources: Vec<String>,
    /// Its work session.
    pub session: Option<WorkSessionId>,
}

/// An implementation task to keep.
#[derive(Debug, Clone)]
pub struct NewImplementationTask {
    /// Its number in `tasks.md`.
    pub number: String,
    /// Its title.
    pub title: String,
    /// Its source text.
    pub body: String,
    /// Whether it is marked optional.
    pub optional: bool,
    /// Its wave; lower ones are dispatched first.
    pub wave: u32,
    /// Whether it is ticked in the approved text already.
    pub completed: bool,
    /// Criteria it serves.
    pub requirements: Vec<String>,
    /// Resources it holds alone.
    pub resources: Vec<String>,
    /// Numbers of the tasks it depends on.
    pub depends: Vec<String>,
}

/// A task that could start now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadyTask {
    /// Its row.
    pub id: i64,
    /// Its number in `tasks.md`.
    pub number: String,
    /// Its title.
    pub title: String,
    /// Resources it would hold alone.
    pub resources: Vec<String>,
}

fn work(row: &Row<'_>) -> Result<WorkRow, StoreError> {
    Ok(WorkRow {
        id: row.get("id")?,
        number: row.get("number")?,
        title: row.get("title")?,
        body: row.get("body")?,
        optional: row.get("optional")?,
        status: row::text(row, "status")?,
        requirements: row::json(row, "requirements")?,
        resources: row::json(row, "resources")?,
        session: row::optional(row, "session")?,
    })
}

impl Read<'_> {
    /// The implementation tasks of a SpecTask, in the order of `tasks.md`.
    ///
    /// # Errors
    /// When the database fails.
    pub fn implementation_tasks(&self, task: &SpecTaskId) -> Result<Vec<WorkRow>, StoreError> {
        self.rows(
            "SELECT * FROM implementation_task WHERE task = ?1 ORDER BY position",
            [task.as_str()],
            work,
        )
    }

    /// One implementation task.
    ///
    /// # Errors
    /// When the database fails.
    pub fn implementation_task(&self, id: i64) -> Result<Option<WorkRow>, StoreError> {
        self.row(
            "SELECT * FROM implementation_task WHERE id = ?1",
            [id],
            work,
        )
    }

    /// Numbers that each implementation task of a SpecTask depends on.
    ///
    /// # Errors
    /// When the database fails.
    pub fn dependencies(
        &self,
        task: &SpecTaskId,
    ) -> Result<HashMap<String, Vec<String>>, StoreError> {
        let pairs = self.rows(
            "SELECT dependent.number AS dependent, dependency.number AS dependency
             FROM implementation_task AS dependent
             JOIN implementation_dependency AS edge ON edge.dependent = dependent.id
             JOIN implementation_task AS dependency ON dependency.id = edge.dependency
             WHERE dependent.task = ?1 ORDER BY dependency.position",
            [task.as_str()],
            |row| {
                Ok((
                    row.get::<_, String>("dependent")?,
                    row.get::<_, String>("dependency")?,
                ))
            },
        )?;
        let mut all: HashMap<String, Vec<String>> = HashMap::new();
        for (dependent, dependency) in pairs {
            all.entry(dependent).or_default().push(dependency);
        }
        Ok(all)
    }

    /// Tasks of a SpecTask that could start now, by wave, then in the order of `tasks.md`.
    ///
    /// # Errors
    /// When the database fails.
    pub fn ready_tasks(&self, task: &SpecTaskId, limit: u32) -> Result<Vec<ReadyTask>, StoreError> {
        self.rows(
            "SELECT id, number, title, resources FROM implementation_task
             WHERE task = ?1 AND status = 'pending' AND optional = 0
             ORDER BY wave, position LIMIT ?2",
            params![task.as_str(), limit],
            |row| {
                Ok(ReadyTask {
                    id: row.get("id")?,
                    number: row.get("number")?,
                    title: row.get("title")?,
                    resources: row::json(row, "resources")?,
                })
            },
        )
    }

    /// Whether every required implementation task of a SpecTask is completed.
    ///
    /// # Errors
    /// When the database fails.
    pub fn all_completed(&self, task: &SpecTaskId) -> Result<bool, StoreError> {
        Ok(self.0.query_row(
            "SELECT NOT EXISTS (SELECT 1 FROM implementation_task
             WHERE task = ?1 AND optional = 0 AND status <> 'completed')",
            [task.as_str()],
            |row| row.get(0),
        )?)
    }
}

impl Write<'_> {
    /// Forgets the implementation tasks of a SpecTask whose plan is another one now.
    ///
    /// # Errors
    /// When the database fails.
    pub fn forget_implementation_tasks(&self, task: &SpecTaskId) -> Result<(), StoreError> {
        let task = [task.as_str()];
        self.run(
            "UPDATE work_session SET implementation_task = NULL WHERE task = ?1",
            task,
        )?;
        self.run(
            "DELETE FROM implementation_dependency WHERE dependent IN
                (SELECT id FROM implementation_task WHERE task = ?1)",
            task,
        )?;
        self.run("DELETE FROM implementation_task WHERE task = ?1", task)?;
        Ok(())
    }

    /// Keeps the tasks of an approved plan. Dependencies on tasks that are optional or unknown do
    /// not count; the caller has reported them.
    ///
    /// # Errors
    /// When the database fails.
    pub fn insert_implementation_tasks(
        &self,
        task: &SpecTaskId,
        new: &[NewImplementationTask],
    ) -> Result<(), StoreError> {
        let mut ids = HashMap::new();
        for (position, entry) in new.iter().enumerate() {
            let status = if entry.completed {
                ImplementationTaskStatus::Completed
            } else {
                ImplementationTaskStatus::Pending
            };
            self.run(
                "INSERT INTO implementation_task (task, number, position, title, body, optional,
                    wave, status, open_dependencies, requirements, resources)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 0, ?9, ?10)",
                params![
                    task.as_str(),
                    entry.number,
                    i64::try_from(position).unwrap_or(i64::MAX),
                    entry.title,
                    entry.body,
                    entry.optional,
                    entry.wave,
                    status.as_str(),
                    row::to_json(&entry.requirements)?,
                    row::to_json(&entry.resources)?,
                ],
            )?;
            ids.insert(entry.number.as_str(), (self.0.last_insert_rowid(), entry));
        }
        for (dependent, entry) in ids.values() {
            for number in &entry.depends {
                let Some((dependency, on)) = ids.get(number.as_str()) else {
                    continue;
                };
                if dependency == dependent || (on.optional && !entry.optional) {
                    continue;
                }
                self.run(
                    "INSERT OR IGNORE INTO implementation_dependency (dependent, dependency)
                     VALUES (?1, ?2)",
                    [dependent, dependency],
                )?;
            }
        }
        self.run(
            "UPDATE implementation_task SET open_dependencies =
                (SELECT count(*) FROM implementation_dependency AS edge
                 JOIN implementation_task AS dependency ON dependency.id = edge.dependency
                 WHERE edge.dependent = implementation_task.id
                   AND dependency.status <> 'completed')
             WHERE task = ?1",
            [task.as_str()],
        )?;
        self.run(
            "UPDATE implementation_task SET status = 'blocked'
             WHERE task = ?1 AND status = 'pending' AND open_dependencies > 0",
            [task.as_str()],
        )?;
        Ok(())
    }

    /// Changes the state of an implementation task; completing one makes those ready that waited
    /// only for it.
    ///
    /// # Errors
    /// When the database fails.
    pub fn set_implementation_task(
        &self,
        id: i64,
        status: ImplementationTaskStatus,
        session: Option<&WorkSessionId>,
    ) -> Result<(), StoreError> {
        let completed = status == ImplementationTaskStatus::Completed;
        let before = self.implementation_task(id)?.map(|task| task.status)
            == Some(ImplementationTaskStatus::Completed);
        self.run(
            "UPDATE implementation_task SET status = ?2, session = ?3 WHERE id = ?1",
            params![id, status.as_str(), session.map(WorkSessionId::as_str)],
        )?;
        if completed && !before {
            self.run(
                "UPDATE implementation_task SET open_dependencies = open_dependencies - 1,
                    status = CASE WHEN status = 'blocked' AND open_dependencies = 1
                             THEN 'pending' ELSE status END
                 WHERE id IN (SELECT dependent FROM implementation_dependency WHERE dependency = ?1)",
                [id],
            )?;
        }
        Ok(())
    }
}
