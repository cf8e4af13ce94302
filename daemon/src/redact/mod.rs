//! Secrets out of text: the seam in front of everything that is stored or shown.
//!
//! One table of rules ([`rules`]) names the common key formats; one automaton finds their literal
//! prefixes, and the values of the agent's own secret-looking variables, in a single pass; only at
//! such a place does the rule's expression run, so the cost is linear in the text. What matches
//! becomes a stable placeholder such as `«secret:aws-access-key:3f2a»`: the last part is a keyed
//! hash, so that the same secret reads the same everywhere and cannot be guessed back.
//! [`StreamRedactor`] does the same for text that arrives in pieces. Best effort, no guarantee.

mod engine;
mod rules;
mod stream;
mod variables;

pub use engine::{Redactor, SecretMatch};
pub use stream::StreamRedactor;
pub use variables::is_secret_name;

#[cfg(test)]
mod tests;
