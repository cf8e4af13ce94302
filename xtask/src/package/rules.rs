//! The published rules of `zed-industries/extensions`, as its checks and its documentation had them in
//! August 2026.

use std::{
    fs,
    path::{Component, Path},
};

use toml_edit::{DocumentMut, Item};

/// The compiler that the registry builds with.
const RUST: (u32, u32) = (1, 90);

/// What an extension with an MCP server may not provide besides.
const NOTHING_ELSE: &[&str] = &[
    "agent_servers",
    "debug_adapters",
    "debug_locators",
    "grammars",
    "icon_themes",
    "language_model_providers",
    "language_servers",
    "languages",
    "slash_commands",
    "snippets",
    "themes",
];

/// Words that a licence is known by; all of a row.
const LICENCES: &[(&str, &[&str])] = &[
    ("Apache-2.0", &["Apache License", "Version 2.0"]),
    ("MIT", &["Permission is hereby granted, free of charge"]),
    (
        "BSD",
        &["Redistribution and use in source and binary forms"],
    ),
    ("GPL-3.0", &["GNU GENERAL PUBLIC LICENSE", "Version 3"]),
    (
        "LGPL-3.0",
        &["GNU LESSER GENERAL PUBLIC LICENSE", "Version 3"],
    ),
    ("CC-BY-4.0", &["Creative Commons Attribution 4.0"]),
    ("Unlicense", &["This is free and unencumbered software"]),
    ("Zlib", &["This software is provided 'as-is'"]),
];

/// What the registry would refuse in a folder; nothing when it is good.
pub(super) fn check(folder: &Path) -> Vec<String> {
    let mut broken = Vec::new();
    let mut read = |name: &str| -> Option<DocumentMut> {
        let text = fs::read_to_string(folder.join(name));
        let text = text.map_err(|error| broken.push(format!("{name} cannot be read: {error}")));
        let document = text.ok()?.parse::<DocumentMut>();
        document
            .map_err(|error| broken.push(format!("{name}: {error}")))
            .ok()
    };
    let (manifest, cargo) = (read("extension.toml"), read("Cargo.toml"));
    if let Some(manifest) = &manifest {
        broken.extend(names(manifest));
        broken.extend(contents(manifest));
    }
    if let Some(cargo) = &cargo {
        broken.extend(package(folder, cargo));
    }
    if let (Some(manifest), Some(cargo)) = (&manifest, &cargo) {
        let (theirs, ours) = (text(&manifest["version"]), package_text(cargo, "version"));
        if theirs != ours {
            broken.push(format!(
                "extension.toml has version {theirs:?}, Cargo.toml {ours:?}"
            ));
        }
    }
    broken.extend(licence(folder));
    broken
}

/// An entry that may not be there, as text; empty when it is none.
fn text(item: &Item) -> &str {
    item.as_str().unwrap_or_default()
}

fn get<'a>(document: &'a DocumentMut, key: &str) -> &'a str {
    document.get(key).map_or("", text)
}

fn package_text<'a>(cargo: &'a DocumentMut, key: &str) -> &'a str {
    let package = cargo.get("package").and_then(Item::as_table_like);
    package
        .and_then(|package| package.get(key))
        .map_or("", text)
}

fn names(manifest: &DocumentMut) -> Vec<String> {
    let mut broken = Vec::new();
    let id = get(manifest, "id");
    let is_id = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if id.is_empty() || !id.bytes().all(is_id) {
        broken.push(format!(
            "the id {id:?} has to be of lower-case letters, digits and `-`"
        ));
    }
    if id.split('-').any(|word| word == "zed") || id.contains("extension") {
        broken.push(format!(
            "the id {id:?} may contain neither \"zed\" nor \"extension\""
        ));
    }
    if !id.starts_with("mcp-server-") && !id.ends_with("-mcp-server") {
        broken.push(format!(
            "the id {id:?} of an MCP server has to be `mcp-server-…` or `…-mcp-server`"
        ));
    }
    let name = get(manifest, "name");
    let lower = name.to_lowercase();
    if name.is_empty() || lower.split(' ').any(|word| word == "zed") || lower.contains("extension")
    {
        broken.push(format!(
            "the name {name:?} has to be there without \"Zed\" and \"extension\""
        ));
    }
    if !is_version(get(manifest, "version")) {
        broken.push("extension.toml needs a `version` such as \"0.1.0\"".to_owned());
    }
    if manifest.get("schema_version").and_then(Item::as_integer) != Some(1) {
        broken.push("extension.toml needs `schema_version = 1`".to_owned());
    }
    if get(manifest, "description").is_empty() {
        broken.push("extension.toml needs a `description`".to_owned());
    }
    if !get(manifest, "repository").starts_with("https://") {
        broken.push("extension.toml needs a `repository` that begins with https://".to_owned());
    }
    let authors = manifest.get("authors").and_then(Item::as_array);
    if authors.is_none_or(|authors| authors.is_empty()) {
        broken.push("extension.toml needs `authors`".to_owned());
    }
    broken
}

