//! The schema and the readers say the same: every key, every default, every refusal it can express.

mod kit;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;

use isobar_config::load_str_with;
use kit::{as_json, objections, registry, schema, validator, yaml_files};
use serde_json::{Value, json};

/// Hostile, and of the right shape: what is wrong is what the values mean to each other.
const NOT_A_QUESTION_OF_SHAPE: &[(&str, &str)] = &[
    ("bad-environment", "what the environment says is not known"),
    ("dangling-pool", "names refer to each other"),
    ("dangling-site", "names refer to each other"),
    ("duplicate-address", "values of the same kind are compared"),
    ("duplicate-name", "values of the same kind are compared"),
    ("include-itself", "another file"),
];

fn every_key() -> String {
    fs::read_to_string(kit::root().join("crates/config/src/manual/every-key.yaml")).unwrap()
}

/// Whether Isobar takes it; every variable of the environment is set.
fn taken(text: &str) -> bool {
    refusal(text).is_empty()
}

fn refusal(text: &str) -> String {
    let read =
        load_str_with(text, &registry(), &|name| variable(name).or_else(|| Some("1".to_owned())));
    read.map_or_else(|problems| problems.to_string(), |_| String::new())
}

/// What the file with every key takes from the environment.
fn variable(name: &str) -> Option<String> {
    match name {
        "USERS" => Some(include_str!("users").to_owned()),
        "SECRET" => Some("0123456789abcdef".to_owned()),
        _ => None,
    }
}

fn as_yaml(instance: &Value) -> String {
    serde_yaml::to_string(instance).unwrap()
}

#[test]
fn it_is_a_schema() {
    jsonschema::meta::validate(&schema()).unwrap();
    let named = schema()["$defs"].as_object().unwrap().len();
    assert!(named > 20, "{named}");
}

/// What messages show to whoever wrote something else is right.
#[test]
fn the_example_of_every_section_is_of_its_shape() {
    let schema = schema();
    let mut examples = 0;
    for (section, shape) in schema["$defs"].as_object().unwrap() {
        if shape["properties"].is_null() {
            continue;
        }
        let mut alone = json!({ "$ref": format!("#/$defs/{section}") });
        alone["$defs"] = schema["$defs"].clone();
        let validator = jsonschema::draft202012::new(&alone).unwrap();
        let example = &shape["examples"][0];
        assert_eq!(objections(&validator, example), Vec::<String>::new(), "{section}: {example}");
        examples += 1;
    }
    assert!(examples > 30, "{examples}");
    let file = as_yaml(&schema["$defs"]["File"]["examples"][0]);
    assert_eq!(refusal(&file), "");
}

#[test]
fn the_file_with_every_key_has_every_key() {
    let text = every_key();
    let instance = as_json(&text).unwrap();
    assert!(taken(&text));
    assert_eq!(objections(&validator(), &instance), Vec::<String>::new());
    let schema = schema();
    let mut met = BTreeSet::new();
    each_key(&schema, &instance, &mut |at| {
        met.insert((at.section.to_owned(), at.key.to_owned()));
    });
    for (section, shape) in schema["$defs"].as_object().unwrap() {
        for (key, shape) in shape["properties"].as_object().into_iter().flatten() {
            let description = shape["description"].as_str().unwrap_or_default();
            assert!(description.len() > 3, "{section}.{key} has no description");
            let place = (section.clone(), key.clone());
            assert!(
                met.contains(&place) || description == "Not built yet.",
                "`{key}` of {section} is missing in crates/config/src/manual/every-key.yaml"
            );
        }
    }
}

#[test]
fn what_is_structurally_wrong_is_refused() {
    let validator = validator();
    let mut refused = 0;
    for path in yaml_files("tests/hostile-configs") {
        let name = path.file_stem().unwrap().to_str().unwrap();
        // What is no YAML has no shape.
        let Some(instance) = fs::read_to_string(&path).ok().and_then(|text| as_json(&text)) else {
            continue;
        };
        let reason = NOT_A_QUESTION_OF_SHAPE.iter().find(|(other, _)| *other == name);
        match (validator.is_valid(&instance), reason) {
            (true, None) => panic!("{name} is of the right shape"),
            (false, Some((_, reason))) => panic!("{name} is refused, and not for: {reason}"),
            (true, Some(_)) => {}
            (false, None) => refused += 1,
        }
    }
    assert!(refused >= 20, "{refused}");
}

