//! The connection to the daemon: an upgraded HTTP request on its local socket, written by hand,
//! because that is all the shim needs of HTTP.

use std::{cell::Cell, time::Duration};

use interprocess::local_socket::{
    GenericFilePath, ToFsName,
    tokio::{Stream, prelude::*},
};
use spectask_protocol::{
    Failure, FailureKind,
    shim::{Hello, PATH, ToDaemon, ToShim, UPGRADE},
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};

use super::{
    super::{connect, error::CliError, launch, wire},
    lines::{Batches, Line, Lines},
};
use crate::paths::Paths;

/// The largest answer to the upgrade.
const HEAD_LIMIT: usize = 16 << 10;
/// The longest line of the daemon: as much as any of its messages.
const LINE_LIMIT: usize = 256 << 20;
/// How long a daemon that accepts may take to upgrade.
const UPGRADE_TIMEOUT: Duration = Duration::from_secs(10);
/// And to let the shim in: it may be cleaning up after a crash.
const WELCOME_TIMEOUT: Duration = Duration::from_secs(60);

/// A connection that is let in.
#[derive(Debug)]
pub(super) struct Link {
    /// The daemon's lines.
    pub(super) reader: Lines<ReadHalf<Stream>>,
    /// The shim's.
    pub(super) writer: Batches<WriteHalf<Stream>, ()>,
}

/// Why there is no connection.
#[derive(Debug)]
pub(super) enum Trouble {
    /// It may be otherwise in a moment.
    Passing(Failure),
    /// The daemon does not want this shim.
    Refused(Failure),
    /// The daemon is older than this program, or speaks of other things.
    Outdated(Failure),
}

impl From<CliError> for Trouble {
    fn from(error: CliError) -> Self {
        Self::Passing(match error {
            CliError::Failure(failure) => failure,
            CliError::OutputClosed => Failure::new(FailureKind::Internal, "the output is closed"),
        })
    }
}

/// Connects to the daemon, started when none answers. Counts a connection as soon as it is greeted.
///
/// # Errors
/// When there is none to be had.
pub(super) async fn connect(
    paths: &Paths,
    hello: Hello,
    generation: &Cell<u32>,
) -> Result<Link, Trouble> {
    let stream = match open(paths).await? {
        Some(stream) => stream,
        None => {
            launch::daemon(paths).await?;
            let gone = || passing(paths, "the daemon started and was gone at once");
            open(paths).await?.ok_or_else(gone)?
        }
    };
    let (mut recv, mut send) = tokio::io::split(stream);
    let upgraded = tokio::time::timeout(UPGRADE_TIMEOUT, upgrade(&mut recv, &mut send)).await;
    let read = match upgraded {
        Ok(Ok(Upgrade::Done(read))) => read,
        Ok(Ok(Upgrade::Not(status))) => return Err(not_upgraded(paths, &status)),
        Ok(Err(error)) => return Err(closed(paths, &error.to_string())),
        Err(_) => return Err(passing(paths, "the daemon accepts and does not answer")),
    };
    let mut link = Link {
        reader: Lines::new(recv, read, LINE_LIMIT),
        writer: Batches::new(send),
    };
    let hello = Hello {
        generation: generation.get(),
        ..hello
    };
    generation.set(generation.get().saturating_add(1));
    match tokio::time::timeout(WELCOME_TIMEOUT, link.greet(hello)).await {
        Ok(Ok(ToShim::Welcome { program })) if connect::is_older(&program) => {
            Err(Trouble::Outdated(older(&program)))
        }
        Ok(Ok(ToShim::Welcome { .. })) => Ok(link),
        Ok(Ok(ToShim::Refused { failure })) if failure.kind == FailureKind::VersionMismatch => {
            Err(Trouble::Outdated(failure))
        }
        Ok(Ok(ToShim::Refused { failure })) => Err(Trouble::Refused(failure)),
        Ok(Ok(_)) => Err(closed(paths, "it did not greet")),
        Ok(Err(error)) => Err(closed(paths, &error)),
        Err(_) => Err(passing(paths, "the daemon accepts and does not greet")),
    }
}

