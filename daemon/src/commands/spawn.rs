//! `/spec-spawn`.

use spectask_protocol::{Failure, SessionRef, SpawnParams, method::WorkSessionSpawn};

use super::{
    choose::{self, Behind, IMPLEMENTING, first_word},
    invocation::{Invocation, Reply},
    markdown::{code, escape},
    words::brief,
};

pub(super) const DETAILS: &str =
    "The title ends at a colon or at the end of its line; what follows is the task. \
With a session such as `7/2` the new one is its child.

Example: `/spec-spawn 7 Load test: Measure 1,000 logins per second and write down what is slow`";

/// Splits `title: description` or a title and the lines below it.
fn title(text: &str) -> (String, String) {
    let text = text.trim();
    let (line, below) = text.split_once('\n').unwrap_or((text, ""));
    let (title, behind) = match line.split_once(": ") {
        Some((title, behind)) if !title.trim().is_empty() => (title, behind),
        _ => (line.trim().trim_end_matches(':'), ""),
    };
    let description = format!("{}\n{}", behind.trim(), below.trim());
    let description = description.trim();
    let title = title.trim().to_owned();
    if description.is_empty() {
        (title.clone(), title)
    } else {
        (title, description.to_owned())
    }
}

pub(super) async fn spawn(invocation: Invocation, args: String) -> Result<Reply, Failure> {
    let (word, rest) = first_word(&args);
    let named = choose::named(&invocation, &args, Behind::Text).await?;
    let (target, text): (SessionRef, &str) = match named {
        Some(_) if word.contains('/') => {
            let parent = choose::session(&invocation, word).await?;
            (parent.id.into(), rest)
        }
        Some((task, _)) => (task.id.into(), rest),
        None if args.trim().is_empty() => return Ok(Reply::Help),
        None => {
            let task = choose::meant(&invocation, "spec-spawn", &IMPLEMENTING).await?;
            (task.id.into(), args.trim())
        }
    };
    let (title, description) = title(text);
    if title.is_empty() {
        return Ok(Reply::Help);
    }
    let params = SpawnParams {
        target,
        title,
        description,
        agent: None,
        environment: invocation.environment,
    };
    let session = invocation.client.call(WorkSessionSpawn, params).await?;
    let name = brief(&session.name);
    Ok(Reply::Text(format!(
        "Spawned {}: {}\n\nNext: {} in a fresh thread, {}\n",
        code(&session.name),
        escape(&session.title),
        code(&format!("/spec-open {name}")),
        code(&format!("/spec-tell {name} TEXT"))
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_ends_at_a_colon_or_its_line() {
        let of = |text: &str| {
            let (title, description) = title(text);
            format!("{title}|{description}")
        };
        assert_eq!(of("Load test: run it\ntwice"), "Load test|run it\ntwice");
        assert_eq!(of("Load test\n\nrun: it"), "Load test|run: it");
        assert_eq!(of(" Load test "), "Load test|Load test");
        assert_eq!(of("Fix a::b: now"), "Fix a::b|now");
        assert_eq!(of("Fix:\nall"), "Fix|all");
        assert_eq!(of(": x"), ": x|: x");
        assert_eq!(of(""), "|");
    }
}
