use std::collections::BTreeSet;

use spectask_protocol::{DocumentKind, Severity};

use super::{DESIGN, REQUIREMENTS, TASKS};
use crate::spec::{Documents, Profile, validate, validate_one};

fn check(requirements: &str, design: &str, tasks: &str) -> Vec<(String, Severity, DocumentKind)> {
    validate(
        &Documents {
            requirements,
            design,
            tasks,
        },
        Profile::Kiro,
    )
    .into_iter()
    .map(|finding| (finding.rule, finding.severity, finding.document))
    .collect()
}

#[test]
fn good_documents_have_no_findings() {
    let docs = Documents {
        requirements: REQUIREMENTS,
        design: DESIGN,
        tasks: TASKS,
    };
    for profile in Profile::ALL {
        assert_eq!(validate(&docs, profile), [], "{profile}");
    }
    let crlf = |text: &str| text.replace('\n', "\r\n");
    let (requirements, design, tasks) = (crlf(REQUIREMENTS), crlf(DESIGN), crlf(TASKS));
    let docs = Documents {
        requirements: &requirements,
        design: &design,
        tasks: &tasks,
    };
    assert_eq!(validate(&docs, Profile::Kiro), []);
    assert_eq!(validate_one(DocumentKind::Tasks, TASKS, Profile::Kiro), []);
}

