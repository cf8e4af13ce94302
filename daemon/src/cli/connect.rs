//! A connection to a daemon that fits: found, started, or put in the place of an older one.

use std::time::{Duration, Instant};

use jsonrpsee::core::client::Subscription;
use spectask_protocol::{
    Client, DaemonView, Event, EventsParams, FailureKind, HelloParams, Method, PROTOCOL_VERSION,
    ShutdownParams, method,
};

use super::{
    error::CliError,
    launch,
    wire::{LocalTransport, open},
};
use crate::paths::Paths;

/// How long a daemon may take to let go of its socket once it has nothing to do.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);

/// A connection whose versions have been compared.
#[derive(Debug)]
pub(super) struct Daemon {
    client: Client<LocalTransport>,
    /// What the daemon said of itself when the connection was opened.
    pub(super) view: DaemonView,
}

impl Daemon {
    /// The connection alone.
    pub(super) fn into_transport(self) -> LocalTransport {
        self.client.into_transport()
    }

    /// Calls a method.
    ///
    /// # Errors
    /// The daemon's failure.
    pub(super) async fn call<M: Method>(
        &self,
        method: M,
        params: M::Params,
    ) -> Result<M::Result, CliError> {
        Ok(self.client.call(method, params).await?)
    }

    /// Follows events from a number on.
    ///
    /// # Errors
    /// The daemon's failure.
    pub(super) async fn subscribe_events(
        &self,
        params: EventsParams,
    ) -> Result<Subscription<Event>, CliError> {
        self.client.transport().subscribe_events(params).await
    }
}

/// The daemon of these paths; started when none answers, replaced when it is older.
///
/// # Errors
/// When it cannot be started or reached, or is newer than this program.
pub(super) async fn connect_or_start(paths: &Paths) -> Result<Daemon, CliError> {
    connect_or_start_as(paths, None).await
}

