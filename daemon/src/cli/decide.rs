//! A person's decision on a revision: approve, request changes, reject, edit.

use std::fs;

use spectask_protocol::{
    ApproveParams, Document, DocumentKind, EditParams, FailureKind, RejectParams,
    RequestChangesParams, ReviewParams, ReviewView, Severity, TaskRef,
    method::{ReviewApprove, ReviewEdit, ReviewGet, ReviewReject, ReviewRequestChanges},
};

use super::{
    args::{ApproveArgs, EditArgs, RejectArgs, RequestChangesArgs},
    choose, comments,
    connect::Daemon,
    context::{Context, environment},
    control::{self, Follow},
    editor,
    error::{CliError, Exit, io},
    findings, review,
    sheet::Tone,
    show,
};

pub(super) async fn approve(ctx: &Context, args: ApproveArgs) -> Result<Exit, CliError> {
    let daemon = ctx.daemon().await?;
    let task = choose::task(ctx, &daemon, args.task, &choose::IN_REVIEW).await?;
    let seen = newest(&daemon, &task, args.revision).await?;
    let errors = seen
        .findings
        .iter()
        .filter(|f| f.severity == Severity::Error)
        .count();
    if !ctx.json {
        let mut sheet = ctx.sheet();
        review::summary(&mut sheet, &seen);
        if !seen.findings.is_empty() {
            sheet.end();
            findings::write(&mut sheet, &seen.documents, &seen.findings);
        }
        ctx.print(sheet)?;
    }
    let mut accept_findings = args.accept_findings;
    if !args.yes {
        let found = match errors {
            0 => String::new(),
            1 => " with 1 error".to_owned(),
            errors => format!(" with {errors} errors"),
        };
        let then = if args.no_start {
            ""
        } else {
            " and start the work"
        };
        let question = format!("Approve revision {}{found}{then}?", seen.revision);
        if !ctx.confirm(&question, "--yes")? {
            ctx.note("Nothing was approved.");
            return Ok(Exit::WaitsForPerson);
        }
        // The question named them.
        accept_findings |= errors > 0;
    }
    let follow = Follow::if_wanted(args.wait, &daemon, &task).await?;
    let params = ApproveParams {
        task,
        revision: seen.revision,
        digest: seen.digest,
        comment: args.message,
        accept_findings,
        start: !args.no_start,
        environment: environment(),
    };
    let task = daemon.call(ReviewApprove, params).await?;
    let what = if args.no_start {
        format!(
            "is approved; `spectask start {}` begins the work",
            task.name
        )
    } else {
        format!(
            "is approved; revision {} is what will be built",
            seen.revision
        )
    };
    control::moved(ctx, daemon, task, &what, follow).await
}

pub(super) async fn request_changes(
    ctx: &Context,
    args: RequestChangesArgs,
) -> Result<Exit, CliError> {
    let daemon = ctx.daemon().await?;
    let task = choose::task(ctx, &daemon, args.task, &choose::IN_REVIEW).await?;
    let seen = newest(&daemon, &task, args.revision).await?;
    let (mut comment, mut lines) = (args.message, args.line);
    if comment.is_none() && lines.is_empty() {
        let template = comments::template(&seen.task.name, seen.revision, &seen.documents);
        let instead = "say it with `-m TEXT` or `--line DOCUMENT:LINE:TEXT`";
        let written = editor::write(ctx, "review.md", &template, instead)?;
        (comment, lines) = comments::parse_template(&written).map_err(CliError::usage)?;
        if comment.is_none() && lines.is_empty() {
            ctx.note("You wrote nothing, so nothing was sent.");
            if ctx.json {
                ctx.print_json(&seen.task)?;
            }
            return Ok(Exit::WaitsForPerson);
        }
    }
    if let Some(comment) = lines.iter().find(|comment| !has_line(&seen, comment)) {
        let file = comment.document.file_name();
        let count = text_of(&seen, comment.document).lines().count();
        return Err(
            CliError::usage(format!("{file} has {count} lines")).hint(format!(
                "`spectask review {} --document {}` shows them with numbers",
                seen.task.name,
                file.trim_end_matches(".md")
            )),
        );
    }
    let follow = Follow::if_wanted(args.wait, &daemon, &task).await?;
    let params = RequestChangesParams {
        task,
        revision: seen.revision,
        comment,
        comments: lines,
        environment: environment(),
    };
    let task = daemon.call(ReviewRequestChanges, params).await?;
    control::moved(
        ctx,
        daemon,
        task,
        "goes back to the agent with your comments",
        follow,
    )
    .await
}

