//! Reads what happened and brings the refs up to it.

use std::collections::{BTreeMap, HashMap};

use spectask_protocol::{ProjectId, SpecTaskId, TurnStatus, WorkSessionId};

use super::{
    RecordError, Status,
    entry::Due,
    fault::Faults,
    format::{
        Cursor, Document, FORMAT, SESSION, Segments, SessionRecord, TASK, TaskLink, TaskRecord,
        TurnRecord, session_ref, suffixed, task_ref, turn_record_path,
    },
    session::{Code, Session, Sources},
    slot::{Head, Slot},
    task::Task,
    titles::first_title,
};
use crate::{
    redact::Redactor,
    repo::{Ledger, Repository},
    store::{SessionRow, Store, StoreError, TaskRow, rfc3339},
};

/// Where the recorder starts to look after a restart; what is on the refs decides.
pub(super) const CURSOR: &str = "recorder";

/// Events that are read at a time.
const PAGE: u32 = 256;

/// Frames that are read at a time, in bytes.
const FRAMES: usize = 1 << 20;

/// Loose objects after which they are packed: several sessions write between two looks, and never
/// more than 1,500 are to be there.
const LOOSE: usize = 1000;

/// Turns of a session after which its repository's objects are packed.
const TURNS: u32 = 100;

/// Sessions that are kept at hand.
const AT_HAND: usize = 24;

struct Open {
    slot: Slot,
    /// The session's name that the ref has.
    named: String,
    session: Session,
    used: u64,
}

/// The follower. One of them writes the refs of a data folder.
pub struct Recorder {
    store: Store,
    redactor: Redactor,
    status: Status,
    open: HashMap<WorkSessionId, Open>,
    tasks: HashMap<SpecTaskId, (Slot, Task)>,
    ledgers: HashMap<ProjectId, Ledger>,
    /// Everything up to here was looked at.
    seen: u64,
    /// Sessions and SpecTasks that could not be written, each with the first event it lacks.
    behind: BTreeMap<Subject, u64>,
    passes: u64,
    pub(super) faults: Faults,
}

/// What has a ref.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Subject {
    Session(WorkSessionId),
    Task(SpecTaskId),
}

impl Recorder {
    /// A recorder for a store. Texts of events go through the redactor; the transcript did already.
    ///
    /// # Errors
    /// When the database fails.
    pub fn new(store: Store, redactor: Redactor, status: Status) -> Result<Self, RecordError> {
        let seen = store.read(|read| read.cursor(CURSOR))?;
        Ok(Self {
            store,
            redactor,
            status,
            open: HashMap::new(),
            tasks: HashMap::new(),
            ledgers: HashMap::new(),
            seen,
            behind: BTreeMap::new(),
            passes: 0,
            faults: Faults::default(),
        })
    }

