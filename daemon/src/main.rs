//! The `spectask` command.

fn main() {}
