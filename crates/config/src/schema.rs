//! The JSON Schema (draft 2020-12) of a configuration, told by the very types that read it.
//!
//! Every reader says what it takes in [`Read::shape`]; `section!` and `words!` do so for what they
//! make, so that a key without a description does not compile and a type without a shape neither.
//! What is built from these pieces is decided there; here are the pieces and the frame. A schema may
//! take more than the reader (what values mean to each other is `convert`'s), never less.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::raw::File;
use crate::read::Read;
use crate::registry::{Registry, StrategyDef};

/// For editors, and whatever checks a file before Isobar does; YAML is read as its JSON.
pub fn schema(registry: &Registry) -> Value {
    let mut shapes = Shapes { registry, named: BTreeMap::new() };
    let root = File::shape(&mut shapes);
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Isobar configuration",
        "$ref": root["$ref"],
        "$defs": shapes.named,
    })
}

/// What every shape needs at hand, and the shapes that have a name.
pub(crate) struct Shapes<'r> {
    pub(crate) registry: &'r Registry,
    named: BTreeMap<String, Value>,
}

impl Shapes<'_> {
    /// A reference to a shape that stands in the schema once.
    pub(crate) fn named(&mut self, name: &str, make: impl FnOnce(&mut Self) -> Value) -> Value {
        if !self.named.contains_key(name) {
            // Whoever holds itself finds its name taken.
            self.named.insert(name.to_owned(), Value::Null);
            let shape = make(self);
            self.named.insert(name.to_owned(), shape);
        }
        json!({ "$ref": format!("#/$defs/{name}") })
    }

    /// `off` or `false`.
    pub(crate) fn off(&mut self) -> Value {
        self.named("off", |_| {
            described(
                "turned off",
                any_of([json!({ "enum": ["off", false, "false"] }), environment()]),
            )
        })
    }

    /// A strategy's name, or a map from it to its options; both as the registry tells them.
    pub(crate) fn strategies(&mut self) -> Value {
        self.named("strategy", |shapes| {
            let known = &shapes.registry.strategies;
            let word = |def: &StrategyDef| json!({ "const": def.name, "description": def.about });
            let mut all: Vec<Value> = known.iter().map(word).collect();
            let with = |def: &StrategyDef| {
                let options = described(def.about, def.schema.clone());
                (def.name.to_owned(), any_of([options, json!({ "type": "null" })]))
            };
            let maps: Map<String, Value> = known.iter().map(with).collect();
            all.push(json!({
                "type": "object",
                "properties": maps,
                "additionalProperties": false,
                "minProperties": 1,
                "maxProperties": 1,
            }));
            all.push(environment());
            described("how a worker is chosen", any_of(all))
        })
    }
}

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
fn environment() -> Value {
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

/// The lines of a doc comment as one.
fn joined(docs: &[&str]) -> String {
    docs.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ")
}
