//! Ticking: single bytes of `tasks.md`, under compare-and-swap, and digests.

use sha2::{Digest, Sha256};
use spectask_protocol::DocumentKind;

use super::profile::Profile;
use super::report::Report;
use super::tasks::{self, TasksDoc};

/// The mark to write into a checkbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TickState {
    /// A space.
    Open,
    /// `x`
    Done,
    /// `-`
    InProgress,
}

impl TickState {
    const fn mark(self) -> &'static str {
        match self {
            Self::Open => " ",
            Self::Done => "x",
            Self::InProgress => "-",
        }
    }
}

/// Why a checkbox was not changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TickError {
    /// The text is not the one that the caller read.
    #[error(
        "tasks.md has changed since it was read (its digest is {found}, not {expected}); read it again"
    )]
    Changed {
        /// Digest that the caller expects.
        expected: String,
        /// Digest of the text.
        found: String,
    },
    /// No checkbox has this number.
    #[error("tasks.md has no task {0}; numbers are those of its checkboxes, such as 1 or 2.3")]
    NotFound(String),
    /// More than one checkbox has this number.
    #[error("tasks.md has more than one task {0}; give each a number of its own")]
    Ambiguous(String),
}

/// Sets the mark of the checkbox with this number and returns the new text, which differs in at
/// most that one byte. `expected_digest` is the [`digest`] of the text that the caller read.
///
/// # Errors
///
/// If the text has another digest, or not exactly one checkbox has the number.
pub fn tick(
    tasks: &str,
    number: &str,
    expected_digest: &str,
    state: TickState,
) -> Result<String, TickError> {
    compare(tasks, expected_digest)?;
    let doc = read(tasks);
    let index = find(&doc, number)?;
    Ok(with_marks(tasks, [doc.tasks[index].state_at], state))
}

/// Ticks a top-level task with all its required descendants, one byte each; optional ones keep
/// their marks.
///
/// # Errors
///
/// If the text has another digest, or not exactly one top-level task has the number.
pub fn tick_task(tasks: &str, number: &str, expected_digest: &str) -> Result<String, TickError> {
    compare(tasks, expected_digest)?;
    let doc = read(tasks);
    let mut groups = doc.groups.iter().filter(|group| group.number == number);
    let group = groups
        .next()
        .ok_or_else(|| TickError::NotFound(number.to_owned()))?;
    if groups.next().is_some() {
        return Err(TickError::Ambiguous(number.to_owned()));
    }
    let places = group
        .tasks
        .iter()
        .filter(|&&index| group.head == Some(index) || !doc.tasks[index].optional)
        .map(|&index| doc.tasks[index].state_at);
    Ok(with_marks(tasks, places, TickState::Done))
}

fn read(tasks: &str) -> TasksDoc {
    tasks::parse(tasks, &mut Report::new(DocumentKind::Tasks, Profile::Kiro))
}

fn compare(tasks: &str, expected: &str) -> Result<(), TickError> {
    let found = digest(tasks);
    if found == expected {
        return Ok(());
    }
    Err(TickError::Changed {
        expected: expected.to_owned(),
        found,
    })
}

fn find(doc: &TasksDoc, number: &str) -> Result<usize, TickError> {
    let mut found = doc
        .tasks
        .iter()
        .enumerate()
        .filter(|(_, task)| task.number.as_deref() == Some(number))
        .map(|(index, _)| index);
    if let Some(index) = found.next() {
        return if found.next().is_none() {
            Ok(index)
        } else {
            Err(TickError::Ambiguous(number.to_owned()))
        };
    }
    // A top-level task that was given a number because it has none.
    doc.groups
        .iter()
        .find(|group| group.number == number)
        .and_then(|group| group.head)
        .ok_or_else(|| TickError::NotFound(number.to_owned()))
}

fn with_marks(text: &str, places: impl IntoIterator<Item = usize>, state: TickState) -> String {
    let mut places: Vec<usize> = places.into_iter().collect();
    places.sort_unstable();
    let mut out = String::with_capacity(text.len());
    let mut from = 0;
    for at in places {
        out.push_str(&text[from..at]);
        out.push_str(state.mark());
        from = at + 1;
    }
    out.push_str(&text[from..]);
    out
}

/// SHA-256 of a text, in hex.
#[must_use]
pub fn digest(text: &str) -> String {
    use std::fmt::Write as _;
    Sha256::digest(text.as_bytes())
        .iter()
        .fold(String::with_capacity(64), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        })
}

/// The [`digest`] with every checkbox of a `tasks.md` as if it were open, so that ticking does not
/// change what was approved. The other documents have no checkboxes that count.
#[must_use]
pub fn masked_digest(kind: DocumentKind, text: &str) -> String {
    if kind != DocumentKind::Tasks {
        return digest(text);
    }
    let doc = read(text);
    digest(&with_marks(
        text,
        doc.tasks.iter().map(|task| task.state_at),
        TickState::Open,
    ))
}
