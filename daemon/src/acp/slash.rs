//! Slash commands that a person typed in a thread.

use std::sync::Arc;

use serde_json::{Value, json};
use spectask_protocol::{
    AgentName, SpecTaskView, TaskRef, WorkSessionId, WorkSessionView, shim::Entry,
};

use super::{
    editor::{Call, Editor},
    frames,
    history::{self, Shown, VIEWING},
    plan, prompt,
    room::Room,
    thread::Thread,
    view::Show,
};
use crate::{
    agents::RpcError,
    commands::{self, Command, Invocation, Reply},
    live::Way,
};

/// What came of a command.
pub(super) enum Done {
    /// It is answered.
    Answered(Value),
    /// The agent gets this in its place.
    Prompt(String),
}

/// Runs a command; its answer is shown in the thread without a turn of the model.
pub(super) async fn run(
    editor: &Arc<Editor>,
    call: &Call,
    shown: &Shown,
    params: &Value,
    command: &'static Command,
    rest: String,
) -> Result<Done, RpcError> {
    let place = Place::of(editor, shown);
    place.typed(editor, call, params);
    if call.again {
        place.say(
            editor,
            "The daemon was restarted while this command ran. It is not run twice: `/spec-status` \
             shows what came of it.",
        );
        return Ok(Done::Answered(end()));
    }
    let invocation = Invocation {
        client: editor.room.client(editor.peer()),
        cwd: place
            .cwd
            .clone()
            .unwrap_or_else(|| editor.cwd.display().to_string()),
        session: Some(place.session.clone()),
        task: place.task.clone(),
        agent: place.agent.clone(),
        environment: editor.environment.clone(),
    };
    let client = invocation.client.clone();
    let reply = tokio::select! {
        () = call.stop.cancelled() => return Ok(Done::Answered(prompt::stopped())),
        reply = commands::run(invocation, command, rest) => reply,
    };
    match reply {
        Ok(reply @ (Reply::Text(_) | Reply::Help)) => place.say(editor, &reply.text()),
        Ok(Reply::Prompt(text)) => return Ok(Done::Prompt(text)),
        Ok(Reply::Plan { task }) => {
            let SpecTaskView { name, .. } = &task;
            place.say(editor, &format!("Planning `{name}`\u{2026}\n\n"));
            let stopped = plan::follow(editor, call, &place.id, &task).await?;
            let text = if stopped {
                format!(
                    "Planning of `{name}` goes on without this thread: `/spec-status` shows it."
                )
            } else {
                let task = TaskRef::from(task.id.clone());
                let summary = commands::review_summary(&client, &task).await;
                summary.unwrap_or_else(|failure| commands::failure_text(&failure))
            };
            place.say(editor, &text);
            if stopped {
                return Ok(Done::Answered(prompt::stopped()));
            }
        }
        Ok(Reply::Open { session }) => open(editor, &place, &session).await?,
        Err(failure) => place.say(editor, &commands::failure_text(&failure)),
    }
    Ok(Done::Answered(end()))
}

/// Says that there is no such command.
pub(super) fn unknown(editor: &Editor, shown: &Shown, name: &str) {
    let name: String = name.chars().filter(|c| *c != '`').collect();
    let text = format!("There is no command `{name}`. `/spec-help` lists those that there are.");
    Place::of(editor, shown).say(editor, &text);
}

fn end() -> Value {
    json!({ "stopReason": "end_turn" })
}

/// Where a command was typed.
struct Place {
    /// The editor's id of the thread.
    id: WorkSessionId,
    /// The session it stands for.
    session: WorkSessionId,
    thread: Option<Arc<Thread>>,
    cwd: Option<String>,
    task: Option<TaskRef>,
    agent: Option<AgentName>,
}

impl Place {
    fn of(editor: &Editor, shown: &Shown) -> Self {
        match shown {
            Shown::Thread(thread) => {
                thread.refresh(&editor.room);
                let row = thread.row();
                Self {
                    id: thread.id.clone(),
                    session: thread.id.clone(),
                    thread: Some(Arc::clone(thread)),
                    cwd: Some(row.cwd),
                    task: row.task.map(TaskRef::from),
                    // That of a bare command has no profile that another session could use.
                    agent: Some(row.agent).filter(|_| !matches!(row.entry, Entry::Command { .. })),
                }
            }
            Shown::Session { id, row } => Self {
                id: id.clone(),
                session: row.id.clone(),
                thread: None,
                cwd: project_of(&editor.room, row.task.as_ref()),
                task: row.task.clone().map(TaskRef::from),
                agent: Some(row.agent.clone()),
            },
        }
    }

    /// Keeps what was typed, in a thread that has a transcript.
    fn typed(&self, editor: &Editor, call: &Call, params: &Value) {
        let stream = self.thread.as_ref().and_then(|thread| thread.stream());
        if let Some(stream) = stream {
            let key = prompt::key(editor, call);
            let frame = frames::request(&key.into(), "session/prompt", params);
            stream.frame(Way::ToAgent, &frame);
        }
    }

    /// Answers in the thread.
    fn say(&self, editor: &Editor, text: &str) {
        let id = uuid::Uuid::now_v7().to_string();
        let mut update = frames::message(text, &id);
        update["_meta"] = json!({ "spectask": { "origin": "command" } });
        let stream = self.thread.as_ref().and_then(|thread| thread.stream());
        match (stream, &self.thread) {
            (Some(stream), _) => {
                let frame = frames::update(self.id.as_str(), &update);
                stream.frame(Way::FromAgent, &frame);
            }
            (None, Some(thread)) => thread.show(update),
            (None, None) => editor.send(&frames::update(self.id.as_str(), &update)),
        }
    }
}

fn project_of(room: &Room, task: Option<&spectask_protocol::SpecTaskId>) -> Option<String> {
    let found = room.ctx.store.read(|read| {
        let Some(task) = task else { return Ok(None) };
        let Some(task) = read.task(task)? else {
            return Ok(None);
        };
        read.project(&task.project)
    });
    found.ok().flatten().map(|project| project.root)
}

/// Turns a fresh thread into a viewer of a session.
async fn open(
    editor: &Arc<Editor>,
    place: &Place,
    session: &WorkSessionView,
) -> Result<(), RpcError> {
    let fresh = place
        .thread
        .as_ref()
        .filter(|thread| thread.stream().is_none());
    let Some(thread) = fresh else {
        place.say(
            editor,
            &format!(
                "This thread has its own conversation. Open a new thread, and type `/spec-open {}` there.",
                session.name
            ),
        );
        return Ok(());
    };
    if session.id == thread.id {
        place.say(editor, "That is this thread.");
        return Ok(());
    }
    thread.remember(VIEWING, session.id.as_str().into());
    let title = format!("{}: {}", session.name, session.title);
    thread.change(&editor.room, |_| {}).await;
    history::show_session(editor, &thread.id, &session.id, Show::All)?;
    if let Some(view) = editor.view(&thread.id) {
        view.caught_up().await;
    }
    editor.send(&frames::update(
        thread.id.as_str(),
        &json!({ "sessionUpdate": "session_info_update", "title": title }),
    ));
    Ok(())
}
