//! The workflow room.
