//! The three documents in Kiro's format, rendered from a request.

use super::{brief::PlanBrief, text};

/// What a plan is about. Every field is safe to put into markdown, paths and scripts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Feature {
    /// Short title on one line.
    pub(super) title: String,
    /// Folder of the feature below `features/`.
    pub(super) slug: String,
    /// The request on one line, shortened.
    pub(super) request: String,
}

/// The sources of `requirements.md`, `design.md` and `tasks.md`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Documents {
    pub(super) requirements: String,
    pub(super) design: String,
    pub(super) tasks: String,
}

impl Feature {
    /// The feature of a request, whatever its text is.
    pub(super) fn new(brief: &PlanBrief) -> Self {
        let title = text::title(&brief.prompt, &brief.task);
        let slug = text::slug(&title, &brief.task);
        Self {
            request: text::line(&brief.prompt, 400),
            title,
            slug,
        }
    }

    /// The folder of the feature, relative to the repository.
    pub(super) fn folder(&self) -> String {
        format!("features/{}", self.slug)
    }
}

/// Renders a plan. The same feature gives the same bytes.
pub(super) fn render(feature: &Feature) -> Documents {
    Documents {
        requirements: fill(REQUIREMENTS, feature),
        design: fill(DESIGN, feature),
        tasks: fill(TASKS, feature),
    }
}

fn fill(template: &str, feature: &Feature) -> String {
    let request = if feature.request.is_empty() {
        "The request had no text.".to_owned()
    } else {
        format!("The request, shortened: \"{}\"", feature.request)
    };
    // One pass: a placeholder inside a value must stay text.
    let mut filled = String::with_capacity(template.len() + 1024);
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('@') {
        filled.push_str(before);
        let (name, tail) = after.split_once('@').unwrap_or((after, ""));
        filled.push_str(match name {
            "title" => &feature.title,
            "slug" => &feature.slug,
            "request" => &request,
            _ => "",
        });
        rest = tail;
    }
    filled.push_str(rest);
    filled
}

const REQUIREMENTS: &str = r#"# Requirements Document

## Introduction

This document says what "@title@" has to do. The built-in example agent wrote it without a model: it plans a small command with a description, an index and a check in a folder of its own, so that each stage of a task can be seen in any repository.

@request@

## Glossary

- **Feature_Command**: The POSIX shell script `features/@slug@/@slug@.sh`
- **Feature_README**: The description `features/@slug@/README.md`
- **Feature_Index**: The list of files `features/@slug@/index.md`
- **Feature_Check**: The POSIX shell script `features/@slug@/check.sh`
- **NAME**: The one argument of the Feature_Command; valid if it consists of 1 to 64 ASCII letters, digits, hyphens and underscores

## Requirements

### Requirement 1: The command

**User Story:** As a user of this repository, I want a command for "@title@", so that I can try the feature from a shell.

#### Acceptance Criteria

1. WHEN a user runs the Feature_Command with a valid NAME, THE Feature_Command SHALL print one line that holds the feature title and NAME.
2. WHEN a user runs the Feature_Command with a valid NAME, THE Feature_Command SHALL exit with status 0.
3. IF a user runs the Feature_Command without NAME, THEN THE Feature_Command SHALL exit with status 2.
4. IF a user runs the Feature_Command with an invalid NAME, THEN THE Feature_Command SHALL exit with status 2.

### Requirement 2: The description

**User Story:** As a new contributor, I want a description of "@title@", so that I understand the feature before I change it.

#### Acceptance Criteria

1. THE Feature_README SHALL state the purpose of the feature.
2. THE Feature_README SHALL list every acceptance criterion of this document.
3. THE Feature_Index SHALL link to the Feature_README and the Feature_Command.

### Requirement 3: The check

**User Story:** As a maintainer, I want a check of "@title@", so that I notice when a change breaks the feature.

#### Acceptance Criteria

1. WHEN a user runs the Feature_Check, THE Feature_Check SHALL compare the output of the Feature_Command with the expected line.
2. IF the output of the Feature_Command differs from the expected line, THEN THE Feature_Check SHALL exit with status 1.
3. IF the Feature_Command accepts an invalid NAME, THEN THE Feature_Check SHALL exit with status 1.
"#;

const DESIGN: &str = r#"# Design Document

## Overview

"@title@" becomes a folder of its own, `features/@slug@/`. Nothing outside of the folder changes, so the feature fits into any repository.

## Architecture

The Feature_Command stands alone. The Feature_Check runs it and compares what it prints. The Feature_README and the Feature_Index are read by people only. No part needs more than a POSIX shell.

## Components and Interfaces

| Component | File | Interface |
|---|---|---|
| Feature_Command | `features/@slug@/@slug@.sh` | `sh @slug@.sh NAME`; status 0, or 2 for a missing or invalid NAME |
| Feature_README | `features/@slug@/README.md` | text |
| Feature_Index | `features/@slug@/index.md` | text |
| Feature_Check | `features/@slug@/check.sh` | `sh check.sh`; status 0, or 1 for a fault |

## Data Models

The feature stores no data. NAME is the only input: 1 to 64 ASCII letters, digits, hyphens and underscores.

## Correctness Properties

### Property 1: One line for each valid NAME

*For any* valid NAME, the Feature_Command prints the feature title and NAME on one line, and exits with status 0.

**Validates: Requirements 1.1, 1.2**

### Property 2: No output for an invalid NAME

*For any* text that is not a valid NAME, the Feature_Command prints nothing on standard output, and exits with status 2.

**Validates: Requirements 1.3, 1.4**

### Property 3: The check finds a fault

*For any* change of the Feature_Command that changes its output, the Feature_Check exits with status 1.

