//! `spectask zed endpoint`: what Zed's extension asks before it does anything. It must never wait long,
//! because Zed drops a context server whose command takes 30 seconds, and never fail for the daemon's
//! sake: what the extension hands to Zed is this program.

use std::time::Duration;

use spectask_protocol::{PROTOCOL_VERSION, Role, ZedEndpoint};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::super::{
    connect,
    context::Context,
    error::{CliError, Exit},
    service,
    sheet::Tone,
};
use super::setup::own_command;
use crate::config::ExtensionSettings;

/// How long the daemon may take to start and to answer.
const START: Duration = Duration::from_secs(10);
/// How long its port may take: the extension has no timer of its own.
const ANSWER: Duration = Duration::from_secs(3);

pub(super) async fn run(ctx: &Context) -> Result<Exit, CliError> {
    let program = own_command()?;
    let (address, problem) = match address(ctx).await {
        Ok((url, token)) => (Some((url, token)), None),
        Err(problem) => (None, Some(problem)),
    };
    let instructions =
        ExtensionSettings::instructions(&program, &ctx.paths.config_file, problem.as_deref());
    let (url, token) = address.unzip();
    let endpoint = ZedEndpoint {
        program: program.display().to_string(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        protocol: PROTOCOL_VERSION,
        url,
        token,
        problem,
        instructions,
        settings_schema: ExtensionSettings::schema().to_string(),
        default_settings: ExtensionSettings::template(),
    };
    ctx.show(&endpoint, |sheet| {
        sheet.line(Tone::Plain, &endpoint.program);
        let daemon = endpoint.url.as_ref().or(endpoint.problem.as_ref());
        sheet.line(Tone::Plain, daemon.map_or("", String::as_str));
    })?;
    Ok(Exit::Good)
}

/// Address and token of a daemon that answers; else why not.
async fn address(ctx: &Context) -> Result<(String, String), String> {
    let late = |limit: Duration| format!("it did not answer within {} s", limit.as_secs());
    let daemon = timeout(START, connect::connect_or_start(&ctx.paths)).await;
    let daemon = daemon.map_err(|_| late(START))?.map_err(text)?;
    // An agent has a token of its own, if any.
    if daemon.view.role == Role::Agent {
        return Err("this was asked by an agent's process".to_owned());
    }
    let address = service::address(ctx, daemon.view.pid).map_err(text)?;
    let field = |name: &str| address[name].as_str().map(str::to_owned);
    let (Some(url), Some(token)) = (field("url"), field("token")) else {
        return Err("it tells no address".to_owned());
    };
    let lives = timeout(ANSWER, lives(&url)).await;
    match lives.map_err(|_| late(ANSWER))? {
        Ok(true) => Ok((url, token)),
        Ok(false) => Err(format!("something else answers at {url}")),
        Err(error) => Err(format!("{url}: {error}")),
    }
}

fn text(error: CliError) -> String {
    match error {
        CliError::Failure(failure) => failure.message,
        CliError::OutputClosed => "the output was closed".to_owned(),
    }
}

/// Whether the daemon's port answers as the daemon does.
async fn lives(url: &str) -> std::io::Result<bool> {
    let host = url.strip_prefix("http://").unwrap_or(url);
    let mut stream = TcpStream::connect(host).await?;
    let request = format!("GET /healthz HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(64 * 1024).read_to_end(&mut answer).await?;
    Ok(answer.starts_with(b"HTTP/1.1 200") && answer.ends_with(b"ok"))
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    async fn answered(answer: &'static [u8]) -> std::io::Result<bool> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 256];
            let read = stream.read(&mut request).await.unwrap();
            assert!(request[..read].starts_with(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:"));
            stream.write_all(answer).await.unwrap();
        });
        let lives = lives(&url).await;
        server.await.unwrap();
        lives
    }

    #[tokio::test]
    async fn only_the_daemon_itself_lives() {
        assert!(answered(b"HTTP/1.1 200 OK\r\n\r\nok").await.unwrap());
        for other in [
            b"HTTP/1.1 404 Not Found\r\n\r\nok".as_slice(),
            b"HTTP/1.1 200 OK\r\n\r\n<html>",
            b"",
        ] {
            assert!(!answered(other).await.unwrap());
        }
    }
}
