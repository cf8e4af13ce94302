//! Redaction of JSON values.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::{blob, engine::Redactor};

/// Parts of names that may mean a secret; the rules decide.
const NAMES: [&str; 8] = [
    "key", "token", "secret", "pass", "pwd", "auth", "cred", "cookie",
];

impl Redactor {
    /// Redacts every string of a JSON value in place, keys included; says whether any changed.
    ///
    /// Content in base64 beside its `mimeType` becomes kind, size and digest. A value is also judged
    /// by its key, and by the `name` beside it as in a list of variables.
    pub fn json(&self, value: &mut Value) -> bool {
        match value {
            Value::String(text) => match self.text(text) {
                Cow::Borrowed(_) => false,
                Cow::Owned(clean) => {
                    *text = clean;
                    true
                }
            },
            Value::Array(items) => items
                .iter_mut()
                .fold(false, |any, item| self.json(item) | any),
            Value::Object(map) => self.object(map),
            Value::Null | Value::Bool(_) | Value::Number(_) => false,
        }
    }

    fn object(&self, map: &mut Map<String, Value>) -> bool {
        let mut changed = content(map);
        let name = map
            .get("name")
            .and_then(Value::as_str)
            .map(ToOwned::to_owned);
        for (key, value) in map.iter_mut() {
            let named = match &name {
                Some(name) if key == "value" => name,
                _ => key,
            };
            match value {
                Value::String(text) if means_secret(named) => {
                    if let Some(placeholder) = self.member(named, text) {
                        *text = placeholder;
                        changed = true;
                        continue;
                    }
                }
                _ => {}
            }
            changed |= self.json(value);
        }
        if map
            .keys()
            .any(|key| matches!(self.text(key), Cow::Owned(_)))
        {
            changed = true;
            *map = std::mem::take(map)
                .into_iter()
                .map(|(key, item)| (self.text(&key).into_owned(), item))
                .collect();
        }
        changed
    }
}

fn means_secret(name: &str) -> bool {
    let name = name.as_bytes();
    NAMES.iter().any(|part| {
        name.windows(part.len())
            .any(|window| window.eq_ignore_ascii_case(part.as_bytes()))
    })
}

/// Replaces the binary content that an object holds, as content blocks of ACP and MCP do.
fn content(map: &mut Map<String, Value>) -> bool {
    let text = |name: &str| map.get(name).and_then(Value::as_str);
    let mime = match (text("mimeType"), text("type")) {
        (Some(mime), _) => mime.to_owned(),
        (None, Some(kind @ ("image" | "audio"))) => kind.to_owned(),
        _ => return false,
    };
    let mut changed = false;
    for name in ["data", "blob"] {
        if let Some(Value::String(data)) = map.get_mut(name)
            && !data.is_empty()
            && !data.starts_with('«')
        {
            *data = blob::of_member(&mime, data);
            changed = true;
        }
    }
    changed
}
