//! Findings as text for people, with the source and carets.

use std::ops::Range;

use annotate_snippets::{AnnotationKind, Element, Group, Level, Origin, Renderer, Snippet};
use spectask_protocol::{Finding, Severity};

/// The longest piece of one line that is shown.
const MAX_SHOWN: usize = 240;

/// Renders findings of one document; `source` is its text and `path` the name shown for it. Only
/// the line of each finding is looked at, so the cost is linear in the findings.
#[must_use]
pub fn render(findings: &[Finding], source: &str, path: &str, color: bool) -> String {
    let renderer = if color {
        Renderer::styled()
    } else {
        Renderer::plain()
    };
    let mut out = String::new();
    for finding in findings {
        out.push_str(&one(finding, source, path, &renderer));
        out.push_str("\n\n");
    }
    out
}

fn one(finding: &Finding, source: &str, path: &str, renderer: &Renderer) -> String {
    let level = match finding.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
        Severity::Info => Level::INFO,
    };
    let (shown, mark) = piece(source, finding.span.start, finding.span.end);
    let mut piece = source[shown.clone()].to_owned();
    if finding.rule == "secret" {
        // The report of a secret must not be one more copy of it.
        let hidden: String = piece[mark.clone()].chars().map(|_| '*').collect();
        piece.replace_range(mark.clone(), &hidden);
    }
    let mark = mark.start..mark.end.min(piece.len());
    let title = level
        .primary_title(finding.message.as_str())
        .id(finding.rule.as_str());
    let cut_before = shown.start > 0 && !source[..shown.start].ends_with('\n');
    let snippet = Snippet::source(piece)
        .line_start(finding.span.line)
        .annotation(AnnotationKind::Primary.span(mark));
    let group = if cut_before {
        // The piece starts inside the line, so the column has to be said.
        Group::with_title(title)
            .element(Element::Origin(
                Origin::path(path)
                    .line(finding.span.line)
                    .char_column(finding.span.column),
            ))
            .element(snippet)
    } else {
        Group::with_title(title).element(snippet.path(path))
    };
    let group = match &finding.help {
        Some(help) => group.element(Level::HELP.message(help.as_str())),
        None => group,
    };
    let text = renderer.render(&[group]);
    if cut_before {
        // The library puts an empty `:::` between a place and a source without a path.
        let lines = text.lines().enumerate();
        let kept = lines.filter(|(at, line)| !(2..5).contains(at) || !line.contains(":::"));
        return kept.map(|(_, line)| line).collect::<Vec<_>>().join("\n");
    }
    text
}

/// The piece of the source to show for a span, and the span within it.
fn piece(source: &str, start: usize, end: usize) -> (Range<usize>, Range<usize>) {
    let start = source.floor_char_boundary(start);
    let window = source.floor_char_boundary(start.saturating_sub(MAX_SHOWN / 2));
    let from = source[window..start].rfind('\n').map_or_else(
        // Text before the window belongs to this line, or the window is the start.
        || window,
        |newline| window + newline + 1,
    );
    let limit = source.floor_char_boundary(start + MAX_SHOWN / 2);
    let until = source[start..limit]
        .find('\n')
        .map_or(limit, |newline| start + newline);
    let until = until - usize::from(source[start..until].ends_with('\r'));
    let end = source
        .ceil_char_boundary(end.min(source.len()))
        .clamp(start, until);
    (from..until, start - from..end - from)
}
