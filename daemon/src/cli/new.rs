//! `spectask new`: a SpecTask from a prompt.

use std::io::{self, Read};

use jiff::Timestamp;
use spectask_protocol::{CreateParams, SpecTaskView, method::SpecTaskCreate};

use super::{
    args::NewArgs,
    context::{Context, environment},
    editor,
    error::{CliError, Exit, io as io_error},
    sheet::{Sheet, Tone},
    show,
    watch::{self, Goal, Plan},
};

const TEMPLATE: &str = "

# What do you want? Write it above; the agent makes requirements, design and tasks of it.
# Lines that start with # are ignored. An empty text cancels.
";

pub(super) async fn run(ctx: &Context, args: NewArgs) -> Result<Exit, CliError> {
    let prompt = prompt(ctx, args.prompt.as_deref())?;
    let params = CreateParams {
        cwd: ctx.cwd()?,
        prompt,
        name: args.name,
        agent: args.agent,
        planning_agent: args.planning_agent,
        mode: args.mode.map(Into::into),
        limit: args.limit,
        base: args.base,
        verify: args.verify,
        later: args.later,
        environment: environment(),
    };
    let daemon = ctx.daemon().await?;
    let task = daemon.call(SpecTaskCreate, params).await?;
    let wait = !args.later && !args.no_wait && (args.wait || ctx.terminal);
    if !wait {
        ctx.show(&task, |sheet| created(sheet, &task, args.later))?;
        return Ok(Exit::Good);
    }
    if !ctx.json {
        let mut sheet = ctx.sheet();
        sheet
            .put(Tone::Name, &task.name)
            .plain(" is planned by ")
            .put(Tone::Name, task.planning_agent.as_str())
            .line(Tone::Faint, "  (Ctrl-C leaves; the work goes on)");
        ctx.print(sheet)?;
    }
    let plan = Plan::new(task.id.into(), Goal::Review, 0);
    Ok(watch::follow(ctx, daemon, plan).await?.exit)
}

fn created(sheet: &mut Sheet, task: &SpecTaskView, later: bool) {
    sheet.plain("Created ").put(Tone::Name, &task.name).line(
        Tone::Faint,
        &format!(" at {}", Timestamp::now().strftime("%H:%M UTC")),
    );
    let next = if later { "start" } else { "watch" };
    show::next(sheet, &[format!("spectask {next} {}", task.name)]);
}

fn prompt(ctx: &Context, argument: Option<&str>) -> Result<String, CliError> {
    let text = match argument {
        Some("-") => {
            let mut text = String::new();
            io::stdin()
                .read_to_string(&mut text)
                .map_err(io_error("read", "the prompt from standard input"))?;
            text
        }
        Some(text) => text.to_owned(),
        None => {
            let written = editor::write(
                ctx,
                "prompt.md",
                TEMPLATE,
                "give the prompt as an argument, or `-` to read it from standard input",
            )?;
            written
                .lines()
                .filter(|line| !line.starts_with('#'))
                .collect::<Vec<_>>()
                .join("\n")
        }
    };
    let text = text.trim();
    if text.is_empty() {
        return Err(CliError::usage("the prompt is empty")
            .hint("say what you want: spectask new \"Add rate limiting to the API\""));
    }
    Ok(text.to_owned())
}
