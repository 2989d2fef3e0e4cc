//! The shapes that stand in the schema once, by name, and the two that many keys take: `off`, and a
//! strategy as the registry tells it. It knows no key and no reader.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::pieces::{any_of, described, environment};
use crate::registry::{Registry, StrategyDef};

/// What every shape needs at hand, and the shapes that have a name.
pub(crate) struct Shapes<'r> {
    registry: &'r Registry,
    named: BTreeMap<String, Value>,
}

impl<'r> Shapes<'r> {
    pub(super) fn new(registry: &'r Registry) -> Shapes<'r> {
        Shapes { registry, named: BTreeMap::new() }
    }

    pub(super) fn into_named(self) -> BTreeMap<String, Value> {
        self.named
    }

    /// A reference to a shape that stands in the schema once.
    pub(crate) fn named(&mut self, name: &str, make: impl FnOnce(&mut Self) -> Value) -> Value {
        if !self.named.contains_key(name) {
            // Whoever holds itself finds its name taken.
            self.named.insert(name.to_owned(), Value::Null);
            let shape = make(self);
            self.named.insert(name.to_owned(), shape);
        }
        json!({ "$ref": format!("#/$defs/{name}") })
    }

    /// `off` or `false`.
    pub(crate) fn off(&mut self) -> Value {
        self.named("off", |_| {
            described(
                "turned off",
                any_of([json!({ "enum": ["off", false, "false"] }), environment()]),
            )
        })
    }

    /// A strategy's name, or a map from it to its options; both as the registry tells them.
    pub(crate) fn strategies(&mut self) -> Value {
        self.named("strategy", |shapes| {
            let known = &shapes.registry.strategies;
            let word = |def: &StrategyDef| json!({ "const": def.name, "description": def.about });
            let mut all: Vec<Value> = known.iter().map(word).collect();
            let with = |def: &StrategyDef| {
                let options = described(def.about, def.schema.clone());
                (def.name.to_owned(), any_of([options, json!({ "type": "null" })]))
            };
            let maps: Map<String, Value> = known.iter().map(with).collect();
            all.push(json!({
                "type": "object",
                "properties": maps,
                "additionalProperties": false,
                "minProperties": 1,
                "maxProperties": 1,
            }));
            all.push(environment());
            described("how a worker is chosen", any_of(all))
        })
    }
}
