//! `spectask demo`: the whole job on a small sample repository, each stage shown.

mod sample;

use std::path::Path;

use serde_json::json;
use spectask_protocol::{
    AgentName, ApproveParams, CreateParams, DiffParams, FailureKind, FinishHow, FinishParams,
    ReviewParams, ReviewView, SpecTaskView, TaskParams, TaskRef, TrustParams,
    method::{
        ProjectTrust, ReviewApprove, ReviewGet, SpecTaskCreate, SpecTaskDiff, SpecTaskFinish,
        SpecTaskGet,
    },
};

use super::{
    args::DemoArgs,
    connect::Daemon,
    context::{Context, environment, utf8},
    diff,
    error::{CliError, Exit},
    findings, review, setup,
    sheet::{Sheet, Tone},
    show,
    watch::{self, Goal, Plan},
};

/// What the demo asks for.
const PROMPT: &str = "Add a farewell command";
/// The short name of its SpecTask.
const NAME: &str = "farewell";
/// The agent that needs no account and no network.
const EXAMPLE_AGENT: &str = "example";
/// How many commits of the result are shown.
const COMMITS: &str = "30";

pub(super) async fn run(ctx: &Context, args: DemoArgs) -> Result<Exit, CliError> {
    let dir = sample::choose_dir(&ctx.folder()?, args.dir)?;
    let agent = match args.agent {
        Some(agent) => agent,
        None => EXAMPLE_AGENT
            .parse()
            .map_err(|error| CliError::internal(format!("{error}")))?,
    };
    let stage = Stage { ctx };

    stage.head(
        "1. A sample repository",
        "A tiny shell project with a check of its own.",
    )?;
    sample::create(&dir)?;
    stage.show(|sheet| {
        sheet
            .plain("  ")
            .line(Tone::Name, &dir.display().to_string());
        for file in sample::FILES {
            sheet.plain("  ").line(Tone::Faint, file.path);
        }
    })?;
    let daemon = ctx.daemon().await?;
    trust(&stage, &daemon, &dir).await?;

    let text = format!("The agent `{agent}` makes requirements, design and tasks of one sentence.");
    stage.head("2. A prompt becomes specs", &text)?;
    stage.command(&format!(
        "spectask new --agent {agent} --name {NAME} \"{PROMPT}\""
    ))?;
    let task = create(&daemon, &dir, agent).await?;
    let reference: TaskRef = task.id.clone().into();
    let followed = watch::follow(
        ctx,
        daemon,
        Plan {
            advice: false,
            ..Plan::new(reference.clone(), Goal::Review, 0)
        },
    )
    .await?;
    let daemon = followed.daemon;
    if followed.exit != Exit::Good {
        return stage.stopped(&dir, &task.name, followed.exit);
    }

    stage.head(
        "3. A person reviews",
        "Nothing is implemented but what a person approved. You would read and decide; the demo \
         approves for you.",
    )?;
    stage.command(&format!("spectask review {}", task.name))?;
    let seen = daemon.call(
        ReviewGet,
        ReviewParams {
            task: reference.clone(),
            revision: None,
        },
    );
    let seen = seen.await?;
    stage.show(|sheet| {
        review::summary(sheet, &seen);
        findings::write(sheet, &seen.documents, &seen.findings);
        excerpt(sheet, &seen, ctx.width());
    })?;
    stage.command(&format!("spectask approve {}", task.name))?;
    let overview = daemon
        .call(
            SpecTaskGet,
            TaskParams {
                task: reference.clone(),
            },
        )
        .await?;
    let params = ApproveParams {
        task: reference.clone(),
        revision: seen.revision,
        digest: seen.digest,
        comment: Some("Approved by `spectask demo`".to_owned()),
        accept_findings: false,
        start: true,
        environment: environment(),
    };
    daemon.call(ReviewApprove, params).await?;

    stage.head(
        "4. Tasks become sessions",
        "Each runs its own agent in a worktree of its own, in the order of their dependencies; \
         what passes the project's check is merged and ticked.",
    )?;
    stage.command(&format!("spectask watch {}", task.name))?;
    let followed = watch::follow(
        ctx,
        daemon,
        Plan {
            advice: false,
            ..Plan::new(reference.clone(), Goal::Work, overview.seq)
        },
    )
    .await?;
    let daemon = followed.daemon;
    if followed.exit != Exit::Good {
        return stage.stopped(&dir, &task.name, followed.exit);
    }

    stage.head(
        "5. One branch with the result",
        "Your checkout was not touched.",
    )?;
    let done = result(&stage, &daemon, &dir, &reference).await?;
    if ctx.json {
        ctx.print_json_line(&json!({
            "kind": "demo_ended",
            "data": { "folder": dir, "task": done },
        }))?;
    } else {
        let mut sheet = ctx.sheet();
        afterwards(&mut sheet, &dir, &done);
        ctx.print(sheet)?;
    }
    Ok(Exit::Good)
}

