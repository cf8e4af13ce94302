//! Commands about what was said and done before.

mod search;

pub(super) use search::search;
