//! The share of failures in a window of time, from counters that exist anyway.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How many leases a worker has answered well and how many badly, ever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub good: u64,
    pub failed: u64,
}

/// The share of failures in a sliding window, from tallies taken now and then.
#[derive(Debug, Default)]
pub struct RateWindow {
    samples: VecDeque<(Instant, Tally)>,
}

impl RateWindow {
    /// Thousandths of failures since the oldest tally that is at most `window` old; `None` if fewer than
    /// `min_requests` ended since.
    pub fn sample(
        &mut self,
        tally: Tally,
        window: Duration,
        min_requests: u64,
        now: Instant,
    ) -> Option<u16> {
        while self
            .samples
            .front()
            .is_some_and(|(at, _)| now.saturating_duration_since(*at) > window)
        {
            self.samples.pop_front();
        }
        self.samples.push_back((now, tally));
        let (_, oldest) = self.samples.front()?;
        let failed = tally.failed.saturating_sub(oldest.failed);
        let all = failed + tally.good.saturating_sub(oldest.good);
        if all == 0 || all < min_requests {
            return None;
        }
        u16::try_from(u128::from(failed) * 1000 / u128::from(all)).ok()
    }

    /// What came before says nothing any more.
    pub fn restart(&mut self) {
        self.samples.clear();
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::outlier::Sign;

    #[test]
    fn a_rate_needs_requests_and_forgets_what_is_old() {
        let start = Instant::now();
        let at = |s| start + Duration::from_secs(s);
        let mut window = RateWindow::default();
        let mut sample = |good, failed, s| {
            window.sample(Tally { good, failed }, Duration::from_secs(10), 20, at(s))
        };
        assert_eq!(sample(1000, 0, 0), None);
        assert_eq!(sample(1005, 5, 1), None, "ten requests are not twenty");
        assert_eq!(sample(1015, 15, 2), Some(500));
        assert_eq!(sample(1215, 15, 11), Some(45));
        assert_eq!(Sign::FailureRate(45).to_string(), "4.5% of requests failed");
        assert_eq!(sample(1215, 15, 30), None, "nothing since");
    }
}
