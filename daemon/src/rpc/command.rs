//! Slash commands over JSON-RPC.

use std::sync::Arc;

use spectask_protocol::{
    CommandAnswer, CommandList, CommandParams, Empty, Failure, FailureKind, Role,
};

use super::face::Face;

pub(super) async fn list(
    _face: Arc<Face>,
    _role: Role,
    _params: Empty,
) -> Result<CommandList, Failure> {
    Err(Failure::new(FailureKind::Unavailable, "not served yet"))
}

pub(super) async fn run(
    _face: Arc<Face>,
    _role: Role,
    _params: CommandParams,
) -> Result<CommandAnswer, Failure> {
    Err(Failure::new(FailureKind::Unavailable, "not served yet"))
}
