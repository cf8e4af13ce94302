//! The agent behind an in-memory client that serves a folder and real shells.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use agent_client_protocol::{
    Agent, Channel, Client, Error,
    schema::ProtocolVersion,
    v1::{ConnectionTo, Responder, schema},
};
use tokio::sync::Notify;

use super::{Config, serve};

type Result<T, E = Error> = std::result::Result<T, E>;

/// What the client saw and how it behaves.
#[derive(Default)]
struct World {
    updates: Mutex<Vec<serde_json::Value>>,
    outputs: Mutex<HashMap<String, (Option<u32>, String)>>,
    /// Holds back the answer to writes of a file with this name.
    stuck: Option<&'static str>,
    held: Mutex<Vec<Responder<schema::WriteTextFileResponse>>>,
    is_stuck: Notify,
    deny_commands: bool,
    no_files: bool,
}

impl World {
    /// The updates of a kind.
    fn of_kind(&self, kind: &str) -> Vec<serde_json::Value> {
        let updates = self.updates.lock().unwrap();
        updates
            .iter()
            .filter(|update| update["sessionUpdate"] == kind)
            .cloned()
            .collect()
    }

    /// Everything the agent said since the last call of [`World::forget`].
    fn said(&self) -> String {
        self.of_kind("agent_message_chunk")
            .iter()
            .map(|update| update["content"]["text"].as_str().unwrap().to_owned() + "\n")
            .collect()
    }

    fn forget(&self) {
        self.updates.lock().unwrap().clear();
    }
}

/// Connects a client to a fresh agent, initializes it and runs `job`.
async fn with_agent<R>(
    world: &Arc<World>,
    state: &Path,
    job: impl AsyncFnOnce(ConnectionTo<Agent>) -> Result<R>,
) -> R {
    let (near, far) = Channel::duplex();
    let config = Config {
        sessions: Some(state.to_owned()),
        ..Config::default()
    };
    let agent = tokio::spawn(serve(far, config));
    let result = client(world, near, job).await;
    // The client is gone, so the agent ends by itself and without an error.
    agent.await.unwrap().unwrap();
    result
}

