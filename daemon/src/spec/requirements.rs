//! `requirements.md`: user stories with EARS acceptance criteria.

use std::ops::Range;

use spectask_protocol::{DocumentKind, Finding};

use super::ears::{self, EarsPattern};
use super::labels::{is_criteria_label, is_requirements_section, is_story, requirement_heading};
use super::lines::{Line, Lines, Place, number, range_of};
use super::profile::Profile;
use super::report::Report;

/// A parsed `requirements.md`.
#[derive(Debug, Clone, Default)]
pub struct RequirementsDoc {
    /// Text of the first heading of level one.
    pub title: Option<String>,
    /// Titles of the level-two sections with their places.
    pub sections: Vec<(String, Range<usize>)>,
    /// The requirements in the order of the document.
    pub requirements: Vec<Requirement>,
}

/// One requirement: a heading, a story and criteria.
#[derive(Debug, Clone)]
pub struct Requirement {
    /// Its number; the ordinal where the heading has none.
    pub number: u32,
    /// Title without the number.
    pub title: String,
    /// The heading's text.
    pub heading: Range<usize>,
    /// From the heading to the next one of the same or a higher level.
    pub span: Range<usize>,
    /// The user story.
    pub story: Option<Story>,
    /// The acceptance criteria in the order of the document.
    pub criteria: Vec<Criterion>,
    pub(super) numbered: bool,
    pub(super) level: usize,
    pub(super) criteria_heading: bool,
}

/// A user story.
#[derive(Debug, Clone)]
pub struct Story {
    /// Label and story, as they stand.
    pub span: Range<usize>,
}

/// An acceptance criterion.
#[derive(Debug, Clone)]
pub struct Criterion {
    /// `N.M`: number of the requirement and number in its list.
    pub id: String,
    /// The criterion in one line, without its number.
    pub text: String,
    /// The EARS pattern it follows.
    pub pattern: EarsPattern,
    /// The text without its number, as it stands.
    pub span: Range<usize>,
    /// The second part of the id.
    pub number: u32,
    /// The whole list item.
    pub(super) item: Range<usize>,
    pub(super) numbered: bool,
}

/// Parses `requirements.md`; the findings are those of shape and EARS.
#[must_use]
pub fn parse_requirements(text: &str) -> (RequirementsDoc, Vec<Finding>) {
    let mut report = Report::new(DocumentKind::Requirements, Profile::Kiro);
    let doc = parse(text, &mut report);
    super::rules::requirements(&doc, text, &mut report);
    (doc, report.finish(text))
}

/// The acceptance criteria of a `requirements.md`.
#[must_use]
pub fn criteria(requirements: &str) -> Vec<Criterion> {
    let mut report = Report::new(DocumentKind::Requirements, Profile::Helix);
    let doc = parse(requirements, &mut report);
    doc.requirements
        .into_iter()
        .flat_map(|requirement| requirement.criteria)
        .collect()
}

struct Parser<'a, 'r> {
    text: &'a str,
    report: &'r mut Report,
    doc: RequirementsDoc,
    in_requirement: bool,
    in_criteria: bool,
    in_requirements_section: bool,
    story_open: bool,
    /// The criterion that may still go on: its item and where its text starts.
    open: Option<OpenCriterion>,
    after_blank: bool,
}

struct OpenCriterion {
    item: Range<usize>,
    text_start: usize,
    number: Option<u32>,
}

pub(super) fn parse(text: &str, report: &mut Report) -> RequirementsDoc {
    let mut parser = Parser {
        text,
        report,
        doc: RequirementsDoc::default(),
        in_requirement: false,
        in_criteria: false,
        in_requirements_section: false,
        story_open: false,
        open: None,
        after_blank: false,
    };
    let mut lines = Lines::new(text);
    for line in &mut lines {
        parser.line(&line);
    }
    parser.close_criterion();
    parser.end_requirement(text.len());
    let doc = parser.doc;
    if let Some(at) = lines.open_fence() {
        super::rules::open_fence(at, report);
    }
    doc
}

