//! The shape of a section: its keys with their descriptions and defaults, and what they mean to each
//! other. Filled by `section!`; what a key takes is its own.

use serde_json::{Map, Value, json};

use super::pieces::described;

/// A section in the making.
#[derive(Default)]
pub(crate) struct Section {
    properties: Map<String, Value>,
    rules: Vec<Value>,
}

impl Section {
    /// `docs` are the lines of its doc comment.
    pub(crate) fn key(&mut self, key: &str, docs: &[&str], shape: Value, default: Option<Value>) {
        let mut shape = described(&joined(docs), shape);
        if let Some(default) = default {
            shape["default"] = default;
        }
        self.properties.insert(key.to_owned(), shape);
    }

    /// A key to come; what turns nothing on is allowed.
    pub(crate) fn later(&mut self, key: &str) {
        let nothing = json!({ "enum": ["off", false, 0, "0", "0s", "0%", []] });
        self.properties.insert(key.to_owned(), described("Not built yet.", nothing));
    }

    /// What the keys mean to each other: one of the functions of [`rule`].
    pub(crate) fn needs(&mut self, rule: Value) {
        self.rules.push(rule);
    }

    /// `example` is written as in a file.
    pub(crate) fn finish(self, title: &str, docs: &[&str], example: &str) -> Value {
        let example: Value = serde_yaml::from_str(example).unwrap_or_default();
        let mut section = json!({
            "title": title,
            "type": "object",
            "properties": self.properties,
            "additionalProperties": false,
            "examples": [example],
        });
        if !docs.is_empty() {
            section["description"] = joined(docs).into();
        }
        if !self.rules.is_empty() {
            section["allOf"] = self.rules.into();
        }
        section
    }
}

/// What `needs { … }` of a section may say.
pub(crate) mod rule {
    use serde_json::{Value, json};

    pub(crate) fn every(keys: &[&str]) -> Value {
        json!({ "required": keys })
    }

    pub(crate) fn one_of(keys: &[&str]) -> Value {
        let each: Vec<Value> = keys.iter().map(|key| json!({ "required": [key] })).collect();
        json!({ "oneOf": each })
    }

    pub(crate) fn some_of(keys: &[&str]) -> Value {
        let each: Vec<Value> = keys.iter().map(|key| json!({ "required": [key] })).collect();
        json!({ "anyOf": each })
    }

    pub(crate) fn at_most_one_of(keys: &[&str]) -> Value {
        let each: Vec<Value> = keys.iter().map(|key| json!({ "required": [key] })).collect();
        json!({ "anyOf": [{ "oneOf": each }, { "not": { "anyOf": each } }] })
    }
}

/// The lines of a doc comment as one.
fn joined(docs: &[&str]) -> String {
    docs.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ")
}
