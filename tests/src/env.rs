//! A hermetic place to run the product in.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use serde_json::Value;

/// What every child keeps of this process's environment: the search path and what Windows programs
/// cannot start without.
pub fn passed_through() -> impl Iterator<Item = (String, OsString)> {
    [
        "PATH",
        "SystemRoot",
        "SystemDrive",
        "ComSpec",
        "PATHEXT",
        "TEMP",
        "TMP",
        "LLVM_PROFILE_FILE",
    ]
    .into_iter()
    .filter_map(|name| Some((name.to_owned(), std::env::var_os(name)?)))
}

/// The product's binary: `SPECTASK_BIN`, else the one cargo builds beside this test, brought up to
/// date once per process.
///
/// # Panics
/// When it cannot be built.
pub fn spectask_bin() -> &'static Path {
    static BIN: OnceLock<PathBuf> = OnceLock::new();
    BIN.get_or_init(|| {
        if let Some(bin) = std::env::var_os("SPECTASK_BIN") {
            return PathBuf::from(bin);
        }
        build("spectask", "spectask")
    })
}

/// The adversary agent, built with this crate.
///
/// # Panics
/// When it cannot be built.
pub fn adversary_bin() -> &'static Path {
    static BIN: OnceLock<PathBuf> = OnceLock::new();
    BIN.get_or_init(|| build("spectask-tests", "adversary"))
}

/// The echo agent, built with this crate.
///
/// # Panics
/// When it cannot be built.
pub fn echo_agent_bin() -> &'static Path {
    static BIN: OnceLock<PathBuf> = OnceLock::new();
    BIN.get_or_init(|| build("spectask-tests", "echo-agent"))
}

fn build(package: &str, bin: &str) -> PathBuf {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--quiet", "--package", package, "--bin", bin]);
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    command.current_dir(workspace());
    let status = command.status().expect("cargo can be started");
    assert!(status.success(), "{package} does not build");
    let test = std::env::current_exe().expect("the test's own path is known");
    // target/debug/deps/main-0123 -> target/debug/spectask
    let profile = test
        .ancestors()
        .find(|folder| folder.file_name() == Some(OsStr::new("deps")))
        .and_then(Path::parent)
        .expect("tests run from a deps folder");
    let bin = profile.join(format!("{bin}{}", std::env::consts::EXE_SUFFIX));
    assert!(bin.is_file(), "cargo built no {}", bin.display());
    bin
}

/// The root of this repository.
#[must_use]
pub fn workspace() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().expect("the crate has a parent").to_owned()
}

/// A home, a git configuration, a data and a configuration directory of its own. Stops the daemon
/// it may have started when dropped.
pub struct TestEnv {
    folder: tempfile::TempDir,
    extra: BTreeMap<String, OsString>,
}

impl TestEnv {
    /// An empty environment below the system's temporary directory (short, for socket paths).
    ///
    /// # Panics
    /// When the folders cannot be made.
    #[must_use]
    pub fn new() -> Self {
        let folder = tempfile::Builder::new()
            .prefix("st-")
            .tempdir()
            .expect("a temporary directory");
        let env = Self {
            folder,
            extra: BTreeMap::new(),
        };
        for part in [env.home(), env.data_dir(), env.config_dir()] {
            fs::create_dir_all(part).expect("a folder of the environment");
        }
        let git = "[user]\n\tname = Test Person\n\temail = person@example.invalid\n\
                   [init]\n\tdefaultBranch = main\n[commit]\n\tgpgSign = false\n\
                   [safe]\n\tdirectory = *\n[gc]\n\tauto = 0\n[advice]\n\tdetachedHead = false\n";
        fs::write(env.git_config(), git).expect("git configuration");
        env
    }

