//! What the end-to-end tests of the product share.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use spectask_tests::{AgentCommand, Run, TestEnv, documents, spectask_bin};

/// How long anything may take on a busy machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(90);

/// An agent profile that starts this command with these fixed variables; `more` are lines of TOML.
pub(crate) fn profile(name: &str, agent: &AgentCommand, more: &str) -> String {
    let quoted = |text: &str| Value::from(text).to_string();
    let command: Vec<_> = agent.argv.iter().map(|word| quoted(word)).collect();
    let set: Vec<_> = agent
        .env
        .iter()
        .map(|(name, value)| format!("{} = {}", quoted(name), quoted(value)))
        .collect();
    format!(
        "[agents.{name}]\ncommand = [{}]\nset = {{ {} }}\n{more}\n",
        command.join(", "),
        set.join(", ")
    )
}

/// The built-in example agent under another name.
pub(crate) fn example_profile(name: &str, more: &str) -> String {
    let argv = vec![
        spectask_bin().to_string_lossy().into_owned(),
        "example-agent".to_owned(),
    ];
    let agent = AgentCommand {
        argv,
        env: std::collections::BTreeMap::new(),
    };
    profile(name, &agent, more)
}

/// An environment in which the example agent does everything, without pauses.
pub(crate) fn example_env() -> TestEnv {
    let mut env = TestEnv::new();
    env.set("SPECTASK_EXAMPLE_PACE_MS", "0");
    env.write_config("default_agent = \"example\"\n");
    env
}

/// Runs `spectask`, which must end with this exit code.
pub(crate) fn expect(env: &TestEnv, cwd: &Path, code: i32, args: &[&str]) -> Run {
    let run = env.run(cwd, args);
    assert_eq!(run.code, Some(code), "{run:#?}");
    run
}

/// The same with `--json`: the exit code, and the document that it printed.
pub(crate) fn expect_json(env: &TestEnv, cwd: &Path, code: i32, args: &[&str]) -> Value {
    let mut args = args.to_vec();
    args.push("--json");
    let run = expect(env, cwd, code, &args);
    serde_json::from_str(&run.stdout).unwrap_or_else(|error| panic!("{error}: {run:#?}"))
}

