//! `history import`: takes over what was recorded on another machine.

use std::path::Path;

use spectask_protocol::{ImportParams, Imported, method::HistoryImport};

use crate::cli::{
    context::Context,
    error::{CliError, Exit},
    sheet::{Sheet, Tone},
};

pub(super) async fn import(
    ctx: &Context,
    task: String,
    from: Option<String>,
) -> Result<Exit, CliError> {
    let daemon = ctx.daemon().await?;
    let params = ImportParams {
        cwd: ctx.cwd()?,
        task,
        remote: from,
    };
    let done = daemon.call(HistoryImport, params).await?;
    let here = Path::new(&done.repository);
    let elsewhere = !ctx.folder()?.starts_with(here);
    ctx.show(&done, |sheet| write(sheet, &done, elsewhere))?;
    Ok(Exit::Good)
}

fn write(sheet: &mut Sheet, done: &Imported, elsewhere: bool) {
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
    if done.recorded_as != done.task {
        let name = &done.recorded_as;
        let text = format!("Its name there is {name}; that number was taken here.");
        sheet.line(Tone::Plain, &text);
    }
    if elsewhere {
        let text = format!("It is kept for {}.", done.repository);
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
            recorded_as: "7-user-auth".into(),
            repository: "/work/api".into(),
            sessions: 3,
            turns: 5,
            entries: 120,
            problems: vec!["the branch specs/7-user-auth is not here: no documents".into()],
        };
        write(&mut sheet, &done, false);
        done = Imported {
            task: "7-user-auth".into(),
            recorded_as: "7-user-auth".into(),
            repository: "/work/api".into(),
            sessions: 0,
            turns: 0,
            entries: 0,
            problems: vec![],
        };
        write(&mut sheet, &done, true);
        insta::assert_snapshot!(sheet.into_text(), @r"
        Took over 9-user-auth: 3 sessions, 5 turns, 120 entries
        Its name there is 7-user-auth; that number was taken here.
        the branch specs/7-user-auth is not here: no documents
        Read it: spectask history log 9-user-auth
        7-user-auth: nothing is new
        It is kept for /work/api.
        Read it: spectask history log 7-user-auth
        ");
    }
}
