//! The built-in example agent: a real ACP agent over stdio that is deterministic and has no model.
//!
//! It exists so that the whole job (plan, review, work, merge) can be seen and tested without an
//! account or a network. A prompt carries a machine-readable block at its end (`brief`); a plan is
//! rendered from the request (`documents`) and changed by review comments (`revise`); a task is
//! carried out by reading the approved documents and writing the files its text names (`steps`,
//! `files`). All file access goes through the client (`turn`), as with any other agent, and the
//! conversation survives the process (`session`).

mod agent;
mod brief;
mod documents;
mod files;
mod outline;
mod plan;
mod revise;
mod session;
mod steps;
mod text;
mod turn;
mod work;

#[cfg(test)]
mod tests;

pub use agent::{AGENT_NAME, Config, ExampleAgentError, run, serve};
