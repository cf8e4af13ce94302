//! A SpecTask and its documents.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use spectask_protocol::{
    DocumentKind, Failure, FailureKind, ReviewParams, ReviewView, SpecTaskOverview, TaskParams,
    TaskRef, method,
};

use super::{
    line, pair,
    session::{SessionLine, lines},
};
use crate::mcp::{
    caller::Caller,
    tool::{Effect, Tool},
};

/// Names a SpecTask.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::mcp) struct TaskInput {
    /// The SpecTask: its name (7-user-auth), its number or its id. Absent: that of your session,
    /// else the only open one of the project.
    #[serde(default)]
    task: Option<TaskRef>,
    /// Absolute path of a folder in the repository, when it is not the one this server runs in.
    #[serde(default)]
    project: Option<String>,
}

/// A SpecTask.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::mcp) struct TaskOutput {
    /// Its name.
    name: String,
    /// One line.
    title: String,
    /// What the person asked for.
    prompt: String,
    /// Its state, such as spec_review or implementation.
    status: String,
    /// The repository.
    project: String,
    /// The branch that collects the work.
    branch: String,
    /// Tasks that are done: verified and merged.
    done: u32,
    /// All required tasks.
    total: u32,
    /// Whether new sessions are held back.
    paused: bool,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// Tasks of the approved plan.
    tasks: Vec<PlannedTask>,
    /// Work sessions.
    sessions: Vec<SessionLine>,
    /// What a person can do next, as commands.
    next: Vec<String>,
}

/// A task of the plan.
#[derive(Debug, Serialize, JsonSchema)]
struct PlannedTask {
    /// Its number in tasks.md.
    number: String,
    /// Its title.
    title: String,
    /// pending, assigned, in_progress, completed or blocked.
    status: String,
    /// Whether it is optional.
    optional: bool,
    /// Numbers of the tasks it depends on.
    depends: Vec<String>,
}

/// `get_task`.
pub(in crate::mcp) struct GetTask;

impl Tool for GetTask {
    const NAME: &'static str = "get_task";
    const TITLE: &'static str = "Show a SpecTask";
    const DESCRIPTION: &'static str = "Shows a SpecTask: what the person asked for, its state, \
        progress by evidence, the tasks of its plan and its work sessions.";
    const EFFECT: Effect = Effect::Reads;
    type Input = TaskInput;
    type Output = TaskOutput;

    async fn call(caller: &Caller, input: TaskInput) -> Result<(TaskOutput, String), Failure> {
        let task = caller.task(input.task, input.project).await?;
        let params = TaskParams { task };
        let overview = caller.client.call(method::SpecTaskGet, params).await?;
        let output = show(overview);
        let text = tell(&output);
        Ok((output, text))
    }
}

fn show(overview: SpecTaskOverview) -> TaskOutput {
    let task = overview.task;
    TaskOutput {
        name: task.name,
        title: task.title,
        prompt: task.prompt,
        status: task.status.to_string(),
        project: task.project,
        branch: task.branch,
        done: task.progress.done,
        total: task.progress.total,
        paused: task.paused,
        error: task.error,
        tasks: overview
            .tasks
            .into_iter()
            .map(|planned| PlannedTask {
                number: planned.number,
                title: planned.title,
                status: planned.status.to_string(),
                optional: planned.optional,
                depends: planned.depends,
            })
            .collect(),
        sessions: overview.sessions.into_iter().map(Into::into).collect(),
        next: overview.next,
    }
}

