//! `spectask zed`: attached editors and their threads; Zed set up, opened and checked.

use jiff::{SignedDuration, Timestamp};
use spectask_protocol::{
    FailureKind, ThreadListParams, ThreadStatus, ThreadView, ZedInstanceView, ZedListParams,
    ZedParams,
    method::{ThreadListAll, ZedDetach, ZedListAll, ZedThreads},
};

mod command;
mod doctor;
mod endpoint;
mod file;
mod open;
mod settings;
mod setup;

use super::{
    args::{ZedArgs, ZedCommand},
    connect::Daemon,
    context::Context,
    error::{CliError, Exit},
    sheet::{Sheet, Tone},
    table::{Cell, table},
    time, wording,
};

pub(super) async fn run(ctx: &Context, args: ZedArgs) -> Result<Exit, CliError> {
    let command = match args.command.unwrap_or(ZedCommand::List) {
        ZedCommand::Setup(args) => return setup::run(ctx, args).await,
        ZedCommand::Open(args) => return open::run(ctx, args).await,
        ZedCommand::Doctor(place) => return doctor::run(ctx, place).await,
        ZedCommand::Endpoint => return endpoint::run(ctx).await,
        command => command,
    };
    let daemon = ctx.daemon().await?;
    match command {
        ZedCommand::List => {
            let list = daemon.call(ZedListAll, ZedListParams::default()).await?;
            ctx.show(&list, |sheet| editors(sheet, &list.instances, ctx.width()))?;
        }
        ZedCommand::Threads { instance, archived } => {
            let list = match instance {
                Some(instance) => {
                    let instance = find(&daemon, &instance).await?;
                    daemon.call(ZedThreads, ZedParams { instance }).await?
                }
                None => {
                    let all = ThreadListParams {
                        archived,
                        ..ThreadListParams::default()
                    };
                    daemon.call(ThreadListAll, all).await?
                }
            };
            let now = Timestamp::now();
            ctx.show(&list, |sheet| {
                threads(sheet, &list.threads, now, ctx.width());
            })?;
        }
        ZedCommand::Detach { instance } => {
            let instance = find(&daemon, &instance).await?;
            let editor = daemon.call(ZedDetach, ZedParams { instance }).await?;
            ctx.show(&editor, |sheet| {
                let count = editor.threads.len();
                let plural = if count == 1 { "" } else { "s" };
                sheet
                    .put(Tone::Name, &editor.editor)
                    .plain(" in ")
                    .put(Tone::Plain, &editor.project)
                    .line(
                        Tone::Plain,
                        &format!(" is detached; {count} thread{plural} closed there."),
                    );
            })?;
        }
        ZedCommand::Setup(_)
        | ZedCommand::Open(_)
        | ZedCommand::Doctor(_)
        | ZedCommand::Endpoint => {}
    }
    Ok(Exit::Good)
}

/// The id of the one attached editor whose id begins like that.
async fn find(daemon: &Daemon, beginning: &str) -> Result<String, CliError> {
    let list = daemon.call(ZedListAll, ZedListParams::default()).await?;
    let ids = list.instances.into_iter().map(|editor| editor.instance);
    pick(ids.collect(), beginning)
}

fn pick(ids: Vec<String>, beginning: &str) -> Result<String, CliError> {
    let mut fitting: Vec<String> = ids
        .into_iter()
        .filter(|id| !beginning.is_empty() && id.starts_with(beginning))
        .collect();
    if let Some(exact) = fitting.iter().position(|id| id == beginning) {
        return Ok(fitting.swap_remove(exact));
    }
    match fitting.len() {
        1 => Ok(fitting.swap_remove(0)),
        0 => Err(CliError::new(
            FailureKind::NotFound,
            format!("no editor {beginning:?} is attached"),
        )
        .hint("`spectask zed list` shows those that are")),
        _ => Err(CliError::new(
            FailureKind::InvalidParams,
            format!("{beginning:?} fits {}", fitting.join(" and ")),
        )
        .hint("say more of the id")),
    }
}

fn editors(sheet: &mut Sheet, editors: &[ZedInstanceView], width: Option<usize>) {
    if editors.is_empty() {
        sheet.line(Tone::Plain, "No editor is attached.");
        return;
    }
    let rows: Vec<Vec<Cell>> = editors
        .iter()
        .map(|editor| {
            let tone = if editor.status == "attached" {
                Tone::Good
            } else {
                Tone::Faint
            };
            let uptime = i64::try_from(editor.uptime).unwrap_or(i64::MAX);
            vec![
                Cell::name(&editor.instance),
                Cell::plain(&editor.editor),
                Cell::new(tone, &editor.status),
                Cell::plain(editor.agent.as_deref().unwrap_or("any")),
                Cell::plain(&editor.threads.len().to_string()),
                Cell::plain(&time::duration(SignedDuration::from_secs(uptime))),
                Cell::plain(&editor.project),
            ]
        })
        .collect();
    let heads = [
        "INSTANCE", "EDITOR", "STATE", "AGENT", "THREADS", "TIME", "FOLDER",
    ];
    table(sheet, &heads, &rows, width);
}

