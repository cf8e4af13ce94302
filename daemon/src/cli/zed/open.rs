//! `spectask zed open`: a worktree in Zed, with the command that shows its session typed in.

use std::path::Path;

use serde_json::json;
use spectask_protocol::{
    FailureKind, SessionParams, SessionRef, TaskParams,
    method::{SpecTaskGet, WorkSessionGet},
};

use super::{
    super::{
        args::ZedOpenArgs,
        connect::Daemon,
        context::Context,
        error::{CliError, Exit},
        sheet::Tone,
    },
    command::{self, Step},
};

/// The longest URL that Zed takes.
const URL_LIMIT: usize = 1_024;

pub(super) async fn run(ctx: &Context, args: ZedOpenArgs) -> Result<Exit, CliError> {
    let daemon = ctx.daemon().await?;
    let (name, folder) = find(&daemon, &args.target).await?;
    let url = url(&format!("/spec-open {name}")).ok_or_else(|| {
        CliError::internal(format!("the name {name:?} is too long for a link of Zed"))
    })?;
    let zed = command::find(&command::machine()?, &args.place).await?;
    // Zed ignores the paths of a command that has a URL.
    let steps: [Step; 2] = [&folder, &url].map(|what| zed.step(&args.place, what));
    if args.print {
        let value = json!({ "target": name, "folder": folder, "url": url, "commands": steps });
        ctx.show(&value, |sheet| {
            for step in &steps {
                sheet.line(Tone::Plain, &step.to_line());
            }
        })?;
        return Ok(Exit::Good);
    }
    for step in &steps {
        step.run().await?;
    }
    let value = json!({ "target": name, "folder": folder, "url": url, "opened": true });
    ctx.show(&value, |sheet| {
        sheet
            .put(Tone::Name, &folder)
            .plain(" is open in Zed; ")
            .put(Tone::Name, &format!("/spec-open {name}"))
            .line(
                Tone::Plain,
                " is typed in there: choose a SpecTask agent and send it.",
            );
    })?;
    Ok(Exit::Good)
}

/// The name for `/spec-open`, and the folder to open: the worktree, where there is one, else the project.
async fn find(daemon: &Daemon, target: &SessionRef) -> Result<(String, String), CliError> {
    let session = match daemon
        .call(
            WorkSessionGet,
            SessionParams {
                session: target.clone(),
            },
        )
        .await
    {
        Ok(session) => session,
        // A SpecTask.
        Err(error) if !target.as_str().contains('/') => {
            let Ok(task) = target.as_str().parse() else {
                return Err(error);
            };
            let view = daemon.call(SpecTaskGet, TaskParams { task }).await?.task;
            return there(view.name, view.project);
        }
        Err(error) => return Err(error),
    };
    let worktree = session.worktree.clone();
    if let Some(worktree) = worktree.filter(|worktree| Path::new(worktree).is_dir()) {
        return Ok((session.name, worktree));
    }
    match session.task {
        Some(task) => {
            let params = TaskParams { task: task.into() };
            let view = daemon.call(SpecTaskGet, params).await?.task;
            there(session.name, view.project)
        }
        None => Err(CliError::new(
            FailureKind::NotFound,
            format!("{} has no folder any more", session.name),
        )),
    }
}

fn there(name: String, folder: String) -> Result<(String, String), CliError> {
    if Path::new(&folder).is_dir() {
        return Ok((name, folder));
    }
    Err(CliError::new(
        FailureKind::NotFound,
        format!("the folder of {name}, {folder}, is gone"),
    ))
}

/// A link that types this into a new thread; none if it would be too long for Zed.
fn url(prompt: &str) -> Option<String> {
    let mut url = "zed://agent?prompt=".to_owned();
    for byte in prompt.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            url.push(char::from(byte));
        } else {
            url += &format!("%{byte:02X}");
        }
    }
    (url.len() <= URL_LIMIT).then_some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_holds_what_zed_takes() {
        assert_eq!(
            url("/spec-open 7-ü/02&x").as_deref(),
            Some("zed://agent?prompt=%2Fspec-open%207-%C3%BC%2F02%26x")
        );
        let room = URL_LIMIT - "zed://agent?prompt=".len();
        assert_eq!(url(&"a".repeat(room)).unwrap().len(), URL_LIMIT);
        assert_eq!(url(&"a".repeat(room + 1)), None);
        assert_eq!(url(&"é".repeat(room / 6 + 1)), None);
    }
}
