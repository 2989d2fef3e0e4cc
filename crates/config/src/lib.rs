//! A YAML file becomes a [`Config`], or all of its problems at once, each with line and column.
//!
//! Called by `isobar` for `run`, `check`, `reload` and `proxy`. It decides what a configuration may
//! say and what is true where it says nothing. It refuses to know tokio, sockets, or any strategy: the
//! names it may find are given to it in a [`Registry`].

use std::num::NonZeroU32;
use std::path::Path;

mod problem;
mod registry;

pub mod model;

pub use model::{Config, Summary};
pub use problem::{Colour, Problems};
pub use registry::{Registry, StrategyDef};

/// A configuration that may be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    pub config: Config,
    /// What is probably not meant, but harms nobody.
    pub warnings: Problems,
}

/// Reads a file and everything it includes.
pub fn load(_path: &Path, _registry: &Registry) -> Result<Loaded, Problems> {
    Err(Problems::default())
}

/// Reads a configuration from memory; `include` is relative to the working directory.
pub fn load_str(_text: &str, _registry: &Registry) -> Result<Loaded, Problems> {
    Err(Problems::default())
}

impl Config {
    /// The configuration of `isobar proxy`: one listener, one pool, no file.
    pub fn proxy(
        _from: &str,
        _to: &[String],
        _strategy: Option<&str>,
        _slots: Option<NonZeroU32>,
        _registry: &Registry,
    ) -> Result<Config, Problems> {
        Err(Problems::default())
    }
}
