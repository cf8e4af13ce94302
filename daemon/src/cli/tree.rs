//! Sessions as a tree: spawned ones below those that spawned them.

use jiff::Timestamp;
use spectask_protocol::{
    ImplementationTaskStatus, ImplementationTaskView, SessionStatus, SpecTaskOverview,
    WorkSessionView,
};

use super::{
    sheet::{Sheet, Tone, fit, one_line},
    time, wording,
};

/// Narrower than this, steps are not shown.
const STEP_WIDTH: usize = 8;

/// How a tree is drawn.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    /// The width to fit into; none when it does not matter.
    pub(super) width: Option<usize>,
    /// The moment that running times end at.
    pub(super) now: Timestamp,
    /// Drawn instead of the mark of active sessions, so that it moves.
    pub(super) spin: Option<&'static str>,
}

/// One line of the tree.
pub(super) struct Branch<'a> {
    /// What leads to it: `│ └ `.
    lead: String,
    /// The session.
    pub(super) session: &'a WorkSessionView,
}

/// The sessions in the order of the tree.
pub(super) fn branches(sessions: &[WorkSessionView]) -> Vec<Branch<'_>> {
    let mut lines = Vec::with_capacity(sessions.len());
    let known = |session: &&WorkSessionView| {
        session
            .parent
            .as_ref()
            .is_none_or(|parent| !sessions.iter().any(|s| s.id == *parent))
    };
    for root in sessions.iter().filter(known) {
        lines.push(Branch {
            lead: String::new(),
            session: root,
        });
        descend(sessions, root, "", &mut lines);
    }
    lines
}

fn descend<'a>(
    sessions: &'a [WorkSessionView],
    parent: &WorkSessionView,
    lead: &str,
    lines: &mut Vec<Branch<'a>>,
) {
    let children: Vec<_> = sessions
        .iter()
        .filter(|session| session.parent.as_ref() == Some(&parent.id))
        .collect();
    for (index, child) in children.iter().enumerate() {
        // Parents form no cycle where they come from; a wrong answer must not hang this program.
        if lines.len() > sessions.len() {
            return;
        }
        let last = index + 1 == children.len();
        lines.push(Branch {
            lead: format!("{lead}{}", if last { "└ " } else { "├ " }),
            session: child,
        });
        descend(
            sessions,
            child,
            &format!("{lead}{}", if last { "  " } else { "│ " }),
            lines,
        );
    }
}

/// The short name of a session: `02-api` of `7-user-auth/02-api`.
pub(super) fn short(session: &WorkSessionView) -> &str {
    session.name.rsplit('/').next().unwrap_or_default()
}

/// Writes the tree, a line per session, then the tasks that have no session yet.
pub(super) fn render(sheet: &mut Sheet, overview: &SpecTaskOverview, look: Look) {
    let branches = branches(&overview.sessions);
    let columns = Columns::new(&branches);
    for branch in &branches {
        line(sheet, branch, &columns, look);
        sheet.end();
    }
    for task in overview.tasks.iter().filter(|task| task.session.is_none()) {
        idle(sheet, task, look);
        sheet.end();
    }
}

/// The widths that all lines of a tree share.
pub(super) struct Columns {
    name: usize,
    state: usize,
}

impl Columns {
    /// Those that fit the lines.
    pub(super) fn new(branches: &[Branch<'_>]) -> Self {
        let width = console::measure_text_width;
        let name = branches
            .iter()
            .map(|branch| width(&branch.lead) + width(short(branch.session)));
        let state = branches
            .iter()
            .map(|branch| width(wording::session_state(branch.session).1));
        Self {
            name: name.max().unwrap_or(0).min(36),
            state: state.max().unwrap_or(0),
        }
    }
}

/// Writes one session without the end of its line.
pub(super) fn line(sheet: &mut Sheet, branch: &Branch<'_>, columns: &Columns, look: Look) {
    let session = branch.session;
    let (tone, mark) = wording::mark(session);
    let mark = look.spin.filter(|_| tone == Tone::Busy).unwrap_or(mark);
    let (state_tone, state) = wording::session_state(session);
    let elapsed = time::elapsed(
        session.started_at.as_deref(),
        session.ended_at.as_deref(),
        look.now,
    );
    let name = columns
        .name
        .saturating_sub(console::measure_text_width(&branch.lead));
    sheet
        .plain("  ")
        .put(Tone::Faint, &branch.lead)
        .put(tone, mark)
        .plain(" ")
        .cell(Tone::Name, short(session), name)
        .plain("  ")
        .cell(state_tone, state, columns.state)
        .plain("  ")
        .cell(Tone::Faint, &elapsed, 6);
    let used = 4 + columns.name + 2 + columns.state + 2 + 6 + 2;
    let room = look
        .width
        .map_or(usize::MAX, |width| width.saturating_sub(used));
    let text = detail(session);
    if !text.is_empty() && room >= STEP_WIDTH {
        sheet.plain("  ").plain(&fit(&one_line(&text), room));
    }
}

/// What a session does or needs just now.
fn detail(session: &WorkSessionView) -> String {
    if let Some(waiting) = &session.waiting
        && !session.status.is_final()
    {
        return waiting.text.clone();
    }
    match (session.status, &session.step) {
        (SessionStatus::Active, Some(step)) => step.clone(),
        _ => session.title.clone(),
    }
}

/// Writes a task that has no session yet.
pub(super) fn idle(sheet: &mut Sheet, task: &ImplementationTaskView, look: Look) {
    let (tone, mark) = wording::work_mark(task.status);
    let mut text = format!("{}. {}", task.number, task.title);
    if task.optional {
        text.push_str(" (optional)");
    }
    if task.status == ImplementationTaskStatus::Blocked && !task.depends.is_empty() {
        text.push_str(&format!("  after {}", task.depends.join(", ")));
    }
    let text = fit(
        &one_line(&text),
        look.width.map_or(usize::MAX, |w| w.saturating_sub(4)),
    );
    sheet
        .plain("  ")
        .put(tone, mark)
        .plain(" ")
        .put(Tone::Faint, &text);
}