/// Leaving a key out means its default.
#[test]
fn defaults_are_those_that_are_read() {
    let schema = schema();
    let instance = as_json(&every_key()).unwrap();
    let load = |instance: &Value| {
        let text = as_yaml(instance);
        load_str_with(&text, &registry(), &variable)
            .map(|loaded| loaded.config)
            .unwrap_or_else(|problems| panic!("{text}\n{problems}"))
    };
    let mut seen = 0;
    each_key(&schema, &instance, &mut |at| {
        // `sni` leads somewhere, and only without HTTP.
        let beside = instance.pointer(at.parent).unwrap();
        if at.key == "sni" || at.key == "protocol" && beside.get("sni").is_some() {
            return;
        }
        // Strategies read their own options; their conformance suite asks them.
        let Some(default) = at.shape.get("default").filter(|_| at.section != "strategy") else {
            return;
        };
        let mut without = instance.clone();
        remove(&mut without, at.parent, at.key);
        let mut with = instance.clone();
        with.pointer_mut(at.parent).unwrap()[at.key] = default.clone();
        assert_eq!(load(&without), load(&with), "{}/{} is {default}", at.parent, at.key);
        seen += 1;
    });
    assert!(seen >= 30, "{seen}");
}

/// Whatever stands in the place of a value or is missing: what is read is of the right shape, and what
/// is refused is refused by the schema too, but for what no shape can tell.
#[test]
fn the_schema_takes_what_is_read_and_hardly_more() {
    let schema = schema();
    let validator = validator();
    let instance = as_json(&every_key()).unwrap();
    let mut tried = 0;
    let mut leaks = String::new();
    let mut judge = |instance: &Value, at: &str, value: &Value| {
        tried += 1;
        let refusal = refusal(&as_yaml(instance));
        let read = refusal.is_empty();
        let valid = validator.is_valid(instance);
        let objections = || objections(&validator, instance);
        assert!(valid || !read, "{at}: {value} is read, but {:?}", objections());
        let to_come = refusal.contains("is not built yet");
        if !(read || !valid || to_come || beyond_shape(at, value)) {
            let _ = writeln!(leaks, "{at}: {value} is of the right shape, but {refusal}");
        }
    };
    let mut seen = BTreeSet::new();
    each_key(&schema, &instance, &mut |at| {
        if !seen.insert((at.section.to_owned(), at.key.to_owned())) {
            return;
        }
        let place = format!("{}/{}", at.parent, at.key);
        let mut without = instance.clone();
        remove(&mut without, at.parent, at.key);
        judge(&without, &place, &json!(null));
        for value in [json!([]), json!({}), json!(null), json!([{ "unknown": 1 }])] {
            judge(&with(&instance, &place, &value), &place, &value);
        }
        for place in leaves(&instance, &place) {
            // A third of them each: every kind of value meets several keys.
            for value in samples().into_iter().skip(seen.len() % 3).step_by(3) {
                judge(&with(&instance, &place, &value), &place, &value);
            }
        }
        let unknown = with(&instance, at.parent, &json!({ "unknown": 1 }));
        assert!(!validator.is_valid(&unknown), "{} takes any key", at.parent);
    });
    assert!(tried > 1500, "{tried}");
    assert!(leaks.is_empty(), "{leaks}");
}

/// What is refused for other reasons than its shape.
fn beyond_shape(at: &str, value: &Value) -> bool {
    let key = at.rsplit('/').find(|part| part.parse::<u32>().is_err()).unwrap_or_default();
    // What is in the files decides, and what a certificate can name.
    if matches!(key, "cert" | "key" | "client_ca" | "crl" | "ca" | "server_name") {
        return true;
    }
    match value {
        // A whole list or section that is missing or empty, and meant by others.
        Value::Null | Value::Array(_) | Value::Object(_) => {
            matches!(
                key,
                "bind"
                    | "listeners"
                    | "pools"
                    | "sites"
                    | "expect"
                    | "workers"
                    | "requests"
                    | "certificates"
            )
        }
        // The one is compared with the other; a worker with a name has no host name.
        Value::String(_) | Value::Number(_) if at.contains("/resolve/") => true,
        Value::String(_) if key == "address" => true,
        // Names and files are referred to; only an IP address has metrics; a mode's quotes matter.
        _ if matches!(key, "pool" | "routes" | "include") || at == "/metrics/bind" => true,
        Value::Number(_) if key == "mode" => true,
        // What is in the file or the variable decides.
        _ if at.contains("/users/") || at.contains("/secret/") => true,
        // Durations that are compared with each other, or have a least.
        _ if matches!(key, "base_ejection" | "longest_ejection" | "window" | "within") => true,
        // The environment, which is `1` here, and the bounds of a number in quotes.
        Value::String(text) => text.contains("${") || text.bytes().all(|b| b.is_ascii_digit()),
        _ => false,
    }
}

