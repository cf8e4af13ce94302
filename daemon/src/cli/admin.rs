//! Commands about permissions, prompts, trust, configuration and the set-up.

use std::{fs, path::PathBuf};

use jiff::Timestamp;
use spectask_protocol::{
    ConfigParams, DoctorParams, Empty, FailureKind, PermissionAnswerParams, PermissionId,
    PermissionOption, PermissionView, TrustParams, TrustView,
    method::{
        ConfigGet, DaemonDoctor, PermissionAnswer, PermissionListAll, ProjectTrust, PromptListAll,
    },
};

use super::{
    args::{
        ConfigArgs, ConfigCommand, PermissionsArgs, PermissionsCommand, PromptsArgs,
        PromptsCommand, TrustArgs,
    },
    connect::Daemon,
    context::{Context, environment},
    error::{CliError, Exit, io},
    sheet::{Sheet, Tone},
    table::{Cell, table},
    time,
};

pub(super) async fn permissions(ctx: &Context, args: PermissionsArgs) -> Result<Exit, CliError> {
    let daemon = ctx.daemon().await?;
    let list = daemon.call(PermissionListAll, Empty {}).await?;
    match args.command {
        Some(PermissionsCommand::Answer { id, answer }) => {
            let asked = list
                .permissions
                .iter()
                .find(|permission| permission.id == id);
            let asked = asked.ok_or_else(|| {
                CliError::new(FailureKind::NotFound, format!("no agent waits for {id}"))
                    .hint("`spectask permissions list` shows what is asked")
            })?;
            let option = match answer.as_str() {
                "cancel" => None,
                answer => Some(pick(asked, answer)?.id.clone()),
            };
            answer_permission(ctx, &daemon, &id, option).await
        }
        None if ctx.interactive && ctx.terminal && !list.permissions.is_empty() => {
            for permission in &list.permissions {
                ask(ctx, &daemon, permission).await?;
            }
            Ok(Exit::Good)
        }
        None | Some(PermissionsCommand::List) => {
            ctx.show(&list, |sheet| {
                if list.permissions.is_empty() {
                    sheet.line(Tone::Plain, "No agent asks for anything.");
                }
                for permission in &list.permissions {
                    permission_text(sheet, permission);
                    sheet.plain("  ").line(
                        Tone::Name,
                        &format!("spectask permissions answer {} allow", permission.id),
                    );
                }
            })?;
            Ok(Exit::Good)
        }
    }
}

fn permission_text(sheet: &mut Sheet, permission: &PermissionView) {
    sheet
        .put(Tone::Name, &permission.session_name)
        .put(Tone::Faint, &format!("  {}  ", permission.kind))
        .line(Tone::Strong, &permission.title);
    for (index, option) in permission.options.iter().enumerate() {
        sheet
            .plain(&format!("  {}. ", index + 1))
            .plain(&option.name)
            .line(Tone::Faint, &format!("  ({})", option.id));
    }
    let ago = time::ago(&permission.asked_at, Timestamp::now());
    sheet.plain("  ").line(
        Tone::Faint,
        &format!("asked {ago} ago, id {}", permission.id),
    );
}

async fn ask(ctx: &Context, daemon: &Daemon, permission: &PermissionView) -> Result<(), CliError> {
    let mut sheet = ctx.sheet();
    permission_text(&mut sheet, permission);
    ctx.print(sheet)?;
    let answer = ctx.ask("Number, allow, reject, or nothing to leave it: ")?;
    if answer.is_empty() {
        return Ok(());
    }
    let number = answer
        .parse::<usize>()
        .ok()
        .and_then(|number| number.checked_sub(1));
    let option = match number.and_then(|index| permission.options.get(index)) {
        Some(option) => option,
        None => pick(permission, &answer)?,
    };
    answer_permission(ctx, daemon, &permission.id, Some(option.id.clone())).await?;
    Ok(())
}

/// The option that a word means.
fn pick<'a>(asked: &'a PermissionView, word: &str) -> Result<&'a PermissionOption, CliError> {
    let of = |kinds: [&str; 2]| {
        kinds
            .iter()
            .find_map(|kind| asked.options.iter().find(|option| option.kind == *kind))
    };
    let found = match asked.options.iter().find(|option| option.id == word) {
        Some(option) => Some(option),
        // What is allowed for good is chosen by its own id only.
        None if word == "allow" => of(["allow_once", "allow_always"]),
        None if word == "reject" => of(["reject_once", "reject_always"]),
        None => None,
    };
    found.ok_or_else(|| {
        let ids: Vec<_> = asked
            .options
            .iter()
            .map(|option| option.id.as_str())
            .collect();
        CliError::usage(format!("{word:?} is no answer to it")).hint(format!(
            "allow, reject, cancel, or one of: {}",
            ids.join(", ")
        ))
    })
}

