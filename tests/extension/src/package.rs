//! The extension as the registry builds it: packaged, on its own, for release.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use spectask_tests::env::workspace;

/// The packaged folder, made once per process.
///
/// # Panics
/// When it cannot be made.
pub fn folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = target().join("package").join("mcp-server-spectask");
        let status = cargo()
            .args([
                "run",
                "--quiet",
                "--package",
                "xtask",
                "--",
                "package-extension",
            ])
            .arg(&folder)
            .current_dir(workspace())
            .status()
            .expect("cargo can be started");
        assert!(status.success(), "the extension cannot be packaged");
        folder
    })
}

/// The component, built in [`folder`] as Zed's own builder does.
///
/// # Panics
/// When it does not build.
pub fn component() -> &'static [u8] {
    static COMPONENT: OnceLock<Vec<u8>> = OnceLock::new();
    COMPONENT.get_or_init(|| {
        // A target folder of its own: whoever runs these tests may hold the lock of the other.
        let target = target();
        let status = cargo()
            .args(["build", "--quiet", "--release", "--locked"])
            .args(["--target", "wasm32-wasip2", "--target-dir"])
            .arg(&target)
            .env("RUSTC_WRAPPER", "")
            .env_remove("RUSTFLAGS")
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .current_dir(folder())
            .status()
            .expect("cargo can be started");
        assert!(status.success(), "the packaged extension does not build");
        let built = target.join("wasm32-wasip2/release/spectask_extension.wasm");
        fs::read(&built).unwrap_or_else(|error| panic!("{}: {error}", built.display()))
    })
}

fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

fn target() -> PathBuf {
    let own = std::env::current_exe().expect("the test's own path is known");
    // target/debug/deps/extension-0123
    let target = own
        .ancestors()
        .nth(3)
        .expect("tests run from a target folder");
    target.join("extension")
}
