//! The contents of the files a task names. They depend on the approved documents and the task's
//! text only, so that doing a task again gives the same bytes.

use super::{outline::Criterion, text};

/// What file contents are made from.
#[derive(Debug, Clone, Default)]
pub(super) struct Context {
    /// Title of the plan.
    pub(super) title: String,
    /// Short name of the SpecTask.
    pub(super) task: String,
    /// Number of the task.
    pub(super) number: String,
    /// Title of the task.
    pub(super) task_title: String,
    /// Source of the task.
    pub(super) source: String,
    /// Criteria of the approved requirements.
    pub(super) criteria: Vec<Criterion>,
}

/// The new content of a file; `Err` says why this agent leaves the file as it is.
pub(super) fn content(
    path: &str,
    existing: Option<&str>,
    context: &Context,
) -> Result<String, String> {
    let mut parts = path.rsplit('/');
    let name = parts.next().unwrap_or_default();
    let folder = parts.next().unwrap_or_default();
    if path == format!("features/{folder}/{name}") && is_slug(folder) {
        match name {
            "README.md" => return Ok(readme(folder, context)),
            "index.md" => return Ok(index(folder, context)),
            "exit-status.md" => return Ok(exit_status(folder)),
            "check.sh" => return Ok(check(folder, context)),
            "check-names.sh" => return Ok(check_names(folder)),
            _ if name.strip_suffix(".sh") == Some(folder) => return Ok(command(folder, context)),
            _ => {}
        }
    }
    other(path, existing, context)
}

/// Marks a folder as that of a task, in its description.
pub(super) fn marker(task: &str) -> String {
    format!("SpecTask `{}`", text::line(task, 80))
}

fn is_slug(folder: &str) -> bool {
    !folder.is_empty()
        && folder
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '-')
        && !folder.starts_with('-')
}

fn readme(slug: &str, context: &Context) -> String {
    let mut criteria: String = context
        .criteria
        .iter()
        .map(|criterion| format!("- **{}** {}\n", criterion.id, criterion.text))
        .collect();
    if criteria.is_empty() {
        criteria.push_str("The documents of the task name none.\n");
    }
    format!(
        "# {}\n\n\
         This folder holds the feature of {}. Its purpose is to show how a task goes from a request \
         to a merged branch: the built-in example agent wrote it, without a model.\n\n\
         ## Use\n\n\
         ```sh\nsh features/{slug}/{slug}.sh NAME\n```\n\n\
         NAME consists of 1 to 64 ASCII letters, digits, hyphens and underscores.\n\n\
         ## Acceptance criteria\n\n{criteria}",
        context.title,
        marker(&context.task),
    )
}

fn index(slug: &str, context: &Context) -> String {
    format!(
        "# Files of \"{}\"\n\n\
         - [README.md](README.md): the purpose, the use and the acceptance criteria\n\
         - [{slug}.sh]({slug}.sh): the command\n",
        context.title
    )
}

fn exit_status(slug: &str) -> String {
    format!(
        "# Exit statuses of {slug}.sh\n\n\
         | Status | Meaning |\n|---|---|\n\
         | 0 | The line was printed |\n\
         | 2 | NAME is missing or invalid; the reason is on standard error |\n"
    )
}

fn command(slug: &str, context: &Context) -> String {
    format!(
        r#"#!/bin/sh
# Prints one line for a valid NAME. Written by the built-in example agent of SpecTask.
set -eu
LC_ALL=C
export LC_ALL

refuse() {{
    printf '%s\n' "{slug}.sh: $1" "usage: sh {slug}.sh NAME" >&2
    exit 2
}}

[ "$#" -eq 1 ] || refuse "NAME is missing, or there is more than one"
case $1 in
'' | *[!A-Za-z0-9_-]*) refuse "NAME may hold letters, digits, '-' and '_' only" ;;
esac
[ "${{#1}}" -le 64 ] || refuse "NAME is longer than 64 characters"

title={title}
printf '%s: hello, %s\n' "$title" "$1"
"#,
        title = text::shell_quote(&context.title),
    )
}

fn check(slug: &str, context: &Context) -> String {
    format!(
        r#"#!/bin/sh
# Checks the command next to it. Written by the built-in example agent of SpecTask.
set -eu
cd "$(dirname "$0")"

fail() {{
    printf '%s\n' "check.sh: $1" >&2
    exit 1
}}

expected={expected}
actual=$(sh ./{slug}.sh reader) || fail "{slug}.sh refuses a valid NAME"
[ "$actual" = "$expected" ] || fail "{slug}.sh prints '$actual' and not '$expected'"

status=0
sh ./{slug}.sh >/dev/null 2>&1 || status=$?
[ "$status" -eq 2 ] || fail "{slug}.sh exits with $status without NAME"
status=0
sh ./{slug}.sh 'not valid' >/dev/null 2>&1 || status=$?
[ "$status" -eq 2 ] || fail "{slug}.sh exits with $status for an invalid NAME"

[ -s README.md ] || fail "README.md is missing"
grep -q '{slug}.sh' index.md || fail "index.md does not name the command"
echo "check.sh: all checks passed"
"#,
        expected = text::shell_quote(&format!("{}: hello, reader", context.title)),
    )
}

