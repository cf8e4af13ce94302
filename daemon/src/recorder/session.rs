//! The record of one session, from its events and frames in their order: what is written, and when
//! a commit is due. It reads no clock and nothing that changes later, so that the same events and
//! frames give the same commits, whenever and in however many goes they are read.

use std::collections::HashMap;

use spectask_protocol::{
    Decision, EventKind, PermissionId, SessionMethod, TranscriptEntry, TurnStatus,
};

use super::{
    entry::{Due, Pending, millis, seconds},
    format::{
        CodeCommit, Cursor, Document, FORMAT, FRAMES_LIMIT, FileChange, SessionRecord, TurnRecord,
        turn_frames_path, turn_record_path,
    },
    text::{Part, inline},
    turns::Happenings,
};
use crate::{
    redact::Redactor,
    store::{PlacedEvent, Store, StoreError, TurnCommit},
};

/// A long turn is committed this often, in milliseconds.
pub(super) const MILESTONE: i64 = 10 * 60 * 1000;

/// A commit of code as the repository has it.
#[derive(Debug, Clone, Default)]
pub(super) struct Code {
    pub(super) tree: String,
    pub(super) patch_id: Option<String>,
    pub(super) files: Vec<FileChange>,
}

/// Where the machine looks up what events only name. Everything here stays as it was written.
pub(super) struct Sources<'a> {
    pub(super) store: &'a Store,
    pub(super) redactor: &'a Redactor,
    /// A commit of code; none when the repository does not have it any more.
    pub(super) code: &'a dyn Fn(&str) -> Option<Code>,
}

impl Sources<'_> {
    pub(super) fn clean(&self, text: &str) -> String {
        self.redactor.text(text).into_owned()
    }
}

/// Commits of code that were linked to their turns.
pub(super) type Links = Vec<TurnCommit>;

pub(super) struct Session {
    pub(super) record: SessionRecord,
    happenings: Happenings,
    /// The newest turn: open, or the last one that ended.
    pub(super) turn: Option<TurnRecord>,
    open: bool,
    /// When the last ten minutes of the open turn began.
    mark: i64,
    asked: HashMap<PermissionId, String>,
    /// Frames that are not in a segment yet, as lines.
    lines: Vec<u8>,
    pending: Pending,
    pub(super) links: Links,
}

impl Session {
    /// Goes on from a record at the place it names for that; `turn` is the newest turn on the ref.
    pub(super) fn new(record: SessionRecord, turn: Option<TurnRecord>) -> Self {
        let mut record = record;
        record.cursor = record.resume;
        Self {
            happenings: Happenings::new(record.method == SessionMethod::AdHoc),
            turn: turn.filter(|turn| turn.status != TurnStatus::Running),
            record,
            open: false,
            mark: 0,
            asked: HashMap::new(),
            lines: Vec::new(),
            pending: Pending::default(),
            links: Links::new(),
        }
    }

    /// When the open turn is due for a commit, unless it ends before.
    pub(super) fn milestone(&self) -> Option<i64> {
        self.open.then_some(self.mark + MILESTONE)
    }

    /// Files and segments that can be written before the commit that shows them.
    pub(super) fn take_files(&mut self) -> Vec<(String, Vec<u8>)> {
        std::mem::take(&mut self.pending.files)
    }

    /// Takes the next frame.
    pub(super) fn frame(&mut self, entry: &TranscriptEntry, due: &mut Vec<Due>) {
        if self.open {
            let at = millis(&entry.at);
            if at >= self.mark + MILESTONE {
                self.mark += (at - self.mark) / MILESTONE * MILESTONE;
                let subject = format!("Turn {} goes on", self.number());
                let at = self.mark;
                due.push(self.commit(subject, at));
            }
        }
        self.happenings.hear(entry, &mut self.pending);
        let before = self.lines.len();
        if serde_json::to_writer(&mut self.lines, entry).is_err() {
            self.lines.truncate(before);
        } else {
            self.lines.push(b'\n');
        }
        if self.open && before > 0 && self.lines.len() > FRAMES_LIMIT {
            let rest = self.lines.split_off(before);
            self.cut();
            self.lines = rest;
        }
        self.record.cursor.entries = entry.index + 1;
        if let Some(turn) = self.turn.as_mut().filter(|_| self.open) {
            turn.entries.1 = entry.index + 1;
        }
    }