/// Per rule: the document, what is replaced in the good one and by what. The good documents are
/// the negative case of every rule.
#[test]
fn every_rule_finds_its_fault() {
    use DocumentKind::{Design as D, Requirements as R, Tasks as T};
    use Severity::{Error as E, Info as I, Warning as W};
    let table: &[(&str, Severity, DocumentKind, &str, &str)] = &[
        ("missing-title", W, R, "# Requirements Document\n", "\n"),
        ("missing-title", W, T, "# Implementation Plan\n", "\n"),
        ("missing-section", W, R, "## Introduction\n", "\n"),
        ("missing-section", W, D, "## Data Models\n", "\n"),
        (
            "section-order",
            W,
            R,
            "## Introduction\n\nUsers sign in.\n\n## Glossary\n",
            "## Glossary\n\n## Introduction\n",
        ),
        (
            "duplicate-requirement",
            E,
            R,
            "### Requirement 2:",
            "### Requirement 1:",
        ),
        (
            "requirement-numbering",
            W,
            R,
            "### Requirement 2:",
            "### Requirement 3:",
        ),
        (
            "requirement-unnumbered",
            W,
            R,
            "### Requirement 2:",
            "### Requirement:",
        ),
        (
            "missing-story",
            E,
            R,
            "**User Story:** As a user, I want to sign in, so that I see my data",
            "",
        ),
        ("story-parts", W, R, ", so that I see my data", ""),
        (
            "no-criteria",
            E,
            R,
            "1. WHILE a session is open, WHEN the user signs out, THE Auth_Service SHALL end the session.\n2. WHERE single sign-on is included, THE Auth_Service SHALL end the session of the provider.\n",
            "",
        ),
        (
            "criteria-heading",
            W,
            R,
            "#### Acceptance Criteria\n\n1. WHILE",
            "1. WHILE",
        ),
        (
            "criterion-unnumbered",
            W,
            R,
            "1. WHILE a session is open, WHEN the user signs out, THE Auth_Service SHALL end the session.\n2. WHERE",
            "- WHILE a session is open, WHEN the user signs out, THE Auth_Service SHALL end the session.\n- WHERE",
        ),
        ("duplicate-criterion", E, R, "2. WHERE", "1. WHERE"),
        ("criterion-numbering", W, R, "2. WHERE", "3. WHERE"),
        (
            "empty-criterion",
            E,
            R,
            "2. WHERE single sign-on is included, THE Auth_Service SHALL end the session of the provider.",
            "2. ",
        ),
        (
            "duplicate-text",
            W,
            R,
            "3. THE Auth_Service SHALL store passwords as argon2id hashes.",
            "3. WHEN a user gives a  valid password, the Auth_Service SHALL open a session.",
        ),
        ("ears-missing-shall", E, R, "SHALL open", "opens"),
        ("ears-missing-shall", E, R, "SHALL open", "must open"),
        (
            "ears-missing-system",
            E,
            R,
            "THE Auth_Service SHALL open",
            "SHALL open",
        ),
        (
            "ears-missing-system",
            E,
            R,
            "3. THE Auth_Service SHALL",
            "3. THE SHALL",
        ),
        (
            "ears-system-article",
            W,
            R,
            "THE Auth_Service SHALL open",
            "Auth_Service SHALL open",
        ),
        ("ears-if-without-then", W, R, "THEN THE", "THE"),
        (
            "ears-then-after-when",
            W,
            R,
            "password, THE",
            "password THEN THE",
        ),
        (
            "ears-clause-order",
            W,
            R,
            "WHILE a session is open, WHEN the user signs out,",
            "WHEN the user signs out, WHILE a session is open,",
        ),
        (
            "ears-clause-order",
            W,
            R,
            "open a session.",
            "open a session WHEN asked.",
        ),
        (
            "ears-multiple-triggers",
            W,
            R,
            "WHILE a session is open, WHEN",
            "WHEN a session is open, WHEN",
        ),
        (
            "ears-multiple-shall",
            W,
            R,
            "open a session.",
            "open a session and SHALL log it.",
        ),
        (
            "ears-modal",
            W,
            R,
            "open a session.",
            "open a session and MAY log it.",
        ),
        (
            "vague-word",
            W,
            R,
            "open a session.",
            "quickly open a session.",
        ),
        (
            "uncovered-criterion",
            E,
            R,
            "3. THE Auth_Service SHALL store passwords as argon2id hashes.",
            "3. THE Auth_Service SHALL store passwords as argon2id hashes.\n4. THE Auth_Service SHALL log.",
        ),
        ("open-fence", W, R, "Users sign in.", "Users sign in."),
        ("secret", E, R, "Users sign in.", "KEY"),
        (
            "property-validates-nothing",
            W,
            D,
            "**Validates: Requirements 2.1, 2.2**",
            "",
        ),
        (
            "dangling-reference",
            E,
            D,
            "Requirements 2.1, 2.2",
            "Requirements 2.1, 2.9",
        ),
        (
            "duplicate-property",
            E,
            D,
            "### Property 1: Sessions end\n",
            "### Property 1: A\n**Validates: Requirements 1.1**\n### Property 1: Sessions end\n",
        ),
        (
            "dangling-reference",
            E,
            T,
            "_Requirements: 2.1-2.2_",
            "_Requirements: 2.1, 2.2, 9.9_",
        ),
        (
            "dangling-reference",
            E,
            T,
            "_Requirements: 2.1-2.2_",
            "_Requirements: 2.1-2.2, login_",
        ),
        (
            "dangling-reference",
            E,
            T,
            "_Requirements: 2.1-2.2_",
            "_Requirements: 2, 7_",
        ),
        (
            "dangling-dependency",
            E,
            T,
            "_Depends: 1_",
            "_Depends: 7.1_",
        ),
        (
            "dangling-dependency",
            E,
            T,
            "_Depends: 1_",
            "_Depends: setup_",
        ),
        (
            "task-cycle",
            E,
            T,
            "    - Cargo.toml and src/lib.rs",
            "    - _Depends: 3_",
        ),
        ("task-cycle", E, T, "_Depends: 1.1_", "_Depends: 2.1_"),
        ("task-cycle", E, T, "_Depends: 1.1_", "_Depends: 2_"),
        (
            "duplicate-task",
            E,
            T,
            "- [ ] 3. Sign out",
            "- [ ] 2. Sign out",
        ),
        (
            "task-numbering",
            W,
            T,
            "- [ ] 3. Sign out",
            "- [ ] 4. Sign out",
        ),
        (
            "task-unnumbered",
            W,
            T,
            "- [ ] 3. Sign out",
            "- [ ] Sign out",
        ),
        (
            "task-orphan",
            E,
            T,
            "- [ ] 3. Sign out",
            "- [ ] 3.1 Sign out",
        ),
        (
            "task-nesting",
            W,
            T,
            "  - [ ] 2.1 Check",
            "  - [ ] 2.1 Check\n    - [ ] 2.2 Log",
        ),
        (
            "task-checkbox",
            W,
            T,
            "- [ ] 3. Sign out",
            "- [ ] 3. Sign out\n- [] 4. Log",
        ),
        ("task-state", W, T, "- [ ] 3. Sign out", "- [~] 3. Sign out"),
        ("parent-ticked", E, T, "- [ ] 1. Set", "- [x] 1. Set"),
        (
            "task-without-requirements",
            I,
            T,
            "  - _Requirements: 2.1-2.2_\n",
            "  - See 2.1\n",
        ),
        ("wave-json", E, T, "\"id\": 0,", "\"id\": 0"),
        ("wave-unknown-task", E, T, "\"1.2\"]", "\"1.2\", \"8.8\"]"),
        (
            "wave-duplicate-task",
            E,
            T,
            "\"2.1\", ",
            "\"2.1\", \"1.1\", ",
        ),
        ("wave-missing-task", W, T, "\"2.1\", ", ""),
        ("wave-order", E, T, "{\"id\": 0,", "{\"id\": 5,"),
        (
            "wave-order",
            W,
            T,
            "\"id\": 0, \"tasks\": [\"1.1\", \"1.2\"]}, {\"id\": 1, \"tasks\": [",
            "\"id\": 0, \"tasks\": [\"1.1\", \"1.2\", ",
        ),
    ];
    for &(rule, severity, kind, from, to) in table {
        let to = match rule {
            "secret" => format!("key {}{}", "ghp_", "a1B2".repeat(9)),
            "open-fence" => "Users sign in.\n\n    x\n".to_owned(),
            _ => to.to_owned(),
        };
        let good = match kind {
            R => REQUIREMENTS,
            D => DESIGN,
            T => TASKS,
        };
        assert!(good.contains(from), "{rule}: {from}");
        let mut bad = good.replacen(from, &to, 1);
        if rule == "open-fence" {
            bad.push_str("\n```\nrest");
        }
        let found = match kind {
            R => check(&bad, DESIGN, TASKS),
            D => check(REQUIREMENTS, &bad, TASKS),
            T => check(REQUIREMENTS, DESIGN, &bad),
        };
        assert!(
            found.contains(&(rule.to_owned(), severity, kind)),
            "{rule} {to:?}: {found:?}"
        );
    }
    let covered: BTreeSet<&str> = table.iter().map(|row| row.0).collect();
    assert!(covered.len() > 45, "{}", covered.len());
}

