//! Two random choices, the lighter of them: nearly as even as looking at everybody, at a cost that
//! does not grow with the pool (Mitzenmacher: The Power of Two Choices, 2001).
//!
//! Chance and lightness both go by capacity. Of two of which one fails often the other is taken,
//! three times of four, so fast errors do not attract. Where both are full others are drawn, and in
//! the end everybody is asked: a free slot is found.

use super::{Choice, Entry, Picker, SlowStart, Strategy, only, smooth_sequence};
use crate::candidate::{Candidate, PickCx, Reserved};

pub(super) const ENTRY: Entry = Entry {
    name: "p2c",
    about: "the lighter of two random choices, for its capacity; errors are not light",
    choice: Choice::Sampled,
    options: &[],
    build: |options| {
        only(options, &[])?;
        Ok(Box::new(P2c))
    },
    also: &[],
};

/// Pairs to draw before everybody is asked.
const PAIRS: usize = 4;

struct P2c;

impl Strategy for P2c {
    fn prepare(&self, candidates: &[Candidate]) -> Box<dyn Picker> {
        candidates.iter().for_each(|candidate| candidate.worker.stats().timing().watch());
        Box::new(Pairs {
            shares: smooth_sequence(candidates.iter().map(|candidate| candidate.capacity)),
        })
    }

    fn slow_start(&self) -> SlowStart {
        SlowStart::Turns
    }
}

struct Pairs {
    /// Everybody, as often as its capacity says.
    shares: Box<[u32]>,
}

impl Picker for Pairs {
    fn pick(&self, candidates: &[Candidate], cx: &mut PickCx<'_>) -> Option<Reserved> {
        if candidates.is_empty() {
            return None;
        }
        for _ in 0..PAIRS {
            let (a, b) = self.draw(candidates.len(), cx);
            let chosen = match (cx.eligible(a), cx.eligible(b)) {
                (Some(_), Some(_)) if a != b => lighter(a, b, candidates, cx),
                (Some(_), _) => a,
                (None, Some(_)) => b,
                (None, None) => continue,
            };
            if let Some(reserved) = cx.reserve(chosen) {
                return Some(reserved);
            }
        }
        let first = cx.rng().usize(..candidates.len());
        (first..candidates.len()).chain(0..first).find_map(|i| cx.reserve(i))
    }
}

impl Pairs {
    fn draw(&self, everybody: usize, cx: &mut PickCx<'_>) -> (usize, usize) {
        let newcomer = cx.turn();
        let mut one = || self.shares[cx.rng().usize(..self.shares.len())] as usize;
        let a = newcomer.unwrap_or_else(&mut one);
        // One that has nearly all the weight is drawn again and again.
        let b = (0..8).map(|_| one()).find(|&b| b != a);
        (a, b.unwrap_or(if a + 1 < everybody { a + 1 } else { 0 }))
    }
}

fn lighter(a: usize, b: usize, candidates: &[Candidate], cx: &mut PickCx<'_>) -> usize {
    let fails = |i: usize| candidates[i].worker.stats().timing().fails_often(cx.now());
    match (fails(a), fails(b)) {
        (false, true) => return if cx.rng().u8(..4) == 0 { b } else { a },
        (true, false) => return if cx.rng().u8(..4) == 0 { a } else { b },
        (false, false) | (true, true) => {}
    }
    let held = |i: usize| cx.load(i, candidates[i].worker.slots().load());
    let capacity = |i: usize| u64::from(candidates[i].capacity.get());
    // a/v <= b/w without division; a was drawn first by chance.
    if held(a) * capacity(b) <= held(b) * capacity(a) { a } else { b }
}
