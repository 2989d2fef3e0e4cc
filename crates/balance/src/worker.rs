//! One member of a pool: its identity, its slots and what has become of its leases.
//!
//! A `Worker` lives as long as its name is in the pool, over every snapshot and reload, so that
//! in-flight and statistics never die with a rebuild. It does not know its address: the pool does.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crossbeam_utils::CachePadded;

use crate::lease::Outcome;
use crate::need::Need;
use crate::outlier::{Asked, Runs, Sign, Tally, Thresholds};
use crate::slots::Slots;
use crate::stats::{Counter, PerShard, saturating_nanos};
use crate::timing::Timing;

/// Names one worker inside its pool; never given to a second one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkerId(pub u32);

pub struct Worker {
    slots: Slots,
    tunnels: Slots,
    stats: WorkerStats,
    id: WorkerId,
    name: Box<str>,
}

impl Worker {
    /// `cells`: how many threads report outcomes.
    pub fn new(id: WorkerId, name: &str, limit: Option<NonZeroU32>, cells: usize) -> Self {
        Self {
            slots: Slots::new(limit),
            tunnels: Slots::new(None),
            stats: WorkerStats::new(cells),
            id,
            name: name.into(),
        }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    #[inline]
    pub fn id(&self) -> WorkerId {
        self.id
    }

    #[inline]
    pub fn slots(&self) -> &Slots {
        &self.slots
    }

    /// Tunnels and event streams, which are counted even where they are not limited. Where they
    /// are, one is reserved under the lock of [`Waiters`](crate::Waiters) only.
    #[inline]
    pub fn tunnels(&self) -> &Slots {
        &self.tunnels
    }

    /// A tunnel gives its slot back when it begins: tunnels have a limit of their own.
    #[inline]
    pub fn counts_tunnels_apart(&self) -> bool {
        self.tunnels.load().limit().is_some()
    }

    /// It has a tunnel slot for whoever needs one.
    #[inline]
    pub(crate) fn has_room_for(&self, need: Need) -> bool {
        need == Need::Request || self.tunnels.load().has_room()
    }

    pub fn stats(&self) -> &WorkerStats {
        &self.stats
    }
}

/// A worker's figures, grouped by who writes them.
pub struct WorkerStats {
    per_shard: PerShard<ShardStats>,
    shared: CachePadded<SharedStats>,
    timing: CachePadded<Timing>,
}

#[derive(Default)]
struct ShardStats {
    outcomes: [Counter; Outcome::LABELS.len()],
    busy_nanos: Counter,
}

#[derive(Default)]
struct SharedStats {
    abandoned: AtomicU32,
    apart: AtomicU32,
    runs: Runs,
    /// 0 = none yet, else the outcome's position + 1.
    last: AtomicU8,
}

impl WorkerStats {
    fn new(cells: usize) -> Self {
        Self {
            per_shard: PerShard::new(cells),
            shared: CachePadded::default(),
            timing: CachePadded::default(),
        }
    }

    /// How fast it answers and how often it fails, for the strategies that ask.
    #[inline]
    pub fn timing(&self) -> &Timing {
        &self.timing
    }

    /// A lease has ended at `now`, after keeping the worker busy for so long. What it says for or
    /// against the worker is [`WorkerStats::noted`]'s.
    pub fn finished(&self, outcome: Outcome, busy: Duration, now: Instant) {
        self.timing.ended(outcome, now);
        let cell = self.per_shard.here();
        cell.outcomes[outcome.position()].add(1);
        cell.busy_nanos.add(saturating_nanos(busy));
        // The shared line is written only when it changes: in the common run of successes every
        // shard keeps its own clean copy.
        let last = outcome.position() as u8 + 1;
        if self.shared.last.load(Relaxed) != last {
            self.shared.last.store(last, Relaxed);
        }
    }

    /// What became of a request is known; once per lease. True for the one that makes a run of
    /// failures as long as its threshold. `asked`: whose request met a failure.
    #[inline]
    pub fn noted(&self, outcome: Outcome, asked: Asked, now: Instant) -> bool {
        self.shared.runs.note(outcome, asked, now)
    }

    /// Another worker has answered the request of this client on which this one failed: the request
    /// was not to blame. True as for [`WorkerStats::noted`].
    pub fn confirmed(&self, key: u64) -> bool {
        self.shared.runs.confirm(key)
    }

    /// From now on these runs count.
    pub fn watch_runs(&self, thresholds: Thresholds) {
        self.shared.runs.watch(thresholds);
    }

    /// A run that has reached its threshold, for whoever may have missed the moment.
    pub fn sign(&self, now: Instant) -> Option<Sign> {
        self.shared.runs.sign(now)
    }

    /// What it did before it came back says nothing any more.
    pub fn forget_runs(&self) {
        self.shared.runs.forget();
    }

    /// Leases that the worker answered to the end, well or not.
    pub fn answers(&self) -> u64 {
        self.per_shard
            .iter()
            .flat_map(|cell| &cell.outcomes[Outcome::ANSWERS])
            .map(Counter::value)
            .sum()
    }

