//! The record of one SpecTask, from its events: the coordination log, progress updates, the summary
//! at the end.

use std::collections::BTreeSet;

use spectask_protocol::{
    Event, EventKind, ImplementationTaskStatus, SessionStatus, SpecTaskStatus, TurnStatus,
    WorkSessionId,
};

use super::{
    entry::{Due, Pending, millis, seconds},
    format::{COMPLETE, Cursor, Document, TASK, TaskRecord, TaskSession, progress_path},
    session::Sources,
    text::{Part, inline},
};
use crate::{repo::slug, store::StoreError};

pub(super) struct Task {
    pub(super) record: TaskRecord,
    decisions: u32,
    pending: Pending,
}

impl Task {
    /// Begins with the record of a SpecTask of which nothing happened.
    pub(super) fn new(record: TaskRecord) -> Self {
        Self {
            record,
            decisions: 0,
            pending: Pending::default(),
        }
    }

    fn session(&mut self, id: Option<&WorkSessionId>) -> Option<&mut TaskSession> {
        let id = id?;
        self.record
            .sessions
            .iter_mut()
            .find(|session| session.id == *id)
    }

    /// How a session is called, as a code span.
    fn name(&self, id: Option<&WorkSessionId>) -> String {
        let session = id.and_then(|id| self.record.sessions.iter().find(|known| known.id == *id));
        match (session, id) {
            (Some(session), _) => inline(&session.name),
            (None, Some(id)) => inline(id.as_str()),
            (None, None) => "the SpecTask".into(),
        }
    }

    fn log(&mut self, at: &str, what: &str, mut parts: Vec<Part>) {
        parts.insert(0, Part::Line(format!("## {what} · {at}")));
        self.pending.entry(Document::CoordinationLog, parts);
    }