async fn trust(stage: &Stage<'_>, daemon: &Daemon, dir: &Path) -> Result<(), CliError> {
    let cwd = utf8(dir)?;
    let look = TrustParams {
        cwd: cwd.clone(),
        digest: None,
        revoke: false,
    };
    let view = daemon.call(ProjectTrust, look).await?;
    let Some(digest) = view.digest else {
        return Err(CliError::new(
            FailureKind::Internal,
            "the sample's .spectask.toml is not seen",
        ));
    };
    let view = daemon
        .call(
            ProjectTrust,
            TrustParams {
                cwd,
                digest: Some(digest),
                revoke: false,
            },
        )
        .await?;
    stage.show(|sheet| {
        sheet.end().line(
            Tone::Faint,
            "Commands from a repository run only when a person trusts them; the demo trusts its own:",
        );
    })?;
    stage.command("spectask trust --yes")?;
    stage.show(|sheet| setup::trust_text(sheet, &view))
}

async fn create(daemon: &Daemon, dir: &Path, agent: AgentName) -> Result<SpecTaskView, CliError> {
    let params = CreateParams {
        cwd: utf8(dir)?,
        prompt: PROMPT.to_owned(),
        name: Some(NAME.to_owned()),
        agent: Some(agent),
        planning_agent: None,
        mode: None,
        limit: None,
        base: None,
        verify: None,
        later: false,
        environment: environment(),
    };
    daemon.call(SpecTaskCreate, params).await
}

/// Shows what was made and finishes the SpecTask.
async fn result(
    stage: &Stage<'_>,
    daemon: &Daemon,
    dir: &Path,
    task: &TaskRef,
) -> Result<SpecTaskView, CliError> {
    let target = task
        .as_str()
        .parse()
        .map_err(|error| CliError::internal(format!("{error}")))?;
    let changed = daemon
        .call(SpecTaskDiff, DiffParams { target, stat: true })
        .await?;
    let how = |how| FinishParams {
        task: task.clone(),
        how,
        incomplete: false,
    };
    let checked = daemon.call(SpecTaskFinish, how(FinishHow::Check)).await?;
    stage.command(&format!("spectask diff {} --stat", checked.name))?;
    stage.show(|sheet| diff::stat(sheet, &changed))?;
    stage.command(&format!("git log --graph --oneline {}", checked.branch))?;
    let log = [
        "log",
        "--graph",
        "--oneline",
        "--no-decorate",
        "--no-color",
        "-n",
        COMMITS,
    ];
    let graph = sample::git(dir, &[&log[..], &[&checked.branch, "--"]].concat())?;
    stage.show(|sheet| {
        sheet.block(&indent(&graph));
    })?;
    stage.command(&format!("git ls-tree -r --name-only {}", checked.branch))?;
    let tree = sample::git(dir, &["ls-tree", "-r", "--name-only", &checked.branch])?;
    stage.show(|sheet| {
        sheet.block(&indent(&tree));
    })?;
    stage.command(&format!("spectask finish {} --keep", checked.name))?;
    daemon.call(SpecTaskFinish, how(FinishHow::Keep)).await
}

