//! `history push`, `fetch` and `remote`: recorded history to and from other machines. Git runs here, in
//! the process that the person started; the daemon only keeps which remote was named, and tells it to
//! nobody but persons.

use std::{process::Stdio, time::Duration};

use serde_json::json;
use spectask_protocol::{
    FailureKind, HistoryRemoteParams, HistoryRemoteView, method::HistoryRemoteNamed,
};

use crate::{
    cli::{
        args::{HistoryFetchArgs, HistoryPushArgs, HistoryRemoteArgs},
        context::Context,
        error::{CliError, Exit},
        finish::refused,
        sheet::{Sheet, Tone},
    },
    repo::{Audience, Outgoing, RepoError, Repository, audience, without_password},
};

/// Names of files and refs that are shown at most.
const SHOWN: usize = 40;
/// How long GitHub's program may take.
const GH_LIMIT: Duration = Duration::from_secs(20);

pub(super) async fn named(ctx: &Context, args: HistoryRemoteArgs) -> Result<Exit, CliError> {
    let view = kept(ctx, args.name, args.none).await?;
    let repository = Repository::discover(ctx.folder()?).map_err(|error| refused(&error))?;
    ctx.show(&view, |sheet| match &view.remote {
        Some(remote) => {
            let url = repository.push_url(&remote.name);
            let stays = url.is_ok_and(|url| without_password(&url) == remote.url);
            sheet
                .plain("History goes to ")
                .put(Tone::Name, &remote.name)
                .line(Tone::Faint, &format!("  {}", remote.url));
            if stays {
                sheet
                    .plain("when you say ")
                    .line(Tone::Name, "spectask history push");
            } else {
                let text = "The repository has no such remote any more: nothing goes there. ";
                let again = "spectask history remote NAME";
                sheet.put(Tone::Warn, text).line(Tone::Name, again);
            }
        }
        None => {
            sheet.line(
                Tone::Plain,
                "No remote was named: history stays on this machine.",
            );
        }
    })?;
    Ok(Exit::Good)
}

async fn kept(
    ctx: &Context,
    remote: Option<String>,
    none: bool,
) -> Result<HistoryRemoteView, CliError> {
    let params = HistoryRemoteParams {
        cwd: ctx.cwd()?,
        remote,
        none,
    };
    ctx.daemon().await?.call(HistoryRemoteNamed, params).await
}

/// The remote that is meant, and the address it pushes to.
async fn chosen(
    ctx: &Context,
    repository: &Repository,
    named: Option<String>,
) -> Result<(String, String), CliError> {
    // Asked in any case: the daemon refuses agents.
    let view = kept(ctx, None, false).await?;
    let url_of = |name: &str| {
        repository.push_url(name).map_err(|error| match error {
            RepoError::NoRemote { .. } => {
                refused(&error).hint("add it with `git remote add`; addresses alone are not taken")
            }
            error => refused(&error),
        })
    };
    if let Some(name) = named {
        let url = url_of(&name)?;
        return Ok((name, url));
    }
    let Some(remote) = view.remote else {
        return Err(CliError::new(
            FailureKind::InvalidState,
            "no remote was named for history: nothing leaves this machine, or comes to it",
        )
        .hint("name one: `spectask history remote NAME`"));
    };
    let url = url_of(&remote.name)?;
    if without_password(&url) != remote.url {
        return Err(CliError::new(
            FailureKind::InvalidState,
            format!(
                "{} goes to {} now; when it was named for history it went to {}",
                remote.name,
                without_password(&url),
                remote.url
            ),
        )
        .hint(format!(
            "if that is right, name it again: `spectask history remote {}`",
            remote.name
        )));
    }
    Ok((remote.name, url))
}

pub(super) async fn push(ctx: &Context, args: HistoryPushArgs) -> Result<Exit, CliError> {
    let repository = Repository::discover(ctx.folder()?).map_err(|error| refused(&error))?;
    let (name, url) = chosen(ctx, &repository, args.remote).await?;
    let shown = without_password(&url);
    let who = readers(&url).await?;
    let refusal = refusal(&name, &shown, &who, args.allow_public, args.allow_unknown);
    if let (Some(refusal), false) = (&refusal, args.dry_run) {
        let (message, hint) = refusal.clone();
        return Err(CliError::new(FailureKind::Forbidden, message).hint(hint));
    }
    let outgoing = repository
        .outgoing(&name)
        .map_err(|error| refused(&error))?;
    let pushed = !args.dry_run && !outgoing.refs.is_empty();
    if pushed {
        repository
            .push_outgoing(&name, &url, &outgoing.refs)
            .map_err(|error| {
                refused(&error).hint("nothing is pushed by force; what the remote took it keeps")
            })?;
    }
    let refs: Vec<_> = outgoing
        .refs
        .iter()
        .map(|one| json!({ "name": one.name, "from": one.old, "to": one.id, "commits": one.commits }))
        .collect();
    let value = json!({
        "remote": name, "url": shown, "readers": word(&who), "pushed": pushed, "refs": refs,
        "up_to_date": outgoing.same, "bytes": outgoing.bytes, "files": outgoing.files,
        "refused": refusal.as_ref().map(|(message, _)| message),
    });
    ctx.show(&value, |sheet| {
        told(sheet, &outgoing, &name, &shown, pushed);
        sheet.line(Tone::Faint, &format!("Who can read it: {}", word(&who)));
        if let Some((message, hint)) = &refusal {
            sheet
                .put(Tone::Bad, "would be refused: ")
                .line(Tone::Plain, message);
            sheet.plain("  ").line(Tone::Name, hint);
        }
    })?;
    Ok(Exit::Good)
}

