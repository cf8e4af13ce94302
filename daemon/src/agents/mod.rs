//! The agents room.
