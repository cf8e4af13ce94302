//! Recorded history as people keep it beside their code: `specs/{task}/…`, `sessions/{task}/…`.

use super::{
    RecordError,
    format::{COMPLETE, Document, session_ref},
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
/// session with its segments joined, `coordination-log.md`, `progress-updates/` and
/// `IMPLEMENTATION_COMPLETE.md`, from the refs that begin with `start` (`refs/spectask/`, or those that
/// were fetched from a remote). With `records`, the machine-readable files too.
///
/// # Errors
/// [`RecordError::Nothing`] when there is none; when the repository cannot be read.
pub fn export(
    ledger: &Ledger,
    start: &str,
    task: &str,
    records: bool,
) -> Result<Exported, RecordError> {
    let mut exported = Exported::default();
    if let Some(tip) = ledger.tip(&format!("{start}tasks/{task}"))? {
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
    let sessions = format!("{start}sessions/{task}/");
    for name in ledger.refs(&sessions)? {
        let session = name.strip_prefix(&sessions).unwrap_or_default();
        // What was fetched from elsewhere may be named anyhow.
        if session_ref(&format!("{task}/{session}")).is_err() {
            continue;
        }
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
