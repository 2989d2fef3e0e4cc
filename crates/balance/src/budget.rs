//! The retry budget: retries may add no more than a share of the requests of the last ten seconds.
//!
//! A worker that fails under load is met by retries, which are load; without a bound a pool that is
//! nearly dead is finished off by its own proxy. Requests are counted per shard, with a load and a
//! store; only a retry looks at the sum. Nobody who counts reads a clock: the window moves when
//! its owner says that a second has passed ([`RetryBudget::slide`]).
//!
//! The idea is Finagle's (`RetryBudget`); a counted window instead of expiring tokens makes the
//! bound exact: in every ten seconds at most `share × requests`, or [`FLOOR`] if that is more.

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use crate::stats::{Counter, PerShard};

/// Slides that make a window, one a second.
const WINDOW: usize = 10;

/// A quiet pool may retry this often per window, whatever its share says: ten times a second.
pub const FLOOR: u64 = 10 * WINDOW as u64;

/// A share of a pool's requests, in thousandths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share(pub NonZeroU32);

pub struct RetryBudget {
    requests: PerShard<Counter>,
    /// Thousandths; 0 = retries are not bounded.
    share: AtomicU32,
    retries: AtomicU64,
    denied: AtomicU64,
    /// What the counters stood at when the window began.
    requests_before: AtomicU64,
    retries_before: AtomicU64,
    /// Seconds since then, the one under way included.
    seconds: AtomicU32,
    past: Mutex<Past>,
}

/// Touched once a second, by one thread.
#[derive(Default)]
struct Past {
    /// Requests and retries at the slides of the window, the oldest in front.
    slides: VecDeque<(u64, u64)>,
    told: u64,
    quiet: usize,
}

impl RetryBudget {
    /// `cells`: how many threads count requests.
    pub fn new(share: Option<Share>, cells: usize) -> Self {
        let budget = Self {
            requests: PerShard::new(cells),
            share: AtomicU32::new(0),
            retries: AtomicU64::new(0),
            denied: AtomicU64::new(0),
            requests_before: AtomicU64::new(0),
            retries_before: AtomicU64::new(0),
            seconds: AtomicU32::new(1),
            past: Mutex::default(),
        };
        budget.set_share(share);
        budget
    }

    /// `None`: as many retries as the routes allow.
    pub fn set_share(&self, share: Option<Share>) {
        self.share.store(share.map_or(0, |Share(thousandths)| thousandths.get()), Relaxed);
    }

    /// A request got its first lease.
    #[inline]
    pub fn request(&self) {
        self.requests.here().add(1);
    }

    /// May a request be sent a second time? If so, it counts.
    pub fn try_retry(&self) -> bool {
        let share = u64::from(self.share.load(Relaxed));
        if share == 0 {
            return true;
        }
        let most = FLOOR.max(self.recent_requests().saturating_mul(share) / 1000);
        let before = self.retries_before.load(Relaxed);
        let spend = |spent: u64| (spent.saturating_sub(before) < most).then_some(spent + 1);
        let allowed = self.retries.fetch_update(Relaxed, Relaxed, spend).is_ok();
        if !allowed {
            self.denied.fetch_add(1, Relaxed);
        }
        allowed
    }

    /// Retries that were not made for want of a budget.
    pub fn denied(&self) -> u64 {
        self.denied.load(Relaxed)
    }

    /// Requests of the window: the last ten seconds, up to one more.
    pub fn recent_requests(&self) -> u64 {
        let requests: u64 = self.requests.iter().map(Counter::value).sum();
        requests.saturating_sub(self.requests_before.load(Relaxed))
    }

    /// Requests that got a lease per second of the window.
    pub fn rate(&self) -> f64 {
        self.recent_requests() as f64 / f64::from(self.seconds.load(Relaxed))
    }

