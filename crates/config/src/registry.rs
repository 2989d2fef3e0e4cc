//! The strategies this process has, as the configuration needs to know them: by name.
//!
//! Filled by `isobar` from the strategies' own table, so that this crate never knows one of them.

use std::collections::BTreeMap;

/// What may be named in a configuration.
#[derive(Debug, Clone, Default)]
pub struct Registry {
    pub strategies: Vec<StrategyDef>,
}

/// One strategy.
#[derive(Debug, Clone)]
pub struct StrategyDef {
    pub name: &'static str,
    /// Judges the options a file gives; the message says what is wrong with them.
    pub options: fn(&BTreeMap<String, String>) -> Result<(), String>,
}

impl Registry {
    pub(crate) fn strategy(&self, name: &str) -> Option<&StrategyDef> {
        self.strategies.iter().find(|s| s.name == name)
    }

    pub(crate) fn names(&self) -> Vec<&'static str> {
        self.strategies.iter().map(|s| s.name).collect()
    }
}
