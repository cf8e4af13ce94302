//! Just enough HTTP/1.1: one request per connection, bounded, JSON or server-sent events back.

use std::io;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const MOST_HEAD: usize = 64 << 10;
const MOST_BODY: usize = 16 << 20;
const READ_LIMIT: Duration = Duration::from_secs(30);

pub(super) struct Request {
    pub(super) path: String,
    pub(super) body: Vec<u8>,
}

fn bad(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

/// Reads one request; `None` when the peer closed without sending one.
pub(super) async fn read(stream: &mut TcpStream) -> io::Result<Option<Request>> {
    tokio::time::timeout(READ_LIMIT, read_unlimited(stream))
        .await
        .map_err(|_| bad("request took too long"))?
}

async fn read_unlimited(stream: &mut TcpStream) -> io::Result<Option<Request>> {
    let mut seen = Vec::new();
    let head_end = loop {
        if let Some(at) = find(&seen, b"\r\n\r\n") {
            break at;
        }
        if seen.len() > MOST_HEAD {
            return Err(bad("request head too long"));
        }
        if stream.read_buf(&mut seen).await? == 0 {
            return Ok(None);
        }
    };
    let head = String::from_utf8_lossy(&seen[..head_end]).into_owned();
    let mut rest = seen.split_off(head_end + 4);
    let target = head.split(' ').nth(1).ok_or_else(|| bad("no target"))?;
    let path = target.split('?').next().unwrap_or(target).to_owned();
    let header = |name: &str| {
        head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name)
                .then(|| value.trim().to_ascii_lowercase())
        })
    };
    let body = if header("transfer-encoding").is_some_and(|v| v.contains("chunked")) {
        loop {
            if let Some(body) = unchunk(&rest)? {
                break body;
            }
            more(stream, &mut rest).await?;
        }
    } else {
        let length = header("content-length").map_or(Ok(0), |v| v.parse::<usize>());
        let length = length.map_err(|_| bad("content-length is no number"))?;
        if length > MOST_BODY {
            return Err(bad("request body too long"));
        }
        while rest.len() < length {
            more(stream, &mut rest).await?;
        }
        rest.truncate(length);
        rest
    };
    Ok(Some(Request { path, body }))
}

async fn more(stream: &mut TcpStream, rest: &mut Vec<u8>) -> io::Result<()> {
    if rest.len() > MOST_BODY {
        return Err(bad("request body too long"));
    }
    if stream.read_buf(rest).await? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(())
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len())
        .position(|window| window == wanted)
}

/// The decoded body, or `None` while chunks are missing.
fn unchunk(mut raw: &[u8]) -> io::Result<Option<Vec<u8>>> {
    let mut body = Vec::new();
    loop {
        let Some(line_end) = find(raw, b"\r\n") else {
            return Ok(None);
        };
        let line = String::from_utf8_lossy(&raw[..line_end]);
        let digits = line.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(digits, 16).map_err(|_| bad("chunk size"))?;
        if size == 0 {
            return Ok(Some(body));
        }
        let end = line_end + 2 + size;
        if size > MOST_BODY || raw.len() < end + 2 {
            return Ok(None);
        }
        body.extend_from_slice(&raw[line_end + 2..end]);
        raw = &raw[end + 2..];
    }
}

pub(super) async fn reply_json(
    stream: &mut TcpStream,
    status: u16,
    body: &Value,
) -> io::Result<()> {
    let body = body.to_string();
    let head = format!(
        "HTTP/1.1 {status} Scripted\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    stream.flush().await
}

/// Sends each text as one `data:` event.
pub(super) async fn reply_events(stream: &mut TcpStream, events: &[String]) -> io::Result<()> {
    let head =
        "HTTP/1.1 200 Scripted\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
    stream.write_all(head.as_bytes()).await?;
    for event in events {
        stream
            .write_all(format!("data: {event}\n\n").as_bytes())
            .await?;
        stream.flush().await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_joined_only_when_complete() {
        let whole = b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n";
        assert_eq!(unchunk(whole).unwrap(), Some(b"abcde".to_vec()));
        for cut in 0..whole.len() - 4 {
            assert_eq!(unchunk(&whole[..cut]).unwrap(), None, "cut at {cut}");
        }
        assert!(unchunk(b"zz\r\n").is_err());
    }
}
