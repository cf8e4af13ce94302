//! Secrets out of text: the seam in front of everything that is stored or shown.
//!
//! Large base64 becomes kind, size and digest first (`blob`). The table `rules.toml` names the known
//! key formats; a table of their first three bytes finds their literals, an automaton the values of
//! the agent's own secret-looking variables; only at such a place does the rule's expression run, and its match is judged by entropy and by the shape of the value (`value`). Long random
//! tokens are the second signal (`entropy`); a person adds rules and exceptions ([`UserRules`]). The
//! cost is linear in the text. What matches becomes a stable placeholder such as
//! `«secret:aws-access-key:3f2a»`: the last part is a keyed hash, so that the same secret reads the
//! same everywhere and cannot be guessed back. [`StreamRedactor`] does the same for text that
//! arrives in pieces, [`Redactor::json`] for JSON. Best effort, no guarantee.

mod blob;
mod engine;
mod entropy;
mod json;
mod rules;
mod stream;
mod user;
mod value;
mod variables;

pub use engine::{Redactor, SecretMatch};
pub use stream::StreamRedactor;
pub use user::{UserRuleError, UserRules};
pub use variables::is_secret_name;

#[cfg(test)]
mod cases;
#[cfg(test)]
mod tests;
