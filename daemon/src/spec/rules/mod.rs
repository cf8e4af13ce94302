//! The rules of one document: its shape.

mod design;
mod requirements;
mod tasks;

use std::ops::Range;

pub(super) use self::design::design;
pub(super) use self::requirements::requirements;
pub(super) use self::tasks::tasks;
use super::report::Report;

pub(super) fn open_fence(at: usize, report: &mut Report) {
    report.warning(
        "open-fence",
        at..at + 3,
        "This code block is never closed, so everything after it is code.",
        "Close it with the same marks on a line of their own.",
    );
}

/// The first line of a range, for findings about a whole item.
pub(super) fn first_line(text: &str, range: &Range<usize>) -> Range<usize> {
    let line = text[range.clone()].lines().next().unwrap_or_default();
    range.start..range.start + line.trim_end().len()
}
