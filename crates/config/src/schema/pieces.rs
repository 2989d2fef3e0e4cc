//! What shapes are made of: texts by their pattern, numbers by their bounds, words, lists, one of
//! several. It knows no name and no section.

use serde_json::{Value, json};

/// Where the environment has its part.
pub(crate) const FILLED: &str = r"\$[{$]";

/// A string that matches the whole of `pattern`.
pub(crate) fn text(pattern: &str) -> Value {
    json!({ "type": "string", "pattern": whole(pattern) })
}

/// The same for what may also look like a number or a truth in YAML: its text is taken.
pub(crate) fn scalar(pattern: &str) -> Value {
    json!({ "type": ["string", "number", "boolean"], "pattern": whole(pattern) })
}

/// A whole number, quoted or not.
pub(crate) fn number(least: u64, most: u64) -> Value {
    let mut number = text(r"\+?(?:0x[0-9A-Fa-f]+|0o[0-7]+|0b[01]+|[0-9]+)");
    number["type"] = json!(["integer", "string"]);
    number["minimum"] = least.into();
    number["maximum"] = most.into();
    number
}

pub(crate) const IPV4: &str =
    r"(?:(?:25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])\.){3}(?:25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])";
pub(crate) const IPV6: &str = "[0-9A-Fa-f]*:[0-9A-Fa-f]*:[0-9A-Fa-f:.]*(?:%[0-9]+)?";
pub(crate) const PORT: &str =
    "0*(?:6553[0-5]|655[0-2][0-9]|65[0-4][0-9]{2}|6[0-4][0-9]{3}|[1-5]?[0-9]{1,4})";
/// No control character.
pub(crate) const PRINTABLE: &str = r"[^\u0000-\u001f\u007f-\u009f]+";

/// One of these words.
pub(crate) fn words(words: &[&str]) -> Value {
    any_of([json!({ "enum": words }), environment()])
}

/// A scalar that the environment fills in: what it will say is not known yet.
pub(super) fn environment() -> Value {
    json!({ "type": "string", "pattern": FILLED })
}

fn whole(pattern: &str) -> String {
    format!("^(?:{pattern})$|{FILLED}")
}

/// Adds a description; one of its own stays readable behind a reference only.
pub(crate) fn described(description: &str, mut shape: Value) -> Value {
    shape["description"] = description.into();
    shape
}

/// The same for a kind of values, which keeps its words where a key adds its own: they are its title.
pub(crate) fn called(words: &str, mut shape: Value) -> Value {
    shape["title"] = words.into();
    described(words, shape)
}

pub(crate) fn list(item: Value) -> Value {
    json!({ "type": "array", "items": item })
}

/// Any of these; an alternative that only lists alternatives is opened up.
pub(crate) fn any_of(shapes: impl IntoIterator<Item = Value>) -> Value {
    let mut all: Vec<Value> = Vec::new();
    for mut shape in shapes {
        let only = shape.as_object().is_some_and(|s| s.len() == 1);
        let inner = match shape.get_mut("anyOf") {
            Some(Value::Array(inner)) if only => std::mem::take(inner),
            _ => vec![shape],
        };
        for shape in inner {
            if !all.contains(&shape) {
                all.push(shape);
            }
        }
    }
    json!({ "anyOf": all })
}
