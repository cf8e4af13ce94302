//! The part of `requirements.md` that an implementation task is about.

use spectask_protocol::DocumentKind;

use super::profile::Profile;
use super::refs::{CriteriaIndex, parse_refs};
use super::report::Report;
use super::requirements;

/// Stories and criteria with these ids (`1.2`; a bare `1` means the whole requirement), in the
/// order of the document, as markdown. Ids that do not exist are left out.
#[must_use]
pub fn excerpt_for(requirements: &str, ids: &[String]) -> String {
    let doc = requirements::parse(
        requirements,
        &mut Report::new(DocumentKind::Requirements, Profile::Helix),
    );
    let index = CriteriaIndex::new(&doc);
    let mut wanted = vec![false; index.len()];
    for id in ids {
        for found in parse_refs(id, 0)
            .into_iter()
            .filter_map(|(_, id)| index.resolve(id))
        {
            wanted[found].fill(true);
        }
    }
    let mut out = String::new();
    for requirement in &doc.requirements {
        let mut criteria = requirement
            .criteria
            .iter()
            .filter(|criterion| {
                let position = index.position((requirement.number, criterion.number));
                position.is_some_and(|position| wanted[position])
            })
            .peekable();
        if criteria.peek().is_none() {
            continue;
        }
        if !out.is_empty() {
            out.push('\n');
        }
        out.push_str(&format!("### Requirement {}", requirement.number));
        if !requirement.title.is_empty() {
            out.push_str(&format!(": {}", requirement.title));
        }
        out.push_str("\n\n");
        if let Some(story) = &requirement.story {
            out.push_str(&unix(&requirements[story.span.clone()]));
            out.push_str("\n\n");
        }
        out.push_str("#### Acceptance Criteria\n\n");
        for criterion in criteria {
            let text = unix(&requirements[criterion.span.clone()]);
            out.push_str(&format!("{}. {text}\n", criterion.number));
        }
    }
    out
}

fn unix(text: &str) -> String {
    text.replace("\r\n", "\n")
}
