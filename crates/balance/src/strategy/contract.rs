//! What a strategy is: the two traits, and what its line of the table says of it. Which strategies
//! there are is not known here.

use super::key::Key;
use super::options::{BadOption, OptionDef, Options};
use crate::candidate::{Candidate, PickCx, Reserved};

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
