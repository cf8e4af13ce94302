//! The gate in front of implementation: revisions are kept, a person decides, and only what a person
//! approved is ever given to an agent to implement.

use sha2::{Digest, Sha256};
use spectask_protocol::{
    Decision, DocumentKind, EventKind, Finding, LineComment, SessionPhase, SessionStage, Severity,
    SpecTaskStatus, TaskRef,
};

use super::{
    NextPrompt, WorkflowError, error::refused, lookup::task_here, machine::move_task, reopen,
};
use crate::{
    spec::{self, Documents, Profile},
    store::{NewImplementationTask, NewRevision, RevisionRow, Store, TaskRow, Write},
};

/// The largest document that is taken, in bytes.
pub const DOCUMENT_LIMIT: usize = 2 * 1024 * 1024;

/// Rules whose findings no person can accept: a secret would be committed, a broken plan cannot run.
const NEVER_ACCEPTABLE: &[&str] = &["secret"];

/// The three documents, owned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentTexts {
    /// `requirements.md`.
    pub requirements: String,
    /// `design.md`.
    pub design: String,
    /// `tasks.md`.
    pub tasks: String,
}

impl DocumentTexts {
    /// Those of a kept revision.
    #[must_use]
    pub fn of(revision: &RevisionRow) -> Self {
        Self {
            requirements: revision.requirements.clone(),
            design: revision.design.clone(),
            tasks: revision.tasks.clone(),
        }
    }

    /// One of them.
    #[must_use]
    pub fn get(&self, kind: DocumentKind) -> &str {
        match kind {
            DocumentKind::Requirements => &self.requirements,
            DocumentKind::Design => &self.design,
            DocumentKind::Tasks => &self.tasks,
        }
    }

    /// One of them, to change.
    pub fn get_mut(&mut self, kind: DocumentKind) -> &mut String {
        match kind {
            DocumentKind::Requirements => &mut self.requirements,
            DocumentKind::Design => &mut self.design,
            DocumentKind::Tasks => &mut self.tasks,
        }
    }

    /// The digest that approval pins: SHA-256 over the masked digests of the three, hex. Ticking a
    /// box does not change it.
    #[must_use]
    pub fn digest(&self) -> String {
        let mut hash = Sha256::new();
        for kind in DocumentKind::ALL {
            hash.update(spec::masked_digest(kind, self.get(kind)));
            hash.update("\n");
        }
        hash.finalize()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }

    /// What the validator finds in them.
    #[must_use]
    pub fn validate(&self) -> Vec<Finding> {
        let documents = Documents {
            requirements: &self.requirements,
            design: &self.design,
            tasks: &self.tasks,
        };
        spec::validate(&documents, Profile::Kiro)
    }
}

