//! A YAML file becomes a [`Config`], or all of its problems at once, each with line and column.
//!
//! Called by `isobar` for `run`, `check`, `reload` and `proxy`. It decides what a configuration may
//! say and what is true where it says nothing. It refuses to know tokio, sockets, or any strategy: the
//! names it may find are given to it in a [`Registry`].
//!
//! The way of a file: `include` reads it and what it includes, `parse` makes a `tree` of nodes that know
//! their place, `raw` (read by `read` and `leaf`) says which keys there are, `convert` says what they mean.
//! The same types tell the JSON Schema.

use std::path::Path;

mod convert;
mod env;
mod flags;
mod foreign;
mod include;
mod leaf;
mod manual;
mod parse;
mod problem;
mod raw;
mod read;
mod registry;
mod schema;
mod source;
mod tree;
mod units;

pub mod model;

pub use manual::{manual_page, markdown};
pub use model::{Config, ListedWorker, Summary};
pub use problem::{Colour, Problem, Problems, Severity};
pub use registry::{BadOption, OptionShape, Registry, Serves, StrategyDef};
pub use schema::schema;

use env::Lookup;
use read::Cx;

/// A configuration that may be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    pub config: Config,
    /// What is probably not meant, but harms nobody.
    pub warnings: Problems,
}

/// Reads a file and everything it includes.
pub fn load(path: &Path, registry: &Registry) -> Result<Loaded, Problems> {
    finish(&environment, registry, |cx| include::load(path, cx))
}

/// Reads a file of workers: a list, as `workers` in a pool has it.
pub fn load_workers(path: &Path) -> Result<Vec<ListedWorker>, Problems> {
    let mut cx = Cx::new(&environment);
    let list = include::load_workers(path, &mut cx);
    let workers = convert::workers::convert(list, raw::Slots::default(), None, &mut cx);
    cx.finish().map(|_| workers)
}

/// Reads a configuration from memory; `include` is relative to the working directory.
pub fn load_str(text: &str, registry: &Registry) -> Result<Loaded, Problems> {
    load_str_with(text, registry, &environment)
}

/// With an environment of the caller's own.
pub fn load_str_with(
    text: &str,
    registry: &Registry,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Loaded, Problems> {
    finish(env, registry, |cx| include::load_text(text, cx))
}

/// Reads a span of time as the configuration writes it: `30s`, `1h30m`. Else: what was expected.
pub fn duration(text: &str) -> Result<std::time::Duration, String> {
    units::duration(text).map_err(|bad| match bad.hint {
        Some(hint) => format!("expected {}; {hint}", bad.expected),
        None => format!("expected {}", bad.expected),
    })
}

fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn finish(
    env: Lookup<'_>,
    registry: &Registry,
    read: impl FnOnce(&mut Cx<'_>) -> Option<raw::File>,
) -> Result<Loaded, Problems> {
    let mut cx = Cx::new(env);
    let config = read(&mut cx).map(|file| convert::convert(file, registry, &mut cx));
    let warnings = cx.finish()?;
    // Without a configuration there is an error, always.
    let config = config.ok_or_else(Problems::default)?;
    Ok(Loaded { config, warnings })
}
