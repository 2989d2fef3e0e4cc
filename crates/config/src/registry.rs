//! The strategies this process has, as the configuration needs to know them: by name.
//!
//! Filled by `isobar` from the strategies' own table, so that this crate never knows one of them.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::schema;

/// What may be named in a configuration.
#[derive(Debug, Clone, Default)]
pub struct Registry {
    pub strategies: Vec<StrategyDef>,
}

/// One strategy.
#[derive(Debug, Clone)]
pub struct StrategyDef {
    pub name: &'static str,
    /// What it does, in a line.
    pub about: &'static str,
    /// The JSON Schema of the options a file may give: [`OptionShape::map`].
    pub schema: Value,
    /// Judges the options a file gives; of several that are wrong it names one.
    pub options: fn(&BTreeMap<String, String>) -> Result<Serves, BadOption>,
}

/// What a strategy, with its options, can choose for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Serves {
    Anything,
    /// It goes by something that only an HTTP request has.
    Http,
}

/// What is wrong with the options of a strategy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BadOption {
    /// There is no such option, but these.
    Unknown { option: String, known: Vec<&'static str> },
    /// The option's value is not what is expected.
    Value { option: &'static str, expected: &'static str, hint: Option<&'static str> },
}

impl Registry {
    pub(crate) fn strategy(&self, name: &str) -> Option<&StrategyDef> {
        self.strategies.iter().find(|s| s.name == name)
    }

    pub(crate) fn names(&self) -> Vec<&'static str> {
        self.strategies.iter().map(|s| s.name).collect()
    }
}

/// What one option may be, for the schema; the environment may fill in any.
#[derive(Debug, Clone)]
pub struct OptionShape {
    name: &'static str,
    shape: Value,
}

impl OptionShape {
    pub fn words(words: &[&str]) -> OptionShape {
        OptionShape { name: "", shape: schema::words(words) }
    }

    /// From `least` to `most`, both included.
    pub fn number(least: f64, most: f64) -> OptionShape {
        let mut shape = schema::text(r"[0-9]+(?:\.[0-9]+)?");
        shape["type"] = json!(["number", "string"]);
        shape["minimum"] = least.into();
        shape["maximum"] = most.into();
        OptionShape { name: "", shape }
    }

    /// What the whole of a regular expression matches.
    pub fn text(pattern: &str) -> OptionShape {
        OptionShape { name: "", shape: schema::scalar(pattern) }
    }

    /// `default` is written as in a file; empty: there is none.
    pub fn named(self, name: &'static str, about: &str, default: &str) -> OptionShape {
        let mut shape = schema::described(about, self.shape);
        if !default.is_empty() {
            shape["default"] = default.into();
        }
        OptionShape { name, shape }
    }

    /// The options of one strategy: a map of these and no other.
    pub fn map(options: impl IntoIterator<Item = OptionShape>) -> Value {
        let properties: Map<String, Value> =
            options.into_iter().map(|option| (option.name.to_owned(), option.shape)).collect();
        json!({ "type": "object", "properties": properties, "additionalProperties": false })
    }
}