async fn client<R>(
    world: &Arc<World>,
    near: Channel,
    job: impl AsyncFnOnce(ConnectionTo<Agent>) -> Result<R>,
) -> R {
    let [seen, writes, permits, starts, reads_out, waits] = std::array::from_fn(|_| world.clone());
    let files = !world.no_files;
    Client
        .v1()
        .on_receive_notification(
            async move |note: schema::SessionNotification, _cx| {
                let update = serde_json::to_value(note.update).unwrap();
                seen.updates.lock().unwrap().push(update);
                Ok(())
            },
            agent_client_protocol::on_receive_notification!(),
        )
        .on_receive_request(
            async move |request: schema::ReadTextFileRequest, responder, _cx| {
                assert!(request.path.is_absolute());
                match std::fs::read_to_string(&request.path) {
                    Ok(text) => responder.respond(schema::ReadTextFileResponse::new(text)),
                    Err(error) => responder.respond_with_internal_error(error),
                }
            },
            agent_client_protocol::on_receive_request!(),
        )
        .on_receive_request(
            async move |request: schema::WriteTextFileRequest, responder, _cx| {
                assert!(request.path.is_absolute());
                if writes
                    .stuck
                    .is_some_and(|name| request.path.ends_with(name))
                {
                    writes.held.lock().unwrap().push(responder);
                    writes.is_stuck.notify_one();
                    return Ok(());
                }
                std::fs::create_dir_all(request.path.parent().unwrap()).unwrap();
                std::fs::write(&request.path, &request.content).unwrap();
                responder.respond(schema::WriteTextFileResponse::new())
            },
            agent_client_protocol::on_receive_request!(),
        )
        .on_receive_request(
            async move |request: schema::RequestPermissionRequest, responder, _cx| {
                let kind = if permits.deny_commands {
                    schema::PermissionOptionKind::RejectOnce
                } else {
                    schema::PermissionOptionKind::AllowOnce
                };
                let option = request.options.iter().find(|option| option.kind == kind);
                let chosen =
                    schema::SelectedPermissionOutcome::new(option.unwrap().option_id.clone());
                responder.respond(schema::RequestPermissionResponse::new(
                    schema::RequestPermissionOutcome::Selected(chosen),
                ))
            },
            agent_client_protocol::on_receive_request!(),
        )
        .on_receive_request(
            async move |request: schema::CreateTerminalRequest, responder, _cx| {
                let output = tokio::process::Command::new(&request.command)
                    .args(&request.args)
                    .current_dir(request.cwd.unwrap())
                    .output()
                    .await
                    .unwrap();
                let id = format!("terminal-{}", starts.outputs.lock().unwrap().len());
                let code = output.status.code().and_then(|code| code.try_into().ok());
                let text = String::from_utf8_lossy(&output.stdout).into_owned()
                    + &String::from_utf8_lossy(&output.stderr);
                starts
                    .outputs
                    .lock()
                    .unwrap()
                    .insert(id.clone(), (code, text));
                responder.respond(schema::CreateTerminalResponse::new(id))
            },
            agent_client_protocol::on_receive_request!(),
        )
        .on_receive_request(
            async move |request: schema::WaitForTerminalExitRequest, responder, _cx| {
                let code = waits.outputs.lock().unwrap()[&*request.terminal_id.0].0;
                responder.respond(schema::WaitForTerminalExitResponse::new(
                    schema::TerminalExitStatus::new().exit_code(code),
                ))
            },
            agent_client_protocol::on_receive_request!(),
        )
        .on_receive_request(
            async move |request: schema::TerminalOutputRequest, responder, _cx| {
                let text = reads_out.outputs.lock().unwrap()[&*request.terminal_id.0]
                    .1
                    .clone();
                responder.respond(schema::TerminalOutputResponse::new(text, false))
            },
            agent_client_protocol::on_receive_request!(),
        )
        .on_receive_request(
            async move |_: schema::ReleaseTerminalRequest, responder, _cx| {
                responder.respond(schema::ReleaseTerminalResponse::new())
            },
            agent_client_protocol::on_receive_request!(),
        )
        .connect_with(near, async |cx| {
            let fs = schema::FileSystemCapabilities::new()
                .read_text_file(files)
                .write_text_file(files);
            let offered = schema::ClientCapabilities::new().fs(fs).terminal(true);
            let request =
                schema::InitializeRequest::new(ProtocolVersion::V1).client_capabilities(offered);
            let answer = cx.send_request(request).block_task().await?;
            assert_eq!(answer.protocol_version, ProtocolVersion::V1);
            assert!(answer.agent_capabilities.load_session);
            assert_eq!(answer.agent_info.unwrap().name, "spectask-example-agent");
            job(cx).await
        })
        .await
        .unwrap()
}

async fn open(cx: &ConnectionTo<Agent>, root: &Path) -> Result<schema::SessionId> {
    let request = schema::NewSessionRequest::new(root);
    Ok(cx.send_request(request).block_task().await?.session_id)
}

async fn prompt(
    cx: &ConnectionTo<Agent>,
    session: &schema::SessionId,
    text: String,
) -> Result<schema::StopReason> {
    let request = schema::PromptRequest::new(session.clone(), vec![text.into()]);
    Ok(cx.send_request(request).block_task().await?.stop_reason)
}

fn block(value: &serde_json::Value) -> String {
    format!("Do it, please.\n\n```spectask\n{value}\n```\n")
}

fn plan_prompt(request: &str) -> String {
    block(&serde_json::json!({
        "kind": "plan", "task": "7-user-auth", "folder": "specs/7-user-auth", "prompt": request,
    }))
}

fn implement(root: &Path, number: &str) -> serde_json::Value {
    let tasks = std::fs::read_to_string(root.join("specs/7-user-auth/tasks.md")).unwrap();
    let text = super::outline::task_source(&tasks, number).unwrap();
    serde_json::json!({
        "kind": "implement", "task": "7-user-auth", "folder": "specs/7-user-auth",
        "number": number, "title": "One task", "text": text,
    })
}

