//! Finding and checking the documents below given paths: the work of `spectask lint`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;
use spectask_protocol::{DocumentKind, Finding, Severity};

use super::profile::Profile;
use super::render::render;
use super::validate::validate_some;

/// Folders below a path are searched this deep.
const MAX_DEPTH: usize = 24;

/// What was checked and found.
#[derive(Debug, Clone, Default, Serialize)]
pub struct LintReport {
    /// The documents, in the order of the paths.
    pub files: Vec<LintedFile>,
}

/// One checked document.
#[derive(Debug, Clone, Serialize)]
pub struct LintedFile {
    /// Its path as it was reached.
    pub path: PathBuf,
    /// Which of the three it is.
    pub kind: DocumentKind,
    /// What was found, sorted by place.
    pub findings: Vec<Finding>,
    /// Its text, for [`LintReport::render`].
    #[serde(skip)]
    pub source: String,
}

/// Why a path could not be checked.
#[derive(Debug, thiserror::Error)]
pub enum LintError {
    /// A file or folder cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// The file or folder.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file with another name than the three.
    #[error("{} is not a spec document; the names are requirements.md, design.md and tasks.md", .0.display())]
    NotADocument(PathBuf),
    /// A folder without documents.
    #[error("found no spec documents in {}; give a file, a folder with requirements.md, design.md or tasks.md, or one that holds such folders", .0.display())]
    NothingFound(PathBuf),
}

impl LintReport {
    /// Findings of this severity.
    #[must_use]
    pub fn count(&self, severity: Severity) -> usize {
        self.files
            .iter()
            .flat_map(|file| &file.findings)
            .filter(|finding| finding.severity == severity)
            .count()
    }

    /// Whether there is any error.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.count(Severity::Error) > 0
    }

    /// All findings as text with source excerpts; empty if there are none.
    #[must_use]
    pub fn render(&self, color: bool) -> String {
        self.files
            .iter()
            .map(|file| {
                render(
                    &file.findings,
                    &file.source,
                    &file.path.display().to_string(),
                    color,
                )
            })
            .collect()
    }
}

/// Checks the documents at these paths. A path is one of the three files, a folder that holds
/// some of them (then they are checked against each other), or a folder to search; symbolic links
/// below it are not followed.
///
/// # Errors
///
/// If a path cannot be read, is a file with another name, or holds no documents.
pub fn lint_paths(paths: &[PathBuf], profile: Profile) -> Result<LintReport, LintError> {
    let mut report = LintReport::default();
    for path in paths {
        let metadata = fs::metadata(path).map_err(|source| unreadable(path, source))?;
        if metadata.is_dir() {
            let before = report.files.len();
            if !lint_folder(path, profile, 1, &mut report)? {
                search(path, profile, &mut report)?;
            }
            if report.files.len() == before {
                return Err(LintError::NothingFound(path.clone()));
            }
        } else {
            let kind = path
                .file_name()
                .and_then(|name| name.to_str())
                .and_then(DocumentKind::from_file_name)
                .ok_or_else(|| LintError::NotADocument(path.clone()))?;
            let mut found = [const { None }; 3];
            found[slot(kind)] = Some((path.clone(), read(path)?));
            add(found, profile, &mut report);
        }
    }
    Ok(report)
}

fn unreadable(path: &Path, source: io::Error) -> LintError {
    LintError::Unreadable {
        path: path.to_owned(),
        source,
    }
}

fn read(path: &Path) -> Result<String, LintError> {
    fs::read_to_string(path).map_err(|source| unreadable(path, source))
}

fn slot(kind: DocumentKind) -> usize {
    match kind {
        DocumentKind::Requirements => 0,
        DocumentKind::Design => 1,
        DocumentKind::Tasks => 2,
    }
}

/// Checks the documents of a folder if it has at least `enough` of them.
fn lint_folder(
    folder: &Path,
    profile: Profile,
    enough: usize,
    report: &mut LintReport,
) -> Result<bool, LintError> {
    let paths = DocumentKind::ALL.map(|kind| folder.join(kind.file_name()));
    let exists = paths
        .each_ref()
        .map(|path| fs::symlink_metadata(path).is_ok_and(|it| it.is_file()));
    if exists.iter().filter(|exists| **exists).count() < enough {
        return Ok(false);
    }
    let mut found = [const { None }; 3];
    for (index, path) in paths.into_iter().enumerate() {
        if exists[index] {
            let text = read(&path)?;
            found[index] = Some((path, text));
        }
    }
    add(found, profile, report);
    Ok(true)
}

fn add(found: [Option<(PathBuf, String)>; 3], profile: Profile, report: &mut LintReport) {
    let [requirements, design, tasks] = found
        .each_ref()
        .map(|file| file.as_ref().map(|(_, text)| text.as_str()));
    let mut findings = validate_some(requirements, design, tasks, profile);
    for (kind, file) in DocumentKind::ALL.into_iter().zip(found) {
        if let Some((path, source)) = file {
            let others = findings
                .iter()
                .position(|finding| finding.document > kind)
                .unwrap_or(findings.len());
            let rest = findings.split_off(others);
            report.files.push(LintedFile {
                path,
                kind,
                findings,
                source,
            });
            findings = rest;
        }
    }
}

fn search(top: &Path, profile: Profile, report: &mut LintReport) -> Result<(), LintError> {
    let mut folders = vec![(top.to_owned(), 0)];
    while let Some((folder, depth)) = folders.pop() {
        let entries = fs::read_dir(&folder).map_err(|source| unreadable(&folder, source))?;
        let mut below = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|source| unreadable(&folder, source))?;
            // The type of the entry itself: a link to a folder is no folder here.
            let is_dir = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if is_dir && !is_skipped(&entry.file_name().to_string_lossy()) {
                below.push(entry.path());
            }
        }
        below.sort_unstable();
        // A lone design.md may be anything; below `specs` it is a spec.
        let in_specs = folder.file_name().is_some_and(|name| name == "specs");
        for path in below.into_iter().rev() {
            if depth < MAX_DEPTH {
                folders.push((path, depth + 1));
            }
        }
        let parent_is_specs = folder
            .parent()
            .and_then(Path::file_name)
            .is_some_and(|name| name == "specs");
        if depth > 0 && !in_specs {
            lint_folder(
                &folder,
                profile,
                if parent_is_specs { 1 } else { 2 },
                report,
            )?;
        }
    }
    Ok(())
}

fn is_skipped(name: &str) -> bool {
    matches!(name, "node_modules" | "target" | "vendor") || name.starts_with('.') && name != ".kiro"
}
