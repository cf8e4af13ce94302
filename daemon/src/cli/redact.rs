//! `spectask redact`: takes secrets out of a text, without a daemon.

use std::{
    fs,
    io::{self, Read},
    path::Path,
};

use serde_json::json;
use spectask_protocol::FailureKind;

use super::{
    args::RedactArgs,
    context::{self, Context},
    error::{CliError, Exit},
    sheet::Tone,
};
use crate::{
    config::Config,
    redact::{Redactor, SecretMatch},
};

pub(super) fn run(ctx: &Context, args: &RedactArgs) -> Result<Exit, CliError> {
    let config =
        Config::load(&ctx.paths.config_file).map_err(|error| CliError::usage(error.to_string()))?;
    let rules = config
        .redaction
        .compile()
        .map_err(|error| CliError::usage(error.to_string()))?;
    let variables = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let redactor = Redactor::new_with_rules(variables, rules);
    let (name, text) = read(ctx, args.file.as_deref())?;
    if !ctx.json && !args.check {
        let clean = redactor.text(&text);
        if ctx.terminal {
            let mut sheet = ctx.sheet();
            sheet.block(&clean);
            context::write_out(&sheet.into_text())?;
        } else {
            // A filter changes nothing else.
            context::write_out(&clean)?;
        }
        return Ok(Exit::Good);
    }
    let found = redactor.find(&text);
    let exit = if args.check && !found.is_empty() {
        Exit::Failed
    } else {
        Exit::Good
    };
    let places = places(&text, &found);
    if ctx.json {
        let findings: Vec<_> = places
            .iter()
            .map(|(line, column, length, rule)| {
                json!({ "line": line, "column": column, "length": length, "rule": rule })
            })
            .collect();
        ctx.print_json(&json!({ "findings": findings }))?;
        return Ok(exit);
    }
    let mut sheet = ctx.sheet();
    for (line, column, _, rule) in places {
        sheet.line(Tone::Plain, &format!("{name}:{line}:{column}: {rule}"));
    }
    context::write_out(&sheet.into_text())?;
    Ok(exit)
}

/// The text of a file or of standard input, and how it is called.
fn read(ctx: &Context, file: Option<&Path>) -> Result<(String, String), CliError> {
    let mut bytes = Vec::new();
    let (name, done) = match file {
        Some(path) if path != Path::new("-") => {
            let place = if ctx.elsewhere() {
                ctx.folder()?.join(path)
            } else {
                path.into()
            };
            let read = fs::read(place).map(|read| bytes = read);
            (path.display().to_string(), read)
        }
        _ => ("-".into(), io::stdin().read_to_end(&mut bytes).map(|_| ())),
    };
    done.map_err(|error| {
        let kind = match error.kind() {
            io::ErrorKind::NotFound => FailureKind::NotFound,
            _ => FailureKind::InvalidParams,
        };
        CliError::new(kind, format!("cannot read {name}: {error}"))
    })?;
    let text = String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
    Ok((name, text))
}

/// Line and column (from 1, in characters), length in characters, and rule of each finding.
fn places<'a>(text: &str, found: &'a [SecretMatch]) -> Vec<(usize, usize, usize, &'a str)> {
    let (mut line, mut start, mut from) = (1, 0, 0);
    found
        .iter()
        .map(|secret| {
            for (at, _) in text[from..secret.start].match_indices('\n') {
                line += 1;
                start = from + at + 1;
            }
            from = secret.start;
            let column = text[start..secret.start].chars().count() + 1;
            let length = text[secret.start..secret.end].chars().count();
            (line, column, length, &*secret.rule)
        })
        .collect()
}
