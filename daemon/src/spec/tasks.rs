//! `tasks.md`: the implementation plan with its checkboxes.

use std::collections::HashMap;
use std::ops::Range;

use spectask_protocol::{DocumentKind, Finding};

use super::annotations::{Annotation, annotations};
use super::checkbox::{Checkbox, checkbox, title_of};
use super::lines::{Line, Lines, Place, number, range_of, starts_with_ci};
use super::profile::Profile;
use super::report::Report;

/// What the mark in a checkbox says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskState {
    /// `[ ]`
    Open,
    /// `[-]`, or `[~]` with Helix.
    InProgress,
    /// `[x]`
    Done,
    /// A mark without a meaning in the profile.
    Other,
}

/// A parsed `tasks.md`.
#[derive(Debug, Clone, Default)]
pub struct TasksDoc {
    /// Text of the first heading of level one.
    pub title: Option<String>,
    /// Every checkbox, in the order of the document.
    pub tasks: Vec<Task>,
    /// The top-level tasks.
    pub groups: Vec<Group>,
    /// The JSON of the task dependency graph.
    pub(super) graph: Option<Range<usize>>,
}

/// One checkbox.
#[derive(Debug, Clone)]
pub struct Task {
    /// Its number as written, without a final dot: `1`, `2.3`.
    pub number: Option<String>,
    /// Title without number and markers.
    pub title: String,
    /// What the mark says.
    pub state: TaskState,
    /// Place of the state byte.
    pub state_at: usize,
    /// `- [ ]*`: need not be done.
    pub optional: bool,
    /// Index of the task it belongs to.
    pub parent: Option<usize>,
    /// Whether other tasks belong to it.
    pub has_children: bool,
    /// The line of the checkbox.
    pub line: Range<usize>,
    /// Index into the groups.
    pub group: usize,
    pub(super) number_at: Range<usize>,
    pub(super) parallel: bool,
    pub(super) annotations: Vec<Annotation>,
    /// One past the last byte of text that belongs to it alone.
    pub(super) end: usize,
    /// Its number says that it has a parent, and there is none.
    pub(super) orphan: bool,
}

/// A top-level task with all that belongs to it.
#[derive(Debug, Clone)]
pub struct Group {
    /// Its number, or the one it was given because it has none.
    pub number: String,
    /// Indices of its tasks in the order of the document.
    pub tasks: Vec<usize>,
    /// Index of the top-level checkbox itself; `None` if only its children exist.
    pub head: Option<usize>,
}

impl Task {
    /// Whether the checkbox is ticked.
    #[must_use]
    pub fn ticked(&self) -> bool {
        self.state == TaskState::Done
    }
}

/// Parses `tasks.md`; the findings are those of shape, dependencies and waves.
#[must_use]
pub fn parse_tasks(text: &str) -> (TasksDoc, Vec<Finding>) {
    let mut report = Report::new(DocumentKind::Tasks, Profile::Kiro);
    let doc = parse(text, &mut report);
    super::rules::tasks(&doc, text, &mut report);
    (doc, report.finish(text))
}

#[derive(PartialEq)]
enum Section {
    Plan,
    Notes,
    Graph,
}

struct Parser<'r> {
    report: &'r mut Report,
    doc: TasksDoc,
    section: Section,
    /// Indent and index of the tasks that the next line may belong to.
    stack: Vec<(usize, usize)>,
    by_number: HashMap<String, usize>,
    /// The last task that text was added to.
    last: Option<usize>,
    json: Option<usize>,
}

pub(super) fn parse(text: &str, report: &mut Report) -> TasksDoc {
    let mut parser = Parser {
        report,
        doc: TasksDoc::default(),
        section: Section::Plan,
        stack: Vec::new(),
        by_number: HashMap::new(),
        last: None,
        json: None,
    };
    let mut lines = Lines::new(text);
    for line in &mut lines {
        parser.line(&line);
    }
    if let Some(start) = parser.json
        && parser.doc.graph.is_none()
    {
        parser.doc.graph = Some(start..text.len());
    }
    let mut doc = parser.doc;
    group(&mut doc);
    if let Some(at) = lines.open_fence() {
        super::rules::open_fence(at, report);
    }
    doc
}