/// As [`connect_or_start`], for the agent whose session's token this is.
///
/// # Errors
/// When it cannot be started or reached, or is newer than this program.
pub(super) async fn connect_or_start_as(
    paths: &Paths,
    token: Option<&str>,
) -> Result<Daemon, CliError> {
    let begin = Instant::now();
    loop {
        let transport = match open(paths, token).await? {
            Some(transport) => transport,
            None => start(paths, token).await?,
        };
        match greet(transport).await {
            Ok(Greeting::Fits(daemon)) => return Ok(*daemon),
            Ok(Greeting::Older(daemon)) => return replace(paths, *daemon, token).await,
            // It is stopping; when it is gone a new one starts.
            Err(error)
                if error.kind() == Some(FailureKind::Unavailable)
                    && begin.elapsed() < STOP_TIMEOUT => {}
            Err(error) => return Err(error),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The daemon of these paths if it runs, whatever its version.
///
/// # Errors
/// When its socket may not be opened, or it does not answer.
pub(super) async fn connect_if_running(paths: &Paths) -> Result<Option<Daemon>, CliError> {
    let Some(transport) = open(paths, None).await? else {
        return Ok(None);
    };
    let client = Client::new(transport);
    let view = client
        .call(method::DaemonStatus, spectask_protocol::Empty {})
        .await?;
    Ok(Some(Daemon { client, view }))
}

/// Asks the daemon to stop and waits until it is gone.
///
/// # Errors
/// When it refuses, or is still there after a while though no turn runs.
pub(super) async fn stop(paths: &Paths, daemon: Daemon, drain: bool) -> Result<(), CliError> {
    let pid = daemon.view.pid;
    let asked = daemon
        .call(method::DaemonShutdown, ShutdownParams { drain })
        .await;
    match asked {
        // A daemon that stops at once may close the connection before it answers.
        Err(error) if error.kind() != Some(FailureKind::Unavailable) => return Err(error),
        _ => drop(daemon),
    }
    let start = Instant::now();
    loop {
        match connect_if_running(paths).await {
            // Its socket goes first; until its lock is gone too, its files are in use.
            Ok(None) if !paths.are_in_use() => return Ok(()),
            Ok(None) if start.elapsed() < STOP_TIMEOUT => {}
            Ok(Some(other)) if other.view.pid != pid => return Ok(()),
            Ok(Some(_)) if drain => {}
            Ok(Some(_)) | Err(_) if start.elapsed() < STOP_TIMEOUT => {}
            Ok(_) | Err(_) => {
                return Err(CliError::new(
                    FailureKind::Unavailable,
                    format!("the daemon (process {pid}) does not stop"),
                )
                .hint(format!("see {}", paths.log_file().display())));
            }
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn start(paths: &Paths, token: Option<&str>) -> Result<LocalTransport, CliError> {
    launch::daemon(paths).await?;
    open(paths, token).await?.ok_or_else(|| {
        CliError::new(
            FailureKind::Unavailable,
            "the daemon started and was gone at once",
        )
        .hint(format!("see {}", paths.log_file().display()))
    })
}

enum Greeting {
    Fits(Box<Daemon>),
    Older(Box<Daemon>),
}

/// Compares versions.
async fn greet(transport: LocalTransport) -> Result<Greeting, CliError> {
    let ours = env!("CARGO_PKG_VERSION");
    let client = Client::new(transport);
    let hello = HelloParams {
        protocol: PROTOCOL_VERSION,
        version: ours.to_owned(),
        client: "cli".to_owned(),
    };
    let view = match client.call(method::DaemonHello, hello).await {
        Ok(view) => view,
        // A daemon that speaks another protocol still tells how it is.
        Err(error) if error.kind == FailureKind::VersionMismatch => {
            match client
                .call(method::DaemonStatus, spectask_protocol::Empty {})
                .await
            {
                Ok(view) => view,
                Err(_) => return Err(error.into()),
            }
        }
        Err(error) => return Err(error.into()),
    };
    match compare(&view, ours) {
        Age::Same => Ok(Greeting::Fits(Box::new(Daemon { client, view }))),
        Age::Older => Ok(Greeting::Older(Box::new(Daemon { client, view }))),
        Age::Newer => Err(CliError::new(
            FailureKind::VersionMismatch,
            format!(
                "the daemon that runs is SpecTask {}, this is {ours}",
                view.version
            ),
        )
        .hint(
            "update this program, or stop the daemon with the newer one: `spectask daemon stop`",
        )),
    }
}

async fn replace(paths: &Paths, older: Daemon, token: Option<&str>) -> Result<Daemon, CliError> {
    launch::say(&format!(
        "the daemon is SpecTask {}; it is replaced by {}{}",
        older.view.version,
        env!("CARGO_PKG_VERSION"),
        if older.view.active_sessions > 0 {
            " when its running turns have ended"
        } else {
            ""
        }
    ));
    stop(paths, older, true).await?;
    // Another client may have started a daemon of its own meanwhile.
    let transport = match open(paths, token).await? {
        Some(transport) => transport,
        None => start(paths, token).await?,
    };
    match greet(transport).await? {
        Greeting::Fits(daemon) => Ok(*daemon),
        Greeting::Older(daemon) => Err(CliError::new(
            FailureKind::VersionMismatch,
            format!(
                "a daemon of SpecTask {} keeps starting",
                daemon.view.version
            ),
        )
        .hint("several versions of SpecTask are in use at the same time; remove the older one")),
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Age {
    Older,
    Same,
    Newer,
}

fn compare(view: &DaemonView, ours: &str) -> Age {
    use std::cmp::Ordering;
    let order = view
        .protocol
        .cmp(&PROTOCOL_VERSION)
        .then_with(|| numbers(&view.version).cmp(&numbers(ours)));
    match order {
        Ordering::Less => Age::Older,
        Ordering::Equal => Age::Same,
        Ordering::Greater => Age::Newer,
    }
}

/// Whether a daemon of that program version is older than this program.
pub(super) fn is_older(version: &str) -> bool {
    numbers(version) < numbers(env!("CARGO_PKG_VERSION"))
}

/// `1.2.3-rc.1` as numbers; what follows the third is not compared.
fn numbers(version: &str) -> [u32; 3] {
    let mut parts = version
        .split(['.', '-', '+'])
        .map(|part| part.parse().unwrap_or(0));
    std::array::from_fn(|_| parts.next().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use spectask_protocol::Role;

    use super::*;

    fn view(version: &str, protocol: u32) -> DaemonView {
        DaemonView {
            version: version.into(),
            protocol,
            pid: 1,
            uptime: 0,
            socket: String::new(),
            data_dir: String::new(),
            config_file: String::new(),
            log_file: String::new(),
            role: Role::Person,
            session: None,
            active_sessions: 0,
            history: Vec::new(),
        }
    }

    #[test]
    fn versions_are_compared_as_numbers() {
        assert_eq!(
            compare(&view("0.9.0", PROTOCOL_VERSION), "0.10.0"),
            Age::Older
        );
        assert_eq!(
            compare(&view("0.10.0", PROTOCOL_VERSION), "0.10.0"),
            Age::Same
        );
        assert_eq!(
            compare(&view("0.10.1", PROTOCOL_VERSION), "0.10.0"),
            Age::Newer
        );
        assert_eq!(
            compare(&view("0.1.0", PROTOCOL_VERSION + 1), "0.10.0"),
            Age::Newer
        );
        assert_eq!(numbers("1.2"), [1, 2, 0]);
    }
}
