//! What was said and done, found again.
//!
//! [`index`] follows the store and keeps the search index; [`search`] asks it and looks every hit up
//! in the transcript (`said` reads transcripts as people do, `letters` makes the words of the index).
//! All functions but the follower block; an async caller uses `spawn_blocking`.

mod error;
mod index;
mod letters;
mod said;
mod search;
#[cfg(test)]
mod search_tests;

pub use error::HistoryError;
pub use index::index;
pub use search::{LIMITS, find, nothing, scan};