/// Every file below a folder with its content.
fn files(root: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let text = std::fs::read_to_string(&path).unwrap();
                found.push((path.strip_prefix(root).unwrap().to_owned(), text));
            }
        }
    }
    found.sort();
    found
}

struct Folders {
    _home: tempfile::TempDir,
    root: PathBuf,
    state: PathBuf,
}

fn folders() -> Folders {
    let home = tempfile::tempdir().unwrap();
    let root = home.path().join("root");
    std::fs::create_dir(&root).unwrap();
    Folders {
        root,
        state: home.path().join("state"),
        _home: home,
    }
}

#[tokio::test]
async fn a_plan_is_written_and_shown() {
    let at = folders();
    let world = Arc::new(World::default());
    let stop = with_agent(&world, &at.state, async |cx| {
        let session = open(&cx, &at.root).await?;
        prompt(&cx, &session, plan_prompt("Implement user authentication")).await
    })
    .await;
    assert_eq!(stop, schema::StopReason::EndTurn);
    let names: Vec<_> = files(&at.root).into_iter().map(|(path, _)| path).collect();
    assert_eq!(
        names,
        ["design.md", "requirements.md", "tasks.md"]
            .map(|name| Path::new("specs/7-user-auth").join(name))
    );
    let requirements =
        std::fs::read_to_string(at.root.join("specs/7-user-auth/requirements.md")).unwrap();
    assert!(requirements.starts_with("# Requirements Document\n\n## Introduction\n"));
    assert!(requirements.contains("`features/user-authentication/user-authentication.sh`"));

    assert!(
        world
            .said()
            .starts_with("I am SpecTask's built-in example agent; I work without a model.")
    );
    let chunks = world.of_kind("agent_message_chunk");
    assert!(chunks.iter().all(|chunk| chunk["messageId"].is_string()));
    let writes = world.of_kind("tool_call");
    let diffs: Vec<_> = writes
        .iter()
        .filter(|call| call["kind"] == "edit")
        .map(|call| (&call["content"][0]["type"], &call["locations"][0]["path"]))
        .collect();
    assert_eq!(diffs.len(), 3);
    assert!(diffs.iter().all(|(kind, _)| *kind == "diff"));
    let done = world.of_kind("plan").pop().unwrap();
    let entries = done["entries"].as_array().unwrap();
    assert!(entries.len() == 4 && entries.iter().all(|entry| entry["status"] == "completed"));
}

#[cfg(unix)]
#[tokio::test]
async fn tasks_are_carried_out_checked_and_repeatable() {
    let at = folders();
    let world = Arc::new(World::default());
    with_agent(&world, &at.state, async |cx| {
        let session = open(&cx, &at.root).await?;
        prompt(&cx, &session, plan_prompt("Implement user authentication")).await?;
        for number in ["1", "3", "2", "4"] {
            world.forget();
            let session = open(&cx, &at.root).await?;
            let stop = prompt(&cx, &session, block(&implement(&at.root, number))).await?;
            assert_eq!(stop, schema::StopReason::EndTurn);
        }
        Ok(())
    })
    .await;
    let said = world.said();
    assert!(
        said.contains(
            "`sh features/user-authentication/check.sh` ended well: \"check.sh: all checks passed\""
        ),
        "{said}"
    );
    assert!(said.contains("the optional task 4.2 Try more invalid names is left out"));
    let before = files(&at.root);
    assert_eq!(before.len(), 3 + 5);
    let readme = &before
        .iter()
        .find(|(path, _)| path.ends_with("README.md"))
        .unwrap()
        .1;
    assert!(readme.starts_with("# User authentication\n"));
    assert!(readme.contains("- **1.3** IF a user runs the Feature_Command without NAME"));

    // Again, as repair, after an interruption, and without the text of the task.
    with_agent(&world, &at.state, async |cx| {
        std::fs::write(
            at.root
                .join("features/user-authentication/user-authentication.sh"),
            "half of a fi",
        )
        .unwrap();
        let session = open(&cx, &at.root).await?;
        let mut task = implement(&at.root, "2");
        task["kind"] = "fix".into();
        task["output"] = "boom\nstatus 1\n".into();
        task["text"] = "".into();
        prompt(&cx, &session, block(&task)).await?;
        assert!(world.said().contains("Its last line was: \"status 1\""));
        let task = serde_json::json!({"kind": "continue", "original": implement(&at.root, "4")});
        world.forget();
        prompt(&cx, &session, block(&task)).await?;
        assert!(world.said().contains("The turn before was interrupted"));
        Ok(())
    })
    .await;
    assert_eq!(files(&at.root), before);
}

