//! `history blame`: why lines are as they are.

use std::path::Path;

use jiff::Timestamp;
use spectask_protocol::{
    BlameCommit, BlameGroup, BlameParams, BlameView, Origin, method::HistoryBlame,
};

use super::short;
use crate::cli::{
    context::Context,
    error::{CliError, Exit},
    sheet::{Sheet, Tone},
    table::{Cell, table},
    time,
};

/// What is told of lines that no commit has.
const OPEN: &str = "not committed";

/// Lines of a prompt that are shown.
const PROMPT_LINES: usize = 12;

pub(super) async fn blame(
    ctx: &Context,
    place: &str,
    rev: Option<String>,
    text: bool,
) -> Result<Exit, CliError> {
    let folder = ctx.folder()?;
    let (file, lines) = split(place, |file| folder.join(file).exists())?;
    let path = folder.join(file);
    let path = path
        .to_str()
        .ok_or_else(|| CliError::usage(format!("{} is not UTF-8", path.display())))?;
    let daemon = ctx.daemon().await?;
    let params = BlameParams {
        path: path.to_owned(),
        lines,
        rev,
    };
    let view = daemon.call(HistoryBlame, params).await?;
    let now = Timestamp::now();
    ctx.show(&view, |sheet| {
        if lines.is_some() {
            details(sheet, &view, now);
        } else if text {
            with_text(sheet, &view, now);
        } else {
            overview(sheet, &view, now, ctx.width());
        }
        if view.incomplete {
            let text =
                "Not everything could be looked up in time; a line alone is looked up further.";
            sheet.line(Tone::Warn, text);
        }
    })?;
    Ok(Exit::Good)
}

/// A file, and its first and last line.
type Place<'a> = (&'a str, Option<(u32, u32)>);

/// A file and its lines: `FILE`, `FILE:LINE` or `FILE:FIRST-LAST`. A file of that very name wins.
fn split(place: &str, exists: impl Fn(&Path) -> bool) -> Result<Place<'_>, CliError> {
    if place.is_empty() {
        return Err(CliError::usage("name a file: FILE, FILE:7 or FILE:7-9"));
    }
    if exists(Path::new(place)) {
        return Ok((place, None));
    }
    let Some((file, lines)) = place.rsplit_once(':') else {
        return Ok((place, None));
    };
    let (first, last) = lines.split_once('-').unwrap_or((lines, lines));
    match (first.parse::<u32>(), last.parse::<u32>()) {
        (Ok(first), Ok(last)) if first > 0 && last >= first => Ok((file, Some((first, last)))),
        _ if !file.is_empty() && exists(Path::new(file)) => Err(CliError::usage(format!(
            "{lines:?} names no lines of {file}; say {file}:7 or {file}:7-9"
        ))),
        _ => Ok((place, None)),
    }
}

fn commit<'a>(view: &'a BlameView, group: &BlameGroup) -> Option<&'a BlameCommit> {
    view.commits.get(group.commit? as usize)
}

/// The commit that `git blame` names.
fn own(commit: &BlameCommit) -> &str {
    commit.within.as_deref().unwrap_or(&commit.id)
}

fn numbers(group: &BlameGroup) -> String {
    let last = group.line + u32::try_from(group.lines.len()).unwrap_or(1).max(1) - 1;
    if last == group.line {
        last.to_string()
    } else {
        format!("{}-{last}", group.line)
    }
}

/// The turn that lines came of: of their commit, or that wrote them and did not commit them.
fn origin<'a>(view: &'a BlameView, group: &BlameGroup) -> Option<&'a Origin> {
    let committed = commit(view, group).and_then(|commit| commit.origin.as_ref());
    committed.or_else(|| view.written.get(group.written? as usize))
}

/// The session and turn, or who wrote it.
fn who(view: &BlameView, group: &BlameGroup) -> (Tone, String) {
    match (origin(view, group), commit(view, group)) {
        (Some(origin), _) => (Tone::Name, turn(origin)),
        (None, Some(commit)) => (Tone::Plain, commit.author.clone()),
        (None, None) => (Tone::Warn, OPEN.to_owned()),
    }
}

