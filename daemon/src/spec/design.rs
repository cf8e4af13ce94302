//! `design.md`: how it will be built, and the properties that must hold.

use std::ops::Range;

use spectask_protocol::{DocumentKind, Finding};

use super::lines::{Lines, Place, contains_ci, number, range_of, starts_with_ci};
use super::profile::Profile;
use super::report::Report;

/// A parsed `design.md`.
#[derive(Debug, Clone, Default)]
pub struct DesignDoc {
    /// Text of the first heading of level one.
    pub title: Option<String>,
    /// All headings in the order of the document.
    pub sections: Vec<Section>,
    /// The correctness properties.
    pub properties: Vec<Property>,
    /// Lists of criteria after "Validates:", wherever they stand.
    pub(super) validates: Vec<Range<usize>>,
}

/// A heading.
#[derive(Debug, Clone)]
pub struct Section {
    /// 1 to 6.
    pub level: usize,
    /// Its text.
    pub title: String,
    /// Its place.
    pub span: Range<usize>,
}

/// A correctness property.
#[derive(Debug, Clone)]
pub struct Property {
    /// Its number, if it has one.
    pub number: Option<u32>,
    /// Its heading.
    pub span: Range<usize>,
    /// The lists of criteria it validates.
    pub validates: Vec<Range<usize>>,
}

/// Parses `design.md`; the findings are those of shape.
#[must_use]
pub fn parse_design(text: &str) -> (DesignDoc, Vec<Finding>) {
    let mut report = Report::new(DocumentKind::Design, Profile::Kiro);
    let doc = parse(text, &mut report);
    super::rules::design(&doc, &mut report);
    (doc, report.finish(text))
}

pub(super) fn parse(text: &str, report: &mut Report) -> DesignDoc {
    let mut doc = DesignDoc::default();
    let mut in_property = false;
    let mut lines = Lines::new(text);
    for line in &mut lines {
        if line.place != Place::Text {
            continue;
        }
        let heading = line.heading();
        let bold = heading.is_none() && line.text.trim_start().starts_with("**Property ");
        if let Some((level, title)) = heading {
            if level == 1 && doc.title.is_none() {
                doc.title = Some(title.to_owned());
            }
            doc.sections.push(Section {
                level,
                title: title.to_owned(),
                span: line.trimmed(),
            });
            in_property = false;
        }
        let title = if bold {
            Some(line.text.trim())
        } else {
            heading.map(|(_, title)| title)
        };
        if let Some(found) = title.and_then(property_number) {
            let span = line.trimmed();
            doc.properties.push(Property {
                number: found,
                span,
                validates: Vec::new(),
            });
            in_property = true;
        }
        if heading.is_none()
            && let Some(list) = validates(line.text, line.text_start)
        {
            doc.validates.push(list.clone());
            if in_property && let Some(property) = doc.properties.last_mut() {
                property.validates.push(list);
            }
        }
    }
    if let Some(at) = lines.open_fence() {
        super::rules::open_fence(at, report);
    }
    doc
}

/// `Property 1: title`; the inner number is missing in `Property: title`.
fn property_number(title: &str) -> Option<Option<u32>> {
    let plain = title.trim_start_matches('*');
    let name = ["Property", "属性", "プロパティ", "性质"]
        .into_iter()
        .find(|name| starts_with_ci(plain, name))?;
    let rest = plain[name.len()..].trim_start();
    match number(rest) {
        Some((value, _)) => Some(Some(value)),
        None => rest.starts_with([':', '：']).then_some(None),
    }
}

/// The list in `**Validates: Requirements 1.3, 1.4**`.
fn validates(text: &str, base: usize) -> Option<Range<usize>> {
    if !text.contains([':', '：']) || !(contains_ci(text, "validates") || text.contains("验证"))
    {
        return None;
    }
    let plain = text.trim_start_matches([' ', '\t', '-', '*', '_', '>', '+']);
    let rest = if starts_with_ci(plain, "validates") {
        &plain["validates".len()..]
    } else {
        // `Some sentence. **Validates: Requirements 1.3**`
        let at = plain.find("Validates:").or_else(|| plain.find("验证："))?;
        let mark = plain[at..].find([':', '：'])?;
        &plain[at + mark..]
    };
    let rest = rest
        .trim_start_matches(['*', ' '])
        .strip_prefix([':', '：'])?;
    let list = rest.trim_matches(['*', '_', ' ', '\t', '.']);
    Some(range_of(text, base, list))
}
