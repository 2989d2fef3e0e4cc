//! So many failures within a span of time, in a row or not.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// So many of them speak against a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Burst {
    pub count: u32,
    pub within: Duration,
}

/// One worker's latest failures, over all shards; touched only when something failed.
#[derive(Default)]
pub(super) struct Recent {
    /// 0 = nobody asks; readable without the lock.
    count: AtomicU32,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    within: Duration,
    /// At most `count`, the oldest in front.
    failures: VecDeque<Instant>,
    told: bool,
}

impl Recent {
    pub(super) fn watch(&self, burst: Option<Burst>) {
        let mut kept = self.kept();
        let (count, within) = burst.map_or((0, Duration::ZERO), |b| (b.count, b.within));
        self.count.store(count, Relaxed);
        kept.within = within;
        let surplus = kept.failures.len().saturating_sub(count as usize);
        kept.failures.drain(..surplus);
    }

    /// True for the failure that makes them too many.
    pub(super) fn add(&self, now: Instant) -> bool {
        let count = self.count.load(Relaxed) as usize;
        if count == 0 {
            return false;
        }
        let mut kept = self.kept();
        kept.forget_before(now);
        if kept.failures.len() >= count {
            kept.failures.pop_front();
        }
        kept.failures.push_back(now);
        if kept.failures.len() < count {
            kept.told = false;
            return false;
        }
        !std::mem::replace(&mut kept.told, true)
    }

    /// How many there are, if they are too many at `now`.
    pub(super) fn crossed(&self, now: Instant) -> Option<Burst> {
        let count = self.count.load(Relaxed);
        if count == 0 {
            return None;
        }
        let mut kept = self.kept();
        kept.forget_before(now);
        let within = kept.within;
        (kept.failures.len() >= count as usize).then_some(Burst { count, within })
    }

    pub(super) fn forget(&self) {
        let mut kept = self.kept();
        kept.failures.clear();
        kept.told = false;
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn forget_before(&mut self, now: Instant) {
        let within = self.within;
        let old = |at: &Instant| now.saturating_duration_since(*at) > within;
        while self.failures.front().is_some_and(old) {
            self.failures.pop_front();
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn so_many_within_the_time_and_no_fewer() {
        let start = Instant::now();
        let at = |s| start + Duration::from_secs(s);
        let recent = Recent::default();
        assert!(!recent.add(at(0)), "nobody asks");
        let burst = Burst { count: 3, within: Duration::from_secs(10) };
        recent.watch(Some(burst));
        let told: Vec<_> = [0, 6, 11, 15, 16, 40, 41].map(|s| recent.add(at(s))).to_vec();
        assert_eq!(told, [false, false, false, true, false, false, false]);
        assert_eq!(recent.crossed(at(42)), None);
        assert!(recent.add(at(42)), "a new burst is told again");
        assert_eq!(recent.crossed(at(42)), Some(burst));
        assert_eq!(recent.crossed(at(60)), None);
        recent.watch(None);
        assert_eq!((recent.add(at(61)), recent.crossed(at(61))), (false, None));
    }
}
