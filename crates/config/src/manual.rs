//! The reference of every key, for people: docs/configuration.md and the page isobar.yaml(5).
//!
//! Made from the schema, which the types that read a file describe, and from `manual/every-key.yaml`,
//! which has every key once: no key, default or example is written a second time.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::registry::Registry;
use crate::schema::schema;

mod pages;
mod value;

/// Every key once, with a value that is right.
const EVERY_KEY: &str = include_str!("manual/every-key.yaml");

/// The version that had all keys that do not say theirs.
const FIRST: &str = "0.1.0";

/// The reference as Markdown.
pub fn markdown() -> String {
    pages::markdown(&sections())
}

/// The manual page isobar.yaml(5), as roff.
pub fn manual_page() -> String {
    pages::roff(&sections())
}

/// A map of the file, and its keys.
struct Section {
    /// Where it stands: `pools.NAME.health.http`.
    place: String,
    /// Where else it stands.
    also: Vec<String>,
    about: String,
    keys: Vec<Key>,
}

struct Key {
    name: String,
    meaning: String,
    /// What it takes, in words.
    takes: String,
    default: String,
    example: String,
    since: String,
}

/// What is being described: the schema, and the file that every example is from.
struct Source {
    schema: Value,
    every_key: Value,
}

fn sections() -> Vec<Section> {
    let schema = schema(&Registry::default());
    let every_key = serde_yaml::from_str(EVERY_KEY).unwrap_or_default();
    let source = Source { schema, every_key };
    let mut found = Vec::new();
    // A section that several keys hold is told where it stands first.
    let mut seen = BTreeMap::new();
    let root = source.schema["$ref"].clone();
    source.walk(&serde_json::json!({ "$ref": root }), "", &mut seen, &mut found);
    found
}

impl Source {
    fn walk(
        &self,
        shape: &Value,
        place: &str,
        seen: &mut BTreeMap<String, usize>,
        found: &mut Vec<Section>,
    ) {
        if let Some(name) = shape["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
            let section = &self.schema["$defs"][name];
            if !section["properties"].is_object() {
                return self.walk(section, place, seen, found);
            }
            match seen.get(name) {
                None => {
                    seen.insert(name.to_owned(), found.len());
                    self.section(name, section, place, seen, found);
                }
                Some(first) => found[*first].also.push(place.to_owned()),
            }
            return;
        }
        for other in shape["anyOf"].as_array().into_iter().flatten() {
            self.walk(other, place, seen, found);
        }
        if shape["items"].is_object() {
            self.walk(&shape["items"], &format!("{place}[]"), seen, found);
        }
        if shape["additionalProperties"].is_object() {
            self.walk(&shape["additionalProperties"], &format!("{place}.NAME"), seen, found);
        }
    }

    fn section(
        &self,
        name: &str,
        section: &Value,
        place: &str,
        seen: &mut BTreeMap<String, usize>,
        found: &mut Vec<Section>,
    ) {
        let place = place.trim_start_matches('.');
        let examples = self.examples(name);
        let mut keys = Vec::new();
        let properties = section["properties"].as_object();
        for (key, shape) in properties.into_iter().flatten() {
            let description = shape["description"].as_str().unwrap_or_default();
            let (meaning, since) = match description.split_once(" Since ") {
                Some((meaning, since)) => (meaning, since.trim_end_matches('.')),
                None => (description, FIRST),
            };
            // Nobody can use it yet.
            if meaning == "Not built yet." {
                continue;
            }
            keys.push(Key {
                name: key.clone(),
                meaning: meaning.to_owned(),
                takes: value::takes(shape, &self.schema),
                default: shape.get("default").map(value::flow).unwrap_or_default(),
                example: examples.get(key).cloned().unwrap_or_default(),
                since: since.to_owned(),
            });
        }
        found.push(Section {
            place: place.to_owned(),
            also: Vec::new(),
            about: section["description"].as_str().unwrap_or_default().to_owned(),
            keys,
        });
        for (key, shape) in properties.into_iter().flatten() {
            self.walk(shape, &format!("{place}.{key}"), seen, found);
        }
    }

    /// The first short value that the file with every key has for each key of a section.
    fn examples(&self, section: &str) -> BTreeMap<String, String> {
        let mut all = BTreeMap::new();
        let root = self.schema["$ref"].clone();
        let root = serde_json::json!({ "$ref": root });
        self.visit(&root, "", &self.every_key, &mut |at, key, value| {
            if at == section {
                let text = format!("{key}: {}", value::flow(value));
                if text.chars().count() <= value::LONGEST {
                    all.entry(key.to_owned()).or_insert(text);
                }
            }
        });
        all
    }

    /// Every key of the instance, with the section that reads it.
    fn visit(
        &self,
        shape: &Value,
        section: &str,
        instance: &Value,
        told: &mut dyn FnMut(&str, &str, &Value),
    ) {
        if let Some(name) = shape["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
            return self.visit(&self.schema["$defs"][name], name, instance, told);
        }
        for other in shape["anyOf"].as_array().into_iter().flatten() {
            self.visit(other, section, instance, told);
        }
        match instance {
            Value::Object(map) => {
                for (key, value) in map {
                    let known = &shape["properties"][key];
                    if known.is_object() {
                        told(section, key, value);
                        self.visit(known, section, value, told);
                    } else if shape["additionalProperties"].is_object() {
                        self.visit(&shape["additionalProperties"], section, value, told);
                    }
                }
            }
            Value::Array(items) if shape["items"].is_object() => {
                items.iter().for_each(|item| self.visit(&shape["items"], section, item, told));
            }
            _ => {}
        }
    }
}
