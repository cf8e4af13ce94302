//! `terminal/*`: commands of an agent as real processes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use agent_client_protocol::v1::schema::CreateTerminalRequest;
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::observer::{Observer, ProcessKind};
use super::process::{
    DRAIN_LIMIT, Exit, Group, ProcessIdentity, SharedTail, drain, shared_tail, tail_text,
};
use super::wire::RpcError;

/// How many commands of one agent may run at once.
pub(super) const MAX_RUNNING: usize = 16;
/// How many ended ones are kept for an agent that does not release them.
const MAX_ENDED: usize = 64;
const DEFAULT_OUTPUT: usize = 1024 * 1024;
const MAX_OUTPUT: usize = 4 * 1024 * 1024;

/// The terminals of one agent.
pub(super) struct Terminals {
    terminals: Mutex<BTreeMap<u64, Arc<Terminal>>>,
    next: AtomicU64,
    /// The environment of commands, without what the agent adds.
    env: BTreeMap<String, String>,
    /// Variables that the agent cannot change: they mark its processes.
    marks: BTreeMap<String, String>,
    observer: Arc<dyn Observer>,
}

struct Terminal {
    session: String,
    tail: SharedTail,
    exit: watch::Receiver<Option<Exit>>,
    /// Ends the command's group.
    kill: CancellationToken,
}

impl Terminal {
    fn is_running(&self) -> bool {
        self.exit.borrow().is_none()
    }
}