#[tokio::test]
async fn a_refused_command_does_not_run() {
    let at = folders();
    let world = Arc::new(World {
        deny_commands: true,
        ..World::default()
    });
    with_agent(&world, &at.state, async |cx| {
        let session = open(&cx, &at.root).await?;
        prompt(&cx, &session, plan_prompt("Implement it")).await?;
        let stop = prompt(&cx, &session, block(&implement(&at.root, "4"))).await?;
        assert_eq!(stop, schema::StopReason::EndTurn);
        Ok(())
    })
    .await;
    assert!(
        world
            .said()
            .contains("did not run: permission was not given")
    );
    assert!(world.outputs.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_cancel_ends_the_turn_in_the_middle() {
    let at = folders();
    let world = Arc::new(World {
        stuck: Some("design.md"),
        ..World::default()
    });
    with_agent(&world, &at.state, async |cx| {
        let session = open(&cx, &at.root).await?;
        let request =
            schema::PromptRequest::new(session.clone(), vec![plan_prompt("Implement it").into()]);
        let turn = cx.send_request(request);
        world.is_stuck.notified().await;
        cx.send_notification(schema::CancelNotification::new(session.clone()))?;
        assert_eq!(
            turn.block_task().await?.stop_reason,
            schema::StopReason::Cancelled
        );
        // The session is free for the next turn.
        assert_eq!(
            prompt(&cx, &session, "hello".to_owned()).await?,
            schema::StopReason::EndTurn
        );
        Ok(())
    })
    .await;
    let names: Vec<_> = files(&at.root).into_iter().map(|(path, _)| path).collect();
    assert_eq!(names, [Path::new("specs/7-user-auth/requirements.md")]);
}

#[tokio::test]
async fn a_client_that_leaves_in_the_middle_ends_the_agent() {
    let at = folders();
    let world = Arc::new(World {
        stuck: Some("design.md"),
        ..World::default()
    });
    // `with_agent` asserts that the agent ends without an error.
    with_agent(&world, &at.state, async |cx| {
        let session = open(&cx, &at.root).await?;
        let request = schema::PromptRequest::new(session, vec![plan_prompt("Implement it").into()]);
        cx.send_request(request).detach();
        world.is_stuck.notified().await;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_session_is_loaded_by_another_process() {
    let at = folders();
    let world = Arc::new(World::default());
    let session = with_agent(&world, &at.state, async |cx| {
        let session = open(&cx, &at.root).await?;
        prompt(&cx, &session, "who are you?".to_owned()).await?;
        Ok(session)
    })
    .await;
    let live = world.of_kind("agent_message_chunk");
    world.forget();
    with_agent(&world, &at.state, async |cx| {
        let unknown = schema::PromptRequest::new(session.clone(), vec!["hi".into()]);
        cx.send_request(unknown).block_task().await.unwrap_err();
        let load = schema::LoadSessionRequest::new(session.clone(), &at.root);
        cx.send_request(load).block_task().await?;
        assert_eq!(
            world.of_kind("user_message_chunk")[0]["content"]["text"],
            "who are you?"
        );
        assert_eq!(world.of_kind("agent_message_chunk"), live);
        prompt(&cx, &session, "again".to_owned()).await?;
        for bad in ["../../etc/passwd", "no-such-session"] {
            let load = schema::LoadSessionRequest::new(bad, &at.root);
            cx.send_request(load).block_task().await.unwrap_err();
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn comments_and_findings_change_the_documents() {
    let at = folders();
    let world = Arc::new(World::default());
    let read =
        |name: &str| std::fs::read_to_string(at.root.join("specs/7-user-auth").join(name)).unwrap();
    let revise = |errors: serde_json::Value, comments: serde_json::Value| {
        block(&serde_json::json!({
            "kind": "revise", "task": "7-user-auth", "folder": "specs/7-user-auth",
            "prompt": "Implement it", "findings": errors, "comments": comments,
        }))
    };
    with_agent(&world, &at.state, async |cx| {
        let session = open(&cx, &at.root).await?;
        prompt(&cx, &session, plan_prompt("Implement it")).await?;
        let comments = serde_json::json!([
            {"document": "requirements", "line": 24, "text": "Say who maintains it"},
            {"document": "design", "line": 1, "text": "No database"},
        ]);
        prompt(&cx, &session, revise(serde_json::json!([]), comments)).await?;
        assert!(read("requirements.md").contains("review note \"Say who maintains it\"."));
        assert!(read("tasks.md").contains("1.5_"));
        let design = read("design.md");
        assert!(design.ends_with("## Notes\n\n- No database\n"));

        // A document that was broken is made anew; what comments added stays.
        std::fs::write(at.root.join("specs/7-user-auth/tasks.md"), "nonsense").unwrap();
        let finding = serde_json::json!([{"severity": "error", "message": "no tasks"}]);
        prompt(&cx, &session, revise(finding, serde_json::json!([]))).await?;
        assert!(read("requirements.md").contains("review note \"Say who maintains it\"."));
        assert!(read("tasks.md").contains("1.5_"));
        assert_eq!(read("design.md"), design);

        // A secret of the request goes away.
        let finding =
            serde_json::json!([{"severity": "error", "rule": "secret", "message": "key"}]);
        assert!(read("requirements.md").contains("Implement it"));
        prompt(&cx, &session, revise(finding, serde_json::json!([]))).await?;
        assert!(!read("requirements.md").contains("Implement it"));
        assert!(read("tasks.md").starts_with("# Implementation Plan: User auth\n"));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_folder_of_another_task_is_left_alone() {
    let at = folders();
    let taken = at.root.join("features/it");
    std::fs::create_dir_all(&taken).unwrap();
    std::fs::write(taken.join("README.md"), "# Mine\n").unwrap();
    let world = Arc::new(World::default());
    with_agent(&world, &at.state, async |cx| {
        let session = open(&cx, &at.root).await?;
        prompt(&cx, &session, plan_prompt("Implement it")).await
    })
    .await;
    let tasks = std::fs::read_to_string(at.root.join("specs/7-user-auth/tasks.md")).unwrap();
    assert!(
        tasks.contains("Write `features/task-7-user-auth-it/README.md`"),
        "{tasks}"
    );
    assert!(!tasks.contains("`features/it/"));
}

#[tokio::test]
async fn what_cannot_be_done_is_refused_with_a_reason() {
    let at = folders();
    let world = Arc::new(World::default());
    with_agent(&world, &at.state, async |cx| {
        let session = open(&cx, &at.root).await?;
        let outside = serde_json::json!({"kind": "plan", "folder": "../out", "prompt": "x"});
        assert_eq!(
            prompt(&cx, &session, block(&outside)).await?,
            schema::StopReason::Refusal
        );
        assert!(world.said().contains("not a plain relative path"));
        Ok(())
    })
    .await;
    let world = Arc::new(World {
        no_files: true,
        ..World::default()
    });
    with_agent(&world, &at.state, async |cx| {
        let session = open(&cx, &at.root).await?;
        assert_eq!(
            prompt(&cx, &session, plan_prompt("x")).await?,
            schema::StopReason::Refusal
        );
        Ok(())
    })
    .await;
    assert!(world.said().contains("offers no `fs/read_text_file`"));
    assert!(files(&at.root).is_empty());
}