fn told(sheet: &mut Sheet, outgoing: &Outgoing, name: &str, url: &str, pushed: bool) {
    if outgoing.refs.is_empty() && outgoing.same == 0 {
        sheet.line(Tone::Plain, "No history is recorded here; nothing can go.");
        return;
    }
    if outgoing.refs.is_empty() {
        sheet.put(Tone::Name, name).line(
            Tone::Good,
            &format!(" has all of it ({} refs).", outgoing.same),
        );
        return;
    }
    let commits: u64 = outgoing.refs.iter().map(|one| one.commits).sum();
    let verb = if pushed { "went" } else { "would go" };
    sheet.line(
        Tone::Strong,
        &format!(
            "{} with {}, {}, {} {verb} to {name}  {url}",
            count(outgoing.refs.len(), "ref"),
            count(commits, "commit"),
            count(outgoing.files.len(), "file"),
            count(outgoing.bytes, "byte"),
        ),
    );
    for one in outgoing.refs.iter().take(SHOWN) {
        let from = one
            .old
            .as_deref()
            .map_or("new", |old| old.get(..10).unwrap_or(old));
        let to = one.id.get(..10).unwrap_or(&one.id);
        sheet.plain("  ").put(Tone::Name, &one.name).line(
            Tone::Faint,
            &format!("  {from} → {to}, {}", count(one.commits, "commit")),
        );
    }
    more(sheet, outgoing.refs.len());
    if !pushed && !outgoing.files.is_empty() {
        sheet.line(Tone::Strong, "Files in them:");
        for file in outgoing.files.iter().take(SHOWN) {
            sheet.plain("  ").line(Tone::Plain, file);
        }
        more(sheet, outgoing.files.len());
    }
}

fn count<N: TryInto<u64>>(count: N, what: &str) -> String {
    let count = count.try_into().unwrap_or(u64::MAX);
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn more(sheet: &mut Sheet, all: usize) {
    if let Some(rest) = all.checked_sub(SHOWN).filter(|rest| *rest > 0) {
        sheet.line(
            Tone::Faint,
            &format!("  … and {rest} more; `--json` has them"),
        );
    }
}

pub(super) async fn fetch(ctx: &Context, args: HistoryFetchArgs) -> Result<Exit, CliError> {
    let repository = Repository::discover(ctx.folder()?).map_err(|error| refused(&error))?;
    let (name, url) = chosen(ctx, &repository, args.remote).await?;
    let fetched = repository
        .fetch_history(&name)
        .map_err(|error| refused(&error))?;
    let refs: Vec<_> = fetched
        .iter()
        .map(|one| json!({ "name": one.name, "id": one.id, "new": one.new }))
        .collect();
    let value = json!({ "remote": name, "url": without_password(&url), "refs": refs });
    ctx.show(&value, |sheet| {
        if fetched.is_empty() {
            sheet
                .plain("Nothing new from ")
                .put(Tone::Name, &name)
                .line(Tone::Plain, ".");
            return;
        }
        let new = fetched.iter().filter(|one| one.new).count();
        sheet.line(
            Tone::Good,
            &format!(
                "{} and {} from {name}:",
                count(new, "new ref"),
                count(fetched.len() - new, "longer one")
            ),
        );
        for one in fetched.iter().take(SHOWN) {
            sheet.plain("  ").line(Tone::Name, &one.name);
        }
        more(sheet, fetched.len());
        sheet.line(
            Tone::Faint,
            "`spectask history show` reads them, `spectask history import` takes a SpecTask over; no ref of this machine was moved.",
        );
    })?;
    Ok(Exit::Good)
}

const fn word(who: &Audience) -> &'static str {
    match who {
        Audience::Closed => "only those who may",
        Audience::Public => "everybody",
        Audience::Unknown(_) => "unknown",
    }
}

