//! Finds the agents of this machine.

use std::ffi::OsStr;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::known::{EXAMPLE_PROGRAM, known, own_program};
use super::profile::Profile;
use super::zed;

/// An agent that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// How to start it, under a name that no other found agent has.
    pub profile: Profile,
    /// Where it was found.
    pub source: Source,
    /// Its program.
    pub executable: PathBuf,
}

/// Where an agent was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// On PATH.
    Path,
    /// In this `settings.json` of Zed.
    ZedSettings(PathBuf),
    /// In this data folder of Zed, which installed it.
    ZedFolder(PathBuf),
    /// It is SpecTask itself.
    BuiltIn,
}

/// Finds agents on `path` (a PATH; `None` for none), in Zed's settings files, and in Zed's data
/// folders, in this order, and the built-in example last. The first of a name wins. Files that are
/// missing or broken are passed over. Nothing is started.
#[must_use]
pub fn discover(
    path: Option<&OsStr>,
    zed_settings: &[PathBuf],
    zed_data: &[PathBuf],
) -> Vec<Found> {
    let mut all: Vec<Found> = Vec::new();
    let mut add = |found: Found| {
        if !found.profile.name.is_empty()
            && !all.iter().any(|f| f.profile.name == found.profile.name)
        {
            all.push(found);
        }
    };
    for known in known() {
        let program = known
            .argv
            .first()
            .filter(|&&program| program != EXAMPLE_PROGRAM);
        if let Some(executable) = program.and_then(|program| on_path(program, path)) {
            add(Found {
                profile: known.profile(),
                source: Source::Path,
                executable,
            });
        }
    }
    for file in zed_settings {
        for profile in zed::from_settings(&read_settings(file)) {
            let program = profile.command.first().map_or("", String::as_str);
            if let Some(executable) = on_path(&expand_home(program), path) {
                add(Found {
                    profile,
                    source: Source::ZedSettings(file.clone()),
                    executable,
                });
            }
        }
    }
    for folder in zed_data {
        for installed in zed::installed(folder) {
            let mut profile = installed.known.profile();
            let executable = installed.executable;
            let needs_node = executable
                .components()
                .any(|c| c.as_os_str() == "node_modules");
            let mut argv = vec![executable.display().to_string()];
            if needs_node && on_path("node", path).is_none() {
                let Some(node) = zed::node(folder) else {
                    continue;
                };
                argv.insert(0, node.display().to_string());
            }
            argv.extend(profile.command.drain(1..));
            profile.command = argv;
            add(Found {
                profile,
                source: Source::ZedFolder(folder.clone()),
                executable,
            });
        }
    }
    if let (Some(example), Some(executable)) = (known().last(), own_program()) {
        add(Found {
            profile: example.profile(),
            source: Source::BuiltIn,
            executable,
        });
    }
    all
}

fn on_path(program: &str, path: Option<&OsStr>) -> Option<PathBuf> {
    // A relative name with a folder in it would depend on where one stands.
    let is_bare = Path::new(program).components().count() == 1;
    if !is_bare && !Path::new(program).is_absolute() {
        return None;
    }
    which::which_in_global(program, path).ok()?.next()
}

fn expand_home(program: &str) -> String {
    match (program.strip_prefix("~/"), directories::BaseDirs::new()) {
        (Some(rest), Some(dirs)) => dirs.home_dir().join(rest).display().to_string(),
        _ => program.to_owned(),
    }
}

