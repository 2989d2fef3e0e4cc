//! How long a worker lets a connection rest before it closes it. Whoever sends a request into a
//! connection that is just being closed gets a reset for it, so connections are used only while
//! they are safely younger than that.
//!
//! A worker may announce it (`Keep-Alive: timeout=5`); otherwise it is learned from the connections
//! that a worker closed while they rested. Leases ask on every reuse, with one relaxed load; leases
//! and sweeps report. What is observed holds for five to ten minutes, because the next process at
//! the same address may be another.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use crate::settings::IdleTime;

/// How long a connection may rest at a worker of which nothing is known.
pub(crate) const UNKNOWN: Duration = Duration::from_secs(60);

/// Who closes sooner than this did not close for idleness: it restarted, or had served its number.
const SHORTEST: Duration = Duration::from_millis(250);

/// Milliseconds that stand for "nothing is known".
const NOTHING: u32 = u32::MAX;

pub(crate) struct Learned {
    /// What follows from the others.
    usable: AtomicU32,
    announced: AtomicU32,
    /// The shortest seen in this period and the one before.
    seen: [AtomicU32; 2],
}

impl Learned {
    pub(crate) fn new() -> Learned {
        let nothing = || AtomicU32::new(NOTHING);
        Learned { usable: nothing(), announced: nothing(), seen: [nothing(), nothing()] }
    }

    /// How long a connection may have rested and still be used.
    #[inline]
    pub(crate) fn usable(&self, idle: IdleTime) -> Duration {
        match idle {
            IdleTime::Fixed(idle) => idle,
            IdleTime::Learned => self.known().map_or(UNKNOWN, |known| known.min(UNKNOWN)),
        }
    }

    /// How long it may rest at all. A worker that is being learned closes first.
    pub(crate) fn resting(idle: IdleTime) -> Duration {
        match idle {
            IdleTime::Fixed(idle) => idle,
            IdleTime::Learned => UNKNOWN,
        }
    }

    /// What was learned so far, margin included.
    pub(crate) fn known(&self) -> Option<Duration> {
        match self.usable.load(Relaxed) {
            NOTHING => None,
            millis => Some(Duration::from_millis(millis.into())),
        }
    }

    /// The worker says how long it waits. Said with every response, so mostly no news.
    pub(crate) fn announced(&self, timeout: Duration) {
        let millis = millis(timeout);
        if self.announced.load(Relaxed) != millis {
            self.announced.store(millis, Relaxed);
            self.conclude();
        }
    }

    /// The worker closed a connection that had rested: it was alive after `alive`, and gone after
    /// `gone`.
    pub(crate) fn closed(&self, alive: Duration, gone: Duration) {
        if gone >= SHORTEST {
            self.seen[0].fetch_min(millis(alive.max(SHORTEST)), Relaxed);
            self.conclude();
        }
    }

    /// A period is over: what was seen in the one before the last is forgotten.
    pub(crate) fn forget(&self) {
        let last = self.seen[0].swap(NOTHING, Relaxed);
        self.seen[1].store(last, Relaxed);
        self.conclude();
    }

    fn conclude(&self) {
        let [this, last] = [0, 1].map(|period: usize| self.seen[period].load(Relaxed));
        let most = this.min(last).min(self.announced.load(Relaxed));
        let usable = if most == NOTHING { NOTHING } else { most - margin(most) };
        self.usable.store(usable, Relaxed);
    }
}

/// The worker's clock started a little before ours, and what we send is on its way for a while.
fn margin(millis: u32) -> u32 {
    (millis / 10).clamp(100, 1000).min(millis)
}

fn millis(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(NOTHING).min(NOTHING - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn usable(learned: &Learned) -> Duration {
        learned.usable(IdleTime::Learned)
    }

    #[test]
    fn what_is_announced_holds_with_a_margin() {
        let learned = Learned::new();
        assert_eq!((usable(&learned), learned.known()), (UNKNOWN, None));
        for (timeout, most) in [(5000, 4500), (1000, 900), (50, 0), (0, 0), (75_000, 60_000)] {
            learned.announced(ms(timeout));
            assert_eq!(usable(&learned), ms(most), "{timeout}");
        }
        learned.announced(Duration::MAX);
        assert_eq!(usable(&learned), UNKNOWN);
    }

    #[test]
    fn the_shortest_life_seen_counts() {
        let learned = Learned::new();
        learned.closed(ms(2900), ms(3000));
        learned.closed(ms(1900), ms(2100));
        learned.closed(ms(2500), ms(2600));
        assert_eq!(usable(&learned), ms(1710));
        learned.announced(ms(1000));
        assert_eq!(usable(&learned), ms(900));
    }

    #[test]
    fn a_restart_teaches_nothing() {
        let learned = Learned::new();
        learned.closed(ms(0), ms(249));
        assert_eq!(learned.known(), None);
        // Closed some time between two looks: never so careful that nothing is used again.
        learned.closed(ms(0), ms(1000));
        assert_eq!(usable(&learned), ms(150));
    }

    #[test]
    fn what_was_seen_is_forgotten_after_two_periods() {
        let learned = Learned::new();
        learned.closed(ms(2000), ms(2000));
        learned.forget();
        learned.closed(ms(5000), ms(5000));
        assert_eq!(usable(&learned), ms(1800));
        learned.forget();
        assert_eq!(usable(&learned), ms(4500));
        learned.forget();
        assert_eq!(learned.known(), None);
    }

    #[test]
    fn the_configuration_overrides() {
        let learned = Learned::new();
        learned.announced(ms(2000));
        assert_eq!(learned.usable(IdleTime::Fixed(ms(7))), ms(7));
    }
}
