//! Where the history of a SpecTask lies: the repository, the refs, and its documents.

use std::path::Path;

use spectask_protocol::TaskRef;

use super::{
    HistoryError,
    recorded::{self, OWN, REMOTES},
    turns::is_unknown,
};
use crate::{
    recorder::format::suffixed,
    repo::{Past, Repository},
    store::{Store, TaskRow},
    workflow::lookup::find_task,
};

/// The longest file beside the documents of a SpecTask that goes with them, in bytes.
const DOCUMENT: usize = 64 << 20;

/// Where the history of a SpecTask lies.
#[derive(Debug)]
pub struct Place {
    /// The repository.
    pub repository: Repository,
    /// What its refs begin with: `refs/spectask/`, or that of a remote they were fetched from.
    pub start: String,
    /// Its name there.
    pub name: String,
    /// The SpecTask; none when only refs know it.
    pub task: Option<TaskRow>,
    /// The commit that has its documents.
    pub specs: Option<String>,
    /// Its documents: paths with `/`, and contents.
    pub documents: Vec<(String, Vec<u8>)>,
}

/// Finds the history of a SpecTask: of one that the daemon knows, wherever it is, or of one that only
/// refs of the repository `folder` is in know.
///
/// # Errors
/// When nothing has that name; when git or the database fails.
pub fn place(store: &Store, task: &TaskRef, folder: Option<&Path>) -> Result<Place, HistoryError> {
    let known = store.read(|read| -> Result<_, HistoryError> {
        let task = match find_task(read, task) {
            Ok(task) => task,
            Err(error) if is_unknown(&error) && folder.is_some() => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let project = read.project(&task.project)?;
        let root = project.map(|project| project.root);
        let root = root.ok_or_else(|| HistoryError::NotFound {
            what: "repository of",
            name: task.name(),
        })?;
        let number = task.approved.or(task.revision);
        let revision = match number {
            Some(number) => read.revision(&task.id, number)?,
            None => None,
        };
        Ok(Some((task, root, revision)))
    })?;
    let Some((task, root, revision)) = known else {
        let repository = Repository::discover(folder.unwrap_or_else(|| Path::new(".")))?;
        let past = repository.past()?;
        let (start, name) = recorded::named(&past, task.as_str(), None)?;
        let specs = documents_at(&past, &name, remote_of(&start), true);
        return found(repository, start, name, None, specs);
    };
    let repository = Repository::discover(&root)?;
    let past = repository.past()?;
    let (start, name) = recorded::by_id(&past, &task.id).unwrap_or_else(|| {
        // Nothing yet. What another installation recorded under that name is not its own.
        let (name, id) = (task.name(), task.id.as_str());
        let taken = past.tip(&format!("{OWN}tasks/{name}")).is_some();
        let name = if taken { suffixed(&name, id) } else { name };
        (OWN.to_owned(), name)
    });
    let remote = remote_of(&start);
    // What was taken over under another number has the name of another SpecTask there.
    let own = !task.imported || name == task.name();
    let specs = documents_at(&past, &name, remote, own).or_else(|| {
        // The branch is gone; its commits may not be.
        let tip = task.tip.clone().filter(|_| !task.imported)?;
        has_documents(&past, &name, &tip).then_some(tip)
    });
    let mut place = found(repository, start, name, Some(task), specs)?;
    if let (true, Some(revision)) = (place.documents.is_empty(), revision) {
        let file = |name: &str, text: String| {
            let path = format!("specs/{}/{name}", place.name);
            (path, text.into_bytes())
        };
        place.documents = vec![
            file("requirements.md", revision.requirements),
            file("design.md", revision.design),
            file("tasks.md", revision.tasks),
        ];
    }
    Ok(place)
}

fn found(
    repository: Repository,
    start: String,
    name: String,
    task: Option<TaskRow>,
    specs: Option<String>,
) -> Result<Place, HistoryError> {
    let mut documents = Vec::new();
    if let Some(commit) = &specs {
        let past = repository.past()?;
        for path in repository.list_files(commit, &format!("specs/{name}"))? {
            if let Some(content) = past.read(commit, &path, DOCUMENT) {
                documents.push((path, content));
            }
        }
    }
    Ok(Place {
        repository,
        start,
        name,
        task,
        specs,
        documents,
    })
}

/// The remote that refs which begin so were fetched from.
fn remote_of(start: &str) -> Option<&str> {
    start.strip_prefix(REMOTES)?.strip_suffix('/')
}

fn has_documents(past: &Past, name: &str, commit: &str) -> bool {
    past.blob(commit, &format!("specs/{name}/tasks.md"))
        .is_some()
}

/// The commit with the documents of a SpecTask: its branch, as it was fetched from `remote` or any
/// other, or, with `own`, that of this repository, or what `HEAD` has of it.
pub(super) fn documents_at(
    past: &Past,
    name: &str,
    remote: Option<&str>,
    own: bool,
) -> Option<String> {
    let mut refs = Vec::new();
    if let Some(remote) = remote {
        refs.push(format!("{REMOTES}{remote}/specs/{name}"));
        refs.push(format!("refs/remotes/{remote}/specs/{name}"));
    }
    if own {
        refs.push(format!("refs/heads/specs/{name}"));
    }
    if remote.is_none() {
        let end = format!("/specs/{name}");
        let fetched = ["refs/remotes/", REMOTES].into_iter();
        let fetched = fetched.flat_map(|start| past.refs(start).unwrap_or_default());
        refs.extend(
            fetched
                .map(|(full, _)| full)
                .filter(|full| full.ends_with(&end)),
        );
    }
    if own {
        refs.push("HEAD".to_owned());
    }
    refs.iter()
        .filter_map(|full| past.tip(full))
        .find(|commit| has_documents(past, name, commit))
}
