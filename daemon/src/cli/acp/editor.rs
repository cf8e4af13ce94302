//! The editor's side: standard input and standard output.

use std::{future::Future, io, pin::Pin};

use spectask_protocol::shim::At;
use tokio::io::{AsyncRead, AsyncWrite};

use super::lines::{Batches, Lines};

/// The longest line of an editor: a prompt with pictures.
const LINE_LIMIT: usize = 64 << 20;

/// What the editor writes.
pub(super) type Input = Lines<Pin<Box<dyn AsyncRead>>>;
/// What it reads; marked with the place in a session's stream.
pub(super) type Output = Batches<Pin<Box<dyn AsyncWrite>>, At>;

/// Standard input.
pub(super) fn input() -> Input {
    Lines::new(reader(), Vec::new(), LINE_LIMIT)
}

/// Standard output.
pub(super) fn output() -> Output {
    Batches::new(writer())
}

/// An editor's pipe is waited for like a socket; anything else, such as a terminal or a file, by a
/// thread. Must be called in the runtime.
#[cfg(unix)]
fn reader() -> Pin<Box<dyn AsyncRead>> {
    use std::os::fd::AsFd;
    let pipe = io::stdin().as_fd().try_clone_to_owned();
    match pipe.and_then(tokio::net::unix::pipe::Receiver::from_owned_fd) {
        Ok(pipe) => Box::pin(pipe),
        Err(_) => Box::pin(tokio::io::stdin()),
    }
}

#[cfg(unix)]
fn writer() -> Pin<Box<dyn AsyncWrite>> {
    use std::os::fd::AsFd;
    let pipe = io::stdout().as_fd().try_clone_to_owned();
    match pipe.and_then(tokio::net::unix::pipe::Sender::from_owned_fd) {
        Ok(pipe) => Box::pin(pipe),
        Err(_) => Box::pin(tokio::io::stdout()),
    }
}

#[cfg(not(unix))]
fn reader() -> Pin<Box<dyn AsyncRead>> {
    Box::pin(tokio::io::stdin())
}

#[cfg(not(unix))]
fn writer() -> Pin<Box<dyn AsyncWrite>> {
    Box::pin(tokio::io::stdout())
}

/// Whether a failed read may be tried again: somebody made the same pipe one that does not wait.
pub(super) fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}

/// What a future gives if there is one; else nothing, ever.
pub(super) async fn maybe<F: Future>(future: Option<F>) -> F::Output {
    match future {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}
