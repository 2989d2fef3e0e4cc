//! What a route asks of values: expressions over the path, and what headers, query parameters and
//! cookies must say.
//!
//! Expressions are compiled here, once, with bounds on what they may cost; they match the whole of
//! what they are given, so that nobody forgets an anchor.

use regex::bytes::{Regex, RegexBuilder};
use serde_json::{Value, json};

use super::http::{TOKEN, is_header_value, is_token};
use crate::env::Bad;
use crate::model::{Pattern, ValueMatch};
use crate::raw;
use crate::read::{Cx, Read};
use crate::schema::{PRINTABLE, Shapes, any_of, called, scalar, text};
use crate::tree::{Kind, Node};

const LONGEST: usize = 1024;
/// Bytes of one compiled expression, and of what it may remember while it matches.
const LARGEST: usize = 256 * 1024;

fn compile(node: &Node, expected: &str, cx: &mut Cx<'_>) -> Option<Pattern> {
    let written = &cx.scalar(node, expected)?.text;
    if written.len() > LONGEST {
        cx.wrong(node, Bad::new("found a longer expression", "at most 1024 bytes"));
        return None;
    }
    // Matched is what is sent, which is ASCII: letters beyond it are percent-encoded there.
    let build = |text: &str| -> Result<Regex, regex::Error> {
        RegexBuilder::new(text)
            .unicode(false)
            .nest_limit(32)
            .size_limit(LARGEST)
            .dfa_size_limit(LARGEST)
            .build()
    };
    // On its own first: a bracket that it closes must be its own, and a comment ends with it.
    let whole = build(written).and_then(|_| build(&format!("^(?:{written})$")));
    match whole {
        Ok(regex) => Some(Pattern { text: written.to_string(), regex }),
        Err(error) => {
            let bad = Bad::new("", expected);
            cx.wrong(node, bad.hint(reason(&error)));
            None
        }
    }
}

/// The one line that says what is wrong.
fn reason(error: &regex::Error) -> String {
    match error {
        regex::Error::CompiledTooBig(_) => {
            "it is too large when compiled; repeat less, or match a prefix".to_owned()
        }
        error => {
            let text = error.to_string();
            let line = text.lines().rev().find_map(|line| line.strip_prefix("error: "));
            line.unwrap_or("it is no regular expression").to_owned()
        }
    }
}

/// An expression that a whole path matches.
#[derive(Debug, Clone)]
pub(crate) struct PathRegex(pub(crate) Pattern);

impl Read for PathRegex {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let expected = "a regular expression for a whole path, like `/users/[0-9]+`";
        let written = &cx.scalar(node, expected)?.text;
        let start = written.strip_prefix('^').unwrap_or(written);
        if !start.starts_with(['/', '(', '.']) {
            let end = start.strip_suffix('$').unwrap_or(start);
            let short = start.len() <= 60 && !start.contains(['`', ' ']);
            let hint = match start.chars().next() {
                Some('~') => "it is always an expression: leave `~` out".to_owned(),
                Some(c) if short && c.is_ascii_alphanumeric() => {
                    format!("a path begins with `/`: `/{end}`")
                }
                Some('\\' | '[') if short => {
                    format!("a path begins with `/`: `/.*{end}`, or `/{end}`")
                }
                _ => "a path begins with `/`".to_owned(),
            };
            cx.wrong(node, Bad::new("", expected).hint(hint));
            return None;
        }
        let whole = compile(node, expected, cx)?;
        if written.starts_with('^') && is_finite(start) {
            let message = "found `^` before an expression that has no end";
            let bad = Bad::new(message, "an expression for the whole path");
            cx.wrong(
                node,
                bad.hint(match is_plain_path(start) {
                    true => format!(
                        "`path_prefix: {start}` takes all below it, `path: {start}` this one path"
                    ),
                    false => "end it with `.*` to take all below it, or with `$` to take no more"
                        .to_owned(),
                }),
            );
            return None;
        }
        Some(PathRegex(whole))
    }

    fn shape(_: &mut Shapes<'_>) -> Value {
        let path = text(&format!(r"\^?[/(.].{{0,{}}}", LONGEST - 1));
        called("a regular expression for a whole path, like `/users/[0-9]+`", path)
    }
}

/// An expression without an end and without a repetition: whoever writes `^` before it means all that
/// begins with it.
fn is_finite(text: &str) -> bool {
    !text.ends_with('$') && !text.contains(['*', '+', '{'])
}

/// An expression that is no more than a path.
pub(crate) fn is_plain_path(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_alphanumeric() || b"/-_~%".contains(&b))
}

/// An expression that a whole value matches.
#[derive(Debug, Clone)]
pub(crate) struct ValueRegex(pub(crate) Pattern);

impl Read for ValueRegex {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        compile(node, "a regular expression for a whole value", cx).map(ValueRegex)
    }

    fn shape(_: &mut Shapes<'_>) -> Value {
        let any = scalar(&format!(r"(?:[^*+?)\]].{{0,{}}}|\].*)?", LONGEST - 1));
        called("a regular expression for a whole value", any)
    }
}

/// `present: true`; that something must be missing cannot be said.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Present;

impl Read for Present {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        match &*cx.scalar(node, "`true`")?.text {
            "true" | "on" => Some(Present),
            _ => {
                cx.mismatch(node, "`true`");
                None
            }
        }
    }

    fn shape(_: &mut Shapes<'_>) -> Value {
        let mut present = text("true|on");
        present["type"] = json!(["boolean", "string"]);
        present["not"] = json!({ "const": false });
        called("`true`", present)
    }
}

/// What a value must be: itself, or a map that says more.
pub(crate) fn value(node: &Node, fits: fn(&str) -> bool, cx: &mut Cx<'_>) -> Option<ValueMatch> {
    if let Kind::Map(_) = &node.kind {
        let map = raw::ValueMap::read(node, cx)?;
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
        "additionalProperties": any_of([value, raw::ValueMap::shape(shapes)]),
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
