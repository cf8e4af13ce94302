//! Repository chores.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod acp;
mod bench;
mod binary;
mod demo;
mod docs;
mod package;

use std::process::{Command, ExitCode};
use std::time::Instant;

use clap::{Parser, Subcommand};

/// Chores of this repository.
#[derive(Parser)]
struct Args {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Installs the third-party agents the tests drive, outside the clone.
    Agents {
        /// Installs opencode too: large, and no test of `.ci/run` needs it.
        #[arg(long)]
        opencode: bool,
    },
    /// Measures the release build: `spectask list`, cold start, an idle daemon; or the way of an
    /// editor's frames.
    Bench {
        /// What is measured instead of commands.
        of: Option<Of>,
        /// How often each command is timed.
        #[arg(long, default_value_t = 50)]
        runs: u32,
    },
    /// An ACP agent that stamps its updates with the time.
    #[command(hide = true)]
    StampingAgent,
    /// Writes the API reference, `docs/api.md`, from the method table.
    Docs,
    /// Makes the folder of the extension that Zed's registry would take, and checks it by its rules.
    PackageExtension {
        /// Where; in the target folder when absent.
        out: Option<std::path::PathBuf>,
    },
    /// Puts the output of `spectask demo` into the README.
    RecordDemo,
    /// Kills the daemon and agents at random moments, once for each seed.
    Soak {
        /// Editor threads and their windows instead of jobs.
        #[arg(long)]
        zed: bool,
        /// Number of seeds.
        #[arg(long, default_value_t = 200)]
        seeds: u32,
        /// First seed.
        #[arg(long, default_value_t = 0)]
        from: u32,
    },
}

/// What to measure.
#[derive(Clone, Copy, clap::ValueEnum)]
enum Of {
    /// `spectask acp`: what an editor waits for.
    Acp,
}

fn main() -> ExitCode {
    let result = match Args::parse().chore {
        Chore::Agents { opencode } => {
            spectask_tests::agents::install(opencode, &|line| println!("{line}"))
        }
        Chore::Bench { .. } if !binary::is_known() => binary::again_with("release"),
        Chore::RecordDemo if !binary::is_known() => binary::again_with("dev"),
        Chore::Bench { of: None, runs } => bench::run(runs),
        Chore::Bench {
            of: Some(Of::Acp),
            runs,
        } => acp::run(runs),
        Chore::StampingAgent => acp::agent::run(),
        Chore::RecordDemo => demo::record(),
        Chore::Docs => docs::write(),
        Chore::PackageExtension { out } => package::run(out),
        Chore::Soak { zed, seeds, from } => soak(zed, from, seeds),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

fn soak(zed: bool, from: u32, seeds: u32) -> Result<(), String> {
    let started = Instant::now();
    let status = Command::new(env!("CARGO"))
        .args([
            "test",
            "--package",
            "spectask-tests",
            "--test",
            "main",
            if zed { "lives::" } else { "kill::" },
        ])
        .args(["--", "--nocapture"])
        .env("SPECTASK_SOAK_FROM", from.to_string())
        .env("SPECTASK_SOAK_SEEDS", seeds.to_string())
        .status()
        .map_err(|error| format!("cargo cannot start: {error}"))?;
    let seconds = started.elapsed().as_secs();
    let outcome = if status.success() { "passed" } else { "FAILED" };
    println!(
        "soak: seeds {from} to {} {outcome} in {seconds} s",
        from + seeds.saturating_sub(1)
    );
    status
        .success()
        .then_some(())
        .ok_or_else(|| "the soak failed".to_owned())
}
