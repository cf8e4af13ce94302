use spectask_protocol::DocumentKind;

use crate::spec::EarsPattern::{
    Complex, EventDriven, None as Nothing, OptionalFeature, StateDriven, Ubiquitous,
    UnwantedBehaviour,
};
use crate::spec::{Profile, classify, validate_one};

/// The EARS findings of one criterion.
fn ears(criterion: &str) -> Vec<String> {
    let text = format!(
        "# R\n\n## Introduction\n\n## Requirements\n\n### Requirement 1: A\n\n**User Story:** As a user, I want x, so that y\n\n#### Acceptance Criteria\n\n1. {criterion}\n"
    );
    let findings = validate_one(DocumentKind::Requirements, &text, Profile::Kiro);
    findings.into_iter().map(|finding| finding.rule).collect()
}

#[test]
fn patterns() {
    for (text, pattern) in [
        ("THE system SHALL log", Ubiquitous),
        ("The system shall log", Ubiquitous),
        ("WHEN x, THE system SHALL log", EventDriven),
        ("**WHEN** x **THEN** the system **SHALL** log", EventDriven),
        ("When x, the system shall log", EventDriven),
        ("WHILE x, THE system SHALL log", StateDriven),
        ("WHERE x, THE system SHALL log", OptionalFeature),
        ("IF x, THEN THE system SHALL log", UnwantedBehaviour),
        ("if x, then the system shall log", UnwantedBehaviour),
        ("WHILE x, WHEN y, THE system SHALL log", Complex),
        ("While x, when y, the system shall log", Complex),
        (
            "WHEN the user decides when to stop and if to save, THE system SHALL log",
            EventDriven,
        ),
        ("THE system SHALL log when it starts", Ubiquitous),
        ("The system shall log when it starts, if it can", Ubiquitous),
        (
            "When the user says where and while waiting, the system shall log",
            EventDriven,
        ),
        (
            "THE system SHALL show \"IF you MUST\" and `WHEN`",
            Ubiquitous,
        ),
        ("WHEN用户点击按钮THEN系统SHALL显示结果", EventDriven),
        (
            "WHEN ユーザーがログインする, THE システム SHALL セッションを開始する",
            EventDriven,
        ),
        ("系统必须记录", Ubiquitous),
        ("the system logs", Nothing),
        ("the system should log", Nothing),
        ("", Nothing),
    ] {
        assert_eq!(classify(text), pattern, "{text}");
    }
}

#[test]
fn faults() {
    let none: &[&str] = &[];
    for (text, rules) in [
        ("WHEN x, THE system SHALL log", none),
        ("When x, the system shall log", none),
        ("when a or b, or c happens the system shall log", none),
        ("IF x THEN the system SHALL NOT log", none),
        ("IF x, THEN THE system SHALL log", none),
        ("Every response SHALL have a date", none),
        ("WHEN用户点击按钮，系统SHALL显示结果", none),
        ("WHEN 用户点击 THE 系统 SHALL 显示", none),
        ("IF 密码错误，THEN THE 系统 SHALL 返回 401", none),
        ("系统必须记录", none),
        (
            "WHEN the list says when it must stop, THE system SHALL log",
            none,
        ),
        ("THE system SHALL show \"you MUST quickly do it\"", none),
        (
            "WHEN x THEN THE system SHALL log",
            &["ears-then-after-when"],
        ),
        (
            "WHEN x THEN system SHALL log",
            &["ears-then-after-when", "ears-system-article"],
        ),
        (
            "WHEN用户点击按钮THEN系统SHALL显示结果",
            &["ears-then-after-when"],
        ),
        ("If x, the system shall log", &["ears-if-without-then"]),
        ("WHEN x SHALL log", &["ears-missing-system"]),
        ("SHALL log", &["ears-missing-system"]),
        (
            "WHEN x, WHERE y, THE system SHALL log",
            &["ears-clause-order"],
        ),
        (
            "WHEN x IF y THEN THE system SHALL log",
            &["ears-multiple-triggers"],
        ),
        ("THE system SHALL log WHEN x", &["ears-clause-order"]),
        (
            "THE system SHALL log and SHALL stop",
            &["ears-multiple-shall"],
        ),
        ("THE system SHALL log and MUST stop", &["ears-modal"]),
        ("THE system will log", &["ears-missing-shall"]),
        ("THE system SHALL be fast, robust etc.", &["vague-word"]),
    ] {
        assert_eq!(ears(text), rules, "{text}");
    }
}
