//! The sample repository of the demo.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use spectask_protocol::FailureKind;

use super::super::error::{CliError, io};

/// A file of the sample.
pub(super) struct SampleFile {
    /// Its path in the repository.
    pub(super) path: &'static str,
    text: &'static str,
}

/// All files of the sample.
pub(super) const FILES: [SampleFile; 4] = [
    SampleFile {
        path: "README.md",
        text: "# Greetings

A tiny shell project, made by `spectask demo`.

    sh greet.sh Ada

Features live in folders of their own below `features/`. `sh checks/run.sh` checks all.
",
    },
    SampleFile {
        path: "greet.sh",
        text: r#"#!/bin/sh
# Greets a person by name.
if [ $# -ne 1 ]; then
    echo "usage: greet.sh NAME" >&2
    exit 2
fi
printf 'Hello, %s!\n' "$1"
"#,
    },
    SampleFile {
        path: "checks/run.sh",
        text: r#"#!/bin/sh
# Runs every check of this project; the first that fails ends it.
set -eu
cd "$(dirname "$0")/.."
[ "$(sh greet.sh Ada)" = "Hello, Ada!" ] || { echo "greet.sh is broken" >&2; exit 1; }
echo "ok greet.sh"
for check in features/*/check.sh; do
    [ -e "$check" ] || continue
    sh "$check" || { echo "failed $check" >&2; exit 1; }
    echo "ok $check"
done
"#,
    },
    SampleFile {
        path: ".spectask.toml",
        text: r#"# Commands that decide whether an agent's work counts. They run only when a person trusts them.
verify = ["sh checks/run.sh"]
"#,
    },
];

/// The folder to create: the one named, which must not hold anything, or the next free name.
///
/// # Errors
/// When the named folder holds something.
pub(super) fn choose_dir(base: &Path, named: Option<PathBuf>) -> Result<PathBuf, CliError> {
    if let Some(dir) = named {
        let dir = base.join(dir);
        let free = match fs::read_dir(&dir) {
            Ok(mut entries) => entries.next().is_none(),
            Err(error) => error.kind() == std::io::ErrorKind::NotFound,
        };
        if !free {
            return Err(CliError::new(
                FailureKind::Conflict,
                format!("{} is not an empty folder", dir.display()),
            )
            .hint("name one that does not exist yet"));
        }
        return Ok(dir);
    }
    let free = (1..1000).map(|number| match number {
        1 => base.join("spectask-demo"),
        number => base.join(format!("spectask-demo-{number}")),
    });
    free.into_iter()
        .find(|dir| dir.symlink_metadata().is_err())
        .ok_or_else(|| {
            CliError::new(FailureKind::Conflict, "there are too many demos here")
                .hint("name a folder with `--dir`")
        })
}

/// Creates the repository with its first commit.
///
/// # Errors
/// When a file cannot be written or git refuses.
pub(super) fn create(dir: &Path) -> Result<(), CliError> {
    for file in &FILES {
        let path = dir.join(file.path);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(io("create", folder.display()))?;
        }
        fs::write(&path, file.text).map_err(io("write", path.display()))?;
    }
    // A person's templates, hooks and signing keys have no place in a sample.
    git(
        dir,
        &["init", "--quiet", "--initial-branch=main", "--template="],
    )?;
    for (key, value) in [
        ("user.name", "SpecTask Demo"),
        ("user.email", "demo@spectask.invalid"),
        ("commit.gpgSign", "false"),
        ("core.autocrlf", "false"),
    ] {
        git(dir, &["config", key, value])?;
    }
    git(dir, &["add", "--all"])?;
    git(
        dir,
        &[
            "commit",
            "--quiet",
            "--no-verify",
            "--message",
            "A tiny project",
        ],
    )?;
    Ok(())
}

/// Runs git in the sample and returns what it printed.
///
/// # Errors
/// When git is missing or fails; with what it said.
pub(super) fn git(dir: &Path, arguments: &[&str]) -> Result<String, CliError> {
    let output = Command::new("git")
        .args(arguments)
        .current_dir(dir)
        .env_remove("GIT_DIR")
        .env_remove("GIT_WORK_TREE")
        .env_remove("GIT_INDEX_FILE")
        .env_remove("GIT_OBJECT_DIRECTORY")
        .stdin(Stdio::null())
        .output()
        .map_err(io("run", "git"))
        .map_err(|error| error.hint("install git 2.31 or newer"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let told = String::from_utf8_lossy(&output.stderr);
    Err(CliError::internal(format!(
        "git {} failed in {}: {}",
        arguments.first().unwrap_or(&""),
        dir.display(),
        told.trim()
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_with_something_in_it_is_refused() {
        let base = tempfile::tempdir().unwrap();
        assert_eq!(
            choose_dir(base.path(), None).unwrap(),
            base.path().join("spectask-demo")
        );
        fs::create_dir(base.path().join("spectask-demo")).unwrap();
        assert_eq!(
            choose_dir(base.path(), None).unwrap(),
            base.path().join("spectask-demo-2")
        );
        let named = |name: &str| choose_dir(base.path(), Some(name.into()));
        assert!(named("spectask-demo").is_ok(), "an empty folder is fine");
        fs::write(base.path().join("spectask-demo/x"), "").unwrap();
        assert_eq!(named("spectask-demo").unwrap_err().code(), 4);
        assert!(named("new/deep").is_ok());
    }

    #[test]
    #[cfg(unix)]
    fn the_sample_passes_its_own_check_and_is_committed() {
        let base = tempfile::tempdir().unwrap();
        let dir = base.path().join("demo");
        create(&dir).unwrap();
        assert_eq!(git(&dir, &["status", "--porcelain"]).unwrap(), "");
        assert_eq!(
            git(&dir, &["log", "--format=%an"]).unwrap(),
            "SpecTask Demo\n"
        );
        let run = || {
            Command::new("sh")
                .arg("checks/run.sh")
                .current_dir(&dir)
                .output()
                .unwrap()
        };
        let output = run();
        assert!(output.status.success(), "{output:?}");
        fs::create_dir_all(dir.join("features/x")).unwrap();
        fs::write(dir.join("features/x/check.sh"), "exit 1\n").unwrap();
        assert!(
            !run().status.success(),
            "a failing check must fail the whole"
        );
    }
}
