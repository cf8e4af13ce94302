//! Revisions of the documents and a person's decisions on them.

use rusqlite::{Row, params};
use spectask_protocol::{Decision, Finding, LineComment, ReviewRecord, SpecTaskId};

use super::{Read, StoreError, Write, event::rfc3339, row};

/// A kept revision, byte for byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevisionRow {
    /// Its number, from 1.
    pub number: u32,
    /// `agent` or `person`.
    pub author: String,
    /// `requirements.md`.
    pub requirements: String,
    /// `design.md`.
    pub design: String,
    /// `tasks.md`.
    pub tasks: String,
    /// SHA-256 over the masked documents, hex.
    pub digest: String,
    /// What the validator found.
    pub findings: Vec<Finding>,
}

/// A revision to keep.
pub type NewRevision = RevisionRow;

/// A decision that was taken.
pub type ReviewRow = ReviewRecord;

fn revision(row: &Row<'_>) -> Result<RevisionRow, StoreError> {
    Ok(RevisionRow {
        number: row.get("number")?,
        author: row.get("author")?,
        requirements: row.get("requirements")?,
        design: row.get("design")?,
        tasks: row.get("tasks")?,
        digest: row.get("digest")?,
        findings: row::json(row, "findings")?,
    })
}

fn review(row: &Row<'_>) -> Result<ReviewRow, StoreError> {
    let decision: String = row.get("decision")?;
    Ok(ReviewRecord {
        revision: row.get("revision")?,
        decision: Decision::parse(&decision).ok_or(StoreError::Corrupt {
            what: "decision",
            value: decision,
        })?,
        comment: row.get("comment")?,
        comments: row::json(row, "comments")?,
        at: rfc3339(row.get("at")?),
    })
}

impl Read<'_> {
    /// A revision of a SpecTask.
    ///
    /// # Errors
    /// When the database fails.
    pub fn revision(
        &self,
        task: &SpecTaskId,
        number: u32,
    ) -> Result<Option<RevisionRow>, StoreError> {
        self.row(
            "SELECT * FROM revision WHERE task = ?1 AND number = ?2",
            params![task.as_str(), number],
            revision,
        )
    }

    /// The decisions on a SpecTask, oldest first.
    ///
    /// # Errors
    /// When the database fails.
    pub fn reviews(&self, task: &SpecTaskId) -> Result<Vec<ReviewRow>, StoreError> {
        self.rows(
            "SELECT * FROM review WHERE task = ?1 ORDER BY id",
            [task.as_str()],
            review,
        )
    }
}

impl Write<'_> {
    /// Keeps a revision.
    ///
    /// # Errors
    /// When the database fails, or the number is taken.
    pub fn insert_revision(&self, task: &SpecTaskId, new: &NewRevision) -> Result<(), StoreError> {
        self.run(
            "INSERT INTO revision (task, number, author, requirements, design, tasks, digest,
                findings, created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            params![
                task.as_str(),
                new.number,
                new.author,
                new.requirements,
                new.design,
                new.tasks,
                new.digest,
                row::to_json(&new.findings)?,
                self.now()
            ],
        )?;
        Ok(())
    }

    /// Keeps a decision.
    ///
    /// # Errors
    /// When the database fails.
    pub fn insert_review(
        &self,
        task: &SpecTaskId,
        revision: u32,
        decision: Decision,
        comment: Option<&str>,
        comments: &[LineComment],
    ) -> Result<(), StoreError> {
        self.run(
            "INSERT INTO review (task, revision, decision, comment, comments, at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![
                task.as_str(),
                revision,
                decision.as_str(),
                comment,
                row::to_json(&comments)?,
                self.now()
            ],
        )?;
        Ok(())
    }
}
