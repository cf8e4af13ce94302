//! The first title of a session, which stays what it is although the row's may change.

use crate::store::SessionRow;

/// Of a planned or spawned session its own; of a thread, whose row has the newest, the words of its
/// name.
pub(super) fn first_title(row: &SessionRow, name: &str) -> String {
    if !row.is_ad_hoc() {
        return row.title.clone();
    }
    let word = name.rsplit('/').next().unwrap_or_default();
    let words = word.trim_start_matches(|letter: char| letter.is_ascii_digit());
    words.trim_start_matches('-').replace('-', " ")
}
