//! Conversations that exist: listing, opening, closing and deleting them in an editor.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use spectask_protocol::{SessionMethod, WorkSessionId, shim::Entry};

use super::{
    editor::{Call, Editor},
    frames,
    pool::Wanted,
    prompt, settings, start,
    thread::Thread,
    view::{Show, View},
};
use crate::{
    agents::RpcError,
    live::Stream,
    store::{SessionRow, StoreError, ThreadFilter},
    workflow::{self, lookup},
};

/// Sessions on a page of `session/list`.
const PAGE: usize = 100;
/// How long the answer to `session/load` waits for the replay: what is longer streams after it.
const REPLAY_FIRST: Duration = Duration::from_millis(400);
/// What a draft remembers when it was turned into a viewer.
pub(super) const VIEWING: &str = "viewing";

/// What an editor's session id stands for.
pub(super) enum Shown {
    /// A thread of its own.
    Thread(Arc<Thread>),
    /// A session that the scheduler runs, or that another thread is, seen under its id or under that
    /// of a thread that was turned into a viewer.
    Session {
        id: WorkSessionId,
        row: Box<SessionRow>,
    },
}

fn broken(error: &StoreError) -> RpcError {
    frames::internal(error.to_string())
}

/// What the session id in parameters stands for.
pub(super) fn shown(editor: &Editor, params: &Value) -> Result<Shown, RpcError> {
    let text = frames::session_of(params).unwrap_or_default();
    let unknown = || frames::not_found(format!("there is no session {text:?}"));
    let id: WorkSessionId = text.parse().map_err(|_| unknown())?;
    find(editor, &id)?.ok_or_else(unknown)
}

fn find(editor: &Editor, id: &WorkSessionId) -> Result<Option<Shown>, RpcError> {
    let room = &editor.room;
    let session = |target: &WorkSessionId| {
        let row = room.ctx.store.read(|read| read.session(target));
        row.map_err(|error| broken(&error))
    };
    if let Some(thread) = room.thread(id).map_err(|error| broken(&error))? {
        let viewing = thread.remembered(VIEWING);
        let viewing = viewing.and_then(|id| id.as_str()?.parse().ok());
        return match viewing {
            Some(target) => Ok(session(&target)?.map(|row| Shown::Session {
                id: id.clone(),
                row: Box::new(row),
            })),
            None => Ok(Some(Shown::Thread(thread))),
        };
    }
    let row = session(id)?.filter(|row| row.method != SessionMethod::AdHoc);
    Ok(row.map(|row| Shown::Session {
        id: id.clone(),
        row: Box::new(row),
    }))
}

/// The thread that parameters name.
pub(super) fn thread_of(editor: &Editor, params: &Value) -> Result<Arc<Thread>, RpcError> {
    match shown(editor, params)? {
        Shown::Thread(thread) => Ok(thread),
        Shown::Session { .. } => Err(frames::internal(
            "This thread shows a session that SpecTask runs.",
        )),
    }
}

/// Answers `session/load`: the conversation comes from the transcript, the agent is not needed.
pub(super) async fn load(
    editor: &Arc<Editor>,
    call: &Call,
    params: Value,
) -> Result<Value, RpcError> {
    let shown = shown(editor, &params)?;
    // After a reconnect it is shown already, from where the editor was.
    let id = match &shown {
        Shown::Thread(thread) => thread.id.clone(),
        Shown::Session { id, .. } => id.clone(),
    };
    let there = call.again && editor.view(&id).is_some_and(|view| view.has_shown());
    let answer = open(editor, &shown, &params, !there).await?;
    if let Some(view) = editor.view(&id) {
        let _ = tokio::time::timeout(REPLAY_FIRST, view.caught_up()).await;
    }
    Ok(answer)
}

/// Answers `session/resume`: as `session/load` without the conversation.
pub(super) async fn resume(editor: &Arc<Editor>, params: Value) -> Result<Value, RpcError> {
    let shown = shown(editor, &params)?;
    open(editor, &shown, &params, false).await
}

