//! `spectask show`: one SpecTask as its dashboard.

use jiff::{Timestamp, tz::TimeZone};
use spectask_protocol::{
    EventKind, PermissionView, SpecTaskOverview, SpecTaskView, TaskParams, WorkMode,
    method::SpecTaskGet,
};

use super::{
    args::TaskArgs,
    choose,
    context::Context,
    error::{CliError, Exit},
    sheet::{Sheet, Tone},
    time, tree, wording,
};

pub(super) async fn run(ctx: &Context, args: TaskArgs) -> Result<Exit, CliError> {
    let daemon = ctx.daemon().await?;
    let task = choose::current(ctx, &daemon, args.task).await?;
    let overview = daemon.call(SpecTaskGet, TaskParams { task }).await?;
    ctx.show(&overview, |sheet| {
        render(
            sheet,
            &overview,
            ctx.width(),
            Timestamp::now(),
            &TimeZone::system(),
        );
    })?;
    Ok(Exit::Good)
}

/// Writes the dashboard.
pub(super) fn render(
    sheet: &mut Sheet,
    overview: &SpecTaskOverview,
    width: Option<usize>,
    now: Timestamp,
    zone: &TimeZone,
) {
    header(sheet, &overview.task);
    if !overview.sessions.is_empty() || !overview.tasks.is_empty() {
        sheet.end().line(Tone::Strong, "Sessions");
        tree::render(
            sheet,
            overview,
            tree::Look {
                width,
                now,
                spin: None,
            },
        );
    }
    waits(sheet, overview);
    permissions(sheet, &overview.permissions);
    incidents(sheet, overview, zone);
    next(sheet, &overview.next);
}

/// Writes what a SpecTask is and how far it is.
pub(super) fn header(sheet: &mut Sheet, task: &SpecTaskView) {
    let (tone, state) = wording::task_state(task);
    sheet
        .put(Tone::Name, &task.name)
        .plain("  ")
        .line(Tone::Strong, &task.title);
    let mode = match task.mode {
        WorkMode::Parallel => format!("parallel, at most {} at a time", task.limit),
        WorkMode::Simple => "simple".to_owned(),
    };
    let how = if task.imported {
        let (_, there) = wording::task_status(task.status);
        format!(" · {there} where it was recorded; nothing works on it here")
    } else {
        format!(" · {mode} · {}", task.agent)
    };
    label(sheet, "state")
        .put(tone, state)
        .line(Tone::Faint, &how);
    if let Some(error) = &task.error {
        label(sheet, "error").line(Tone::Bad, error);
    }
    let progress = task.progress;
    if progress.total > 0 {
        label(sheet, "progress")
            .put(Tone::Good, &wording::bar(progress.done, progress.total, 20))
            .plain(&format!(" {}/{} tasks", progress.done, progress.total))
            .line(
                Tone::Faint,
                &format!(" · {} active · {} stuck", task.active, task.stuck),
            );
    }
    if let Some(revision) = task.revision {
        let approved = match task.approved {
            Some(approved) if approved == revision => ", approved".to_owned(),
            Some(approved) => format!("; {approved} is approved"),
            None => String::new(),
        };
        label(sheet, "documents").line(Tone::Plain, &format!("revision {revision}{approved}"));
    }
    let base: String = task.base.chars().take(10).collect();
    let target = task
        .target
        .as_deref()
        .map(|target| format!(" ({target})"))
        .unwrap_or_default();
    label(sheet, "branch")
        .plain(&task.branch)
        .line(Tone::Faint, &format!(" from {base}{target}"));
    label(sheet, "project").line(Tone::Plain, &task.project);
}

fn label<'a>(sheet: &'a mut Sheet, text: &str) -> &'a mut Sheet {
    sheet.plain("  ").cell(Tone::Faint, text, 11)
}

/// Writes what waits for a person.
pub(super) fn waits(sheet: &mut Sheet, overview: &SpecTaskOverview) {
    let waiting: Vec<_> = overview
        .sessions
        .iter()
        .filter(|session| !session.status.is_final())
        .filter_map(|session| Some((session, session.waiting.as_ref()?)))
        .collect();
    if waiting.is_empty() {
        return;
    }
    sheet.end().line(Tone::Strong, "Waiting");
    for (session, waiting) in waiting {
        sheet
            .plain("  ")
            .put(Tone::Warn, wording::wait_kind(waiting.kind))
            .plain("  ")
            .put(Tone::Name, &session.name)
            .end();
        for line in waiting.text.lines().take(12) {
            sheet.plain("    ").line(Tone::Plain, line);
        }
        if let Some(hint) = &waiting.hint {
            sheet.plain("    ").line(Tone::Name, hint);
        }
    }
}

pub(super) fn permissions(sheet: &mut Sheet, permissions: &[PermissionView]) {
    if permissions.is_empty() {
        return;
    }
    sheet.end().line(Tone::Strong, "Agents ask");
    for permission in permissions {
        sheet
            .plain("  ")
            .put(Tone::Name, &permission.session_name)
            .plain("  ")
            .line(Tone::Plain, &permission.title);
        sheet.plain("    ").line(
            Tone::Name,
            &format!("spectask permissions answer {} allow", permission.id),
        );
    }
}

fn incidents(sheet: &mut Sheet, overview: &SpecTaskOverview, zone: &TimeZone) {
    if overview.incidents.is_empty() {
        return;
    }
    sheet.end().line(Tone::Strong, "Incidents");
    for event in overview.incidents.iter().rev().take(5).rev() {
        if let EventKind::Incident { incident, text } = &event.kind {
            sheet
                .plain("  ")
                .put(Tone::Faint, &time::clock(&event.at, zone))
                .plain("  ")
                .put(Tone::Bad, incident)
                .plain("  ")
                .line(Tone::Plain, text);
        }
    }
}

