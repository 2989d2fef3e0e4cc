//! How to choose: the table that names every strategy there is. The two traits are in `contract`.
//!
//! A contributor adds one file below `strategy/` and one line to [`TABLE`]; the line enrols it in
//! `check`, the docs, the bench, the simulation and the conformance suite. The control thread
//! prepares, the shards pick; neither knows why a candidate is not eligible.

mod contract;
mod hash;
mod ip_hash;
mod key;
mod least_connections;
mod least_time;
mod options;
mod p2c;
mod random;
mod round_robin;
mod turns;
mod weighted;

pub use contract::{Choice, Entry, Picker, SlowStart, Strategy};
pub use key::Key;
pub use options::{BadOption, OptionDef, Options, Takes};
pub use turns::smooth_sequence;

use options::only;

/// The strategies a configuration may name.
pub static TABLE: &[Entry] = &[
    round_robin::ENTRY,
    weighted::ENTRY,
    least_connections::ENTRY,
    least_time::ENTRY,
    p2c::ENTRY,
    random::ENTRY,
    hash::ENTRY,
    ip_hash::ENTRY,
];

pub fn find(name: &str) -> Option<&'static Entry> {
    TABLE.iter().find(|entry| entry.name == name)
}

/// Which of its options a strategy was given: a name and its text each.
pub fn options(given: &[(&str, &str)]) -> Options {
    given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}
