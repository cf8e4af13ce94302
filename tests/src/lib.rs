//! What the end-to-end tests stand on.
//!
//! [`env`] is a hermetic place to run the product in and [`repository`] has git repositories for
//! it. [`agents`] installs and starts real third-party agents, [`scripted_model`] is the model they
//! talk to, and [`acp`] drives one directly; `editor` behaves as Zed does, and `clients` are other
//! people's; [`canaries`] are secrets to look for; [`mcp`] has those that speak MCP. [`schema`] judges frames. [`processes`] finds what runs. The `adversary` program
//! is an agent that misbehaves, the `echo-agent` one that does what it is told.
// Support code of tests fails by panicking, like the tests themselves.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

pub mod acp;
pub mod agents;
pub mod canaries;
pub mod clients;
pub mod documents;
#[cfg(unix)]
pub mod editor;
pub mod env;
pub mod mcp;
pub mod processes;
pub mod repository;
pub mod schema;
pub mod scripted_model;

pub use acp::{AcpClient, AgentCommand};
pub use env::{Follow, Run, TestEnv, spectask_bin};
pub use repository::SampleRepo;
pub use scripted_model::{ScriptedModel, Step};