    fn number(&self) -> u32 {
        self.turn.as_ref().map_or(0, |turn| turn.number)
    }

    /// Ends a segment of frames.
    fn cut(&mut self) {
        if self.lines.is_empty() {
            return;
        }
        let lines = std::mem::take(&mut self.lines);
        if let Some(turn) = &mut self.turn {
            turn.frames += 1;
            let path = turn_frames_path(turn.number, turn.frames);
            self.pending.files.push((path, lines));
        }
    }

    /// Takes the next event; all frames before it were taken.
    pub(super) fn event(
        &mut self,
        placed: &PlacedEvent,
        sources: &Sources<'_>,
        due: &mut Vec<Due>,
    ) -> Result<(), StoreError> {
        let event = &placed.event;
        self.record.cursor.event = event.seq;
        if let Some(turn) = self.turn.as_mut().filter(|_| self.open) {
            turn.events.1 = event.seq;
        }
        let at = seconds(&event.at);
        let mut log = |line: String| {
            self.pending
                .line(Document::ActivityLog, &format!("{at} {line}"));
        };
        let mut subject = None;
        match &event.kind {
            EventKind::SessionCreated { .. } => log("session created".into()),
            EventKind::SessionAttached { name } => {
                log(format!("session is now {}", inline(name)));
                // Whether it has that name already depends on where the reading began, the commit must not.
                self.record.name.clone_from(name);
                self.record.task = self.task_of(name, sources)?;
                subject = Some("Session attached".to_owned());
            }
            EventKind::ThreadTitled { title } => {
                self.record.title = sources.clean(title);
                log(format!("title {}", inline(&self.record.title)));
            }
            EventKind::AgentStarted { agent, .. } => {
                self.record.agent.clone_from(agent);
                log(format!("agent {} started", inline(agent)));
            }
            EventKind::SessionStatus { to, reason, .. } => {
                let reason = reason.as_deref().map(|reason| sources.clean(reason));
                let told = reason.map_or(String::new(), |text| format!(": {}", inline(&text)));
                log(format!("session {}{told}", to.as_str()));
                self.record.status = *to;
                if to.is_final() {
                    self.take_rest();
                    self.record.ended_at = Some(event.at.clone());
                    subject = Some(format!("Session {}", to.as_str()));
                } else {
                    self.record.ended_at = None;
                }
            }
            EventKind::SessionStage { stage } => log(format!("stage {}", stage.as_str())),
            EventKind::ImplementationTaskStatus { number, to } => {
                log(format!("task {} {}", inline(number), to.as_str()));
            }
            EventKind::TurnStarted { turn } => self.turn_started(*turn, placed, sources)?,
            EventKind::TurnEnded {
                turn,
                status,
                reason,
            } => {
                let reason = reason.as_deref().map(|reason| sources.clean(reason));
                self.turn_ended(*turn, *status, reason, placed, due);
            }
            EventKind::SessionCommitted { commit } => {
                self.committed(commit, placed, sources);
                subject = Some(format!("Code of turn {}", self.number()));
            }
            EventKind::Verified { passed, attempt } => {
                let outcome = if *passed { "passed" } else { "failed" };
                log(format!("verify {outcome} (attempt {attempt})"));
                self.record.verified = Some(*passed);
            }
            EventKind::SessionMerged { commit } => {
                log(format!("merged as {}", inline(commit)));
                self.record.merged = Some(commit.clone());
                subject = Some("Session merged".to_owned());
            }
            EventKind::PermissionAsked { permission, title } => {
                let title = sources.clean(title);
                log(format!("permission asked: {}", inline(&title)));
                self.asked.insert(permission.clone(), title);
            }
            EventKind::PermissionAnswered { permission, answer } => {
                let title = self.asked.remove(permission).unwrap_or_default();
                let answer = sources.clean(answer);
                log(format!(
                    "permission {}: {}",
                    inline(&answer),
                    inline(&title)
                ));
                if answer != "cancelled" {
                    let from = "A permission that the agent asked for.";
                    self.decided("Permission", &at, &answer, Some(&title), from);
                    subject = Some("Permission answered".to_owned());
                }
            }
            EventKind::DecisionRecorded { text, source } => {
                let text = sources.clean(text);
                log(format!("decision {}", inline(&text)));
                self.decided("Decision", &at, &text, None, &from(source));
                subject = Some("Decision".to_owned());
            }
            EventKind::ReviewDecided { revision, decision } => {
                log(format!("revision {revision}: {}", decision.as_str()));
                self.reviewed(*revision, *decision, placed, sources)?;
                subject = Some(format!("Review of revision {revision}"));
            }
            EventKind::RevisionKept {
                revision,
                errors,
                warnings,
            } => log(format!(
                "revision {revision} kept ({errors} errors, {warnings} warnings)"
            )),
            EventKind::Incident { incident, text } => {
                let text = sources.clean(text);
                log(format!("incident {}: {}", inline(incident), inline(&text)));
            }
            EventKind::Reported { text } => {
                let text = sources.clean(text);
                log(format!("claim {}", inline(&text)));
            }
            EventKind::MessageDelivered { message } => {
                if let Some(message) = sources.store.read(|read| read.message(message))? {
                    self.told(&message.text, message.kind.as_str(), &at, sources);
                }
            }
            EventKind::TaskCreated { .. }
            | EventKind::TaskStatus { .. }
            | EventKind::TaskPaused { .. }
            | EventKind::DocumentsCommitted { .. }
            | EventKind::MessageSent { .. }
            | EventKind::ThreadsSeen { .. }
            | EventKind::ZedExtension { .. }
            | EventKind::Finished { .. } => {}
        }
        if let Some(subject) = subject {
            due.push(self.commit(subject, placed.at));
        }
        Ok(())
    }

