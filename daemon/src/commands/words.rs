//! States in words, and shell commands as slash commands.

use spectask_protocol::{
    SessionMethod, SessionStage, SessionStatus, SpecTaskId, SpecTaskStatus, SpecTaskView, WaitKind,
    Waiting, WorkSessionView,
};

use super::markdown::{code, one_line, prose, short};

/// A SpecTask's state.
pub(super) const fn task_state(task: &SpecTaskView) -> &'static str {
    use SpecTaskStatus as S;
    if task.paused && !task.status.is_final() {
        return "stopped";
    }
    match task.status {
        S::Backlog => "backlog",
        S::QueuedSpecGeneration => "planning queued",
        S::SpecGeneration => "planning",
        S::SpecReview => "in review",
        S::SpecRevision => "revising",
        S::SpecApproved => "approved",
        S::QueuedImplementation => "work queued",
        S::Implementation => "at work",
        S::ImplementationReview => "ready to finish",
        S::PullRequest => "pull request",
        S::Done => "done",
        S::SpecFailed => "planning failed",
        S::ImplementationFailed => "work failed",
        S::Cancelled => "cancelled",
    }
}

/// A session's state in a word or two.
pub(super) const fn session_state(session: &WorkSessionView) -> &'static str {
    if let Some(waiting) = &session.waiting
        && !session.status.is_final()
    {
        return wait_kind(waiting.kind);
    }
    match session.status {
        SessionStatus::Pending => "pending",
        SessionStatus::Active => match session.method {
            SessionMethod::AdHoc => "open",
            SessionMethod::Seen => "seen, not recorded",
            SessionMethod::Planned | SessionMethod::Spawned => match session.stage {
                SessionStage::Prepare => "preparing",
                SessionStage::Turn => "agent at work",
                SessionStage::Verify => "verifying",
                SessionStage::Merge => "merging",
            },
        },
        SessionStatus::Blocked => "blocked",
        SessionStatus::Waiting => "waiting",
        SessionStatus::Completed => match session.verified {
            None if session.merged.is_some() => "merged, unverified",
            _ if session.merged.is_some() => "merged",
            _ => "completed",
        },
        SessionStatus::Failed => "failed",
        SessionStatus::Cancelled => "cancelled",
    }
}

/// What a session waits for.
pub(super) const fn wait_kind(kind: WaitKind) -> &'static str {
    match kind {
        WaitKind::Environment => "needs a variable",
        WaitKind::NeedsAuth => "needs a login",
        WaitKind::AgentMissing => "agent missing",
        WaitKind::Trust => "needs trust",
        WaitKind::BranchCheckedOut => "branch in use",
        WaitKind::EmptyResult => "changed nothing",
        WaitKind::Conflict => "merge conflict",
        WaitKind::Verify => "verify failed",
        WaitKind::Permission => "asks you",
        WaitKind::Stopped => "stopped",
        WaitKind::Agent => "agent failed",
        WaitKind::TimeLimit => "time limit",
        WaitKind::Repository => "git refused",
    }
}

/// `3 tasks`, `1 task`.
pub(super) fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// How a session is named in a command: `7-user-auth/02-api` is `7/2`.
pub(super) fn brief(name: &str) -> String {
    let number = |part: &str| {
        let digits = part.split('-').next().unwrap_or_default();
        digits.parse::<u32>().ok().map(|number| number.to_string())
    };
    if name.parse::<SpecTaskId>().is_ok() {
        return name.to_owned();
    }
    match name.split_once('/') {
        Some((owner, session)) => match number(session) {
            Some(session) => {
                let owner = number(owner).unwrap_or_else(|| owner.to_owned());
                format!("{owner}/{session}")
            }
            None => name.to_owned(),
        },
        None => number(name).unwrap_or_else(|| name.to_owned()),
    }
}

/// The slash command that does what a command of the shell does, if there is one.
pub(super) fn slash(command: &str) -> Option<String> {
    let words = command.strip_prefix("spectask ")?;
    let (verb, rest) = words.split_once(' ').unwrap_or((words, ""));
    let name = match verb {
        "new" => "spec",
        "list" | "show" | "watch" => "spec-status",
        "review" => "spec-review",
        "approve" => "spec-approve",
        "request-changes" => "spec-changes",
        "start" | "resume" | "retry" => "spec-start",
        "pause" | "stop" => "spec-stop",
        "spawn" => "spec-spawn",
        "sessions" if rest.is_empty() => "spec-sessions",
        _ => return None,
    };
    let mut line = format!("/{name}");
    for word in rest.split_whitespace() {
        let begins_with_digit = word.starts_with(|char: char| char.is_ascii_digit());
        line.push(' ');
        line.push_str(&if begins_with_digit {
            brief(word)
        } else {
            word.to_owned()
        });
    }
    if name == "spec-changes" {
        line.push_str(" TEXT");
    }
    Some(line)
}

