//! Starting the daemon in the background.

use std::{
    env,
    fs::{self, File, OpenOptions},
    io::{Read, Seek, SeekFrom, Write},
    process::Stdio,
    time::Duration,
};

use process_wrap::tokio::{ChildWrapper, CommandWrap};
use spectask_protocol::FailureKind;
use tokio::io::{AsyncBufReadExt, BufReader};

use super::{
    error::{CliError, io},
    sheet::{Sheet, Tone},
};
use crate::paths::Paths;

/// The line by which a daemon says that its socket accepts.
pub(super) const READY: &str = "ready";
/// How long a daemon may take to open its database and its socket.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// Starts `spectask daemon run` in a session of its own and waits until it answers. When another
/// process starts one at the same time, either's is fine.
///
/// # Errors
/// When it cannot be started, or ends before it is ready; with what it logged.
pub(super) async fn daemon(paths: &Paths) -> Result<(), CliError> {
    let program = env::current_exe().map_err(io("find", "this program"))?;
    make_private(paths)?;
    let log_path = paths.log_file();
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut log = options
        .open(&log_path)
        .map_err(io("write", log_path.display()))?;
    let mark = log.seek(SeekFrom::End(0)).unwrap_or(0);

    let mut command = CommandWrap::with_new(&program, |command| {
        command
            .args(["daemon", "run"])
            .current_dir(&paths.data_dir)
            // An agent may have started this program; the daemon is nobody's session.
            .env_remove("SPECTASK_AGENT")
            .env_remove("SPECTASK_SESSION")
            .env_remove("SPECTASK_SESSION_TOKEN")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log);
        #[cfg(windows)]
        {
            const CREATE_NEW_PROCESS_GROUP: u32 = 0x200;
            const DETACHED_PROCESS: u32 = 0x8;
            command.creation_flags(CREATE_NEW_PROCESS_GROUP | DETACHED_PROCESS);
        }
    });
    // An editor that ends, or a terminal that closes, kills the group it started.
    #[cfg(unix)]
    command.wrap(process_wrap::tokio::ProcessSession);
    let mut child = command.spawn().map_err(io("start", program.display()))?;

    match tokio::time::timeout(START_TIMEOUT, ready(&mut *child)).await {
        Ok(true) => Ok(()),
        Ok(false) => {
            let status = child.wait().await;
            let why = match logged(paths, mark) {
                text if text.is_empty() => status.map_or_else(|e| e.to_string(), |s| s.to_string()),
                text => text,
            };
            Err(CliError::new(
                FailureKind::Unavailable,
                format!("the daemon did not start: {why}"),
            )
            .hint(format!("the whole log: {}", log_path.display())))
        }
        Err(_) => Err(CliError::new(
            FailureKind::Unavailable,
            format!(
                "the daemon is not ready after {} s",
                START_TIMEOUT.as_secs()
            ),
        )
        .hint(format!("see {}", log_path.display()))),
    }
}

/// Tells a person something before there is a context.
pub(super) fn say(text: &str) {
    let mut sheet = Sheet::new(false);
    sheet.line(Tone::Plain, text);
    let _ = std::io::stderr().write_all(sheet.into_text().as_bytes());
}

async fn ready(child: &mut dyn ChildWrapper) -> bool {
    let Some(stdout) = child.stdout().take() else {
        return false;
    };
    let mut lines = BufReader::new(stdout).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if line == READY {
            return true;
        }
    }
    false
}

/// The data folder belongs to its user alone.
fn make_private(paths: &Paths) -> Result<(), CliError> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
        .create(&paths.data_dir)
        .map_err(io("create", paths.data_dir.display()))
}

/// What was logged since a mark, its last lines.
fn logged(paths: &Paths, mark: u64) -> String {
    let read = || -> std::io::Result<String> {
        let mut file = File::open(paths.log_file())?;
        file.seek(SeekFrom::Start(mark))?;
        let mut bytes = Vec::new();
        file.take(64 * 1024).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let text = read().unwrap_or_default();
    let text = text.lines().filter(|line| !line.trim().is_empty());
    let lines: Vec<&str> = text
        .map(|line| line.trim_start_matches("error: "))
        .collect();
    lines[lines.len().saturating_sub(5)..].join("\n")
}