fn with(instance: &Value, place: &str, value: &Value) -> Value {
    let mut changed = instance.clone();
    *changed.pointer_mut(place).unwrap() = value.clone();
    changed
}

/// The scalars that stand at a place: itself, or the items of its list.
fn leaves(instance: &Value, place: &str) -> Vec<String> {
    match instance.pointer(place) {
        Some(Value::Object(_)) | None => Vec::new(),
        Some(Value::Array(items)) => {
            let scalars = items.iter().enumerate().filter(|(_, item)| !item.is_object());
            scalars.map(|(n, _)| format!("{place}/{n}")).take(1).collect()
        }
        Some(_) => vec![place.to_owned()],
    }
}

/// Values of every kind that a file may hold.
fn samples() -> Vec<Value> {
    let words = [
        "",
        "x",
        "a b",
        "off",
        "on",
        "true",
        "auto",
        "0",
        "1",
        "5",
        "-1",
        "0s",
        "5s",
        "250ms",
        "1h30m",
        "1.5 s",
        "5 parsecs",
        "64KiB",
        "1MB",
        "64k",
        "50%",
        "10.0.0.0/8",
        "300.0.0.0/8",
        "::1",
        "127.0.0.1",
        "127.0.0.1:80",
        "127.0.0.1:99999",
        "[::1]:80",
        "unix:/tmp/x.sock",
        "unix:",
        "fd:4",
        "fd:-1",
        "stdout",
        "/tmp/x",
        "/tmp/",
        "/a?b",
        "*",
        "*.example.com",
        "a.example:80",
        "GET",
        "G ET",
        "200",
        "200-299",
        "600",
        "0660",
        "json",
        "http",
        "tcp",
        "round_robin",
        "app",
        "${VAR}",
        "a${VAR:-b}",
        "$1",
        "\u{7}",
        "\u{e9}",
    ];
    let numbers = [json!(0), json!(1), json!(5), json!(200), json!(70_000), json!(-1), json!(1.5)];
    words.into_iter().map(Value::from).chain(numbers).chain([json!(true), json!(false)]).collect()
}

fn remove(instance: &mut Value, parent: &str, key: &str) {
    let parent = instance.pointer_mut(parent).unwrap();
    parent.as_object_mut().unwrap().remove(key).unwrap();
}

/// A key of a section that a file gives.
struct At<'a> {
    section: &'a str,
    key: &'a str,
    shape: &'a Value,
    /// The JSON pointer of the map it stands in.
    parent: &'a str,
}

fn each_key(schema: &Value, instance: &Value, visit: &mut dyn FnMut(At<'_>)) {
    walk(schema, schema, "", instance, "", visit);
}

fn walk(
    schema: &Value,
    shape: &Value,
    section: &str,
    instance: &Value,
    at: &str,
    visit: &mut dyn FnMut(At<'_>),
) {
    if let Some(reference) = shape["$ref"].as_str() {
        let name = reference.rsplit('/').next().unwrap();
        return walk(schema, &schema["$defs"][name], name, instance, at, visit);
    }
    for other in shape["anyOf"].as_array().into_iter().flatten() {
        walk(schema, other, section, instance, at, visit);
    }
    match instance {
        Value::Object(map) => {
            for (key, value) in map {
                let below = format!("{at}/{key}");
                if let Some(shape) = shape["properties"].get(key) {
                    visit(At { section, key, shape, parent: at });
                    walk(schema, shape, section, value, &below, visit);
                } else if shape["additionalProperties"].is_object() {
                    walk(schema, &shape["additionalProperties"], section, value, &below, visit);
                }
            }
        }
        Value::Array(items) => {
            for (n, value) in items.iter().enumerate() {
                walk(schema, &shape["items"], section, value, &format!("{at}/{n}"), visit);
            }
        }
        _ => {}
    }
}
