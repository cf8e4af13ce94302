//! Zed's command line: found under its many names, asked for its version, started.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use serde::Serialize;
use spectask_protocol::FailureKind;
use tokio::process::Command;

use super::super::{args::ZedPlace, error::CliError};
use crate::zed_paths::{Channel, Launcher, Machine, Place};

/// How long Zed may take to answer: a cold start on a slow machine.
const LIMIT: Duration = Duration::from_secs(60);
/// How long it may take to tell its version, which starts nothing.
const VERSION_LIMIT: Duration = Duration::from_secs(15);

/// A command line of Zed that works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Zed {
    /// The program.
    pub(super) program: PathBuf,
    /// What comes before the arguments for Zed.
    args: Vec<String>,
    /// Its version, if it tells one; builds of distributions may not.
    pub(super) version: Option<String>,
    /// Its channel.
    pub(super) channel: Channel,
}

/// One command to run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Step {
    /// Program and arguments.
    pub(super) argv: Vec<String>,
}

impl Zed {
    /// The command that opens these paths or this URL.
    pub(super) fn step(&self, place: &ZedPlace, what: &str) -> Step {
        let mut argv = vec![self.program.to_string_lossy().into_owned()];
        argv.extend(self.args.iter().cloned());
        if let Some(folder) = &place.user_data_dir {
            argv.push("--user-data-dir".to_owned());
            argv.push(folder.to_string_lossy().into_owned());
        }
        argv.push(what.to_owned());
        Step { argv }
    }
}

impl Step {
    /// Runs it to its end, which comes when Zed has taken it over.
    ///
    /// # Errors
    /// When it cannot be started, fails, or hangs.
    pub(super) async fn run(&self) -> Result<(), CliError> {
        let [program, args @ ..] = self.argv.as_slice() else {
            return Ok(());
        };
        let failed = |why: String| {
            CliError::new(
                FailureKind::Unavailable,
                format!("{} {why}", self.to_line()),
            )
            .hint("`spectask zed doctor` checks Zed; `--print` prints the commands")
        };
        let mut command = Command::new(program);
        command
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let child = command
            .spawn()
            .map_err(|error| failed(format!("cannot be started: {error}")))?;
        let ended = tokio::time::timeout(LIMIT, child.wait_with_output()).await;
        let output = ended
            .map_err(|_| failed("does not end".to_owned()))?
            .map_err(|error| failed(format!("cannot be watched: {error}")))?;
        if output.status.success() {
            return Ok(());
        }
        let told = String::from_utf8_lossy(&output.stderr);
        let last = told.lines().rev().find(|line| !line.trim().is_empty());
        Err(failed(format!(
            "ended with {}{}",
            output.status,
            last.map(|line| format!(": {line}")).unwrap_or_default()
        )))
    }

