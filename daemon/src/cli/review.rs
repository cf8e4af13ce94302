//! `spectask review`: what a person reads before they decide.

use spectask_protocol::{
    Decision, Document, DocumentKind, PlanWave, ReviewParams, ReviewView, SpecTaskStatus,
    method::ReviewGet,
};

use super::{
    args::ReviewArgs,
    choose,
    context::Context,
    error::{CliError, Exit},
    findings, pager,
    sheet::{Sheet, Tone, sanitize, wrap},
    show,
};

pub(super) async fn run(ctx: &Context, args: ReviewArgs) -> Result<Exit, CliError> {
    let daemon = ctx.daemon().await?;
    let task = choose::task(ctx, &daemon, args.task, &choose::IN_REVIEW).await?;
    let params = ReviewParams {
        task,
        revision: args.revision,
    };
    let review = daemon.call(ReviewGet, params).await?;
    if ctx.json {
        ctx.print_json(&review)?;
        return Ok(Exit::Good);
    }
    let mut sheet = ctx.sheet();
    if args.diff {
        if review.diff.is_empty() {
            sheet.line(
                Tone::Faint,
                "This is the first revision; there is nothing to compare with.",
            );
        }
        diff(&mut sheet, &review.diff);
    } else if args.findings {
        summary_line(&mut sheet, &review);
        findings::write(&mut sheet, &review.documents, &review.findings);
    } else if let Some(wanted) = args.document.map(DocumentKind::from) {
        for found in review
            .documents
            .iter()
            .filter(|document| document.kind == wanted)
        {
            // Somebody who redirects it wants the text and nothing else.
            if ctx.terminal {
                document(&mut sheet, found, ctx.width());
            } else {
                sheet.trusted(&found.text);
            }
        }
    } else {
        render(&mut sheet, &review, ctx.width());
    }
    pager::show(ctx, sheet, !args.no_pager)?;
    Ok(Exit::Good)
}

/// Writes everything: summary, findings, documents, what changed, the plan, what to do.
fn render(sheet: &mut Sheet, review: &ReviewView, width: Option<usize>) {
    summary(sheet, review);
    if !review.findings.is_empty() {
        heading(sheet, "Findings");
        findings::write(sheet, &review.documents, &review.findings);
    }
    for found in &review.documents {
        heading(sheet, found.kind.file_name());
        document(sheet, found, width);
    }
    if !review.diff.is_empty() {
        heading(
            sheet,
            &format!(
                "Changes since revision {}",
                review.revision.saturating_sub(1)
            ),
        );
        diff(sheet, &review.diff);
    }
    if review.task.status != SpecTaskStatus::SpecReview || review.task.imported {
        return;
    }
    let name = &review.task.name;
    show::next(
        sheet,
        &[
            format!("spectask approve {name}"),
            format!("spectask request-changes {name}"),
            format!("spectask edit {name}"),
            format!("spectask reject {name}"),
        ],
    );
}

/// Writes what fits on a screen: what it is, what was found, what approval would start.
pub(super) fn summary(sheet: &mut Sheet, review: &ReviewView) {
    sheet
        .put(Tone::Name, &review.task.name)
        .plain("  ")
        .line(Tone::Strong, &review.task.title);
    summary_line(sheet, review);
    for record in &review.reviews {
        let decision = match record.decision {
            Decision::Approve => "approved",
            Decision::RequestChanges => "changes requested",
            Decision::Reject => "rejected",
        };
        sheet.plain("  ").put(
            Tone::Faint,
            &format!("revision {}: {decision}", record.revision),
        );
        if let Some(comment) = &record.comment {
            sheet.plain(" ").put(Tone::Plain, comment);
        }
        sheet.end();
        for comment in &record.comments {
            let place = match comment.line {
                Some(line) => format!("{}:{line}", comment.document.file_name()),
                None => comment.document.file_name().to_owned(),
            };
            sheet
                .plain("    ")
                .put(Tone::Name, &place)
                .plain(" ")
                .line(Tone::Plain, &comment.text);
        }
    }
    plan(sheet, &review.plan);
}

fn summary_line(sheet: &mut Sheet, review: &ReviewView) {
    let (tone, found) = findings::summary(&review.findings);
    let digest: String = review.digest.chars().take(12).collect();
    sheet
        .plain(&format!(
            "  revision {} by the {}, ",
            review.revision, review.author
        ))
        .put(tone, &found)
        .line(Tone::Faint, &format!("  {digest}"));
    let lines: Vec<String> = review
        .documents
        .iter()
        .map(|document| {
            format!(
                "{} {}",
                document.kind.file_name(),
                document.text.lines().count()
            )
        })
        .collect();
    sheet
        .plain("  ")
        .line(Tone::Faint, &format!("lines: {}", lines.join(", ")));
}

