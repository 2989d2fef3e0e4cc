//! Header fields that a filter writes. Which of them it may not touch is for `convert` to say.

use serde_json::{Value, json};

use crate::env::Bad;
use crate::leaf::http::{TOKEN, is_header_value, is_token};
use crate::read::{Cx, Read, Spanned};
use crate::schema::{Shapes, scalar, text};
use crate::tree::{Kind, Node};

/// Spelt as it will be sent.
#[derive(Debug, Clone)]
pub(crate) struct FieldName(pub(crate) String);

impl Read for FieldName {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let expected = "a header's name, like `X-Frame-Options`";
        let text = &cx.scalar(node, expected)?.text;
        if !is_token(text) {
            cx.mismatch(node, expected);
            return None;
        }
        Some(FieldName(text.to_string()))
    }

    fn shape(_: &mut Shapes<'_>) -> Value {
        scalar(TOKEN)
    }
}

/// Names to values.
#[derive(Debug, Clone)]
pub(crate) struct FieldMap(pub(crate) Vec<(Spanned<FieldName>, String)>);

impl Read for FieldMap {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let Kind::Map(entries) = &node.kind else {
            cx.mismatch(node, "a map of header names to values");
            return None;
        };
        let mut fields: Vec<(Spanned<FieldName>, String)> = Vec::with_capacity(entries.len());
        for (key, value) in entries {
            let Some(name) = Spanned::<FieldName>::read(key, cx) else { continue };
            if fields.iter().any(|(other, _)| other.value.0.eq_ignore_ascii_case(&name.value.0)) {
                let bad =
                    Bad::new(format!("found {} a second time", key.found()), "every header once");
                cx.wrong(key, bad.hint("the case of a header's name means nothing"));
                continue;
            }
            if let Some(value) = field_value(value, cx) {
                fields.push((name, value));
            }
        }
        Some(FieldMap(fields))
    }

    fn shape(shapes: &mut Shapes<'_>) -> Value {
        shapes.named("fields", |_| {
            json!({
                "description": "header names and the values they get",
                "type": "object",
                "propertyNames": { "pattern": text(TOKEN)["pattern"] },
                "additionalProperties": scalar("|[!-~](?:[ -~]*[!-~])?"),
            })
        })
    }
}

/// What no reader can take for the end of a line, and no proxy trims.
fn field_value(node: &Node, cx: &mut Cx<'_>) -> Option<String> {
    let expected = "a header's value: visible ASCII";
    let text = &cx.scalar(node, expected)?.text;
    if !is_header_value(text) || text.len() > 8192 {
        cx.mismatch(node, expected);
        return None;
    }
    Some(text.to_string())
}
