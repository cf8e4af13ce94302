//! Order between tasks: what depends on what, and circles in it.

use std::collections::HashMap;
use std::ops::Range;

use super::annotations::Label;
use super::graph::Graph;
use super::refs::{Ref, parse_refs};
use super::report::Report;
use super::tasks::TasksDoc;
use super::waves;

/// More dependencies than this are not a plan.
pub(super) const MAX_EDGES: usize = 1_000_000;

/// A dependency of one task on another, by index, and where it is written.
pub(super) struct Edge {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) place: Range<usize>,
}

/// The order that a `tasks.md` asks for.
pub(super) struct Order {
    pub(super) edges: Vec<Edge>,
    /// Whether any task says what it depends on.
    pub(super) explicit: bool,
    /// The wave of each task; of a parent the first one of its children.
    pub(super) first_wave: Vec<Option<u32>>,
    last_wave: Vec<Option<u32>>,
}

/// Finds tasks by number.
pub(super) struct Numbers<'a> {
    doc: &'a TasksDoc,
    tasks: HashMap<&'a str, usize>,
    groups: HashMap<&'a str, usize>,
}

impl<'a> Numbers<'a> {
    fn new(doc: &'a TasksDoc) -> Self {
        let mut tasks = HashMap::new();
        for (index, task) in doc.tasks.iter().enumerate() {
            if let Some(number) = &task.number {
                tasks.entry(number.as_str()).or_insert(index);
            }
        }
        let mut groups = HashMap::new();
        for (index, group) in doc.groups.iter().enumerate() {
            groups.entry(group.number.as_str()).or_insert(index);
        }
        Self { doc, tasks, groups }
    }

    /// The tasks of this number: one, or the children of a top-level task without a box.
    pub(super) fn find(&self, number: &str) -> &[usize] {
        if let Some(index) = self.tasks.get(number) {
            return std::slice::from_ref(index);
        }
        let Some(group) = self
            .groups
            .get(number)
            .map(|&group| &self.doc.groups[group])
        else {
            return &[];
        };
        group
            .head
            .as_ref()
            .map_or(&group.tasks, std::slice::from_ref)
    }
}

/// Reads the order and reports what is wrong with it.
pub(super) fn order(doc: &TasksDoc, text: &str, report: &mut Report) -> Order {
    let numbers = Numbers::new(doc);
    let (edges, explicit) = dependencies(doc, &numbers, text, report);
    let (first_wave, last_wave) = waves::waves(doc, &numbers, text, report);
    let order = Order {
        edges,
        explicit,
        first_wave,
        last_wave,
    };
    order.check_waves(doc, report);
    order.check_cycles(doc, report);
    order
}

fn dependencies(
    doc: &TasksDoc,
    numbers: &Numbers<'_>,
    text: &str,
    report: &mut Report,
) -> (Vec<Edge>, bool) {
    let mut edges = Vec::new();
    let mut explicit = false;
    let mut named = 0;
    for (from, task) in doc.tasks.iter().enumerate() {
        for note in task
            .annotations
            .iter()
            .filter(|note| note.label == Label::Depends)
        {
            // `_Depends: none_` counts: somebody thought about the order.
            explicit = true;
            for (place, reference) in parse_refs(&text[note.value.clone()], note.value.start) {
                if named >= MAX_EDGES || edges.len() >= MAX_EDGES {
                    break;
                }
                let mut missing = false;
                for number in task_numbers(reference, &text[place.clone()]) {
                    named += 1;
                    let found = numbers.find(&number);
                    missing |= found.is_empty();
                    for &to in found {
                        edges.push(Edge {
                            from,
                            to,
                            place: place.clone(),
                        });
                    }
                }
                if missing || matches!(reference, Ref::Unreadable | Ref::All) {
                    report.error(
                        "dangling-dependency",
                        place.clone(),
                        format!("There is no task {}.", &text[place]),
                        "Depend on the number of a task in this plan, such as 1 or 2.3.",
                    );
                }
            }
        }
    }
    if named >= MAX_EDGES || edges.len() >= MAX_EDGES {
        report.error(
            "too-many-dependencies",
            0..0,
            "The plan has too many dependencies.",
            "Name only the tasks that a task really needs.",
        );
    }
    (edges, explicit)
}

fn task_numbers(reference: Ref, written: &str) -> Vec<String> {
    const LONGEST: u32 = 1000;
    match reference {
        Ref::One(n) => vec![n.to_string()],
        Ref::Two(a, b) => vec![format!("{a}.{b}")],
        Ref::Deep => vec![
            written
                .trim_matches(|c: char| !c.is_ascii_digit())
                .to_owned(),
        ],
        Ref::OneToOne(a, b) if b - a <= LONGEST => (a..=b).map(|n| n.to_string()).collect(),
        Ref::TwoToTwo((a, m), (b, n)) if a == b && n - m <= LONGEST => {
            (m..=n).map(|child| format!("{a}.{child}")).collect()
        }
        Ref::OneToOne(..) | Ref::TwoToTwo(..) => vec![written.to_owned()],
        Ref::All | Ref::Unreadable => Vec::new(),
    }
}