fn turn(origin: &Origin) -> String {
    match origin.turn {
        Some(turn) => format!("{} turn {turn}", origin.name),
        None => origin.name.clone(),
    }
}

fn overview(sheet: &mut Sheet, view: &BlameView, now: Timestamp, width: Option<usize>) {
    let rows: Vec<Vec<Cell>> = view
        .groups
        .iter()
        .map(|group| {
            let lines = Cell::plain(&numbers(group));
            let (tone, who) = who(view, group);
            let origin = origin(view, group);
            let serves = origin.map_or_else(String::new, |origin| origin.requirements.join(", "));
            let work = origin.and_then(|origin| origin.work.first());
            let (id, age, what) = match (commit(view, group), work) {
                (Some(commit), work) => (
                    short(own(commit)),
                    time::ago(&commit.at, now),
                    Cell::plain(work.unwrap_or(&commit.subject)),
                ),
                (None, _) if origin.is_none() => ("", String::new(), Cell::plain("")),
                (None, _) => ("", String::new(), Cell::new(Tone::Warn, OPEN)),
            };
            vec![
                lines,
                Cell::new(Tone::Faint, id),
                Cell::new(Tone::Faint, &age),
                Cell::new(tone, &who),
                Cell::plain(&serves),
                what,
            ]
        })
        .collect();
    sheet.line(Tone::Strong, &view.path);
    let heads = ["LINES", "COMMIT", "AGO", "FROM", "SERVES", "WHAT"];
    table(sheet, &heads, &rows, width);
}

fn with_text(sheet: &mut Sheet, view: &BlameView, now: Timestamp) {
    for group in &view.groups {
        let (tone, who) = who(view, group);
        let about = match commit(view, group) {
            Some(commit) => format!("{}  {}", short(own(commit)), time::ago(&commit.at, now)),
            None if who == OPEN => String::new(),
            None => OPEN.to_owned(),
        };
        sheet
            .put(tone, &who)
            .line(Tone::Faint, &format!("  {about}"));
        for (line, text) in (group.line..).zip(&group.lines) {
            sheet.put(Tone::Faint, &format!("{line:>6}  "));
            sheet.line(Tone::Plain, text);
        }
    }
}

fn field<'a>(sheet: &'a mut Sheet, name: &str) -> &'a mut Sheet {
    sheet.plain("  ").cell(Tone::Faint, name, 10)
}

fn details(sheet: &mut Sheet, view: &BlameView, now: Timestamp) {
    for group in &view.groups {
        let place = format!("{}:{}", view.path, numbers(group));
        sheet.line(Tone::Strong, &place);
        for text in &group.lines {
            sheet.plain("  | ").line(Tone::Plain, text);
        }
        let Some(commit) = commit(view, group) else {
            field(sheet, "commit").line(Tone::Warn, "not committed yet");
            if let Some(origin) = origin(view, group) {
                about(sheet, origin);
            }
            continue;
        };
        let mut what = "commit";
        if let Some(within) = &commit.within {
            field(sheet, what).line(Tone::Name, short(within));
            what = "squashed";
        }
        field(sheet, what)
            .put(Tone::Name, short(&commit.id))
            .plain("  ")
            .put(Tone::Plain, &commit.subject)
            .line(
                Tone::Faint,
                &format!("  {}, {}", commit.author, time::ago(&commit.at, now)),
            );
        if let Some(was) = &commit.was {
            field(sheet, "was").line(Tone::Plain, was);
        }
        let Some(origin) = origin(view, group) else {
            field(sheet, "turn").line(Tone::Faint, "none: it came of no session that is known");
            continue;
        };
        about(sheet, origin);
    }
}

