//! Agents in Zed's settings and folders.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::known::{Known, by_program, known};
use super::profile::Profile;

/// The agents that `agent_servers` of a `settings.json` gives a command for. Comments and trailing
/// commas are fine; what cannot be read counts as empty.
pub(super) fn from_settings(text: &str) -> Vec<Profile> {
    let settings: Value =
        jsonc_parser::parse_to_serde_value(text, &jsonc_parser::ParseOptions::default())
            .unwrap_or(Value::Null);
    let servers = settings.get("agent_servers").and_then(Value::as_object);
    servers
        .into_iter()
        .flatten()
        .filter_map(|(name, server)| from_server(name, server))
        .collect()
}

fn from_server(name: &str, server: &Value) -> Option<Profile> {
    let command = server
        .get("command")?
        .as_str()
        .filter(|command| !command.is_empty())?;
    // SpecTask's own entry would start SpecTask as its own agent.
    if Path::new(command).file_stem() == Some(OsStr::new("spectask")) {
        return None;
    }
    let args = server
        .get("args")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    let mut argv = vec![command];
    argv.extend(args.filter_map(Value::as_str));
    let mut profile = Profile::new(&profile_name(name), &argv);
    let env = server
        .get("env")
        .and_then(Value::as_object)
        .into_iter()
        .flatten();
    profile.set = env
        .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
        .collect::<BTreeMap<_, _>>();
    profile.mode = server
        .get("default_mode")
        .and_then(Value::as_str)
        .map(str::to_owned);
    Some(profile)
}

/// A name that is easy to type, from one that may be `My Agent`.
fn profile_name(name: &str) -> String {
    let plain = name.chars().map(|c| {
        if c.is_alphanumeric() || "-_.".contains(c) {
            c
        } else {
            '-'
        }
    });
    plain.collect::<String>().trim_matches('-').to_lowercase()
}

/// An agent that Zed installed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Installed {
    pub(super) known: &'static Known,
    pub(super) executable: PathBuf,
}

/// How deep below `external_agents` a program may be:
/// `NAME/VERSION/node_modules/.bin/PROGRAM`, `registry/NAME/v_VERSION/folder/PROGRAM`.
const MAX_DEPTH: usize = 6;
const MAX_ENTRIES: usize = 20_000;

/// The known agents in Zed's data folder; of several versions the newest file counts.
pub(super) fn installed(data: &Path) -> Vec<Installed> {
    let mut newest: BTreeMap<&str, (std::time::SystemTime, Installed)> = BTreeMap::new();
    let mut folders = vec![(data.join("external_agents"), 0)];
    let mut seen = 0;
    while let Some((folder, depth)) = folders.pop() {
        let Ok(entries) = folder.read_dir() else {
            continue;
        };
        for entry in entries.flatten() {
            seen += 1;
            if seen > MAX_ENTRIES {
                break;
            }
            let path = entry.path();
            let Ok(kind) = entry.file_type() else {
                continue;
            };
            if kind.is_dir() {
                // Of the packages themselves only the commands matter.
                let skip = folder.ends_with("node_modules") && entry.file_name() != ".bin";
                if depth < MAX_DEPTH && !skip {
                    folders.push((path, depth + 1));
                }
                continue;
            }
            let known = entry.file_name().to_str().and_then(by_program);
            let Some(known) = known.filter(|known| known.name != "example") else {
                continue;
            };
            let Ok(meta) = path.metadata() else { continue };
            if !meta.is_file()
                || which::which_in_global(&path, None::<&OsStr>)
                    .map_or(true, |mut found| found.next().is_none())
            {
                continue;
            }
            let time = meta.modified().unwrap_or(std::time::UNIX_EPOCH);
            if newest
                .get(known.name)
                .is_none_or(|(other, _)| *other < time)
            {
                newest.insert(
                    known.name,
                    (
                        time,
                        Installed {
                            known,
                            executable: path,
                        },
                    ),
                );
            }
        }
    }
    let mut all: Vec<Installed> = newest
        .into_values()
        .map(|(_, installed)| installed)
        .collect();
    all.sort_by_key(|one| {
        known()
            .iter()
            .position(|known| known.name == one.known.name)
    });
    all
}

/// The newest of Zed's own Node.js, for agents written for it on a machine that has none.
pub(super) fn node(data: &Path) -> Option<PathBuf> {
    let program = if cfg!(windows) {
        "node.exe"
    } else {
        "bin/node"
    };
    let folders = data.join("node").read_dir().ok()?;
    let nodes = folders.flatten().map(|entry| entry.path().join(program));
    nodes.filter(|node| node.is_file()).max_by_key(|node| {
        node.metadata()
            .and_then(|meta| meta.modified())
            .unwrap_or(std::time::UNIX_EPOCH)
    })
}
