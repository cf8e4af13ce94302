//! Arguments of the commands about what sessions are told and what was said.

use clap::Args;
use spectask_protocol::{SessionRef, TaskRef};

#[derive(Debug, Args)]
pub(in crate::cli) struct TellArgs {
    /// The session, such as 7/2 or threads/3; for --broadcast also a SpecTask
    pub(in crate::cli) session: SessionRef,
    /// What to say; at most 64 KiB
    pub(in crate::cli) text: String,
    /// Tell every open session of the SpecTask
    #[arg(long)]
    pub(in crate::cli) broadcast: bool,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct MessagesArgs {
    /// A SpecTask or a session, such as 7 or 7/2
    pub(in crate::cli) target: SessionRef,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct AttachArgs {
    /// The thread's session, such as threads/3 or 7/4
    pub(in crate::cli) session: SessionRef,
    /// The SpecTask; to none when absent
    pub(in crate::cli) task: Option<TaskRef>,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct DecideArgs {
    /// The SpecTask or session it belongs to, such as 7 or 7/2
    pub(in crate::cli) target: SessionRef,
    /// What was decided, and why; at most 8 KiB
    pub(in crate::cli) text: String,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct SearchArgs {
    /// The text, in any case; at least 2 characters
    pub(in crate::cli) text: String,
    /// Only this SpecTask or session, such as 7 or 7/2
    #[arg(short, long, value_name = "TARGET")]
    pub(in crate::cli) task: Option<SessionRef>,
    /// Of every repository, not only this one
    #[arg(short, long)]
    pub(in crate::cli) all: bool,
    /// At most so many hits, up to 100
    #[arg(short, long, value_name = "N", default_value_t = 20)]
    pub(in crate::cli) limit: u32,
}
