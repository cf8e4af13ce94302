//! Commands for people: the only room that prints.
//!
//! `main` reads the command line (`args`), makes a `context` and runs one command. Commands talk
//! to the daemon through the typed client over its local socket (`connect`), which is started when
//! none answers (`launch`); `lint` needs none. What comes back is written on a `sheet`, where all
//! text from agents and documents is made harmless first. Commands that wait follow the SpecTask
//! live (`watch`). Editors run `acp`. Only `finish` and
//! `history push | fetch` touch the person's repository, on their behalf.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "commands for people print; no other room does"
)]

mod acp;
mod agents;
mod args;
mod choose;
mod comments;
mod connect;
mod context;
mod control;
mod coordinate;
mod decide;
mod demo;
mod diff;
mod editor;
mod error;
mod findings;
mod finish;
#[cfg(test)]
mod fixtures;
mod history;
mod launch;
mod lint;
mod list;
mod mcp;
mod new;
mod pager;
mod permissions;
mod review;
mod service;
mod sessions;
mod setup;
mod sheet;
mod show;
mod table;
mod time;
mod transcript;
mod tree;
mod watch;
mod wire;
mod wording;
mod words;
mod zed;

use std::{
    io::{self, IsTerminal, Write},
    process::ExitCode,
};

use clap::{CommandFactory, Parser};

use self::{
    args::{AcpArgs, Cli, Command, DaemonArgs, DaemonCommand, Global},
    context::Context,
    error::{CliError, Exit},
};

/// Runs the command that the command line names.
#[must_use]
pub fn main() -> ExitCode {
    let words: Option<Vec<String>> = std::env::args_os()
        .skip(1)
        .map(|word| word.into_string().ok())
        .collect();
    if let Some(args) = words.as_deref().and_then(AcpArgs::quick) {
        return match acp::run(&Global::default(), args) {
            Ok(exit) => exit.into(),
            Err(error) => {
                let _ = io::stderr().write_all(error.render(false).as_bytes());
                ExitCode::from(error.code())
            }
        };
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version come this way too; a closed output takes nothing from them.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let json = cli.global.json;
    let color = context::color(cli.global.color, io::stderr().is_terminal());
    match run(cli) {
        Ok(exit) => exit.into(),
        Err(error) => {
            if let Some(value) = error.json().filter(|_| json) {
                let _ = context::write_out(&format!("{}\n", sheet::json_text(&value, false)));
            } else {
                let _ = io::stderr().write_all(error.render(color).as_bytes());
            }
            ExitCode::from(error.code())
        }
    }
}

fn run(cli: Cli) -> Result<Exit, CliError> {
    // It outlives whatever a context cannot do without.
    if let Command::Acp(args) = cli.command {
        return acp::run(&cli.global, args);
    }
    let ctx = Context::new(&cli.global)?;
    match cli.command {
        Command::Lint(args) => lint::run(&ctx, args),
        Command::Daemon(DaemonArgs {
            command: DaemonCommand::Run,
        }) => service::run_here(&ctx),
        Command::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "spectask", &mut text);
            context::write_out(&String::from_utf8_lossy(&text))?;
            Ok(Exit::Good)
        }
        Command::Openrpc => {
            ctx.print_json(&spectask_protocol::method::open_rpc())?;
            Ok(Exit::Good)
        }
        Command::ExampleAgent => block_on(example_agent()),
        Command::Mcp => mcp::run(&ctx),
        command => block_on(with_daemon(&ctx, command)),
    }
}

/// Runs a command to its end. One thread is enough for a client, and quicker to start than many.
fn block_on(command: impl Future<Output = Result<Exit, CliError>>) -> Result<Exit, CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(error::io("start", "the runtime"))?;
    runtime.block_on(command)
}

async fn example_agent() -> Result<Exit, CliError> {
    let ended = crate::example_agent::run().await;
    ended.map_err(|error| CliError::internal(error.to_string()))?;
    Ok(Exit::Good)
}

async fn with_daemon(ctx: &Context, command: Command) -> Result<Exit, CliError> {
    match command {
        Command::New(args) => new::run(ctx, args).await,
        Command::List(args) => list::run(ctx, args).await,
        Command::Show(args) => show::run(ctx, args).await,
        Command::Watch(args) => watch::run(ctx, args).await,
        Command::Review(args) => review::run(ctx, args).await,
        Command::Approve(args) => decide::approve(ctx, args).await,
        Command::RequestChanges(args) => decide::request_changes(ctx, args).await,
        Command::Reject(args) => decide::reject(ctx, args).await,
        Command::Edit(args) => decide::edit(ctx, args).await,
        Command::Start(args) => control::start(ctx, args).await,
        Command::Pause(args) => control::pause(ctx, args).await,
        Command::Resume(args) => control::resume(ctx, args).await,
        Command::Retry(args) => control::retry(ctx, args).await,
        Command::Cancel(args) => control::cancel(ctx, args).await,
        Command::Spawn(args) => control::spawn(ctx, args).await,
        Command::AcceptEmpty(args) => control::accept_empty(ctx, args).await,
        Command::Sessions(args) => sessions::run(ctx, args).await,
        Command::Tell(args) => coordinate::tell(ctx, args).await,
        Command::Stop(args) => coordinate::stop(ctx, args).await,
        Command::Messages(args) => coordinate::messages(ctx, args).await,
        Command::Attach(args) => coordinate::attach(ctx, args).await,
        Command::Decide(args) => coordinate::decide(ctx, args).await,
        Command::Search(args) => history::search(ctx, args).await,
        Command::History(args) => history::run(ctx, args).await,
        Command::Permissions(args) => permissions::run(ctx, args).await,
        Command::Agents(args) => agents::run(ctx, args).await,
        Command::Prompts(args) => setup::prompts(ctx, args).await,
        Command::Trust(args) => setup::trust(ctx, args).await,
        Command::Diff(args) => diff::run(ctx, args).await,
        Command::Finish(args) => finish::run(ctx, args).await,
        Command::Config(args) => setup::config(ctx, args).await,
        Command::Doctor => setup::doctor(ctx).await,
        Command::Daemon(args) => service::run(ctx, args.command).await,
        Command::Zed(args) => zed::run(ctx, args).await,
        Command::Demo(args) => demo::run(ctx, args).await,
        Command::Acp(_)
        | Command::Lint(_)
        | Command::Completions { .. }
        | Command::Openrpc
        | Command::ExampleAgent
        | Command::Mcp => Err(CliError::internal("this command needs no daemon")),
    }
}
