//! How to choose: the two traits, and the table that names every strategy there is.
//!
//! A contributor adds one file below `strategy/` and one line to [`TABLE`]; the line enrols it in
//! `check`, the docs, the bench and the conformance suite. The control thread prepares, the shards
//! pick; neither knows why a candidate is not eligible.

mod ip_hash;
mod least_connections;
mod maglev;
mod round_robin;
mod turns;
mod weighted;

use std::collections::BTreeMap;

use crate::candidate::{Candidate, PickCx, Reserved};
pub use turns::smooth_sequence;

/// Lives on the control thread, over every rebuild and every reload that did not change it: what
/// must survive them (a cursor) is kept here and shared with the pickers.
pub trait Strategy: Send + Sync {
    /// May allocate and take its time. `candidates` is never reordered between the two calls.
    fn prepare(&self, candidates: &[Candidate]) -> Box<dyn Picker>;

    /// How a worker in its slow start gets a smaller share of the picks than of the load.
    fn slow_start(&self) -> SlowStart {
        SlowStart::Weight
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlowStart {
    /// Picks follow the weights: the candidate's weight and capacity are lower for a while.
    Weight,
    /// Picks follow the load, and a newcomer has none: [`PickCx::eligible`] offers it only in its
    /// share of the picks.
    Turns,
}

/// Called by every shard for every request: no allocation, lock, clock or I/O.
pub trait Picker: Send + Sync {
    /// `candidates` are those given to `prepare`. `None`: nothing to reserve, queue.
    fn pick(&self, candidates: &[Candidate], cx: &mut PickCx<'_>) -> Option<Reserved>;
}

/// The strategies a configuration may name.
pub static TABLE: &[Entry] =
    &[round_robin::ENTRY, weighted::ENTRY, least_connections::ENTRY, ip_hash::ENTRY];

/// One line of the table.
pub struct Entry {
    pub name: &'static str,
    pub about: &'static str,
    /// What the request must bring.
    pub key: Key,
    /// Whether it looks at how busy a worker is.
    pub load_aware: bool,
    /// What `build` reads, for the schema; the conformance suite holds the two together.
    pub options: &'static [OptionDef],
    /// Refuses unknown options and bad values in words.
    pub build: fn(&Options) -> Result<Box<dyn Strategy>, String>,
}

/// One option of a strategy.
pub struct OptionDef {
    pub name: &'static str,
    pub about: &'static str,
    pub takes: Takes,
    /// What leaving it out means, as a file would write it; empty where that depends.
    pub default: &'static str,
}

/// What an option may be.
pub enum Takes {
    Words(&'static [&'static str]),
    /// From one number to another, both included.
    Number(f64, f64),
    /// What the whole of a regular expression matches, and a text that it does match.
    Text {
        pattern: &'static str,
        example: &'static str,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    None,
    /// [`client_key`](crate::client_key) of the client's address.
    ClientIp,
}

pub type Options = BTreeMap<String, String>;

pub fn find(name: &str) -> Option<&'static Entry> {
    TABLE.iter().find(|entry| entry.name == name)
}

/// For strategies that have no options.
fn no_options(options: &Options) -> Result<(), String> {
    match options.keys().next() {
        Some(unknown) => Err(format!("unknown option `{unknown}`: this strategy has no options")),
        None => Ok(()),
    }
}
