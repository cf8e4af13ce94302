//! Arguments of the commands about SpecTasks and their sessions.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Subcommand, ValueEnum};
use spectask_protocol::{AgentName, DocumentKind, LineComment, SessionRef, TaskRef, WorkMode};

use super::super::comments::parse_line_comment;

/// A SpecTask.
#[derive(Debug, Args)]
pub(in crate::cli) struct TaskArgs {
    /// The SpecTask: its name or number; may be left out where only one fits
    pub(in crate::cli) task: Option<TaskRef>,
}

/// A session.
#[derive(Debug, Args)]
pub(in crate::cli) struct SessionArgs {
    /// The session, such as 7/2
    pub(in crate::cli) session: SessionRef,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct WaitingTaskArgs {
    /// The SpecTask: its name or number; may be left out where only one fits
    pub(in crate::cli) task: Option<TaskRef>,
    /// Follow it until a person has to act or it is finished
    #[arg(long)]
    pub(in crate::cli) wait: bool,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct NewArgs {
    /// What you want; `-` reads it from standard input, nothing opens $EDITOR
    pub(in crate::cli) prompt: Option<String>,
    /// The agent that plans and implements
    #[arg(long, value_name = "NAME")]
    pub(in crate::cli) agent: Option<AgentName>,
    /// Another agent for planning
    #[arg(long, value_name = "NAME")]
    pub(in crate::cli) planning_agent: Option<AgentName>,
    /// How the tasks are worked on
    #[arg(long)]
    pub(in crate::cli) mode: Option<Mode>,
    /// How many sessions may run at a time
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=32))]
    pub(in crate::cli) limit: Option<u32>,
    /// The commit or branch everything starts from
    #[arg(long, value_name = "REV")]
    pub(in crate::cli) base: Option<String>,
    /// The command that decides whether work counts, instead of the repository's
    #[arg(long, value_name = "COMMAND")]
    pub(in crate::cli) verify: Option<String>,
    /// A short name; made from the prompt when absent
    #[arg(long, value_name = "NAME")]
    pub(in crate::cli) name: Option<String>,
    /// Only note it; `spectask start` begins
    #[arg(long)]
    pub(in crate::cli) later: bool,
    /// Follow the planning until the documents can be reviewed (the default on a terminal)
    #[arg(long, overrides_with = "no_wait", conflicts_with = "later")]
    pub(in crate::cli) wait: bool,
    /// Return at once
    #[arg(long)]
    pub(in crate::cli) no_wait: bool,
}

/// How the tasks are worked on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Mode {
    /// A worktree and branch per session, as many at a time as the limit allows
    Parallel,
    /// One worktree, sessions one after another
    Simple,
}

impl From<Mode> for WorkMode {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Parallel => Self::Parallel,
            Mode::Simple => Self::Simple,
        }
    }
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ListArgs {
    /// Of every repository, not only this one
    #[arg(short, long)]
    pub(in crate::cli) all: bool,
    /// Also those that are archived
    #[arg(long)]
    pub(in crate::cli) archived: bool,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct WatchArgs {
    /// The SpecTask: its name or number; may be left out where only one fits
    pub(in crate::cli) task: Option<TaskRef>,
    /// Also print past events, from this number on (plain lines and JSON)
    #[arg(long, value_name = "SEQ")]
    pub(in crate::cli) from: Option<u64>,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct LintArgs {
    /// Folders or files; .kiro/specs, else specs, else this folder, when absent
    pub(in crate::cli) paths: Vec<PathBuf>,
    /// How findings are printed
    #[arg(long, default_value = "text")]
    pub(in crate::cli) format: LintFormat,
    /// The rules to apply
    #[arg(long, value_name = "NAME", default_value = "kiro")]
    pub(in crate::cli) profile: String,
}

/// `spectask redact`
#[derive(Debug, Args)]
pub(in crate::cli) struct RedactArgs {
    /// The file; standard input when it is - or absent
    pub(in crate::cli) file: Option<PathBuf>,
    /// Tell where secrets are instead of printing the text; fail when there is one
    #[arg(long)]
    pub(in crate::cli) check: bool,
}

/// How findings are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum LintFormat {
    /// With excerpts of the source
    Text,
    /// For programs
    Json,
}

/// One of the three documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum DocumentArg {
    /// requirements.md
    Requirements,
    /// design.md
    Design,
    /// tasks.md
    Tasks,
}

