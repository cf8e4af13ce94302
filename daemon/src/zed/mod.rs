//! Threads of Zed's own agent, which no daemon is in the path of: seen in Zed's database, not recorded.
//!
//! [`watch`] follows the table `sidebar_threads` of every release channel. Files are heard through the
//! system's notifications, with a slow poll behind them; what is there is then compared with what was
//! seen, so that nothing depends on a notification. `database.rs` reads it a page at a time and leaves no
//! trace: no file is made or written there, and no lock is held between pages. The table is Zed's own
//! and may change: its columns are checked, and one that does not fit is told once and left alone.

mod database;
mod folders;
mod scan;
#[cfg(test)]
mod tests;
mod watcher;

pub use watcher::{Pace, watch};
