//! What a person reads when a command could not do what it says.

use spectask_protocol::{Failure, FailureKind};

use super::words::sentence;

/// Markdown: what happened and why, and what to do next.
#[must_use]
pub fn failure_text(failure: &Failure) -> String {
    let (title, otherwise) = match failure.kind {
        FailureKind::InvalidParams => ("Not understood", "`/spec-help` explains the commands"),
        FailureKind::NotFound => ("Not found", "`/spec-status` shows what there is"),
        FailureKind::InvalidState => ("Not now", "`/spec-status` shows how things are"),
        FailureKind::Forbidden => ("Not allowed", "a person decides, in a thread or a terminal"),
        FailureKind::Conflict => ("It changed meanwhile", "look again with `/spec-status`"),
        FailureKind::VersionMismatch => {
            ("Versions differ", "`spectask daemon restart` in a terminal")
        }
        FailureKind::MethodNotFound | FailureKind::Unavailable => (
            "Not available",
            "try again; `spectask doctor` in a terminal says what is missing",
        ),
        FailureKind::Internal => (
            "Something went wrong",
            "`spectask doctor` in a terminal, and the daemon's log, say more",
        ),
    };
    let message = sentence(failure.message.trim());
    let hint = sentence(failure.hint.as_deref().unwrap_or(otherwise).trim());
    format!("**{title}:** {message}\n\nWhat to do: {hint}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_says_what_to_do() {
        let failure = Failure::new(
            FailureKind::InvalidState,
            "cannot approve 7-a_b: <b>design.md</b>:3: no `## Overview`",
        )
        .hint("`spectask approve 7-a_b --accept-findings` accepts them");
        insta::assert_snapshot!(failure_text(&failure), @r"
        **Not now:** cannot approve 7-a\_b: \<b\>design.md\</b\>:3: no `## Overview`

        What to do: `/spec-approve 7 --accept-findings` accepts them
        ");
        for kind in FailureKind::ALL {
            let text = failure_text(&Failure::new(kind, "x"));
            assert!(text.contains(":** x\n\nWhat to do: "), "{text}");
        }
    }
}
