//! How long a worker that fails its own traffic stays out: longer each time, less long again the
//! longer it behaved. Whether it may be ejected at all is the pool's question.

use std::time::{Duration, Instant};

use super::rules::Outlier;
use crate::outlier::Sign;

/// After so many times the base ejection in service one ejection is forgotten.
const FORGETS_AFTER: u32 = 3;

/// What a worker's ejections have come to.
#[derive(Clone, Debug, Default)]
pub(super) struct Ejections {
    now: Option<Ejection>,
    /// In a row, as far as they are remembered.
    count: u32,
    returned: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ejection {
    pub sign: Sign,
    pub until: Instant,
    /// The how-manieth in a row.
    pub count: u32,
}

impl Ejections {
    pub(super) fn current(&self) -> Option<&Ejection> {
        self.now.as_ref()
    }

    /// Returns for how long.
    pub(super) fn begin(&mut self, sign: Sign, rules: &Outlier, now: Instant) -> Duration {
        let base = rules.base_ejection.max(Duration::from_millis(1));
        if let Some(returned) = self.returned.take() {
            let behaved = now.saturating_duration_since(returned);
            let forgotten = behaved.as_nanos() / (base * FORGETS_AFTER).as_nanos();
            self.count = self.count.saturating_sub(u32::try_from(forgotten).unwrap_or(u32::MAX));
        }
        self.count = self.count.saturating_add(1);
        let longest = rules.longest_ejection.max(base);
        let length = base.checked_mul(self.count).unwrap_or(longest).min(longest);
        self.now = Some(Ejection { sign, until: now + length, count: self.count });
        length
    }

    /// True if there was one to end.
    pub(super) fn end(&mut self, now: Instant) -> bool {
        let ended = self.now.take().is_some();
        if ended {
            self.returned = Some(now);
        }
        ended
    }
}