async fn answer_permission(
    ctx: &Context,
    daemon: &Daemon,
    id: &PermissionId,
    option: Option<String>,
) -> Result<Exit, CliError> {
    let params = PermissionAnswerParams {
        permission: id.clone(),
        option,
    };
    let left = daemon.call(PermissionAnswer, params).await?;
    ctx.show(&left, |sheet| {
        let count = left.permissions.len();
        sheet.line(Tone::Good, &format!("Answered; {count} left."));
    })?;
    Ok(Exit::Good)
}

pub(super) async fn prompts(ctx: &Context, args: PromptsArgs) -> Result<Exit, CliError> {
    let daemon = ctx.daemon().await?;
    let list = daemon.call(PromptListAll, Empty {}).await?;
    let find = |name: &str| {
        list.prompts
            .iter()
            .find(|prompt| prompt.name == name)
            .ok_or_else(|| {
                let names: Vec<_> = list
                    .prompts
                    .iter()
                    .map(|prompt| prompt.name.as_str())
                    .collect();
                CliError::new(
                    FailureKind::NotFound,
                    format!("there is no prompt template {name:?}"),
                )
                .hint(format!("there are: {}", names.join(", ")))
            })
    };
    match args.command {
        None | Some(PromptsCommand::List) => ctx.show(&list, |sheet| {
            let rows: Vec<Vec<Cell>> = list
                .prompts
                .iter()
                .map(|prompt| {
                    vec![
                        Cell::name(&prompt.name),
                        Cell::plain(&prompt.source),
                        Cell::plain(&prompt.purpose),
                    ]
                })
                .collect();
            table(sheet, &["NAME", "SOURCE", "PURPOSE"], &rows, ctx.width());
        })?,
        Some(PromptsCommand::Show { name }) => {
            let prompt = find(&name)?;
            ctx.show(prompt, |sheet| {
                sheet.block(&prompt.text);
            })?;
        }
        Some(PromptsCommand::Copy { name }) => {
            let prompt = find(&name)?;
            let folder = PathBuf::from(&prompt.folder);
            fs::create_dir_all(&folder).map_err(io("create", folder.display()))?;
            let file = folder.join(template_file(&prompt.name)?);
            let mut options = fs::OpenOptions::new();
            let created = options.write(true).create_new(true).open(&file);
            if created.is_err() && file.exists() {
                return Err(CliError::new(
                    FailureKind::Conflict,
                    format!("{} exists already", file.display()),
                )
                .hint("change it there; delete it to go back to the built-in one"));
            }
            created.map_err(io("create", file.display()))?;
            fs::write(&file, &prompt.text).map_err(io("write", file.display()))?;
            ctx.show(&serde_json::json!({ "file": file }), |sheet| {
                sheet
                    .plain("Copied to ")
                    .line(Tone::Name, &file.display().to_string());
                sheet.line(
                    Tone::Faint,
                    "Change it there; it is used from the next prompt on.",
                );
            })?;
        }
    }
    Ok(Exit::Good)
}

/// The file of a template; its name comes from the daemon and must stay in the folder.
fn template_file(name: &str) -> Result<String, CliError> {
    let good = |char: char| char.is_ascii_alphanumeric() || char == '-' || char == '_';
    if name.is_empty() || !name.chars().all(good) {
        return Err(CliError::internal(format!(
            "{name:?} is no name of a template"
        )));
    }
    Ok(format!("{name}.md"))
}

pub(super) async fn trust(ctx: &Context, args: TrustArgs) -> Result<Exit, CliError> {
    let daemon = ctx.daemon().await?;
    let cwd = ctx.cwd()?;
    let ask = |digest, revoke| TrustParams {
        cwd: cwd.clone(),
        digest,
        revoke,
    };
    if args.revoke {
        let view = daemon.call(ProjectTrust, ask(None, true)).await?;
        ctx.show(&view, |sheet| trust_text(sheet, &view))?;
        return Ok(Exit::Good);
    }
    let view = daemon.call(ProjectTrust, ask(None, false)).await?;
    let Some(digest) = view.digest.clone().filter(|_| !view.trusted) else {
        ctx.show(&view, |sheet| trust_text(sheet, &view))?;
        return Ok(Exit::Good);
    };
    if !args.yes {
        if !ctx.interactive {
            ctx.show(&view, |sheet| trust_text(sheet, &view))?;
            ctx.note("To trust exactly this: spectask trust --yes");
            return Ok(Exit::WaitsForPerson);
        }
        let mut sheet = ctx.sheet();
        trust_text(&mut sheet, &view);
        ctx.print(sheet)?;
        if !ctx.confirm(
            "Run these commands in the worktrees of this repository?",
            "--yes",
        )? {
            return Ok(Exit::WaitsForPerson);
        }
    }
    let view = daemon.call(ProjectTrust, ask(Some(digest), false)).await?;
    ctx.show(&view, |sheet| trust_text(sheet, &view))?;
    Ok(Exit::Good)
}

