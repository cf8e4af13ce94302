//! `spectask sessions`: list, show, transcript.

use jiff::{Timestamp, tz::TimeZone};
use spectask_protocol::{
    SessionListParams, SessionParams, SessionRef, TaskRef, TranscriptParams, WorkSessionView,
    method::{WorkSessionGet, WorkSessionListAll, WorkSessionTranscript},
};

use super::{
    args::{SessionsArgs, SessionsCommand},
    context::Context,
    error::{CliError, Exit},
    pager,
    sheet::{Sheet, Tone},
    table::{Cell, table},
    time,
    transcript::Reader,
    wording,
};

/// How many entries are fetched at a time.
const PAGE: u32 = 500;

pub(super) async fn run(ctx: &Context, args: SessionsArgs) -> Result<Exit, CliError> {
    match args.command {
        None => list(ctx, args.task, args.all).await,
        Some(SessionsCommand::List { task, all }) => list(ctx, task, all).await,
        Some(SessionsCommand::Show(args)) => show(ctx, args.session).await,
        Some(SessionsCommand::Log {
            session,
            from,
            no_pager,
        }) => log(ctx, session, from, no_pager).await,
    }
}

async fn list(ctx: &Context, task: Option<TaskRef>, all: bool) -> Result<Exit, CliError> {
    let cwd = if all || task.is_some() {
        None
    } else {
        Some(ctx.cwd()?)
    };
    let daemon = ctx.daemon().await?;
    let list = daemon
        .call(
            WorkSessionListAll,
            SessionListParams {
                task,
                cwd,
                seen: true,
            },
        )
        .await?;
    ctx.show(&list, |sheet| {
        if list.sessions.is_empty() {
            sheet.line(Tone::Plain, "No sessions.");
            return;
        }
        let now = Timestamp::now();
        let rows: Vec<Vec<Cell>> = list
            .sessions
            .iter()
            .map(|session| {
                let (tone, state) = wording::session_state(session);
                let (from, to) = (session.started_at.as_deref(), session.ended_at.as_deref());
                vec![
                    Cell::name(&session.name),
                    Cell::new(tone, state),
                    Cell::plain(session.agent.as_str()),
                    Cell::plain(&session.turns.len().to_string()),
                    Cell::plain(&time::elapsed(from, to, now)),
                    Cell::plain(&session.title),
                ]
            })
            .collect();
        let heads = ["NAME", "STATE", "AGENT", "TURNS", "TIME", "TITLE"];
        table(sheet, &heads, &rows, ctx.width());
    })?;
    Ok(Exit::Good)
}

async fn show(ctx: &Context, session: SessionRef) -> Result<Exit, CliError> {
    let daemon = ctx.daemon().await?;
    let session = daemon
        .call(WorkSessionGet, SessionParams { session })
        .await?;
    ctx.show(&session, |sheet| render(sheet, &session, Timestamp::now()))?;
    Ok(Exit::Good)
}

