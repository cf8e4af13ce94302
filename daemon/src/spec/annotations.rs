//! What a task says about itself: `_Requirements: 1.1, 2.3_`, `_Depends: 1.2_` and the like.

use std::ops::Range;

use super::lines::{range_of, starts_with_ci};
use super::refs::{Ref, parse_refs};

/// What an annotation is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Label {
    Requirements,
    Depends,
    Resources,
    Files,
}

/// One annotation of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Annotation {
    pub(super) label: Label,
    /// Where its value stands.
    pub(super) value: Range<usize>,
}

/// The annotations in a line that starts at `base`.
pub(super) fn annotations(text: &str, base: usize) -> Vec<Annotation> {
    let mut found = Vec::new();
    if !text.contains([':', '：']) {
        return found;
    }
    let mut at = 0;
    while let Some(open) = text[at..].find('_').map(|open| at + open) {
        at = open + 1;
        let starts_word = !text[..open]
            .ends_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | '/' | '.' | '-'));
        if !starts_word {
            continue;
        }
        let rest = text[at..].trim_start_matches(['*', '_']);
        let Some((label, value)) = labelled(rest) else {
            continue;
        };
        let value_start = range_of(text, 0, value).start;
        let end = closing(value).map_or(text.len(), |end| value_start + end);
        let value = text[value_start..end]
            .trim_matches(['*', ' ', '\t'])
            .trim_end_matches('_');
        found.push(Annotation {
            label,
            value: range_of(text, base, value),
        });
        at = (end + 1).min(text.len());
    }
    if found.is_empty() {
        found.extend(plain(text, base));
    }
    found
}

/// `Requirements: 1.1` without underscores; of the other labels only what cannot be prose.
fn plain(text: &str, base: usize) -> Option<Annotation> {
    let body = text.trim_start_matches([' ', '\t', '-', '*', '+', '>']);
    let (label, value) = labelled(body)?;
    let value = value.trim_matches(['*', ' ', '\t']);
    let range = range_of(text, base, value);
    let refs = parse_refs(value, 0);
    let readable = !refs.is_empty()
        && refs
            .iter()
            .all(|(_, reference)| *reference != Ref::Unreadable);
    let counts = matches!(label, Label::Requirements | Label::Depends) && readable;
    counts.then_some(Annotation {
        label,
        value: range,
    })
}

/// Label and what follows its colon.
fn labelled(text: &str) -> Option<(Label, &str)> {
    const LABELS: [(&str, Label); 20] = [
        ("requirements", Label::Requirements),
        ("requirement", Label::Requirements),
        ("criteria", Label::Requirements),
        ("需求", Label::Requirements),
        ("要求", Label::Requirements),
        ("要件", Label::Requirements),
        ("对应需求", Label::Requirements),
        ("対応要件", Label::Requirements),
        ("depends on", Label::Depends),
        ("depends", Label::Depends),
        ("dependencies", Label::Depends),
        ("dependency", Label::Depends),
        ("blocked by", Label::Depends),
        ("依赖", Label::Depends),
        ("依存", Label::Depends),
        ("resources", Label::Resources),
        ("resource", Label::Resources),
        ("files", Label::Files),
        ("file", Label::Files),
        ("boundary", Label::Files),
    ];
    LABELS.into_iter().find_map(|(name, label)| {
        if !starts_with_ci(text, name) {
            return None;
        }
        let rest = text[name.len()..].trim_start_matches([' ', '*']);
        let rest = rest.strip_prefix([':', '：'])?;
        Some((label, rest.trim_start_matches(['*', ' '])))
    })
}

/// Where the `_` stands that ends the value: the first that no word goes on after.
fn closing(value: &str) -> Option<usize> {
    value.match_indices('_').map(|(at, _)| at).find(|at| {
        !value[at + 1..].starts_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | '/' | '-'))
    })
}

/// The values of a list such as `cargo-target, db`.
pub(super) fn values(text: &str) -> impl Iterator<Item = &str> {
    text.split([',', '，', '、', ';', '；'])
        .map(|value| value.trim().trim_matches('`'))
        .filter(|value| !value.is_empty() && !value.eq_ignore_ascii_case("none"))
}

#[cfg(test)]
mod tests {
    use super::{Label, annotations};

    fn read(text: &str) -> Vec<(Label, &str)> {
        annotations(text, 0)
            .into_iter()
            .map(|found| (found.label, &text[found.value]))
            .collect()
    }

    #[test]
    fn reads_the_usual_forms() {
        use Label::{Depends, Files, Requirements, Resources};
        for (text, expected) in [
            (
                "  - _Requirements: 1.1, 2.3_",
                vec![(Requirements, "1.1, 2.3")],
            ),
            ("_Requirements: All_", vec![(Requirements, "All")]),
            (
                "    _requirements: 1.1_ _Depends: 1.2, 2_",
                vec![(Requirements, "1.1"), (Depends, "1.2, 2")],
            ),
            (
                "- _Resources: cargo_target, db_",
                vec![(Resources, "cargo_target, db")],
            ),
            (
                "- _Files: src/user_service.rs, a_b/c.rs_",
                vec![(Files, "src/user_service.rs, a_b/c.rs")],
            ),
            ("- **_Requirements: 1.2_**", vec![(Requirements, "1.2")]),
            (
                "- **Requirements:** 1.2, 1.3",
                vec![(Requirements, "1.2, 1.3")],
            ),
            ("- Requirements: 1.2", vec![(Requirements, "1.2")]),
            ("- _需求：1.1、1.2_", vec![(Requirements, "1.1、1.2")]),
            ("- _Depends: 1.1", vec![(Depends, "1.1")]),
            ("- Dependencies: install serde", vec![]),
            ("- Files: prose", vec![]),
            ("- the my_requirements: 1.1_ field", vec![]),
            ("- __Requirements: 1.1__", vec![(Requirements, "1.1")]),
            ("_", vec![]),
            ("_Requirements:", vec![(Requirements, "")]),
        ] {
            assert_eq!(read(text), expected, "{text}");
        }
    }
}
