//! Counters that cost the request nothing: one cell per shard, summed when somebody looks.
//!
//! Every cell has a single writer, the shard it belongs to, so an increment is a load and a store
//! without a locked instruction. Pool, proxy and workers build their figures from these; no
//! strategy reads them.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crossbeam_utils::CachePadded;

use crate::shard;

/// One `T` per shard, each on its own cache lines.
pub struct PerShard<T> {
    cells: Box<[CachePadded<T>]>,
}

impl<T: Default> PerShard<T> {
    /// At least one cell; a thread with a higher index shares the last one.
    pub fn new(cells: usize) -> Self {
        Self { cells: (0..cells.max(1)).map(|_| CachePadded::default()).collect() }
    }

    /// The cell of the calling thread.
    #[inline]
    pub fn here(&self) -> &T {
        &self.cells[shard::current().min(self.cells.len() - 1)]
    }

    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.cells.iter().map(|cell| &**cell)
    }
}

/// A sum with a single writer.
#[derive(Default)]
pub struct Counter(AtomicU64);

impl Counter {
    #[inline]
    pub fn add(&self, more: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(more), Relaxed);
    }

    #[inline]
    pub fn value(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// Upper bounds in seconds of a [`Histogram`]'s buckets; one more bucket takes the rest.
pub const BOUNDS: &[f64] =
    &[0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

const BOUNDS_NANOS: [u64; BOUNDS.len()] = {
    let mut nanos = [0; BOUNDS.len()];
    let mut i = 0;
    while i < BOUNDS.len() {
        nanos[i] = (BOUNDS[i] * 1e9) as u64;
        i += 1;
    }
    nanos
};

/// Durations by bucket, with a single writer; one per shard makes a metric.
#[derive(Default)]
pub struct Histogram {
    buckets: [Counter; BOUNDS.len() + 1],
    nanos: Counter,
}

impl Histogram {
    pub fn observe(&self, value: Duration) {
        let nanos = saturating_nanos(value);
        let bucket = BOUNDS_NANOS.iter().position(|&bound| nanos <= bound);
        self.buckets[bucket.unwrap_or(BOUNDS.len())].add(1);
        self.nanos.add(nanos);
    }

    pub fn snapshot(&self) -> HistogramValues {
        let counts = std::array::from_fn(|i| self.buckets[i].value());
        HistogramValues {
            counts,
            sum_seconds: self.nanos.value() as f64 / 1e9,
            count: counts.iter().sum(),
        }
    }
}

/// What a histogram held; the counts are per bucket, not cumulative, the last one is +Inf.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HistogramValues {
    pub counts: [u64; BOUNDS.len() + 1],
    pub sum_seconds: f64,
    pub count: u64,
}

impl std::iter::Sum for HistogramValues {
    fn sum<I: Iterator<Item = Self>>(values: I) -> Self {
        values.fold(Self::default(), |mut sum, one| {
            sum.counts.iter_mut().zip(one.counts).for_each(|(sum, one)| *sum += one);
            sum.sum_seconds += one.sum_seconds;
            sum.count += one.count;
            sum
        })
    }
}

/// 584 years are enough.
pub(crate) fn saturating_nanos(value: Duration) -> u64 {
    u64::try_from(value.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_shard_writes_its_own_cell() {
        let counters = PerShard::<Counter>::new(3);
        for index in [0, 1, 1, 2, 9] {
            shard::enter(index);
            counters.here().add(1);
        }
        shard::enter(0);
        assert_eq!(counters.iter().map(Counter::value).collect::<Vec<_>>(), [1, 2, 2]);
        assert_eq!(PerShard::<Counter>::new(0).iter().count(), 1);
    }

    #[test]
    fn buckets_include_their_bound() {
        let histogram = Histogram::default();
        for micros in [0, 500, 501, 10_000_000, 10_000_001] {
            histogram.observe(Duration::from_micros(micros));
        }
        histogram.observe(Duration::MAX);
        let values = histogram.snapshot();
        assert_eq!((values.counts[0], values.counts[1]), (2, 1));
        assert_eq!((values.counts[13], values.counts[14], values.count), (1, 2, 6));
    }

    #[test]
    fn shards_sum_up() {
        let one = Histogram::default();
        one.observe(Duration::from_millis(3));
        let sum: HistogramValues = [one.snapshot(), one.snapshot()].into_iter().sum();
        assert_eq!((sum.count, sum.counts[3]), (2, 2));
        assert!((sum.sum_seconds - 0.006).abs() < 1e-9);
    }
}
