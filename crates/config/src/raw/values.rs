//! What headers, query parameters and cookies must say: a map from their names to a value, or to a
//! map that says more.

use serde_json::{Value, json};

use crate::env::Bad;
use crate::leaf::{Present, TOKEN, ValueRegex, is_header_value, is_token};
use crate::model::ValueMatch;
use crate::read::{Cx, Read, section};
use crate::schema::{PRINTABLE, Shapes, any_of, called, scalar, text};
use crate::tree::{Kind, Node};

section! {
    ValueMap is "what a value must be" like "{ present: true }" {
        /// A regular expression for the whole value.
        "regex" => regex: ValueRegex,
        /// It must be there, with any value.
        "present" => present: Present,
    }
    later {}
    needs { one_of("regex", "present"); }
}

/// What a value must be: itself, or a map that says more.
fn value(node: &Node, fits: fn(&str) -> bool, cx: &mut Cx<'_>) -> Option<ValueMatch> {
    if let Kind::Map(_) = &node.kind {
        let map = ValueMap::read(node, cx)?;
        let (regex, present) = (!map.regex.is_absent(), !map.present.is_absent());
        if regex == present {
            if regex || !map.refused.any() {
                cx.mismatch(node, "one of `regex` and `present: true`");
            }
            return None;
        }
        let regex = map.regex.value().map(|regex| ValueMatch::Regex(regex.0));
        return regex.or_else(|| map.present.value().map(|_| ValueMatch::Present));
    }
    let expected = "a value, or `{ regex: … }`, or `{ present: true }`";
    let text = &cx.scalar(node, expected)?.text;
    if !fits(text) {
        cx.mismatch(node, expected);
        return None;
    }
    Some(ValueMatch::Exact(text.to_string()))
}

/// Reads a map from names to what their values must be.
fn values(
    node: &Node,
    what: &str,
    name: fn(&str) -> Option<String>,
    fits: fn(&str) -> bool,
    cx: &mut Cx<'_>,
) -> Option<Vec<(String, ValueMatch)>> {
    let entries = match &node.kind {
        Kind::Map(entries) if !entries.is_empty() => entries,
        _ => {
            cx.mismatch(node, &format!("a map of {what} names to values"));
            return None;
        }
    };
    let mut all: Vec<(String, ValueMatch)> = Vec::with_capacity(entries.len());
    for (key, at) in entries {
        let Some(name) = key.key().and_then(name) else {
            cx.mismatch(key, &format!("a {what}'s name"));
            continue;
        };
        if all.iter().any(|(other, _)| *other == name) {
            let bad = Bad::new(format!("found {} a second time", key.found()), "every name once");
            cx.wrong(key, bad.hint("the case of a header's name means nothing"));
            continue;
        }
        all.extend(value(at, fits, cx).map(|value| (name, value)));
    }
    all.sort_by(|a, b| a.0.cmp(&b.0));
    Some(all)
}

/// The shape of such a map.
fn values_shape(name: &Value, value: Value, shapes: &mut Shapes<'_>) -> Value {
    json!({
        "type": "object",
        "minProperties": 1,
        "propertyNames": { "pattern": name["pattern"] },
        "additionalProperties": any_of([value, ValueMap::shape(shapes)]),
    })
}

/// Header names, in lower case, and what their values must be.
#[derive(Debug, Clone)]
pub(crate) struct HeaderValues(pub(crate) Vec<(String, ValueMatch)>);

impl Read for HeaderValues {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let name = |text: &str| is_token(text).then(|| text.to_ascii_lowercase());
        values(node, "header", name, is_header_value, cx).map(HeaderValues)
    }

    fn shape(shapes: &mut Shapes<'_>) -> Value {
        let value = scalar("|[!-~](?:[ -~]*[!-~])?");
        called("headers and their values", values_shape(&text(TOKEN), value, shapes))
    }
}

/// Query parameters and what their values must be, both decoded.
#[derive(Debug, Clone)]
pub(crate) struct QueryValues(pub(crate) Vec<(String, ValueMatch)>);

impl Read for QueryValues {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let name = |text: &str| {
            let fits = !text.is_empty() && text.len() <= 256 && !text.chars().any(char::is_control);
            fits.then(|| text.to_owned())
        };
        let fits = |text: &str| !text.chars().any(char::is_control);
        values(node, "query parameter", name, fits, cx).map(QueryValues)
    }

    fn shape(shapes: &mut Shapes<'_>) -> Value {
        let value = scalar(&format!("|{PRINTABLE}"));
        let shape = values_shape(&text(PRINTABLE), value, shapes);
        called("query parameters and their values, both decoded", shape)
    }
}

/// Cookies and what their values must be.
#[derive(Debug, Clone)]
pub(crate) struct CookieValues(pub(crate) Vec<(String, ValueMatch)>);

impl Read for CookieValues {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let name = |text: &str| is_token(text).then(|| text.to_owned());
        let fits = |text: &str| is_header_value(text) && !text.contains([';', '"']);
        values(node, "cookie", name, fits, cx).map(CookieValues)
    }

    fn shape(shapes: &mut Shapes<'_>) -> Value {
        let value = scalar(r##"|[!#-:<-~](?:[ !#-:<-~]*[!#-:<-~])?"##);
        called("cookies and their values", values_shape(&text(TOKEN), value, shapes))
    }
}
