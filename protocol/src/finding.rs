//! Findings of the validator: what is wrong in a document, where, and what to do about it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One of the three documents of a SpecTask (Kiro's names).
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum DocumentKind {
    /// `requirements.md`: user stories with EARS acceptance criteria.
    Requirements,
    /// `design.md`: how it will be built.
    Design,
    /// `tasks.md`: the implementation plan with its checkboxes.
    Tasks,
}

impl DocumentKind {
    /// All three, in the order in which they are written and read.
    pub const ALL: [Self; 3] = [Self::Requirements, Self::Design, Self::Tasks];

    /// The file name below `specs/{task}/`.
    #[must_use]
    pub const fn file_name(self) -> &'static str {
        match self {
            Self::Requirements => "requirements.md",
            Self::Design => "design.md",
            Self::Tasks => "tasks.md",
        }
    }

    /// The kind whose file name this is.
    #[must_use]
    pub fn from_file_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.file_name() == name)
    }
}

/// How bad a finding is.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// A person should look at it.
    Warning,
    /// Goes back to the agent; blocks approval unless a person accepts it.
    Error,
}

/// Where a finding points: a half-open byte range of the document's UTF-8 text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Span {
    /// First byte.
    pub start: usize,
    /// One past the last byte; equals `start` for an insertion point.
    pub end: usize,
    /// Line of `start`, counted from 1.
    pub line: usize,
    /// Column of `start` in characters, counted from 1.
    pub column: usize,
}

/// One fault that a rule found in a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// Stable id of the rule, for example `ears-missing-shall`.
    pub rule: String,
    /// How bad it is.
    pub severity: Severity,
    /// The document it is in.
    pub document: DocumentKind,
    /// Where in the document.
    pub span: Span,
    /// What is wrong, in one sentence.
    pub message: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}