fn threads(sheet: &mut Sheet, threads: &[ThreadView], now: Timestamp, width: Option<usize>) {
    if threads.is_empty() {
        sheet.line(Tone::Plain, "No threads.");
        return;
    }
    let rows: Vec<Vec<Cell>> = threads
        .iter()
        .map(|thread| {
            let (tone, state) = match (&thread.seen, thread.running, thread.status) {
                (Some(seen), _, _) => (Tone::Faint, wording::seen_state(seen)),
                (_, true, _) => (Tone::Good, "running"),
                (_, _, status @ ThreadStatus::Failed) => (Tone::Bad, status.as_str()),
                (_, _, status) => (Tone::Plain, status.as_str()),
            };
            let name = thread.session.as_deref().unwrap_or(thread.id.as_str());
            vec![
                Cell::name(name),
                Cell::new(tone, state),
                Cell::plain(thread.agent.as_str()),
                Cell::plain(&time::ago(&thread.last_activity, now)),
                Cell::plain(if thread.instance.is_some() { "yes" } else { "" }),
                Cell::plain(thread.title.as_deref().unwrap_or("")),
            ]
        })
        .collect();
    let heads = ["NAME", "STATE", "AGENT", "ACTIVE", "OPEN", "TITLE"];
    table(sheet, &heads, &rows, width);
}

#[cfg(test)]
mod tests {
    use super::{super::fixtures, *};

    fn thread(number: u32, title: &str) -> ThreadView {
        ThreadView {
            id: fixtures::session_id(number),
            session: (number > 1).then(|| format!("threads/{number:02}-fix-login")),
            agent: "claude".parse().unwrap(),
            title: (!title.is_empty()).then(|| title.to_owned()),
            cwd: "/home/ada/shop".into(),
            status: if number > 1 {
                ThreadStatus::Active
            } else {
                ThreadStatus::Draft
            },
            instance: (number == 2).then(|| "0190a2".into()),
            running: number == 2,
            last_activity: "2026-03-04T09:55:00Z".into(),
            recorded: true,
            seen: None,
        }
    }

    fn shown(draw: impl FnOnce(&mut Sheet)) -> String {
        let mut sheet = Sheet::new(false);
        draw(&mut sheet);
        sheet.into_text()
    }

    #[test]
    fn editors_and_threads_are_tables() {
        let editor = ZedInstanceView {
            instance: "0190a2f1-ac96-774b-bcce-b302099a0001".into(),
            editor: "Zed 1.11".into(),
            status: "attached".into(),
            project: "/home/ada/shop".into(),
            agent: None,
            pid: 7,
            uptime: 125,
            last_activity: "2026-03-04T09:55:00Z".into(),
            threads: vec![thread(2, "Fix the login")],
        };
        insta::assert_snapshot!(shown(|sheet| editors(sheet, &[editor], None)), @r"
        INSTANCE                              EDITOR    STATE     AGENT  THREADS  TIME   FOLDER
        0190a2f1-ac96-774b-bcce-b302099a0001  Zed 1.11  attached  any    1        2m05s  /home/ada/shop
        ");
        let all = [thread(2, "Fix the login"), thread(1, "")];
        insta::assert_snapshot!(shown(|sheet| threads(sheet, &all, fixtures::now(), None)), @r"
        NAME                                  STATE    AGENT   ACTIVE  OPEN  TITLE
        threads/02-fix-login                  running  claude  5m      yes   Fix the login
        01890a5d-ac96-774b-bcce-b302099b0001  draft    claude  5m
        ");
        assert_eq!(
            shown(|sheet| editors(sheet, &[], None)),
            "No editor is attached.\n"
        );
    }

    #[test]
    fn an_editor_is_named_by_the_beginning_of_its_id() {
        let ids = || vec!["0190a2".to_owned(), "0190a3".into(), "0190a".into()];
        assert_eq!(pick(ids(), "0190a3").unwrap(), "0190a3");
        assert_eq!(pick(ids(), "0190a").unwrap(), "0190a");
        assert_eq!(pick(vec!["0190a2".into()], "0190").unwrap(), "0190a2");
        for wrong in ["0190", "", "x"] {
            assert!(pick(ids(), wrong).is_err(), "{wrong}");
        }
    }
}
