//! Files of commits, read and written without a working tree.

use super::error::object;
use super::names::check_tree_path;
use super::{Author, CommitMessage, RepoError, Repository, Result};

const FILE: i32 = 0o100_644;
const LINK: i32 = 0o120_000;
const FOLDER: i32 = 0o040_000;

/// Files and folders of a tree that are listed: a small tree may stand for endlessly many.
const ENTRIES: usize = 1_000_000;

impl Repository {
    /// Makes a commit on top of `parent` with files added or replaced (path in the tree, content);
    /// an existing file keeps its mode. Touches no branch and no working tree. Returns the new
    /// commit, or `parent` when no file would change.
    ///
    /// # Errors
    /// [`RepoError::InvalidPath`] for a path that leaves the tree, or leads through a file or link.
    pub fn commit_files(
        &self,
        parent: &str,
        files: &[(String, Vec<u8>)],
        message: &CommitMessage,
        author: &Author,
    ) -> Result<String> {
        let opened = self.open()?;
        let parent = self.commit(&opened, parent)?;
        let about = || parent.id().to_string();
        let base = parent.tree().map_err(object("read", about()))?;
        let mut tree = base.clone();
        for (path, content) in files {
            check_tree_path(path)?;
            let parts: Vec<&str> = path.split('/').collect();
            let blob = opened
                .blob(content)
                .map_err(object("store", path.as_str()))?;
            let id = put(&opened, Some(&tree), &parts, blob, path)?;
            tree = opened
                .find_tree(id)
                .map_err(object("read", path.as_str()))?;
        }
        if tree.id() == base.id() {
            return Ok(about());
        }
        let author = self.signature(author)?;
        let committer = self.signature(&Author::User)?;
        opened
            .commit(
                None,
                &author,
                &committer,
                &message.text(),
                &tree,
                &[&parent],
            )
            .map(|id| id.to_string())
            .map_err(object("commit on", about()))
    }

    /// The content of a file at a commit; `None` when there is no file at that path.
    ///
    /// # Errors
    /// [`RepoError::UnknownRevision`], [`RepoError::InvalidPath`], or when it cannot be read.
    pub fn read_file(&self, commit: &str, path: &str) -> Result<Option<Vec<u8>>> {
        check_tree_path(path)?;
        let opened = self.open()?;
        let tree = self
            .commit(&opened, commit)?
            .tree()
            .map_err(object("read", commit))?;
        let entry = match tree.get_path(path.as_ref()) {
            Ok(entry) => entry,
            Err(error) if error.code() == git2::ErrorCode::NotFound => return Ok(None),
            Err(error) => return Err(object("read", path)(error)),
        };
        if entry.kind() != Some(git2::ObjectType::Blob) || entry.filemode() == LINK {
            return Ok(None);
        }
        let blob = opened.find_blob(entry.id()).map_err(object("read", path))?;
        Ok(Some(blob.content().to_vec()))
    }

    /// Paths of all files at a commit that lie in the folder `prefix`, sorted; all when it is empty. Those
    /// that lead out of a folder or into `.git` are left out.
    ///
    /// # Errors
    /// As [`Repository::read_file`]; when there are more than a million.
    pub fn list_files(&self, commit: &str, prefix: &str) -> Result<Vec<String>> {
        let opened = self.open()?;
        let mut tree = self
            .commit(&opened, commit)?
            .tree()
            .map_err(object("read", commit))?;
        let mut start = String::new();
        if !prefix.is_empty() {
            let prefix = prefix.trim_end_matches('/');
            check_tree_path(prefix)?;
            let found = tree
                .get_path(prefix.as_ref())
                .and_then(|entry| entry.to_object(&opened));
            tree = match found.map(git2::Object::into_tree) {
                Ok(Ok(folder)) => folder,
                Ok(Err(_)) => return Ok(Vec::new()),
                Err(error) if error.code() == git2::ErrorCode::NotFound => return Ok(Vec::new()),
                Err(error) => return Err(object("read", prefix)(error)),
            };
            start = format!("{prefix}/");
        }
        let mut files = Vec::new();
        let mut seen = 0;
        let walked = tree.walk(git2::TreeWalkMode::PreOrder, |folder, entry| {
            seen += 1;
            if seen > ENTRIES {
                return git2::TreeWalkResult::Abort;
            }
            if entry.kind() == Some(git2::ObjectType::Blob) {
                let name = String::from_utf8_lossy(entry.name_bytes());
                let path = format!("{start}{folder}{name}");
                if check_tree_path(&path).is_ok() {
                    files.push(path);
                }
            }
            git2::TreeWalkResult::Ok
        });
        if seen > ENTRIES {
            return Err(RepoError::InvalidPath {
                path: prefix.escape_debug().to_string(),
                why: "it holds too many files",
            });
        }
        walked.map_err(object("list", commit))?;
        files.sort();
        Ok(files)
    }

    pub(super) fn commit<'r>(
        &self,
        opened: &'r git2::Repository,
        id: &str,
    ) -> Result<git2::Commit<'r>> {
        opened
            .revparse_single(id)
            .and_then(|found| found.peel_to_commit())
            .map_err(|_| RepoError::UnknownRevision {
                rev: id.escape_debug().to_string(),
                shallow: opened.is_shallow(),
            })
    }
}

