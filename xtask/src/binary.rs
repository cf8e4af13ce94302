//! Builds the product and runs a chore with it: the test environment takes the binary from a variable.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
};

/// The variable that names the binary to test.
const VARIABLE: &str = "SPECTASK_BIN";

/// Whether the binary is known.
pub(super) fn is_known() -> bool {
    std::env::var_os(VARIABLE).is_some()
}

/// Runs this program again, with a binary of that profile.
pub(super) fn again_with(profile: &str) -> Result<(), String> {
    let bin = build(profile)?;
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let status = Command::new(own)
        .args(std::env::args_os().skip(1))
        .env(VARIABLE, bin)
        .status()
        .map_err(|error| format!("cannot go on: {error}"))?;
    status
        .success()
        .then_some(())
        .ok_or_else(|| "it failed".to_owned())
}

fn build(profile: &str) -> Result<PathBuf, String> {
    let output = Command::new(env!("CARGO"))
        .args(["build", "--package", "spectask", "--locked"])
        .args(["--profile", profile, "--message-format", "json"])
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("cargo cannot start: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let executable = text.lines().find_map(|line| {
        let (_, rest) = line.split_once(r#""executable":""#)?;
        Some(rest.split_once('"')?.0.replace(r"\\", r"\"))
    });
    match executable {
        Some(path) if output.status.success() => Ok(path.into()),
        _ => Err(format!("the {profile} build failed")),
    }
}