/// Writes what a repository wants to run.
pub(super) fn trust_text(sheet: &mut Sheet, view: &TrustView) {
    let Some(file) = &view.file else {
        sheet.put(Tone::Name, &view.project);
        sheet.line(
            Tone::Plain,
            " has no .spectask.toml, so there is nothing to trust.",
        );
        return;
    };
    sheet.put(Tone::Name, file).plain("  ");
    if view.trusted {
        sheet.line(Tone::Good, "trusted");
    } else {
        sheet.line(Tone::Warn, "not trusted");
    }
    for (name, entries) in [
        ("setup", &view.setup),
        ("copy", &view.copy),
        ("verify", &view.verify),
    ] {
        for entry in entries {
            sheet
                .plain("  ")
                .cell(Tone::Faint, name, 8)
                .line(Tone::Plain, entry);
        }
    }
}

pub(super) async fn config(ctx: &Context, args: ConfigArgs) -> Result<Exit, CliError> {
    if let Some(ConfigCommand::Path) = args.command {
        let file = &ctx.paths.config_file;
        ctx.show(
            &serde_json::json!({ "file": file, "exists": file.exists() }),
            |sheet| {
                sheet.line(Tone::Plain, &file.display().to_string());
            },
        )?;
        return Ok(Exit::Good);
    }
    let daemon = ctx.daemon().await?;
    let (params, schema) = match args.command {
        Some(ConfigCommand::Set { key, value }) => (
            ConfigParams {
                key: Some(key),
                value: Some(value),
            },
            false,
        ),
        Some(ConfigCommand::Get { key }) => (ConfigParams { key, value: None }, false),
        Some(ConfigCommand::Schema) => (ConfigParams::default(), true),
        Some(ConfigCommand::Path) | None => (ConfigParams::default(), false),
    };
    let view = daemon.call(ConfigGet, params).await?;
    if schema {
        ctx.print_json(&view.schema)?;
    } else {
        ctx.show(&view.values, |sheet| {
            sheet.block(&config_text(&view.values)).end();
        })?;
    }
    Ok(Exit::Good)
}

/// Values as the file would have them.
fn config_text(values: &serde_json::Value) -> String {
    let text = match values {
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Object(_) => {
            toml_edit::ser::to_string_pretty(values).unwrap_or_else(|_| format!("{values:#}"))
        }
        other => other.to_string(),
    };
    text.trim_end().to_owned()
}

pub(super) async fn doctor(ctx: &Context) -> Result<Exit, CliError> {
    let daemon = ctx.daemon().await?;
    let params = DoctorParams {
        cwd: ctx.cwd()?,
        environment: environment(),
    };
    let report = daemon.call(DaemonDoctor, params).await?;
    ctx.show(&report, |sheet| {
        for check in &report.checks {
            let (tone, mark) = match check.state.as_str() {
                "ok" => (Tone::Good, "✓"),
                "warning" => (Tone::Warn, "!"),
                _ => (Tone::Bad, "✗"),
            };
            sheet
                .put(tone, mark)
                .plain(" ")
                .put(Tone::Strong, &check.name)
                .plain("  ")
                .line(Tone::Plain, &check.text);
            if let Some(hint) = &check.hint {
                sheet.plain("  ").line(Tone::Name, hint);
            }
        }
    })?;
    let bad = report.checks.iter().any(|check| check.state == "error");
    Ok(if bad { Exit::Failed } else { Exit::Good })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{super::fixtures, *};

    fn asked(kinds: &[(&str, &str)]) -> PermissionView {
        PermissionView {
            id: "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap(),
            session: fixtures::session_id(2),
            session_name: "7-user-auth/02-api".into(),
            title: "Run `make`".into(),
            kind: "execute".into(),
            options: kinds
                .iter()
                .map(|(id, kind)| PermissionOption {
                    id: (*id).into(),
                    name: (*id).into(),
                    kind: (*kind).into(),
                })
                .collect(),
            asked_at: "2026-03-04T10:00:00Z".into(),
        }
    }

    #[test]
    fn allow_prefers_once() {
        let both = asked(&[
            ("a", "allow_always"),
            ("o", "allow_once"),
            ("r", "reject_once"),
        ]);
        assert_eq!(pick(&both, "allow").unwrap().id, "o");
        assert_eq!(pick(&both, "a").unwrap().id, "a");
        assert_eq!(pick(&both, "reject").unwrap().id, "r");
        assert_eq!(pick(&both, "maybe").unwrap_err().code(), 2);
    }

    #[test]
    fn a_template_stays_in_its_folder() {
        assert_eq!(template_file("plan").unwrap(), "plan.md");
        for bad in ["", "../plan", "a/b", "a.b"] {
            assert!(template_file(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn values_look_as_in_the_file() {
        insta::assert_snapshot!(
            config_text(&json!({ "limit": 3, "agents": { "x": { "command": ["x", "--acp"] } } })),
            @r#"
        limit = 3

        [agents.x]
        command = [
            "x",
            "--acp",
        ]
        "#
        );
        assert_eq!(config_text(&json!("text")), "text");
        assert_eq!(config_text(&json!(5)), "5");
    }
}