/// Writes the tree that has `blob` at `parts`, folder by folder.
fn put(
    opened: &git2::Repository,
    tree: Option<&git2::Tree<'_>>,
    parts: &[&str],
    blob: git2::Oid,
    path: &str,
) -> Result<git2::Oid> {
    let in_the_way = |why| RepoError::InvalidPath {
        path: path.escape_debug().to_string(),
        why,
    };
    let mut builder = opened.treebuilder(tree).map_err(object("write", path))?;
    let Some((name, rest)) = parts.split_first() else {
        return Err(in_the_way("it is empty"));
    };
    let (existing, mode) = match builder.get(name).map_err(object("read", path))? {
        Some(entry) => (Some(entry.id()), entry.filemode()),
        None => (None, 0),
    };
    let (id, mode) = if rest.is_empty() {
        match mode {
            FOLDER => return Err(in_the_way("there is a folder")),
            mode if mode & 0o170_000 == 0o100_000 => (blob, mode),
            _ => (blob, FILE),
        }
    } else {
        let inner = match existing {
            Some(id) if mode == FOLDER => Some(opened.find_tree(id).map_err(object("read", path))?),
            Some(_) => return Err(in_the_way("it leads through a file, a link or a submodule")),
            None => None,
        };
        (put(opened, inner.as_ref(), rest, blob, path)?, FOLDER)
    };
    builder
        .insert(name, id, mode)
        .map_err(object("write", path))?;
    builder.write().map_err(object("write", path))
}

#[cfg(test)]
mod tests {
    use super::super::testing::Fixture;
    use super::*;

    fn files(list: &[(&str, &str)]) -> Vec<(String, Vec<u8>)> {
        list.iter()
            .map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec()))
            .collect()
    }

    #[test]
    fn what_leads_into_git_is_not_listed() {
        let fixture = Fixture::new();
        let repository = fixture.repository();
        let opened = repository.open().unwrap();
        let odb = opened.odb().unwrap();
        let tree = |entries: &[(&str, &str, git2::Oid)]| {
            let mut bytes = Vec::new();
            for (mode, name, id) in entries {
                bytes.extend_from_slice(format!("{mode} {name}\0").as_bytes());
                bytes.extend_from_slice(id.as_bytes());
            }
            odb.write(git2::ObjectType::Tree, &bytes).unwrap()
        };
        let blob = opened.blob(b"x").unwrap();
        let inner = tree(&[("100644", "config", blob)]);
        let root = tree(&[
            ("100644", "..", blob),
            ("40000", ".git", inner),
            ("100644", "a.md", blob),
            ("40000", "b", inner),
        ]);
        let author = git2::Signature::now("A", "a@example.com").unwrap();
        let text = format!(
            "tree {root}\nauthor {0} <a@example.com> 1 +0000\ncommitter {0} <a@example.com> 1 +0000\n\nx",
            author.name().unwrap()
        );
        let commit = odb
            .write(git2::ObjectType::Commit, text.as_bytes())
            .unwrap();
        assert_eq!(
            repository.list_files(&commit.to_string(), "").unwrap(),
            ["a.md", "b/config"]
        );
    }

    #[test]
    fn files_are_committed_without_a_working_tree() {
        let fixture = Fixture::new();
        let base = fixture.commit("more", &[("specs/6-y/tasks.md", "six")]);
        let repository = fixture.repository();
        let message = CommitMessage::new("Approve 7-x").trailer("Spec-Task", "7-x");
        let new = files(&[
            ("specs/7-x/tasks.md", "a"),
            ("specs/7-x/ü\n.md", "b"),
            ("README.md", "c"),
        ]);
        let commit = repository
            .commit_files(&base, &new, &message, &Author::User)
            .unwrap();
        assert_eq!(
            repository.list_files(&commit, "").unwrap(),
            [
                "README.md",
                "specs/6-y/tasks.md",
                "specs/7-x/tasks.md",
                "specs/7-x/ü\n.md"
            ]
        );
        assert_eq!(
            repository.list_files(&commit, "specs/7-x/").unwrap().len(),
            2
        );
        assert_eq!(
            repository.list_files(&commit, "README.md").unwrap(),
            [""; 0]
        );
        assert_eq!(
            repository.read_file(&commit, "README.md").unwrap().unwrap(),
            b"c"
        );
        assert_eq!(repository.read_file(&commit, "specs").unwrap(), None);
        assert_eq!(repository.read_file(&commit, "absent/x").unwrap(), None);
        assert_eq!(
            fixture.git(fixture.repo_dir(), &["status", "--porcelain"]),
            ""
        );
        assert_eq!(repository.head().unwrap().commit, base);
        let again = repository
            .commit_files(&commit, &new, &message, &Author::User)
            .unwrap();
        assert_eq!(again, commit);
        repository.fsck().unwrap();
    }

    #[test]
    fn paths_that_leave_the_tree_or_lead_through_files_are_refused() {
        let fixture = Fixture::new();
        let base = fixture.commit("folder", &[("folder/x", "x")]);
        let repository = fixture.repository();
        for bad in [
            "../x",
            ".git/hooks/pre-commit",
            "README.md/x",
            "folder",
            "/x",
        ] {
            let error = repository
                .commit_files(
                    &base,
                    &files(&[(bad, "x")]),
                    &CommitMessage::new("x"),
                    &Author::User,
                )
                .unwrap_err();
            assert!(
                matches!(error, RepoError::InvalidPath { .. }),
                "{bad}: {error}"
            );
        }
    }

    #[test]
    fn the_mode_of_a_replaced_file_stays() {
        let fixture = Fixture::new();
        fixture.git(
            fixture.repo_dir(),
            &["update-index", "--chmod=+x", "README.md"],
        );
        fixture.git(fixture.repo_dir(), &["commit", "-qm", "executable"]);
        let repository = fixture.repository();
        let base = repository.head().unwrap().commit;
        let commit = repository
            .commit_files(
                &base,
                &files(&[("README.md", "new")]),
                &CommitMessage::new("x"),
                &Author::User,
            )
            .unwrap();
        let listing = fixture.git(fixture.repo_dir(), &["ls-tree", &commit]);
        assert!(listing.starts_with("100755"), "{listing}");
    }
}
