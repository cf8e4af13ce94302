//! Editors that are attached, and agent threads.

use std::sync::Arc;

use spectask_protocol::{
    Failure, FailureKind, Role, SessionParams, ThreadList, ThreadListParams, ThreadView,
    ZedInstanceList, ZedInstanceView, ZedListParams, ZedParams,
};

use super::face::Face;

pub(super) async fn threads(
    _face: Arc<Face>,
    _role: Role,
    _params: ThreadListParams,
) -> Result<ThreadList, Failure> {
    Err(Failure::new(FailureKind::Unavailable, "not served yet"))
}

pub(super) async fn thread(
    _face: Arc<Face>,
    _role: Role,
    _params: SessionParams,
) -> Result<ThreadView, Failure> {
    Err(Failure::new(FailureKind::Unavailable, "not served yet"))
}

pub(super) async fn heartbeat(
    _face: Arc<Face>,
    _role: Role,
    _params: SessionParams,
) -> Result<ThreadView, Failure> {
    Err(Failure::new(FailureKind::Unavailable, "not served yet"))
}

pub(super) async fn list(
    _face: Arc<Face>,
    _role: Role,
    _params: ZedListParams,
) -> Result<ZedInstanceList, Failure> {
    Err(Failure::new(FailureKind::Unavailable, "not served yet"))
}

pub(super) async fn get(
    _face: Arc<Face>,
    _role: Role,
    _params: ZedParams,
) -> Result<ZedInstanceView, Failure> {
    Err(Failure::new(FailureKind::Unavailable, "not served yet"))
}

pub(super) async fn threads_of(
    _face: Arc<Face>,
    _role: Role,
    _params: ZedParams,
) -> Result<ThreadList, Failure> {
    Err(Failure::new(FailureKind::Unavailable, "not served yet"))
}

pub(super) async fn detach(
    _face: Arc<Face>,
    _role: Role,
    _params: ZedParams,
) -> Result<ZedInstanceView, Failure> {
    Err(Failure::new(FailureKind::Unavailable, "not served yet"))
}
