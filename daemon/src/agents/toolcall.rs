//! What an agent has said about a tool call, gathered from all messages about it.

use std::path::{Path, PathBuf};

use serde_json::Value;

/// More paths than this are not kept; such a call is never allowed by policy.
const MAX_PATHS: usize = 256;

/// The facts of one tool call. Later messages add to earlier ones: every path ever named counts.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct ToolFacts {
    pub(super) kind: Option<String>,
    pub(super) title: Option<String>,
    pub(super) paths: Vec<PathBuf>,
    /// It shows a change of a file, whatever its kind says.
    pub(super) diff: bool,
    pub(super) command: Option<String>,
    pub(super) folder: Option<PathBuf>,
    /// Not all paths could be kept.
    pub(super) too_many: bool,
}

impl ToolFacts {
    /// Takes in a `tool_call`, a `tool_call_update` or the `toolCall` of a permission request.
    pub(super) fn absorb(&mut self, call: &Value) {
        let text = |key: &str| call.get(key).and_then(Value::as_str);
        if let Some(kind) = text("kind") {
            self.kind = Some(kind.to_owned());
        }
        if let Some(title) = text("title").filter(|title| !title.trim().is_empty()) {
            self.title = Some(super::update::one_line(title, 300));
        }
        for location in items(call.get("locations")) {
            self.path(location.get("path"));
        }
        for content in items(call.get("content")) {
            if content.get("type").and_then(Value::as_str) == Some("diff") {
                self.diff = true;
                self.path(content.get("path"));
            }
        }
        if let Some(input) = call.get("rawInput") {
            self.input(input, 3);
        }
    }

    fn path(&mut self, value: Option<&Value>) {
        let Some(text) = value
            .and_then(Value::as_str)
            .filter(|text| !text.is_empty())
        else {
            return;
        };
        let path = PathBuf::from(text.strip_prefix("file://").unwrap_or(text));
        if self.paths.contains(&path) {
            return;
        }
        if self.paths.len() < MAX_PATHS {
            self.paths.push(path);
        } else {
            self.too_many = true;
        }
    }

    /// Reads the tool's own arguments, whose shape is the agent's: by the names agents use.
    fn input(&mut self, input: &Value, depth: u8) {
        let Value::Object(map) = input else { return };
        for (key, value) in map {
            let key: String = key.chars().filter(|&c| c != '_' && c != '-').collect();
            match key.to_ascii_lowercase().as_str() {
                "command" | "cmd" | "commandline" => {
                    if let Some(command) = command(value) {
                        self.command = Some(command);
                    }
                }
                "cwd" | "workdir" | "workingdirectory" | "directory" | "dirpath" => {
                    if let Some(folder) = value.as_str().filter(|folder| !folder.is_empty()) {
                        self.folder = Some(PathBuf::from(folder));
                    }
                }
                "path" | "filepath" | "file" | "filename" | "abspath" | "absolutepath"
                | "targetfile" | "targetpath" | "notebookpath" | "oldpath" | "newpath"
                | "movepath" | "sourcepath" | "destination" | "destinationpath" | "uri" => {
                    self.path(Some(value));
                }
                // Names that also stand for code or text.
                "source" | "target" | "src" | "dest" | "dst" => {
                    self.path(
                        Some(value).filter(|v| v.as_str().is_some_and(|v| !v.contains('\n'))),
                    );
                }
                "paths" | "files" | "filepaths" => {
                    for item in items(Some(value)) {
                        self.path(Some(item));
                        if depth > 0 {
                            self.input(item, depth - 1);
                        }
                    }
                }
                // Codex: one entry per file, its path as the key.
                "changes" | "filechanges" if value.is_object() => {
                    for (path, change) in value.as_object().into_iter().flatten() {
                        self.diff = true;
                        self.path(Some(&Value::String(path.clone())));
                        if depth > 0 {
                            self.input(change, depth - 1);
                        }
                    }
                }
                _ if depth > 0 && value.is_object() => self.input(value, depth - 1),
                _ if depth > 0 && value.is_array() => {
                    for item in items(Some(value)) {
                        self.input(item, depth - 1);
                    }
                }
                _ => {}
            }
        }
    }

