//! Commands about prompts, trust, configuration and the set-up.

use std::{fs, path::PathBuf};

use spectask_protocol::{
    ConfigParams, DoctorCheck, DoctorParams, Empty, FailureKind, TrustParams, TrustView,
    method::{ConfigGet, DaemonDoctor, ProjectTrust, PromptListAll},
};

use super::{
    args::{ConfigArgs, ConfigCommand, PromptsArgs, PromptsCommand, TrustArgs},
    context::{Context, environment},
    error::{CliError, Exit, io},
    sheet::{Sheet, Tone},
    table::{Cell, table},
};

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
                .line(Tone::Plain, &visible(entry));
        }
    }
}

/// A command as it is trusted, with every control character spelled out: none may hide another.
fn visible(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c.is_control() {
                c.escape_default().to_string()
            } else {
                c.to_string()
            }
        })
        .collect()
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
    ctx.show(&report, |sheet| checks(sheet, &report.checks))?;
    let bad = report.checks.iter().any(|check| check.state == "error");
    Ok(if bad { Exit::Failed } else { Exit::Good })
}

/// Writes what was checked, and what to do.
pub(super) fn checks(sheet: &mut Sheet, checks: &[DoctorCheck]) {
    for check in checks {
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
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

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
