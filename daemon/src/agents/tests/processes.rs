//! Against real processes.

use super::*;

const HELLO: &str =
    r#"read -r line; echo '{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":1}}'; "#;
const NEW: &str = r#"read -r line; echo '{"jsonrpc":"2.0","id":2,"result":{"sessionId":"s"}}'; "#;

struct Real {
    dir: tempfile::TempDir,
    recorder: Arc<Recorder>,
    spec: SpawnSpec,
}

fn real(script: &str) -> Real {
    let dir = tempfile::tempdir().unwrap();
    let mut profile = Profile::new("sh", &["sh", "-c", script]);
    profile.start_limit = Duration::from_secs(20);
    let env = BTreeMap::from([
        ("PATH".to_owned(), std::env::var("PATH").unwrap()),
        ("FROM_USER".to_owned(), "u".to_owned()),
    ]);
    let mut spec = SpawnSpec::new(profile, dir.path(), env);
    spec.extra_env.insert("SPECTASK_SESSION".into(), "7".into());
    Real {
        dir,
        recorder: recorder().0,
        spec,
    }
}

impl Real {
    async fn start(&self) -> Result<Agent, AgentError> {
        let observer: Arc<dyn Observer> = Arc::<Recorder>::clone(&self.recorder);
        Agent::start(self.spec.clone(), observer).await
    }

    async fn error(&self) -> AgentError {
        self.start().await.err().expect("the agent starts")
    }
}

async fn until_gone(pid: u32) {
    while process::start_time(pid).is_some() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn a_process_is_recorded_first_and_ends_with_its_input() {
    let mut real = real(&format!("{HELLO} env > env.txt; cat >/dev/null; exit 4"));
    real.spec.profile.set.insert("FIXED".into(), "f".into());
    let agent = real.start().await.unwrap();
    let identity = *agent.identity().unwrap();
    assert_eq!(
        *real.recorder.processes.lock().unwrap(),
        [(identity, ProcessKind::Agent)]
    );
    assert_eq!(identity.pid, identity.group);
    assert!(is_alive(&identity));
    assert!(agent.is_alive());
    let exit = agent.clone();
    agent.close().await;
    assert_eq!(
        exit.exited().await,
        Exit {
            code: Some(4),
            signal: None
        }
    );
    assert!(!is_alive(&identity));
    assert_eq!(reap(&identity), Reaped::Gone);
    let env = std::fs::read_to_string(real.dir.path().join("env.txt")).unwrap();
    let mut names: Vec<&str> = env
        .lines()
        .filter(|line| !line.starts_with("PATH="))
        .collect();
    names.retain(|line| {
        !["PWD=", "OLDPWD=", "SHLVL=", "_="]
            .iter()
            .any(|own| line.starts_with(own))
    });
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "FIXED=f",
            "FROM_USER=u",
            "SPECTASK_AGENT=1",
            "SPECTASK_SESSION=7"
        ]
    );
}

