//! What sessions are called.

use crate::store::{LOOSE, SessionRow, TaskRow};

/// The session's name: `7-user-auth/02-api`, or `threads/12-fix-login` without a SpecTask.
#[must_use]
pub fn session_name<'a>(task: impl Into<Option<&'a TaskRow>>, session: &SessionRow) -> String {
    let of = task.into().map_or_else(|| LOOSE.to_owned(), TaskRow::name);
    format!("{of}/{:02}-{}", session.number, session.slug)
}
