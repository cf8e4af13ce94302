//! A person's editor.

use std::{env, fs, path::Path, process::Command};

use super::{
    context::Context,
    error::{CliError, io},
    words,
};

/// Opens files in `$VISUAL` or `$EDITOR` and waits until it ends. As with git, an editor that is
/// named is opened without a terminal too: it may be a script or have a window of its own.
///
/// # Errors
/// When nobody can edit here, or the editor cannot be started or fails.
pub(super) fn open(ctx: &Context, files: &[&Path], instead: &str) -> Result<(), CliError> {
    let named = ["VISUAL", "EDITOR"]
        .into_iter()
        .find_map(|name| env::var(name).ok().filter(|line| !line.trim().is_empty()));
    let line = match named {
        Some(line) => line,
        None if ctx.interactive => if cfg!(windows) { "notepad" } else { "vi" }.to_owned(),
        None => {
            return Err(CliError::usage("no editor can be opened here").hint(instead));
        }
    };
    let mut command = words::split(&line);
    let program = if command.is_empty() {
        line.clone()
    } else {
        command.remove(0)
    };
    let run = |files: &[&Path]| -> Result<(), CliError> {
        let status = Command::new(&program)
            .args(&command)
            .args(files)
            .status()
            .map_err(io("start the editor", &program))
            .map_err(|error| error.hint("set EDITOR to an editor you have"))?;
        if status.success() {
            return Ok(());
        }
        Err(CliError::usage(format!(
            "the editor {program} ended with {status}; nothing was sent"
        )))
    };
    // Notepad takes one file.
    if program == "notepad" {
        return files.iter().try_for_each(|file| run(&[file]));
    }
    run(files)
}

/// Lets a person write a text, from a template.
///
/// # Errors
/// As [`open`], or when the temporary file fails.
pub(super) fn write(
    ctx: &Context,
    name: &str,
    template: &str,
    instead: &str,
) -> Result<String, CliError> {
    let folder = tempfile::Builder::new()
        .prefix("spectask-")
        .tempdir()
        .map_err(io("create", "a temporary folder"))?;
    let file = folder.path().join(name);
    fs::write(&file, template).map_err(io("write", file.display()))?;
    open(ctx, &[&file], instead)?;
    fs::read_to_string(&file).map_err(io("read", file.display()))
}
