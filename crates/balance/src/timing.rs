//! How fast a worker answers lately, and how often it fails: what `least_time` and `p2c` go by.
//!
//! The time is a peak EWMA, as in Finagle and linkerd: a slower answer counts at once and in full, a
//! faster one by and by, and a worker that nobody asks is believed to be faster and faster until
//! somebody asks it again. On top of that, while a worker owes an answer its time is at least what
//! has passed since it last gave one, so a worker that hangs does not look like the fast one it was.
//!
//! Shards write, all of it is atomics, and nothing is written for a worker that no strategy
//! [watches](Timing::watch).

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::lease::{Failure, Outcome};

/// What was learnt is worth 1/e after this long.
const DECAY_SECONDS: f32 = 10.0;
/// How much one answer says about how often a worker fails.
const ONE_OUTCOME: f32 = 1.0 / 8.0;
/// A worker fails that fails more often than this. Below it its failures, however fast, hardly make
/// it lighter than others.
const FAILS_OFTEN: f32 = 0.25;

/// Of one worker.
#[derive(Default)]
pub struct Timing {
    watched: AtomicBool,
    /// What milliseconds are counted from.
    epoch: OnceLock<Instant>,
    /// Seconds to the first byte of a good answer, and when the worker was last heard of.
    time: AtomicStamped,
    /// The share of failures among its last outcomes, and when the last one was.
    failures: AtomicStamped,
    /// Leases that wait for their answer.
    owed: AtomicU32,
}

/// What is known of a worker's time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Time {
    /// Seconds; `None` before its first good answer, or what was assumed of it.
    pub measured: Option<f32>,
    /// Seconds for which it has owed an answer and given none.
    pub silent: f32,
}

impl Timing {
    /// From now on it is recorded. By the strategies that read it, when they prepare.
    pub fn watch(&self) {
        self.watched.store(true, Relaxed);
    }

    /// A lease begins. True if it is to be told how it ends: [`Timing::answered`] or
    /// [`Timing::unanswered`].
    #[inline]
    pub fn asked(&self, now: Instant) -> bool {
        if !self.watched.load(Relaxed) {
            return false;
        }
        if self.owed.fetch_add(1, Relaxed) == 0 {
            let now = self.millis(now);
            self.time.update(|old| Stamped { value: old.decayed(now), millis: now });
        }
        true
    }

    /// What to go by until more is known of a worker that has not answered yet.
    pub(crate) fn assume(&self, seconds: f32, now: Instant) {
        let now = self.millis(now);
        self.time.update(|old| match old.value {
            0.0 => Stamped { value: seconds, millis: now },
            _ => old,
        });
    }

    /// The head of an answer came `took` after the lease began. What failed was no measure of how
    /// long work takes.
    pub fn answered(&self, status: u16, took: Duration, now: Instant) {
        self.owed.fetch_sub(1, Relaxed);
        self.observe((status < 500).then_some(took), now);
    }

    /// A lease ended after `held`, without an answer.
    pub fn unanswered(&self, outcome: Outcome, held: Duration, now: Instant) {
        self.owed.fetch_sub(1, Relaxed);
        // An answer would have taken longer still.
        let late = matches!(
            outcome,
            Outcome::Failed(Failure::Timeout | Failure::FirstByte) | Outcome::Abandoned
        );
        self.observe(late.then_some(held), now);
    }

    /// Any lease ended.
    #[inline]
    pub(crate) fn ended(&self, outcome: Outcome, now: Instant) {
        if !self.watched.load(Relaxed) {
            return;
        }
        let failed = match outcome {
            Outcome::Served { status } => status >= 500,
            Outcome::Failed(_) => true,
            Outcome::ClientGone | Outcome::Abandoned | Outcome::NotSent => return,
        };
        // The common run of successes writes nothing.
        if !failed && self.failures.load().value == 0.0 {
            return;
        }
        let now = self.millis(now);
        self.failures.update(|old| {
            let (old, this) = (old.decayed(now), if failed { 1.0 } else { 0.0 });
            let value = old + (this - old) * ONE_OUTCOME;
            // Next to nothing is nothing, or it would be written for ever.
            Stamped { value: if value < 0.01 { 0.0 } else { value }, millis: now }
        });
    }

    #[inline]
    pub fn time(&self, now: Instant) -> Time {
        let now = self.millis(now);
        let last = self.time.load();
        let owes = self.owed.load(Relaxed) > 0;
        let measured = if owes { last.value } else { last.decayed(now) };
        Time {
            measured: (last.value > 0.0).then_some(measured),
            silent: if owes { last.age_seconds(now) } else { 0.0 },
        }
    }

    /// Many of its last outcomes were failures.
    #[inline]
    pub fn fails_often(&self, now: Instant) -> bool {
        let failures = self.failures.load();
        failures.value > FAILS_OFTEN && failures.decayed(self.millis(now)) > FAILS_OFTEN
    }

