//! Stands in for parts that are being built.

use serde_json::{Value, json};
use spectask_protocol::{PermissionId, TranscriptEntry};

use crate::{
    agents::PermissionAnswer,
    scheduler::Context,
    workflow::{WorkflowError, turn},
};

pub(super) struct Replay;

impl Replay {
    pub(super) fn new() -> Self {
        Self
    }

    pub(super) fn push(&mut self, entry: TranscriptEntry) -> Vec<Value> {
        let method = entry.frame.get("method").and_then(Value::as_str);
        match method {
            Some("session/update") => entry.frame.pointer("/params/update").cloned().into_iter().collect(),
            Some("session/prompt") => entry
                .frame
                .pointer("/params/prompt")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .map(|block| json!({ "sessionUpdate": "user_message_chunk", "messageId": format!("m-{}", entry.index), "content": block }))
                .collect(),
            _ => Vec::new(),
        }
    }

    pub(super) fn finish(self) -> Vec<Value> {
        Vec::new()
    }
}

pub(super) async fn answer(
    ctx: &Context,
    permission: &PermissionId,
    option: Option<String>,
) -> Result<(), WorkflowError> {
    let open = ctx.store.read(|read| read.open_permissions(None))?;
    let Some(asked) = open.into_iter().find(|asked| asked.id == *permission) else {
        return Ok(());
    };
    let shown = option.clone().unwrap_or_else(|| "cancelled".into());
    turn::answered(&ctx.store, permission.clone(), asked.session, shown).await?;
    let answer = option.map_or(PermissionAnswer::Cancelled, PermissionAnswer::Selected);
    ctx.answer(permission, answer);
    Ok(())
}
