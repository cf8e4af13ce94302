use proptest::prelude::*;
use spectask_protocol::DocumentKind;

use super::{DESIGN, REQUIREMENTS, TASKS};
use crate::spec::{
    Documents, Lines, Profile, TickState, criteria, digest, excerpt_for, masked_digest,
    parse_design, parse_requirements, parse_tasks, plan, progress, render, tick, tick_task,
    validate,
};

fn reassemble(text: &str) -> String {
    let mut at = 0;
    let mut out = String::new();
    for line in Lines::new(text) {
        assert_eq!(line.start, at, "a gap before the line");
        out.push_str(&text[line.start..line.end]);
        at = line.end;
    }
    out
}

/// Documents made of lines that are special to the parsers, in any order and with any ending.
fn hostile() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("# Plan".to_owned()),
        Just("## Requirements".to_owned()),
        Just("## Task Dependency Graph".to_owned()),
        Just("```json".to_owned()),
        Just("```".to_owned()),
        Just("~~~~".to_owned()),
        Just("<!--".to_owned()),
        Just("-->".to_owned()),
        Just("{\"waves\":[{\"id\":0,\"tasks\":[\"1.1\",2,\"1\"]}]}".to_owned()),
        Just("#### Acceptance Criteria".to_owned()),
        Just("**User Story:** As a x".to_owned()),
        Just("**Validates: Requirements 1.1**".to_owned()),
        Just("### Property 1: a".to_owned()),
        Just("\u{feff}".to_owned()),
        Just(String::new()),
        (0u32..4).prop_map(|n| format!("### Requirement {n}: é")),
        (0u32..5, "\\PC{0,12}")
            .prop_map(|(n, text)| format!("{n}. WHEN {text}, THE x SHALL {text}")),
        (
            "[ \\t]{0,6}",
            "[ xX~*é-]",
            0u32..4,
            prop::option::of(0u32..4),
            "\\PC{0,8}"
        )
            .prop_map(|(indent, mark, a, b, text)| match b {
                Some(b) => format!("{indent}- [{mark}] {a}.{b} {text}"),
                None => format!("{indent}- [{mark}] {a}. {text}"),
            }),
        (
            "[ ]{0,6}",
            "(Requirements|Depends|Files|需求)",
            "[0-9., \\-A]{0,10}"
        )
            .prop_map(|(indent, label, value)| format!("{indent}- _{label}: {value}_")),
        "\\PC{0,20}",
    ];
    prop::collection::vec(
        (
            piece,
            prop_oneof![Just("\n"), Just("\r\n"), Just("\r"), Just("\n\n")],
        ),
        0..25,
    )
    .prop_map(|lines| {
        lines
            .into_iter()
            .flat_map(|(line, end)| [line, end.to_owned()])
            .collect()
    })
}

fn run_everything(text: &str) {
    assert_eq!(reassemble(text), text);
    let docs = Documents {
        requirements: text,
        design: text,
        tasks: text,
    };
    for profile in Profile::ALL {
        for finding in validate(&docs, profile) {
            let span = finding.span;
            assert!(
                span.start <= span.end && span.end <= text.len(),
                "{finding:?}"
            );
            assert!(text.is_char_boundary(span.start) && text.is_char_boundary(span.end));
            let before = &text[..span.start];
            assert_eq!(span.line, 1 + before.matches('\n').count());
            let line_start = before.rfind('\n').map_or(0, |at| at + 1);
            assert_eq!(span.column, 1 + before[line_start..].chars().count());
            let shown = render(std::slice::from_ref(&finding), text, "tasks.md", false);
            assert!(shown.contains(&finding.rule));
        }
    }
    let (requirements, _) = parse_requirements(text);
    let mut at = 0;
    for requirement in &requirements.requirements {
        assert!(requirement.span.start >= at && requirement.span.end <= text.len());
        at = requirement.span.end;
        for criterion in &requirement.criteria {
            assert!(requirement.span.start <= criterion.span.start);
            assert!(criterion.span.end <= requirement.span.end);
            assert!(text.get(criterion.span.clone()).is_some());
        }
    }
    let _ = parse_design(text);
    let ids: Vec<String> = criteria(text)
        .into_iter()
        .map(|criterion| criterion.id)
        .collect();
    let _ = excerpt_for(text, &ids);
    let _ = plan(text, text);
    let _ = progress(text);
}

proptest! {
    #[test]
    fn nothing_is_lost_and_nothing_panics(text in hostile()) {
        run_everything(&text);
    }

    #[test]
    fn arbitrary_text_never_panics(text in "(?s).{0,200}") {
        run_everything(&text);
    }

    #[test]
    fn a_tick_changes_one_byte(before in hostile(), after in hostile(), pick in any::<prop::sample::Index>()) {
        let text = format!("- [ ] 1. First\n{before}\n- [x] 2.1 Second\n{after}");
        let (doc, _) = parse_tasks(&text);
        let masked = masked_digest(DocumentKind::Tasks, &text);
        let task = pick.get(&doc.tasks);
        let number = task.number.clone().unwrap_or_else(|| doc.groups[task.group].number.clone());
        for state in [TickState::Done, TickState::InProgress, TickState::Open] {
            let Ok(new) = tick(&text, &number, &digest(&text), state) else { continue };
            let changed = text.bytes().zip(new.bytes()).filter(|(a, b)| a != b).count();
            prop_assert_eq!(new.len(), text.len());
            prop_assert!(changed <= 1);
            prop_assert_eq!(masked_digest(DocumentKind::Tasks, &new), masked.clone());
            prop_assert_eq!(parse_tasks(&new).0.tasks.len(), doc.tasks.len());
        }
        let group = &doc.groups[task.group];
        if let Ok(new) = tick_task(&text, &group.number, &digest(&text)) {
            prop_assert_eq!(masked_digest(DocumentKind::Tasks, &new), masked);
            let (after, _) = parse_tasks(&new);
            for &index in &group.tasks {
                prop_assert!(after.tasks[index].ticked() || doc.tasks[index].optional);
            }
            let changed = text.bytes().zip(new.bytes()).filter(|(a, b)| a != b).count();
            prop_assert!(changed <= group.tasks.len());
        }
    }
}

#[test]
fn the_samples_survive_every_cut() {
    for sample in [REQUIREMENTS, DESIGN, TASKS] {
        for end in (0..sample.len()).step_by(7) {
            run_everything(&sample[..end]);
        }
    }
}
