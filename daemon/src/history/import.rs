//! Takes the history of a SpecTask over from its refs, on another machine: read-only rows, a transcript
//! that can be read, searched and played. What a ref says is checked, bounded and redacted again.

use std::path::Path;

use jiff::Timestamp;
use spectask_protocol::{AgentName, Imported, SpecTaskId, TaskRef, TranscriptEntry, WorkSessionId};

use super::{
    HistoryError,
    place::documents_at,
    recorded::{self, OWN, OnRef, REMOTES},
};
use crate::{
    recorder::format::{TaskRecord, TurnRecord},
    redact::Redactor,
    repo::{self, Past, Repository, check_ref_segment},
    spec,
    store::{
        Frame, ImportedSession, ImportedTask, ImportedTurn, NewImplementationTask, NewRevision,
        Store, StoreError, TurnCommit,
    },
    workflow::{WorkflowError, lookup::find_task, new_id, review::DocumentTexts},
};

/// What is read of a document, in bytes.
const DOCUMENT: usize = 1 << 20;

/// The longest title, prompt and word that is kept, in bytes.
const TITLE: usize = 1000;
const PROMPT: usize = 256 << 10;

/// Frames that one transaction takes.
const FRAMES: usize = 200;

/// What is taken of the transcripts of one SpecTask at a time, in bytes of JSON: more than any real one
/// has, and less than fills a disk.
const TOTAL: usize = 1 << 30;

/// The greatest number of a SpecTask or session that is taken: the next ones are counted from it.
const NUMBER: u32 = 1_000_000;

/// What a name of the shape `7-user-auth` says.
fn numbered(name: &str) -> Option<(u32, String)> {
    let (number, slug) = name.split_once('-')?;
    let slug = (repo::slug(slug) == slug && !slug.is_empty()).then(|| slug.to_owned())?;
    let number = number.parse().ok().filter(|number| *number <= NUMBER)?;
    Some((number, slug))
}

fn millis(at: &str) -> i64 {
    at.parse::<Timestamp>().map_or(0, Timestamp::as_millisecond)
}

fn cut(text: &str, limit: usize) -> &str {
    &text[..text.floor_char_boundary(limit)]
}

/// A SpecTask that is being taken over.
struct Import<'a> {
    store: &'a Store,
    redactor: &'a Redactor,
    past: Past,
    record: TaskRecord,
    /// Bytes of transcripts that may still be taken.
    left: usize,
    done: Imported,
}

/// Takes a SpecTask over, named short or whole, from the refs of a repository (its own, or else those
/// that were fetched), or from one of its remotes, which are fetched. What is there already stays;
/// asking again brings what is new.
///
/// # Errors
/// When the refs do not hold it or are not what the recorder writes; when the SpecTask is of this
/// machine; when git, the network or the database fails.
pub async fn import(
    store: &Store,
    redactor: &Redactor,
    folder: &Path,
    task: &str,
    remote: Option<&str>,
) -> Result<Imported, HistoryError> {
    check_ref_segment(task)?;
    let repository = Repository::discover(folder)?;
    if let Some(remote) = remote {
        check_ref_segment(remote)?;
        let (repository, remote) = (repository.clone(), remote.to_owned());
        let short = task.bytes().all(|byte| byte.is_ascii_digit());
        let (own, all) = if short {
            (format!("{task}-"), format!("{task}-"))
        } else {
            (format!("{task}/"), task.to_owned())
        };
        let patterns = [
            format!("+refs/spectask/sessions/{own}*:{REMOTES}{remote}/sessions/{own}*"),
            format!("+refs/spectask/tasks/{all}*:{REMOTES}{remote}/tasks/{all}*"),
            format!("+refs/heads/specs/{all}*:{REMOTES}{remote}/specs/{all}*"),
        ];
        let fetched =
            tokio::task::spawn_blocking(move || repository.fetch_refs(&remote, &patterns)).await;
        fetched.map_err(|error| HistoryError::Invalid(error.to_string()))??;
    }
    let past = repository.past()?;
    let (start, name) = recorded::named(&past, task, remote)?;
    let (record, sessions) =
        recorded::task(&past, &start, &name).ok_or_else(|| HistoryError::Damaged {
            name: format!("{start}tasks/{name}"),
            why: "it holds no record of a SpecTask".to_owned(),
        })?;
    let done = Imported {
        task: String::new(),
        recorded_as: name.clone(),
        repository: String::new(),
        sessions: 0,
        turns: 0,
        entries: 0,
        problems: Vec::new(),
    };
    let fetched = start
        .strip_prefix(REMOTES)
        .map(|remote| remote.trim_end_matches('/'));
    // Another SpecTask of this machine may have that name, and the branch.
    let taken =
        store.read(
            |read| match name.parse().map(|name: TaskRef| find_task(read, &name)) {
                Ok(Ok(own)) => Ok(own.id != record.id),
                Ok(Err(WorkflowError::NotFound { .. })) | Err(_) => Ok(false),
                Ok(Err(error)) => Err(error),
            },
        )?;
    let branch = documents_at(&past, &name, fetched, start == OWN || !taken);
    let mut import = Import {
        store,
        redactor,
        past,
        record,
        left: TOTAL,
        done,
    };
    import
        .task(&repository, &sessions, branch.as_deref())
        .await?;
    for session in &sessions {
        import.session(session).await?;
    }
    Ok(import.done)
}