fn read_settings(file: &Path) -> String {
    const MAX_SETTINGS: u64 = 4 * 1024 * 1024;
    let mut text = String::new();
    let is_file = file.metadata().is_ok_and(|meta| meta.is_file());
    if let Some(Ok(open)) = is_file.then(|| std::fs::File::open(file)) {
        let _ = open.take(MAX_SETTINGS).read_to_string(&mut text);
    }
    text
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    fn program(path: &Path) -> PathBuf {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "#!/bin/sh\n").unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        path.to_owned()
    }

    fn names(found: &[Found]) -> Vec<&str> {
        found
            .iter()
            .map(|found| found.profile.name.as_str())
            .collect()
    }

    #[test]
    fn agents_on_path_in_order_of_preference() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["opencode", "gemini", "claude-agent-acp", "unrelated"] {
            program(&dir.path().join(name));
        }
        fs::write(dir.path().join("codex-acp"), "not executable").unwrap();
        let found = discover(Some(dir.path().as_os_str()), &[], &[]);
        assert_eq!(names(&found), ["claude", "gemini", "opencode", "example"]);
        assert_eq!(found[1].profile.command, ["gemini", "--acp"]);
        assert_eq!(found[1].source, Source::Path);
        assert_eq!(found[1].executable, dir.path().join("gemini"));
        assert_eq!(found[3].source, Source::BuiltIn);
        assert_eq!(names(&discover(None, &[], &[])), ["example"]);
    }

    #[test]
    fn agents_in_zeds_settings() {
        let dir = tempfile::tempdir().unwrap();
        let agent = program(&dir.path().join("agent"));
        let own = program(&dir.path().join("spectask"));
        let settings = dir.path().join("settings.json");
        let text = format!(
            r#"{{
                // An agent of one's own.
                "agent_servers": {{
                    "My Agent": {{
                        "type": "custom", "command": "{0}", "args": ["--acp",],
                        "env": {{"KEY": "v"}}, "default_mode": "plan",
                    }},
                    "older": {{"command": "{0}"}},
                    "gone": {{"command": "/no/such/program"}},
                    "relative": {{"command": "./agent"}},
                    "registry": {{"type": "registry", "env": {{}}}},
                    "SpecTask": {{"type": "custom", "command": "{1}", "args": ["acp"]}},
                }},
            }}"#,
            agent.display(),
            own.display()
        );
        fs::write(&settings, text).unwrap();
        let found = discover(None, &[dir.path().join("absent"), settings.clone()], &[]);
        assert_eq!(names(&found), ["my-agent", "older", "example"]);
        let profile = &found[0].profile;
        assert_eq!(profile.command, [agent.to_str().unwrap(), "--acp"]);
        assert_eq!(profile.set.get("KEY").map(String::as_str), Some("v"));
        assert_eq!(profile.mode.as_deref(), Some("plan"));
        assert_eq!(found[0].source, Source::ZedSettings(settings.clone()));
        for broken in ["", "{", "[]", r#"{"agent_servers": 3}"#, "\u{0}"] {
            fs::write(&settings, broken).unwrap();
            assert_eq!(
                names(&discover(None, std::slice::from_ref(&settings), &[])),
                ["example"]
            );
        }
    }

    #[test]
    fn agents_that_zed_installed() {
        let dir = tempfile::tempdir().unwrap();
        let agents = dir.path().join("external_agents");
        let codex = program(&agents.join("registry/codex-acp/v_1.0_ab/codex-acp"));
        let gemini = program(&agents.join("gemini/0.9.0/node_modules/.bin/gemini"));
        program(&agents.join("gemini/0.9.0/node_modules/some-package/bin/qwen"));
        let data = [dir.path().to_owned()];
        let found = discover(None, &[], &data);
        assert_eq!(
            names(&found),
            ["codex", "example"],
            "a script without Node.js is of no use"
        );
        assert_eq!(found[0].profile.command, [codex.to_str().unwrap()]);

        let node = program(&dir.path().join("node/node-v24.11.0-linux-x64/bin/node"));
        let found = discover(None, &[], &data);
        assert_eq!(names(&found), ["codex", "gemini", "example"]);
        let expected = [node.to_str().unwrap(), gemini.to_str().unwrap(), "--acp"];
        assert_eq!(found[1].profile.command, expected);
        assert_eq!(found[1].source, Source::ZedFolder(dir.path().to_owned()));
    }
}