impl Terminals {
    pub(super) fn new(
        env: BTreeMap<String, String>,
        marks: BTreeMap<String, String>,
        observer: Arc<dyn Observer>,
    ) -> Self {
        let (terminals, next) = (Mutex::default(), AtomicU64::new(1));
        Self {
            terminals,
            next,
            env,
            marks,
            observer,
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Terminal>>> {
        self.terminals
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// How many commands run now.
    pub(super) fn running(&self) -> usize {
        self.lock()
            .values()
            .filter(|terminal| terminal.is_running())
            .count()
    }

    /// Starts a command in `folder`, which the caller has checked. It ends with `turn`.
    pub(super) async fn create(
        &self,
        request: &CreateTerminalRequest,
        folder: &Path,
        turn: &CancellationToken,
    ) -> Result<Value, RpcError> {
        if self.running() >= MAX_RUNNING {
            return Err(RpcError::internal(format!(
                "{MAX_RUNNING} commands of this agent are running; wait for one, or kill it"
            )));
        }
        let mut group = Group::spawn(self.command(request, folder)?).map_err(|error| {
            RpcError::internal(format!(
                "`{}` could not be started: {error}",
                request.command
            ))
        })?;
        let identity = group.identity();
        self.observer
            .started(&identity, ProcessKind::Terminal)
            .await;

        let limit = request.output_byte_limit.map_or(DEFAULT_OUTPUT, |limit| {
            usize::try_from(limit).unwrap_or(MAX_OUTPUT).min(MAX_OUTPUT)
        });
        let tail = shared_tail(limit);
        let (_, out, err) = group.pipes();
        let readers = [
            tokio::spawn(drain(out, Arc::clone(&tail))),
            tokio::spawn(drain(err, Arc::clone(&tail))),
        ];
        let (exited, exit) = watch::channel(None);
        let kill = turn.child_token();
        let observer = Arc::clone(&self.observer);
        tokio::spawn(watch_over(
            group,
            identity,
            readers,
            exited,
            kill.clone(),
            observer,
        ));

        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let session = request.session_id.to_string();
        let mut terminals = self.lock();
        terminals.insert(
            number,
            Arc::new(Terminal {
                session,
                tail,
                exit,
                kill,
            }),
        );
        let ended: Vec<u64> = terminals
            .iter()
            .filter(|(_, t)| !t.is_running())
            .map(|(&number, _)| number)
            .collect();
        for number in ended.iter().take(ended.len().saturating_sub(MAX_ENDED)) {
            if let Some(terminal) = terminals.remove(number) {
                terminal.kill.cancel();
            }
        }
        Ok(json!({ "terminalId": format!("term-{number}") }))
    }

    fn command(&self, request: &CreateTerminalRequest, folder: &Path) -> Result<Command, RpcError> {
        let mut env = self.env.clone();
        env.extend(
            request
                .env
                .iter()
                .map(|var| (var.name.clone(), var.value.clone())),
        );
        env.extend(self.marks.clone());
        if let Some(name) = env
            .keys()
            .find(|name| name.is_empty() || name.contains(['=', '\0']))
        {
            return Err(RpcError::invalid_params(format!(
                "`{name}` is no name of a variable"
            )));
        }
        let search = env.get("PATH").cloned();
        let mut command = match program(&request.command, &request.args, search.as_deref(), folder)
        {
            Some(program) => {
                let mut command = Command::new(program);
                command.args(&request.args);
                command
            }
            None if request.args.is_empty() => shell(&request.command),
            None => {
                return Err(RpcError::internal(format!(
                    "`{}` was not found on PATH",
                    request.command
                )));
            }
        };
        command
            .current_dir(folder)
            .env_clear()
            .envs(env)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Ok(command)
    }

    fn find(&self, session: &str, id: &str) -> Result<(u64, Arc<Terminal>), RpcError> {
        let number = id
            .strip_prefix("term-")
            .and_then(|number| number.parse().ok());
        let terminals = self.lock();
        number
            .and_then(|number| Some((number, Arc::clone(terminals.get(&number)?))))
            .filter(|(_, terminal)| terminal.session == session)
            .ok_or_else(|| RpcError::not_found(format!("there is no terminal `{id}`")))
    }

    pub(super) fn output(&self, session: &str, id: &str) -> Result<Value, RpcError> {
        let (_, terminal) = self.find(session, id)?;
        let exit = terminal.exit.borrow().clone();
        let (output, truncated) = tail_text(&terminal.tail, exit.is_none());
        let mut answer = json!({ "output": output, "truncated": truncated });
        if let Some(exit) = exit {
            answer["exitStatus"] = exit_status(&exit);
        }
        Ok(answer)
    }

    pub(super) async fn wait_for_exit(&self, session: &str, id: &str) -> Result<Value, RpcError> {
        let (_, terminal) = self.find(session, id)?;
        let mut exit = terminal.exit.clone();
        let exit = exit
            .wait_for(Option::is_some)
            .await
            .ok()
            .and_then(|exit| exit.clone());
        Ok(exit_status(&exit.unwrap_or(Exit {
            code: None,
            signal: None,
        })))
    }

    /// Ends the command; its output stays readable.
    pub(super) fn kill(&self, session: &str, id: &str) -> Result<Value, RpcError> {
        self.find(session, id)?.1.kill.cancel();
        Ok(json!({}))
    }

    /// Ends the command, and what it left in the background, and forgets it.
    pub(super) fn release(&self, session: &str, id: &str) -> Result<Value, RpcError> {
        let (number, terminal) = self.find(session, id)?;
        terminal.kill.cancel();
        self.lock().remove(&number);
        Ok(json!({}))
    }

    /// Ends all commands of a session. Their output stays readable.
    pub(super) fn kill_session(&self, session: &str) {
        for terminal in self
            .lock()
            .values()
            .filter(|terminal| terminal.session == session)
        {
            terminal.kill.cancel();
        }
    }
}

impl Drop for Terminals {
    fn drop(&mut self) {
        for terminal in self.lock().values() {
            terminal.kill.cancel();
        }
    }
}

/// Owns a command until nothing of it is left.
async fn watch_over(
    mut group: Group,
    identity: ProcessIdentity,
    readers: [tokio::task::JoinHandle<()>; 2],
    exited: watch::Sender<Option<Exit>>,
    kill: CancellationToken,
    observer: Arc<dyn Observer>,
) {
    let exit = tokio::select! {
        exit = group.wait() => exit,
        () = kill.cancelled() => {
            group.kill();
            group.wait().await
        }
    };
    let _ = tokio::time::timeout(DRAIN_LIMIT, futures_util::future::join_all(readers)).await;
    exited.send_replace(Some(exit));
    if group.is_left() {
        kill.cancelled().await;
        group.kill();
    }
    observer.ended(&identity);
}

fn exit_status(exit: &Exit) -> Value {
    // A code below zero (Windows) has no place in the schema's unsigned number but by its bits.
    json!({ "exitCode": exit.code.map(i32::cast_unsigned), "signal": exit.signal_name() })
}

/// The program that `command` names by itself. Agents also put a whole command line there, with
/// operators, which is a shell's to read.
fn program(command: &str, args: &[String], path: Option<&str>, folder: &Path) -> Option<PathBuf> {
    let is_line = args.is_empty()
        && command.contains(|c: char| c.is_whitespace() || "|&;<>()$`*?".contains(c));
    if is_line && !Path::new(command).is_absolute() {
        return None;
    }
    which::which_in(command, path, folder).ok()
}

fn shell(line: &str) -> Command {
    #[cfg(windows)]
    {
        let mut command = Command::new("cmd");
        command
            .args(["/D", "/S", "/C"])
            .raw_arg(format!("\"{line}\""));
        command
    }
    #[cfg(not(windows))]
    {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", line]);
        command
    }
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use super::*;
    use crate::agents::observer::Silent;

    struct Place {
        terminals: Terminals,
        dir: tempfile::TempDir,
        turn: CancellationToken,
    }

    fn place() -> Place {
        let env = BTreeMap::from([
            ("PATH".to_owned(), std::env::var("PATH").unwrap()),
            ("FROM_USER".to_owned(), "u".to_owned()),
        ]);
        let marks = BTreeMap::from([("SPECTASK_AGENT".to_owned(), "1".to_owned())]);
        Place {
            terminals: Terminals::new(env, marks, Arc::new(Silent)),
            dir: tempfile::tempdir().unwrap(),
            turn: CancellationToken::new(),
        }
    }

    impl Place {
        async fn create(&self, request: Value) -> Result<String, RpcError> {
            let mut request = request;
            request["sessionId"] = json!("s");
            let request = serde_json::from_value(request).unwrap();
            let answer = self
                .terminals
                .create(&request, self.dir.path(), &self.turn)
                .await?;
            Ok(answer["terminalId"].as_str().unwrap().to_owned())
        }

        async fn run(&self, request: Value) -> (String, Value) {
            let id = self.create(request).await.unwrap();
            let exit = self.terminals.wait_for_exit("s", &id).await.unwrap();
            let output = self.terminals.output("s", &id).unwrap();
            assert_eq!(output["exitStatus"], exit);
            (output["output"].as_str().unwrap().to_owned(), exit)
        }

        async fn until_output(&self, id: &str) -> String {
            loop {
                let output = self.terminals.output("s", id).unwrap();
                if output["output"] != "" {
                    return output["output"].as_str().unwrap().trim().to_owned();
                }
                tokio::time::sleep(std::time::Duration::from_millis(2)).await;
            }
        }
    }

    #[tokio::test]
    async fn a_command_runs_in_its_folder_with_its_environment() {
        let place = place();
        let (output, exit) = place
            .run(json!({
                "command": "sh",
                "args": ["-c", "pwd; echo $FROM_USER $MINE $SPECTASK_AGENT $HOME; echo err >&2; exit 3"],
                "env": [{"name": "MINE", "value": "m"}, {"name": "SPECTASK_AGENT", "value": "0"}],
            }))
            .await;
        let folder = place.dir.path().canonicalize().unwrap();
        let mut lines: Vec<&str> = output.lines().collect();
        lines.sort_unstable();
        let mut expected = vec![folder.to_str().unwrap(), "u m 1", "err"];
        expected.sort_unstable();
        assert_eq!(lines, expected);
        assert_eq!(exit, json!({"exitCode": 3, "signal": null}));
    }

    #[tokio::test]
    async fn a_whole_line_goes_to_a_shell() {
        let place = place();
        let (output, exit) = place
            .run(json!({"command": "echo one && echo two | tr t T"}))
            .await;
        assert_eq!(output, "one\nTwo\n");
        assert_eq!(exit["exitCode"], 0);
        let (_, exit) = place.run(json!({"command": "no-such-program-here"})).await;
        assert_eq!(exit["exitCode"], 127);
        let error = place
            .create(json!({"command": "no-such-program", "args": ["x"]}))
            .await;
        assert_eq!(
            error.unwrap_err().message,
            "`no-such-program` was not found on PATH"
        );
        let bad = json!({"command": "true", "env": [{"name": "A=B", "value": ""}]});
        assert!(place.create(bad).await.is_err());
    }

    #[tokio::test]
    async fn output_is_cut_at_the_front() {
        let place = place();
        let id = place
            .create(json!({"command": "printf 'aé%.0s' 1 2 3 4 5 6", "outputByteLimit": 7}))
            .await
            .unwrap();
        place.terminals.wait_for_exit("s", &id).await.unwrap();
        let output = place.terminals.output("s", &id).unwrap();
        assert_eq!(output["output"], "aéaé");
        assert_eq!(output["truncated"], true);
    }

    #[tokio::test]
    async fn kill_ends_the_group_and_keeps_the_output() {
        let place = place();
        let id = place
            .create(json!({"command": "sleep 600 & echo $!; wait"}))
            .await
            .unwrap();
        let child: u32 = place.until_output(&id).await.parse().unwrap();
        place.terminals.kill("s", &id).unwrap();
        let exit = place.terminals.wait_for_exit("s", &id).await.unwrap();
        assert_eq!(exit, json!({"exitCode": null, "signal": "SIGKILL"}));
        assert!(
            place.terminals.output("s", &id).unwrap()["output"]
                .as_str()
                .unwrap()
                .contains(&child.to_string())
        );
        until_gone(child).await;
        place.terminals.release("s", &id).unwrap();
        assert_eq!(
            place.terminals.output("s", &id).unwrap_err().code,
            RpcError::NOT_FOUND
        );
    }

    #[tokio::test]
    async fn what_runs_in_the_background_ends_with_the_release() {
        let place = place();
        let id = place
            .create(json!({"command": "sleep 600 >/dev/null 2>&1 & echo $!"}))
            .await
            .unwrap();
        assert_eq!(
            place.terminals.wait_for_exit("s", &id).await.unwrap()["exitCode"],
            0
        );
        let child: u32 = place.until_output(&id).await.parse().unwrap();
        assert!(super::super::process::start_time(child).is_some());
        place.terminals.release("s", &id).unwrap();
        until_gone(child).await;
    }

    #[tokio::test]
    async fn a_cancelled_turn_ends_its_commands() {
        let place = place();
        let id = place
            .create(json!({"command": "sleep", "args": ["600"]}))
            .await
            .unwrap();
        place.turn.cancel();
        assert_eq!(
            place.terminals.wait_for_exit("s", &id).await.unwrap()["signal"],
            "SIGKILL"
        );
        assert_eq!(place.terminals.running(), 0);
    }

    #[tokio::test]
    async fn there_are_limits_and_no_one_elses_terminals() {
        let place = place();
        let mut ids = Vec::new();
        for _ in 0..MAX_RUNNING {
            ids.push(
                place
                    .create(json!({"command": "sleep", "args": ["600"]}))
                    .await
                    .unwrap(),
            );
        }
        let error = place.create(json!({"command": "true"})).await.unwrap_err();
        assert!(error.message.contains("16 commands"), "{}", error.message);
        assert!(place.terminals.output("other", &ids[0]).is_err());
        assert!(place.terminals.kill("s", "term-x").is_err());
        place.terminals.kill_session("s");
        for id in &ids {
            place.terminals.wait_for_exit("s", id).await.unwrap();
        }
        place.create(json!({"command": "true"})).await.unwrap();
    }

    async fn until_gone(pid: u32) {
        while super::super::process::start_time(pid).is_some() {
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
    }
}