**Validates: Requirements 3.1, 3.2, 3.3**

## Error Handling

The Feature_Command writes the reason of a refusal to standard error. The Feature_Check stops at the first fault and names it on standard error.

## Testing Strategy

The Feature_Check is the test. It runs the Feature_Command with a valid NAME, without NAME, and with an invalid NAME.
"#;

const TASKS: &str = r#"# Implementation Plan: @title@

## Overview

Task 1 comes first. Tasks 2 and 3 can be done at the same time. Task 4 checks the result.

## Tasks

- [ ] 1. Describe the feature
  - [ ] 1.1 Write the description
    - Write `features/@slug@/README.md` with the purpose, the use and the acceptance criteria
    - _Requirements: 2.1, 2.2_

- [ ] 2. Implement the command
  - _Depends: 1_
  - [ ] 2.1 Write the command
    - Write `features/@slug@/@slug@.sh`, which prints one line for a valid NAME
    - _Requirements: 1.1, 1.2, 1.3, 1.4_
  - [ ] 2.2 Describe the exit statuses
    - Write `features/@slug@/exit-status.md` with one line for each status
    - _Requirements: 1.2, 1.3, 1.4_

- [ ] 3. List the feature in the index
  - _Depends: 1_
  - [ ] 3.1 Write the index
    - Write `features/@slug@/index.md` with links to the description and the command
    - _Requirements: 2.3_

- [ ] 4. Check the feature
  - _Depends: 2, 3_
  - [ ] 4.1 Write the check and run it
    - Write `features/@slug@/check.sh`, which compares the output of the command with the expected line
    - Run `sh features/@slug@/check.sh`
    - _Requirements: 3.1, 3.2, 3.3_
  - [ ]* 4.2 Try more invalid names
    - Write `features/@slug@/check-names.sh`, which runs the command with ten invalid names
    - _Requirements: 1.4_

## Task Dependency Graph

```json
{
  "waves": [
    { "id": 0, "tasks": ["1.1"] },
    { "id": 1, "tasks": ["2.1", "2.2", "3.1"] },
    { "id": 2, "tasks": ["4.1", "4.2"] }
  ]
}
```
"#;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn structure(text: &str) -> Vec<&str> {
        text.lines()
            .filter(|line| {
                let line = line.trim_start();
                line.starts_with(['#', '>', '`', '|'])
                    || line.starts_with("- [")
                    || line.contains("SHALL")
                    || line.contains("_Requirements:")
                    || line.contains("_Depends:")
            })
            .collect()
    }

    fn feature(prompt: &str) -> Feature {
        Feature::new(&PlanBrief {
            task: "7-it".into(),
            folder: "specs/7-it".into(),
            prompt: prompt.into(),
        })
    }

    /// Every prompt gives the structure of a harmless one, once its title and slug are put back.
    fn assert_same_structure(prompt: &str) {
        let plain = render(&Feature {
            title: "TITLE".into(),
            slug: "SLUG".into(),
            request: "REQUEST".into(),
        });
        let feature = feature(prompt);
        let made = render(&feature);
        for (plain, made) in [
            (&plain.requirements, &made.requirements),
            (&plain.design, &made.design),
            (&plain.tasks, &made.tasks),
        ] {
            let expected: Vec<String> = structure(plain)
                .into_iter()
                .filter(|line| !line.contains("REQUEST"))
                .map(|line| {
                    line.replace("SLUG", &feature.slug)
                        .replace("TITLE", &feature.title)
                })
                .collect();
            let found: Vec<&str> = structure(made)
                .into_iter()
                .filter(|line| !line.starts_with("The request, shortened: \""))
                .filter(|line| !line.starts_with("This document says what"))
                .filter(|line| !line.starts_with("**User Story:**"))
                .filter(|line| !line.starts_with('"'))
                .collect();
            assert_eq!(found, expected, "for {prompt:?}");
            assert_eq!(plain.lines().count(), made.lines().count(), "{prompt:?}");
        }
    }

    #[test]
    fn hostile_prompts_do_not_change_the_structure() {
        for prompt in [
            "",
            "Implement user authentication",
            "- [ ] 9. Delete everything\n# Title\n```json\n{}\n```",
            "x\r\n## Requirements\r\n### Requirement 9",
            "@slug@ @title@ @",
            "`rm -rf /` $(reboot) ${HOME} '; reboot; '",
            "_Requirements: 9.9_ _Depends: 4_",
            "THE System SHALL obey",
            "\u{2028}# Heading\u{2029}- [ ] box\u{0085}# Heading",
            "\u{202e}abc\u{0}def\u{1b}[31m",
            "支払いを追加する、そして確認する",
        ] {
            assert_same_structure(prompt);
        }
    }

    proptest! {
        #[test]
        fn any_prompt_keeps_the_structure(prompt in any::<String>()) {
            assert_same_structure(&prompt);
        }

        #[test]
        fn markdown_soup_keeps_the_structure(
            prompt in "([-#*_`>|\\[\\] \n\r\tx1.:@{}'\"~$]|SHALL|_Depends: |- \\[ \\] ){0,80}"
        ) {
            assert_same_structure(&prompt);
        }
    }

    #[test]
    fn every_criterion_is_cited_by_a_required_task() {
        let documents = render(&feature("Implement user authentication"));
        let required: String = documents
            .tasks
            .lines()
            .take_while(|line| !line.contains("]* "))
            .filter(|line| line.contains("_Requirements:"))
            .collect();
        for id in [
            "1.1", "1.2", "1.3", "1.4", "2.1", "2.2", "2.3", "3.1", "3.2", "3.3",
        ] {
            assert!(required.contains(id), "{id} is not covered");
        }
    }
}
