//! The daemon as an ACP agent towards editors.
//!
//! [`Acp::routes`] takes the connections of shims (`spectask acp`). An [`editor::Editor`] is one shim
//! over all its reconnects; `dispatch` hands what it sends to the file that has its job (`start`,
//! `history`, `prompt`, `settings`). A [`thread::Thread`] is a conversation that a person
//! began in an editor: a draft until its first prompt, a work session from then on. `pool` keeps one
//! agent process per folder and agent for them, `relay` watches it and passes its requests to the
//! editor. A [`view::View`] shows a session's stream in an editor, whoever runs the session.

mod capabilities;
mod commits;
mod dispatch;
mod editor;
mod frames;
mod history;
mod link;
mod open;
mod options;
mod plan;
mod pool;
mod prompt;
mod relay;
mod room;
mod serve;
mod settings;
mod slash;
mod start;
mod steer;
mod thread;
mod view;

pub use room::Acp;

#[cfg(test)]
mod model_tests;