#[tokio::test]
async fn last_words_are_in_the_error() {
    let real = real("read -r line; echo 'cannot\u{1b}[31m load' >&2; echo 'model' >&2; exit 3");
    insta::assert_snapshot!(real.error().await, @r"
    agent sh ended while it was starting (initialize): exit status 3
      its last words:
      | cannot[31m load
      | model
    ");
}

#[tokio::test]
async fn what_keeps_an_agent_from_starting_is_named() {
    let mut missing = real("");
    missing.spec.profile.command = vec!["claude-agent-acp".into()];
    missing
        .spec
        .env
        .insert("PATH".into(), "/nonexistent".into());
    insta::assert_snapshot!(missing.error().await, @"agent sh: the program `claude-agent-acp` was not found. Install it with `npm install -g @agentclientprotocol/claude-agent-acp`.");
    missing.spec.profile.command = vec!["no-such-agent".into()];
    insta::assert_snapshot!(missing.error().await, @"agent sh: the program `no-such-agent` was not found. Check `command` in the profile, and PATH.");
    missing.spec.profile.command.clear();
    insta::assert_snapshot!(missing.error().await, @"agent sh: the profile has an empty `command`; set it in the configuration");
    missing.spec.profile.env = vec!["A_KEY".into(), "B_KEY".into()];
    insta::assert_snapshot!(missing.error().await, @"agent sh needs A_KEY, B_KEY, which this environment does not have; export it and run the command again");

    let mut hangs = real("exec sleep 600");
    hangs.spec.profile.start_limit = Duration::from_millis(200);
    let error = hangs.error().await;
    insta::assert_snapshot!(error, @"agent sh: initialize took longer than 200ms");
    let (identity, _) = hangs.recorder.processes.lock().unwrap()[0];
    until_gone(identity.pid).await;

    let bad = real("");
    std::fs::write(bad.dir.path().join("file"), "not a program").unwrap();
    let mut spec = bad.spec.clone();
    spec.root = bad.dir.path().join("absent");
    let error = Agent::start(spec, recorder().0).await.err().unwrap();
    assert!(error.to_string().contains("cannot be served"), "{error}");
}

#[tokio::test]
async fn the_whole_group_ends_with_the_last_handle() {
    let real = real(&format!(
        "{HELLO} sleep 600 & echo $! > child.txt; {NEW} wait"
    ));
    let agent = real.start().await.unwrap();
    agent
        .new_session(real.dir.path(), Vec::new())
        .await
        .unwrap();
    let child = std::fs::read_to_string(real.dir.path().join("child.txt")).unwrap();
    let child: u32 = child.trim().parse().unwrap();
    let identity = *agent.identity().unwrap();
    drop(agent);
    until_gone(child).await;
    until_gone(identity.pid).await;
}

#[tokio::test]
async fn a_leader_that_dies_takes_the_group_along() {
    let script = format!(
        "{HELLO} {NEW} sleep 600 & echo $! > child.txt; read -r line; echo 'out of memory' >&2; kill -9 $$"
    );
    let real = real(&script);
    let agent = real.start().await.unwrap();
    agent
        .new_session(real.dir.path(), Vec::new())
        .await
        .unwrap();
    let error = agent.prompt_text("s", "x").await.unwrap_err();
    insta::assert_snapshot!(error, @r"
    agent sh ended while answering session/prompt: ended by SIGKILL
      its last words:
      | out of memory
    ");
    let child = std::fs::read_to_string(real.dir.path().join("child.txt")).unwrap();
    until_gone(child.trim().parse().unwrap()).await;
}

#[tokio::test]
async fn an_agent_that_ignores_cancel_is_killed() {
    let real = real(&format!("{HELLO} {NEW} touch ready; exec sleep 600"));
    let agent = real.start().await.unwrap();
    agent
        .new_session(real.dir.path(), Vec::new())
        .await
        .unwrap();
    let cancel = async {
        while !real.dir.path().join("ready").exists() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        agent.cancel("s").await;
    };
    let (end, ()) = tokio::join!(agent.prompt_text("s", "x"), cancel);
    let end = end.unwrap();
    assert_eq!((end.stop_reason, end.killed), (StopReason::Cancelled, true));
    assert_eq!(
        agent.exited().await.signal_name().as_deref(),
        Some("SIGKILL")
    );
}

#[tokio::test]
async fn an_agent_that_hangs_is_killed_at_the_limit() {
    let mut real = real(&format!("{HELLO} {NEW} exec sleep 600"));
    real.spec.profile.idle_limit = Duration::from_millis(200);
    let agent = real.start().await.unwrap();
    agent
        .new_session(real.dir.path(), Vec::new())
        .await
        .unwrap();
    let error = agent.prompt_text("s", "x").await.unwrap_err();
    assert!(matches!(error, AgentError::Idle { .. }), "{error}");
    assert!(!agent.is_alive());
}

#[tokio::test]
async fn a_closed_output_ends_the_process() {
    let real = real(&format!("{HELLO} {NEW} exec >&-; exec sleep 600"));
    let agent = real.start().await.unwrap();
    let identity = *agent.identity().unwrap();
    agent
        .new_session(real.dir.path(), Vec::new())
        .await
        .unwrap();
    let error = agent.prompt_text("s", "x").await.unwrap_err();
    insta::assert_snapshot!(error, @"agent sh ended while answering session/prompt: ended by SIGKILL");
    until_gone(identity.pid).await;
}

#[tokio::test]
async fn a_flood_on_standard_error_harms_nobody() {
    let real = real(&format!(
        "{HELLO} yes noise | head -c 3000000 >&2; echo end >&2; {NEW} cat >/dev/null"
    ));
    let agent = real.start().await.unwrap();
    agent
        .new_session(real.dir.path(), Vec::new())
        .await
        .unwrap();
    let tail = agent.stderr_tail();
    assert!(tail.len() <= 64 * 1024);
    assert!(
        tail.ends_with("noise\nend\n"),
        "{}",
        &tail[tail.len() - 20..]
    );
}