/// Writes the first lines of the requirements, so that a person sees what an agent wrote.
fn excerpt(sheet: &mut Sheet, seen: &ReviewView, width: Option<usize>) {
    let Some(document) = seen.documents.first() else {
        return;
    };
    let criteria: Vec<&str> = document
        .text
        .lines()
        .filter(|line| line.starts_with(|char: char| char.is_ascii_digit()))
        .take(4)
        .collect();
    if criteria.is_empty() {
        return;
    }
    sheet
        .end()
        .line(Tone::Strong, &format!("From {}", document.kind.file_name()));
    for line in criteria {
        sheet.paragraph(Tone::Plain, line, width);
    }
}

fn afterwards(sheet: &mut Sheet, dir: &Path, task: &SpecTaskView) {
    let name = &task.name;
    let documents = format!("git show {}:specs/{name}/tasks.md", task.branch);
    sheet.end().line(Tone::Strong, "Look around");
    let look = [
        (format!("cd {}", shell_word(&dir.display().to_string())), ""),
        ("spectask list".to_owned(), ""),
        (
            format!("spectask show {name}"),
            "the sessions and what they did",
        ),
        (
            format!("spectask sessions log {}/1", task.number),
            "what agent and daemon said",
        ),
        (documents, "the ticked plan"),
        (format!("spectask diff {name}"), "every change"),
        (format!("git merge {}", task.branch), "take it"),
    ];
    commands(sheet, &look);
    sheet
        .end()
        .line(Tone::Strong, "Try next, in a repository of yours");
    let next = [
        ("spectask agents".to_owned(), "which agents were found"),
        ("spectask new \"what you want\"".to_owned(), ""),
        ("spectask review".to_owned(), ""),
        ("spectask approve --wait".to_owned(), ""),
        ("spectask finish --merge".to_owned(), ""),
    ];
    commands(sheet, &next);
}

fn commands(sheet: &mut Sheet, commands: &[(String, &str)]) {
    let width = commands
        .iter()
        .map(|(command, _)| console::measure_text_width(command))
        .max();
    for (command, remark) in commands {
        sheet.plain("  ");
        sheet
            .cell(Tone::Name, command, width.unwrap_or(0))
            .plain("  ");
        sheet.line(Tone::Faint, remark);
    }
}

fn shell_word(text: &str) -> String {
    let plain = |char: char| char.is_ascii_alphanumeric() || "/-_.\\:".contains(char);
    if text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

fn indent(text: &str) -> String {
    text.lines().map(|line| format!("  {line}\n")).collect()
}

/// Prints headings and texts of the demo; nothing when programs read.
struct Stage<'a> {
    ctx: &'a Context,
}

impl Stage<'_> {
    fn head(&self, title: &str, text: &str) -> Result<(), CliError> {
        self.show(|sheet| {
            sheet
                .end()
                .line(Tone::Strong, title)
                .paragraph(Tone::Faint, text, self.ctx.width());
        })
    }

    fn command(&self, command: &str) -> Result<(), CliError> {
        self.show(|sheet| {
            sheet.end().put(Tone::Faint, "$ ").line(Tone::Name, command);
        })
    }

    fn show(&self, write: impl FnOnce(&mut Sheet)) -> Result<(), CliError> {
        if self.ctx.json {
            return Ok(());
        }
        let mut sheet = self.ctx.sheet();
        write(&mut sheet);
        self.ctx.print(sheet)
    }

    fn stopped(&self, dir: &Path, name: &str, exit: Exit) -> Result<Exit, CliError> {
        self.show(|sheet| {
            let text = format!(
                "The demo stops here; everything is left as it is in {}",
                dir.display()
            );
            sheet.end().line(Tone::Warn, &text);
            show::next(
                sheet,
                &[
                    format!("spectask show {name}"),
                    format!("spectask watch {name}"),
                ],
            );
        })?;
        Ok(exit)
    }
}
