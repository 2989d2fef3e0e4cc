//! The worker with the fewest leases for its weight: exact, over all shards.
//!
//! Every candidate is looked at (up to an idle one), and the choice is taken only if the chosen word is still the one
//! that was compared; so two shards never crowd onto one worker while another is lighter.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crossbeam_utils::CachePadded;

use super::{Choice, Entry, Picker, SlowStart, Strategy, only};
use crate::candidate::{Candidate, PickCx, Reserved};
use crate::slots::SlotWord;

pub(super) const ENTRY: Entry = Entry {
    name: "least_connections",
    about: "the fewest leases for its weight; exact, over all shards",
    choice: Choice::Lightest,
    options: &[],
    build: |options| {
        only(options, &[])?;
        Ok(Box::new(LeastConnections::default()))
    },
    also: &[],
};

/// Each conflict means that another shard got on; so many in a row do not happen, but a pick must
/// end.
const RESCANS: usize = 64;

#[derive(Default)]
struct LeastConnections {
    turn: Arc<CachePadded<AtomicUsize>>,
}

impl Strategy for LeastConnections {
    fn prepare(&self, _: &[Candidate]) -> Box<dyn Picker> {
        Box::new(Exact { turn: self.turn.clone() })
    }

    fn slow_start(&self) -> SlowStart {
        SlowStart::Turns
    }
}

struct Exact {
    /// Where to begin looking: behind the worker chosen last, so that ties take turns. Relaxed
    /// and racy on purpose; it decides between equals only.
    turn: Arc<CachePadded<AtomicUsize>>,
}

impl Picker for Exact {
    fn pick(&self, candidates: &[Candidate], cx: &mut PickCx<'_>) -> Option<Reserved> {
        for _ in 0..RESCANS {
            let start = cx.turn().unwrap_or_else(|| self.turn.load(Relaxed));
            let start = if start < candidates.len() { start } else { 0 };
            let (lightest, seen) = lightest(candidates, cx, start)?;
            if let Some(reserved) = cx.reserve_if(lightest, seen) {
                // A newcomer's turn is beside the others'.
                if cx.turn().is_none() {
                    self.turn.store(lightest + 1, Relaxed);
                }
                return Some(reserved);
            }
        }
        (0..candidates.len()).find_map(|i| cx.reserve(i))
    }
}

fn lightest(candidates: &[Candidate], cx: &PickCx<'_>, start: usize) -> Option<(usize, SlotWord)> {
    let mut best: Option<(usize, SlotWord, u64)> = None;
    for i in (start..candidates.len()).chain(0..start) {
        let Some(word) = cx.eligible(i) else { continue };
        let load = cx.load(i, word);
        // Nobody is lighter than idle.
        if load == 0 {
            return Some((i, word));
        }
        let lighter = best.is_none_or(|(best, _, least)| {
            // a/v < b/w without division.
            load * u64::from(candidates[best].weight.get())
                < least * u64::from(candidates[i].weight.get())
        });
        if lighter {
            best = Some((i, word, load));
        }
    }
    best.map(|(i, word, _)| (i, word))
}