    /// The environment's own folder; everything else lies below it.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        // macOS: /var is a link, and paths are compared.
        fs::canonicalize(self.folder.path()).unwrap_or_else(|_| self.folder.path().to_owned())
    }

    /// `HOME`.
    #[must_use]
    pub fn home(&self) -> PathBuf {
        self.folder().join("home")
    }

    /// `SPECTASK_DATA_DIR`.
    #[must_use]
    pub fn data_dir(&self) -> PathBuf {
        self.folder().join("data")
    }

    /// `SPECTASK_CONFIG`.
    #[must_use]
    pub fn config_dir(&self) -> PathBuf {
        self.folder().join("config")
    }

    fn git_config(&self) -> PathBuf {
        self.home().join("gitconfig")
    }

    /// Sets one more variable for every command from now on.
    pub fn set(&mut self, name: &str, value: impl Into<OsString>) {
        self.extra.insert(name.to_owned(), value.into());
    }

    /// Writes `config.toml` in the configuration directory.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn write_config(&self, toml: &str) {
        fs::write(self.config_dir().join("config.toml"), toml).expect("configuration");
    }

    /// A command that sees nothing of the person's own environment.
    #[must_use]
    pub fn command(&self, program: impl AsRef<OsStr>, cwd: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(cwd).env_clear().envs(passed_through());
        let home = self.home();
        command
            .env("HOME", &home)
            .env("USERPROFILE", &home)
            .env("XDG_CONFIG_HOME", home.join(".config"))
            .env("XDG_DATA_HOME", home.join(".local/share"))
            .env("XDG_STATE_HOME", home.join(".local/state"))
            .env("XDG_CACHE_HOME", home.join(".cache"))
            .env("GIT_CONFIG_GLOBAL", self.git_config())
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("SPECTASK_DATA_DIR", self.data_dir())
            .env("SPECTASK_CONFIG", self.config_dir().join("config.toml"))
            .env("LC_ALL", "C.UTF-8")
            .env("NO_COLOR", "1")
            .envs(&self.extra);
        command
    }

    /// `spectask` with `args`, ready to run in `cwd`.
    #[must_use]
    pub fn spectask(&self, cwd: &Path, args: &[&str]) -> Command {
        let mut command = self.command(spectask_bin(), cwd);
        command.args(args).stdin(Stdio::null());
        command
    }

    /// Runs `spectask` to its end.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn run(&self, cwd: &Path, args: &[&str]) -> Run {
        let output = self.spectask(cwd, args).output().expect("spectask starts");
        Run::new(args, &output)
    }

    /// Runs `spectask` with `--json` and reads its one JSON document.
    ///
    /// # Panics
    /// When it fails or prints anything else.
    #[must_use]
    pub fn json(&self, cwd: &Path, args: &[&str]) -> Value {
        let mut args = args.to_vec();
        args.push("--json");
        let run = self.run(cwd, &args).ok();
        serde_json::from_str(&run.stdout)
            .unwrap_or_else(|error| panic!("{args:?} printed no JSON: {error}\n{}", run.stdout))
    }

    /// Follows a command that prints one JSON value per line, such as `watch --json`.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn follow(&self, cwd: &Path, args: &[&str]) -> Follow {
        Follow::start(self.spectask(cwd, args))
    }

    /// Fails the test unless `git fsck` finds nothing. What it says must last: the daemon works while
    /// tests look, git writes and removes the `HEAD` of a worktree apart from the rest, and objects of
    /// history move from files into packs while `git fsck` has its list of both.
    ///
    /// # Panics
    /// When an object is missing or broken.
    pub fn fsck(&self, dir: &Path) {
        let until = Instant::now() + Duration::from_secs(10);
        loop {
            let args = ["fsck", "--strict", "--no-dangling", "--no-progress"];
            let run = self.run_git(dir, &args);
            if run.code != Some(0) && Instant::now() < until {
                std::thread::sleep(Duration::from_millis(100));
                continue;
            }
            let _ = run.ok();
            return;
        }
    }

    /// Runs git in `cwd` and returns its trimmed output.
    ///
    /// # Panics
    /// When git fails.
    #[must_use]
    pub fn git(&self, cwd: &Path, args: &[&str]) -> String {
        self.run_git(cwd, args).ok().stdout.trim_end().to_owned()
    }

    /// Runs git in `cwd`, whatever comes of it.
    ///
    /// # Panics
    /// When git cannot be started.
    #[must_use]
    pub fn run_git(&self, cwd: &Path, args: &[&str]) -> Run {
        let output = self.command("git", cwd).args(args).output();
        Run::new(args, &output.expect("git starts"))
    }

    /// The id of the running daemon, asked from `spectask daemon status --json`.
    #[must_use]
    pub fn daemon_pid(&self) -> Option<u32> {
        let run = self.run(&self.home(), &["daemon", "status", "--json"]);
        let status: Value = serde_json::from_str(&run.stdout).ok()?;
        u32::try_from(status["pid"].as_u64()?).ok()
    }
}