fn is_version(version: &str) -> bool {
    let (numbers, _) = version.split_once(['-', '+']).unwrap_or((version, ""));
    let numbers: Vec<&str> = numbers.split('.').collect();
    numbers.len() == 3 && numbers.iter().all(|number| number.parse::<u32>().is_ok())
}

fn contents(manifest: &DocumentMut) -> Vec<String> {
    let mut broken = Vec::new();
    let servers = manifest
        .get("context_servers")
        .and_then(Item::as_table_like);
    let servers = servers.map_or(0, |servers| servers.len());
    if servers != 1 {
        broken.push(format!(
            "extension.toml has {servers} context servers; it has to have one and nothing else"
        ));
    }
    for key in NOTHING_ELSE {
        if manifest.contains_key(key) {
            broken.push(format!(
                "extension.toml has {key}; besides one context server there may be nothing"
            ));
        }
    }
    broken
}

fn package(folder: &Path, cargo: &DocumentMut) -> Vec<String> {
    let mut broken = Vec::new();
    if package_text(cargo, "name").is_empty() {
        broken.push("Cargo.toml needs a literal `package.name`, which Zed reads".to_owned());
    }
    let rust = package_text(cargo, "rust-version");
    let mut numbers = rust.split('.').map(|number| number.parse::<u32>().ok());
    let fits = match (numbers.next().flatten(), numbers.next().flatten()) {
        (Some(major), Some(minor)) => (major, minor) <= RUST,
        _ => false,
    };
    if !fits {
        broken.push(format!(
            "Cargo.toml needs a `package.rust-version` of at most {}.{}, not {rust:?}",
            RUST.0, RUST.1
        ));
    }
    let kinds = cargo.get("lib").and_then(Item::as_table_like);
    let kinds = kinds.and_then(|lib| lib.get("crate-type")?.as_array());
    if !kinds.is_some_and(|kinds| kinds.iter().any(|kind| kind.as_str() == Some("cdylib"))) {
        broken.push("Cargo.toml needs `lib.crate-type = [\"cdylib\"]`".to_owned());
    }
    let dependencies = cargo.get("dependencies").and_then(Item::as_table_like);
    for (name, item) in dependencies.into_iter().flat_map(|all| all.iter()) {
        let Some(path) = item.get("path").and_then(Item::as_str) else {
            continue;
        };
        let inside = Path::new(path)
            .components()
            .all(|part| matches!(part, Component::Normal(_)));
        if !inside || !folder.join(path).join("Cargo.toml").is_file() {
            broken.push(format!(
                "the dependency {name} is at {path:?}, which is not in the folder"
            ));
        }
    }
    broken
}

