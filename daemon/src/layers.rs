//! Holds the layers: a room imports only rooms of a lower floor, as `lib.rs` lists them and
//! `ARCHITECTURE.md` shows them; and the manifests keep the floors that other projects rely on.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use toml_edit::DocumentMut;

/// What may be imported although the floors say otherwise: importer (a room or a file), room.
const ALLOWED: &[(&str, &str)] = &[
    // Configuration holds agent profiles.
    ("config.rs", "agents"),
    // `spectask daemon run`.
    ("cli/service.rs", "daemon"),
];

/// Rooms that know less than their floor would let them: room, all that it may import.
const NARROW: &[(&str, &[&str])] = &[
    ("paths", &[]),
    ("zed_paths", &[]),
    ("redact", &[]),
    ("spec", &["redact"]),
    ("store", &[]),
    ("repo", &[]),
    ("agents", &[]),
    ("live", &["store", "redact"]),
    ("recorder", &["store", "repo", "redact"]),
    ("commands", &[]),
    ("zed", &["zed_paths", "redact", "store"]),
    ("example_agent", &[]),
    // Everything else goes through the protocol's client.
    ("cli", &["paths", "zed_paths", "spec"]),
];

/// Single files that may import more than their room.
const WIDER: &[(&str, &str)] = &[
    // Merging and pushing happen in the process that the person started.
    ("cli/finish.rs", "repo"),
    ("cli/history/remote.rs", "repo"),
    // Shows the change of a file as everything else that is compared.
    ("cli/zed/setup.rs", "repo"),
    // What Zed shows for the extension is the daemon's word, also while no daemon runs.
    ("cli/zed/endpoint.rs", "config"),
    // Entry points.
    ("cli/mcp.rs", "mcp"),
    ("cli/mod.rs", "example_agent"),
    ("cli/service.rs", "daemon"),
    // Redaction without a daemon, with the person's own rules.
    ("cli/redact.rs", "redact"),
    ("cli/redact.rs", "config"),
];

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Rooms and their floors, from the comments in `lib.rs`.
fn floors() -> BTreeMap<String, u32> {
    let mut floors = BTreeMap::new();
    let mut floor = None;
    for line in read("src/lib.rs").lines() {
        if let Some(rest) = line.strip_prefix("// Floor ") {
            floor = rest.split(':').next().and_then(|n| n.parse().ok());
        } else if let Some(room) = line.strip_prefix("pub mod ") {
            let floor = floor.unwrap_or_else(|| panic!("no floor above {line}"));
            floors.insert(room.trim_end_matches(';').to_owned(), floor);
        }
    }
    floors
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|ext| ext == "rs") {
            found.push(path);
        }
    }
}

/// Words, `::` and single punctuation marks of a source, without comments, strings and characters.
fn tokens(source: &str) -> Vec<&str> {
    let bytes = source.as_bytes();
    let until = |from: usize, end: &str| {
        source[from..]
            .find(end)
            .map_or(source.len(), |at| from + at + end.len())
    };
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let rest = &source[at..];
        let start = at;
        if rest.starts_with("//") {
            at = until(at, "\n");
        } else if rest.starts_with("/*") {
            at = until(at, "*/");
        } else if rest.starts_with("r\"") || rest.starts_with("r#") {
            let hashes = rest[1..].bytes().take_while(|byte| *byte == b'#').count();
            if rest.as_bytes().get(1 + hashes) == Some(&b'"') {
                at = until(at + hashes + 2, &format!("\"{}", "#".repeat(hashes)));
            } else {
                at += 1 + hashes;
            }
        } else if *byte == b'"' {
            at += 1;
            while !matches!(bytes.get(at), None | Some(b'"')) {
                at += if bytes[at] == b'\\' { 2 } else { 1 };
            }
            at += 1;
        } else if *byte == b'\'' {
            // A character, or a lifetime, which has no quote after its first letter.
            let next = rest.chars().nth(1).map_or(0, char::len_utf8);
            at = match bytes.get(at + 1) {
                Some(b'\\') => until(at + 3, "'"),
                _ if bytes.get(at + 1 + next) == Some(&b'\'') => at + 2 + next,
                _ => at + 1,
            };
        } else if byte.is_ascii_alphanumeric() || *byte == b'_' {
            let word = rest
                .bytes()
                .take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
            at += word.count();
            tokens.push(&source[start..at]);
        } else if rest.starts_with("::") {
            at += 2;
            tokens.push("::");
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
            if !byte.is_ascii_whitespace() {
                tokens.push(&source[start..at]);
            }
        }
    }
    tokens
}

