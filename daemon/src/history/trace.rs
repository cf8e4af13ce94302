//! What became of a requirement: implementation tasks, their turns and commits, verify results, and
//! what is missing.

use spectask_protocol::{
    ImplementationTaskStatus, RecordedTurn, TaskRef, TraceView, TracedCriterion, TracedWork,
};

use super::{
    HistoryError,
    turns::{Abouts, view},
};
use crate::{
    spec,
    store::{Read, Store, WorkRow},
    workflow::lookup::{find_task, session_name},
};

/// Follows a criterion, all of a requirement, or everything.
///
/// # Errors
/// When there is no such SpecTask or criterion, or no document yet; when the database fails.
pub fn trace(
    store: &Store,
    task: &TaskRef,
    requirement: Option<&str>,
) -> Result<TraceView, HistoryError> {
    store.read(|read| {
        let task = find_task(read, task)?;
        let number = task.approved.or(task.revision);
        let revision = match number {
            Some(number) => read.revision(&task.id, number)?,
            None => None,
        };
        let Some(revision) = revision else {
            let name = task.name();
            return Err(HistoryError::Invalid(format!(
                "{name} has no requirements yet"
            )));
        };
        let mut criteria = spec::criteria(&revision.requirements);
        if let Some(wanted) = requirement {
            criteria.retain(|criterion| is_part(&criterion.id, wanted));
            if criteria.is_empty() {
                return Err(HistoryError::NotFound {
                    what: "criterion or requirement",
                    name: wanted.to_owned(),
                });
            }
        }
        let all = read.implementation_tasks(&task.id)?;
        let sessions = read.sessions(&task.id)?;
        let mut abouts = Abouts::default();
        let mut work_of = |row: &WorkRow| -> Result<TracedWork, HistoryError> {
            let session = sessions.iter().rev().find(|session| {
                session.implementation_task == Some(row.id)
                    || row.session.as_ref() == Some(&session.id)
            });
            let turns = match session {
                Some(session) => turns_of(read, &mut abouts, &session.id)?,
                None => Vec::new(),
            };
            Ok(TracedWork {
                number: row.number.clone(),
                title: row.title.clone(),
                status: row.status,
                optional: row.optional,
                session: session.map(|session| session_name(&task, session)),
                session_status: session.map(|session| session.status),
                verified: session.and_then(|session| session.verified),
                merged: session.and_then(|session| session.merged.clone()),
                turns,
            })
        };
        let mut traced = Vec::new();
        for criterion in criteria {
            let serve = |row: &&WorkRow| {
                let served = &row.requirements;
                served.iter().any(|served| is_part(&criterion.id, served))
            };
            let work = all
                .iter()
                .filter(serve)
                .map(&mut work_of)
                .collect::<Result<Vec<_>, _>>()?;
            let gaps = gaps(&work);
            traced.push(TracedCriterion {
                number: criterion.id,
                text: criterion.text,
                work,
                gaps,
            });
        }
        Ok(TraceView {
            task: task.name(),
            revision: revision.number,
            criteria: traced,
        })
    })
}

/// Whether a criterion is that one, or one of that requirement.
fn is_part(criterion: &str, wanted: &str) -> bool {
    criterion
        .strip_prefix(wanted)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

fn turns_of(
    read: &Read<'_>,
    abouts: &mut Abouts,
    session: &spectask_protocol::WorkSessionId,
) -> Result<Vec<RecordedTurn>, HistoryError> {
    let mut turns = Vec::new();
    for row in read.turns(session)? {
        turns.extend(view(read, abouts, row)?);
    }
    Ok(turns)
}

/// What is missing for a criterion to be met, for a person.
fn gaps(work: &[TracedWork]) -> Vec<String> {
    let mut gaps = Vec::new();
    if work.is_empty() {
        gaps.push("no task serves it".to_owned());
    }
    for one in work {
        let number = &one.number;
        if one.status != ImplementationTaskStatus::Completed {
            let how = if one.optional { "optional and " } else { "" };
            gaps.push(format!("task {number} is {how}{}", one.status));
        } else if one.verified == Some(false) {
            gaps.push(format!("the verify command failed for task {number}"));
        } else if one.session.is_none() {
            gaps.push(format!(
                "task {number} is ticked, but no session is known that did it"
            ));
        } else if one.verified.is_none() {
            gaps.push(format!(
                "task {number} is unverified: no verify command ran"
            ));
        }
    }
    gaps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_requirement_is_all_of_its_criteria() {
        assert!(is_part("2.3", "2.3") && is_part("2.3", "2"));
        assert!(!is_part("2.30", "2.3") && !is_part("20.1", "2") && !is_part("2", "2.3"));
    }
}