    /// Brings every ref up to what is in the store now. What cannot be written is told in the status
    /// and tried again with the next pass. Blocks; calls the store's writer, so it must run where
    /// the runtime may be waited for.
    ///
    /// # Errors
    /// When the database fails.
    pub fn pass(&mut self, runtime: &tokio::runtime::Handle, now: i64) -> Result<(), RecordError> {
        self.passes += 1;
        let until = self.store.read(|read| read.last_event())?;
        let touched = self.store.read(|read| read.touched(self.seen, until))?;
        let mut subjects = std::mem::take(&mut self.behind);
        for (task, session, first) in touched {
            if let Some(task) = &task {
                let subject = Subject::Task(task.clone());
                subjects.entry(subject).or_insert(first);
            }
            let session = match (session, &task) {
                (Some(session), _) => Some(session),
                // What belongs to the SpecTask alone is decided in its planning session.
                (None, Some(task)) => self
                    .store
                    .read(|read| read.session_numbered(task, 0))?
                    .map(|row| row.id),
                (None, None) => None,
            };
            if let Some(session) = session {
                subjects.entry(Subject::Session(session)).or_insert(first);
            }
        }
        for (id, open) in &self.open {
            if open.session.milestone().is_some_and(|due| due <= now) {
                let subject = Subject::Session(id.clone());
                subjects.entry(subject).or_insert(until + 1);
            }
        }
        let mut waiting = BTreeMap::new();
        self.behind.clone_from(&subjects);
        for (subject, _) in subjects {
            let outcome = match &subject {
                Subject::Session(id) => self.session(id, runtime, now),
                Subject::Task(id) => self.task(id),
            };
            match outcome {
                Ok(()) => drop(self.behind.remove(&subject)),
                Err(error @ (RecordError::Killed(_) | RecordError::Store(StoreError::Closed))) => {
                    return Err(error);
                }
                Err(error) => {
                    let project = self.project_of(&subject)?;
                    if let Subject::Session(id) = &subject {
                        self.open.remove(id);
                    }
                    if let Some(project) = &project {
                        self.ledgers.remove(project);
                    }
                    let place = match project {
                        Some(id) => self.store.read(|read| read.project(&id))?,
                        None => None,
                    };
                    let place = place.map_or_else(String::new, |project| project.root);
                    waiting.insert(place, error.to_string());
                }
            }
        }
        self.status.set(waiting);
        self.seen = until;
        let safe = self
            .behind
            .values()
            .map(|first| first.saturating_sub(1))
            .min()
            .unwrap_or(until)
            .min(until);
        self.faults.step("before the cursor")?;
        runtime.block_on(self.store.write(move |write| {
            if write.cursor(CURSOR)? < safe {
                write.move_cursor(CURSOR, safe)?;
            }
            Ok::<_, RecordError>(())
        }))?;
        self.tidy();
        Ok(())
    }

    /// When the next commit of a long turn is due, in milliseconds since the Unix epoch.
    #[must_use]
    pub fn next_due(&self) -> Option<i64> {
        self.open
            .values()
            .filter_map(|open| open.session.milestone())
            .min()
    }

