//! The index that a search uses: which stretches of the transcripts hold which pairs and triples of
//! letters. Text is in the transcript only.

use rusqlite::{Row, ToSql, params, params_from_iter};
use spectask_protocol::{Event, ProjectId, SpecTaskId, WorkSessionId};

use super::{Read, StoreError, Write, event::event, row};

/// A stretch of a session's transcript that is indexed as one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchBlock {
    /// Its row; a newer one has a greater number.
    pub id: i64,
    /// The session.
    pub session: WorkSessionId,
    /// The turn; 0 before the first.
    pub turn: u32,
    /// The index of its first entry.
    pub first: u64,
    /// The index after its last entry.
    pub end: u64,
}

/// A turn that touched a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileTurn {
    /// Its session.
    pub session: WorkSessionId,
    /// Its number.
    pub turn: u32,
    /// When it began, in milliseconds since the Unix epoch.
    pub started_at: i64,
}

/// A stretch to index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSearchBlock {
    /// The turn; 0 before the first.
    pub turn: u32,
    /// The index of its first entry.
    pub first: u64,
    /// The index after its last entry.
    pub end: u64,
    /// When it was said, in milliseconds since the Unix epoch.
    pub at: i64,
    /// What it can be found by: words of ASCII letters and digits, each once, with blanks between.
    pub grams: String,
}

/// What a search is limited to; nothing given limits nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SearchFilter {
    /// One project.
    pub project: Option<ProjectId>,
    /// One SpecTask.
    pub task: Option<SpecTaskId>,
    /// One session.
    pub session: Option<WorkSessionId>,
    /// Turns that touched a file: its path, or the end of it from a `/` on.
    pub file: Option<String>,
    /// Sessions whose implementation task serves a criterion: `2.3`, or `2` for all of 2.
    pub requirement: Option<String>,
    /// Not before, in milliseconds since the Unix epoch.
    pub since: Option<i64>,
    /// Before, in milliseconds since the Unix epoch.
    pub until: Option<i64>,
    /// Only what was taken over from another machine, or only what was not.
    pub imported: Option<bool>,
}

fn block(row: &Row<'_>) -> Result<SearchBlock, StoreError> {
    Ok(SearchBlock {
        id: row.get("id")?,
        session: row::text(row, "session")?,
        turn: row.get("turn")?,
        first: row.get("first")?,
        end: row.get("end")?,
    })
}

