//! What may go: transcripts that are kept long enough, blobs that no transcript names, empty pages.

use std::collections::HashSet;

use rusqlite::params;
use serde_json::Value;
use spectask_protocol::WorkSessionId;

use super::{Read, SessionRow, StoreError, Write, session::session, transcript};

/// Free pages of a database file, and what they are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FreePages {
    /// Bytes that hold nothing.
    pub free: u64,
    /// Bytes of the file.
    pub size: u64,
}

impl FreePages {
    /// Whether it is worth the time to give them back: from 16 MiB and a quarter of the file on.
    #[must_use]
    pub const fn are_many(&self) -> bool {
        self.free >= 16 << 20 && self.free >= self.size / 4
    }
}

/// What part of the transcripts was looked at for blobs.
#[derive(Debug, Clone, Default)]
pub struct BlobMarks {
    named: HashSet<String>,
    until: i64,
}

impl Read<'_> {
    /// Sessions whose transcript may go: ended before a time (milliseconds since the Unix epoch), of a
    /// SpecTask that is done or cancelled, or of a thread that was deleted, so that none goes on.
    ///
    /// # Errors
    /// When the database fails.
    pub fn sessions_to_forget(&self, before: i64) -> Result<Vec<SessionRow>, StoreError> {
        self.rows(
            "SELECT work_session.* FROM work_session
             LEFT JOIN spec_task ON spec_task.id = work_session.task
             LEFT JOIN thread ON thread.id = work_session.id
             WHERE EXISTS (SELECT 1 FROM transcript WHERE transcript.session = work_session.id)
               AND CASE
                 WHEN thread.id IS NOT NULL THEN thread.deleted_at < ?1
                 ELSE spec_task.status IN ('done', 'cancelled') AND spec_task.updated_at < ?1
                   AND coalesce(work_session.ended_at, work_session.created_at) < ?1
               END
             ORDER BY work_session.created_at",
            [before],
            session,
        )
    }

    /// Bytes that the transcript of a session takes, without its blobs.
    ///
    /// # Errors
    /// When the database fails.
    pub fn transcript_size(&self, session: &WorkSessionId) -> Result<u64, StoreError> {
        Ok(self.0.query_row(
            "SELECT coalesce(sum(length(frames)), 0) FROM transcript WHERE session = ?1",
            [session.as_str()],
            |row| row.get(0),
        )?)
    }

    /// Notes the blobs that the next transcripts name, at most `limit` batches of frames; whether there
    /// are more.
    ///
    /// # Errors
    /// When the database fails or a row is damaged, which may name any.
    pub fn mark_blobs(&self, marks: &mut BlobMarks, limit: u32) -> Result<bool, StoreError> {
        let rows = self.rows(
            "SELECT rowid, frames FROM transcript WHERE rowid > ?1 ORDER BY rowid LIMIT ?2",
            params![marks.until, limit],
            |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?)),
        )?;
        let more = rows.len() == limit as usize;
        for (id, packed) in rows {
            for frame in transcript::frames(&packed)? {
                note(&frame.frame, &mut marks.named);
            }
            marks.until = id;
        }
        Ok(more)
    }

    /// Blobs that no transcript names, as far as they were marked, with their size in the database.
    ///
    /// # Errors
    /// When the database fails.
    pub fn unnamed_blobs(&self, marks: &BlobMarks) -> Result<Vec<(String, u64)>, StoreError> {
        let mut blobs = self.rows("SELECT digest, length(data) FROM blob", [], |row| {
            Ok((row.get::<_, String>(0)?, row.get(1)?))
        })?;
        blobs.retain(|(digest, _)| !marks.named.contains(digest));
        Ok(blobs)
    }

    /// How much of the database's file is empty.
    ///
    /// # Errors
    /// When the database fails.
    pub fn free_pages(&self) -> Result<FreePages, StoreError> {
        let pragma = |name: &str| -> Result<u64, StoreError> {
            Ok(self
                .0
                .query_row(&format!("PRAGMA {name}"), [], |row| row.get(0))?)
        };
        let page = pragma("page_size")?;
        Ok(FreePages {
            free: pragma("freelist_count")? * page,
            size: pragma("page_count")? * page,
        })
    }
}

impl Write<'_> {
    /// Forgets what was said in a session, for searches too; whether there was anything.
    ///
    /// # Errors
    /// When the database fails.
    pub fn forget_transcript(&self, session: &WorkSessionId) -> Result<bool, StoreError> {
        let rows = self.run(
            "DELETE FROM transcript WHERE session = ?1",
            [session.as_str()],
        )?;
        self.forget_search(session)?;
        Ok(rows > 0)
    }

    /// Forgets those of these blobs that no transcript names, not even one that came after the marks.
    /// Returns how many and their bytes.
    ///
    /// # Errors
    /// When the database fails or a row is damaged.
    pub fn forget_blobs(
        &self,
        marks: &BlobMarks,
        blobs: &[(String, u64)],
    ) -> Result<(u32, u64), StoreError> {
        let mut marks = marks.clone();
        while self.mark_blobs(&mut marks, 100)? {}
        let (mut count, mut bytes) = (0, 0);
        for (digest, size) in blobs {
            if !marks.named.contains(digest)
                && self.run("DELETE FROM blob WHERE digest = ?1", [digest])? > 0
            {
                count += 1;
                bytes += size;
            }
        }
        Ok((count, bytes))
    }
}

