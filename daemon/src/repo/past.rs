//! Recorded history and its links to code: refs read within bounds, commits compared by what they
//! hold, notes and packages made of them.

use std::path::Path;

use git2::{ObjectType, Oid};

use super::error::object;
use super::git::Git;
use super::log::trailers;
use super::names::check_tree_path;
use super::{RepoError, Repository, Result};

const LINK: i32 = 0o120_000;

/// What a commit holds, for finding it again under another id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitFacts {
    /// Its tree.
    pub tree: String,
    /// Its first parent.
    pub parent: Option<String>,
    /// Its message.
    pub message: String,
    /// Lines `Key: value` of the last paragraph.
    pub trailers: Vec<(String, String)>,
    /// When it was committed, in seconds since 1970 UTC.
    pub time: i64,
    /// Its author as `Name <email>`.
    pub author: String,
}

/// A path and the first and last line of each stretch that a commit added there, from 1.
pub type AddedLines = (String, Vec<(u32, u32)>);

/// Reads many objects of a repository, which it keeps open. Not for long.
pub struct Past {
    opened: git2::Repository,
}

impl Repository {
    /// Opens the repository's objects and refs for reading.
    ///
    /// # Errors
    /// When the repository is not there any more.
    pub fn past(&self) -> Result<Past> {
        Ok(Past {
            opened: self.open()?,
        })
    }

    /// Fetches refs by patterns (`refs/a/*:refs/b/*`) from a configured remote, and nothing else, whatever
    /// the settings of the remote say.
    ///
    /// # Errors
    /// [`RepoError::NoRemote`] for a remote that is not configured, [`RepoError::Git`] with what
    /// git and the remote said.
    pub fn fetch_refs(&self, remote: &str, patterns: &[String]) -> Result<()> {
        self.check_remote(remote)?;
        let git = Git::network(&self.environment, self.root(), "fetch", remote);
        self.fetching(git)?
            .arg(remote)
            .args(patterns)
            .run()
            .map(drop)
    }

    /// Writes the files of a tree as a zip file, which must not be there.
    ///
    /// # Errors
    /// [`RepoError::InvalidPath`] when the file is there, [`RepoError::Git`] with what git said.
    pub fn archive(&self, tree: &str, file: &Path) -> Result<()> {
        let subject = file.display().to_string();
        if file.symlink_metadata().is_ok() {
            return Err(RepoError::InvalidPath {
                path: subject,
                why: "it is there already",
            });
        }
        Git::read(&self.environment, self.root(), "pack", &subject)
            .args(["archive", "--format=zip"])
            .arg(format!("--output={subject}"))
            .args(["--end-of-options", tree])
            .run()
            .map(drop)
    }
}

impl Past {
    /// Full names of refs that begin so and the commits they stand at, sorted; others are left out.
    ///
    /// # Errors
    /// When refs cannot be read.
    pub fn refs(&self, start: &str) -> Result<Vec<(String, String)>> {
        let found = self
            .opened
            .references_glob(&format!("{start}*"))
            .map_err(object("list", start))?;
        let mut refs: Vec<(String, String)> = found
            .flatten()
            .filter_map(|found| {
                let name = std::str::from_utf8(found.name_bytes()).ok()?.to_owned();
                let commit = found.peel_to_commit().ok()?;
                Some((name, commit.id().to_string()))
            })
            .collect();
        refs.sort();
        Ok(refs)
    }

    /// Where a ref (full name) stands.
    #[must_use]
    pub fn tip(&self, name: &str) -> Option<String> {
        let found = self.opened.find_reference(name).ok()?;
        Some(found.peel_to_commit().ok()?.id().to_string())
    }

    /// What a commit holds; none when it is not there.
    #[must_use]
    pub fn facts(&self, id: &str) -> Option<CommitFacts> {
        let commit = self.opened.find_commit(Oid::from_str(id).ok()?).ok()?;
        let message = String::from_utf8_lossy(commit.message_bytes()).into_owned();
        let author = commit.author();
        Some(CommitFacts {
            tree: commit.tree_id().to_string(),
            parent: commit.parent_id(0).ok().map(|id| id.to_string()),
            trailers: trailers(&message),
            message,
            time: commit.time().seconds(),
            author: format!(
                "{} <{}>",
                String::from_utf8_lossy(author.name_bytes()),
                String::from_utf8_lossy(author.email_bytes())
            ),
        })
    }

    /// The patch id of the difference of a commit to its first parent; none when it is not there or
    /// changes nothing.
    #[must_use]
    pub fn patch_id(&self, id: &str) -> Option<String> {
        let diff = self.diff(id, None).ok()?;
        if diff.deltas().len() == 0 {
            return None;
        }
        Some(diff.patchid(None).ok()?.to_string())
    }

