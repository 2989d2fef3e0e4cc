//! Slow start: a worker that came up has a tenth of its share and a tenth more at each step, until
//! it has all of it. The steps of a whole pool fall on the same instants, so that workers that came
//! up together cost one new snapshot a step, and are never of different shares for a moment.

use std::time::{Duration, Instant};

/// Tenths of a share that are all of it.
pub(super) const FULL: u32 = 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ramp {
    /// A multiple of the step after the pool's epoch.
    begin: Instant,
    step: Duration,
}

impl Ramp {
    /// `None` if there is nothing to go through. It may begin up to one step late.
    pub(super) fn begin(length: Duration, epoch: Instant, now: Instant) -> Option<Ramp> {
        let step = length / FULL;
        if step.is_zero() {
            return None;
        }
        let passed = now.saturating_duration_since(epoch).as_nanos();
        let steps = passed.div_ceil(step.as_nanos());
        let begin = epoch + step.checked_mul(u32::try_from(steps).unwrap_or(0)).unwrap_or_default();
        // After years of short steps the count is of no use: this worker steps by itself.
        Some(Ramp { begin: if begin < now { now } else { begin }, step })
    }

    pub(super) fn tenths(&self, now: Instant) -> u32 {
        let passed = now.saturating_duration_since(self.begin).as_nanos() / self.step.as_nanos();
        u32::try_from(passed).unwrap_or(FULL).clamp(1, FULL)
    }

    /// The next instant at which `tenths` is another.
    pub(super) fn next_step(&self, now: Instant) -> Option<Instant> {
        let next = match self.tenths(now) {
            FULL.. => return None,
            tenths => tenths + 1,
        };
        Some(self.begin + self.step * next)
    }
}
