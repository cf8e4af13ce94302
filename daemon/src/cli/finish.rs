//! `spectask finish`: brings a branch home. Merging and pushing happen here, in the process that the
//! person started, and never in the daemon.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use serde_json::json;
use spectask_protocol::{
    FailureKind, FinishHow, FinishParams, SpecTaskView, TaskRef, method::SpecTaskFinish,
};

use super::{
    args::FinishArgs,
    choose,
    connect::Daemon,
    context::Context,
    error::{CliError, Exit},
    sheet::Tone,
};
use crate::repo::{
    CommitMessage, FinishOutcome, Remote, RepoError, Repository, web_compare_url, without_password,
};

pub(super) async fn run(ctx: &Context, args: FinishArgs) -> Result<Exit, CliError> {
    let daemon = ctx.daemon().await?;
    let task = choose::task(ctx, &daemon, args.task.clone(), &choose::FINISHABLE).await?;
    let finisher = Finisher {
        ctx,
        daemon,
        task,
        incomplete: args.incomplete,
    };
    let view = finisher.tell(FinishHow::Check).await?;
    let how = match (args.merge, args.pr, args.keep) {
        (true, ..) => FinishHow::Merge,
        (_, true, _) => FinishHow::PullRequest,
        (.., true) => FinishHow::Keep,
        (false, false, false) => match ask(ctx, &view)? {
            Some(how) => how,
            None => return Ok(Exit::WaitsForPerson),
        },
    };
    match how {
        FinishHow::Merge => finisher.merge(&view, args.into).await,
        FinishHow::PullRequest => finisher.pull_request(&view, args).await,
        FinishHow::Keep | FinishHow::Check => finisher.keep().await,
    }
}

/// Asks a person how; none when nobody answers.
fn ask(ctx: &Context, view: &SpecTaskView) -> Result<Option<FinishHow>, CliError> {
    let name = &view.name;
    let into = view
        .target
        .as_deref()
        .unwrap_or("a branch that you name with --into");
    let ways = [
        (
            format!("spectask finish {name} --merge"),
            format!("merge {} into {into}", view.branch),
        ),
        (
            format!("spectask finish {name} --pr"),
            "push it and open a pull request".to_owned(),
        ),
        (
            format!("spectask finish {name} --keep"),
            "leave the branch as it is".to_owned(),
        ),
    ];
    ctx.show(
        &json!({ "ready": true, "commands": ways.each_ref().map(|(way, _)| way) }),
        |sheet| {
            sheet
                .put(Tone::Name, name)
                .line(Tone::Good, " can be finished");
            // Commands are there to be typed: none is cut.
            let width = ways
                .iter()
                .map(|(command, _)| command.len())
                .max()
                .unwrap_or(0);
            for (command, what) in &ways {
                sheet
                    .plain("  ")
                    .cell(Tone::Name, command, width)
                    .plain("  ")
                    .line(Tone::Faint, what);
            }
        },
    )?;
    if !ctx.interactive {
        return Ok(None);
    }
    let answer = ctx.ask("merge, pr, keep, or nothing to leave it: ")?;
    Ok(match answer.as_str() {
        "m" | "merge" => Some(FinishHow::Merge),
        "p" | "pr" => Some(FinishHow::PullRequest),
        "k" | "keep" => Some(FinishHow::Keep),
        _ => None,
    })
}

struct Finisher<'a> {
    ctx: &'a Context,
    daemon: Daemon,
    task: TaskRef,
    incomplete: bool,
}

