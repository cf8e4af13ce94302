//! What the tests of editor threads share.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;
use spectask_tests::acp::Frame;
use spectask_tests::editor::{PATIENCE, ZedEditor};
use spectask_tests::env::{echo_agent_bin, json_lines, kill};
use spectask_tests::processes::{self, Process};
use spectask_tests::{SampleRepo, TestEnv, schema};

/// A project with an echo agent.
pub(crate) struct Place {
    pub(crate) env: TestEnv,
    pub(crate) project: PathBuf,
    without: &'static str,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self::without("")
    }

    /// The agent does not offer some things.
    pub(crate) fn without(without: &'static str) -> Self {
        let mut env = TestEnv::new();
        env.set("SPECTASK_EXAMPLE_PACE_MS", "0");
        let repo = SampleRepo::new(&env, "project")
            .file("notes.txt", "one\ntwo\nthree\n")
            .commit("Notes");
        let project = repo.path().to_owned();
        Self {
            env,
            project,
            without,
        }
    }

    pub(crate) fn log_path(&self) -> PathBuf {
        self.env.folder().join("echo.log")
    }

    fn agent(&self) -> Vec<String> {
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let mut argv = vec![
            text(echo_agent_bin()),
            "--state".to_owned(),
            text(&self.env.folder().join("echo-state")),
            "--log".to_owned(),
            text(&self.log_path()),
        ];
        if !self.without.is_empty() {
            argv.extend(["--without".to_owned(), self.without.to_owned()]);
        }
        argv
    }

    /// The echo agent under a name, which is the one that is used when none is named.
    pub(crate) fn configure(&self, name: &str) {
        let quoted: Vec<String> = self
            .agent()
            .iter()
            .map(|word| Value::from(word.as_str()).to_string())
            .collect();
        self.env.write_config(&format!(
            "default_agent = \"{name}\"\n[agents.{name}]\ncommand = [{}]\n",
            quoted.join(", ")
        ));
    }

    /// A window of an entry with other words than the agent's command.
    pub(crate) fn editor_of(&self, args: &[&str]) -> ZedEditor {
        ZedEditor::open(&self.env, &self.project, args)
    }

    /// A window whose agent is the echo agent behind the product.
    pub(crate) fn editor(&self) -> ZedEditor {
        let agent = self.agent();
        let args: Vec<&str> = std::iter::once("--")
            .chain(agent.iter().map(String::as_str))
            .collect();
        ZedEditor::open(&self.env, &self.project, &args)
    }

    /// A window whose agent is the echo agent itself.
    pub(crate) fn direct(&self) -> ZedEditor {
        let agent = self.agent();
        let argv: Vec<&str> = agent.iter().map(String::as_str).collect();
        ZedEditor::open_directly(&self.env, &self.project, &argv)
    }

    /// Frames between the product and the agent so far: way and frame.
    pub(crate) fn log(&self) -> Vec<(String, Value)> {
        let mut lines = json_lines(&self.log_path());
        lines
            .iter_mut()
            .map(|line| {
                (
                    line["dir"].as_str().unwrap().to_owned(),
                    line["frame"].take(),
                )
            })
            .collect()
    }

    /// Parameters of what the agent was asked with a method.
    pub(crate) fn asked(&self, method: &str) -> Vec<Value> {
        let asked = self.log().into_iter();
        asked
            .filter(|(dir, frame)| dir == "in" && frame["method"] == method)
            .map(|(_, mut frame)| frame["params"].take())
            .collect()
    }

    fn processes(&self, wanted: impl Fn(&Process) -> bool) -> Vec<u32> {
        let all = processes::of_data_dir(&self.env.data_dir());
        all.iter()
            .filter(|process| wanted(process))
            .map(|process| process.pid)
            .collect()
    }

    pub(crate) fn agents(&self) -> Vec<u32> {
        let own = echo_agent_bin().to_string_lossy();
        self.processes(|process| {
            process
                .command
                .first()
                .is_some_and(|program| *program == *own)
        })
    }

    pub(crate) fn daemon(&self) -> Option<u32> {
        let all = processes::of_data_dir(&self.env.data_dir());
        let daemons: BTreeSet<u32> = all
            .iter()
            .filter(|process| process.is_daemon())
            .map(|process| process.pid)
            .collect();
        // A child that is about to become another program still looks like the daemon.
        all.iter()
            .filter(|process| process.is_daemon())
            .find(|process| {
                process
                    .parent
                    .is_none_or(|parent| !daemons.contains(&parent))
            })
            .map(|process| process.pid)
    }

    /// Ends the daemon as `kill -9` does.
    pub(crate) fn kill_daemon(&self) {
        assert!(kill(self.daemon().expect("a daemon runs")));
    }

    /// Ends the only agent as `kill -9` does.
    pub(crate) fn kill_agent(&self) {
        let agents = self.agents();
        assert_eq!(agents.len(), 1, "{agents:?}");
        assert!(kill(agents[0]));
    }

    pub(crate) fn sessions(&self) -> Vec<Value> {
        let mut list = self.env.json(&self.project, &["sessions", "--all"]);
        match list["sessions"].take() {
            Value::Array(sessions) => sessions,
            other => panic!("{other}"),
        }
    }

    /// A file that a prompt waits for.
    pub(crate) fn gate(&self, name: &str) -> Gate {
        Gate(self.env.folder().join(name))
    }

    /// Nothing was wrong in these windows, and nothing the product sent to the agent.
    pub(crate) fn finish(&self, editors: &[&ZedEditor]) {
        for editor in editors {
            assert_eq!(editor.faults(), Vec::<String>::new());
            let lost = editor.look(|desk| desk.lost.clone());
            assert!(lost.is_empty(), "updates were lost: {lost:#?}");
        }
        assert_eq!(
            schema::faults_in_log(&self.log_path()),
            Vec::<String>::new()
        );
        let log = fs::read_to_string(self.env.data_dir().join("daemon.log")).unwrap_or_default();
        assert!(!log.contains("panicked"), "{log}");
    }
}

