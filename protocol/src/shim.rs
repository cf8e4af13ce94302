//! What the ACP shim (`spectask acp`) and the daemon say to each other: one JSON object per line
//! each way, after an HTTP upgrade of `GET /acp` on the local socket ([`UPGRADE`]).
//!
//! The shim is a pipe that outlives the daemon: it numbers the editor's requests, keeps them until
//! they are answered, acknowledges what it wrote, and after a reconnect hands over what is open.
//! ACP frames travel as raw JSON text, so that nothing in them changes on the way; the enums are
//! tagged from outside because serde reads raw text in no other way.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{AgentName, Environment, Failure, WorkSessionId};

/// The path of the upgrade on the local socket.
pub const PATH: &str = "/acp";
/// The value of the `Upgrade` header.
pub const UPGRADE: &str = "spectask-acp";
/// The version of these lines.
pub const VERSION: u32 = 1;

/// What the shim was started for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Entry {
    /// `spectask acp`: the `SpecTask` entry, which offers agent and SpecTask as options.
    SpecTask,
    /// `spectask acp --agent NAME`.
    Agent {
        /// The profile.
        name: AgentName,
    },
    /// `spectask acp -- COMMAND…`.
    Command {
        /// The program and its arguments.
        command: Vec<String>,
    },
}

/// One line from the shim.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToDaemon {
    /// The first line of a connection.
    Hello(Box<Hello>),
    /// A frame of the editor.
    Frame {
        /// The number of a request, from 1 in the life of the shim; absent for what needs no answer.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        number: Option<u64>,
        /// Whether a daemon before may have got it already: a request that is not answered, or a
        /// cancellation of one.
        #[serde(default)]
        again: bool,
        /// The frame as the editor wrote it.
        frame: Box<RawValue>,
    },
    /// Everything of that session up to that index was written to the editor.
    Ack {
        /// The session.
        session: WorkSessionId,
        /// The index of the newest entry written.
        index: u64,
    },
}

/// Who the shim is, and after a reconnect what stands open.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Hello {
    /// [`VERSION`].
    pub version: u32,
    /// The shim's program version.
    pub program: String,
    /// The shim itself, a UUIDv7 made when it started.
    pub instance: String,
    /// The shim's process.
    pub pid: u32,
    /// The folder it was started in: the project's root.
    pub cwd: String,
    /// What it was started for.
    pub entry: Entry,
    /// Its environment, for agents.
    pub environment: Environment,
    /// How many connections the shim had before this one.
    pub generation: u32,
    /// The editor's `initialize` parameters, if it has initialised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initialize: Option<Box<RawValue>>,
    /// The sessions that are open in the editor, each with the index of the newest entry that was
    /// written to it, if any.
    #[serde(default)]
    pub sessions: BTreeMap<WorkSessionId, Option<u64>>,
}

/// One line to the shim.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToShim {
    /// The answer to [`Hello`]: frames may come.
    Welcome {
        /// The daemon's program version.
        program: String,
    },
    /// The answer to [`Hello`] of a shim that cannot be served; the connection ends.
    Refused {
        /// Why.
        failure: Failure,
    },
    /// A frame for the editor.
    Frame {
        /// Whose stream it belongs to, and where in it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at: Option<At>,
        /// The frame.
        frame: Box<RawValue>,
    },
    /// A session is open in the editor from now on (`session/new`, `load`, `resume`, `fork`). Comes
    /// before the first frame of its stream. The shim drops what it has written already; it takes all
    /// of the stream again only after a new `session/load`, or after [`ToShim::Closed`].
    Opened {
        /// The session.
        session: WorkSessionId,
    },
    /// A session is not open any more.
    Closed {
        /// The session.
        session: WorkSessionId,
    },
    /// The editor is detached by a person: the shim stays, answers every request with that text, and
    /// attaches again when the editor initialises or opens a session.
    Detached {
        /// For the person.
        text: String,
    },
}

/// A place in a session's stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct At {
    /// The session.
    pub session: WorkSessionId,
    /// The index of its transcript's entry.
    pub index: u64,
}