    /// A second has passed. Some: so many retries were denied and it is time to say so, once per
    /// window at most.
    pub fn slide(&self) -> Option<NonZeroU32> {
        let mut past = self.past.lock().unwrap_or_else(PoisonError::into_inner);
        let requests = self.requests.iter().map(Counter::value).sum();
        past.slides.push_back((requests, self.retries.load(Relaxed)));
        if past.slides.len() > WINDOW
            && let Some((requests, retries)) = past.slides.pop_front()
        {
            self.requests_before.store(requests, Relaxed);
            self.retries_before.store(retries, Relaxed);
        }
        // Those that are over and the one that begins.
        let seconds = u32::try_from(past.slides.len()).unwrap_or(0) + 1;
        self.seconds.store(seconds, Relaxed);
        past.quiet = past.quiet.saturating_sub(1);
        let untold = self.denied() - past.told;
        if untold == 0 || past.quiet > 0 {
            return None;
        }
        past.told += untold;
        past.quiet = WINDOW;
        NonZeroU32::new(u32::try_from(untold).unwrap_or(u32::MAX))
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::shard;

    fn budget(thousandths: u32, cells: usize) -> RetryBudget {
        RetryBudget::new(NonZeroU32::new(thousandths).map(Share), cells)
    }

    fn spend(budget: &RetryBudget) -> u64 {
        std::iter::from_fn(|| budget.try_retry().then_some(())).take(1_000_000).count() as u64
    }

    #[test]
    fn retries_are_a_share_of_the_requests_of_all_shards() {
        let budget = budget(200, 4);
        for index in [0, 1, 2, 3] {
            shard::enter(index);
            (0..500).for_each(|_| budget.request());
        }
        shard::enter(0);
        assert_eq!(spend(&budget), 400);
        assert_eq!(budget.denied(), 1);
    }

    #[test]
    fn a_quiet_pool_may_retry() {
        let budget = budget(200, 1);
        budget.request();
        assert_eq!(spend(&budget), FLOOR);
    }

    #[test]
    fn without_a_share_nothing_is_denied() {
        let budget = RetryBudget::new(None, 1);
        assert_eq!((spend(&budget), budget.denied()), (1_000_000, 0));
    }

    #[test]
    fn the_window_forgets_after_ten_seconds_and_not_before() {
        let budget = budget(100, 1);
        (0..1000).for_each(|_| budget.request());
        assert_eq!(spend(&budget), 100);
        for _ in 0..WINDOW {
            assert_eq!((budget.recent_requests(), spend(&budget)), (1000, 0));
            budget.slide();
        }
        budget.slide();
        assert_eq!((budget.recent_requests(), spend(&budget)), (0, FLOOR));
    }

    #[test]
    fn the_rate_is_that_of_the_seconds_there_were() {
        let budget = budget(100, 1);
        for second in 1..40 {
            (0..50).for_each(|_| budget.request());
            assert!((45.0..=55.0).contains(&budget.rate()), "{second}: {}", budget.rate());
            budget.slide();
        }
    }

    /// In any ten seconds, whatever the rates: the bound that protects a dying pool.
    #[test]
    fn no_window_holds_more_than_its_share() {
        let budget = budget(200, 1);
        let mut rng = fastrand::Rng::with_seed(5);
        let mut seconds = VecDeque::new();
        for _ in 0..300 {
            let requests = rng.u64(..400);
            let mut retries = 0;
            for _ in 0..requests {
                budget.request();
                // Every request fails, and so does every retry.
                while budget.try_retry() {
                    retries += 1;
                }
            }
            seconds.push_back((requests, retries));
            budget.slide();
            if seconds.len() > WINDOW {
                seconds.pop_front();
            }
            let (asked, again) = seconds.iter().fold((0, 0), |sum, s| (sum.0 + s.0, sum.1 + s.1));
            // The second that is only just leaving the window counts for the requests.
            assert!(again <= FLOOR.max((asked + 400) / 5), "{again} of {asked}");
        }
    }

    #[test]
    fn what_was_denied_is_said_once_a_window() {
        let budget = budget(1, 1);
        assert_eq!(budget.slide(), None);
        spend(&budget);
        assert_eq!(budget.slide().map(NonZeroU32::get), Some(1));
        for _ in 1..WINDOW {
            assert!(!budget.try_retry());
            assert_eq!(budget.slide(), None);
        }
        assert_eq!(budget.slide().map(NonZeroU32::get), Some(9));
        assert_eq!(budget.slide(), None);
    }
}