async fn open(
    editor: &Arc<Editor>,
    shown: &Shown,
    params: &Value,
    replay: bool,
) -> Result<Value, RpcError> {
    match shown {
        Shown::Thread(thread) => {
            thread.set_setup(params);
            thread.set_primary(editor);
            if start::is_own_entry(thread) {
                start::show_selectors(editor, thread);
            }
            editor.opened(&thread.id);
            let show = if replay { Show::All } else { Show::New };
            show_thread(editor, thread, show)?;
            prompt::tell_cut(&editor.room, thread).await;
            // The end of a replay brings the commands.
            if !replay || thread.stream().is_none() {
                thread.hold();
            }
            Ok(opened_answer(thread))
        }
        Shown::Session { id, row } => {
            editor.opened(id);
            let show = if replay { Show::All } else { Show::New };
            show_session(editor, id, &row.id, show)?;
            Ok(json!({}))
        }
    }
}

/// The answer for a thread of which the agent's session is opened when it is needed.
fn opened_answer(thread: &Thread) -> Value {
    let mut answer = json!({});
    if let Some(modes) = thread.remembered("modes").filter(|modes| !modes.is_null()) {
        answer["modes"] = modes;
    }
    let options = settings::all_options(thread);
    if options
        .as_array()
        .is_some_and(|options| !options.is_empty())
    {
        answer["configOptions"] = options;
    }
    answer
}

/// Shows a thread's stream in the editor, if it has one: drafts have none.
pub(super) fn show_thread(
    editor: &Arc<Editor>,
    thread: &Arc<Thread>,
    show: Show,
) -> Result<(), RpcError> {
    let store = &editor.room.ctx.store;
    let prompted = store
        .read(|read| read.session(&thread.id))
        .map_err(|error| broken(&error))?;
    if prompted.is_none() {
        return Ok(());
    }
    let stream = stream(editor, &thread.id, Some(thread))?;
    thread.set_stream(Arc::clone(&stream));
    View::attach(editor, &thread.id, &stream, Some(Arc::clone(thread)), show);
    Ok(())
}

/// Shows the stream of a session that the scheduler runs, under an id of the editor's.
pub(super) fn show_session(
    editor: &Arc<Editor>,
    id: &WorkSessionId,
    session: &WorkSessionId,
    show: Show,
) -> Result<(), RpcError> {
    let stream = stream(editor, session, None)?;
    View::attach(editor, id, &stream, None, show);
    Ok(())
}

/// The stream of a session. One that nobody has opened yet takes secrets out that a person of this
/// editor has; whoever starts the agent gives it what the agent has too.
fn stream(
    editor: &Editor,
    session: &WorkSessionId,
    thread: Option<&Thread>,
) -> Result<Arc<Stream>, RpcError> {
    let ctx = &editor.room.ctx;
    let redactor =
        ctx.live
            .get(session)
            .is_none()
            .then(|| match thread.and_then(Thread::process) {
                Some(process) => process.relay.redactor.clone(),
                None => ctx.redactor(&editor.environment),
            });
    let stream = ctx.live.stream(session, redactor);
    stream.map_err(|error| broken(&error))
}

/// Shows a session again after the shim has connected again: from the entry after the last one that
/// the editor has.
pub(super) async fn attach_again(editor: &Arc<Editor>, id: &WorkSessionId, seen: Option<u64>) {
    let show = Show::After(seen);
    let result = match find(editor, id) {
        Ok(Some(Shown::Thread(thread))) => {
            thread.set_primary(editor);
            editor.opened(id);
            let shown = show_thread(editor, &thread, show);
            prompt::tell_cut(&editor.room, &thread).await;
            shown
        }
        Ok(Some(Shown::Session { row, .. })) => {
            editor.opened(id);
            show_session(editor, id, &row.id, show)
        }
        Ok(None) => Ok(()),
        Err(error) => Err(error),
    };
    if let Err(error) = result {
        tracing::warn!(%error, session = %id, "a session could not be shown again");
    }
}

