//! What a worker's own traffic says against it: failures in a row, and the share of failures in a
//! window of time.
//!
//! Shards note each outcome; crossing a threshold of a run is seen by exactly one of them, who
//! tells the supervisor. The share is computed by the supervisor from counters that exist anyway.
//! What follows from a sign is [`PoolState`](crate::state::PoolState)'s to decide.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::lease::{Failure, Outcome};

/// Why a worker looks ill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// So many answers of 500 and more, or none at all, in a row.
    Failures(u32),
    /// So many 502, 503, 504 or connections that failed, in a row.
    GatewayFailures(u32),
    /// Thousandths of the requests in the window.
    FailureRate(u16),
}

impl fmt::Display for Sign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failures(n) => write!(f, "{n} failures in a row"),
            Self::GatewayFailures(n) => write!(f, "{n} gateway failures in a row"),
            Self::FailureRate(rate) => {
                write!(f, "{}% of requests failed", f64::from(*rate) / 10.0)
            }
        }
    }
}

/// Lengths of runs that speak against a worker; 0 = never.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Thresholds {
    pub failures: u32,
    pub gateway_failures: u32,
}

/// Runs of failures of one worker, over all shards. A success costs two reads of a line that nobody
/// writes while all is well.
#[derive(Default)]
pub(crate) struct Runs {
    failures: Run,
    gateway: Run,
}

#[derive(Default)]
struct Run {
    length: AtomicU32,
    threshold: AtomicU32,
}

impl Runs {
    /// True for the one outcome that makes a run as long as its threshold.
    #[inline]
    pub(crate) fn note(&self, outcome: Outcome) -> bool {
        match verdict(outcome) {
            Verdict::Nothing => false,
            Verdict::Good => {
                self.failures.end();
                self.gateway.end();
                false
            }
            Verdict::Failure => {
                self.gateway.end();
                self.failures.extend()
            }
            Verdict::GatewayFailure => self.failures.extend() | self.gateway.extend(),
        }
    }

    pub(crate) fn failures(&self) -> u32 {
        self.failures.length.load(Relaxed)
    }

    pub(crate) fn watch(&self, thresholds: Thresholds) {
        self.failures.threshold.store(thresholds.failures, Relaxed);
        self.gateway.threshold.store(thresholds.gateway_failures, Relaxed);
    }

    /// What can be seen now, for whoever missed the crossing.
    pub(crate) fn sign(&self) -> Option<Sign> {
        let failures = self.failures.crossed().map(Sign::Failures);
        failures.or_else(|| self.gateway.crossed().map(Sign::GatewayFailures))
    }

    pub(crate) fn forget(&self) {
        self.failures.end();
        self.gateway.end();
    }
}

impl Run {
    #[inline]
    fn end(&self) {
        if self.length.load(Relaxed) != 0 {
            self.length.store(0, Relaxed);
        }
    }

    /// True once per run at most. A run of four thousand million begins again, which is as well.
    fn extend(&self) -> bool {
        self.length.fetch_add(1, Relaxed).wrapping_add(1) == self.threshold.load(Relaxed)
    }

    fn crossed(&self) -> Option<u32> {
        let (length, threshold) = (self.length.load(Relaxed), self.threshold.load(Relaxed));
        (threshold != 0 && length >= threshold).then_some(length)
    }
}

enum Verdict {
    Good,
    Failure,
    GatewayFailure,
    /// Nobody's fault: the client left.
    Nothing,
}

/// An answer of the application's, even a refusal, is a sign of life; 5xx are not: the contract of
/// Envoy's `consecutive_5xx` and `consecutive_gateway_failure`.
#[inline]
fn verdict(outcome: Outcome) -> Verdict {
    match outcome {
        Outcome::Served { status: 502..=504 } => Verdict::GatewayFailure,
        Outcome::Served { status: 500.. } => Verdict::Failure,
        Outcome::Served { .. } => Verdict::Good,
        Outcome::Failed(Failure::Protocol) => Verdict::Failure,
        Outcome::Failed(_) => Verdict::GatewayFailure,
        Outcome::ClientGone | Outcome::Abandoned | Outcome::NotSent => Verdict::Nothing,
    }
}

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

    const OK: Outcome = Outcome::Served { status: 200 };
    const ERROR: Outcome = Outcome::Served { status: 500 };
    const RESET: Outcome = Outcome::Failed(Failure::Reset);

    #[test]
    fn a_run_is_told_once_and_ends_with_an_answer() {
        let runs = Runs::default();
        runs.watch(Thresholds { failures: 3, gateway_failures: 0 });
        let told = |outcomes: &[Outcome]| outcomes.iter().filter(|o| runs.note(**o)).count();
        assert_eq!(told(&[ERROR, ERROR, OK, ERROR, RESET]), 0);
        assert_eq!(told(&[ERROR, ERROR, ERROR, RESET]), 1);
        assert_eq!(runs.sign(), Some(Sign::Failures(6)));
        assert_eq!(told(&[Outcome::Served { status: 404 }]), 0);
        assert_eq!((runs.sign(), runs.failures()), (None, 0));
    }

    #[test]
    fn a_client_that_left_neither_adds_to_a_run_nor_ends_it() {
        let runs = Runs::default();
        runs.watch(Thresholds { failures: 2, gateway_failures: 0 });
        assert!(!runs.note(ERROR));
        assert!(!runs.note(Outcome::ClientGone) && !runs.note(Outcome::Abandoned));
        assert!(!runs.note(Outcome::NotSent));
        assert_eq!(runs.failures(), 1);
        assert!(runs.note(ERROR));
    }

    #[test]
    fn gateway_failures_are_their_own_run() {
        let runs = Runs::default();
        runs.watch(Thresholds { failures: 0, gateway_failures: 2 });
        let gateway = Outcome::Served { status: 503 };
        let protocol = Outcome::Failed(Failure::Protocol);
        assert!(!runs.note(gateway) && !runs.note(ERROR));
        assert!(!runs.note(gateway) && !runs.note(protocol));
        assert!(!runs.note(gateway) && runs.note(RESET));
        assert_eq!(runs.sign(), Some(Sign::GatewayFailures(2)));
        runs.forget();
        assert_eq!(runs.sign(), None);
    }

    #[test]
    fn the_crossing_is_seen_by_one_thread_of_many() {
        let runs = Runs::default();
        runs.watch(Thresholds { failures: 500, gateway_failures: 0 });
        let told: usize = std::thread::scope(|scope| {
            let shard = || (0..1000).filter(|_| runs.note(ERROR)).count();
            let shards: Vec<_> = (0..8).map(|_| scope.spawn(shard)).collect();
            shards.into_iter().map(|shard| shard.join().expect("a shard")).sum()
        });
        assert_eq!(told, 1);
    }

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