fn licence(folder: &Path) -> Vec<String> {
    let files = fs::read_dir(folder).into_iter().flatten().flatten();
    let files: Vec<_> = files
        .filter(|entry| {
            let name = entry.file_name().to_string_lossy().to_uppercase();
            (name.starts_with("LICENSE") || name.starts_with("LICENCE")) && entry.path().is_file()
        })
        .collect();
    if files.is_empty() {
        return vec!["there is no LICENSE file beside extension.toml".to_owned()];
    }
    let is_known = files.iter().any(|entry| {
        let text = fs::read_to_string(entry.path()).unwrap_or_default();
        LICENCES
            .iter()
            .any(|(_, words)| words.iter().all(|words| text.contains(words)))
    });
    if is_known {
        return Vec::new();
    }
    let names: Vec<&str> = LICENCES.iter().map(|(name, _)| *name).collect();
    vec![format!(
        "the licence is none that the registry takes: {}",
        names.join(", ")
    )]
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str = r#"id = "mcp-server-x"
name = "X"
version = "1.2.3"
schema_version = 1
authors = ["A"]
description = "D"
repository = "https://example.org/x"

[context_servers.mcp-server-x]
"#;
    const CARGO: &str = r#"[package]
name = "x"
version = "1.2.3"
rust-version = "1.90"

[lib]
crate-type = ["cdylib"]

[dependencies]
serde = "1"
"#;
    const LICENCE: &str = "MIT License\n\nPermission is hereby granted, free of charge, to\n";

    fn checked(manifest: &str, cargo: &str, licence: Option<(&str, &str)>) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("extension.toml"), manifest).unwrap();
        fs::write(folder.path().join("Cargo.toml"), cargo).unwrap();
        if let Some((name, text)) = licence {
            fs::write(folder.path().join(name), text).unwrap();
        }
        check(folder.path())
    }

    /// What is said when that is put in place of this.
    fn changed(this: &str, that: &str) -> String {
        let manifest = MANIFEST.replace(this, that);
        let cargo = CARGO.replace(this, that);
        assert!(
            manifest != MANIFEST || cargo != CARGO,
            "{this} is in neither"
        );
        checked(&manifest, &cargo, Some(("LICENSE", LICENCE))).join("\n")
    }

    #[test]
    fn a_good_folder_breaks_no_rule() {
        for name in ["LICENSE", "LICENCE.md", "license-mit"] {
            let broken = checked(MANIFEST, CARGO, Some((name, LICENCE)));
            assert!(broken.is_empty(), "{name}: {broken:?}");
        }
    }

    #[test]
    fn each_rule_has_its_own_words() {
        for (this, that, told) in [
            ("id = \"mcp-server-x\"", "id = \"MCP_x\"", "lower-case"),
            ("id = \"mcp-server-x\"", "id = \"\"", "lower-case"),
            ("id = \"mcp-server-x\"", "id = \"x\"", "`mcp-server-…`"),
            (
                "id = \"mcp-server-x\"",
                "id = \"zed-mcp-server\"",
                "neither \"zed\"",
            ),
            (
                "id = \"mcp-server-x\"",
                "id = \"mcp-server-zed\"",
                "neither \"zed\"",
            ),
            (
                "id = \"mcp-server-x\"",
                "id = \"mcp-server-extension-x\"",
                "nor \"extension\"",
            ),
            ("name = \"X\"", "name = \"Zed X\"", "the name \"Zed X\""),
            ("name = \"X\"", "name = \"X Extension\"", "the name"),
            ("name = \"X\"\n", "", "the name \"\""),
            (
                "version = \"1.2.3\"\nschema",
                "version = \"1.2\"\nschema",
                "such as",
            ),
            (
                "version = \"1.2.3\"\nschema",
                "version = \"1.2.4\"\nschema",
                "\"1.2.4\", Cargo.toml",
            ),
            (
                "schema_version = 1",
                "schema_version = 0",
                "schema_version = 1",
            ),
            ("schema_version = 1\n", "", "schema_version = 1"),
            ("[\"A\"]", "[]", "authors"),
            ("description = \"D\"\n", "", "description"),
            ("https://", "git@", "repository"),
            ("[context_servers.mcp-server-x]", "", "0 context servers"),
            (
                "[context_servers.mcp-server-x]",
                "[context_servers.a]\n[context_servers.b]",
                "2 context servers",
            ),
            (
                "[context_servers.mcp-server-x]",
                "[context_servers.a]\n[slash_commands.b]",
                "has slash_commands",
            ),
            (
                "[context_servers.mcp-server-x]",
                "[context_servers.a]\n[agent_servers.b]",
                "has agent_servers",
            ),
            ("name = \"x\"", "name.workspace = true", "literal"),
            ("1.90", "1.91", "at most 1.90, not \"1.91\""),
            ("rust-version = \"1.90\"\n", "", "at most 1.90"),
            ("cdylib", "rlib", "cdylib"),
            (
                "serde = \"1\"",
                "serde = { path = \"../x\" }",
                "\"../x\", which is not in",
            ),
            (
                "serde = \"1\"",
                "serde = { path = \"x\" }",
                "not in the folder",
            ),
            ("schema_version = 1", "schema_version =", "extension.toml: "),
        ] {
            let broken = changed(this, that);
            assert!(broken.contains(told), "{this} -> {that}: {broken:?}");
        }
    }

    #[test]
    fn a_licence_has_to_be_there_and_known() {
        let told = |licence| checked(MANIFEST, CARGO, licence).join("\n");
        assert!(told(None).contains("no LICENSE file"));
        assert!(told(Some(("COPYING", LICENCE))).contains("no LICENSE file"));
        assert!(told(Some(("LICENSE", "All rights reserved"))).contains("Apache-2.0, MIT"));
    }

    #[test]
    fn an_empty_folder_is_told_too() {
        let folder = tempfile::tempdir().unwrap();
        let broken = check(folder.path()).join("\n");
        for name in ["extension.toml", "Cargo.toml", "LICENSE"] {
            assert!(broken.contains(name), "{name}: {broken}");
        }
    }
}
