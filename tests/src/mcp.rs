//! Other people's programs that speak MCP: the official conformance suite and the Inspector.
//! Installed and kept like the [`agents`](crate::agents).

use std::path::PathBuf;

use crate::{
    agents::{install_one, installed, npm_install},
    clients::node_from,
};

const CONFORMANCE: &str = "0.1.16";
const INSPECTOR: &str = "2.12.0";
/// The oldest node both run on.
const NODE: (u32, u32) = (22, 19);
const PACKAGES: &str = "node_modules/@modelcontextprotocol";

/// Program and first argument of the conformance suite.
///
/// # Panics
/// When it, or a node for it, is not installed.
#[must_use]
pub fn conformance() -> [PathBuf; 2] {
    let folder = installed(&format!("mcp-conformance-{CONFORMANCE}"));
    let script = folder.join(PACKAGES).join("conformance/dist/index.js");
    assert!(script.is_file(), "no {}", script.display());
    [node(), script]
}

/// Program and first argument of the Inspector.
///
/// # Panics
/// When it, or a node for it, is not installed.
#[must_use]
pub fn inspector() -> [PathBuf; 2] {
    let folder = installed(&format!("mcp-inspector-{INSPECTOR}"));
    let script = folder
        .join(PACKAGES)
        .join("inspector/clients/launcher/build/index.js");
    assert!(script.is_file(), "no {}", script.display());
    [node(), script]
}

fn node() -> PathBuf {
    node_from(NODE).expect("node 22.19 or newer; run `cargo xtask agents`")
}

/// Whether a node has to be fetched for them.
pub(crate) fn needs_node() -> bool {
    node_from(NODE).is_none()
}

/// Installs what is missing.
pub(crate) fn install(say: &dyn Fn(&str)) -> Result<(), String> {
    for (name, version) in [("conformance", CONFORMANCE), ("inspector", INSPECTOR)] {
        install_one(&format!("mcp-{name}-{version}"), say, |folder| {
            npm_install(
                folder,
                &[&format!("@modelcontextprotocol/{name}@{version}")],
            )
        })?;
    }
    Ok(())
}