fn tell(task: &TaskOutput) -> String {
    let mut text = String::new();
    line(&mut text, format!("{}: {}", task.name, task.title));
    let paused = if task.paused { ", paused" } else { "" };
    line(
        &mut text,
        format!(
            "state: {}{paused}; {} of {} tasks done",
            task.status, task.done, task.total
        ),
    );
    pair(&mut text, "project", Some(&task.project));
    pair(&mut text, "branch", Some(&task.branch));
    pair(&mut text, "failed", task.error.as_deref());
    line(&mut text, format!("\nAsked for:\n{}", task.prompt));
    if !task.tasks.is_empty() {
        line(&mut text, "\nTasks:");
    }
    for planned in &task.tasks {
        let optional = if planned.optional { ", optional" } else { "" };
        let after = match planned.depends.as_slice() {
            [] => String::new(),
            depends => format!(", after {}", depends.join(" and ")),
        };
        let PlannedTask {
            number,
            title,
            status,
            ..
        } = planned;
        line(
            &mut text,
            format!("- {number} {title} ({status}{optional}{after})"),
        );
    }
    if !task.sessions.is_empty() {
        line(&mut text, "\nSessions:");
        lines(&mut text, &task.sessions);
    }
    if !task.next.is_empty() {
        line(
            &mut text,
            format!("\nA person can now run: {}", task.next.join("; ")),
        );
    }
    text
}

/// Names a document.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::mcp) struct DocumentsInput {
    /// The SpecTask: its name (7-user-auth), its number or its id. Absent: that of your session,
    /// else the only open one of the project.
    #[serde(default)]
    task: Option<TaskRef>,
    /// Absolute path of a folder in the repository, when it is not the one this server runs in.
    #[serde(default)]
    project: Option<String>,
    /// Only this document: requirements, design or tasks.
    #[serde(default)]
    #[schemars(with = "DocumentName")]
    document: Option<DocumentKind>,
}

/// The names alone, as a plain enumeration.
#[derive(JsonSchema)]
#[serde(rename_all = "lowercase")]
#[allow(dead_code, reason = "only its schema is used")]
enum DocumentName {
    Requirements,
    Design,
    Tasks,
}

/// The documents of a SpecTask.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::mcp) struct DocumentsOutput {
    /// The SpecTask's name.
    task: String,
    /// The revision.
    revision: u32,
    /// Whether a person approved it.
    approved: bool,
    /// The documents.
    documents: Vec<DocumentText>,
}

/// A document.
#[derive(Debug, Serialize, JsonSchema)]
struct DocumentText {
    /// requirements, design or tasks.
    document: String,
    /// Its Markdown.
    text: String,
}

/// `get_documents`.
pub(in crate::mcp) struct GetDocuments;

impl Tool for GetDocuments {
    const NAME: &'static str = "get_documents";
    const TITLE: &'static str = "Read the spec documents";
    const DESCRIPTION: &'static str = "Reads requirements, design and tasks of a SpecTask: the \
        approved revision, else the newest.";
    const EFFECT: Effect = Effect::Reads;
    type Input = DocumentsInput;
    type Output = DocumentsOutput;

    async fn call(
        caller: &Caller,
        input: DocumentsInput,
    ) -> Result<(DocumentsOutput, String), Failure> {
        let task = caller.task(input.task, input.project).await?;
        let newest = review(caller, &task, None).await?;
        let shown = match newest.task.approved {
            Some(approved) if approved != newest.revision => {
                review(caller, &task, Some(approved)).await?
            }
            _ => newest,
        };
        let output = DocumentsOutput {
            approved: shown.task.approved == Some(shown.revision),
            task: shown.task.name,
            revision: shown.revision,
            documents: shown
                .documents
                .into_iter()
                .filter(|document| input.document.is_none_or(|wanted| wanted == document.kind))
                .map(|document| DocumentText {
                    document: document.kind.file_name().trim_end_matches(".md").to_owned(),
                    text: document.text,
                })
                .collect(),
        };
        if output.documents.is_empty() {
            return Err(Failure::new(
                FailureKind::NotFound,
                format!("{} has no such document yet", output.task),
            ));
        }
        let state = if output.approved {
            "approved"
        } else {
            "not approved yet"
        };
        let mut text = format!("{}, revision {}, {state}\n", output.task, output.revision);
        for document in &output.documents {
            line(
                &mut text,
                format!("\n===== {}.md =====\n{}", document.document, document.text),
            );
        }
        Ok((output, text))
    }
}

async fn review(
    caller: &Caller,
    task: &TaskRef,
    revision: Option<u32>,
) -> Result<ReviewView, Failure> {
    let params = ReviewParams {
        task: task.clone(),
        revision,
    };
    caller.client.call(method::ReviewGet, params).await
}