/// Runs a command to its end and returns its exit code and output.
pub(crate) fn finish(mut command: Command) -> (Option<i32>, String, String) {
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        output.status.code(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

/// Everything about a SpecTask.
pub(crate) fn show(env: &TestEnv, cwd: &Path, task: &str) -> Value {
    env.json(cwd, &["show", task])
}

pub(crate) fn status(env: &TestEnv, cwd: &Path, task: &str) -> String {
    show(env, cwd, task)["task"]["status"]
        .as_str()
        .unwrap()
        .to_owned()
}

/// Elements of a JSON array.
pub(crate) fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// The kind of what a SpecTask's sessions wait for, in their order.
pub(crate) fn waits(overview: &Value) -> Vec<&str> {
    list(&overview["sessions"])
        .iter()
        .filter_map(|session| session["waiting"]["kind"].as_str())
        .collect()
}

/// Every event of a SpecTask, oldest first.
pub(crate) fn events(env: &TestEnv, cwd: &Path, task: &str) -> Vec<Value> {
    let run = env.run(cwd, &["watch", task, "--from", "1", "--json"]);
    let lines = run.stdout.lines().map(|line| {
        serde_json::from_str::<Value>(line).unwrap_or_else(|error| panic!("{error}: {line}"))
    });
    lines
        .filter(|event| event["kind"] != "watch_ended")
        .collect()
}

/// Puts these texts in place of the documents, as a person with an editor does.
pub(crate) fn edit(env: &TestEnv, cwd: &Path, task: &str, texts: &[(&str, &str)]) -> Value {
    let folder = env.folder().join("edited");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    for (name, text) in texts {
        fs::write(folder.join(name), text).unwrap();
    }
    let script = env.folder().join("editor.sh");
    let text = format!(
        "for file; do\n  name=$(basename \"$file\")\n  [ ! -f '{0}'/$name ] || cp '{0}'/$name \"$file\"\ndone\n",
        folder.display()
    );
    fs::write(&script, text).unwrap();
    let mut command = env.spectask(cwd, &["edit", task, "--json"]);
    command.env("EDITOR", format!("sh '{}'", script.display()));
    let (code, stdout, stderr) = finish(command);
    assert_eq!(code, Some(0), "{stdout}\n{stderr}");
    serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error}: {stdout}"))
}

/// A task of a plan: the lines below its title.
pub(crate) type Entry<'a> = &'a [&'a str];

/// A `tasks.md` of these tasks; the last serves every criterion.
pub(crate) fn tasks_md(entries: &[Entry<'_>]) -> String {
    let mut text = "# Implementation Plan: Notes\n\n".to_owned();
    let mut waves = [Vec::new(), Vec::new()];
    for (index, lines) in entries.iter().enumerate() {
        let number = index + 1;
        let _ = writeln!(text, "- [ ] {number}. Part {number}");
        for line in *lines {
            let _ = writeln!(text, "  - {line}");
        }
        let served = if number == entries.len() {
            "1.1, 1.2, 2.1"
        } else {
            "1.1"
        };
        let _ = writeln!(text, "  - _Requirements: {served}_\n");
        let later = lines.iter().any(|line| line.contains("_Depends:"));
        waves[usize::from(later)].push(number.to_string());
    }
    let waves: Vec<Value> = waves
        .iter()
        .enumerate()
        .filter(|(_, tasks)| !tasks.is_empty())
        .map(|(id, tasks)| serde_json::json!({"id": id, "tasks": tasks}))
        .collect();
    let graph = serde_json::json!({ "waves": waves });
    let _ = write!(text, "## Task Dependency Graph\n\n```json\n{graph}\n```\n");
    text
}

/// Plans a SpecTask and puts a plan of these tasks in place of the agent's. Returns its number.
pub(crate) fn planned(env: &TestEnv, cwd: &Path, new: &[&str], entries: &[Entry<'_>]) -> String {
    let mut args = vec!["new", "Keep notes", "--no-wait"];
    args.extend(new);
    let created = env.json(cwd, &args);
    let task = created["number"].to_string();
    expect(env, cwd, 0, &["watch", &task]);
    let requirements = documents::requirements("Keep notes", true);
    let texts = [
        ("requirements.md", requirements.as_str()),
        ("design.md", &documents::design(&[])),
        ("tasks.md", &tasks_md(entries)),
    ];
    let kept = edit(env, cwd, &task, &texts);
    let errors = list(&kept["findings"])
        .iter()
        .filter(|finding| finding["severity"] == "error")
        .count();
    assert_eq!(errors, 0, "{:#}", kept["findings"]);
    task
}

/// Whether a process is there.
pub(crate) fn is_alive(pid: u32) -> bool {
    let mut command = Command::new("kill");
    command.args(["-0", &pid.to_string()]).stderr(Stdio::null());
    command.status().unwrap().success()
}

/// Waits until a process is gone.
pub(crate) fn gone(pid: u32, limit: Duration) {
    let start = Instant::now();
    while is_alive(pid) {
        assert!(start.elapsed() < limit, "process {pid} is still there");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A command that says when it runs and then does nothing until it is ended.
pub(crate) struct Hold {
    fifo: PathBuf,
    /// The command line.
    pub(crate) command: String,
}

impl Hold {
    pub(crate) fn new(env: &TestEnv) -> Self {
        let fifo = env.folder().join("hold.fifo");
        let script = env.folder().join("hold.sh");
        assert!(
            Command::new("mkfifo")
                .arg(&fifo)
                .status()
                .unwrap()
                .success()
        );
        let text = format!("echo $$ > '{}'\nexec sleep 300\n", fifo.display());
        fs::write(&script, text).unwrap();
        Self {
            fifo,
            command: format!("sh {}", script.display()),
        }
    }

    /// Waits until it runs, and returns its process.
    pub(crate) fn pid(&self) -> u32 {
        let fifo = self.fifo.clone();
        let (sender, receiver) = std::sync::mpsc::channel();
        std::thread::spawn(move || sender.send(fs::read_to_string(fifo)));
        let text = receiver.recv_timeout(LIMIT).expect("the command runs");
        text.unwrap().trim().parse().unwrap()
    }
}
