//! `history import`: takes over what was recorded on another machine.

use spectask_protocol::{ImportParams, Imported, method::HistoryImport};

use crate::cli::{
    context::Context,
    error::{CliError, Exit},
    sheet::{Sheet, Tone},
};

pub(super) async fn import(ctx: &Context, task: String, from: String) -> Result<Exit, CliError> {
    let daemon = ctx.daemon().await?;
    let params = ImportParams {
        cwd: ctx.cwd()?,
        task: task.clone(),
        remote: (from != "refs").then_some(from),
    };
    let done = daemon.call(HistoryImport, params).await?;
    ctx.show(&done, |sheet| write(sheet, &task, &done))?;
    Ok(Exit::Good)
}

fn write(sheet: &mut Sheet, asked: &str, done: &Imported) {
    if (done.sessions, done.turns, done.entries) == (0, 0, 0) {
        sheet
            .put(Tone::Name, &done.task)
            .line(Tone::Plain, ": nothing is new");
    } else {
        sheet.plain("Took over ").put(Tone::Name, &done.task).line(
            Tone::Plain,
            &format!(
                ": {} sessions, {} turns, {} entries",
                done.sessions, done.turns, done.entries
            ),
        );
    }
    if asked != done.task {
        let text = format!("Its name there is {asked}; that number was taken here.");
        sheet.line(Tone::Plain, &text);
    }
    for problem in &done.problems {
        sheet.line(Tone::Warn, problem);
    }
    let next = format!("spectask history log {}", done.task);
    sheet.plain("Read it: ").line(Tone::Name, &next);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_import_says_what_came_and_what_did_not() {
        let mut sheet = Sheet::new(false);
        let mut done = Imported {
            task: "9-user-auth".into(),
            sessions: 3,
            turns: 5,
            entries: 120,
            problems: vec!["the branch specs/7-user-auth is not here: no documents".into()],
        };
        write(&mut sheet, "7-user-auth", &done);
        done = Imported {
            task: "7-user-auth".into(),
            sessions: 0,
            turns: 0,
            entries: 0,
            problems: vec![],
        };
        write(&mut sheet, "7-user-auth", &done);
        insta::assert_snapshot!(sheet.into_text(), @r"
        Took over 9-user-auth: 3 sessions, 5 turns, 120 entries
        Its name there is 7-user-auth; that number was taken here.
        the branch specs/7-user-auth is not here: no documents
        Read it: spectask history log 9-user-auth
        7-user-auth: nothing is new
        Read it: spectask history log 7-user-auth
        ");
    }
}
