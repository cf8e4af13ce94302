//! Commands about what sessions are told, what they say, and whose they are: tell, stop, messages,
//! attach, decide.

use jiff::tz::TimeZone;
use spectask_protocol::{
    AttachParams, DecideParams, MessageKind, MessageListParams, MessageView, SessionMethod,
    SessionParams, SessionStatus, TellParams, TurnStatus, TurnView, WorkSessionView,
    method::{
        CoordinationListAll, CoordinationTell, DecisionRecord, WorkSessionAttach, WorkSessionGet,
        WorkSessionStop,
    },
};

use super::{
    args::{AttachArgs, DecideArgs, MessagesArgs, SessionArgs, TellArgs},
    context::Context,
    error::{CliError, Exit},
    sheet::{Sheet, Tone},
    time,
};

pub(super) async fn tell(ctx: &Context, args: TellArgs) -> Result<Exit, CliError> {
    let daemon = ctx.daemon().await?;
    let params = TellParams {
        session: args.session,
        text: args.text,
        kind: args.broadcast.then_some(MessageKind::Broadcast),
        from: None,
        answers: None,
    };
    let message = daemon.call(CoordinationTell, params).await?;
    let session = match message.to.parse() {
        Ok(session) => {
            let params = SessionParams { session };
            daemon.call(WorkSessionGet, params).await.ok()
        }
        Err(_) => None,
    };
    ctx.show(&message, |sheet| {
        told(sheet, &message, session.as_ref(), args.broadcast);
    })?;
    Ok(Exit::Good)
}

/// Writes that a message was kept, and when it is heard.
fn told(
    sheet: &mut Sheet,
    message: &MessageView,
    session: Option<&WorkSessionView>,
    broadcast: bool,
) {
    if broadcast {
        let task = message.to.split('/').next().unwrap_or_default();
        sheet
            .plain("Told every open session of ")
            .line(Tone::Name, task);
        return;
    }
    sheet.plain("Told ").put(Tone::Name, &message.to);
    let Some(session) = session else {
        sheet.end();
        return;
    };
    match session.status {
        _ if session.method == SessionMethod::AdHoc => {
            sheet.line(Tone::Plain, "; it hears it with its next prompt");
        }
        SessionStatus::Blocked | SessionStatus::Waiting => {
            sheet.line(
                Tone::Plain,
                ", which does not go on by that; it hears it after",
            );
            let retry = format!("spectask retry {}", message.to);
            sheet.plain("  ").line(Tone::Name, &retry);
        }
        SessionStatus::Pending => {
            sheet.line(Tone::Plain, "; it hears it when it begins");
        }
        _ => {
            sheet.line(Tone::Plain, "; it hears it when its turn has ended");
        }
    }
}

pub(super) async fn stop(ctx: &Context, args: SessionArgs) -> Result<Exit, CliError> {
    let daemon = ctx.daemon().await?;
    let params = SessionParams {
        session: args.session,
    };
    let before = daemon.call(WorkSessionGet, params.clone()).await?;
    let session = daemon.call(WorkSessionStop, params).await?;
    ctx.show(&session, |sheet| stopped(sheet, &before, &session))?;
    Ok(Exit::Good)
}

/// Writes what came of a stop, given the session as it was before and as it is now.
fn stopped(sheet: &mut Sheet, before: &WorkSessionView, session: &WorkSessionView) {
    let is_running = |turn: &TurnView| turn.status == TurnStatus::Running;
    if session.method == SessionMethod::AdHoc && !before.turns.last().is_some_and(is_running) {
        sheet
            .plain("Nothing runs in ")
            .put(Tone::Name, &session.name)
            .line(Tone::Plain, "; it goes on with the next prompt");
        return;
    }
    sheet.put(Tone::Name, &session.name);
    if session.method == SessionMethod::AdHoc {
        sheet.line(Tone::Plain, " is stopped; it goes on with the next prompt");
        return;
    }
    let kept = " is stopped; what it did stays in its worktree";
    sheet.line(Tone::Plain, kept).plain("Go on: ");
    sheet.line(Tone::Name, &format!("spectask retry {}", session.name));
}

pub(super) async fn messages(ctx: &Context, args: MessagesArgs) -> Result<Exit, CliError> {
    let daemon = ctx.daemon().await?;
    let params = MessageListParams {
        target: args.target,
    };
    let list = daemon.call(CoordinationListAll, params).await?;
    ctx.show(&list, |sheet| {
        if list.messages.is_empty() {
            sheet.line(Tone::Plain, "No messages.");
        }
        for message in &list.messages {
            write_message(sheet, message, &TimeZone::system());
        }
    })?;
    Ok(Exit::Good)
}

