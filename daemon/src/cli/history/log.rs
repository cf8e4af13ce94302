//! `history log`: turns, newest first.

use jiff::Timestamp;
use spectask_protocol::{
    HistoryLog, HistoryLogParams, RecordedTurn, SessionRef, TurnStatus, method::HistoryLogOf,
};

use super::short;
use crate::cli::{
    context::Context,
    error::{CliError, Exit},
    sheet::{Sheet, Tone},
    table::{Cell, table_without},
    time,
};

pub(super) async fn log(
    ctx: &Context,
    target: Option<SessionRef>,
    all: bool,
    limit: u32,
) -> Result<Exit, CliError> {
    let daemon = ctx.daemon().await?;
    let params = HistoryLogParams {
        target,
        cwd: if all { None } else { Some(ctx.cwd()?) },
        limit: Some(limit),
    };
    let list = daemon.call(HistoryLogOf, params).await?;
    ctx.show(&list, |sheet| {
        write(sheet, &list, Timestamp::now(), ctx.width());
    })?;
    Ok(Exit::Good)
}

/// How a turn ended, in a word.
pub(super) fn state(turn: &RecordedTurn) -> (Tone, &'static str) {
    let tone = match turn.status {
        TurnStatus::Ended => Tone::Good,
        TurnStatus::Running => Tone::Busy,
        TurnStatus::Interrupted | TurnStatus::Cancelled => Tone::Warn,
        TurnStatus::Failed => Tone::Bad,
    };
    (tone, turn.status.as_str())
}

/// Commits as people know them.
pub(super) fn commits(turn: &RecordedTurn) -> String {
    let all: Vec<&str> = turn.commits.iter().map(|id| short(id)).collect();
    all.join(", ")
}

fn write(sheet: &mut Sheet, list: &HistoryLog, now: Timestamp, width: Option<usize>) {
    if list.turns.is_empty() {
        sheet.line(Tone::Plain, "No turns.");
        return;
    }
    let rows: Vec<Vec<Cell>> = list
        .turns
        .iter()
        .map(|turn| {
            let (tone, state) = state(turn);
            let took = time::elapsed(Some(&turn.started_at), turn.ended_at.as_deref(), now);
            vec![
                Cell::new(Tone::Faint, &time::ago(&turn.started_at, now)),
                Cell::name(&turn.name),
                Cell::plain(&turn.turn.to_string()),
                Cell::plain(&turn.purpose),
                Cell::new(tone, state),
                Cell::plain(&took),
                Cell::plain(&turn.requirements.join(", ")),
                Cell::plain(&commits(turn)),
                Cell::plain(&turn.title),
            ]
        })
        .collect();
    let heads = [
        "AGO", "SESSION", "TURN", "WHY", "ENDED", "TIME", "SERVES", "COMMITS", "TITLE",
    ];
    let spare = ["TITLE", "TIME", "WHY", "SERVES"];
    table_without(sheet, &heads, &rows, width, &spare);
}

#[cfg(test)]
pub(super) mod tests {
    use crate::cli::fixtures;

    use super::*;

    pub(in crate::cli::history) fn turn(number: u32, status: TurnStatus) -> RecordedTurn {
        RecordedTurn {
            session: fixtures::session_id(2),
            name: "7-user-auth/02-api".into(),
            title: "Write the API".into(),
            turn: number,
            purpose: "implement".into(),
            status,
            reason: None,
            tasks: vec!["2".into()],
            requirements: vec!["2.1".into(), "2.3".into()],
            commits: vec!["3f2a91c0d4".repeat(4)],
            started_at: "2026-03-04T09:50:00Z".into(),
            ended_at: Some("2026-03-04T09:54:05Z".into()),
        }
    }

    #[test]
    fn turns_are_a_table() {
        let mut sheet = Sheet::new(false);
        let none = HistoryLog { turns: vec![] };
        write(&mut sheet, &none, fixtures::now(), None);
        let mut failed = turn(1, TurnStatus::Failed);
        failed.title = "Write\u{1b}[2J it".into();
        failed.commits.clear();
        let list = HistoryLog {
            turns: vec![turn(2, TurnStatus::Ended), failed],
        };
        write(&mut sheet, &list, fixtures::now(), None);
        insta::assert_snapshot!(sheet.into_text(), @r"
        No turns.
        AGO  SESSION             TURN  WHY        ENDED   TIME   SERVES    COMMITS     TITLE
        10m  7-user-auth/02-api  2     implement  ended   4m05s  2.1, 2.3  3f2a91c0d4  Write the API
        10m  7-user-auth/02-api  1     implement  failed  4m05s  2.1, 2.3              Write␛[2J it
        ");
        let mut sheet = Sheet::new(false);
        write(&mut sheet, &list, fixtures::now(), Some(72));
        insta::assert_snapshot!(sheet.into_text(), @r"
        AGO  SESSION             TURN  WHY        ENDED   SERVES    COMMITS
        10m  7-user-auth/02-api  2     implement  ended   2.1, 2.3  3f2a91c0d4
        10m  7-user-auth/02-api  1     implement  failed  2.1, 2.3
        ");
    }
}