    /// The command as a shell takes it.
    pub(super) fn to_line(&self) -> String {
        let words = self.argv.iter().map(|word| quoted(word));
        words.collect::<Vec<_>>().join(" ")
    }
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:\\+,@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else if cfg!(windows) {
        format!("\"{word}\"")
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// Finds Zed's command line.
///
/// # Errors
/// When there is none, or none of the channel that is meant; says which names were tried.
pub(super) async fn find(machine: &Machine, place: &ZedPlace) -> Result<Zed, CliError> {
    let wanted = place.channel.map(Channel::from);
    let mut tried: Vec<String> = Vec::new();
    let mut others = Vec::new();
    for launcher in machine.launchers(wanted) {
        let name = shown(&launcher);
        let Some(program) = program(&launcher) else {
            tried.push(name);
            continue;
        };
        let Some((version, channel)) = version(&program, &launcher).await else {
            // Other programs are called `zed` too.
            tried.push(format!("{name} (which is not Zed's)"));
            continue;
        };
        let channel = launcher.channel.unwrap_or(channel);
        if wanted.is_some_and(|wanted| wanted != channel) {
            others.push(channel.application().to_owned());
            continue;
        }
        return Ok(Zed {
            program,
            args: launcher.args,
            version,
            channel,
        });
    }
    let message = match wanted {
        Some(channel) => format!("no command line of {} was found", channel.application()),
        None => "no command line of Zed was found".to_owned(),
    };
    let mut hint = format!("tried {}", tried.join(", "));
    if !others.is_empty() {
        hint += &format!("; found {}", others.join(", "));
    }
    hint +=
        ". In Zed, run `cli: install cli binary` from the command palette, or put `zed` on PATH";
    Err(CliError::new(FailureKind::NotFound, message).hint(hint))
}

fn shown(launcher: &Launcher) -> String {
    let program = launcher.program.to_string_lossy();
    [program.as_ref()]
        .into_iter()
        .chain(launcher.args.iter().map(String::as_str))
        .collect::<Vec<_>>()
        .join(" ")
}

/// The program of a launcher, if it and what it needs are there.
fn program(launcher: &Launcher) -> Option<PathBuf> {
    let needs = &launcher.needs;
    if !needs.is_empty() && !needs.iter().any(|path| path.exists()) {
        return None;
    }
    let found = which::which(&launcher.program).ok()?;
    Some(std::path::absolute(&found).unwrap_or(found))
}

/// What a program says to `--version`, if it is Zed.
async fn version(program: &Path, launcher: &Launcher) -> Option<(Option<String>, Channel)> {
    let mut command = Command::new(program);
    command
        .args(&launcher.args)
        .arg("--version")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    let output = tokio::time::timeout(VERSION_LIMIT, command.output()).await;
    let output = output.ok()?.ok()?;
    read_version(&String::from_utf8_lossy(&output.stdout))
}

/// Reads `Zed 1.11.0 <commit> – /path`, `Zed preview 1.12.0 – /path`, or `Zed  – /path`.
fn read_version(text: &str) -> Option<(Option<String>, Channel)> {
    let rest = text.trim_start().strip_prefix("Zed ")?;
    let rest = rest.lines().next().unwrap_or_default();
    let words = || {
        rest.split_whitespace()
            .take_while(|word| !matches!(*word, "–" | "-"))
    };
    let channel = words()
        .find_map(|word| Channel::ALL.into_iter().find(|one| one.as_str() == word))
        .unwrap_or(Channel::Stable);
    let version =
        words().find(|word| word.starts_with(|c: char| c.is_ascii_digit()) && word.contains('.'));
    Some((version.map(str::to_owned), channel))
}

/// Whether a version has custom agents, which came with 1.0.
pub(super) fn is_recent(version: &str) -> bool {
    let major = version
        .split('.')
        .next()
        .and_then(|major| major.parse::<u32>().ok());
    major.is_none_or(|major| major >= 1)
}

/// This machine.
///
/// # Errors
/// When the system names no home folder.
pub(super) fn machine() -> Result<Machine, CliError> {
    Machine::here().ok_or_else(|| CliError::internal("no home folder is known"))
}

/// The place whose settings are meant: the first in use, else the usual one.
pub(super) fn place(machine: &Machine, wanted: &ZedPlace) -> Option<Place> {
    let folder = wanted.user_data_dir.as_deref().map(absolute);
    let places = machine.places(folder.as_deref());
    let mut used = places
        .iter()
        .filter(|place| place.settings().exists() || place.data.exists());
    used.next().or_else(|| places.first()).cloned()
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zed_tells_its_version_in_several_ways() {
        let read = |text: &str| {
            read_version(text).map(|(version, channel)| {
                format!("{} {}", version.unwrap_or_default(), channel.as_str())
            })
        };
        let told = [
            (
                "Zed 1.11.0 872ca8f – /usr/lib/zed/zed-editor\n",
                "1.11.0 stable",
            ),
            ("Zed preview 1.12.0 – /opt/zed-1.9/zed", "1.12.0 preview"),
            ("Zed dev 1.9.0 abc – /x", "1.9.0 dev"),
            ("Zed  – /usr/lib/zed-editor", " stable"),
        ];
        for (text, expected) in told {
            assert_eq!(read(text).as_deref(), Some(expected), "{text}");
        }
        // The event daemon of ZFS, the client of a database.
        for other in ["", "zed 2.2.2", "zed version v0.18", "zfs-2.2"] {
            assert_eq!(read(other), None, "{other}");
        }
        assert!(is_recent("1.11.0") && is_recent("2.0") && !is_recent("0.220.3"));
    }

    #[test]
    fn a_shell_takes_the_words_as_they_are() {
        let step = Step {
            argv: vec![
                "zed".into(),
                "/a b/it's".into(),
                "zed://agent?prompt=x".into(),
            ],
        };
        if !cfg!(windows) {
            assert_eq!(step.to_line(), r"zed '/a b/it'\''s' 'zed://agent?prompt=x'");
        }
    }
}
