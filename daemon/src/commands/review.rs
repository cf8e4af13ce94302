//! `/spec-review`, and the summary that a planning ends with.

use spectask_protocol::{
    Decision, DocumentKind, Failure, FailureKind, Finding, PlanWave, ReviewParams, ReviewRecord,
    ReviewView, Severity, SpecTaskStatus, TaskRef, method::ReviewGet,
};

use super::{
    choose::{self, Behind, IN_REVIEW},
    invocation::{CommandClient, Invocation, Reply},
    markdown::{code, escape, escape_short, fence, numbered},
    status,
    words::{self, count},
};

pub(super) const DETAILS: &str = "Without more: everything. `requirements`, `design` or `tasks`: one document with line numbers. \
`findings`: what the validator says. `diff`: what changed since the revision before.";

/// Findings that a summary tells one by one.
const FINDINGS: usize = 12;

/// What is shown of a review.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    All,
    Document(DocumentKind),
    Findings,
    Diff,
}

fn part(word: &str) -> Option<Part> {
    match word {
        "diff" | "changes" => Some(Part::Diff),
        "findings" => Some(Part::Findings),
        "all" => Some(Part::All),
        _ => document(word).map(Part::Document),
    }
}

/// The document of that name, with or without `.md`.
pub(super) fn document(word: &str) -> Option<DocumentKind> {
    let name = word.strip_suffix(".md").unwrap_or(word);
    DocumentKind::from_file_name(&format!("{name}.md"))
}

pub(super) async fn review(invocation: Invocation, args: String) -> Result<Reply, Failure> {
    let mut wanted = Part::All;
    let mut others = Vec::new();
    for word in args.split_whitespace() {
        match part(word) {
            Some(part) => wanted = part,
            None => others.push(word),
        }
    }
    let (task, _) = choose::task(
        &invocation,
        "spec-review",
        &others.join(" "),
        &IN_REVIEW,
        Behind::Nothing,
    )
    .await?;
    let review = newest(&invocation.client, task.id.into()).await?;
    Ok(Reply::Text(match wanted {
        Part::All => whole(&review),
        Part::Document(kind) => one_document(&review, kind),
        Part::Findings => format!(
            "{}\n{}",
            status::header(&review.task),
            findings(&review, usize::MAX)
        ),
        Part::Diff => diff(&review),
    }))
}

/// The newest revision.
pub(super) async fn newest(client: &CommandClient, task: TaskRef) -> Result<ReviewView, Failure> {
    let params = ReviewParams {
        task,
        revision: None,
    };
    client.call(ReviewGet, params).await
}

/// Markdown of how a planning ended: state, findings, the plan in waves, what to type next.
///
/// # Errors
/// The daemon's refusal.
pub async fn review_summary(client: &CommandClient, task: &TaskRef) -> Result<String, Failure> {
    match newest(client, task.clone()).await {
        Ok(review) => Ok(summary(&review)),
        // Planning failed, or was ended, before there were documents.
        Err(failure) if failure.kind == FailureKind::NotFound => {
            let Some(overview) = choose::find(client, task.clone()).await? else {
                return Err(failure);
            };
            let next = words::next(&overview.next);
            Ok(format!(
                "{}\nThere are no documents yet.\n\n{next}",
                status::header(&overview.task)
            ))
        }
        Err(failure) => Err(failure),
    }
}

/// What fits on a screen.
fn summary(review: &ReviewView) -> String {
    let mut out = status::header(&review.task);
    out.push('\n');
    out.push_str(&findings(review, FINDINGS));
    out.push_str(&earlier(&review.reviews));
    out.push_str(&plan(&review.plan));
    out.push_str(&next(review));
    out
}

fn whole(review: &ReviewView) -> String {
    let mut out = status::header(&review.task);
    out.push('\n');
    out.push_str(&findings(review, usize::MAX));
    out.push_str(&earlier(&review.reviews));
    for document in &review.documents {
        out.push_str(&format!(
            "\n**{}**\n\n{}",
            document.kind.file_name(),
            numbered(&document.text)
        ));
    }
    if !review.diff.is_empty() {
        out.push('\n');
        out.push_str(&diff(review));
    }
    out.push_str(&plan(&review.plan));
    out.push_str(&next(review));
    out
}

fn one_document(review: &ReviewView, kind: DocumentKind) -> String {
    let text = review
        .documents
        .iter()
        .find(|document| document.kind == kind)
        .map_or("", |document| document.text.as_str());
    let own: Vec<&Finding> = review
        .findings
        .iter()
        .filter(|finding| finding.document == kind)
        .collect();
    let mut out = format!(
        "**{}** of {}, revision {}\n\n{}",
        kind.file_name(),
        code(&review.task.name),
        review.revision,
        numbered(text)
    );
    if !own.is_empty() {
        let lines: String = own.iter().map(|finding| line(finding)).collect();
        out.push_str(&format!("\n{lines}"));
    }
    out.push_str(&next(review));
    out
}

