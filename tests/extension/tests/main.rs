//! The extension against a running daemon.

mod component;
mod running;
mod trouble;
