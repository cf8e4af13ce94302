//! The rules between documents: what is cited exists, and what exists is cited.

use std::ops::Range;

use super::annotations::Label;
use super::design::DesignDoc;
use super::refs::{CriteriaIndex, Ref, parse_refs};
use super::report::Report;
use super::requirements::RequirementsDoc;
use super::rules::first_line;
use super::tasks::TasksDoc;

/// Checks the citations of the tasks against the criteria.
pub(super) fn tasks(
    requirements: &RequirementsDoc,
    requirements_text: &str,
    tasks: &TasksDoc,
    tasks_text: &str,
    reports: (&mut Report, &mut Report),
) {
    let (requirements_report, tasks_report) = reports;
    let index = CriteriaIndex::new(requirements);
    let lists = || {
        tasks
            .tasks
            .iter()
            .flat_map(|task| &task.annotations)
            .filter(|note| note.label == Label::Requirements)
            .map(|note| note.value.clone())
    };
    // Each citation is a step up at its first criterion and a step down after its last.
    let mut steps = vec![0_i64; index.len() + 1];
    for list in lists() {
        for found in resolve(&index, tasks_text, &list, tasks_report) {
            steps[found.start] += 1;
            steps[found.end] -= 1;
        }
    }
    if index.len() == 0 {
        return;
    }
    if lists().next().is_none() {
        tasks_report.error(
            "no-references",
            0..0,
            "No task names the criteria that it fulfils.",
            "Add `_Requirements: 1.1, 2.3_` to each task.",
        );
        return;
    }
    let mut depth = 0;
    let covered: Vec<bool> = steps
        .iter()
        .map(|step| {
            depth += step;
            depth > 0
        })
        .collect();
    for requirement in &requirements.requirements {
        for criterion in &requirement.criteria {
            let position = index.position((requirement.number, criterion.number));
            if position.is_some_and(|position| !covered[position]) {
                requirements_report.error(
                    "uncovered-criterion",
                    first_line(requirements_text, &criterion.item),
                    format!("No task fulfils criterion {}.", criterion.id),
                    "Name it in the `_Requirements:_` of a task, or add a task for it.",
                );
            }
        }
    }
}

/// Checks what the design says it validates.
pub(super) fn design(
    requirements: &RequirementsDoc,
    design: &DesignDoc,
    text: &str,
    report: &mut Report,
) {
    let index = CriteriaIndex::new(requirements);
    for list in &design.validates {
        for _ in resolve(&index, text, list, report) {}
    }
}

fn resolve(
    index: &CriteriaIndex,
    text: &str,
    list: &Range<usize>,
    report: &mut Report,
) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    for (place, reference) in parse_refs(&text[list.clone()], list.start) {
        if let Some(range) = index.resolve(reference) {
            found.push(range);
            continue;
        }
        let written = &text[place.clone()];
        let message = match reference {
            Ref::One(number) => format!("There is no requirement {number} with criteria."),
            Ref::Unreadable => format!("`{written}` is not the id of a criterion."),
            Ref::All => continue,
            _ => format!("There is no criterion {written}."),
        };
        report.error(
            "dangling-reference",
            place,
            message,
            "Name criteria as N.M: number of the requirement, number in its list.",
        );
    }
    found
}
