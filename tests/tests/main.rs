//! End-to-end tests in one program.
// Helpers of tests fail by panicking, like the tests themselves.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[cfg(unix)]
mod adversary;
#[cfg(unix)]
mod canaries;
#[cfg(unix)]
mod cli;
#[cfg(unix)]
mod clients;
#[cfg(unix)]
mod commands;
#[cfg(unix)]
mod common;
#[cfg(unix)]
mod coordination;
#[cfg(unix)]
mod gc;
#[cfg(unix)]
mod history;
#[cfg(unix)]
mod history_remote;
#[cfg(target_os = "linux")]
mod http;
mod job;
mod kill;
#[cfg(unix)]
mod lifecycle;
#[cfg(unix)]
mod lives;
#[cfg(unix)]
mod mcp;
#[cfg(unix)]
mod outlive;
mod real_agents;
#[cfg(unix)]
mod recorder;
#[cfg(unix)]
mod redact;
#[cfg(unix)]
mod sessions_mcp;
#[cfg(unix)]
mod shim;
#[cfg(unix)]
mod threads;
#[cfg(unix)]
mod threads_common;
#[cfg(unix)]
mod zed_setup;
#[cfg(unix)]
mod zed_threads;