fn about(sheet: &mut Sheet, origin: &Origin) {
    let by = match origin.via.as_str() {
        "commit" => "",
        "tree" => "  found by what the commit holds",
        "patch" => "  found by what the commit changes",
        "content" => "  found on its branch",
        "edit" => "  it wrote this",
        _ => "  the commit says so",
    };
    field(sheet, "turn")
        .put(Tone::Name, &turn(origin))
        .line(Tone::Faint, by);
    for work in &origin.work {
        field(sheet, "task").line(Tone::Plain, work);
    }
    if !origin.requirements.is_empty() {
        let of = origin.task.as_deref().unwrap_or_default();
        let all = origin.requirements.join(", ");
        field(sheet, "serves").line(Tone::Plain, &format!("{of}#{all}"));
    }
    if let Some(wish) = &origin.wish {
        field(sheet, "wish").line(Tone::Plain, wish);
    }
    if let Some(prompt) = &origin.prompt {
        field(sheet, "prompt").end();
        let lines: Vec<&str> = prompt.trim_end().lines().collect();
        for line in lines.iter().take(PROMPT_LINES) {
            sheet.plain("    ").line(Tone::Plain, line);
        }
        if lines.len() > PROMPT_LINES {
            sheet.plain("    ").line(Tone::Faint, "…");
        }
    }
    if let Some(turn) = origin.turn {
        let more = format!("spectask history show {} --turn {turn}", origin.name);
        field(sheet, "more").line(Tone::Name, &more);
    }
}

#[cfg(test)]
mod tests {
    use crate::cli::fixtures;

    use super::*;

    fn view() -> BlameView {
        let origin = Origin {
            via: "patch".into(),
            session: Some(fixtures::session_id(2)),
            name: "7-user-auth/02-api".into(),
            turn: Some(2),
            task: Some("7-user-auth".into()),
            work: vec!["2. Write the API".into()],
            requirements: vec!["2.1".into(), "2.3".into()],
            wish: Some("Add user\nauthentication".into()),
            prompt: Some("# Task 2\n\nWrite the API.\u{1b}[2J\n".into()),
        };
        let commit = |id: &str, origin| BlameCommit {
            id: id.repeat(20),
            within: None,
            author: "User".into(),
            at: "2026-03-04T09:00:00Z".into(),
            subject: "Expire tokens".into(),
            was: None,
            origin,
        };
        let group = |line, lines: &[&str], commit| BlameGroup {
            line,
            lines: lines.iter().map(|line| (*line).to_owned()).collect(),
            commit,
            written: None,
        };
        BlameView {
            path: "src/token.rs".into(),
            groups: vec![
                group(1, &["use std::time;", "", "fn expires() {"], Some(0)),
                group(4, &["    3600"], Some(1)),
                group(5, &["}"], None),
            ],
            commits: vec![commit("a1", Some(origin)), commit("b2", None)],
            written: vec![],
            incomplete: false,
        }
    }

