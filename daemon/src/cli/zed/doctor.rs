//! `spectask zed doctor`: what is between Zed and SpecTask, and what to do about it.

use std::{
    fs::{self, File},
    io::Read as _,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};
use spectask_protocol::{AgentListParams, DoctorCheck, method::AgentListAll};

use super::{
    super::{
        args::ZedPlace,
        connect,
        context::{Context, environment},
        error::{CliError, Exit},
        setup::checks,
    },
    command,
    file::SettingsFile,
    settings, setup,
};
use crate::zed_paths::{EXTENSION, Machine, Place};

/// More than Zed's list of extensions ever has.
const INDEX_LIMIT: u64 = 16 << 20;
const SETUP: &str = "spectask zed setup --write";

pub(super) async fn run(ctx: &Context, args: ZedPlace) -> Result<Exit, CliError> {
    let machine = command::machine()?;
    let place = command::place(&machine, &args)
        .ok_or_else(|| CliError::internal("Zed keeps its settings nowhere"))?;
    let own = setup::own_command()?;
    let mut all = vec![zed(&machine, &args).await];
    all.extend(entries(&place, &own));
    all.push(extension(&place));
    all.extend(daemon(ctx).await);
    all.push(threads(&place));
    ctx.show(&json!({ "checks": all }), |sheet| checks(sheet, &all))?;
    let bad = all.iter().any(|check| check.state == "error");
    Ok(if bad { Exit::Failed } else { Exit::Good })
}

fn check(state: &str, name: &str, text: impl Into<String>) -> DoctorCheck {
    DoctorCheck {
        name: name.to_owned(),
        state: state.to_owned(),
        text: text.into(),
        hint: None,
    }
}

fn hinted(mut check: DoctorCheck, hint: impl Into<String>) -> DoctorCheck {
    check.hint = Some(hint.into());
    check
}

async fn zed(machine: &Machine, args: &ZedPlace) -> DoctorCheck {
    match command::find(machine, args).await {
        Ok(zed) => {
            let version = zed.version.as_deref().unwrap_or("of an unknown version");
            let name = zed.channel.application();
            let text = format!("{name} {version}, {}", zed.program.display());
            if command::is_recent(version) {
                check("ok", "zed", text)
            } else {
                let old = check("error", "zed", text);
                hinted(old, "custom agents need Zed 1.0 or later: update it")
            }
        }
        // Threads work without it; `spectask zed open` does not.
        Err(CliError::Failure(failure)) => {
            let mut missing = check("warning", "zed", failure.message);
            missing.hint = failure.hint;
            missing
        }
        Err(error) => check("warning", "zed", format!("{error:?}")),
    }
}

/// The settings file, the agents in it, and the context server.
fn entries(place: &Place, own: &Path) -> Vec<DoctorCheck> {
    let path = place.settings();
    let shown = path.display();
    let file = match SettingsFile::read(&path) {
        Ok(file) => file,
        Err(CliError::Failure(failure)) => {
            let hint = "Zed cannot read it either; repair it";
            return vec![hinted(check("error", "settings", failure.message), hint)];
        }
        Err(error) => return vec![check("error", "settings", format!("{error:?}"))],
    };
    if file.text.is_none() {
        let text = format!("there is no {shown} yet");
        return vec![hinted(check("error", "settings", text), SETUP)];
    }
    let (present, server) = match (
        settings::present(file.text()),
        settings::server(file.text()),
    ) {
        (Ok(present), Ok(server)) => (present, server),
        (Err(error), _) | (_, Err(error)) => {
            let broken = check("error", "settings", format!("{shown}: {error}"));
            return vec![hinted(broken, "repair it there")];
        }
    };
    let mut all = vec![check("ok", "settings", shown.to_string())];
    if present.is_empty() {
        let none = check("error", "agents in Zed", "no entry starts SpecTask");
        all.push(hinted(none, SETUP));
    }
    for entry in present {
        let name = format!("agent {:?}", entry.key);
        let command = expanded(&entry.command);
        all.push(if same(&command, own) {
            check("ok", &name, entry.command)
        } else if which::which(&command).is_err() {
            let gone = check("error", &name, format!("{} is not there", entry.command));
            hinted(gone, SETUP)
        } else {
            let text = format!("starts {}, not this program", entry.command);
            hinted(check("warning", &name, text), SETUP)
        });
    }
    all.push(match server {
        Some(true) => check("ok", "context server", EXTENSION),
        Some(false) => {
            let off = check(
                "warning",
                "context server",
                format!("{EXTENSION} is switched off"),
            );
            hinted(
                off,
                "set its \"enabled\" to true if agents shall have SpecTask's tools",
            )
        }
        None => {
            let text = format!("{EXTENSION} is not in the settings, so Zed gives it to no agent");
            hinted(check("warning", "context server", text), SETUP)
        }
    });
    all
}

