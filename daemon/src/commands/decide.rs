//! `/spec-approve` and `/spec-changes`.

use spectask_protocol::{
    ApproveParams, Failure, FailureKind, LineComment, RequestChangesParams, ReviewView,
    method::{ReviewApprove, ReviewRequestChanges},
};

use super::{
    choose::{self, Behind, IN_REVIEW, first_word},
    invocation::{Invocation, Reply},
    markdown::code,
    review::{self, document},
    words::count,
};

pub(super) const APPROVE: &str = "The newest revision is pinned and committed, then work sessions start by its plan. \
Findings of severity error stand against it unless `--accept-findings` is there; secrets in a document always do. \
`--revision N` approves only if N still is the newest. `--no-start` waits for `/spec-start`.";

pub(super) const CHANGES: &str = "Everything after it is what should be different. \
A line such as `design.md:12: Which database?` is a comment on that line; `design: Too vague` one on the whole document.";

/// What stands around the comment of an approval.
#[derive(Debug, Default, PartialEq, Eq)]
struct Approval {
    accept_findings: bool,
    no_start: bool,
    revision: Option<u32>,
    rest: String,
}

/// Flags stand before the comment, before or behind the SpecTask.
fn approval(args: &str) -> Result<Approval, Failure> {
    let mut approval = Approval::default();
    let mut named = String::new();
    let mut rest = args.trim();
    loop {
        let (word, after) = first_word(rest);
        match word {
            "--accept-findings" => approval.accept_findings = true,
            "--no-start" => approval.no_start = true,
            "--revision" => {
                let (number, after) = first_word(after);
                approval.revision = Some(number.parse().map_err(|_| {
                    Failure::new(FailureKind::InvalidParams, "`--revision` needs a number")
                })?);
                rest = after;
                continue;
            }
            _ if word.starts_with("--") => {
                let text = format!("{word} is no flag of `/spec-approve`");
                return Err(Failure::new(FailureKind::InvalidParams, text)
                    .hint("there are `--accept-findings`, `--revision N` and `--no-start`"));
            }
            _ if named.is_empty() && after.starts_with("--") => named = format!("{word} "),
            _ => break,
        }
        rest = after;
    }
    approval.rest = named + rest;
    Ok(approval)
}

pub(super) async fn approve(invocation: Invocation, args: String) -> Result<Reply, Failure> {
    let approval = approval(&args)?;
    let (task, comment) = choose::task(
        &invocation,
        "spec-approve",
        &approval.rest,
        &IN_REVIEW,
        Behind::Text,
    )
    .await?;
    let seen = review::newest(&invocation.client, task.id.clone().into()).await?;
    if let Some(wanted) = approval.revision.filter(|wanted| *wanted != seen.revision) {
        let text = format!(
            "revision {wanted} of {} is not the newest: that is {}",
            seen.task.name, seen.revision
        );
        let hint = format!("look again with `/spec-review {}`", seen.task.number);
        return Err(Failure::new(FailureKind::Conflict, text).hint(hint));
    }
    let params = ApproveParams {
        task: task.id.into(),
        revision: seen.revision,
        digest: seen.digest.clone(),
        comment: (!comment.is_empty()).then_some(comment),
        accept_findings: approval.accept_findings,
        start: !approval.no_start,
        environment: invocation.environment,
    };
    let task = invocation.client.call(ReviewApprove, params).await?;
    let sessions: usize = seen.plan.iter().map(|wave| wave.tasks.len()).sum();
    let (what, next) = if approval.no_start {
        ("can run", format!("/spec-start {}", task.number))
    } else {
        ("run", format!("/spec-status {}", task.number))
    };
    Ok(Reply::Text(format!(
        "Approved {}, revision {}. {} {what} in {}, at most {} at a time.\n{}\nNext: {}\n",
        code(&task.name),
        seen.revision,
        count(sessions, "session"),
        count(seen.plan.len(), "wave"),
        task.limit,
        review::plan(&seen.plan),
        code(&next)
    )))
}

/// Splits what a person wrote into comments on lines and the rest.
fn comments(text: &str) -> (Option<String>, Vec<LineComment>) {
    let mut general: Vec<&str> = Vec::new();
    let mut comments: Vec<LineComment> = Vec::new();
    let mut in_comment = false;
    for line in text.lines() {
        if let Some(comment) = line_comment(line) {
            comments.push(comment);
            in_comment = true;
        } else if let (true, true, Some(comment)) = (
            in_comment,
            line.starts_with([' ', '\t']) && !line.trim().is_empty(),
            comments.last_mut(),
        ) {
            comment.text.push('\n');
            comment.text.push_str(line.trim());
        } else {
            in_comment = false;
            general.push(line.trim_end());
        }
    }
    let general = general.join("\n").trim().to_owned();
    ((!general.is_empty()).then_some(general), comments)
}

