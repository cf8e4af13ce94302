//! `spectask list`: SpecTasks in a table.

use jiff::Timestamp;
use spectask_protocol::{ListParams, SpecTaskView, method::SpecTaskListAll};

use super::{
    args::ListArgs,
    context::Context,
    error::{CliError, Exit},
    sheet::Sheet,
    table::{Cell, table},
    time, wording,
};

pub(super) async fn run(ctx: &Context, args: ListArgs) -> Result<Exit, CliError> {
    let daemon = ctx.daemon().await?;
    let mut all = args.all;
    let cwd = if all { None } else { Some(ctx.cwd()?) };
    let list = daemon
        .call(
            SpecTaskListAll,
            ListParams {
                cwd,
                archived: args.archived,
            },
        )
        .await;
    let list = match list {
        // Outside of a repository there is no project to limit the list to.
        Err(error) if !all && error.says("not inside a git repository") => {
            ctx.note("This is no git repository; these are the SpecTasks of all.");
            all = true;
            let params = ListParams {
                cwd: None,
                archived: args.archived,
            };
            daemon.call(SpecTaskListAll, params).await?
        }
        other => other?,
    };
    ctx.show(&list, |sheet| {
        if list.tasks.is_empty() {
            let place = if all { "" } else { " in this repository" };
            sheet.plain(&format!("No SpecTasks{place}. Create one: "));
            sheet.line(super::sheet::Tone::Name, "spectask new \"what you want\"");
        } else {
            render(sheet, &list.tasks, all, ctx.width(), Timestamp::now());
        }
    })?;
    Ok(Exit::Good)
}

fn render(
    sheet: &mut Sheet,
    tasks: &[SpecTaskView],
    projects: bool,
    width: Option<usize>,
    now: Timestamp,
) {
    let mut heads = vec!["NAME", "STATE", "TASKS", "SESSIONS", "AGE"];
    if projects {
        heads.push("PROJECT");
    }
    heads.push("TITLE");
    let rows: Vec<Vec<Cell>> = tasks
        .iter()
        .map(|task| {
            let (tone, state) = wording::task_state(task);
            let mut row = vec![
                Cell::name(&task.name),
                Cell::new(tone, state),
                Cell::plain(&progress(task)),
                Cell::plain(&sessions(task)),
                Cell::plain(&time::ago(&task.updated_at, now)),
            ];
            if projects {
                let folder = task.project.rsplit(['/', '\\']).next().unwrap_or_default();
                row.push(Cell::plain(folder));
            }
            row.push(Cell::plain(&task.title));
            row
        })
        .collect();
    table(sheet, &heads, &rows, width);
}

fn progress(task: &SpecTaskView) -> String {
    match (task.progress.done, task.progress.total) {
        (_, 0) => "-".to_owned(),
        (done, total) => format!("{done}/{total}"),
    }
}

fn sessions(task: &SpecTaskView) -> String {
    match (task.active, task.stuck) {
        (0, 0) => "-".to_owned(),
        (active, 0) => format!("{active} active"),
        (0, stuck) => format!("{stuck} stuck"),
        (active, stuck) => format!("{active} active, {stuck} stuck"),
    }
}

#[cfg(test)]
mod tests {
    use spectask_protocol::{Progress, SpecTaskStatus};

    use super::{super::fixtures, *};

    #[test]
    fn the_table_is_aligned_and_fits_the_terminal() {
        let mut work = fixtures::task(12, "search", SpecTaskStatus::Implementation);
        work.progress = Progress { done: 3, total: 12 };
        work.active = 2;
        work.stuck = 1;
        work.title = "Search with a title that is much too long for a line \u{1b}[2J".into();
        let review = fixtures::task(7, "user-auth", SpecTaskStatus::SpecReview);
        let now = fixtures::now();
        let mut sheet = Sheet::new(false);
        render(
            &mut sheet,
            &[work.clone(), review.clone()],
            false,
            Some(72),
            now,
        );
        insta::assert_snapshot!(sheet.into_text(), @r"
        NAME         STATE      TASKS  SESSIONS           AGE  TITLE
        12-search    at work    3/12   2 active, 1 stuck  5m   Search with a ti…
        7-user-auth  in review  -      -                  5m   Implement user a…
        ");
        let mut sheet = Sheet::new(false);
        render(&mut sheet, &[work, review], true, None, now);
        insta::assert_snapshot!(sheet.into_text(), @r"
        NAME         STATE      TASKS  SESSIONS           AGE  PROJECT  TITLE
        12-search    at work    3/12   2 active, 1 stuck  5m   shop     Search with a title that is much too long for a line ␛[2J
        7-user-auth  in review  -      -                  5m   shop     Implement user authentication
        ");
    }
}