    /// Whether something could not be written.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        !self.behind.is_empty()
    }

    fn tidy(&mut self) {
        while self.open.len() > AT_HAND {
            let oldest = self
                .open
                .iter()
                .min_by_key(|(_, open)| open.used)
                .map(|(id, _)| id.clone());
            match oldest {
                Some(id) => drop(self.open.remove(&id)),
                None => break,
            }
        }
    }

    fn project_of(&self, subject: &Subject) -> Result<Option<ProjectId>, RecordError> {
        let project = self.store.read(|read| match subject {
            Subject::Task(id) => Ok(read.task(id)?.map(|task| task.project)),
            Subject::Session(id) => {
                let Some(row) = read.session(id)? else {
                    return Ok(None);
                };
                match &row.task {
                    Some(task) => Ok(read.task(task)?.map(|task| task.project)),
                    None => Ok(row.project),
                }
            }
        });
        project.map_err(RecordError::Store)
    }

    fn ledger(&mut self, project: &ProjectId) -> Result<Option<Ledger>, RecordError> {
        if let Some(ledger) = self.ledgers.remove(project) {
            return Ok(Some(ledger));
        }
        let Some(row) = self.store.read(|read| read.project(project))? else {
            return Ok(None);
        };
        let repository = Repository::discover(&row.root)?;
        if repository.common_dir().display().to_string() != row.common_dir {
            return Err(RecordError::Another(row.root));
        }
        let ledger = Ledger::open(&repository)?;
        // What a run before this one left.
        pack(&ledger, LOOSE / 2);
        Ok(Some(Ledger::open(&repository)?))
    }

    fn session(
        &mut self,
        id: &WorkSessionId,
        runtime: &tokio::runtime::Handle,
        now: i64,
    ) -> Result<(), RecordError> {
        let Some(row) = self.store.read(|read| read.session(id))? else {
            return Ok(());
        };
        let Some(project) = self.project_of(&Subject::Session(id.clone()))? else {
            // A thread outside of every repository has no history in git.
            return Ok(());
        };
        let Some(mut ledger) = self.ledger(&project)? else {
            return Ok(());
        };
        let mut open = match self.open.remove(id) {
            Some(open) => open,
            None => self.load(&row, &mut ledger)?,
        };
        open.used = self.passes;
        let before = open.session.record.turns;
        let named = open.named.clone();
        let was_final = open.session.is_final();
        self.read_on(&row, &mut open, &mut ledger, now)?;
        let links = std::mem::take(&mut open.session.links);
        if !links.is_empty() {
            self.faults.step("before the links")?;
            runtime.block_on(
                self.store
                    .write(move |write| Ok::<_, RecordError>(write.keep_turn_commits(&links)?)),
            )?;
        }
        let name = if open.session.record.name == named {
            None
        } else {
            let (name, _) = place(&ledger, &open.session.record.name, id)?;
            Some(name)
        };
        open.slot.show(&mut ledger, &mut self.faults, name)?;
        // Segments of a turn that goes on: no other session's fault takes them along.
        ledger.write()?;
        open.named.clone_from(&open.session.record.name);
        let turns = open.session.record.turns;
        let due = before / TURNS != turns / TURNS || (open.session.is_final() && !was_final);
        if due || ledger.repairs() || ledger.loose() >= LOOSE {
            self.faults.step("before packing")?;
            pack(&ledger, 1);
            // The next use opens it anew.
        } else {
            self.ledgers.insert(project, ledger);
        }
        if !open.session.is_final() {
            self.open.insert(id.clone(), open);
        }
        Ok(())
    }

    /// Feeds everything that is in the store to the session's machine, in order, and makes the
    /// commits that are due.
    fn read_on(
        &mut self,
        row: &SessionRow,
        open: &mut Open,
        ledger: &mut Ledger,
        now: i64,
    ) -> Result<(), RecordError> {
        let planning = row.task.clone().filter(|_| row.number == 0);
        loop {
            self.faults.step("before events")?;
            let after = open.session.record.cursor.event;
            let (events, next) = self.store.read(|read| {
                let events = read.events_of_session(&row.id, planning.as_ref(), after, PAGE)?;
                Ok::<_, RecordError>((events, read.transcript_next(&row.id)?))
            })?;
            for placed in &events {
                let stop = match placed.entries {
                    Some(entries) => Stop::At(entries.min(next)),
                    None => Stop::After(next, placed.at),
                };
                self.frames(row, open, ledger, stop)?;
                let mut due = Vec::new();
                {
                    let code = |commit: &str| code_of(ledger, commit);
                    let sources = Sources {
                        store: &self.store,
                        redactor: &self.redactor,
                        code: &code,
                    };
                    open.session.event(placed, &sources, &mut due)?;
                }
                write_due(open, ledger, due)?;
            }
            if events.len() < PAGE as usize {
                if open.session.milestone().is_some_and(|due| due <= now) {
                    self.frames(row, open, ledger, Stop::At(next))?;
                }
                return Ok(());
            }
        }
    }

    fn frames(
        &mut self,
        row: &SessionRow,
        open: &mut Open,
        ledger: &mut Ledger,
        stop: Stop,
    ) -> Result<(), RecordError> {
        let (end, latest) = match stop {
            Stop::At(end) => (end, i64::MAX),
            Stop::After(end, at) => (end, at),
        };
        loop {
            let from = open.session.record.cursor.entries;
            if from >= end {
                return Ok(());
            }
            let page = self
                .store
                .read(|read| read.transcript_page(&row.id, from..end, FRAMES))?;
            if page.is_empty() {
                return Ok(());
            }
            for entry in &page {
                if latest < i64::MAX && super::entry::millis(&entry.at) >= latest {
                    return Ok(());
                }
                let mut due = Vec::new();
                open.session.frame(entry, &mut due);
                // Cut before the commit that is due, if one is.
                write_due(open, ledger, due)?;
                let shown = open.slot.cursor.unwrap_or_default().entries;
                for (path, content) in open.session.take_files() {
                    // What lies before is on the ref.
                    if entry.index >= shown {
                        open.slot.put(ledger, &path, content)?;
                    }
                }
            }
        }
    }

    fn load(&mut self, row: &SessionRow, ledger: &mut Ledger) -> Result<Open, RecordError> {
        self.faults.step("before a load")?;
        let names = self.store.read(|read| read.session_names(&row.id))?;
        let mut found: Option<(String, String, String)> = None;
        for name in names.iter().rev() {
            let (ref_name, tip) = place(ledger, name, &row.id)?;
            let Some(tip) = tip else {
                continue;
            };
            match &found {
                None => found = Some((ref_name, tip, name.clone())),
                // It got a name back that it had before.
                Some((known, ..)) if *known == ref_name => {}
                // A run before this one ended between the two moves of a renaming.
                Some(_) => ledger.repository().delete_ref(&ref_name, &tip)?,
            }
        }
        let first = names.first().cloned().unwrap_or_default();
        let Some((ref_name, tip, named)) = found else {
            let (ref_name, _) = place(ledger, &first, &row.id)?;
            let slot = Slot::empty(ref_name, None, &Document::OF_SESSION);
            let record = self.first_record(row, first.clone())?;
            return Ok(Open {
                slot,
                named: first,
                session: Session::new(record, None),
                used: self.passes,
            });
        };
        if let Some(open) = read_session(ledger, &ref_name, &tip, named.clone()) {
            return Ok(open);
        }
        // The objects are damaged, as after a loss of power: written anew from the store, if it has all.
        let forgotten = self.store.read(|read| {
            let silent = read.transcript_next(&row.id)? == 0;
            Ok::<_, RecordError>(silent && !read.turns(&row.id)?.is_empty())
        })?;
        if forgotten {
            return Err(RecordError::Damaged(ref_name));
        }
        tracing::warn!(
            ref_name,
            "recorded history cannot be read and is written anew"
        );
        ledger.repair();
        let slot = Slot::empty(ref_name, Some(tip), &Document::OF_SESSION);
        let record = self.first_record(row, first)?;
        Ok(Open {
            slot,
            named,
            session: Session::new(record, None),
            used: self.passes,
        })
    }

    fn first_record(&self, row: &SessionRow, name: String) -> Result<SessionRecord, RecordError> {
        let work = match row.implementation_task {
            Some(id) => self.store.read(|read| read.implementation_task(id))?,
            None => None,
        };
        // A thread may have been bound to a SpecTask later; its first name tells.
        let task = match (&row.task, name.split_once('/')) {
            (Some(id), Some((of, _))) => self
                .store
                .read(|read| read.task(id))?
                .filter(|task| task.name() == of)
                .map(|task| TaskLink {
                    id: task.id,
                    name: of.to_owned(),
                }),
            _ => None,
        };
        Ok(SessionRecord {
            format: FORMAT,
            id: row.id.clone(),
            title: self.redactor.text(&first_title(row, &name)).into_owned(),
            name,
            task,
            phase: row.phase,
            method: row.method,
            parent: row.parent.clone(),
            agent: row.agent.to_string(),
            status: spectask_protocol::SessionStatus::Pending,
            tasks: work.iter().map(|work| work.number.clone()).collect(),
            requirements: work.map(|work| work.requirements).unwrap_or_default(),
            created_at: rfc3339(row.created_at),
            ended_at: None,
            turns: 0,
            merged: None,
            verified: None,
            cursor: Cursor::default(),
            resume: Cursor::default(),
            segments: Segments::default(),
        })
    }

    fn first_task_record(&self, row: &TaskRow) -> TaskRecord {
        TaskRecord {
            format: FORMAT,
            id: row.id.clone(),
            name: row.name(),
            title: self.redactor.text(&row.title).into_owned(),
            prompt: self.redactor.text(&row.prompt).into_owned(),
            base: row.base.clone(),
            status: spectask_protocol::SpecTaskStatus::QueuedSpecGeneration,
            created_at: rfc3339(row.created_at),
            completed: Vec::new(),
            sessions: Vec::new(),
            updates: 0,
            segments: 0,
            cursor: Cursor::default(),
        }
    }

    fn task(&mut self, id: &SpecTaskId) -> Result<(), RecordError> {
        let Some(row) = self.store.read(|read| read.task(id))? else {
            return Ok(());
        };
        let Some(mut ledger) = self.ledger(&row.project)? else {
            return Ok(());
        };
        let name = row.name();
        let (mut slot, mut machine) = match self.tasks.remove(id) {
            Some(open) => open,
            None => {
                let machine = Task::new(self.first_task_record(&row));
                (task_slot(&mut ledger, &name, id)?, machine)
            }
        };
        loop {
            self.faults.step("before events")?;
            let after = machine.record.cursor.event;
            let events = self
                .store
                .read(|read| read.events_after(after, Some(id), PAGE))?;
            for event in &events {
                let mut due = Vec::new();
                let sources = Sources {
                    store: &self.store,
                    redactor: &self.redactor,
                    code: &|_| None,
                };
                machine.event(event, &sources, &mut due)?;
                for mut due in due {
                    if slot.has(due.cursor) {
                        continue;
                    }
                    let segments = slot.append(&mut ledger, &mut due)?;
                    let (path, content) =
                        machine.record(due.cursor, segments.first().copied().unwrap_or(0));
                    slot.put(&mut ledger, &path, content)?;
                    let head = Head {
                        task: Some(name.clone()),
                        session: None,
                        requirements: Vec::new(),
                    };
                    slot.commit(&mut ledger, &due, head)?;
                }
            }
            if events.len() < PAGE as usize {
                break;
            }
        }
        slot.show(&mut ledger, &mut self.faults, None)?;
        ledger.write()?;
        if !row.status.is_final() {
            self.tasks.insert(id.clone(), (slot, machine));
        }
        if ledger.repairs() || ledger.loose() >= LOOSE {
            pack(&ledger, 1);
        } else {
            self.ledgers.insert(row.project, ledger);
        }
        Ok(())
    }
}