/// Reads `design.md:12: text`, `design:12 text` or `design: text`.
fn line_comment(line: &str) -> Option<LineComment> {
    let line = line.trim_start_matches(['-', '*', ' ', '\t']);
    let (name, rest) = line.split_once(':')?;
    let document = document(name.trim_matches('`'))?;
    let rest = rest.trim_start();
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let (number, text) = rest.split_at(digits);
    let (line, text) = match number.parse::<u32>() {
        Ok(line) if line > 0 && text.starts_with([':', ' ', '\t', '`']) => {
            (Some(line), text.trim_start_matches([':', '`']))
        }
        _ => (None, rest),
    };
    let text = text.trim();
    (!text.is_empty()).then(|| LineComment {
        document,
        line,
        text: text.to_owned(),
    })
}

/// Refuses a comment on a line that is not there: it would tell the agent nothing.
fn check_lines(seen: &ReviewView, comments: &[LineComment]) -> Result<(), Failure> {
    for comment in comments {
        let Some(line) = comment.line else { continue };
        let lines = seen
            .documents
            .iter()
            .find(|document| document.kind == comment.document)
            .map_or(0, |document| document.text.lines().count());
        if usize::try_from(line).unwrap_or(usize::MAX) > lines {
            let file = comment.document.file_name();
            let text = format!("{file} has {} and no line {line}", count(lines, "line"));
            let name = file.trim_end_matches(".md");
            let hint = format!("`/spec-review {} {name}` shows them", seen.task.number);
            return Err(Failure::new(FailureKind::InvalidParams, text).hint(hint));
        }
    }
    Ok(())
}

pub(super) async fn changes(invocation: Invocation, args: String) -> Result<Reply, Failure> {
    if args.trim().is_empty() {
        return Ok(Reply::Help);
    }
    let (task, text) =
        choose::task(&invocation, "spec-changes", &args, &IN_REVIEW, Behind::Text).await?;
    let (comment, comments) = comments(&text);
    if comment.is_none() && comments.is_empty() {
        return Ok(Reply::Help);
    }
    let seen = review::newest(&invocation.client, task.id.clone().into()).await?;
    check_lines(&seen, &comments)?;
    let on_lines = match comments.len() {
        0 => String::new(),
        number => format!(", {} on its lines", count(number, "comment")),
    };
    let params = RequestChangesParams {
        task: task.id.into(),
        revision: seen.revision,
        comment,
        comments,
        environment: invocation.environment,
    };
    let task = invocation.client.call(ReviewRequestChanges, params).await?;
    Ok(Reply::Text(format!(
        "Sent {} back to {}: revision {}{on_lines}. The agent writes revision {}.\n\nNext: {}, then {}\n",
        code(&task.name),
        code(task.planning_agent.as_str()),
        seen.revision,
        seen.revision + 1,
        code(&format!("/spec-status {}", task.number)),
        code(&format!("/spec-review {} diff", task.number))
    )))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use spectask_protocol::DocumentKind;

    use super::*;

    #[test]
    fn flags_of_an_approval_stand_before_its_comment() {
        let parse = |args: &str| approval(args).map_err(|failure| failure.message);
        assert_eq!(
            parse("7 --accept-findings --revision 2 good -- enough"),
            Ok(Approval {
                accept_findings: true,
                no_start: false,
                revision: Some(2),
                rest: "7 good -- enough".into(),
            })
        );
        assert_eq!(
            parse("--no-start looks good"),
            Ok(Approval {
                no_start: true,
                rest: "looks good".into(),
                ..Approval::default()
            })
        );
        assert_eq!(parse(""), Ok(Approval::default()));
        assert!(parse("--yes").is_err());
        assert!(parse("--revision two").is_err());
    }

    #[test]
    fn comments_on_lines_are_found() {
        let comment = |document, line, text: &str| LineComment {
            document,
            line,
            text: text.into(),
        };
        assert_eq!(
            comments(
                "Use tokens.\ndesign.md:12: Which database?\n  SQLite?\n- `tasks:3` split\nrequirements: vague\n\nNote: a b\n"
            ),
            (
                Some("Use tokens.\n\nNote: a b".into()),
                vec![
                    comment(DocumentKind::Design, Some(12), "Which database?\nSQLite?"),
                    comment(DocumentKind::Tasks, Some(3), "split"),
                    comment(DocumentKind::Requirements, None, "vague"),
                ]
            )
        );
        assert_eq!(
            comments("design:12factor").1,
            [comment(DocumentKind::Design, None, "12factor")]
        );
        assert_eq!(comments("design:"), (Some("design:".into()), vec![]));
        assert_eq!(comments(" \n"), (None, vec![]));
    }

    proptest! {
        #[test]
        fn nothing_that_is_written_is_lost(text in "((design|tasks)?(\\.md)?:?[0-9]{0,2}:? ?[a-z]{0,4}\n?){0,6}") {
            let (general, comments) = comments(&text);
            let kept: String = general
                .into_iter()
                .chain(comments.into_iter().map(|comment| comment.text))
                .collect();
            let letters = |text: &str| text.chars().filter(char::is_ascii_lowercase).count();
            let names = text.matches("design").count() * 6
                + text.matches("tasks").count() * 5
                + text.matches(".md").count() * 2;
            prop_assert!(letters(&kept) + names >= letters(&text), "{:?}", text);
        }
    }
}
