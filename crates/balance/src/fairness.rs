//! How evenly the work fell on the workers, as one number for `pool_fairness_ratio`.
//!
//! Whoever scrapes takes the busy time each worker gathered in its window (a minute) and its
//! capacity; this decides what "even" means and keeps no state.

use std::num::NonZeroU32;
use std::time::Duration;

/// Jain's index over busy time per unit of capacity: 1 = perfectly even, 1/n = all on one.
/// A pool that did nothing was not unfair.
pub fn jain_index(workers: impl IntoIterator<Item = (Duration, NonZeroU32)>) -> f64 {
    let (mut count, mut sum, mut squares) = (0.0, 0.0, 0.0);
    for (busy, capacity) in workers {
        let share = busy.as_secs_f64() / f64::from(capacity.get());
        count += 1.0;
        sum += share;
        squares += share * share;
    }
    if squares > 0.0 { sum * sum / (count * squares) } else { 1.0 }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn even_is_one_and_all_on_one_is_a_nth() {
        assert_eq!(index(&[]), 1.0);
        assert_eq!(index(&[(0, 1), (0, 1)]), 1.0);
        assert!((index(&[(30, 1), (30, 1), (30, 1)]) - 1.0).abs() < 1e-12);
        assert!((index(&[(60, 1), (0, 1), (0, 1), (0, 1)]) - 0.25).abs() < 1e-12);
    }

    #[test]
    fn a_larger_worker_owes_more() {
        assert!((index(&[(30, 3), (10, 1)]) - 1.0).abs() < 1e-12);
        assert!(index(&[(20, 3), (20, 1)]) < 0.9);
    }

    fn index(workers: &[(u64, u32)]) -> f64 {
        let capacity = |n| NonZeroU32::new(n).unwrap_or(NonZeroU32::MIN);
        jain_index(workers.iter().map(|&(busy, n)| (Duration::from_secs(busy), capacity(n))))
    }
}
