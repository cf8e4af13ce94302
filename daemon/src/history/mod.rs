//! What was said and done, found again.
//!
//! [`index`] follows the store and keeps the search index; [`find`] asks it and looks every hit up in
//! the transcript (`said` reads transcripts as people do, `letters` makes the words of the index).
//! [`log`] and [`show`] list and read turns, [`blame`] leads from a line to the prompt behind it
//! (`written` finds lines that an agent did not commit itself), [`trace`] from a requirement to what became of it. [`import`] takes a SpecTask over from its refs
//! (`recorded` reads those, [`place`] tells where they lie), [`export`] gives it away in other forms.
//! All but the follower and the import block; an async caller uses `spawn_blocking`.

mod blame;
mod error;
mod export;
mod import;
mod index;
mod letters;
#[cfg(test)]
mod past_tests;
mod place;
mod recorded;
mod said;
mod search;
#[cfg(test)]
mod search_tests;
mod trace;
mod turns;
mod written;

pub use blame::blame;
pub use error::HistoryError;
pub use export::export;
pub use import::import;
pub use index::{catch_up, index};
pub use place::{Place, place};
pub use recorded::OWN;
pub use search::{LIMITS, find, nothing, scan};
pub use trace::trace;
pub use turns::{log, show};
