//! End-to-end tests in one program.
// Helpers of tests fail by panicking, like the tests themselves.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod job;
mod kill;
mod real_agents;
