//! Forms that a value may have: `off`, a list, one thing or a list of such.

use serde_json::Value;

use super::{Cx, Field, Read, Spanned};
use crate::env::Bad;
use crate::schema::{Shapes, any_of, list};
use crate::source::Span;
use crate::tree::{Kind, Node};

/// What may be turned off by `off` as well as `false`.
#[derive(Debug, Clone)]
pub(crate) enum Switch<T> {
    Off,
    On(T),
}

impl<T> Switch<T> {
    pub(crate) fn on(self) -> Option<T> {
        match self {
            Switch::Off => None,
            Switch::On(value) => Some(value),
        }
    }
}

impl<T: Read> Read for Switch<T> {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        if is_off(node) {
            return Some(Switch::Off);
        }
        // A file may be named like that.
        if says_no(node) && cx.key != "include" {
            let bad = Bad::new("", "`off`, or what it should be");
            cx.wrong(node, bad.hint("did you mean `off`?"));
            return None;
        }
        T::read(node, cx).map(Switch::On)
    }

    fn shape(shapes: &mut Shapes<'_>) -> Value {
        any_of([T::shape(shapes), shapes.off()])
    }
}

impl<T> Field<Switch<T>> {
    /// What the switch holds; absent, broken and off are the same here.
    pub(crate) fn on(self) -> Option<T> {
        self.value().and_then(Switch::on)
    }

    /// Where something is turned on.
    pub(crate) fn where_on(&self) -> Option<Span> {
        let given = self.as_given().filter(|given| matches!(given.value, Switch::On(_)));
        given.map(|given| given.span)
    }
}

/// A list, or its only item.
#[derive(Debug, Clone)]
pub(crate) struct OneOrMany<T>(pub(crate) Vec<Spanned<T>>);

impl<T: Read> Read for OneOrMany<T> {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        match &node.kind {
            Kind::List(items) => read_all(items, cx).map(OneOrMany),
            _ => Spanned::read(node, cx).map(|one| OneOrMany(vec![one])),
        }
    }

    fn shape(shapes: &mut Shapes<'_>) -> Value {
        let item = T::shape(shapes);
        any_of([item.clone(), list(item)])
    }
}

/// A list; items that are broken are reported and left out.
#[derive(Debug, Clone)]
pub(crate) struct Many<T>(pub(crate) Vec<Spanned<T>>);

impl<T: Read> Read for Many<T> {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        match &node.kind {
            Kind::List(items) => read_all(items, cx).map(Many),
            _ => {
                let bad = Bad::new("", "a list");
                let hint = T::as_items(node).unwrap_or_else(|| match &node.kind {
                    Kind::Map(_) => {
                        "each item begins with `- `; a list of one thing is written `[thing]`"
                            .to_owned()
                    }
                    _ => "a list of one thing is written `[thing]`".to_owned(),
                });
                cx.wrong(node, bad.hint(hint));
                None
            }
        }
    }

    fn shape(shapes: &mut Shapes<'_>) -> Value {
        list(T::shape(shapes))
    }
}

/// None = every item was reported: an empty list is one that is empty in the file.
fn read_all<T: Read>(items: &[Node], cx: &mut Cx<'_>) -> Option<Vec<Spanned<T>>> {
    let read: Vec<_> = items.iter().filter_map(|item| Spanned::read(item, cx)).collect();
    (items.is_empty() || !read.is_empty()).then_some(read)
}

pub(crate) fn is_off(node: &Node) -> bool {
    matches!(&node.kind, Kind::Scalar(s) if matches!(&*s.text, "off" | "false"))
}

/// Words that mean `off` to people, and to other tools.
fn says_no(node: &Node) -> bool {
    let Kind::Scalar(scalar) = &node.kind else { return false };
    let words = [
        "no",
        "n",
        "off",
        "false",
        "none",
        "never",
        "disabled",
        "disable",
        "unlimited",
        "infinite",
        "infinity",
        "inf",
        "-1",
    ];
    scalar.text.len() <= 9 && words.contains(&scalar.text.to_ascii_lowercase().as_str())
}
