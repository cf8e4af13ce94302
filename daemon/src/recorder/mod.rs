//! History in git, as it happens: a follower that reads domain events and the redacted transcript
//! and writes one ref per work session and one per SpecTask.
//!
//! [`format`] is the one description of what lies on those refs, for writing and for reading.

pub mod format;