impl Default for TestEnv {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for TestEnv {
    fn drop(&mut self) {
        if fs::read_dir(self.data_dir()).is_ok_and(|mut entries| entries.next().is_none()) {
            return;
        }
        let pid = self.daemon_pid();
        let stop = self.spectask(&self.home(), &["daemon", "stop"]).output();
        if let (Some(pid), false) = (pid, stop.is_ok_and(|output| output.status.success())) {
            kill(pid);
        }
    }
}

/// Ends process `pid` at once, as `kill -9` does. Whether it was there.
///
/// # Panics
/// When the system's own tool for it cannot be started.
pub fn kill(pid: u32) -> bool {
    let mut command = if cfg!(windows) {
        let mut command = Command::new("taskkill");
        command.args(["/F", "/PID"]);
        command
    } else {
        let mut command = Command::new("kill");
        command.arg("-9");
        command
    };
    let output = command.arg(pid.to_string()).output();
    output.expect("the kill command starts").status.success()
}

/// A finished command.
#[derive(Clone, Debug)]
pub struct Run {
    /// Its arguments.
    pub args: Vec<String>,
    /// Exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// What it printed.
    pub stdout: String,
    /// What it complained of.
    pub stderr: String,
}

impl Run {
    fn new(args: &[&str], output: &Output) -> Self {
        Self {
            args: args.iter().map(|arg| (*arg).to_owned()).collect(),
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// The run itself, if it succeeded.
    ///
    /// # Panics
    /// When it failed; the message has all it printed.
    #[must_use]
    pub fn ok(self) -> Self {
        assert!(self.code == Some(0), "{self:#?}");
        self
    }
}

/// A command that prints JSON lines while it runs; killed when dropped.
pub struct Follow {
    child: Child,
    lines: Receiver<Value>,
    /// Lines seen so far, in order.
    pub seen: Vec<Value>,
}

impl Follow {
    fn start(mut command: Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .spawn()
            .expect("the followed command starts");
        let stdout = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                let value = serde_json::from_str(&line).unwrap_or(Value::String(line));
                if sender.send(value).is_err() {
                    break;
                }
            }
        });
        Self {
            child,
            lines,
            seen: Vec::new(),
        }
    }

    /// Waits for a line that is `wanted`; lines seen before count.
    ///
    /// # Panics
    /// When the command ends or `limit` passes first; the message has the last lines.
    pub fn wait_for(&mut self, limit: Duration, wanted: impl Fn(&Value) -> bool) -> Value {
        if let Some(found) = self.seen.iter().find(|value| wanted(value)) {
            return found.clone();
        }
        self.wait_for_next(limit, wanted)
    }

    /// Waits for a line that is `wanted` and was not seen before.
    ///
    /// # Panics
    /// When the command ends or `limit` passes first; the message has the last lines.
    pub fn wait_for_next(&mut self, limit: Duration, wanted: impl Fn(&Value) -> bool) -> Value {
        let until = Instant::now() + limit;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let Ok(value) = self.lines.recv_timeout(left) else {
                let from = self.seen.len().saturating_sub(20);
                panic!(
                    "not seen in {limit:?}; the last lines: {:#?}",
                    &self.seen[from..]
                );
            };
            self.seen.push(value.clone());
            if wanted(&value) {
                return value;
            }
        }
    }
}

/// What a followed command did next.
#[derive(Clone, Debug)]
pub enum Next {
    /// It printed a line.
    Line(Value),
    /// It ended.
    Ended,
    /// Nothing, in the time given.
    Nothing,
}

impl Follow {
    /// The next line, if one comes in time.
    pub fn next(&mut self, limit: Duration) -> Next {
        match self.lines.recv_timeout(limit) {
            Ok(value) => {
                self.seen.push(value.clone());
                Next::Line(value)
            }
            Err(RecvTimeoutError::Disconnected) => Next::Ended,
            Err(RecvTimeoutError::Timeout) => Next::Nothing,
        }
    }
}

impl Drop for Follow {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The JSON values of a file with one on each line; none when the file is not there yet.
///
/// # Panics
/// When a line is no JSON.
#[must_use]
pub fn json_lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let parse = |line| serde_json::from_str(line).expect("one JSON value on each line");
    text.lines().map(parse).collect()
}
