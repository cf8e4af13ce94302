//! `history trace`: what became of a requirement.

use spectask_protocol::{
    ImplementationTaskStatus, TaskRef, TraceParams, TraceView, TracedCriterion, TracedWork,
    method::HistoryTrace,
};

use super::{log, short};
use crate::cli::{
    choose,
    context::Context,
    error::{CliError, Exit},
    sheet::{Sheet, Tone},
};

pub(super) async fn trace(
    ctx: &Context,
    requirement: Option<String>,
    task: Option<TaskRef>,
    check: bool,
) -> Result<Exit, CliError> {
    let (task, requirement) = wanted(task, requirement)?;
    let daemon = ctx.daemon().await?;
    let task = choose::task(ctx, &daemon, task, &choose::TRACEABLE).await?;
    let view = daemon
        .call(HistoryTrace, TraceParams { task, requirement })
        .await?;
    ctx.show(&view, |sheet| write(sheet, &view))?;
    let missing = view.criteria.iter().any(|one| !one.gaps.is_empty());
    Ok(if check && missing {
        Exit::Failed
    } else {
        Exit::Good
    })
}

/// The SpecTask and the number that `7`, `7#2.3`, `#2` or `2.3` name.
fn wanted(
    task: Option<TaskRef>,
    named: Option<String>,
) -> Result<(Option<TaskRef>, Option<String>), CliError> {
    let (None, Some(name)) = (&task, &named) else {
        return Ok((task, named));
    };
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let (task, number) = match name.split_once('#') {
        Some((task, number)) => (task, Some(number)),
        None if name.contains('.') && name.split('.').all(is_number) => ("", Some(name.as_str())),
        None => (name.as_str(), None),
    };
    let task = if task.is_empty() {
        None
    } else {
        let task = task.parse();
        Some(task.map_err(|error| CliError::usage(format!("{error}")))?)
    };
    Ok((task, number.map(str::to_owned)))
}

fn write(sheet: &mut Sheet, view: &TraceView) {
    sheet
        .put(Tone::Name, &view.task)
        .line(Tone::Faint, &format!("  revision {}", view.revision));
    for criterion in &view.criteria {
        write_criterion(sheet, criterion);
    }
    let all = view.criteria.len();
    let open = view.criteria.iter().filter(|one| !one.gaps.is_empty());
    let open = open.count();
    let tone = if open == 0 { Tone::Good } else { Tone::Warn };
    let text = format!("{} of {all} criteria are covered.", all - open);
    sheet.line(tone, &text);
}

fn write_criterion(sheet: &mut Sheet, criterion: &TracedCriterion) {
    sheet
        .put(Tone::Strong, &criterion.number)
        .plain("  ")
        .line(Tone::Plain, &criterion.text);
    for work in &criterion.work {
        write_work(sheet, work);
    }
    for gap in &criterion.gaps {
        sheet
            .plain("  ")
            .put(Tone::Warn, "missing")
            .line(Tone::Plain, &format!("  {gap}"));
    }
}

fn write_work(sheet: &mut Sheet, work: &TracedWork) {
    let tone = match work.status {
        ImplementationTaskStatus::Completed => Tone::Good,
        _ => Tone::Busy,
    };
    sheet
        .plain("  task ")
        .plain(&format!("{}. {}  ", work.number, work.title))
        .put(tone, work.status.as_str());
    match work.verified {
        Some(true) => sheet.plain(", ").put(Tone::Good, "verified"),
        Some(false) => sheet.plain(", ").put(Tone::Bad, "verify failed"),
        None => sheet,
    };
    if let Some(merged) = &work.merged {
        sheet.put(Tone::Faint, &format!(", merged in {}", short(merged)));
    }
    sheet.end();
    for turn in &work.turns {
        let (tone, state) = log::state(turn);
        sheet
            .plain("    ")
            .put(Tone::Name, &turn.name)
            .plain(&format!(" turn {}  {}  ", turn.turn, turn.purpose))
            .put(tone, state);
        let commits = log::commits(turn);
        if !commits.is_empty() {
            sheet.put(Tone::Faint, &format!("  {commits}"));
        }
        sheet.end();
    }
}

#[cfg(test)]
mod tests {
    use spectask_protocol::{SessionStatus, TurnStatus};

    use super::*;

    #[test]
    fn a_trace_shows_what_is_there_and_what_is_missing() {
        let work = |status, verified| TracedWork {
            number: "2".into(),
            title: "Write the API".into(),
            status,
            optional: false,
            session: Some("7-user-auth/02-api".into()),
            session_status: Some(SessionStatus::Completed),
            verified,
            merged: verified.map(|_| "a1".repeat(20)),
            turns: vec![log::tests::turn(1, TurnStatus::Ended)],
        };
        let criterion = |number: &str, work, gaps: &[&str]| TracedCriterion {
            number: number.into(),
            text: "WHEN a token is an hour old THE SYSTEM SHALL refuse it".into(),
            work,
            gaps: gaps.iter().map(|gap| (*gap).to_owned()).collect(),
        };
        let view = TraceView {
            task: "7-user-auth".into(),
            revision: 3,
            criteria: vec![
                criterion(
                    "2.1",
                    vec![work(ImplementationTaskStatus::Completed, Some(true))],
                    &[],
                ),
                criterion(
                    "2.2",
                    vec![work(ImplementationTaskStatus::Pending, None)],
                    &["task 2 is pending"],
                ),
                criterion("2.3", vec![], &["no task serves it"]),
            ],
        };
        let mut sheet = Sheet::new(false);
        write(&mut sheet, &view);
        insta::assert_snapshot!(sheet.into_text(), @r"
        7-user-auth  revision 3
        2.1  WHEN a token is an hour old THE SYSTEM SHALL refuse it
          task 2. Write the API  completed, verified, merged in a1a1a1a1a1
            7-user-auth/02-api turn 1  implement  ended  3f2a91c0d4
        2.2  WHEN a token is an hour old THE SYSTEM SHALL refuse it
          task 2. Write the API  pending
            7-user-auth/02-api turn 1  implement  ended  3f2a91c0d4
          missing  task 2 is pending
        2.3  WHEN a token is an hour old THE SYSTEM SHALL refuse it
          missing  no task serves it
        1 of 3 criteria are covered.
        ");
    }
}