    fn task_of(
        &self,
        name: &str,
        sources: &Sources<'_>,
    ) -> Result<Option<super::format::TaskLink>, StoreError> {
        let Some((task, _)) = name.split_once('/') else {
            return Ok(None);
        };
        let number = task
            .split('-')
            .next()
            .and_then(|number| number.parse().ok());
        let Some(number) = number else {
            return Ok(None);
        };
        let found = sources.store.read(|read| read.task_numbered(number))?;
        Ok(found.map(|row| super::format::TaskLink {
            id: row.id,
            name: task.to_owned(),
        }))
    }

    fn turn_started(
        &mut self,
        number: u32,
        placed: &PlacedEvent,
        sources: &Sources<'_>,
    ) -> Result<(), StoreError> {
        let id = self.record.id.clone();
        let purpose = sources
            .store
            .read(|read| read.turn_purpose(&id, number))?
            .unwrap_or_else(|| "prompt".into());
        // What was said since the last turn, such as the opening of the session, begins this one.
        let first = self.record.resume.entries;
        let at = seconds(&placed.event.at);
        let line = format!("{at} turn {number} started ({})", inline(&purpose));
        self.pending.line(Document::ActivityLog, &line);
        let heading = format!("## Turn {number} · {} · {at}", inline(&purpose));
        self.pending
            .entry(Document::Conversation, vec![Part::Line(heading)]);
        self.turn = Some(TurnRecord {
            format: FORMAT,
            number,
            purpose,
            status: TurnStatus::Running,
            reason: None,
            started_at: placed.event.at.clone(),
            ended_at: None,
            prompt: String::new(),
            tasks: self.record.tasks.clone(),
            requirements: self.record.requirements.clone(),
            files: Vec::new(),
            commits: Vec::new(),
            tools: 0,
            events: (placed.event.seq, placed.event.seq),
            entries: (first, self.record.cursor.entries),
            frames: 0,
        });
        self.record.turns = number;
        self.open = true;
        self.mark = placed.at;
        Ok(())
    }

