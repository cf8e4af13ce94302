//! The history of a SpecTask in other forms: notes of git-ai, records of agent-trace.

use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use spectask_protocol::{ExportForm, Exported, TaskRef, WorkSessionId};

use super::{
    HistoryError,
    turns::{Abouts, requirements},
};
use crate::{
    repo::{AddedLines, Past, Repository},
    store::{Store, TaskRow, TurnCommit},
    workflow::lookup::{find_task, session_name},
};

/// Where git-ai keeps its notes.
const NOTES: &str = "refs/notes/ai";

/// A commit of code, and what came of which turn.
struct Linked {
    commit: TurnCommit,
    session: WorkSessionId,
    name: String,
    agent: String,
    requirements: Vec<String>,
}

/// Exports the history of a SpecTask.
///
/// # Errors
/// When there is no such SpecTask or nothing to export; when git or the database fails.
pub fn export(store: &Store, task: &TaskRef, form: ExportForm) -> Result<Exported, HistoryError> {
    let (task, root) = store.read(|read| -> Result<_, HistoryError> {
        let task = find_task(read, task)?;
        let project = read.project(&task.project)?;
        let project = project.ok_or_else(|| HistoryError::NotFound {
            what: "repository of",
            name: task.name(),
        })?;
        Ok((task, project.root))
    })?;
    let repository = Repository::discover(&root)?;
    match form {
        ExportForm::GitAi => notes(&repository.past()?, &linked(store, &task)?),
        ExportForm::AgentTrace => records(&repository.past()?, &task, &linked(store, &task)?),
    }
}

/// The commits of code that came of a SpecTask, in the order in which they were made.
fn linked(store: &Store, task: &TaskRow) -> Result<Vec<Linked>, HistoryError> {
    store.read(|read| {
        let mut abouts = Abouts::default();
        let mut all = Vec::new();
        for session in read.sessions(&task.id)? {
            let commits = read.turn_commits(&session.id, None)?;
            let about = abouts.get(read, &session.id)?;
            let requirements = about.map_or_else(Vec::new, |about| requirements(&about.work));
            for commit in commits {
                all.push(Linked {
                    commit,
                    session: session.id.clone(),
                    name: session_name(task, &session),
                    agent: session.agent.to_string(),
                    requirements: requirements.clone(),
                });
            }
        }
        all.sort_by(|a, b| (a.commit.at, &a.commit.id).cmp(&(b.commit.at, &b.commit.id)));
        Ok(all)
    })
}

