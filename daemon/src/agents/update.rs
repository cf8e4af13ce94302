//! A `session/update`, as far as the daemon looks into it.

use serde_json::Value;

/// One `session/update` of an agent.
#[derive(Debug, Clone)]
pub struct SessionUpdateView<'a> {
    /// The wire's name of it: `agent_message_chunk`, `tool_call`, `plan` and so on, also newer ones.
    pub kind: &'a str,
    /// What the agent is doing now, for people: `edit src/x.rs`, `thinking`, `run cargo test`. On
    /// one line, free of control characters. `None` if this update says nothing new about it.
    pub step: Option<String>,
    /// It repeats history, because the session is being loaded.
    pub replay: bool,
    /// The `update` object as it came.
    pub raw: &'a Value,
}

impl<'a> SessionUpdateView<'a> {
    /// The text of a message or thought chunk.
    #[must_use]
    pub fn text(&self) -> Option<&'a str> {
        self.raw.get("content")?.get("text")?.as_str()
    }

    /// The id of the tool call it is about.
    #[must_use]
    pub fn tool_call(&self) -> Option<&'a str> {
        self.raw.get("toolCallId")?.as_str()
    }

    /// The status of the tool call: `pending`, `in_progress`, `completed`, `failed`.
    #[must_use]
    pub fn status(&self) -> Option<&'a str> {
        self.raw.get("status")?.as_str()
    }
}

/// The step that an update other than a tool call shows.
pub(super) fn plain_step(kind: &str, update: &Value) -> Option<String> {
    match kind {
        "agent_message_chunk" => Some("writing".to_owned()),
        "agent_thought_chunk" => Some("thinking".to_owned()),
        "plan" => {
            let entries = update.get("entries")?.as_array()?;
            let at = entries
                .iter()
                .position(|entry| entry.get("status").is_some_and(|s| s == "in_progress"))?;
            let content = entries.get(at)?.get("content")?.as_str()?;
            Some(one_line(
                &format!("step {}/{}: {content}", at + 1, entries.len()),
                100,
            ))
        }
        "compaction_update" => Some("compacting its context".to_owned()),
        _ => None,
    }
}

/// `text` on one line of at most `limit` characters, without control characters and without marks
/// that reorder what a terminal shows.
pub(super) fn one_line(text: &str, limit: usize) -> String {
    let mut line = String::new();
    let mut count = 0;
    let mut gap = false;
    for c in text.trim().chars() {
        if c.is_whitespace() {
            gap = !line.is_empty();
            continue;
        }
        let hidden = c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
        if hidden {
            continue;
        }
        if count + usize::from(gap) + 1 > limit {
            line.push('\u{2026}');
            break;
        }
        if gap {
            line.push(' ');
            count += 1;
            gap = false;
        }
        line.push(c);
        count += 1;
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn lines_are_plain_and_short() {
        assert_eq!(one_line("  a\n\tb  c ", 100), "a b c");
        assert_eq!(one_line("\u{1b}[31mred\u{202e}\u{0}", 100), "[31mred");
        assert_eq!(one_line("abcdef", 6), "abcdef");
        assert_eq!(one_line("abcdefg", 6), "abcdef\u{2026}");
        assert_eq!(one_line("", 6), "");
    }

    #[test]
    fn plans_and_chunks_make_steps() {
        let plan = json!({"entries": [
            {"content": "read", "status": "completed"},
            {"content": "write\nit", "status": "in_progress"},
        ]});
        assert_eq!(
            plain_step("plan", &plan).as_deref(),
            Some("step 2/2: write it")
        );
        assert_eq!(plain_step("plan", &json!({"entries": []})), None);
        assert_eq!(plain_step("plan", &json!(null)), None);
        assert_eq!(
            plain_step("agent_thought_chunk", &json!({})).as_deref(),
            Some("thinking")
        );
        assert_eq!(plain_step("novel", &json!({})), None);
    }

    proptest::proptest! {
        #[test]
        fn no_line_hides_anything(text in "\\PC*|[\\x00-\\x1f\\x7f-\\x9f a]*", limit in 1usize..50) {
            let line = one_line(&text, limit);
            proptest::prop_assert!(line.chars().count() <= limit + 1);
            proptest::prop_assert!(!line.chars().any(char::is_control));
        }
    }
}