    fn observe(&self, took: Option<Duration>, now: Instant) {
        let now = self.millis(now);
        self.time.update(|old| {
            let value = match took.map(|took| took.as_secs_f32().max(f32::MIN_POSITIVE)) {
                None => old.value,
                Some(took) if took >= old.value => took,
                Some(took) => {
                    took + (old.value - took) * (-old.age_seconds(now) / DECAY_SECONDS).exp()
                }
            };
            Stamped { value, millis: now }
        });
    }

    /// Wraps after 49 days, which makes a worker that nobody asked for that long a little younger.
    fn millis(&self, now: Instant) -> u32 {
        let epoch = *self.epoch.get_or_init(|| now);
        now.saturating_duration_since(epoch).as_millis() as u32
    }
}

/// A number and when it was true: read and written as one.
#[derive(Clone, Copy)]
struct Stamped {
    value: f32,
    millis: u32,
}

impl Stamped {
    fn decayed(self, now: u32) -> f32 {
        match self.age_seconds(now) {
            0.0 => self.value,
            age => self.value * (-age / DECAY_SECONDS).exp(),
        }
    }

    /// Another shard's later look at the clock is no age.
    fn age_seconds(self, now: u32) -> f32 {
        let age = now.wrapping_sub(self.millis);
        if age > u32::MAX / 2 { 0.0 } else { age as f32 / 1e3 }
    }
}

#[derive(Default)]
struct AtomicStamped(AtomicU64);

impl AtomicStamped {
    #[inline]
    fn load(&self) -> Stamped {
        Self::unpack(self.0.load(Relaxed))
    }

    fn update(&self, change: impl Fn(Stamped) -> Stamped) {
        let packed = |word| {
            let Stamped { value, millis } = change(Self::unpack(word));
            Some(u64::from(value.to_bits()) << 32 | u64::from(millis))
        };
        // Relaxed: it decides between workers, never whether one may be used.
        let _ = self.0.fetch_update(Relaxed, Relaxed, packed);
    }

    fn unpack(word: u64) -> Stamped {
        Stamped { value: f32::from_bits((word >> 32) as u32), millis: word as u32 }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn secs(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    fn measured(timing: &Timing, now: Instant) -> f32 {
        timing.time(now).measured.expect("was measured")
    }

    #[test]
    fn nothing_is_written_for_a_worker_nobody_watches() {
        let (timing, now) = (Timing::default(), Instant::now());
        assert!(!timing.asked(now));
        timing.ended(Outcome::Failed(Failure::Reset), now);
        assert_eq!(timing.time(now), Time { measured: None, silent: 0.0 });
        assert!(!timing.fails_often(now));
    }

    #[test]
    fn a_peak_counts_at_once_and_wears_off() {
        let (timing, start) = (Timing::default(), Instant::now());
        timing.watch();
        let ask = |at: f64, took: f64| {
            assert!(timing.asked(start + secs(at)));
            timing.answered(200, secs(took), start + secs(at + took));
            measured(&timing, start + secs(at + took))
        };
        assert!((ask(0.0, 0.010) - 0.010).abs() < 1e-4);
        assert!((ask(0.1, 0.500) - 0.500).abs() < 1e-4, "a peak counts in full");
        let after = ask(1.0, 0.010);
        assert!((0.4..0.5).contains(&after), "a fast one wears it off slowly: {after}");
        // Nobody asks: after ln(10) × 10 s it is believed to be ten times as fast.
        let later = measured(&timing, start + secs(1.01 + 23.03));
        assert!((later / after - 0.1).abs() < 0.01, "{later}");
    }

    #[test]
    fn who_owes_an_answer_is_as_slow_as_its_silence() {
        let (timing, start) = (Timing::default(), Instant::now());
        timing.watch();
        timing.asked(start);
        timing.answered(200, secs(0.01), start + secs(0.01));
        timing.asked(start + secs(100.0));
        assert_eq!(timing.time(start + secs(100.0)).silent, 0.0, "its rest was no silence");
        assert_eq!(timing.time(start + secs(103.0)).silent, 3.0);
        timing.unanswered(Outcome::Failed(Failure::Timeout), secs(5.0), start + secs(105.0));
        assert_eq!(timing.time(start + secs(105.0)).silent, 0.0);
        assert!((measured(&timing, start + secs(105.0)) - 5.0).abs() < 1e-3);
    }

    #[test]
    fn failures_are_no_times_and_are_remembered_for_a_while() {
        let (timing, start) = (Timing::default(), Instant::now());
        timing.watch();
        for i in 0..4 {
            assert!(i < 3 || timing.fails_often(start), "three in a row");
            timing.asked(start);
            timing.answered(500, secs(0.001), start);
            timing.ended(Outcome::Served { status: 500 }, start);
        }
        assert_eq!(timing.time(start).measured, None);
        assert!(!timing.fails_often(start + secs(60.0)), "long ago");
        for _ in 0..10 {
            timing.ended(Outcome::Served { status: 200 }, start);
        }
        assert!(!timing.fails_often(start), "it works again");
        timing.ended(Outcome::ClientGone, start);
        assert!(!timing.fails_often(start));
    }
}
