//! Events as lines of text.

use jiff::tz::TimeZone;
use spectask_protocol::{Event, EventKind, SessionStatus, SpecTaskOverview, TurnStatus};

use super::super::{
    sheet::{Sheet, Tone},
    time, tree, wording,
};

/// Whether an event is worth a line beside the live tree.
pub(super) fn matters(event: &Event) -> bool {
    match &event.kind {
        EventKind::TaskStatus { .. }
        | EventKind::RevisionKept { .. }
        | EventKind::ReviewDecided { .. }
        | EventKind::SessionMerged { .. }
        | EventKind::PermissionAsked { .. }
        | EventKind::PermissionAnswered { .. }
        | EventKind::Incident { .. }
        | EventKind::SessionAttached { .. }
        | EventKind::MessageSent { .. }
        | EventKind::Reported { .. }
        | EventKind::DecisionRecorded { .. }
        | EventKind::Finished { .. } => true,
        EventKind::SessionStatus { to, .. } => {
            matches!(
                to,
                SessionStatus::Blocked | SessionStatus::Waiting | SessionStatus::Failed
            )
        }
        EventKind::TurnEnded { status, .. } => {
            !matches!(status, TurnStatus::Ended | TurnStatus::Running)
        }
        EventKind::Verified { passed, .. } => !passed,
        EventKind::TaskCreated { .. }
        | EventKind::TaskPaused { .. }
        | EventKind::DocumentsCommitted { .. }
        | EventKind::SessionCreated { .. }
        | EventKind::SessionStage { .. }
        | EventKind::ImplementationTaskStatus { .. }
        | EventKind::AgentStarted { .. }
        | EventKind::TurnStarted { .. }
        | EventKind::ThreadTitled { .. }
        | EventKind::MessageDelivered { .. }
        | EventKind::ThreadsSeen { .. }
        | EventKind::ZedExtension { .. }
        | EventKind::SessionCommitted { .. } => false,
    }
}

/// Writes an event as one line: time, session, what happened.
pub(super) fn line(sheet: &mut Sheet, event: &Event, overview: &SpecTaskOverview, zone: &TimeZone) {
    let session = event.session.as_ref().map(|id| {
        let session = overview.sessions.iter().find(|session| session.id == *id);
        session.map_or("?", tree::short)
    });
    sheet
        .put(Tone::Faint, &time::clock(&event.at, zone))
        .plain("  ");
    if let Some(session) = session {
        sheet.put(Tone::Name, session).plain("  ");
    }
    let (tone, text) = text(&event.kind);
    sheet.line(tone, &text);
}

fn text(kind: &EventKind) -> (Tone, String) {
    let because = |reason: &Option<String>| match reason {
        Some(reason) => format!(": {reason}"),
        None => String::new(),
    };
    match kind {
        EventKind::TaskCreated { name } => (Tone::Plain, format!("{name} created")),
        EventKind::TaskStatus { to, reason, .. } => {
            let (tone, text) = wording::task_status(*to);
            (tone, format!("{text}{}", because(reason)))
        }
        EventKind::TaskPaused { paused: true } => (Tone::Warn, "paused".to_owned()),
        EventKind::TaskPaused { paused: false } => (Tone::Plain, "goes on".to_owned()),
        EventKind::RevisionKept {
            revision,
            errors,
            warnings,
        } => (
            if *errors > 0 { Tone::Warn } else { Tone::Plain },
            format!(
                "revision {revision} kept: {}, {}",
                count(*errors, "error"),
                count(*warnings, "warning")
            ),
        ),
        EventKind::ReviewDecided { revision, decision } => (
            Tone::Strong,
            format!(
                "revision {revision}: {}",
                decision.as_str().replace('_', " ")
            ),
        ),
        EventKind::DocumentsCommitted { commit } => (
            Tone::Plain,
            format!("documents committed as {}", brief(commit)),
        ),
        EventKind::SessionCreated { .. } => (Tone::Plain, "session created".to_owned()),
        EventKind::SessionStatus {
            to,
            waiting,
            reason,
            ..
        } => {
            let tone = match to {
                SessionStatus::Completed => Tone::Good,
                SessionStatus::Blocked | SessionStatus::Waiting => Tone::Warn,
                SessionStatus::Failed => Tone::Bad,
                SessionStatus::Pending | SessionStatus::Active | SessionStatus::Cancelled => {
                    Tone::Plain
                }
            };
            let waits = waiting
                .map(|kind| format!(" ({})", wording::wait_kind(kind)))
                .unwrap_or_default();
            (tone, format!("{to}{waits}{}", because(reason)))
        }
        EventKind::SessionStage { stage } => (Tone::Plain, wording::stage(*stage).to_owned()),
        EventKind::ImplementationTaskStatus { number, to } => (
            Tone::Plain,
            format!("task {number}: {}", to.as_str().replace('_', " ")),
        ),
        EventKind::AgentStarted { agent, pid } => (
            Tone::Plain,
            format!("agent {agent} started (process {pid})"),
        ),
        EventKind::ThreadsSeen {
            channel,
            added,
            changed,
            deleted,
        } => (
            Tone::Plain,
            format!("threads of Zed {channel}: {added} new, {changed} changed, {deleted} deleted"),
        ),
        EventKind::ZedExtension { event, name } => (
            Tone::Plain,
            format!(
                "Zed: {} {}",
                event.as_str(),
                name.as_deref().unwrap_or_default()
            ),
        ),
        EventKind::TurnStarted { turn } => (Tone::Plain, format!("turn {turn} started")),
        EventKind::TurnEnded {
            turn,
            status,
            reason,
        } => {
            let tone = match status {
                TurnStatus::Running | TurnStatus::Ended => Tone::Plain,
                TurnStatus::Interrupted | TurnStatus::Cancelled => Tone::Warn,
                TurnStatus::Failed => Tone::Bad,
            };
            let reason = reason
                .as_ref()
                .filter(|_| *status != TurnStatus::Ended)
                .cloned();
            (tone, format!("turn {turn} {status}{}", because(&reason)))
        }
        EventKind::SessionCommitted { commit } => {
            (Tone::Plain, format!("work committed as {}", brief(commit)))
        }
        EventKind::Verified {
            passed: true,
            attempt,
        } => (Tone::Good, format!("verify passed (attempt {attempt})")),
        EventKind::Verified {
            passed: false,
            attempt,
        } => (Tone::Warn, format!("verify failed (attempt {attempt})")),
        EventKind::SessionMerged { commit } => (Tone::Good, format!("merged as {}", brief(commit))),
        EventKind::PermissionAsked { permission, title } => (
            Tone::Warn,
            format!("asks: {title}  (spectask permissions answer {permission} allow)"),
        ),
        EventKind::PermissionAnswered { answer, .. } => {
            (Tone::Plain, format!("permission: {answer}"))
        }
        EventKind::Incident { incident, text } => {
            (Tone::Bad, format!("incident {incident}: {text}"))
        }
        EventKind::SessionAttached { name } => (Tone::Plain, format!("is now {name}")),
        EventKind::ThreadTitled { title } => (Tone::Plain, format!("titled: {title}")),
        EventKind::MessageSent { message_kind, .. } => {
            (Tone::Plain, format!("is told: {message_kind}"))
        }
        EventKind::MessageDelivered { .. } => (Tone::Faint, "got a message".to_owned()),
        EventKind::Reported { text } => (Tone::Plain, format!("says: {text}")),
        EventKind::DecisionRecorded { text, source } => {
            (Tone::Plain, format!("decision ({source}): {text}"))
        }
        EventKind::Finished { how } => (Tone::Good, format!("finished: {}", how.replace('_', " "))),
    }
}