impl<'a> Parser<'a, '_> {
    fn line(&mut self, line: &Line<'a>) {
        if line.place != Place::Text {
            // Code and comments belong to what they stand in.
            if line.place != Place::Comment {
                self.go_on(line);
            }
            return;
        }
        if let Some((level, title)) = line.heading() {
            self.close_criterion();
            self.story_open = false;
            self.heading(line, level, title);
            self.after_blank = false;
            return;
        }
        let trimmed = line.text.trim();
        if trimmed.is_empty() {
            self.story_open = false;
            self.after_blank = true;
            return;
        }
        if self.in_requirement {
            self.body(line, trimmed);
        }
        self.after_blank = false;
    }

    fn heading(&mut self, line: &Line<'a>, level: usize, title: &str) {
        let requirement = (2..=4)
            .contains(&level)
            .then(|| requirement_heading(title, self.in_requirements_section));
        if let Some((number, rest)) = requirement.flatten() {
            self.end_requirement(line.start);
            let ordinal = u32::try_from(self.doc.requirements.len() + 1).unwrap_or(u32::MAX);
            self.doc.requirements.push(Requirement {
                number: number.unwrap_or(ordinal),
                title: rest.to_owned(),
                heading: line.trimmed(),
                span: line.start..line.end,
                story: None,
                criteria: Vec::new(),
                numbered: number.is_some(),
                level,
                criteria_heading: false,
            });
            self.in_requirement = true;
            self.in_criteria = false;
            return;
        }
        let inside = self.current().is_some_and(|current| level > current.level);
        if inside {
            self.in_criteria = is_criteria_label(title);
            if self.in_criteria {
                self.set_criteria_heading();
            }
            return;
        }
        self.end_requirement(line.start);
        match level {
            1 if self.doc.title.is_none() => self.doc.title = Some(title.to_owned()),
            2 => {
                self.in_requirements_section = is_requirements_section(title);
                self.doc.sections.push((title.to_owned(), line.trimmed()));
            }
            _ => {}
        }
    }

    fn body(&mut self, line: &Line<'a>, trimmed: &'a str) {
        if self
            .current()
            .is_some_and(|current| current.story.is_none())
            && is_story(trimmed)
        {
            self.close_criterion();
            let span = line.trimmed();
            if let Some(current) = self.current() {
                current.story = Some(Story { span });
            }
            self.story_open = true;
            return;
        }
        if is_criteria_label(trimmed) {
            self.close_criterion();
            self.story_open = false;
            self.in_criteria = true;
            self.set_criteria_heading();
            return;
        }
        if self.story_open
            && let Some(story) = self.current().and_then(|current| current.story.as_mut())
        {
            story.span.end = line.trimmed().end;
            return;
        }
        if line.indent() < 4
            && let Some((number, text)) = self.item(trimmed)
        {
            self.close_criterion();
            let place = line.trimmed();
            let text_start = range_of(trimmed, place.start, text).start;
            self.open = Some(OpenCriterion {
                item: place,
                text_start,
                number,
            });
            return;
        }
        if self.after_blank && line.indent() == 0 {
            self.close_criterion();
        } else {
            self.go_on(line);
        }
    }

    /// Number and text if the line starts a criterion.
    fn item(&mut self, trimmed: &'a str) -> Option<(Option<u32>, &'a str)> {
        let in_criteria = self.in_criteria;
        let requirement = self.current()?.number;
        let numbered_before = self
            .current()?
            .criteria
            .last()
            .is_some_and(|criterion| criterion.numbered)
            || self.open.as_ref().is_some_and(|open| open.number.is_some());
        let bullet = trimmed
            .strip_prefix("- ")
            .or_else(|| trimmed.strip_prefix("* "));
        if bullet.is_some() && (!in_criteria || numbered_before) {
            return None;
        }
        let body = bullet.unwrap_or(trimmed).trim_start();
        let body = body
            .strip_prefix("[ ] ")
            .or_else(|| body.strip_prefix("[x] "))
            .unwrap_or(body);
        let plain = body.trim_start_matches("**");
        let Some((first, rest)) = number(plain) else {
            return bullet.map(|_| (None, body));
        };
        let (value, rest) = match rest.strip_prefix('.').and_then(number) {
            Some((second, rest)) if first == requirement => {
                (second, rest.strip_prefix('.').unwrap_or(rest))
            }
            Some(_) => return bullet.map(|_| (None, body)),
            None => match rest.strip_prefix(['.', ')', '、', '．', '：', ':']) {
                Some(rest) => (first, rest),
                None => return bullet.map(|_| (None, body)),
            },
        };
        let rest = rest.strip_prefix([':', '：']).unwrap_or(rest);
        let rest = rest.strip_prefix("**").unwrap_or(rest);
        if rest.is_empty() || rest.starts_with(char::is_whitespace) || !rest.is_ascii() {
            let text = rest.trim_start();
            // A numbered list before any heading of criteria counts if it reads like criteria.
            let counts = in_criteria || ears::classify(text) != EarsPattern::None;
            return counts.then_some((Some(value), text));
        }
        bullet.map(|_| (None, body))
    }

    fn go_on(&mut self, line: &Line<'a>) {
        if let Some(open) = &mut self.open {
            open.item.end = line.trimmed().end.max(open.item.end);
        }
    }

    fn close_criterion(&mut self) {
        let Some(open) = self.open.take() else { return };
        let text = self.text;
        let Some(requirement) = self.doc.requirements.last_mut() else {
            return;
        };
        let ordinal = u32::try_from(requirement.criteria.len() + 1).unwrap_or(u32::MAX);
        let number = open.number.unwrap_or(ordinal);
        let source = &text[open.text_start.min(open.item.end)..open.item.end];
        let one_line = if source.contains('\n') {
            source
                .lines()
                .map(str::trim)
                .filter(|line| !line.is_empty())
                .collect::<Vec<_>>()
                .join(" ")
        } else {
            source.to_owned()
        };
        let span = open.text_start.min(open.item.end)..open.item.end;
        let pattern = if source.trim().is_empty() {
            self.report.error(
                "empty-criterion",
                open.item.clone(),
                "The criterion is empty.",
                "Write WHEN trigger, THE system SHALL response, or remove the number.",
            );
            EarsPattern::None
        } else {
            ears::check(source, span.start, self.report)
        };
        requirement.criteria.push(Criterion {
            id: format!("{}.{number}", requirement.number),
            text: one_line,
            pattern,
            span,
            number,
            item: open.item,
            numbered: open.number.is_some(),
        });
    }

    fn current(&mut self) -> Option<&mut Requirement> {
        if self.in_requirement {
            self.doc.requirements.last_mut()
        } else {
            None
        }
    }

    fn set_criteria_heading(&mut self) {
        if let Some(current) = self.current() {
            current.criteria_heading = true;
        }
    }

    fn end_requirement(&mut self, at: usize) {
        if let Some(current) = self.current() {
            current.span.end = at;
        }
        self.in_requirement = false;
        self.in_criteria = false;
    }
}
