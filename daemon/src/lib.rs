//! The SpecTask daemon and its command line, in rooms. A room imports only rooms of a lower floor;
//! `ARCHITECTURE.md` shows the map and a test holds it.

// Floor 0: where everything lives, Zed's files too.
pub mod paths;
pub mod zed_paths;
// Floor 1: secrets out of text.
pub mod redact;
// Floor 2: the documents; SQLite; git.
pub mod repo;
pub mod spec;
pub mod store;
// Floor 3: commands and state machines.
pub mod workflow;
// Floor 4: agent processes over ACP; the configuration that names them.
pub mod agents;
pub mod config;
// Floor 5: what happens now: streams of sessions, who watches them; history in git.
pub mod live;
pub mod recorder;
// Floor 6: drivers; slash commands, which see only the protocol; threads of Zed's own agent; what was
// said and done before.
pub mod commands;
pub mod history;
pub mod scheduler;
pub mod zed;
// Floor 7: JSON-RPC; the agent that ships with the product.
pub mod example_agent;
pub mod rpc;
// Floor 8: faces for editors and agents.
pub mod acp;
pub mod mcp;
// Floor 9: assembly, and commands for people.
pub mod cli;
pub mod daemon;

#[cfg(test)]
mod layers;