    fn diff(
        &self,
        id: &str,
        options: Option<&mut git2::DiffOptions>,
    ) -> Result<git2::Diff<'_>, git2::Error> {
        let commit = self.opened.find_commit(Oid::from_str(id)?)?;
        let before = match commit.parent(0) {
            Ok(parent) => Some(parent.tree()?),
            Err(_) => None,
        };
        self.opened
            .diff_tree_to_tree(before.as_ref(), Some(&commit.tree()?), options)
    }

    /// The lines that a commit added to its first parent, by path.
    ///
    /// # Errors
    /// When the commit cannot be read.
    pub fn added_lines(&self, id: &str) -> Result<Vec<AddedLines>> {
        let mut options = git2::DiffOptions::new();
        options.context_lines(0);
        let diff = self
            .diff(id, Some(&mut options))
            .map_err(object("read", id))?;
        let mut files: Vec<AddedLines> = Vec::new();
        diff.foreach(
            &mut |_, _| true,
            None,
            Some(&mut |delta, hunk| {
                let path = delta.new_file().path().and_then(Path::to_str);
                let Some(path) = path.filter(|_| hunk.new_lines() > 0) else {
                    return true;
                };
                if files.last().is_none_or(|(last, _)| last != path) {
                    files.push((path.to_owned(), Vec::new()));
                }
                if let Some((_, ranges)) = files.last_mut() {
                    let start = hunk.new_start();
                    ranges.push((start, start + hunk.new_lines() - 1));
                }
                true
            }),
            None,
        )
        .map_err(object("read", id))?;
        Ok(files)
    }

    /// The object of a file at a commit; none when there is no file at that path.
    #[must_use]
    pub fn blob(&self, commit: &str, path: &str) -> Option<String> {
        self.entry(commit, path).map(|id| id.to_string())
    }

    fn entry(&self, commit: &str, path: &str) -> Option<Oid> {
        check_tree_path(path).ok()?;
        let commit = self.opened.find_commit(Oid::from_str(commit).ok()?).ok()?;
        let entry = commit.tree().ok()?.get_path(path.as_ref()).ok()?;
        let file = entry.kind() == Some(ObjectType::Blob) && entry.filemode() != LINK;
        file.then(|| entry.id())
    }

    /// The content of a file at a commit; none when there is no file at that path, or it is longer
    /// than so many bytes.
    #[must_use]
    pub fn read(&self, commit: &str, path: &str, limit: usize) -> Option<Vec<u8>> {
        let id = self.entry(commit, path)?;
        let (size, kind) = self.opened.odb().ok()?.read_header(id).ok()?;
        if size > limit || kind != ObjectType::Blob {
            return None;
        }
        Some(self.opened.find_blob(id).ok()?.content().to_vec())
    }

    /// Writes a tree of files.
    ///
    /// # Errors
    /// [`RepoError::InvalidPath`] for a path that no tree may have; when it cannot be written.
    pub fn tree(&self, files: &[(String, Vec<u8>)]) -> Result<String> {
        let failed = || object("write", "a tree");
        let mut builder = git2::build::TreeUpdateBuilder::new();
        for (path, content) in files {
            check_tree_path(path)?;
            let blob = self.opened.blob(content).map_err(failed())?;
            builder.upsert(path.as_str(), blob, git2::FileMode::Blob);
        }
        let empty = self
            .opened
            .treebuilder(None)
            .and_then(|builder| builder.write())
            .and_then(|id| self.opened.find_tree(id))
            .map_err(failed())?;
        let id = builder
            .create_updated(&self.opened, &empty)
            .map_err(failed())?;
        Ok(id.to_string())
    }

    /// Attaches a note to a commit, in a ref of notes; one that is there stays. Returns whether it was
    /// attached.
    ///
    /// # Errors
    /// When notes cannot be written, or git knows no user.
    pub fn add_note(&self, notes: &str, commit: &str, text: &str) -> Result<bool> {
        let id = Oid::from_str(commit).map_err(object("annotate", commit))?;
        if self.opened.find_commit(id).is_err() || self.opened.find_note(Some(notes), id).is_ok() {
            return Ok(false);
        }
        let user = self
            .opened
            .signature()
            .or_else(|_| git2::Signature::now("SpecTask", "spectask@localhost"))
            .map_err(object("annotate", commit))?;
        self.opened
            .note(&user, &user, Some(notes), id, text, false)
            .map_err(object("annotate", commit))?;
        Ok(true)
    }
}

impl std::fmt::Debug for Past {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Past")
            .field("repository", &self.opened.path())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Fixture;