impl Finisher<'_> {
    async fn tell(&self, how: FinishHow) -> Result<SpecTaskView, CliError> {
        let params = FinishParams {
            task: self.task.clone(),
            how,
            incomplete: self.incomplete,
        };
        self.daemon.call(SpecTaskFinish, params).await
    }

    async fn keep(&self) -> Result<Exit, CliError> {
        let view = self.tell(FinishHow::Keep).await?;
        let repository = Repository::discover(&view.project);
        let stays = repository
            .and_then(|repository| repository.branch_tip(&view.branch))
            .is_ok_and(|tip| tip.is_some());
        let where_to = if stays {
            " is finished; its work stays on "
        } else {
            " is finished, but there is no branch "
        };
        self.ctx.show(&view, |sheet| {
            sheet
                .put(Tone::Name, &view.name)
                .plain(where_to)
                .line(Tone::Name, &view.branch);
        })?;
        Ok(Exit::Good)
    }

    async fn merge(&self, view: &SpecTaskView, into: Option<String>) -> Result<Exit, CliError> {
        let target = target(view, into)?;
        let repository = with_branch(view)?;
        let message = CommitMessage::new(format!("Merge {}: {}", view.branch, view.title))
            .trailer("Spec-Task", view.name.as_str());
        let outcome = repository
            .finish_merge(&view.branch, &target, &message)
            .map_err(|error| refused(&error))?;
        let merged = match outcome {
            FinishOutcome::Merged { commit, .. } => Some(commit),
            FinishOutcome::AlreadyContained => None,
            FinishOutcome::Conflict { paths } => {
                return Err(CliError::new(
                    FailureKind::InvalidState,
                    format!("{} and {target} conflict in {}", view.branch, some(&paths)),
                )
                .hint(format!(
                    "merge it yourself (`git switch {target}`, `git merge {}`), then finish again",
                    view.branch
                )));
            }
            FinishOutcome::Dirty { checkout, paths } => {
                return Err(CliError::new(
                    FailureKind::InvalidState,
                    format!(
                        "{target} is checked out at {} with uncommitted changes in {}",
                        checkout.display(),
                        some(&paths)
                    ),
                )
                .hint("commit or stash them and finish again"));
            }
        };
        let view = self.tell(FinishHow::Merge).await?;
        self.ctx.show(&view, |sheet| {
            sheet.put(Tone::Name, &view.name).plain(" is finished: ");
            match &merged {
                Some(commit) => {
                    let commit: String = commit.chars().take(10).collect();
                    sheet.line(Tone::Good, &format!("merged into {target} as {commit}"));
                }
                None => {
                    sheet.line(Tone::Good, &format!("{target} has it already"));
                }
            }
        })?;
        Ok(Exit::Good)
    }

    async fn pull_request(&self, view: &SpecTaskView, args: FinishArgs) -> Result<Exit, CliError> {
        let ctx = self.ctx;
        let target = target(view, args.into)?;
        let repository = with_branch(view)?;
        let remotes = repository.remotes().map_err(|error| refused(&error))?;
        let remote = choose_remote(&remotes, args.remote.as_deref())?;
        let page = web_compare_url(&remote.url, &view.branch, &target);
        let push = format!("git push {} {}", remote.name, view.branch);
        let create = format!("gh pr create --head {} --base {target}", view.branch);
        let question = format!(
            "Push {} to {} ({})?",
            view.branch,
            remote.name,
            without_password(&remote.url)
        );
        if !args.yes && (!ctx.interactive || !ctx.confirm(&question, "--yes")?) {
            let commands = json!({ "pushed": false, "commands": [push, create], "page": page });
            ctx.show(&commands, |sheet| {
                sheet.line(Tone::Plain, "Nothing was pushed. By hand:");
                sheet
                    .plain("  ")
                    .line(Tone::Name, &push)
                    .plain("  ")
                    .line(Tone::Name, &create);
                if let Some(page) = &page {
                    sheet.plain("or open ").line(Tone::Name, page);
                }
                sheet.plain("or ").line(
                    Tone::Name,
                    &format!("spectask finish {} --pr --yes", view.name),
                );
            })?;
            return Ok(Exit::WaitsForPerson);
        }
        repository
            .push(&remote.name, &view.branch)
            .map_err(|error| refused(&error))?;
        let opened = open_with_gh(view, &target, &remote.url);
        let view = self.tell(FinishHow::PullRequest).await?;
        let result = json!({ "pushed": true, "pull_request": opened.as_ref().ok(), "page": page, "task": view });
        ctx.show(&result, |sheet| {
            sheet
                .put(Tone::Name, &view.branch)
                .line(Tone::Good, &format!(" is on {}", remote.name));
            match &opened {
                Ok(url) => {
                    sheet.plain("The pull request: ").line(Tone::Name, url);
                }
                Err(why) => {
                    sheet.line(
                        Tone::Plain,
                        &format!("Open the pull request yourself ({why}):"),
                    );
                    match &page {
                        Some(page) => sheet.plain("  ").line(Tone::Name, page),
                        None => sheet.plain("  ").line(Tone::Name, &create),
                    };
                }
            }
        })?;
        Ok(Exit::Good)
    }
}

fn target(view: &SpecTaskView, into: Option<String>) -> Result<String, CliError> {
    into.or_else(|| view.target.clone()).ok_or_else(|| {
        CliError::usage("it is not known which branch this SpecTask started from")
            .hint("name one with `--into BRANCH`")
    })
}