/// Counts findings of a severity.
#[must_use]
pub fn count(findings: &[Finding], severity: Severity) -> u32 {
    let count = findings
        .iter()
        .filter(|finding| finding.severity == severity)
        .count();
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// Keeps documents as the next revision.
pub(super) fn keep_revision(
    write: &Write<'_>,
    task: &mut TaskRow,
    author: &str,
    texts: &DocumentTexts,
    findings: Vec<Finding>,
) -> Result<RevisionRow, WorkflowError> {
    let number = task.revision.unwrap_or(0) + 1;
    let revision = NewRevision {
        number,
        author: author.into(),
        requirements: texts.requirements.clone(),
        design: texts.design.clone(),
        tasks: texts.tasks.clone(),
        digest: texts.digest(),
        findings,
    };
    write.insert_revision(&task.id, &revision)?;
    task.revision = Some(number);
    let progress = spec::progress(&texts.tasks);
    if task.approved.is_none() {
        task.total = progress.total;
        task.done = 0;
    }
    write.update_task(task)?;
    let event = EventKind::RevisionKept {
        revision: number,
        errors: count(&revision.findings, Severity::Error),
        warnings: count(&revision.findings, Severity::Warning),
    };
    write.emit(Some(&task.id), None, &event)?;
    Ok(revision)
}

fn newest(write: &Write<'_>, task: &TaskRow, seen: u32) -> Result<RevisionRow, WorkflowError> {
    let number = task.revision.ok_or_else(|| {
        refused(
            "review",
            task,
            "there are no documents yet: `spectask watch` shows the planning",
        )
    })?;
    if number != seen {
        return Err(WorkflowError::Outdated {
            name: task.name(),
            seen,
            newest: number,
        });
    }
    write
        .revision(&task.id, number)?
        .ok_or_else(|| WorkflowError::NotFound {
            what: "revision",
            name: number.to_string(),
        })
}

fn in_review(task: &TaskRow, command: &'static str) -> Result<(), WorkflowError> {
    if task.status == SpecTaskStatus::SpecReview {
        return Ok(());
    }
    let hint = match task.status {
        SpecTaskStatus::QueuedSpecGeneration
        | SpecTaskStatus::SpecGeneration
        | SpecTaskStatus::SpecRevision => "the agent is writing: wait with `spectask watch`",
        SpecTaskStatus::Backlog => "`spectask start` begins to plan",
        SpecTaskStatus::SpecFailed => "`spectask retry` plans again",
        _ => "it was decided already: `spectask show` tells how it goes on",
    };
    Err(refused(command, task, hint))
}

/// An approval as a person gives it.
#[derive(Debug, Clone)]
pub struct Approval {
    /// The revision the person saw.
    pub revision: u32,
    /// The digest the person saw.
    pub digest: String,
    /// What the person says.
    pub comment: Option<String>,
    /// Whether findings of severity error are accepted.
    pub accept_findings: bool,
    /// Whether work starts at once.
    pub start: bool,
}

/// Approves the newest revision: pins its digest and turns its plan into implementation tasks.
///
/// # Errors
/// When the person saw another revision, findings stand against it, or the plan is broken.
pub async fn approve(
    store: &Store,
    name: TaskRef,
    approval: Approval,
) -> Result<TaskRow, WorkflowError> {
    store
        .write(move |write| {
            let mut task = task_here(write, &name)?;
            in_review(&task, "approve")?;
            let revision = newest(write, &task, approval.revision)?;
            if revision.digest != approval.digest {
                return Err(WorkflowError::DigestMismatch {
                    name: task.name(),
                    revision: revision.number,
                });
            }
            check_findings(&task, &revision, approval.accept_findings)?;
            let plan = plan(&task, &revision)?;
            write.insert_review(
                &task.id,
                revision.number,
                Decision::Approve,
                approval.comment.as_deref(),
                &[],
            )?;
            write.insert_implementation_tasks(&task.id, &plan)?;
            task.approved = Some(revision.number);
            let progress = spec::progress(&revision.tasks);
            (task.done, task.total) = (progress.done, progress.total);
            task.start_requested = approval.start;
            move_task(write, &mut task, SpecTaskStatus::SpecApproved, None)?;
            decided(write, &task, revision.number, Decision::Approve)?;
            Ok(task)
        })
        .await
}

fn check_findings(
    task: &TaskRow,
    revision: &RevisionRow,
    accepted: bool,
) -> Result<(), WorkflowError> {
    let against = |rule: &dyn Fn(&Finding) -> bool| -> Vec<Finding> {
        revision
            .findings
            .iter()
            .filter(|finding| finding.severity == Severity::Error && rule(finding))
            .cloned()
            .collect()
    };
    let never = against(&|finding| NEVER_ACCEPTABLE.contains(&finding.rule.as_str()));
    if !never.is_empty() {
        return Err(WorkflowError::Findings {
            name: task.name(),
            findings: never,
            acceptable: false,
        });
    }
    let open = against(&|_| true);
    if !open.is_empty() && !accepted {
        return Err(WorkflowError::Findings {
            name: task.name(),
            findings: open,
            acceptable: true,
        });
    }
    Ok(())
}

/// The implementation tasks of a revision.
///
/// # Errors
/// When the plan has no task to do, or a cycle.
pub fn plan(
    task: &TaskRow,
    revision: &RevisionRow,
) -> Result<Vec<NewImplementationTask>, WorkflowError> {
    let broken = |findings| WorkflowError::Findings {
        name: task.name(),
        findings,
        acceptable: false,
    };
    let planned = spec::plan(&revision.tasks, &revision.requirements).map_err(broken)?;
    if !planned.iter().any(|entry| !entry.optional) {
        return Err(WorkflowError::Invalid(format!(
            "{} cannot be approved: tasks.md of revision {} has no task to do",
            task.name(),
            revision.number
        )));
    }
    Ok(planned
        .into_iter()
        .map(|entry| NewImplementationTask {
            number: entry.number,
            title: entry.title,
            body: entry.text,
            optional: entry.optional,
            wave: entry.wave.unwrap_or(0),
            completed: entry.ticked,
            requirements: entry.requirements,
            resources: entry.resources,
            depends: entry.depends,
        })
        .collect())
}

fn decided(
    write: &Write<'_>,
    task: &TaskRow,
    revision: u32,
    decision: Decision,
) -> Result<(), WorkflowError> {
    write.emit(
        Some(&task.id),
        None,
        &EventKind::ReviewDecided { revision, decision },
    )?;
    Ok(())
}

/// Sends the newest revision back to the agent.
///
/// # Errors
/// When nothing is said, or the person saw another revision.
pub async fn request_changes(
    store: &Store,
    name: TaskRef,
    seen: u32,
    comment: Option<String>,
    comments: Vec<LineComment>,
) -> Result<TaskRow, WorkflowError> {
    let silent = comment.as_deref().is_none_or(|text| text.trim().is_empty());
    if silent
        && comments
            .iter()
            .all(|comment| comment.text.trim().is_empty())
    {
        return Err(WorkflowError::Invalid(
            "say what should be different: -m TEXT, or --line DOCUMENT:LINE:TEXT".into(),
        ));
    }
    store
        .write(move |write| {
            let mut task = task_here(write, &name)?;
            in_review(&task, "request changes to")?;
            let revision = newest(write, &task, seen)?;
            write.insert_review(
                &task.id,
                revision.number,
                Decision::RequestChanges,
                comment.as_deref(),
                &comments,
            )?;
            move_task(write, &mut task, SpecTaskStatus::SpecRevision, None)?;
            decided(write, &task, revision.number, Decision::RequestChanges)?;
            let mut planner =
                write
                    .session_numbered(&task.id, 0)?
                    .ok_or_else(|| WorkflowError::NotFound {
                        what: "planning session",
                        name: task.name(),
                    })?;
            debug_assert_eq!(planner.phase, SessionPhase::Planning);
            let next = NextPrompt::Revise {
                comment,
                comments,
                findings: revision.findings,
            };
            let stage = SessionStage::Prepare;
            reopen::reopen_with(write, &mut planner, Some(&next), stage)?;
            Ok(task)
        })
        .await
}

/// Rejects the documents and gives the SpecTask up.
///
/// # Errors
/// When it is not in review.
pub async fn reject(
    store: &Store,
    name: TaskRef,
    comment: Option<String>,
) -> Result<TaskRow, WorkflowError> {
    store
        .write(move |write| {
            let mut task = task_here(write, &name)?;
            in_review(&task, "reject")?;
            let revision = task.revision.unwrap_or(0);
            let said = comment.as_deref();
            write.insert_review(&task.id, revision, Decision::Reject, said, &[])?;
            move_task(
                write,
                &mut task,
                SpecTaskStatus::Cancelled,
                Some("rejected in review"),
            )?;
            decided(write, &task, revision, Decision::Reject)?;
            Ok(task)
        })
        .await
}

/// Keeps a person's edit as a new revision.
///
/// # Errors
/// When the person changed another revision than the newest, or a document is too large.
pub async fn edit(
    store: &Store,
    name: TaskRef,
    seen: u32,
    changes: Vec<spectask_protocol::Document>,
) -> Result<(TaskRow, RevisionRow), WorkflowError> {
    for document in &changes {
        if document.text.len() > DOCUMENT_LIMIT {
            return Err(WorkflowError::Invalid(format!(
                "{} has {} bytes; at most {DOCUMENT_LIMIT} are taken",
                document.kind.file_name(),
                document.text.len()
            )));
        }
    }
    store
        .write(move |write| {
            let mut task = task_here(write, &name)?;
            in_review(&task, "edit")?;
            let before = newest(write, &task, seen)?;
            let mut texts = DocumentTexts::of(&before);
            for document in changes {
                *texts.get_mut(document.kind) = document.text;
            }
            if texts == DocumentTexts::of(&before) {
                return Ok((task, before));
            }
            let findings = texts.validate();
            let revision = keep_revision(write, &mut task, "person", &texts, findings)?;
            Ok((task, revision))
        })
        .await
}
