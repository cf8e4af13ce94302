mod documents;
mod ears;
mod lossless;
mod planning;
mod rendering;
mod rules;
mod ticking;

pub(super) const REQUIREMENTS: &str = "\
# Requirements Document

## Introduction

Users sign in.

## Glossary

- **Auth_Service**: checks passwords

## Requirements

### Requirement 1: Sign in

**User Story:** As a user, I want to sign in, so that I see my data

#### Acceptance Criteria

1. WHEN a user gives a valid password, THE Auth_Service SHALL open a session.
2. IF the password is wrong, THEN THE Auth_Service SHALL answer with status 401.
3. THE Auth_Service SHALL store passwords as argon2id hashes.

### Requirement 2: Sign out

**User Story:** As a user, I want to sign out, so that nobody else
uses my session.

#### Acceptance Criteria

1. WHILE a session is open, WHEN the user signs out, THE Auth_Service SHALL end the session.
2. WHERE single sign-on is included, THE Auth_Service SHALL end the session of the provider.
";

pub(super) const DESIGN: &str = "\
# Design Document

## Overview
## Architecture
## Components and Interfaces
## Data Models
## Correctness Properties

### Property 1: Sessions end

For any session, signing out ends it.

**Validates: Requirements 2.1, 2.2**

## Error Handling
## Testing Strategy
";

pub(super) const TASKS: &str = "\
# Implementation Plan

- [ ] 1. Set up the service
  - [ ] 1.1 Create the crate
    - Cargo.toml and src/lib.rs
    - _Requirements: 1.3_
  - [ ]* 1.2 Write property tests
    - _Requirements: 1.3_
- [ ] 2. Sign in
  - [ ] 2.1 Check passwords
    - _Requirements: 1.1, 1.2_
    - _Depends: 1.1_
    - _Resources: cargo-target, db_
    - _Files: src/sign_in.rs_
- [ ] 3. Sign out
  - _Requirements: 2.1-2.2_
  - _Depends: 1_

## Notes

- [ ] this is no task

## Task Dependency Graph

```json
{\"waves\": [{\"id\": 0, \"tasks\": [\"1.1\", \"1.2\"]}, {\"id\": 1, \"tasks\": [\"2.1\", \"3\"]}]}
```
";
