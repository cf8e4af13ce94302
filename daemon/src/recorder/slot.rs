//! One ref: what is on it, what comes next, and the moment in which it moves.

use super::{
    RecordError,
    entry::Due,
    fault::Faults,
    format::{Cursor, Document, Trailers},
    text::Growing,
};
use crate::repo::{Entry, Folder, Ledger};

/// A ref that is written.
pub(super) struct Slot {
    /// Its full name.
    pub(super) name: String,
    /// The commit that the ref is at.
    shown: Option<String>,
    /// How far the commit that the ref is at has come; what is before is read again and not written.
    pub(super) cursor: Option<Cursor>,
    /// The newest commit made.
    tip: Option<String>,
    folder: Folder,
    documents: Vec<Growing>,
}

/// What `commit` needs to know of the record.
pub(super) struct Head {
    pub(super) task: Option<String>,
    pub(super) session: Option<String>,
    pub(super) requirements: Vec<String>,
}

impl Slot {
    /// A ref that has nothing of use; `shown` is where it is.
    pub(super) fn empty(name: String, shown: Option<String>, documents: &[Document]) -> Self {
        Self {
            name,
            shown,
            cursor: None,
            tip: None,
            folder: Folder::default(),
            documents: documents
                .iter()
                .map(|document| Growing::new(*document, 0, Vec::new()))
                .collect(),
        }
    }

    /// Goes on where the ref is.
    pub(super) fn open(
        ledger: &Ledger,
        name: String,
        tip: String,
        documents: &[(Document, u32)],
    ) -> Result<Option<Self>, RecordError> {
        let Some(trailers) = Trailers::parse(&ledger.message(&tip)?) else {
            return Ok(None);
        };
        let mut folder = ledger.folder(&tip)?;
        let mut growing = Vec::new();
        for (document, segment) in documents {
            let bytes = match segment {
                0 => Vec::new(),
                _ => ledger
                    .read(&mut folder, &document.file(*segment))?
                    .unwrap_or_default(),
            };
            growing.push(Growing::new(*document, *segment, bytes));
        }
        Ok(Some(Self {
            name,
            shown: Some(tip.clone()),
            cursor: Some(trailers.cursor),
            tip: Some(tip),
            folder,
            documents: growing,
        }))
    }

    /// Whether what ends at that cursor is on the ref already.
    pub(super) fn has(&self, cursor: Cursor) -> bool {
        self.cursor.is_some_and(|shown| cursor <= shown)
    }

    pub(super) fn file(
        &mut self,
        ledger: &Ledger,
        path: &str,
    ) -> Result<Option<Vec<u8>>, RecordError> {
        Ok(ledger.read(&mut self.folder, path)?)
    }

    /// Stores a file that a later commit shows.
    pub(super) fn put(
        &mut self,
        ledger: &mut Ledger,
        path: &str,
        content: Vec<u8>,
    ) -> Result<(), RecordError> {
        Ok(ledger.put(&mut self.folder, &self.name, path, content)?)
    }

    /// Appends the entries of documents; returns how many segments each has now.
    pub(super) fn append(
        &mut self,
        ledger: &mut Ledger,
        due: &mut Due,
    ) -> Result<Vec<u32>, RecordError> {
        let mut files = Vec::new();
        for (document, entry) in std::mem::take(&mut due.pending.entries) {
            let at = Document::OF_SESSION
                .iter()
                .position(|known| *known == document)
                .unwrap_or(0);
            if let Some(growing) = self.documents.get_mut(at) {
                growing.append(&entry, &mut files);
            }
        }
        files.extend(self.documents.iter_mut().filter_map(Growing::take_changed));
        files.append(&mut due.pending.files);
        for (path, content) in files {
            self.put(ledger, &path, content)?;
        }
        Ok(self
            .documents
            .iter()
            .map(|growing| growing.segment)
            .collect())
    }

    /// Makes the commit.
    pub(super) fn commit(
        &mut self,
        ledger: &mut Ledger,
        due: &Due,
        head: Head,
    ) -> Result<(), RecordError> {
        let trailers = Trailers {
            task: head.task,
            session: head.session,
            turn: due.turn,
            requirements: head.requirements,
            cursor: due.cursor,
        };
        let message = trailers.message(&due.subject);
        let entry = Entry {
            parent: self.tip.as_deref(),
            message: &message,
            at: due.at.div_euclid(1000),
        };
        self.tip = Some(ledger.commit(&mut self.folder, &self.name, entry)?);
        self.cursor = Some(due.cursor);
        Ok(())
    }

    /// Whether there are commits that the ref does not show.
    pub(super) fn is_ahead(&self) -> bool {
        self.tip.is_some() && self.tip != self.shown
    }

    /// Writes what was made and moves the ref to it; to another name if it has one now.
    pub(super) fn show(
        &mut self,
        ledger: &mut Ledger,
        faults: &mut Faults,
        name: Option<String>,
    ) -> Result<(), RecordError> {
        let Some(tip) = self.tip.clone() else {
            return Ok(());
        };
        if self.is_ahead() {
            faults.step("before objects")?;
            ledger.write()?;
            faults.step("before the ref")?;
        }
        match name.filter(|name| *name != self.name) {
            None if self.is_ahead() => {
                ledger.move_ref(&self.name, &tip, self.shown.as_deref())?;
            }
            None => {}
            Some(name) => {
                ledger.move_ref(&name, &tip, None)?;
                faults.step("between two names")?;
                if let Some(shown) = &self.shown {
                    ledger.repository().delete_ref(&self.name, shown)?;
                }
                self.name = name;
            }
        }
        self.shown = Some(tip);
        faults.step("after the ref")?;
        Ok(())
    }
}
