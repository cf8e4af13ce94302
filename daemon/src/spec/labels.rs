//! Headings and labels of `requirements.md` in the languages they are found in.

use super::lines::{number, starts_with_ci};

/// Number and title if a heading starts a requirement.
pub(super) fn requirement_heading(title: &str, in_section: bool) -> Option<(Option<u32>, &str)> {
    // A name stands before those that it starts with.
    const NAMES: [&str; 8] = [
        "User Requirement",
        "Requirement",
        "Req",
        "需求项",
        "需求",
        "要求事項",
        "要求",
        "要件",
    ];
    let plain = title.trim_matches('*').trim();
    let named = NAMES
        .iter()
        .find(|name| starts_with_ci(plain, name))
        .map(|name| &plain[name.len()..]);
    if let Some(rest) = named {
        let rest = rest.trim_start_matches([' ', '-', '_', '#']);
        if let Some((value, rest)) = number(rest) {
            if rest.starts_with('.') && number(&rest[1..]).is_some() {
                return None;
            }
            return Some((Some(value), after_number(rest)));
        }
        // `### Requirement: Title` has no number; `## Requirements` is a section.
        return rest
            .starts_with([':', '：'])
            .then(|| (None, after_number(rest)));
    }
    if !in_section {
        return None;
    }
    let bare = plain.strip_prefix(['R', 'r']).unwrap_or(plain);
    let (value, rest) = number(bare)?;
    // `1.1 Title` is a part of a requirement, `1. Title` a requirement.
    let tail = rest.strip_prefix(['.', ':', '：', '、', ')', ' ', '-'])?;
    number(tail)
        .is_none()
        .then(|| (Some(value), after_number(rest)))
}

fn after_number(rest: &str) -> &str {
    rest.trim_start_matches([' ', '.', ':', '：', '-', '–', '—', ')', '、', '．'])
        .trim()
}

pub(super) fn is_requirements_section(title: &str) -> bool {
    starts_with_ci(title, "requirements")
        || starts_with_ci(title, "functional requirements")
        || ["需求", "要件", "要求", "功能需求", "機能要件"]
            .iter()
            .any(|name| title.starts_with(name))
}

pub(super) fn is_criteria_label(text: &str) -> bool {
    let plain = text.trim_matches(|c: char| {
        matches!(c, '*' | '_' | ':' | '：' | '#' | '-') || c.is_whitespace()
    });
    starts_with_ci(plain, "acceptance criteria") && plain.len() < 40
        || [
            "验收标准",
            "驗收標準",
            "接受标准",
            "受け入れ基準",
            "受入基準",
            "受け入れ条件",
            "受入条件",
        ]
        .iter()
        .any(|name| plain.starts_with(name) && plain.len() < 60)
}

pub(super) fn is_story(text: &str) -> bool {
    let plain = text.trim_start_matches(['*', '_', '>', '-', ' ']);
    ["user story", "as a ", "as an "]
        .iter()
        .any(|name| starts_with_ci(plain, name))
        || [
            "用户故事",
            "使用者故事",
            "用戶故事",
            "ユーザーストーリー",
            "ユーザストーリー",
            "作为",
            "目的",
            "目标",
        ]
        .iter()
        .any(|name| plain.starts_with(name))
        || starts_with_ci(plain, "objective:")
}
