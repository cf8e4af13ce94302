//! What the SpecTask daemon and everything that talks to it share: ids, wire types, the method
//! table, errors and the typed client. Compiles for `wasm32-wasip2`.

mod finding;

pub use finding::{DocumentKind, Finding, Severity, Span};
