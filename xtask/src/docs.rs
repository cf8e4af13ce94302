//! Writes `docs/api.md` from the method table, so that the reference says what the daemon does.

use std::{collections::BTreeSet, fmt::Write as _, fs, path::PathBuf};

use serde_json::{Map, Value};
use spectask_protocol::{FailureKind, method::open_rpc};
use spectask_tests::env::workspace;

const INTRO: &str = "\
<!-- Written by `cargo xtask docs` from protocol/src; do not edit. -->

# API of the SpecTask daemon

JSON-RPC 2.0; parameters are passed by name and may be left out where all are optional. Batches are
refused. The same description for programs, as OpenRPC: `spectask openrpc`, or the method `rpc.discover`.

## Where

| Place | How |
|---|---|
| Local socket | HTTP/1.1 on the socket that `spectask daemon status --json` names (a Unix socket; a named pipe on Windows), for its user alone. A WebSocket or POST at `/rpc` |
| Loopback | `http://127.0.0.1:PORT/rpc`, WebSocket or POST, with `Authorization: Bearer TOKEN`. `spectask daemon address --json` starts the daemon and prints `url` and `token`, which are new at each start; they are also in `http.json` in the data folder, for its user alone. A browser's WebSocket shows the token as subprotocol: `spectask, bearer.TOKEN` |

Over loopback `Host` must be `127.0.0.1`, `localhost` or `[::1]` with the daemon's port, and an `Origin`
must be `http://localhost` or `http://127.0.0.1`, with any port. Requests have at most 16 MiB; a connection
may send 200 requests a second and 400 at once, all together twice that; 64 connections at a time.
`http.enabled = false` in the configuration closes the port, `http.port` fixes it. `/healthz` answers `ok`
without a token.

POST answers `application/json`. An error of JSON-RPC has HTTP status 200; 401 (token), 403 (`Host`,
`Origin`), 413 (too large) and 429 (too fast) have a JSON-RPC error as their body too.

## Who

Methods for *a person* are refused to agents. An agent is: a process that descends from an agent's or from
the daemon's, whatever token it shows (over loopback this is known on Linux only), and whoever shows the
token of a work session.

## Errors

`error.data` has `kind`, `message` and, where there is one, `hint`: what to do next.

";

const EVENTS: &str = "\
### events.subscribe

Follows events over a WebSocket. **Who:** anyone. Parameters as those of `events.list`; each event arrives
as a notification `events.event` whose `params.result` is an [Event](#type-event), in order and without a
gap, from the one after `after` on. `events.unsubscribe` ends it.

";

/// Writes the reference.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn write() -> Result<(), String> {
    let path = path();
    let failed = |error| format!("cannot write {}: {error}", path.display());
    fs::create_dir_all(path.parent().unwrap_or(&path)).map_err(failed)?;
    fs::write(&path, render()).map_err(failed)?;
    println!("wrote {}", path.display());
    Ok(())
}

fn path() -> PathBuf {
    workspace().join("docs").join("api.md")
}

fn render() -> String {
    let document = open_rpc();
    let none = Map::new();
    let schemas = document["components"]["schemas"]
        .as_object()
        .unwrap_or(&none);
    let methods: Vec<&Value> = document["methods"]
        .as_array()
        .into_iter()
        .flatten()
        .collect();
    let mut page = INTRO.to_owned();
    line(&mut page, "| `kind` | Code | Meaning |\n|---|---|---|");
    let kinds = variants(&schemas_of_failure());
    for kind in FailureKind::ALL {
        let name = serde_json::to_value(kind).unwrap_or_default();
        let name = name.as_str().unwrap_or_default().to_owned();
        let about = kinds
            .iter()
            .find(|(value, _)| *value == name)
            .map_or("", |(_, about)| about);
        line(
            &mut page,
            &format!("| `{name}` | {} | {about} |", kind.code()),
        );
    }
    line(&mut page, "\n## Methods");
    let mut group = "";
    let mut shown = BTreeSet::new();
    for method in &methods {
        let name = text(method, "name");
        let prefix = name.split('.').next().unwrap_or(name);
        if prefix != group {
            group = prefix;
            let all = methods.iter().map(|method| text(method, "name"));
            let all = all.filter(|name| name.split('.').next() == Some(prefix));
            let all: Vec<_> = all
                .map(|name| format!("[{name}](#{})", anchor(name)))
                .collect();
            line(&mut page, &format!("\n**{prefix}:** {}", all.join(" · ")));
        }
    }
    line(&mut page, "");
    for method in &methods {
        let params = &method["params"][0]["schema"];
        if let Some(name) = reference(params) {
            shown.insert(name.to_owned());
        }
        page.push_str(&one_method(method, schemas));
    }
    page.push_str(EVENTS);
    line(&mut page, "## Types\n");
    let mut types: Vec<_> = schemas.iter().collect();
    types.sort_by_key(|(name, _)| name.as_str());
    let described: Vec<String> = types
        .into_iter()
        .filter(|(name, _)| name.as_str() != "Empty")
        .filter(|(name, _)| !shown.contains(*name) || used_elsewhere(&document, name))
        .map(|(name, schema)| format!("### Type {name}\n\n{}", one_type(schema)))
        .collect();
    page.push_str(&described.join("\n"));
    page
}

