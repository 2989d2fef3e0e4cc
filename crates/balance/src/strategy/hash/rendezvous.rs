//! Rendezvous, or highest random weight (Thaler, Ravishankar 1998): a key belongs to the worker
//! with the highest score for it.
//!
//! Shares follow the weights exactly, a change moves only what it must (weighted scores: Schindelhain
//! and Schomaker 2005), and there is no table; every pick looks at every worker.

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::candidate::Candidate;

const SEED: u64 = 0x1505_ba12_4e2d_0001;

pub(super) struct Scores {
    workers: Box<[Worker]>,
    equal: bool,
}

struct Worker {
    hash: u64,
    weight: f64,
}

impl Scores {
    pub(super) fn new(candidates: &[Candidate]) -> Self {
        let first = candidates.first().map(|candidate| candidate.weight);
        let worker = |candidate: &Candidate| Worker {
            hash: xxh3_64_with_seed(candidate.worker.name().as_bytes(), SEED),
            weight: f64::from(candidate.weight.get()),
        };
        Self {
            workers: candidates.iter().map(worker).collect(),
            equal: candidates.iter().all(|candidate| Some(candidate.weight) == first),
        }
    }

    /// The highest score among those that are `good`, which is asked only about those that would
    /// win.
    pub(super) fn first(&self, key: u64, mut good: impl FnMut(usize) -> bool) -> Option<usize> {
        let mut best: Option<(usize, f64)> = None;
        for (i, worker) in self.workers.iter().enumerate() {
            let drawn = mix(worker.hash, key);
            // 53 bits in (0, 1]; -ln of it is an exponential variable of rate 1, and the smallest
            // of several, each divided by its weight, falls to each by weight.
            let drawn = ((drawn >> 11) + 1) as f64 / (1_u64 << 53) as f64;
            let score = if self.equal { drawn } else { drawn.ln() / worker.weight };
            if best.is_none_or(|(_, highest)| score > highest) && good(i) {
                best = Some((i, score));
            }
        }
        best.map(|(i, _)| i)
    }
}

/// Two hashes become one (the finaliser of SplitMix64).
pub(super) fn mix(a: u64, b: u64) -> u64 {
    let mut mixed = a ^ b.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
