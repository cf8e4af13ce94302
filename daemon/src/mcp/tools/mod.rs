//! The tools, by what they are about.

mod history;
mod message;
mod record;
mod session;
mod spawn;
mod task;
mod transcript;

pub(super) use history::SearchHistory;
pub(super) use message::{AnswerMessage, AskSession, GetMessages, TellSession};
pub(super) use record::{RecordDecision, ReportProgress};
pub(super) use session::{GetSession, ListSessions};
pub(super) use spawn::SpawnSession;
pub(super) use task::{GetDocuments, GetTask};

use std::fmt::Write as _;

/// Appends a line.
fn line(text: &mut String, line: impl AsRef<str>) {
    text.push_str(line.as_ref());
    text.push('\n');
}

/// Appends a line that begins with a name, where there is a value.
fn pair(text: &mut String, name: &str, value: Option<&str>) {
    if let Some(value) = value {
        // Writing into a String cannot fail.
        let _ = writeln!(text, "{name}: {value}");
    }
}

/// The beginning of a text, and how much was left out.
fn cut(text: &str, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        None => text.to_owned(),
        Some((at, _)) => {
            let rest = text[at..].chars().count();
            format!("{} [... {rest} more characters]", &text[..at])
        }
    }
}
