//! Maglev's look-up table: every key has a worker, and losing a worker moves few other keys.
//!
//! Built from names and weights alone, in an order that does not depend on the file's, so every
//! process with the same workers agrees.

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::candidate::Candidate;

/// Entries of any pool of up to 6,553 workers: 100 for each of 655, which keeps shares within a
/// percent, and 10 for each of the most, whose shares differ by a tenth.
const SMALLEST: usize = 65_536;
/// Fewer would do for a larger pool, but not well: its table is doubled. A table of another size is
/// another one for every key, so this happens as late as can be.
const PER_WORKER: usize = 10;
const OFFSET_SEED: u64 = 0x1505_ba12_3a61_0001;
const SKIP_SEED: u64 = 0x1505_ba12_3a61_0002;

const EMPTY: u32 = u32::MAX;

/// Candidate indexes by table position; empty only if there are no candidates.
pub(super) fn table(candidates: &[Candidate]) -> Box<[u32]> {
    let Some(heaviest) = candidates.iter().map(|candidate| candidate.weight.get()).max() else {
        return Box::default();
    };
    let size = table_size(candidates.len());
    let mut table = vec![EMPTY; size].into_boxed_slice();
    let mut claims = claims(candidates, size);
    let mut left = size;
    for round in 1_u64.. {
        for claim in &mut claims {
            // The heaviest claims every round, the others as often as their share of it.
            if round * u64::from(claim.weight) < claim.due {
                continue;
            }
            claim.due += u64::from(heaviest);
            while table[claim.position] != EMPTY {
                claim.advance(size);
            }
            table[claim.position] = claim.worker;
            left -= 1;
            if left == 0 {
                return table;
            }
        }
    }
    table
}

/// One worker's own permutation of the table, and when its next claim is due.
struct Claim {
    worker: u32,
    weight: u32,
    due: u64,
    position: usize,
    skip: usize,
}

impl Claim {
    fn advance(&mut self, size: usize) {
        self.position += self.skip;
        if self.position >= size {
            self.position -= size;
        }
    }
}

fn claims(candidates: &[Candidate], size: usize) -> Vec<Claim> {
    let mut order: Vec<usize> = (0..candidates.len()).collect();
    order.sort_by_key(|&i| candidates[i].worker.name());
    let claim = |i: usize| {
        let name = candidates[i].worker.name().as_bytes();
        Claim {
            worker: i as u32,
            weight: candidates[i].weight.get(),
            due: u64::from(candidates[i].weight.get()),
            position: (xxh3_64_with_seed(name, OFFSET_SEED) % size as u64) as usize,
            skip: (xxh3_64_with_seed(name, SKIP_SEED) % (size as u64 - 1)) as usize + 1,
        }
    };
    order.into_iter().map(claim).collect()
}

/// A prime, so that every skip visits the whole table.
fn table_size(workers: usize) -> usize {
    let at_least = (workers * PER_WORKER).next_power_of_two().max(SMALLEST);
    (at_least + 1..).find(|&size| is_prime(size)).unwrap_or(at_least + 1)
}

fn is_prime(n: usize) -> bool {
    (2..).take_while(|d| d * d <= n).all(|d| !n.is_multiple_of(d))
}