    /// Takes the next event of the SpecTask or of one of its sessions.
    pub(super) fn event(
        &mut self,
        event: &Event,
        sources: &Sources<'_>,
        due: &mut Vec<Due>,
    ) -> Result<(), StoreError> {
        self.record.cursor.event = event.seq;
        let at = seconds(&event.at);
        let who = self.name(event.session.as_ref());
        let mut subject = None;
        match &event.kind {
            EventKind::TaskStatus { from, to, reason } => {
                let mut parts = vec![Part::Line(format!(
                    "From {} to {}.",
                    from.as_str(),
                    to.as_str()
                ))];
                if let Some(reason) = reason {
                    parts.push(Part::text(sources.clean(reason)));
                }
                self.log(&at, "Status", parts);
                self.record.status = *to;
                self.update(
                    &at,
                    to.as_str(),
                    &format!("The SpecTask is in {}.", to.as_str()),
                    sources,
                )?;
                if *to == SpecTaskStatus::Done {
                    self.complete(&at, sources)?;
                }
                subject = Some(format!("Status {}", to.as_str()));
            }
            EventKind::TaskPaused { paused } => {
                let what = if *paused { "Paused" } else { "Resumed" };
                self.log(&at, what, Vec::new());
            }
            EventKind::ReviewDecided { revision, decision } => {
                self.decisions += 1;
                let line = format!("Revision {revision}: {}.", decision.as_str());
                self.log(&at, "Review", vec![Part::Line(line)]);
            }
            EventKind::DocumentsCommitted { commit } => {
                let line = format!("Approved documents committed as {}.", inline(commit));
                self.log(&at, "Documents", vec![Part::Line(line)]);
            }
            EventKind::SessionCreated { name } => self.created(event, name, &at, sources)?,
            EventKind::SessionAttached { name } => {
                let prefix = format!("{}/", self.record.name);
                if name.starts_with(&prefix) {
                    self.created(event, name, &at, sources)?;
                } else if let Some(id) = &event.session {
                    self.record.sessions.retain(|session| session.id != *id);
                    let line = format!("{who} left as {}.", inline(name));
                    self.log(&at, "Session left", vec![Part::Line(line)]);
                }
            }
            EventKind::ThreadTitled { title } => {
                let title = sources.clean(title);
                if let Some(session) = self.session(event.session.as_ref()) {
                    session.title = title;
                }
            }
            EventKind::SessionStatus {
                to,
                waiting,
                reason,
                ..
            } => {
                if let Some(session) = self.session(event.session.as_ref()) {
                    session.status = *to;
                }
                let told = matches!(
                    to,
                    SessionStatus::Blocked
                        | SessionStatus::Waiting
                        | SessionStatus::Completed
                        | SessionStatus::Failed
                        | SessionStatus::Cancelled
                );
                if told {
                    let kind =
                        waiting.map_or(String::new(), |kind| format!(" ({})", kind.as_str()));
                    let mut parts = vec![Part::Line(format!("{who} is {}{kind}.", to.as_str()))];
                    if let Some(reason) = reason {
                        parts.push(Part::text(sources.clean(reason)));
                    }
                    self.log(&at, "Session", parts);
                }
            }
            EventKind::TurnEnded { status, .. } => {
                if *status != TurnStatus::Running
                    && let Some(session) = self.session(event.session.as_ref())
                {
                    session.turns += 1;
                }
            }
            EventKind::MessageSent { message, .. } => {
                if let Some(message) = sources.store.read(|read| read.message(message))? {
                    let from = match &message.sender {
                        Some(sender) => self.name(Some(sender)),
                        None => "a person".into(),
                    };
                    let to = self.name(Some(&message.session));
                    let kind = message.kind.as_str();
                    let mut parts = vec![Part::Line(format!("From {from} to {to}: {kind}."))];
                    parts.push(Part::text(sources.clean(&message.text)));
                    self.log(&at, "Message", parts);
                    subject = Some("Message".to_owned());
                }
            }
            EventKind::SessionMerged { commit } => {
                if let Some(session) = self.session(event.session.as_ref()) {
                    session.merged = Some(commit.clone());
                }
                let line = format!("{who} as {}.", inline(commit));
                self.log(&at, "Merge", vec![Part::Line(line)]);
                subject = Some("Merge".to_owned());
            }
            EventKind::ImplementationTaskStatus { number, to } => {
                if *to == ImplementationTaskStatus::Completed {
                    if !self.record.completed.contains(number) {
                        self.record.completed.push(number.clone());
                    }
                    let what = format!("task-{}", slug(number));
                    let line = format!("Task {} is completed by {who}.", inline(number));
                    self.update(&at, &what, &line, sources)?;
                    subject = Some("Task completed".to_owned());
                } else {
                    self.record.completed.retain(|known| known != number);
                }
            }
            EventKind::Reported { text } => {
                let text = Part::text(sources.clean(text));
                self.log(&at, "Claim", vec![Part::Line(format!("By {who}.")), text]);
            }
            EventKind::DecisionRecorded { text, .. } => {
                self.decisions += 1;
                let text = Part::text(sources.clean(text));
                self.log(
                    &at,
                    "Decision",
                    vec![Part::Line(format!("Of {who}.")), text],
                );
            }
            EventKind::PermissionAnswered { answer, .. } => {
                self.decisions += u32::from(answer != "cancelled");
            }
            EventKind::Incident { incident, text } => {
                let line = format!("{} by {who}.", inline(incident));
                let text = Part::text(sources.clean(text));
                self.log(&at, "Incident", vec![Part::Line(line), text]);
            }
            EventKind::Verified { passed, attempt } => {
                let outcome = if *passed { "passed" } else { "failed" };
                let line = format!("{who}: {outcome}, attempt {attempt}.");
                self.log(&at, "Verify", vec![Part::Line(line)]);
            }
            EventKind::Finished { how } => {
                let line = format!("By {}.", inline(how));
                self.log(&at, "Finished", vec![Part::Line(line)]);
                subject = Some("Finished".to_owned());
            }
            EventKind::TaskCreated { .. }
            | EventKind::RevisionKept { .. }
            | EventKind::SessionStage { .. }
            | EventKind::AgentStarted { .. }
            | EventKind::TurnStarted { .. }
            | EventKind::SessionCommitted { .. }
            | EventKind::ThreadsSeen { .. }
            | EventKind::PermissionAsked { .. }
            | EventKind::ZedExtension { .. }
            | EventKind::MessageDelivered { .. } => {}
        }
        if let Some(subject) = subject {
            due.push(Due {
                subject,
                at: millis(&event.at),
                turn: None,
                cursor: self.record.cursor,
                pending: std::mem::take(&mut self.pending),
            });
        }
        Ok(())
    }

