//! What happens in the turns of a session, from its frames: who said what, which tools ran, which
//! files they changed and why.

use std::collections::{BTreeMap, HashMap};

use spectask_protocol::TranscriptEntry;

use super::{
    acp::{Diff, Heard, ToolNews, Who, heard},
    entry::{Pending, seconds},
    format::{Document, FileChange},
    text::{Part, inline},
};
use crate::repo::text_diff;

/// A message longer than this is written in parts, in bytes.
const SPEECH_LIMIT: usize = 256 << 10;
/// What is kept of the agent's words as the reason of a change, in characters.
const REASON_LIMIT: usize = 1000;
/// Texts longer than this are not compared line by line, in bytes.
const DIFF_LIMIT: usize = 512 << 10;
/// What is shown of a difference, in bytes.
const DIFF_SHOWN: usize = 8 << 10;
/// What is kept of a prompt in the turn's record, in bytes.
const PROMPT_LIMIT: usize = 64 << 10;

struct Speech {
    who: Who,
    at: String,
    text: String,
}

#[derive(Default)]
struct Tool {
    title: String,
    kind: String,
    diffs: Vec<Diff>,
    reason: String,
}

/// What is known of the turn that is open, or of the time between turns.
#[derive(Default)]
pub(super) struct Happenings {
    /// Whether a person prompts, not the daemon.
    by_person: bool,
    speech: Option<Speech>,
    words: String,
    plan: Vec<String>,
    tools: HashMap<String, Tool>,
    /// Tool calls of the turn.
    pub(super) calls: u32,
    /// The prompt of the turn.
    pub(super) prompt: String,
    /// Lines added and removed by path.
    changed: BTreeMap<String, (u32, u32)>,
}

impl Happenings {
    pub(super) fn new(by_person: bool) -> Self {
        Self {
            by_person,
            ..Self::default()
        }
    }

    /// Forgets everything but who prompts.
    pub(super) fn clear(&mut self) {
        *self = Self::new(self.by_person);
    }

    /// Files that the turn changed.
    pub(super) fn files(&self) -> Vec<FileChange> {
        let change = |(path, (added, removed)): (&String, &(u32, u32))| FileChange {
            path: path.clone(),
            added: *added,
            removed: *removed,
        };
        self.changed.iter().map(change).collect()
    }

    /// What the agent said last: the reason of what it does next, as far as it told one.
    pub(super) fn words(&self) -> &str {
        let words = match &self.speech {
            Some(speech) if speech.who == Who::Agent && !speech.text.trim().is_empty() => {
                &speech.text
            }
            _ => &self.words,
        };
        last_words(words)
    }

    pub(super) fn hear(&mut self, entry: &TranscriptEntry, out: &mut Pending) {
        match heard(entry) {
            Heard::Nothing => {}
            Heard::Said(who, text) => self.said(who, &entry.at, &text, out),
            Heard::Prompt(text) => {
                self.end_speech(out);
                if self.prompt.is_empty() {
                    let end = text.floor_char_boundary(PROMPT_LIMIT);
                    self.prompt = text[..end].to_owned();
                }
                let who = if self.by_person { "Person" } else { "SpecTask" };
                let heading = format!("### {who} · {}", seconds(&entry.at));
                out.entry(
                    Document::Conversation,
                    vec![Part::Line(heading), Part::text(text)],
                );
            }
            Heard::Plan(steps) => self.planned(&steps, &entry.at, out),
            Heard::Tool(news) => self.tool(news, &entry.at, out),
            Heard::Wrote(path, lines) => {
                out.line(
                    Document::ActivityLog,
                    format!(
                        "{} wrote {} ({lines} lines)",
                        seconds(&entry.at),
                        inline(&path)
                    ),
                );
                // A difference that a tool call shows tells more.
                self.changed
                    .entry(path)
                    .or_insert((u32::try_from(lines).unwrap_or(u32::MAX), 0));
            }
        }
    }

    fn said(&mut self, who: Who, at: &str, text: &str, out: &mut Pending) {
        match &mut self.speech {
            Some(speech) if speech.who == who && speech.text.len() < SPEECH_LIMIT => {
                speech.text.push_str(text);
            }
            _ => {
                self.end_speech(out);
                self.speech = Some(Speech {
                    who,
                    at: at.to_owned(),
                    text: text.to_owned(),
                });
            }
        }
    }

    /// Writes what is being said, as far as it was said.
    pub(super) fn end_speech(&mut self, out: &mut Pending) {
        let Some(speech) = self.speech.take() else {
            return;
        };
        if speech.text.trim().is_empty() {
            return;
        }
        let who = match speech.who {
            Who::Agent => "Agent",
            Who::Thought => "Agent, thinking",
        };
        let heading = format!("### {who} · {}", seconds(&speech.at));
        if speech.who == Who::Agent {
            self.words = last_words(&speech.text).to_owned();
        }
        out.entry(
            Document::Conversation,
            vec![Part::Line(heading), Part::text(speech.text)],
        );
    }

