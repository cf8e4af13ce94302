//! `spectask lint`: checks spec documents where they are, without a daemon.

use std::path::{Path, PathBuf};

use super::{
    args::{LintArgs, LintFormat},
    context::Context,
    error::{CliError, Exit},
    findings,
    sheet::Tone,
};
use crate::spec::{self, Profile};

pub(super) fn run(ctx: &Context, args: LintArgs) -> Result<Exit, CliError> {
    let profile: Profile = args
        .profile
        .parse()
        .map_err(|error: spec::UnknownProfile| CliError::usage(error.to_string()))?;
    let json = ctx.json || args.format == LintFormat::Json;
    let base = ctx.folder()?;
    let paths = if args.paths.is_empty() {
        vec![default_path(&base)]
    } else {
        args.paths
    };
    // Paths are shown as they were typed, which holds as long as they are opened from here.
    let paths: Vec<PathBuf> = paths
        .into_iter()
        .map(|path| {
            if ctx.elsewhere() {
                base.join(path)
            } else {
                path
            }
        })
        .collect();
    let report =
        spec::lint_paths(&paths, profile).map_err(|error| CliError::usage(error.to_string()))?;
    let exit = if report.has_errors() {
        Exit::Failed
    } else {
        Exit::Good
    };
    if json {
        ctx.print_json(&report)?;
        return Ok(exit);
    }
    let mut sheet = ctx.sheet();
    for file in &report.files {
        findings::excerpts(
            &mut sheet,
            &file.findings,
            &file.source,
            &file.path.display().to_string(),
        );
    }
    let all: Vec<_> = report
        .files
        .iter()
        .flat_map(|file| file.findings.clone())
        .collect();
    let (tone, summary) = findings::summary(&all);
    let documents = report.files.len();
    sheet.put(tone, &summary).line(
        Tone::Faint,
        &format!(
            " in {documents} document{}",
            if documents == 1 { "" } else { "s" }
        ),
    );
    ctx.print(sheet)?;
    Ok(exit)
}

/// Where specs are by custom.
fn default_path(base: &Path) -> PathBuf {
    [".kiro/specs", "specs"]
        .into_iter()
        .map(PathBuf::from)
        .find(|path| base.join(path).is_dir())
        .unwrap_or_else(|| PathBuf::from("."))
}
