//! The `spectask` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    spectask::cli::main()
}
