//! The three documents the test agents plan with: valid, but for a fault that can be asked for.

use std::fmt::Write as _;

/// requirements.md for a prompt; unless `right`, criterion 1.2 has no SHALL.
#[must_use]
pub fn requirements(prompt: &str, right: bool) -> String {
    let about = prompt.lines().next().unwrap_or_default();
    let verb = if right { "SHALL name" } else { "names" };
    format!(
        "\
# Requirements Document

## Introduction

The change keeps a note for each of its parts. It was asked for as: {about}

## Glossary

- **Note_Keeper**: The folder of notes this change adds.

## Requirements

### Requirement 1: Notes

**User Story:** As a maintainer, I want a note for each part of the change, so that I can see what was done.

#### Acceptance Criteria

1. WHEN a part of the change is finished, THE Note_Keeper SHALL hold one note for that part.
2. IF a note is missing, THEN THE Note_Keeper {verb} the missing part.

### Requirement 2: Index

**User Story:** As a reader, I want one index of all notes, so that I find each of them from one place.

#### Acceptance Criteria

1. WHEN all notes are written, THE Note_Keeper SHALL hold one index that lists each note.
"
    )
}

/// design.md with an answer for each comment of a review.
#[must_use]
pub fn design(comments: &[String]) -> String {
    let mut design = "\
# Design Document

## Overview

Each part of the change writes one Markdown note; an index lists them.

## Architecture

Notes are plain files in one folder. Nothing runs.

## Components and Interfaces

- Note: one file for each task.
- Index: the note of the last task.

## Data Models

A note has a heading and a state line.

## Error Handling

A missing note is named by the index.

## Testing Strategy

The files are listed after each task.
"
    .to_owned();
    if !comments.is_empty() {
        design.push_str("\n## Review Answers\n\n");
        for comment in comments {
            let _ = writeln!(design, "- {}", comment.replace('\n', " "));
        }
    }
    design
}

/// tasks.md with two tasks that may run at once and, if `with_index`, a third that needs both.
#[must_use]
pub fn tasks(task: &str, with_index: bool) -> String {
    let (index_criterion, last, waves) = if with_index {
        let last = format!(
            "
- [ ] 3. Write the index
  - Create notes/{task}/task-3.md
  - _Depends: 1, 2_
  - _Requirements: 2.1_
"
        );
        ("", last, r#",{"id":1,"tasks":["3"]}"#)
    } else {
        (", 2.1", String::new(), "")
    };
    format!(
        "\
# Implementation Plan

- [ ] 1. Write the note of the first part
  - Create notes/{task}/task-1.md
  - _Requirements: 1.1_

- [ ] 2. Write the note of the second part
  - Create notes/{task}/task-2.md and name the folder in README.md
  - _Requirements: 1.1, 1.2{index_criterion}_
{last}
## Task Dependency Graph

```json
{{\"waves\":[{{\"id\":0,\"tasks\":[\"1\",\"2\"]}}{waves}]}}
```
"
    )
}
