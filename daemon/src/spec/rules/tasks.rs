//! The shape of `tasks.md`.

use std::collections::{HashMap, HashSet};

use crate::spec::annotations::Label;
use crate::spec::order;
use crate::spec::report::Report;
use crate::spec::tasks::{TaskState, TasksDoc};

pub(in crate::spec) fn tasks(doc: &TasksDoc, text: &str, report: &mut Report) {
    if doc.title.is_none() {
        report.warning(
            "missing-title",
            0..0,
            "The document has no title.",
            "Start it with `# Implementation Plan`.",
        );
    }
    if doc.tasks.is_empty() {
        report.error(
            "no-tasks",
            0..0,
            "The plan has no tasks.",
            "Write tasks as checkboxes: `- [ ] 1. Title`, children as `  - [ ] 1.1 Title`.",
        );
        return;
    }
    numbering(doc, report);
    ticks(doc, report);
    let order = order::order(doc, text, report);
    if doc.groups.len() > 1 && !order.explicit && doc.graph.is_none() {
        report.info(
            "no-dependencies",
            doc.tasks[0].line.clone(),
            "No task says what it depends on, so they are worked on one after another.",
            "Add `_Depends: 1, 2_` to tasks or a task dependency graph with waves.",
        );
    }
    let cites = |task: usize| {
        doc.tasks[task]
            .annotations
            .iter()
            .any(|note| note.label == Label::Requirements)
    };
    let any = (0..doc.tasks.len()).any(cites);
    for group in &doc.groups {
        let head = &doc.tasks[group.head.unwrap_or(group.tasks[0])];
        let checkpoint = head.title.to_lowercase().contains("checkpoint");
        if any && !checkpoint && !group.tasks.iter().any(|&task| cites(task)) {
            report.info(
                "task-without-requirements",
                head.line.clone(),
                format!("Task {} names no requirement.", group.number),
                "Add `_Requirements: 1.1, 1.2_` with the criteria that it fulfils.",
            );
        }
    }
}

fn numbering(doc: &TasksDoc, report: &mut Report) {
    let mut seen: HashSet<&str> = HashSet::new();
    let mut last: HashMap<&str, u32> = HashMap::new();
    for task in &doc.tasks {
        let Some(number) = task.number.as_deref() else {
            if task.parent.is_none() {
                let number = &doc.groups[task.group].number;
                report.warning(
                    "task-unnumbered",
                    task.line.clone(),
                    format!("The task has no number; it counts as task {number}."),
                    "Number top-level tasks: `- [ ] 1. Title`.",
                );
            }
            continue;
        };
        if !seen.insert(number) {
            report.error(
                "duplicate-task",
                task.number_at.clone(),
                format!("There is more than one task {number}."),
                "Give each task a number of its own.",
            );
            continue;
        }
        if task.orphan {
            report.error(
                "task-orphan",
                task.number_at.clone(),
                format!("Task {number} has no parent with the number it continues."),
                "Add the parent as a checkbox before it, or number the task anew.",
            );
        }
        let (parent, child) = number.rsplit_once('.').unwrap_or(("", number));
        let child: u32 = child.parse().unwrap_or(u32::MAX);
        let before = last.insert(parent, child).unwrap_or(0);
        // Some plans start children at zero.
        if child != before.saturating_add(1) && !(child == 0 && before == 0) {
            report.warning(
                "task-numbering",
                task.number_at.clone(),
                if before == 0 {
                    format!("The first number here is {number}.")
                } else {
                    format!(
                        "Task {number} follows {}{before}.",
                        if parent.is_empty() {
                            String::new()
                        } else {
                            format!("{parent}.")
                        }
                    )
                },
                "Number tasks from 1 without gaps.",
            );
        }
    }
}

fn ticks(doc: &TasksDoc, report: &mut Report) {
    let mut open = vec![false; doc.tasks.len()];
    for (index, task) in doc.tasks.iter().enumerate().rev() {
        if !task.has_children {
            open[index] = !task.optional && task.state != TaskState::Done;
        }
        if let Some(parent) = task.parent {
            open[parent] |= open[index];
        }
        if task.has_children && task.state == TaskState::Done && open[index] {
            report.error(
                "parent-ticked",
                task.state_at..task.state_at + 1,
                "The task is ticked, but one of its required children is open.",
                "Untick it, or tick the child when it is done.",
            );
        }
    }
}
