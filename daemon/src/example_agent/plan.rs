//! Planning turns: the three documents, written and revised.

use super::{
    brief::{Comment, PlanBrief},
    documents::{self, Documents, Feature},
    files, revise, text,
    turn::{Stop, Turn, Written},
};

const NAMES: [&str; 3] = ["requirements.md", "design.md", "tasks.md"];

/// Writes the documents of a request.
pub(super) async fn plan(turn: &mut Turn, brief: &PlanBrief) -> Result<(), Stop> {
    let folder = folder(&brief.folder)?;
    let mut steps = vec!["Look whether the feature's folder is free".to_owned()];
    steps.extend(NAMES.iter().map(|name| format!("Write {name}")));
    turn.set_plan(steps);
    let feature = free_feature(turn, brief).await?;
    turn.step_done().await?;
    write(turn, folder, &documents::render(&feature)).await?;
    turn.say(&format!(
        "I planned \"{}\": a command, its description, an index and a check in `{}/`. The \
         documents are in `{folder}/`.",
        feature.title,
        feature.folder()
    ));
    Ok(())
}

/// Rewrites the documents: comments are worked into them, errors make them anew.
pub(super) async fn revise(
    turn: &mut Turn,
    brief: &PlanBrief,
    errors: &[String],
    comments: &[Comment],
) -> Result<(), Stop> {
    let folder = folder(&brief.folder)?;
    let mut steps: Vec<String> = NAMES.iter().map(|name| format!("Read {name}")).collect();
    steps.extend(NAMES.iter().map(|name| format!("Write {name}")));
    turn.set_plan(steps);
    let mut old = Vec::with_capacity(NAMES.len());
    for name in NAMES {
        old.push(turn.read(&format!("{folder}/{name}")).await?);
        turn.step_done().await?;
    }
    let complete = old
        .iter()
        .flatten()
        .filter(|text| !text.trim().is_empty())
        .count()
        == 3;
    let mut texts = old.into_iter().map(Option::unwrap_or_default);
    let old = Documents {
        requirements: texts.next().unwrap_or_default(),
        design: texts.next().unwrap_or_default(),
        tasks: texts.next().unwrap_or_default(),
    };
    let anew = !complete || !errors.is_empty();
    let mut new = if anew {
        let mut brief = brief.clone();
        if errors.iter().any(|error| error.contains("secret")) {
            // A secret can only come from the request: what is left is the task's name.
            brief.prompt.clear();
        }
        let mut new = documents::render(&free_feature(turn, &brief).await?);
        revise::carry_over(&old, &mut new);
        new
    } else {
        old
    };
    revise::apply(&mut new, comments);
    write(turn, folder, &new).await?;
    let mut said = String::new();
    if anew {
        said.push_str("I wrote the documents anew");
        if let Some(error) = errors.first() {
            said.push_str(&format!(
                " because of {} finding(s), the first being: {}",
                errors.len(),
                text::line(error, 200)
            ));
        }
        said.push_str(". ");
    }
    said.push_str(&match comments.len() {
        0 => "There was no comment to work in.".to_owned(),
        count => format!(
            "I worked {count} comment(s) in: one on the requirements becomes an acceptance \
             criterion, one on another document a note."
        ),
    });
    turn.say(&said);
    Ok(())
}

/// The feature, in a folder that no other task has taken.
async fn free_feature(turn: &mut Turn, brief: &PlanBrief) -> Result<Feature, Stop> {
    let mut feature = Feature::new(brief);
    let readme = format!("{}/README.md", feature.folder());
    let taken = turn
        .read(&readme)
        .await?
        .is_some_and(|text| !text.contains(&files::marker(&brief.task)));
    if taken {
        // The task's own name is unique in its repository.
        feature.slug = text::slug(&format!("task {} {}", brief.task, feature.slug), "feature");
    }
    Ok(feature)
}

async fn write(turn: &mut Turn, folder: &str, documents: &Documents) -> Result<(), Stop> {
    let texts = [&documents.requirements, &documents.design, &documents.tasks];
    for (name, text) in NAMES.iter().zip(texts) {
        if turn.write(&format!("{folder}/{name}"), text).await? == Written::Same {
            tracing::debug!(name, "the document is as it should be");
        }
        turn.step_done().await?;
    }
    Ok(())
}

/// The folder of the documents, if it may be written.
pub(super) fn folder(folder: &str) -> Result<&str, Stop> {
    let folder = folder.trim_end_matches('/');
    if text::is_safe_path(folder) {
        Ok(folder)
    } else {
        Err(Stop::Refused(format!(
            "The block names the folder \"{}\", which is not a plain relative path below the \
             session's root.",
            text::line(folder, 80)
        )))
    }
}
