//! What the tests of this crate share: a registry, the schema's validator, YAML as JSON.
#![allow(dead_code, reason = "not every test file needs everything")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use isobar_config::model::Listener;
use isobar_config::{
    BadOption, Colour, Loaded, OptionShape, Registry, Serves, StrategyDef, load_str,
};
use jsonschema::Validator;
use serde_json::Value;

/// Five strategies; two of them have options.
pub fn registry() -> Registry {
    let names = ["round_robin", "weighted", "least_connections", "ip_hash", "hash"];
    let def = |name| {
        let options = match name {
            "ip_hash" => vec![
                OptionShape::words(&["maglev", "ring"]).named("table", "which", "maglev"),
                OptionShape::number(1.0, 10.0).named("bounded", "how far", ""),
            ],
            "hash" => vec![OptionShape::words(&["uri", "client_ip"]).named("key", "which", "")],
            _ => Vec::new(),
        };
        StrategyDef {
            name,
            about: "how",
            schema: OptionShape::map(options),
            options: match name {
                "ip_hash" => tabled,
                "hash" => keyed,
                _ => none,
            },
        }
    };
    Registry { strategies: names.into_iter().map(def).collect() }
}

type Options = BTreeMap<String, String>;

fn none(options: &Options) -> Result<Serves, BadOption> {
    only(options, &[])
}

fn only(options: &Options, known: &[&'static str]) -> Result<Serves, BadOption> {
    let unknown = options.keys().find(|option| !known.contains(&option.as_str()));
    unknown.map_or(Ok(Serves::Anything), |option| {
        Err(BadOption::Unknown { option: option.clone(), known: known.to_vec() })
    })
}

fn tabled(options: &Options) -> Result<Serves, BadOption> {
    let bad = |option| BadOption::Value { option, expected: "something else", hint: None };
    if options.get("table").is_some_and(|table| !matches!(table.as_str(), "maglev" | "ring")) {
        return Err(bad("table"));
    }
    let number = options.get("bounded").map(|text| text.parse());
    match number.unwrap_or(Ok(1.0)) {
        Ok(1.0..=10.0) => only(options, &["table", "bounded"]),
        _ => Err(bad("bounded")),
    }
}

/// What goes by the URI can only serve HTTP.
fn keyed(options: &Options) -> Result<Serves, BadOption> {
    only(options, &["key", "table"])?;
    match options.get("key").map(String::as_str) {
        Some("uri") => Ok(Serves::Http),
        Some("client_ip") => Ok(Serves::Anything),
        _ => Err(BadOption::Value { option: "key", expected: "a key", hint: Some("try uri") }),
    }
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

/// One listener, in its block form, before two pools.
pub fn with_listener(listener: &str) -> Listener {
    let text = format!(
        "pools: {{ app: {{ workers: [127.0.0.1:1] }}, b: {{ workers: [127.0.0.1:2] }} }}\nlisteners:\n  web:\n{listener}"
    );
    good(&text).config.listeners["web"].clone()
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

/// Everything that is told about a file that is refused.
#[track_caller]
pub fn refused(text: &str) -> String {
    let problems = load_str(text, &registry()).expect_err(text);
    problems.render(Colour::Never)
}

/// A file with these keys in its listener and in its pool.
pub fn file(listener: &str, pool: &str) -> String {
    format!(
        "listeners:\n  web: {{ bind: 127.0.0.1:0, pool: app{listener} }}\n\
         pools:\n  app: {{ workers: [127.0.0.1:1]{pool} }}\n"
    )
}

/// One error: its place, and what it says.
#[track_caller]
pub fn one(text: &str, parts: &[&str]) {
    let told = refused(text);
    assert_eq!(told.matches("error: ").count(), 1, "{text}\n{told}");
    for part in parts {
        assert!(told.contains(part), "{text}\n{told}\nmisses {part}");
    }
}

/// One warning: its place, and what it says.
#[track_caller]
pub fn warned(text: &str, parts: &[&str]) {
    let told = good(text).warnings.render(Colour::Never);
    assert_eq!(told.matches("warning: ").count(), 1, "{text}\n{told}");
    for part in parts {
        assert!(told.contains(part), "{text}\n{told}\nmisses {part}");
    }
}
