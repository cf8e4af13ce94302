//! What the built file is.

use std::{fs, path::PathBuf, process::Command};

use spectask_extension_tests::package;

/// The custom sections of a component and of the modules in it.
fn sections(bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
    fn number(bytes: &[u8], at: &mut usize) -> usize {
        let (mut value, mut shift) = (0, 0);
        loop {
            let byte = bytes[*at];
            *at += 1;
            value |= usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte < 0x80 {
                return value;
            }
        }
    }
    let is_component = bytes[4..8] == [0x0d, 0, 1, 0];
    let mut found = Vec::new();
    let mut at = 8;
    while at < bytes.len() {
        let id = bytes[at];
        at += 1;
        let length = number(bytes, &mut at);
        let content = &bytes[at..at + length];
        if id == 0 {
            let mut from = 0;
            let name = number(content, &mut from);
            let text = String::from_utf8(content[from..from + name].to_vec()).unwrap();
            found.push((text, content[from + name..].to_vec()));
        } else if id == 1 && is_component {
            found.extend(sections(content));
        }
        at += length;
    }
    found
}

#[test]
fn it_is_a_small_component_of_the_stable_api() {
    let component = package::component();
    assert_eq!(component[..8], [0, b'a', b's', b'm', 0x0d, 0, 1, 0]);
    let versions: Vec<_> = sections(component)
        .into_iter()
        .filter(|(name, _)| name == "zed:api-version")
        .map(|(_, content)| content)
        .collect();
    assert_eq!(versions, [[0, 0, 0, 7, 0, 0]]);
    assert!(component.len() < 250_000, "{} bytes", component.len());
}

#[test]
fn the_interface_is_the_published_one() {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--locked"])
        .current_dir(package::folder())
        .output()
        .unwrap();
    assert!(output.status.success());
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let api = metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .find(|package| package["name"] == "zed_extension_api")
        .unwrap();
    assert_eq!(api["version"], "0.7.0");
    let theirs = PathBuf::from(api["manifest_path"].as_str().unwrap());
    let theirs = theirs.with_file_name("wit").join("since_v0.6.0");
    let ours = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("wit");
    let mut count = 0;
    for entry in fs::read_dir(theirs).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "wit") {
            count += 1;
            let ours = fs::read_to_string(ours.join(path.file_name().unwrap())).unwrap();
            // Git may have changed the line ends.
            let ours = ours.replace("\r\n", "\n");
            assert_eq!(ours, fs::read_to_string(&path).unwrap(), "{path:?}");
        }
    }
    assert!(count > 5);
}
