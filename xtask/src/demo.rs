//! Records the output of `spectask demo` in the README, so that what it shows is what happens.

use std::fs;

use spectask_tests::{TestEnv, env::workspace};

const BEGIN: &str = "<!-- demo: written by `cargo xtask record-demo` -->\n";
const END: &str = "<!-- end of demo -->\n";

/// Of the lines that follow the work, those that a reader needs; the others are counted.
const KEPT: &[&str] = &[
    "turn 1 started",
    "revision 1 kept",
    "documents committed",
    "verify passed",
    "merged as",
    "ready to finish",
];

/// Runs the demo and puts its output between the marks.
pub(super) fn record() -> Result<(), String> {
    let env = TestEnv::new();
    let run = env.run(&env.home(), &["demo"]).ok();
    let home = env.home().display().to_string();
    let text = shorten(&run.stdout.replace(&home, "~"));
    let path = workspace().join("README.md");
    let readme = fs::read_to_string(&path).map_err(|error| error.to_string())?;
    let (before, rest) = readme
        .split_once(BEGIN)
        .ok_or("the README has no mark where the demo begins")?;
    let (_, after) = rest
        .split_once(END)
        .ok_or("the README has no mark where the demo ends")?;
    let new = format!("{before}{BEGIN}\n```text\n{text}```\n\n{END}{after}");
    fs::write(&path, new).map_err(|error| error.to_string())?;
    println!("{}", path.display());
    Ok(())
}

/// Leaves lines out, and says so at the end of each part.
fn shorten(output: &str) -> String {
    let mut short = String::from("$ spectask demo\n");
    let mut left_out = 0;
    let mut listing = false;
    for line in output.trim_end().lines() {
        if line.starts_with("$ ") {
            listing = line.starts_with("$ git ls-tree");
        }
        let bytes = line.as_bytes();
        let followed = bytes.get(2) == Some(&b':') && bytes.get(5) == Some(&b':');
        let listed = listing && line.starts_with("  ");
        if listed || (followed && !KEPT.iter().any(|kept| line.contains(kept))) {
            left_out += 1;
            continue;
        }
        if left_out > 0 && !followed {
            short.push_str(&format!("[{left_out} lines are left out here]\n"));
            left_out = 0;
        }
        short.push_str(line.trim_end());
        short.push('\n');
    }
    short
}