/// Puts a daemon of this version in the place of an older one, once its turns have ended.
///
/// # Errors
/// When that one is newer, or cannot be replaced.
pub(super) async fn replace(paths: &Paths) -> Result<(), Trouble> {
    connect::connect_or_start(paths).await?;
    Ok(())
}

async fn open(paths: &Paths) -> Result<Option<Stream>, CliError> {
    let socket = paths.socket();
    let name = socket
        .as_path()
        .to_fs_name::<GenericFilePath>()
        .map_err(|error| wire::unreachable_socket(paths, &error))?;
    match Stream::connect(name).await {
        Ok(stream) => Ok(Some(stream)),
        Err(error) if wire::nobody_listens(&error) => Ok(None),
        Err(error) => Err(wire::unreachable_socket(paths, &error)),
    }
}

enum Upgrade {
    /// With what came after the head.
    Done(Vec<u8>),
    /// With the first line of the answer.
    Not(String),
}

async fn upgrade(
    recv: &mut ReadHalf<Stream>,
    send: &mut WriteHalf<Stream>,
) -> std::io::Result<Upgrade> {
    let request = format!(
        "GET {PATH} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: {UPGRADE}\r\n\r\n"
    );
    send.write_all(request.as_bytes()).await?;
    send.flush().await?;
    let mut read = Vec::with_capacity(HEAD_LIMIT);
    let end = loop {
        if let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        if read.len() >= HEAD_LIMIT {
            return Err(std::io::Error::other("its answer has no end"));
        }
        if recv.read_buf(&mut read).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    };
    let rest = read.split_off(end);
    let head = String::from_utf8_lossy(&read);
    let status = head.lines().next().unwrap_or_default();
    if status.split_ascii_whitespace().nth(1) == Some("101") {
        return Ok(Upgrade::Done(rest));
    }
    Ok(Upgrade::Not(status.chars().take(100).collect()))
}

impl Link {
    async fn greet(&mut self, hello: Hello) -> Result<ToShim, String> {
        let hello = ToDaemon::Hello(Box::new(hello));
        let hello = serde_json::to_string(&hello).map_err(|error| error.to_string())?;
        self.writer.put(&[&hello], None);
        while !self.writer.is_idle() {
            let written = self.writer.write().await;
            written.map_err(|error| error.to_string())?;
        }
        loop {
            if let Some(line) = self.reader.take() {
                let Line::Whole(line) = line else {
                    return Err("its line is too long".to_owned());
                };
                return serde_json::from_slice(line)
                    .map_err(|error| format!("its greeting cannot be read: {error}"));
            }
            let filled = self.reader.fill().await;
            if filled.map_err(|error| error.to_string())? == 0 {
                return Err("it ended".to_owned());
            }
        }
    }
}

fn passing(paths: &Paths, message: &str) -> Trouble {
    let hint = format!("see {}", paths.log_file().display());
    Trouble::Passing(Failure::new(FailureKind::Unavailable, message).hint(hint))
}

fn closed(paths: &Paths, why: &str) -> Trouble {
    passing(
        paths,
        &format!("the daemon closed the connection of this editor: {why}"),
    )
}

/// What an answer other than the upgrade means.
fn not_upgraded(paths: &Paths, status: &str) -> Trouble {
    let code = status.split_ascii_whitespace().nth(1).unwrap_or_default();
    if code.starts_with('5') || code == "401" || code == "403" || code == "429" {
        return passing(paths, &format!("the daemon refuses editors: {status}"));
    }
    Trouble::Outdated(older("a version that serves no editors"))
}

fn older(version: &str) -> Failure {
    Failure::new(
        FailureKind::VersionMismatch,
        format!(
            "the daemon that runs is SpecTask {version}, older than this program, {}; it is replaced \
             when its running turns have ended",
            env!("CARGO_PKG_VERSION")
        ),
    )
    .hint("to replace it now: `spectask daemon restart`")
}