    #[test]
    fn a_rebased_commit_has_the_same_patch_and_a_squash_the_same_content() {
        let fixture = Fixture::new();
        let repo = fixture.repo_dir();
        fixture.git(repo, &["checkout", "-qb", "work"]);
        let a = fixture.commit("a\n\nWork-Session: 7-x/01-y", &[("a.txt", "1\n2\n")]);
        let b = fixture.commit("b", &[("a.txt", "1\n2\n3\n"), ("b.txt", "b\n")]);
        fixture.git(repo, &["checkout", "-q", "main"]);
        fixture.commit("other", &[("other.txt", "o\n")]);
        fixture.git(repo, &["cherry-pick", &a]);
        let picked = fixture.git(repo, &["rev-parse", "HEAD"]).trim().to_owned();
        fixture.git(repo, &["reset", "-q", "--hard", "HEAD~1"]);
        fixture.git(repo, &["merge", "-q", "--squash", "work"]);
        fixture.git(repo, &["commit", "-qm", "squashed"]);
        let squashed = fixture.git(repo, &["rev-parse", "HEAD"]).trim().to_owned();
        let past = fixture.repository().past().unwrap();
        assert_eq!(past.patch_id(&picked), past.patch_id(&a));
        assert_ne!(past.patch_id(&squashed), past.patch_id(&b));
        assert_eq!(past.blob(&squashed, "a.txt"), past.blob(&b, "a.txt"));
        assert_eq!(past.blob(&squashed, "../a.txt"), None);
        let facts = past.facts(&picked).unwrap();
        assert_eq!(facts.trailers, [("Work-Session".into(), "7-x/01-y".into())]);
        assert_eq!(past.facts("0000"), None);
        assert_eq!(
            past.added_lines(&b).unwrap(),
            [
                ("a.txt".into(), vec![(3, 3)]),
                ("b.txt".into(), vec![(1, 1)])
            ]
        );
        assert_eq!(past.read(&b, "a.txt", 6).unwrap(), b"1\n2\n3\n");
        assert_eq!(past.read(&b, "a.txt", 5), None);
    }

    #[test]
    fn files_become_a_package_and_notes_are_added_once() {
        let fixture = Fixture::new();
        let commit = fixture.commit("x", &[("a.txt", "a")]);
        let repository = fixture.repository();
        let past = repository.past().unwrap();
        let file = |path: &str| (path.to_owned(), path.as_bytes().to_vec());
        let files = [
            file("specs/7-x/tasks.md"),
            file("sessions/7-x/01-y/conversation.md"),
        ];
        let tree = past.tree(&files).unwrap();
        let listing = fixture.git(fixture.repo_dir(), &["ls-tree", "-r", "--name-only", &tree]);
        assert_eq!(
            listing.trim_end(),
            "sessions/7-x/01-y/conversation.md\nspecs/7-x/tasks.md"
        );
        let file = fixture.dir().join("out.zip");
        repository.archive(&tree, &file).unwrap();
        assert!(std::fs::read(&file).unwrap().starts_with(b"PK"));
        assert!(repository.archive(&tree, &file).is_err());
        for bad in ["../x", "/x", ".git/config", ""] {
            assert!(past.tree(&[(bad.into(), Vec::new())]).is_err(), "{bad}");
        }
        assert!(past.add_note("refs/notes/ai", &commit, "n\n").unwrap());
        assert!(!past.add_note("refs/notes/ai", &commit, "other\n").unwrap());
        let note = fixture.git(fixture.repo_dir(), &["notes", "--ref=ai", "show", &commit]);
        assert_eq!(note.trim(), "n");
        assert!(repository.fetch_refs("nowhere", &[]).is_err());
    }

    #[test]
    fn a_fetch_moves_what_it_names_and_nothing_else() {
        let fixture = Fixture::new();
        let repo = fixture.repo_dir();
        let there = fixture.dir().join("there.git").display().to_string();
        fixture.git(repo, &["clone", "-q", "--bare", ".", &there]);
        fixture.git(repo, &["remote", "add", "--mirror=fetch", "origin", &there]);
        fixture.git(repo, &["config", "fetch.prune", "true"]);
        let own = fixture.commit("own", &[("a", "a")]);
        let base = fixture.git(repo, &["rev-parse", "HEAD~1"]);
        let remote = std::path::Path::new(&there);
        for name in ["refs/spectask/tasks/7-x", "refs/spectask/tasks/8-y"] {
            fixture.git(remote, &["update-ref", name, &base]);
        }
        let kept = [
            "refs/spectask/tasks/7-x",
            "refs/spectask/remotes/origin/tasks/9-gone",
            "refs/heads/mine",
        ];
        for name in kept {
            fixture.git(repo, &["update-ref", name, &own]);
        }
        let pattern = "refs/spectask/tasks/7-*:refs/spectask/remotes/origin/tasks/7-*";
        let repository = fixture.repository();
        repository
            .fetch_refs("origin", &[pattern.to_owned()])
            .unwrap();
        for name in kept {
            assert_eq!(fixture.git(repo, &["rev-parse", name]), own, "{name}");
        }
        let refs = fixture.git(
            repo,
            &["for-each-ref", "--format=%(refname)", "refs/spectask"],
        );
        assert_eq!(
            refs,
            "refs/spectask/remotes/origin/tasks/7-x\nrefs/spectask/remotes/origin/tasks/9-gone\nrefs/spectask/tasks/7-x"
        );
    }
}
