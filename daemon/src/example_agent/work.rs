//! Work turns: one task of an approved plan, carried out and repaired.

use super::{
    brief::WorkBrief,
    files::{self, Context},
    outline, plan,
    steps::{Step, steps},
    text,
    turn::{Ran, Stop, Turn, Written},
};

/// Carries out a task. Doing it again, or after it was cut half-way, gives the same bytes.
pub(super) async fn work(turn: &mut Turn, brief: &WorkBrief) -> Result<(), Stop> {
    let folder = plan::folder(&brief.folder)?;
    if let Some(output) = &brief.output {
        turn.say(&format!(
            "The verification failed. Its last line was: \"{}\". I have no model to find the cause; \
             I put the files of the task back to what the plan says and check again.",
            last_line(output)
        ));
    }
    let requirements = turn.read(&format!("{folder}/requirements.md")).await?;
    turn.breathe().await?;
    let tasks = turn.read(&format!("{folder}/tasks.md")).await?;
    turn.breathe().await?;
    let source = source(brief, tasks.as_deref());
    let context = context(
        brief,
        &source,
        requirements.as_deref().unwrap_or_default(),
        tasks.as_deref().unwrap_or_default(),
    );
    let steps = steps(brief, &source);
    turn.set_plan(steps.iter().map(|step| match step {
        Step::Write(path) => format!("Write {path}"),
        Step::Run(path) => format!("Run sh {path}"),
        Step::Skip(reason) => format!("Skip: {reason}"),
    }));
    let mut report = Vec::new();
    if requirements.is_none() || tasks.is_none() {
        report.push(format!(
            "the documents in `{folder}/` could not all be read; the task's own text had to do"
        ));
    }
    for step in &steps {
        report.push(match step {
            Step::Write(path) => write(turn, path, &context).await?,
            Step::Run(path) => run(turn, path).await?,
            Step::Skip(reason) => reason.clone(),
        });
        turn.step_done().await?;
    }
    let mut said = format!("Task {} is carried out:\n", name(brief));
    for line in report {
        said.push_str("\n- ");
        said.push_str(&line);
    }
    turn.say(&said);
    Ok(())
}

/// Resolves conflicts in the one way that needs no understanding: both sides stay, one after the
/// other.
pub(super) async fn resolve(turn: &mut Turn, paths: &[String]) -> Result<(), Stop> {
    turn.set_plan(paths.iter().map(|path| format!("Resolve {path}")));
    let mut report = Vec::new();
    for path in paths.iter().filter(|path| text::is_safe_path(path)) {
        report.push(match turn.read(path).await? {
            Some(marked) => {
                turn.write(path, &both_sides(&marked)).await?;
                format!("\n- kept both sides of `{path}`")
            }
            None => format!("\n- left `{path}` as it is: it is not there"),
        });
        turn.step_done().await?;
    }
    turn.say(&format!("The conflicts are resolved:\n{}", report.concat()));
    Ok(())
}

/// A file without its conflict markers; of the common ancestor, where git shows it, nothing stays.
fn both_sides(marked: &str) -> String {
    let mut kept = String::with_capacity(marked.len());
    let mut in_ancestor = false;
    for line in marked.split_inclusive('\n') {
        match line.trim_end() {
            "=======" => in_ancestor = false,
            text if text.starts_with("||||||| ") => in_ancestor = true,
            text if text.starts_with("<<<<<<< ") || text.starts_with(">>>>>>> ") => {}
            _ if in_ancestor => {}
            _ => kept.push_str(line),
        }
    }
    kept
}

async fn write(turn: &mut Turn, path: &str, context: &Context) -> Result<String, Stop> {
    let existing = turn.peek(path).await?;
    Ok(match files::content(path, existing.as_deref(), context) {
        Ok(text) => match turn.write(path, &text).await? {
            Written::Changed => format!("wrote `{path}`"),
            Written::Same => format!("`{path}` was as it should be"),
        },
        Err(reason) => format!("left `{path}` as it is: {reason}"),
    })
}

async fn run(turn: &mut Turn, path: &str) -> Result<String, Stop> {
    Ok(match turn.run(path).await? {
        Ran::Ended {
            code: Some(0),
            output,
        } => format!("`sh {path}` ended well: \"{}\"", last_line(&output)),
        Ran::Ended { code, output } => {
            let status = code.map_or("a signal".to_owned(), |code| format!("status {code}"));
            format!(
                "`sh {path}` ended with {status}: \"{}\"",
                last_line(&output)
            )
        }
        Ran::Not(reason) => format!("`sh {path}` did not run: {reason}"),
    })
}

/// The task's text from the prompt, or from `tasks.md` if the prompt has none.
fn source(brief: &WorkBrief, tasks: Option<&str>) -> String {
    if !brief.text.trim().is_empty() {
        return brief.text.clone();
    }
    tasks
        .and_then(|tasks| outline::task_source(tasks, &brief.number))
        .unwrap_or_default()
}

fn context(brief: &WorkBrief, source: &str, requirements: &str, tasks: &str) -> Context {
    let title = outline::plan_title(tasks).unwrap_or_else(|| text::title("", &brief.task));
    Context {
        title,
        task: text::line(&brief.task, 80),
        number: text::line(&brief.number, 20),
        task_title: brief.title.clone(),
        source: source.to_owned(),
        criteria: outline::criteria(requirements),
    }
}

fn name(brief: &WorkBrief) -> String {
    let name = format!("{} {}", brief.number, brief.title);
    text::line(&name, 120)
}

fn last_line(output: &str) -> String {
    let last = output
        .lines()
        .rev()
        .map(|line| text::line(line, 200))
        .find(|line| !line.is_empty());
    last.unwrap_or_else(|| "(no output)".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_of_a_conflict_stay() {
        let marked = "a\n<<<<<<< HEAD\nours\n||||||| base\nold\n=======\ntheirs\n>>>>>>> x\nz";
        assert_eq!(both_sides(marked), "a\nours\ntheirs\nz");
    }
}