impl Read<'_> {
    /// Stretches that hold all of some words (ASCII letters and digits), older than `before`, newest
    /// first.
    ///
    /// # Errors
    /// When the database fails.
    pub fn search_blocks(
        &self,
        grams: &[String],
        filter: &SearchFilter,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<SearchBlock>, StoreError> {
        let wanted: Vec<String> = grams.iter().map(|gram| format!("\"{gram}\"")).collect();
        let mut sql = "SELECT block.id, block.session, block.turn, block.first, block.end
             FROM search_text JOIN search_block AS block ON block.id = search_text.rowid
             WHERE search_text MATCH ?"
            .to_owned();
        let mut values: Vec<Box<dyn ToSql>> = vec![Box::new(wanted.join(" "))];
        let mut add = |condition: &str, value: Box<dyn ToSql>| {
            sql.push_str(" AND ");
            sql.push_str(condition);
            values.push(value);
        };
        if let Some(before) = before {
            add("search_text.rowid < ?", Box::new(before));
        }
        if let Some(session) = &filter.session {
            add("block.session = ?", Box::new(session.to_string()));
        }
        if let Some(task) = &filter.task {
            add(
                "block.session IN (SELECT id FROM work_session WHERE task = ?)",
                Box::new(task.to_string()),
            );
        }
        if let Some(project) = &filter.project {
            add(
                "block.session IN (SELECT work_session.id FROM work_session
                    LEFT JOIN spec_task ON spec_task.id = work_session.task
                    WHERE coalesce(spec_task.project, work_session.project) = ?)",
                Box::new(project.to_string()),
            );
        }
        if let Some(file) = &filter.file {
            // Not LIKE: a path may hold `%` and `_`.
            add(
                "EXISTS (SELECT 1 FROM search_file AS file, (SELECT ? AS wanted)
                    WHERE file.session = block.session AND file.turn = block.turn
                    AND substr('/' || file.path, -length(wanted)) = wanted)",
                Box::new(format!("/{file}")),
            );
        }
        if let Some(requirement) = &filter.requirement {
            add(
                "block.session IN (SELECT work_session.id FROM work_session
                    JOIN implementation_task AS task
                        ON task.id = work_session.implementation_task
                            OR task.session = work_session.id,
                        json_each(task.requirements) AS served
                    WHERE (served.value || '.') LIKE ? || '.%')",
                Box::new(requirement.clone()),
            );
        }
        if let Some(imported) = filter.imported {
            add(
                "(block.session IN (SELECT work_session.id FROM work_session
                    JOIN spec_task ON spec_task.id = work_session.task
                    WHERE spec_task.imported = 1)) = ?",
                Box::new(imported),
            );
        }
        if let Some(since) = filter.since {
            add("block.at >= ?", Box::new(since));
        }
        if let Some(until) = filter.until {
            add("block.at < ?", Box::new(until));
        }
        sql.push_str(" ORDER BY search_text.rowid DESC LIMIT ?");
        values.push(Box::new(limit));
        self.rows(&sql, params_from_iter(values), block)
    }

    /// Turns of a project that touched a file of one of these names, newest first; what runs is not
    /// among them.
    ///
    /// # Errors
    /// When the database fails.
    pub fn turns_of_file(
        &self,
        project: &ProjectId,
        paths: &[String],
        limit: u32,
    ) -> Result<Vec<FileTurn>, StoreError> {
        let paths = serde_json::to_string(paths).unwrap_or_default();
        self.rows(
            "SELECT DISTINCT file.session, file.turn, turn.started_at
             FROM json_each(?1) AS wanted
                JOIN search_file AS file ON file.path = wanted.value
                JOIN turn ON turn.session = file.session AND turn.number = file.turn
                JOIN work_session ON work_session.id = file.session
                LEFT JOIN spec_task ON spec_task.id = work_session.task
             WHERE coalesce(spec_task.project, work_session.project) = ?2
             ORDER BY turn.started_at DESC LIMIT ?3",
            params![paths, project.as_str(), limit],
            |row| {
                Ok(FileTurn {
                    session: row::text(row, "session")?,
                    turn: row.get("turn")?,
                    started_at: row.get("started_at")?,
                })
            },
        )
    }

    /// Decisions of people and agents, older than the event `before`, newest first, each with the place
    /// in the transcript that was noted with it. Those are of a SpecTask or session: a filter for files
    /// or requirements finds none.
    ///
    /// # Errors
    /// When the database fails.
    pub fn decisions(
        &self,
        filter: &SearchFilter,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<(Event, u64)>, StoreError> {
        if filter.file.is_some() || filter.requirement.is_some() {
            return Ok(Vec::new());
        }
        self.rows(
            "SELECT event.* FROM event
             LEFT JOIN work_session ON work_session.id = event.session
             LEFT JOIN spec_task ON spec_task.id = coalesce(event.task, work_session.task)
             WHERE kind = 'decision_recorded' AND (?1 IS NULL OR event.seq < ?1)
                AND (?2 IS NULL OR coalesce(spec_task.project, work_session.project) = ?2)
                AND (?3 IS NULL OR spec_task.id = ?3)
                AND (?4 IS NULL OR event.session = ?4)
                AND (?5 IS NULL OR event.at >= ?5) AND (?6 IS NULL OR event.at < ?6)
             ORDER BY event.seq DESC LIMIT ?7",
            params![
                before,
                filter.project.as_ref().map(ProjectId::as_str),
                filter.task.as_ref().map(SpecTaskId::as_str),
                filter.session.as_ref().map(WorkSessionId::as_str),
                filter.since,
                filter.until,
                limit
            ],
            |row| {
                let entries: Option<u64> = row.get("entries")?;
                Ok((event(row)?, entries.unwrap_or(0)))
            },
        )
    }

    /// Whether a SpecTask was taken over from another machine.
    ///
    /// # Errors
    /// When the database fails.
    pub fn has_imported(&self) -> Result<bool, StoreError> {
        self.row(
            "SELECT 1 FROM spec_task WHERE imported = 1 LIMIT 1",
            [],
            |_| Ok(()),
        )
        .map(|found| found.is_some())
    }

    /// How many turns have ended and are not indexed.
    ///
    /// # Errors
    /// When the database fails.
    pub fn search_behind(&self) -> Result<u32, StoreError> {
        let mut statement = self.0.prepare_cached("SELECT count(*) FROM search_queue")?;
        Ok(statement.query_row([], |row| row.get(0))?)
    }

    /// A session with turns that have ended and are not indexed, the oldest first: the session, the
    /// number of its newest such turn, and the entry to go on from.
    ///
    /// # Errors
    /// When the database fails.
    pub fn search_due(&self) -> Result<Option<(WorkSessionId, u32, u64)>, StoreError> {
        self.row(
            "SELECT search_queue.session, max(turn) AS turn, coalesce(next, 0) AS next
             FROM search_queue LEFT JOIN search_progress USING (session)
             WHERE search_queue.session = (SELECT min(session) FROM search_queue)
             GROUP BY search_queue.session",
            [],
            |row| {
                Ok((
                    row::text(row, "session")?,
                    row.get("turn")?,
                    row.get("next")?,
                ))
            },
        )
    }
}

