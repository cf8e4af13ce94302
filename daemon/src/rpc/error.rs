//! Failures as JSON-RPC errors. The functions take errors by value, so that `map_err` names them.
#![allow(
    clippy::needless_pass_by_value,
    reason = "they are arguments of map_err"
)]

use std::{io, path::PathBuf};

use jsonrpsee::types::ErrorObjectOwned;
use spectask_protocol::{Failure, FailureKind};

use crate::{
    agents::AgentError,
    config::ConfigError,
    repo::RepoError,
    scheduler::{ProjectError, PromptError},
    store::StoreError,
};

/// Why the daemon cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The socket cannot be made.
    #[error("cannot listen on {socket}: {source}")]
    Listen {
        /// The socket.
        socket: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The method table and the handlers differ.
    #[error("the method table and the handlers differ: {0}")]
    Methods(String),
}

pub(super) fn to_object(failure: &Failure) -> ErrorObjectOwned {
    ErrorObjectOwned::owned(failure.kind.code(), failure.message.clone(), Some(failure))
}

pub(super) fn internal(error: impl std::fmt::Display) -> Failure {
    Failure::new(FailureKind::Internal, error.to_string())
}

pub(super) fn store(error: StoreError) -> Failure {
    internal(error)
}

pub(super) fn repository(error: RepoError) -> Failure {
    let kind = match &error {
        RepoError::NotARepository { .. }
        | RepoError::UnknownRevision { .. }
        | RepoError::NoRemote { .. } => FailureKind::NotFound,
        RepoError::InvalidName { .. } | RepoError::InvalidPath { .. } => FailureKind::InvalidParams,
        _ => FailureKind::InvalidState,
    };
    Failure::new(kind, error.to_string())
}

pub(super) fn config(error: ConfigError) -> Failure {
    Failure::new(FailureKind::InvalidParams, error.to_string())
        .hint("`spectask config path` tells where the file is")
}

pub(super) fn project(error: ProjectError) -> Failure {
    match error {
        ProjectError::Store(error) => store(error),
        error => Failure::new(FailureKind::InvalidState, error.to_string()),
    }
}

pub(super) fn prompt(error: PromptError) -> Failure {
    Failure::new(FailureKind::InvalidState, error.to_string())
}

pub(super) fn agent(error: AgentError) -> Failure {
    Failure::new(FailureKind::InvalidState, error.to_string())
}
