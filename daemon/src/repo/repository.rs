//! Opening a repository and asking where its branches stand.

use std::path::{Path, PathBuf};

use super::error::{io, object};
use super::git::{self, Environment, Git};
use super::names::branch_ref;
use super::{RepoError, Result};

/// Where a worktree stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The branch checked out, without `refs/heads/`; `None` when detached.
    pub branch: Option<String>,
    /// The commit, as 40 hex digits.
    pub commit: String,
}

/// A user's repository: its object store, refs and worktrees. Cheap to clone; holds no open files
/// and no locks, so that it may be kept for as long as one likes and used from any thread.
#[derive(Debug, Clone)]
pub struct Repository {
    root: PathBuf,
    common_dir: PathBuf,
    worktree: PathBuf,
    bare: bool,
    pub(super) environment: Environment,
}

impl Repository {
    /// Opens the repository that `path` lies in: its root, a folder below it, a linked worktree or
    /// a bare repository. Does not ask for a commit; [`Repository::head`] does.
    ///
    /// # Errors
    /// [`RepoError::NotARepository`], [`RepoError::GitMissing`], [`RepoError::GitTooOld`],
    /// [`RepoError::UnsafeOwner`] and [`RepoError::Unsupported`], each saying what to do.
    pub fn discover(path: impl AsRef<Path>) -> Result<Self> {
        Self::discover_with(path, Environment::default())
    }

    /// Opens as [`Repository::discover`] does, with variables laid over the environment of every
    /// `git` command.
    ///
    /// # Errors
    /// Those of [`Repository::discover`].
    pub fn discover_with(path: impl AsRef<Path>, environment: Environment) -> Result<Self> {
        let path = path.as_ref();
        let here = canonical(path).map_err(io("open", path))?;
        if !here.is_dir() {
            return Err(RepoError::NotARepository { path: here });
        }
        let ceilings = std::env::var_os("GIT_CEILING_DIRECTORIES").unwrap_or_default();
        let found = git2::Repository::open_ext(
            &here,
            git2::RepositoryOpenFlags::empty(),
            std::env::split_paths(&ceilings),
        )
        .map_err(|error| cannot_open(&here, error))?;
        let common_dir = canonical(found.commondir()).map_err(io("open", found.commondir()))?;
        check_format(&common_dir)?;
        git::check_version(&environment, &here)?;
        let shared = open(&common_dir)?;
        let bare = shared.is_bare();
        let top = found.workdir().and_then(|top| canonical(top).ok());
        let root = if bare {
            common_dir.clone()
        } else {
            // Seen from the main worktree its place is sure; from a linked one it is worked out.
            let seen = if found.is_worktree() {
                None
            } else {
                top.clone()
            };
            seen.or_else(|| shared.workdir().and_then(|dir| canonical(dir).ok()))
                .unwrap_or_else(|| common_dir.clone())
        };
        let worktree = top.unwrap_or_else(|| root.clone());
        Ok(Self {
            root,
            common_dir,
            worktree,
            bare,
            environment,
        })
    }

    /// The root of the main worktree; the git directory when the repository is bare. Canonical.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The git directory that all worktrees share. Canonical: the identity of the project.
    #[must_use]
    pub fn common_dir(&self) -> &Path {
        &self.common_dir
    }

    /// The root of the worktree that the repository was discovered from; [`Repository::root`]
    /// unless that was a linked one. Canonical.
    #[must_use]
    pub fn worktree(&self) -> &Path {
        &self.worktree
    }

    /// Whether there is no main worktree.
    #[must_use]
    pub fn is_bare(&self) -> bool {
        self.bare
    }

    /// Where the main worktree stands.
    ///
    /// # Errors
    /// [`RepoError::NoCommits`] when `HEAD` has no commit.
    pub fn head(&self) -> Result<Head> {
        head(&self.open()?, &self.root)
    }

    /// Where any worktree of this repository stands.
    ///
    /// # Errors
    /// [`RepoError::WorktreeDamaged`] when `worktree` is none of this repository's,
    /// [`RepoError::NoCommits`] when its `HEAD` has no commit.
    pub fn head_of(&self, worktree: &Path) -> Result<Head> {
        let entry = self.entry(worktree)?;
        head(&open(&entry.path)?, &entry.path)
    }

    /// The commit that a revision names, as 40 hex digits: a branch, tag, id, `HEAD~2`.
    ///
    /// # Errors
    /// [`RepoError::UnknownRevision`] when there is none.
    pub fn resolve(&self, rev: &str) -> Result<String> {
        let opened = self.open()?;
        let found = opened
            .revparse_single(rev)
            .and_then(|found| found.peel_to_commit());
        match found {
            Ok(commit) => Ok(commit.id().to_string()),
            Err(error) if error.code() == git2::ErrorCode::UnbornBranch => {
                Err(RepoError::NoCommits {
                    path: self.root.clone(),
                })
            }
            Err(_) if rev == "HEAD" && opened.head().is_err() => Err(RepoError::NoCommits {
                path: self.root.clone(),
            }),
            Err(_) => Err(RepoError::UnknownRevision {
                rev: rev.escape_debug().to_string(),
                shallow: opened.is_shallow(),
            }),
        }
    }

