use super::{DESIGN, REQUIREMENTS, TASKS};
use crate::spec::{
    TaskState, criteria, excerpt_for, parse_design, parse_requirements, parse_tasks,
};

#[test]
fn requirements_are_read() {
    let (doc, findings) = parse_requirements(REQUIREMENTS);
    assert_eq!(findings, []);
    assert_eq!(doc.title.as_deref(), Some("Requirements Document"));
    assert_eq!(doc.requirements.len(), 2);
    assert_eq!(doc.requirements[1].title, "Sign out");
    let story = doc.requirements[1].story.as_ref().unwrap();
    assert!(REQUIREMENTS[story.span.clone()].ends_with("so that nobody else\nuses my session."));
    let ids: Vec<String> = criteria(REQUIREMENTS)
        .into_iter()
        .map(|criterion| criterion.id)
        .collect();
    assert_eq!(ids, ["1.1", "1.2", "1.3", "2.1", "2.2"]);
}

#[test]
fn requirement_variants_are_read() {
    for (text, ids) in [
        (
            "### Requirement 3\n#### Acceptance Criteria\n1) A SHALL\n   go on\n2) B SHALL\n",
            vec!["3.1", "3.2"],
        ),
        (
            "### 需求 1：登录\n#### 验收标准\n1. WHEN用户登录，系统SHALL记录\n",
            vec!["1.1"],
        ),
        (
            "### 要件 2: ログイン\n#### 受け入れ基準\n1. A SHALL\n",
            vec!["2.1"],
        ),
        (
            "## Requirement 1\n**Acceptance Criteria:**\n1.1. A SHALL\n1.2. B SHALL\n",
            vec!["1.1", "1.2"],
        ),
        (
            "## Requirements\n### 1. Title\n#### Acceptance Criteria\n- A SHALL\n- B SHALL\n",
            vec!["1.1", "1.2"],
        ),
        (
            "### Requirement 1\n#### Acceptance Criteria\n1. A SHALL\n   - part\n   - part\n\n2. B SHALL\n",
            vec!["1.1", "1.2"],
        ),
        (
            "### Requirement 1\n#### Acceptance Criteria\n```\n1. no\n```\n1. A SHALL\n",
            vec!["1.1"],
        ),
        ("### Requirement 1\n<!--\n1. A SHALL\n-->\n", vec![]),
        ("### Requirement 1\n1. As prose\n2. A SHALL\n", vec!["1.2"]),
        ("## Requirements Overview\n1. A SHALL\n", vec![]),
        (
            "### Requirement 1\n#### Acceptance Criteria\n1. A SHALL\n#### Notes\n1. no\n### Other\n1. B SHALL\n",
            vec!["1.1"],
        ),
    ] {
        let found: Vec<String> = criteria(text)
            .into_iter()
            .map(|criterion| criterion.id)
            .collect();
        assert_eq!(found, ids, "{text}");
    }
    let found = criteria(
        "### Requirement 1\r\n#### Acceptance Criteria\r\n1. WHEN a,\r\n   THE b SHALL c\r\n",
    );
    assert_eq!(found[0].text, "WHEN a, THE b SHALL c");
}

#[test]
fn tasks_are_read() {
    let (doc, findings) = parse_tasks(TASKS);
    assert_eq!(findings, []);
    let seen: Vec<(&str, &str, bool)> = doc
        .tasks
        .iter()
        .map(|task| {
            (
                task.number.as_deref().unwrap(),
                task.title.as_str(),
                task.optional,
            )
        })
        .collect();
    assert_eq!(
        seen,
        [
            ("1", "Set up the service", false),
            ("1.1", "Create the crate", false),
            ("1.2", "Write property tests", true),
            ("2", "Sign in", false),
            ("2.1", "Check passwords", false),
            ("3", "Sign out", false),
        ]
    );
}