impl Parser<'_> {
    fn line(&mut self, line: &Line<'_>) {
        match line.place {
            Place::Text => {}
            Place::FenceOpen => {
                let info = line.text.trim().trim_start_matches(['`', '~']).trim();
                let json = info.is_empty() || starts_with_ci(info, "json");
                if self.section == Section::Graph && json && self.json.is_none() {
                    self.json = Some(line.end);
                }
                return self.belongs(line);
            }
            Place::FenceClose => {
                if let Some(start) = self.json
                    && self.doc.graph.is_none()
                {
                    self.doc.graph = Some(start..line.start);
                }
                return self.belongs(line);
            }
            Place::Code | Place::Comment => return self.belongs(line),
        }
        if let Some((level, title)) = line.heading() {
            self.heading(level, title);
            return;
        }
        if line.text.trim().is_empty() {
            return;
        }
        if self.section == Section::Plan {
            match checkbox(line) {
                Some(Ok(found)) => return self.task(line, &found),
                Some(Err(place)) => self.report.warning(
                    "task-checkbox",
                    place,
                    "This is not a checkbox.",
                    "Write `- [ ] 1. Title` with one of a space, x or - between the brackets.",
                ),
                None => {}
            }
        }
        self.belongs(line);
        if let Some(owner) = self.owner(line) {
            let found = annotations(line.text, line.text_start);
            self.doc.tasks[owner].annotations.extend(found);
        }
    }

    fn heading(&mut self, level: usize, title: &str) {
        self.stack.clear();
        self.last = None;
        if level == 1 && self.doc.title.is_none() {
            self.doc.title = Some(title.to_owned());
        }
        let graph = [
            "dependency graph",
            "task dependency",
            "任务依赖",
            "依存グラフ",
            "タスク依存",
        ];
        let notes = ["notes", "note:", "备注", "说明", "注意", "備考", "メモ"];
        let lower = title.to_lowercase();
        if graph.iter().any(|name| lower.contains(name)) {
            self.section = Section::Graph;
        } else if notes.iter().any(|name| lower.starts_with(name)) {
            self.section = Section::Notes;
        } else if level <= 2 || self.section != Section::Graph {
            self.section = Section::Plan;
        }
    }

    /// Adds a line to the block of the task above it.
    fn belongs(&mut self, line: &Line<'_>) {
        if let Some(last) = self.last
            && !line.text.trim().is_empty()
        {
            self.doc.tasks[last].end = line.text_start + line.text.trim_end().len();
        }
    }

    /// The task that a line of detail is about, by its indentation.
    fn owner(&self, line: &Line<'_>) -> Option<usize> {
        let last = self.last?;
        let indent = line.indent();
        let outer = self
            .stack
            .iter()
            .rev()
            .find(|(task_indent, _)| *task_indent < indent);
        Some(outer.map_or(last, |&(_, index)| index))
    }

    fn task(&mut self, line: &Line<'_>, found: &Checkbox<'_>) {
        let indent = line.indent();
        while self.stack.last().is_some_and(|&(outer, _)| outer >= indent) {
            self.stack.pop();
        }
        let around = self.stack.last().map(|&(_, index)| index);
        let heading = title_of(found.rest);
        let dotted = heading
            .number
            .as_deref()
            .is_some_and(|number| number.contains('.'));
        let by_number = heading
            .number
            .as_deref()
            .and_then(|number| number.rsplit_once('.'))
            .and_then(|(parent, _)| self.by_number.get(parent).copied());
        let parent = if dotted { by_number.or(around) } else { around };
        // `1.` inside another task is a list of its own, not a number of the plan.
        let number = heading.number.filter(|_| dotted || parent.is_none());
        let number_at = heading.number_text.map_or_else(
            || line.trimmed(),
            |text| range_of(line.text, line.text_start, text),
        );
        let index = self.doc.tasks.len();
        if let (Some(number), Some(around), Some(expected)) = (&number, around, by_number)
            && around != expected
        {
            self.report.warning(
                "task-nesting",
                number_at.clone(),
                format!("Task {number} stands inside another task than its number says."),
                "Move it under the task whose number it continues.",
            );
        }
        if let Some(parent) = parent {
            self.doc.tasks[parent].has_children = true;
        }
        if let Some(number) = &number {
            self.by_number.entry(number.clone()).or_insert(index);
        }
        let state = match found.mark {
            b' ' => TaskState::Open,
            b'x' | b'X' => TaskState::Done,
            mark => self
                .report
                .profile()
                .state(mark)
                .unwrap_or(TaskState::Other),
        };
        if state == TaskState::Other {
            self.report.warning(
                "task-state",
                found.state_at..found.state_at + 1,
                format!("The mark `{}` has no meaning here.", char::from(found.mark)),
                "Use a space for open, x for done, - for in progress.",
            );
        }
        let inherited = parent.is_some_and(|parent| self.doc.tasks[parent].optional);
        self.doc.tasks.push(Task {
            orphan: dotted && by_number.is_none(),
            number,
            title: heading.title,
            state,
            state_at: found.state_at,
            optional: found.optional || heading.optional || inherited,
            parent,
            has_children: false,
            line: line.trimmed(),
            group: 0,
            number_at,
            parallel: heading.parallel,
            annotations: annotations(line.text, line.text_start),
            end: line.trimmed().end,
        });
        self.stack.push((indent, index));
        self.last = Some(index);
    }
}

/// Gathers the tasks under their top-level tasks and numbers those that have no number.
fn group(doc: &mut TasksDoc) {
    let used = doc
        .tasks
        .iter()
        .filter_map(|task| task.number.as_deref())
        .filter_map(top_number)
        .max();
    let mut next = used.unwrap_or(0);
    let mut by_number: HashMap<String, usize> = HashMap::new();
    for index in 0..doc.tasks.len() {
        let task = &doc.tasks[index];
        let group = if let Some(parent) = task.parent {
            doc.tasks[parent].group
        } else {
            let dotted = task
                .number
                .as_ref()
                .is_some_and(|number| number.contains('.'));
            let number = task
                .number
                .as_deref()
                .and_then(top_number)
                .unwrap_or_else(|| {
                    next = next.saturating_add(1);
                    next
                });
            let number = number.to_string();
            match by_number.get(&number) {
                Some(&group) if dotted => group,
                _ => {
                    let group = doc.groups.len();
                    by_number.entry(number.clone()).or_insert(group);
                    let head = (!dotted).then_some(index);
                    doc.groups.push(Group {
                        number,
                        tasks: Vec::new(),
                        head,
                    });
                    group
                }
            }
        };
        doc.tasks[index].group = group;
        doc.groups[group].tasks.push(index);
    }
}

fn top_number(text: &str) -> Option<u32> {
    number(text).map(|(value, _)| value)
}
