//! A map from names that the user chose: what a name may be, and what somebody is told who wrote a
//! list instead.

use serde_json::{Value, json};

use super::{Cx, Field, Read, Spanned};
use crate::env::Bad;
use crate::schema::{Shapes, text};
use crate::tree::{Kind, Node};

/// A map from names that the user chose.
#[derive(Debug, Clone)]
pub(crate) struct Named<T>(pub(crate) Vec<(Spanned<String>, Field<T>)>);

impl<T> Default for Named<T> {
    fn default() -> Self {
        Named(Vec::new())
    }
}

impl<T: Read> Read for Named<T> {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let Kind::Map(entries) = &node.kind else {
            let bad = Bad::new("", "a map from names, like `{ NAME: … }`");
            cx.wrong(node, Bad { hint: named_items(node), ..bad });
            return None;
        };
        let mut named = Vec::with_capacity(entries.len());
        for (key, value) in entries {
            // A broken one still takes its name: who refers to it is not wrong as well.
            let value = Field::read(value, cx);
            if let Some(name) = name(key, cx) {
                named.push((Spanned { value: name, span: key.span }, value));
            }
        }
        Some(Named(named))
    }

    fn shape(shapes: &mut Shapes<'_>) -> Value {
        json!({
            "type": "object",
            "propertyNames": name_shape(),
            "additionalProperties": T::shape(shapes),
        })
    }
}

/// A name for a listener, a pool or a site: it becomes a metric label and a part of a URL.
fn name(key: &Node, cx: &mut Cx<'_>) -> Option<String> {
    let expected = "a name of at most 128 letters, digits, `-`, `_` or `.`";
    let text = &cx.scalar(key, expected)?.text;
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if text.is_empty() || text.len() > 128 || !text.chars().all(fits) {
        cx.mismatch(key, expected);
        return None;
    }
    Some(text.to_string())
}

/// The same for the schema.
fn name_shape() -> Value {
    json!({ "pattern": text("[A-Za-z0-9_.-]{1,128}")["pattern"] })
}

/// A list of named things is a map here.
fn named_items(node: &Node) -> Option<String> {
    let Kind::List(items) = &node.kind else { return None };
    let Kind::Map(entries) = &items.first()?.kind else {
        return Some("a name is a key: no `- ` before it, and a `:` behind it".to_owned());
    };
    let named = entries.iter().find(|(key, _)| matches!(key.key(), Some("name" | "id")));
    let name = match named.map(|(_, value)| &value.kind) {
        Some(Kind::Scalar(name)) if !name.is_secret() && name.text.len() <= 40 => &*name.text,
        _ => "NAME",
    };
    Some(format!("a name is a key: `{name}:` instead of `- name: {name}`, and the rest below it"))
}
