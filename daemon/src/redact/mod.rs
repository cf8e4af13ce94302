//! The redact room.
