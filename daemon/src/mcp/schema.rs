//! JSON schemas of tools, in the plain form that every client and model understands.

use std::sync::Arc;

use rmcp::model::JsonObject;
use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::Value;

/// The schema of what a tool takes: absent instead of null.
pub(super) fn input<T: JsonSchema>() -> Arc<JsonObject> {
    object::<T>(SchemaSettings::draft2020_12(), true)
}

/// The schema of what a tool answers.
pub(super) fn output<T: JsonSchema>() -> Arc<JsonObject> {
    object::<T>(SchemaSettings::draft2020_12().for_serialize(), false)
}

fn object<T: JsonSchema>(settings: SchemaSettings, plain_options: bool) -> Arc<JsonObject> {
    let settings = settings.with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    let mut value = Value::from(settings.into_generator().into_root_schema_for::<T>());
    simplify(&mut value, plain_options);
    let mut object = match value {
        Value::Object(object) => object,
        _ => JsonObject::new(),
    };
    // The name and the doc of the Rust type say nothing to a client.
    object.remove("title");
    object.remove("description");
    object
        .entry("properties")
        .or_insert_with(|| JsonObject::new().into());
    Arc::new(object)
}

/// Takes out what strict validators warn about (`format: uint32`), and for inputs the null that an
/// absent field needs not say.
fn simplify(value: &mut Value, plain_options: bool) {
    match value {
        Value::Object(object) => {
            let machine = ["int", "uint"];
            if matches!(object.get("format"), Some(Value::String(format)) if machine.iter().any(|word| format.starts_with(word)))
            {
                object.remove("format");
            }
            // Texts are wrapped for those who read the source.
            if let Some(Value::String(text)) = object.get_mut("description") {
                *text = text.replace('\n', " ");
            }
            if plain_options {
                if let Some(Value::Array(types)) = object.get_mut("type") {
                    types.retain(|name| name != "null");
                    if let [one] = types.as_slice() {
                        let one = one.clone();
                        object.insert("type".into(), one);
                    }
                }
                if object.get("default") == Some(&Value::Null) {
                    object.remove("default");
                }
            }
            object
                .values_mut()
                .for_each(|value| simplify(value, plain_options));
        }
        Value::Array(values) => values
            .iter_mut()
            .for_each(|value| simplify(value, plain_options)),
        _ => {}
    }
}
