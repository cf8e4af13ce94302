//! `spectask zed` as clap sees it.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use spectask_protocol::{AgentName, SessionRef};

use crate::zed_paths::Channel;

#[derive(Debug, Args)]
pub(in crate::cli) struct ZedArgs {
    #[command(subcommand)]
    pub(in crate::cli) command: Option<ZedCommand>,
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum ZedCommand {
    /// List attached editors
    #[command(
        visible_alias = "ls",
        after_help = "Examples:
  spectask zed list
  spectask zed list --json | jq '.instances[].project'"
    )]
    List,
    /// List agent threads: of every editor, or of one
    #[command(after_help = "Examples:
  spectask zed threads
  spectask zed threads 0190a2
  spectask zed threads --archived
  spectask zed threads --json | jq '.threads[] | select(.running)'")]
    Threads {
        /// The editor's id, or its beginning; see `spectask zed list`
        instance: Option<String>,
        /// With threads of Zed's own agent that are archived or deleted
        #[arg(long, conflicts_with = "instance")]
        archived: bool,
    },
    /// Detach an editor: its threads close there, their sessions stay
    #[command(after_help = "Example:
  spectask zed detach 0190a2")]
    Detach {
        /// The editor's id, or its beginning; see `spectask zed list`
        instance: String,
    },
    /// Show what Zed's settings need for SpecTask, and write it
    ///
    /// An entry for each agent that was found, one in which the agent is chosen, and the context server of
    /// the extension. Everything else in the file stays as it is, comments and layout included; what was
    /// there before is kept beside it.
    #[command(after_help = "Examples:
  spectask zed setup                    # shows the change
  spectask zed setup --write
  spectask zed setup --remove --write   # takes the entries out again
  spectask zed setup --agent claude --settings ~/.config/zed/settings.json")]
    Setup(ZedSetupArgs),
    /// Open the worktree of a session, or the project, in Zed with `/spec-open` typed in
    #[command(after_help = "Examples:
  spectask zed open 7/2
  spectask zed open 7              # the session of it that runs
  spectask zed open 7/2 --print    # only the commands")]
    Open(ZedOpenArgs),
    /// Check Zed, its settings, the extension and the daemon, and say what to do
    #[command(after_help = "Examples:
  spectask zed doctor
  spectask zed doctor --json | jq '.checks[] | select(.state != \"ok\")'")]
    Doctor(ZedPlace),
    /// Tell Zed's extension where this program and its daemon are
    #[command(hide = true)]
    Endpoint,
}

/// Which Zed is meant.
#[derive(Debug, Clone, Default, Args)]
pub(in crate::cli) struct ZedPlace {
    /// The folder that Zed is started with as `--user-data-dir`
    #[arg(long, value_name = "DIR")]
    pub(in crate::cli) user_data_dir: Option<PathBuf>,
    /// The release channel; whichever is found when absent
    #[arg(long, value_name = "CHANNEL")]
    pub(in crate::cli) channel: Option<ZedChannel>,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ZedSetupArgs {
    /// Write the file; without it the change is only shown
    #[arg(long)]
    pub(in crate::cli) write: bool,
    /// Take SpecTask's entries out
    #[arg(long, conflicts_with = "agents")]
    pub(in crate::cli) remove: bool,
    /// An agent to have an entry; may be repeated; all that were found when absent
    #[arg(long = "agent", value_name = "NAME")]
    pub(in crate::cli) agents: Vec<AgentName>,
    /// The settings file; Zed's own when absent
    #[arg(long, value_name = "FILE", conflicts_with = "user_data_dir")]
    pub(in crate::cli) settings: Option<PathBuf>,
    #[command(flatten)]
    pub(in crate::cli) place: ZedPlace,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ZedOpenArgs {
    /// The session, such as `7/2`, or the SpecTask
    pub(in crate::cli) target: SessionRef,
    /// Print the commands and run none
    #[arg(long)]
    pub(in crate::cli) print: bool,
    #[command(flatten)]
    pub(in crate::cli) place: ZedPlace,
}

/// A release channel of Zed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum ZedChannel {
    /// What most people run
    Stable,
    /// A week ahead
    Preview,
    /// Built each night
    Nightly,
    /// Built by oneself
    Dev,
}

impl From<ZedChannel> for Channel {
    fn from(channel: ZedChannel) -> Self {
        match channel {
            ZedChannel::Stable => Self::Stable,
            ZedChannel::Preview => Self::Preview,
            ZedChannel::Nightly => Self::Nightly,
            ZedChannel::Dev => Self::Dev,
        }
    }
}
