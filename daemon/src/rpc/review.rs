//! The review gate.

use std::sync::Arc;

use spectask_protocol::{
    ApproveParams, Document, DocumentKind, EditParams, Failure, RejectParams, RequestChangesParams,
    ReviewParams, ReviewView, Role, SpecTaskView, TaskRef,
};

use super::{error, face::Face, view};
use crate::{
    repo,
    store::TaskRow,
    workflow::{
        lookup::find_task,
        review::{self, Approval, DocumentTexts},
    },
};

pub(super) async fn get(
    face: Arc<Face>,
    _role: Role,
    params: ReviewParams,
) -> Result<ReviewView, Failure> {
    let task = task(&face, &params.task)?;
    show(&face, &task, params.revision)
}

fn task(face: &Face, name: &TaskRef) -> Result<TaskRow, Failure> {
    face.ctx
        .store
        .read(|read| find_task(read, name))
        .map_err(Failure::from)
}

fn show(face: &Face, task: &TaskRow, wanted: Option<u32>) -> Result<ReviewView, Failure> {
    let store = &face.ctx.store;
    let Some(number) = wanted.or(task.revision) else {
        return Err(view::gone("first revision: the agent is still writing; it")
            .hint(format!("`spectask watch {}`", task.name())));
    };
    let revision = store
        .read(|read| read.revision(&task.id, number))
        .map_err(error::store)?
        .ok_or_else(|| view::gone("revision"))?;
    let before = match number.checked_sub(1) {
        Some(before) => store
            .read(|read| read.revision(&task.id, before))
            .map_err(error::store)?,
        None => None,
    };
    let texts = DocumentTexts::of(&revision);
    let diff = before
        .map(|before| DocumentTexts::of(&before))
        .map(|before| {
            DocumentKind::ALL
                .iter()
                .map(|kind| repo::text_diff(before.get(*kind), texts.get(*kind), kind.file_name()))
                .collect::<String>()
        });
    let plan = review::plan(task, &revision).unwrap_or_default();
    Ok(ReviewView {
        task: view::one_task(&face.ctx, task)?,
        revision: number,
        author: revision.author.clone(),
        digest: revision.digest.clone(),
        documents: DocumentKind::ALL
            .iter()
            .map(|kind| Document {
                kind: *kind,
                text: texts.get(*kind).to_owned(),
            })
            .collect(),
        findings: revision.findings.clone(),
        diff: diff.unwrap_or_default(),
        reviews: store
            .read(|read| read.reviews(&task.id))
            .map_err(error::store)?,
        plan: view::waves(&plan),
    })
}

pub(super) async fn approve(
    face: Arc<Face>,
    _role: Role,
    params: ApproveParams,
) -> Result<SpecTaskView, Failure> {
    let task = task(&face, &params.task)?;
    face.ctx
        .environments
        .bring(&task.project, params.environment);
    let approval = Approval {
        revision: params.revision,
        digest: params.digest,
        comment: params.comment.map(|comment| face.ctx.clean(&comment)),
        accept_findings: params.accept_findings,
        start: params.start,
    };
    let task = review::approve(&face.ctx.store, params.task, approval).await?;
    view::one_task(&face.ctx, &task)
}

pub(super) async fn request_changes(
    face: Arc<Face>,
    _role: Role,
    params: RequestChangesParams,
) -> Result<SpecTaskView, Failure> {
    let task = task(&face, &params.task)?;
    face.ctx
        .environments
        .bring(&task.project, params.environment);
    let store = &face.ctx.store;
    let comment = params.comment.map(|comment| face.ctx.clean(&comment));
    let mut comments = params.comments;
    for comment in &mut comments {
        comment.text = face.ctx.clean(&comment.text);
    }
    let task =
        review::request_changes(store, params.task, params.revision, comment, comments).await?;
    view::one_task(&face.ctx, &task)
}

pub(super) async fn reject(
    face: Arc<Face>,
    _role: Role,
    params: RejectParams,
) -> Result<SpecTaskView, Failure> {
    let comment = params.comment.map(|comment| face.ctx.clean(&comment));
    let task = review::reject(&face.ctx.store, params.task, comment).await?;
    view::one_task(&face.ctx, &task)
}

pub(super) async fn edit(
    face: Arc<Face>,
    _role: Role,
    params: EditParams,
) -> Result<ReviewView, Failure> {
    let store = &face.ctx.store;
    let (task, _) = review::edit(store, params.task, params.revision, params.documents).await?;
    show(&face, &task, None)
}
