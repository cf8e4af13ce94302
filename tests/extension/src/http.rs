//! A small HTTP client.

use std::{
    io::{Read, Write},
    net::TcpStream,
};

/// Posts to a URL of this machine and returns status and body.
///
/// # Errors
/// When nobody answers, or not as HTTP.
pub fn post(
    url: &str,
    headers: &[(String, String)],
    body: &[u8],
) -> Result<(u16, Vec<u8>), String> {
    let rest = url.strip_prefix("http://").ok_or("no http URL")?;
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let mut stream = TcpStream::connect(host).map_err(|error| error.to_string())?;
    let mut request = format!(
        "POST /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: {}\r\n",
        body.len()
    );
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str("\r\n");
    let mut answer = Vec::new();
    let mut exchange = || {
        stream.write_all(request.as_bytes())?;
        stream.write_all(body)?;
        stream.read_to_end(&mut answer)
    };
    exchange().map_err(|error| error.to_string())?;
    let end = answer
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .ok_or("no HTTP answer")?;
    let head = String::from_utf8_lossy(&answer[..end]).to_lowercase();
    if head.contains("transfer-encoding") {
        return Err("the answer comes in chunks".to_owned());
    }
    let status = head
        .strip_prefix("http/1.1 ")
        .and_then(|rest| rest.get(..3)?.parse().ok())
        .ok_or("no HTTP status")?;
    Ok((status, answer[end + 4..].to_vec()))
}
