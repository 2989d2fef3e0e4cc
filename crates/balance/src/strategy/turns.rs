//! Turns in a fixed order: a smooth weighted sequence and a cursor over it.
//!
//! `round_robin` and `weighted` differ only in which weight they pass. The cursor belongs to the
//! strategy and outlives its pickers, so a rebuild never starts again at the first worker.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crossbeam_utils::CachePadded;

use super::Picker;
use crate::candidate::{Candidate, PickCx, Reserved};

/// Longer sequences cost memory and cache and tell weights apart no one could measure.
const LONGEST: u64 = 65_536;

/// One count of turns for all shards.
#[derive(Clone, Default)]
pub(super) struct Cursor(Arc<CachePadded<AtomicU64>>);

pub(super) struct Turns {
    cursor: Cursor,
    sequence: Box<[u32]>,
}

impl Turns {
    pub(super) fn new(cursor: &Cursor, weights: impl Iterator<Item = NonZeroU32>) -> Self {
        Self { cursor: cursor.clone(), sequence: smooth_sequence(weights) }
    }
}

impl Picker for Turns {
    fn pick(&self, candidates: &[Candidate], cx: &mut PickCx<'_>) -> Option<Reserved> {
        let length = self.sequence.len();
        // Who only looks takes no turn: it binds itself to nobody.
        if length == 0 || cx.is_looking() {
            return None;
        }
        let mut position = (self.cursor.0.fetch_add(1, Relaxed) % length as u64) as usize;
        let first = self.sequence[position] as usize;
        // A turn whose worker is not eligible passes to the next position. Two rounds' worth of
        // positions, then everybody once: a light worker may stand far off in a long sequence.
        for _ in 0..length.min(2 * candidates.len()) {
            if let Some(reserved) = cx.reserve(self.sequence[position] as usize) {
                return Some(reserved);
            }
            position = if position + 1 == length { 0 } else { position + 1 };
        }
        if length == candidates.len() {
            return None;
        }
        (first..candidates.len()).chain(0..first).find_map(|i| cx.reserve(i))
    }
}

/// One round of turns, each an index into `weights`: everybody as often as their weight in lowest
/// terms, spread evenly. A round is cut to 65,536 turns, of which nobody has none.
pub fn smooth_sequence(weights: impl IntoIterator<Item = NonZeroU32>) -> Box<[u32]> {
    let weights = weights.into_iter().map(|weight| u64::from(weight.get()));
    sequence(&scaled(weights.collect()))
}

/// The weights in lowest terms, and small enough for [`LONGEST`]; nobody falls to zero.
fn scaled(mut weights: Vec<u64>) -> Vec<u64> {
    let divisor = weights.iter().copied().fold(0, gcd).max(1);
    weights.iter_mut().for_each(|weight| *weight /= divisor);
    let total: u64 = weights.iter().sum();
    if total > LONGEST {
        // What the minimum of 1 may add is set aside first.
        let room = LONGEST.saturating_sub(weights.len() as u64);
        weights.iter_mut().for_each(|weight| *weight = (*weight * room / total).max(1));
    }
    weights
}

/// Earliest deadline first: the k-th turn of a worker of weight w is due at (k + ½) / w, which
/// spreads its turns as evenly as whole positions allow.
fn sequence(weights: &[u64]) -> Box<[u32]> {
    let total: u64 = weights.iter().sum();
    let mut due: BinaryHeap<_> = weights
        .iter()
        .enumerate()
        .map(|(worker, &weight)| Reverse(Turn { half: 1, weight, worker }))
        .collect();
    let mut sequence = Vec::with_capacity(total as usize);
    while let Some(Reverse(turn)) = due.pop() {
        sequence.push(turn.worker as u32);
        if turn.half + 2 < 2 * turn.weight {
            due.push(Reverse(Turn { half: turn.half + 2, ..turn }));
        }
    }
    sequence.into()
}

/// Due at half / (2 × weight) of the round; ties in the order of the workers.
#[derive(PartialEq, Eq)]
struct Turn {
    half: u64,
    weight: u64,
    worker: usize,
}

impl Ord for Turn {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.half * other.weight)
            .cmp(&(other.half * self.weight))
            .then(self.worker.cmp(&other.worker))
    }
}

impl PartialOrd for Turn {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn equal_weights_take_turns_in_order() {
        assert_eq!(*sequence(&[1, 1, 1, 1]), [0, 1, 2, 3]);
        assert_eq!(scaled(vec![7, 7, 7]), [1, 1, 1]);
        assert!(sequence(&scaled(Vec::new())).is_empty());
    }

    #[test]
    fn turns_of_a_heavy_worker_are_spread() {
        assert_eq!(*sequence(&[3, 1]), [0, 0, 1, 0]);
        assert_eq!(*sequence(&[5, 1, 1]), [0, 0, 0, 1, 2, 0, 0]);
        let order = sequence(&[2, 2, 4]);
        assert!(order.windows(2).filter(|pair| pair[0] == pair[1]).count() <= 2, "{order:?}");
    }

    #[test]
    fn a_huge_weight_is_scaled_and_a_tiny_one_kept() {
        let weights = scaled(vec![u64::from(u32::MAX), 1, 1_000_003]);
        assert!(weights.iter().sum::<u64>() <= LONGEST);
        assert_eq!((weights[1], sequence(&weights).len() as u64), (1, weights.iter().sum()));
        assert_eq!(scaled(vec![3; 100_000]), vec![1; 100_000]);
        let many = scaled((1..=100_000).collect());
        assert!(many.iter().all(|&weight| weight == 1));
    }
}