#[test]
fn empty_documents_are_one_finding_each() {
    let found = check("", " \r\n", "\u{feff}\n");
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(
        found
            .iter()
            .all(|(rule, severity, _)| rule == "empty-document" && *severity == Severity::Error)
    );
}

#[test]
fn documents_without_content() {
    let has = |found: &[(String, Severity, DocumentKind)], rule: &str| {
        found.iter().any(|it| it.0 == rule)
    };
    let found = check("# Requirements\n", "# D\n", "# Plan\n");
    assert!(
        has(&found, "no-requirements") && has(&found, "no-tasks"),
        "{found:?}"
    );
    let found = check(REQUIREMENTS, DESIGN, "# Plan\n\n- [ ] 1. A\n- [ ] 2. B\n");
    assert!(
        has(&found, "no-references") && has(&found, "no-dependencies"),
        "{found:?}"
    );
    assert!(!has(&found, "uncovered-criterion"), "{found:?}");
    let found = check(
        REQUIREMENTS,
        DESIGN,
        "# Plan\n\n- [ ] 1. A\n  - _Requirements: All_\n",
    );
    assert_eq!(found, []);
}

#[test]
fn cycles_are_named() {
    let message = |tasks: &str| {
        validate_one(DocumentKind::Tasks, tasks, Profile::Kiro)
            .into_iter()
            .find(|finding| finding.rule == "task-cycle")
            .map(|finding| finding.message)
    };
    assert_eq!(
        message("# P\n- [ ] 1. A\n  - _Depends: 2_\n- [ ] 2. B\n  - _Depends: 1_\n").as_deref(),
        Some("Tasks wait for each other: 1 → 2 → 1.")
    );
    assert_eq!(
        message("# P\n- [ ] 1. A\n  - [ ] 1.1 A\n  - [ ] 1.2 B\n    - _Depends: 2.1_\n- [ ] 2. B\n  - [ ] 2.1 C\n  - [ ] 2.2 D\n    - _Depends: 1.1_\n").as_deref(),
        Some("Top-level tasks wait for each other: 1 → 2 → 1 (1.2 needs 2.1, 2.2 needs 1.1).")
    );
    assert_eq!(
        message("# P\n- [ ] 1. A\n  - [ ] 1.1 A\n    - _Depends: 1_\n").as_deref(),
        Some("Tasks wait for each other: 1 → 1.1 → 1.")
    );
    assert_eq!(
        message("# P\n- [ ] 1. A\n  - [ ] 1.1 A\n    - _Depends: 1.2_\n  - [ ] 1.2 B\n"),
        None
    );
}

