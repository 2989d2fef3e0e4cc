//! What a key takes, in words, and values as a file has them.

use serde_json::Value;

/// An example longer than this is none.
pub(super) const LONGEST: usize = 90;

/// What a shape lets stand: `a duration …, or off`.
pub(super) fn takes(shape: &Value, schema: &Value) -> String {
    let mut all: Vec<String> = Vec::new();
    alternatives(shape, schema, &mut all);
    for n in 0..all.len() {
        let one = all[n].strip_prefix("a list: each ").map(str::to_owned);
        if let Some(one) = one.filter(|one| *one == "a map" || all.contains(one)) {
            all[n] = if one == "a map" { "a list of maps" } else { "a list of such" }.to_owned();
        }
    }
    match all.split_last() {
        None => "anything".to_owned(),
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{}, or {last}", others.join(", ")),
    }
}

fn alternatives(shape: &Value, schema: &Value, all: &mut Vec<String>) {
    let mut add = |words: String| {
        if !words.is_empty() && !all.contains(&words) {
            all.push(words);
        }
    };
    if let Some(name) = shape["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
        let named = &schema["$defs"][name];
        return match name {
            "off" => add("`off`".to_owned()),
            "strategy" => add("the name of a strategy, or a map of it to its options".to_owned()),
            _ if named["properties"].is_object() => add("a map".to_owned()),
            _ => match named["title"].as_str().or_else(|| named["description"].as_str()) {
                Some(words) => add(words.to_owned()),
                None => alternatives(named, schema, all),
            },
        };
    }
    if let Some(words) = shape["title"].as_str() {
        return add(words.to_owned());
    }
    if let Some(others) = shape["anyOf"].as_array() {
        return others.iter().for_each(|other| alternatives(other, schema, all));
    }
    if let Some(words) = shape["enum"].as_array() {
        return words.iter().for_each(|word| add(format!("`{}`", flow(word))));
    }
    if let Some(word) = shape.get("const") {
        return add(format!("`{}`", flow(word)));
    }
    // What the environment fills in may stand anywhere.
    if shape["pattern"].as_str().is_some_and(|pattern| pattern == crate::schema::FILLED) {
        return;
    }
    if shape["items"].is_object() {
        return add(format!("a list: each {}", takes(&shape["items"], schema)));
    }
    if shape["additionalProperties"].is_object() {
        let value = takes(&shape["additionalProperties"], schema);
        return add(format!("a map of names to {value}"));
    }
    add(match (shape["minimum"].as_u64(), shape["maximum"].as_u64(), kinds(shape)) {
        (Some(least), Some(most), _) if least <= most && most > 0 => {
            format!("a number from {least} to {most}")
        }
        (_, _, kinds) if kinds.contains(&"null") => "nothing".to_owned(),
        (_, _, kinds) if kinds.contains(&"object") => "an empty map".to_owned(),
        _ => "a text".to_owned(),
    });
}

fn kinds(shape: &Value) -> Vec<&str> {
    match &shape["type"] {
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        kind => kind.as_str().into_iter().collect(),
    }
}

/// On one line, as YAML.
pub(super) fn flow(value: &Value) -> String {
    match value {
        Value::Null => "~".to_owned(),
        Value::String(text) => scalar(text),
        Value::Array(items) => {
            format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", "))
        }
        Value::Object(map) if map.is_empty() => "{}".to_owned(),
        Value::Object(map) => {
            let entries =
                map.iter().map(|(key, value)| format!("{}: {}", scalar(key), flow(value)));
            format!("{{ {} }}", entries.collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

fn scalar(text: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_./%:".contains(c);
    let plain = text.chars().all(fits)
        && !text.starts_with(['-', ':', '%'])
        && !text.ends_with(':')
        && !text.starts_with("unix:")
        && !text.contains("::");
    let number = text.parse::<f64>().is_ok() || matches!(text, "" | "true" | "false");
    if plain && !number { text.to_owned() } else { format!("{text:?}") }
}