/// Writes the sessions that approval would start, in waves.
fn plan(sheet: &mut Sheet, waves: &[PlanWave]) {
    if waves.is_empty() {
        sheet.line(
            Tone::Warn,
            "  no plan can be made of tasks.md; see the findings",
        );
        return;
    }
    sheet.end().line(Tone::Strong, "Plan");
    for (index, wave) in waves.iter().enumerate() {
        for (place, task) in wave.tasks.iter().enumerate() {
            let head = if place == 0 {
                format!("wave {}", index + 1)
            } else {
                String::new()
            };
            sheet
                .plain("  ")
                .cell(Tone::Faint, &head, 9)
                .put(Tone::Name, &task.number)
                .plain(". ")
                .put(Tone::Plain, &task.title);
            if task.optional {
                sheet.put(Tone::Faint, " (optional)");
            }
            if !task.depends.is_empty() {
                sheet.put(Tone::Faint, &format!("  after {}", task.depends.join(", ")));
            }
            sheet.end();
        }
    }
}

/// Writes a document with line numbers, as `request-changes --line` takes them.
fn document(sheet: &mut Sheet, document: &Document, width: Option<usize>) {
    let column = document.text.lines().count().to_string().len();
    let room = width.map_or(usize::MAX, |width| width.saturating_sub(column + 1).max(20));
    for (index, line) in document.text.lines().enumerate() {
        let tone = if line.starts_with('#') {
            Tone::Strong
        } else {
            Tone::Plain
        };
        let line = sanitize(line).replace('\t', "    ");
        for (piece, text) in wrap(&line, room).iter().enumerate() {
            let number = if piece == 0 {
                format!("{:>column$} ", index + 1)
            } else {
                " ".repeat(column + 1)
            };
            sheet.put(Tone::Faint, &number).put(tone, text).end();
        }
    }
}

/// Writes a unified diff.
pub(super) fn diff(sheet: &mut Sheet, diff: &str) {
    for line in diff.lines() {
        let tone =
            if line.starts_with("+++") || line.starts_with("---") || line.starts_with("diff ") {
                Tone::Strong
            } else if line.starts_with("@@") {
                Tone::Name
            } else if line.starts_with('+') {
                Tone::Good
            } else if line.starts_with('-') {
                Tone::Bad
            } else {
                Tone::Plain
            };
        sheet.put(tone, &line.replace('\t', "    ")).end();
    }
}

fn heading(sheet: &mut Sheet, text: &str) {
    sheet
        .end()
        .line(Tone::Strong, text)
        .line(Tone::Faint, &"─".repeat(text.chars().count()));
}

#[cfg(test)]
mod tests {
    use spectask_protocol::{
        Finding, LineComment, PlanEntry, ReviewRecord, Severity, Span, SpecTaskStatus,
    };

    use super::{super::fixtures, *};

    fn example() -> ReviewView {
        let entry = |number: &str, title: &str, depends: &[&str], optional| PlanEntry {
            number: number.into(),
            title: title.into(),
            depends: depends.iter().map(|&d| d.into()).collect(),
            optional,
        };
        ReviewView {
            task: fixtures::task(7, "user-auth", SpecTaskStatus::SpecReview),
            revision: 2,
            author: "agent".into(),
            digest: "0123456789abcdef".into(),
            documents: vec![Document {
                kind: DocumentKind::Requirements,
                text: "# Requirements\n\n1. WHEN a user logs in\u{1b}[8m hidden\n".into(),
            }],
            findings: vec![Finding {
                rule: "ears-missing-shall".into(),
                severity: Severity::Warning,
                document: DocumentKind::Requirements,
                span: Span {
                    start: 19,
                    end: 40,
                    line: 3,
                    column: 4,
                },
                message: "no SHALL".into(),
                help: None,
            }],
            diff: "--- a\n+++ b\n@@ -1 +1 @@\n-old\n+new\n".into(),
            reviews: vec![ReviewRecord {
                revision: 1,
                decision: Decision::RequestChanges,
                comment: Some("Tokens must expire".into()),
                comments: vec![LineComment {
                    document: DocumentKind::Tasks,
                    line: Some(3),
                    text: "too big".into(),
                }],
                at: "2026-03-04T10:00:00Z".into(),
            }],
            plan: vec![
                PlanWave {
                    tasks: vec![entry("1", "Schema", &[], false)],
                },
                PlanWave {
                    tasks: vec![
                        entry("2", "API", &["1"], false),
                        entry("3", "Page", &["1"], true),
                    ],
                },
            ],
        }
    }

    #[test]
    fn the_summary_tells_what_approval_starts() {
        let mut sheet = Sheet::new(false);
        summary(&mut sheet, &example());
        insta::assert_snapshot!(sheet.into_text(), @r"
        7-user-auth  Implement user authentication
          revision 2 by the agent, 0 errors, 1 warning  0123456789ab
          lines: requirements.md 3
          revision 1: changes requested Tokens must expire
            tasks.md:3 too big

        Plan
          wave 1   1. Schema
          wave 2   2. API  after 1
                   3. Page (optional)  after 1
        ");
    }

    #[test]
    fn nothing_in_a_document_is_hidden() {
        let mut sheet = Sheet::new(true);
        render(&mut sheet, &example(), None);
        let text = sheet.into_text();
        assert!(!text.contains("\u{1b}[8m"), "{text}");
        assert!(text.contains(" hidden"), "{text}");
    }
}
