//! The validator: all rules over all three documents.

use spectask_protocol::{DocumentKind, Finding};

use super::profile::Profile;
use super::report::Report;
use super::{cross, design, requirements, rules, tasks};
use crate::redact::Redactor;

/// The three documents of a SpecTask.
#[derive(Debug, Clone, Copy, Default)]
pub struct Documents<'a> {
    /// Text of `requirements.md`.
    pub requirements: &'a str,
    /// Text of `design.md`.
    pub design: &'a str,
    /// Text of `tasks.md`.
    pub tasks: &'a str,
}

/// Checks the three documents, each alone and against each other. The findings are sorted by
/// document and place.
#[must_use]
pub fn validate(docs: &Documents<'_>, profile: Profile) -> Vec<Finding> {
    validate_some(
        Some(docs.requirements),
        Some(docs.design),
        Some(docs.tasks),
        profile,
    )
}

/// Checks one document alone.
#[must_use]
pub fn validate_one(kind: DocumentKind, text: &str, profile: Profile) -> Vec<Finding> {
    let only = |this| (kind == this).then_some(text);
    validate_some(
        only(DocumentKind::Requirements),
        only(DocumentKind::Design),
        only(DocumentKind::Tasks),
        profile,
    )
}

/// Checks the documents that there are.
pub(super) fn validate_some(
    requirements_text: Option<&str>,
    design_text: Option<&str>,
    tasks_text: Option<&str>,
    profile: Profile,
) -> Vec<Finding> {
    let mut reports = DocumentKind::ALL.map(|kind| Report::new(kind, profile));
    let [for_requirements, for_design, for_tasks] = &mut reports;
    let requirements_text = written(requirements_text, for_requirements);
    let design_text = written(design_text, for_design);
    let tasks_text = written(tasks_text, for_tasks);

    let requirements = requirements_text.map(|text| {
        let doc = requirements::parse(text, for_requirements);
        rules::requirements(&doc, text, for_requirements);
        (doc, text)
    });
    let design = design_text.map(|text| {
        let doc = design::parse(text, for_design);
        rules::design(&doc, for_design);
        (doc, text)
    });
    let tasks = tasks_text.map(|text| {
        let doc = tasks::parse(text, for_tasks);
        rules::tasks(&doc, text, for_tasks);
        (doc, text)
    });
    if let Some((requirements, text)) = &requirements {
        if let Some((tasks, tasks_text)) = &tasks
            && !tasks.tasks.is_empty()
        {
            cross::tasks(
                requirements,
                text,
                tasks,
                tasks_text,
                (&mut *for_requirements, &mut *for_tasks),
            );
        }
        if let Some((design, design_text)) = &design {
            cross::design(requirements, design, design_text, for_design);
        }
    }
    let texts = [requirements_text, design_text, tasks_text];
    reports
        .into_iter()
        .zip(texts)
        .flat_map(|(report, text)| report.finish(text.unwrap_or_default()))
        .collect()
}

/// The text if there is any; reports an empty document and the secrets of one that is not.
fn written<'a>(text: Option<&'a str>, report: &mut Report) -> Option<&'a str> {
    let text = text?;
    if text.trim_start_matches('\u{feff}').trim().is_empty() {
        report.error(
            "empty-document",
            0..0,
            "The document is empty.",
            "Write it.",
        );
        return None;
    }
    for found in Redactor::without_variables().find_known(text) {
        report.error(
            "secret",
            found.start..found.end,
            format!("This looks like a secret ({}).", found.rule),
            "Take it out, revoke it if it is real, and name the variable that holds it instead.",
        );
    }
    Some(text)
}
