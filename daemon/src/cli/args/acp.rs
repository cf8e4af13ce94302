//! Arguments of what editors run.

use clap::Args;
use spectask_protocol::AgentName;

#[derive(Debug, Args)]
pub(in crate::cli) struct AcpArgs {
    /// The agent of every thread
    #[arg(long, value_name = "NAME", conflicts_with = "command")]
    pub(in crate::cli) agent: Option<AgentName>,
    /// The command line of an agent that is not configured
    #[arg(last = true, value_name = "COMMAND")]
    pub(in crate::cli) command: Vec<String>,
}