fn render(sheet: &mut Sheet, session: &WorkSessionView, now: Timestamp) {
    let (tone, state) = wording::session_state(session);
    sheet
        .put(Tone::Name, &session.name)
        .plain("  ")
        .line(Tone::Strong, &session.title);
    let elapsed = time::elapsed(
        session.started_at.as_deref(),
        session.ended_at.as_deref(),
        now,
    );
    field(sheet, "state")
        .put(tone, state)
        .line(Tone::Faint, &format!("  {elapsed}"));
    field(sheet, "agent").line(
        Tone::Plain,
        &format!("{}, {}, {}", session.agent, session.phase, session.method),
    );
    let texts = [
        ("step", &session.step),
        ("branch", &session.branch),
        ("worktree", &session.worktree),
        ("base", &session.base),
        ("head", &session.head),
        ("merged", &session.merged),
        ("thread", &session.acp_session),
    ];
    for (name, text) in texts {
        if let Some(text) = text {
            field(sheet, name).line(Tone::Plain, text);
        }
    }
    match session.verified {
        Some(true) => field(sheet, "verify").line(Tone::Good, "passed"),
        Some(false) => field(sheet, "verify").line(Tone::Bad, "failed"),
        None if session.merged.is_some() => {
            field(sheet, "verify").line(Tone::Warn, "unverified: there is no verify command")
        }
        None => sheet,
    };
    for turn in &session.turns {
        let reason = turn
            .reason
            .as_ref()
            .map(|reason| format!(" ({reason})"))
            .unwrap_or_default();
        field(sheet, &format!("turn {}", turn.number)).line(
            Tone::Plain,
            &format!("{}: {}{reason}", turn.purpose, turn.status),
        );
    }
    if let Some(waiting) = &session.waiting {
        sheet.end().line(Tone::Strong, "Waiting");
        sheet
            .put(Tone::Warn, wording::wait_kind(waiting.kind))
            .plain(": ");
        sheet.block(&waiting.text).end();
        if let Some(hint) = &waiting.hint {
            sheet.line(Tone::Name, hint);
        }
    }
    if let (Some(false), Some(output)) = (session.verified, &session.verify_output) {
        sheet
            .end()
            .line(Tone::Strong, "Last verify output")
            .block(output.trim_end())
            .end();
    }
    if let Some(claim) = &session.claim {
        sheet
            .end()
            .line(Tone::Strong, "What the agent says (a claim)");
        sheet.block(claim.trim_end()).end();
    }
}

fn field<'a>(sheet: &'a mut Sheet, name: &str) -> &'a mut Sheet {
    sheet.plain("  ").cell(Tone::Faint, name, 10)
}

async fn log(
    ctx: &Context,
    session: SessionRef,
    from: u64,
    no_pager: bool,
) -> Result<Exit, CliError> {
    let daemon = ctx.daemon().await?;
    let mut from = from;
    let mut reader = Reader::new(ctx.color, TimeZone::system());
    loop {
        let params = TranscriptParams {
            session: session.clone(),
            from,
            limit: Some(PAGE),
        };
        let entries = daemon.call(WorkSessionTranscript, params).await?.entries;
        let Some(last) = entries.last().map(|entry| entry.index) else {
            break;
        };
        for entry in &entries {
            if ctx.json {
                ctx.print_json_line(entry)?;
            } else {
                reader.read(entry);
            }
        }
        // An answer that does not advance would be asked for again and again.
        if last < from {
            break;
        }
        from = last + 1;
    }
    if !ctx.json {
        pager::show(ctx, reader.finish(), !no_pager)?;
    }
    Ok(Exit::Good)
}

#[cfg(test)]
mod tests {
    use spectask_protocol::{SessionStatus, TurnStatus, TurnView};

    use super::{super::fixtures, *};

    #[test]
    fn a_session_shows_its_evidence_and_its_claim() {
        let mut session = fixtures::session(2, "backend-api", SessionStatus::Active);
        session.verified = Some(false);
        session.verify_output = Some("FAIL test_login\u{1b}]8;;x\u{7}\n".into());
        session.claim = Some("All tests pass.".into());
        session.branch = Some("spectask/7-user-auth/02-backend-api".into());
        session.turns = vec![TurnView {
            number: 1,
            purpose: "implement".into(),
            status: TurnStatus::Ended,
            reason: Some("end_turn".into()),
        }];
        let mut sheet = Sheet::new(false);
        render(&mut sheet, &session, fixtures::now());
        insta::assert_snapshot!(sheet.into_text(), @r"
        7-user-auth/02-backend-api  backend api
          state     agent at work  2m00s
          agent     claude, implementation, planned
          branch    spectask/7-user-auth/02-backend-api
          verify    failed
          turn 1    implement: ended (end_turn)

        Last verify output
        FAIL test_login␛]8;;x␇

        What the agent says (a claim)
        All tests pass.
        ");
    }
}
