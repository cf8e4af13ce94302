use super::{REQUIREMENTS, TASKS};
use crate::spec::{PlannedTask, plan};

fn order(tasks: &str) -> Vec<String> {
    let planned = plan(tasks, "").unwrap();
    planned
        .iter()
        .map(|task| format!("{}: {}", task.number, task.depends.join(" ")))
        .collect()
}

#[test]
fn plans_the_sample() {
    let planned = plan(TASKS, REQUIREMENTS).unwrap();
    let [one, two, three] = planned.as_slice() else {
        panic!("{planned:?}")
    };
    assert_eq!(
        (one.number.as_str(), one.title.as_str()),
        ("1", "Set up the service")
    );
    assert_eq!(one.depends, Vec::<String>::new());
    assert_eq!(one.leaves.len(), 2);
    assert!(one.leaves[1].optional && !one.leaves[0].optional);
    assert_eq!(&TASKS[one.leaves[0].span.clone()], " ");
    assert_eq!(two.depends, ["1"]);
    assert_eq!(two.requirements, ["1.1", "1.2"]);
    assert_eq!(two.resources, ["cargo-target", "db"]);
    assert_eq!(two.files, ["src/sign_in.rs"]);
    assert_eq!(
        (one.wave, two.wave, three.wave),
        (Some(0), Some(1), Some(1))
    );
    assert_eq!(three.requirements, ["2.1", "2.2"]);
    assert_eq!(three.leaves.len(), 1);
    assert_eq!(
        three.text,
        "- [ ] 3. Sign out\n  - _Requirements: 2.1-2.2_\n  - _Depends: 1_"
    );
    assert!(one.text.starts_with("- [ ] 1. Set up") && one.text.ends_with("_Requirements: 1.3_"));
}

#[test]
fn dependencies_are_lifted() {
    assert_eq!(
        order(
            "- [ ] 1. A\n- [ ] 2. B\n  - [ ] 2.1 C\n    - _Depends: 1_\n  - [ ] 2.2 D\n    - _Depends: 2.1_\n- [ ] 3. E\n"
        ),
        ["1: ", "2: 1", "3: "]
    );
    assert_eq!(
        order("- [ ] 1. A\n- [ ] 2. B\n- [ ] 3. C\n  - _Depends: 1-2_\n"),
        ["1: ", "2: ", "3: 1 2"]
    );
    // An unknown task is a finding of the validator, not the end of the plan.
    assert_eq!(
        order("- [ ] 1. A\n- [ ] 2. B\n  - _Depends: 9, 1_\n"),
        ["1: ", "2: 1"]
    );
    // "None" says that the order was thought about.
    assert_eq!(
        order("- [ ] 1. A\n  - _Depends: none_\n- [ ] 2. B\n  - _Depends: none_\n"),
        ["1: ", "2: "]
    );
    assert_eq!(
        order("- [ ] 1. A\n  - _Depends: none_\n- [ ] 2. B\n  - _Depends: 1_\n- [ ] 3. C\n"),
        ["1: ", "2: 1", "3: "]
    );
}

#[test]
fn waves_order_where_nothing_depends() {
    let tasks = "- [ ] 1. A\n- [ ] 2. B\n- [ ] 3. C\n  - [ ] 3.1 D\n- [ ] 4. E\n\n## Task Dependency Graph\n";
    let graph = |json: &str| format!("{tasks}\n```json\n{json}\n```\n");
    let waves =
        r#"{"waves":[{"id":0,"tasks":["1","2"]},{"id":1,"tasks":["3.1"]},{"id":2,"tasks":["4"]}]}"#;
    assert_eq!(order(&graph(waves)), ["1: ", "2: ", "3: 1 2", "4: 3"]);
    // What no wave has comes last.
    let waves = r#"{"waves":[{"id":0,"tasks":["1","2"]},{"id":1,"tasks":["3.1"]}]}"#;
    assert_eq!(order(&graph(waves)), ["1: ", "2: ", "3: 1 2", "4: 3"]);
    // Not readable: one after another.
    assert_eq!(order(&graph("{")), ["1: ", "2: 1", "3: 2", "4: 3"]);
    // With dependencies waves only order.
    let explicit = graph(r#"{"waves":[{"id":0,"tasks":["1","2"]},{"id":1,"tasks":["3.1","4"]}]}"#)
        .replace("3.1 D", "3.1 D\n    - _Depends: 2_");
    assert_eq!(order(&explicit), ["1: ", "2: ", "3: 2", "4: "]);
}

#[test]
fn without_any_order_tasks_follow_each_other() {
    assert_eq!(
        order("- [ ] 1. A\n- [ ] 2. B\n- [ ] 3. C\n"),
        ["1: ", "2: 1", "3: 2"]
    );
    assert_eq!(
        order("- [ ] 1. A\n- [ ] 2. (P) B\n- [ ] 3. (P) C\n- [ ] 4. D\n"),
        ["1: ", "2: 1", "3: 1", "4: 2 3"]
    );
}

#[test]
fn variants_are_planned() {
    let flat = plan("- [x] 1.1 A\n- [ ] 1.2 B\n- [ ] 2.1 C\n", "").unwrap();
    assert_eq!(
        flat.iter()
            .map(|task| task.number.as_str())
            .collect::<Vec<_>>(),
        ["1", "2"]
    );
    assert_eq!((flat[0].leaves.len(), flat[0].title.as_str()), (2, "A"));
    assert!(!flat[0].ticked);
    let plain = plan("- [x] A\n- [ ] 5. B\n- [ ] C\n", "").unwrap();
    assert_eq!(
        plain
            .iter()
            .map(|task| task.number.as_str())
            .collect::<Vec<_>>(),
        ["6", "5", "7"]
    );
    assert!(plain[0].ticked);
    let cited: Vec<PlannedTask> =
        plan("- [ ] 1. A\n  - _Requirements: All_\n", REQUIREMENTS).unwrap();
    assert_eq!(cited[0].requirements, ["1.1", "1.2", "1.3", "2.1", "2.2"]);
    let unknown = plan("- [ ] 1. A\n  - _Requirements: 4.2, 3_\n", "").unwrap();
    assert_eq!(unknown[0].requirements, ["3", "4.2"]);
    let done = plan(
        "- [x] 1. A\n  - [x] 1.1 B\n  - [ ]* 1.2 C\n- [x]* 2. D\n",
        "",
    )
    .unwrap();
    assert!(done[0].ticked && done[1].ticked && done[1].optional && !done[0].optional);
}

#[test]
fn impossible_plans_are_refused() {
    let rules = |tasks: &str| -> Vec<String> {
        plan(tasks, "")
            .unwrap_err()
            .into_iter()
            .map(|finding| finding.rule)
            .collect()
    };
    assert_eq!(rules(""), ["no-tasks"]);
    assert_eq!(rules("- [ ] 1. A\n- [ ] 1. B\n"), ["duplicate-task"]);
    assert_eq!(
        rules("- [ ] 1. A\n  - _Depends: 2_\n- [ ] 2. B\n  - _Depends: 1_\n"),
        ["task-cycle"]
    );
    assert_eq!(rules(&"- [ ] A\n".repeat(10_001)), ["too-many-tasks"]);
    let many = format!("- [ ] 1. A\n  - _Depends: {}_\n", "2-900, ".repeat(2_000));
    assert_eq!(rules(&many), ["too-many-dependencies"]);
}
