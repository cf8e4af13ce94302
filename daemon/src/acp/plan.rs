//! `/spec` in a thread: the planning session's work is seen in the thread until a person is asked.

use std::sync::Arc;

use spectask_protocol::{SessionPhase, SpecTaskStatus, SpecTaskView, WorkSessionId};

use super::{
    editor::{Call, Editor},
    frames, history,
    view::{Show, View},
};
use crate::{agents::RpcError, store::StoreError};

/// Shows the planning of a SpecTask under the id of a thread until it is over; returns whether the
/// person stopped watching.
pub(super) async fn follow(
    editor: &Arc<Editor>,
    call: &Call,
    id: &WorkSessionId,
    task: &SpecTaskView,
) -> Result<bool, RpcError> {
    let store = &editor.room.ctx.store;
    let mut committed = store.committed();
    let mut view = None;
    // Planning takes the place of what the thread shows.
    let before = editor.view(id).map(|view| (view.next_index(), view));
    let stopped = loop {
        committed.mark_unchanged();
        let state = store.read(|read| {
            let sessions = read.sessions(&task.id)?;
            let planning = sessions
                .into_iter()
                .find(|session| session.phase == SessionPhase::Planning);
            Ok::<_, StoreError>((read.task(&task.id)?.map(|task| task.status), planning))
        });
        let (status, planning) = state.map_err(|error| frames::internal(error.to_string()))?;
        if view.is_none()
            && let Some(planning) = &planning
        {
            history::show_session(editor, id, &planning.id, Show::Inside)?;
            view = editor.view(id);
        }
        let waits = planning.is_some_and(|planning| planning.waiting.is_some());
        let plans = matches!(
            status,
            Some(
                SpecTaskStatus::QueuedSpecGeneration
                    | SpecTaskStatus::SpecGeneration
                    | SpecTaskStatus::SpecRevision
            )
        );
        if !plans || waits {
            break false;
        }
        tokio::select! {
            () = call.stop.cancelled() => break true,
            changed = committed.changed() => if changed.is_err() { break true },
        }
    };
    if let Some(view) = view {
        // The newest words are in the stream before the state changes.
        view.caught_up().await;
        editor.end_view(id, &view);
        if let Some((next, before)) = before {
            View::again(editor, &before, next);
        }
    }
    Ok(stopped)
}
