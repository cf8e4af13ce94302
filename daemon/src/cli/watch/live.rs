//! The tree that moves: a header with its bar, and a line per session with state, time and step.

use console::Term;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use jiff::Timestamp;
use spectask_protocol::{SessionStatus, SpecTaskOverview};

use super::super::{
    sheet::{Sheet, Tone},
    tree::{self, Columns, Look},
    wording,
};

const SPINNER: [&str; 10] = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];
/// Drawn more often than this nothing is won.
const DRAWS_PER_SECOND: u8 = 15;

/// A tree on the terminal.
pub(super) struct Live {
    bars: MultiProgress,
    rows: Vec<ProgressBar>,
    style: ProgressStyle,
    frame: usize,
    color: bool,
}

impl Live {
    /// An empty tree.
    pub(super) fn new(color: bool) -> Self {
        let target = ProgressDrawTarget::term(Term::stdout(), DRAWS_PER_SECOND);
        let style = ProgressStyle::with_template("{msg}")
            .unwrap_or_else(|_| ProgressStyle::default_spinner());
        Self {
            bars: MultiProgress::with_draw_target(target),
            rows: Vec::new(),
            style,
            frame: 0,
            color,
        }
    }

    /// Draws a state.
    pub(super) fn update(&mut self, overview: &SpecTaskOverview) {
        let (height, width) = Term::stdout().size();
        let look = Look {
            width: Some(usize::from(width).saturating_sub(1).max(20)),
            now: Timestamp::now(),
            spin: Some(SPINNER[self.frame % SPINNER.len()]),
        };
        self.frame += 1;
        let rows = usize::from(height).saturating_sub(2).max(4);
        let lines = lines(overview, look, rows, self.color);
        while self.rows.len() > lines.len() {
            if let Some(row) = self.rows.pop() {
                row.finish_and_clear();
                self.bars.remove(&row);
            }
        }
        while self.rows.len() < lines.len() {
            let row = self
                .bars
                .add(ProgressBar::new_spinner().with_style(self.style.clone()));
            self.rows.push(row);
        }
        for (row, line) in self.rows.iter().zip(lines) {
            row.set_message(line);
            row.tick();
        }
    }

    /// Prints a line above the tree.
    pub(super) fn above(&self, text: &str) {
        // A terminal that is gone shows in the next write.
        let _ = self.bars.println(text.trim_end_matches('\n'));
    }

    /// Takes the tree from the terminal.
    pub(super) fn clear(self) {
        for row in &self.rows {
            row.finish_and_clear();
        }
        let _ = self.bars.clear();
    }
}

/// Writes the tree as it stands in the end.
pub(super) fn summary(sheet: &mut Sheet, overview: &SpecTaskOverview, width: Option<usize>) {
    header(sheet, overview);
    tree::render(
        sheet,
        overview,
        Look {
            width,
            now: Timestamp::now(),
            spin: None,
        },
    );
}

/// The lines of the tree, at most so many: finished sessions make room for those that run.
fn lines(overview: &SpecTaskOverview, look: Look, rows: usize, color: bool) -> Vec<String> {
    let mut lines = Vec::new();
    let mut add = |write: &dyn Fn(&mut Sheet)| {
        let mut sheet = Sheet::new(color);
        write(&mut sheet);
        lines.push(sheet.into_text().trim_end_matches('\n').to_owned());
    };
    add(&|sheet| header(sheet, overview));
    let branches = tree::branches(&overview.sessions);
    let columns = Columns::new(&branches);
    let waiting: Vec<_> = overview
        .tasks
        .iter()
        .filter(|task| task.session.is_none())
        .collect();
    let crowded = branches.len() + waiting.len() + 1 > rows;
    let shown: Vec<_> = branches
        .iter()
        .filter(|branch| {
            !crowded
                || !branch.session.status.is_final()
                || branch.session.status == SessionStatus::Failed
        })
        .take(rows.saturating_sub(2))
        .collect();
    for branch in &shown {
        add(&|sheet| tree::line(sheet, branch, &columns, look));
    }
    let room = rows.saturating_sub(2 + shown.len());
    for task in waiting.iter().take(room) {
        add(&|sheet| tree::idle(sheet, task, look));
    }
    let hidden = branches.len() - shown.len() + waiting.len().saturating_sub(room);
    if hidden > 0 {
        add(&|sheet| {
            sheet.put(Tone::Faint, &format!("  … and {hidden} more"));
        });
    }
    lines
}

fn header(sheet: &mut Sheet, overview: &SpecTaskOverview) {
    let task = &overview.task;
    let (tone, state) = wording::task_state(task);
    sheet
        .put(Tone::Name, &task.name)
        .plain("  ")
        .put(tone, state);
    let progress = task.progress;
    if progress.total > 0 {
        let percent = u64::from(progress.done) * 100 / u64::from(progress.total);
        sheet
            .plain("  ")
            .put(Tone::Good, &wording::bar(progress.done, progress.total, 20))
            .plain(&format!(" {}/{}", progress.done, progress.total))
            .put(Tone::Faint, &format!(" {percent} %"));
    }
    sheet.end();
}

#[cfg(test)]
mod tests {
    use spectask_protocol::{ImplementationTaskStatus, Progress, SpecTaskStatus};

    use super::{super::super::fixtures, *};

    fn look(width: usize) -> Look {
        Look {
            width: Some(width),
            now: fixtures::now(),
            spin: Some("⠋"),
        }
    }

    #[test]
    fn the_tree_shows_each_agents_step() {
        let mut done = fixtures::session(1, "schema", SessionStatus::Completed);
        done.merged = Some("abc".into());
        done.ended_at = Some("2026-03-04T09:59:00Z".into());
        let mut api = fixtures::session(2, "backend-api", SessionStatus::Active);
        api.step = Some("Edit src/auth.rs and then some more files".into());
        let mut child = fixtures::session(3, "audit", SessionStatus::Active);
        child.parent = Some(api.id.clone());
        let mut overview =
            fixtures::overview(SpecTaskStatus::Implementation, vec![done, api, child]);
        overview.task.progress = Progress { done: 1, total: 3 };
        overview.tasks = vec![fixtures::work(
            "4",
            "Page",
            ImplementationTaskStatus::Blocked,
            &["2"],
        )];
        let text = lines(&overview, look(72), 20, false).join("\n");
        insta::assert_snapshot!(text, @r"
        7-user-auth  at work  ██████░░░░░░░░░░░░░░ 1/3 33 %
          ✓ 01-schema       merged, unverified  1m00s   schema
          ⠋ 02-backend-api  agent at work       2m00s   Edit src/auth.rs and th…
          └ ⠋ 03-audit      agent at work       2m00s   audit
          · 4. Page  after 2
        ");
    }

    #[test]
    fn a_low_terminal_keeps_what_runs() {
        let mut sessions: Vec<_> = (1..=20)
            .map(|number| fixtures::session(number, "done", SessionStatus::Completed))
            .collect();
        sessions.push(fixtures::session(21, "running", SessionStatus::Active));
        let overview = fixtures::overview(SpecTaskStatus::Implementation, sessions);
        let lines = lines(&overview, look(72), 8, false);
        assert!(lines.len() <= 8, "{lines:#?}");
        assert!(
            lines.iter().any(|line| line.contains("21-running")),
            "{lines:#?}"
        );
        assert!(
            lines.iter().any(|line| line.contains("20 more")),
            "{lines:#?}"
        );
    }
}
