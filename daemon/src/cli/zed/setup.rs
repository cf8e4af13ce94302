//! `spectask zed setup`: shows what changes in Zed's settings, and writes it.

use std::path::{Path, PathBuf};

use serde_json::json;
use spectask_protocol::{AgentListParams, method::AgentListAll};

use super::{
    super::{
        args::ZedSetupArgs,
        context::{Context, environment, utf8},
        error::{CliError, Exit, io},
        review,
        sheet::{Sheet, Tone},
    },
    command,
    file::SettingsFile,
    settings::{self, AGENTS, Entry, Merged, SettingsError, What},
};
use crate::{repo::text_diff, zed_paths::EXTENSION};

pub(super) async fn run(ctx: &Context, args: ZedSetupArgs) -> Result<Exit, CliError> {
    let path = match &args.settings {
        Some(path) => std::path::absolute(path).map_err(io("find", path.display()))?,
        None => command::place(&command::machine()?, &args.place)
            .map(|place| place.settings())
            .ok_or_else(|| CliError::internal("Zed keeps its settings nowhere"))?,
    };
    let file = SettingsFile::read(&path)?;
    let merged = if args.remove {
        removed(&file)
    } else {
        let wanted = wanted(ctx, &args).await?;
        settings::merge(file.text(), &wanted)
    };
    let merged = merged.map_err(|error| refused(&path, &error))?;
    let differs = merged.text != file.text();
    let diff = text_diff(file.text(), &merged.text, "settings.json");
    let mut backup = None;
    let written = args.write && differs;
    if written {
        backup = file.write(&merged.text)?;
    }
    let entries: Vec<_> = merged
        .changes
        .iter()
        .map(|change| json!({ "setting": change.list, "name": change.key, "state": change.what.as_str() }))
        .collect();
    let value = json!({
        "file": path, "exists": file.text.is_some(), "changes": differs, "written": written,
        "backup": backup, "entries": entries, "diff": diff,
    });
    ctx.show(&value, |sheet| {
        if differs {
            review::diff(sheet, &diff);
            sheet.end();
        }
        told(sheet, &merged);
        outcome(sheet, &path, &args, differs, backup.as_deref());
    })?;
    Ok(Exit::Good)
}

/// The entries that belong in: of the agents that were named, else of those that were found.
async fn wanted(ctx: &Context, args: &ZedSetupArgs) -> Result<Vec<Entry>, CliError> {
    let own = utf8(&own_command()?)?;
    let mut entries = vec![Entry::own(&own)];
    if !args.agents.is_empty() {
        let named = args.agents.iter();
        entries.extend(named.map(|name| Entry::of(name.as_str(), &own)));
        return Ok(entries);
    }
    let params = AgentListParams {
        environment: environment(),
    };
    let list = ctx.daemon().await?.call(AgentListAll, params).await?;
    let found = list
        .agents
        .iter()
        .filter(|agent| agent.available)
        // The built-in example is for trying things out.
        .filter(|agent| agent.source != "built-in" || agent.default);
    entries.extend(found.map(|agent| Entry::of(agent.name.as_str(), &own)));
    Ok(entries)
}

/// This program as Zed shall start it: by the path on PATH where that leads here, because it stays when a
/// package manager puts a newer version in another folder.
///
/// # Errors
/// When the system does not tell.
pub(super) fn own_command() -> Result<PathBuf, CliError> {
    let own = std::env::current_exe().map_err(io("find", "this program"))?;
    let real = |path: &Path| std::fs::canonicalize(path).ok();
    let on_path = which::which("spectask").ok();
    let on_path = on_path.and_then(|path| std::path::absolute(path).ok());
    Ok(match on_path {
        Some(path) if real(&path).is_some() && real(&path) == real(&own) => path,
        _ => own,
    })
}

/// The settings without SpecTask: as they were before, if nobody changed them since.
fn removed(file: &SettingsFile) -> Result<Merged, SettingsError> {
    let mut merged = settings::remove(file.text())?;
    let before = SettingsFile::read(&file.backup()).ok();
    if let Some(before) = before.and_then(|file| file.text) {
        let entries = settings::present(file.text())?.into_iter();
        let entries: Vec<Entry> = entries
            .map(|own| Entry {
                key: own.key,
                command: own.command,
                args: own.args,
            })
            .collect();
        let again = settings::merge(&before, &entries);
        let clean = settings::remove(&before).is_ok_and(|clean| clean.text == before);
        if clean && again.is_ok_and(|again| again.text == file.text()) {
            merged.text = before;
        }
    }
    Ok(merged)
}

fn refused(path: &Path, error: &SettingsError) -> CliError {
    let shown = path.display();
    match error {
        SettingsError::Broken { line, column, what } => CliError::usage(format!(
            "{shown}:{line}:{column}: {}",
            what.trim_end_matches('.')
        ))
        .hint("repair it there and run the command again; nothing was changed"),
        SettingsError::Unsafe => CliError::internal(format!("{shown}: {error}"))
            .hint("nothing was changed; the README says what to put in by hand"),
    }
}

fn told(sheet: &mut Sheet, merged: &Merged) {
    for change in &merged.changes {
        let (tone, text) = match change.what {
            What::Added => (Tone::Good, "comes in"),
            What::Updated => (Tone::Warn, "gets this program's path and arguments"),
            What::Removed => (Tone::Warn, "goes"),
            What::Kept => (Tone::Faint, "stays as it is"),
            What::Foreign => (
                Tone::Bad,
                "is not SpecTask's and stays as it is; rename it if both are wanted",
            ),
        };
        sheet
            .put(Tone::Faint, &format!("{}.", change.list))
            .put(Tone::Name, &change.key)
            .plain("  ")
            .line(tone, text);
    }
}

fn outcome(
    sheet: &mut Sheet,
    path: &Path,
    args: &ZedSetupArgs,
    differs: bool,
    backup: Option<&Path>,
) {
    let shown = path.display().to_string();
    sheet.put(Tone::Name, &shown);
    match (differs, args.write) {
        (false, _) if args.remove => {
            sheet.line(Tone::Good, " has no entries of SpecTask.");
        }
        (false, _) => {
            sheet.line(Tone::Good, " has all it needs.");
        }
        (true, false) => {
            sheet.line(Tone::Plain, " was not changed. To write this:");
            let mut command = "spectask zed setup".to_owned();
            if args.remove {
                command += " --remove";
            }
            for agent in &args.agents {
                command += &format!(" --agent {agent}");
            }
            if let Some(file) = &args.settings {
                command += &format!(" --settings {}", file.display());
            }
            if let Some(folder) = &args.place.user_data_dir {
                command += &format!(" --user-data-dir {}", folder.display());
            }
            sheet
                .plain("  ")
                .line(Tone::Name, &format!("{command} --write"));
        }
        (true, true) => {
            sheet.line(Tone::Good, " was written.");
            if let Some(backup) = backup {
                sheet
                    .plain("As it was before: ")
                    .line(Tone::Name, &backup.display().to_string());
            }
            if !args.remove {
                sheet.line(
                    Tone::Plain,
                    "Zed takes it at once: open the agent panel and choose an agent in the + menu.",
                );
            }
        }
    }
    if !args.remove {
        sheet.line(
            Tone::Faint,
            &format!("{EXTENSION} is the context server of the SpecTask extension; {AGENTS} works without it."),
        );
    }
}
