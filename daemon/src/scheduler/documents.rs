//! Commits approved documents to `specs/{task}`, in memory: no working tree is touched.

use serde_json::json;
use spectask_protocol::{DocumentKind, SpecTaskId};

use super::{
    context::{Shared, git},
    halt::Halt,
};
use crate::{
    repo::{Author, CommitMessage, Repository},
    spec,
    store::{ReviewRow, RevisionRow, TaskRow},
    workflow::{review::DocumentTexts, session},
};

/// Names the revision in the commit, so that a commit made before a crash is recognised.
const REVISION_TRAILER: &str = "Spec-Digest";

/// Commits the approved revision of a SpecTask.
pub(super) async fn commit(ctx: Shared, id: SpecTaskId) {
    if let Err(halt) = try_commit(&ctx, &id).await
        && let Some(waiting) = halt.waiting()
    {
        tracing::warn!(task = %id, text = %waiting.text, "approved documents could not be committed");
        let text = waiting.text;
        let kept: Result<(), crate::store::StoreError> = ctx
            .store
            .write(move |write| {
                if let Some(mut task) = write.task(&id)? {
                    task.error = Some(text);
                    write.update_task(&task)?;
                }
                Ok(())
            })
            .await;
        if let Err(error) = kept {
            tracing::error!(%error, "the reason could not be kept");
        }
    }
}

async fn try_commit(ctx: &Shared, id: &SpecTaskId) -> Result<(), Halt> {
    let task = ctx.store.read(|read| read.task(id))?.ok_or(Halt::Gone)?;
    let number = task.approved.ok_or(Halt::Gone)?;
    let revision = ctx
        .store
        .read(|read| read.revision(id, number))?
        .ok_or(Halt::Gone)?;
    let reviews = ctx.store.read(|read| read.reviews(id))?;
    let (_, repository) = ctx.repository(&task)?;
    let tip = git(&repository, move |repository| {
        commit_documents(repository, &task, &revision, &reviews)
    })
    .await?;
    session::documents_committed(&ctx.store, id, tip).await?;
    Ok(())
}

fn commit_documents(
    repository: &Repository,
    task: &TaskRow,
    revision: &RevisionRow,
    reviews: &[ReviewRow],
) -> Result<String, crate::repo::RepoError> {
    let branch = task.branch();
    if let Some(tip) = repository.branch_tip(&branch)? {
        let commits = repository.commits(Some(&task.base), &tip)?;
        let ours = commits
            .iter()
            .any(|commit| commit.trailer(REVISION_TRAILER) == Some(revision.digest.as_str()));
        if ours {
            return Ok(tip);
        }
    }
    let message = CommitMessage::new(format!("{}: approved specification", task.name()))
        .trailer("Spec-Task", task.name())
        .trailer(REVISION_TRAILER, &revision.digest);
    let files = files(task, revision, reviews);
    let commit = repository.commit_files(&task.base, &files, &message, &Author::User)?;
    let name = format!("refs/heads/{branch}");
    repository.update_ref(&name, &commit, None, "approved specification", &[])?;
    Ok(commit)
}

fn files(task: &TaskRow, revision: &RevisionRow, reviews: &[ReviewRow]) -> Vec<(String, Vec<u8>)> {
    let folder = format!("specs/{}", task.name());
    let texts = DocumentTexts::of(revision);
    let mut files: Vec<(String, Vec<u8>)> = DocumentKind::ALL
        .iter()
        .map(|kind| {
            (
                format!("{folder}/{}", kind.file_name()),
                texts.get(*kind).as_bytes().to_vec(),
            )
        })
        .collect();
    let plan = spec::plan(&texts.tasks, &texts.requirements).unwrap_or_default();
    let entries: Vec<_> = plan
        .iter()
        .map(|entry| {
            json!({
                "number": entry.number,
                "title": entry.title,
                "depends": entry.depends,
                "requirements": entry.requirements,
                "optional": entry.optional,
            })
        })
        .collect();
    let metadata = json!({
        "spec_task": task.name(),
        "id": task.id,
        "title": task.title,
        "prompt": task.prompt,
        "revision": revision.number,
        "digest": revision.digest,
        "planning_agent": task.planning_agent,
        "implementation_tasks": entries,
    });
    files.push((
        format!("{folder}/spec-metadata.json"),
        format!("{metadata:#}\n").into_bytes(),
    ));
    for (index, review) in reviews.iter().enumerate() {
        let name = format!("{folder}/reviews/{:02}-{}.md", index + 1, review.decision);
        files.push((name, shown_review(review).into_bytes()));
    }
    files
}

fn shown_review(review: &ReviewRow) -> String {
    let mut text = format!(
        "# {} of revision {}\n\n{}\n",
        review.decision.as_str().replace('_', " "),
        review.revision,
        review.at
    );
    if let Some(comment) = &review.comment {
        text.push_str(&format!("\n{}\n", comment.trim()));
    }
    for comment in &review.comments {
        let line = comment
            .line
            .map(|line| format!(":{line}"))
            .unwrap_or_default();
        text.push_str(&format!(
            "\n- `{}{line}`: {}\n",
            comment.document.file_name(),
            comment.text.trim()
        ));
    }
    text
}
