//! What the tests of this crate share: a registry, the schema's validator, YAML as JSON.
#![allow(dead_code, reason = "not every test file needs everything")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use isobar_config::{Colour, Loaded, OptionShape, Registry, StrategyDef, load_str};
use jsonschema::Validator;
use serde_json::Value;

/// Four strategies; one of them has options.
pub fn registry() -> Registry {
    let names = ["round_robin", "weighted", "least_connections", "ip_hash"];
    let def = |name| {
        let options = match name {
            "ip_hash" => vec![
                OptionShape::words(&["maglev", "ring"]).named("table", "which", "maglev"),
                OptionShape::number(1.0, 10.0).named("bounded", "how far", ""),
            ],
            _ => Vec::new(),
        };
        StrategyDef {
            name,
            about: "how",
            schema: OptionShape::map(options),
            options: if name == "ip_hash" { hash } else { none },
        }
    };
    Registry { strategies: names.into_iter().map(def).collect() }
}

fn none(options: &BTreeMap<String, String>) -> Result<(), String> {
    options.keys().next().map_or(Ok(()), |key| Err(format!("there is no option `{key}`")))
}

fn hash(options: &BTreeMap<String, String>) -> Result<(), String> {
    let good = |key: &str, value: &str| match key {
        "table" => matches!(value, "maglev" | "ring"),
        "bounded" => value.parse().is_ok_and(|n: f64| (1.0..=10.0).contains(&n)),
        _ => false,
    };
    let wrong = options.iter().find(|(key, value)| !good(key, value));
    wrong.map_or(Ok(()), |(key, _)| Err(format!("there is no option `{key}`")))
}

/// What a good file means; it is of the shape that the schema tells.
#[track_caller]
pub fn good(text: &str) -> Loaded {
    let loaded = load_str(text, &registry())
        .unwrap_or_else(|p| panic!("{text}\n{}", p.render(Colour::Never)));
    let objections = objections(&validator(), &as_json(text).expect("YAML"));
    assert!(objections.is_empty(), "{text}\n{objections:?}");
    loaded
}

pub fn schema() -> Value {
    isobar_config::schema(&registry())
}

pub fn validator() -> Validator {
    jsonschema::draft202012::new(&schema()).expect("a schema")
}

/// As an editor sees a file; None: it is not YAML.
pub fn as_json(text: &str) -> Option<Value> {
    serde_yaml::from_str(text).ok().map(json)
}

fn json(value: serde_yaml::Value) -> Value {
    match value {
        serde_yaml::Value::Mapping(map) => {
            let name = |key: serde_yaml::Value| match json(key) {
                Value::String(name) => name,
                other => other.to_string(),
            };
            Value::Object(map.into_iter().map(|(k, v)| (name(k), json(v))).collect())
        }
        serde_yaml::Value::Sequence(items) => Value::Array(items.into_iter().map(json).collect()),
        serde_yaml::Value::Tagged(tagged) => json(tagged.value),
        other => serde_json::to_value(other).expect("a scalar"),
    }
}

/// What the schema says against it, and where.
pub fn objections(validator: &Validator, instance: &Value) -> Vec<String> {
    let told =
        |error: jsonschema::ValidationError<'_>| format!("{}: {error}", error.instance_path());
    validator.iter_errors(instance).map(told).collect()
}

pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The YAML files of a directory, in order.
pub fn yaml_files(dir: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root().join(dir)).expect("a directory");
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|e| e == "yaml"))
        .collect();
    files.sort();
    files
}
