//! Conversations, one JSON file each, written before anything is said.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

pub(crate) struct Memory(PathBuf);

impl Memory {
    pub(crate) fn new(folder: PathBuf) -> Self {
        let _ = fs::create_dir_all(&folder);
        Self(folder)
    }

    fn path(&self, id: &str) -> Option<PathBuf> {
        let plain = id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        (plain && !id.is_empty()).then(|| self.0.join(format!("{id}.json")))
    }

    pub(crate) fn create(&self, cwd: &Value) -> String {
        let id = format!("echo-{}", uuid::Uuid::now_v7());
        self.write(
            &id,
            &json!({"cwd": cwd, "turns": [], "mode": "code", "loud": false}),
        );
        id
    }

    pub(crate) fn read(&self, id: &str) -> Option<Value> {
        let text = fs::read_to_string(self.path(id)?).ok()?;
        serde_json::from_str(&text).ok()
    }

    pub(crate) fn write(&self, id: &str, conversation: &Value) {
        let Some(path) = self.path(id) else { return };
        let new = path.with_extension(format!("{}.new", std::process::id()));
        let written =
            fs::write(&new, conversation.to_string()).and_then(|()| fs::rename(&new, &path));
        if let Err(error) = written {
            eprintln!("the conversation {id} cannot be kept: {error}");
        }
    }

    pub(crate) fn change(&self, id: &str, change: impl FnOnce(&mut Value)) {
        if let Some(mut conversation) = self.read(id) {
            change(&mut conversation);
            self.write(id, &conversation);
        }
    }

    pub(crate) fn delete(&self, id: &str) {
        if let Some(path) = self.path(id) {
            let _ = fs::remove_file(path);
        }
    }

    pub(crate) fn all(&self) -> Vec<(String, Value)> {
        let files = fs::read_dir(&self.0).into_iter().flatten().flatten();
        let mut found: Vec<_> = files
            .filter_map(|entry| {
                let path = entry.path();
                let id = Path::new(path.file_name()?)
                    .file_stem()?
                    .to_str()?
                    .to_owned();
                let conversation = path.extension().is_some_and(|end| end == "json");
                Some((id.clone(), conversation.then(|| self.read(&id)).flatten()?))
            })
            .collect();
        found.sort_by(|a, b| a.0.cmp(&b.0));
        found
    }
}
