//! Repositories to work in.

use std::fs;
use std::path::{Path, PathBuf};

use crate::env::{TestEnv, workspace};

/// A repository below a [`TestEnv`].
pub struct SampleRepo<'env> {
    env: &'env TestEnv,
    path: PathBuf,
}

impl<'env> SampleRepo<'env> {
    /// A new repository with a README and one commit on `main`.
    ///
    /// # Panics
    /// When git fails.
    #[must_use]
    pub fn new(env: &'env TestEnv, name: &str) -> Self {
        let path = env.folder().join(name);
        fs::create_dir_all(&path).expect("a folder for the repository");
        let repo = Self { env, path };
        repo.git(&["init", "--quiet"]);
        repo.file("README.md", "# Sample\n\nA repository to try things in.\n")
            .file("src/lib.txt", "first line\nsecond line\n")
            .commit("Start")
    }

    /// A copy of a real repository: this one at its present commit, on branch `main`.
    ///
    /// # Panics
    /// When this is no git checkout.
    #[must_use]
    pub fn real(env: &'env TestEnv, name: &str) -> Self {
        let path = env.folder().join(name);
        let source = workspace().to_string_lossy().into_owned();
        let target = path.to_string_lossy().into_owned();
        let _ = env.git(
            &env.folder(),
            &["clone", "--quiet", "--no-local", &source, &target],
        );
        let repo = Self { env, path };
        // A clone of a detached checkout is detached too.
        repo.git(&["checkout", "--quiet", "-B", "main"]);
        repo.git(&["remote", "remove", "origin"]);
        repo
    }

    /// Its working directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a file, its folders included.
    ///
    /// # Panics
    /// When it cannot be written.
    #[must_use]
    pub fn file(self, name: &str, content: &str) -> Self {
        let path = self.path.join(name);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).expect("a folder in the repository");
        }
        fs::write(path, content).expect("a file in the repository");
        self
    }

    /// Commits everything.
    ///
    /// # Panics
    /// When git fails.
    #[must_use]
    pub fn commit(self, message: &str) -> Self {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message", message]);
        self
    }

    /// Runs git in it and returns the trimmed output.
    ///
    /// # Panics
    /// When git fails.
    pub fn git(&self, args: &[&str]) -> String {
        self.env.git(&self.path, args)
    }

    /// What a person would notice of a change to their checkout: HEAD, its commit, the index and
    /// the files that differ, the stash.
    #[must_use]
    pub fn checkout_state(&self) -> String {
        [
            vec!["rev-parse", "--abbrev-ref", "HEAD"],
            vec!["rev-parse", "HEAD"],
            vec!["ls-files", "--stage"],
            vec!["status", "--porcelain=v1", "--untracked-files=all"],
            vec!["stash", "list"],
        ]
        .iter()
        .map(|args| self.git(args))
        .collect::<Vec<_>>()
        .join("\n--\n")
    }

    /// Content of `file` at `revision`, `None` when it is not there.
    #[must_use]
    pub fn show(&self, revision: &str, file: &str) -> Option<String> {
        let object = format!("{revision}:{file}");
        let output = self
            .env
            .command("git", &self.path)
            .args(["show", &object])
            .output()
            .ok()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        output.status.success().then_some(text)
    }

    /// As [`TestEnv::fsck`] says.
    ///
    /// # Panics
    /// When an object is missing or broken.
    pub fn fsck(&self) {
        self.env.fsck(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_real_repository_is_a_copy_of_this_one() {
        let env = TestEnv::new();
        let repo = SampleRepo::real(&env, "real");
        assert_eq!(repo.git(&["symbolic-ref", "HEAD"]), "refs/heads/main");
        assert_eq!(repo.git(&["remote"]), "");
        assert!(repo.path().join("rust-toolchain.toml").is_file());
        repo.fsck();
        let before = repo.checkout_state();
        let repo = repo.file("new.txt", "new\n");
        assert_ne!(repo.checkout_state(), before);
    }
}
