//! A daemon of a few lines, which stamps frames itself.

use std::{
    io::{self, BufRead, BufReader, Write},
    os::unix::net::{UnixListener, UnixStream},
    path::Path,
    thread,
};

use serde_json::Value;

use super::agent::Out;

/// Serves shims on that socket for the rest of this process.
pub(super) fn start(socket: &Path) -> Result<(), String> {
    let listener = UnixListener::bind(socket).map_err(|error| error.to_string())?;
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            // One that goes in between is no loss.
            thread::spawn(move || drop(serve(stream)));
        }
    });
    Ok(())
}

fn serve(stream: UnixStream) -> io::Result<()> {
    let mut writer = stream.try_clone()?;
    let mut lines = BufReader::with_capacity(64 << 10, stream).lines();
    while lines
        .next()
        .transpose()?
        .is_some_and(|line| !line.is_empty())
    {}
    writer.write_all(
        b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: spectask-acp\r\n\r\n",
    )?;
    drop(lines.next().transpose()?);
    writer.write_all(b"{\"welcome\":{\"program\":\"999.0.0\"}}\n")?;
    let mut out = Out::new(writer, true);
    for line in lines {
        let line: Value = serde_json::from_str(&line?)?;
        out.serve(&line["frame"]["frame"])?;
    }
    Ok(())
}