/// Writes what the person can do now.
pub(super) fn next(sheet: &mut Sheet, commands: &[String]) {
    if commands.is_empty() {
        return;
    }
    sheet.end().line(Tone::Strong, "Next");
    for command in commands {
        sheet.plain("  ").line(Tone::Name, command);
    }
}

#[cfg(test)]
mod tests {
    use spectask_protocol::{
        Event, ImplementationTaskStatus, PermissionOption, Progress, SessionMethod, SessionStatus,
        SpecTaskStatus, WaitKind, Waiting,
    };

    use super::{super::fixtures, *};

    fn example() -> SpecTaskOverview {
        let mut schema = fixtures::session(1, "database-schema", SessionStatus::Completed);
        schema.merged = Some("abc".into());
        schema.verified = Some(true);
        schema.ended_at = Some("2026-03-04T09:59:30Z".into());
        let mut api = fixtures::session(2, "backend-api", SessionStatus::Active);
        api.step = Some("Edit src/auth.rs \u{1b}[31mred".into());
        let mut audit = fixtures::session(5, "security-audit", SessionStatus::Completed);
        audit.parent = Some(api.id.clone());
        audit.method = SessionMethod::Spawned;
        audit.merged = Some("abc".into());
        let mut speed = fixtures::session(6, "speed", SessionStatus::Pending);
        speed.parent = Some(api.id.clone());
        speed.started_at = None;
        let mut page = fixtures::session(3, "page", SessionStatus::Blocked);
        page.waiting = Some(Waiting {
            kind: WaitKind::Conflict,
            text: "src/page.rs was changed by 02-backend-api too".into(),
            hint: Some("spectask retry 7/3".into()),
        });
        let mut overview = fixtures::overview(
            SpecTaskStatus::Implementation,
            vec![schema, api, page, audit, speed],
        );
        overview.task.progress = Progress { done: 2, total: 5 };
        overview.task.approved = Some(2);
        overview.tasks = vec![fixtures::work(
            "4",
            "Testing",
            ImplementationTaskStatus::Blocked,
            &["2", "3"],
        )];
        overview.permissions = vec![PermissionView {
            id: "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap(),
            session: fixtures::session_id(2),
            session_name: "7-user-auth/02-backend-api".into(),
            title: "Run `npm install`\u{7}".into(),
            kind: "execute".into(),
            options: vec![PermissionOption {
                id: "a".into(),
                name: "Allow".into(),
                kind: "allow_once".into(),
            }],
            asked_at: "2026-03-04T09:59:00Z".into(),
        }];
        overview.incidents = vec![Event {
            seq: 30,
            at: "2026-03-04T09:59:00Z".into(),
            task: None,
            session: None,
            kind: EventKind::Incident {
                incident: "spec_edit".into(),
                text: "tasks.md was changed by the agent and put back".into(),
            },
        }];
        overview.next = vec!["spectask watch 7".into(), "spectask retry 7/3".into()];
        overview
    }

    #[test]
    fn the_dashboard_shows_all_that_matters() {
        let mut sheet = Sheet::new(false);
        render(
            &mut sheet,
            &example(),
            Some(78),
            fixtures::now(),
            &TimeZone::UTC,
        );
        insta::assert_snapshot!(sheet.into_text(), @r"
        7-user-auth  Implement user authentication
          state      at work · parallel, at most 3 at a time · claude
          progress   ████████░░░░░░░░░░░░ 2/5 tasks · 1 active · 1 stuck
          documents  revision 2, approved
          branch     specs/7-user-auth from 0123456789 (main)
          project    /home/ada/shop

        Sessions
          ✓ 01-database-schema   merged              1m30s   database schema
          ● 02-backend-api       agent at work       2m00s   Edit src/auth.rs red
          ├ ✓ 05-security-audit  merged, unverified  2m00s   security audit
          └ ○ 06-speed           pending                     speed
          ! 03-page              merge conflict      2m00s   src/page.rs was changed …
          · 4. Testing  after 2, 3

        Waiting
          merge conflict  7-user-auth/03-page
            src/page.rs was changed by 02-backend-api too
            spectask retry 7/3

        Agents ask
          7-user-auth/02-backend-api  Run `npm install`␇
            spectask permissions answer 01890a5d-ac96-774b-bcce-b302099a8057 allow

        Incidents
          09:59:00  spec_edit  tasks.md was changed by the agent and put back

        Next
          spectask watch 7
          spectask retry 7/3
        ");
    }

    #[test]
    fn a_task_in_review_needs_few_lines() {
        let mut overview = fixtures::overview(SpecTaskStatus::SpecReview, vec![]);
        overview.next = vec!["spectask review 7".into()];
        let mut sheet = Sheet::new(false);
        render(&mut sheet, &overview, None, fixtures::now(), &TimeZone::UTC);
        insta::assert_snapshot!(sheet.into_text(), @r"
        7-user-auth  Implement user authentication
          state      in review · parallel, at most 3 at a time · claude
          documents  revision 2
          branch     specs/7-user-auth from 0123456789 (main)
          project    /home/ada/shop

        Next
          spectask review 7
        ");
    }

    #[test]
    fn parents_in_a_circle_do_not_hang() {
        let mut a = fixtures::session(1, "a", SessionStatus::Active);
        let mut b = fixtures::session(2, "b", SessionStatus::Active);
        a.parent = Some(b.id.clone());
        b.parent = Some(a.id.clone());
        let mut own = fixtures::session(3, "c", SessionStatus::Active);
        own.parent = Some(own.id.clone());
        assert!(tree::branches(&[a, b, own]).len() <= 3);
    }
}
