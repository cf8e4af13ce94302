//! How conversations begin: `initialize`, `session/new`, `session/fork`.

use std::{path::Path, sync::Arc};

use serde_json::{Value, json};
use spectask_protocol::{AgentName, SpecTaskStatus, WorkSessionId, shim::Entry};

use super::{
    capabilities,
    editor::{Call, Editor},
    frames, open,
    options::Selectors,
    pool::Wanted,
    thread::Thread,
};
use crate::{agents::RpcError, store::NewThread, workflow};

/// Answers `initialize`: for an agent's entry the agent is started, and its answer passed on.
pub(super) async fn initialize(
    editor: &Arc<Editor>,
    _call: &Call,
    params: Value,
) -> Result<Value, RpcError> {
    editor.set_initialize(params).await;
    let Some(wanted) = Wanted::of(&editor.entry) else {
        return Ok(capabilities::own());
    };
    let process = editor.room.pool.get(editor, &wanted).await?;
    Ok(capabilities::with_additions(&process.agent.info().raw))
}

/// Answers `session/new`: a draft. An editor sends it for every empty panel.
pub(super) async fn new_session(
    editor: &Arc<Editor>,
    call: &Call,
    params: Value,
) -> Result<Value, RpcError> {
    let cwd = folder(&params).await?;
    match Wanted::of(&editor.entry) {
        Some(wanted) => {
            let thread = draft(editor, wanted.name.clone(), cwd, None).await?;
            thread.set_setup(&params);
            let asked = open::parameters(&editor.room, &thread, None);
            let mut again = true;
            let answer = loop {
                let process = editor.room.pool.get(editor, &wanted).await?;
                let made = open::create(&editor.room, &thread, &process, &asked, &call.cancel);
                match made.await {
                    // It ended in that moment, perhaps because of another of its threads.
                    Err(_) if again && !process.agent.is_alive() => again = false,
                    made => break made?,
                }
            };
            begin(editor, &thread);
            Ok(frames::for_session(answer, thread.id.as_str()))
        }
        None => {
            let agent = default_agent(editor)?;
            let thread = draft(editor, agent, cwd, None).await?;
            thread.set_setup(&params);
            show_selectors(editor, &thread);
            begin(editor, &thread);
            open_behind(editor, &thread);
            let options = thread
                .selectors()
                .map(|selectors| selectors.with(None, None));
            Ok(json!({ "sessionId": thread.id, "configOptions": options }))
        }
    }
}

/// Answers `session/fork` with a new draft whose agent session is a fork of another's.
pub(super) async fn fork(
    editor: &Arc<Editor>,
    call: &Call,
    params: Value,
) -> Result<Value, RpcError> {
    let from = super::history::thread_of(editor, &params)?;
    let opened = open::open(editor, &from).await?;
    let row = from.row();
    let cwd = match params.get("cwd") {
        Some(_) => folder(&params).await?,
        None => row.cwd.clone(),
    };
    let thread = draft(editor, row.agent, cwd, Some(row.entry)).await?;
    thread.set_setup(&params);
    let mut asked = open::parameters(&editor.room, &thread, Some(&opened.session));
    if let Some(meta) = params.get("_meta") {
        asked["_meta"] = meta.clone();
    }
    let forked = open::make(
        &thread,
        &opened.process,
        "session/fork",
        &asked,
        &call.cancel,
    );
    let (session, answer) = forked.await?;
    open::adopt(&editor.room, &thread, &opened.process, session, &answer).await;
    begin(editor, &thread);
    Ok(frames::for_session(answer, thread.id.as_str()))
}

/// The folder of a new thread.
async fn folder(params: &Value) -> Result<String, RpcError> {
    let cwd = match params.get("cwd") {
        Some(Value::String(cwd)) => cwd,
        Some(_) => {
            let text = "`cwd` must be a string, the absolute path of a folder";
            return Err(frames::invalid(text));
        }
        None => {
            return Err(frames::invalid(
                "`cwd` is missing: the folder of the thread",
            ));
        }
    };
    if !Path::new(cwd).is_absolute() {
        return Err(frames::invalid(format!(
            "`cwd` must be an absolute path, not {cwd:?}"
        )));
    }
    let there = cwd.clone();
    // A file system that is away for a moment holds a thread of its own up.
    let found = tokio::task::spawn_blocking(move || std::fs::metadata(there)).await;
    match found.unwrap_or_else(|error| Err(error.into())) {
        Ok(about) if about.is_dir() => Ok(cwd.clone()),
        Ok(_) => Err(frames::invalid(format!("`cwd` is no folder: {cwd}"))),
        Err(error) => Err(frames::invalid(format!(
            "the folder `cwd` cannot be used: {cwd}: {error}"
        ))),
    }
}

