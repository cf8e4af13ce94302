//! What sessions say to each other, and what persons say about them.

use std::sync::Arc;

use spectask_protocol::{
    AttachParams, DecideParams, Empty, Failure, FailureKind, MessageList, MessageListParams,
    MessageView, ReportParams, Role, SearchParams, SearchResult, SessionParams, TellParams,
    WorkSessionView,
};

use super::face::Face;

pub(super) async fn stop(
    _face: Arc<Face>,
    _role: Role,
    _params: SessionParams,
) -> Result<WorkSessionView, Failure> {
    Err(Failure::new(FailureKind::Unavailable, "not served yet"))
}

pub(super) async fn attach(
    _face: Arc<Face>,
    _role: Role,
    _params: AttachParams,
) -> Result<WorkSessionView, Failure> {
    Err(Failure::new(FailureKind::Unavailable, "not served yet"))
}

pub(super) async fn report(
    _face: Arc<Face>,
    _role: Role,
    _params: ReportParams,
) -> Result<Empty, Failure> {
    Err(Failure::new(FailureKind::Unavailable, "not served yet"))
}

pub(super) async fn tell(
    _face: Arc<Face>,
    _role: Role,
    _params: TellParams,
) -> Result<MessageView, Failure> {
    Err(Failure::new(FailureKind::Unavailable, "not served yet"))
}

pub(super) async fn list(
    _face: Arc<Face>,
    _role: Role,
    _params: MessageListParams,
) -> Result<MessageList, Failure> {
    Err(Failure::new(FailureKind::Unavailable, "not served yet"))
}

pub(super) async fn decide(
    _face: Arc<Face>,
    _role: Role,
    _params: DecideParams,
) -> Result<Empty, Failure> {
    Err(Failure::new(FailureKind::Unavailable, "not served yet"))
}

pub(super) async fn search(
    _face: Arc<Face>,
    _role: Role,
    _params: SearchParams,
) -> Result<SearchResult, Failure> {
    Err(Failure::new(FailureKind::Unavailable, "not served yet"))
}
