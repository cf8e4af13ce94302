//! From `tasks.md` to tasks that can be given to work sessions.

use std::collections::BTreeSet;
use std::ops::Range;

use serde::{Deserialize, Serialize};
use spectask_protocol::{DocumentKind, Finding, Severity};

use super::annotations::{Label, values};
use super::order::{self, Order};
use super::profile::Profile;
use super::refs::{CriteriaIndex, Ref, parse_refs};
use super::report::Report;
use super::requirements;
use super::tasks::{self, Group, TaskState, TasksDoc};

/// Findings of these rules leave no plan to work from.
const FATAL: [&str; 5] = [
    "no-tasks",
    "duplicate-task",
    "task-cycle",
    "too-many-dependencies",
    "too-many-tasks",
];
/// More top-level tasks than this are no plan.
const MAX_TASKS: usize = 10_000;
/// More citations of criteria than this, over all tasks, are no plan.
const MAX_CITED: usize = 1_000_000;

/// A top-level task of a plan: what one work session works on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedTask {
    /// Its number: `1`.
    pub number: String,
    /// Title without number and markers.
    pub title: String,
    /// The whole block as it stands in the document, children included.
    pub text: String,
    /// The checkboxes without children of their own; the task itself if it has none.
    pub leaves: Vec<Leaf>,
    /// Ids of the criteria that the task or its children cite, sorted.
    pub requirements: Vec<String>,
    /// Numbers of the top-level tasks that must be done before.
    pub depends: Vec<String>,
    /// The first wave in which one of its leaves stands.
    pub wave: Option<u32>,
    /// Names from `_Resources:_` that no two sessions may use at once.
    pub resources: Vec<String>,
    /// Names from `_Files:_` and `_Boundary:_`.
    pub files: Vec<String>,
    /// Whether it need not be done.
    pub optional: bool,
    /// Whether all its required leaves are ticked.
    pub ticked: bool,
}

/// A checkbox without children.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leaf {
    /// Its number: `1.2`.
    pub number: Option<String>,
    /// Title without number and markers.
    pub title: String,
    /// Whether it is ticked.
    pub ticked: bool,
    /// Whether it need not be done.
    pub optional: bool,
    /// Place of its state byte.
    pub span: Range<usize>,
}

/// How much of a plan is done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Ticked required leaves.
    pub done: u32,
    /// All required leaves.
    pub total: u32,
}

/// Counts ticked required leaves over all required leaves.
#[must_use]
pub fn progress(tasks: &str) -> Progress {
    let doc = tasks::parse(tasks, &mut Report::new(DocumentKind::Tasks, Profile::Kiro));
    let mut progress = Progress::default();
    for task in doc
        .tasks
        .iter()
        .filter(|task| !task.has_children && !task.optional)
    {
        progress.total += 1;
        progress.done += u32::from(task.ticked());
    }
    progress
}