pub(super) async fn reject(ctx: &Context, args: RejectArgs) -> Result<Exit, CliError> {
    let daemon = ctx.daemon().await?;
    let task = choose::task(ctx, &daemon, args.task, &choose::IN_REVIEW).await?;
    if !args.yes && !ctx.confirm("Reject the documents and give the SpecTask up?", "--yes")? {
        ctx.note("Nothing was rejected.");
        return Ok(Exit::WaitsForPerson);
    }
    let params = RejectParams {
        task,
        comment: args.message,
    };
    let task = daemon.call(ReviewReject, params).await?;
    control::moved(ctx, daemon, task, "is rejected", Follow::NOT).await
}

pub(super) async fn edit(ctx: &Context, args: EditArgs) -> Result<Exit, CliError> {
    let daemon = ctx.daemon().await?;
    let task = choose::task(ctx, &daemon, args.task, &choose::IN_REVIEW).await?;
    let seen = newest(&daemon, &task, None).await?;
    let wanted = args.document.map(DocumentKind::from);
    let changed = edit_documents(ctx, &seen, wanted)?;
    if changed.is_empty() {
        ctx.note("You changed nothing.");
        if ctx.json {
            ctx.print_json(&seen)?;
        }
        return Ok(Exit::Good);
    }
    let params = EditParams {
        task,
        revision: seen.revision,
        documents: changed,
    };
    let kept = daemon.call(ReviewEdit, params).await?;
    ctx.show(&kept, |sheet| {
        let (tone, found) = findings::summary(&kept.findings);
        sheet
            .put(Tone::Name, &kept.task.name)
            .plain(&format!(" revision {} kept: ", kept.revision))
            .line(tone, &found);
        if !kept.findings.is_empty() {
            sheet.end();
            findings::write(sheet, &kept.documents, &kept.findings);
        }
        show::next(sheet, &[format!("spectask approve {}", kept.task.name)]);
    })?;
    Ok(Exit::Good)
}

/// Opens the documents in the editor and returns those that are different now.
fn edit_documents(
    ctx: &Context,
    seen: &ReviewView,
    wanted: Option<DocumentKind>,
) -> Result<Vec<Document>, CliError> {
    let folder = tempfile::Builder::new()
        .prefix("spectask-")
        .tempdir()
        .map_err(io("create", "a temporary folder"))?;
    let documents: Vec<_> = seen
        .documents
        .iter()
        .filter(|document| wanted.is_none_or(|kind| kind == document.kind))
        .map(|document| (folder.path().join(document.kind.file_name()), document))
        .collect();
    for (file, document) in &documents {
        fs::write(file, &document.text).map_err(io("write", file.display()))?;
    }
    let files: Vec<_> = documents.iter().map(|(file, _)| file.as_path()).collect();
    editor::open(ctx, &files, "edit where there is a terminal")?;
    let mut changed = Vec::new();
    for (file, document) in &documents {
        let text = fs::read_to_string(file).map_err(io("read", file.display()))?;
        if text != document.text {
            changed.push(Document {
                kind: document.kind,
                text,
            });
        }
    }
    Ok(changed)
}

/// The newest revision; must be the expected one when there is an expectation.
async fn newest(
    daemon: &Daemon,
    task: &TaskRef,
    expected: Option<u32>,
) -> Result<ReviewView, CliError> {
    let params = ReviewParams {
        task: task.clone(),
        revision: None,
    };
    let seen = daemon.call(ReviewGet, params).await?;
    match expected {
        Some(expected) if expected != seen.revision => Err(CliError::new(
            FailureKind::Conflict,
            format!("the newest revision is {}, not {expected}", seen.revision),
        )
        .hint(format!(
            "read it first: `spectask review {} --diff`",
            seen.task.name
        ))),
        _ => Ok(seen),
    }
}

fn text_of(seen: &ReviewView, kind: DocumentKind) -> &str {
    let document = seen.documents.iter().find(|document| document.kind == kind);
    document.map_or("", |document| document.text.as_str())
}

fn has_line(seen: &ReviewView, comment: &spectask_protocol::LineComment) -> bool {
    comment.line.is_none_or(|line| {
        let lines = text_of(seen, comment.document).lines().count();
        usize::try_from(line).is_ok_and(|line| line <= lines)
    })
}