/// The rooms that a source names by `crate::` or by enough `super::`. `module` is the path of the
/// file's module.
fn named(source: &str, module: &[&str]) -> BTreeSet<String> {
    let tokens = tokens(source);
    let mut rooms = BTreeSet::new();
    // Modules inside the file, each with the number of braces that were open before it.
    let mut inner: Vec<(&str, usize)> = Vec::new();
    let mut open = 0_usize;
    for (at, token) in tokens.iter().enumerate() {
        match *token {
            "{" => {
                if at >= 2 && tokens[at - 2] == "mod" {
                    inner.push((tokens[at - 1], open));
                }
                open += 1;
            }
            "}" => {
                open = open.saturating_sub(1);
                inner.pop_if(|(_, before)| *before == open);
            }
            "crate" | "super" if at == 0 || tokens[at - 1] != "::" => {
                let here: Vec<&str> = module
                    .iter()
                    .copied()
                    .chain(inner.iter().map(|(name, _)| *name))
                    .collect();
                follow(&tokens, at, here, &mut rooms);
            }
            _ => {}
        }
    }
    rooms
}

/// Follows one path, with the groups in it, and notes the room it leads to. Returns where it ends.
fn follow<'a>(
    tokens: &[&'a str],
    mut at: usize,
    mut path: Vec<&'a str>,
    rooms: &mut BTreeSet<String>,
) -> usize {
    loop {
        match tokens.get(at).copied() {
            Some("crate") => path.clear(),
            Some("super") => drop(path.pop()),
            Some("{") => {
                at += 1;
                while !matches!(tokens.get(at), None | Some(&"}")) {
                    at = follow(tokens, at, path.clone(), rooms);
                    // Past a rename and the comma.
                    while !matches!(tokens.get(at), None | Some(&("}" | ","))) {
                        at += 1;
                    }
                    at += usize::from(tokens.get(at) == Some(&","));
                }
                return at + 1;
            }
            Some(word) => path.push(word),
            None => return at,
        }
        rooms.extend(path.first().map(|room| (*room).to_owned()));
        at += 1;
        if tokens.get(at) != Some(&"::") {
            return at;
        }
        at += 1;
    }
}