/// The top-level tasks with their dependencies.
///
/// A task depends on another if it or one of its children says so in `_Depends:_`. Where no task
/// says so, it depends on the tasks of the wave before its own; where there are no waves either,
/// on the task before it (tasks marked `(P)` may run beside each other). With `_Depends:_`
/// anywhere, waves only order.
///
/// # Errors
///
/// The findings, if there are no tasks, numbers are not unique, tasks wait for each other, or
/// there are more than can be planned.
pub fn plan(tasks: &str, requirements: &str) -> Result<Vec<PlannedTask>, Vec<Finding>> {
    let mut report = Report::new(DocumentKind::Tasks, Profile::Kiro);
    let doc = tasks::parse(tasks, &mut report);
    super::rules::tasks(&doc, tasks, &mut report);
    if doc.groups.len() > MAX_TASKS {
        report.error(
            "too-many-tasks",
            0..0,
            format!("The plan has more than {MAX_TASKS} top-level tasks."),
            "Split it into several.",
        );
    }
    let order = order::order(
        &doc,
        tasks,
        &mut Report::new(DocumentKind::Tasks, Profile::Kiro),
    );
    let fatal: Vec<Finding> = report
        .finish(tasks)
        .into_iter()
        .filter(|finding| {
            finding.severity == Severity::Error && FATAL.contains(&finding.rule.as_str())
        })
        .collect();
    if !fatal.is_empty() {
        return Err(fatal);
    }
    let parsed = requirements::parse(
        requirements,
        &mut Report::new(DocumentKind::Requirements, Profile::Helix),
    );
    let index = CriteriaIndex::new(&parsed);
    let depends = depends(&doc, &order);
    let mut tasks_planned = Vec::with_capacity(doc.groups.len());
    let mut cited = 0;
    for (group, depends) in doc.groups.iter().zip(depends) {
        let depends = depends
            .into_iter()
            .map(|other| doc.groups[other].number.clone())
            .collect();
        let task = planned(&doc, group, tasks, &index, &order, depends);
        cited += task.requirements.len();
        if cited > MAX_CITED {
            let mut report = Report::new(DocumentKind::Tasks, Profile::Kiro);
            report.error(
                "too-many-references",
                0..0,
                "The tasks cite too many criteria.",
                "Name only the criteria that a task fulfils.",
            );
            return Err(report.finish(tasks));
        }
        tasks_planned.push(task);
    }
    Ok(tasks_planned)
}

/// Per top-level task the ones it depends on, by index.
fn depends(doc: &TasksDoc, order: &Order) -> Vec<BTreeSet<usize>> {
    let mut depends: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); doc.groups.len()];
    if order.explicit {
        for edge in &order.edges {
            let (from, to) = (doc.tasks[edge.from].group, doc.tasks[edge.to].group);
            if from != to {
                depends[from].insert(to);
            }
        }
        return depends;
    }
    let stages = stages(doc, order);
    let mut edges = 0;
    for (number, stage) in stages.iter().enumerate().skip(1) {
        for &group in stage {
            for &before in &stages[number - 1] {
                edges += 1;
                // So many tasks side by side: one of the wave before stands for it.
                if edges > order::MAX_EDGES && !depends[group].is_empty() {
                    break;
                }
                depends[group].insert(before);
            }
        }
    }
    depends
}

/// Top-level tasks in the stages in which they are worked on when none says what it depends on.
fn stages(doc: &TasksDoc, order: &Order) -> Vec<Vec<usize>> {
    let wave_of = |group: &Group| {
        group
            .tasks
            .iter()
            .filter_map(|&task| order.first_wave[task])
            .min()
    };
    let mut waves: Vec<u32> = doc.groups.iter().filter_map(wave_of).collect();
    waves.sort_unstable();
    waves.dedup();
    if !waves.is_empty() {
        let mut stages = vec![Vec::new(); waves.len()];
        let mut late = Vec::new();
        for (index, group) in doc.groups.iter().enumerate() {
            match wave_of(group).and_then(|wave| waves.binary_search(&wave).ok()) {
                Some(stage) => stages[stage].push(index),
                // In no wave: after all of them, for nothing says that it could be earlier.
                None => late.push(vec![index]),
            }
        }
        stages.extend(late);
        return stages;
    }
    let mut stages: Vec<Vec<usize>> = Vec::new();
    let mut beside = false;
    for (index, group) in doc.groups.iter().enumerate() {
        let parallel = group.head.is_some_and(|head| doc.tasks[head].parallel);
        match stages.last_mut() {
            Some(stage) if parallel && beside => stage.push(index),
            _ => stages.push(vec![index]),
        }
        beside = parallel;
    }
    stages
}

