//! The JSON access log, read back.

use std::path::Path;

use serde_json::Value;

#[derive(Clone, Debug)]
pub struct Entry(Value);

/// Every line of the file; a line that is not one JSON object is an error in the product.
pub fn read(path: &Path) -> Vec<Entry> {
    let text = std::fs::read_to_string(path).expect("the access log");
    let parse = |line: &str| {
        let value: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{line:?}: {e}"));
        assert!(value.is_object(), "{line:?}");
        Entry(value)
    };
    text.lines().map(parse).collect()
}

impl Entry {
    pub fn text(&self, key: &str) -> &str {
        self.0[key].as_str().unwrap_or_default()
    }

    pub fn number(&self, key: &str) -> Option<f64> {
        self.0[key].as_f64()
    }

    pub fn seconds(&self, key: &str) -> f64 {
        self.number(key).unwrap_or(0.0) / 1e3
    }
}