fn diff(review: &ReviewView) -> String {
    if review.diff.is_empty() {
        return "This is the first revision; there is nothing to compare it with.\n".to_owned();
    }
    format!(
        "Changes since revision {}:\n\n{}",
        review.revision.saturating_sub(1),
        fence("diff", &review.diff)
    )
}

/// How many findings there are, and the worst of them.
fn findings(review: &ReviewView, limit: usize) -> String {
    let of = |severity| {
        let all = review.findings.iter();
        all.filter(|finding| finding.severity == severity).count()
    };
    let mut parts = vec![
        count(of(Severity::Error), "error"),
        count(of(Severity::Warning), "warning"),
    ];
    if of(Severity::Info) > 0 {
        parts.push(count(of(Severity::Info), "note"));
    }
    let mut out = format!(
        "Revision {} by the {}: {}.\n",
        review.revision,
        escape(&review.author),
        parts.join(", ")
    );
    let mut sorted: Vec<&Finding> = review.findings.iter().collect();
    sorted.sort_by(|a, b| {
        let key = |finding: &Finding| (finding.document, finding.span.line);
        b.severity.cmp(&a.severity).then(key(a).cmp(&key(b)))
    });
    if !sorted.is_empty() {
        out.push('\n');
    }
    for finding in sorted.iter().take(limit) {
        out.push_str(&line(finding));
    }
    if sorted.len() > limit {
        let more = sorted.len() - limit;
        out.push_str(&format!("- and {more} more: `/spec-review findings`\n"));
    }
    out
}

fn line(finding: &Finding) -> String {
    let severity = match finding.severity {
        Severity::Error => "**error**",
        Severity::Warning => "warning",
        Severity::Info => "note",
    };
    let place = format!("{}:{}", finding.document.file_name(), finding.span.line);
    let help = finding
        .help
        .as_deref()
        .map_or_else(String::new, |help| format!("; {}", escape_short(help, 300)));
    format!(
        "- {severity} {} {}{help}\n",
        code(&place),
        escape_short(&finding.message, 300)
    )
}

fn earlier(reviews: &[ReviewRecord]) -> String {
    let mut out = String::new();
    for record in reviews {
        let decision = match record.decision {
            Decision::Approve => "approved",
            Decision::RequestChanges => "changes requested",
            Decision::Reject => "rejected",
        };
        let comment = record
            .comment
            .as_deref()
            .map_or_else(String::new, |text| format!(": {}", escape_short(text, 300)));
        out.push_str(&format!(
            "- revision {} {decision}{comment}\n",
            record.revision
        ));
        for comment in &record.comments {
            let file = comment.document.file_name();
            let place = comment
                .line
                .map_or_else(|| file.to_owned(), |line| format!("{file}:{line}"));
            out.push_str(&format!(
                "  - {} {}\n",
                code(&place),
                escape_short(&comment.text, 300)
            ));
        }
    }
    if out.is_empty() {
        out
    } else {
        format!("\nEarlier:\n\n{out}")
    }
}

/// The sessions that approval starts.
pub(super) fn plan(waves: &[PlanWave]) -> String {
    if waves.is_empty() {
        return "\nNo plan can be made of `tasks.md`; the findings say why.\n".to_owned();
    }
    let mut out = "\nPlan:\n\n".to_owned();
    for (index, wave) in waves.iter().enumerate() {
        for task in &wave.tasks {
            let optional = if task.optional { " (optional)" } else { "" };
            let after = if task.depends.is_empty() {
                String::new()
            } else {
                format!(", after {}", escape_short(&task.depends.join(", "), 60))
            };
            out.push_str(&format!(
                "- wave {}: {}. {}{optional}{after}\n",
                index + 1,
                escape_short(&task.number, 12),
                escape_short(&task.title, 100)
            ));
        }
    }
    out
}

/// What to type now.
fn next(review: &ReviewView) -> String {
    let number = review.task.number;
    let state = words::task_state(&review.task);
    if review.task.status != SpecTaskStatus::SpecReview {
        let command = code(&format!("/spec-status {number}"));
        return format!("\nNothing to decide now ({state}). Next: {command}\n");
    }
    let errors = review
        .findings
        .iter()
        .any(|finding| finding.severity == Severity::Error);
    let approve = if errors {
        format!("/spec-approve {number} --accept-findings")
    } else {
        format!("/spec-approve {number}")
    };
    let changes = format!("/spec-changes {number} TEXT");
    let read = format!("/spec-review {number}");
    let list = if errors {
        [changes, read, approve]
    } else {
        [read, approve, changes]
    };
    let list: Vec<String> = list.iter().map(|command| code(command)).collect();
    format!("\nNext: {}\n", list.join(", "))
}