async fn draft(
    editor: &Arc<Editor>,
    agent: AgentName,
    cwd: String,
    entry: Option<Entry>,
) -> Result<Arc<Thread>, RpcError> {
    let room = &editor.room;
    let broken = |error: &dyn ToString| frames::internal(error.to_string());
    let id: WorkSessionId = workflow::new_id().map_err(|error| broken(&error))?;
    let new = NewThread {
        id,
        entry: entry.unwrap_or_else(|| editor.entry.clone()),
        agent,
        project: room.project(&cwd).await,
        cwd,
        acp_session: None,
        title: None,
        state: json!({}),
        task: None,
    };
    let row = workflow::thread::draft(&room.ctx.store, new).await;
    Ok(room.keep(row.map_err(|error| broken(&error))?))
}

/// Ties a new thread to the editor; what comes for it is held until the editor knows it.
fn begin(editor: &Arc<Editor>, thread: &Arc<Thread>) {
    thread.set_primary(editor);
    thread.hold();
    editor.opened(&thread.id);
}

/// The agent of a thread of the `SpecTask` entry, until a person chooses another.
fn default_agent(editor: &Editor) -> Result<AgentName, RpcError> {
    let ctx = &editor.room.ctx;
    let config = ctx
        .config()
        .map_err(|error| frames::internal(error.to_string()))?;
    let found = ctx.default_agent(&config, &editor.environment);
    // The example agent answers without a model: better than a thread that cannot begin.
    found
        .or_else(|| "example".parse().ok())
        .ok_or_else(|| frames::internal("no agent was found on this machine"))
}

/// Notes what the selectors of a thread offer now.
pub(super) fn show_selectors(editor: &Editor, thread: &Thread) {
    let ctx = &editor.room.ctx;
    thread.refresh(&editor.room);
    let row = thread.row();
    let agents = ctx.config().map_or_else(
        |_| Vec::new(),
        |config| {
            ctx.agents(&config, &editor.environment)
                .into_iter()
                .filter(|(found, configured)| *configured || found.executable.exists())
                .map(|(found, _)| found.profile.name)
                .collect()
        },
    );
    let (mut tasks, mut chosen) = (Vec::new(), None);
    let open = ctx.store.read(|read| read.open_tasks()).unwrap_or_default();
    for task in open {
        let here = row.project.as_ref() == Some(&task.project);
        if here && task.status != SpecTaskStatus::Backlog {
            if row.task.as_ref() == Some(&task.id) {
                chosen = Some(task.name());
            }
            tasks.push((task.name(), task.title.clone()));
        }
    }
    let selectors = Selectors {
        agents,
        agent: row.agent.to_string(),
        tasks,
        task: chosen,
    };
    thread.remember(
        "selectors",
        json!({ "agents": selectors.agents, "tasks": selectors.tasks, "task": selectors.task }),
    );
}

/// Opens the agent's session of a draft while the person thinks, and shows its options when it is
/// there. What stands against it is said at the first prompt.
pub(super) fn open_behind(editor: &Arc<Editor>, thread: &Arc<Thread>) {
    let (editor, thread) = (Arc::clone(editor), Arc::clone(thread));
    tokio::spawn(async move {
        match open::open(&editor, &thread).await {
            Ok(_) => thread.show(super::settings::options_update(&thread)),
            Err(error) => {
                tracing::info!(code = error.code, thread = %thread.id, "the agent of a draft did not open");
            }
        }
    });
}

/// Whether a thread has the selectors of the `SpecTask` entry.
pub(super) fn is_own_entry(thread: &Thread) -> bool {
    thread.row().entry == Entry::SpecTask
}