    /// What it does, in a few words: `edit src/x.rs`, `run cargo test`.
    pub(super) fn step(&self, show: impl Fn(&Path) -> String) -> Option<String> {
        let file = self.paths.first().map(|path| show(path));
        let verb = |verb: &str| match &file {
            Some(file) => Some(format!("{verb} {file}")),
            None => self.title.clone(),
        };
        let step = match self.kind.as_deref() {
            Some("edit") => verb("edit"),
            Some("read") => verb("read"),
            Some("delete") => verb("delete"),
            Some("move") => verb("move"),
            Some("execute") => match (&self.command, &self.title) {
                (Some(command), _) => Some(format!("run {command}")),
                (None, Some(title)) => Some(format!("run {}", title.trim_matches('`'))),
                (None, None) => None,
            },
            Some("think") => self.title.clone().or_else(|| Some("thinking".to_owned())),
            _ if self.diff => verb("edit"),
            _ => self.title.clone(),
        };
        step.map(|step| super::update::one_line(&step, 100))
    }
}

fn items(value: Option<&Value>) -> impl Iterator<Item = &Value> {
    // What lies beyond cannot be judged; it is bounded by the count of paths.
    value.and_then(Value::as_array).into_iter().flatten()
}

/// A command line from a string or a list of words; `["bash", "-lc", "x"]` is `x` to people.
fn command(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Array(words) => {
            let words: Vec<&str> = words.iter().filter_map(Value::as_str).collect();
            match words.as_slice() {
                [_, flag, script] if matches!(*flag, "-c" | "-lc") => (*script).to_owned(),
                words => words.join(" "),
            }
        }
        _ => return None,
    };
    let text = super::update::one_line(&text, 300);
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn facts(calls: &[Value]) -> ToolFacts {
        let mut facts = ToolFacts::default();
        for call in calls {
            facts.absorb(call);
        }
        facts
    }

    fn paths(call: Value) -> Vec<String> {
        facts(&[call])
            .paths
            .iter()
            .map(|path| path.display().to_string())
            .collect()
    }

    #[test]
    fn paths_are_found_wherever_agents_put_them() {
        assert_eq!(
            paths(json!({"locations": [{"path": "/a"}, {"path": "/a"}, {"x": 1}]})),
            ["/a"]
        );
        assert_eq!(
            paths(json!({"content": [{"type": "diff", "path": "/b", "newText": ""}]})),
            ["/b"]
        );
        assert_eq!(
            paths(json!({"rawInput": {"file_path": "/c", "content": "/no"}})),
            ["/c"]
        );
        assert_eq!(
            paths(json!({"rawInput": {"args": {"filePath": "/d"}}})),
            ["/d"]
        );
        assert_eq!(
            paths(json!({"rawInput": {"edits": [{"path": "/e"}]}})),
            ["/e"]
        );
        assert_eq!(
            paths(json!({"rawInput": {"paths": ["/f", "/g"]}})),
            ["/f", "/g"]
        );
        assert_eq!(
            paths(json!({"rawInput": {"changes": {"/h": {"update": {"move_path": "/i"}}}}})),
            ["/h", "/i"]
        );
        assert_eq!(paths(json!({"rawInput": {"uri": "file:///j"}})), ["/j"]);
        assert_eq!(
            paths(json!({"locations": "odd", "content": 7, "rawInput": []})),
            [""; 0]
        );
    }

    #[test]
    fn later_messages_add_and_never_take_away() {
        let all = facts(&[
            json!({"kind": "edit", "title": "Write", "locations": [{"path": "/outside"}]}),
            json!({"locations": [{"path": "/inside"}], "content": [{"type": "diff", "path": "/inside"}]}),
        ]);
        assert_eq!(all.kind.as_deref(), Some("edit"));
        assert_eq!(all.paths, [PathBuf::from("/outside"), "/inside".into()]);
        assert!(all.diff);
    }

    #[test]
    fn a_flood_of_paths_is_bounded() {
        let many: Vec<Value> = (0..1000)
            .map(|n| json!({"path": format!("/{n}")}))
            .collect();
        let all = facts(&[json!({"locations": many})]);
        assert_eq!(all.paths.len(), MAX_PATHS);
        assert!(all.too_many);
    }

    #[test]
    fn steps_read_well() {
        let step = |call: Value| facts(&[call]).step(|path| path.display().to_string());
        let is = |call: Value, text: &str| assert_eq!(step(call).as_deref(), Some(text));
        is(
            json!({"kind": "edit", "title": "Edit", "locations": [{"path": "src/x.rs"}]}),
            "edit src/x.rs",
        );
        is(
            json!({"kind": "execute", "title": "`cargo test`"}),
            "run cargo test",
        );
        is(
            json!({"kind": "execute", "rawInput": {"command": ["bash", "-lc", "make\nall"]}}),
            "run make all",
        );
        is(
            json!({"kind": "search", "title": "grep \u{1b}[31mfoo"}),
            "grep [31mfoo",
        );
        is(
            json!({"content": [{"type": "diff", "path": "a"}]}),
            "edit a",
        );
        assert_eq!(step(json!({})), None);
    }
}
