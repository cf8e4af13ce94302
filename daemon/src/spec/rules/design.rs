//! The shape of `design.md`.

use std::collections::HashSet;

use crate::spec::design::DesignDoc;
use crate::spec::report::Report;

const DESIGN_SECTIONS: [(&str, &[&str]); 6] = [
    (
        "Overview",
        &[
            "overview",
            "introduction",
            "summary",
            "概述",
            "概要",
            "总览",
            "简介",
            "はじめに",
        ],
    ),
    (
        "Architecture",
        &["architecture", "架构", "架構", "アーキテクチャ", "構成"],
    ),
    (
        "Components and Interfaces",
        &[
            "component",
            "interface",
            "组件",
            "元件",
            "接口",
            "模块",
            "コンポーネント",
            "インターフェース",
        ],
    ),
    (
        "Data Models",
        &[
            "data model",
            "数据模型",
            "資料模型",
            "数据结构",
            "データモデル",
            "data structure",
        ],
    ),
    (
        "Error Handling",
        &["error", "错误", "錯誤", "异常", "エラー"],
    ),
    ("Testing Strategy", &["test", "测试", "測試", "テスト"]),
];

pub(in crate::spec) fn design(doc: &DesignDoc, report: &mut Report) {
    let lower: Vec<String> = doc
        .sections
        .iter()
        .map(|section| section.title.to_lowercase())
        .collect();
    for (name, words) in DESIGN_SECTIONS {
        if !lower
            .iter()
            .any(|title| words.iter().any(|word| title.contains(word)))
        {
            report.warning(
                "missing-section",
                0..0,
                format!("The section {name} is missing."),
                "The sections are Overview, Architecture, Components and Interfaces, Data Models, Error Handling, Testing Strategy.",
            );
        }
    }
    let mut seen = HashSet::new();
    for property in &doc.properties {
        if property.validates.is_empty() {
            report.warning(
                "property-validates-nothing",
                property.span.clone(),
                "The property names no criterion that it validates.",
                "End it with `**Validates: Requirements 1.3**`.",
            );
        }
        if let Some(number) = property.number
            && !seen.insert(number)
        {
            report.error(
                "duplicate-property",
                property.span.clone(),
                format!("There is more than one property {number}."),
                "Give each property a number of its own.",
            );
        }
    }
}
