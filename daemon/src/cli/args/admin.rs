//! Arguments of the commands about agents, configuration and the daemon.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use spectask_protocol::{AgentName, PermissionId};

#[derive(Debug, Args)]
pub(in crate::cli) struct PermissionsArgs {
    #[command(subcommand)]
    pub(in crate::cli) command: Option<PermissionsCommand>,
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum PermissionsCommand {
    /// List what agents ask for
    List,
    /// Answer a request
    Answer {
        /// The request
        id: PermissionId,
        /// `allow`, `reject`, `cancel`, or the id of an option
        answer: String,
    },
}

#[derive(Debug, Args)]
pub(in crate::cli) struct AgentsArgs {
    #[command(subcommand)]
    pub(in crate::cli) command: Option<AgentsCommand>,
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum AgentsCommand {
    /// List agents that are configured or were found
    List,
    /// Add an agent to the configuration
    Add {
        /// Its name
        name: AgentName,
        /// A variable that it needs; may be repeated
        #[arg(long, value_name = "VARIABLE")]
        env: Vec<String>,
        /// What it may do without asking
        #[arg(long)]
        permission: Option<PermissionPolicy>,
        /// Make it the default
        #[arg(long)]
        default: bool,
        /// Its command line
        #[arg(required = true, last = true, value_name = "COMMAND")]
        command: Vec<String>,
    },
    /// Log in to an agent
    Login {
        /// The agent
        name: AgentName,
        /// The way to log in; the only one when absent
        #[arg(long, value_name = "ID")]
        method: Option<String>,
    },
    /// Start an agent, open a session, end it, and tell what it can do
    Test {
        /// The agent
        name: AgentName,
    },
}

/// What an agent may do without asking.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum PermissionPolicy {
    /// Nothing: every request waits for a person
    Ask,
    /// Read
    AllowReads,
    /// Whatever stays inside its worktree
    AllowInRoot,
    /// Nothing, and nobody is asked
    Deny,
}

impl PermissionPolicy {
    /// The name in the configuration.
    pub(in crate::cli) const fn as_str(self) -> &'static str {
        match self {
            Self::Ask => "ask",
            Self::AllowReads => "allow-reads",
            Self::AllowInRoot => "allow-in-root",
            Self::Deny => "deny",
        }
    }
}

#[derive(Debug, Args)]
pub(in crate::cli) struct PromptsArgs {
    #[command(subcommand)]
    pub(in crate::cli) command: Option<PromptsCommand>,
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum PromptsCommand {
    /// List the templates
    List,
    /// Print a template
    Show {
        /// Its name
        name: String,
    },
    /// Copy a template to where it can be changed
    Copy {
        /// Its name
        name: String,
    },
}

#[derive(Debug, Args)]
pub(in crate::cli) struct TrustArgs {
    /// Trust without asking
    #[arg(short, long)]
    pub(in crate::cli) yes: bool,
    /// Take trust back
    #[arg(long, conflicts_with = "yes")]
    pub(in crate::cli) revoke: bool,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ConfigArgs {
    #[command(subcommand)]
    pub(in crate::cli) command: Option<ConfigCommand>,
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum ConfigCommand {
    /// Print a value, or all
    Get {
        /// A dotted key
        key: Option<String>,
    },
    /// Set a value; comments in the file stay
    Set {
        /// A dotted key
        key: String,
        /// The value, as TOML or plain text
        value: String,
    },
    /// Print the JSON schema of the file
    Schema,
    /// Print where the file is
    Path,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct DaemonArgs {
    #[command(subcommand)]
    pub(in crate::cli) command: DaemonCommand,
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum DaemonCommand {
    /// Run the daemon in the foreground; prints `ready` when it answers
    Run,
    /// Start it in the background if it does not run
    Start,
    /// Stop it; work goes on when it starts again
    Stop {
        /// Let running turns end first
        #[arg(long)]
        drain: bool,
    },
    /// Stop and start it
    Restart {
        /// Let running turns end first
        #[arg(long)]
        drain: bool,
    },
    /// Tell how it is
    Status,
    /// Print address and token of its HTTP service, for programs; starts it if it does not run
    #[command(hide = true)]
    Address,
    /// Print the end of its log
    Log {
        /// How many lines
        #[arg(short = 'n', long, value_name = "N", default_value_t = 100)]
        lines: usize,
        /// Go on printing what is added
        #[arg(short, long)]
        follow: bool,
    },
}

#[derive(Debug, Args)]
pub(in crate::cli) struct DemoArgs {
    /// The folder to create; ./spectask-demo, or the next free name, when absent
    #[arg(long, value_name = "DIR")]
    pub(in crate::cli) dir: Option<PathBuf>,
    /// The agent that does the work; the built-in example agent when absent
    #[arg(long, value_name = "NAME")]
    pub(in crate::cli) agent: Option<AgentName>,
}
