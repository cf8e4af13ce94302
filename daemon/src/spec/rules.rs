//! The rules of one document: its shape.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;

use super::annotations::Label;
use super::design::DesignDoc;
use super::report::Report;
use super::requirements::{Requirement, RequirementsDoc};
use super::tasks::{TaskState, TasksDoc};
use super::waves;

pub(super) fn open_fence(at: usize, report: &mut Report) {
    report.warning(
        "open-fence",
        at..at + 3,
        "This code block is never closed, so everything after it is code.",
        "Close it with the same marks on a line of their own.",
    );
}

/// The first line of a range, for findings about a whole item.
pub(super) fn first_line(text: &str, range: &Range<usize>) -> Range<usize> {
    let line = text[range.clone()].lines().next().unwrap_or_default();
    range.start..range.start + line.trim_end().len()
}

const INTRODUCTION: &[&str] = &[
    "introduction",
    "overview",
    "简介",
    "介绍",
    "引言",
    "概述",
    "简述",
    "はじめに",
    "概要",
    "導入",
    "序",
];
const GLOSSARY: &[&str] = &["glossary", "术语", "詞彙", "词汇", "用語"];
const REQUIREMENTS: &[&str] = &[
    "requirements",
    "functional requirements",
    "需求",
    "要件",
    "要求",
    "功能需求",
    "機能要件",
];

fn is_named(title: &str, names: &[&str]) -> bool {
    let title = title.to_lowercase();
    names.iter().any(|name| title.contains(name))
}

pub(super) fn requirements(doc: &RequirementsDoc, text: &str, report: &mut Report) {
    if doc.title.is_none() {
        report.warning(
            "missing-title",
            0..0,
            "The document has no title.",
            "Start it with `# Requirements Document`.",
        );
    }
    requirements_sections(doc, report);
    if doc.requirements.is_empty() {
        report.error(
            "no-requirements",
            0..0,
            "The document has no requirements.",
            "Write `### Requirement 1: Title` with a user story and acceptance criteria.",
        );
    }
    let mut seen = HashSet::new();
    let mut texts: HashMap<u64, (u32, u32)> = HashMap::new();
    let mut before = 0;
    for requirement in &doc.requirements {
        let number = requirement.number;
        if !requirement.numbered {
            report.warning(
                "requirement-unnumbered",
                requirement.heading.clone(),
                "The requirement has no number.",
                "Number requirements from 1: `### Requirement 1: Title`.",
            );
        } else if !seen.insert(number) {
            report.error(
                "duplicate-requirement",
                requirement.heading.clone(),
                format!("There is more than one requirement {number}."),
                "Give each requirement a number of its own.",
            );
        } else if number != before + 1 {
            report.warning(
                "requirement-numbering",
                requirement.heading.clone(),
                format!("Requirement {number} follows requirement {before}."),
                "Number requirements from 1 without gaps.",
            );
        }
        before = number;
        story(requirement, text, report);
        criteria(requirement, text, report);
        let mut buffer = String::new();
        for criterion in requirement
            .criteria
            .iter()
            .filter(|criterion| !criterion.text.is_empty())
        {
            buffer.clear();
            buffer.extend(
                criterion
                    .text
                    .split_whitespace()
                    .flat_map(|word| [word, " "]),
            );
            buffer.make_ascii_lowercase();
            let mut hash = DefaultHasher::new();
            buffer.hash(&mut hash);
            let first = *texts
                .entry(hash.finish())
                .or_insert((number, criterion.number));
            if first != (number, criterion.number) {
                report.warning(
                    "duplicate-text",
                    first_line(text, &criterion.span),
                    format!("The criterion says the same as {}.{}.", first.0, first.1),
                    "Keep one of the two.",
                );
            }
        }
    }
}

fn requirements_sections(doc: &RequirementsDoc, report: &mut Report) {
    let mut highest: Option<(usize, &str)> = None;
    let mut found = [false; 3];
    for (title, place) in &doc.sections {
        // The order matters: "requirements overview" is the introduction of nothing.
        let Some(rank) = [INTRODUCTION, GLOSSARY, REQUIREMENTS]
            .iter()
            .position(|names| is_named(title, names))
        else {
            continue;
        };
        found[rank] = true;
        match highest {
            Some((above, other)) if above > rank => report.warning(
                "section-order",
                place.clone(),
                format!("The section {title} stands after {other}."),
                "Keep the order Introduction, Glossary, Requirements.",
            ),
            _ => highest = Some((rank, title)),
        }
    }
    let needs_section = doc
        .requirements
        .iter()
        .all(|requirement| requirement.level > 2);
    for (rank, name) in [(0, "Introduction"), (2, "Requirements")] {
        if !found[rank] && needs_section {
            report.warning(
                "missing-section",
                0..0,
                format!("The section {name} is missing."),
                "The sections are `## Introduction`, `## Glossary`, `## Requirements`.",
            );
        }
    }
}