    fn turn_ended(
        &mut self,
        number: u32,
        status: TurnStatus,
        reason: Option<String>,
        placed: &PlacedEvent,
        due: &mut Vec<Due>,
    ) {
        if !self.open || self.number() != number {
            return;
        }
        let at = seconds(&placed.event.at);
        self.happenings.end(&at, &mut self.pending);
        let told = reason
            .as_deref()
            .map_or(String::new(), |text| format!(": {}", inline(text)));
        let line = format!("{at} turn {number} {}{told}", status.as_str());
        self.pending.line(Document::ActivityLog, &line);
        self.pending.line(Document::Conversation, &line);
        self.take_happenings();
        if let Some(turn) = &mut self.turn {
            turn.status = status;
            turn.reason = reason;
            turn.ended_at = Some(placed.event.at.clone());
        }
        self.record.resume = self.record.cursor;
        let commit = self.commit(format!("Turn {number} {}", status.as_str()), placed.at);
        due.push(commit);
        self.open = false;
        self.happenings.clear();
        self.asked.clear();
    }

    /// What was said after the last turn belongs to it when the session ends.
    fn take_rest(&mut self) {
        if self.open || self.turn.is_none() {
            return;
        }
        self.happenings.end_speech(&mut self.pending);
        self.happenings.clear();
        self.cut();
        if let Some(turn) = &mut self.turn {
            turn.entries.1 = self.record.cursor.entries;
        }
        self.record.resume = self.record.cursor;
    }

    fn take_happenings(&mut self) {
        if let Some(turn) = self.turn.as_mut().filter(|_| self.open) {
            turn.prompt.clone_from(&self.happenings.prompt);
            turn.files = self.happenings.files();
            turn.tools = self.happenings.calls;
        }
    }

    fn committed(&mut self, commit: &str, placed: &PlacedEvent, sources: &Sources<'_>) {
        let at = seconds(&placed.event.at);
        let line = format!("{at} committed {}", inline(commit));
        self.pending.line(Document::ActivityLog, &line);
        let Some(turn) = &mut self.turn else {
            return;
        };
        let number = turn.number;
        let heading = format!("## Commit {} · {at}", inline(commit));
        let mut parts = vec![
            Part::Line(heading),
            Part::Line(format!("Of turn {number}.")),
        ];
        let Some(code) = (sources.code)(commit) else {
            parts.push(Part::Line("It is not in the repository any more.".into()));
            self.pending.entry(Document::CodeChanges, parts);
            return;
        };
        for file in &code.files {
            let (path, added, removed) = (inline(&file.path), file.added, file.removed);
            parts.push(Part::Line(format!("- {path} +{added} -{removed}")));
        }
        self.pending.entry(Document::CodeChanges, parts);
        if !turn.commits.iter().any(|known| known.id == commit) {
            turn.commits.push(CodeCommit {
                id: commit.to_owned(),
                tree: code.tree.clone(),
                patch_id: code.patch_id.clone(),
            });
        }
        turn.files = code.files;
        self.links.push(TurnCommit {
            id: commit.to_owned(),
            session: self.record.id.clone(),
            turn: number,
            tree: code.tree,
            patch_id: code.patch_id,
            at: placed.at,
        });
    }

