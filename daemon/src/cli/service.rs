//! `spectask daemon`: run, start, stop, restart, status, log.

use std::{
    fs::{self, File},
    io::{Read, Seek, SeekFrom},
    path::Path,
    time::{Duration, Instant},
};

use serde_json::Value;
use spectask_protocol::{DaemonView, FailureKind};

use super::{
    args::DaemonCommand,
    connect,
    context::{Context, write_out},
    error::{CliError, Exit, io},
    launch,
    sheet::{Sheet, Tone, sanitize},
    time,
};
use crate::daemon::{self, DaemonError};

/// How much of the end of the log is searched for lines.
const LOG_END: u64 = 4 << 20;
/// How often a followed log is looked at.
/// How long another daemon may take to answer.
const OTHER_READY: Duration = Duration::from_secs(30);
const LOG_TICK: Duration = Duration::from_millis(200);

/// Runs the daemon in this process until it is told to stop. While another one has the data folder,
/// this one waits until that one answers, which is all that whoever started it wanted, or is gone.
pub(super) fn run_here(ctx: &Context) -> Result<Exit, CliError> {
    let start = Instant::now();
    loop {
        match daemon::run_blocking(&ctx.paths) {
            Ok(()) => return Ok(Exit::Good),
            Err(DaemonError::Running(_)) if start.elapsed() < OTHER_READY => {}
            Err(error) => {
                return Err(CliError::new(FailureKind::Unavailable, error.to_string()));
            }
        }
        let answers = super::block_on(async {
            let other = connect::connect_if_running(&ctx.paths).await?;
            tokio::time::sleep(Duration::from_millis(20)).await;
            Ok(if other.is_some() {
                Exit::Good
            } else {
                Exit::WaitsForPerson
            })
        });
        if matches!(answers, Ok(Exit::Good)) {
            launch::say("another daemon is running already");
            write_out(&format!("{}\n", launch::READY))?;
            return Ok(Exit::Good);
        }
    }
}

pub(super) async fn run(ctx: &Context, command: DaemonCommand) -> Result<Exit, CliError> {
    match command {
        DaemonCommand::Run => run_here(ctx),
        DaemonCommand::Start => {
            let daemon = ctx.daemon().await?;
            ctx.show(&daemon.view, |sheet| status(sheet, &daemon.view))?;
            Ok(Exit::Good)
        }
        DaemonCommand::Stop { drain } => {
            let stopped = stop(ctx, drain).await?;
            ctx.show(&serde_json::json!({ "stopped": stopped }), |sheet| {
                let text = if stopped {
                    "The daemon is stopped."
                } else {
                    "No daemon was running."
                };
                sheet.line(Tone::Plain, text);
            })?;
            Ok(Exit::Good)
        }
        DaemonCommand::Restart { drain } => {
            stop(ctx, drain).await?;
            let daemon = ctx.daemon().await?;
            ctx.show(&daemon.view, |sheet| status(sheet, &daemon.view))?;
            Ok(Exit::Good)
        }
        DaemonCommand::Status => match connect::connect_if_running(&ctx.paths).await? {
            Some(daemon) => {
                ctx.show(&daemon.view, |sheet| status(sheet, &daemon.view))?;
                Ok(Exit::Good)
            }
            None => Err(
                CliError::new(FailureKind::Unavailable, "no daemon is running")
                    .hint("any command starts it; `spectask daemon start` does only that"),
            ),
        },
        DaemonCommand::Address => {
            let daemon = ctx.daemon().await?;
            let mut address = address(ctx, daemon.view.pid)?;
            let file = ctx.paths.http_file().display().to_string();
            let url = address["url"].as_str().unwrap_or_default().to_owned();
            address["file"] = file.clone().into();
            ctx.show(&address, |sheet| {
                sheet.line(Tone::Plain, &url);
                sheet.line(Tone::Faint, &format!("the token is in {file}"));
            })?;
            Ok(Exit::Good)
        }
        DaemonCommand::Log { lines, follow } => log(ctx, lines, follow).await,
    }
}

/// What the daemon of this process id has told of its HTTP service.
pub(super) fn address(ctx: &Context, pid: u32) -> Result<Value, CliError> {
    let text = fs::read_to_string(ctx.paths.http_file()).unwrap_or_default();
    serde_json::from_str(&text)
        .ok()
        .filter(|address: &Value| address["pid"] == pid && address["url"].is_string())
        .ok_or_else(|| {
            CliError::new(FailureKind::Unavailable, "the daemon serves no HTTP")
                .hint("`spectask doctor` tells why")
        })
}

async fn stop(ctx: &Context, drain: bool) -> Result<bool, CliError> {
    let Some(daemon) = connect::connect_if_running(&ctx.paths).await? else {
        return Ok(false);
    };
    let active = daemon.view.active_sessions;
    if drain && active > 0 {
        ctx.note(&format!("Waiting for {active} running turns to end …"));
    }
    connect::stop(&ctx.paths, daemon, drain).await?;
    Ok(true)
}

fn status(sheet: &mut Sheet, view: &DaemonView) {
    let uptime = i64::try_from(view.uptime).unwrap_or(i64::MAX);
    let uptime = time::duration(jiff::SignedDuration::from_secs(uptime));
    sheet.put(Tone::Good, "running").line(
        Tone::Plain,
        &format!(
            "  SpecTask {}, process {}, up {uptime}, {} sessions active",
            view.version, view.pid, view.active_sessions
        ),
    );
    let places = [
        ("socket", &view.socket),
        ("data", &view.data_dir),
        ("config", &view.config_file),
        ("log", &view.log_file),
    ];
    for (name, place) in places {
        sheet
            .plain("  ")
            .cell(Tone::Faint, name, 8)
            .line(Tone::Plain, place);
    }
    for wait in &view.history {
        sheet.plain("  ").cell(Tone::Warn, "history", 8).line(
            Tone::Plain,
            &format!("waits in {}: {}", wait.root, wait.reason),
        );
    }
}

async fn log(ctx: &Context, lines: usize, follow: bool) -> Result<Exit, CliError> {
    let path = ctx.paths.log_file();
    let mut file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(CliError::new(FailureKind::NotFound, "there is no log yet")
                .hint(format!("it will be {}", path.display())));
        }
        Err(error) => return Err(io("read", path.display())(error)),
    };
    let length = file
        .seek(SeekFrom::End(0))
        .map_err(io("read", path.display()))?;
    file.seek(SeekFrom::Start(length.saturating_sub(LOG_END)))
        .map_err(io("read", path.display()))?;
    let text = added(&mut file, &path)?;
    let all: Vec<&str> = text.lines().collect();
    let last = &all[all.len().saturating_sub(lines)..];
    if !last.is_empty() {
        write_out(&format!("{}\n", sanitize(&last.join("\n"))))?;
    }
    if !follow {
        return Ok(Exit::Good);
    }
    loop {
        tokio::time::sleep(LOG_TICK).await;
        let text = added(&mut file, &path)?;
        if !text.is_empty() {
            write_out(&sanitize(&text))?;
        }
    }
}

fn added(file: &mut File, path: &Path) -> Result<String, CliError> {
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)
        .map_err(io("read", path.display()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