fn note(value: &Value, named: &mut HashSet<String>) {
    match value {
        Value::Object(fields) => {
            if let Some(Value::String(digest)) = fields.get(transcript::BLOB_KEY) {
                named.insert(digest.clone());
            }
            fields.values().for_each(|field| note(field, named));
        }
        Value::Array(items) => items.iter().for_each(|item| note(item, named)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use spectask_protocol::{ProjectId, SessionMethod, SessionPhase, SpecTaskStatus, WorkMode};
    use tempfile::TempDir;

    use super::{
        super::{Frame, NewSession, NewTask, Store},
        *,
    };

    fn id<T: TryFrom<String>>() -> T
    where
        T::Error: std::fmt::Debug,
    {
        T::try_from(uuid::Uuid::now_v7().to_string()).unwrap()
    }

    fn frame(text: &str) -> Frame {
        Frame {
            at: 1,
            direction: "from_agent".into(),
            frame: json!({ "params": [{ "text": text }] }),
        }
    }

    async fn store(folder: &TempDir) -> (Store, Vec<WorkSessionId>) {
        let store = Store::open(&folder.path().join("s.db")).unwrap();
        let sessions = store
            .write::<_, StoreError>(|write| {
                let project: ProjectId = write.ensure_project(&id(), "/r/.git", "/r")?.id;
                let mut sessions = Vec::new();
                for status in [SpecTaskStatus::Done, SpecTaskStatus::Implementation] {
                    let task = write.insert_task(&NewTask {
                        id: id(),
                        slug: "a".into(),
                        project: project.clone(),
                        title: "A".into(),
                        prompt: "a".into(),
                        status,
                        mode: WorkMode::Parallel,
                        planning_agent: "example".parse().unwrap(),
                        agent: "example".parse().unwrap(),
                        session_limit: 3,
                        base: "0".repeat(40),
                        target: None,
                        verify: None,
                    })?;
                    let session = write.insert_session(&NewSession {
                        id: id(),
                        task: Some(task.id),
                        slug: "s".into(),
                        title: "S".into(),
                        description: String::new(),
                        phase: SessionPhase::Implementation,
                        method: SessionMethod::Planned,
                        parent: None,
                        implementation_task: None,
                        agent: "example".parse().unwrap(),
                        cwd: None,
                        project: None,
                    })?;
                    sessions.push(session.id);
                }
                Ok(sessions)
            })
            .await
            .unwrap();
        (store, sessions)
    }

    #[tokio::test]
    async fn blobs_that_no_transcript_names_go() {
        let folder = TempDir::new().unwrap();
        let (store, sessions) = store(&folder).await;
        let (own, shared, late) = ("o".repeat(70_000), "s".repeat(70_000), "l".repeat(70_000));
        let (done, open) = (sessions[0].clone(), sessions[1].clone());
        let texts = [own.clone(), shared.clone(), late.clone()];
        let (first, second) = (done.clone(), open.clone());
        store
            .write::<_, StoreError>(move |write| {
                let [own, shared, late] = texts;
                write.append_transcript(
                    &first,
                    0,
                    vec![frame(&own), frame(&shared), frame(&late)],
                )?;
                write.append_transcript(&second, 0, vec![frame(&shared)])
            })
            .await
            .unwrap();
        let far = i64::MAX;
        let forgettable = store.read(|read| read.sessions_to_forget(far)).unwrap();
        assert_eq!(forgettable.len(), 1);
        assert_eq!(forgettable[0].id, done);
        assert!(
            store
                .read(|read| read.sessions_to_forget(0))
                .unwrap()
                .is_empty()
        );
        let mut marks = BlobMarks::default();
        while store.read(|read| read.mark_blobs(&mut marks, 1)).unwrap() {}
        assert!(
            store
                .read(|read| read.unnamed_blobs(&marks))
                .unwrap()
                .is_empty()
        );
        let gone = done.clone();
        assert!(
            store
                .write(move |write| write.forget_transcript(&gone))
                .await
                .unwrap()
        );
        let mut marks = BlobMarks::default();
        while store.read(|read| read.mark_blobs(&mut marks, 1)).unwrap() {}
        let unnamed = store.read(|read| read.unnamed_blobs(&marks)).unwrap();
        assert_eq!(unnamed.len(), 2);
        // One of them is said again before they go.
        let (again, next) = (late.clone(), open.clone());
        store
            .write(move |write| write.append_transcript(&next, 1, vec![frame(&again)]))
            .await
            .unwrap();
        let (count, _) = store
            .write(move |write| write.forget_blobs(&marks, &unnamed))
            .await
            .unwrap();
        assert_eq!(count, 1);
        let entries = store.read(|read| read.transcript(&open, 0, 9)).unwrap();
        assert_eq!(entries[0].frame["params"][0]["text"], shared);
        assert_eq!(entries[1].frame["params"][0]["text"], late);
    }
}
