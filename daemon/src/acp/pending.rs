//! Stands in for parts that are being built.

use spectask_protocol::PermissionId;

use crate::{
    agents::PermissionAnswer,
    scheduler::Context,
    workflow::{WorkflowError, turn},
};

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