/// A daemon's sentence with slash commands where it names those of the shell.
pub(super) fn sentence(text: &str) -> String {
    prose(text, slash)
}

/// A text of the daemon for a person in a thread, outside of its markdown: slash commands where it names
/// those of the shell.
#[must_use]
pub fn in_thread(text: &str) -> String {
    let mut pieces = text.split('`').peekable();
    let mut out = pieces.next().unwrap_or_default().to_owned();
    let mut inside = true;
    while let Some(piece) = pieces.next() {
        // The last of an odd number of marks opens nothing.
        let command = slash(piece).filter(|_| inside && pieces.peek().is_some());
        out.push('`');
        out.push_str(command.as_deref().unwrap_or(piece));
        inside = !inside;
    }
    out
}

/// What the person can do now: slash commands, then what needs a terminal.
pub(super) fn next(commands: &[String]) -> String {
    let mut here: Vec<String> = Vec::new();
    let mut terminal: Vec<String> = Vec::new();
    for command in commands {
        let (list, line) = match slash(command) {
            Some(line) => (&mut here, line),
            None => (&mut terminal, command.clone()),
        };
        let line = code(&line);
        if !list.contains(&line) {
            list.push(line);
        }
    }
    let mut out = String::new();
    if !here.is_empty() {
        out.push_str(&format!("Next: {}\n", here.join(", ")));
    }
    if !terminal.is_empty() {
        let space = if out.is_empty() { "" } else { "\n" };
        out.push_str(&format!("{space}In a terminal: {}\n", terminal.join(", ")));
    }
    out
}

/// What a session waits for, as an entry of a list.
pub(super) fn waiting(session: &WorkSessionView, waiting: &Waiting) -> String {
    let mut out = format!(
        "- {} {}: {}",
        code(&brief(&session.name)),
        wait_kind(waiting.kind),
        sentence(&short(&waiting.text, 300))
    );
    if let Some(hint) = &waiting.hint {
        out.push_str(&format!(" ({})", sentence(&one_line(hint))));
    }
    out.push('\n');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_in_commands() {
        for (name, expected) in [
            ("7-user-auth", "7"),
            ("7", "7"),
            ("7-user-auth/02-api", "7/2"),
            ("threads/12-fix-it", "threads/12"),
            (
                "01890123-ac96-774b-bcce-b302099a8057",
                "01890123-ac96-774b-bcce-b302099a8057",
            ),
        ] {
            assert_eq!(brief(name), expected);
        }
    }

    #[test]
    fn shell_commands_become_slash_commands() {
        for (command, expected) in [
            ("spectask review 7-user-auth", Some("/spec-review 7")),
            (
                "spectask approve 7-user-auth --accept-findings",
                Some("/spec-approve 7 --accept-findings"),
            ),
            ("spectask request-changes 7-a", Some("/spec-changes 7 TEXT")),
            ("spectask retry 7-a/02-b", Some("/spec-start 7/2")),
            ("spectask watch", Some("/spec-status")),
            ("spectask finish 7-a", None),
            ("spectask sessions show 7/2", None),
            ("git status", None),
            ("spectaskreview", None),
        ] {
            assert_eq!(slash(command).as_deref(), expected, "{command}");
        }
    }

    #[test]
    fn texts_outside_of_markdown_stay_as_they_are_but_for_commands() {
        for (text, expected) in [
            ("", ""),
            ("a * b", "a * b"),
            (
                "`spectask retry 7-a/02-b` goes on",
                "`/spec-start 7/2` goes on",
            ),
            ("see `x` and `spectask list`", "see `x` and `/spec-status`"),
            ("`x` spectask list `y`", "`x` spectask list `y`"),
            ("`spectask agents`", "`spectask agents`"),
            ("odd `spectask list", "odd `spectask list"),
        ] {
            assert_eq!(in_thread(text), expected, "{text}");
        }
    }

    #[test]
    fn what_has_no_slash_command_needs_a_terminal() {
        let commands = [
            "spectask retry 7-a/02-b",
            "spectask start 7-a/02-b",
            "spectask finish 7-a",
        ]
        .map(str::to_owned);
        insta::assert_snapshot!(next(&commands), @r"
        Next: `/spec-start 7/2`

        In a terminal: `spectask finish 7-a`
        ");
        assert_eq!(next(&[]), "");
    }
}