/// The name of a conversation in git-ai's notes: SHA-256 of `{tool}:{id}`, 16 hex digits.
fn conversation(agent: &str, session: &WorkSessionId) -> String {
    hex(&Sha256::digest(format!("{agent}:{session}")))
        .chars()
        .take(16)
        .collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Attaches a note to every commit that has none.
fn notes(past: &Past, linked: &[Linked]) -> Result<Exported, HistoryError> {
    let (mut count, mut skipped) = (0, 0);
    for one in linked {
        let id = &one.commit.id;
        let Some(facts) = past.facts(id) else {
            skipped += 1;
            continue;
        };
        let files = past.added_lines(id)?;
        let text = note(one, &facts.author, &files);
        match text {
            Some(text) if past.add_note(NOTES, id, &text)? => count += 1,
            _ => skipped += 1,
        }
    }
    Ok(Exported {
        place: Some(NOTES.to_owned()),
        count,
        skipped,
        records: Vec::new(),
    })
}

/// A note of git-ai 3.0.0; none for a commit that adds no line. Conversations stay in the refs of the
/// sessions: `messages` is empty, as git-ai itself leaves it.
fn note(one: &Linked, author: &str, files: &[AddedLines]) -> Option<String> {
    let conversation = conversation(&one.agent, &one.session);
    let mut text = String::new();
    let mut lines = 0;
    for (path, ranges) in files {
        // The format has no way to write these.
        if path.contains(['"', '\n']) {
            continue;
        }
        if path.contains([' ', '\t']) {
            text.push_str(&format!("\"{path}\"\n"));
        } else {
            text.push_str(&format!("{path}\n"));
        }
        let spec: Vec<String> = ranges
            .iter()
            .map(|(first, last)| {
                lines += last - first + 1;
                if first == last {
                    first.to_string()
                } else {
                    format!("{first}-{last}")
                }
            })
            .collect();
        text.push_str(&format!("  {conversation} {}\n", spec.join(",")));
    }
    if lines == 0 {
        return None;
    }
    let about = json!({
        "schema_version": "authorship/3.0.0",
        "base_commit_sha": one.commit.id,
        "prompts": { conversation: {
            "agent_id": { "tool": one.agent, "id": one.session, "model": "unknown" },
            "human_author": author,
            "messages": [],
            "total_additions": lines,
            "total_deletions": 0,
            "accepted_lines": lines,
            "overriden_lines": 0,
        } },
    });
    text.push_str(&format!("---\n{about:#}\n"));
    Some(text)
}

/// A record of agent-trace 0.1 for every commit that is there.
fn records(past: &Past, task: &TaskRow, linked: &[Linked]) -> Result<Exported, HistoryError> {
    let (mut records, mut skipped) = (Vec::new(), 0);
    for one in linked {
        if past.facts(&one.commit.id).is_none() {
            skipped += 1;
            continue;
        }
        let files = past.added_lines(&one.commit.id)?;
        records.push(record(task, one, &files));
    }
    Ok(Exported {
        place: None,
        count: u32::try_from(records.len()).unwrap_or(u32::MAX),
        skipped,
        records,
    })
}

fn record(task: &TaskRow, one: &Linked, files: &[AddedLines]) -> Value {
    let at = Timestamp::from_millisecond(one.commit.at).unwrap_or_default();
    // The same commit gives the same record, whenever it is exported.
    let digest = Sha256::digest(format!("agent-trace:{}", one.commit.id));
    let bytes = digest.first_chunk::<16>().copied().unwrap_or_default();
    let id = uuid::Builder::from_custom_bytes(bytes).into_uuid();
    let url = format!("spectask:session/{}", one.session);
    let files: Vec<Value> = files
        .iter()
        .map(|(path, ranges)| {
            let ranges: Vec<Value> = ranges
                .iter()
                .map(|(first, last)| json!({ "start_line": first, "end_line": last }))
                .collect();
            json!({ "path": path, "conversations": [{
                "url": url, "contributor": { "type": "ai" }, "ranges": ranges,
            }] })
        })
        .collect();
    json!({
        "version": "0.1",
        "id": id.to_string(),
        "timestamp": at.to_string(),
        "vcs": { "type": "git", "revision": one.commit.id },
        "tool": { "name": "spectask", "version": env!("CARGO_PKG_VERSION") },
        "files": files,
        "metadata": { "dev.spectask": {
            "task": task.name(), "session": one.name, "turn": one.commit.turn,
            "requirements": one.requirements, "agent": one.agent,
        } },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn linked() -> Linked {
        let session: WorkSessionId = "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap();
        Linked {
            commit: TurnCommit {
                id: "a".repeat(40),
                session: session.clone(),
                turn: 2,
                tree: "b".repeat(40),
                patch_id: None,
                at: 1_700_000_000_000,
            },
            session,
            name: "7-user-auth/02-api".into(),
            agent: "example".into(),
            requirements: vec!["2.3".into()],
        }
    }

    #[test]
    fn a_note_is_what_git_ai_reads() {
        let files = [
            ("src/a.rs".to_owned(), vec![(1, 4), (9, 9)]),
            ("a b.md".to_owned(), vec![(2, 3)]),
            ("a\"b".to_owned(), vec![(2, 3)]),
        ];
        let note = note(&linked(), "User <user@example.com>", &files).unwrap();
        insta::assert_snapshot!(note, @r#"
        src/a.rs
          6c3735d7a9114540 1-4,9
        "a b.md"
          6c3735d7a9114540 2-3
        ---
        {
          "schema_version": "authorship/3.0.0",
          "base_commit_sha": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
          "prompts": {
            "6c3735d7a9114540": {
              "agent_id": {
                "tool": "example",
                "id": "01890a5d-ac96-774b-bcce-b302099a8057",
                "model": "unknown"
              },
              "human_author": "User <user@example.com>",
              "messages": [],
              "total_additions": 7,
              "total_deletions": 0,
              "accepted_lines": 7,
              "overriden_lines": 0
            }
          }
        }
        "#);
        assert_eq!(super::note(&linked(), "", &[]), None);
    }
}
