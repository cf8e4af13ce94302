//! How a command ends: exit codes and the errors that people and programs see.

use std::process::ExitCode;

use serde_json::json;
use spectask_protocol::{Failure, FailureKind};

use super::sheet::{Sheet, Tone};

/// The exit codes, as `spectask --help` tells them.
pub(super) const EXIT_CODES: &str = "Exit codes:
  0  good: done, in review, or finished
  1  the work failed, or lint or doctor found errors
  2  wrong usage or unusable input
  3  not found
  4  does not fit the state
  5  forbidden, such as an agent that tries to approve
  6  the daemon cannot be reached or has another version
  7  waits for a person; the output says which command helps";

/// How a command that did not fail ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exit {
    /// As wished.
    Good,
    /// The work failed, or there are findings.
    Failed,
    /// A person has to do something first.
    WaitsForPerson,
    /// Interrupted from the keyboard.
    Interrupted,
}

impl Exit {
    /// The number for the shell.
    pub(super) const fn code(self) -> u8 {
        match self {
            Self::Good => 0,
            Self::Failed => 1,
            Self::WaitsForPerson => 7,
            Self::Interrupted => 130,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// Why a command failed.
#[derive(Debug)]
pub(super) enum CliError {
    /// To be shown.
    Failure(Failure),
    /// Whoever reads the output has gone (`spectask list | head`): nothing more to say.
    OutputClosed,
}

impl CliError {
    /// A failure of that kind.
    pub(super) fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self::Failure(Failure::new(kind, message))
    }

    /// Wrong usage.
    pub(super) fn usage(message: impl Into<String>) -> Self {
        Self::new(FailureKind::InvalidParams, message)
    }

    /// A fault of the machine.
    pub(super) fn internal(message: impl Into<String>) -> Self {
        Self::new(FailureKind::Internal, message)
    }

    /// The same with what to do next.
    pub(super) fn hint(self, hint: impl Into<String>) -> Self {
        match self {
            Self::Failure(failure) => Self::Failure(failure.hint(hint)),
            Self::OutputClosed => Self::OutputClosed,
        }
    }

    /// The kind, when there is something to show.
    pub(super) fn kind(&self) -> Option<FailureKind> {
        match self {
            Self::Failure(failure) => Some(failure.kind),
            Self::OutputClosed => None,
        }
    }

    /// Whether its message has these words.
    pub(super) fn says(&self, words: &str) -> bool {
        matches!(self, Self::Failure(failure) if failure.message.contains(words))
    }

    /// The number for the shell.
    pub(super) fn code(&self) -> u8 {
        match self.kind() {
            None => 0,
            Some(FailureKind::Internal) => 1,
            Some(FailureKind::InvalidParams) => 2,
            Some(FailureKind::NotFound) => 3,
            Some(FailureKind::InvalidState | FailureKind::Conflict) => 4,
            Some(FailureKind::Forbidden) => 5,
            Some(
                FailureKind::VersionMismatch
                | FailureKind::Unavailable
                | FailureKind::MethodNotFound,
            ) => 6,
        }
    }

    /// What a person reads.
    pub(super) fn render(&self, color: bool) -> String {
        let Self::Failure(failure) = self else {
            return String::new();
        };
        let mut sheet = Sheet::new(color);
        sheet
            .put(Tone::Bad, "error:")
            .block(&format!(" {}\n", failure.message));
        if let Some(hint) = &failure.hint {
            sheet.put(Tone::Name, "hint:").block(&format!(" {hint}\n"));
        }
        sheet.into_text()
    }

    /// What a program reads.
    pub(super) fn json(&self) -> Option<serde_json::Value> {
        match self {
            Self::Failure(failure) => Some(json!({ "error": failure })),
            Self::OutputClosed => None,
        }
    }
}

impl From<Failure> for CliError {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

/// Turns an error of the system into a failure: what was done, on what, and why it failed.
pub(super) fn io(
    operation: &str,
    subject: impl std::fmt::Display,
) -> impl FnOnce(std::io::Error) -> CliError {
    let what = format!("cannot {operation} {subject}");
    move |error| CliError::internal(format!("{what}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_the_exit_code_that_help_tells() {
        let codes: Vec<u8> = FailureKind::ALL
            .into_iter()
            .map(|kind| CliError::new(kind, "x").code())
            .collect();
        assert_eq!(codes, [2, 6, 3, 4, 5, 4, 6, 6, 1]);
        assert_eq!(CliError::OutputClosed.code(), 0);
        for exit in [Exit::Good, Exit::Failed, Exit::WaitsForPerson] {
            assert!(
                EXIT_CODES.contains(&format!("\n  {}  ", exit.code())),
                "{exit:?}"
            );
        }
    }

    #[test]
    fn an_error_says_what_to_do_next() {
        let error = CliError::new(
            FailureKind::NotFound,
            "there is no SpecTask \u{1b}]0;x\u{7}9",
        )
        .hint("see `spectask list`");
        insta::assert_snapshot!(error.render(false), @r"
        error: there is no SpecTask ␛]0;x␇9
        hint: see `spectask list`
        ");
        assert_eq!(
            error.json().unwrap()["error"]["kind"],
            serde_json::Value::String("not_found".into())
        );
    }
}
