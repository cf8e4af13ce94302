//! What a session is told: fills the prompt templates from the approved revision in the store, never
//! from files that an agent could have changed.

use std::path::Path;

use serde_json::{Value, json};
use spectask_protocol::{DocumentKind, Finding, LineComment, SessionPhase};

use super::{
    context::Shared,
    halt::Halt,
    prompts::{Template, block},
};
use crate::{
    spec,
    store::{RevisionRow, SessionRow, TaskRow, WorkRow},
    workflow::{NextPrompt, lookup::session_name, review::DocumentTexts},
};

/// More of a design does not help an agent with one task.
const DESIGN_LIMIT: usize = 48 * 1024;

/// More of a verify output does not help.
const OUTPUT_LIMIT: usize = 12 * 1024;

/// What every prompt of a session is made from.
pub(super) struct Briefing<'a> {
    pub(super) ctx: &'a Shared,
    pub(super) task: &'a TaskRow,
    pub(super) session: &'a SessionRow,
    pub(super) root: &'a Path,
    pub(super) steering: String,
    pub(super) verify: &'a [String],
}

impl Briefing<'_> {
    /// The purpose and text of the session's next prompt.
    pub(super) fn next(&self) -> Result<(&'static str, String), Halt> {
        match NextPrompt::of(self.session) {
            Some(next) => Ok((next.purpose(), self.follow_up(&next)?)),
            None => self.first(),
        }
    }

    fn folder(&self) -> String {
        format!("specs/{}", self.task.name())
    }

    fn render(&self, template: Template, mut values: Value, fields: Value) -> Result<String, Halt> {
        values["folder"] = self.folder().into();
        values["root"] = self.root.display().to_string().into();
        values["steering"] = self.steering.as_str().into();
        values["verify"] = json!(self.verify);
        values["block"] = block(fields, self.root).into();
        Ok(self.ctx.prompts.render(template, values)?)
    }

    fn first(&self) -> Result<(&'static str, String), Halt> {
        if self.session.phase == SessionPhase::Planning {
            let values = json!({ "prompt": self.task.prompt });
            return Ok((
                "plan",
                self.render(Template::Plan, values, self.fields("plan")?)?,
            ));
        }
        let fields = self.fields("implement")?;
        let Some(work) = self.work()? else {
            let values = json!({
                "title": self.task.title,
                "work_title": self.session.title,
                "text": self.session.description,
            });
            return Ok(("implement", self.render(Template::Spawned, values, fields)?));
        };
        let approved = self.approved()?;
        let values = json!({
            "text": work.body.trim_end(),
            "excerpt": spec::excerpt_for(&approved.requirements, &work.requirements).trim_end(),
            "design": clip(&approved.design, DESIGN_LIMIT),
            "handoffs": self.handoffs(&work)?,
        });
        Ok((
            "implement",
            self.render(Template::Implement, values, fields)?,
        ))
    }

    fn follow_up(&self, next: &NextPrompt) -> Result<String, Halt> {
        match next {
            NextPrompt::Revise {
                comment,
                comments,
                findings,
            } => {
                let texts = self.newest()?;
                let values = json!({
                    "prompt": self.task.prompt,
                    "comment": comment,
                    "comments": comments.iter().map(|c| shown_comment(c, &texts)).collect::<Vec<_>>(),
                    "findings": findings.iter().map(shown_finding).collect::<Vec<_>>(),
                });
                let mut fields = self.fields("revise")?;
                let mut told = comments.clone();
                if let Some(text) = comment {
                    let document = DocumentKind::Requirements;
                    told.push(LineComment {
                        document,
                        line: None,
                        text: text.clone(),
                    });
                }
                fields["comments"] = json!(told);
                fields["findings"] = json!(findings);
                self.render(Template::Revise, values, fields)
            }
            NextPrompt::Missing { files } => {
                let values = json!({ "prompt": self.task.prompt, "files": files });
                self.render(Template::Missing, values, self.fields("plan")?)
            }
            NextPrompt::Fix { output } => {
                let output = clip_start(output, OUTPUT_LIMIT);
                let mut fields = self.fields("fix")?;
                fields["output"] = output.into();
                self.render(Template::Fix, json!({ "output": output }), fields)
            }
            NextPrompt::Resolve { files } => {
                let mut fields = self.fields("resolve")?;
                fields["files"] = json!(files);
                self.render(Template::Resolve, json!({ "files": files }), fields)
            }
            NextPrompt::Message { .. } => {
                let mut fields = self.fields("message")?;
                fields["title"] = self.session.title.as_str().into();
                let values = json!({ "planning": self.session.phase == SessionPhase::Planning });
                self.render(Template::Message, values, fields)
            }
            NextPrompt::Continue { reason, before } => {
                let original = match before {
                    Some(before) => self.follow_up(before)?,
                    None => self.first()?.1,
                };
                let reason = reason.lines().next().unwrap_or_default();
                let values = json!({ "reason": reason, "original": original });
                self.render(Template::Continue, values, json!({}))
            }
        }
    }

    fn fields(&self, kind: &str) -> Result<Value, Halt> {
        let mut fields = json!({ "kind": kind, "task": self.task.name(), "folder": self.folder() });
        if self.session.phase == SessionPhase::Planning {
            fields["prompt"] = self.task.prompt.as_str().into();
            return Ok(fields);
        }
        fields["title"] = self.session.title.as_str().into();
        match self.work()? {
            Some(work) => {
                fields["number"] = work.number.into();
                fields["text"] = work.body.into();
            }
            None => {
                fields["number"] = format!("s{}", self.session.number).into();
                fields["text"] = self.session.description.as_str().into();
            }
        }
        Ok(fields)
    }

    fn work(&self) -> Result<Option<WorkRow>, Halt> {
        match self.session.implementation_task {
            Some(id) => Ok(self.ctx.store.read(|read| read.implementation_task(id))?),
            None => Ok(None),
        }
    }

    fn revision(&self, number: Option<u32>) -> Result<RevisionRow, Halt> {
        let revision = match number {
            Some(number) => self
                .ctx
                .store
                .read(|read| read.revision(&self.task.id, number))?,
            None => None,
        };
        revision.ok_or_else(|| Halt::broken("the revision of the documents is not in the database"))
    }

    fn approved(&self) -> Result<RevisionRow, Halt> {
        self.revision(self.task.approved)
    }

    fn newest(&self) -> Result<DocumentTexts, Halt> {
        Ok(DocumentTexts::of(&self.revision(self.task.revision)?))
    }

    /// What the sessions of the tasks it depends on said at their end.
    fn handoffs(&self, work: &WorkRow) -> Result<Vec<Value>, Halt> {
        let store = &self.ctx.store;
        let mut depends = store.read(|read| read.dependencies(&self.task.id))?;
        let depends = depends.remove(&work.number).unwrap_or_default();
        let sessions = store.read(|read| read.driven_sessions(&self.task.id))?;
        let tasks = store.read(|read| read.implementation_tasks(&self.task.id))?;
        let done = tasks.iter().filter(|task| depends.contains(&task.number));
        let handoffs = done.filter_map(|task| {
            let session = sessions
                .iter()
                .find(|s| Some(&s.id) == task.session.as_ref())?;
            let text = session.claim.as_deref()?;
            Some(json!({ "name": session_name(self.task, session), "text": text }))
        });
        Ok(handoffs.collect())
    }
}

fn shown_comment(comment: &LineComment, texts: &DocumentTexts) -> Value {
    let line = comment.line.and_then(|line| {
        let index = usize::try_from(line).ok()?.checked_sub(1)?;
        texts.get(comment.document).lines().nth(index)
    });
    json!({
        "file": comment.document.file_name(),
        "line": comment.line,
        "text": comment.text,
        "source": line,
    })
}

fn shown_finding(finding: &Finding) -> Value {
    json!({
        "severity": finding.severity,
        "file": finding.document.file_name(),
        "line": finding.span.line,
        "rule": finding.rule,
        "message": finding.message,
        "help": finding.help,
    })
}

fn clip(text: &str, limit: usize) -> String {
    if text.len() <= limit {
        return text.trim_end().to_owned();
    }
    let end = (0..=limit)
        .rev()
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(0);
    format!(
        "{}\n(shortened; the whole text is in the file)",
        &text[..end]
    )
}

fn clip_start(text: &str, limit: usize) -> &str {
    let start = text.len().saturating_sub(limit);
    let start = (start..=text.len())
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(0);
    &text[start..]
}