impl Order {
    fn check_waves(&self, doc: &TasksDoc, report: &mut Report) {
        for edge in &self.edges {
            let (Some(wave), Some(needed)) = (self.first_wave[edge.from], self.last_wave[edge.to])
            else {
                continue;
            };
            let help = "Move it to a wave after the ones of all tasks that it depends on.";
            let (task, other) = (name(doc, edge.from), name(doc, edge.to));
            if wave < needed {
                let message = format!(
                    "Task {task} is in wave {wave}, before wave {needed} of task {other} that it depends on."
                );
                report.error("wave-order", edge.place.clone(), message, help);
            } else if wave == needed && doc.tasks[edge.from].group != doc.tasks[edge.to].group {
                let message = format!(
                    "Task {task} and task {other} that it depends on are both in wave {wave}."
                );
                report.warning("wave-order", edge.place.clone(), message, help);
            }
        }
    }

    fn check_cycles(&self, doc: &TasksDoc, report: &mut Report) {
        const HELP: &str = "Take one of these dependencies out, or join the tasks into one.";
        // Two nodes per task: a task starts when all it depends on is done, and is done when it
        // has started and all its children are done; children start after their parent.
        let (start, done) = (|task: usize| 2 * task, |task: usize| 2 * task + 1);
        let mut edges: Vec<(usize, usize)> = self
            .edges
            .iter()
            .map(|edge| (start(edge.from), done(edge.to)))
            .collect();
        for (index, task) in doc.tasks.iter().enumerate() {
            edges.push((done(index), start(index)));
            if let Some(parent) = task.parent {
                edges.push((start(index), start(parent)));
                edges.push((done(parent), done(index)));
            }
        }
        let cycles = Graph::new(2 * doc.tasks.len(), &edges).cycles();
        for cycle in &cycles {
            let mut tasks: Vec<usize> = cycle.iter().map(|node| node / 2).collect();
            tasks.dedup();
            if tasks.len() > 1 && tasks.first() == tasks.last() {
                tasks.pop();
            }
            let names: Vec<String> = tasks.iter().map(|&task| name(doc, task)).collect();
            let place = doc.tasks[tasks[0]].number_at.clone();
            report.error(
                "task-cycle",
                place,
                format!("Tasks wait for each other: {}.", circle(&names)),
                HELP,
            );
        }
        if !cycles.is_empty() {
            return;
        }
        let mut hops: HashMap<(usize, usize), &Edge> = HashMap::new();
        for edge in &self.edges {
            let (from, to) = (doc.tasks[edge.from].group, doc.tasks[edge.to].group);
            if from != to {
                hops.entry((from, to)).or_insert(edge);
            }
        }
        let mut edges: Vec<(usize, usize)> = hops.keys().copied().collect();
        edges.sort_unstable();
        for cycle in Graph::new(doc.groups.len(), &edges).cycles() {
            let names: Vec<String> = cycle
                .iter()
                .map(|&group| doc.groups[group].number.clone())
                .collect();
            let needs: Vec<String> = cycle
                .iter()
                .enumerate()
                .take(10)
                .filter_map(|(at, &group)| hops.get(&(group, cycle[(at + 1) % cycle.len()])))
                .map(|edge| format!("{} needs {}", name(doc, edge.from), name(doc, edge.to)))
                .collect();
            let hop = hops.get(&(cycle[0], cycle[1 % cycle.len()]));
            report.error(
                "task-cycle",
                hop.map_or(0..0, |edge| edge.place.clone()),
                format!(
                    "Top-level tasks wait for each other: {} ({}).",
                    circle(&names),
                    needs.join(", ")
                ),
                "A top-level task is worked on as a whole: move children so that all of one can come before the other.",
            );
        }
    }
}

fn name(doc: &TasksDoc, index: usize) -> String {
    let task = &doc.tasks[index];
    task.number.clone().unwrap_or_else(|| {
        if task.parent.is_none() {
            doc.groups[task.group].number.clone()
        } else {
            format!("`{}`", task.title)
        }
    })
}

/// `a → b → a`, shortened.
fn circle(names: &[String]) -> String {
    let mut text = names
        .iter()
        .take(10)
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join(" → ");
    if names.len() > 10 {
        text.push_str(" → …");
    }
    if let Some(first) = names.first() {
        text.push_str(" → ");
        text.push_str(first);
    }
    text
}
