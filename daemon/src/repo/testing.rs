//! Repositories for tests: in temporary folders with awkward names, with a configuration of their own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::repository::canonical;
use super::{Environment, Repository, WorktreeAt};

pub(super) struct Fixture {
    _temporary: tempfile::TempDir,
    dir: PathBuf,
    repo: PathBuf,
    variables: Vec<(String, String)>,
}

impl Fixture {
    /// A repository with branch `main`, one commit with `README.md`, and a user.
    pub(super) fn new() -> Self {
        let fixture = Self::without_identity();
        for (key, value) in [("user.name", "User"), ("user.email", "user@example.com")] {
            fixture.git(fixture.repo_dir(), &["config", key, value]);
        }
        fixture
    }

    /// The same for which git knows no user.
    pub(super) fn without_identity() -> Self {
        let fixture = Self::empty();
        let repo = fixture.repo_dir();
        fs::write(repo.join("README.md"), "hello\n").unwrap();
        fixture.git(repo, &["add", "README.md"]);
        let user = [
            "-c",
            "user.name=First",
            "-c",
            "user.email=first@example.com",
        ];
        fixture.git(repo, &[&user[..], &["commit", "-qm", "first"]].concat());
        fixture
    }

    /// A repository without a commit.
    pub(super) fn empty() -> Self {
        let temporary = tempfile::tempdir().unwrap();
        let dir = canonical(temporary.path()).unwrap();
        let repo = dir.join("user's rëpo");
        fs::create_dir(&repo).unwrap();
        fs::create_dir(dir.join("home")).unwrap();
        let null = if cfg!(windows) { "NUL" } else { "/dev/null" };
        let home = dir.join("home").display().to_string();
        let variables = [
            ("GIT_CONFIG_GLOBAL", null),
            ("GIT_CONFIG_SYSTEM", null),
            ("GIT_CONFIG_NOSYSTEM", "1"),
            ("HOME", &home),
            ("XDG_CONFIG_HOME", &home),
            ("EMAIL", ""),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .to_vec();
        let fixture = Self {
            _temporary: temporary,
            dir,
            repo,
            variables,
        };
        fixture.git(&fixture.repo, &["init", "-q", "-b", "main"]);
        fixture
    }

    /// The folder that everything lies in.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(super) fn repo_dir(&self) -> &Path {
        &self.repo
    }

    pub(super) fn environment(&self) -> Environment {
        Environment::new(self.variables.clone())
    }

    /// The same with one more variable.
    pub(super) fn environment_with(&self, name: &str, value: &str) -> Environment {
        let more = (name.to_owned(), value.to_owned());
        Environment::new(self.variables.iter().cloned().chain([more]))
    }

    pub(super) fn repository(&self) -> Repository {
        Repository::discover_with(&self.repo, self.environment()).unwrap()
    }

    pub(super) fn command(&self, dir: &Path, args: &[&str]) -> Command {
        let mut command = Command::new("git");
        command
            .current_dir(dir)
            .args(args)
            .envs(self.variables.iter().map(|(k, v)| (k, v)));
        for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"] {
            command.env_remove(name);
        }
        command
    }

    /// Runs git as the user would, and gives what it printed.
    #[track_caller]
    pub(super) fn git(&self, dir: &Path, args: &[&str]) -> String {
        let output = self.command(dir, args).output().unwrap();
        assert!(
            output.status.success(),
            "git {args:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Runs git whether or not it succeeds.
    pub(super) fn git_any(&self, dir: &Path, args: &[&str]) {
        self.command(dir, args).output().unwrap();
    }

    /// Commits files in the user's checkout and gives the commit.
    pub(super) fn commit(&self, message: &str, files: &[(&str, &str)]) -> String {
        for (path, text) in files {
            let path = self.repo.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        self.git(&self.repo, &["add", "--all"]);
        self.git(&self.repo, &["commit", "-qm", message]);
        self.git(&self.repo, &["rev-parse", "HEAD"])
    }

    /// Where the worktree of that name is made.
    pub(super) fn worktree_path(&self, name: &str) -> PathBuf {
        self.dir.join("data dir").join(name)
    }

    /// A worktree detached at `HEAD`.
    pub(super) fn worktree(&self, name: &str) -> PathBuf {
        let commit = self.repository().head().unwrap().commit;
        let path = self.worktree_path(name);
        self.repository()
            .add_worktree(&path, &WorktreeAt::Detached { commit })
            .unwrap()
            .path
    }

    /// A worktree with a new branch at `HEAD`.
    pub(super) fn branch_worktree(&self, name: &str, branch: &str) -> PathBuf {
        let start = self.repository().head().unwrap().commit;
        let at = WorktreeAt::Branch {
            name: branch.to_owned(),
            start,
        };
        self.repository()
            .add_worktree(&self.worktree_path(name), &at)
            .unwrap()
            .path
    }

    /// A hook of the repository, in shell.
    pub(super) fn hook(&self, name: &str, script: &str) {
        let path = self.repo.join(".git/hooks").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
    }
}
