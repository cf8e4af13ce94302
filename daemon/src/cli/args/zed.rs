//! `spectask zed` as clap sees it.

use clap::{Args, Subcommand};

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
}
