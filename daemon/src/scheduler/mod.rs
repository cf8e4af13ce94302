//! The scheduler room.
