//! Sections whose wrong values are not shown either.

use serde_json::Value;

use super::near::nearest;
use super::{Cx, Keyed, Read};
use crate::schema::Shapes;
use crate::tree::{Kind, Node};

/// A section of secrets, or of where they are: what stands in its place, or in it under a wrong key,
/// may be one, and is never shown.
#[derive(Debug, Clone)]
pub(crate) struct Concealed<T>(pub(crate) T);

impl<T: Read + Keyed> Read for Concealed<T> {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        match &node.kind {
            Kind::Map(entries) => {
                for (key, value) in entries {
                    let name = key.key().unwrap_or_default();
                    if !T::KEYS.built.contains(&name) {
                        cx.concealed.add(value);
                        if nearest(name, T::KEYS.built.iter().copied()).is_none() {
                            cx.concealed.add(key);
                        }
                    }
                }
            }
            _ => cx.concealed.add(node),
        }
        T::read(node, cx).map(Concealed)
    }

    fn shape(shapes: &mut Shapes<'_>) -> Value {
        T::shape(shapes)
    }
}