impl From<DocumentArg> for DocumentKind {
    fn from(document: DocumentArg) -> Self {
        match document {
            DocumentArg::Requirements => Self::Requirements,
            DocumentArg::Design => Self::Design,
            DocumentArg::Tasks => Self::Tasks,
        }
    }
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ReviewArgs {
    /// The SpecTask: its name or number; may be left out where only one is in review
    pub(in crate::cli) task: Option<TaskRef>,
    /// An older revision
    #[arg(long, value_name = "N")]
    pub(in crate::cli) revision: Option<u32>,
    /// Only what changed since the revision before
    #[arg(long, conflicts_with_all = ["document", "findings"])]
    pub(in crate::cli) diff: bool,
    /// Only this document
    #[arg(long, value_name = "DOCUMENT", conflicts_with = "findings")]
    pub(in crate::cli) document: Option<DocumentArg>,
    /// Only what the validator found
    #[arg(long)]
    pub(in crate::cli) findings: bool,
    /// Do not use a pager
    #[arg(long)]
    pub(in crate::cli) no_pager: bool,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ApproveArgs {
    /// The SpecTask: its name or number; may be left out where only one is in review
    pub(in crate::cli) task: Option<TaskRef>,
    /// Do not ask
    #[arg(short, long)]
    pub(in crate::cli) yes: bool,
    /// Only if this is still the newest revision
    #[arg(long, value_name = "N")]
    pub(in crate::cli) revision: Option<u32>,
    /// A remark for the record
    #[arg(short, long, value_name = "TEXT")]
    pub(in crate::cli) message: Option<String>,
    /// Approve although the validator found errors (never secrets or a broken plan)
    #[arg(long)]
    pub(in crate::cli) accept_findings: bool,
    /// Only commit the documents; `spectask start` begins the work
    #[arg(long, conflicts_with = "wait")]
    pub(in crate::cli) no_start: bool,
    /// Follow the work until a person has to act or it is finished
    #[arg(long)]
    pub(in crate::cli) wait: bool,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct RequestChangesArgs {
    /// The SpecTask: its name or number; may be left out where only one is in review
    pub(in crate::cli) task: Option<TaskRef>,
    /// What should be different
    #[arg(short, long, value_name = "TEXT")]
    pub(in crate::cli) message: Option<String>,
    /// A comment on a line: DOCUMENT:LINE:TEXT, or DOCUMENT:TEXT; may be repeated
    #[arg(long, value_name = "COMMENT", value_parser = parse_line_comment)]
    pub(in crate::cli) line: Vec<LineComment>,
    /// Only if this is still the newest revision
    #[arg(long, value_name = "N")]
    pub(in crate::cli) revision: Option<u32>,
    /// Follow the agent until the documents can be reviewed again
    #[arg(long)]
    pub(in crate::cli) wait: bool,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct RejectArgs {
    /// The SpecTask: its name or number; may be left out where only one is in review
    pub(in crate::cli) task: Option<TaskRef>,
    /// Why
    #[arg(short, long, value_name = "TEXT")]
    pub(in crate::cli) message: Option<String>,
    /// Do not ask
    #[arg(short, long)]
    pub(in crate::cli) yes: bool,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct EditArgs {
    /// The SpecTask: its name or number; may be left out where only one is in review
    pub(in crate::cli) task: Option<TaskRef>,
    /// Only this document
    #[arg(long, value_name = "DOCUMENT")]
    pub(in crate::cli) document: Option<DocumentArg>,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct RetryArgs {
    /// A SpecTask or a session, such as 7 or 7/2; may be left out where only one fits
    pub(in crate::cli) target: Option<SessionRef>,
    /// Follow it until a person has to act or it is finished
    #[arg(long)]
    pub(in crate::cli) wait: bool,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct CancelArgs {
    /// A SpecTask or a session, such as 7 or 7/2
    pub(in crate::cli) target: SessionRef,
    /// Do not ask
    #[arg(short, long)]
    pub(in crate::cli) yes: bool,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct SpawnArgs {
    /// The SpecTask, or the session that becomes the parent
    pub(in crate::cli) target: SessionRef,
    /// What to do, in a line
    pub(in crate::cli) title: String,
    /// What to do, in full; the title when absent
    #[arg(short, long, value_name = "TEXT")]
    pub(in crate::cli) message: Option<String>,
    /// The agent; the SpecTask's when absent
    #[arg(long, value_name = "NAME")]
    pub(in crate::cli) agent: Option<AgentName>,
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(in crate::cli) struct SessionsArgs {
    #[command(subcommand)]
    pub(in crate::cli) command: Option<SessionsCommand>,
    /// Only those of this SpecTask
    pub(in crate::cli) task: Option<TaskRef>,
    /// Of every repository, not only this one
    #[arg(short, long)]
    pub(in crate::cli) all: bool,
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum SessionsCommand {
    /// List sessions
    List {
        /// Only those of this SpecTask
        task: Option<TaskRef>,
        /// Of every repository, not only this one
        #[arg(short, long)]
        all: bool,
    },
    /// Show a session
    Show(SessionArgs),
    /// Read a session's transcript (redacted)
    Log {
        /// The session, such as 7/2
        session: SessionRef,
        /// Start at this entry
        #[arg(long, value_name = "INDEX", default_value_t = 0)]
        from: u64,
        /// Do not use a pager
        #[arg(long)]
        no_pager: bool,
    },
}

#[derive(Debug, Args)]
pub(in crate::cli) struct DiffArgs {
    /// A SpecTask or a session, such as 7 or 7/2; may be left out where only one fits
    pub(in crate::cli) target: Option<SessionRef>,
    /// Only how much changed in each file
    #[arg(long)]
    pub(in crate::cli) stat: bool,
    /// Do not use a pager
    #[arg(long)]
    pub(in crate::cli) no_pager: bool,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("how"))]
pub(in crate::cli) struct FinishArgs {
    /// The SpecTask: its name or number; may be left out where only one fits
    pub(in crate::cli) task: Option<TaskRef>,
    /// Merge the branch in your checkout
    #[arg(long, group = "how")]
    pub(in crate::cli) merge: bool,
    /// Push the branch and open a pull request
    #[arg(long, group = "how")]
    pub(in crate::cli) pr: bool,
    /// Keep the branch as it is
    #[arg(long, group = "how")]
    pub(in crate::cli) keep: bool,
    /// The branch to merge into; the one the SpecTask started from when absent
    #[arg(long, value_name = "BRANCH", conflicts_with = "keep")]
    pub(in crate::cli) into: Option<String>,
    /// The remote to push to; the only one, or origin, when absent
    #[arg(long, value_name = "NAME", requires = "pr")]
    pub(in crate::cli) remote: Option<String>,
    /// Finish although tasks are open
    #[arg(long)]
    pub(in crate::cli) incomplete: bool,
    /// Do not ask
    #[arg(short, long)]
    pub(in crate::cli) yes: bool,
}