fn choose_remote<'a>(remotes: &'a [Remote], named: Option<&str>) -> Result<&'a Remote, CliError> {
    let by_name = |name: &str| remotes.iter().find(|remote| remote.name == name);
    match (named, remotes) {
        (Some(name), _) => by_name(name).ok_or_else(|| {
            CliError::new(
                FailureKind::NotFound,
                format!("there is no remote {name:?}"),
            )
            .hint("`git remote -v` lists them")
        }),
        (None, []) => Err(CliError::new(
            FailureKind::InvalidState,
            "this repository has no remote to push to",
        )
        .hint("add one (`git remote add origin URL`), or use `--merge` or `--keep`")),
        (None, [only]) => Ok(only),
        (None, _) => by_name("origin").ok_or_else(|| {
            let names: Vec<_> = remotes.iter().map(|remote| remote.name.as_str()).collect();
            CliError::usage(format!("there are several remotes: {}", names.join(", ")))
                .hint("name one with `--remote NAME`")
        }),
    }
}

/// Opens a pull request by `gh` and returns its address, or why that was not possible.
fn open_with_gh(view: &SpecTaskView, target: &str, url: &str) -> Result<String, String> {
    if !url.contains("github") {
        return Err("the remote is not GitHub".to_owned());
    }
    let gh = which::which("gh").map_err(|_| "gh is not installed".to_owned())?;
    let body = format!(
        "{}\n\nRequirements, design and tasks: `specs/{}/`",
        view.title, view.name
    );
    let output = Command::new(gh)
        .args(["pr", "create", "--head", &view.branch, "--base", target])
        .args(["--title", &view.title, "--body", &body])
        .current_dir(Path::new(&view.project))
        .env("GH_PROMPT_DISABLED", "1")
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("gh cannot be started: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let address = text.lines().rev().find(|line| line.starts_with("https://"));
    match (output.status.success(), address) {
        (true, Some(address)) => Ok(address.trim().to_owned()),
        _ => {
            let told = String::from_utf8_lossy(&output.stderr);
            let last = told.lines().rev().find(|line| !line.trim().is_empty());
            Err(format!("gh says: {}", last.unwrap_or("nothing")))
        }
    }
}

/// The repository of a SpecTask, which must have its branch.
fn with_branch(view: &SpecTaskView) -> Result<Repository, CliError> {
    let repository = Repository::discover(&view.project).map_err(|error| refused(&error))?;
    let tip = repository.branch_tip(&view.branch);
    if tip.map_err(|error| refused(&error))?.is_some() {
        return Ok(repository);
    }
    let back = view.tip.as_ref().map_or_else(String::new, |tip| {
        let tip: String = tip.chars().take(10).collect();
        format!("`git branch {} {tip}` brings it back; ", view.branch)
    });
    let text = format!("the branch {} is gone", view.branch);
    let hint = format!(
        "{back}`spectask finish {} --keep` finishes without it",
        view.name
    );
    Err(CliError::new(FailureKind::InvalidState, text).hint(hint))
}

/// What a person reads when git refuses.
pub(super) fn refused(error: &RepoError) -> CliError {
    let kind = match error {
        RepoError::NotARepository { .. }
        | RepoError::UnknownRevision { .. }
        | RepoError::NoRemote { .. } => FailureKind::NotFound,
        RepoError::InvalidName { .. } | RepoError::InvalidPath { .. } => FailureKind::InvalidParams,
        RepoError::CommitRefused { .. }
        | RepoError::InTheWay { .. }
        | RepoError::CheckedOut { .. }
        | RepoError::RefMoved { .. }
        | RepoError::Dirty { .. } => FailureKind::InvalidState,
        _ => FailureKind::Internal,
    };
    CliError::new(kind, error.to_string())
}

fn some(paths: &[String]) -> String {
    let more = if paths.len() > 5 { ", …" } else { "" };
    let first: Vec<_> = paths.iter().take(5).map(String::as_str).collect();
    format!("{}{more}", first.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remote(name: &str) -> Remote {
        Remote {
            name: name.into(),
            url: "https://example.org/a/b".into(),
        }
    }

    #[test]
    fn the_remote_is_origin_or_the_only_one() {
        let both = [remote("fork"), remote("origin")];
        assert_eq!(choose_remote(&both, None).unwrap().name, "origin");
        assert_eq!(choose_remote(&both, Some("fork")).unwrap().name, "fork");
        assert_eq!(choose_remote(&both[..1], None).unwrap().name, "fork");
        assert_eq!(choose_remote(&[], None).unwrap_err().code(), 4);
        assert_eq!(choose_remote(&both, Some("x")).unwrap_err().code(), 3);
        let several = [remote("a"), remote("b")];
        assert_eq!(choose_remote(&several, None).unwrap_err().code(), 2);
    }

    #[test]
    fn a_password_is_not_shown() {
        assert_eq!(
            without_password("https://me:secret@example.org/a@b"),
            "https://example.org/a@b"
        );
        assert_eq!(
            without_password("git@example.org:a/b"),
            "git@example.org:a/b"
        );
    }
}
