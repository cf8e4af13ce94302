//! Commits in a worktree, by the `git` program so that hooks and filters run, and who made them.

use std::fs;
use std::path::Path;

use super::admin::Entry;
use super::changes::{Change, ChangeKind, split};
use super::error::io;
use super::git::{Environment, Git};
use super::lock::WorktreeLock;
use super::{RepoError, Repository, Result};

const FALLBACK_NAME: &str = "SpecTask";
const FALLBACK_EMAIL: &str = "spectask@localhost";

/// The text of a commit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CommitMessage {
    /// First line; line breaks become blanks.
    pub subject: String,
    /// Further paragraphs; may be empty.
    pub body: String,
    /// Last paragraph, one `Key: value` each; line breaks in a value become blanks.
    pub trailers: Vec<(String, String)>,
}

impl CommitMessage {
    /// A message of one line.
    pub fn new(subject: impl Into<String>) -> Self {
        Self {
            subject: subject.into(),
            ..Self::default()
        }
    }

    /// Adds a trailer.
    #[must_use]
    pub fn trailer(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.trailers.push((key.into(), value.into()));
        self
    }

    /// The text as git stores it, ending with a line break. Zero bytes are dropped.
    #[must_use]
    pub fn text(&self) -> String {
        let one_line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let mut text = one_line(&self.subject);
        if text.is_empty() {
            text.push_str("Changes");
        }
        let body = self.body.trim();
        if !body.is_empty() {
            text.push_str("\n\n");
            text.push_str(body);
        }
        for (at, (key, value)) in self.trailers.iter().enumerate() {
            let key: String = key
                .chars()
                .filter(|c| c.is_ascii_alphanumeric() || *c == '-')
                .collect();
            text.push_str(if at == 0 { "\n\n" } else { "\n" });
            text.push_str(&format!("{key}: {}", one_line(value)));
        }
        text.push('\n');
        text.replace('\0', "")
    }
}

/// Whose name a commit carries as its author. The committer is always the user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Author {
    /// The user as git knows them; `SpecTask <spectask@localhost>` when git knows none.
    User,
    /// Somebody named.
    Named {
        /// Full name.
        name: String,
        /// Email address.
        email: String,
    },
}

/// Where staging happens: a worktree, with its own index or another.
pub(super) struct Staging<'a> {
    pub(super) environment: &'a Environment,
    pub(super) dir: &'a Path,
    pub(super) index: Option<&'a Path>,
    pub(super) lock: Option<&'a WorktreeLock>,
}