/// The schema of the error's data, which no method names.
fn schemas_of_failure() -> Value {
    schemars::schema_for!(FailureKind).into()
}

fn one_method(method: &Value, schemas: &Map<String, Value>) -> String {
    let mut out = String::new();
    line(&mut out, &format!("### {}\n", text(method, "name")));
    let who = match text(method, "x-access") {
        "person" => "a person",
        _ => "anyone",
    };
    let result = &method["result"]["schema"];
    let result = match reference(result) {
        Some("Empty") => "nothing (`{}`)".to_owned(),
        _ => kind(result),
    };
    let about = flat(text(method, "description"));
    line(
        &mut out,
        &format!("{about} **Who:** {who}. **Result:** {result}.\n"),
    );
    let params = &method["params"][0]["schema"];
    let params = reference(params).map_or(params, |name| &schemas[name]);
    match fields(params).as_str() {
        "" => line(&mut out, "No parameters.\n"),
        table => line(&mut out, table),
    }
    out
}

fn one_type(schema: &Value) -> String {
    let mut out = String::new();
    if !text(schema, "description").is_empty() {
        line(
            &mut out,
            &format!("{}\n", flat(text(schema, "description"))),
        );
    }
    let values = variants(schema);
    let objects = alternatives(schema).filter(|one| one["properties"].is_object());
    if !values.is_empty() {
        line(&mut out, "| Value | Meaning |\n|---|---|");
        for (value, about) in &values {
            line(&mut out, &format!("| `{value}` | {about} |"));
        }
    }
    let mut any = !values.is_empty();
    for one in objects {
        any = true;
        line(
            &mut out,
            &format!("{}\n\n{}", flat(text(one, "description")), fields(one)),
        );
    }
    let table = fields(schema);
    if !table.is_empty() {
        out.push_str(&table);
    } else if !any {
        line(&mut out, &format!("A {}.", kind(schema)));
    }
    out
}

fn alternatives(schema: &Value) -> impl Iterator<Item = &Value> {
    ["oneOf", "anyOf"]
        .into_iter()
        .filter_map(|key| schema[key].as_array())
        .flatten()
}

/// The values of an enumeration and what each means.
fn variants(schema: &Value) -> Vec<(String, String)> {
    let of = |schema: &Value| {
        let about = flat(text(schema, "description"));
        let one = schema["const"].as_str().map(str::to_owned);
        let many = schema["enum"].as_array().into_iter().flatten();
        let many = many.filter_map(|value| value.as_str().map(str::to_owned));
        one.into_iter()
            .chain(many)
            .map(|value| (value, about.clone()))
            .collect::<Vec<_>>()
    };
    let mut found: Vec<_> = alternatives(schema).flat_map(of).collect();
    if found.is_empty() {
        found = of(schema);
        // What is said of all of them says nothing of one.
        found.iter_mut().for_each(|(_, about)| about.clear());
    }
    found
}