impl Write<'_> {
    /// Keeps stretches of a session's transcript in the index, the files its turns touched, and how
    /// far it is indexed: to `next`, if it was to `from`; returns whether it was.
    ///
    /// # Errors
    /// When the database fails.
    pub fn index_blocks(
        &self,
        session: &WorkSessionId,
        blocks: &[NewSearchBlock],
        files: &[(u32, String)],
        (from, next): (u64, u64),
    ) -> Result<bool, StoreError> {
        let moved = self.run(
            "INSERT INTO search_progress SELECT ?1, ?3 WHERE ?2 = 0
                OR EXISTS (SELECT 1 FROM search_progress WHERE session = ?1)
             ON CONFLICT (session) DO UPDATE SET next = excluded.next WHERE next = ?2",
            params![session.as_str(), from, next],
        )?;
        if moved == 0 {
            return Ok(false);
        }
        for block in blocks {
            self.run(
                "INSERT INTO search_block (session, turn, first, end, at)
                 VALUES (?1, ?2, ?3, ?4, ?5)",
                params![
                    session.as_str(),
                    block.turn,
                    block.first,
                    block.end,
                    block.at
                ],
            )?;
            self.run(
                "INSERT INTO search_text (rowid, grams) VALUES (?1, ?2)",
                params![self.0.last_insert_rowid(), block.grams],
            )?;
        }
        for (turn, path) in files {
            self.run(
                "INSERT OR IGNORE INTO search_file VALUES (?1, ?2, ?3)",
                params![session.as_str(), turn, path],
            )?;
        }
        Ok(true)
    }

    /// Takes the turns of a session up to that number off the list of those to index.
    ///
    /// # Errors
    /// When the database fails.
    pub fn indexed(&self, session: &WorkSessionId, turn: u32) -> Result<(), StoreError> {
        self.run(
            "DELETE FROM search_queue WHERE session = ?1 AND turn <= ?2",
            params![session.as_str(), turn],
        )?;
        Ok(())
    }

    /// Takes a session out of the index, when its transcript goes.
    ///
    /// # Errors
    /// When the database fails.
    pub fn forget_search(&self, session: &WorkSessionId) -> Result<(), StoreError> {
        let id = [session.as_str()];
        self.run(
            "DELETE FROM search_text WHERE rowid IN
                (SELECT id FROM search_block WHERE session = ?1)",
            id,
        )?;
        self.run("DELETE FROM search_block WHERE session = ?1", id)?;
        self.run("DELETE FROM search_file WHERE session = ?1", id)?;
        self.run("DELETE FROM search_queue WHERE session = ?1", id)?;
        Ok(())
    }
}
