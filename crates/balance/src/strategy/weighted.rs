//! Smooth weighted turns by what a worker can do: its weight, else its slots.

use super::turns::{Cursor, Turns};
use super::{Entry, Key, Picker, Strategy, no_options};
use crate::candidate::Candidate;

pub(super) const ENTRY: Entry = Entry {
    name: "weighted",
    about: "smooth weighted turns by worker capacity; the weight defaults to the slots",
    key: Key::None,
    load_aware: false,
    options: &[],
    build: |options| {
        no_options(options)?;
        Ok(Box::new(Weighted::default()))
    },
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
