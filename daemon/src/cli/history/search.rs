//! `history search`, and `search`: what was said, found by a text.

use jiff::Timestamp;
use spectask_protocol::{SearchHit, SearchParams, SearchResult, method::HistorySearch};

use crate::cli::{
    args::SearchArgs,
    context::Context,
    error::{CliError, Exit},
    sheet::{Sheet, Tone},
    time,
};

pub(in crate::cli) async fn search(ctx: &Context, args: SearchArgs) -> Result<Exit, CliError> {
    let daemon = ctx.daemon().await?;
    let everywhere = args.all || args.task.is_some();
    // A number of a requirement may come with its SpecTask: 7-user-auth#2.3.
    let (of, requirement) = match args.requirement {
        Some(name) => match name.split_once('#') {
            Some((task, number)) => (task.parse().ok(), Some(number.to_owned())),
            None => (None, Some(name)),
        },
        None => (None, None),
    };
    let params = SearchParams {
        text: args.text,
        target: args.task.or(of),
        cwd: if everywhere { None } else { Some(ctx.cwd()?) },
        file: args.file,
        requirement,
        since: args.since.map(|at| at.to_string()),
        until: args.until.map(|at| at.to_string()),
        limit: Some(args.limit),
    };
    let found = match daemon.call(HistorySearch, params.clone()).await {
        // Outside of a repository there is no project to limit the search to.
        Err(error) if !everywhere && error.says("not inside a git repository") => {
            ctx.note("This is no git repository; all are searched.");
            let params = SearchParams {
                cwd: None,
                ..params
            };
            daemon.call(HistorySearch, params).await?
        }
        other => other?,
    };
    ctx.show(&found, |sheet| write(sheet, &found, Timestamp::now()))?;
    Ok(Exit::Good)
}

fn write(sheet: &mut Sheet, found: &SearchResult, now: Timestamp) {
    for hit in &found.hits {
        write_hit(sheet, hit, now);
    }
    let nothing = found.hits.is_empty();
    if !found.complete {
        let text =
            "The time was up before everything was looked at; a longer text or --task finds more.";
        sheet.line(Tone::Warn, text);
    } else if nothing {
        sheet.line(Tone::Plain, "Nothing was found.");
    }
    if found.behind > 0 {
        let turns = match found.behind {
            1 => "1 turn is".to_owned(),
            many => format!("{many} turns are"),
        };
        let text = format!("{turns} not in the index yet; search again in a moment.");
        sheet.line(Tone::Warn, &text);
    }
}

fn write_hit(sheet: &mut Sheet, hit: &SearchHit, now: Timestamp) {
    sheet.put(Tone::Name, &hit.name).plain("  ");
    sheet.put(Tone::Strong, &hit.who).line(
        Tone::Faint,
        &format!(
            "  turn {}, {}, entry {}",
            hit.turn,
            time::ago(&hit.at, now),
            hit.index
        ),
    );
    sheet.plain("  ").line(Tone::Plain, &hit.excerpt);
}

#[cfg(test)]
mod tests {
    use crate::cli::fixtures;

    use super::*;

    #[test]
    fn a_hit_is_where_it_was_and_what_stood_there() {
        let hit = SearchHit {
            session: fixtures::session_id(2),
            name: "7-user-auth/02-api".into(),
            turn: 3,
            index: 31,
            who: "agent".into(),
            excerpt: "the tokens expire\u{7} after an hour".into(),
            at: "2026-03-04T09:55:00Z".into(),
        };
        let mut sheet = Sheet::new(false);
        for (hits, complete, behind) in [
            (vec![hit], true, 0),
            (Vec::new(), true, 0),
            (Vec::new(), true, 1),
            (Vec::new(), false, 12),
        ] {
            let found = SearchResult {
                hits,
                complete,
                behind,
            };
            write(&mut sheet, &found, fixtures::now());
            sheet.line(Tone::Plain, "--");
        }
        insta::assert_snapshot!(sheet.into_text(), @r"
        7-user-auth/02-api  agent  turn 3, 5m, entry 31
          the tokens expire␇ after an hour
        --
        Nothing was found.
        --
        Nothing was found.
        1 turn is not in the index yet; search again in a moment.
        --
        The time was up before everything was looked at; a longer text or --task finds more.
        12 turns are not in the index yet; search again in a moment.
        --
        ");
    }
}
