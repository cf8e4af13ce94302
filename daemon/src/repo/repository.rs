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
        git::check_version(&environment, &here)?;
        let ask = |args: &[&str]| -> Result<Option<String>> {
            let answer = Git::read(&environment, &here, "open", here.display().to_string())
                .args(args)
                .answer()?;
            if answer.code == Some(0) {
                return Ok(Some(line(&answer.stdout)));
            }
            if answer.stderr.contains("dubious ownership") {
                return Err(RepoError::UnsafeOwner { path: here.clone() });
            }
            if answer.stderr.contains("not a git repository") {
                return Err(RepoError::NotARepository { path: here.clone() });
            }
            if answer.stderr.contains("extension") || answer.stderr.contains("repository format") {
                return Err(RepoError::Unsupported {
                    path: here.clone(),
                    what: answer.stderr,
                });
            }
            Ok(None)
        };
        // One question at a time: a path may contain a line break.
        let absolute = ["rev-parse", "--path-format=absolute"];
        let common = ask(&[absolute[0], absolute[1], "--git-common-dir"])?
            .ok_or_else(|| RepoError::NotARepository { path: here.clone() })?;
        let common_dir = canonical(Path::new(&common)).map_err(io("open", &common))?;
        check_format(
            &common_dir,
            ask(&["rev-parse", "--show-object-format"])?.as_deref(),
        )?;
        let top = ask(&[absolute[0], absolute[1], "--show-toplevel"])?
            .and_then(|top| canonical(Path::new(&top)).ok());
        let own_dir = ask(&[absolute[0], absolute[1], "--git-dir"])?
            .and_then(|dir| canonical(Path::new(&dir)).ok());
        let opened = open(&common_dir)?;
        let bare = opened.is_bare();
        let root = if bare {
            common_dir.clone()
        } else if let (Some(top), true) = (&top, own_dir.as_ref() == Some(&common_dir)) {
            top.clone()
        } else {
            opened
                .workdir()
                .and_then(|dir| canonical(dir).ok())
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
    git2::Repository::open_ext(path, git2::RepositoryOpenFlags::NO_SEARCH, none).map_err(|error| {
        match error.code() {
            git2::ErrorCode::Owner => RepoError::UnsafeOwner {
                path: path.to_path_buf(),
            },
            git2::ErrorCode::NotFound => RepoError::NotARepository {
                path: path.to_path_buf(),
            },
            _ if error.message().contains("extension") => RepoError::Unsupported {
                path: path.to_path_buf(),
                what: error.message().to_owned(),
            },
            _ => object("open", path.display().to_string())(error),
        }
    })
}

/// Refuses what libgit2 cannot read before it says so in words of its own.
fn check_format(common_dir: &Path, objects: Option<&str>) -> Result<()> {
    let unsupported = |what: &str| {
        Err(RepoError::Unsupported {
            path: common_dir.to_path_buf(),
            what: what.to_owned(),
        })
    };
    if objects.is_some_and(|format| format != "sha1") {
        return unsupported("SHA-256 objects (`--object-format=sha256`)");
    }
    if common_dir.join("reftable").is_dir() {
        return unsupported("the reftable format for refs (`--ref-format=reftable`)");
    }
    if let Ok(config) = git2::Config::open(&common_dir.join("config"))
        && config.get_entry("extensions.partialclone").is_ok()
        && config
            .get_i32("core.repositoryformatversion")
            .is_ok_and(|version| version > 0)
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

/// The one line that git answered; only its own line break is dropped.
pub(super) fn line(output: &[u8]) -> String {
    let output = output.strip_suffix(b"\n").unwrap_or(output);
    let output = output.strip_suffix(b"\r").unwrap_or(output);
    String::from_utf8_lossy(output).into_owned()
}
