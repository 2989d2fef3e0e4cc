//! Equal turns. An explicit weight counts, slots never do.

use super::turns::{Cursor, Turns};
use super::{Entry, Key, Picker, Strategy, no_options};
use crate::candidate::Candidate;

pub(super) const ENTRY: Entry = Entry {
    name: "round_robin",
    about: "equal turns; an explicit weight counts, slots never",
    key: Key::None,
    load_aware: false,
    options: &[],
    build: |options| {
        no_options(options)?;
        Ok(Box::new(RoundRobin::default()))
    },
};

#[derive(Default)]
struct RoundRobin {
    cursor: Cursor,
}

impl Strategy for RoundRobin {
    fn prepare(&self, candidates: &[Candidate]) -> Box<dyn Picker> {
        Box::new(Turns::new(&self.cursor, candidates.iter().map(|candidate| candidate.weight)))
    }
}