fn story(requirement: &Requirement, text: &str, report: &mut Report) {
    let Some(story) = &requirement.story else {
        report.error(
            "missing-story",
            requirement.heading.clone(),
            format!("Requirement {} has no user story.", requirement.number),
            "Write `**User Story:** As a role, I want a feature, so that benefit`.",
        );
        return;
    };
    let lower = text[story.span.clone()].to_lowercase();
    let parts: [(&str, &[&str]); 3] = [
        (
            "who wants it",
            &["as a", "as the", "作为", "作為", "として", "身为"],
        ),
        (
            "what is wanted",
            &[
                "i want",
                "i need",
                "i would like",
                "i can",
                "we want",
                "想",
                "希望",
                "我要",
                "我需要",
                "たい",
                "ほしい",
                "欲しい",
            ],
        ),
        (
            "why",
            &[
                "so that",
                "so i ",
                "so we ",
                "in order to",
                "以便",
                "从而",
                "這樣",
                "这样",
                "使得",
                "以确保",
                "ため",
                "ように",
                "ことで",
                "ことができ",
            ],
        ),
    ];
    let missing: Vec<&str> = parts
        .iter()
        .filter(|(_, words)| !words.iter().any(|word| lower.contains(word)))
        .map(|(what, _)| *what)
        .collect();
    if !missing.is_empty() {
        report.warning(
            "story-parts",
            first_line(text, &story.span),
            format!("The user story does not say {}.", missing.join(" or ")),
            "Write `As a role, I want a feature, so that benefit`.",
        );
    }
}

fn criteria(requirement: &Requirement, text: &str, report: &mut Report) {
    if requirement.criteria.is_empty() {
        report.error(
            "no-criteria",
            requirement.heading.clone(),
            format!(
                "Requirement {} has no acceptance criteria.",
                requirement.number
            ),
            "Add `#### Acceptance Criteria` and a numbered list: `1. WHEN …, THE system SHALL …`.",
        );
        return;
    }
    if !requirement.criteria_heading {
        report.warning(
            "criteria-heading",
            requirement.heading.clone(),
            "The criteria have no heading.",
            "Put `#### Acceptance Criteria` above the list.",
        );
    }
    let mut seen = HashSet::new();
    let mut before = 0;
    for criterion in &requirement.criteria {
        let place = || first_line(text, &criterion.item);
        if !criterion.numbered {
            report.warning(
                "criterion-unnumbered",
                place(),
                "The criterion has no number, so no task can name it.",
                "Make the list a numbered one.",
            );
        } else if !seen.insert(criterion.number) {
            report.error(
                "duplicate-criterion",
                place(),
                format!("There is more than one criterion {}.", criterion.id),
                "Number the criteria of a requirement 1, 2, 3 and so on.",
            );
        } else if criterion.number != before + 1 {
            report.warning(
                "criterion-numbering",
                place(),
                format!(
                    "Criterion {} follows {}.{before}.",
                    criterion.id, requirement.number
                ),
                "Number the criteria of a requirement from 1 without gaps.",
            );
        }
        before = criterion.number;
    }
}

const DESIGN_SECTIONS: [(&str, &[&str]); 6] = [
    (
        "Overview",
        &[
            "overview",
            "introduction",
            "summary",
            "概述",
            "概要",
            "总览",
            "简介",
            "はじめに",
        ],
    ),
    (
        "Architecture",
        &["architecture", "架构", "架構", "アーキテクチャ", "構成"],
    ),
    (
        "Components and Interfaces",
        &[
            "component",
            "interface",
            "组件",
            "元件",
            "接口",
            "模块",
            "コンポーネント",
            "インターフェース",
        ],
    ),
    (
        "Data Models",
        &[
            "data model",
            "数据模型",
            "資料模型",
            "数据结构",
            "データモデル",
            "data structure",
        ],
    ),
    (
        "Error Handling",
        &["error", "错误", "錯誤", "异常", "エラー"],
    ),
    ("Testing Strategy", &["test", "测试", "測試", "テスト"]),
];

pub(super) fn design(doc: &DesignDoc, _text: &str, report: &mut Report) {
    let lower: Vec<String> = doc
        .sections
        .iter()
        .map(|section| section.title.to_lowercase())
        .collect();
    for (name, words) in DESIGN_SECTIONS {
        if !lower
            .iter()
            .any(|title| words.iter().any(|word| title.contains(word)))
        {
            report.warning(
                "missing-section",
                0..0,
                format!("The section {name} is missing."),
                "The sections are Overview, Architecture, Components and Interfaces, Data Models, Error Handling, Testing Strategy.",
            );
        }
    }
    let mut seen = HashSet::new();
    for property in &doc.properties {
        if property.validates.is_empty() {
            report.warning(
                "property-validates-nothing",
                property.span.clone(),
                "The property names no criterion that it validates.",
                "End it with `**Validates: Requirements 1.3**`.",
            );
        }
        if let Some(number) = property.number
            && !seen.insert(number)
        {
            report.error(
                "duplicate-property",
                property.span.clone(),
                format!("There is more than one property {number}."),
                "Give each property a number of its own.",
            );
        }
    }
}

pub(super) fn tasks(doc: &TasksDoc, text: &str, report: &mut Report) {
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
    let order = waves::order(doc, text, report);
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
