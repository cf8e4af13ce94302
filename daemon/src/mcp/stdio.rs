//! Serving a process's standard streams: what editors and agents start.

use rmcp::{ServiceExt, service::QuitReason, transport::io::stdio_pipes};

use super::{Caller, Server};

/// Why serving ended badly.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The client did not begin as MCP wants it.
    #[error("the client did not open the connection: {0}")]
    Open(String),
    /// The task that serves failed.
    #[error("serving ended: {0}")]
    Serve(String),
}

/// Serves standard input and output until the client closes its end. Nothing but MCP is written.
///
/// # Errors
/// When the client speaks no MCP, or serving fails.
pub async fn stdio(caller: Caller) -> Result<(), ServeError> {
    let service = match Server::new(caller).serve(stdio_pipes()).await {
        Ok(service) => service,
        // A client that looks and leaves did nothing wrong.
        Err(rmcp::service::ServerInitializeError::ConnectionClosed(_)) => return Ok(()),
        Err(error) => return Err(ServeError::Open(error.to_string())),
    };
    match service.waiting().await {
        Ok(QuitReason::JoinError(error)) | Err(error) => Err(ServeError::Serve(error.to_string())),
        Ok(_) => Ok(()),
    }
}
