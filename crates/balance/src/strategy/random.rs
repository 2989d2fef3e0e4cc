//! Chance, by weight.

use super::{Choice, Entry, Picker, Strategy, only, smooth_sequence};
use crate::candidate::{Candidate, PickCx, Reserved};

pub(super) const ENTRY: Entry = Entry {
    name: "random",
    about: "chance, by weight; slots never count",
    choice: Choice::Chance,
    options: &[],
    build: |options| {
        only(options, &[])?;
        Ok(Box::new(Random))
    },
    also: &[],
};

/// Before everybody is asked in order, from a random place.
const DRAWS: usize = 8;

struct Random;

impl Strategy for Random {
    fn prepare(&self, candidates: &[Candidate]) -> Box<dyn Picker> {
        Box::new(Drawn {
            shares: smooth_sequence(candidates.iter().map(|candidate| candidate.weight)),
        })
    }
}

struct Drawn {
    /// Everybody, as often as its weight says.
    shares: Box<[u32]>,
}

impl Picker for Drawn {
    fn pick(&self, candidates: &[Candidate], cx: &mut PickCx<'_>) -> Option<Reserved> {
        if candidates.is_empty() {
            return None;
        }
        for _ in 0..DRAWS {
            let i = self.shares[cx.rng().usize(..self.shares.len())] as usize;
            if let Some(reserved) = cx.reserve(i) {
                return Some(reserved);
            }
        }
        let first = cx.rng().usize(..candidates.len());
        (first..candidates.len()).chain(0..first).find_map(|i| cx.reserve(i))
    }
}