    fn planned(&mut self, steps: &[(String, String)], at: &str, out: &mut Pending) {
        let plan: Vec<String> = steps.iter().map(|(step, _)| step.clone()).collect();
        if plan == self.plan {
            return;
        }
        self.end_speech(out);
        let new = self.plan.is_empty();
        let what = if new { "Plan" } else { "Plan changed" };
        let lines = |plan: &[String]| {
            let mut text = String::new();
            for (number, step) in (1..).zip(plan) {
                let step = step.split_whitespace().collect::<Vec<_>>().join(" ");
                text.push_str(&format!("{number}. {step}\n"));
            }
            text
        };
        let context = if new {
            Part::Line("The first plan of the turn.".into())
        } else {
            Part::text(lines(&self.plan))
        };
        let rationale = if self.words.is_empty() {
            Part::Line("None was given.".into())
        } else {
            Part::text(self.words.clone())
        };
        out.entry(
            Document::Decisions,
            vec![
                Part::Line(format!("## {what} · {}", seconds(at))),
                Part::Line("### Decision".into()),
                Part::text(lines(&plan)),
                Part::Line("### Context".into()),
                context,
                Part::Line("### Rationale".into()),
                rationale,
                Part::Line("### From".into()),
                Part::Line("The agent's plan.".into()),
            ],
        );
        out.line(
            Document::ActivityLog,
            format!("{} plan of {} steps", seconds(at), plan.len()),
        );
        self.plan = plan;
    }

    fn tool(&mut self, news: ToolNews, at: &str, out: &mut Pending) {
        self.end_speech(out);
        let known = self.tools.contains_key(&news.id);
        let reason = self.words.clone();
        let tool = self.tools.entry(news.id.clone()).or_insert_with(|| Tool {
            reason,
            ..Tool::default()
        });
        if let Some(title) = news.title {
            tool.title = title;
        }
        if let Some(kind) = news.kind {
            tool.kind = kind;
        }
        if let Some(diffs) = news.diffs.filter(|diffs| !diffs.is_empty()) {
            tool.diffs = diffs;
        }
        let kind = kind_word(&tool.kind);
        if !known {
            self.calls += 1;
            let at = seconds(at);
            let mut line = format!("{at} {kind} {}", inline(&tool.title));
            out.line(Document::Conversation, line.clone());
            for path in news.paths.iter().take(3) {
                line.push_str(&format!(" {}", inline(path)));
            }
            out.line(Document::ActivityLog, line);
        }
        if let Some(status) = news.status.as_deref()
            && let Some(ended) = ["completed", "failed"]
                .into_iter()
                .find(|end| *end == status)
        {
            let line = format!("{} {ended} {}", seconds(at), inline(&tool.title));
            out.line(Document::ActivityLog, line);
            let diffs = std::mem::take(&mut tool.diffs);
            let reason = std::mem::take(&mut tool.reason);
            if ended == "completed" {
                for diff in diffs {
                    self.change(&diff, &reason, at, out);
                }
            }
        }
    }

    fn change(&mut self, diff: &Diff, reason: &str, at: &str, out: &mut Pending) {
        let (added, removed, shown) = compare(diff);
        let sum = self.changed.entry(diff.path.clone()).or_default();
        *sum = (sum.0 + added, sum.1 + removed);
        let mut parts = vec![
            Part::Line(format!("## {} · {}", inline(&diff.path), seconds(at))),
            Part::Line(format!("+{added} -{removed}")),
        ];
        if !reason.is_empty() {
            parts.push(Part::Line("### Reasoning".into()));
            parts.push(Part::text(reason));
        }
        parts.push(Part::Line("### Changes".into()));
        match shown {
            Some(patch) => parts.push(Part::Text("diff", patch)),
            None => parts.push(Part::Line("Too long to be shown.".into())),
        }
        out.entry(Document::CodeChanges, parts);
    }

    /// Writes the changes of tool calls that never told their end.
    pub(super) fn end(&mut self, at: &str, out: &mut Pending) {
        self.end_speech(out);
        let mut open: Vec<(String, Tool)> = self.tools.drain().collect();
        open.sort_by(|one, other| one.0.cmp(&other.0));
        for (_, tool) in open {
            for diff in &tool.diffs {
                self.change(diff, &tool.reason, at, out);
            }
        }
    }
}

/// A word for a kind of tool call that is safe to stand anywhere.
fn kind_word(kind: &str) -> &'static str {
    const KINDS: [&str; 9] = [
        "read",
        "edit",
        "delete",
        "move",
        "search",
        "execute",
        "think",
        "fetch",
        "switch_mode",
    ];
    KINDS
        .into_iter()
        .find(|known| *known == kind)
        .unwrap_or("tool")
}

fn last_words(text: &str) -> &str {
    let text = text.trim();
    let start = text
        .char_indices()
        .rev()
        .nth(REASON_LIMIT - 1)
        .map_or(0, |(at, _)| at);
    &text[start..]
}

/// Lines added and removed, and the beginning of the difference.
fn compare(diff: &Diff) -> (u32, u32, Option<String>) {
    let count = |text: &str| u32::try_from(text.lines().count()).unwrap_or(u32::MAX);
    if diff.old.len() + diff.new.len() > DIFF_LIMIT {
        return (count(&diff.new), count(&diff.old), None);
    }
    // The heading names the file; a path in the patch would have to be quoted.
    let patch = text_diff(&diff.old, &diff.new, "file");
    let body = patch.find("@@").map_or("", |at| &patch[at..]);
    let lines = |sign| body.lines().filter(|line| line.starts_with(sign)).count();
    let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    let mut shown = body.to_owned();
    if shown.len() > DIFF_SHOWN {
        let end = shown.floor_char_boundary(DIFF_SHOWN);
        shown.truncate(shown[..end].rfind('\n').map_or(end, |at| at + 1));
        shown.push_str("…\n");
    }
    (number(lines('+')), number(lines('-')), Some(shown))
}