/// Packs what is loose. That it cannot be done holds up nothing: the next time does it.
fn pack(ledger: &Ledger, least: usize) {
    if let Err(error) = ledger.consolidate(least) {
        tracing::warn!(%error, "recorded history is not packed");
    }
}

/// Up to which frame is read.
#[derive(Debug, Clone, Copy)]
enum Stop {
    /// This index.
    At(u64),
    /// This index, or the first frame that is not older than this time: for events of releases that
    /// did not note their place.
    After(u64, i64),
}

/// Makes the commits that are due and not on the ref yet.
fn write_due(open: &mut Open, ledger: &mut Ledger, due: Vec<Due>) -> Result<(), RecordError> {
    for mut due in due {
        if open.slot.has(due.cursor) {
            continue;
        }
        let segments = open.slot.append(ledger, &mut due)?;
        let mut record = open.session.record(due.cursor);
        if let [conversation, code_changes, decisions, activity_log] = segments[..] {
            record.segments = Segments {
                conversation,
                code_changes,
                decisions,
                activity_log,
            };
        }
        open.session.record.segments = record.segments;
        open.slot.put(ledger, SESSION, record.to_bytes())?;
        let head = Head {
            task: record.task.map(|task| task.name),
            session: Some(record.name),
            requirements: record.requirements,
        };
        open.slot.commit(ledger, &due, head)?;
    }
    Ok(())
}

