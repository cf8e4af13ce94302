//! A component host as Zed is one, for the extension as the registry builds it.
//!
//! [`host`] answers what the component imports: processes and HTTP requests are real, settings are the
//! test's. [`package`] builds it.
// Support code of tests fails by panicking, like the tests themselves.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

pub mod host;
mod http;
pub mod package;

pub use host::{Answer, Editor, Opened};
pub use http::post;