    fn decided(&mut self, what: &str, at: &str, text: &str, about: Option<&str>, from: &str) {
        let mut parts = vec![
            Part::Line(format!("## {what} · {at}")),
            Part::Line("### Decision".into()),
            Part::text(text),
            Part::Line("### Context".into()),
        ];
        if let Some(about) = about {
            parts.push(Part::text(about));
        }
        let context = match &self.turn {
            Some(turn) if self.open => {
                format!("In turn {} ({}).", turn.number, inline(&turn.purpose))
            }
            Some(turn) => format!("After turn {}.", turn.number),
            None => "Before the first turn.".into(),
        };
        parts.push(Part::Line(context));
        parts.push(Part::Line("### Rationale".into()));
        let words = self.happenings.words();
        if words.is_empty() {
            parts.push(Part::Line("None was given.".into()));
        } else {
            parts.push(Part::Line("What the agent said last:".into()));
            parts.push(Part::text(words));
        }
        parts.push(Part::Line("### From".into()));
        parts.push(Part::Line(from.to_owned()));
        self.pending.entry(Document::Decisions, parts);
    }

    fn reviewed(
        &mut self,
        revision: u32,
        decision: Decision,
        placed: &PlacedEvent,
        sources: &Sources<'_>,
    ) -> Result<(), StoreError> {
        let at = seconds(&placed.event.at);
        let review = match &placed.event.task {
            Some(task) => sources
                .store
                .read(|read| read.reviews(task))?
                .into_iter()
                .find(|review| review.revision == revision && review.at == placed.event.at),
            None => None,
        };
        let mut parts = vec![
            Part::Line(format!("## Review · {at}")),
            Part::Line("### Decision".into()),
            Part::text(format!("{} revision {revision}", decision.as_str())),
            Part::Line("### Context".into()),
            Part::Line(format!("Revision {revision} of the documents.")),
            Part::Line("### Rationale".into()),
        ];
        let comment = review.as_ref().and_then(|review| review.comment.as_deref());
        match comment {
            Some(comment) => parts.push(Part::text(sources.clean(comment))),
            None => parts.push(Part::Line("None was given.".into())),
        }
        for comment in review.iter().flat_map(|review| &review.comments) {
            let line = serde_json::to_string(comment).unwrap_or_default();
            parts.push(Part::Line(format!("- {}", inline(&sources.clean(&line)))));
        }
        parts.push(Part::Line("### From".into()));
        parts.push(Part::Line("A person's review.".into()));
        self.pending.entry(Document::Decisions, parts);
        Ok(())
    }

    fn told(&mut self, text: &str, kind: &str, at: &str, sources: &Sources<'_>) {
        let line = format!("{at} message delivered ({kind})");
        self.pending.line(Document::ActivityLog, &line);
        if self.open {
            return;
        }
        let heading = format!("### Message ({kind}) · {at}");
        self.pending.entry(
            Document::Conversation,
            vec![Part::Line(heading), Part::text(sources.clean(text))],
        );
    }

    /// Everything so far, as a commit.
    fn commit(&mut self, subject: String, at: i64) -> Due {
        if self.open {
            self.happenings.end_speech(&mut self.pending);
            self.take_happenings();
        }
        if self.open {
            self.cut();
        }
        let turn = self.turn.as_ref().map(|turn| {
            let path = turn_record_path(turn.number);
            self.pending.files.push((path, turn.to_bytes()));
            turn.number
        });
        Due {
            subject,
            at,
            turn,
            cursor: self.record.cursor,
            pending: std::mem::take(&mut self.pending),
        }
    }

    /// The record as it is, for the commit that was given back last.
    pub(super) fn record(&self, cursor: Cursor) -> SessionRecord {
        SessionRecord {
            cursor,
            ..self.record.clone()
        }
    }

    pub(super) fn is_final(&self) -> bool {
        self.record.status.is_final()
    }
}

/// Where a recorded decision came from, for people.
fn from(source: &str) -> String {
    match source {
        "mcp" => "The agent, by its tool.".into(),
        "agent" => "The agent.".into(),
        "slash_command" => "`/spec-decide`".into(),
        "cli" => "`spectask decide`".into(),
        other => inline(other),
    }
}
