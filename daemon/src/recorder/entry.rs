//! What is to be written with the next commit of a ref.

use super::{
    format::{Cursor, Document},
    text::Part,
};

/// What gathers until the next commit.
#[derive(Debug, Default)]
pub(super) struct Pending {
    /// Entries of documents, in order.
    pub(super) entries: Vec<(Document, Vec<Part>)>,
    /// Files that are written as they are, in order.
    pub(super) files: Vec<(String, Vec<u8>)>,
}

impl Pending {
    pub(super) fn entry(&mut self, document: Document, parts: Vec<Part>) {
        self.entries.push((document, parts));
    }

    /// One line of a list.
    pub(super) fn line(&mut self, document: Document, text: String) {
        self.entry(document, vec![Part::Line(format!("- {text}"))]);
    }
}

/// A commit that is due.
#[derive(Debug)]
pub(super) struct Due {
    /// The first line of its message; no foreign text.
    pub(super) subject: String,
    /// Milliseconds since the Unix epoch.
    pub(super) at: i64,
    pub(super) turn: Option<u32>,
    pub(super) cursor: Cursor,
    pub(super) pending: Pending,
}

/// A time of an event or frame without fractions of a second.
pub(super) fn seconds(at: &str) -> String {
    match at.split_once('.') {
        Some((whole, _)) => format!("{whole}Z"),
        None => at.to_owned(),
    }
}

pub(super) fn millis(at: &str) -> i64 {
    at.parse::<jiff::Timestamp>()
        .map_or(0, jiff::Timestamp::as_millisecond)
}
