//! Drivers: what makes things happen without a person.
//!
//! [`run`] is level-triggered: woken by a commit, it reads the state and starts what is due.
//! `planner` drives planning sessions, `worker` work sessions (prepare, turn, verify, merge),
//! `merge` the merge queue, `documents` the commit of what was approved. `thread` talks to the
//! session's agent, `observe` watches it, `foreign` sees what it moved,
//! `answer` brings its questions to a person, `briefing` and `prompts` say what it is told. All share a
//! [`Context`]. [`recover`] cleans up after a crash before the loop begins.

mod answer;
mod briefing;
mod command;
mod context;
mod documents;
mod environment;
mod foreign;
mod gc;
mod halt;
mod job;
mod merge;
mod observe;
mod planner;
mod project;
mod prompts;
mod queue;
mod recovery;
mod thread;
mod tidy;
mod worker;

pub use answer::{AnswerError, answer_permission, ask_person};
pub use context::{Context, Shared};
pub use environment::Environments;
pub use gc::{DRAFT_LIFE, collect_garbage, forget_drafts, keep_tidy};
pub use project::{FILE_NAME, Project, ProjectError, ProjectFile};
pub use prompts::{PromptError, Prompts, Template};
pub use queue::run;
pub use recovery::{reap_strays, recover};
pub use tidy::sweep;
