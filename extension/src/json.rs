//! Fields out of JSON that others wrote.

use serde_json::Value;

/// A field of an object, taken out of it.
pub(crate) fn remove(value: &mut Value, name: &str) -> Option<Value> {
    value.as_object_mut()?.remove(name)
}

/// A field that is text, taken out of its object.
pub(crate) fn text(value: &mut Value, name: &str) -> Option<String> {
    match remove(value, name) {
        Some(Value::String(text)) => Some(text),
        _ => None,
    }
}