/// Why nothing is pushed there, and what to do about it.
fn refusal(
    name: &str,
    url: &str,
    who: &Audience,
    public: bool,
    unknown: bool,
) -> Option<(String, String)> {
    match who {
        Audience::Public if !public => Some((
            format!("everybody can read {name} ({url}), prompts and transcripts with it"),
            "use another remote, or say `--allow-public`".to_owned(),
        )),
        Audience::Unknown(why) if !unknown => Some((
            format!("it cannot be found out who can read {name} ({url}): {why}"),
            "try again later, or say `--allow-unknown`".to_owned(),
        )),
        _ => None,
    }
}

/// Who can read what is at an address: GitHub's program knows, else it is asked there as a stranger.
async fn readers(url: &str) -> Result<Audience, CliError> {
    if let Some(known) = by_gh(url).await {
        return Ok(known);
    }
    let url = url.to_owned();
    tokio::task::spawn_blocking(move || audience(&url))
        .await
        .map_err(|error| CliError::internal(error.to_string()))?
        .map_err(|error| refused(&error))
}

async fn by_gh(url: &str) -> Option<Audience> {
    let repository = on_github(url)?;
    let gh = which::which("gh").ok()?;
    let mut command = tokio::process::Command::new(gh);
    command
        .args(["repo", "view", &repository, "--json", "visibility"])
        .env("GH_PROMPT_DISABLED", "1")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = tokio::time::timeout(GH_LIMIT, command.output()).await;
    let output = output.ok()?.ok().filter(|output| output.status.success())?;
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).ok()?;
    match answer["visibility"].as_str()? {
        "PUBLIC" => Some(Audience::Public),
        "PRIVATE" | "INTERNAL" => Some(Audience::Closed),
        _ => None,
    }
}

/// `github.com/owner/name` of an address there.
fn on_github(url: &str) -> Option<String> {
    let url = without_password(url);
    let rest = url.split_once("://").map_or(url.as_str(), |(_, rest)| rest);
    let rest = rest.strip_prefix("git@").unwrap_or(rest);
    let rest = rest.strip_prefix("github.com")?;
    let path = rest.strip_prefix(['/', ':'])?;
    let path = path.trim_matches('/');
    let path = path.strip_suffix(".git").unwrap_or(path);
    let safe = |part: &str| {
        let good = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        !part.is_empty() && !part.starts_with('-') && part.chars().all(good)
    };
    let (owner, name) = path.split_once('/')?;
    (safe(owner) && safe(name)).then(|| format!("github.com/{owner}/{name}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repo::OutgoingRef;

    #[test]
    fn a_repository_on_github_is_known_by_its_address() {
        for url in [
            "https://github.com/a/b.git",
            "https://me:secret@github.com/a/b",
            "git@github.com:a/b.git",
            "ssh://git@github.com/a/b",
        ] {
            assert_eq!(on_github(url).as_deref(), Some("github.com/a/b"), "{url}");
        }
        for url in [
            "https://example.org/a/b",
            "https://github.com.evil/a/b",
            "https://github.com/a",
            "git@github.com:-x/b",
            "/srv/github.com/a/b",
        ] {
            assert_eq!(on_github(url), None, "{url}");
        }
    }

    #[test]
    fn what_would_leave_is_shown() {
        let one = |name: &str, old: Option<&str>| OutgoingRef {
            name: name.into(),
            id: "0123456789abcdef0123456789abcdef01234567".into(),
            old: old.map(str::to_owned),
            commits: 1,
        };
        let outgoing = Outgoing {
            refs: vec![
                one("refs/spectask/sessions/7-user-auth/01-api", None),
                one("refs/spectask/tasks/7-user-auth", Some("fedcba9876543210")),
            ],
            same: 3,
            bytes: 2_048,
            files: vec!["conversation.md".into(), "turns/0001\u{1b}[2J.json".into()],
        };
        let mut sheet = Sheet::new(false);
        told(&mut sheet, &outgoing, "archive", "git@example.org:a", false);
        insta::assert_snapshot!(sheet.into_text(), @r"
        2 refs with 2 commits, 2 files, 2048 bytes would go to archive  git@example.org:a
          refs/spectask/sessions/7-user-auth/01-api  new → 0123456789, 1 commit
          refs/spectask/tasks/7-user-auth  fedcba9876 → 0123456789, 1 commit
        Files in them:
          conversation.md
          turns/0001␛[2J.json
        ");
    }

    #[test]
    fn what_everybody_can_read_is_refused() {
        let of =
            |who: &Audience, public, unknown| refusal("a", "u", who, public, unknown).is_some();
        let unknown = Audience::Unknown("offline".into());
        assert!(!of(&Audience::Closed, false, false));
        assert!(of(&Audience::Public, false, true) && !of(&Audience::Public, true, false));
        assert!(of(&unknown, true, false) && !of(&unknown, false, true));
    }
}
