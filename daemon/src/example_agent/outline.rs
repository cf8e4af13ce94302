//! What the agent needs to know from documents that are there, possibly edited by a person.

use super::text;

/// One acceptance criterion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Criterion {
    /// Requirement and item, such as `1.2`.
    pub(super) id: String,
    /// Its text without the item number.
    pub(super) text: String,
    /// Line in the document, counted from 0.
    pub(super) line: usize,
}

/// Criteria of `requirements.md`: numbered items below a `### Requirement N` heading.
pub(super) fn criteria(requirements: &str) -> Vec<Criterion> {
    let mut requirement: Option<&str> = None;
    let mut found = Vec::new();
    for (line, source) in requirements.lines().enumerate() {
        if source.starts_with('#') && !source.starts_with("####") {
            requirement = requirement_number(source);
        } else if let (Some(requirement), Some((item, text))) = (requirement, item(source)) {
            found.push(Criterion {
                id: format!("{requirement}.{item}"),
                text: text.to_owned(),
                line,
            });
        }
    }
    found
}

/// `N` of `### Requirement N: Title`.
pub(super) fn requirement_number(heading: &str) -> Option<&str> {
    let rest = heading.strip_prefix("### Requirement ")?;
    let end = rest
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(rest.len());
    rest.get(..end).filter(|number| !number.is_empty())
}

/// Number and text of `3. Text`.
fn item(line: &str) -> Option<(&str, &str)> {
    let (number, text) = line.trim_start().split_once(". ")?;
    let is_number = !number.is_empty() && number.chars().all(|c| c.is_ascii_digit());
    is_number.then(|| (number, text.trim()))
}

/// The name in `# Implementation Plan: Name`, made safe; `None` if there is none.
pub(super) fn plan_title(tasks: &str) -> Option<String> {
    let name = tasks
        .lines()
        .find_map(|line| line.strip_prefix("# Implementation Plan:"))?;
    Some(text::line(name, 80)).filter(|name| !name.is_empty())
}

/// The source of a task in `tasks.md` with all below it; `None` if no task has the number.
pub(super) fn task_source(tasks: &str, number: &str) -> Option<String> {
    let lines: Vec<&str> = tasks.lines().collect();
    let start = lines
        .iter()
        .position(|line| checkbox(line).is_some_and(|task| task.number == number))?;
    let indent = indent(lines.get(start)?);
    let rest = lines.get(start + 1..)?;
    let length = rest
        .iter()
        .position(|line| {
            line.starts_with('#') || (checkbox(line).is_some() && self::indent(line) <= indent)
        })
        .unwrap_or(rest.len());
    Some(lines.get(start..=start + length)?.join("\n"))
}

/// The head of a task line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Checkbox<'a> {
    /// Without the dot; empty for an unnumbered box.
    pub(super) number: &'a str,
    /// Whether the box is followed by a star.
    pub(super) optional: bool,
    /// The text after the number.
    pub(super) title: &'a str,
}

/// Reads `- [ ] 1. Title`, `- [ ] 1.1 Title`, `- [ ]* 1.2 Title`.
pub(super) fn checkbox(line: &str) -> Option<Checkbox<'_>> {
    let rest = line.trim_start().strip_prefix("- [")?;
    let mut characters = rest.chars();
    characters.next()?;
    let rest = characters.as_str().strip_prefix(']')?;
    let (optional, rest) = rest
        .strip_prefix('*')
        .map_or((false, rest), |rest| (true, rest));
    let rest = rest.trim_start();
    let word = rest.split_whitespace().next().unwrap_or_default();
    let number = word.trim_end_matches('.');
    let is_number = number.starts_with(|c: char| c.is_ascii_digit())
        && number.chars().all(|c| c.is_ascii_digit() || c == '.');
    if !is_number {
        return Some(Checkbox {
            number: "",
            optional,
            title: rest.trim_end(),
        });
    }
    Some(Checkbox {
        number,
        optional,
        title: rest.get(word.len()..).unwrap_or_default().trim(),
    })
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TASKS: &str = "# Implementation Plan: It\n\n- [x] 1. One\n  - [ ] 1.1 Inner\n    - Write `a`\n  - [ ]* 1.2 Maybe\n- [-] 2. Two\n\n## Notes\n";

    #[test]
    fn a_task_ends_where_the_next_begins() {
        let one = task_source(TASKS, "1").unwrap();
        assert!(one.starts_with("- [x] 1. One") && one.ends_with("- [ ]* 1.2 Maybe"));
        assert_eq!(
            task_source(TASKS, "1.1").unwrap(),
            "  - [ ] 1.1 Inner\n    - Write `a`"
        );
        assert_eq!(task_source(TASKS, "2").unwrap(), "- [-] 2. Two\n");
        assert_eq!(task_source(TASKS, "3"), None);
        assert_eq!(plan_title(TASKS).as_deref(), Some("It"));
    }

    #[test]
    fn boxes() {
        assert_eq!(
            checkbox("  - [ ]* 4.2 Try it"),
            Some(Checkbox {
                number: "4.2",
                optional: true,
                title: "Try it"
            })
        );
        assert_eq!(checkbox("- [ ] Free").unwrap().number, "");
        assert_eq!(checkbox("- Free"), None);
        assert_eq!(checkbox("- [é"), None);
    }

    #[test]
    fn criteria_have_ids() {
        let source =
            "1. no\n### Requirement 2: B\n#### Acceptance Criteria\n1. A\n2. B. C\n## Z\n3. no";
        let ids: Vec<_> = criteria(source)
            .into_iter()
            .map(|c| (c.id, c.text, c.line))
            .collect();
        assert_eq!(
            ids,
            [
                ("2.1".into(), "A".into(), 3),
                ("2.2".into(), "B. C".into(), 4)
            ]
        );
    }
}
