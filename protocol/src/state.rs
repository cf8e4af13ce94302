//! The states of everything that has a life of its own. Names follow Helix where they overlap.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

macro_rules! states {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
        pub enum $name {
            $($(#[$vdoc])* #[serde(rename = $text)] $variant,)+
        }
        impl $name {
            /// Every state, in the order of a life.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The name on the wire, in the database and on the command line.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }

            /// The state of that name.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$variant),)+ _ => None }
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }
    };
}

states! {
    /// The life of a SpecTask.
    SpecTaskStatus {
        /// Noted, not begun.
        Backlog = "backlog",
        /// Waits for its planning session to start.
        QueuedSpecGeneration = "queued_spec_generation",
        /// An agent writes the documents.
        SpecGeneration = "spec_generation",
        /// A person's turn: approve, request changes, reject.
        SpecReview = "spec_review",
        /// The agent works a person's comments in.
        SpecRevision = "spec_revision",
        /// A person approved; the documents are being committed.
        SpecApproved = "spec_approved",
        /// Approved and committed; no work session has started.
        QueuedImplementation = "queued_implementation",
        /// Work sessions run.
        Implementation = "implementation",
        /// Every task is merged; a person looks at the result.
        ImplementationReview = "implementation_review",
        /// Handed over as a pull request.
        PullRequest = "pull_request",
        /// Finished.
        Done = "done",
        /// No usable documents came out; can be retried.
        SpecFailed = "spec_failed",
        /// The work cannot go on by itself; can be retried.
        ImplementationFailed = "implementation_failed",
        /// A person ended it.
        Cancelled = "cancelled",
    }
}

states! {
    /// What a work session is for.
    SessionPhase {
        /// Writes the documents.
        Planning = "planning",
        /// Carries out one top-level task of `tasks.md`.
        Implementation = "implementation",
        /// Checks the merged result.
        Validation = "validation",
    }
}

states! {
    /// The life of a work session.
    SessionStatus {
        /// Not yet started.
        Pending = "pending",
        /// Its agent works, or its result is verified and merged.
        Active = "active",
        /// Cannot go on without a person or another session; `waiting` says why.
        Blocked = "blocked",
        /// Would go on by itself if something outside were there; `waiting` says what.
        Waiting = "waiting",
        /// Merged (planning: the documents are in review).
        Completed = "completed",
        /// Ended without a usable result; can be retried.
        Failed = "failed",
        /// A person ended it.
        Cancelled = "cancelled",
    }
}

states! {
    /// The stage of an active work session.
    SessionStage {
        /// Nothing done yet.
        Prepare = "prepare",
        /// The agent works on a prompt.
        Turn = "turn",
        /// The project's verify command runs.
        Verify = "verify",
        /// In the merge queue.
        Merge = "merge",
    }
}

states! {
    /// How a work session came to be.
    SessionMethod {
        /// From the approved `tasks.md`.
        Planned = "planned",
        /// Spawned by a person or another session.
        Spawned = "spawned",
        /// From a thread that a person started in an editor.
        AdHoc = "ad_hoc",
        /// Seen in Zed's database, and not recorded: a thread of Zed's own agent.
        Seen = "seen",
    }
}

states! {
    /// The life of an implementation task (a top-level entry of `tasks.md`).
    ImplementationTaskStatus {
        /// Not begun, and nothing it depends on is missing, or it waits its turn.
        Pending = "pending",
        /// Has a work session that has not begun.
        Assigned = "assigned",
        /// Its work session runs.
        InProgress = "in_progress",
        /// Merged and ticked.
        Completed = "completed",
        /// Something it depends on is not completed.
        Blocked = "blocked",
    }
}

states! {
    /// The life of an agent thread (an ACP session), 1:1 with its work session.
    ThreadStatus {
        /// Opened without a prompt.
        Draft = "draft",
        /// Prompted.
        Active = "active",
        /// Its agent process is gone; it can be resumed.
        Disconnected = "disconnected",
        /// Ended well.
        Completed = "completed",
        /// Ended badly.
        Failed = "failed",
    }
}

states! {
    /// How a turn of an agent ended.
    TurnStatus {
        /// Under way.
        Running = "running",
        /// The agent said `end_turn`.
        Ended = "ended",
        /// A crash of the agent, the daemon or the machine cut it.
        Interrupted = "interrupted",
        /// Cancelled by a person.
        Cancelled = "cancelled",
        /// The agent stopped for another reason: `max_tokens`, `refusal`, an error.
        Failed = "failed",
    }
}

states! {
    /// How the tasks of a SpecTask are worked on.
    WorkMode {
        /// A worktree and branch per session, as many at a time as the limit allows.
        Parallel = "parallel",
        /// One worktree, sessions one after another.
        Simple = "simple",
    }
}

states! {
    /// A person's decision on a revision.
    Decision {
        /// The documents stand; work may begin.
        Approve = "approve",
        /// Back to the agent with comments.
        RequestChanges = "request_changes",
        /// The SpecTask is given up.
        Reject = "reject",
    }
}

states! {
    /// What a work session waits for, or what blocks it.
    WaitKind {
        /// A variable that its agent needs is not known to the daemon.
        Environment = "environment",
        /// The agent wants a login.
        NeedsAuth = "needs_auth",
        /// The agent's program was not found.
        AgentMissing = "agent_missing",
        /// `.spectask.toml` has commands that no person trusted.
        Trust = "trust",
        /// The branch to be moved is checked out elsewhere.
        BranchCheckedOut = "branch_checked_out",
        /// The turn ended without a change.
        EmptyResult = "empty_result",
        /// The merge has conflicts.
        Conflict = "conflict",
        /// The verify command failed too often.
        Verify = "verify",
        /// The agent asks a person.
        Permission = "permission",
        /// The agent refused or ran out of tokens or requests.
        Stopped = "stopped",
        /// The agent's process failed too often.
        Agent = "agent",
        /// A time limit was reached.
        TimeLimit = "time_limit",
        /// git or the disk refused something.
        Repository = "repository",
    }
}

states! {
    /// What sort of message one session sends another.
    MessageKind {
        /// What came out of a session, for those that depend on it.
        Handoff = "handoff",
        /// The sender is blocked by the receiver.
        Blocking = "blocking",
        /// For its information.
        Notification = "notification",
        /// Wants a response.
        Request = "request",
        /// Answers a request.
        Response = "response",
        /// To every session of the SpecTask.
        Broadcast = "broadcast",
    }
}

states! {
    /// Who is at the other end of a connection.
    Role {
        /// A person, or a program that acts for one.
        Person = "person",
        /// A process that descends from an agent: may read and report, not decide.
        Agent = "agent",
    }
}

impl SpecTaskStatus {
    /// Whether nothing more happens without a person's command.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Done | Self::Cancelled)
    }
}

impl SessionStatus {
    /// Whether the session has ended for good (a retry makes it pending again).
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }
}