/// A file that a prompt waits for: `wait PATH`.
pub(crate) struct Gate(PathBuf);

impl Gate {
    pub(crate) fn order(&self) -> String {
        format!("wait {}", self.0.display())
    }

    pub(crate) fn open(&self) {
        fs::write(&self.0, "").unwrap();
    }
}

/// Waits until something is so.
pub(crate) fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < until, "{what}: not in time");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Updates and requests of the agent for a thread as an editor got them, without the commands.
pub(crate) fn shown(editor: &ZedEditor, session: &str) -> Vec<Value> {
    let frames = editor.frames().into_iter().filter_map(|frame| match frame {
        Frame::Received(frame) => Some(frame),
        Frame::Sent(_) => None,
    });
    of_session(frames, session)
}

/// The same as the agent said them.
pub(crate) fn said(place: &Place, session: &str) -> Vec<Value> {
    let frames = place.log().into_iter();
    of_session(
        frames
            .filter(|(dir, _)| dir == "out")
            .map(|(_, frame)| frame),
        session,
    )
}

fn of_session(frames: impl Iterator<Item = Value>, session: &str) -> Vec<Value> {
    frames
        .filter(|frame| frame["params"]["sessionId"] == session)
        .filter(|frame| frame["params"]["update"]["sessionUpdate"] != "available_commands_update")
        .map(|mut frame| {
            frame["params"]["sessionId"] = Value::Null;
            if frame.get("id").is_some() {
                frame["id"] = Value::Null;
            }
            frame
        })
        .collect()
}

/// The text was said, as one of the marks or part of a message.
pub(crate) fn wait_for_text(editor: &ZedEditor, session: &str, text: &str) {
    editor.see(session, text, |thread| {
        thread.said().contains(text).then_some(())
    });
}

/// Marks of a whole turn with so many numbered pieces.
pub(crate) fn marks(turn: usize, pieces: usize) -> Vec<String> {
    let numbered = (1..=pieces).map(|piece| format!("t{turn}-c{piece}"));
    numbered.chain([format!("t{turn}-end")]).collect()
}

/// As text with the members of objects by name: whether JSON values keep their order depends on what
/// else is built with them.
fn canonical(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let mut members: Vec<String> = map
                .iter()
                .map(|(name, value)| format!("{name:?}:{}", canonical(value)))
                .collect();
            members.sort();
            format!("{{{}}}", members.join(","))
        }
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(canonical).collect();
            format!("[{}]", items.join(","))
        }
        other => other.to_string(),
    }
}

/// The same frames in the same order; else the first that differs. Requests are served side by
/// side, so several that were made at once may come in any order.
pub(crate) fn assert_same(got: &[Value], wanted: &[Value]) {
    let sides = [got, wanted].map(|frames| {
        let requests = frames.iter().filter(|frame| frame.get("id").is_some());
        let mut requests: Vec<String> = requests.map(canonical).collect();
        requests.sort();
        let rest = frames.iter().filter(|frame| frame.get("id").is_none());
        (requests, rest.cloned().collect::<Vec<_>>())
    });
    let [(got_requests, got), (wanted_requests, wanted)] = &sides;
    assert_eq!(got_requests, wanted_requests);
    let differs = (0..got.len().max(wanted.len())).find(|at| got.get(*at) != wanted.get(*at));
    if let Some(at) = differs {
        let show = |frame: Option<&Value>| frame.map_or("nothing".to_owned(), Value::to_string);
        panic!(
            "frame {at} of {} and {}\n   got: {}\nwanted: {}",
            got.len(),
            wanted.len(),
            show(got.get(at)),
            show(wanted.get(at))
        );
    }
}