fn fields(schema: &Value) -> String {
    let Some(properties) = schema["properties"]
        .as_object()
        .filter(|all| !all.is_empty())
    else {
        return String::new();
    };
    let required: BTreeSet<&str> = schema["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let mut out = "| Field | Type | Meaning |\n|---|---|---|\n".to_owned();
    // In an order of its own, whatever order the maps of this build have: what is needed comes first.
    let mut ordered: Vec<_> = properties.iter().collect();
    ordered.sort_by_key(|(name, _)| (!required.contains(name.as_str()), name.as_str()));
    for (name, about) in ordered {
        let optional = if required.contains(name.as_str()) {
            ""
        } else {
            ", optional"
        };
        let meaning = flat(text(about, "description"));
        line(
            &mut out,
            &format!("| `{name}` | {}{optional} | {meaning} |", kind(about)),
        );
    }
    out
}

/// A type in words.
fn kind(schema: &Value) -> String {
    if let Some(name) = reference(schema) {
        return format!("[{name}](#type-{})", name.to_lowercase());
    }
    if let Some(value) = schema.get("const") {
        return format!(
            "`{}`",
            value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned)
        );
    }
    if let Some(one) = schema["allOf"].as_array().and_then(|all| all.first()) {
        return kind(one);
    }
    let some: Vec<String> = alternatives(schema)
        .filter(|one| one["type"] != "null")
        .map(kind)
        .collect();
    if !some.is_empty() {
        return some.join(" or ");
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(many) => many.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let words: Vec<String> = types
        .into_iter()
        .filter(|name| *name != "null")
        .map(|name| match name {
            "array" => match schema["items"]
                .as_array()
                .or(schema["prefixItems"].as_array())
            {
                Some(parts) => format!(
                    "[{}]",
                    parts.iter().map(kind).collect::<Vec<_>>().join(", ")
                ),
                None => format!("list of {}", kind(&schema["items"])),
            },
            "object" if schema["additionalProperties"].is_object() => {
                format!("map of {}", kind(&schema["additionalProperties"]))
            }
            "object" if schema["properties"].is_object() => parts(schema),
            name => name.to_owned(),
        })
        .collect();
    match words.join(" or ") {
        words if words.is_empty() => "any".to_owned(),
        words => words,
    }
}

/// The fields of an object that has no name of its own.
fn parts(schema: &Value) -> String {
    let properties = schema["properties"].as_object().into_iter().flatten();
    let mut parts: Vec<_> = properties
        .map(|(name, about)| format!("`{name}` {}", kind(about)))
        .collect();
    parts.sort();
    format!("object with {}", parts.join(", "))
}

/// Whether anything but a method's parameters names a type.
fn used_elsewhere(document: &Value, name: &str) -> bool {
    let wanted = format!("\"#/components/schemas/{name}\"");
    let schemas = document["components"]["schemas"].to_string();
    let results = document["methods"].as_array().into_iter().flatten();
    schemas.contains(&wanted)
        || results
            .map(|method| method["result"].to_string())
            .any(|text| text.contains(&wanted))
}

fn reference(schema: &Value) -> Option<&str> {
    let whole = [schema, &schema["allOf"][0]];
    whole
        .into_iter()
        .find_map(|schema| schema["$ref"].as_str()?.rsplit('/').next())
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

/// One line that is safe in a table.
fn flat(text: &str) -> String {
    text.split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .replace('|', "\\|")
}

/// The anchor that a heading gets.
fn anchor(heading: &str) -> String {
    heading.to_lowercase().replace('.', "")
}

fn line(out: &mut String, line: &str) {
    // Writing to a string does not fail.
    let _ = writeln!(out, "{line}");
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_reference_is_what_the_table_says() {
        let kept = fs::read_to_string(path()).unwrap_or_default();
        // Git may have changed the line ends.
        let same = kept.replace("\r\n", "\n") == render();
        assert!(
            same,
            "docs/api.md is not up to date: run `cargo xtask docs`"
        );
    }

    #[test]
    fn every_link_leads_somewhere() {
        let page = render();
        let headings = page.lines().filter_map(|line| line.strip_prefix("### "));
        let anchors: BTreeSet<_> = headings
            .map(|heading| anchor(heading).replace(' ', "-"))
            .collect();
        let links = page.split("](#").skip(1);
        let links: BTreeSet<_> = links.map(|rest| rest.split(')').next().unwrap()).collect();
        assert!(links.len() > 50, "{}", links.len());
        for link in links {
            assert!(anchors.contains(link), "{link}");
        }
    }
}