fn expanded(command: &str) -> PathBuf {
    match (command.strip_prefix("~/"), Machine::here()) {
        (Some(rest), Some(machine)) => machine.home.join(rest),
        _ => PathBuf::from(command),
    }
}

fn same(command: &Path, own: &Path) -> bool {
    let real = |path: &Path| fs::canonicalize(which::which(path).ok()?).ok();
    command == own || real(command).is_some_and(|command| Some(command) == real(own))
}

fn extension(place: &Place) -> DoctorCheck {
    let folder = place.extension(EXTENSION);
    let is_dev = fs::symlink_metadata(&folder).is_ok_and(|meta| meta.is_symlink());
    if !folder.exists() && !listed(&place.extension_index()) {
        let none = check(
            "warning",
            "extension",
            "the SpecTask extension is not installed",
        );
        return hinted(
            none,
            "in Zed, `zed: extensions`, search for SpecTask; slash commands in Zed's own agent come with it",
        );
    }
    if !folder.exists() {
        let text = format!("Zed lists it, but {} is gone", folder.display());
        let gone = check("error", "extension", text);
        return hinted(gone, "in Zed, `zed: extensions`, install SpecTask again");
    }
    let kind = if is_dev { " (dev extension)" } else { "" };
    check("ok", "extension", format!("{}{kind}", folder.display()))
}

/// Whether Zed's list of extensions has SpecTask's.
fn listed(index: &Path) -> bool {
    let read = || -> Option<Value> {
        let meta = fs::metadata(index).ok()?;
        if !meta.is_file() || meta.len() > INDEX_LIMIT {
            return None;
        }
        serde_json::from_reader(File::open(index).ok()?.take(INDEX_LIMIT)).ok()
    };
    read().is_some_and(|index| index["extensions"].get(EXTENSION).is_some())
}

/// The daemon, and the agents it finds.
async fn daemon(ctx: &Context) -> Vec<DoctorCheck> {
    let running = match connect::connect_if_running(&ctx.paths).await {
        Ok(running) => running,
        Err(CliError::Failure(failure)) => {
            let mut bad = check("error", "daemon", failure.message);
            bad.hint = failure.hint;
            return vec![bad];
        }
        Err(error) => return vec![check("error", "daemon", format!("{error:?}"))],
    };
    let Some(daemon) = running else {
        let idle = check(
            "ok",
            "daemon",
            "does not run; it starts with the first thread",
        );
        return vec![idle];
    };
    let (theirs, ours) = (&daemon.view.version, env!("CARGO_PKG_VERSION"));
    if theirs != ours {
        let text = format!("SpecTask {theirs} runs, this is {ours}");
        let other = check("warning", "daemon", text);
        return vec![hinted(other, "spectask daemon restart --drain")];
    }
    let mut all = vec![check("ok", "daemon", format!("SpecTask {theirs} runs"))];
    let params = AgentListParams {
        environment: environment(),
    };
    all.push(match daemon.call(AgentListAll, params).await {
        Ok(list) => {
            let found = list.agents.iter();
            let found = found.filter(|agent| agent.available && agent.source != "built-in");
            let names: Vec<_> = found.map(|agent| agent.name.as_str()).collect();
            if names.is_empty() {
                let none = check("warning", "agents", "only the built-in example was found");
                hinted(none, "`spectask agents` says how to install one")
            } else {
                check("ok", "agents", names.join(", "))
            }
        }
        Err(CliError::Failure(failure)) => check("error", "agents", failure.message),
        Err(error) => check("error", "agents", format!("{error:?}")),
    });
    all
}

/// The databases in which Zed lists its threads.
fn threads(place: &Place) -> DoctorCheck {
    let name = "threads of Zed";
    let is_database = |path: &Path| {
        let mut head = [0; 16];
        let read = File::open(path).and_then(|mut file| file.read_exact(&mut head));
        read.is_ok() && head == *b"SQLite format 3\0"
    };
    let there: Vec<_> = place
        .databases()
        .into_iter()
        .filter(|(_, path)| path.is_file())
        .collect();
    let names = |all: &[(_, PathBuf)]| {
        let all = all.iter().map(|(_, path)| path.display().to_string());
        all.collect::<Vec<_>>().join(", ")
    };
    if there.is_empty() {
        let text = format!("Zed has no database in {} yet", place.data.display());
        let none = check("warning", name, text);
        return hinted(
            none,
            "start Zed once; its own threads cannot be seen before",
        );
    }
    let (good, bad): (Vec<_>, Vec<_>) = there.into_iter().partition(|(_, path)| is_database(path));
    if bad.is_empty() {
        check("ok", name, names(&good))
    } else {
        let text = format!("cannot be read: {}", names(&bad));
        hinted(
            check("warning", name, text),
            "Zed's own threads are not seen",
        )
    }
}