fn planned(
    doc: &TasksDoc,
    group: &Group,
    text: &str,
    index: &CriteriaIndex,
    order: &Order,
    depends: Vec<String>,
) -> PlannedTask {
    let head = group.head.map(|head| &doc.tasks[head]);
    let members = || group.tasks.iter().map(|&task| &doc.tasks[task]);
    let leaves: Vec<Leaf> = members()
        .filter(|task| !task.has_children)
        .map(|task| Leaf {
            number: task.number.clone(),
            title: task.title.clone(),
            ticked: task.ticked(),
            optional: task.optional,
            span: task.state_at..task.state_at + 1,
        })
        .collect();
    let mut required = leaves.iter().filter(|leaf| !leaf.optional).peekable();
    let ticked = match required.peek() {
        Some(_) => required.all(|leaf| leaf.ticked),
        None => head.is_some_and(|head| head.state == TaskState::Done),
    };
    let all_optional = leaves.iter().all(|leaf| leaf.optional);
    PlannedTask {
        number: group.number.clone(),
        title: head
            .or_else(|| members().next())
            .map(|task| task.title.clone())
            .unwrap_or_default(),
        text: block(doc, group, text),
        requirements: cited(doc, group, text, index),
        depends,
        wave: group
            .tasks
            .iter()
            .filter_map(|&task| order.first_wave[task])
            .min(),
        resources: listed(doc, group, text, Label::Resources),
        files: listed(doc, group, text, Label::Files),
        optional: head.map_or(all_optional, |head| head.optional),
        ticked,
        leaves,
    }
}

/// The source of a group: one piece for each run of its tasks in the document.
fn block(doc: &TasksDoc, group: &Group, text: &str) -> String {
    let mut pieces: Vec<Range<usize>> = Vec::new();
    let mut before = None;
    for &index in &group.tasks {
        let task = &doc.tasks[index];
        match pieces.last_mut() {
            Some(piece) if before.is_some_and(|before: usize| before + 1 == index) => {
                piece.end = task.end;
            }
            _ => {
                let indent = text[..task.line.start].len()
                    - text[..task.line.start].trim_end_matches([' ', '\t']).len();
                pieces.push(task.line.start - indent..task.end);
            }
        }
        before = Some(index);
    }
    pieces
        .into_iter()
        .map(|piece| &text[piece])
        .collect::<Vec<_>>()
        .join("\n")
}

/// The criteria that the tasks of a group cite; as written where there are no requirements.
fn cited(doc: &TasksDoc, group: &Group, text: &str, index: &CriteriaIndex) -> Vec<String> {
    let mut unknown: BTreeSet<(u32, Option<u32>)> = BTreeSet::new();
    let mut found: Vec<Range<usize>> = Vec::new();
    for list in notes(doc, group, Label::Requirements) {
        for (_, reference) in parse_refs(&text[list.clone()], list.start) {
            match (index.resolve(reference), reference) {
                (Some(range), _) => found.push(range),
                (None, Ref::One(n)) if index.len() == 0 => drop(unknown.insert((n, None))),
                (None, Ref::Two(n, m)) if index.len() == 0 => drop(unknown.insert((n, Some(m)))),
                _ => {}
            }
        }
    }
    if index.len() == 0 {
        let written = |(n, m): (u32, Option<u32>)| m.map_or(n.to_string(), |m| format!("{n}.{m}"));
        return unknown.into_iter().map(written).collect();
    }
    // Each criterion once, however often it is cited.
    found.sort_unstable_by_key(|range| range.start);
    let mut next = 0;
    let mut ids = Vec::new();
    for range in found {
        for position in range.start.max(next)..range.end {
            let (n, m) = index.id(position);
            ids.push(format!("{n}.{m}"));
        }
        next = next.max(range.end);
    }
    ids
}

fn notes<'a>(
    doc: &'a TasksDoc,
    group: &'a Group,
    label: Label,
) -> impl Iterator<Item = Range<usize>> + 'a {
    group
        .tasks
        .iter()
        .flat_map(|&task| &doc.tasks[task].annotations)
        .filter(move |note| note.label == label)
        .map(|note| note.value.clone())
}

fn listed(doc: &TasksDoc, group: &Group, text: &str, label: Label) -> Vec<String> {
    let mut names: Vec<String> = notes(doc, group, label)
        .flat_map(|list| values(&text[list]).map(str::to_owned).collect::<Vec<_>>())
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}
