//! Findings of the validator as people read them.

use spectask_protocol::{Document, Finding, Severity};

use super::sheet::{Sheet, Tone, is_harmless};
use crate::spec;

/// Writes the findings of documents with excerpts of their source.
pub(super) fn write(sheet: &mut Sheet, documents: &[Document], findings: &[Finding]) {
    for document in documents {
        let own: Vec<Finding> = findings
            .iter()
            .filter(|finding| finding.document == document.kind)
            .cloned()
            .collect();
        excerpts(sheet, &own, &document.text, document.kind.file_name());
    }
}

/// Writes findings of one text with excerpts.
pub(super) fn excerpts(sheet: &mut Sheet, findings: &[Finding], source: &str, path: &str) {
    if findings.is_empty() {
        return;
    }
    // Colours in the result are the renderer's only when there are none in what it shows.
    let told = |finding: &Finding| {
        is_harmless(&finding.message)
            && finding.help.as_deref().is_none_or(is_harmless)
            && is_harmless(&finding.rule)
    };
    let color =
        sheet.color() && is_harmless(source) && is_harmless(path) && findings.iter().all(told);
    let text = spec::render(findings, source, path, color);
    let text = text.trim_matches('\n');
    if color {
        sheet.trusted(text);
    } else {
        sheet.block(text);
    }
    sheet.end().end();
}

/// How many findings there are of each severity: `2 errors, 1 warning`.
pub(super) fn summary(findings: &[Finding]) -> (Tone, String) {
    let count = |severity| {
        findings
            .iter()
            .filter(|finding| finding.severity == severity)
            .count()
    };
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    let notes = count(Severity::Info);
    let noun = |number: usize, noun: &str| {
        format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
    };
    let mut text = format!("{}, {}", noun(errors, "error"), noun(warnings, "warning"));
    if notes > 0 {
        text.push_str(&format!(", {}", noun(notes, "note")));
    }
    let tone = match (errors, warnings) {
        (0, 0) => Tone::Good,
        (0, _) => Tone::Warn,
        _ => Tone::Bad,
    };
    (tone, text)
}
