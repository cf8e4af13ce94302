//! A language model without a model: a loopback HTTP server that plays a script in several steps.
//!
//! Speaks Gemini (`generateContent`, `streamGenerateContent`, `countTokens`) and OpenAI chat
//! completions, so real third-party agents run whole turns offline. A [`Script`] sees one [`Turn`]
//! (the newest prompt, the tools on offer, the results since) and names the next [`Step`]; the
//! server translates it to the tools and argument names the agent declared.

use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

mod http;
mod standard;
mod wire;

pub use standard::standard_script;
pub use wire::{Tool, ToolResult, Turn};

const MOST_CONNECTIONS: usize = 32;
const MOST_RECORDED: usize = 4096;

/// What the model does next.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Ends the turn with this text.
    Say(String),
    /// Calls the first offered tool whose name is, or else contains, `tool`.
    Call {
        /// Tool name or part of it.
        tool: String,
        /// Arguments as the tool declares them.
        args: Value,
    },
    /// Writes a whole file with whatever write tool the agent has.
    Write {
        /// Absolute path.
        path: String,
        /// New content.
        content: String,
    },
    /// Replaces one passage of a file with the agent's edit tool.
    Edit {
        /// Absolute path.
        path: String,
        /// Text that is there exactly once.
        old: String,
        /// Text to put in its place.
        new: String,
    },
    /// Reads a file with the agent's read tool.
    Read {
        /// Absolute path.
        path: String,
    },
    /// Runs a command with the agent's shell tool.
    Shell {
        /// Command line.
        command: String,
    },
    /// Accepts the request and never answers; the connection ends with the agent or the server.
    Stall,
    /// Answers with this HTTP status and an error body.
    Fail(u16),
}

/// Chooses the next step of a turn.
pub type Script = Arc<dyn Fn(&Turn) -> Step + Send + Sync>;

/// One request the server received.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// Path without the query, such as `/v1/chat/completions`.
    pub path: String,
    /// Parsed body, `null` when there was none.
    pub body: Value,
    /// Name of the tool that was called, or `say`, `stall`, `fail`, `side` (a request without tools
    /// or block) and `other` (an unknown address).
    pub step: String,
}

#[derive(Default)]
struct Log {
    requests: Mutex<VecDeque<Recorded>>,
    arrived: Condvar,
}

impl Log {
    fn lock(&self) -> MutexGuard<'_, VecDeque<Recorded>> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, recorded: Recorded) {
        let mut requests = self.lock();
        if requests.len() == MOST_RECORDED {
            requests.pop_front();
        }
        requests.push_back(recorded);
        self.arrived.notify_all();
    }
}

/// A running scripted model; dropping it closes the port and every connection.
pub struct ScriptedModel {
    address: SocketAddr,
    log: Arc<Log>,
    runtime: Option<tokio::runtime::Runtime>,
}

impl ScriptedModel {
    /// Starts the script every SpecTask prompt understands, see [`standard_script`].
    ///
    /// # Errors
    /// When no loopback port can be bound.
    pub fn standard() -> io::Result<Self> {
        Self::start(Arc::new(standard_script))
    }

    /// Starts `script` on a free loopback port.
    ///
    /// # Errors
    /// When no loopback port can be bound.
    pub fn start(script: Script) -> io::Result<Self> {
        Self::start_on(0, script, Duration::ZERO)
    }

    /// Starts `script` on `port` (0 for a free one) and waits `pause` before each answer, which
    /// gives tests that interrupt a turn something to interrupt.
    ///
    /// # Errors
    /// When the port cannot be bound.
    pub fn start_on(port: u16, script: Script, pause: Duration) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("scripted-model")
            .enable_all()
            .build()?;
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let log = Arc::new(Log::default());
        let (accept_log, guard) = (Arc::clone(&log), runtime.enter());
        let listener = TcpListener::from_std(listener)?;
        drop(guard);
        runtime.spawn(async move {
            let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
            while let Ok(place) = Arc::clone(&places).acquire_owned().await {
                let Ok((stream, _)) = listener.accept().await else {
                    continue;
                };
                let (script, log) = (Arc::clone(&script), Arc::clone(&accept_log));
                tokio::spawn(async move {
                    // A client that goes away mid-answer is the normal end of a cancelled turn.
                    let _ = serve(stream, &script, &log, pause).await;
                    drop(place);
                });
            }
        });
        Ok(Self {
            address,
            log,
            runtime: Some(runtime),
        })
    }

    /// Base address, such as `http://127.0.0.1:40123`, without a trailing slash.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Everything received so far, oldest first.
    #[must_use]
    pub fn requests(&self) -> Vec<Recorded> {
        self.log.lock().iter().cloned().collect()
    }

    /// The names of the steps played so far, side requests left out.
    #[must_use]
    pub fn steps(&self) -> Vec<String> {
        let aside = |step: &str| matches!(step, "side" | "other");
        self.log
            .lock()
            .iter()
            .filter(|recorded| !aside(&recorded.step))
            .map(|recorded| recorded.step.clone())
            .collect()
    }

    /// Waits until a recorded request satisfies `wanted`; `None` when `limit` passed first.
    pub fn wait_for(
        &self,
        limit: Duration,
        wanted: impl Fn(&Recorded) -> bool,
    ) -> Option<Recorded> {
        let until = Instant::now() + limit;
        let mut requests = self.log.lock();
        loop {
            if let Some(found) = requests.iter().find(|recorded| wanted(recorded)) {
                return Some(found.clone());
            }
            let left = until.checked_duration_since(Instant::now())?;
            requests = self
                .log
                .arrived
                .wait_timeout(requests, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }
}

impl Drop for ScriptedModel {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn serve(
    mut stream: TcpStream,
    script: &Script,
    log: &Log,
    pause: Duration,
) -> io::Result<()> {
    let Some(request) = http::read(&mut stream).await? else {
        return Ok(());
    };
    let body: Value = serde_json::from_slice(&request.body).unwrap_or(Value::Null);
    let record = |step: &str| {
        log.push(Recorded {
            path: request.path.clone(),
            body: body.clone(),
            step: step.to_owned(),
        });
    };
    let Some(dialect) = wire::Dialect::of(&request.path) else {
        record("other");
        return http::reply_json(&mut stream, 200, &wire::other(&request.path)).await;
    };
    let turn = dialect.turn(&body);
    if turn.is_aside() {
        record("side");
        let answer = dialect.aside(&body);
        return send(&mut stream, &dialect, &body, &answer).await;
    }
    tokio::time::sleep(pause).await;
    match turn.resolve(script(&turn)) {
        wire::Answer::Stall => {
            record("stall");
            // Ends when the agent hangs up.
            let _ = stream.read_u8().await;
            Ok(())
        }
        wire::Answer::Fail(status) => {
            record("fail");
            let error = json!({"error": {"code": status, "message": "scripted failure", "status": "FAILED"}});
            http::reply_json(&mut stream, status, &error).await
        }
        answer => {
            record(answer.name());
            send(&mut stream, &dialect, &body, &answer).await
        }
    }
}

async fn send(
    stream: &mut TcpStream,
    dialect: &wire::Dialect,
    body: &Value,
    answer: &wire::Answer,
) -> io::Result<()> {
    if dialect.streams(body) {
        http::reply_events(stream, &dialect.events(body, answer)).await?;
    } else {
        http::reply_json(stream, 200, &dialect.whole(body, answer)).await?;
    }
    stream.shutdown().await
}
