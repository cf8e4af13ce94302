//! What happens now: the stream of each session, who watches it, which editors are attached.
//!
//! A [`Stream`] numbers every frame between a session and its agent, hands it to its viewers at once
//! and to the transcript a moment later, redacted (`writer`), a streamed message as one text (`chunks`). The number is the frame's index in the
//! transcript, so a [`Viewer`] that comes late, or is slow, reads from the store up to a number and
//! goes on live from there (`catch_up`): no gap, nothing twice. [`Live`] holds the streams,
//! the [`Tokens`] by which agents' MCP connections name their session, and the registry of attached
//! [`Editors`].

mod catch_up;
mod chunks;
mod editors;
mod history;
mod replay;
mod stream;
mod streams;
mod tokens;
mod viewer;
mod writer;

pub use editors::{Editor, EditorInfo, Editors};
pub use history::History;
pub use replay::Replay;
pub use stream::Stream;
pub use streams::Live;
pub use tokens::Tokens;
pub use viewer::{Viewer, ViewerId, Way};

#[cfg(test)]
mod replay_tests;
#[cfg(test)]
mod tests;