    #[test]
    fn a_squashed_commit_is_named_beside_the_one_that_git_names() {
        let mut view = view();
        view.groups.truncate(1);
        view.commits[0].within = Some("c3".repeat(20));
        let mut sheet = Sheet::new(false);
        overview(&mut sheet, &view, fixtures::now(), None);
        sheet.end();
        details(&mut sheet, &view, fixtures::now());
        let text = sheet.into_text();
        let text: Vec<&str> = text.lines().take(11).collect();
        insta::assert_snapshot!(text.join("\n"), @r"
        src/token.rs
        LINES  COMMIT      AGO  FROM                       SERVES    WHAT
        1-3    c3c3c3c3c3  1h   7-user-auth/02-api turn 2  2.1, 2.3  2. Write the API

        src/token.rs:1-3
          | use std::time;
          |
          | fn expires() {
          commit    c3c3c3c3c3
          squashed  a1a1a1a1a1  Expire tokens  User, 1h
          turn      7-user-auth/02-api turn 2  found by what the commit changes
        ");
    }

    #[test]
    fn what_an_agent_wrote_and_did_not_commit_is_told() {
        let mut view = view();
        let mut origin = view.commits[0].origin.take().unwrap();
        origin.via = "edit".into();
        origin.name = "threads/3-expire".into();
        (origin.task, origin.wish) = (None, None);
        (origin.work, origin.requirements) = (vec![], vec![]);
        view.written.push(origin);
        view.groups[1].written = Some(0);
        view.groups[2].written = Some(0);
        let mut sheet = Sheet::new(false);
        overview(&mut sheet, &view, fixtures::now(), None);
        sheet.end();
        view.groups.remove(0);
        with_text(&mut sheet, &view, fixtures::now());
        sheet.end();
        details(&mut sheet, &view, fixtures::now());
        insta::assert_snapshot!(sheet.into_text(), @r"
        src/token.rs
        LINES  COMMIT      AGO  FROM                     SERVES  WHAT
        1-3    a1a1a1a1a1  1h   User                             Expire tokens
        4      b2b2b2b2b2  1h   threads/3-expire turn 2          Expire tokens
        5                       threads/3-expire turn 2          not committed

        threads/3-expire turn 2  b2b2b2b2b2  1h
             4      3600
        threads/3-expire turn 2  not committed
             5  }

        src/token.rs:4
          |     3600
          commit    b2b2b2b2b2  Expire tokens  User, 1h
          turn      threads/3-expire turn 2  it wrote this
          prompt
            # Task 2

            Write the API.␛[2J
          more      spectask history show threads/3-expire --turn 2
        src/token.rs:5
          | }
          commit    not committed yet
          turn      threads/3-expire turn 2  it wrote this
          prompt
            # Task 2

            Write the API.␛[2J
          more      spectask history show threads/3-expire --turn 2
        ");
    }

    #[test]
    fn a_place_is_a_file_and_perhaps_lines() {
        let there = [Path::new("odd:7"), Path::new("a.rs")];
        let split = |place| split(place, |file| there.contains(&file));
        assert_eq!(split("a.rs").unwrap(), ("a.rs", None));
        assert_eq!(split("a.rs:7").unwrap(), ("a.rs", Some((7, 7))));
        assert_eq!(split("a.rs:7-9").unwrap(), ("a.rs", Some((7, 9))));
        assert_eq!(split("odd:7").unwrap(), ("odd:7", None));
        assert_eq!(split("absent:x").unwrap(), ("absent:x", None));
        for bad in ["a.rs:0", "a.rs:9-7", "a.rs:x", "a.rs:", ""] {
            assert_eq!(split(bad).unwrap_err().code(), 2, "{bad}");
        }
    }

    #[test]
    fn a_file_is_a_table_and_a_line_tells_everything() {
        let mut sheet = Sheet::new(false);
        overview(&mut sheet, &view(), fixtures::now(), None);
        sheet.end();
        with_text(&mut sheet, &view(), fixtures::now());
        sheet.end();
        details(&mut sheet, &view(), fixtures::now());
        insta::assert_snapshot!(sheet.into_text(), @r"
        src/token.rs
        LINES  COMMIT      AGO  FROM                       SERVES    WHAT
        1-3    a1a1a1a1a1  1h   7-user-auth/02-api turn 2  2.1, 2.3  2. Write the API
        4      b2b2b2b2b2  1h   User                                 Expire tokens
        5                       not committed

        7-user-auth/02-api turn 2  a1a1a1a1a1  1h
             1  use std::time;
             2
             3  fn expires() {
        User  b2b2b2b2b2  1h
             4      3600
        not committed
             5  }

        src/token.rs:1-3
          | use std::time;
          |
          | fn expires() {
          commit    a1a1a1a1a1  Expire tokens  User, 1h
          turn      7-user-auth/02-api turn 2  found by what the commit changes
          task      2. Write the API
          serves    7-user-auth#2.1, 2.3
          wish      Add user authentication
          prompt
            # Task 2

            Write the API.␛[2J
          more      spectask history show 7-user-auth/02-api --turn 2
        src/token.rs:4
          |     3600
          commit    b2b2b2b2b2  Expire tokens  User, 1h
          turn      none: it came of no session that is known
        src/token.rs:5
          | }
          commit    not committed yet
        ");
    }
}
