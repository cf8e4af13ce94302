//! The slash commands: one table, one handler each, over the protocol's client only.
