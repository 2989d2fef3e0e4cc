//! Equal turns. An explicit weight counts, slots never do.

use super::turns::{Cursor, Turns};
use super::{Choice, Entry, Picker, Strategy, only};
use crate::candidate::Candidate;

pub(super) const ENTRY: Entry = Entry {
    name: "round_robin",
    about: "equal turns; an explicit weight counts, slots never",
    choice: Choice::Turns,
    options: &[],
    build: |options| {
        only(options, &[])?;
        Ok(Box::new(RoundRobin::default()))
    },
    also: &[],
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