/// Answers `session/list`.
pub(super) fn list(editor: &Arc<Editor>, params: &Value) -> Result<Value, RpcError> {
    let offset: usize = match params.get("cursor").and_then(Value::as_str) {
        Some(cursor) => cursor
            .parse()
            .map_err(|_| frames::invalid("that `cursor` is none of ours"))?,
        None => 0,
    };
    let cwd = params.get("cwd").and_then(Value::as_str);
    let wanted = Wanted::of(&editor.entry);
    let everything = matches!(editor.entry, Entry::SpecTask);
    let listed = editor.room.ctx.store.read(|read| {
        let mut all = Vec::new();
        let agent = wanted.as_ref().map(|wanted| &wanted.name);
        let filter = ThreadFilter {
            agent,
            ..ThreadFilter::default()
        };
        for row in read.threads(filter)? {
            let title = row.title.clone();
            all.push((row.used_at, row.id, row.cwd, title));
        }
        if everything {
            for task in read.tasks(None, true)? {
                let project = read.project(&task.project)?;
                for session in read.sessions(&task.id)? {
                    if session.method == SessionMethod::AdHoc || session.started_at.is_none() {
                        continue;
                    }
                    let at = session.ended_at.or(session.started_at).unwrap_or_default();
                    let name = lookup::session_name(Some(&task), &session);
                    let title = format!("{name}: {}", session.title);
                    let folder = session.worktree.clone();
                    let root = project.as_ref().map(|project| project.root.clone());
                    let folder = folder.or(root).unwrap_or_default();
                    all.push((at, session.id, folder, Some(title)));
                }
            }
        }
        Ok::<_, StoreError>(all)
    });
    let mut listed = listed.map_err(|error| broken(&error))?;
    listed.retain(|(_, _, folder, _)| cwd.is_none_or(|cwd| cwd == folder));
    listed.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    let more = listed.len() > offset.saturating_add(PAGE);
    let page = listed.into_iter().skip(offset).take(PAGE);
    let sessions: Vec<Value> = page
        .map(|(at, id, cwd, title)| {
            let at = jiff::Timestamp::from_millisecond(at).unwrap_or_default();
            let mut entry = json!({ "sessionId": id, "cwd": cwd, "updatedAt": at.to_string() });
            if let Some(title) = title {
                entry["title"] = title.into();
            }
            entry
        })
        .collect();
    let mut answer = json!({ "sessions": sessions });
    if more {
        answer["nextCursor"] = (offset + PAGE).to_string().into();
    }
    Ok(answer)
}

/// Answers `session/close`: the editor shows it no longer. Zed sends it when too many threads are
/// idle, so it stops nothing.
pub(super) async fn close(editor: &Arc<Editor>, params: &Value) -> Result<Value, RpcError> {
    if let Some(id) = frames::session_of(params).and_then(|id| id.parse().ok()) {
        editor.closed(&id);
    }
    Ok(json!({}))
}

/// Answers `session/delete`: the thread is gone from lists; what was recorded stays.
pub(super) async fn delete(editor: &Arc<Editor>, params: &Value) -> Result<Value, RpcError> {
    let thread = match shown(editor, params)? {
        Shown::Thread(thread) => thread,
        Shown::Session { id, .. } => {
            // A viewer is only a draft; a session that the scheduler runs is not an editor's to delete.
            editor.closed(&id);
            let Ok(Some(thread)) = editor.room.thread(&id) else {
                return Ok(json!({}));
            };
            thread
        }
    };
    editor.closed(&thread.id);
    editor.room.ctx.interrupt(&thread.id);
    if let (Some(process), Some(session)) = (thread.process(), thread.row().acp_session) {
        process.relay.unbind(&session);
        if let Err(error) = process.agent.close_session(&session).await {
            tracing::debug!(%error, "the agent did not close a session");
        }
    }
    let deleted = workflow::thread::delete(&editor.room.ctx.store, &thread.id).await;
    deleted.map_err(|error| frames::internal(error.to_string()))?;
    editor.room.forget(&thread.id);
    Ok(json!({}))
}