#[test]
fn task_variants_are_read() {
    let read = |text: &str| -> Vec<String> {
        let (doc, _) = parse_tasks(text);
        doc.tasks
            .iter()
            .map(|task| {
                let parent = task
                    .parent
                    .map_or(String::new(), |parent| format!("<{parent}"));
                let star = if task.optional { "*" } else { "" };
                format!(
                    "{}{star} {}{parent}",
                    task.number.as_deref().unwrap_or("-"),
                    task.title
                )
            })
            .collect()
    };
    for (text, expected) in [
        (
            "- [ ] 1. A\n- [ ] 1.1 (P) B\n- [ ] 1.2 C",
            vec!["1 A", "1.1 B<0", "1.2 C<0"],
        ),
        (
            "- [ ] 7. A\n  - [ ] 7.9* B\n  - [ ]* 7.10 C",
            vec!["7 A", "7.9* B<0", "7.10* C<0"],
        ),
        ("* [x] **1. A**\n\t* [-] 1.1. B", vec!["1 A", "1.1 B<0"]),
        (
            "- [ ] A\n  - [ ] B\n- [~] 3 files",
            vec!["- A", "- B<0", "- 3 files"],
        ),
        (
            "- [ ] 1. A\n  - [ ] 1.1 B\n    - [ ] 1.1.1 C\n      - [ ] 1.1.1.1 D",
            vec!["1 A", "1.1 B<0", "1.1.1 C<1", "1.1.1.1 D<2"],
        ),
        ("1. [ ] A\n2. [ ] 2. B", vec!["- A", "2 B"]),
        (
            "- [ ] Task 1: A\n  - [ ] 1. inner",
            vec!["1 A", "- inner<0"],
        ),
        ("- [ ]* 1. A\n  - [ ] 1.1 B", vec!["1* A", "1.1* B<0"]),
        (
            "- [ ] 1. 设置项目\n  - [ ] 1.1 创建",
            vec!["1 设置项目", "1.1 创建<0"],
        ),
        (
            "```\n- [ ] 1. no\n```\n<!-- \n- [ ] 2. no\n-->\n- [ ] 3. yes",
            vec!["3 yes"],
        ),
        (
            "- [x](link)\n- [1] source\n- [a] b\n- text [ ] box\n[ ] bare",
            vec![],
        ),
        ("- [ ] 01.02 A", vec!["1.2 A"]),
        ("- [ ]", vec!["- "]),
    ] {
        assert_eq!(read(text), expected, "{text}");
    }
}

#[test]
fn states_are_read() {
    let (doc, _) = parse_tasks("- [ ] 1. A\n- [x] 2. B\n- [X] 3. C\n- [-] 4. D\n- [~] 5. E\n");
    let states: Vec<TaskState> = doc.tasks.iter().map(|task| task.state).collect();
    use TaskState::{Done, InProgress, Open, Other};
    assert_eq!(states, [Open, Done, Done, InProgress, Other]);
}

#[test]
fn design_is_read() {
    let (doc, findings) = parse_design(DESIGN);
    assert_eq!(findings, []);
    assert_eq!(doc.sections.len(), 9);
    assert_eq!(doc.properties.len(), 1);
    assert_eq!(
        &DESIGN[doc.properties[0].validates[0].clone()],
        "Requirements 2.1, 2.2"
    );
    let (doc, _) =
        parse_design("## 属性\n**Property 2: x**\nholds. **Validates: Requirements 1.1**\n");
    assert_eq!(doc.properties[0].number, Some(2));
    assert_eq!(doc.properties[0].validates.len(), 1);
}

#[test]
fn excerpts_hold_what_was_asked_for() {
    let ids = ["2.1".to_owned(), "1.2".to_owned(), "9.9".to_owned()];
    insta::assert_snapshot!(excerpt_for(REQUIREMENTS, &ids), @r"
    ### Requirement 1: Sign in

    **User Story:** As a user, I want to sign in, so that I see my data

    #### Acceptance Criteria

    2. IF the password is wrong, THEN THE Auth_Service SHALL answer with status 401.

    ### Requirement 2: Sign out

    **User Story:** As a user, I want to sign out, so that nobody else
    uses my session.

    #### Acceptance Criteria

    1. WHILE a session is open, WHEN the user signs out, THE Auth_Service SHALL end the session.
    ");
    assert_eq!(
        excerpt_for(REQUIREMENTS, &["1".to_owned()])
            .matches("SHALL")
            .count(),
        3
    );
    assert_eq!(excerpt_for(REQUIREMENTS, &[]), "");
}
