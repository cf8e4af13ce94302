//! Runs the setup and verify commands of a project, as real processes with limits.

use std::{collections::BTreeMap, io, path::Path, process::Stdio, sync::Arc, time::Duration};

use process_wrap::tokio::{CommandWrap, KillOnDrop};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    process::Command,
    sync::Mutex,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

/// How much of the end of the output is kept, in bytes.
const TAIL: usize = 16 * 1024;

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ended {
    /// Whether it succeeded.
    pub passed: bool,
    /// The command, its last output, and how it ended.
    pub output: String,
}

/// Why a command has no end.
#[derive(Debug, thiserror::Error)]
pub(super) enum CommandError {
    /// It could not be started.
    #[error("`{command}` could not be started: {source}")]
    Start {
        /// The command.
        command: String,
        /// Why.
        source: io::Error,
    },
    /// A person ended the session.
    #[error("`{command}` was cancelled")]
    Cancelled {
        /// The command.
        command: String,
    },
}

/// Runs commands one after another through the system's shell until one fails.
///
/// # Errors
/// When one cannot be started, or `cancel` fires.
pub(super) async fn run_all(
    commands: &[String],
    folder: &Path,
    environment: &BTreeMap<String, String>,
    limit: Duration,
    cancel: &CancellationToken,
) -> Result<Ended, CommandError> {
    let mut all = String::new();
    for command in commands {
        let ended = run(command, folder, environment, limit, cancel).await?;
        all.push_str(&ended.output);
        if !ended.passed {
            return Ok(Ended {
                passed: false,
                output: tail(&all),
            });
        }
    }
    Ok(Ended {
        passed: true,
        output: tail(&all),
    })
}

async fn run(
    line: &str,
    folder: &Path,
    environment: &BTreeMap<String, String>,
    limit: Duration,
    cancel: &CancellationToken,
) -> Result<Ended, CommandError> {
    let (shell, flag) = if cfg!(windows) {
        ("cmd", "/C")
    } else {
        ("sh", "-c")
    };
    let mut command = Command::new(shell);
    command
        .args([flag, line])
        .current_dir(folder)
        .env_clear()
        .envs(environment)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut wrap = CommandWrap::from(command);
    #[cfg(unix)]
    wrap.wrap(process_wrap::tokio::ProcessGroup::leader());
    #[cfg(windows)]
    wrap.wrap(process_wrap::tokio::JobObject);
    let mut child = wrap
        .wrap(KillOnDrop)
        .spawn()
        .map_err(|source| CommandError::Start {
            command: line.into(),
            source,
        })?;
    let kept = Arc::new(Mutex::new(Vec::new()));
    let readers = [
        tokio::spawn(collect(child.stdout().take(), Arc::clone(&kept))),
        tokio::spawn(collect(child.stderr().take(), Arc::clone(&kept))),
    ];
    let (passed, how) = tokio::select! {
        () = cancel.cancelled() => {
            drop(child.start_kill());
            return Err(CommandError::Cancelled { command: line.into() });
        }
        ended = timeout(limit, child.wait()) => match ended {
            Ok(Ok(status)) => (status.success(), status.to_string()),
            Ok(Err(error)) => (false, error.to_string()),
            Err(_) => {
                drop(child.start_kill());
                (false, format!("stopped after {} s (command_limit)", limit.as_secs()))
            }
        },
    };
    for reader in readers {
        // A process that the command left behind may hold the pipe open for ever.
        drop(timeout(Duration::from_millis(500), reader).await);
    }
    drop(child.start_kill());
    let text = String::from_utf8_lossy(&kept.lock().await).into_owned();
    let gap = if text.is_empty() || text.ends_with('\n') {
        ""
    } else {
        "\n"
    };
    Ok(Ended {
        passed,
        output: format!("$ {line}\n{text}{gap}[{how}]\n"),
    })
}

async fn collect<R: AsyncRead + Unpin>(pipe: Option<R>, kept: Arc<Mutex<Vec<u8>>>) {
    let Some(mut pipe) = pipe else { return };
    let mut chunk = vec![0; 8192];
    while let Ok(count @ 1..) = pipe.read(&mut chunk).await {
        let mut kept = kept.lock().await;
        kept.extend_from_slice(&chunk[..count]);
        let excess = kept.len().saturating_sub(TAIL);
        kept.drain(..excess);
    }
}

fn tail(text: &str) -> String {
    let start = (text.len().saturating_sub(TAIL)..=text.len())
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(0);
    text[start..].to_owned()
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;

    async fn go(lines: &[&str], limit: Duration) -> Ended {
        let commands: Vec<String> = lines.iter().map(ToString::to_string).collect();
        let environment = BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]);
        let folder = tempfile::TempDir::new().unwrap();
        run_all(
            &commands,
            folder.path(),
            &environment,
            limit,
            &CancellationToken::new(),
        )
        .await
        .unwrap()
    }

    #[tokio::test]
    async fn the_first_failure_ends_it_and_its_output_is_kept() {
        let ended = go(
            &["echo one", "echo two >&2; exit 3", "echo three"],
            Duration::from_secs(20),
        )
        .await;
        assert!(!ended.passed);
        assert!(
            ended.output.contains("two") && ended.output.contains("exit status: 3"),
            "{}",
            ended.output
        );
        assert!(!ended.output.contains("three"));
    }

    #[tokio::test]
    async fn a_command_that_hangs_is_stopped_with_its_children() {
        let ended = go(&["sleep 600 & wait"], Duration::from_millis(200)).await;
        assert!(
            !ended.passed && ended.output.contains("command_limit"),
            "{}",
            ended.output
        );
    }

    #[tokio::test]
    async fn only_the_end_of_a_flood_is_kept() {
        let ended = go(
            &["yes | head -c 1000000; echo the end"],
            Duration::from_secs(20),
        )
        .await;
        assert!(ended.passed && ended.output.len() <= TAIL && ended.output.contains("the end"));
    }
}