/// The ref of a session of that name, and where it is. A name that another installation's session
/// has in this repository gets the end of the id.
pub(super) fn place(
    ledger: &Ledger,
    name: &str,
    id: &WorkSessionId,
) -> Result<(String, Option<String>), RecordError> {
    let plain = session_ref(name)?;
    let Some(tip) = ledger.tip(&plain)? else {
        return Ok((plain, None));
    };
    let other = ledger
        .folder(&tip)
        .ok()
        .and_then(|mut folder| ledger.read(&mut folder, SESSION).ok())
        .is_some_and(|file| {
            let record = file.as_deref().and_then(SessionRecord::parse);
            record.is_none_or(|record| record.id != *id)
        });
    if !other {
        return Ok((plain, Some(tip)));
    }
    let suffixed = session_ref(&suffixed(name, id.as_str()))?;
    let tip = ledger.tip(&suffixed)?;
    Ok((suffixed, tip))
}

fn read_session(ledger: &Ledger, ref_name: &str, tip: &str, named: String) -> Option<Open> {
    let mut folder = ledger.folder(tip).ok()?;
    let record = SessionRecord::parse(&ledger.read(&mut folder, SESSION).ok()??)?;
    let counts = [
        record.segments.conversation,
        record.segments.code_changes,
        record.segments.decisions,
        record.segments.activity_log,
    ];
    let documents: Vec<(Document, u32)> = Document::OF_SESSION.into_iter().zip(counts).collect();
    let mut slot = Slot::open(ledger, ref_name.to_owned(), tip.to_owned(), &documents).ok()??;
    let turn = match record.turns {
        0 => None,
        number => slot
            .file(ledger, &turn_record_path(number))
            .ok()?
            .as_deref()
            .and_then(TurnRecord::parse)
            .filter(|turn| turn.status != TurnStatus::Running),
    };
    Some(Open {
        slot,
        named,
        session: Session::new(record, turn),
        used: 0,
    })
}

