//! Smooth weighted turns by what a worker can do: its weight, else its slots.

use super::turns::{Cursor, Turns};
use super::{Choice, Entry, Picker, Strategy, only};
use crate::candidate::Candidate;

pub(super) const ENTRY: Entry = Entry {
    name: "weighted",
    about: "smooth weighted turns by worker capacity; the weight defaults to the slots",
    choice: Choice::Turns,
    options: &[],
    build: |options| {
        only(options, &[])?;
        Ok(Box::new(Weighted::default()))
    },
    also: &[],
};

#[derive(Default)]
struct Weighted {
    cursor: Cursor,
}

impl Strategy for Weighted {
    fn prepare(&self, candidates: &[Candidate]) -> Box<dyn Picker> {
        Box::new(Turns::new(&self.cursor, candidates.iter().map(|candidate| candidate.capacity)))
    }
}