    /// Leases that the worker answered, to the end or not.
    pub fn served(&self) -> u64 {
        let broke_off = self.per_shard.iter().map(|cell| cell.outcomes[Outcome::BROKE_OFF].value());
        self.answers() + broke_off.sum::<u64>()
    }

    /// Leases ended in the worker's success or by its fault.
    pub fn tally(&self) -> Tally {
        let mut tally = Tally::default();
        for cell in self.per_shard.iter() {
            for (position, count) in cell.outcomes.iter().enumerate() {
                match position {
                    Outcome::GOOD => tally.good += count.value(),
                    _ if Outcome::NOBODYS.contains(&position) => {}
                    _ => tally.failed += count.value(),
                }
            }
        }
        tally
    }

    /// Leases ended so far, by the label of their outcome.
    pub fn outcomes(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Outcome::LABELS.into_iter().enumerate().map(|(position, label)| {
            (label, self.per_shard.iter().map(|cell| cell.outcomes[position].value()).sum())
        })
    }

    /// How long leases have kept the worker busy, all of them added up.
    pub fn busy(&self) -> Duration {
        Duration::from_nanos(self.per_shard.iter().map(|cell| cell.busy_nanos.value()).sum())
    }

    /// A lease was given up by its client while the worker still computes.
    pub fn abandon(&self) {
        self.shared.abandoned.fetch_add(1, Relaxed);
    }

    /// The worker is done with a lease that was abandoned.
    pub fn abandoned_ended(&self) {
        self.shared.abandoned.fetch_sub(1, Relaxed);
    }

    /// Leases abandoned whose worker still computes.
    pub fn abandoned(&self) -> u32 {
        self.shared.abandoned.load(Relaxed)
    }

    /// A tunnel has given its slot back, and goes on beside the slots.
    pub fn stands_apart(&self) {
        self.shared.apart.fetch_add(1, Relaxed);
    }

    /// Such a tunnel is over.
    pub fn apart_ended(&self) {
        self.shared.apart.fetch_sub(1, Relaxed);
    }

    /// Leases that hold a tunnel slot and no slot.
    pub fn apart(&self) -> u32 {
        self.shared.apart.load(Relaxed)
    }

    /// Failures since the last answer below 500.
    pub fn consecutive_failures(&self) -> u32 {
        self.shared.runs.failures()
    }

    /// The label of the outcome that came last.
    pub fn last_outcome(&self) -> Option<&'static str> {
        let position = self.shared.last.load(Relaxed).checked_sub(1)?;
        Outcome::LABELS.get(usize::from(position)).copied()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::lease::Failure;
    use crate::shard;

    #[test]
    fn outcomes_add_up_over_shards() {
        let worker = Worker::new(WorkerId(7), "a", None, 2);
        let stats = worker.stats();
        for shard in [0, 1] {
            shard::enter(shard);
            stats.finished(
                Outcome::Served { status: 200 },
                Duration::from_millis(5),
                Instant::now(),
            );
            stats.finished(
                Outcome::Failed(Failure::Reset),
                Duration::from_millis(1),
                Instant::now(),
            );
        }
        shard::enter(0);
        let counted: Vec<_> = stats.outcomes().filter(|(_, n)| *n > 0).collect();
        assert_eq!(counted, [("served", 2), ("reset_before_head", 2)]);
        assert_eq!(stats.busy(), Duration::from_millis(12));
        let now = Instant::now();
        stats.finished(Outcome::Served { status: 503 }, Duration::ZERO, now);
        stats.finished(Outcome::ClientGone, Duration::ZERO, now);
        stats.finished(Outcome::Abandoned, Duration::ZERO, now);
        assert_eq!(stats.tally(), Tally { good: 2, failed: 3 });
        stats.finished(Outcome::Failed(Failure::Reset), Duration::ZERO, now);
        assert_eq!(stats.last_outcome(), Some("reset_before_head"));
        assert_eq!((stats.answers(), stats.served()), (3, 3));
        stats.finished(Outcome::Failed(Failure::ResetMidBody), Duration::ZERO, now);
        assert_eq!((stats.answers(), stats.served()), (3, 4));
    }

    #[test]
    fn an_answer_ends_a_run_of_failures_and_a_lost_client_does_not() {
        let worker = Worker::new(WorkerId(0), "a", None, 1);
        let stats = worker.stats();
        assert_eq!(stats.last_outcome(), None);
        stats.noted(Outcome::Failed(Failure::ConnectRefused), Asked::Unseen, Instant::now());
        stats.noted(Outcome::Failed(Failure::Timeout), Asked::Unseen, Instant::now());
        stats.noted(Outcome::ClientGone, Asked::Unseen, Instant::now());
        assert_eq!(stats.consecutive_failures(), 2);
        stats.noted(Outcome::Served { status: 404 }, Asked::Unseen, Instant::now());
        assert_eq!(stats.consecutive_failures(), 0);
    }

    #[test]
    fn the_abandoned_gauge_returns_to_zero() {
        let worker = Worker::new(WorkerId(0), "a", None, 1);
        worker.stats().abandon();
        assert_eq!(worker.stats().abandoned(), 1);
        worker.stats().abandoned_ended();
        assert_eq!(worker.stats().abandoned(), 0);
    }
}