fn brief(commit: &str) -> String {
    commit.chars().take(10).collect()
}

/// `1 error`, `2 errors`.
pub(in crate::cli) fn count(number: u32, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use spectask_protocol::{SpecTaskStatus, WaitKind};

    use super::{super::super::fixtures, *};

    #[test]
    fn events_are_one_line_each() {
        let overview = fixtures::overview(
            SpecTaskStatus::Implementation,
            vec![fixtures::session(2, "backend-api", SessionStatus::Active)],
        );
        let kinds = [
            (
                false,
                EventKind::TaskCreated {
                    name: "7-user-auth".into(),
                },
            ),
            (
                false,
                EventKind::RevisionKept {
                    revision: 1,
                    errors: 0,
                    warnings: 2,
                },
            ),
            (
                false,
                EventKind::TaskStatus {
                    from: SpecTaskStatus::SpecGeneration,
                    to: SpecTaskStatus::SpecFailed,
                    reason: Some("no documents\nat all\u{1b}[2J".into()),
                },
            ),
            (
                true,
                EventKind::AgentStarted {
                    agent: "claude".into(),
                    pid: 7,
                },
            ),
            (
                true,
                EventKind::TurnEnded {
                    turn: 1,
                    status: TurnStatus::Ended,
                    reason: Some("end_turn".into()),
                },
            ),
            (
                true,
                EventKind::SessionStatus {
                    from: SessionStatus::Active,
                    to: SessionStatus::Blocked,
                    waiting: Some(WaitKind::Conflict),
                    reason: Some("src/a.rs".into()),
                },
            ),
            (
                true,
                EventKind::Verified {
                    passed: false,
                    attempt: 2,
                },
            ),
            (
                true,
                EventKind::SessionMerged {
                    commit: "0123456789abcdef".into(),
                },
            ),
        ];
        let mut sheet = Sheet::new(false);
        for (index, (session, kind)) in kinds.into_iter().enumerate() {
            let event = Event {
                seq: 1,
                at: format!("2026-03-04T10:00:{index:02}Z"),
                task: None,
                session: session.then(|| fixtures::session_id(2)),
                kind,
            };
            line(&mut sheet, &event, &overview, &TimeZone::UTC);
        }
        insta::assert_snapshot!(sheet.into_text(), @r"
        10:00:00  7-user-auth created
        10:00:01  revision 1 kept: 0 errors, 2 warnings
        10:00:02  planning failed: no documents at all␛[2J
        10:00:03  02-backend-api  agent claude started (process 7)
        10:00:04  02-backend-api  turn 1 ended
        10:00:05  02-backend-api  blocked (merge conflict): src/a.rs
        10:00:06  02-backend-api  verify failed (attempt 2)
        10:00:07  02-backend-api  merged as 0123456789
        ");
    }
}
