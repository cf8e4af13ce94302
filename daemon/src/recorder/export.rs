//! Recorded history as people keep it beside their code: `specs/{task}/…`, `sessions/{task}/…`.

use super::{
    RecordError,
    format::{COMPLETE, Document, Recorded, SESSIONS, TASKS},
};
use crate::repo::Ledger;

/// The files of a SpecTask's history, by path.
#[derive(Debug, Default)]
pub struct Exported {
    /// Paths with `/`, sorted, and contents.
    pub files: Vec<(String, Vec<u8>)>,
    /// Sessions that are in it.
    pub sessions: usize,
}

/// Lays out the recorded history of a SpecTask (or `threads`) as folders: the documents of each
/// session with its segments joined, `coordination-log.md`, `progress-updates/`,
/// `IMPLEMENTATION_COMPLETE.md`, and `specs/{task}/…` from the commit `specs`. With `records`, the
/// machine-readable files too.
///
/// # Errors
/// [`RecordError::Nothing`] when there is none; when the repository cannot be read.
pub fn export(
    ledger: &Ledger,
    task: &str,
    specs: Option<&str>,
    records: bool,
) -> Result<Exported, RecordError> {
    let mut exported = Exported::default();
    let task_ref = format!("{TASKS}{task}");
    if let Some(tip) = ledger.tip(&task_ref)? {
        let root = format!("sessions/{task}");
        add(
            ledger,
            &tip,
            &root,
            &[Document::CoordinationLog],
            &mut exported,
            |path| path == COMPLETE || path.starts_with("progress-updates/") || records,
        )?;
    }
    for name in ledger.refs(&format!("{SESSIONS}{task}/"))? {
        let Some(Recorded::Session { session, .. }) = Recorded::parse(&name) else {
            continue;
        };
        let Some(tip) = ledger.tip(&name)? else {
            continue;
        };
        exported.sessions += 1;
        let root = format!("sessions/{task}/{session}");
        add(
            ledger,
            &tip,
            &root,
            &Document::OF_SESSION,
            &mut exported,
            |_| records,
        )?;
    }
    if exported.files.is_empty() {
        return Err(RecordError::Nothing(task.to_owned()));
    }
    if let Some(commit) = specs {
        let repository = ledger.repository();
        for path in repository.list_files(commit, &format!("specs/{task}"))? {
            if let Some(content) = repository.read_file(commit, &path)? {
                exported.files.push((path, content));
            }
        }
    }
    exported.files.sort();
    Ok(exported)
}

/// Adds the files of a ref. Every document of the layout is there, even when nothing was written.
fn add(
    ledger: &Ledger,
    tip: &str,
    root: &str,
    documents: &[Document],
    exported: &mut Exported,
    wanted: impl Fn(&str) -> bool,
) -> Result<(), RecordError> {
    let mut folder = ledger.folder(tip)?;
    for document in documents {
        let mut text = Vec::new();
        for segment in 1.. {
            match ledger.read(&mut folder, &document.file(segment))? {
                Some(bytes) => text.extend_from_slice(&bytes),
                None => break,
            }
        }
        if text.is_empty() {
            text = document.heading().as_bytes().to_vec();
        }
        exported
            .files
            .push((format!("{root}/{}", document.file(1)), text));
    }
    for path in ledger.repository().list_files(tip, "")? {
        if Document::parse(&path).is_none()
            && wanted(&path)
            && let Some(content) = ledger.read(&mut folder, &path)?
        {
            exported.files.push((format!("{root}/{path}"), content));
        }
    }
    Ok(())
}
