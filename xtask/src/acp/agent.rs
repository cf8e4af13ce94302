//! An ACP agent that stamps what it sends with the time. A prompt says how: `pace 500 1000` sends 500
//! updates, one each 1,000 µs; `flood 40000 0` sends 40,000 without a pause.

use std::{
    io::{self, BufRead, BufWriter, Write},
    thread::sleep,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use serde_json::{Value, json};

/// Nanoseconds since 1970, which all processes of a machine share.
pub(super) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(0))
}

/// Serves one editor on standard input and output until it has gone.
pub(crate) fn run() -> Result<(), String> {
    let mut out = Out::new(io::stdout().lock(), false);
    for line in io::stdin().lock().lines().map_while(Result::ok) {
        if let Ok(frame) = serde_json::from_str(&line) {
            out.serve(&frame).map_err(|error| error.to_string())?;
        }
    }
    Ok(())
}

/// Where answers and updates go.
pub(super) struct Out<W: Write> {
    writer: BufWriter<W>,
    /// Whether a shim reads, not an editor.
    shim: bool,
    index: u64,
}

/// The only session.
const SESSION: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

impl<W: Write> Out<W> {
    pub(super) fn new(writer: W, shim: bool) -> Self {
        Self {
            writer: BufWriter::with_capacity(64 << 10, writer),
            shim,
            index: 0,
        }
    }

    /// Answers a frame of the editor.
    pub(super) fn serve(&mut self, frame: &Value) -> io::Result<()> {
        let (Some(method), Some(id)) = (frame["method"].as_str(), frame.get("id")) else {
            return Ok(());
        };
        let result = match method {
            "initialize" => json!({ "protocolVersion": 1, "agentCapabilities": {} }),
            "session/new" => {
                if self.shim {
                    let opened = json!({ "opened": { "session": SESSION } });
                    writeln!(self.writer, "{opened}")?;
                }
                json!({ "sessionId": SESSION })
            }
            "session/prompt" => {
                let text = frame["params"]["prompt"][0]["text"].as_str();
                let text = text.unwrap_or_default();
                let mut words = text.split(' ').skip(1).map(str::parse::<u64>);
                let mut word = || words.next().and_then(Result::ok).unwrap_or(0);
                let (count, pause) = (word(), Duration::from_micros(word()));
                let session = frame["params"]["sessionId"].as_str();
                self.stream(session.unwrap_or(SESSION), count, pause)?;
                json!({ "stopReason": "end_turn" })
            }
            _ => json!({}),
        };
        let answer = json!({ "jsonrpc": "2.0", "id": id, "result": result });
        self.put(&answer.to_string(), None)?;
        self.writer.flush()
    }

    fn stream(&mut self, session: &str, count: u64, pause: Duration) -> io::Result<()> {
        let start = Instant::now();
        let mut next = Duration::ZERO;
        for _ in 0..count {
            if !pause.is_zero() {
                next += pause;
                sleep(next.saturating_sub(start.elapsed()));
            }
            let update = format!(
                r#"{{"jsonrpc":"2.0","method":"session/update","params":{{"sessionId":"{session}","update":{{"sessionUpdate":"agent_message_chunk","content":{{"type":"text","text":"at {} as a model says it "}}}}}}}}"#,
                now()
            );
            self.index += 1;
            self.put(&update, Some(self.index))?;
            if !pause.is_zero() {
                self.writer.flush()?;
            }
        }
        Ok(())
    }

    fn put(&mut self, frame: &str, index: Option<u64>) -> io::Result<()> {
        match (self.shim, index) {
            (false, _) => writeln!(self.writer, "{frame}"),
            (true, None) => writeln!(self.writer, r#"{{"frame":{{"frame":{frame}}}}}"#),
            (true, Some(index)) => writeln!(
                self.writer,
                r#"{{"frame":{{"at":{{"session":"{SESSION}","index":{index}}},"frame":{frame}}}}}"#
            ),
        }
    }
}
