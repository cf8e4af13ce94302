//! Long texts in a pager.

use std::{
    env,
    io::Write,
    process::{Command, Stdio},
};

use super::{
    context::{Context, write_out},
    error::CliError,
    sheet::Sheet,
    words,
};

/// Prints a sheet; on a terminal through `$SPECTASK_PAGER`, `$PAGER` or `less`.
///
/// # Errors
/// When standard output is closed.
pub(super) fn show(ctx: &Context, sheet: Sheet, wanted: bool) -> Result<(), CliError> {
    let text = sheet.into_text();
    if !(wanted && ctx.terminal) {
        return write_out(&text);
    }
    let Some((program, arguments)) = command() else {
        return write_out(&text);
    };
    let mut pager = Command::new(program);
    pager.args(arguments).stdin(Stdio::piped());
    // What git sets too: quit when it fits on one screen, show colours, leave the screen alone.
    if env::var_os("LESS").is_none() {
        pager.env("LESS", "FRX");
    }
    let Ok(mut child) = pager.spawn() else {
        return write_out(&text);
    };
    if let Some(mut stdin) = child.stdin.take() {
        // A person who quits the pager has read enough.
        let _ = stdin.write_all(text.as_bytes());
    }
    let _ = child.wait();
    Ok(())
}

fn command() -> Option<(String, Vec<String>)> {
    let line = ["SPECTASK_PAGER", "PAGER"]
        .into_iter()
        .find_map(env::var_os)
        .map_or_else(
            || "less -FRX".to_owned(),
            |line| line.to_string_lossy().into_owned(),
        );
    let mut words = words::split(&line);
    if words.is_empty() || words == ["cat"] {
        return None;
    }
    let program = words.remove(0);
    Some((program, words))
}