#[test]
fn a_room_imports_only_rooms_of_a_lower_floor() {
    let floors = floors();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let mut wrong = Vec::new();
    let mut imports = 0;
    for file in files {
        let name = file.strip_prefix(&root).unwrap().to_str().unwrap();
        let name = name.replace('\\', "/");
        let plain = name.trim_end_matches(".rs").trim_end_matches("/mod");
        let module: Vec<&str> = plain.split('/').collect();
        let room = module[0];
        let Some(floor) = floors.get(room) else {
            assert!(
                ["lib", "main", "layers"].contains(&room),
                "{name} is in no room of lib.rs"
            );
            continue;
        };
        let narrow = NARROW.iter().find(|(narrow, _)| *narrow == room);
        for other in named(&fs::read_to_string(&file).unwrap(), &module) {
            let Some(below) = floors.get(&other) else {
                continue;
            };
            if other == room {
                continue;
            }
            imports += 1;
            let allowed = match narrow {
                Some((_, all)) => all.contains(&other.as_str()) || WIDER.contains(&(&name, &other)),
                None => true,
            };
            let lower = below < floor || ALLOWED.contains(&(&name, &other));
            if !allowed || !lower {
                wrong.push(format!(
                    "{name} (floor {floor}) names {other} (floor {below})"
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(imports > 50, "only {imports} imports were found");
}

#[test]
fn the_map_names_every_room_on_its_floor() {
    let map = read("../ARCHITECTURE.md");
    for (room, floor) in floors() {
        let row = map.lines().find(|line| {
            let mut cells = line.split('|').map(str::trim).skip(1);
            cells.next() == Some(&floor.to_string())
                && cells.next().is_some_and(|cell| {
                    cell.contains(&format!("`{room}/`")) || cell.contains(&format!("`{room}.rs`"))
                })
        });
        assert!(row.is_some(), "floor {floor} has no row for {room}");
    }
    for exception in ALLOWED.iter().chain(WIDER).map(|(importer, _)| importer) {
        assert!(map.contains(exception), "{exception} is not explained");
    }
}

#[test]
fn paths_are_found_however_they_are_written() {
    let source = r##"
        //! crate::agents is only mentioned
        use crate::{store::{self, Store}, repo as git, workflow::{lookup::{a, b}}};
        use super::super::redact::Redactor;
        use super::near;
        const TEXT: &str = "crate::cli \" crate::cli"; const RAW: &str = r#"crate::cli"#;
        fn f<'a>(c: char) -> bool { c == '"' || c == '\'' || crate::spec::ok::<'a>() }
        mod tests { use super::{super::super::config::Config, *}; use super::super::far; }
        use super::super::paths;
    "##;
    let rooms: Vec<_> = named(source, &["cli", "inner"]).into_iter().collect();
    assert_eq!(
        rooms,
        [
            "cli", "config", "paths", "redact", "repo", "spec", "store", "workflow"
        ]
    );
}

fn manifest(path: &str) -> DocumentMut {
    read(path)
        .parse()
        .unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn version(text: &str) -> Vec<u32> {
    text.split('.').map(|part| part.parse().unwrap()).collect()
}

#[test]
fn the_manifests_keep_their_floors() {
    let (root, protocol) = (
        manifest("../Cargo.toml"),
        manifest("../protocol/Cargo.toml"),
    );
    // Zed's registry builds the extension, and the protocol with it, by this compiler.
    assert_eq!(protocol["package"]["rust-version"].as_str(), Some("1.90"));
    if let Some(package) = root.get("package") {
        assert_eq!(package["rust-version"].as_str(), Some("1.90"));
    }
    // Zed runs a plain `cargo build` on the repository root.
    assert!(root["workspace"].get("default-members").is_none());
    let sdk = &root["workspace"]["dependencies"]["agent-client-protocol"];
    assert_eq!(sdk["version"].as_str(), Some("=5.0.0"));
    for lint in ["unsafe_code", "missing_docs"] {
        let level = root["workspace"]["lints"]["rust"][lint].as_str();
        assert!(level.is_some(), "{lint}");
    }
}

#[test]
fn the_dependencies_are_the_chosen_ones() {
    let daemon = manifest("Cargo.toml");
    let lock = manifest("../Cargo.lock");
    let packages = lock["package"].as_array_of_tables().unwrap();
    for (name, floor) in [
        ("agent-client-protocol", "5.0.0"),
        ("clap", "4.6.0"),
        ("git2", "0.21.0"),
        ("interprocess", "2.4.0"),
        ("jsonrpsee", "0.26.0"),
        ("rusqlite", "0.40.0"),
        ("rusqlite_migration", "2.6.0"),
        ("schemars", "1.2.0"),
        ("serde", "1.0.229"),
        ("tokio", "1.54.0"),
        ("tracing", "0.1.44"),
    ] {
        assert!(daemon["dependencies"].get(name).is_some(), "{name}");
        let locked: Vec<_> = packages
            .iter()
            .filter(|package| package["name"].as_str() == Some(name))
            .filter_map(|package| package["version"].as_str())
            .map(version)
            .collect();
        // The newest counts where another dependency brings an older line of it.
        let locked = locked.iter().max().unwrap_or_else(|| panic!("{name}"));
        let floor = version(floor);
        assert!(*locked >= floor, "{name}: {locked:?} is below {floor:?}");
        // The same line: a new major is a decision.
        let line = if floor[0] == 0 { 2 } else { 1 };
        assert_eq!(locked[..line], floor[..line], "{name}");
    }
}
