//! What every command knows: how to print, where it stands, and how to reach the daemon.

use std::{
    env, fs,
    io::{self, BufRead, IsTerminal, Write},
    path::{Path, PathBuf},
};

use console::Term;
use serde::Serialize;
use spectask_protocol::{Environment, FailureKind};

use super::{
    args::{ColorChoice, Global},
    connect::{self, Daemon},
    error::{CliError, io as io_error},
    sheet::{self, Sheet, Tone},
};
use crate::paths::Paths;

/// The surroundings of a command.
#[derive(Debug, Clone)]
pub(super) struct Context {
    /// Whether programs read the output.
    pub(super) json: bool,
    /// Whether standard output gets colours.
    pub(super) color: bool,
    /// Whether standard output is a terminal.
    pub(super) terminal: bool,
    /// Whether a person can be asked.
    pub(super) interactive: bool,
    /// Where everything lives.
    pub(super) paths: Paths,
    folder: PathBuf,
}

impl Context {
    /// The context of this process.
    ///
    /// # Errors
    /// When there is no home folder, or the folder named by `--project` is none.
    pub(super) fn new(global: &Global) -> Result<Self, CliError> {
        let terminal = io::stdout().is_terminal();
        let paths = Paths::from_env().map_err(|error| CliError::usage(error.to_string()))?;
        let folder = match &global.project {
            None => PathBuf::from("."),
            Some(folder) if folder.is_dir() => folder.clone(),
            Some(folder) => {
                return Err(CliError::new(
                    FailureKind::NotFound,
                    format!("{} is not a folder", folder.display()),
                ));
            }
        };
        Ok(Self {
            json: global.json,
            color: color(global.color, terminal),
            terminal,
            interactive: !global.json && io::stdin().is_terminal() && io::stderr().is_terminal(),
            paths,
            folder,
        })
    }

    /// The folder that the command acts in, absolute.
    ///
    /// # Errors
    /// When it is gone.
    pub(super) fn folder(&self) -> Result<PathBuf, CliError> {
        let folder =
            fs::canonicalize(&self.folder).map_err(io_error("open", self.folder.display()))?;
        Ok(without_verbatim_prefix(folder))
    }

    /// The folder as the daemon takes it.
    ///
    /// # Errors
    /// When it is gone or its name is not UTF-8.
    pub(super) fn cwd(&self) -> Result<String, CliError> {
        utf8(&self.folder()?)
    }

    /// Whether `--project` named another folder than the one this process is in.
    pub(super) fn elsewhere(&self) -> bool {
        self.folder != Path::new(".")
    }

    /// The daemon, started if need be.
    ///
    /// # Errors
    /// When it cannot be started or reached, or has another version.
    pub(super) async fn daemon(&self) -> Result<Daemon, CliError> {
        connect::connect_or_start(&self.paths).await
    }

    /// An empty sheet for standard output.
    pub(super) const fn sheet(&self) -> Sheet {
        Sheet::new(self.color)
    }

    /// The width to lay text out in; none when it is not a terminal.
    pub(super) fn width(&self) -> Option<usize> {
        self.terminal
            .then(|| usize::from(Term::stdout().size().1).max(40))
    }

    /// Prints a sheet.
    ///
    /// # Errors
    /// When standard output is closed.
    #[allow(clippy::unused_self, reason = "printing is a matter of the context")]
    pub(super) fn print(&self, sheet: Sheet) -> Result<(), CliError> {
        write_out(&sheet.into_text())
    }

    /// Prints a value as JSON.
    ///
    /// # Errors
    /// When standard output is closed.
    pub(super) fn print_json(&self, value: &impl Serialize) -> Result<(), CliError> {
        let value = to_value(value)?;
        write_out(&format!("{}\n", sheet::json_text(&value, self.terminal)))
    }