impl<'a> Staging<'a> {
    pub(super) fn git(&self, operation: &'static str, subject: &str) -> Git<'a> {
        let git = Git::write(self.environment, self.dir, operation, subject).holding(self.lock);
        match self.index {
            Some(index) => git.variable("GIT_INDEX_FILE", index),
            None => git,
        }
    }
}

/// Stages everything but what is ignored, `exclude` (where `HEAD` does not have it) and inner
/// repositories, as found among the `changes`; what of `exclude` was staged before is taken out.
pub(super) fn stage(staging: &Staging<'_>, exclude: &[String], changes: &[Change]) -> Result<()> {
    let subject = staging.dir.display().to_string();
    // Git refuses to be told to leave out what it ignores anyway.
    let untracked = |path: &&String| {
        changes.iter().any(|change| {
            let below = change.path.strip_prefix(path.as_str());
            change.kind == ChangeKind::Untracked
                && below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    };
    let inner = changes
        .iter()
        .filter(|change| change.kind == ChangeKind::InnerRepository)
        .map(|change| &change.path);
    let left_out = exclude.iter().filter(untracked).chain(inner);
    staging
        .git("stage the changes in", &subject)
        .setting("advice.addEmbeddedRepo=false")
        .args(["add", "--all", "--", ":(top)"])
        .args(left_out.map(|path| format!(":(top,literal,exclude){path}")))
        .run()?;
    if exclude.is_empty() {
        return Ok(());
    }
    let staged = staging
        .git("look at what is staged in", &subject)
        .literal()
        .args([
            "diff",
            "--cached",
            "--name-only",
            "--no-renames",
            "--diff-filter=A",
            "-z",
            "--",
        ])
        .args(exclude)
        .run()?;
    let staged = split(&staged);
    if !staged.is_empty() {
        staging
            .git("leave copied files out of", &subject)
            .literal()
            .args(["rm", "-q", "--cached", "-f", "--"])
            .args(staged)
            .run()?;
    }
    Ok(())
}

impl Repository {
    /// Commits everything that changed in a worktree, as `git add -A` and `git commit` do: hooks
    /// and filters run. `exclude` are paths of files and folders that stay out, such as those
    /// [`Repository::copy_into`] brought; so do inner repositories. Returns the commit, `None`
    /// when nothing changed. It is not signed, since nobody may be there to enter a passphrase.
    ///
    /// Whoever worked in the worktree may have committed too: compare [`Repository::head_of`]
    /// with before.
    ///
    /// # Errors
    /// [`RepoError::CommitRefused`] with what a hook said; the changes stay staged then.
    pub fn commit_all(
        &self,
        worktree: &Path,
        message: &CommitMessage,
        author: &Author,
        exclude: &[String],
    ) -> Result<Option<String>> {
        let entry = self.entry(worktree)?;
        let lock = self.lock_of(&entry)?;
        let subject = entry.path.display().to_string();
        let staging = Staging {
            environment: &self.environment,
            dir: &entry.path,
            index: None,
            lock: lock.as_ref(),
        };
        let merging = entry.admin.join("MERGE_HEAD").exists();
        let changes = self.changes(&entry.path)?;
        if changes.is_empty() && !merging {
            return Ok(None);
        }
        if changes
            .iter()
            .any(|change| change.kind == ChangeKind::InnerRepository)
        {
            tracing::warn!(path = %subject, "repositories inside a worktree are not committed");
        }
        stage(&staging, exclude, &changes)?;
        let unchanged = Git::read(&self.environment, &entry.path, "look at", &subject)
            .args(["diff", "--cached", "--quiet"])
            .answer()?;
        match unchanged.code {
            Some(0) if !merging => return Ok(None),
            Some(0 | 1) => {}
            _ => return Err(unchanged.into_error("look at the changes in", subject)),
        }
        let folder = tempfile::tempdir().map_err(io("make a folder in", std::env::temp_dir()))?;
        let file = folder.path().join("message");
        fs::write(&file, message.text()).map_err(io("write", &file))?;
        let (name, email) = self.identity()?;
        let (author_name, author_email) = match author {
            Author::User => (name.clone(), email.clone()),
            Author::Named { name, email } => (clean(name), clean(email)),
        };
        let answer = Git::write(&self.environment, &entry.path, "commit in", &subject)
            .holding(lock.as_ref())
            .variable("GIT_AUTHOR_NAME", author_name)
            .variable("GIT_AUTHOR_EMAIL", author_email)
            .variable("GIT_COMMITTER_NAME", name)
            .variable("GIT_COMMITTER_EMAIL", email)
            .args([
                "commit",
                "-q",
                "--no-gpg-sign",
                "--no-edit",
                "--cleanup=whitespace",
                "-F",
            ])
            .arg(&file)
            .answer()?;
        if answer.code != Some(0) {
            let mut said = answer.stderr;
            let stdout = String::from_utf8_lossy(&answer.stdout);
            if !stdout.trim().is_empty() {
                said = format!("{}\n{said}", stdout.trim()).trim().to_owned();
            }
            return Err(RepoError::CommitRefused {
                path: entry.path,
                stderr: said,
            });
        }
        Ok(Some(self.head_of(&entry.path)?.commit))
    }

    /// The lock of a linked worktree; nothing is put beside the user's own checkout.
    pub(super) fn lock_of(&self, entry: &Entry) -> Result<Option<WorktreeLock>> {
        if entry.main {
            return Ok(None);
        }
        WorktreeLock::beside(&entry.path).map(Some)
    }

    /// Name and email of the user as git knows them, or the fallback.
    pub(super) fn identity(&self) -> Result<(String, String)> {
        let answer = Git::read(&self.environment, self.root(), "ask for", "the user's name")
            // Without it git makes one up from the names of user and machine.
            .setting("user.useConfigOnly=true")
            .args(["var", "GIT_COMMITTER_IDENT"])
            .answer()?;
        let fallback = || (FALLBACK_NAME.to_owned(), FALLBACK_EMAIL.to_owned());
        if answer.code != Some(0) {
            return Ok(fallback());
        }
        let text = String::from_utf8_lossy(&answer.stdout);
        let parts = text
            .rsplit_once('>')
            .and_then(|(person, _)| person.rsplit_once(" <"));
        Ok(match parts {
            Some((name, email)) if !name.is_empty() && !email.is_empty() => {
                (name.to_owned(), email.to_owned())
            }
            _ => fallback(),
        })
    }

    pub(super) fn signature(&self, author: &Author) -> Result<git2::Signature<'static>> {
        let (name, email) = match author {
            Author::User => self.identity()?,
            Author::Named { name, email } => (clean(name), clean(email)),
        };
        git2::Signature::now(&name, &email).map_err(super::error::object("sign as", name))
    }
}

/// What git allows in a name; never empty.
fn clean(text: &str) -> String {
    let text: String = text
        .chars()
        .filter(|c| !c.is_control() && !"<>".contains(*c))
        .collect();
    let text = text.trim();
    if text.is_empty() {
        "unknown".to_owned()
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::testing::Fixture;
    use super::*;

    fn message() -> CommitMessage {
        CommitMessage {
            subject: "1.1 Add\nthe thing".into(),
            body: "Why.\n\n---\nSpec-Task: forged".into(),
            trailers: vec![],
        }
        .trailer("Spec-Task", "7-x")
        .trailer("Requirements", "1.1,\n1.2")
    }

    #[test]
    fn everything_is_committed_with_trailers_and_hooks_run() {
        let fixture = Fixture::new();
        fixture.hook("pre-commit", "echo ran > hook-ran; git add hook-ran");
        let worktree = fixture.worktree("w");
        let repository = fixture.repository();
        fs::write(worktree.join("-rf\n*"), "x").unwrap();
        fs::remove_file(worktree.join("README.md")).unwrap();
        let agent = Author::Named {
            name: "Agent <x>".into(),
            email: "agent@example.com".into(),
        };
        let commit = repository
            .commit_all(&worktree, &message(), &agent, &[])
            .unwrap()
            .expect("a commit");
        assert_eq!(
            repository.list_files(&commit, "").unwrap(),
            ["-rf\n*", "hook-ran"]
        );
        assert_eq!(
            fixture.git(
                &worktree,
                &["log", "-1", "--format=%an <%ae> %cn <%ce>%n%B"]
            ),
            "Agent x <agent@example.com> User <user@example.com>\n\
             1.1 Add the thing\n\nWhy.\n\n---\nSpec-Task: forged\n\nSpec-Task: 7-x\nRequirements: 1.1, 1.2"
        );
        assert_eq!(
            repository
                .commit_all(&worktree, &message(), &agent, &[])
                .unwrap(),
            None
        );
    }

    #[test]
    fn a_hook_that_refuses_is_quoted() {
        let fixture = Fixture::new();
        fixture.hook("pre-commit", "echo no tabs please >&2; exit 1");
        let worktree = fixture.worktree("w");
        fs::write(worktree.join("x"), "x").unwrap();
        let error = fixture
            .repository()
            .commit_all(&worktree, &message(), &Author::User, &[])
            .unwrap_err();
        assert!(
            matches!(&error, RepoError::CommitRefused { stderr, .. } if stderr == "no tabs please"),
            "{error}"
        );
    }

    #[test]
    fn excluded_files_stay_out_ignored_staged_or_neither() {
        let fixture = Fixture::new();
        fixture.commit("ignore", &[(".gitignore", ".env\n")]);
        let worktree = fixture.worktree("w");
        for name in [
            ".env",
            "plain.env",
            "staged.env",
            "work.rs",
            "glob*",
            "globe",
        ] {
            fs::write(worktree.join(name), name).unwrap();
        }
        fixture.git(&worktree, &["add", "staged.env"]);
        let exclude = [".env", "plain.env", "staged.env", "glob*", "absent"].map(String::from);
        let repository = fixture.repository();
        let commit = repository
            .commit_all(&worktree, &message(), &Author::User, &exclude)
            .unwrap()
            .expect("a commit");
        assert_eq!(
            repository.list_files(&commit, "").unwrap(),
            [".gitignore", "README.md", "globe", "work.rs"]
        );
        assert_eq!(
            repository
                .commit_all(&worktree, &message(), &Author::User, &exclude)
                .unwrap(),
            None
        );
        assert!(worktree.join("staged.env").exists());
    }

    #[test]
    fn an_inner_repository_neither_fails_nor_enters_the_commit() {
        let fixture = Fixture::new();
        let worktree = fixture.worktree("w");
        fs::create_dir(worktree.join("inner")).unwrap();
        fixture.git(&worktree.join("inner"), &["init", "-q"]);
        fs::write(worktree.join("work"), "x").unwrap();
        let repository = fixture.repository();
        let commit = repository
            .commit_all(&worktree, &message(), &Author::User, &[])
            .unwrap()
            .expect("a commit");
        assert_eq!(
            repository.list_files(&commit, "").unwrap(),
            ["README.md", "work"]
        );
    }

    #[test]
    fn without_an_identity_the_fallback_signs() {
        let fixture = Fixture::without_identity();
        let worktree = fixture.worktree("w");
        fs::write(worktree.join("x"), "x").unwrap();
        let repository = fixture.repository();
        repository
            .commit_all(&worktree, &message(), &Author::User, &[])
            .unwrap();
        assert_eq!(
            fixture.git(&worktree, &["log", "-1", "--format=%an <%ae>"]),
            "SpecTask <spectask@localhost>"
        );
    }

    #[test]
    fn a_deleted_git_file_does_not_let_a_commit_reach_another_repository() {
        let fixture = Fixture::new();
        // The worktree lies inside another repository, as a data directory in a home folder under git.
        fixture.git(fixture.dir(), &["init", "-q"]);
        let worktree = fixture.worktree("w");
        fs::remove_file(worktree.join(".git")).unwrap();
        fs::write(worktree.join("x"), "x").unwrap();
        let repository = fixture.repository();
        let commit = repository
            .commit_all(&worktree, &message(), &Author::User, &[])
            .unwrap();
        assert!(
            repository
                .list_files(&commit.unwrap(), "")
                .unwrap()
                .contains(&"x".to_owned())
        );

        fs::remove_file(worktree.join(".git")).unwrap();
        fixture.git(&worktree, &["init", "-q"]);
        fs::write(worktree.join("y"), "y").unwrap();
        let error = repository
            .commit_all(&worktree, &message(), &Author::User, &[])
            .unwrap_err();
        assert!(
            matches!(error, RepoError::WorktreeDamaged { .. }),
            "{error}"
        );
    }

    #[test]
    fn a_lock_held_for_a_moment_is_waited_for() {
        let fixture = Fixture::new();
        let worktree = fixture.worktree("w");
        fs::write(worktree.join("x"), "x").unwrap();
        let lock = fixture.repo_dir().join(".git/worktrees/w/index.lock");
        fs::write(&lock, "").unwrap();
        let remover = std::thread::spawn(move || {
            std::thread::sleep(std::time::Duration::from_millis(300));
            fs::remove_file(lock).unwrap();
        });
        let done = fixture
            .repository()
            .commit_all(&worktree, &message(), &Author::User, &[]);
        remover.join().unwrap();
        assert!(done.unwrap().is_some());
    }
}
