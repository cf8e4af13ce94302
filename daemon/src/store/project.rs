//! Projects (one git repository each) and the trust a person gave to their commands.

use rusqlite::{OptionalExtension, params};
use spectask_protocol::ProjectId;

use super::{Read, StoreError, Write, row};

/// A git repository that has SpecTasks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectRow {
    /// Its id.
    pub id: ProjectId,
    /// The canonical path of git's common directory: the identity of a repository.
    pub common_dir: String,
    /// The main working tree, or the git directory of a bare repository.
    pub root: String,
}

fn project(row: &rusqlite::Row<'_>) -> Result<ProjectRow, StoreError> {
    Ok(ProjectRow {
        id: row::text(row, "id")?,
        common_dir: row.get("common_dir")?,
        root: row.get("root")?,
    })
}

impl Read<'_> {
    /// The project of that id.
    ///
    /// # Errors
    /// When the database fails.
    pub fn project(&self, id: &ProjectId) -> Result<Option<ProjectRow>, StoreError> {
        self.row(
            "SELECT * FROM project WHERE id = ?1",
            [id.as_str()],
            project,
        )
    }

    /// The project of that git common directory.
    ///
    /// # Errors
    /// When the database fails.
    pub fn project_of(&self, common_dir: &str) -> Result<Option<ProjectRow>, StoreError> {
        self.row(
            "SELECT * FROM project WHERE common_dir = ?1",
            [common_dir],
            project,
        )
    }

    /// Whether a person trusts exactly that text of `.spectask.toml`.
    ///
    /// # Errors
    /// When the database fails.
    pub fn trusted(&self, project: &ProjectId, digest: &str) -> Result<bool, StoreError> {
        let found = self
            .0
            .query_row(
                "SELECT 1 FROM trust WHERE project = ?1 AND digest = ?2",
                [project.as_str(), digest],
                |_| Ok(()),
            )
            .optional()?;
        Ok(found.is_some())
    }
}

impl Write<'_> {
    /// The project of that git common directory, made when it is new; its root is brought up to date.
    ///
    /// # Errors
    /// When the database fails.
    pub fn ensure_project(
        &self,
        new_id: &ProjectId,
        common_dir: &str,
        root: &str,
    ) -> Result<ProjectRow, StoreError> {
        self.run(
            "INSERT INTO project (id, common_dir, root, created_at) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (common_dir) DO UPDATE SET root = excluded.root",
            params![new_id.as_str(), common_dir, root, self.now()],
        )?;
        self.project_of(common_dir)?
            .ok_or_else(|| StoreError::during("keep the project", &"it is not there"))
    }

    /// Pins trust in that text of `.spectask.toml`.
    ///
    /// # Errors
    /// When the database fails.
    pub fn trust(&self, project: &ProjectId, digest: &str) -> Result<(), StoreError> {
        self.run(
            "INSERT OR IGNORE INTO trust (project, digest, at) VALUES (?1, ?2, ?3)",
            params![project.as_str(), digest, self.now()],
        )?;
        Ok(())
    }

    /// Takes back every trust in the project's commands.
    ///
    /// # Errors
    /// When the database fails.
    pub fn distrust(&self, project: &ProjectId) -> Result<(), StoreError> {
        self.run("DELETE FROM trust WHERE project = ?1", [project.as_str()])?;
        Ok(())
    }
}
