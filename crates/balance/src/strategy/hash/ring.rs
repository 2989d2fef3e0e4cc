//! The ring of consistent hashing (Karger et al. 1997; "ketama"): every worker owns points on a
//! circle, and a key belongs to the owner of the next one.
//!
//! A worker's points depend on its name, and their number on its weight beside the heaviest, so one
//! worker's change moves only keys to it or from it. Shares scatter by a few percent.

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::candidate::Candidate;

/// Points of the heaviest worker of a pool of up to 256.
const MOST: usize = 2048;
const LEAST: usize = 64;
/// In a larger pool the points of everybody are halved until they are no more than this, which
/// moves half of the keys when it happens.
const ALL: usize = MOST * 256;
const SEED: u64 = 0x1505_ba12_416e_0001;

pub(super) struct Ring {
    /// In order.
    points: Box<[u64]>,
    /// Aligned with `points`.
    pub(super) owners: Box<[u32]>,
}

impl Ring {
    pub(super) fn new(candidates: &[Candidate]) -> Self {
        let heaviest = candidates.iter().map(|candidate| candidate.weight.get()).max().unwrap_or(1);
        let most = points_of_the_heaviest(candidates.len());
        let mut points = Vec::new();
        for (i, candidate) in candidates.iter().enumerate() {
            let share = f64::from(candidate.weight.get()) / f64::from(heaviest);
            let count = ((most as f64 * share).round() as u64).max(1);
            let name = xxh3_64_with_seed(candidate.worker.name().as_bytes(), SEED);
            points.extend((1..=count).map(|nth| (super::rendezvous::mix(name, nth), i as u32)));
        }
        points.sort_unstable();
        let (points, owners): (Vec<_>, Vec<_>) = points.into_iter().unzip();
        Self { points: points.into(), owners: owners.into() }
    }

    pub(super) fn home(&self, key: u64) -> usize {
        let next = self.points.partition_point(|&point| point < key);
        if next == self.points.len() { 0 } else { next }
    }
}

fn points_of_the_heaviest(workers: usize) -> usize {
    let mut most = MOST;
    while most > LEAST && most * workers > ALL {
        most /= 2;
    }
    most
}
