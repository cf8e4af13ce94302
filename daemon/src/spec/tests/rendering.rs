use std::fs;

use spectask_protocol::{DocumentKind, Severity};

use super::{DESIGN, REQUIREMENTS, TASKS};
use crate::spec::{LintError, Profile, lint_paths, render, validate_one};

fn shown(text: &str) -> String {
    let findings = validate_one(DocumentKind::Requirements, text, Profile::Kiro);
    render(&findings, text, "specs/a/requirements.md", false)
}

#[test]
fn a_finding_is_shown_with_its_source() {
    let text = REQUIREMENTS
        .replace("THEN THE", "THE")
        .replace("SHALL store", "must store");
    insta::assert_snapshot!(shown(&text), @r"
    warning[ears-if-without-then]: IF has no THEN.
      --> specs/a/requirements.md:20:4
       |
    20 | 2. IF the password is wrong, THE Auth_Service SHALL answer with status 401.
       |    ^^
       |
       = help: Write IF trigger, THEN THE system SHALL response.

    error[ears-missing-shall]: The criterion says `must` where EARS wants SHALL.
      --> specs/a/requirements.md:21:21
       |
    21 | 3. THE Auth_Service must store passwords as argon2id hashes.
       |                     ^^^^
       |
       = help: Write THE system SHALL followed by one response that can be tested.
    ");
}

#[test]
fn secrets_and_control_characters_are_not_shown() {
    let key = format!("{}{}", "ghp_", "a1B2".repeat(9));
    let out = shown(&REQUIREMENTS.replace("Users sign in.", &format!("\u{1b}[31mkey {key} end")));
    assert!(!out.contains(&key) && !out.contains('\u{1b}'), "{out}");
    assert!(
        out.contains("************") && out.contains(" end"),
        "{out}"
    );
}

#[test]
fn a_long_line_is_cut_to_the_place() {
    let long = "word ".repeat(40_000);
    let text = REQUIREMENTS.replace("SHALL store", &format!("SHALL {long} quickly {long} store"));
    let out = shown(&text);
    assert!(out.len() < 1500, "{}", out.len());
    assert!(
        out.contains("quickly") && out.contains("requirements.md:21:200028"),
        "{out}"
    );
}

#[test]
fn colour_only_where_asked() {
    let text = REQUIREMENTS.replace("THEN THE", "THE");
    let findings = validate_one(DocumentKind::Requirements, &text, Profile::Kiro);
    assert!(render(&findings, &text, "r.md", true).contains("\u{1b}["));
}

#[test]
fn paths_are_files_folders_and_folders_of_folders() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let put = |path: &str, text: &str| {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    put(".kiro/specs/login/requirements.md", REQUIREMENTS);
    put(".kiro/specs/login/design.md", DESIGN);
    put(".kiro/specs/login/tasks.md", TASKS);
    put("specs/lone/tasks.md", "# P\n- [ ] 1. A\n  - _Depends: 7_\n");
    put("docs/design.md", "not a spec");
    put("node_modules/x/requirements.md", "");
    put("node_modules/x/tasks.md", "");
    put("notes.md", "x");
    let lint = |path: &str| lint_paths(&[root.join(path)], Profile::Kiro);

    let all = lint("").unwrap();
    let names: Vec<String> = all
        .files
        .iter()
        .map(|file| {
            file.path
                .strip_prefix(root)
                .unwrap()
                .to_string_lossy()
                .replace('\\', "/")
        })
        .collect();
    assert_eq!(
        names,
        [
            ".kiro/specs/login/requirements.md",
            ".kiro/specs/login/design.md",
            ".kiro/specs/login/tasks.md",
            "specs/lone/tasks.md",
        ]
    );
    assert_eq!((all.count(Severity::Error), all.has_errors()), (1, true));
    assert_eq!(all.files[3].findings[0].rule, "dangling-dependency");
    assert!(
        all.render(false).contains("tasks.md:3:15"),
        "{}",
        all.render(false)
    );
    let json = serde_json::to_value(&all).unwrap();
    assert_eq!(json["files"][3]["findings"][0]["span"]["line"], 3);
    assert_eq!(json["files"][3]["kind"], "tasks");

    assert!(!lint(".kiro/specs/login").unwrap().has_errors());
    assert_eq!(lint(".kiro/specs").unwrap().files.len(), 3);
    assert_eq!(lint("docs").unwrap().files.len(), 1);
    assert_eq!(lint("docs/design.md").unwrap().files.len(), 1);
    assert!(matches!(lint("notes.md"), Err(LintError::NotADocument(_))));
    assert!(matches!(lint("absent"), Err(LintError::Unreadable { .. })));
    assert!(matches!(
        lint("node_modules/x/none"),
        Err(LintError::Unreadable { .. })
    ));
    fs::create_dir(root.join("empty")).unwrap();
    assert!(matches!(lint("empty"), Err(LintError::NothingFound(_))));
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(root.join(".kiro"), root.join("empty/specs")).unwrap();
        assert!(matches!(lint("empty"), Err(LintError::NothingFound(_))));
    }
}
