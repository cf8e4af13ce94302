//! The SpecTask daemon and its command line, in rooms. A room imports only rooms of a lower floor;
//! `ARCHITECTURE.md` shows the map and a test holds it.

pub mod agents; // floor 4: agent processes over ACP
pub mod cli;
pub mod example_agent; // floor 6: an ACP agent without a model
pub mod paths; // floor 0: where everything lives
pub mod redact; // floor 1: secrets out of text
pub mod repo; // floor 2: git
pub mod rpc; // floor 6: JSON-RPC face
pub mod scheduler; // floor 5: drivers
pub mod spec; // floor 1: the documents
pub mod store; // floor 2: SQLite
pub mod workflow; // floor 3: commands and state machines // floor 7: commands for people
