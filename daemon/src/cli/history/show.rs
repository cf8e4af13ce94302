//! `history show` and `history replay`: recorded conversations.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use spectask_protocol::{
    HistoryLogParams, HistoryShowParams, RecordedPart, SessionRef, method::HistoryLogOf,
    method::HistoryShow,
};

use crate::cli::{
    connect::Daemon,
    context::{Context, write_out},
    error::{CliError, Exit},
    pager,
    sheet::Tone,
    transcript::Reader,
};

/// The longest pause of a replay: nobody waits for a person to have answered.
const PAUSE: Duration = Duration::from_secs(2);

/// Turns in which the sessions of a SpecTask are looked for.
const TURNS: u32 = 10_000;

/// The sessions that a person means, oldest first.
async fn sessions(
    ctx: &Context,
    daemon: &Daemon,
    target: &SessionRef,
) -> Result<Vec<SessionRef>, CliError> {
    let params = HistoryLogParams {
        target: Some(target.clone()),
        cwd: ctx.cwd().ok(),
        limit: Some(TURNS),
    };
    let list = daemon.call(HistoryLogOf, params).await?;
    let mut found: Vec<SessionRef> = Vec::new();
    for turn in list.turns.iter().rev() {
        if let Ok(name) = turn.name.parse()
            && !found.contains(&name)
        {
            found.push(name);
        }
    }
    if found.is_empty() {
        found.push(target.clone());
    }
    found.sort();
    Ok(found)
}

/// The one session among those of `target`.
fn only<'a>(
    target: &SessionRef,
    sessions: &'a [SessionRef],
    what: &str,
) -> Result<&'a SessionRef, CliError> {
    match sessions {
        [session] => Ok(session),
        _ => Err(CliError::usage(format!(
            "{target} has {} sessions; {what} needs one of them, such as {}",
            sessions.len(),
            sessions
                .first()
                .map_or_else(|| format!("{target}/1"), SessionRef::to_string)
        ))),
    }
}

/// What was recorded of a session, part by part.
async fn part(
    ctx: &Context,
    daemon: &Daemon,
    session: &SessionRef,
    turn: Option<u32>,
    from: u64,
) -> Result<RecordedPart, CliError> {
    let params = HistoryShowParams {
        session: session.clone(),
        turn,
        cwd: ctx.cwd().ok(),
        from,
    };
    daemon.call(HistoryShow, params).await
}

pub(super) async fn show(
    ctx: &Context,
    target: SessionRef,
    turn: Option<u32>,
    no_pager: bool,
) -> Result<Exit, CliError> {
    let daemon = ctx.daemon().await?;
    let sessions = sessions(ctx, &daemon, &target).await?;
    if turn.is_some() {
        only(&target, &sessions, "--turn")?;
    }
    let mut all = ctx.sheet();
    for session in &sessions {
        let mut whole = part(ctx, &daemon, session, turn, 0).await?;
        while let Some(from) = whole.next {
            let next = part(ctx, &daemon, session, turn, from).await?;
            whole.entries.extend(next.entries);
            whole.next = next.next.filter(|next| *next > from);
        }
        if ctx.json {
            ctx.print_json_line(&whole)?;
            continue;
        }
        all.put(Tone::Name, &whole.name).plain("  ");
        all.put(Tone::Strong, &whole.title);
        if whole.source != "transcript" {
            all.put(Tone::Faint, &format!("  from {}", whole.source));
        }
        all.end();
        let mut reader = Reader::new(ctx.color, TimeZone::system());
        for entry in &whole.entries {
            reader.read(entry);
        }
        all.trusted(&reader.finish().into_text()).end();
    }
    if !ctx.json {
        pager::show(ctx, all, !no_pager)?;
    }
    Ok(Exit::Good)
}

pub(super) async fn replay(
    ctx: &Context,
    target: SessionRef,
    turn: Option<u32>,
    speed: Option<f64>,
) -> Result<Exit, CliError> {
    let daemon = ctx.daemon().await?;
    let sessions = sessions(ctx, &daemon, &target).await?;
    let session = only(&target, &sessions, "replay")?;
    let mut reader = Reader::new(ctx.color, TimeZone::system());
    let mut from = Some(0);
    let mut last: Option<Timestamp> = None;
    while let Some(start) = from {
        let part = part(ctx, &daemon, session, turn, start).await?;
        for entry in &part.entries {
            let at = entry.at.parse::<Timestamp>().ok();
            if ctx.json {
                ctx.print_json_line(entry)?;
            } else {
                reader.read(entry);
                let text = reader.take();
                if text.is_empty() {
                    continue;
                }
                if let (Some(at), Some(last), Some(speed)) = (at, last, speed) {
                    tokio::time::sleep(pause(at.duration_since(last), speed)).await;
                }
                write_out(&text)?;
            }
            last = at.or(last);
        }
        from = part.next.filter(|next| *next > start);
    }
    write_out(&reader.finish().into_text())?;
    Ok(Exit::Good)
}

/// How long to wait between two entries.
fn pause(between: SignedDuration, speed: f64) -> Duration {
    let seconds = between.as_secs_f64() / speed;
    if seconds <= 0.0 {
        return Duration::ZERO;
    }
    Duration::try_from_secs_f64(seconds)
        .unwrap_or(PAUSE)
        .min(PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_waits_long() {
        let seconds = SignedDuration::from_secs;
        assert_eq!(pause(seconds(1), 1.0), Duration::from_secs(1));
        assert_eq!(pause(seconds(1), 4.0), Duration::from_millis(250));
        assert_eq!(pause(seconds(9000), 1.0), PAUSE);
        assert_eq!(pause(seconds(-5), 1.0), Duration::ZERO);
        assert_eq!(pause(seconds(5), f64::MIN_POSITIVE), PAUSE);
    }
}
