//! What stands in front of the product in tests: the official schema of the protocol, and
//! third-party clients. Installed and kept like the [`agents`](crate::agents).

use std::path::PathBuf;

use crate::agents::{self, bin, install_one, installed, make_venv, npm_install, output_of};

/// The official TypeScript SDK; only its schemas are used.
const SDK: &str = "2.4.0";
const ACPX: &str = "0.19.1";
const PYTHON_SDK: &str = "0.12.1";
/// The oldest node acpx runs on.
const ACPX_NODE: (u32, u32) = (22, 13);

/// The folder with `schema.json` and `schema.unstable.json` of protocol version 1.
///
/// # Panics
/// When it is not installed.
#[must_use]
pub fn schema_folder() -> PathBuf {
    installed(&format!("acp-sdk-{SDK}")).join("node_modules/@agentclientprotocol/sdk/schema/v1")
}

/// Program and first arguments of `acpx`, a client for the command line.
///
/// # Panics
/// When it, or a node for it, is not installed.
#[must_use]
pub fn acpx() -> [PathBuf; 2] {
    let script = installed(&format!("acpx-{ACPX}")).join("node_modules/acpx/dist/cli.js");
    assert!(script.is_file(), "no {}", script.display());
    let node = acpx_node().expect("node 22.13 or newer; run `cargo xtask agents`");
    [node, script]
}

/// A Python that has the official SDK (`import acp`).
///
/// # Panics
/// When it is not installed.
#[must_use]
pub fn python_with_sdk() -> PathBuf {
    bin(&installed(&format!("acp-python-{PYTHON_SDK}")), "python")
}

fn acpx_node() -> Option<PathBuf> {
    node_from(ACPX_NODE)
}

/// A node of this version or newer: the system's, else the one the installer fetched.
pub(crate) fn node_from(oldest: (u32, u32)) -> Option<PathBuf> {
    let fetched = bin(&agents::folder().join("node"), "node");
    [PathBuf::from("node"), fetched]
        .into_iter()
        .find_map(|node| {
            let version = output_of(&node, &["-p", "process.versions.node"])?;
            let mut parts = version.split('.').map_while(|part| part.parse().ok());
            let version = (parts.next()?, parts.next()?);
            let path = output_of(&node, &["-e", "process.stdout.write(process.execPath)"])?;
            (version >= oldest).then(|| PathBuf::from(path))
        })
}

/// Whether a node has to be fetched for them.
pub(crate) fn needs_node() -> bool {
    acpx_node().is_none()
}

/// Installs what is missing.
pub(crate) fn install(say: &dyn Fn(&str)) -> Result<(), String> {
    install_one(&format!("acp-sdk-{SDK}"), say, |folder| {
        // Peers are for who runs it.
        let package = format!("@agentclientprotocol/sdk@{SDK}");
        npm_install(folder, &["--omit=peer", &package])
    })?;
    install_one(&format!("acpx-{ACPX}"), say, |folder| {
        npm_install(folder, &[&format!("acpx@{ACPX}")])
    })?;
    install_one(&format!("acp-python-{PYTHON_SDK}"), say, |venv| {
        make_venv(venv)?;
        agents::install_wheels(venv, &format!("agent-client-protocol=={PYTHON_SDK}"))
    })
}