#[test]
fn profiles_differ() {
    let wrong = REQUIREMENTS
        .replace("password, THE", "password THEN THE")
        .replace("SHALL store", "stores");
    let rules = |profile| -> Vec<(String, Severity)> {
        validate_one(DocumentKind::Requirements, &wrong, profile)
            .into_iter()
            .map(|finding| (finding.rule, finding.severity))
            .collect()
    };
    let (then, shall) = (
        "ears-then-after-when".to_owned(),
        "ears-missing-shall".to_owned(),
    );
    assert_eq!(
        rules(Profile::Kiro),
        [
            (then.clone(), Severity::Warning),
            (shall.clone(), Severity::Error)
        ]
    );
    assert_eq!(
        rules(Profile::KiroStrict),
        [(then, Severity::Error), (shall, Severity::Error)]
    );
    assert_eq!(rules(Profile::Helix), []);
    let started = TASKS.replace("- [ ] 3.", "- [~] 3.");
    assert_eq!(
        validate_one(DocumentKind::Tasks, &started, Profile::Helix),
        []
    );
    assert_eq!(
        validate_one(DocumentKind::Tasks, &started, Profile::Kiro).len(),
        1
    );
    assert!("strict".parse::<Profile>().is_err());
    assert!(
        Profile::ALL
            .into_iter()
            .all(|profile| profile.name().parse().ok() == Some(profile))
    );
}

#[test]
fn findings_point_at_characters() {
    let text = REQUIREMENTS
        .replace("- **Auth_Service**", "- **認証**")
        .replace(
            "3. THE Auth_Service SHALL store",
            "3. THE 認証サービス SHALL quickly store",
        );
    let found = validate_one(DocumentKind::Requirements, &text, Profile::Kiro);
    assert_eq!(found.len(), 1, "{found:?}");
    let span = found[0].span;
    assert_eq!(&text[span.start..span.end], "quickly");
    assert_eq!((span.line, span.column), (21, 21));
}

#[test]
fn many_findings_are_cut_off() {
    let tasks = format!("# P\n- [ ] 1. A\n  - _Depends: {}_\n", "9, ".repeat(6000));
    let found = validate_one(DocumentKind::Tasks, &tasks, Profile::Kiro);
    assert_eq!(found.len(), 1001);
    assert_eq!(found[1000].rule, "too-many-findings");
    assert_eq!(found[1000].message, "5000 more findings are not listed.");
}
