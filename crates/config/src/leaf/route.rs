//! What a route does: shares of a split.

use serde_json::{Value, json};

use crate::env::Bad;
use crate::leaf::{Count, Text};
use crate::read::{Cx, Read, Spanned};
use crate::schema::Shapes;
use crate::tree::{Kind, Node};

/// Pools and their shares: `{ stable: 95, canary: 5 }`.
#[derive(Debug, Clone)]
pub(crate) struct Shares(pub(crate) Vec<(Spanned<Text>, u32)>);

impl Read for Shares {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let expected = "a map from pools to their shares, like `{ stable: 95, canary: 5 }`";
        let entries = match &node.kind {
            Kind::Map(entries) if !entries.is_empty() => entries,
            _ => {
                cx.mismatch(node, expected);
                return None;
            }
        };
        if entries.len() > 64 {
            cx.wrong(node, Bad::new("found more than 64 pools", "at most 64 pools in a split"));
            return None;
        }
        let mut shares = Vec::with_capacity(entries.len());
        for (key, value) in entries {
            // Both are read whatever the other is: every problem is told.
            let pool = Spanned::<Text>::read(key, cx);
            let share = Count::<0, 10_000>::read(value, cx);
            shares.push((pool?, share?.u32()));
        }
        if shares.iter().all(|(_, share)| *share == 0) {
            cx.wrong(node, Bad::new("found no share above zero", "at least one pool with a share"));
            return None;
        }
        // One round of turns is laid out in memory.
        if shares.iter().map(|(_, share)| share).sum::<u32>() > 65_536 {
            cx.wrong(node, Bad::new("found shares of more than 65536 together", "smaller shares"));
            return None;
        }
        Some(Shares(shares))
    }

    fn shape(shapes: &mut Shapes<'_>) -> Value {
        json!({
            "type": "object",
            "additionalProperties": Count::<0, 10_000>::shape(shapes),
            "minProperties": 1,
            "maxProperties": 64,
        })
    }
}