    /// Prints a value as JSON on one line.
    ///
    /// # Errors
    /// When standard output is closed.
    pub(super) fn print_json_line(&self, value: &impl Serialize) -> Result<(), CliError> {
        write_out(&format!("{}\n", sheet::json_text(&to_value(value)?, false)))
    }

    /// Prints the value when programs read, else what the function writes.
    ///
    /// # Errors
    /// When standard output is closed.
    pub(super) fn show(
        &self,
        value: &impl Serialize,
        text: impl FnOnce(&mut Sheet),
    ) -> Result<(), CliError> {
        if self.json {
            return self.print_json(value);
        }
        let mut sheet = self.sheet();
        text(&mut sheet);
        self.print(sheet)
    }

    /// Tells a person something beside the output.
    pub(super) fn note(&self, text: &str) {
        if !self.json {
            let mut sheet = Sheet::new(self.color && io::stderr().is_terminal());
            sheet.line(Tone::Faint, text);
            // A closed standard error takes nothing from the output.
            let _ = io::stderr().write_all(sheet.into_text().as_bytes());
        }
    }

    /// Asks a person a question that is answered with yes or no; without one the answer is no.
    ///
    /// # Errors
    /// When nobody can be asked: says which option answers.
    pub(super) fn confirm(&self, question: &str, option: &str) -> Result<bool, CliError> {
        if !self.interactive {
            return Err(
                CliError::usage(format!("{question} Nobody can be asked here."))
                    .hint(format!("say it with `{option}`")),
            );
        }
        let answer = self.ask(&format!("{question} [y/N] "))?;
        Ok(matches!(answer.to_ascii_lowercase().as_str(), "y" | "yes"))
    }

    /// Asks a person for a line; an ended input is an empty line.
    ///
    /// # Errors
    /// When standard input cannot be read.
    pub(super) fn ask(&self, question: &str) -> Result<String, CliError> {
        let mut sheet = Sheet::new(self.color);
        sheet.put(Tone::Strong, question);
        let _ = io::stderr().write_all(sheet.into_text().as_bytes());
        let mut line = String::new();
        io::stdin()
            .lock()
            .read_line(&mut line)
            .map_err(io_error("read", "standard input"))?;
        Ok(line.trim().to_owned())
    }
}

/// The environment that agents get: every variable in UTF-8 but SpecTask's own.
pub(super) fn environment() -> Environment {
    env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| !name.starts_with("SPECTASK_"))
        .collect()
}

/// A path as text.
///
/// # Errors
/// When it is not UTF-8.
pub(super) fn utf8(path: &Path) -> Result<String, CliError> {
    path.to_str().map(str::to_owned).ok_or_else(|| {
        CliError::usage(format!(
            "{} is not UTF-8, which SpecTask needs",
            path.display()
        ))
    })
}

/// Writes to standard output.
///
/// # Errors
/// [`CliError::OutputClosed`] when nobody reads it any more.
pub(super) fn write_out(text: &str) -> Result<(), CliError> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(CliError::OutputClosed),
        Err(error) => Err(CliError::internal(format!(
            "cannot write the output: {error}"
        ))),
    }
}

fn to_value(value: &impl Serialize) -> Result<serde_json::Value, CliError> {
    serde_json::to_value(value)
        .map_err(|error| CliError::internal(format!("cannot write JSON: {error}")))
}

/// Whether to colour what goes to standard output.
pub(super) fn color(choice: ColorChoice, terminal: bool) -> bool {
    match choice {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto => {
            let set = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
            let dumb = env::var_os("TERM").is_some_and(|term| term == "dumb");
            (terminal && !set("NO_COLOR") && !dumb) || set("CLICOLOR_FORCE")
        }
    }
}

/// Other programs do not take the `\\?\` that Windows puts before canonical paths.
fn without_verbatim_prefix(path: PathBuf) -> PathBuf {
    match path.to_str().and_then(|text| text.strip_prefix(r"\\?\")) {
        Some(plain) if cfg!(windows) && !plain.starts_with("UNC") => PathBuf::from(plain),
        _ => path,
    }
}
