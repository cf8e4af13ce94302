//! The shape of `requirements.md`.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use super::first_line;
use crate::spec::report::Report;
use crate::spec::requirements::{Requirement, RequirementsDoc};

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

pub(in crate::spec) fn requirements(doc: &RequirementsDoc, text: &str, report: &mut Report) {
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
