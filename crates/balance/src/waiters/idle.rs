//! The integral behind `pool_idle_while_waiting_seconds_total`: ∫ [a waiter could have used a free
//! slot] dt, from the times the events carry.
//!
//! A hand-over reports when its waiter and its slot could first have met; it is over at the latest
//! moment the queue has heard of. Late hand-overs overlap, and what overlaps counts once.

use std::time::{Duration, Instant};

/// Spans kept apart at once; late hand-overs merge into one within a few events.
const MOST: usize = 64;

#[derive(Default)]
pub(super) struct Idle {
    total: Duration,
    now: Option<Instant>,
    /// What was counted since the queue last was empty: disjoint, in order of time.
    counted: Vec<(Instant, Instant)>,
}

impl Idle {
    pub(super) fn total(&self) -> Duration {
        self.total
    }

    /// Time, as told by different threads, only goes on.
    pub(super) fn observe(&mut self, now: Instant) {
        self.now = self.now.max(Some(now));
    }

    /// A pair that could have met at `from` meets now.
    pub(super) fn count_from(&mut self, from: Instant) {
        let Some(now) = self.now.filter(|&now| from < now) else { return };
        let mut start = from;
        let mut counted = Duration::ZERO;
        // Nothing counted ends after now, so whatever overlaps lies at the end.
        while let Some((begin, end)) = self.counted.pop_if(|(_, end)| *end >= from) {
            counted += end - begin.max(from);
            start = start.min(begin);
        }
        self.total += now - from - counted;
        if self.counted.len() == MOST {
            self.counted.remove(0);
        }
        self.counted.push((start, now));
    }

    /// No later pair can reach back before this.
    pub(super) fn nobody_waits(&mut self) {
        self.counted.clear();
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn what_overlaps_counts_once() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut idle = Idle::default();
        let mut count = |from, now| {
            idle.observe(at(now));
            idle.count_from(at(from));
            idle.total().as_millis()
        };
        assert_eq!(count(10, 10), 0);
        assert_eq!(count(10, 20), 10);
        assert_eq!(count(15, 20), 10);
        assert_eq!(count(30, 40), 20);
        assert_eq!(count(5, 40), 35, "reaches back behind both");
        assert_eq!(count(50, 45), 35, "an event ahead of the others' time");
        assert_eq!(count(41, 44), 39, "time does not go back");
    }
}