    /// The commit at the tip of a branch (name without `refs/heads/`), or `None` without the branch.
    ///
    /// # Errors
    /// [`RepoError::InvalidName`], or when refs cannot be read.
    pub fn branch_tip(&self, branch: &str) -> Result<Option<String>> {
        self.ref_target(&branch_ref(branch)?)
    }

    /// The branch that work normally ends in: what `origin/HEAD` names, else `main`, `master` or
    /// `trunk`, else the branch of the main worktree; `None` when there is none of these.
    ///
    /// # Errors
    /// When refs cannot be read.
    pub fn default_branch(&self) -> Result<Option<String>> {
        let opened = self.open()?;
        if let Ok(origin) = opened.find_reference("refs/remotes/origin/HEAD")
            && let Ok(Some(target)) = origin.symbolic_target()
            && let Some(branch) = target.strip_prefix("refs/remotes/origin/")
            && opened.find_branch(branch, git2::BranchType::Local).is_ok()
        {
            return Ok(Some(branch.to_owned()));
        }
        for branch in ["main", "master", "trunk"] {
            if opened.find_branch(branch, git2::BranchType::Local).is_ok() {
                return Ok(Some(branch.to_owned()));
            }
        }
        match self.head() {
            Ok(head) => Ok(head.branch),
            Err(RepoError::NoCommits { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether history is cut off (`git clone --depth`).
    ///
    /// # Errors
    /// When the repository cannot be opened any more.
    pub fn is_shallow(&self) -> Result<bool> {
        Ok(self.open()?.is_shallow())
    }

    /// Checks the whole object store and all refs, as `git fsck` does.
    ///
    /// # Errors
    /// [`RepoError::Git`] with what git found.
    pub fn fsck(&self) -> Result<()> {
        let subject = self.root.display().to_string();
        let answer = Git::write(&self.environment, &self.root, "verify", &subject)
            .args(["fsck", "--no-dangling", "--no-progress"])
            .answer()?;
        if answer.code == Some(0) {
            return Ok(());
        }
        Err(answer.into_error("verify", subject))
    }

    pub(super) fn open(&self) -> Result<git2::Repository> {
        open(&self.common_dir)
    }

    pub(super) fn ref_target(&self, name: &str) -> Result<Option<String>> {
        let opened = self.open()?;
        let found = opened
            .find_reference(name)
            .and_then(|found| found.resolve());
        match found {
            Ok(found) => Ok(found.target().map(|id| id.to_string())),
            Err(error) if error.code() == git2::ErrorCode::NotFound => Ok(None),
            Err(error) => Err(object("read", name)(error)),
        }
    }
}

pub(super) fn head(opened: &git2::Repository, path: &Path) -> Result<Head> {
    let head = opened.head().map_err(|error| match error.code() {
        git2::ErrorCode::UnbornBranch | git2::ErrorCode::NotFound => RepoError::NoCommits {
            path: path.to_path_buf(),
        },
        _ => object("read HEAD of", path.display().to_string())(error),
    })?;
    let commit = head
        .peel_to_commit()
        .map_err(object("read HEAD of", path.display().to_string()))?
        .id()
        .to_string();
    let branch = head
        .is_branch()
        .then(|| String::from_utf8_lossy(head.shorthand_bytes()).into_owned());
    Ok(Head { branch, commit })
}

pub(super) fn open(path: &Path) -> Result<git2::Repository> {
    let none: [&str; 0] = [];
    git2::Repository::open_ext(path, git2::RepositoryOpenFlags::NO_SEARCH, none)
        .map_err(|error| cannot_open(path, error))
}

fn cannot_open(path: &Path, error: git2::Error) -> RepoError {
    let path = path.to_path_buf();
    match error.code() {
        git2::ErrorCode::Owner => RepoError::UnsafeOwner {
            path: super::names::quoted(error.message()).map_or(path, PathBuf::from),
        },
        git2::ErrorCode::NotFound => RepoError::NotARepository { path },
        _ if ["extension", "object format", "repository version"]
            .iter()
            .any(|word| error.message().contains(word)) =>
        {
            RepoError::Unsupported {
                path,
                what: format!("a format of its own ({})", error.message()),
            }
        }
        _ => object("open", path.display().to_string())(error),
    }
}

/// Refuses what libgit2 opens but cannot read.
fn check_format(common_dir: &Path) -> Result<()> {
    let unsupported = |what: &str| {
        Err(RepoError::Unsupported {
            path: common_dir.to_path_buf(),
            what: what.to_owned(),
        })
    };
    if common_dir.join("reftable").is_dir() {
        return unsupported("the reftable format for refs (`--ref-format=reftable`)");
    }
    if let Ok(config) = git2::Config::open(&common_dir.join("config"))
        && config.get_entry("extensions.partialclone").is_ok()
    {
        return unsupported("a partial clone (`--filter`)");
    }
    Ok(())
}

/// A canonical path in the form that git and other programs take: without the `\\?\` of Windows.
pub(super) fn canonical(path: &Path) -> std::io::Result<PathBuf> {
    let path = path.canonicalize()?;
    #[cfg(windows)]
    if let Some(plain) = path.to_str().and_then(|text| text.strip_prefix(r"\\?\")) {
        if !plain.starts_with("UNC") {
            return Ok(PathBuf::from(plain));
        }
    }
    Ok(path)
}
