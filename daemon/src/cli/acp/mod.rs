//! `spectask acp`: what an editor runs for the daemon's agents. A pipe between the editor's
//! standard streams (`editor`) and the daemon (`link`) that outlives the daemon: `pending` knows what
//! is open on both sides, `streams` what the editor has of each session, and a new daemon is told
//! all of it. Frames go through as they are; `frame` reads no more than their top level. Nothing
//! but ACP is ever written to standard output, and only its end, or that of standard input, ends
//! the shim: an editor does not start it again.

mod answers;
mod editor;
mod frame;
mod lines;
mod link;
mod pending;
mod pipe;
mod streams;
#[cfg(test)]
mod tests;

use std::io::{self, IsTerminal};

use spectask_protocol::{Environment, shim::Entry};

use super::{
    args::{AcpArgs, Global},
    context::{self, Context},
    error::{self, CliError, Exit},
    launch,
};
use crate::paths::Paths;

/// Serves the editor until it closes standard input.
///
/// # Errors
/// When the system lets no runtime start.
pub(super) fn run(global: &Global, args: AcpArgs) -> Result<Exit, CliError> {
    if io::stdin().is_terminal() {
        launch::say(
            "`spectask acp` is for editors: it speaks the Agent Client Protocol on standard input and \
             output. In Zed, name it as the command of a custom agent (`spectask acp --help` shows \
             the setting); to work from a terminal, begin with `spectask --help`. It waits for \
             frames now; end it with Ctrl-D.",
        );
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(error::io("start", "the runtime"))?;
    let shim = Shim {
        global,
        entry: entry(args),
        environment: context::environment(),
        instance: uuid::Uuid::now_v7().to_string(),
    };
    runtime.block_on(async { pipe::Pipe::new(&shim).run().await });
    // A thread that still reads from a terminal must not hold the end up.
    runtime.shutdown_background();
    Ok(Exit::Good)
}

/// What does not change in the life of a shim.
struct Shim<'a> {
    global: &'a Global,
    entry: Entry,
    environment: Environment,
    instance: String,
}

impl Shim<'_> {
    /// The daemon's places and the folder of the project. Looked up each time: an editor that has
    /// started its agent in a folder that is gone must be told, not left alone.
    ///
    /// # Errors
    /// When there is no home folder, or the folder cannot be used.
    fn place(&self) -> Result<(Paths, String), CliError> {
        let context = Context::new(self.global)?;
        let cwd = context.cwd().map_err(|error| {
            error.hint("the editor started `spectask acp` in that folder; open the project again")
        })?;
        Ok((context.paths, cwd))
    }
}

fn entry(args: AcpArgs) -> Entry {
    match args.agent {
        Some(name) => Entry::Agent { name },
        None if args.command.is_empty() => Entry::SpecTask,
        None => Entry::Command {
            command: args.command,
        },
    }
}