fn task_slot(ledger: &mut Ledger, name: &str, id: &SpecTaskId) -> Result<Slot, RecordError> {
    let log = Document::CoordinationLog;
    let mut ref_name = task_ref(name)?;
    for _ in 0..2 {
        let Some(tip) = ledger.tip(&ref_name)? else {
            break;
        };
        let file = ledger
            .folder(&tip)
            .and_then(|mut folder| ledger.read(&mut folder, TASK));
        let record = match file {
            Ok(file) => file.as_deref().and_then(TaskRecord::parse),
            // Damaged: written anew.
            Err(_) => {
                ledger.repair();
                return Ok(Slot::empty(ref_name, Some(tip), &[log]));
            }
        };
        match record {
            Some(record) if record.id == *id => {
                let documents = [(log, record.segments)];
                return Ok(
                    match Slot::open(ledger, ref_name.clone(), tip.clone(), &documents) {
                        Ok(Some(slot)) => slot,
                        // Damaged: written anew.
                        Ok(None) | Err(_) => {
                            ledger.repair();
                            Slot::empty(ref_name, Some(tip), &[log])
                        }
                    },
                );
            }
            _ => ref_name = task_ref(&suffixed(name, id.as_str()))?,
        }
    }
    Ok(Slot::empty(ref_name, None, &[log]))
}

fn code_of(ledger: &Ledger, commit: &str) -> Option<Code> {
    let (tree, patch_id) = ledger.code_commit(commit).ok()??;
    let parents = ledger.parents(commit).ok()?;
    let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    let files = match parents.first() {
        Some(parent) => ledger.repository().diff_stat(parent, commit).ok()?,
        None => Vec::new(),
    };
    Some(Code {
        tree,
        patch_id,
        files: files
            .into_iter()
            .map(|file| super::format::FileChange {
                path: file.path,
                added: number(file.added),
                removed: number(file.removed),
            })
            .collect(),
    })
}
