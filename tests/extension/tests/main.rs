//! The extension against a running daemon.
// Helpers of tests are not tests, to clippy.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod component;
mod running;
mod trouble;