    fn created(
        &mut self,
        event: &Event,
        name: &str,
        at: &str,
        sources: &Sources<'_>,
    ) -> Result<(), StoreError> {
        let Some(id) = &event.session else {
            return Ok(());
        };
        if self.record.sessions.iter().any(|session| session.id == *id) {
            return Ok(());
        }
        let Some(row) = sources.store.read(|read| read.session(id))? else {
            return Ok(());
        };
        let title = super::titles::first_title(&row, name);
        let mut line = inline(name);
        if let Some(parent) = &row.parent {
            line.push_str(&format!(", spawned by {}", self.name(Some(parent))));
        }
        let what = match row.method {
            spectask_protocol::SessionMethod::Spawned => "Spawn",
            _ => "Session",
        };
        let parts = vec![Part::Line(format!("{line}: {}", inline(&title)))];
        self.log(at, what, parts);
        self.record.sessions.push(TaskSession {
            id: id.clone(),
            name: name.to_owned(),
            title,
            status: SessionStatus::Pending,
            turns: 0,
            merged: None,
        });
        Ok(())
    }

    /// Writes a progress update.
    fn update(
        &mut self,
        at: &str,
        what: &str,
        line: &str,
        sources: &Sources<'_>,
    ) -> Result<(), StoreError> {
        self.record.updates += 1;
        let id = self.record.id.clone();
        let tasks = sources.store.read(|read| read.implementation_tasks(&id))?;
        let required: BTreeSet<&str> = tasks
            .iter()
            .filter(|task| !task.optional)
            .map(|task| task.number.as_str())
            .collect();
        let done = self
            .record
            .completed
            .iter()
            .filter(|number| required.contains(number.as_str()))
            .count();
        let mut text = format!(
            "# Progress update {}\n\n{at}\n\n{line}\n\n## Tasks\n\n{done} of {} required tasks are completed.\n",
            self.record.updates,
            required.len()
        );
        for task in &tasks {
            let mark = if self.record.completed.contains(&task.number) {
                'x'
            } else {
                ' '
            };
            let title = sources.clean(&task.title);
            text.push_str(&format!(
                "- [{mark}] {} {}\n",
                inline(&task.number),
                inline(&title)
            ));
        }
        text.push_str(&self.sessions());
        let path = progress_path(self.record.updates, &what.replace('_', "-"));
        self.pending.files.push((path, text.into_bytes()));
        Ok(())
    }

    fn sessions(&self) -> String {
        let mut text = "\n## Sessions\n\n".to_owned();
        for session in &self.record.sessions {
            let merged = session.merged.as_deref().map_or(String::new(), |commit| {
                format!(", merged as {}", inline(commit))
            });
            text.push_str(&format!(
                "- {} {}: {}, {} turns{merged}\n",
                inline(&session.name),
                inline(&session.title),
                session.status.as_str(),
                session.turns
            ));
        }
        text
    }

    fn complete(&mut self, at: &str, sources: &Sources<'_>) -> Result<(), StoreError> {
        let id = self.record.id.clone();
        let tasks = sources.store.read(|read| read.implementation_tasks(&id))?;
        let turns: u32 = self
            .record
            .sessions
            .iter()
            .map(|session| session.turns)
            .sum();
        let mut text = format!(
            "# Implementation complete\n\n{}\n\n- Completed: {at}\n- Created: {}\n- Sessions: {}\n- Turns: {turns}\n- Decisions: {}\n- Tasks: {} of {} completed\n\n## Tasks\n\n",
            inline(&self.record.title),
            seconds(&self.record.created_at),
            self.record.sessions.len(),
            self.decisions,
            self.record.completed.len(),
            tasks.len(),
        );
        for task in &tasks {
            let mark = if self.record.completed.contains(&task.number) {
                'x'
            } else {
                ' '
            };
            text.push_str(&format!(
                "- [{mark}] {} {}, requirements {}\n",
                inline(&task.number),
                inline(&sources.clean(&task.title)),
                inline(&task.requirements.join(", "))
            ));
        }
        text.push_str(&self.sessions());
        self.pending
            .files
            .push((COMPLETE.into(), text.into_bytes()));
        Ok(())
    }

    /// The record as it is, with how many segments its log has.
    pub(super) fn record(&self, cursor: Cursor, segments: u32) -> (String, Vec<u8>) {
        let record = TaskRecord {
            cursor,
            segments,
            ..self.record.clone()
        };
        (TASK.into(), record.to_bytes())
    }
}
