//! Makes the folder that Zed's registry of extensions would take, and holds it against its rules.

mod rules;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use spectask_tests::env::workspace;
use toml_edit::{Array, DocumentMut, Item, Table, value};

/// Folders and files that the extension is made of, below the root of the repository.
const PARTS: &[&str] = &[
    "LICENSE",
    "Cargo.lock",
    "extension/src",
    "protocol/Cargo.toml",
    "protocol/src",
];

/// Writes the folder; nothing may be there yet but what an earlier run has written.
///
/// # Errors
/// When it cannot be written, or breaks a rule of the registry.
pub(crate) fn run(out: Option<PathBuf>) -> Result<(), String> {
    let root = workspace();
    let out = match out {
        Some(out) => std::path::absolute(out).map_err(|error| error.to_string())?,
        None => target()?.join("package").join("mcp-server-spectask"),
    };
    clear(&out)?;
    write(&root, &out)?;
    let broken = rules::check(&out);
    if !broken.is_empty() {
        return Err(format!(
            "the registry would not take {}:\n- {}",
            out.display(),
            broken.join("\n- ")
        ));
    }
    println!("{}", out.display());
    Ok(())
}

fn target() -> Result<PathBuf, String> {
    // target/debug/xtask
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let target = own.ancestors().nth(2);
    target
        .map(Path::to_owned)
        .ok_or_else(|| "the target folder is not known".to_owned())
}

/// Removes what an earlier run has written, and nothing else.
fn clear(out: &Path) -> Result<(), String> {
    let is_empty = fs::read_dir(out).is_ok_and(|mut entries| entries.next().is_none());
    if !out.exists() || is_empty {
        return Ok(());
    }
    if !out.join("extension.toml").is_file() || out.join(".git").exists() {
        return Err(format!("{} is not empty", out.display()));
    }
    fs::remove_dir_all(out).map_err(|error| format!("cannot clear {}: {error}", out.display()))
}

fn write(root: &Path, out: &Path) -> Result<(), String> {
    for part in PARTS {
        copy(&root.join(part), &out.join(part))?;
    }
    let manifest = document(&root.join("extension.toml"))?;
    put(
        &out.join("extension.toml"),
        &registered(manifest).to_string(),
    )?;
    let cargo = document(&root.join("Cargo.toml"))?;
    let protocol = document(&root.join("protocol/Cargo.toml"))?;
    put(
        &out.join("Cargo.toml"),
        &alone(cargo, &protocol).to_string(),
    )?;
    // The lock file has the whole repository's packages; cargo leaves those that are needed.
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--quiet"])
        .current_dir(out)
        .output()
        .map_err(|error| format!("cargo cannot start: {error}"))?;
    if output.status.success() {
        Ok(())
    } else {
        let said = String::from_utf8_lossy(&output.stderr);
        Err(format!("cargo does not take the folder: {said}"))
    }
}

fn document(path: &Path) -> Result<DocumentMut, String> {
    let text = fs::read_to_string(path);
    let text = text.map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    let document = text.parse();
    document.map_err(|error| format!("{}: {error}", path.display()))
}

fn put(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))
}

fn copy(from: &Path, to: &Path) -> Result<(), String> {
    let failed = |error| format!("cannot copy {}: {error}", from.display());
    if from.is_dir() {
        fs::create_dir_all(to).map_err(failed)?;
        for entry in fs::read_dir(from).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            copy(&entry.path(), &to.join(entry.file_name()))?;
        }
        return Ok(());
    }
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    fs::copy(from, to).map(drop).map_err(failed)
}

/// The manifest without what the registry takes no more.
fn registered(mut manifest: DocumentMut) -> DocumentMut {
    manifest.remove("slash_commands");
    manifest
}

/// The manifest of the root package with no other members than it needs, and small.
fn alone(mut cargo: DocumentMut, protocol: &DocumentMut) -> DocumentMut {
    cargo.remove("profile");
    cargo.remove("dev-dependencies");
    let needed = |name: &str| protocol["dependencies"].get(name).is_some();
    if let Some(workspace) = cargo["workspace"].as_table_mut() {
        workspace.insert("members", value(Array::from_iter(["protocol"])));
        if let Some(dependencies) = workspace["dependencies"].as_table_mut() {
            dependencies.retain(|name, _| needed(name));
        }
    }
    let mut release = Table::new();
    release.insert("opt-level", value("z"));
    release.insert("lto", value(true));
    release.insert("codegen-units", value(1));
    release.insert("strip", value(true));
    let mut profile = Table::new();
    profile.set_implicit(true);
    profile.insert("release", Item::Table(release));
    cargo.insert("profile", Item::Table(profile));
    cargo
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packaged() -> tempfile::TempDir {
        let out = tempfile::tempdir().unwrap();
        write(&workspace(), out.path()).unwrap();
        out
    }

    #[test]
    fn the_folder_is_what_the_registry_takes() {
        let out = packaged();
        assert_eq!(rules::check(out.path()), Vec::<String>::new());
        let mut top: Vec<_> = fs::read_dir(out.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        top.sort();
        assert_eq!(
            top,
            [
                "Cargo.lock",
                "Cargo.toml",
                "LICENSE",
                "extension",
                "extension.toml",
                "protocol"
            ]
        );
        let manifest = fs::read_to_string(out.path().join("extension.toml")).unwrap();
        assert!(!manifest.contains("slash"), "{manifest}");
        let lock = fs::read_to_string(out.path().join("Cargo.lock")).unwrap();
        assert!(lock.contains("name = \"zed_extension_api\"") && !lock.contains("wasmtime"));
    }

    #[test]
    fn only_an_earlier_package_is_replaced() {
        let out = tempfile::tempdir().unwrap();
        clear(&out.path().join("new")).unwrap();
        clear(out.path()).unwrap();
        fs::write(out.path().join("mine"), "").unwrap();
        assert!(clear(out.path()).unwrap_err().contains("is not empty"));
        fs::write(out.path().join("extension.toml"), "").unwrap();
        fs::create_dir(out.path().join(".git")).unwrap();
        assert!(clear(out.path()).is_err());
        fs::remove_dir(out.path().join(".git")).unwrap();
        clear(out.path()).unwrap();
        assert!(!out.path().exists());
    }
}