fn write_message(sheet: &mut Sheet, message: &MessageView, zone: &TimeZone) {
    sheet
        .put(Tone::Faint, &time::clock(&message.at, zone))
        .plain("  ")
        .put(Tone::Name, message.from.as_deref().unwrap_or("person"))
        .plain(" to ")
        .put(Tone::Name, &message.to);
    if message.kind != MessageKind::Notification {
        sheet.put(Tone::Faint, &format!("  {}", message.kind));
    }
    if !message.delivered {
        sheet.put(Tone::Warn, "  waits");
    }
    sheet.end();
    for line in message.text.lines() {
        sheet.plain("  ").line(Tone::Plain, line);
    }
}

pub(super) async fn attach(ctx: &Context, args: AttachArgs) -> Result<Exit, CliError> {
    let daemon = ctx.daemon().await?;
    let params = AttachParams {
        session: args.session,
        // As the selector of a thread calls it.
        task: args
            .task
            .filter(|task| !task.as_str().eq_ignore_ascii_case("none")),
    };
    let session = daemon.call(WorkSessionAttach, params).await?;
    ctx.show(&session, |sheet| {
        sheet
            .plain("The thread is ")
            .put(Tone::Name, &session.name)
            .line(Tone::Plain, " now");
    })?;
    Ok(Exit::Good)
}

pub(super) async fn decide(ctx: &Context, args: DecideArgs) -> Result<Exit, CliError> {
    let daemon = ctx.daemon().await?;
    let params = DecideParams {
        target: Some(args.target.clone()),
        text: args.text,
        source: "cli".into(),
    };
    let empty = daemon.call(DecisionRecord, params).await?;
    ctx.show(&empty, |sheet| {
        sheet
            .plain("Recorded for ")
            .line(Tone::Name, args.target.as_str());
    })?;
    Ok(Exit::Good)
}

#[cfg(test)]
mod tests {
    use super::{super::fixtures, *};

    fn message(from: Option<&str>, kind: MessageKind) -> MessageView {
        MessageView {
            id: "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap(),
            to: "7-user-auth/02-api".into(),
            from: from.map(str::to_owned),
            kind,
            text: "The table is called\nusers\u{1b}[2J now".into(),
            answers: None,
            delivered: from.is_none(),
            at: "2026-03-04T09:59:00Z".into(),
        }
    }

    #[test]
    fn messages_say_who_told_whom_and_what_waits() {
        let mut sheet = Sheet::new(false);
        let all = [
            message(None, MessageKind::Notification),
            message(Some("7-user-auth/01-schema"), MessageKind::Request),
        ];
        for message in &all {
            write_message(&mut sheet, message, &TimeZone::UTC);
        }
        insta::assert_snapshot!(sheet.into_text(), @r"
        09:59:00  person to 7-user-auth/02-api
          The table is called
          users␛[2J now
        09:59:00  7-user-auth/01-schema to 7-user-auth/02-api  request  waits
          The table is called
          users␛[2J now
        ");
    }

    #[test]
    fn a_stop_of_what_does_not_run_claims_nothing() {
        let mut sheet = Sheet::new(false);
        let mut session = fixtures::session(2, "api", SessionStatus::Blocked);
        stopped(&mut sheet, &session, &session);
        session.method = SessionMethod::AdHoc;
        session.name = "threads/03-fix".into();
        stopped(&mut sheet, &session, &session);
        let mut before = session.clone();
        before.turns.push(TurnView {
            number: 1,
            status: TurnStatus::Running,
            purpose: "prompt".into(),
            reason: None,
        });
        stopped(&mut sheet, &before, &session);
        insta::assert_snapshot!(sheet.into_text(), @r"
        7-user-auth/02-api is stopped; what it did stays in its worktree
        Go on: spectask retry 7-user-auth/02-api
        Nothing runs in threads/03-fix; it goes on with the next prompt
        threads/03-fix is stopped; it goes on with the next prompt
        ");
    }

    #[test]
    fn telling_a_session_that_stands_names_what_makes_it_go_on() {
        let mut sheet = Sheet::new(false);
        let message = message(None, MessageKind::Notification);
        for status in [
            SessionStatus::Active,
            SessionStatus::Blocked,
            SessionStatus::Pending,
        ] {
            let session = fixtures::session(2, "api", status);
            told(&mut sheet, &message, Some(&session), false);
        }
        told(&mut sheet, &message, None, true);
        insta::assert_snapshot!(sheet.into_text(), @r"
        Told 7-user-auth/02-api; it hears it when its turn has ended
        Told 7-user-auth/02-api, which does not go on by that; it hears it after
          spectask retry 7-user-auth/02-api
        Told 7-user-auth/02-api; it hears it when it begins
        Told every open session of 7-user-auth
        ");
    }
}
