//! How to choose: the two traits, and the table that names every strategy there is.
//!
//! A contributor adds one file below `strategy/` and one line to [`TABLE`]; the line enrols it in
//! `check`, the docs, the bench, the simulation and the conformance suite. The control thread
//! prepares, the shards pick; neither knows why a candidate is not eligible.

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

use crate::candidate::{Candidate, PickCx, Reserved};
pub use key::{Key, client_key, text_key};
pub use options::{BadOption, OptionDef, Options, Takes};
pub use turns::smooth_sequence;

use options::only;

/// Lives on the control thread, over every rebuild and every reload that did not change it: what
/// must survive them (a cursor) is kept here and shared with the pickers.
pub trait Strategy: Send + Sync {
    /// May allocate and take its time. `candidates` is never reordered between the two calls.
    fn prepare(&self, candidates: &[Candidate]) -> Box<dyn Picker>;

    /// What a request must bring so that [`PickCx::key`] can be answered.
    fn key(&self) -> Key {
        Key::None
    }

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

/// One line of the table.
pub struct Entry {
    pub name: &'static str,
    pub about: &'static str,
    pub choice: Choice,
    /// What `build` reads, for the schema; the conformance suite holds the two together.
    pub options: &'static [OptionDef],
    /// Refuses unknown options and bad values in words.
    pub build: fn(&Options) -> Result<Box<dyn Strategy>, BadOption>,
    /// Sets of options that the tests and the bench run besides none.
    pub also: &'static [&'static [(&'static str, &'static str)]],
}

/// What a strategy goes by: tells which promises of the conformance suite it makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// A fixed order, whatever the workers do.
    Turns,
    /// Chance alone.
    Chance,
    /// The request's key.
    Key,
    /// The lighter of a few that chance proposes.
    Sampled,
    /// The lightest of all.
    Lightest,
}

impl Choice {
    /// Whether it looks at how busy a worker is.
    pub fn is_load_aware(self) -> bool {
        matches!(self, Self::Sampled | Self::Lightest)
    }
}

pub fn find(name: &str) -> Option<&'static Entry> {
    TABLE.iter().find(|entry| entry.name == name)
}

/// Which of its options a strategy was given: a name and its text each.
pub fn options(given: &[(&str, &str)]) -> Options {
    given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}
