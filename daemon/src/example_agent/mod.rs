//! The example_agent room.
