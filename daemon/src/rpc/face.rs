//! What handlers see.

use std::time::Instant;

use tokio_util::sync::CancellationToken;

use crate::scheduler::Shared;

/// What handlers see.
pub(super) struct Face {
    pub(super) ctx: Shared,
    pub(super) started: Instant,
    pub(super) stop: CancellationToken,
}