impl Import<'_> {
    fn text(&self, text: &str, limit: usize) -> String {
        self.redactor.text(cut(text, limit)).into_owned()
    }

    /// Keeps the SpecTask, its documents and its plan.
    async fn task(
        &mut self,
        repository: &Repository,
        sessions: &[OnRef],
        branch: Option<&str>,
    ) -> Result<(), HistoryError> {
        let record = &self.record;
        let damaged = |why: &str| HistoryError::Damaged {
            name: format!("the record of {}", record.name),
            why: why.to_owned(),
        };
        let (number, slug) =
            numbered(&record.name).ok_or_else(|| damaged("it has a name that no SpecTask has"))?;
        let known = self.store.read(|read| read.task(&record.id))?;
        if known.is_some_and(|known| !known.imported) {
            return Err(HistoryError::Invalid(format!(
                "{} was made on this machine; there is nothing to take over",
                record.name
            )));
        }
        let agent = sessions
            .iter()
            .find_map(|session| session.record.agent.parse::<AgentName>().ok());
        let agent = match agent {
            Some(agent) => agent,
            None => "unknown"
                .parse()
                .map_err(|_| damaged("it names no agent"))?,
        };
        let documents = branch.and_then(|tip| self.documents(tip));
        if documents.is_none() {
            let text = format!(
                "no documents: neither the branch specs/{0} nor a folder specs/{0} is here; \
                 fetch it, and import again",
                record.name
            );
            self.done.problems.push(text);
        }
        let mut new = ImportedTask {
            id: record.id.clone(),
            number,
            slug,
            // The project's row, which may be new, gives the id.
            project: new_id()?,
            title: self.text(&record.title, TITLE),
            prompt: self.text(&record.prompt, PROMPT),
            status: record.status,
            agent,
            base: cut(&record.base, TITLE).to_owned(),
            created_at: millis(&record.created_at),
        };
        let common = repository.common_dir().display().to_string();
        let root = repository.root().display().to_string();
        let completed = record.completed.clone();
        let (row, root) = self
            .store
            .write::<_, StoreError>(move |write| {
                new.project = write.ensure_project(&new.project, &common, &root)?.id;
                write.import_task(&new)?;
                if let Some((mut revision, plan)) = documents
                    && let Some(mut row) = write.task(&new.id)?
                {
                    let known = row.revision.unwrap_or(0);
                    let before = write.revision(&new.id, known)?;
                    if before.is_none_or(|before| before.digest != revision.digest) {
                        revision.number = known + 1;
                        write.insert_revision(&new.id, &revision)?;
                        write.forget_implementation_tasks(&new.id)?;
                        write.insert_implementation_tasks(&new.id, &plan)?;
                        row.revision = Some(revision.number);
                        row.approved = Some(revision.number);
                        write.update_task(&row)?;
                    }
                }
                for work in write.implementation_tasks(&new.id)? {
                    if completed.contains(&work.number) {
                        let status = spectask_protocol::ImplementationTaskStatus::Completed;
                        write.set_implementation_task(work.id, status, work.session.as_ref())?;
                    }
                }
                let row = write.task(&new.id)?;
                let project = match &row {
                    Some(row) => write.project(&row.project)?,
                    None => None,
                };
                Ok((row, project.map(|project| project.root)))
            })
            .await?;
        self.done.task = row.map_or_else(String::new, |row| row.name());
        self.done.repository = root.unwrap_or_default();
        Ok(())
    }

    /// The documents on the branch and the plan in them.
    fn documents(&self, tip: &str) -> Option<(NewRevision, Vec<NewImplementationTask>)> {
        let read = |name: &str| {
            let path = format!("specs/{}/{name}", self.record.name);
            let bytes = self.past.read(tip, &path, DOCUMENT)?;
            String::from_utf8(bytes).ok()
        };
        let (requirements, design, tasks) = (
            read("requirements.md")?,
            read("design.md")?,
            read("tasks.md")?,
        );
        let plan = spec::plan(&tasks, &requirements).ok()?;
        let plan = plan
            .into_iter()
            .map(|entry| NewImplementationTask {
                number: entry.number,
                title: entry.title,
                body: entry.text,
                optional: entry.optional,
                wave: entry.wave.unwrap_or(0),
                completed: entry.ticked,
                requirements: entry.requirements,
                resources: entry.resources,
                depends: entry.depends,
            })
            .collect();
        let texts = DocumentTexts {
            requirements: requirements.clone(),
            design: design.clone(),
            tasks: tasks.clone(),
        };
        let revision = NewRevision {
            number: 1,
            author: "agent".into(),
            digest: texts.digest(),
            requirements,
            design,
            tasks,
            findings: Vec::new(),
        };
        Some((revision, plan))
    }

    async fn session(&mut self, session: &OnRef) -> Result<(), HistoryError> {
        let record = &session.record;
        let own = record
            .name
            .split_once('/')
            .and_then(|(_, own)| numbered(own));
        let agent = record.agent.parse::<AgentName>();
        let (Some((number, slug)), Ok(agent)) = (own, agent) else {
            let text = format!("{} has a name or an agent that none has", record.name);
            self.done.problems.push(text);
            return Ok(());
        };
        let task: SpecTaskId = self.record.id.clone();
        // A session of this machine, or of another SpecTask, is not overwritten.
        let known = self.store.read(|read| read.session(&record.id))?;
        if known.is_some_and(|known| known.task.as_ref() != Some(&task)) {
            let text = format!("{} has the id of another session", record.name);
            self.done.problems.push(text);
            return Ok(());
        }
        let (tasks, of) = (record.tasks.clone(), task.clone());
        let new = ImportedSession {
            id: record.id.clone(),
            task,
            number,
            slug,
            title: self.text(&record.title, TITLE),
            phase: record.phase,
            method: record.method,
            status: record.status,
            agent,
            implementation_task: None,
            merged: record.merged.clone().filter(|id| is_commit(id)),
            verified: record.verified,
            created_at: millis(&record.created_at),
            ended_at: record.ended_at.as_deref().map(millis),
        };
        let fresh = self
            .store
            .write::<_, StoreError>(move |write| {
                let works = write.implementation_tasks(&of)?;
                let works: Vec<_> = works
                    .into_iter()
                    .filter(|work| tasks.contains(&work.number))
                    .collect();
                let new = ImportedSession {
                    implementation_task: works.first().map(|work| work.id),
                    ..new
                };
                let fresh = write.import_session(&new)?;
                for work in works {
                    write.set_implementation_task(work.id, work.status, Some(&new.id))?;
                }
                Ok(fresh)
            })
            .await?;
        self.done.sessions += u32::from(fresh);
        for number in 1..=session.last_turn() {
            if self.left == 0 {
                let text = format!("{} is too long: its end was left out", record.name);
                self.done.problems.push(text);
                break;
            }
            // What is damaged is left out.
            if let Some(turn) = session.turn(&self.past, number) {
                self.left = self.left.saturating_sub(turn.to_bytes().len());
                self.turn(session, turn).await?;
            }
        }
        Ok(())
    }

    async fn turn(&mut self, session: &OnRef, turn: TurnRecord) -> Result<(), HistoryError> {
        let id = &session.record.id;
        let mut next = self.store.read(|read| read.transcript_next(id))?;
        for segment in 1..=turn.frames {
            if self.left == 0 {
                break;
            }
            let Some(frames) = session.frames(&self.past, turn.number, segment) else {
                let text = format!("frames of {} turn {}", session.record.name, turn.number);
                self.done.problems.push(format!("{text} are missing"));
                break;
            };
            next = self.frames(id, frames, next).await?;
        }
        let new = ImportedTurn {
            session: id.clone(),
            number: turn.number,
            purpose: self.text(&turn.purpose, TITLE),
            status: turn.status,
            reason: turn.reason.as_deref().map(|text| self.text(text, TITLE)),
            started_at: millis(&turn.started_at),
            ended_at: turn.ended_at.as_deref().map(millis),
        };
        let commits: Vec<TurnCommit> = turn
            .commits
            .into_iter()
            .filter(|commit| is_commit(&commit.id) && is_commit(&commit.tree))
            .map(|commit| TurnCommit {
                id: commit.id,
                session: id.clone(),
                turn: turn.number,
                tree: commit.tree,
                patch_id: commit.patch_id.filter(|id| is_commit(id)),
                at: new.ended_at.unwrap_or(new.started_at),
            })
            .collect();
        // After its frames: the index that a turn is due for finds them.
        let fresh = self
            .store
            .write::<_, StoreError>(move |write| {
                write.keep_turn_commits(&commits)?;
                write.import_turn(&new)
            })
            .await?;
        self.done.turns += u32::from(fresh);
        Ok(())
    }

    /// Appends frames that are not there yet; returns the index after the last.
    async fn frames(
        &mut self,
        id: &WorkSessionId,
        frames: Vec<TranscriptEntry>,
        mut next: u64,
    ) -> Result<u64, HistoryError> {
        let mut batch: Vec<Frame> = Vec::new();
        let mut first = next;
        // SQLite's integers end there.
        let last = i64::MAX as u64 / 2;
        for entry in frames {
            let size = entry.frame.to_string().len();
            if size > self.left {
                self.left = 0;
                break;
            }
            self.left -= size;
            if entry.index < next || entry.index > last {
                continue;
            }
            let direction = match entry.direction.as_str() {
                known @ ("to_agent" | "from_agent" | "daemon") => known.to_owned(),
                _ => continue,
            };
            if entry.index != next || batch.len() >= FRAMES {
                self.append(id, first, std::mem::take(&mut batch)).await?;
                first = entry.index;
            }
            let mut frame = entry.frame;
            self.redactor.json(&mut frame);
            batch.push(Frame {
                at: millis(&entry.at),
                direction,
                frame,
            });
            next = entry.index + 1;
        }
        self.append(id, first, batch).await?;
        Ok(next)
    }

    async fn append(
        &mut self,
        id: &WorkSessionId,
        first: u64,
        batch: Vec<Frame>,
    ) -> Result<(), HistoryError> {
        if batch.is_empty() {
            return Ok(());
        }
        self.done.entries += batch.len() as u64;
        let id = id.clone();
        self.store
            .write::<_, StoreError>(move |write| write.append_transcript(&id, first, batch))
            .await?;
        Ok(())
    }
}

fn is_commit(id: &str) -> bool {
    id.len() == 40 && id.bytes().all(|byte| byte.is_ascii_hexdigit())
}