fn check_names(slug: &str) -> String {
    format!(
        r#"#!/bin/sh
# Runs the command with ten invalid names. Written by the built-in example agent of SpecTask.
set -eu
cd "$(dirname "$0")"

for name in '' ' ' 'a b' 'a/b' '../a' 'a.b' 'a;b' 'a|b' '$HOME' 'a"b'; do
    status=0
    sh ./{slug}.sh "$name" >/dev/null 2>&1 || status=$?
    if [ "$status" -ne 2 ]; then
        printf '%s\n' "check-names.sh: '$name' gives status $status" >&2
        exit 1
    fi
done
echo "check-names.sh: ten invalid names refused"
"#
    )
}

/// A file of a plan that this agent did not write. A new one gets a plain text; an existing
/// markdown file gets a section; anything else needs an agent that understands it.
fn other(path: &str, existing: Option<&str>, context: &Context) -> Result<String, String> {
    let title = text::line(&context.task_title, 120);
    let title = if title.is_empty() { "Task" } else { &title };
    let heading = format!("## {title} ({} {})", context.task, context.number);
    let heading = heading.replace(" )", ")");
    let details: String = context
        .source
        .lines()
        .map(|line| text::line(line.trim().trim_start_matches("- "), 200))
        .filter(|line| !line.is_empty() && !line.starts_with("Requirements:"))
        .map(|line| format!("    {line}\n"))
        .collect();
    let section = format!(
        "{heading}\n\nThe built-in example agent recorded this task here; it has no model and \
         cannot write more. The task says:\n\n{details}"
    );
    let markdown = path.ends_with(".md") || path.ends_with(".txt");
    match existing {
        None if markdown => Ok(format!("# {title}\n\n{section}")),
        None if path.ends_with(".sh") => Ok(format!(
            "#!/bin/sh\n# {title}. Written by the built-in example agent of SpecTask.\nset -eu\n\
             echo {}\n",
            text::shell_quote(title)
        )),
        None => Err("the example agent writes markdown, text and shell files only".to_owned()),
        Some(existing) if markdown => {
            if existing.contains(&section) {
                return Ok(existing.to_owned());
            }
            let gap = match existing {
                "" => "",
                _ if existing.ends_with('\n') => "\n",
                _ => "\n\n",
            };
            Ok(format!("{existing}{gap}{section}"))
        }
        Some(_) => Err("it is there already, and the example agent cannot change code".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context(title: &str) -> Context {
        Context {
            title: title.into(),
            task: "7-it".into(),
            number: "2".into(),
            task_title: "Do it".into(),
            source: "- [ ] 2. Do it\n  - Write `docs/x.md`".into(),
            criteria: Vec::new(),
        }
    }

    #[test]
    fn an_existing_file_keeps_its_text() {
        let once = content("docs/x.md", Some("# Mine"), &context("It")).unwrap();
        assert!(once.starts_with("# Mine\n\n## Do it (7-it 2)\n"));
        assert_eq!(
            content("docs/x.md", Some(&once), &context("It")).unwrap(),
            once
        );
        assert!(content("src/main.rs", Some("fn main() {}"), &context("It")).is_err());
        let made = content("docs/x.md", None, &context("It")).unwrap();
        assert_eq!(
            content("docs/x.md", Some(&made), &context("It")).unwrap(),
            made
        );
    }

    #[cfg(unix)]
    #[test]
    fn the_scripts_run_for_awkward_titles() {
        for title in ["It", "It's; (a) %s & more", "ログイン", "-n"] {
            let folder = tempfile::tempdir().unwrap();
            let feature = folder.path().join("features/it");
            std::fs::create_dir_all(&feature).unwrap();
            for name in [
                "README.md",
                "index.md",
                "it.sh",
                "check.sh",
                "check-names.sh",
            ] {
                let text = content(&format!("features/it/{name}"), None, &context(title)).unwrap();
                std::fs::write(feature.join(name), text).unwrap();
            }
            for script in ["check.sh", "check-names.sh"] {
                let out = std::process::Command::new("sh")
                    .arg(format!("features/it/{script}"))
                    .current_dir(folder.path())
                    .output()
                    .unwrap();
                assert!(out.status.success(), "{title}: {out:?}");
            }
            // A fault is found.
            std::fs::write(feature.join("it.sh"), "echo nonsense\n").unwrap();
            let out = std::process::Command::new("sh")
                .arg("features/it/check.sh")
                .current_dir(folder.path())
                .output()
                .unwrap();
            assert_eq!(out.status.code(), Some(1));
        }
    }
}
