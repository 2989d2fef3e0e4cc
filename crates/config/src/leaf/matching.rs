//! What a route may ask: that a path or a value matches an expression, or that something is there.
//!
//! Expressions are compiled here, once, with bounds on what they may cost; they match the whole of
//! what they are given, so that nobody forgets an anchor.

use regex::bytes::{Regex, RegexBuilder};
use serde_json::{Value, json};

use crate::env::Bad;
use crate::model::Pattern;
use crate::read::{Cx, Read};
use crate::schema::{Shapes, called, scalar, text};
use crate::tree::Node;

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
