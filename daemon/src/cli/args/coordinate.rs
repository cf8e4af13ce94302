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
    /// The SpecTask; to none when absent or `none`
    pub(in crate::cli) task: Option<TaskRef>,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct DecideArgs {
    /// The SpecTask or session it belongs to, such as 7 or 7/2
    pub(in crate::cli) target: SessionRef,
    /// What was decided, and why; at most 8 KiB
    pub(in crate::cli) text: String,
}
